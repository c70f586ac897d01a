"""A replay of a recorded run reproduces its decisions one for one."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from recordings import People, run_pipeline
from streams import estimator, learner, rows

from connectors.sqlite import read_recording, verify
from stream_al import ActiveLearner, ColdStart, DeskRules, Margin, Model, Random
from stream_al.codec import PredictionRow
from stream_al.errors import ConfigError, StoreError
from stream_al.recording import Recording
from stream_al.replay.rerun import reproduce, run_otherwise
from stream_al.replay.stream import LabelledStream, truth_of
from stream_al.strategies import QueryStrategy

HARD = {"twice": 0.3, "wrong": 0.2, "unsure": 0.15, "silent": 0.1, "malformed": 0.1, "corrected": 0.4}
RULES = {
    "first answer": DeskRules(),
    "quorum": DeskRules(quorum=2, max_answers=3),
    "full queue": DeskRules(max_open=4),
    "make way": DeskRules(max_open=4, when_full="withdraw-least"),
    "scored again": DeskRules(withdraw_below=0.6, rescore_every=3, rescore_most=5),
    "expiring": DeskRules(quorum=2, expire_after_events=40, remember=30),
}


def recorded(
    path: Path, rules: DeskRules, strategy: QueryStrategy | None = None, *, repeated: int = 11, **people: Any
) -> Recording:
    def fresh() -> ActiveLearner:
        made = learner(rules)
        return made if strategy is None else ActiveLearner(Model(estimator()), strategy, rules=rules)

    names = ("ann", "bob", "cid") if rules.quorum > 1 else ("ann",)
    run_pipeline(path, fresh(), rows(600, twice=repeated), People(names=names, **people), {"any": "thing"})
    return read_recording(path, lambda pipeline: fresh())


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_a_recorded_run_comes_out_as_it_was_whatever_people_did(tmp_path: Path, rules: DeskRules) -> None:
    recording = recorded(tmp_path / "store.db", rules, **HARD)
    assert not verify(tmp_path / "store.db", lambda pipeline: learner(rules)).differences
    outcomes = {label.outcome for label in recording.labels}
    assert {"example", "amendment", "abstained", "malformed-json", "unknown-event"} <= outcomes
    arrivals = [label.at_event for label in recording.labels]
    asked = {row.event_id: place for place, row in enumerate(recording.predictions) if row.queried}
    places = [asked[str(label.event_id)] for label in recording.labels if label.event_id in asked]
    assert arrivals == sorted(arrivals)
    assert places != sorted(places), "some came out of order"
    verdict = reproduce(recording)
    assert verdict.differences == []
    assert (verdict.events, verdict.labels) == (600, len(recording.labels))
    assert verdict.examples == len(recording.examples) > 5


def test_one_decision_or_label_that_was_another_is_found(tmp_path: Path) -> None:
    recording = recorded(tmp_path / "store.db", RULES["quorum"], **HARD)
    place = next(n for n, row in enumerate(recording.predictions) if n > 200 and row.queried)
    changed: list[PredictionRow] = list(recording.predictions)
    row = changed[place]
    changed[place] = PredictionRow(
        **{**{name: getattr(row, name) for name in row.__struct_fields__}, "queried": False}
    )
    found = reproduce(replace(recording, predictions=changed)).differences
    assert found == [f"event {place} ({row.event_id!r}): queried was False, and is True again"]
    used = [n for n, label in enumerate(recording.labels) if label.outcome == "example"]
    labels = list(recording.labels)
    del labels[used[len(used) // 2]]
    assert reproduce(replace(recording, labels=labels)).differences


def test_what_is_agreed_and_when_it_was_learned_follow_from_the_record(tmp_path: Path) -> None:
    recording = recorded(tmp_path / "store.db", RULES["first answer"], silent=0.2)
    truth = {place: event.truth for place, event in enumerate(rows(600, twice=11))}
    assert len(recording.agreed) == len(recording.examples)
    assert all(truth[place] == label for place, label in recording.agreed.items())
    for number, example in enumerate(recording.examples):
        assert example is not None
        (made,) = [label for label in recording.labels if label.event_id == example.event_id]
        assert made.at_event is not None
        at = recording.learned_at(number)
        assert at == made.at_event
        assert recording.version_at(at) > number >= recording.predictions[at - 1].model_version


def test_a_recording_is_a_stream_to_replay_with_the_agreed_labels_as_truths(tmp_path: Path) -> None:
    recording = recorded(tmp_path / "store.db", RULES["quorum"], wrong=0.3)
    stream = LabelledStream.of(recording)
    assert len(stream.rows) == 600
    assert stream.classes == ("in", "out")
    assert stream.unlabelled == 600 - len(recording.examples)
    learned = {example.event_id: example.label for example in recording.examples if example is not None}
    named = {row.id: truth_of(row) for row in stream.rows if truth_of(row) is not None}
    assert named == learned
    with pytest.raises(ConfigError, match="no label has become an example yet"):
        LabelledStream.of(replace(recording, examples=()))


def test_the_strategy_that_ran_is_determined_to_the_end(tmp_path: Path) -> None:
    recording = recorded(tmp_path / "store.db", RULES["quorum"], **HARD)
    again = run_otherwise(recording, recording.make_learner().strategy)
    assert again.undetermined is None
    assert [row.label for row in again.predictions] == [row.label for row in recording.predictions]


@pytest.mark.parametrize("rules", [RULES["first answer"], RULES["quorum"], RULES["expiring"]])
def test_where_the_record_determines_another_strategy_it_is_what_running_it_gives(
    tmp_path: Path, rules: DeskRules
) -> None:
    """All were asked about, so any strategy is determined: it must be what really running it would have been."""
    how = {"seed": 3, "delay": (9, 9), "repeated": 0}
    everything = recorded(tmp_path / "all.db", rules, Random(1.0), **how)
    other = ColdStart(Margin(0.3), examples=10)
    really = recorded(tmp_path / "other.db", rules, other, **how)
    again = run_otherwise(everything, other)
    assert again.undetermined is None
    assert again.predictions == list(really.predictions)
    assert again.digest == reproduce(really).digest
    assert 10 < sum(row.queried for row in really.predictions) < 500


def test_it_stops_at_the_first_event_whose_answers_nobody_knows(tmp_path: Path) -> None:
    recording = recorded(tmp_path / "store.db", DeskRules(), ColdStart(Margin(0.1), examples=10))
    again = run_otherwise(recording, ColdStart(Margin(0.4), examples=10))
    at = again.undetermined
    assert at is not None
    assert len(again.predictions) == at
    assert not recording.predictions[at].queried
    assert recording.predictions[at].margin < 0.4
    assert all(
        one.label == two.label for one, two in zip(again.predictions, recording.predictions, strict=False)
    )


def test_an_id_that_was_asked_about_at_another_event_has_no_known_answers(tmp_path: Path) -> None:
    """People saw that other event, and at another time."""
    recording = recorded(tmp_path / "store.db", DeskRules(), Random(1.0))
    again = run_otherwise(recording, ColdStart(Margin(0.3), examples=10))
    assert again.undetermined is not None
    assert recording.predictions[again.undetermined].reason == "already-asked"


def test_a_withdrawn_query_has_no_known_answers(tmp_path: Path) -> None:
    recording = recorded(
        tmp_path / "store.db", RULES["make way"], ColdStart(Margin(0.9), examples=2), silent=0.3
    )
    assert recording.withdrawn
    again = run_otherwise(recording, recording.make_learner().strategy)
    assert again.undetermined is not None
    assert recording.predictions[again.undetermined].event_id in recording.withdrawn


def test_a_damaged_store_is_refused(tmp_path: Path) -> None:
    recorded(tmp_path / "store.db", DeskRules())
    connection = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    connection.execute("UPDATE batches SET predictions = substr(predictions, 9) WHERE number = 2")
    connection.close()
    with pytest.raises(StoreError, match=r"damaged .*stream-al verify"):
        read_recording(tmp_path / "store.db", lambda pipeline: learner())
