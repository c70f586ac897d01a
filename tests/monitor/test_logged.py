"""What is watched of a log: the same in every replica, through snapshots, and never by what nobody labelled."""

from __future__ import annotations

import random

import pytest
from streams import estimator

from stream_al import DriftRules, Example, LogMonitors, Model, SnapshotError
from stream_al.uncertainty import Scores

RULES = DriftRules("PageHinkley", {"threshold": 4.0, "delta": 0.02, "mode": "up"}, ("surprise", "error"))


def log(count: int, turned_at: int, seed: int = 1) -> list[Example]:
    """A line that divides two classes, which change sides."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        x = rng.gauss(0, 1)
        label = "in" if (x > 0) == (number < turned_at) else "out"
        told = {"predicted": "in" if x > 0 else "out", "confidence": 0.9, "propensity": 0.5}
        made.append(Example(event_id=f"e{number}", features={"x": x}, label=label, **told))
    return made


def fold(examples: list[Example], monitors: LogMonitors, model: Model, start: int = 0) -> list[int]:
    alarms = []
    for number, example in enumerate(examples, start):
        if monitors.learned(number, example, model):
            alarms.append(number)
        model.learn(example)
    return alarms


def test_a_change_of_the_labels_is_an_alarm_and_their_confidence_is_calibrated() -> None:
    monitors = LogMonitors(calibrated=True, drift=RULES)
    alarms = fold(log(600, 300), monitors, Model(estimator()))
    assert any(300 < alarm < 340 for alarm in alarms)
    assert monitors.alarms == len(alarms)
    assert monitors.drift is not None
    assert all(alarm.text().startswith("example ") for alarm in monitors.drift.recent)
    told = monitors.rescaled(Scores({"in": 0.9, "out": 0.1}, "in", 0.9, 0.8, 600, 2)).confidence
    assert told < 0.4, "since the change the recorded answers were all wrong"


def test_a_dump_in_the_middle_changes_nothing() -> None:
    examples = log(500, 250)
    whole, first = (LogMonitors(calibrated=True, drift=RULES) for _ in range(2))
    model, other = Model(estimator()), Model(estimator())
    fold(examples, whole, model)
    fold(examples[:260], first, other)
    after = LogMonitors(calibrated=True, drift=RULES)
    after.load(first.dump())
    fold(examples[260:], after, other, 260)
    assert after.dump() == whole.dump()
    assert after.alarms == whole.alarms > 0


def test_what_nobody_labelled_is_not_heard() -> None:
    monitors = LogMonitors(calibrated=True, drift=RULES)
    before = monitors.dump()
    propagated = [example.model_copy(update={"propagated_from": "e0"}) for example in log(300, 10)]
    assert fold(propagated, monitors, Model(estimator())) == []
    assert monitors.dump() == before


def test_an_example_that_does_not_say_how_sure_the_model_was_calibrates_nothing() -> None:
    monitors = LogMonitors(calibrated=True)
    before = monitors.dump()
    monitors.learned(0, Example(event_id="e", features={"x": 1.0}, label="in"), None)
    assert monitors.dump() == before


@pytest.mark.parametrize("watch", ["confidence", "features.x"])
def test_what_takes_all_events_to_see_is_refused_by_name(watch: str) -> None:
    with pytest.raises(ValueError, match=f"{watch}.*partitions.*surprise"):
        LogMonitors(drift=DriftRules(watch=(watch,)))


@pytest.mark.parametrize(
    "other",
    [
        LogMonitors(),
        LogMonitors(calibrated=True),
        LogMonitors(drift=RULES),
        LogMonitors(calibrated=True, drift=DriftRules(watch=("error",))),
    ],
)
def test_a_state_of_other_monitors_is_refused_and_changes_nothing(other: LogMonitors) -> None:
    monitors = LogMonitors(calibrated=True, drift=RULES)
    fold(log(100, 50), monitors, Model(estimator()))
    before = monitors.dump()
    for state in (
        other.dump(),
        "",
        "{}",
        before[:-10],
        before.replace('"calibration": [', '"calibration": [7, '),
    ):
        with pytest.raises(SnapshotError):
            monitors.load(state)
        assert monitors.dump() == before
