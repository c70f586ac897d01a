"""The simulated oracle knows the truth, is late as configured, and is the same in every run."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_al.codec import EventRow
from stream_al.ports import NEVER, LabelledRow
from stream_al.records import Query, parse_label
from stream_al.replay.oracle import SimulatedOracle
from stream_al.replay.people import Crowd


def query(event_id: str) -> Query:
    return Query.model_construct(event_id=event_id)


def row(event_id: str, truth: str | int | bool | None) -> LabelledRow:
    return LabelledRow({"a": 1}, event_id, truth=truth)


def ask_all(oracle: SimulatedOracle, count: int, start: int = 1) -> list[tuple[int, str]]:
    """Ask about every event, and return (event number, id) of what was answered before the next."""
    answered = []
    for number in range(start, start + count):
        oracle.asked(query(f"e{number}"), row(f"e{number}", f"class {number}"), number)
        if number >= oracle.due:
            answered += [(number, parse_label(found.record).event_id) for found in oracle.poll(number)]
    return answered


def test_without_delay_the_answer_comes_before_the_next_event() -> None:
    oracle = SimulatedOracle(Crowd.one(0))
    assert ask_all(oracle, 4) == [(1, "e1"), (2, "e2"), (3, "e3"), (4, "e4")]
    assert oracle.due == NEVER


def test_an_answer_comes_so_many_events_later_and_not_before() -> None:
    oracle = SimulatedOracle(Crowd.one(3))
    oracle.asked(query("e"), row("e", "x"), 10)
    assert oracle.due == 13
    assert not oracle.poll(12)
    (found,) = oracle.poll(13)
    label = parse_label(found.record)
    assert (label.event_id, label.label, label.annotator) == ("e", "x", "oracle")
    assert found.position == "oracle:1"
    assert not oracle.poll(13)


@pytest.mark.parametrize("truth", ["spam", "1", 1, 0, True, False])
def test_the_truth_keeps_its_type(truth: str | int | bool) -> None:
    oracle = SimulatedOracle()
    oracle.asked(query("e"), row("e", truth), 1)
    label = parse_label(oracle.poll(1)[0].record).label
    assert (type(label), label) == (type(truth), truth)


def test_nobody_answers_what_nobody_knows() -> None:
    oracle = SimulatedOracle()
    oracle.asked(query("e"), row("e", None), 1)
    oracle.asked(query("f"), EventRow({"a": 1}, "f"), 1)
    assert oracle.due == NEVER
    assert not oracle.poll(NEVER)


def test_jitter_brings_answers_out_of_order_within_its_bounds() -> None:
    oracle = SimulatedOracle(Crowd.one(2, 10))
    answered = ask_all(oracle, 400)
    delays = [number - int(event_id[1:]) for number, event_id in answered]
    order = [int(event_id[1:]) for _, event_id in answered]
    assert order != sorted(order)
    assert set(delays) == set(range(2, 13))
    assert len(set(order)) == len(order)


def test_two_runs_give_the_same_answers_at_the_same_time_and_another_key_does_not() -> None:
    one, two, other = (ask_all(SimulatedOracle(Crowd.one(1, 9), key), 200) for key in ("k", "k", "l"))
    assert one == two
    assert one != other


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 5), st.integers(0, 8), st.integers(0, 30), st.integers(0, 30))
def test_an_oracle_put_to_a_position_goes_on_as_the_other(
    delay: int, jitter: int, before: int, after: int
) -> None:
    oracle = SimulatedOracle(Crowd.one(delay, jitter))
    ask_all(oracle, before)
    position = json.loads(json.dumps(oracle.position))
    fresh = SimulatedOracle(Crowd.one(delay, jitter))
    ask_all(fresh, 3)  # what it did before is gone
    fresh.seek(position)
    assert fresh.position == oracle.position
    assert ask_all(fresh, after, before + 1) == ask_all(oracle, after, before + 1)
    assert fresh.poll(NEVER) == oracle.poll(NEVER)
    assert fresh.due == NEVER


def test_an_oracle_put_to_the_beginning_has_nothing_to_say() -> None:
    oracle = SimulatedOracle()
    oracle.asked(query("e"), row("e", "x"), 1)
    oracle.seek(None)
    assert not oracle.poll(NEVER)
    assert oracle.position == SimulatedOracle().position


@pytest.mark.parametrize(("delay", "jitter"), [(-1, 0), (0, -1)])
def test_a_negative_delay_is_refused(delay: int, jitter: int) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        SimulatedOracle(Crowd.one(delay, jitter))
