"""What simulated people do to the labels: late, out of order, wrong, unsure, silent, slow, several."""

import json
from collections import Counter, defaultdict

import pytest
from streams import rows

from stream_al import ConfigError, DeskRules
from stream_al.codec import QueryRow
from stream_al.ports import NEVER
from stream_al.replay.latency import Clock, Latency, WorkingHours
from stream_al.replay.oracle import SimulatedOracle
from stream_al.replay.people import Annotator, Crowd

EVENTS = rows(2000)
CLASSES = ("in", "out")


def query(event_id):
    return QueryRow(event_id, {"x": 0.0}, None, None, None, {}, 1.0, None, 1.0, "random", 0, 1, None)


def answers(crowd, key="k", clock=None, every=1):
    """Ask about every event, and return (number of the event before which it came, answer) of each label."""
    oracle = SimulatedOracle(crowd, key, clock)
    found = []
    for number, event in enumerate(EVENTS, 1):
        found += [(number - 1, json.loads(label.record)) for label in oracle.poll(number - 1)]
        if number % every == 0:
            oracle.asked(query(event.id), event, number)
    assert oracle.due >= len(EVENTS)
    return found + [(oracle.due, json.loads(label.record)) for label in oracle.poll(NEVER)]


TRUTH = {event.id: event.truth for event in EVENTS}
NUMBER = {event.id: number for number, event in enumerate(EVENTS, 1)}


def crowd(*people, **settings):
    return Crowd(tuple(people), classes=CLASSES, **settings)


def test_somebody_who_is_always_right_answers_everything_once():
    found = answers(Crowd.one(10, 90))
    assert Counter(answer["event_id"] for _, answer in found) == Counter(TRUTH.keys())
    assert all(answer["label"] == TRUTH[answer["event_id"]] for _, answer in found)
    waits = [at - NUMBER[answer["event_id"]] for at, answer in found if at < len(EVENTS)]
    assert min(waits) >= 10
    assert max(waits) <= 100
    order = [NUMBER[answer["event_id"]] for _, answer in found]
    assert order != sorted(order)


def test_shares_are_held_and_do_not_depend_on_each_other():
    found = answers(crowd(Annotator("ann", wrong=0.2, abstain=0.1, silent=0.3)))
    assert len(found) / len(EVENTS) == pytest.approx(0.7, abs=0.03)
    unsure = [answer for _, answer in found if "abstain" in answer]
    assert len(unsure) / len(found) == pytest.approx(0.1, abs=0.02)
    said = [answer for _, answer in found if "label" in answer]
    wrong = sum(answer["label"] != TRUTH[answer["event_id"]] for answer in said)
    assert wrong / len(said) == pytest.approx(0.2, abs=0.03)


def test_one_class_can_be_harder_than_the_others():
    found = answers(crowd(Annotator("ann", wrong=0.0, wrong_for={"in": 0.5})))
    wrong = defaultdict(list)
    for _, answer in found:
        truth = TRUTH[answer["event_id"]]
        wrong[truth].append(answer["label"] != truth)
    assert sum(wrong["out"]) == 0
    assert sum(wrong["in"]) / len(wrong["in"]) == pytest.approx(0.5, abs=0.06)


def test_the_same_key_is_the_same_people():
    people = crowd(Annotator("ann", wrong=0.2, silent=0.2, latency=Latency.parse("exponential:50")))
    assert answers(people) == answers(people)
    assert answers(people) != answers(people, key="another")


def test_a_limited_rate_makes_a_queue():
    found = answers(crowd(Annotator("ann", pause=10.0)), every=2)  # asked every 2, answers every 10 events
    came = [at for at, _ in found]
    assert len(found) == len(EVENTS) // 2
    assert came[:4] == [2, 12, 22, 32]
    # In time the last question would be answered some 10,000 events after the first.
    assert sum(at <= 1000 for at in came) == pytest.approx(100, abs=2)


def test_times_are_counted_by_the_clock_and_in_working_hours():
    # An event a minute, from midnight of a Thursday; everybody works from 9 to 17.
    clock = Clock(tuple(60.0 * n for n in range(1, len(EVENTS) + 1)))
    people = crowd(Annotator("ann", latency=Latency.parse("30m")), hours=WorkingHours.parse("mon-fri 9-17"))
    found = answers(people, clock=clock, every=60)
    came = {NUMBER[answer["event_id"]]: at for at, answer in found}
    assert came[60] == 9 * 60 + 30 - 1  # asked at 1:00, answered at 9:30
    assert came[600] == 600 + 30 - 1  # asked at 10:00
    assert came[1020] == float("inf")  # asked at 17:00, answered the day after, when the stream is over


def test_a_quorum_asks_as_many_and_somebody_else_when_they_differ():
    people = [Annotator(f"a{n}", wrong=0.3) for n in range(5)]
    found = answers(crowd(*people, rules=DeskRules(quorum=2, agreement="unanimous", max_answers=5)))
    votes = defaultdict(list)
    for _, answer in found:
        votes[answer["event_id"]].append((answer["annotator"], answer["label"]))
    assert set(votes) == set(TRUTH)
    for given in votes.values():
        names = [name for name, _ in given]
        assert len(set(names)) == len(names)  # nobody twice
        labels = [label for _, label in given]
        # Two that agree are enough; else everybody is asked, as they can never be unanimous again.
        assert len(given) == (2 if labels[0] == labels[1] else 5)
    assert Counter(name for given in votes.values() for name, _ in given).keys() == {p.name for p in people}


def test_a_majority_is_asked_for_until_there_is_one():
    people = [Annotator(f"a{n}", wrong=0.4) for n in range(5)]
    found = answers(crowd(*people, rules=DeskRules(quorum=2, max_answers=5)))
    votes = defaultdict(list)
    for _, answer in found:
        votes[answer["event_id"]].append(answer["label"])
    sizes = Counter(len(given) for given in votes.values())
    assert set(sizes) == {2, 3}  # of three answers to two classes two are the same


def test_who_is_unsure_hands_the_question_on():
    unsure, sure = Annotator("unsure", abstain=1.0), Annotator("sure")
    found = answers(crowd(unsure, sure))
    said = [answer for _, answer in found if "label" in answer]
    assert {answer["event_id"] for answer in said} == set(TRUTH)
    assert {answer["annotator"] for answer in said} == {"sure"}


@pytest.mark.parametrize("stop", [1, 500, 1500])
def test_an_oracle_that_is_stopped_goes_on_where_it_was(stop):
    people = crowd(
        *(
            Annotator(f"a{n}", wrong=0.3, abstain=0.1, latency=Latency.parse("exponential:30"))
            for n in range(4)
        ),
        rules=DeskRules(quorum=2),
    )
    whole = SimulatedOracle(people, "k")
    first = SimulatedOracle(people, "k")
    found, expected = [], []
    for number, event in enumerate(EVENTS, 1):
        if number == stop:
            position = json.loads(json.dumps(first.position))
            first = SimulatedOracle(people, "k")
            first.seek(position)
        for oracle, into in ((whole, expected), (first, found)):
            into += oracle.poll(number - 1)
            oracle.asked(query(event.id), event, number)
    assert found == expected


def test_an_annotator_is_what_its_text_says():
    base = Annotator(silent=0.1, latency=Latency.parse("50"))
    ann = Annotator.parse("ann:wrong=0.1,wrong.in=0.3,latency=lognormal:2h:0.5,rate=30/h", base)
    assert (ann.name, ann.wrong, ann.wrong_for, ann.silent) == ("ann", 0.1, {"in": 0.3}, 0.1)
    assert (ann.latency.kind, ann.pause, ann.paused_by_time) == ("lognormal", 120.0, True)
    assert Annotator.parse("bob", base).latency == base.latency


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (":wrong=1", "has no name"),
        ("ann:speed=3", "nothing is called 'speed'"),
        ("ann:wrong=x", "is no number"),
        ("ann:wrong=1.5", "wrong"),
        ("ann:latency=soon", "no such latency"),
    ],
)
def test_an_annotator_that_is_none_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        Annotator.parse(text, Annotator())


def test_a_crowd_that_cannot_work_is_refused():
    with pytest.raises(ConfigError, match="quorum of 2 needs as many annotators, and there is 1"):
        crowd(Annotator("ann"), rules=DeskRules(quorum=2))
    with pytest.raises(ConfigError, match="each needs a name of its own"):
        crowd(Annotator("ann"), Annotator("ann"))


@pytest.mark.parametrize(
    ("people", "words"),
    [
        (Crowd.one(), "before the next event"),
        (Crowd.one(1000), "1,000 events later"),
        (Crowd.one(50, 100), "50 to 150 events later, out of order"),
        (
            crowd(
                Annotator("a", wrong=0.1), Annotator("b", wrong=0.2, latency=Latency.parse("exponential:2h"))
            ),
            "before the next event and exponential, mean 2 h, from 2 annotators, 1 for each question, "
            "10% to 20% wrong",
        ),
    ],
)
def test_a_crowd_in_words(people, words):
    assert people.sentence() == words
