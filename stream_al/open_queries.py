"""The open queries of a desk, packed: there may be a million of them, and nearly all only wait.

A query at rest is the line of JSON it was written as, deflated with two others' lines as the preset dictionary (RFC 1950,
2.2), as the queries of one stream differ in the numbers: some 100 bytes instead of a dozen Python objects.
It is decoded when somebody answers, and stays so while answers wait for more; the newest are not packed yet, as they may
be answered soon. Bytes hold no other object, so the garbage collector has nothing to walk through.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Container, Iterator
from datetime import datetime
from heapq import heappop, heappush
from itertools import islice, takewhile
from typing import Final

from stream_al.codec import decode_query
from stream_al.query_state import OpenQuery

_AHEAD: Final = 1024
"""How many of the oldest are looked up at a time: a dict's first entry is far where many before it were deleted."""
_NEWEST: Final = 1024
"""How many of the newest are not packed."""
_SERIAL: Final = 6
"""The bytes of a serial number."""


class OpenQueries:
    """The open queries by event, oldest first.

    Parameters
    ----------
    ranked
        Whether `least` will be asked for, which takes some 150 bytes a query more.

    Examples
    --------
    >>> from stream_al.codec import QueryRow
    >>> queries = OpenQueries()
    >>> row = QueryRow("e1", {"a": 1.5}, None, None, None, {}, 0.9, None, 1.0, "cold-start", 0, 0)
    >>> queries.add(OpenQuery(row, row.to_json().decode(), None))
    >>> queries.oldest.query.event_id, "e2" in queries
    ('e1', False)
    """

    def __init__(self, *, ranked: bool = False) -> None:
        self._held: dict[str, bytes | OpenQuery] = {}
        """Each event's query: bytes at rest."""
        self._ranked = ranked
        self._serials = 0
        self._alike = b""
        self._newest: OrderedDict[str, None] = OrderedDict()
        self._front: dict[str, None] = {}
        self._oldest: OpenQuery | None = None
        self._revalued: dict[str, float] = {}
        """The utility of those scored again, for which the line has another."""
        self._heap: list[tuple[float, int, str]] = []
        self._least: tuple[float, str] | None = None

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, event_id: str) -> bool:
        """Tell whether an event's query is open."""
        return event_id in self._held

    def among(self, event_ids: set[str]) -> set[str]:
        """Return those of these events whose query may be open; all of them, if it is."""
        return event_ids & self._held.keys()

    def __iter__(self) -> Iterator[OpenQuery]:
        """Yield all, oldest first; to look at, not to change."""
        for found in self._held.values():
            yield self._unpacked(found) if isinstance(found, bytes) else found

    def events(self) -> Iterator[str]:
        """Yield the events of all, oldest first."""
        return iter(self._held)

    def committed(self) -> None:
        """Take note that a store has all changes by now, which makes no difference here."""

    def peek(self, event_id: str) -> OpenQuery:
        """Return a query to look at, not to change."""
        found = self._held[event_id]
        return self._unpacked(found) if isinstance(found, bytes) else found

    def get(self, event_id: str) -> OpenQuery | None:
        """Return a query that is about to get an answer, if it is open."""
        found = self._held.get(event_id)
        if isinstance(found, bytes):
            found = self._held[event_id] = self._unpacked(found)
        return found

    def add(self, opened: OpenQuery) -> None:
        """Take a query that is not open yet."""
        self._serials += 1
        opened.serial = self._serials
        event_id, utility = opened.query.event_id, opened.utility
        self._held[event_id] = opened
        if utility != opened.query.utility:
            self._revalued[event_id] = utility
        self._newest[event_id] = None
        if len(self._newest) > _NEWEST:
            self._pack(self._newest.popitem(last=False)[0])
        if self._least is not None and utility < self._least[0]:
            self._least = utility, event_id
        self._rank(opened)

    def _rank(self, opened: OpenQuery) -> None:
        if not self._ranked:
            return
        heappush(self._heap, (opened.utility, opened.serial, opened.query.event_id))
        if len(self._heap) > 2 * len(self._held) + _AHEAD:
            # Once each, as a utility may come back; what is sorted is a heap.
            self._heap = sorted({entry for entry in self._heap if self._is_open(entry)})

    def behind(self, serial: int, most: int, without: Container[str]) -> list[OpenQuery]:
        """Return queries in the order they were asked, those behind a serial number first; to look at, not to change."""
        names = [event_id for event_id in self._held if event_id not in without]
        first = next((at for at, event_id in enumerate(names) if self._serial(event_id) > serial), 0)
        return [self.peek(event_id) for event_id in (names[first:] + names[:first])[:most]]

    def serial_at(self, event_number: int) -> int:
        """Return a serial number behind which the queries are that were asked after an event."""
        until = takewhile(lambda held: held.query.event_number <= event_number, self)
        return max((held.serial for held in until), default=0)

    def revalue(self, event_id: str, utility: float) -> OpenQuery | None:
        """Give a query another utility; return it, to look at, or None when it has this one already."""
        found = self.peek(event_id)
        if found.utility == utility:
            return None
        found.utility = self._revalued[event_id] = utility
        if self._oldest is not None and self._oldest.query.event_id == event_id:
            self._oldest = None
        self._least = None
        self._rank(found)
        return found

    def pop(self, event_id: str) -> OpenQuery:
        """Take a query out."""
        found = self._held.pop(event_id)
        self._newest.pop(event_id, None)
        self._front.pop(event_id, None)
        if self._oldest is not None and self._oldest.query.event_id == event_id:
            self._oldest = None
        if self._least is not None and self._least[1] == event_id:
            self._least = None
        opened = self._unpacked(found) if isinstance(found, bytes) else found
        self._revalued.pop(event_id, None)
        return opened

    def begin(self, clock: datetime) -> Iterator[OpenQuery]:
        """Let all queries age from now on, as there was no time when they were asked; yield them."""
        self._oldest = None
        for event_id, found in self._held.items():
            opened = self._unpacked(found) if isinstance(found, bytes) else found
            opened.clock = clock
            if isinstance(found, bytes):
                self._held[event_id] = self._packed(opened)
            yield opened

    # ── the first and the last ───────────────────────────────────────────────────────────────────

    @property
    def oldest(self) -> OpenQuery | None:
        """The one asked first; to look at, not to change."""
        if self._oldest is None and self._held:
            if not self._front:
                self._front = dict.fromkeys(islice(self._held, _AHEAD))
            self._oldest = self.peek(next(iter(self._front)))
        return self._oldest

    @property
    def least(self) -> tuple[float, str]:
        """The smallest utility, and of the queries that have it the event of the oldest."""
        if self._least is None:
            while not self._is_open(self._heap[0]):
                heappop(self._heap)
            utility, _, event_id = self._heap[0]
            self._least = utility, event_id
        return self._least

    def _is_open(self, entry: tuple[float, int, str]) -> bool:
        """Tell whether the query of an entry of the heap is open, and not a later one of the same event."""
        utility, serial, event_id = entry
        return (
            event_id in self._held
            and self._serial(event_id) == serial
            and self._revalued.get(event_id, utility) == utility
        )

    def _serial(self, event_id: str) -> int:
        found = self._held[event_id]
        return int.from_bytes(found[:_SERIAL], "little") if isinstance(found, bytes) else found.serial

    # ── packing ──────────────────────────────────────────────────────────────────────────────────

    def _pack(self, event_id: str) -> None:
        held = self._held[event_id]
        if not isinstance(held, bytes) and not held.votes and not held.abstained:
            self._held[event_id] = self._packed(held)

    def _packed(self, opened: OpenQuery) -> bytes:
        text = _text(opened)
        if not self._alike:
            newest = (
                held for held in map(self._held.get, reversed(self._newest)) if isinstance(held, OpenQuery)
            )
            self._alike = b"".join(map(_text, islice(newest, 1))) + text
        # Filtered: what is matched in three or four places is digits by chance, which cost less as they are.
        deflate = zlib.compressobj(6, zlib.DEFLATED, -12, 5, zlib.Z_FILTERED, self._alike)
        return opened.serial.to_bytes(_SERIAL, "little") + deflate.compress(text) + deflate.flush()

    def _unpacked(self, packed: bytes) -> OpenQuery:
        inflate = zlib.decompressobj(-12, self._alike)
        clock, _, line = inflate.decompress(packed[_SERIAL:]).decode().partition("\n")
        since = datetime.fromisoformat(clock) if clock else None
        query, serial = decode_query(line), int.from_bytes(packed[:_SERIAL], "little")
        utility = self._revalued.get(query.event_id, query.utility)
        return OpenQuery(query, line, since, serial=serial, utility=utility)


def _text(opened: OpenQuery) -> bytes:
    clock = "" if opened.clock is None else opened.clock.isoformat()
    return f"{clock}\n{opened.line}".encode()
