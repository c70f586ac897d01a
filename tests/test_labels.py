"""The label desk against a slow and obvious model of it, and its rules one by one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from stream_al.desk_rules import AGREEMENTS, CORRECTIONS, WHEN_FULL, DeskRules
from stream_al.labels import OUTCOMES, LabelDesk, Settled
from stream_al.query_state import QueryState
from stream_al.records import Amendment, Example, Label, Query

START = datetime(2026, 1, 31, tzinfo=UTC)
EVENTS = [f"e{number}" for number in range(8)]
ANNOTATORS = ["ann", "bob", "cyd", "dan"]
CLASSES = ["x", "y", 1, True, "1"]


def query(event_id: str, number: int = 0, utility: float = 0.5, asked_at: datetime | None = None) -> Query:
    return Query(
        event_id=event_id,
        features={"a": number, "b": 0.1, "c": "text"},
        predicted="x",
        probabilities={"x": 0.6, "y": 0.4},
        utility=utility,
        threshold=None,
        propensity=0.25,
        reason="uncertain",
        model_version=3,
        event_number=number,
        asked_at=asked_at,
    )


def answer(event_id: str, label: object, annotator: str = "ann") -> Label:
    if label in ("unsure", "skip"):
        return Label(event_id=event_id, abstain=label, annotator=annotator)  # type: ignore[arg-type]
    return Label(event_id=event_id, label=label, annotator=annotator)  # type: ignore[arg-type]


class Obvious:
    """The rules of the desk, written to be read: everything is recomputed from lists."""

    def __init__(self, rules: DeskRules) -> None:
        self.rules = rules
        self.open: list[dict[str, Any]] = []
        self.closed: list[dict[str, Any]] = []
        self.now: datetime | None = None
        self.outcomes: dict[int, list[str]] = {}

    def find(self, where: list[dict[str, Any]], event_id: str) -> dict[str, Any] | None:
        return next((held for held in where if held["id"] == event_id), None)

    def blocks(self, event_id: str, utility: float) -> str | None:
        if self.find(self.open, event_id) or self.find(self.closed, event_id):
            return "already-asked"
        if len(self.open) < self.rules.max_open:
            return None
        least = min(held["utility"] for held in self.open)
        return None if self.rules.when_full == "withdraw-least" and utility > least else "queue-full"

    def ask(self, event_id: str, number: int, utility: float) -> None:
        if len(self.open) >= self.rules.max_open:
            least = min(held["utility"] for held in self.open)
            self.close(next(held for held in self.open if held["utility"] == least), "withdrawn", "withdrawn")
        self.open.append(
            {
                "id": event_id,
                "number": number,
                "utility": utility,
                "since": self.now,
                "votes": {},
                "abstained": [],
            }
        )

    def advance(self, number: int, moment: datetime | None) -> None:
        if moment is not None:
            self.now = moment if self.now is None else max(self.now, moment)
            for held in self.open:
                held["since"] = held["since"] or self.now
        for held in list(self.open):
            by_number, by_time = self.rules.expire_after_events, self.rules.expire_after
            if (by_number is not None and number - held["number"] > by_number) or (
                by_time is not None and held["since"] is not None and self.now - held["since"] > by_time
            ):
                self.close(held, "expired", "expired")

    def close(self, held: dict[str, Any], status: str, outcome: str, agreed: object = None) -> None:
        self.open.remove(held)
        for number, label in held["votes"].values():
            if status == "answered":
                outcome = "example" if (type(label), label) == (type(agreed), agreed) else "outvoted"
            self.outcomes[number].append(outcome)
        self.closed.append({**held, "status": status})
        self.closed = self.closed[-self.rules.remember :] if self.rules.remember else []

    def submit(self, number: int, event_id: str, label: object, who: str) -> object:
        """Settle a label; return the class agreed on, if that is now."""
        told = self.outcomes[number] = []
        held = self.find(self.open, event_id)
        if held is None:
            outcome, after = self.late(event_id, label, who)
            told.append(outcome)
            return after
        before = held["votes"].get(who)
        if label in ("unsure", "skip"):
            if who in held["abstained"]:
                told.append("duplicate")
                return None
            told.append("abstained")
            held["abstained"].append(who)
            if before:
                self.outcomes[before[0]].append("replaced")
                del held["votes"][who]
            if len(held["abstained"]) >= self.rules.max_abstentions:
                self.close(held, "unanswerable", "no-agreement")
            return None
        if who in held["abstained"]:
            held["abstained"].remove(who)
        if before and (type(before[1]), before[1]) == (type(label), label):
            told.append("duplicate")
            return None
        if before:
            self.outcomes[before[0]].append("replaced")
            del held["votes"][who]
        held["votes"][who] = (number, label)
        agreed = self.agreed([vote for _, vote in held["votes"].values()])
        if agreed is not None:
            self.close(held, "answered", "", agreed)
        elif len(held["votes"]) >= self.rules.max_answers:
            self.close(held, "disputed", "no-agreement")
        else:
            told.append("waiting")
        return agreed

    def late(self, event_id: str, label: object, who: str) -> tuple[str, object]:
        """Return the outcome of a label that comes too late, and what the event's example is amended to."""
        closed = self.find(self.closed, event_id)
        if closed is None:
            return "unknown-event", None
        if closed["status"] not in ("answered", "erased") or (
            who not in closed["votes"] and closed["status"] == "erased"
        ):
            return "late", None
        if who not in closed["votes"]:
            return "already-answered", None
        says, said = None if label in ("unsure", "skip") else label, closed["votes"][who][1]
        if (type(said), said) == (type(says), says):
            return "duplicate", None
        if self.rules.corrections == "dead-letter":
            return "correction-after-learning", None
        before = self.agreed([vote for _, vote in closed["votes"].values() if vote is not None])
        closed["votes"][who] = 0, says
        after = self.agreed([vote for _, vote in closed["votes"].values() if vote is not None])
        closed["status"] = "erased" if after is None else "answered"
        if (type(before), before) != (type(after), after):
            return "amendment", ERASED if after is None else after
        if after is None:
            return "no-agreement", None
        if says is None:
            return "abstained", None
        return "already-answered" if (type(says), says) == (type(after), after) else "outvoted", None

    def agreed(self, votes: list[Any]) -> Any:
        if len(votes) < self.rules.quorum:
            return None
        counts = Counter((type(vote), vote) for vote in votes)
        best = max(counts.values())
        leaders = [vote for (_, vote), count in counts.items() if count == best]
        enough = {
            "majority": best * 2 > len(votes),
            "unanimous": len(counts) == 1,
            "plurality": len(leaders) == 1,
        }[self.rules.agreement]
        return leaders[0] if enough else None


ERASED = object()


class Desk(RuleBasedStateMachine):
    """Asks, answers and time in any order; now and then the desk is carried to another process."""

    @initialize(
        quorum=st.integers(1, 3),
        more=st.integers(0, 2),
        agreement=st.sampled_from(
            [name for name in AGREEMENTS if name != "weighted"]
        ),  # see test_reliability
        abstentions=st.integers(1, 3),
        seconds=st.none() | st.integers(1, 30),
        events=st.none() | st.integers(1, 12),
        max_open=st.integers(1, 4),
        when_full=st.sampled_from(WHEN_FULL),
        remember=st.integers(0, 5),
        corrections=st.sampled_from(CORRECTIONS),
    )
    def begin(
        self,
        quorum: int,
        more: int,
        agreement: str,
        abstentions: int,
        seconds: int | None,
        events: int | None,
        max_open: int,
        when_full: str,
        remember: int,
        corrections: str,
    ) -> None:
        self.rules = DeskRules(
            quorum,
            agreement,
            quorum + more,
            abstentions,
            None if seconds is None else timedelta(seconds=seconds),
            events,
            max_open,
            when_full,
            remember,
            corrections,
        )
        self.desk = LabelDesk(self.rules)
        self.model = Obvious(self.rules)
        self.stored: dict[str, QueryState] = {}
        self.told: dict[int, list[str]] = {}
        self.sent: dict[int, Label] = {}
        self.number = self.labels = self.examples = 0
        self.moment: datetime | None = None
        self.learned: list[str] = []
        self.numbers: dict[str, int] = {}

    def note(self, settled: Iterable[Settled]) -> None:
        for number, outcome, detail, label, position in settled:
            assert detail
            assert label == self.sent[number]
            assert position == f"at {number}"
            self.told[number].append(outcome)

    @rule(event_id=st.sampled_from(EVENTS), utility=st.sampled_from([0.0, 0.2, 0.5, 0.5, 0.9]))
    def ask(self, event_id: str, utility: float) -> None:
        self.number += 1
        blocked = self.desk.blocks(event_id, utility)
        assert blocked == self.model.blocks(event_id, utility)
        if blocked is None:
            self.learned = [known for known in self.learned if known != event_id]  # it had been forgotten
            self.model.ask(event_id, self.number, utility)
            self.note(self.desk.ask(query(event_id, self.number, utility, self.moment)))

    @precondition(lambda self: self.desk.expires)
    @rule(events=st.integers(0, 6), seconds=st.none() | st.integers(-5, 20))
    def let_time_pass(self, events: int, seconds: int | None) -> None:
        self.number += events
        if seconds is not None:
            self.moment = (self.moment or START) + timedelta(seconds=seconds)
        self.model.advance(self.number, None if seconds is None else self.moment)
        self.note(self.desk.advance(self.number, None if seconds is None else self.moment))

    @rule(
        event_id=st.sampled_from([*EVENTS, "never asked"]),
        label=st.sampled_from([*CLASSES, "x", "x", "y", "unsure", "skip"]),
        who=st.sampled_from(ANNOTATORS),
    )
    def submit(self, event_id: str, label: object, who: str) -> None:
        number = self.labels
        self.labels += 1
        given = self.sent[number] = answer(event_id, label, who)
        self.told[number] = []
        agreed = self.model.submit(number, event_id, label, who)
        settled, record = self.desk.submit(number, given, f"at {number}", self.examples)
        self.note(settled)
        assert (record is None) == (agreed is None)
        if isinstance(record, Example):
            self.check_example(record, event_id, agreed)
        elif record is not None:
            self.check_amendment(record, event_id, None if agreed is ERASED else agreed)

    @precondition(lambda self: len(self.desk) > 0)
    @rule(data=st.data(), label=st.sampled_from([*CLASSES, "x", "unsure"]), who=st.sampled_from(ANNOTATORS))
    def submit_to_an_open_query(self, data: st.DataObject, label: object, who: str) -> None:
        event_id = data.draw(st.sampled_from([held.event_id for held in self.desk.open_queries]))
        self.submit(event_id, label, who)

    def check_example(self, example: Example, event_id: str, agreed: object) -> None:
        assert example.event_id == event_id
        assert (type(example.label), example.label) == (type(agreed), agreed)
        assert (example.propensity, example.predicted) == (0.25, "x")
        assert example.annotators
        assert event_id not in self.learned, "learned twice while remembered"
        self.numbers[event_id] = self.examples
        self.examples += 1
        if self.rules.remember:
            self.learned.append(event_id)

    def check_amendment(self, amendment: Amendment, event_id: str, agreed: object) -> None:
        assert amendment.event_id == event_id
        assert (type(amendment.label), amendment.label) == (type(agreed), agreed)
        assert amendment.amends == self.numbers[event_id]
        assert amendment.by in amendment.why

    @rule(event_id=st.sampled_from(EVENTS), label=st.none() | st.sampled_from(CLASSES))
    def override(self, event_id: str, label: Any) -> None:
        self.desk.override(event_id, label)
        closed = self.model.find(self.model.closed, event_id)
        if closed is not None and closed["status"] in ("answered", "erased"):
            closed.update(votes={}, status="erased" if label is None else "answered")

    @precondition(lambda self: len(self.desk) > 0)
    @rule(data=st.data(), utility=st.sampled_from([0.0, 0.2, 0.5, 0.9]))
    def score_again(self, data: st.DataObject, utility: float) -> None:
        event_id = data.draw(st.sampled_from([held.event_id for held in self.desk.open_queries]))
        held = self.model.find(self.model.open, event_id)
        assert held is not None
        held["utility"] = utility
        self.desk.revalue(event_id, utility)
        assert self.desk.untouched(event_id) == (not held["votes"] and not held["abstained"])

    @rule()
    def carry_over_by_dump(self) -> None:
        states = [QueryState(*json.loads(json.dumps(state))) for state in self.desk.dump()]
        clock = self.desk.clock
        self.desk = LabelDesk(self.rules)
        self.desk.load(states, clock)
        assert [QueryState(*state) for state in self.desk.dump()] == states
        self.stored = {state.event_id: state for state in states}

    @rule()
    def commit(self) -> None:
        for state in self.desk.take_changes():
            state = QueryState(*json.loads(json.dumps(state)))
            if not state.query:  # as a store does
                known = self.stored[state.event_id]
                state = state._replace(query=known.query, abstained=known.abstained)
            self.stored[state.event_id] = state

    @rule(shuffle=st.randoms(use_true_random=False), limited=st.booleans())
    def carry_over_by_store(self, shuffle: Any, limited: bool) -> None:
        self.commit()
        closed = sorted(
            (s for s in self.stored.values() if s.closed is not None), key=lambda s: -(s.closed or 0)
        )
        if limited:
            closed = closed[: self.rules.remember]
        states = [s for s in self.stored.values() if s.status == "open"] + closed
        shuffle.shuffle(states)
        before = list(self.desk.dump())
        clock = self.desk.clock
        self.desk = LabelDesk(self.rules)
        self.desk.load(states, clock)
        assert [s._replace(closed=None) for s in self.desk.dump()] == [
            s._replace(closed=None) for s in before
        ]

    @invariant()
    def outcomes_are_those_of_the_model(self) -> None:
        assert self.told == self.model.outcomes

    @invariant()
    def every_label_has_one_outcome_and_is_settled_once_after_waiting(self) -> None:
        for number, outcomes in self.told.items():
            assert set(outcomes) <= set(OUTCOMES)
            assert len(outcomes) == 1 or (len(outcomes) == 2 and outcomes[0] == "waiting"), (number, outcomes)
            assert outcomes[-1] != "waiting" or number in {
                n for held in self.model.open for n, _ in held["votes"].values()
            }

    @invariant()
    def memory_is_bounded(self) -> None:
        states = list(self.desk.dump())
        assert len(self.desk) == sum(state.status == "open" for state in states) <= self.rules.max_open
        assert sum(state.closed is not None for state in states) <= self.rules.remember

    @invariant()
    def open_and_closed_queries_are_those_of_the_model(self) -> None:
        assert [held.event_id for held in self.desk.open_queries] == [held["id"] for held in self.model.open]
        closed = [(s.event_id, s.status) for s in self.desk.dump() if s.closed is not None]
        assert closed == [(held["id"], held["status"]) for held in self.model.closed]
        for event_id in EVENTS:
            assert (event_id in self.desk) == (
                any(held["id"] == event_id for held in self.model.open + self.model.closed)
            )


TestDesk = Desk.TestCase
TestDesk.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)


@pytest.mark.slow
def test_the_desk_agrees_with_the_model_for_long() -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        Desk, settings=settings(max_examples=1500, stateful_step_count=80, deadline=None)
    )


# ── the rules one by one ─────────────────────────────────────────────────────────────────────────


def outcomes(desk: LabelDesk, *labels: Label) -> list[list[tuple[int, str]]]:
    return [
        [(settled.number, settled.outcome) for settled in desk.submit(number, label)[0]]
        for number, label in enumerate(labels)
    ]


def test_the_first_answer_makes_an_example_by_default() -> None:
    desk = LabelDesk()
    desk.ask(query("e", 4, asked_at=START))
    label = Label(event_id="e", label="y", annotator="ann", timestamp=START + timedelta(hours=1))
    settled, example = desk.submit(0, label, "inbox:1", 17)
    assert [(s.outcome, s.detail, s.position) for s in settled] == [("example", "example 17", "inbox:1")]
    assert example == Example(
        event_id="e",
        features={"a": 4, "b": 0.1, "c": "text"},
        label="y",
        propensity=0.25,
        predicted="x",
        confidence=0.6,
        annotators=("ann",),
        asked_at=START,
        labelled_at=START + timedelta(hours=1),
    )


def test_an_annotator_who_takes_an_answer_back_after_an_abstention_is_heard() -> None:
    desk = LabelDesk(DeskRules(quorum=2))
    desk.ask(query("e"))
    found = outcomes(
        desk, answer("e", "unsure"), answer("e", "x"), answer("e", "skip"), answer("e", "x", "bob")
    )
    assert found == [
        [(0, "abstained")],
        [(1, "waiting")],
        [(2, "abstained"), (1, "replaced")],
        [(3, "waiting")],
    ]


def test_an_annotator_who_answers_after_all_no_longer_counts_as_abstaining() -> None:
    desk = LabelDesk(DeskRules(quorum=2, max_abstentions=2))
    desk.ask(query("e"))
    outcomes(desk, answer("e", "unsure"), answer("e", "x"), answer("e", "unsure", "bob"))
    assert "e" in desk
    assert len(desk) == 1


def test_one_true_and_the_text_one_do_not_agree() -> None:
    desk = LabelDesk(DeskRules(quorum=2, max_answers=3))
    desk.ask(query("e"))
    found = outcomes(desk, answer("e", 1), answer("e", True, "bob"), answer("e", "1", "cyd"))
    assert found[-1] == [(0, "no-agreement"), (1, "no-agreement"), (2, "no-agreement")]


def test_one_and_true_are_two_answers_of_one_annotator_and_of_several() -> None:
    desk = LabelDesk(DeskRules(quorum=3))
    desk.ask(query("e"))
    found = outcomes(desk, answer("e", True), answer("e", 1), answer("e", 1, "bob"), answer("e", True, "cyd"))
    assert found[1] == [(0, "replaced"), (1, "waiting")]
    assert found[3] == [(1, "example"), (2, "example"), (3, "outvoted")]
    assert outcomes(desk, answer("e", True), answer("e", 1)) == [
        [(0, "amendment")],  # of two, one says 1, one True
        [(1, "amendment")],
    ]


def test_queries_asked_before_there_was_a_time_begin_to_age_with_the_first() -> None:
    desk = LabelDesk(DeskRules(expire_after=timedelta(minutes=1)))
    desk.ask(query("e"))
    assert desk.advance(1, START) == []
    desk.advance(2, START + timedelta(seconds=60))
    assert len(desk) == 1
    desk.advance(3, START + timedelta(seconds=61))
    assert len(desk) == 0
    assert outcomes(desk, answer("e", "x")) == [[(0, "late")]]


def test_time_does_not_run_backwards() -> None:
    desk = LabelDesk(DeskRules(expire_after=timedelta(minutes=1)))
    desk.advance(0, START)
    desk.ask(query("e"))
    desk.advance(1, START - timedelta(days=1))
    desk.ask(query("f", 1))
    desk.advance(2, START + timedelta(seconds=61))
    assert len(desk) == 0


def test_expiry_looks_at_no_more_queries_than_expire() -> None:
    desk = LabelDesk(DeskRules(expire_after=timedelta(minutes=1), max_open=10_000))
    for number in range(10_000):
        desk.ask(query(f"e{number}", number))
    looked, unpacked = [], desk._open._unpacked
    desk._open._unpacked = lambda packed: (looked.append(packed), unpacked(packed))[1]  # type: ignore[method-assign]
    for number in range(10):
        desk.advance(number, None)
    assert len(looked) == 1  # and remembered


def test_a_label_of_a_forgotten_query_is_unknown_and_it_may_be_asked_again() -> None:
    desk = LabelDesk(DeskRules(remember=1))
    for number, event_id in enumerate(["e", "f"]):
        desk.ask(query(event_id, number))
        desk.submit(number, answer(event_id, "x"))
    assert outcomes(desk, answer("e", "x"), answer("f", "x")) == [[(0, "unknown-event")], [(1, "duplicate")]]
    assert desk.blocks("e", 0.5) is None
    assert desk.blocks("f", 0.5) == "already-asked"


def test_loading_more_closed_queries_than_are_remembered_keeps_the_newest() -> None:
    many, few = LabelDesk(DeskRules(remember=10)), LabelDesk(DeskRules(remember=2))
    for number in range(6):
        many.ask(query(f"e{number}", number))
        many.submit(number, answer(f"e{number}", "x"))
    few.load(many.dump())
    assert [state.event_id for state in few.dump()] == ["e4", "e5"]


def test_the_least_useful_query_makes_way_and_of_equals_the_oldest() -> None:
    desk = LabelDesk(DeskRules(max_open=3, when_full="withdraw-least", quorum=2))
    for number, utility in enumerate([0.5, 0.2, 0.2]):
        desk.ask(query(f"e{number}", number, utility))
    desk.submit(0, answer("e1", "x"))
    assert desk.blocks("new", 0.2) == "queue-full"
    assert desk.blocks("new", 0.3) is None
    assert [(s.number, s.outcome) for s in desk.ask(query("new", 3, 0.3))] == [(0, "withdrawn")]
    assert [held.event_id for held in desk.open_queries] == ["e0", "e2", "new"]


def test_a_desk_without_a_store_keeps_no_changes() -> None:
    desk = LabelDesk(keep_changes=False)
    for number in range(100):
        desk.ask(query(f"e{number}", number))
        desk.submit(number, answer(f"e{number}", "x"))
    assert desk.take_changes() == []


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"quorum": 0}, "quorum = 0"),
        ({"quorum": 3, "max_answers": 2}, "max_answers = 2"),
        ({"agreement": "most"}, "majority, unanimous, plurality"),
        ({"when_full": "stop"}, "stop-asking, withdraw-least"),
        ({"remember": -1}, "remember = -1"),
        ({"expire_after": timedelta(0)}, "expire_after"),
        ({"expire_after_events": 0}, "expire_after_events"),
        ({"max_open": 0}, "max_open"),
        ({"withdraw_below": 1.5}, "withdraw_below = 1.5"),
        ({"rescore_every": 0}, "rescore_every = 0"),
    ],
)
def test_rules_that_make_no_sense_are_refused_by_name(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        DeskRules(**wrong)
