"""`check_store`: what any store must do, so that a worker can trust it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from river.naive_bayes import GaussianNB

from stream_al.codec import EventRow, QueryRow
from stream_al.groups import MemberState
from stream_al.learner import ActiveLearner
from stream_al.model import Model
from stream_al.ports import OUTPUTS, Batch, IncomingLabel, LabelSource, Progress, Recovered, Store
from stream_al.query_state import QueryState
from stream_al.records import DeadLetter, Event, Label
from stream_al.runtime.worker import Worker
from stream_al.stored_queries import QueryTable


def check_store(open_store: Callable[[], Store]) -> None:
    """Hold a store to what `stream_al.ports.Store` promises.

    Parameters
    ----------
    open_store
        Opens the same store, new at the first call. What it returned before is closed by then.

    Raises
    ------
    AssertionError
        Saying what the store does not do.
    """
    store = open_store()
    assert store.recover() is None, "a new store has nothing to recover"
    assert list(store.examples()) == [], "a new store has an empty log"
    recorded = _Recording(store)
    _run(recorded)
    before = store.recover()
    log = list(store.examples())
    store.close()

    store = open_store()
    try:
        _check_recovered(store.recover(), before, recorded, _opened(store.open_queries, recorded))
        again = list(store.examples())
        assert again == log, "the log is the same after closing and opening"
        assert len(log) == recorded.last.progress.examples > 2, "the log has every example"
        assert list(store.examples(2)) == log[2:], "examples(start) begins with that number"
        versions = [version for version, _ in store.snapshots()]
        assert versions == sorted(versions, reverse=True), "snapshots come newest first"
        assert versions, "a snapshot committed with a batch is kept"
        store.save_snapshot(10_000, b"newest")
        assert next(iter(store.snapshots())) == (10_000, b"newest"), "save_snapshot keeps what it is given"
    finally:
        store.close()


_MEMBERS: Final = (
    (
        MemberState("m0", "e0.0", "waiting", 7, '{"é":1.0}'),
        MemberState("m1", "e0.0", "waiting", 8, '{"x":2}'),
    ),
    (MemberState("m0", "e0.0", "taught", 7, ""), MemberState("m2", "e0.1", "waiting", 9, '{"x":3}')),
    (),
)
"""Who is in a group, by batch."""


class _Recording:
    """Passes on to a store, and keeps what was committed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.batches: list[Batch] = []
        self.recover, self.examples, self.open_queries = store.recover, store.examples, store.open_queries
        self.snapshots, self.save_snapshot, self.close = store.snapshots, store.save_snapshot, store.close

    @property
    def last(self) -> Batch:
        return self.batches[-1]

    def commit(self, batch: Batch) -> None:
        batch.members = list(_MEMBERS[len(self.batches)])
        self._store.commit(batch)
        self.batches.append(batch)


class _Fed:
    """A source of events and of labels that is told what to give next."""

    def __init__(self) -> None:
        self.rows: list[EventRow | DeadLetter] = []
        self.labels: list[IncomingLabel] = []
        self.position = 0
        self.exhausted = False
        self.due = self.lag = float("inf")

    def seek(self, position: object) -> None:
        raise AssertionError("a new store has no position to go to")

    def read(self, limit: int, wait: float) -> list[EventRow | DeadLetter]:
        found, self.rows = self.rows, []
        self.position += len(found)
        return found

    def poll(self, events: float) -> list[IncomingLabel]:
        found, self.labels = self.labels, []
        return found

    def asked(self, query: QueryRow, event: EventRow, number: int) -> None:
        label = Label(event_id=query.event_id, label="odd" if number % 2 else "even", annotator="ann")
        self.labels.append(IncomingLabel(label.to_json(), f"fed:{number}"))

    def close(self) -> None:
        pass


class _NoSink:
    def lengths(self) -> dict[str, int]:
        return dict.fromkeys(OUTPUTS, 7)

    def recover(self, lengths: object, last: object) -> None:
        pass

    def emit(self, outputs: object) -> None:
        pass

    def close(self) -> None:
        pass


def _run(store: _Recording) -> None:
    """Commit three batches: events, then labels and what is no event, then events alone."""
    fed = _Fed()
    labels: LabelSource = fed
    worker = Worker(ActiveLearner(Model(GaussianNB(), checkpoint_every=3)), fed, labels, _NoSink(), store)
    worker.recover()
    for batch in range(3):
        fed.rows = [
            EventRow.of(Event(id=f"e{batch}.{n}", features={"x": float(n), "é": "text", "yes": True}))
            for n in range(5)
        ]
        if batch == 1:
            fed.labels += [IncomingLabel(b"\xff no label", "fed:x"), fed.labels[0]]
            letter = DeadLetter(
                source="events", position="fed:y", reason="malformed-json", detail="…", record="{"
            )
            fed.rows.insert(2, letter)
        worker.step()


def _opened(table: QueryTable | None, recorded: _Recording) -> list[QueryState]:
    """Return the open queries of a store that has them looked up, after holding it to what `QueryTable` promises."""
    if table is None:
        return []
    found = list(table.asked_after(-1))
    assert list(table.ids()) == [(state.asked, state.event_id) for state in found], "ids are of those open"
    for state in found:
        assert table.find(state.event_id) == state, "an open query is found by its event"
        later = [other for other in found if other.asked > state.asked]
        assert list(table.asked_after(state.asked)) == later, "asked_after begins behind that event"
    ranks = sorted((state.utility, state.asked, state.event_id) for state in found)
    assert list(table.least()) == ranks, "least comes first, and of equals the oldest"
    closed = {s.event_id for batch in recorded.batches for s in batch.changed if s.status != "open"}
    assert not any(map(table.find, closed)), "a closed query is not found among the open"
    return found


def _check_recovered(
    found: Recovered | None, before: Recovered | None, recorded: _Recording, looked_up: list[QueryState]
) -> None:
    assert found is not None, "a store with a commit has something to recover"
    assert before is not None, "a commit is there at once"
    progress: Progress = recorded.last.progress
    assert found.progress == progress == before.progress, "progress comes back as it was committed"
    assert isinstance(found.progress.state, tuple), "the strategy's state is a tuple"
    latest = {state.event_id: state for batch in recorded.batches for state in batch.changed}
    queries = [*looked_up, *found.queries]
    assert {state.event_id: state for state in queries} == latest, "each query comes back as it was last"
    members = {member.event_id: member for batch in _MEMBERS for member in batch}
    assert {member.event_id: member for member in found.members} == members, (
        "each event of a group comes back as it was last"
    )
    opened = [state.asked for state in queries if state.status == "open"]
    assert opened == sorted(opened), "open queries come back in the order they were asked"
    assert found.last_outputs == recorded.last.outputs(), "the last batch's outputs come back, byte for byte"
