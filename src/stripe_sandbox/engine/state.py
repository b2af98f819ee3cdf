"""A sandbox's rows: JSON in memory, written through to one SQLite file by the transaction."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from stripe_sandbox.contract.errors import Lasting
from stripe_sandbox.engine.agenda import Agenda
from stripe_sandbox.engine.table import Row, Table

_SCHEMA = """
CREATE TABLE IF NOT EXISTS row (
    position INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    UNIQUE (kind, key)
)
"""
_LAYOUT = 1


class StateLocked(Exception):
    """Another process has the file open."""


class StateUnreadable(Exception):
    """The file is not a sandbox's, or of another layout."""


class State:
    """Rows by kind and key, in the order of their creation.

    A row is changed by `change` alone, at its top level: nested values are replaced, never
    mutated, so that a transaction that fails can put the old ones back.
    """

    def __init__(self, path: Path | None, *, fresh: bool = False) -> None:
        self._tables: dict[str, Table] = defaultdict(Table)
        self._agendas: dict[str, Agenda] = {}
        self._journal: list[tuple[str, str, Row | None, Row | None]] = []
        self._file = _open(path, fresh=fresh) if path else None
        if self._file:
            for kind, key, value in self._file.execute(
                "SELECT kind, key, value FROM row ORDER BY position"
            ):
                self._tables[kind].put(key, orjson.loads(value))

    def get(self, kind: str, key: str) -> Row | None:
        return self._tables[kind].rows.get(key)

    def rows(self, kind: str) -> Mapping[str, Row]:
        return self._tables[kind].rows

    def table(self, kind: str) -> Table:
        """For reading by position and by index."""
        return self._tables[kind]

    def kinds(self) -> list[str]:
        return list(self._tables)

    def agenda(self, kind: str) -> Agenda:
        """For rows that fall due; it follows every change from now on."""
        if kind not in self._agendas:
            self._agendas[kind] = Agenda(self._tables[kind])
        return self._agendas[kind]

    def put(self, kind: str, key: str, row: Row) -> Row:
        existing = self.get(kind, key)
        if existing is not None:
            self._replace(kind, key, existing, row)
            return existing
        self._journal.append((kind, key, None, None))
        self._tables[kind].put(key, row)
        self._note_due(kind, key)
        return row

    def change(self, kind: str, key: str, **changes: Any) -> None:
        row = self._tables[kind].rows[key]
        self._replace(kind, key, row, {**row, **changes})

    def drop(self, kind: str, key: str) -> None:
        row = self.get(kind, key)
        if row is not None:
            self._journal.append((kind, key, row, dict(row)))
            self._tables[kind].drop(key)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What is changed within is in the file when this returns; after an exception other than
        `Lasting` none of it ever happened.
        """
        try:
            with self.savepoint():
                try:
                    yield
                except Lasting:
                    self._write()
                    raise
                self._write()
        finally:
            self._journal.clear()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """After an exception other than `Lasting` the changes made within are taken back."""
        mark = len(self._journal)
        try:
            yield
        except Lasting:
            raise
        except BaseException:
            self._take_back(mark)
            raise

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """The changes made within are taken back when it ends; until then they can be looked at."""
        mark = len(self._journal)
        try:
            yield
        finally:
            self._take_back(mark)

    def clear(self) -> None:
        """Forget every row, here and in the file; never within a transaction."""
        self._tables.clear()
        self._agendas.clear()
        if self._file:
            with self._file:
                self._file.execute("DELETE FROM row")

    def close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def _replace(self, kind: str, key: str, row: Row, new: Row) -> None:
        """The row stays the same object, so that who holds it sees the change."""
        before = dict(row)
        self._journal.append((kind, key, row, before))
        row.clear()
        row.update(new)
        self._tables[kind].refile(key, before)
        self._note_due(kind, key)

    def _take_back(self, mark: int) -> None:
        while len(self._journal) > mark:
            self._restore(*self._journal.pop())

    def _restore(self, kind: str, key: str, row: Row | None, before: Row | None) -> None:
        table = self._tables[kind]
        if key in table.rows:
            table.drop(key)
        if row is None or before is None:
            return
        row.clear()
        row.update(before)
        table.restore(key, row)
        self._note_due(kind, key)

    def _note_due(self, kind: str, key: str) -> None:
        if kind in self._agendas:
            self._agendas[kind].note(key)

    def _write(self) -> None:
        if self._file is None:
            return
        touched = dict.fromkeys((kind, key) for kind, key, _, _ in self._journal)
        with self._file:
            for kind, key in touched:
                self._write_row(self._file, kind, key)

    def _write_row(self, file: sqlite3.Connection, kind: str, key: str) -> None:
        row = self._tables[kind].rows.get(key)
        if row is None:
            file.execute("DELETE FROM row WHERE kind = ? AND key = ?", (kind, key))
            return
        file.execute(
            "INSERT INTO row (kind, key, value) VALUES (?, ?, ?)"
            " ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value",
            (kind, key, orjson.dumps(row)),
        )


def _open(path: Path, *, fresh: bool) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = sqlite3.connect(path, timeout=0.2)
    except (OSError, sqlite3.OperationalError) as error:
        raise StateUnreadable(f"{path} cannot be opened: {error}") from error
    try:
        # One process owns the file: memory is the truth while it runs.
        file.execute("PRAGMA locking_mode = EXCLUSIVE")
        file.execute("PRAGMA journal_mode = WAL")
        file.execute("PRAGMA synchronous = NORMAL")
        _lay_out(file, path, fresh=fresh)
    except sqlite3.OperationalError as error:
        file.close()
        raise StateLocked(f"{path}: {error}; another sandbox uses this file") from error
    except sqlite3.DatabaseError as error:
        file.close()
        raise StateUnreadable(f"{path} is no sandbox state: {error}") from error
    except StateUnreadable:
        file.close()
        raise
    return file


def _lay_out(file: sqlite3.Connection, path: Path, *, fresh: bool) -> None:
    with file:
        file.execute("BEGIN IMMEDIATE")
        if fresh:
            file.execute("DROP TABLE IF EXISTS row")
        elif file.execute("PRAGMA user_version").fetchone()[0] not in (0, _LAYOUT):
            raise StateUnreadable(f"{path} was written by another version; start with --fresh")
        file.execute(_SCHEMA)
        file.execute(f"PRAGMA user_version = {_LAYOUT}")
