"""The open queries of a desk whose store keeps them: in memory is only what the batch at hand has changed.

For every event it is asked whether its query is open; fingerprints of the ids say no without a look at the store
(`Fingerprints`). All else is looked up there, and what has happened since the last commit is put over it: whoever asks
gets the same answers as of `OpenQueries`, and after a crash those of the last commit.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from datetime import datetime
from heapq import heappop, heappush
from itertools import chain, groupby, islice, takewhile
from typing import Final, Protocol, TypeVar

from stream_al.fingerprints import Fingerprints
from stream_al.query_state import OpenQuery, QueryState

_Row = TypeVar("_Row")
_NEWEST: Final = 1024
"""How many of the newest are at hand."""


class QueryTable(Protocol):
    """The open queries as of the last commit, where a store keeps them.

    What yields holds nothing open while it is not asked for more, and is not asked any more after a commit. Of queries that
    were asked at the same event the order does not matter.
    """

    def find(self, event_id: str) -> QueryState | None:
        """Return an event's query; None when it is not open."""

    def ids(self) -> Iterator[tuple[int, str]]:
        """Yield (number of the event, its id) of all, in the order of the numbers."""

    def asked_after(self, number: int) -> Iterator[QueryState]:
        """Yield those asked after an event, in the order of the events."""

    def least(self) -> Iterator[tuple[float, int, str]]:
        """Yield (utility, number of the event, its id) of all, smallest first."""

    def begin(self, clock: str) -> None:
        """Give those without a clock this one, with the next commit."""


class StoredQueries:
    """The open queries by event, oldest first, as `OpenQueries`; of events whose numbers only grow.

    Parameters
    ----------
    table
        Where they are as of the last commit.
    gold
        The events of gold questions: each is asked after the query of the same event.
    ranked
        Whether `least` will be asked for.
    """

    def __init__(
        self, table: QueryTable, gold: Container[str] = frozenset(), *, ranked: bool = False
    ) -> None:
        self._table, self._gold, self._ranked = table, gold, ranked
        self._ids = Fingerprints()
        """Of the table's, but for those closed since the last commit."""
        self._size = 0
        for _, event_id in table.ids():
            self._ids.add(event_id)
            self._size += 1
        self._newest: dict[str, OpenQuery] = {}
        """Of the table's those that were asked or changed last, which are the most likely to be answered next."""
        self._oldest: OpenQuery | None = None
        self._least: tuple[float, str] | None = None
        self._begin_batch()

    def _begin_batch(self) -> None:
        self._added: dict[str, OpenQuery] = {}
        """Asked since the last commit."""
        self._changed: dict[str, OpenQuery | None] = {}
        """Of the table's those that were looked up to be changed since then; None: closed."""
        self._clock: datetime | None = None
        """Since when the table's that have no clock age."""
        self._front: Iterator[OpenQuery] | None = None
        self._ranks: Iterator[tuple[float, int, str]] | None = None
        self._next_rank: tuple[float, int, str] | None = None
        self._heap: list[tuple[float, int, str]] = []
        """Of those added or changed."""

    def committed(self) -> None:
        """Take note that the table has all changes by now."""
        for event_id in self._added:
            self._ids.add(event_id)
        for event_id, found in (*self._changed.items(), *self._added.items()):
            self._newest.pop(event_id, None)
            if found is not None:
                self._newest[event_id] = found
        for event_id in list(islice(self._newest, max(0, len(self._newest) - _NEWEST))):
            del self._newest[event_id]
        self._begin_batch()

    def __len__(self) -> int:
        return self._size

    def __contains__(self, event_id: str) -> bool:
        """Tell whether an event's query is open."""
        return event_id in self._added or (event_id in self._ids and self._kept(event_id) is not None)

    def among(self, event_ids: set[str]) -> set[str]:
        """Return those of these events whose query may be open; all of them, if it is."""
        return self._ids.among(event_ids) | (event_ids & self._added.keys())

    def __iter__(self) -> Iterator[OpenQuery]:
        """Yield all, oldest first; to look at, not to change."""
        return chain(self._of_table(-1), self._added.values())

    def events(self) -> Iterator[str]:
        """Yield the events of all, oldest first."""
        rows = self._in_order(self._table.ids(), lambda row: row[0], lambda row: row[1])
        kept = (name for _, name in rows if self._changed.get(name, name) is not None)
        return chain(kept, self._added)

    def peek(self, event_id: str) -> OpenQuery:
        """Return a query to look at, not to change."""
        found = self._added.get(event_id) or self._kept(event_id)
        if found is None:
            raise KeyError(event_id)
        return found

    def get(self, event_id: str) -> OpenQuery | None:
        """Return a query that is about to get an answer, if it is open."""
        found = self._added.get(event_id)
        if found is None and (found := self._kept(event_id)) is not None:
            self._changed[event_id] = found
            self._rank(found)
        return found

    def add(self, opened: OpenQuery) -> None:
        """Take a query that is not open yet, of an event after those of all others."""
        event_id = opened.query.event_id
        self._number(opened)
        self._added[event_id] = opened
        self._size += 1
        if self._least is not None and opened.utility < self._least[0]:
            self._least = opened.utility, event_id
        self._rank(opened)

    def revalue(self, event_id: str, utility: float) -> OpenQuery | None:
        """Give a query another utility; return it, to look at, or None when it has this one already."""
        if self.peek(event_id).utility == utility:
            return None
        found = self.get(event_id)
        assert found is not None
        found.utility = utility
        if self._oldest is not None and self._oldest.query.event_id == event_id:
            self._oldest = found
        self._least = None
        self._rank(found)
        return found

    def pop(self, event_id: str) -> OpenQuery:
        """Take a query out."""
        found = self._added.pop(event_id, None)
        if found is None:
            found = self.peek(event_id)
            self._changed[event_id] = None
            self._ids.discard(event_id)
        self._size -= 1
        if self._oldest is not None and self._oldest.query.event_id == event_id:
            self._oldest = None
        if self._least is not None and self._least[1] == event_id:
            self._least = None
        return found

    def begin(self, clock: datetime) -> Iterator[OpenQuery]:
        """Let all queries age from now on, as there was no time when they were asked; yield those the table will not age."""
        self._oldest, self._front = None, None
        self._clock = clock
        self._table.begin(clock.isoformat())
        for kept in self._newest.values():
            kept.clock = clock
        for found in chain(self._added.values(), self._changed.values()):
            if found is not None:
                found.clock = clock
                yield found

    # ── in order ─────────────────────────────────────────────────────────────────────────────────

    @property
    def oldest(self) -> OpenQuery | None:
        """The one asked first; to look at, not to change."""
        if self._oldest is None and self._size:
            self._front = self._front or self._of_table(-1)
            self._oldest = next(chain(self._front, self._added.values()))
        return self._oldest

    @property
    def least(self) -> tuple[float, str]:
        """The smallest utility, and of the queries that have it the event of the oldest."""
        if self._least is None:
            while self._heap and not self._is_now(self._heap[0]):
                heappop(self._heap)
            if self._ranks is None:
                key = self._place
                self._ranks = (
                    (utility, key(asked, name), name)
                    for utility, asked, name in self._in_order(
                        self._table.least(), lambda row: row[:2], lambda row: row[2]
                    )
                )
                self._next_rank = next(self._ranks, None)
            while self._next_rank is not None and self._next_rank[2] in self._changed:
                self._next_rank = next(self._ranks, None)
            utility, _, event_id = min(first for first in (*self._heap[:1], self._next_rank) if first)
            self._least = utility, event_id
        return self._least

    def behind(self, serial: int, most: int, without: Container[str]) -> list[OpenQuery]:
        """Return queries in the order they were asked, those behind a serial number first; to look at, not to change."""
        first = (serial - 1) // 2 - 1  # the number before that of the event: its gold question may be behind
        later = chain(
            self._of_table(first), (new for new in self._added.values() if new.query.event_number > first)
        )
        turns = chain(
            (found for found in later if found.serial > serial),
            takewhile(lambda found: found.serial <= serial, self),
        )
        return list(islice((found for found in turns if found.query.event_id not in without), most))

    def serial_at(self, event_number: int) -> int:
        """Return a serial number behind which the queries are that were asked after an event."""
        return 2 * event_number + 2

    def _of_table(self, number: int) -> Iterator[OpenQuery]:
        """Yield the table's, as they are now, that were asked after an event."""
        rows = self._in_order(
            self._table.asked_after(number), lambda row: row.asked, lambda row: row.event_id
        )
        for row in rows:
            if self._is_kept(row.event_id):
                yield self._changed.get(row.event_id) or self._opened(row)

    def _in_order(
        self, rows: Iterable[_Row], key: Callable[[_Row], object], name: Callable[[_Row], str]
    ) -> Iterator[_Row]:
        """Yield rows in the order they come, and those of one key with the gold question last."""
        for _, alike in groupby(rows, key):
            yield from sorted(alike, key=lambda row: name(row) in self._gold)

    # ── one query ────────────────────────────────────────────────────────────────────────────────

    def _kept(self, event_id: str) -> OpenQuery | None:
        """Return a query of the table as it is now, if it is open."""
        if event_id in self._changed:
            return self._changed[event_id]
        if event_id in self._newest:
            return self._newest[event_id]
        state = self._table.find(event_id) if event_id in self._ids else None
        return None if state is None else self._opened(state)

    def _is_kept(self, event_id: str) -> bool:
        """Tell whether a query that the table has was not closed since."""
        return event_id not in self._changed or self._changed[event_id] is not None

    def _opened(self, state: QueryState) -> OpenQuery:
        opened = OpenQuery.of(state)
        self._number(opened)
        if opened.clock is None:
            opened.clock = self._clock
        return opened

    def _number(self, opened: OpenQuery) -> None:
        opened.serial = self._place(opened.query.event_number, opened.query.event_id)

    def _place(self, number: int, event_id: str) -> int:
        return 1 + 2 * number + (event_id in self._gold)

    def _rank(self, opened: OpenQuery) -> None:
        if self._ranked:
            heappush(self._heap, (opened.utility, opened.serial, opened.query.event_id))

    def _is_now(self, entry: tuple[float, int, str]) -> bool:
        """Tell whether an entry of the heap is of a query that is open, as it is now."""
        utility, serial, event_id = entry
        found = self._added.get(event_id) or self._changed.get(event_id)
        return found is not None and (found.utility, found.serial) == (utility, serial)
