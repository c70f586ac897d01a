"""The label desk: the open queries, and the rules by which people's answers become examples.

Every label submitted ends in exactly one named outcome (`OUTCOMES`): it became an example, it waits for a
quorum, or there is a reason why it was not used. A waiting label is settled later, once.
"""

from __future__ import annotations

import json
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from operator import itemgetter
from typing import Any, Final, NamedTuple

from stream_al.codec import QueryRow, decode_json
from stream_al.desk_rules import DeskRules
from stream_al.gold import Gold, GoldQuestion
from stream_al.open_queries import OpenQueries
from stream_al.query_state import OpenQuery, QueryState, Vote
from stream_al.records import Amendment, ClassLabel, Example, Label, Query, class_text
from stream_al.reliability import Reliability
from stream_al.stored_queries import QueryTable, StoredQueries
from stream_al.strategies import Weigher

OUTCOMES: Final = {
    "example": "became (part of) an example the model learned from",
    "waiting": "waits for more answers to the same query",
    "amendment": "became (part of) an amendment of an example that had been learned",
    "refused": "became an example that the model could not learn",
    "duplicate": "the same annotator gave this answer before",
    "gold": "answered a question whose answer was known, to see who answers rightly",
    "replaced": "the same annotator gave another answer before it was learned",
    "correction-after-learning": "the same annotator gave another answer after it was learned, which cannot be amended",
    "already-answered": "the query had been answered by others",
    "outvoted": "the annotators agreed on another class",
    "no-agreement": "the annotators did not agree",
    "abstained": "the annotator gave no class",
    "expired": "the query expired while the label waited for more",
    "withdrawn": "the query was withdrawn while the label waited for more",
    "late": "the query had expired or been withdrawn, or was given up",
    "unknown-event": "no query of this event is known",
}
"""The named outcomes of a label; besides them the reasons of `RecordError`, for what is no usable label."""

STATUSES: Final = (
    "open",
    "answered",
    "disputed",
    "unanswerable",
    "expired",
    "withdrawn",
    "erased",
    "checked",
)
USED: Final = frozenset({"example", "amendment", "waiting", "gold"})
"""The outcomes of labels that were used, or will be; every other one is a dead letter."""


class Settled(NamedTuple):
    """What became of one label: its number among all labels received, and the outcome."""

    number: int
    outcome: str
    detail: str
    label: Label | Amendment
    position: str


class _Closed(NamedTuple):
    state: QueryState
    answers: dict[str, ClassLabel | None]
    """Who gave which class; None who took it back."""


class LabelDesk:
    """Keeps the open queries and turns labels into examples. No clock: time is what the events say.

    Parameters
    ----------
    rules
        See `DeskRules`.
    keep_changes
        Keep what changes until `take_changes` takes it. Without a store nobody takes it, and it would grow.
    on_close
        Told, of every query that is closed, its event and the label agreed on, or None without one.
    weigh
        Tells the weight of each example (`QueryStrategy.weigher`); None weighs each 1.
    gold
        The questions whose answers are known, mixed among the others (`stream_al.gold`).
    """

    def __init__(
        self,
        rules: DeskRules | None = None,
        *,
        keep_changes: bool = True,
        on_close: Callable[[str, ClassLabel | None], None] | None = None,
        weigh: Weigher | None = None,
        gold: Gold | None = None,
    ) -> None:
        self.rules = rules or DeskRules()
        self.gold = gold or Gold(())
        self.gold_asked = 0
        """How many gold questions were asked."""
        self._most = self.rules.max_open
        self.keep_changes = keep_changes
        self.weigh = weigh
        self._on_close = on_close
        self.amends = self.rules.corrections == "amend"
        """Whether a changed answer amends what was learned; somebody must then keep the log (`ActiveLearner.log`)."""
        self.expires = self.rules.expire_after is not None or self.rules.expire_after_events is not None
        self._table: QueryTable | None = None
        self._open = self._stored()
        self._closed: OrderedDict[str, _Closed] = OrderedDict()  # its first is found at once, unlike a dict's
        self._closings = 0
        self._clock: datetime | None = None
        self._changed: dict[str, QueryState] = {}
        self._turn, self._turn_serial = (
            -1,
            0,
        )  # the event's number and the query's, of the one scored again last
        self.people = Reliability() if self.rules.agreement == "weighted" or self.gold.questions else None
        """How far the annotators are trusted, where the rules weigh them or gold questions test them."""

    def keep_in(self, table: QueryTable) -> None:
        """Leave the open queries with a store that can look them up; before `load`, if there is something to load.

        What changes reaches the store by `take_changes`, and the desk must hear that it has (`committed`).
        """
        opened, self._table = list(self._open), table
        self._open = self._stored()
        for held in opened:
            self._open.add(held)
            self._note(held)

    def _stored(self) -> OpenQueries | StoredQueries:
        """Return the open queries as the store has them; none without a store that keeps them."""
        ranked = self.rules.when_full == "withdraw-least"
        if self._table is None:
            return OpenQueries(ranked=ranked)
        return StoredQueries(self._table, self.gold.truths, ranked=ranked)

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._open or event_id in self._closed

    def is_open(self, event_id: str) -> bool:
        """Tell whether a query of this event waits for answers."""
        return event_id in self._open

    def query(self, event_id: str) -> QueryRow:
        """Return an open query, to look at."""
        return self._open.peek(event_id).query

    @property
    def open_events(self) -> list[str]:
        """The events of the open queries, oldest first."""
        return list(self._open.events())

    @property
    def open_queries(self) -> list[Query]:
        """The open queries, oldest first."""
        return [held.query.public() for held in self._open]

    @property
    def oldest(self) -> datetime | None:
        """Return when the oldest open query was asked, by its event; None without one, or without a timestamp."""
        oldest = self._open.oldest
        return None if oldest is None else oldest.query.asked_at

    def suspects(self, event_ids: Sequence[str]) -> set[str]:
        """Return all of these that `blocks` might block once those before them were answered; most often none.

        Whoever asks about another event meanwhile (a gold question, one of the cold-start window) adds it.
        """
        if len(self._open) + 3 * len(event_ids) > self._most:  # each may bring those two besides its own
            return set(event_ids)
        given = set(event_ids)
        if len(given) < len(event_ids):  # the second of an id may follow a query of the first
            return given
        return self._open.among(given) | (given & self._closed.keys())

    def blocks(self, event_id: str, utility: float) -> str | None:
        """Return why an event cannot be asked about: ``"already-asked"``, ``"queue-full"``, or None."""
        opened = self._open
        if event_id in opened or event_id in self._closed:
            return "already-asked"
        if len(opened) >= self._most and (
            self.rules.when_full == "stop-asking" or not utility > opened.least[0]
        ):
            return "queue-full"
        return None

    def ask(self, query: Query | QueryRow, line: bytes | None = None) -> list[Settled]:
        """Open a query that nothing `blocks`; return the labels settled because another one made way.

        ``line`` is the query as JSON, where that is written already.
        """
        if isinstance(query, Query):
            query = QueryRow.of(query)
        settled: list[Settled] = []
        if len(self._open) >= self._most:
            settled = self._close(self._open.least[1], "withdrawn", "a more useful query took its place")
        held = OpenQuery(query, (line or query.to_json()).decode(), self._clock)
        self._open.add(held)
        self._note(held)
        return settled

    def next_gold(self) -> GoldQuestion | None:
        """Return the gold question whose turn it is; None where all are open, or there is no room."""
        questions = self.gold.questions
        if len(self._open) < self._most:
            for _ in questions:
                question = questions[self.gold_asked % len(questions)]
                self.gold_asked += 1
                if not self.is_open(question.id):
                    self._closed.pop(question.id, None)  # it may be asked again
                    return question
        return None

    def advance(self, event_number: int, timestamp: datetime | None) -> list[Settled]:
        """Let time pass until this event; return the labels settled because their query expired."""
        settled: list[Settled] = []
        if timestamp is not None and (self._clock is None or timestamp > self._clock):
            if self._clock is None:  # queries asked before there was any time begin to age now
                for held in self._open.begin(timestamp):
                    self._note(held)
            self._clock = timestamp
        # By number and by time the others are younger than the oldest.
        while (oldest := self._open.oldest) is not None and self._is_old(oldest, event_number):
            detail = "the query expired before enough people had answered"
            settled += self._close(oldest.query.event_id, "expired", detail)
        return settled

    def _is_old(self, held: OpenQuery, event_number: int) -> bool:
        by_number, by_time = self.rules.expire_after_events, self.rules.expire_after
        if by_number is not None and event_number - held.query.event_number > by_number:
            return True
        if by_time is None or held.clock is None or self._clock is None:
            return False
        return self._clock - held.clock > by_time

    # ── scoring again (`stream_al.rescoring`) ────────────────────────────────────────────────────

    def take_turns(self, most: int) -> list[QueryRow]:
        """Return open queries in the order they were asked, from behind those of the last call on, then from the first."""
        held = self._open.behind(self._turn_serial, most, self.gold.truths)
        if held:
            self._turn, self._turn_serial = held[-1].query.event_number, held[-1].serial
        return [opened.query for opened in held]

    def revalue(self, event_id: str, utility: float) -> None:
        """Take note of what an open query's label is worth by now."""
        held = self._open.revalue(event_id, utility)
        if held is not None:
            self._note(held)

    def untouched(self, event_id: str) -> bool:
        """Tell whether nobody has answered an open query yet, not even that they cannot say."""
        held = self._open.peek(event_id)
        return not held.votes and not held.abstained

    def withdraw(self, event_id: str, detail: str) -> list[Settled]:
        """Close an open query without an answer; return the labels settled by it."""
        return self._close(event_id, "withdrawn", detail)

    def submit(
        self, number: int, label: Label, position: str = "", example_number: int | None = None
    ) -> tuple[list[Settled], Example | Amendment | None]:
        """Take one answer.

        Parameters
        ----------
        number
            The label's number among all labels received.
        label
            The answer.
        position
            Where it came from, for the dead letter.
        example_number
            The number the next example will have; None where only the log will tell.

        Returns
        -------
        tuple
            What became of this label, and of others that waited for it; and the example, if there is one now, or
            the amendment of one.
        """
        vote = Vote(number, label, position)
        held = self._open.get(label.event_id)
        if held is None:
            settled_late, amendment = self._too_late(vote)
            return [settled_late], amendment
        if label.label is None:
            return self._abstain(held, vote), None
        if label.event_id in self.gold.truths:
            return self._check(held, vote), None
        settled: list[Settled] = []
        if label.annotator in held.abstained:
            held.abstained.remove(label.annotator)  # an annotator has one say, the last
        before = held.votes.get(label.annotator)
        if before is not None:
            if _same(before.label.label, label.label):
                return [_settle(vote, "duplicate", f"{label.annotator} gave this answer before")], None
            detail = f"{label.annotator} changed it to {label.label!r} before it was learned"
            settled.append(_settle(before, "replaced", detail))
            del held.votes[label.annotator]  # the new answer counts as given now
        held.votes[label.annotator] = vote
        agreed = self._agreed({who: v.label.label for who, v in held.votes.items()}, held.query)
        if agreed is not None:
            example = _example(held, agreed, self.weigh)
            return settled + self._close(label.event_id, "answered", "", agreed, example_number), example
        if len(held.votes) >= self.rules.max_answers:
            detail = f"{len(held.votes)} answers and no {self.rules.agreement} agreement"
            return settled + self._close(label.event_id, "disputed", detail), None
        self._note(held)
        detail = f"{len(held.votes)} of {max(self.rules.quorum, len(held.votes) + 1)} answers"
        return [*settled, _settle(vote, "waiting", detail)], None

    def _check(self, held: OpenQuery, vote: Vote) -> list[Settled]:
        """Compare an answer to a gold question with what is known."""
        event_id, who, said = held.query.event_id, vote.label.annotator, vote.label.label
        assert self.people is not None
        assert said is not None
        if who in held.votes:
            return [_settle(vote, "duplicate", f"{who} has answered this before")]
        truth = self.gold.truths[event_id]
        self.people.compare({who: said}, truth)
        held.votes[who] = vote
        detail = f"{who} is right" if _same(said, truth) else f"{who} says {said!r}; it is {truth!r}"
        settled = [_settle(vote, "gold", detail)]
        if len(held.votes) >= self.rules.quorum:
            held.votes.clear()  # they are settled
            return settled + self._close(event_id, "checked", "")
        self._note(held)
        return settled

    def _abstain(self, held: OpenQuery, vote: Vote) -> list[Settled]:
        annotator = vote.label.annotator
        if annotator in held.abstained:
            return [_settle(vote, "duplicate", f"{annotator} abstained before")]
        held.abstained.append(annotator)
        settled = [_settle(vote, "abstained", f"{annotator}: {vote.label.abstain}")]
        if annotator in held.votes:
            settled.append(_settle(held.votes.pop(annotator), "replaced", f"{annotator} took it back"))
        if len(held.abstained) >= self.rules.max_abstentions:
            detail = f"{len(held.abstained)} annotators could not say"
            return settled + self._close(held.query.event_id, "unanswerable", detail)
        self._note(held)
        return settled

    def answers(self, event_id: str) -> dict[str, ClassLabel | None]:
        """Return who answered what to a closed query, as far as it is remembered; None is taken back."""
        closed = self._closed.get(event_id)
        return {} if closed is None else dict(closed.answers)

    def override(self, event_id: str, label: ClassLabel | None) -> None:
        """Take note that an example was amended, or erased, by decision: nobody's answer changes that again."""
        closed = self._closed.get(event_id)
        if closed is not None and closed.state.status in ("answered", "erased"):
            self._reopen(event_id, closed, {}, label)

    def _too_late(self, vote: Vote) -> tuple[Settled, Amendment | None]:
        label = vote.label
        closed = self._closed.get(label.event_id)
        if closed is None:
            detail = (
                "no query of this event is known: it was never asked about, or so long ago that it was "
                "forgotten; check the event_id"
            )
            return _settle(vote, "unknown-event", detail), None
        status, example = closed.state.status, closed.state.example
        if label.annotator in closed.answers and status in ("answered", "erased"):
            return self._again(vote, closed)
        if status != "answered":
            return _settle(vote, "late", f"the query is {status}"), None
        return _settle(vote, "already-answered", f"{_named(example)} was learned from others' answers"), None

    def _again(self, vote: Vote, closed: _Closed) -> tuple[Settled, Amendment | None]:
        """Take another answer of somebody whose answer counted when the query was closed."""
        label, example = vote.label, _named(closed.state.example)
        who, new, old = label.annotator, label.label, closed.answers[label.annotator]
        if _same(old, new):
            detail = f"{who} gave this answer before ({example})"
            return _settle(vote, "duplicate", detail), None
        had = "had taken it back" if old is None else f"had said {old!r}"
        change = f"{who} {had}, and " + ("took it back" if new is None else f"says {new!r} now")
        before = self._agreed(closed.answers)
        answers = {name: answer for name, answer in closed.answers.items() if name != who} | {who: new}
        if not self.amends or (before is None and closed.state.status == "answered"):
            # The latter: who did not agree is not known any more, so neither is what they agree on now.
            return _settle(vote, "correction-after-learning", f"{example} was learned; {change}"), None
        after = self._agreed(answers)
        self._reopen(label.event_id, closed, answers, after)
        if not _same(before, after):
            amended = f"{example} is erased" if after is None else f"{example} is {after!r} now"
            amendment = Amendment(
                event_id=label.event_id,
                amends=closed.state.example,
                label=after,
                why=change,
                by=who,
                timestamp=label.timestamp,
            )
            return _settle(vote, "amendment", amended), amendment
        if after is None:
            return _settle(vote, "no-agreement", f"{change}; {example} stays erased"), None
        outcome = "abstained" if new is None else "already-answered" if _same(new, after) else "outvoted"
        return _settle(vote, outcome, f"{change}; the agreement stays {after!r}"), None

    def _agreed(
        self, answers: dict[str, ClassLabel | None], query: QueryRow | None = None
    ) -> ClassLabel | None:
        """Return the class agreed on, if there is one; without a query no second opinion is asked for."""
        votes = {who: answer for who, answer in answers.items() if answer is not None}
        labels = list(votes.values())
        needed = self.rules.quorum
        if query is not None and query.predicted is not None:
            chance = query.probabilities.get(class_text(query.predicted), 0.0)
            needed = self.rules.needed(labels, query.predicted, chance)
        if len(votes) < needed:
            return None
        if self.people is None or self.rules.agreement != "weighted":
            return self.rules.agreed(labels)
        return self.people.agreed(votes, self.rules.sure)

    def _reopen(
        self, event_id: str, closed: _Closed, answers: dict[str, ClassLabel | None], agreed: ClassLabel | None
    ) -> None:
        """Put other answers in the place of those of a closed query."""
        state = closed.state._replace(status="erased" if agreed is None else "answered")
        self._closed[event_id] = _Closed(state, answers)
        if self.keep_changes:
            # What is empty stays as the store has it, unless it is in the same batch that it was closed.
            written = self._changed.get(event_id, state)
            self._changed[event_id] = written._replace(status=state.status, votes=_written(answers))

    def _close(
        self,
        event_id: str,
        status: str,
        detail: str,
        agreed: ClassLabel | None = None,
        example: int | None = None,
    ) -> list[Settled]:
        held = self._open.pop(event_id)
        settled = []
        outcome = {"disputed": "no-agreement", "unanswerable": "no-agreement"}.get(status, status)
        for vote in held.votes.values():
            if agreed is None:
                settled.append(_settle(vote, outcome, detail))
            elif _same(vote.label.label, agreed):
                settled.append(_settle(vote, "example", _named(example)))
            else:
                settled.append(_settle(vote, "outvoted", f"the others agreed on {agreed!r}"))
        # Where answers are known, trust rests on these alone: what people say of each other a crowd of liars decides.
        if self.people is not None and not self.gold.questions and status in ("answered", "disputed"):
            votes = {who: v.label.label for who, v in held.votes.items() if v.label.label is not None}
            self.people.compare(votes)
        self._closings += 1
        utility, asked, clock = held.utility, held.query.event_number, _iso(held.clock)
        state = QueryState(event_id, status, utility, asked, "", "", "", clock, example, self._closings)
        self._closed[event_id] = _Closed(state, {name: vote.label.label for name, vote in held.votes.items()})
        if len(self._closed) > self.rules.remember:
            self._closed.popitem(last=False)
        if self.keep_changes:
            self._changed[event_id] = held.state(status, example, self._closings)
        if self._on_close is not None:
            self._on_close(event_id, agreed)
        return settled

    # ── state ────────────────────────────────────────────────────────────────────────────────────

    def _note(self, held: OpenQuery) -> None:
        if self.keep_changes:
            self._changed[held.query.event_id] = held.state()

    def take_changes(self) -> list[QueryState]:
        """Return the queries changed since the last call, as they are now."""
        changed = list(self._changed.values())
        self._changed = {}
        return changed

    def committed(self) -> None:
        """Take note that the store has all the changes that were taken."""
        self._open.committed()

    @property
    def clock(self) -> str | None:
        """The newest event timestamp seen, ISO-8601; only kept while queries expire by time."""
        return _iso(self._clock)

    @property
    def memory(self) -> str | None:
        """What the desk knows besides its queries, as JSON; None while there is nothing."""
        people = None if self.people is None else self.people.dump()
        turn = self._turn if self._turn >= 0 else None
        known = {"turn": turn, "people": people, "gold": self.gold_asked or None}
        kept = {name: value for name, value in known.items() if value is not None}
        return json.dumps(kept) if kept else None

    def dump(self) -> Iterator[QueryState]:
        """Yield every query, the open ones in the order they were asked, then the closed in theirs."""
        for held in self._open:
            yield held.state()
        for closed in self._closed.values():
            yield closed.state._replace(votes=_written(closed.answers), abstained="[]")

    def load(self, states: Iterable[QueryState], clock: str | None = None, memory: str | None = None) -> None:
        """Take over what `dump` gave, or the newest that `take_changes` gave of each query, in any order.

        Of a store that keeps the open queries only the closed ones.
        """
        self._open, self._closed, self._changed, self._closings = self._stored(), OrderedDict(), {}, 0
        self._clock = None if clock is None else datetime.fromisoformat(clock)
        asked, closed = array("q"), []
        for state in states:
            if state.closed is None:
                self._open.add(OpenQuery.of(state))
                asked.append(
                    2 * state.asked + (state.event_id in self.gold.truths)
                )  # which are asked together
            else:
                closed.append(state)
        if any(later < earlier for earlier, later in pairwise(asked)):
            unordered, self._open = self._open, self._stored()
            for _, event_id in sorted(zip(asked, list(unordered.events()), strict=True), key=itemgetter(0)):
                self._open.add(unordered.pop(event_id))
        for state in sorted(closed, key=lambda state: (state.closed, state.asked)):
            answers = {label["annotator"]: label["label"] for _, label, _ in decode_json(state.votes)}
            self._closed[state.event_id] = _Closed(state._replace(query="", votes="", abstained=""), answers)
            self._closings = state.closed or 0
            if len(self._closed) > self.rules.remember:
                self._closed.popitem(last=False)
        self._remember({} if memory is None else json.loads(memory))

    def _remember(self, known: dict[str, Any]) -> None:
        """Take over what `memory` gave."""
        self._turn, self._turn_serial = int(known.get("turn", -1)), 0
        if self._turn >= 0:
            self._turn_serial = self._open.serial_at(self._turn)
        if self.people is not None:
            self.people = Reliability.load(known.get("people"))
        self.gold_asked = int(known.get("gold", 0))


def _example(held: OpenQuery, agreed: ClassLabel, weigh: Weigher | None) -> Example:
    query = held.query
    agreeing = [vote.label for vote in held.votes.values() if _same(vote.label.label, agreed)]
    times = [label.timestamp for label in agreeing if label.timestamp is not None]
    return Example(
        event_id=query.event_id,
        features=query.features,
        label=agreed,
        weight=1.0 if weigh is None else weigh(query.propensity, query.reason),
        propensity=query.propensity,
        predicted=query.predicted,
        confidence=None if query.predicted is None else query.probabilities.get(class_text(query.predicted)),
        annotators=tuple(label.annotator for label in agreeing),
        asked_at=query.asked_at,
        labelled_at=max(times, default=None),
    )


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _written(answers: dict[str, ClassLabel | None]) -> str:
    """Return the answers to a closed query as `QueryState.votes`."""
    return json.dumps([[0, {"event_id": "", "label": a, "annotator": who}, ""] for who, a in answers.items()])


def _named(example: int | None) -> str:
    return "an example" if example is None else f"example {example}"


def _settle(vote: Vote, outcome: str, detail: str) -> Settled:
    return Settled(vote.number, outcome, detail, vote.label, vote.position)


def _same(one: ClassLabel | None, other: ClassLabel | None) -> bool:
    """Tell whether two labels are the same: equal and of one type (``1``, ``True`` and ``"1"`` are not)."""
    return type(one) is type(other) and one == other
