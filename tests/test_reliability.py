"""The desk weighs annotators by whom they agree with, and asks a second one where the first contradicts a sure model."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled_stores import CATS, Pipeline
from recordings import People, run_pipeline
from streams import learner, rows

from connectors.kafka.worker import KafkaWorker
from connectors.sqlite import verify
from connectors.sqlite.board import SqliteBoard
from connectors.sqlite.schema import progress_of
from stream_al import DeskRules, Label, Random
from stream_al.annotate.board import Request
from stream_al.codec import EventRow
from stream_al.config import load_config
from stream_al.draws import Draws
from stream_al.errors import ConfigError
from stream_al.labels import LabelDesk
from stream_al.query_state import QueryState
from stream_al.records import Example, Query
from stream_al.reliability import MOST_PEOPLE, Reliability
from stream_al.replay import LabelledStream, Trial, parse_strategy, replay
from stream_al.replay.people import Annotator, Crowd

WEIGHTED = DeskRules(quorum=3, agreement="weighted")


def query(name: str, *, predicted: str | None = None, chance: float = 0.5, number: int = 0) -> Query:
    return Query(
        event_id=name,
        features={"a": 1},
        predicted=predicted,
        probabilities={} if predicted is None else {predicted: chance, "other": 1.0 - chance},
        utility=0.5,
        threshold=None,
        propensity=1.0,
        reason="uncertain",
        model_version=3,
        event_number=number,
    )


def told(desk: LabelDesk, name: str, **votes: str) -> str | None:
    """Ask, let people answer in this order, and return the class agreed on."""
    desk.ask(query(name))
    record = None
    for number, (who, label) in enumerate(votes.items()):
        _, made = desk.submit(number, Label(event_id=name, label=label, annotator=who), "")
        record = made or record
    return record.label if isinstance(record, Example) else None  # type: ignore[return-value]


def agreed_rightly(rules: DeskRules, people: tuple[Annotator, ...], questions: int, seed: str) -> float:
    """Return the share of questions of which the desk learned the truth; everybody answers every one."""
    desk, draw, rng, right = LabelDesk(rules), Draws(seed), random.Random(seed), 0
    classes = ("a", "b")
    for number in range(questions):
        name, truth = f"{number}", rng.choice(classes)
        said = {p.name: p.answer(truth, classes, draw, f"{name}/{p.name}")[0] for p in people}
        right += told(desk, name, **{who: str(label) for who, label in said.items()}) == truth
    return right / questions


def test_with_one_bad_annotator_of_three_weighing_beats_the_majority() -> None:
    people = (Annotator("ann", wrong=0.1), Annotator("bob", wrong=0.25), Annotator("eve", wrong=0.8))
    gains = []
    for seed in range(5):
        majority = agreed_rightly(DeskRules(quorum=3), people, 400, str(seed))
        weighted = agreed_rightly(WEIGHTED, people, 400, str(seed))
        gains.append(weighted - majority)
    assert min(gains) > 0.05
    honest = (Annotator("ann", wrong=0.1), Annotator("bob", wrong=0.1), Annotator("cid", wrong=0.1))
    assert (
        agreed_rightly(WEIGHTED, honest, 400, "h")
        >= agreed_rightly(DeskRules(quorum=3), honest, 400, "h") - 0.01
    )


def test_strangers_weigh_the_same_and_nobody_is_agreed_on_whom_nobody_named() -> None:
    desk = LabelDesk(DeskRules(quorum=2, agreement="weighted", max_answers=3))
    assert told(desk, "tie", ann="a", bob="b") is None
    assert told(desk, "two", ann="a", bob="a") == "a"
    known = Reliability()
    for _ in range(30):
        known.compare({"eve": "a"}, "b")
    assert known.agreed({"eve": "a"}, 0.5) is None  # it is probably b, but nobody says so
    assert [one.name for one in known.standings() if one.distrusted] == ["eve"]


def test_to_be_surer_more_people_are_asked() -> None:
    desk = LabelDesk(DeskRules(agreement="weighted", sure=0.9, max_answers=4))
    assert told(desk, "one", ann="a") is None  # a stranger is right with 0.8
    assert told(desk, "more", ann="a", bob="a") == "a"
    assert desk.people is not None
    for number in range(40):
        desk.people.compare(dict.fromkeys(("ann", "bob", "cid"), "ab"[number % 2]))
    assert told(desk, "proven", ann="b") == "b"


def test_classes_of_different_types_are_different() -> None:
    known = Reliability()
    assert known.agreed({"ann": 1, "bob": True, "cid": 1}, 0.5) == 1
    assert known.agreed({"ann": "1", "bob": 1}, 0.5) is None


answers = st.dictionaries(
    st.sampled_from(["ann", "bob", "cid"]), st.sampled_from(["a", "b", 1, True]), min_size=1
)


@given(st.lists(answers, max_size=15), st.booleans())
def test_what_is_carried_over_decides_the_same(history: list[dict[str, object]], known: bool) -> None:
    one, other = Reliability(), Reliability()
    for votes in history:
        one.compare(votes, "a" if known else None)  # type: ignore[arg-type]
        other.compare(votes, "a" if known else None)  # type: ignore[arg-type]
        other = Reliability.load(other.dump())
        assert (one.agreed(votes, 0.6), one.standings()) == (other.agreed(votes, 0.6), other.standings())  # type: ignore[arg-type]


def test_no_more_people_are_remembered_than_there_is_room_for() -> None:
    known = Reliability()
    for _ in range(3):
        known.compare({"ann": "a", "bob": "a"})
    for number in range(MOST_PEOPLE):
        known.compare({"ann": "a", f"stranger {number}": "a"})
    names = {one.name for one in known.standings()}
    assert len(names) == MOST_PEOPLE
    assert {"ann", "bob"} <= names


def test_a_second_opinion_is_asked_for_where_the_first_contradicts_a_sure_model() -> None:
    rules = DeskRules(second_opinion=0.9)
    for label, chance, waits in [("x", 0.95, True), ("y", 0.95, False), ("x", 0.8, False)]:
        desk = LabelDesk(rules)
        desk.ask(query("e", predicted="y", chance=chance))
        ((_, outcome, *_),), made = desk.submit(0, Label(event_id="e", label=label, annotator="ann"), "")
        assert (outcome == "waiting", made is None) == (waits, waits)
    desk = LabelDesk(rules)
    desk.ask(query("e", predicted="y", chance=0.95))
    desk.submit(0, Label(event_id="e", label="x", annotator="ann"), "")
    assert desk.submit(1, Label(event_id="e", label="y", annotator="bob"), "")[1] is None
    made = desk.submit(2, Label(event_id="e", label="y", annotator="cid"), "")[1]
    assert isinstance(made, Example)
    assert (made.label, made.annotators) == ("y", ("bob", "cid"))


def test_the_second_opinion_is_asked_of_somebody_else_at_the_page(pipeline: Callable[..., Pipeline]) -> None:
    p = pipeline(4, CATS, strategy=Random(1.0), second_opinion=0.8)
    for event_id, label in [("e01", "cat"), ("e02", "cat"), ("e03", "dog"), ("e04", "dog")]:
        p.send(event_id, label)
    p.work()
    p.events.items.append(EventRow(id="new", features={"x": 1.5}))
    p.work()
    p.send("new", "dog", "ann")
    p.work()
    assert p.ledger()[-1] == ("new", "waiting")
    board = SqliteBoard(p.path)

    def dealt(who: str) -> list[str]:
        (reply,) = board.apply([(who, Request(leave=False))])
        assert not isinstance(reply, Exception)
        board.apply([(who, Request(leave=True))])
        return [query.event_id for query in reply.cards]

    assert (dealt("ann"), dealt("bob")) == ([], ["new"])
    board.close()


@pytest.mark.parametrize(
    "rules", [WEIGHTED, DeskRules(quorum=2, agreement="weighted", sure=0.85, second_opinion=0.7)]
)
def test_verify_recomputes_who_is_trusted_and_a_restart_goes_on_with_it(
    tmp_path: Path, rules: DeskRules
) -> None:
    path = tmp_path / "store.db"
    people = {"wrong": 0.3, "twice": 0.1, "corrected": 0.3, "names": ("ann", "bob", "cid")}
    stream = rows(400, twice=11)
    run_pipeline(path, learner(rules), stream[:200], People(1, **people))  # type: ignore[arg-type]
    run_pipeline(path, learner(rules), stream, People(2, **people))  # type: ignore[arg-type]
    assert verify(path, lambda pipeline: learner(rules)).differences == []
    progress = progress_of(sqlite3.connect(path))
    assert progress is not None
    desk = LabelDesk(rules)
    desk.load([], None, progress.desk)
    assert desk.people is not None
    assert [one.name for one in desk.people.standings()] == ["ann", "bob", "cid"]
    assert min(one.compared for one in desk.people.standings()) > 30


def test_a_replay_with_second_opinions_gets_them() -> None:
    stream = LabelledStream("small", tuple(rows(600)), ("in", "out"), {})
    people = tuple(Annotator(name, wrong=0.2) for name in ("ann", "bob", "cid"))

    def learned(rules: DeskRules) -> int:
        crowd = Crowd(people, rules, stream.classes)
        return replay(stream, parse_strategy("margin", budget=0.3), Trial(learner_model, crowd)).answered

    assert learned(DeskRules(second_opinion=0.6)) > 0.9 * learned(
        DeskRules()
    )  # without, they would wait for ever


def learner_model():  # type: ignore[no-untyped-def]
    return learner().model


def test_on_kafka_it_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.toml"
    path.write_text('[labels]\nagreement = "weighted"\n[kafka]\n')
    with pytest.raises(ConfigError, match="on Kafka the labels are in partitions, and nobody sees all"):
        KafkaWorker(load_config(path))


def test_states_of_a_desk_without_weights_are_as_they_were() -> None:
    desk = LabelDesk(DeskRules(quorum=2))
    assert told(desk, "e", ann="a", bob="a") == "a"
    assert desk.memory is None
    desk.load([QueryState(*state) for state in desk.dump()], None, None)
