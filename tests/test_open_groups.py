"""Near-duplicates of an open query: who joins, what one answer teaches, and how it is withdrawn."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import linear_model, naive_bayes, preprocessing, tree
from streams import offline_digest

from stream_al import (
    ActiveLearner,
    Amendment,
    DeskRules,
    Event,
    Example,
    Label,
    ListedLog,
    Model,
    ModelError,
)
from stream_al.codec import EventRow
from stream_al.draws import Draws
from stream_al.following import withdrawals
from stream_al.gold import Gold, GoldQuestion
from stream_al.groups import GroupRules, Groups, MemberState
from stream_al.learner import Taught
from stream_al.strategies import Decision, Random

RULES = GroupRules(within=0.05, check=0.0)


def model() -> Model:
    return Model(
        preprocessing.StandardScaler() | tree.HoeffdingTreeClassifier(grace_period=5), checkpoint_every=4
    )


class Pipeline:
    """A learner that asks about everything, with a log; ten far queries are open, so that there is a scale."""

    def __init__(
        self, rules: GroupRules = RULES, *, desk: DeskRules | None = None, ready: bool = True
    ) -> None:
        self.log = ListedLog()
        self.learner = ActiveLearner(model(), Random(1.0), rules=desk, log=self.log, groups=rules)
        self.groups: Groups = self.learner.groups  # type: ignore[assignment]
        if ready:
            for number in range(10):
                self.see(f"far{number}", 10.0 * number)

    def see(self, name: str, x: float) -> str:
        return self.learner.process(Event(id=name, features={"x": x, "y": -x})).prediction.reason

    def say(self, name: str, label: str | None, who: str = "ann", *, only_this: bool = False) -> Taught:
        answer = {"label": label} if label is not None else {"abstain": "skip"}
        return self.take(
            self.learner.teach(Label(event_id=name, annotator=who, only_this=only_this, **answer))
        )

    def amend(self, name: str, label: str | None) -> Taught:
        return self.take(self.learner.amend(Amendment(event_id=name, label=label, why="looked again")))

    def take(self, taught: Taught) -> Taught:
        self.log += taught.records
        assert self.learner.model.version == len(self.log)
        return taught

    def never_saw(self) -> str:
        """The digest of a model that folded the log as it is amended, in one go."""
        return offline_digest(self.log, model())

    def stands(self) -> dict[str, object]:
        """What the log has of each event."""
        found: dict[str, object] = {}
        for record in self.log:
            found[record.event_id] = record.label  # type: ignore[union-attr]
        return found


def test_a_near_duplicate_joins_the_open_query_and_learns_from_its_answer() -> None:
    pipeline = Pipeline()
    assert pipeline.see("near", 30.2) == "grouped"
    assert pipeline.see("between", 35.0) == "random"
    assert pipeline.groups.size("far3") == 1
    taught = pipeline.say("far3", "ham")
    assert [(r.event_id, r.label) for r in taught.records] == [("far3", "ham"), ("near", "ham")]  # type: ignore[union-attr]
    (example,) = taught.followers
    assert isinstance(example, Example)
    assert (example.weight, example.propagated_from, example.annotators) == (0.5, "far3", ())
    assert example.features == {"x": 30.2, "y": -30.2}
    assert pipeline.learner.model.digest() == pipeline.never_saw()


def test_what_waits_is_neither_asked_nor_in_the_budget_nor_in_the_accuracy() -> None:
    pipeline = Pipeline()
    state = pipeline.learner.state
    processed = pipeline.learner.process(Event(id="near", features={"x": 30.2, "y": -30.2}))
    assert processed.query is None
    assert not processed.prediction.queried
    assert pipeline.learner.state == state
    assert len(pipeline.learner.desk) == 10
    assert pipeline.see("near", 50.0) == "already-asked"
    pipeline.say("far3", "ham")
    assert pipeline.say("near", "spam").outcome == "unknown-event"
    assert pipeline.learner.accuracy is not None
    assert '"near"' not in pipeline.learner.accuracy.dump()
    assert '"far4"' in pipeline.learner.accuracy.dump()


def test_nothing_is_near_before_there_is_a_scale() -> None:
    pipeline = Pipeline(ready=False)
    for number in range(9):
        assert pipeline.see(f"e{number}", float(number)) == "random"
    assert pipeline.see("same", 8.0) == "random"
    assert pipeline.see("now", 8.0) == "grouped"


def test_groups_are_bounded_in_size_and_number() -> None:
    pipeline = Pipeline(GroupRules(within=0.05, most=2, groups=12, check=0.0))
    reasons = [pipeline.see(f"near{number}", 30.0 + number / 100) for number in range(4)]
    assert reasons == ["grouped", "grouped", "random", "grouped"]  # the third opens the next group
    assert (pipeline.groups.size("far3"), pipeline.groups.size("near2")) == (2, 1)
    assert pipeline.see("last", 1000.0) == "random"
    assert pipeline.see("one-more", 2000.0) == "random"
    assert pipeline.see("like-it", 2000.0) == "random"  # the thirteenth query has no group


@pytest.mark.parametrize("close", ["expired", "withdrawn", "unanswerable", "disputed"])
def test_without_an_answer_nothing_is_propagated(close: str) -> None:
    rules = DeskRules(expire_after_events=20, max_abstentions=1, quorum=2, max_answers=2)
    pipeline = Pipeline(desk=rules)
    pipeline.see("near", 0.1)
    if close == "expired":
        for number in range(30):
            pipeline.see(f"later{number}", 1000.0 + 50 * number)
    elif close == "withdrawn":
        pipeline.learner.desk.withdraw("far0", "test")
    elif close == "unanswerable":
        pipeline.say("far0", None)
    else:
        pipeline.say("far0", "ham", "a")
        pipeline.say("far0", "spam", "b")
    assert not pipeline.learner.desk.is_open("far0")
    assert not pipeline.groups.waits("near")
    assert not pipeline.log
    assert pipeline.see("near", 0.1) != "already-asked"  # it can be asked about now


def test_a_split_group_teaches_only_the_record_on_the_card() -> None:
    pipeline = Pipeline()
    pipeline.see("near", 30.2)
    assert pipeline.say("far3", None, only_this=True).outcome == "abstained"
    assert pipeline.groups.size("far3") == 0
    assert pipeline.see("nearer", 30.1) == "random"  # a split group takes nobody in
    pipeline = Pipeline()
    pipeline.see("near", 30.2)
    assert pipeline.say("far3", "ham", only_this=True).followers == ()
    assert pipeline.stands() == {"far3": "ham"}


def test_splitting_what_was_learned_withdraws_what_was_propagated() -> None:
    pipeline = Pipeline()
    for name in ("near", "nearer"):
        pipeline.see(name, 30.2)
    pipeline.say("far5", "spam")
    pipeline.say("far3", "ham")
    taught = pipeline.say("far3", "ham", "bob", only_this=True)
    assert (taught.outcome, taught.detail) == ("amendment", "what was propagated from it is withdrawn")
    assert [(r.event_id, r.label) for r in taught.followers] == [("near", None), ("nearer", None)]  # type: ignore[union-attr]
    assert pipeline.learner.model.digest() == pipeline.never_saw()


def test_a_correction_of_the_representative_follows_to_the_members() -> None:
    pipeline = Pipeline()
    pipeline.see("near", 30.2)
    pipeline.say("far5", "spam")
    pipeline.say("far3", "ham")
    taught = pipeline.say("far3", "spam")
    assert [(r.event_id, r.label) for r in taught.records] == [("far3", "spam"), ("near", "spam")]  # type: ignore[union-attr]
    (follower,) = taught.followers
    assert isinstance(follower, Amendment)
    assert (follower.propagated_from, follower.by, follower.why) == (
        "far3",
        "ann",
        "follows the label of far3",
    )
    pipeline.say("far3", None)  # taken back
    assert (pipeline.stands()["far3"], pipeline.stands()["near"]) == (None, None)
    pipeline.say("far3", "ham")
    assert (pipeline.stands()["far3"], pipeline.stands()["near"]) == ("ham", "ham")
    assert pipeline.learner.model.digest() == pipeline.never_saw()


def test_an_amendment_by_decision_follows_and_one_of_a_member_stays() -> None:
    pipeline = Pipeline()
    for name in ("near", "nearer"):
        pipeline.see(name, 30.2)
    pipeline.say("far3", "ham")
    pipeline.amend("near", None)  # erased on request
    pipeline.amend("far3", "spam")
    assert pipeline.stands() == {"far3": "spam", "near": None, "nearer": "spam"}
    assert pipeline.learner.model.digest() == pipeline.never_saw()


def checked(first: str) -> Pipeline:
    """A group of one, and a near-duplicate that is asked about itself; one of them is answered, "ham"."""
    pipeline = Pipeline(GroupRules(within=0.05, check=0.5))
    draw = Draws("stream_al")
    name = next(f"check{n}" for n in range(100) if draw(f"check{n}") < 0.5)
    other = next(f"near{n}" for n in range(100) if draw(f"near{n}") >= 0.5)
    assert pipeline.see(name, 30.1) == "random"
    assert pipeline.see(other, 30.2) == "grouped"
    pipeline.say("far9", "spam")
    pipeline.say("far3" if first == "representative" else name, "ham")
    pipeline.check, pipeline.member = name, other  # type: ignore[attr-defined]
    return pipeline


def test_a_check_that_disagrees_withdraws_and_one_that_agrees_again_restores() -> None:
    pipeline = checked("representative")
    name, member = pipeline.check, pipeline.member  # type: ignore[attr-defined]
    assert pipeline.stands()[member] == "ham"
    taught = pipeline.say(name, "spam")
    assert [(r.event_id, r.label) for r in taught.records] == [(name, "spam"), (member, None)]  # type: ignore[union-attr]
    assert pipeline.learner.model.digest() == pipeline.never_saw()
    pipeline.say(name, "ham")
    assert pipeline.stands()[member] == "ham"
    assert pipeline.learner.model.digest() == pipeline.never_saw()


def test_a_check_that_was_answered_before_decides_whether_anything_is_propagated() -> None:
    pipeline = checked("check")
    assert pipeline.say("far3", "spam").followers == ()
    pipeline = checked("check")
    assert len(pipeline.say("far3", "ham").followers) == 1


def test_a_member_that_is_asked_later_speaks_for_itself() -> None:
    pipeline = Pipeline()
    for name in ("near", "nearer"):
        pipeline.see(name, 30.2)
    pipeline.say("far3", "ham")
    assert pipeline.see("near", 30.2) == "random"  # its group was answered long ago
    pipeline.say("near", "ham")
    assert pipeline.stands()["nearer"] == "ham"
    pipeline.say("near", "spam")
    assert pipeline.stands()["nearer"] is None
    own = [r for r in pipeline.log if isinstance(r, Example) and r.event_id == "near"]
    assert [r.propagated_from for r in own] == ["far3", None]
    assert pipeline.learner.model.digest() == pipeline.never_saw()


def test_the_share_of_checks_is_the_propensity_of_every_near_duplicate() -> None:
    pipeline = Pipeline(GroupRules(within=0.05, most=10_000, check=0.3))
    found = [
        pipeline.learner.process(Event(id=f"n{n}", features={"x": 30.1, "y": -30.1})).prediction
        for n in range(400)
    ]
    assert {prediction.propensity for prediction in found} == {0.3}
    assert 90 <= sum(prediction.queried for prediction in found) <= 150
    queries = [query for query in pipeline.learner.desk.open_queries if query.event_id.startswith("n")]
    assert {query.propensity for query in queries} == {0.3}


class Careless(ActiveLearner):
    """Records of a near-duplicate the propensity that it had if it were none."""

    def _grouped(
        self, groups: Groups, row: EventRow, number: int, decision: Decision, draw: float
    ) -> tuple[str | None, str | None, float]:
        blocked, near, _ = super()._grouped(groups, row, number, decision, draw)
        return blocked, near, decision.propensity


def estimated(kind: type[ActiveLearner], seed: int, events: int = 700) -> tuple[bool, float]:
    """Whether the interval covers the truth, and the error of the estimate, where near-duplicates are mostly wrong."""
    rng = random.Random(seed)
    learner = kind(
        preprocessing.StandardScaler() | linear_model.LogisticRegression(),
        Random(0.5),
        rules=DeskRules(max_open=40),
        key=f"seed {seed}",
        log=(log := ListedLog()),
        groups=GroupRules(within=0.2, check=0.25, most=1000),
    )
    right = 0
    waiting: list[tuple[str, str]] = []

    def answer(open_at_most: int) -> None:
        while len(waiting) > open_at_most:
            name, label = waiting.pop(0)
            log.extend(learner.teach(Label(event_id=name, label=label)).records)

    for number in range(events):
        crowd = rng.random() < 0.6
        x = round(rng.gauss(0, 0.01), 4) if crowd else rng.gauss(0, 3)
        prediction, query, _ = learner.process(Event(id=f"e{number}", features={"x": x}))
        hostile = "in" if (prediction.label == "out") == (rng.random() < 0.9) else "out"
        truth = hostile if crowd else "in" if x > 0 else "out"
        right += prediction.label == truth
        if query:
            waiting.append((query.event_id, truth))
        answer(30)
    answer(0)
    assert learner.accuracy is not None
    found = learner.accuracy.whole(events).estimate()
    assert found.accuracy is not None
    return found.low < right / events < found.high, found.accuracy - right / events


def test_the_accuracy_is_estimated_as_well_where_most_of_what_is_wrong_is_grouped() -> None:
    found = [estimated(ActiveLearner, seed) for seed in range(5)]
    assert all(covered for covered, _ in found)
    assert abs(sum(error for _, error in found)) / 5 < 0.03
    careless = [estimated(Careless, seed) for seed in range(5)]
    assert not any(covered for covered, _ in careless)


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 4), st.integers(0, 25), st.sampled_from(["ham", "spam", None]), st.booleans()
        ),
        min_size=5,
        max_size=40,
    )
)
def test_whatever_is_said_in_whatever_order_the_model_is_the_fold_of_the_log(
    steps: list[tuple[int, int, str | None, bool]],
) -> None:
    pipeline = Pipeline(GroupRules(within=0.1, most=3, check=0.4))
    for place, (what, number, label, only_this) in enumerate(steps):
        if what == 0:
            pipeline.see(f"e{number}", 10.0 * (number % 4) + number / 50)
        elif what == 4 and pipeline.log:
            pipeline.amend(f"e{number}" if place % 2 else f"far{number % 10}", label)
        else:
            pipeline.see(f"e{place + 30}", 10.0 * (place % 4) + 0.01)
            pipeline.say(
                f"far{number % 4}" if what < 3 else f"e{number + 10}",
                label,
                only_this=only_this and what == 2,
            )
    assert pipeline.learner.model.digest() == pipeline.never_saw()
    again = Pipeline(GroupRules(within=0.1, most=3, check=0.4), ready=False)
    again.log += pipeline.log
    again.learner.restore(pipeline.learner.snapshot())
    assert list(again.groups.dump()) == sorted(
        pipeline.groups.dump(), key=lambda row: (row.joined, row.event_id)
    )
    for one in (pipeline, again):
        for number in range(5):
            one.see(f"z{number}", 10.0 * number + 0.02)
            one.say(f"far{number}", "spam")
    assert pipeline.log == again.log
    assert pipeline.learner.model.digest() == again.learner.model.digest()


def test_a_gold_question_stands_for_nobody_also_after_a_restart() -> None:
    gold = Gold([GoldQuestion(f"g{n}", {"x": 1000.0 + n, "y": 0.0}, "ham") for n in range(9)], share=0.5)

    def fresh() -> ActiveLearner:
        return ActiveLearner(model(), Random(1.0), groups=RULES, gold=gold)

    learner, again = fresh(), fresh()
    for number in range(12):
        learner.process(Event(id=f"far{number}", features={"x": 10.0 * number, "y": 0.0}))
    assert learner.desk.is_open("g0")
    again.restore(learner.snapshot())
    like_gold = Event(id="like", features={"x": 1000.0, "y": 0.0})
    assert [one.process(like_gold).prediction.reason for one in (learner, again)] == ["random", "random"]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (lambda: GroupRules(within=0.0), "within"),
        (lambda: GroupRules(within=float("nan")), "within"),
        (lambda: GroupRules(within=0.2, weight=0.0), "weight"),
        (lambda: GroupRules(within=0.05, most=0), "most"),
        (lambda: GroupRules(within=0.2, groups=0), "groups"),
        (lambda: GroupRules(within=0.05, check=1.5), "check"),
        (lambda: ActiveLearner(naive_bayes.GaussianNB(), groups=RULES), "does not learn with weights"),
    ],
)
def test_what_cannot_be_is_refused_by_name(wrong: Callable[[], object], named: str) -> None:
    with pytest.raises((ValueError, ModelError), match=named):
        wrong()


def test_withdrawals_are_none_where_all_agree() -> None:
    log = ListedLog(
        [
            Example(event_id="e1", features={"x": 1.0}, label="ham"),
            Example(event_id="e2", features={"x": 1.0}, label="ham", weight=0.5, propagated_from="e1"),
        ]
    )
    assert withdrawals("e1", [MemberState("e2", "e1", "taught", 1, "")], log) == []
