"""`ActiveLearner`: model, query strategy and label desk as one object, for any pipeline."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final, NamedTuple

from river import base
from river.compose import Pipeline

from stream_al.codec import EventRow, PredictionRow, QueryRow
from stream_al.desk_rules import DeskRules
from stream_al.draws import draws
from stream_al.errors import RecordError, SnapshotError
from stream_al.labels import LabelDesk, QueryState, Settled
from stream_al.model import Model
from stream_al.records import Event, Example, Label, Prediction, Query
from stream_al.strategies import ColdStart, Decision, QueryStrategy, State
from stream_al.uncertainty import Scores

_MAGIC: Final = b"stream_al learner 1\n"


class Processed(NamedTuple):
    """What `ActiveLearner.process` returns: the answer, the question if there is one, and what expired."""

    prediction: Prediction
    query: Query | None
    settled: list[Settled]


class Taught(NamedTuple):
    """What `ActiveLearner.teach` returns: this label's outcome, and the example if it made one.

    ``settled`` lists this label and those that had waited for it.
    """

    outcome: str
    detail: str
    example: Example | None
    settled: list[Settled]


class ActiveLearner:
    """Answers every event at once, asks about a few, and learns from each answer once.

    Everything it does is a function of the calls made to it: no clock, no generator, no I/O. Not thread-safe,
    as River's models are not.

    Parameters
    ----------
    model
        A `Model`, or a River classifier or pipeline to make one of.
    strategy
        When to ask; by default 10 % of the events, by margin, after a cold start.
    rules
        How labels become examples; by default the first answer counts.
    key
        Separates this pipeline's random draws from those of others. Keep it secret if whoever sends events
        must not be able to tell which will be explored.

    Examples
    --------
    >>> from river.naive_bayes import GaussianNB
    >>> learner = ActiveLearner(GaussianNB())
    >>> prediction, query, _ = learner.process(Event(id="e1", features={"x": 0.5}))
    >>> prediction.label is None, query.reason
    (True, 'cold-start')
    >>> learner.teach(Label(event_id="e1", label="spam")).outcome
    'example'
    >>> learner.process(Event(id="e2", features={"x": 0.6})).prediction.label
    'spam'
    """

    def __init__(
        self,
        model: Model | base.Classifier | Pipeline,
        strategy: QueryStrategy | None = None,
        *,
        rules: DeskRules | None = None,
        key: str = "stream_al",
    ) -> None:
        self.model = model if isinstance(model, Model) else Model(model)
        self.strategy = strategy or ColdStart()
        self.desk = LabelDesk(rules, keep_changes=False)
        self.state: State = self.strategy.start()
        self.events = 0
        """Events answered so far."""
        self.labels = 0
        """Labels received so far."""
        self._draw = draws(key)

    # ── events ───────────────────────────────────────────────────────────────────────────────────

    def process(self, event: Event) -> Processed:
        """Answer one event, and maybe ask about it.

        Raises
        ------
        RecordError
            When the model cannot score the event. Nothing has changed then.
        """
        row, query, settled = self.answer(EventRow.of(event))
        prediction = Prediction.model_validate({name: getattr(row, name) for name in row.__struct_fields__})
        return Processed(prediction, None if query is None else query.public(), settled)

    def answer(self, event: EventRow) -> tuple[PredictionRow, QueryRow | None, list[Settled]]:
        """Do what `process` does, for a validated row; the path of every event in a worker."""
        event_id: str = event.id  # type: ignore[assignment]  # a validated row has the text
        scores = self.model.score(event.features)
        settled = self.desk.advance(self.events, event.timestamp) if self.desk.expires else _NOTHING
        decision, state = self.strategy.decide(scores, self.state, self._draw(event_id))
        ask, propensity, reason = decision.ask, decision.propensity, decision.reason
        blocked = self.desk.blocks(event_id, decision.utility)
        if blocked is None:
            self.state = state
        else:  # not offered to the strategy: whatever it said, this event could not have been asked about
            ask, propensity, reason = False, 0.0, blocked
        query = None
        if ask:
            query = self._query(event, scores, decision)
            settled = settled + self.desk.ask(query)
        self.events += 1
        prediction = PredictionRow(
            event_id,
            scores.label,
            scores.probabilities,
            scores.confidence,
            scores.margin,
            scores.version,
            decision.utility,
            decision.threshold,
            propensity,
            ask,
            reason,
        )
        return prediction, query, settled

    def _query(self, event: EventRow, scores: Scores, decision: Decision) -> QueryRow:
        return QueryRow(
            event_id=event.id,  # type: ignore[arg-type]
            features=event.features,
            display=event.display,
            key=event.key,
            predicted=scores.label,
            probabilities={_text(c): p for c, p in scores.probabilities.items()},
            utility=decision.utility,
            threshold=decision.threshold,
            propensity=decision.propensity,
            reason=decision.reason,
            model_version=scores.version,
            event_number=self.events,
            asked_at=event.timestamp,
        )

    # ── labels ───────────────────────────────────────────────────────────────────────────────────

    def teach(self, label: Label, position: str = "") -> Taught:
        """Take one annotator's answer, and learn when the answers suffice.

        Raises nothing for a label that cannot be used: the outcome names the reason (`labels.OUTCOMES`).
        """
        number = self.labels
        self.labels += 1
        if label.label is not None:
            try:
                self.model.check_label(label.label)
            except RecordError as error:
                settled = Settled(number, error.reason, error.detail, label, position)
                return Taught(error.reason, error.detail, None, [settled])
        settled_all, example = self.desk.submit(number, label, position, self.model.version)
        if example is not None:
            refused = self.model.learn(example)
            if refused is not None:
                settled_all = [
                    s._replace(outcome="refused", detail=refused) if s.outcome == "example" else s
                    for s in settled_all
                ]
        mine = next(s for s in settled_all if s.number == number)
        return Taught(mine.outcome, mine.detail, example, settled_all)

    # ── state ────────────────────────────────────────────────────────────────────────────────────

    def resume(
        self, *, state: State, events: int, labels: int, queries: Iterable[QueryState], clock: str | None
    ) -> None:
        """Take over everything but the model, as a store kept it."""
        self.state, self.events, self.labels = state, events, labels
        self.desk.load(queries, clock)

    def snapshot(self) -> bytes:
        """Return everything that is needed to go on elsewhere, exactly as here."""
        head = {
            "state": self.state,
            "events": self.events,
            "labels": self.labels,
            "clock": self.desk.clock,
            "queries": list(self.desk.dump()),
        }
        return _MAGIC + json.dumps(head).encode() + b"\n" + self.model.dump()

    def restore(self, snapshot: bytes) -> None:
        """Go on from a `snapshot` of a learner with the same configuration.

        Raises
        ------
        SnapshotError
            When it is corrupt, or of another model. The learner stays as it was.
        """
        parts = snapshot.split(b"\n", 2)
        if not snapshot.startswith(_MAGIC) or len(parts) < 3:
            raise SnapshotError(
                "this is no snapshot of a learner; give what ActiveLearner.snapshot() returned"
            )
        desk = LabelDesk(self.desk.rules, keep_changes=self.desk.keep_changes)
        try:
            head = json.loads(parts[1])
            state, events, labels = tuple(head["state"]), int(head["events"]), int(head["labels"])
            desk.load([QueryState(*row) for row in head["queries"]], head["clock"])
        except (ValueError, TypeError, KeyError) as error:
            raise SnapshotError(f"the snapshot of the learner is corrupt: {error}") from None
        self.model.load(parts[2])  # the last that can fail
        self.desk, self.state, self.events, self.labels = desk, state, events, labels


_NOTHING: Final[list[Settled]] = []


def _text(label: object) -> str:
    return str(label).lower() if isinstance(label, bool) else str(label)
