"""`ActiveLearner` as one object: what it answers, whom it asks, what it learns, and that it can be carried over."""

from __future__ import annotations

import random
from math import sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import linear_model, naive_bayes, preprocessing, tree

from stream_al import (
    ActiveLearner,
    Amendment,
    Budgeted,
    ColdStart,
    DeskRules,
    Event,
    Example,
    Label,
    ListedLog,
    Margin,
    Model,
    QueryStrategy,
    Random,
    RecordError,
    SnapshotError,
)
from stream_al.labels import OUTCOMES


def estimator() -> object:
    return preprocessing.StandardScaler() | linear_model.LogisticRegression()


def events(count: int, seed: int = 1) -> list[tuple[Event, str]]:
    rng = random.Random(seed)
    made = []
    for number in range(count):
        x, y = rng.gauss(0, 1), rng.gauss(0, 1)
        event = Event(id=f"e{number}", features={"x": x, "y": y, "n": number % 3})
        made.append((event, "in" if x + y > 0 else "out"))
    return made


def make(
    strategy: QueryStrategy | None = None, rules: DeskRules | None = None, key: str = "key"
) -> ActiveLearner:
    return ActiveLearner(
        Model(estimator()),  # type: ignore[arg-type]
        strategy or ColdStart(Budgeted(0.3), examples=5),
        rules=rules,
        key=key,
    )


def test_a_stream_is_learned_from_the_few_labels_that_were_asked_for() -> None:
    learner = ActiveLearner(estimator(), ColdStart(Budgeted(0.1), examples=20))  # type: ignore[arg-type]
    right = asked = 0
    for number, (event, truth) in enumerate(events(1000)):
        prediction, query, _ = learner.process(event)
        right += number >= 500 and prediction.label == truth
        if query is not None:
            asked += 1
            learner.teach(Label(event_id=query.event_id, label=truth))
    assert asked <= 130
    assert learner.model.version == asked
    assert right >= 470


# ── snapshots ────────────────────────────────────────────────────────────────────────────────────

steps = st.lists(
    st.sampled_from(["event", "event", "event", "label", "again", "stray", "undo"]), min_size=1, max_size=60
)
rule_sets = st.sampled_from(
    [
        None,
        DeskRules(quorum=2, max_open=4, when_full="withdraw-least"),
        DeskRules(expire_after_events=6, remember=3),
        DeskRules(max_open=2),
        DeskRules(withdraw_below=0.8, rescore_every=2, rescore_most=3),
    ]
)


def run(learner: ActiveLearner, plan: list[str], rng: random.Random, start: int) -> list[object]:
    """Do what the plan says, and return everything that came of it."""
    stream = events(start + len(plan) + 1)
    told: list[object] = []
    number = start
    for step in plan:
        waiting = learner.desk.open_queries
        if step == "event":
            prediction, query, settled = learner.process(stream[number][0])
            told += [prediction.to_json(), None if query is None else query.to_json(), settled]
            number += 1
        elif step == "again" and number:
            told.append(learner.process(stream[rng.randrange(number)][0]).prediction.to_json())
        elif step == "stray":
            told.append(learner.teach(Label(event_id="nobody", label="in")))
        elif waiting:
            event_id = waiting[rng.randrange(len(waiting))].event_id
            label = stream[int(event_id[1:])][1] if step == "label" else "out"
            told.append(learner.teach(Label(event_id=event_id, label=label, annotator=rng.choice("abc"))))
    return told


@settings(max_examples=40, deadline=None)
@given(steps, steps, rule_sets, st.integers(0, 3))
def test_a_learner_restored_from_a_snapshot_goes_on_exactly_as_the_other(
    before: list[str], after: list[str], rules: DeskRules | None, seed: int
) -> None:
    learner = make(rules=rules)
    run(learner, before, random.Random(seed), 0)
    snapshot = learner.snapshot()
    other = make(rules=rules)
    run(other, after[:3], random.Random(9), 0)  # whatever it did before is gone
    other.restore(snapshot)
    assert other.model.digest() == learner.model.digest()
    start = before.count("event")
    told = run(learner, after, random.Random(seed + 1), start)
    assert run(other, after, random.Random(seed + 1), start) == told
    assert (other.state, other.events, other.labels) == (learner.state, learner.events, learner.labels)
    assert other.model.digest() == learner.model.digest()
    assert list(other.desk.dump()) == list(learner.desk.dump())
    assert learner.accuracy is not None
    assert other.accuracy is not None
    assert other.accuracy.dump() == learner.accuracy.dump()


@pytest.mark.parametrize("damage", [b"", b"x", b"stream_al learner 1\n", b"stream_al learner 1\n{}\n"])
def test_what_is_no_snapshot_is_refused_and_changes_nothing(damage: bytes) -> None:
    learner = make()
    run(learner, ["event", "label"] * 10, random.Random(1), 0)
    before = learner.snapshot()
    with pytest.raises(SnapshotError):
        learner.restore(damage)
    assert learner.snapshot() == before


def test_a_snapshot_of_another_model_is_refused_and_changes_nothing() -> None:
    learner = make()
    run(learner, ["event", "label"] * 10, random.Random(1), 0)
    before = learner.snapshot()
    with pytest.raises(SnapshotError, match="another"):
        learner.restore(ActiveLearner(naive_bayes.GaussianNB()).snapshot())
    assert learner.snapshot() == before


# ── propensity ───────────────────────────────────────────────────────────────────────────────────

KEYS = 150


def shares_of(
    snapshot: bytes, event: Event, strategy: QueryStrategy, rules: DeskRules | None
) -> tuple[float, set[float]]:
    """How many of many keys ask about an event from one state, and the propensities they record."""
    asked, recorded = 0, set()
    for number in range(KEYS):
        learner = make(strategy, rules, key=f"key {number}")
        learner.restore(snapshot)
        prediction, query, _ = learner.process(event)
        assert prediction.queried == (query is not None)
        assert query is None or query.propensity == prediction.propensity
        asked += prediction.queried
        recorded.add(prediction.propensity)
    return asked / KEYS, recorded


@pytest.mark.parametrize(
    ("strategy", "rules", "blocked"),
    [
        (ColdStart(Budgeted(0.3, explore=0.2), examples=5), None, False),
        (ColdStart(Margin(0.3, explore=0.4), examples=5), None, False),
        (ColdStart(Budgeted(0.3), examples=500, rule="random", share=0.3), None, False),
        (Random(0.5), None, False),
        (Random(0.9), DeskRules(max_open=1, quorum=2), True),
    ],
    ids=["budgeted", "margin", "cold start", "random", "queue full"],
)
def test_the_recorded_propensity_is_how_often_other_keys_would_have_asked(
    strategy: QueryStrategy, rules: DeskRules | None, blocked: bool
) -> None:
    learner = make(strategy, rules)
    for event, truth in events(60):
        _, query, _ = learner.process(event)
        if query is not None:
            learner.teach(Label(event_id=query.event_id, label=truth))
    for event, _ in events(62)[60:]:
        share, recorded = shares_of(learner.snapshot(), event, strategy, rules)
        (propensity,) = recorded
        assert (propensity == 0.0) if blocked else (propensity > 0.0)
        assert abs(share - propensity) <= 4.5 * sqrt(propensity * (1 - propensity) / KEYS)
        learner.process(event)


def test_an_event_that_cannot_be_asked_about_has_propensity_zero_and_leaves_the_strategy_as_it_was() -> None:
    learner = make(ColdStart(Budgeted(1.0), examples=1000), DeskRules(max_open=2))
    (one, _), (two, _), (three, _) = events(3)
    assert learner.process(one).prediction.propensity == 1.0
    learner.process(two)
    state = learner.state
    for event, reason in ((one, "already-asked"), (three, "queue-full")):
        prediction, query, _ = learner.process(event)
        assert (prediction.queried, prediction.propensity, prediction.reason) == (False, 0.0, reason)
        assert query is None
        assert learner.state == state


# ── events ───────────────────────────────────────────────────────────────────────────────────────


def test_a_repeated_event_is_answered_every_time_and_asked_about_once() -> None:
    learner = make(Random(1.0))
    event, truth = events(1)[0]
    asked = []
    for round_ in range(6):
        prediction, query, _ = learner.process(event)
        assert prediction.event_id == event.id
        asked.append(query is not None)
        if round_ == 2:
            assert learner.teach(Label(event_id=event.id, label=truth)).outcome == "example"
    assert asked == [True, False, False, False, False, False]
    assert learner.events == 6
    assert learner.model.version == 1


def test_an_event_the_model_cannot_score_is_refused_and_nothing_has_changed() -> None:
    learner = make(Random(1.0))
    for event, truth in events(4):
        learner.process(event)
        learner.teach(Label(event_id=event.id, label=truth))
    before = learner.snapshot()
    with pytest.raises(RecordError, match="cannot-score"):
        learner.process(Event(id="text", features={"x": "not a number"}))
    assert learner.snapshot() == before


def test_expired_queries_settle_their_waiting_labels_at_the_next_event() -> None:
    learner = make(Random(1.0), DeskRules(quorum=2, expire_after_events=2))
    stream = events(4)
    learner.process(stream[0][0])
    assert learner.teach(Label(event_id="e0", label="in")).outcome == "waiting"
    assert [learner.process(event).settled for event, _ in stream[1:3]] == [[], []]
    settled = learner.process(stream[3][0]).settled
    assert [(s.number, s.outcome) for s in settled] == [(0, "expired")]


# ── labels ───────────────────────────────────────────────────────────────────────────────────────


def test_a_label_of_another_type_or_a_third_class_is_named_and_not_learned() -> None:
    learner = make(Random(1.0))
    for number, label in enumerate(["in", "out"]):
        event = events(6)[number][0]
        learner.process(event)
        assert learner.teach(Label(event_id=event.id, label=label)).outcome == "example"
    learner.process(events(6)[2][0])
    digest = learner.model.digest()
    for label, outcome in ((1, "wrong-label-type"), (True, "wrong-label-type"), ("third", "third-class")):
        taught = learner.teach(Label(event_id="e2", label=label), "labels.jsonl:9")
        assert (taught.outcome, taught.example) == (outcome, None)
        assert "label" in taught.detail
        assert [(s.outcome, s.position) for s in taught.settled] == [(outcome, "labels.jsonl:9")]
    assert learner.model.digest() == digest
    assert learner.teach(Label(event_id="e2", label="in")).outcome == "example"


def test_an_undeclared_class_is_named() -> None:
    learner = ActiveLearner(Model(tree.HoeffdingTreeClassifier(), classes=["a", "b"]), Random(1.0))
    learner.process(events(1)[0][0])
    taught = learner.teach(Label(event_id="e0", label="c"))
    assert taught.outcome == "unknown-class"
    assert "'a', 'b'" in taught.detail


def test_an_example_the_model_cannot_learn_is_refused_and_leaves_no_trace() -> None:
    learner = make(Random(1.0))
    learner.process(Event(id="text", features={"x": "not a number"}))
    digest = Model(estimator())  # type: ignore[arg-type]
    taught = learner.teach(Label(event_id="text", label="in"))
    assert taught.outcome == "refused"
    assert taught.example is not None
    digest.learn(taught.example)
    assert learner.model.version == 1
    assert learner.model.digest() == digest.digest()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["e0", "e1", "e2", "nobody"]),
            st.sampled_from(["in", "out", 1, True, "third", None]),
            st.sampled_from("ab"),
        ),
        max_size=25,
    ),
    rule_sets,
)
def test_every_label_gets_exactly_one_outcome(
    labels: list[tuple[str, str | int | bool | None, str]], rules: DeskRules | None
) -> None:
    learner = make(Random(1.0), rules)
    for event, _ in events(3):
        learner.process(event)
    told: dict[int, list[str]] = {}
    reasons = {*OUTCOMES, "wrong-label-type", "third-class"}
    learned: list[Example] = []
    for number, (event_id, label, who) in enumerate(labels):
        given_label = (
            Label(event_id=event_id, abstain="skip", annotator=who)
            if label is None
            else Label(event_id=event_id, label=label, annotator=who)
        )
        taught = learner.teach(given_label)
        assert number in [s.number for s in taught.settled]
        for settled in taught.settled:
            assert settled.outcome in reasons
            told.setdefault(settled.number, []).append(settled.outcome)
        if taught.example is not None:
            learned.append(taught.example)
    assert sorted(told) == list(range(len(labels)))
    assert all(len(found) == 1 or (len(found) == 2 and found[0] == "waiting") for found in told.values())
    assert len({example.event_id for example in learned}) == len(learned) == learner.model.version
    folded = Model(estimator())  # type: ignore[arg-type]
    for example in learned:
        folded.learn(example)
    assert folded.digest() == learner.model.digest()


def test_a_snapshot_with_a_damaged_head_is_refused_and_leaves_the_learner_as_it_was() -> None:
    learner = ActiveLearner(naive_bayes.GaussianNB())
    learner.process(Event(id="e", features={"x": 1.0}))
    learner.teach(Label(event_id="e", label="a"))
    before, digest = learner.snapshot(), learner.model.digest()
    magic, head, rest = ActiveLearner(naive_bayes.GaussianNB()).snapshot().split(b"\n", 2)
    for damaged in (b"{", b"[]", b"{}", head.replace(b'"events"', b'"evens"'), head.replace(b"[]", b"[[1]]")):
        assert damaged != head
        with pytest.raises(SnapshotError):
            learner.restore(b"\n".join((magic, damaged, rest)))
        assert (learner.snapshot(), learner.model.digest()) == (before, digest)


def test_a_learner_without_a_store_does_not_pile_up_changes_for_one() -> None:
    learner = ActiveLearner(naive_bayes.GaussianNB())
    for number in range(20):
        learner.process(Event(id=f"e{number}", features={"x": 1.0}))
        learner.teach(Label(event_id=f"e{number}", label="a"))
    assert learner.desk.take_changes() == []


# ── amendments ───────────────────────────────────────────────────────────────────────────────────────


def taught_three(log: ListedLog | None) -> ActiveLearner:
    learner = ActiveLearner(naive_bayes.GaussianNB(), log=log)
    for number, answer in enumerate(("spam", "ham", "spam")):
        learner.process(Event(id=f"e{number}", features={"x": float(number)}))
        taught = learner.teach(Label(event_id=f"e{number}", label=answer, annotator="ann"))
        if log is not None:
            log += taught.records
    return learner


def test_with_a_log_an_annotator_corrects_what_was_learned_also_after_a_restore() -> None:
    log = ListedLog()
    learner = taught_three(log)
    again = ActiveLearner(naive_bayes.GaussianNB(), log=log)
    again.restore(learner.snapshot())
    taught = again.teach(Label(event_id="e2", label="ham", annotator="ann"))
    assert (taught.outcome, taught.detail) == ("amendment", "example 2 is 'ham' now")
    assert taught.amendment is not None
    assert taught.records == [taught.amendment]
    log += taught.records
    taken_back = again.teach(Label(event_id="e0", abstain="unsure", annotator="ann"))
    assert (taken_back.outcome, taken_back.detail) == ("amendment", "example 0 is erased")
    assert again.model.classes == ("ham",)
    assert again.model.version == 5


def test_without_a_log_nothing_that_was_learned_is_changed() -> None:
    learner = taught_three(None)
    digest = learner.model.digest()
    assert (
        learner.teach(Label(event_id="e2", label="ham", annotator="ann")).outcome
        == "correction-after-learning"
    )
    decided = learner.amend(Amendment(event_id="e2", label="ham", why="decided"))
    assert (decided.outcome, decided.records) == ("correction-after-learning", [])
    assert learner.model.digest() == digest
    assert learner.labels == 5
