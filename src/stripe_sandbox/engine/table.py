"""Rows of one kind in the order of their creation, with indexes that grow as they are asked for."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterator, Sequence
from typing import Any

Row = dict[str, Any]
_SLACK = 1000


class Table:
    """A row has a position: its place in the order of creation."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self._keys: list[str] = []
        self._positions: dict[str, int] = {}
        self._latest: list[int] = []  # the latest time of creation up to each position
        self._in_order_of_time = True
        self._indexes: dict[str, dict[Any, list[int]]] = {}

    def put(self, key: str, row: Row) -> None:
        """Add a new row at the end."""
        if len(self._keys) > 2 * len(self.rows) + _SLACK:
            self._renumber()
        self._append(key, row)
        self._file(key)

    def restore(self, key: str, row: Row) -> None:
        """Put a row back that was dropped, in its old place."""
        self.rows[key] = row
        if key not in self._positions:
            self._append(key, row)
        self._file(key)

    def refile(self, key: str, before: Row) -> None:
        """Bring the indexes up to date with a row that has changed."""
        row, position = self.rows[key], self._positions[key]
        self._in_order_of_time &= created_of(row) == created_of(before)
        for field, index in self._indexes.items():
            old, new = value_of(before, field), value_of(row, field)
            if old != new:
                _take_out(index, old, position)
                insort(index.setdefault(new, []), position)

    def drop(self, key: str) -> None:
        row = self.rows.pop(key)
        for field, index in self._indexes.items():
            _take_out(index, value_of(row, field), self._positions[key])

    def scan(
        self,
        having: tuple[str, Collection[object]] | None = None,
        *,
        start: int = 0,
        end: int | None = None,
        oldest_first: bool = False,
    ) -> Iterator[Row]:
        """Rows between two positions, newest first; `having` is a field and its wanted values."""
        keys, at = self._keys, self._positions
        positions = self._filed(*having) if having else range(len(keys))
        end = len(keys) if end is None else end
        walk = _upwards if oldest_first else _downwards
        for position in walk(positions, start, end):
            row = self.rows.get(keys[position])
            if row is not None and at[keys[position]] == position:
                yield row

    def position(self, key: str) -> int | None:
        return self._positions[key] if key in self.rows else None

    def since(self, created: int) -> int:
        """The first position that can have been created at this time or later."""
        return bisect_left(self._latest, created) if self._in_order_of_time else 0

    def until(self, created: int) -> int:
        """The first position that was created after this time, if time never went back."""
        return bisect_right(self._latest, created) if self._in_order_of_time else len(self._keys)

    def _append(self, key: str, row: Row) -> None:
        created = created_of(row)
        latest = self._latest[-1] if self._latest else created
        self._in_order_of_time &= latest <= created
        self._positions[key] = len(self._keys)
        self._keys.append(key)
        self._latest.append(max(latest, created))
        self.rows[key] = row

    def _file(self, key: str) -> None:
        for field, index in self._indexes.items():
            insort(index.setdefault(value_of(self.rows[key], field), []), self._positions[key])

    def _filed(self, field: str, values: Collection[object]) -> Sequence[int]:
        if field not in self._indexes:
            index: dict[Any, list[int]] = {}
            for key, row in self.rows.items():
                index.setdefault(value_of(row, field), []).append(self._positions[key])
            for positions in index.values():
                positions.sort()
            self._indexes[field] = index
        index = self._indexes[field]
        filed = [index[value] for value in values if value in index]
        return filed[0] if len(filed) == 1 else sorted(set().union(*filed))

    def _renumber(self) -> None:
        """Give up the places of rows that are gone; who is reading keeps the old numbers."""
        living = sorted(self.rows, key=self._positions.__getitem__)
        self._keys, self._positions, self._latest, self._indexes = [], {}, [], {}
        for key in living:
            self._append(key, self.rows[key])


def created_of(row: Row) -> int:
    """When a row was made, for which invoice items have another word."""
    created: int = row.get("created") or row.get("date") or 0
    return created


def value_of(row: Row, field: str) -> Any:
    """What a row is filed under: ids stand for the objects they name."""
    value = row.get(field)
    if isinstance(value, dict):
        return value.get("id")
    return None if isinstance(value, list) else value


def _take_out(index: dict[Any, list[int]], value: object, position: int) -> None:
    positions = index[value]
    del positions[bisect_left(positions, position)]


def _downwards(positions: Sequence[int], start: int, end: int) -> Iterator[int]:
    """Also while positions come and go."""
    while (place := bisect_left(positions, end) - 1) >= 0 and positions[place] >= start:
        end = positions[place]
        yield end


def _upwards(positions: Sequence[int], start: int, end: int) -> Iterator[int]:
    while (place := bisect_left(positions, start)) < len(positions) and positions[place] < end:
        yield positions[place]
        start = positions[place] + 1
