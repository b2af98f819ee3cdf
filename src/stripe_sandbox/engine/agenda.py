"""What falls due next among many rows, without looking at all of them."""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

from stripe_sandbox.engine.table import Table


class Agenda:
    """The rows of a table by their `due`, seconds since the epoch.

    An entry whose row is gone, or due at another time by now, is skipped; so nothing is ever taken
    out of the middle.
    """

    def __init__(self, table: Table) -> None:
        self._rows = table.rows
        self._heap = [(row["due"], key) for key, row in table.rows.items()]
        heapify(self._heap)

    def note(self, key: str) -> None:
        heappush(self._heap, (self._rows[key]["due"], key))

    @property
    def next(self) -> float | None:
        while self._heap and not self._holds(*self._heap[0]):
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take(self, until: float) -> Iterator[str]:
        """The keys of what is due by then, earliest first; each is taken off and not kept."""
        while self.next is not None and self._heap[0][0] <= until:
            yield heappop(self._heap)[1]

    def _holds(self, due: float, key: str) -> bool:
        row = self._rows.get(key)
        return row is not None and bool(row["due"] == due)
