"""Drift: alarms come soon after a real change, not without one, and are the same in every run."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pytest
from recordings import People, run_pipeline
from river.datasets import synth
from river.drift import ADWIN
from streams import estimator

from connectors.sqlite import read_recording, verify
from stream_al import (
    ActiveLearner,
    Budgeted,
    ColdStart,
    ConfidentEnough,
    ConfigError,
    Drift,
    DriftRules,
    Label,
    Limited,
    Model,
    QueryStrategy,
    Random,
    Reserve,
    SnapshotError,
)
from stream_al.config import load_config, stored_config
from stream_al.ports import LabelledRow
from stream_al.replay.rerun import reproduce
from stream_al.strategies import State, while_late

ALL = DriftRules(watch=("error", "confidence", "features.0"))


def sea(count: int, changes_at: int | None, seed: int) -> Iterator[LabelledRow]:
    """SEA concepts (Street & Kim 2001); from ``changes_at`` on with another threshold."""
    before = synth.SEA(variant=2, seed=seed)
    after = synth.SEA(variant=3, seed=seed + 100)
    first = count if changes_at is None else changes_at
    both = chain(islice(before, first), islice(after, count - first))
    for number, (features, truth) in enumerate(both):
        named = {str(name): value for name, value in features.items()}
        yield LabelledRow(named, f"e{number}", truth="in" if truth else "out")


def play(learner: ActiveLearner, stream: Iterator[LabelledRow], delay: int = 20) -> None:
    """Answer events, and their queries so many events later."""
    waiting: list[tuple[int, str, Any]] = []
    for number, row in enumerate(stream):
        while waiting and waiting[0][0] <= number:
            _, name, truth = waiting.pop(0)
            learner.teach(Label(event_id=name, label=truth))
        (prediction,), _ = learner.answer([row])
        if prediction.queried:
            waiting.append((number + delay, prediction.event_id, row.truth))


def learner_of(
    strategy: QueryStrategy | None = None, rules: DriftRules | None = ALL, **more: Any
) -> ActiveLearner:
    strategy = strategy or ColdStart(Random(0.3))
    return ActiveLearner(Model(estimator(), checkpoint_every=500), strategy, drift=rules, **more)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_alarm_comes_soon_after_a_concept_changes_and_none_before(seed: int) -> None:
    learner = learner_of()
    play(learner, sea(8000, 4000, seed))
    assert learner.drift is not None
    alarms = [alarm for alarm in learner.drift.recent if alarm.what == "error"]
    assert alarms
    assert 4000 < alarms[0].event < 5000
    assert alarms[0].before < alarms[0].after
    assert learner.drift.counts["error"] == len(alarms)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_stationary_stream_raises_no_alarm(seed: int) -> None:
    learner = learner_of()
    play(learner, sea(8000, None, seed))
    assert learner.drift is not None
    assert list(learner.drift.recent) == []
    assert learner.drift.alarms == 0


@pytest.mark.parametrize(
    ("detector", "args"),
    [
        ("ADWIN", {}),
        ("PageHinkley", {"threshold": 10.0}),
        ("KSWIN", {}),
        ("DDM", {}),
        ("HDDMW", {}),
        ("HDDMA", {}),
    ],
)
def test_every_detector_notices_a_rise_of_the_error_and_goes_on_after_a_dump(
    detector: str, args: dict[str, Any]
) -> None:
    rules, rng = DriftRules(detector, args), random.Random(4)
    one, other = Drift(rules), Drift(rules)
    for number in range(1200):
        wrong = rng.random() < (0.1 if number < 600 else 0.6)
        other = Drift.load(rules, other.dump())
        assert one.learned(number, wrong, 0.9) == other.learned(number, wrong, 0.9)
    assert one.dump() == other.dump()
    assert list(one.recent) == list(other.recent)
    assert one.recent
    assert any(600 < alarm.event < 900 for alarm in one.recent)


def test_an_error_that_falls_and_a_confidence_that_rises_are_no_alarm() -> None:
    drift, rng = Drift(DriftRules(watch=("error", "confidence"))), random.Random(1)
    for number in range(4000):
        better = number >= 2000
        assert not drift.learned(number, rng.random() < (0.1 if better else 0.5), 0.8)
        assert not drift.passed(number, min(1.0, (0.9 if better else 0.6) + 0.05 * rng.random()), {})
    told = [drift.passed(4000 + number, 0.6, {}) for number in range(500)]
    assert told.count(True) == 1
    assert drift.recent[-1].text().startswith("event 4,")
    assert "the confidence went from" in drift.recent[-1].text()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
def test_a_feature_that_moves_is_an_alarm_whatever_its_unit(scale: float) -> None:
    drift, rng = Drift(DriftRules(watch=("features.size", "features.other"))), random.Random(2)
    alarms = []
    for number in range(4000):
        size = scale * (5.0 + rng.gauss(0.0, 1.0) + 1.5 * (number >= 2500))
        features = {"size": size, "other": "text" if number % 3 else True}
        if drift.passed(number, 0.5, features):
            alarms.append(number)
    assert alarms
    assert 2500 < alarms[0] < 2700
    assert drift.counts.keys() == {"features.size"}
    assert drift.recent[0].before == pytest.approx(5.0 * scale, rel=0.1)


def test_values_that_are_missing_or_all_the_same_are_passed_over() -> None:
    drift = Drift(ALL)
    for number in range(600):
        assert not drift.passed(number, float("nan"), {"0": 3.0} if number % 2 else {})
    assert Drift.load(ALL, drift.dump()).dump() == drift.dump()


SURPRISED = DriftRules("PageHinkley", {"threshold": 4.0, "delta": 0.02, "mode": "up"}, ("surprise",))


def turned(count: int, turns_at: int | None, seed: int) -> Iterator[LabelledRow]:
    """SEA, where from an event on every label is the other one."""
    for number, row in enumerate(sea(count, None, seed)):
        if turns_at is not None and number >= turns_at:
            row.truth = "in" if row.truth == "out" else "out"
        yield row


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_few_labels_that_were_asked_for_in_doubt_surprise_a_model_whose_world_turned(seed: int) -> None:
    for turns_at in (3000, None):
        learner = learner_of(ColdStart(Budgeted(0.1)), SURPRISED)
        play(learner, turned(5000, turns_at, seed))
        assert learner.drift is not None
        alarms = [alarm.event for alarm in learner.drift.recent]
        assert (alarms and 3000 < alarms[0] < 3600) if turns_at else not alarms


# ── what an alarm does ───────────────────────────────────────────────────────────────────────────

WHOLE = Limited(
    Reserve(ColdStart(Random(0.4)), earned=0.1, share=0.7, events=400, size=150), labels_total=5000
)


def fresh(pipeline: object = None) -> ActiveLearner:
    return learner_of(WHOLE)


def test_a_pipeline_with_alarms_and_a_reserve_is_reproduced_exactly(tmp_path: Path) -> None:
    people = People(delay=(1, 60), silent=0.05)
    run_pipeline(tmp_path / "store.db", fresh(), list(sea(4500, 3000, 1)), people, {"any": "thing"})
    assert verify(tmp_path / "store.db", fresh).differences == []
    recording = read_recording(tmp_path / "store.db", fresh)
    assert reproduce(recording).differences == []
    boosted = [place for place, row in enumerate(recording.predictions) if row.reason == "drift"]
    assert len(boosted) > 50
    assert min(boosted) > 3000
    assert all(recording.predictions[place].propensity == 0.7 for place in boosted)


def test_a_snapshot_carries_the_detectors() -> None:
    one, other = fresh(), fresh()
    stream = list(sea(4500, 3000, 1))
    play(one, iter(stream[:2500]))
    other.restore(one.snapshot())
    for learner in (one, other):
        play(learner, iter(stream[2500:]))
    assert one.drift is not None
    assert other.drift is not None
    assert one.drift.alarms
    assert one.drift.dump() == other.drift.dump()
    assert one.state == other.state


def test_a_damaged_state_is_refused() -> None:
    for wrong in ("", "{}", '{"counts": {}, "recent": [], "watched": {"error": [1, 2]}}'):
        with pytest.raises(SnapshotError, match="drift detectors is corrupt"):
            Drift.load(DriftRules(), wrong)


def test_an_alarm_reopens_what_was_confident_enough() -> None:
    def told(state: State) -> list[float]:
        return list(state[:1])

    strategy = Limited(Reserve(ConfidentEnough(ColdStart(Budgeted(0.2)))), labels_total=100)
    learner = learner_of(strategy, DriftRules(watch=("confidence",)))
    learner.state = (1, *learner.state[1:])
    assert learner.accuracy is not None
    assert told(strategy.alarmed(learner.state)) == [0]
    learner.state = learner._alarmed(learner.state)
    assert told(learner.state) == [0]
    assert learner.accuracy.since(0).events == 0


# ── configuration ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("watch = ['eror']", "watch: 'eror': must be one of error, surprise, confidence, features.NAME"),
        ("watch = ['features.']", "watch: 'features.': must be one of"),
        ("watch = ['error', 'error']", "watch: names something twice"),
        (
            "watch = ['error']\ndetector = 'ADWINN'",
            "detector = 'ADWINN': is no drift detector of river.drift",
        ),
        ("watch = ['confidence']\ndetector = 'DDM'", "detector = 'DDM': is for the error only"),
        ("watch = ['error']\nargs = { delt = 1 }", "args: ADWIN: "),
        ("reserve = 0.2", "watch: nothing is watched"),
        ("watch = ['error']\nreserve = 1.5", "[drift] reserve = 1.5: Input should be less than 1"),
        ("watch = ['error']\nreserve = 0.2\n[strategy]\nname = 'margin'", "'margin' has none"),
        (
            "watch = ['error']\nreserve = 0.5\n[strategy]\nexplore = 0.08",
            "leaves 0.05 of the budget, less than explore",
        ),
    ],
)
def test_a_mistake_in_what_is_watched_is_named(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "pipeline.toml"
    path.write_text(f"[drift]\n{text}")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert told in str(caught.value)


def test_drift_comes_from_the_configuration_and_is_kept_with_the_store(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.toml"
    path.write_text(
        "[drift]\nwatch = ['error']\nargs = { delta = 0.01 }\nreserve = 0.25\n[strategy]\nbudget = 0.2"
    )
    config = load_config(path)
    kept = stored_config(json.loads(json.dumps(config.pipeline())), "x")
    for read in (config, kept):
        assert read.drift.rules() == DriftRules("ADWIN", {"delta": 0.01})
        own = 0.2 - 0.2 * 0.25
        then = ColdStart(Budgeted(own), asks=while_late(50, own))
        assert read.query_strategy() == Reserve(then, earned=0.2 * 0.25)
    detector = DriftRules("ADWIN", {"delta": 0.01}).make()
    assert isinstance(detector, ADWIN)
    path.write_text("")
    assert "drift" not in load_config(path).pipeline()


def test_what_a_kafka_worker_cannot_see_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("kafka")
    from connectors.kafka.worker import KafkaWorker

    path = tmp_path / "pipeline.toml"
    path.write_text("[drift]\nwatch = ['confidence']\n[kafka]\n")
    with pytest.raises(ConfigError, match=r"\[drift\] watch: 'confidence': .* nobody sees all of them"):
        KafkaWorker(load_config(path))
