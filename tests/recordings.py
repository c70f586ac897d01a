"""Stores of pipelines that ran: real workers, and people who answer late, out of order, twice, wrongly, unsure or never."""

from __future__ import annotations

import json
import random
from bisect import insort
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from connectors.memory import MemoryEvents, MemorySink, MemoryStore
from connectors.sqlite import SqliteStore
from stream_al import ActiveLearner
from stream_al.codec import EventRow, PredictionRow, QueryRow
from stream_al.ports import NEVER, IncomingLabel, LabelledRow
from stream_al.recording import RecordedLabel, Recording
from stream_al.runtime import Worker


class People:
    """A source of labels: annotators who know the truth, and behave like people. Times are in events."""

    lag = 1.0

    def __init__(
        self,
        seed: int = 1,
        *,
        delay: tuple[int, int] = (5, 60),
        twice: float = 0.0,
        wrong: float = 0.0,
        unsure: float = 0.0,
        silent: float = 0.0,
        malformed: float = 0.0,
        corrected: float = 0.0,
        names: Sequence[str] = ("ann",),
    ) -> None:
        self._rng = random.Random(seed)
        self._delay, self._names = delay, names
        self._twice, self._wrong, self._unsure = twice, wrong, unsure
        self._silent, self._malformed, self._corrected = silent, malformed, corrected
        self._coming: list[tuple[int, int, bytes]] = []
        self._count = 0

    @property
    def due(self) -> float:
        return self._coming[0][0] if self._coming else NEVER

    @property
    def position(self) -> None:
        return None

    def seek(self, position: object) -> None: ...

    def close(self) -> None: ...

    def asked(self, query: QueryRow, event: EventRow, number: int) -> None:
        rng = self._rng
        if rng.random() < self._silent:
            return
        assert isinstance(event, LabelledRow)
        for name in self._names:
            label = event.truth
            if rng.random() < self._wrong:
                label = "in" if label == "out" else "out"
            answer: dict[str, object] = {"event_id": query.event_id, "annotator": name, "label": label}
            if rng.random() < self._unsure:
                answer = {"event_id": query.event_id, "annotator": name, "abstain": "unsure"}
            for _ in range(2 if rng.random() < self._twice else 1):
                self._send(number + rng.randint(*self._delay), json.dumps(answer).encode())
        if rng.random() < self._corrected:
            self._correct(query.event_id, number)
        if rng.random() < self._malformed:
            self._send(number + 1, b"{not json")
            self._send(number + 1, b'{"event_id": "never-asked", "label": "in"}')

    def _correct(self, event_id: str, number: int) -> None:
        """Later, somebody answers otherwise, takes it back, or decides."""
        rng, about = self._rng, {"event_id": event_id, "annotator": self._names[0]}
        other = {"label": rng.choice(["in", "out"])}
        for correction in rng.sample(
            [other, {"abstain": "skip"}, {"amends": None, "why": "?"}, {"amends": None, "why": "?", **other}],
            2,
        ):
            self._send(number + rng.randint(60, 200), json.dumps(about | correction).encode())

    def _send(self, at: int, record: bytes) -> None:
        self._count += 1
        insort(self._coming, (at, self._count, record))

    def poll(self, events: float) -> list[IncomingLabel]:
        found = []
        while self._coming and self._coming[0][0] <= events:
            _, number, record = self._coming.pop(0)
            found.append(IncomingLabel(record, f"people:{number}"))
        return found


def run_pipeline(
    path: Path,
    learner: ActiveLearner,
    events: Sequence[EventRow],
    people: People,
    pipeline: dict[str, object] | None = None,
) -> Path:
    """Run a worker over events, and return its store."""
    store = SqliteStore(path, pipeline)
    worker = Worker(learner, MemoryEvents(events), people, MemorySink(), store, batch_size=37)  # type: ignore[arg-type]
    worker.recover()
    worker.run()
    store.close()
    return path


def record_in_memory(
    make_learner: Callable[[], ActiveLearner], events: Sequence[EventRow], people: People
) -> Recording:
    """Run a worker over events, and return its record without going through a file."""
    store, sink = MemoryStore(keep_batches=True), MemorySink()
    worker = Worker(make_learner(), MemoryEvents(events), people, sink, store, batch_size=500)  # type: ignore[arg-type]
    worker.run()
    decode = msgspec.json.Decoder(PredictionRow).decode
    return Recording(
        "in memory",
        make_learner,
        [row for batch in store.batches for row in batch.events],
        [decode(line) for line in bytes(sink.streams["predictions"]).splitlines()],
        [RecordedLabel(r.record, r.position, r.event_id, r.outcome, r.at_event) for r in store.received],
        store.log,
    )
