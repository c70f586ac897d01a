"""`ActiveLearner`: model, query strategy and label desk as one object, for any pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec
from river import base
from river.compose import Pipeline

from stream_al.about import About
from stream_al.amendments import ExampleLog, amendable
from stream_al.codec import EventRow, PredictionRow, QueryRow
from stream_al.desk_rules import DeskRules
from stream_al.draws import Draws
from stream_al.errors import RecordError, SnapshotError
from stream_al.estimators import require_weights
from stream_al.following import follow
from stream_al.gold import Gold, disguised
from stream_al.groups import GroupRules, Groups, MemberState
from stream_al.insight import Insight
from stream_al.labels import USED, LabelDesk, Settled
from stream_al.model import Model
from stream_al.monitor.accuracy import WINDOW, Accuracy
from stream_al.monitor.calibration import FINE
from stream_al.monitor.drift import Drift, DriftRules
from stream_al.monitor.enough import enough_of
from stream_al.monitor.logged import tested
from stream_al.query_state import QueryState
from stream_al.records import (
    Amendment,
    ClassLabel,
    Event,
    Example,
    Label,
    LogRecord,
    Prediction,
    Query,
    class_text,
)
from stream_al.rescoring import rescore
from stream_al.strategies import Budgeted, ColdStart, Decision, QueryStrategy, State, while_late
from stream_al.uncertainty import Scores

_MAGIC: Final = b"stream_al learner 1\n"


def default_strategy(budget: float = 0.1, examples: int = 50) -> QueryStrategy:
    """Return the strategy of who names none: by margin within a budget, after a cold start.

    Examples
    --------
    >>> default_strategy().rate()
    0.1
    """
    return ColdStart(Budgeted(budget), examples, asks=while_late(examples, budget))


class Processed(NamedTuple):
    """What `ActiveLearner.process` returns: the answer, the question if there is one, and what expired."""

    prediction: Prediction
    query: Query | None
    settled: list[Settled]


class Taught(NamedTuple):
    """What `ActiveLearner.teach` returns: this label's outcome, and the example or the amendment if it made one.

    ``settled`` lists this label and those that had waited for it.
    """

    outcome: str
    detail: str
    example: Example | None
    settled: list[Settled]
    amendment: Amendment | None = None
    followers: tuple[LogRecord, ...] = ()
    """What it means to the others of its group: examples that are propagated, and amendments of those."""
    withdrawn: tuple[str, ...] = ()
    """The events whose queries were withdrawn, as the model has become sure (`DeskRules.withdraw_below`)."""

    @property
    def records(self) -> list[LogRecord]:
        """What the log of examples grows by, in this order."""
        said = self.example or self.amendment
        return [*self.followers] if said is None else [said, *self.followers]


class Incident(NamedTuple):
    """What there is to say of one event besides its prediction."""

    place: int
    """The event's place among those given."""
    events: int
    """How many events had been answered then, this one included if it was."""
    query: QueryRow | None = None
    line: bytes = b""
    """The query as JSON, without a line end."""
    blocked: str | None = None
    """Why the event could not be asked about: by `LabelDesk.blocks`, or the strategy's reason."""
    settled: list[Settled] = []  # noqa: RUF012  # never changed
    """Labels whose query expired or was withdrawn."""
    error: RecordError | None = None
    """Why the event has no prediction."""
    event: bytes | None = None
    """The event that the query is about, as JSON, where it is another one: of the cold-start window."""
    gold: QueryRow | None = None
    """The gold question asked along with the query."""


class ActiveLearner:
    """Answers every event at once, asks about a few, and learns from each answer once.

    Everything it does is a function of the calls made to it: no clock, no generator, no I/O. Not thread-safe,
    as River's models are not.

    Parameters
    ----------
    model
        A `Model`, or a River classifier or pipeline to make one of.
    strategy
        When to ask; by default 10 % of the events, by margin, after a cold start (`default_strategy`).
    rules
        How labels become examples; by default the first answer counts.
    key
        Separates this pipeline's random draws from those of others. Keep it secret if whoever sends events
        must not be able to tell which will be explored.
    window
        Events in the longest recent stretch that accuracy is estimated of (`stream_al.monitor.Accuracy`).
        None does not watch the accuracy.
    calibrated
        Whether the strategy sees calibrated probabilities (`stream_al.monitor.Calibration`), so that "confidence below
        0.7" means that less than 70 % of such answers are right. Predictions show what the model said. Or a function that
        rescales scores, where somebody else knows how (`stream_al.monitor.LogMonitors`).
    log
        Where the examples learned can be read again, so that they can be amended. Whoever gives one appends to it what
        `teach` and `amend` return, before the next call. None: what was learned is not changed, and a changed answer
        is ``correction-after-learning``.
    drift
        What to watch for changes of the stream (`stream_al.monitor.Drift`); None watches nothing.
    gold
        Questions whose answers are known, to be mixed among the others; None mixes in none.
    groups
        When near-duplicates of an open query are grouped with it (`stream_al.groups`); None asks about each. Without a
        ``log`` a label that is propagated stays, whatever people say later.

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
        window: int | None = WINDOW,
        calibrated: bool | Callable[[Scores], Scores] = False,
        log: ExampleLog | None = None,
        drift: DriftRules | None = None,
        gold: Gold | None = None,
        groups: GroupRules | None = None,
    ) -> None:
        self.model = model if isinstance(model, Model) else Model(model)
        self.desk = LabelDesk(rules, keep_changes=False, on_close=self._closed, gold=gold)
        self.strategy = strategy or default_strategy()
        Insight(self.model.estimator, self._wants | self._looks)  # which says what cannot be
        if self.desk.weigh is not None:
            require_weights(self.model.estimator)
        self.accuracy = None if window is None else Accuracy(window)
        """How accurate the answers are; see `stream_al.monitor`."""
        self.drift = None if drift is None else Drift(drift)
        """Whether the stream changes; see `stream_al.monitor`."""
        self.calibrated = bool(calibrated)
        self.calibrate_by(calibrated if callable(calibrated) else self._calibrated)
        if self.accuracy is None and (calibrated is True or self._enough is not None):
            what = "calibrated" if calibrated is True else "ConfidentEnough"
            raise ValueError(f"window = None: {what} needs the accuracy watched; give a number of events")
        if groups is not None and groups.weight != 1.0:
            require_weights(self.model.estimator, "propagated labels have; set [groups] weight = 1")
        self.groups = None if groups is None else Groups(groups, lambda event_id: self.desk.query(event_id))
        """Who waits for the answer to another event's query; see `stream_al.groups`."""
        self.log = log
        self.state: State = self.strategy.start()
        self.events = 0
        """Events answered so far."""
        self.labels = 0
        """Labels received so far."""
        self.gold_asked: Query | None = None
        """The gold question that `process` asked along with its last query, to be put to people like that one."""
        self._key, self._draw, self._draw_gold = key, Draws(key), Draws(key, "gold")

    def calibrate_by(self, rescaled: Callable[[Scores], Scores]) -> None:
        """Let another function calibrate the scores, if this learner's are to be calibrated."""
        self._rescaled = rescaled

    @property
    def strategy(self) -> QueryStrategy:
        """When to ask."""
        return self._strategy

    @strategy.setter
    def strategy(self, strategy: QueryStrategy) -> None:
        self._strategy, self._wants, self._looks = strategy, strategy.wants(), strategy.looks()
        self._enough = enough_of(strategy)
        self.desk.weigh = strategy.weigher()

    @property
    def log(self) -> ExampleLog | None:
        """Where the examples learned can be read again."""
        return self._log

    @log.setter
    def log(self, log: ExampleLog | None) -> None:
        self._log = log
        self.desk.amends = log is not None and self.desk.rules.corrections == "amend"

    # ── events ───────────────────────────────────────────────────────────────────────────────────

    def process(self, event: Event) -> Processed:
        """Answer one event, and maybe ask about it.

        Raises
        ------
        RecordError
            When the model cannot score the event. Nothing has changed then.
        """
        predictions, incidents = self.answer([EventRow.of(event)])
        query, gold = None, None
        settled: list[Settled] = []
        for incident in incidents:
            if incident.error is not None:
                raise incident.error
            query, settled = incident.query or query, settled + incident.settled
            gold = incident.gold or gold
        row = predictions[0]
        prediction = Prediction.model_validate({name: getattr(row, name) for name in row.__struct_fields__})
        self.gold_asked = None if gold is None else gold.public()
        return Processed(prediction, None if query is None else query.public(), settled)

    def answer(
        self, rows: Sequence[EventRow], *, until_asked: bool = False, draws: Sequence[float] | None = None
    ) -> tuple[list[PredictionRow], list[Incident]]:
        """Do what `process` does, for validated rows between which no label comes; the path of every event.

        Each step is done for all rows before the next one, which halves what the steps cost: the processor
        is then at home in each of them.

        Parameters
        ----------
        rows
            The events.
        until_asked
            Stop after the first that is asked about, as its label may come before the next; the last incident
            then says where that was.
        draws
            What `draws` returned for them, where that was asked for beforehand.

        Returns
        -------
        tuple
            A prediction for every row that could be scored, in order, and an `Incident` for every row that
            wants more than its prediction written down.
        """
        scored: Iterable[Scores | RecordError]
        drawn: Iterable[float]
        wants = self._wants
        if until_asked:  # how far it goes will be seen
            scored = (self.model.score_all([row.features], wants)[0] for row in rows)
            drawn = draws or (self._draw(row.id) for row in rows)  # type: ignore[arg-type]
        else:
            scored = self.model.score_all([row.features for row in rows], wants)
            drawn = draws or self.draws(rows)
        groups = self.groups
        desk, decide = self.desk, self.strategy.decide
        tell = self._told if self.calibrated or self._looks else None
        blocks, expires = desk.blocks, desk.expires
        suspects = None if until_asked else desk.suspects([row.id for row in rows])  # type: ignore[misc]
        predictions: list[PredictionRow] = []
        incidents: list[Incident] = []
        watch, drift = self.accuracy, self.drift
        # What `Accuracy.pass_by` does, spelled out, as this is on the path of every event.
        expected, least = (0.0, 0.0) if watch is None else (watch.expected, watch.least)
        by_step, steps = [] if watch is None else watch.calibration.expected_errors, FINE
        first, failed, state = self.events, 0, self.state  # an event's number is first + len(predictions)
        for row, scores, draw in zip(rows, scored, drawn, strict=True):
            if isinstance(scores, RecordError):
                place = len(predictions) + failed
                incidents.append(Incident(place, first + len(predictions), error=scores))
                failed += 1
                continue
            settled = desk.advance(first + len(predictions), row.timestamp) if expires else None
            decision, after = decide(scores if tell is None else tell(row, scores), state, draw)
            ask, propensity, reason = decision.ask, decision.propensity, decision.reason
            blocked: str | None = None
            if suspects is None or row.id in suspects:
                blocked = blocks(row.id, decision.utility)  # type: ignore[arg-type]
            near: str | None = None
            if groups is not None and blocked is None:
                number = first + len(predictions)
                blocked, near, propensity = self._grouped(groups, row, number, decision, draw)
                ask = ask and draw < propensity
            if blocked is None:
                state = after
                if not ask and reason != "none":
                    blocked = reason
            elif blocked == "grouped":  # not carried out either, but with another draw it would have been
                ask, reason = False, blocked
            else:  # not offered to the strategy: whatever it said, this event could not have been asked about
                ask, propensity, reason = False, 0.0, blocked
            confidence = scores.confidence
            if drift is not None and drift.passed(first + len(predictions), confidence, row.features):
                state = self._alarmed(state)
            if watch is not None:
                wrong = by_step[int(confidence * steps)]
                if propensity < least:
                    least = watch.rarer(propensity, wrong)
                if ask:
                    watch.expected = expected
                    number = first + len(predictions)
                    watch.ask(number, row.id, scores.label, confidence, wrong, propensity)  # type: ignore[arg-type]
                    expected, least = watch.expected, watch.least
                else:
                    expected += wrong
            if ask or blocked or settled:
                self.events = first + len(predictions)
                place, asked = len(predictions) + failed, decision if ask else None
                if asked is not None and near is not None:
                    asked = msgspec.structs.replace(asked, propensity=propensity)
                incident = self._incident(place, row, scores, asked, blocked, settled or [], near)
                incidents.append(incident)
                if suspects is not None and incident.gold is not None:
                    suspects.add(incident.gold.event_id)
            predictions.append(
                PredictionRow(
                    row.id,  # type: ignore[arg-type]
                    scores.label,
                    scores.probabilities,
                    confidence,
                    scores.margin,
                    scores.version,
                    decision.utility,
                    decision.threshold,
                    propensity,
                    ask,
                    reason,
                )
            )
            if groups is not None and not ask and (member := groups.next_planned()) is not None:
                self.events = first + len(predictions)
                planned = self._ask_planned(len(predictions) - 1 + failed, member, row.timestamp)
                if planned is not None:
                    incidents.append(planned)
                    if suspects is not None and planned.query is not None:
                        suspects.add(planned.query.event_id)
                    ask, state = True, self.strategy.charge(state)
            if ask and until_asked:
                break
        self.events, self.state = first + len(predictions), state
        if watch is not None:
            watch.expected = expected
        return predictions, incidents

    def draws(self, rows: Iterable[EventRow]) -> list[float]:
        """Return the uniform number of each event, which decides whether it is explored."""
        return self._draw.all(row.id for row in rows)  # type: ignore[misc]  # a validated row has the text

    def _grouped(
        self, groups: Groups, row: EventRow, number: int, decision: Decision, draw: float
    ) -> tuple[str | None, str | None, float]:
        """Return why an event is not asked about itself, whose near-duplicate it is, and its propensity as such."""
        event_id, propensity, check = row.id, decision.propensity, groups.rules.check
        assert isinstance(event_id, str)
        if groups.waits(event_id):
            return "already-asked", None, propensity
        if groups.collecting and groups.collect(row, number, self._key):
            return "window", None, propensity
        # What is rarely asked about is explored, not doubtful: it is left alone.
        near = groups.near(row.features) if propensity > check else None
        if near is None:
            return None, None, propensity
        if check <= draw < propensity:
            groups.join(event_id, near, row.features, number)
            return "grouped", near, check
        return None, near, check

    def _alarmed(self, state: State) -> State:
        """Return the strategy's state after an alarm."""
        if self.accuracy is not None and self._enough is not None:
            self.accuracy.begin_anew()
        return self.strategy.alarmed(state)

    def _told(self, row: EventRow, scores: Scores) -> Scores:
        """Return the scores as the strategy is to see them."""
        if self.calibrated:
            scores = self._rescaled(scores)
        if self._looks:
            about = About(row, self.desk.oldest, self.model.look)
            scores = msgspec.structs.replace(scores, about=about)
        return scores

    def _calibrated(self, scores: Scores) -> Scores:
        assert self.accuracy is not None
        return self.accuracy.calibration.rescaled(scores)

    def _incident(
        self,
        place: int,
        row: EventRow,
        scores: Scores,
        asked: Decision | None,
        blocked: str | None,
        settled: list[Settled],
        near: str | None = None,
    ) -> Incident:
        """Ask if that was the decision, and return what happened."""
        query, line, gold = None, b"", None
        if asked is not None:
            query = self._query(row, scores, asked, self.events)
            line = query.to_json()
            settled = settled + self.desk.ask(query, line)
            if self.groups is not None:
                self.groups.asked(query.event_id, query.event_number, near)
            gold = self._mix_in(query)
        return Incident(place, self.events + 1, query, line, blocked, settled, gold=gold)

    def _mix_in(self, query: QueryRow) -> QueryRow | None:
        """Ask a gold question after a query, where one is due."""
        due = self.desk.gold.is_due(query, self._draw_gold)
        question = self.desk.next_gold() if due else None
        if question is None:
            return None
        (scores,) = self.model.score_all([question.features])
        gold = disguised(question, scores, query)
        self.desk.ask(gold)  # there is room
        return gold

    def _ask_planned(self, place: int, member: MemberState, now: datetime | None) -> Incident | None:
        """Ask about an event of the cold-start window; None when the desk is full."""
        from stream_al.window import event_of

        assert self.groups is not None
        event, event_id = event_of(member), member.event_id
        share = (1 + self.groups.size(event_id)) / self.groups.rules.window
        (scores,) = self.model.score_all([event["features"]])
        if self.desk.blocks(event_id, share) is not None or not isinstance(scores, Scores):
            return None
        decision = Decision(True, share, None, 1.0, "representative")
        number = self.events - 1
        row = EventRow(event["features"], event_id, now, event.get("key"), event.get("display"))
        query = self._query(row, scores, decision, number)
        settled = self.desk.ask(query)
        self.groups.asked(event_id, number)
        return Incident(
            place, self.events, query, query.to_json(), None, settled, event=member.features.encode()
        )

    def _query(self, event: EventRow, scores: Scores, decision: Decision, number: int) -> QueryRow:
        return QueryRow(
            event.id,  # type: ignore[arg-type]
            event.features,
            event.display,
            event.key,
            scores.label,
            {class_text(label): probability for label, probability in scores.probabilities.items()},
            decision.utility,
            decision.threshold,
            decision.propensity,
            decision.reason,
            scores.version,
            number,
            event.timestamp,
        )

    # ── labels ───────────────────────────────────────────────────────────────────────────────────

    def teach(self, label: Label, position: str = "") -> Taught:
        """Take one annotator's answer, and learn when the answers suffice.

        Raises nothing for a label that cannot be used: the outcome names the reason (`labels.OUTCOMES`).
        """
        number, before = self.labels, self.model.version
        self.labels += 1
        if label.label is not None:
            try:
                self.model.check_label(label.label)
            except RecordError as error:
                settled = Settled(number, error.reason, error.detail, label, position)
                return Taught(error.reason, error.detail, None, [settled])
        groups = self.groups
        followers: tuple[LogRecord, ...] = ()
        split = groups is not None and label.only_this and groups.split(label.event_id)
        settled_all, record = self.desk.submit(number, label, position, self.model.version)
        example, amendment = None, None
        refused: str | None = None
        if isinstance(record, Example):
            self._watch_error(record)
            example, refused = record, self.model.learn(record)
        elif record is not None:
            assert self.log is not None
            amendment, refused = record, self.model.amend(record, self.log)
        if refused is not None:
            settled_all = [
                s._replace(outcome="refused", detail=refused) if s.outcome in ("example", "amendment") else s
                for s in settled_all
            ]
        if groups is not None and isinstance(record, Example) and refused is not None:
            groups.settle(groups.answered(label.event_id), "dropped")
        if groups is not None and (record is not None or split):
            followers = tuple(follow(groups, label.event_id, record, self.model, self.log))
            settled_all = [
                s._replace(outcome="amendment", detail="what was propagated from it is withdrawn")
                if s.number == number and followers and s.outcome not in USED
                else s
                for s in settled_all
            ]
        if self.accuracy is not None and self._enough is not None:
            self.state = self._enough.review(self.state, self.accuracy, self.events)
        mine = next(s for s in settled_all if s.number == number)
        withdrawn = self._score_again(before)
        return Taught(mine.outcome, mine.detail, example, settled_all, amendment, followers, withdrawn)

    def _score_again(self, before: int) -> tuple[str, ...]:
        """Score open queries again, where the rules say so; return the events whose queries were withdrawn."""

        def utility(row: QueryRow, scores: Scores) -> float:
            if self.calibrated or self._looks:
                scores = self._told(EventRow(row.features, row.event_id, row.asked_at, row.key), scores)
            return self.strategy.decide(scores, self.state, 0.0)[0].utility

        return rescore(self.desk, self.model, before, utility, self._wants)

    def amend(self, amendment: Amendment, position: str = "") -> Taught:
        """Correct or erase what was learned of an event, by decision, whatever its annotators answered.

        Raises nothing for an amendment that cannot be made: the outcome is then ``"unknown-event"``,
        ``"already-erased"`` or ``"same-label"``, or why its label cannot be learned.
        """
        number, before = self.labels, self.model.version
        self.labels += 1
        made: Amendment | None = None
        followers: list[LogRecord] = []
        outcome = "amendment"
        try:
            made, detail = self._amendable(amendment)
        except RecordError as error:
            outcome, detail = error.reason, error.detail
        if made is not None:
            assert self.log is not None
            refused = self.model.amend(made, self.log)
            if refused is not None:
                outcome, detail = "refused", refused
            self.desk.override(made.event_id, made.label)
            if self.groups is not None:
                followers = follow(self.groups, made.event_id, made, self.model, self.log)
        settled = [Settled(number, outcome, detail, amendment, position)]
        withdrawn = self._score_again(before)
        return Taught(outcome, detail, None, settled, made, tuple(followers), withdrawn)

    def _amendable(self, amendment: Amendment) -> tuple[Amendment, str]:
        """Return the amendment with the number of its example, and what it does."""
        if self.log is None:
            raise RecordError(
                "correction-after-learning", "this pipeline keeps no log, and cannot amend what it learned"
            )
        if amendment.label is not None:
            self.model.check_label(amendment.label)
        number, detail = amendable(amendment, self.log)
        return amendment.model_copy(update={"amends": number, "propagated_from": None}), detail

    def _watch_error(self, example: Example) -> None:
        """Hear whether the model is wrong about an example that it is about to learn."""
        if self.drift is None:
            return
        found = tested(self.model, example)
        if found is not None and self.drift.learned(self.events, *found):
            self.state = self._alarmed(self.state)

    def _closed(self, event_id: str, answer: ClassLabel | None) -> None:
        if self.accuracy is not None:
            self.accuracy.settle(event_id, answer)
        if self.groups is not None and answer is None:
            self.groups.settle(self.groups.answered(event_id), "dropped")

    # ── state ────────────────────────────────────────────────────────────────────────────────────

    def resume(
        self,
        *,
        state: State,
        events: int,
        labels: int,
        queries: Iterable[QueryState],
        clock: str | None,
        accuracy: str | None,
        drift: str | None = None,
        members: Iterable[MemberState] = (),
        desk: str | None = None,
    ) -> None:
        """Take over everything but the model, as a store kept it."""
        self.state, self.events, self.labels = state, events, labels
        self.desk.load(queries, clock, desk)
        self._regroup(members)
        self.accuracy = self._watching(accuracy)
        self.drift = self._detecting(drift)

    def _regroup(self, members: Iterable[MemberState]) -> None:
        """Take over who is in which group, as it was kept, once the desk has its queries."""
        if self.groups is not None:
            gold = self.desk.gold.truths  # nothing is learned from its answers, so it stands for nobody
            opened = [event_id for event_id in self.desk.open_events if event_id not in gold]
            self.groups.load(members, opened, self.events)

    def _watching(self, accuracy: str | None) -> Accuracy | None:
        """Return the watch on accuracy as it was kept, if this learner has one."""
        if self.accuracy is None:
            return None
        return Accuracy(self.accuracy.window, self.events) if accuracy is None else Accuracy.load(accuracy)

    def _detecting(self, drift: str | None) -> Drift | None:
        """Return the drift detectors as they were kept, if this learner has any."""
        if self.drift is None:
            return None
        return Drift(self.drift.rules) if drift is None else Drift.load(self.drift.rules, drift)

    def snapshot(self) -> bytes:
        """Return everything that is needed to go on elsewhere, exactly as here."""
        head = {
            "state": self.state,
            "events": self.events,
            "labels": self.labels,
            "clock": self.desk.clock,
            "desk": self.desk.memory,
            "queries": list(self.desk.dump()),
            "accuracy": None if self.accuracy is None else self.accuracy.dump(),
            "drift": None if self.drift is None else self.drift.dump(),
            "members": [] if self.groups is None else list(self.groups.dump()),
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
        desk = LabelDesk(
            self.desk.rules, keep_changes=self.desk.keep_changes, on_close=self._closed, gold=self.desk.gold
        )
        try:
            head = json.loads(parts[1])
            state, events, labels = tuple(head["state"]), int(head["events"]), int(head["labels"])
            desk.load([QueryState(*row) for row in head["queries"]], head["clock"], head.get("desk"))
            accuracy = self._watching(head["accuracy"])
            drift = self._detecting(head.get("drift"))
            members = [MemberState(*row) for row in head.get("members", [])]
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise SnapshotError(f"the snapshot of the learner is corrupt: {error}") from None
        self.model.load(parts[2])  # the last that can fail
        desk.amends, desk.weigh = self.desk.amends, self.desk.weigh
        self.desk, self.state, self.events, self.labels = desk, state, events, labels
        self.accuracy, self.drift = accuracy, drift
        self._regroup(members)
