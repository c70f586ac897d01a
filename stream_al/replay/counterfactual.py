"""What another strategy would have cost and given, from the record of a pipeline that ran.

Three answers, from best to none. *Exact*: the other strategy only asks about events that people were asked about, so
the record determines its whole run, the model that comes of it included. *With the models as they were*: else the
recorded predictions say which events it would have asked about; what people would have said there is estimated
from those that were asked, weighted by 1 / propensity. *Refused*: where propensities are 0 nobody could have been
asked, and nothing is known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, Final

import numpy as np

from stream_al.codec import PredictionRow
from stream_al.desk_rules import DeskRules
from stream_al.errors import ConfigError, SourceError
from stream_al.labels import LabelDesk
from stream_al.recording import Recording
from stream_al.records import ClassLabel
from stream_al.replay.contenders import ALL, Contender
from stream_al.replay.rerun import reproduce, run_otherwise
from stream_al.replay.share import Bools, Figure, Floats, Sample, weighted_share
from stream_al.stand_ins import AskedElsewhere, KnownScores
from stream_al.strategies import ColdStart, Guard, Limited, QueryStrategy, Reserve
from stream_al.strategies.guard import QUARANTINED
from stream_al.strategies.limits import HELD_BACK
from stream_al.uncertainty import ABOUT, Scores

RECORDED: Final = "as it was"
"""The name of the strategy that ran."""


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """What a strategy would have cost and given.

    Parameters
    ----------
    name, title
        Of the strategy.
    own_models
        Whether all of this is about the models that its own labels would have made; else about the recorded ones.
    questions
        How many events it would have asked about.
    determined
        How many events from the beginning its own run is determined for, and how many questions it asks in them.
    wrong
        The share of its questions at which the model was wrong: what the labels correct.
    elsewhere
        The accuracy on the events that it would not have asked about.
    accuracy
        The accuracy on all events.
    """

    name: str
    title: str
    own_models: bool
    questions: int
    determined: tuple[int, int]
    wrong: Figure
    elsewhere: Figure
    accuracy: Figure

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "name": self.name,
            "title": self.title,
            "models": "own" if self.own_models else "as recorded",
            "questions": {"kind": "exact", "value": self.questions},
            "determined_events": self.determined[0],
            "determined_questions": self.determined[1],
            "model_wrong_at_questions": self.wrong.to_json(),
            "accuracy_elsewhere": self.elsewhere.to_json(),
            "accuracy": self.accuracy.to_json(),
        }


class Evidence:
    """The record as the counterfactuals need it, read once for any number of strategies.

    Parameters
    ----------
    recording
        The record.

    Raises
    ------
    SourceError
        When nothing was answered yet, or no label has become an example.
    """

    def __init__(self, recording: Recording) -> None:
        if not recording.events:
            raise SourceError(f"{recording.name}: no event was answered yet; run the pipeline first")
        if not recording.agreed:
            raise SourceError(
                f"{recording.name}: no label has become an example yet, so nothing is known of what another strategy "
                "would have given; answer queries first (`stream-al label`)"
            )
        self.recording = recording
        self.unlike = reproduce(recording).differences
        """How the run, run again as it was, differs from its record; nothing can be exact then."""
        rows = recording.predictions
        self.asked: Bools = np.array([row.queried for row in rows])
        self._sample = Sample(np.array([row.propensity for row in rows]), self.asked)
        self._truths = [recording.agreed.get(place) for place in range(len(rows))]

    @property
    def unanswered(self) -> int:
        """How many questions have no agreed answer."""
        return int(self.asked.sum()) - len(self.recording.agreed)

    def as_it_was(self) -> Counterfactual:
        """Return what the recorded strategy cost and gave."""
        return self._determined(RECORDED, RECORDED, self.recording.predictions)

    def of(self, contender: Contender) -> Counterfactual:
        """Return what another strategy would have cost and given, within the cold start, limits and guard there were."""
        strategy = contender.strategy if contender.name == ALL else self._after_cold_start(contender.strategy)
        rerun = run_otherwise(self.recording, strategy) if not self.unlike else None
        if rerun is not None and rerun.undetermined is None:
            return self._determined(contender.name, contender.title, rerun.predictions)
        exact = (
            (0, 0) if rerun is None else (len(rerun.predictions), sum(r.queried for r in rerun.predictions))
        )
        if wants := ", ".join(sorted((strategy.wants() | strategy.looks()) - {ABOUT})):
            raise ConfigError(
                f"--strategy {contender.name}: the record tells what the model answered, not its {wants}; "
                "compare it by stream-al replay"
            )
        decided = _decisions(self.recording, strategy)
        chance = np.array([row.propensity for row in decided])
        wrong = self._wrong(self.recording.predictions)
        elsewhere = self._share(wrong, 1.0 - chance)
        accuracy = self._share(wrong, np.ones_like(wrong))
        return Counterfactual(
            contender.name,
            contender.title,
            False,
            sum(row.queried for row in decided),
            exact,
            self._share(wrong, chance),
            elsewhere.mapped(-1.0, 1.0),
            accuracy.mapped(-1.0, 1.0),
        )

    def _determined(self, name: str, title: str, rows: Sequence[PredictionRow]) -> Counterfactual:
        """Return the result of a run of which every question was asked in the record, too.

        Which events it does not ask about depends on the draws by which others became known, so the accuracy
        there is what is left of the whole when that of its questions is taken out.
        """
        asks = np.array([row.queried for row in rows])
        wrong = self._wrong(rows)
        everywhere = self._share(wrong, np.ones_like(wrong))
        questions = weighted_share(wrong, asks.astype(float), Sample(np.ones_like(wrong), asks))
        count, asked = len(rows), int(asks.sum())
        elsewhere = everywhere
        if asked == count:
            elsewhere = Figure("refused", why="there is no such event")
        elif asked and questions.value is not None:
            elsewhere = _without(everywhere, questions, asked / count)
        return Counterfactual(
            name,
            title,
            True,
            asked,
            (count, asked),
            questions,
            elsewhere.mapped(-1.0, 1.0),
            everywhere.mapped(-1.0, 1.0),
        )

    def _wrong(self, rows: Sequence[PredictionRow]) -> Floats:
        """Return 1 where the model was wrong, 0 where it was right, NaN where nobody agreed on an answer."""
        return np.array(
            [
                np.nan if truth is None else float(not _same(row.label, truth))
                for row, truth in zip(rows, self._truths, strict=True)
            ]
        )

    def _share(self, wrong: Floats, weight: Floats) -> Figure:
        found = weighted_share(wrong, weight, self._sample)
        never = (weight > 0.0) & (self._sample.propensity <= 0.0)
        if found.kind != "refused" or not never.any():
            return found
        reasons = Counter(
            self.recording.predictions[place].reason for place in np.flatnonzero(never).tolist()
        )
        count, of = int(never.sum()), int((weight > 0.0).sum())
        why = f"{count:,} of these {of:,} events could not have been asked about ({self._told(reasons)})"
        return Figure("refused", why=why)

    def _told(self, reasons: Mapping[str, int]) -> str:
        """Return why events could not be asked about, and what makes such askable in the future."""
        spent = isfinite(self.recording.make_learner().strategy.slack())
        told = {
            "already-asked": "with an id that was asked about before: give each event an id of its own",
            "window": "of the cold-start window: they are collected, and nothing is drawn",
            "grouped": "as they were like an open query: set check = 0.05 in [groups]",
            "queue-full": "while the queue was full: raise max_open in [labels], or have more people answer",
            **{
                reason: f"as {why}: set [limits] as far as people allow it"
                for reason, why in HELD_BACK.items()
            },
            **{reason: f"as {why}: see [guard] if they were honest" for reason, why in QUARANTINED.items()},
            "none": "while the budget was spent: raise budget or burst in [strategy]"
            if spent
            else "as the strategy never asks about such: set explore = 0.02 in [strategy]",
        }
        return "; ".join(f"{count:,} {told.get(reason, reason)}" for reason, count in sorted(reasons.items()))

    def _after_cold_start(self, strategy: QueryStrategy) -> QueryStrategy:
        then = strategy.then if isinstance(strategy, ColdStart) else strategy
        recorded = self.recording.make_learner().strategy
        around, inner = [], recorded
        while isinstance(inner, Guard | Limited | Reserve):
            around += [] if isinstance(inner, Reserve) else [inner]
            inner = inner.then
        then = replace(inner, then=then) if isinstance(inner, ColdStart) else then
        for outer in reversed(around):
            then = replace(outer, then=then)
        return then


def _same(predicted: object, truth: ClassLabel) -> bool:
    return type(predicted) is type(truth) and predicted == truth


def _without(whole: Figure, part: Figure, share: float) -> Figure:
    """Return the share in what is left of a whole without a part."""
    if whole.value is None or whole.low is None or whole.high is None:
        return whole
    assert part.value is not None
    assert part.low is not None
    assert part.high is not None

    def rest(all_of_it: float, of_part: float) -> float:
        return min(1.0, max(0.0, (all_of_it - share * of_part) / (1.0 - share)))

    ends = rest(whole.value, part.value), rest(whole.low, part.high), rest(whole.high, part.low)
    return Figure.exactly(ends[0]) if whole.kind == part.kind == "exact" else Figure("estimated", *ends)


def _decisions(recording: Recording, strategy: QueryStrategy) -> list[PredictionRow]:
    """Return what a strategy decides on the recorded predictions, as if its queue were never full and nothing grouped."""
    count = recording.partitions
    parts: Mapping[int, list[int]] = {0: [*range(len(recording.events))]}
    if count is not None:
        parts = {part: [at for at, of in enumerate(recording.parts) if of == part] for part in range(count)}
        strategy = strategy.divided(count)
    found: dict[int, PredictionRow] = {}
    for places in parts.values():
        learner = recording.make_learner()
        rows = [recording.predictions[place] for place in places]
        learner.model = KnownScores([_scores(row) for row in rows])  # type: ignore[assignment]
        learner.strategy, learner.state = strategy, strategy.start()
        learner.desk, learner.groups = AskedElsewhere(), None
        if count is None:
            learner.desk = LabelDesk(DeskRules(max_open=len(rows) + 1), keep_changes=False)
        decided, _ = learner.answer([recording.events[place] for place in places])
        found.update(zip(places, decided, strict=True))
    return [found[place] for place in range(len(recording.events))]


def _scores(row: PredictionRow) -> Scores:
    # A model answers with a probability for each class it knows, so their number is that of the classes.
    return Scores(
        row.probabilities, row.label, row.confidence, row.margin, row.model_version, len(row.probabilities)
    )
