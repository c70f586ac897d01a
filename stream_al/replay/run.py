"""Replaying a stream: the learner of production, with a simulated oracle in the place of people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_al.codec import EventRow, PredictionRow, QueryRow
from stream_al.draws import Draws
from stream_al.errors import ModelError
from stream_al.gold import Gold
from stream_al.learner import ActiveLearner
from stream_al.model import Model
from stream_al.monitor import DriftRules
from stream_al.ports import LabelledRow
from stream_al.records import ClassLabel, Label
from stream_al.replay.contenders import Contender
from stream_al.replay.latency import Clock
from stream_al.replay.oracle import SimulatedOracle
from stream_al.replay.outcome import UNKNOWN, Asked, Outcome
from stream_al.replay.people import Crowd
from stream_al.replay.stream import LabelledStream, truth_of
from stream_al.runtime.worker import RUN

_TOLD = 200
"""Events between two calls of ``on_progress``."""
_MEASURED = 1000
"""Answers that are measured together."""
_SAMPLE = 5
"""Questions kept as examples, of each reason."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What is the same for all contenders.

    Parameters
    ----------
    make_model
        Returns a fresh model.
    crowd
        Who answers.
    key
        The pipeline's key: decides which events are explored, and which answers are late, wrong or missing.
    clock
        The stream's time, where the crowd's times are not counted in events.
    drift
        What is watched for changes, so that strategies hear of alarms; None watches nothing.
    gold
        Questions whose answers are known, mixed among the others.
    """

    make_model: Callable[[], Model]
    crowd: Crowd = field(default_factory=Crowd)
    key: str = "stream_al"
    clock: Clock = field(default_factory=Clock)
    drift: DriftRules | None = None
    gold: Gold | None = None


def replay(
    stream: LabelledStream,
    contender: Contender,
    trial: Trial,
    on_progress: Callable[[int], None] = lambda events: None,
) -> Outcome:
    """Run one contender over a stream, from its beginning to its end.

    It does what `stream_al.runtime.Worker` does, event by event, without writing anything down.

    Parameters
    ----------
    stream
        The events.
    contender
        The strategy.
    trial
        What it shares with the others.
    on_progress
        Told, now and then, how many events were answered.

    Raises
    ------
    ModelError
        When the model could not score a single event, or learn a single label.
    """
    run = _Run(stream, contender, trial)
    rows, oracle, learner = stream.rows, run.oracle, run.learner
    draws, lag = learner.draws(rows), oracle.lag
    at, told = 0, 0
    while at < len(rows):
        if at >= oracle.due:
            run.teach(oracle.answers(at), at)
        end = at + int(min(oracle.due - at, RUN))
        few: Sequence[EventRow] = rows[at:end]
        predictions, incidents = learner.answer(few, until_asked=lag < len(few), draws=draws[at:end])
        failed = set()
        for incident in incidents:
            if incident.error is not None:
                failed.add(incident.place)
            elif incident.query is not None:
                run.asked(incident.query, few[incident.place], at + incident.place + 1)
                if incident.gold is not None:
                    run.oracle.asked(incident.gold, run.gold_row(incident.gold), at + incident.place + 1)
        answered = len(predictions) + len(failed)
        if failed:
            run.unscored += len(failed)
            few = [row for place, row in enumerate(few) if place not in failed]
        run.answered(few, predictions)
        at += answered
        if at - told >= _TOLD:
            told = at
            on_progress(at)
    run.teach(oracle.answers(float("inf")), at)
    on_progress(at)
    return run.outcome()


class _Run:
    """What one contender has done so far."""

    def __init__(self, stream: LabelledStream, contender: Contender, trial: Trial) -> None:
        self.stream, self.contender = stream, contender
        # All labels at once may be open when they come late; a limit would make the baseline ask less than all.
        rules = replace(trial.crowd.rules, max_open=len(stream.rows) + 1)
        if contender.baseline:  # all labels are all labels
            rules = replace(rules, withdraw_below=None)
        self.learner = ActiveLearner(
            trial.make_model(),
            contender.strategy,
            rules=rules,
            key=trial.key,
            window=None,
            drift=trial.drift,
            gold=trial.gold,
        )
        self.oracle = SimulatedOracle(trial.crowd, trial.key, trial.clock)
        self.unscored = 0
        self._code: dict[ClassLabel | None, int] = {
            label: number for number, label in enumerate(stream.classes)
        }
        self._code[None] = UNKNOWN
        self._rows: list[EventRow] = []
        self._predictions: list[PredictionRow] = []
        self._measured: list[tuple[npt.NDArray[Any], ...]] = []
        self._asked_at: dict[str, int] = {}
        self._waits: list[int] = []
        self._refused: list[str] = []
        self._sample: dict[str, list[tuple[float, Asked]]] = {}
        self._draw = Draws(trial.key, "sample")

    def answered(self, rows: Sequence[EventRow], predictions: Sequence[PredictionRow]) -> None:
        """Take down what is measured of the answers to the first of some events."""
        self._rows += rows[: len(predictions)]
        self._predictions += predictions
        if len(self._predictions) >= _MEASURED:
            self._measure()

    def _measure(self) -> None:
        code, predictions, truths = self._code, self._predictions, [truth_of(row) for row in self._rows]
        chances = [
            prediction.probabilities.get(truth, 0.0) if prediction.probabilities else np.nan
            for prediction, truth in zip(predictions, truths, strict=True)
        ]
        self._measured.append(
            (
                np.array([code[truth] for truth in truths], dtype=np.int32),
                np.array([code[prediction.label] for prediction in predictions], dtype=np.int32),
                np.array(chances, dtype=np.float64),
                np.array([prediction.confidence for prediction in predictions], dtype=np.float64),
                np.array([prediction.queried for prediction in predictions], dtype=np.bool_),
            )
        )
        self._rows, self._predictions = [], []

    def asked(self, query: QueryRow, row: EventRow, number: int) -> None:
        self.oracle.asked(query, row, number)
        self._asked_at[query.event_id] = number
        sample = self._sample.setdefault(query.reason, [])
        draw = self._draw(query.event_id)
        if len(sample) < _SAMPLE or draw < sample[-1][0]:
            question = Asked(
                number,
                query.event_id,
                query.reason,
                query.display or query.features,
                query.probabilities,
                query.utility,
                query.threshold,
                truth_of(row),
            )
            sample.append((draw, question))
            sample.sort(key=lambda held: held[0])
            del sample[_SAMPLE:]

    def gold_row(self, gold: QueryRow) -> LabelledRow:
        return LabelledRow(gold.features, gold.event_id, truth=self.learner.desk.gold.truths[gold.event_id])

    def teach(self, labels: Iterable[Label], at: int) -> None:
        """Learn what has come after so many events."""
        for label in labels:
            taught = self.learner.teach(label)
            if taught.outcome == "refused":
                self._refused.append(taught.detail)
            elif taught.example is not None:
                self._waits.append(at - self._asked_at[taught.example.event_id])

    def outcome(self) -> Outcome:
        """Return what was achieved; a model that refused everything is an error, not a result."""
        title, refused = self.contender.title, self._refused
        self._measure()
        truth, predicted, chance, confidence, asked = map(np.concatenate, zip(*self._measured, strict=True))
        if not len(predicted):
            raise ModelError("the model could not score a single event; name another --model")
        if refused and not self._waits:
            raise ModelError(
                f"the model learned none of the {len(refused):,} labels: {refused[0]}; name another --model"
            )
        notes = []
        if refused:
            notes.append(f"{title}: {len(refused):,} labels could not be learned: {refused[0]}.")
        if self.unscored:
            notes.append(f"{title}: {self.unscored:,} events could not be scored, and are not measured.")
        questions = sorted(
            (question for sample in self._sample.values() for _, question in sample),
            key=lambda question: question.number,
        )
        return Outcome(
            self.contender.name,
            title,
            self.stream.classes,
            truth,
            predicted,
            chance,
            confidence,
            asked,
            len(self._waits),
            np.array(self._waits, dtype=np.int32),
            tuple(questions),
            tuple(notes),
        )
