"""What a worker needs from the outside world: four small protocols.

A *position* is any JSON value by which a source can be put back to where it was; it is committed together
with the state that resulted from reading up to it. `stream_al.checks` has a conformance suite for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias

from stream_al.codec import EventRow, QueryRow
from stream_al.errors import RecordError
from stream_al.groups import MemberState
from stream_al.query_state import QueryState
from stream_al.records import DeadLetter, LogRecord
from stream_al.stored_queries import QueryTable
from stream_al.strategies import State

Position: TypeAlias = Any
"""A JSON value only its source understands; None is the beginning."""

NEVER = float("inf")


class LabelledRow(EventRow):
    """An event whose true class the source knows. For simulated oracles and for measuring; no model sees it."""

    truth: str | int | bool | None = None


class IncomingLabel(NamedTuple):
    """A label as it arrived: its bytes, where it stood, and what is wrong with it if that is known already."""

    record: bytes
    position: str
    problem: RecordError | None = None


class EventSource(Protocol):
    """Where events come from."""

    @property
    def position(self) -> Position:
        """Return where the next `read` goes on."""

    @property
    def exhausted(self) -> bool:
        """Tell whether no further event will ever come."""

    def seek(self, position: Position) -> None:
        """Go to a position committed earlier."""

    def read(self, limit: int, wait: float) -> Sequence[EventRow | DeadLetter]:
        """Return up to ``limit`` records, in order; what is no event as a dead letter.

        Waits up to ``wait`` seconds for the first one, and not for more.
        """

    def close(self) -> None:
        """Release what is open."""


class LabelSource(Protocol):
    """Where people's answers come from."""

    @property
    def position(self) -> Position:
        """Return where the next `poll` goes on."""

    @property
    def due(self) -> float:
        """Return the event number before which a label is due; `NEVER` where labels come by themselves."""

    @property
    def lag(self) -> float:
        """Return how many events, at least, lie between two that a label for the first comes before.

        `NEVER` where labels come by themselves; they are then taken between batches.
        """

    def seek(self, position: Position) -> None:
        """Go to a position committed earlier."""

    def poll(self, events: float) -> Sequence[IncomingLabel]:
        """Return, in order, the labels that have arrived by the time ``events`` events were answered."""

    def asked(self, query: QueryRow, event: EventRow, number: int) -> None:
        """Hear of a query. A source that simulates people answers it; others do nothing."""

    def close(self) -> None:
        """Release what is open."""


class Sink(Protocol):
    """Where committed outputs go: three streams of lines (`OUTPUTS`), each only ever appended to."""

    def lengths(self) -> dict[str, int]:
        """Return how much of each stream has been written."""

    def recover(self, lengths: Mapping[str, int], last: Mapping[str, bytes]) -> None:
        """Make the streams what they are after ``last`` was appended at ``lengths``, whatever they are now."""

    def emit(self, outputs: Mapping[str, bytes]) -> None:
        """Append, durably. Called after the commit of the batch these outputs belong to."""

    def close(self) -> None:
        """Release what is open."""


OUTPUTS = ("predictions", "queries", "dead_letters")


class Received(NamedTuple):
    """One line of the ledger of labels: what arrived, when (in events), and what became of it."""

    number: int
    at_event: int
    position: str
    record: bytes
    event_id: str | None
    outcome: str
    detail: str


@dataclass(slots=True)
class Progress:
    """Where a pipeline stands after a batch."""

    batch: int = 0
    events: int = 0
    labels: int = 0
    examples: int = 0
    state: State = ()
    clock: str | None = None
    accuracy: str | None = None
    """`Accuracy.dump`; None where it is not watched."""
    drift: str | None = None
    """`Drift.dump`; None where nothing is watched."""
    desk: str | None = None
    """`LabelDesk.memory`."""
    event_position: Position = None
    label_position: Position = None
    lengths: dict[str, int] = field(default_factory=dict)
    """Of the sink's streams, before this batch was emitted."""
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Batch:
    """All that one micro-batch changes: what a store commits in one transaction."""

    first_event: int
    state: State
    """The strategy's state before the batch."""
    events: list[EventRow] = field(default_factory=list)
    predictions: list[bytes] = field(default_factory=list)
    """Whole lines, several in each."""
    queries: list[bytes] = field(default_factory=list)
    dead_letters: list[tuple[int, DeadLetter]] = field(default_factory=list)
    """With the number of events answered before."""
    received: list[Received] = field(default_factory=list)
    settled: list[tuple[int, str, str]] = field(default_factory=list)
    """Number, outcome and detail of labels that earlier batches left waiting."""
    examples: list[tuple[int, LogRecord]] = field(default_factory=list)
    changed: list[QueryState] = field(default_factory=list)
    """The queries as they are now. Where ``query`` is empty, that and ``abstained`` stay as they were."""
    members: list[MemberState] = field(default_factory=list)
    """Who joined a group, or left it, as things are now."""
    snapshot: tuple[int, bytes] | None = None
    """Model version and dump, when one was taken."""
    progress: Progress = field(default_factory=Progress)

    _outputs: dict[str, bytes] | None = None

    def outputs(self) -> dict[str, bytes]:
        """Return the lines each output stream grows by; the batch must be complete."""
        if self._outputs is None:
            self._outputs = {
                "predictions": b"".join(self.predictions),
                "queries": b"".join(query + b"\n" for query in self.queries),
                "dead_letters": b"".join(letter.to_json() + b"\n" for _, letter in self.dead_letters),
            }
        return self._outputs


class Recovered(NamedTuple):
    """What a store gives back when a worker starts."""

    progress: Progress
    queries: Iterable[QueryState]
    """The open ones in the order they were asked, unless they are in `Store.open_queries`, and those closed last; read once,
    as there may be a million."""
    last_outputs: dict[str, bytes]
    """What the last batch emitted, or should have."""
    members: list[MemberState] = []  # noqa: RUF012  # never changed
    """Of groups: the newest state of each event, in any order; those that wait, and some of the others."""


class Store(Protocol):
    """Keeps state and positions, each batch in one transaction."""

    @property
    def open_queries(self) -> QueryTable | None:
        """Return where the open queries are looked up; None where a worker has to hold them."""

    def recover(self) -> Recovered | None:
        """Return where the last committed batch left off; None for a new store."""

    def commit(self, batch: Batch) -> None:
        """Make a batch durable, all of it or nothing."""

    def examples(self, start: int = 0) -> Iterator[LogRecord]:
        """Yield the log, examples and amendments, from a number on."""

    def snapshots(self) -> Iterator[tuple[int, bytes]]:
        """Yield (model version, snapshot), newest first."""

    def save_snapshot(self, version: int, snapshot: bytes) -> None:
        """Keep a snapshot; it is a cache, older ones may be dropped."""

    def close(self) -> None:
        """Release what is open."""
