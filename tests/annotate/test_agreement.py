"""How far annotators agree: each of them, on each class, with each other and with the model."""

from connectors.sqlite.agreement import Read, people_of
from stream_al.reliability import Standing


def read(event, who, label, predicted="a", outcome="example", seconds=None):
    return Read(event, outcome, 1.0, who, label, predicted, seconds)


SAID = [
    read("e1", "ann", "a", seconds=2.0),
    read("e1", "bob", "a"),
    read("e1", "eve", "b", outcome="outvoted"),
    read("e2", "ann", "b", seconds=4.0),
    read("e2", "eve", "b"),
    read("e2", "bob", None, outcome="abstained"),
    read("e3", "ann", 1, predicted=True),
    read("e3", "bob", "1", predicted=True),
]


def test_everybody_is_compared_with_everybody_else_who_answered_the_same_query():
    ann, bob, eve = people_of(SAID, {})
    assert [one["name"] for one in (ann, bob, eve)] == ["ann", "bob", "eve"]
    assert (ann["answers"], ann["pairs"], ann["with_others"]) == (3, 4, 0.5)
    assert (bob["answers"], bob["abstained"], bob["with_others"]) == (2, 1, 1 / 3)
    assert (eve["pairs"], eve["with_others"], eve["with_model"]) == (3, 1 / 3, 0.0)
    assert ann["seconds"] == 3.0
    assert bob["seconds"] is None


def test_of_each_class_it_is_told_where_they_differ():
    ann, _, eve = people_of(SAID, {})
    assert [(one["label"], one["answers"], one["with_others"]) for one in ann["classes"]] == [
        ("1", 1, 0.0), ("a", 1, 0.5), ("b", 1, 1.0),
    ]  # fmt: skip
    (b,) = eve["classes"]
    assert (b["answers"], b["pairs"], b["with_model"]) == (2, 3, 0.0)


def test_what_was_taken_back_or_said_twice_is_compared_with_nothing():
    said = [
        read("e1", "ann", "b"),
        read("e1", "ann", "a", outcome="replaced"),
        read("e1", "bob", "b"),
        read("e1", "bob", "b", outcome="duplicate"),
    ]
    ann, bob = people_of(said, {})
    assert (ann["answers"], ann["pairs"], ann["with_others"]) == (1, 1, 1.0)
    assert (bob["answers"], bob["pairs"]) == (1, 1)


def test_who_is_alone_agrees_with_nobody_and_a_standing_is_shown_where_there_is_one():
    (ann,) = people_of([read("e1", "ann", "a", predicted=None)], {"ann": Standing("ann", 0.3, 20.0, True)})
    assert (ann["with_others"], ann["with_model"], ann["pairs"]) == (None, None, 0)
    assert (ann["reliability"], ann["distrusted"]) == (0.3, True)
