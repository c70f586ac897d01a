"""How events are grouped, into batches and within them, decides nothing."""

from __future__ import annotations

import pytest
from streams import learner, rows

from connectors.memory import MemoryEvents, MemorySink, MemoryStore
from stream_al import DeskRules
from stream_al.codec import EventRow
from stream_al.records import DeadLetter
from stream_al.replay.oracle import SimulatedOracle
from stream_al.replay.people import Crowd
from stream_al.runtime import Worker

RULES = DeskRules(expire_after_events=25, max_open=8, when_full="withdraw-least", remember=20)


def input_with_trouble() -> list[EventRow | DeadLetter]:
    items: list[EventRow | DeadLetter] = list(rows(300, twice=7))
    items[40] = EventRow({"x": "text where numbers were"}, "text")
    for place in (0, 1, 100, 299):
        letter = DeadLetter(
            source="events", position=f"p{place}", reason="malformed-json", detail="", record=""
        )
        items.insert(place, letter)
    return items


def outcome(batch_size: int, delay: int) -> tuple[dict[str, bytes], str]:
    sink = MemorySink()
    oracle = SimulatedOracle(Crowd.one(delay, 9))
    worker = Worker(
        learner(RULES), MemoryEvents(input_with_trouble()), oracle, sink, MemoryStore(), batch_size=batch_size
    )
    worker.run("answered")
    return sink.streams, worker.learner.model.digest()


@pytest.mark.parametrize("delay", [0, 1, 30, 200])
def test_the_size_of_batches_and_runs_changes_no_byte(delay: int) -> None:
    one_by_one = outcome(1, delay)
    assert b'"label":' in one_by_one[0]["predictions"]
    for size in (2, 37, 1000):
        assert outcome(size, delay) == one_by_one
