"""Confident enough: asks less once that is certain, and more when it no longer is."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from streams import estimator

from stream_al import (
    ActiveLearner,
    Budgeted,
    ColdStart,
    ConfidentEnough,
    ConfigError,
    Label,
    LeastConfidence,
    Margin,
    Model,
    QueryStrategy,
    Scores,
)
from stream_al.checks import check_strategy
from stream_al.codec import PredictionRow
from stream_al.config import load_config
from stream_al.ports import LabelledRow
from stream_al.strategies import while_late

BUDGETED = ConfidentEnough(ColdStart(Budgeted(0.2, explore=0.05), examples=20), accuracy=0.9)


def easy(count: int, seed: int = 1, *, turned_at: int | None = None, first: int = 0) -> list[LabelledRow]:
    """A line divides the classes; from ``turned_at`` on the other way round."""
    rng = random.Random(seed)
    made = []
    for number in range(first, first + count):
        x, y = rng.gauss(0, 1), rng.gauss(0, 1)
        is_in = (x + y > 0) != (turned_at is not None and number >= turned_at)
        made.append(LabelledRow({"x": x, "y": y}, f"e{number}", truth="in" if is_in else "out"))
    return made


def make(strategy: QueryStrategy = BUDGETED, window: int = 2000) -> ActiveLearner:
    return ActiveLearner(Model(estimator(), checkpoint_every=10_000), strategy, window=window)


def play(learner: ActiveLearner, stream: list[LabelledRow]) -> list[tuple[PredictionRow, float]]:
    """Answer events and at once their queries; return each prediction, and whether it was confident enough then."""
    told = []
    for row in stream:
        closed = learner.state[0]
        (prediction,), incidents = learner.answer([row])
        told.append((prediction, closed))
        if any(incident.query for incident in incidents):
            learner.teach(Label(event_id=prediction.event_id, label=row.truth or ""))
    return told


@pytest.mark.parametrize(
    "strategy", [BUDGETED, ConfidentEnough(ColdStart(Margin(0.3, explore=0.1), examples=20))]
)
@pytest.mark.parametrize("closed", [False, True])
def test_it_keeps_what_strategies_promise(strategy: ConfidentEnough, closed: bool) -> None:
    class Shut(ConfidentEnough):
        def start(self) -> tuple[float, ...]:
            return (1, *self.then.start())

    check_strategy(Shut(strategy.then, strategy.accuracy) if closed else strategy, events=1500, keys=100)


def test_it_closes_when_the_bound_allows_and_then_asks_what_it_explores() -> None:
    learner = make()
    told = play(learner, easy(6000))
    closed = [prediction for prediction, closed in told if closed]
    opened = [prediction for prediction, closed in told if not closed]
    assert len(closed) > 1000
    assert {prediction.reason for prediction in closed} == {"none", "explore"}
    assert {prediction.propensity for prediction in closed} == {0.05}
    asked = sum(prediction.queried for prediction in closed) / len(closed)
    assert asked == pytest.approx(0.05, abs=0.02)
    assert sum(prediction.queried for prediction in opened) / len(opened) > 0.15
    # The utility recorded is still what a label would be worth.
    assert max(prediction.utility for prediction in closed) > 0.5
    assert learner.accuracy is not None
    assert learner.accuracy.since(6000).estimate().low >= 0.9


def test_when_the_model_has_become_worse_it_reopens_and_gathers_the_evidence_anew() -> None:
    learner = make()
    told = play(learner, easy(12_000, turned_at=4000))
    assert told[3999][1]
    reopened = next(number for number, (_, closed) in enumerate(told[4000:], 4000) if not closed)
    assert reopened < 4500
    assert learner.accuracy is not None
    since = learner.accuracy.since(12_000)
    assert 0 < since.events < 8000  # nothing from before the turn
    assert told[-1][1]  # the model has learned it, and that is certain again
    assert since.estimate().low >= 0.9


def test_unanswered_queries_reopen_it_too() -> None:
    learner = make()
    play(learner, easy(5000))
    assert learner.state[0] == 1
    for row in easy(6000, seed=2, first=5000):
        learner.answer([row])  # nobody answers these
    for query in learner.desk.open_queries:
        learner._closed(query.event_id, None)
    (row,) = easy(1, first=20_000)
    learner.answer([row])
    last = learner.desk.open_queries[-1]
    learner.teach(Label(event_id=last.event_id, label="in"))
    assert learner.state[0] == 0


def test_without_exploration_it_never_closes() -> None:
    learner = make(ConfidentEnough(ColdStart(LeastConfidence(0.7), examples=20), accuracy=0.9))
    assert not any(closed for _, closed in play(learner, easy(3000)))


def test_a_replay_and_a_restored_learner_close_at_the_same_events() -> None:
    stream = easy(4000)
    one = make()
    told = play(one, stream)
    other = make()
    first = play(other, stream[:1500])
    restored = make()
    restored.restore(other.snapshot())
    assert first + play(restored, stream[1500:]) == told
    assert any(closed for _, closed in told)


def test_nothing_is_certain_while_the_model_knows_no_class() -> None:
    decision, _ = BUDGETED.decide(Scores({}, None, 0.0, 0.0, 0, 0), (1, *BUDGETED.then.start()), 0.5)
    assert decision.reason == "cold-start"


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape("accuracy = 1.0: must be between 0 and 1")):
        ConfidentEnough(Budgeted(), accuracy=1.0)
    with pytest.raises(ValueError, match="ConfidentEnough needs the accuracy watched"):
        ActiveLearner(Model(estimator()), BUDGETED, window=None)
    path = tmp_path / "pipeline.toml"
    path.write_text('[strategy]\nname = "margin"\nstop_at = 0.9')
    with pytest.raises(ConfigError, match="stop_at: nothing can be certain of events that are never asked"):
        load_config(path)
    path.write_text('[strategy]\nname = "random"\nstop_at = 0.9')
    with pytest.raises(ConfigError, match="stop_at: means nothing to 'random'"):
        load_config(path)


def test_the_configuration_names_it(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.toml"
    path.write_text("[strategy]\nstop_at = 0.9\nexplore = 0.02")
    assert load_config(path).strategy.build() == ConfidentEnough(
        ColdStart(Budgeted(0.1, explore=0.02), asks=while_late(50, 0.1)), 0.9
    )
