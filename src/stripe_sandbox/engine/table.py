"""Rows of one kind in the order of their creation, with indexes that grow as they are asked for."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterator, Sequence
from typing import Any

Row = dict[str, Any]


class Table:
    """A row has a position for life: its place in the order of creation.

    An index holds the positions of all rows that ever had a value; a reader skips those that have
    it no more. So a row that is put back after a failed transaction is found without more ado.
    """

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self._keys: list[str] = []
        self._positions: dict[str, int] = {}
        self._created: list[int] = []
        self._in_order_of_time = True
        self._indexes: dict[str, dict[Any, list[int]]] = {}

    def put(self, key: str, row: Row) -> None:
        if key not in self.rows:
            self._positions[key] = len(self._keys)
            self._keys.append(key)
            self._created.append(created := row.get("created", 0))
            self._in_order_of_time &= self._created[max(0, len(self._created) - 2)] <= created
        self.rows[key] = row
        self.note(key)

    def note(self, key: str) -> None:
        """Bring the indexes up to date with what a row says now."""
        row, position = self.rows[key], self._positions[key]
        self._in_order_of_time &= row.get("created", 0) == self._created[position]
        for field, index in self._indexes.items():
            _file(index, value_of(row, field), position)

    def drop(self, key: str) -> Row | None:
        return self.rows.pop(key, None)

    def scan(
        self,
        having: tuple[str, Collection[object]] | None = None,
        *,
        start: int = 0,
        end: int | None = None,
        oldest_first: bool = False,
    ) -> Iterator[Row]:
        """Rows between two positions, newest first; `having` is a field and its wanted values."""
        positions = self._filed(*having) if having else range(len(self._keys))
        low = bisect_left(positions, start)
        high = len(positions) if end is None else bisect_left(positions, end)
        places = range(low, high) if oldest_first else range(high - 1, low - 1, -1)
        for place in places:
            position = positions[place]
            key = self._keys[position]
            row = self.rows.get(key)
            if row is None or self._positions[key] != position:
                continue
            if having is None or value_of(row, having[0]) in having[1]:
                yield row

    def position(self, key: str) -> int | None:
        return self._positions[key] if key in self.rows else None

    def since(self, created: int) -> int:
        """The first position that can have been created at this time or later."""
        return bisect_left(self._created, created) if self._in_order_of_time else 0

    def until(self, created: int) -> int:
        """The first position that was created after this time, if time never went back."""
        return bisect_right(self._created, created) if self._in_order_of_time else len(self._keys)

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


def value_of(row: Row, field: str) -> Any:
    """What a row is filed under: ids stand for the objects they name."""
    value = row.get(field)
    if isinstance(value, dict):
        return value.get("id")
    return None if isinstance(value, list) else value


def _file(index: dict[Any, list[int]], value: object, position: int) -> None:
    positions = index.setdefault(value, [])
    if not positions or positions[-1] < position:
        positions.append(position)
    elif positions[bisect_left(positions, position)] != position:
        insort(positions, position)
