"""How large a batch gets: by size and by age."""

from __future__ import annotations

from river.naive_bayes import GaussianNB

from connectors.memory import MemoryEvents, MemoryLabels, MemorySink, MemoryStore
from stream_al import ActiveLearner, Random
from stream_al.codec import EventRow
from stream_al.runtime import Worker
from stream_al.runtime.worker import RUN

EVENTS = [EventRow({"x": float(number % 7)}, f"e{number}") for number in range(2000)]


class Paced:
    """A worker that answers so many events in a second, by its own clock."""

    def __init__(self, rate: float, size: int, seconds: float | None) -> None:
        self.now, self.rate = 0.0, rate
        self.store = MemoryStore(keep_batches=True)
        self.sink = MemorySink()
        self.worker = Worker(
            ActiveLearner(GaussianNB(), Random(0.1)),
            MemoryEvents(EVENTS),
            MemoryLabels(),
            self.sink,
            self.store,
            batch_size=size,
            batch_seconds=seconds,
            clock=lambda: self.now,
            on_answer=self.answered,
        )

    def answered(self, event: EventRow, label: object) -> None:
        self.now += 1.0 / self.rate

    def sizes(self) -> list[int]:
        self.worker.recover()
        self.worker.run()
        return [len(batch.events) for batch in self.store.batches]


def test_a_batch_holds_what_is_answered_in_time() -> None:
    first, *rest, _ = Paced(1000.0, 1000, 0.05).sizes()
    assert first == RUN
    assert all(49 <= size <= 50 for size in rest)


def test_a_batch_is_never_larger_than_its_size() -> None:
    first, *rest, last = Paced(1e6, 300, 0.05).sizes()
    assert first == RUN
    assert set(rest) == {300}
    assert last == (len(EVENTS) - RUN) % 300


def test_without_an_age_the_clock_is_not_asked() -> None:
    paced = Paced(10.0, 1000, None)
    assert paced.sizes() == [1000, 1000]


def test_a_slow_model_still_gets_one_event_at_a_time_and_a_fast_one_room_again() -> None:
    paced = Paced(10.0, 1000, 0.05)
    paced.worker.recover()
    for _ in range(3):
        paced.worker.step()
    assert [len(batch.events) for batch in paced.store.batches] == [RUN, 1, 1]
    paced.rate = 4000.0
    for _ in range(2):
        paced.worker.step()
    assert len(paced.store.batches[-1].events) in (199, 200)


def test_the_pace_changes_no_output() -> None:
    slow, fast = Paced(20.0, 1000, 0.05), Paced(1e6, 1000, None)
    slow.sizes(), fast.sizes()
    assert slow.sink.streams == fast.sink.streams
