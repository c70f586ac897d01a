import json

import pytest
from outcomes import made

from stream_al.replay.comparison import Comparison
from stream_al.replay.group import Group


def outcome(name, title, right, events, labels):
    said = ["a"] * right + ["b"] * (events - right)
    asked = [n < labels for n in range(events)]
    return made(["a"] * events, said, name=name, title=title, asked=asked, classes=("a", "b"))


def test_the_sentence_says_who_wins_and_by_how_much():
    margin = outcome("margin", "asked by margin", 80, 100, 10)
    rest = [outcome("random", "asked at random", 75, 100, 11), outcome("all", "all labels", 90, 100, 100)]
    comparison = Comparison.of("x", 2, [margin, *rest], {})
    assert comparison.sentence() == (
        "Asked by margin, 10 labels for 100 events gave 80.0% right answers: 5.0 points more than asking "
        "for 11 at random, and 10.0 points fewer than learning from all 100 labels."
    )
    assert comparison.gap(comparison.groups[0]) == pytest.approx(-10.0)


def test_the_sentence_does_not_hide_a_loss_or_a_draw():
    margin = outcome("margin", "asked by margin", 70, 100, 10)
    rest = [outcome("random", "asked at random", 75, 100, 10), outcome("all", "all labels", 70, 100, 100)]
    text = Comparison.of("x", 2, [margin, *rest], {}).sentence()
    assert "5.0 points fewer than asking for 10 at random" in text
    assert "as many as learning from all 100 labels" in text


def test_the_sentence_compares_with_random_only_what_spent_no_more():
    lavish = outcome("margin<0.9", "asked where margin < 0.9", 95, 100, 60)
    frugal = outcome("margin", "asked by margin", 80, 100, 10)
    rest = [outcome("random", "asked at random", 75, 100, 10), outcome("all", "all labels", 97, 100, 100)]
    assert "Asked by margin, 10 labels" in Comparison.of("x", 2, [lavish, frugal, *rest], {}).sentence()
    alone = Comparison.of("x", 2, [lavish, *rest], {}).sentence()
    assert alone == (
        "Asked where margin < 0.9, 60 labels for 100 events gave 95.0% right answers: "
        "2.0 points fewer than learning from all 100 labels."
    )


def test_one_outcome_alone_makes_a_sentence_and_no_gap():
    alone = outcome("all", "all labels", 1, 2, 2)
    assert Comparison.of("x", 2, [alone], {}).sentence().endswith("gave 50.0% right answers.")
    random = Comparison.of("x", 2, [outcome("random", "asked at random", 1, 2, 2)], {})
    assert random.gap(random.groups[0]) is None


def groups(*rights, budgets=(0.1, 0.2, 0.4)):
    """Return margin, random and all labels; so many of 100 right with each budget."""
    found = []
    for name, title, each in zip(
        ("margin", "random"), ("asked by margin", "asked at random"), rights[:2], strict=True
    ):
        for budget, right in zip(budgets, each, strict=True):
            found.append(Group((outcome(name, title, right, 100, round(100 * budget)),), budget))
    return [*found, Group((outcome("all", "all labels", rights[2], 100, 100),))]


def test_with_several_budgets_the_sentence_says_which_share_of_the_labels_suffices():
    found = Comparison("x", 2, groups((80, 89, 90), (75, 80, 89), 90), {})
    assert found.best is found.groups[1]
    assert found.sentence() == (
        "Asked by margin, 20% of the labels (20 of 100) gave the accuracy of all of them, within a point "
        "(89.0% and 90.0%); at random it took 40%."
    )
    never = Comparison("x", 2, groups((80, 89, 90), (75, 80, 85), 90), {})
    assert never.sentence().endswith("; at random 40% were not enough.")


def test_with_several_budgets_none_of_which_suffices_the_most_accurate_is_told_of():
    found = Comparison("x", 2, groups((70, 75, 80), (60, 70, 75), 90), {})
    assert found.sentence().startswith(
        "Asked by margin, 40 labels for 100 events gave 80.0% right answers: 5.0 points more"
    )


def test_a_strategy_without_a_budget_is_compared_with_the_random_sample_nearest_in_labels():
    fixed = Group((outcome("margin<0.2", "asked where margin < 0.2", 80, 100, 22),))
    found = Comparison("x", 2, [fixed, *groups((80, 89, 90), (75, 80, 85), 90)], {})
    assert found.random(fixed).budget == 0.2


def test_every_model_has_its_own_baselines():
    one = groups((80,), (75,), 90, budgets=(0.1,))
    two = [Group(group.runs, group.budget, "Tree") for group in groups((70,), (60,), 72, budgets=(0.1,))]
    found = Comparison("x", 2, [*(Group(g.runs, g.budget, "LR") for g in one), *two], {})
    assert [round(found.gap(group)) for group in found.groups if group.name == "margin"] == [-10, -2]
    assert found.label(found.groups[0]) == "margin · LR"
    assert " on LR, 10 labels" in found.sentence()


def test_what_is_saved_has_a_price_when_a_label_has():
    found = Comparison("x", 2, groups((80,), (75,), 90, budgets=(0.1,)), {}, cost_per_label=0.5)
    assert found.saved(found.groups[0]) == (90, 45.0)
    assert found.saved(found.groups[-1]) is None


def test_labels_to_reach_all_within_a_point_are_counted_to_where_it_stays_so():
    truth = ["a"] * 400
    everything = made(truth, ["a"] * 400, name="all", asked=[True] * 400, classes=("a", "b"))
    # Wrong from event 100 to 109: ten behind; a point of what was answered is ten again after 1,000 events, never here.
    late = made(
        truth,
        ["a"] * 100 + ["b"] * 10 + ["a"] * 290,
        asked=[n % 4 == 0 for n in range(400)],
        classes=("a", "b"),
    )
    soon = made(truth, ["b"] * 3 + ["a"] * 397, asked=[n % 4 == 0 for n in range(400)], classes=("a", "b"))
    reference = Group((everything,))
    assert Group((late,)).labels_to_reach(reference) is None
    assert Group((soon,)).labels_to_reach(reference) == 75  # three behind are a point at event 300
    assert Group((soon, late)).labels_to_reach(reference) is None
    assert reference.labels_to_reach(reference) is None


def test_json_has_everything_and_is_json():
    found = Comparison("x", 2, groups((80,), (75,), 90, budgets=(0.1,)), {"model": "m"}, ["note"], 2.0, (50,))
    again = json.loads(json.dumps(found.to_json(points=10)))
    assert again["drifts"] == [50]
    margin = again["strategies"][0]
    assert margin["measures"]["accuracy"] == {"mean": pytest.approx(0.8), "low": None, "high": None}
    assert margin["money_saved"] == 180.0
    assert len(margin["curve"]) == 10
    assert margin["by_class"][0]["recall"] == pytest.approx(0.8)
