"""Events answered in one go are answered as one by one, whoever among them was asked about before."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from river import linear_model, preprocessing

from stream_al import ActiveLearner, DeskRules, GroupRules, Label, Random
from stream_al.codec import EventRow
from stream_al.gold import Gold, GoldQuestion

GOLD = [GoldQuestion(f"g{number}", {"x": float(number)}, "in") for number in range(3)]
ids = st.sampled_from([f"e{number}" for number in range(30)] + [question.id for question in GOLD])
rule_sets = st.builds(
    DeskRules,
    max_open=st.sampled_from((3, 20, 500)),
    when_full=st.sampled_from(("stop-asking", "withdraw-least")),
    expire_after_events=st.sampled_from((None, 7)),
    remember=st.sampled_from((2, 1000)),
)


def learner_of(rules: DeskRules, gold: bool, window: int) -> ActiveLearner:
    return ActiveLearner(
        preprocessing.StandardScaler() | linear_model.LogisticRegression(),
        Random(0.5),
        rules=rules,
        gold=Gold(GOLD, share=0.5) if gold else None,
        groups=GroupRules(within=None, window=window, representatives=4) if window else None,
    )


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.lists(ids, max_size=40) | st.lists(ids, max_size=20, unique=True), min_size=1, max_size=4),
    rule_sets,
    st.booleans(),
    st.sampled_from((0, 6)),
)
def test_events_answered_together_are_answered_as_one_by_one(
    runs: list[list[str]], rules: DeskRules, gold: bool, window: int
) -> None:
    together, alone = learner_of(rules, gold, window), learner_of(rules, gold, window)
    for number, run in enumerate(runs):
        rows = [EventRow({"x": len(name) + place / 7}, name) for place, name in enumerate(run)]
        predictions, incidents = together.answer(rows)
        one_by_one = [alone.answer([row]) for row in rows]
        assert predictions == [row for found, _ in one_by_one for row in found]
        assert [incident.query for incident in incidents] == [
            incident.query for _, found in one_by_one for incident in found
        ]
        assert [incident.gold for incident in incidents] == [
            incident.gold for _, found in one_by_one for incident in found
        ]
        for name in sorted(together.desk.open_events)[::2]:
            label = Label(event_id=name, label="in" if number % 2 else "out")
            assert together.teach(label) == alone.teach(label)
    assert together.snapshot() == alone.snapshot()
