"""Active learning in rounds, over a pool: label a part, then in each round the next part the model is least sure of.

This is how active learning is usually explained, and not how a stream works: all records are there from the
beginning, and wait. It tells what asking is worth on a data set; the streaming replay tells what it is worth in
production.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stream_al.codec import EventRow
from stream_al.draws import Draws
from stream_al.errors import ConfigError, ModelError
from stream_al.log_codec import ExampleRow
from stream_al.model import Model
from stream_al.records import ClassLabel
from stream_al.replay.contenders import RANDOM
from stream_al.replay.stream import LabelledStream, truth_of
from stream_al.uncertainty import UTILITIES, Scores

HOLDOUT = 0.2
"""The share of the records that is never labelled: accuracy is measured there, the same for all."""


class Round(NamedTuple):
    """How things stand after a round."""

    number: int
    """0 is the part that is labelled first."""
    labels: int
    share: float
    """Of the pool that is labelled."""
    accuracy: float
    """On the records held out."""
    sure: float
    """The share of the pool's rest about which the model is confident enough."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """How the rounds go.

    Parameters
    ----------
    start
        The share of the pool labelled first, at random.
    step
        The share each round adds.
    stop
        The share to stop at.
    confidence
        From which confidence on the model is sure of an answer.
    confident
        Stop, too, when the model is sure of this share of the rest.
    """

    start: float = 0.05
    step: float = 0.05
    stop: float = 0.3
    confidence: float = 0.9
    confident: float = 0.95

    def __post_init__(self) -> None:
        if not 0.0 < self.start <= self.stop <= 1.0:
            raise ConfigError(
                f"--start {self.start:g}, --stop {self.stop:g}: give shares of the records, the first the lower"
            )
        if not 0.0 < self.step <= 1.0:
            raise ConfigError(f"--step {self.step:g}: must be more than 0, and at most 1")


@dataclass(frozen=True, slots=True)
class RoundsOutcome:
    """What one way of choosing gave."""

    name: str
    title: str
    model: str
    rounds: tuple[Round, ...]
    all_labels: float
    """The accuracy after learning all labels of the pool."""
    why: str
    """Why it stopped."""


def run_rounds(
    stream: LabelledStream,
    strategy: str,
    make_model: Callable[[], Model],
    rounds: Rounds,
    *,
    model: str = "",
    key: str = "stream_al",
    on_round: Callable[[Round], None] = lambda done: None,
) -> RoundsOutcome:
    """Choose, label and learn in rounds.

    Records chosen in one round are learned in the order of the stream. Of equally uncertain ones those with the
    lower draw are chosen. What is held out and what is labelled first is decided by the key alone, and so the same
    for every strategy.

    Parameters
    ----------
    stream
        Records without a label take no part.
    strategy
        A utility's name, or ``random``.
    make_model
        Returns a fresh model.
    rounds
        See `Rounds`.
    model
        The model's name, for people.
    key
        Decides what is random.
    on_round
        Told of each round.

    Raises
    ------
    ConfigError
        When the strategy is none that ranks, or there are too few records.
    """
    if strategy != RANDOM and strategy not in UTILITIES:
        raise ConfigError(
            f"--strategy {strategy}: in rounds the least sure are chosen, by {', '.join(UTILITIES)} or {RANDOM}"
        )
    pool, held_out = split(stream, key)
    first = round(rounds.start * len(pool))
    if first < 1 or not held_out:
        raise ConfigError(
            f"{stream.name}: has {len(stream.rows) - stream.unlabelled:,} labelled records, too few for rounds of "
            f"{rounds.start:.0%}; give a larger --start"
        )
    draw = Draws(key, "rounds")
    draws = {number: draw(str(pool[number].id)) for number in range(len(pool))}
    learner = make_model()
    chosen = sorted(sorted(draws, key=draws.__getitem__)[:first])
    rest = sorted(draws.keys() - set(chosen))
    done: list[Round] = []
    while True:
        _learn(learner, [pool[number] for number in chosen])
        scored = learner.score_all([pool[number].features for number in rest])
        labels = len(pool) - len(rest)
        sure = sum(isinstance(s, Scores) and s.confidence >= rounds.confidence for s in scored)
        latest = Round(
            len(done),
            labels,
            labels / len(pool),
            _accuracy(learner, held_out),
            sure / len(rest) if rest else 1.0,
        )
        done.append(latest)
        on_round(latest)
        left = round(rounds.stop * len(pool)) - labels
        if latest.sure >= rounds.confident or left <= 0:
            break
        ranked = sorted(zip(rest, scored, strict=True), key=lambda item: _rank(item, strategy, draws))
        chosen = sorted(number for number, _ in ranked[: min(left, max(1, round(rounds.step * len(pool))))])
        rest = sorted(set(rest) - set(chosen))
    why = f"{rounds.stop:.0%} were labelled"
    if latest.sure >= rounds.confident:
        why = f"the model was sure ({rounds.confidence:g} or more) of {latest.sure:.0%} of the rest"
    everything = make_model()
    _learn(everything, pool)
    title = "chosen at random" if strategy == RANDOM else f"chosen by {strategy.replace('-', ' ')}"
    return RoundsOutcome(strategy, title, model, tuple(done), _accuracy(everything, held_out), why)


def split(stream: LabelledStream, key: str) -> tuple[list[EventRow], list[EventRow]]:
    """Return the pool, and what is held out of it for measuring: decided by the key."""
    draw = Draws(key, "hold-out")
    labelled = [row for row in stream.rows if truth_of(row) is not None]
    held_out = [row for row in labelled if draw(str(row.id)) < HOLDOUT]
    return [row for row in labelled if draw(str(row.id)) >= HOLDOUT], held_out


def _rank(item: tuple[int, object], strategy: str, draws: dict[int, float]) -> tuple[float, float]:
    number, scores = item
    if strategy == RANDOM:
        return draws[number], 0.0
    if not isinstance(scores, Scores):
        return 2.0, draws[number]  # what cannot be scored is of no use
    utility = UTILITIES[strategy](scores)
    return (-utility if utility == utility else -1.0), draws[number]


def _learn(model: Model, rows: Sequence[EventRow]) -> None:
    examples = [
        ExampleRow(str(row.id), row.features, label) for row in rows if (label := truth_of(row)) is not None
    ]
    refused = model.learn_all(examples)
    if refused and len(refused) == len(rows):
        why = next(iter(refused.values()))
        raise ModelError(f"the model learned none of {len(rows):,} labels: {why}; name another --model")


def _accuracy(model: Model, rows: Sequence[EventRow]) -> float:
    right: list[ClassLabel | None] = [
        scores.label if isinstance(scores, Scores) else None
        for scores in model.score_all([row.features for row in rows])
    ]
    return sum(label == truth_of(row) for label, row in zip(right, rows, strict=True)) / len(rows)
