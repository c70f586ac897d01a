"""The cold-start window: events are answered and kept, then some of them are asked about and stand for the others."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from river import preprocessing, tree
from streams import offline_digest

from stream_al import (
    ActiveLearner,
    Budgeted,
    ColdStart,
    DeskRules,
    Event,
    Example,
    GroupRules,
    Label,
    ListedLog,
    Model,
)
from stream_al.learner import Processed

CENTRES = {"a": (0.0, 0.0), "b": (10.0, 0.0), "c": (0.0, 10.0)}


def model() -> Model:
    return Model(
        preprocessing.StandardScaler() | tree.HoeffdingTreeClassifier(grace_period=5), checkpoint_every=5
    )


def events(count: int, seed: int = 1) -> list[tuple[Event, str]]:
    """Three clusters, each a class."""
    rng, made = random.Random(seed), []
    for number in range(count):
        label = rng.choice(sorted(CENTRES))
        x, y = CENTRES[label]
        features = {"x": round(x + rng.gauss(0, 1), 3), "y": round(y + rng.gauss(0, 1), 3)}
        made.append((Event(id=f"e{number}", features=features, display={"shown": number}), label))
    return made


def learner_of(
    log: ListedLog, *, window: int = 60, representatives: int = 3, max_open: int = 100
) -> ActiveLearner:
    return ActiveLearner(
        model(),
        ColdStart(Budgeted(0.05), 3, "none", asks=3),
        log=log,
        rules=DeskRules(max_open=max_open),
        groups=GroupRules(within=None, window=window, representatives=representatives),
    )


def run(learner: ActiveLearner, log: ListedLog, stream: list[tuple[Event, str]]) -> list[Processed]:
    """Process a stream; each query is answered at once."""
    truths = {event.id: label for event, label in stream}
    found = []
    for event, _ in stream:
        found.append(learner.process(event))
        if (query := found[-1].query) is not None:
            log += learner.teach(Label(event_id=query.event_id, label=truths[query.event_id])).records
    return found


def test_the_window_is_answered_and_not_asked_then_one_of_each_cluster_is() -> None:
    log, stream = ListedLog(), events(70)
    found = run(learner := learner_of(log), log, stream)
    window = found[:60]
    assert {(p.prediction.reason, p.prediction.propensity, p.query) for p in window} == {
        ("window", 0.0, None)
    }
    queries = [p.query for p in found[60:63]]
    assert all(query is not None and query.reason == "representative" for query in queries)
    truths = {event.id: label for event, label in stream}
    asked = [query.event_id for query in queries if query is not None]
    assert {truths[name] for name in asked} == set(CENTRES)  # a cluster each
    assert set(asked) <= {event.id for event, _ in stream[:60]}
    assert queries[0] is not None
    assert queries[0].display == {"shown": int(asked[0][1:])}
    assert all(one.utility >= other.utility for one, other in pairwise(q for q in queries if q is not None))
    taken = [record for record in log if isinstance(record, Example) and record.propagated_from in asked]
    assert len(taken) >= 57 // 4
    assert all(example.label == truths[example.event_id] for example in taken)
    assert learner.model.digest() == offline_digest(log, model())


def test_the_representatives_are_on_the_account_of_the_budget() -> None:
    log, stream = ListedLog(), events(400)
    found = run(learner_of(log), log, stream)
    budget = Budgeted(0.05)
    asked = sum(p.query is not None for p in found)
    assert 3 <= asked <= 340 * budget.budget + budget.slack() + 3


def test_who_waits_for_a_representative_cannot_be_asked_itself() -> None:
    learner = learner_of(ListedLog())
    stream = events(70)
    for event, _ in stream[:62]:
        learner.process(event)
    assert learner.groups is not None
    waiting = [row.event_id for row in learner.groups.dump() if row.status == "waiting"]
    again = learner.process(Event(id=waiting[0], features=stream[0][0].features))
    assert again.prediction.reason == "already-asked"


def test_a_full_desk_lets_them_wait() -> None:
    log = ListedLog()
    learner, stream = learner_of(log, max_open=1), events(80)
    truths = {event.id: label for event, label in stream}
    queries = [query for event, _ in stream[:66] if (query := learner.process(event).query) is not None]
    assert [query.reason for query in queries] == ["representative"]
    log += learner.teach(Label(event_id=queries[0].event_id, label=truths[queries[0].event_id])).records
    after = learner.process(stream[66][0]).query
    assert after is not None
    assert after.event_id != queries[0].event_id


@pytest.mark.parametrize("at", [1, 30, 59, 60, 61, 62, 65])
def test_it_goes_on_elsewhere_from_wherever_it_was(at: int) -> None:
    stream, one_log = events(90), ListedLog()
    one = learner_of(one_log)
    first = run(one, one_log, stream[:at])
    other_log = ListedLog(one_log)
    other = learner_of(other_log)
    other.restore(one.snapshot())
    assert len(first) == at
    for learner, log in ((one, one_log), (other, other_log)):
        truths = {event.id: label for event, label in stream}
        for event, _ in stream[at:]:
            query = learner.process(event).query
            if query is not None:
                log += learner.teach(Label(event_id=query.event_id, label=truths[query.event_id])).records
    assert one_log == other_log
    assert len(one_log) > 10
    assert one.model.digest() == other.model.digest() == offline_digest(one_log, model())


def test_a_window_with_an_id_twice_and_fewer_events_than_representatives() -> None:
    learner = learner_of(log := ListedLog(), window=4, representatives=9)
    stream = events(12)
    same = Event(id="e0", features={"x": 0.0, "y": 0.0})
    reasons = [
        learner.process(event).prediction.reason for event in (stream[0][0], same, stream[1][0], stream[2][0])
    ]
    assert reasons == ["window", "already-asked", "window", "window"]
    truths = {event.id: label for event, label in stream}
    asked = []
    for event, _ in stream[3:]:
        if (query := learner.process(event).query) is not None:
            asked.append(query.event_id)
            log += learner.teach(Label(event_id=query.event_id, label=truths[query.event_id])).records
    assert set(asked[:3]) == {"e0", "e1", "e2"}
