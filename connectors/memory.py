"""Everything in memory: for tests, for replays, and for embedding a worker in another program.

Guarantee: as the other connectors, for as long as the store object lives; nothing survives the process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy

from stream_al.codec import EventRow, QueryRow
from stream_al.groups import MemberState
from stream_al.ports import NEVER, OUTPUTS, Batch, IncomingLabel, Position, Progress, Received, Recovered
from stream_al.query_state import QueryState
from stream_al.records import DeadLetter, Label, LogRecord


class MemoryEvents:
    """A list of events as a source. With ``closed=False`` more may be appended to ``items`` at any time."""

    def __init__(self, items: Sequence[EventRow | DeadLetter] = (), *, closed: bool = True) -> None:
        self.items = list(items)
        self.closed = closed
        self._next = 0

    @property
    def position(self) -> Position:
        """Return the index of the next item."""
        return self._next

    @property
    def exhausted(self) -> bool:
        """Tell whether all items were read and none will be added."""
        return self.closed and self._next >= len(self.items)

    def seek(self, position: Position) -> None:
        """Go to an index."""
        self._next = position or 0

    def read(self, limit: int, wait: float) -> Sequence[EventRow | DeadLetter]:
        """Return the next items; never waits."""
        found = self.items[self._next : self._next + limit]
        self._next += len(found)
        return found

    def close(self) -> None:
        """Do nothing."""


class MemoryLabels:
    """A list of labels as a source; append to ``items`` with `put`."""

    due: float = NEVER
    lag: float = NEVER

    def __init__(self) -> None:
        self.items: list[IncomingLabel] = []
        self._next = 0

    def put(self, label: Label | bytes) -> None:
        """Add a label, or the bytes of what may be one."""
        record = label if isinstance(label, bytes) else label.to_json()
        self.items.append(IncomingLabel(record, f"memory:{len(self.items) + 1}"))

    @property
    def position(self) -> Position:
        """Return the index of the next label."""
        return self._next

    def seek(self, position: Position) -> None:
        """Go to an index."""
        self._next = position or 0

    def poll(self, events: float) -> Sequence[IncomingLabel]:
        """Return all labels put since the last call."""
        found = self.items[self._next :]
        self._next += len(found)
        return found

    def asked(self, query: QueryRow, event: EventRow, number: int) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class MemorySink:
    """Output streams as byte strings, by name in ``streams``."""

    def __init__(self) -> None:
        self.streams: dict[str, bytearray] = {name: bytearray() for name in OUTPUTS}

    def lengths(self) -> dict[str, int]:
        """Return the length of each stream in bytes."""
        return {name: len(stream) for name, stream in self.streams.items()}

    def recover(self, lengths: Mapping[str, int], last: Mapping[str, bytes]) -> None:
        """Cut back, and append what the last commit held."""
        for name, stream in self.streams.items():
            del stream[lengths.get(name, 0) :]
            stream += last.get(name, b"")

    def emit(self, outputs: Mapping[str, bytes]) -> None:
        """Append."""
        for name, lines in outputs.items():
            self.streams[name] += lines

    def close(self) -> None:
        """Do nothing."""


class MemoryStore:
    """What a store keeps, as attributes. Give it to the next worker to recover.

    Parameters
    ----------
    keep_batches
        Keep every batch in ``batches`` for looking at; otherwise only the last.
    """

    open_queries = None  # a worker that needs no memory for them has none to recover from, either

    def __init__(self, *, keep_batches: bool = False) -> None:
        self.batches: list[Batch] = []
        self.log: list[LogRecord] = []
        self.received: list[Received] = []
        self.queries: dict[str, QueryState] = {}
        self.members: dict[str, MemberState] = {}
        self._progress: Progress | None = None
        self._snapshots: dict[int, bytes] = {}
        self._keep = keep_batches

    def recover(self) -> Recovered | None:
        """Return where the last commit left off."""
        if self._progress is None:
            return None
        return Recovered(
            deepcopy(self._progress),
            list(self.queries.values()),
            self.batches[-1].outputs(),
            list(self.members.values()),
        )

    def commit(self, batch: Batch) -> None:
        """Take over all of a batch."""
        if not self._keep:
            self.batches.clear()
        self.batches.append(batch)
        self.log += [record for _, record in batch.examples]
        for number, outcome, detail in batch.settled:
            self.received[number] = self.received[number]._replace(outcome=outcome, detail=detail)
        self.received += batch.received
        for state in batch.changed:
            known = self.queries.get(state.event_id)
            if known is not None and not state.query:
                state = state._replace(query=known.query, abstained=known.abstained)
            self.queries[state.event_id] = state
        self.members |= {member.event_id: member for member in batch.members}
        if batch.snapshot is not None:
            self.save_snapshot(*batch.snapshot)
        self._progress = deepcopy(batch.progress)

    def examples(self, start: int = 0) -> Iterator[LogRecord]:
        """Yield the log from a number on."""
        yield from self.log[start:]

    def snapshots(self) -> Iterator[tuple[int, bytes]]:
        """Yield the one snapshot that is kept."""
        yield from self._snapshots.items()

    def save_snapshot(self, version: int, snapshot: bytes) -> None:
        """Keep the newest."""
        self._snapshots = {version: snapshot}

    def close(self) -> None:
        """Do nothing."""
