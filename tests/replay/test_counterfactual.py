"""What another strategy would have given: checked against really running it, and against the truth that people kept back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recordings import People, record_in_memory, run_pipeline
from scipy.stats import binom
from streams import estimator, learner, rows

from connectors.sqlite import read_recording
from stream_al import ActiveLearner, Budgeted, ColdStart, DeskRules, Margin, Model, Random
from stream_al.errors import SourceError
from stream_al.groups import GroupRules
from stream_al.ports import LabelledRow
from stream_al.recording import Recording
from stream_al.replay import Contender, parse_strategy
from stream_al.replay.counterfactual import Counterfactual, Evidence
from stream_al.replay.share import Figure
from stream_al.strategies import QueryStrategy

COLD = 20


def recorded(
    strategy: QueryStrategy,
    events: list[LabelledRow],
    *,
    key: str = "key",
    rules: DeskRules | None = None,
    share: float = 0.1,
    **people: Any,
) -> Recording:
    def fresh() -> ActiveLearner:
        return ActiveLearner(Model(estimator()), ColdStart(strategy, COLD, share=share), rules=rules, key=key)

    return record_in_memory(fresh, events, People(**people))


def truly_wrong(recording: Recording, events: list[LabelledRow]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([float(p.label != e.truth) for p, e in zip(recording.predictions, events, strict=True)])


def asked(recording: Recording) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.array([row.queried for row in recording.predictions])


def within(figure: Figure, truth: float) -> bool:
    assert figure.low is not None, figure
    assert figure.high is not None
    return figure.low - 1e-9 <= truth <= figure.high + 1e-9


@pytest.mark.parametrize("other", ["margin<0.2", "confidence<0.55", "entropy", "random"])
def test_where_everything_was_asked_it_is_exactly_what_running_it_gives(other: str) -> None:
    """All was asked about, so all of another run is known: its cost, and what it gives, without an interval."""
    events = rows(500)
    contender = (
        Contender("random", "", Random(0.2))
        if other == "random"
        else parse_strategy(other, budget=0.2, cold_start=7)
    )
    everything = Evidence(recorded(Random(1.0), events, share=1.0, delay=(7, 7)))
    then = contender.strategy.then if isinstance(contender.strategy, ColdStart) else contender.strategy
    really = recorded(then, events, share=1.0, delay=(7, 7))
    found = everything.of(contender)
    wrong, asks = truly_wrong(really, events), asked(really)
    assert found.own_models
    assert found.questions == asks.sum()
    assert found.determined == (500, asks.sum())
    assert found.wrong == Figure.exactly(wrong[asks].mean())
    assert found.accuracy.kind == found.elsewhere.kind == "exact"
    assert found.accuracy.value == pytest.approx(1.0 - wrong.mean())
    assert found.elsewhere.value == pytest.approx(1.0 - wrong[~asks].mean())


def test_the_recorded_strategy_is_exact_about_what_it_asked_and_estimates_the_rest() -> None:
    events = rows(3000)
    recording = recorded(Margin(0.3, explore=0.05), events)
    evidence = Evidence(recording)
    found = evidence.as_it_was()
    wrong, asks = truly_wrong(recording, events), asked(recording)
    assert evidence.unlike == []
    assert evidence.unanswered == 0
    assert found.questions == asks.sum()
    assert found.wrong == Figure.exactly(wrong[asks].mean())
    assert found.elsewhere.kind == found.accuracy.kind == "estimated"
    assert within(found.elsewhere, 1.0 - wrong[~asks].mean())
    assert within(found.accuracy, 1.0 - wrong.mean())
    # Asked for by its name it is the same, by way of running it.
    again = evidence.of(Contender("as it was", "as it was", Margin(0.3, explore=0.05)))
    assert again == found


def test_up_to_where_it_is_exact_is_where_it_first_asks_what_was_not_asked() -> None:
    events = rows(800)
    recording = recorded(Margin(0.1, explore=0.1), events)
    found = Evidence(recording).of(parse_strategy("margin<0.5"))
    until, questions = found.determined
    assert not found.own_models
    assert COLD < until < 800
    assert not recording.predictions[until].queried
    really = recorded(Margin(0.5), events)
    before = [row.queried for row in really.predictions[:until]]
    assert questions == sum(before)
    assert really.predictions[until].queried


def test_the_questions_with_the_models_as_they_were_are_those_below_the_threshold() -> None:
    recording = recorded(Margin(0.1, explore=0.1), rows(800))
    found = Evidence(recording).of(parse_strategy("margin<0.5"))
    known = [row for row in recording.predictions if row.model_version >= COLD]
    cold = [row for row in recording.predictions if row.model_version < COLD]
    assert len(cold) > COLD
    below = sum(row.margin < 0.5 for row in known)
    first = sum(row.reason == "cold-start" for row in cold)
    assert found.questions == below + first


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "threshold", "silent"),
    [
        (Margin(0.2, explore=0.1), 0.3, 0.0),
        (Margin(0.2, explore=0.1), 0.3, 0.2),
        (Budgeted(0.15, explore=0.1), 0.05, 0.2),
    ],
    ids=["threshold", "a-fifth-is-silent", "budgeted"],
)
def test_its_intervals_cover_the_truth_as_often_as_they_say(
    strategy: QueryStrategy, threshold: float, silent: float
) -> None:
    """Whole pipelines, with draws of their own, on streams of their own; 200 of each."""
    runs = 200
    given = dict.fromkeys(("wrong", "elsewhere", "accuracy"), 0)
    covered = dict.fromkeys(given, 0)
    naive = 0
    for run in range(runs):
        events = rows(700, seed=run)
        recording = recorded(strategy, events, key=f"key {run}", seed=run, silent=silent)
        found = Evidence(recording).of(parse_strategy(f"margin<{threshold}"))
        assert not found.own_models
        wrong = truly_wrong(recording, events)
        chance = chances(recording, threshold)
        for name, truth in [
            ("wrong", wrong @ chance / chance.sum()),
            ("elsewhere", 1.0 - wrong @ (1.0 - chance) / (1.0 - chance).sum()),
            ("accuracy", 1.0 - wrong.mean()),
        ]:
            figure = getattr(found, name)
            given[name] += figure.kind != "refused"
            covered[name] += figure.kind != "refused" and within(figure, truth)
        labelled = wrong[[*recording.agreed]]
        half = 1.96 * np.sqrt(labelled.mean() * (1 - labelled.mean()) / len(labelled))
        naive += bool(abs(labelled.mean() - wrong.mean()) <= half)
    assert min(given.values()) >= 0.95 * runs, given
    for name, count in covered.items():
        assert count >= binom.ppf(0.001, given[name], 0.95), f"{name}: {covered} of {given}"
    assert naive < binom.ppf(0.001, runs, 0.95), (
        f"counting labels alone covers in {naive}, so this tells nothing"
    )


def chances(recording: Recording, threshold: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the chance with which a threshold of the margin asks about each event, after the cold start."""
    return np.array(
        [
            (1.0 if place < COLD else 0.1)
            if row.model_version < COLD or len(row.probabilities) < 2
            else float(row.margin < threshold)
            for place, row in enumerate(recording.predictions)
        ]
    )


def test_without_exploration_what_was_never_asked_is_refused_with_number_and_remedy() -> None:
    recording = recorded(Margin(0.1), rows(800))
    found = Evidence(recording).of(parse_strategy("margin<0.5"))
    never = [row for row in recording.predictions if row.propensity == 0.0]
    assert found.questions > sum(row.queried for row in recording.predictions)
    assert found.wrong.kind == found.elsewhere.kind == found.accuracy.kind == "refused"
    below = sum(row.margin < 0.5 for row in never)
    assert found.wrong.why.startswith(f"{below:,} of these ")
    assert "set explore = 0.02 in [strategy]" in found.wrong.why
    assert found.accuracy.why.startswith(f"{len(never):,} of these 800 events")


def test_below_its_threshold_it_tells_all_the_same() -> None:
    """Of the events that a lower threshold asks about everything is known; of the others nothing."""
    events = rows(800)
    recording = recorded(Margin(0.4), events)
    found = Evidence(recording).of(parse_strategy("margin<0.2"))
    assert found.wrong.kind != "refused"
    assert found.elsewhere.kind == "refused"


def test_a_full_queue_is_named_with_its_remedy() -> None:
    recording = recorded(Margin(0.5, explore=0.1), rows(800), rules=DeskRules(max_open=3), silent=0.4)
    found = Evidence(recording).of(parse_strategy("margin<0.3"))
    full = sum(row.reason == "queue-full" for row in recording.predictions)
    assert full > 100
    assert found.accuracy.kind == "refused"
    assert f"{full:,} while the queue was full: raise max_open in [labels]" in found.accuracy.why


def test_a_few_repeated_ids_widen_the_interval_and_many_are_refused() -> None:
    few = Evidence(recorded(Margin(0.5, explore=0.2), rows(800, twice=200))).of(parse_strategy("margin<0.2"))
    assert few.accuracy.kind == "estimated"
    base = rows(200)
    many = recorded(Margin(0.5, explore=0.2), [*base, *base, *base])
    found = Evidence(many).of(parse_strategy("margin<0.2"))
    assert found.accuracy.kind == "refused"
    assert "with an id that was asked about before" in found.accuracy.why


def test_a_run_that_does_not_come_out_as_recorded_makes_nothing_exact(tmp_path: Path) -> None:
    recording = recorded(Random(1.0), rows(300), share=1.0)
    assert Evidence(recording).of(parse_strategy("margin<0.2")).own_models
    other = replace(recording, make_learner=lambda: ActiveLearner(Model(estimator()), Random(0.9), key="key"))
    evidence = Evidence(other)
    assert evidence.unlike
    found = evidence.of(parse_strategy("margin<0.2"))
    assert not found.own_models
    assert found.determined == (0, 0)


def test_a_record_without_labels_or_events_says_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no label has become an example yet.*stream-al label"):
        Evidence(recorded(Margin(0.2), rows(100), silent=1.0))
    with pytest.raises(SourceError, match=r"no event was answered yet"):
        Evidence(recorded(Margin(0.2), []))


def test_a_store_tells_what_its_run_in_memory_tells(tmp_path: Path) -> None:
    def fresh() -> ActiveLearner:
        return learner(DeskRules(quorum=2), budget=0.3)

    def result(recording: Recording) -> Counterfactual:
        return Evidence(recording).of(parse_strategy("margin<0.2"))

    how: dict[str, Any] = {"names": ("ann", "bob"), "wrong": 0.1, "unsure": 0.1, "twice": 0.2}
    run_pipeline(tmp_path / "store.db", fresh(), rows(400), People(5, **how))
    stored = read_recording(tmp_path / "store.db", lambda pipeline: fresh())
    assert result(stored) == result(record_in_memory(fresh, rows(400), People(5, **how)))


def test_a_spent_budget_is_named_as_such() -> None:
    recording = recorded(Budgeted(0.01, explore=0.009, burst=1), rows(800), share=0.0)
    spent = sum(row.propensity == 0.0 for row in recording.predictions)
    assert spent > 40
    found = Evidence(recording).as_it_was()
    assert f"{spent:,} while the budget was spent: raise budget or burst in [strategy]" in found.accuracy.why


@pytest.mark.parametrize("window", [0, 60])
def test_a_run_with_groups_comes_out_as_it_was_and_another_strategy_can_be_told_of(window: int) -> None:
    def fresh() -> ActiveLearner:
        strategy = ColdStart(Budgeted(0.3), 20, "none" if window else "all", asks=20)
        return ActiveLearner(
            Model(estimator()), strategy, groups=GroupRules(0.5, window=window, representatives=12, check=0.1)
        )

    recording = record_in_memory(fresh, rows(400), People(5, delay=(20, 60), corrected=0.2))
    assert any(record is not None and record.propagated_from for record in recording.examples)
    evidence = Evidence(recording)
    assert not evidence.unlike
    told = evidence.of(parse_strategy("margin<0.3"))
    assert 0 < told.questions < 400
    assert evidence.as_it_was().questions == sum(row.queried for row in recording.predictions)
