"""The annotator's page of a pipeline on topics: cards come from there, answers arrive there once, whatever dies."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from broker import Broker
from page_servers import Client, PageServer
from pipelines import Pipeline, rows, until
from test_matching import Inside, letters

from connectors.kafka.lookup import look_up
from connectors.kafka.relay import TopicRelay
from connectors.kafka.verify import verify
from connectors.kafka.wire import LABEL, header, partition_of
from connectors.sqlite.board import SqliteBoard
from connectors.sqlite.figures import SqliteFigures
from connectors.sqlite.people import SqlitePeople
from connectors.sqlite.relayed import RelayedStore
from stream_al.annotate.board import Answer, Reply, Request, Undo
from stream_al.errors import StoreBusyError, StoreError
from stream_al.records import parse_logged

pytestmark = pytest.mark.slow


class Service:
    """What `stream-al annotate` runs, without its server."""

    def __init__(self, pipeline: Pipeline) -> None:
        topics, origin = look_up(pipeline.config, "the pipeline")
        self.path: Path = pipeline.config.store.path
        self.store = RelayedStore(self.path, pipeline.config.pipeline(), origin)
        self.relay = TopicRelay(pipeline.kafka, topics, self.store)
        self.relay.start()
        self.board = SqliteBoard(self.path)
        self.figures = SqliteFigures(self.path)

    def ask(self, who: str, *operations: Any, have: tuple[str, ...] = (), leave: bool = False) -> Reply:
        (reply,) = self.board.apply([(who, Request(tuple(operations), have, 3, leave))])
        assert isinstance(reply, Reply), reply
        return reply

    def statuses(self) -> dict[str, int]:
        found: dict[str, int] = self.figures.read()["statuses"]
        return found

    def close(self) -> None:
        self.relay.close()
        self.store.close()
        self.board.close()
        self.figures.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Pipeline], Service]]:
    made: list[Service] = []

    def service(pipeline: Pipeline) -> Service:
        made.append(Service(pipeline))
        return made[-1]

    yield service
    for each in made:
        each.close()


_keys = iter(range(10**9))


def said(event_id: str, label: str | None = "in", **more: Any) -> Answer:
    told = None if label is None else json.dumps(label)
    return Answer(key=f"key-{next(_keys):08d}", event_id=event_id, label=told, **more)


def ids(reply: Reply) -> list[str]:
    return [query.event_id for query in reply.cards]


def states(reply: Reply) -> list[str]:
    return [done.state for done in reply.done]


def log_of(pipeline: Pipeline) -> list[tuple[str, str, Any]]:
    found = [parse_logged(record.value) for record in pipeline.read("examples")]
    return [(type(record).__name__, record.event_id, record.label) for record in found]


def asked(pipeline: Pipeline, inside: Inside, count: int) -> None:
    pipeline.feed(rows(count))
    inside.until(lambda: inside.worker.open == count, "all queries are open")
    inside.worker.settle()


def test_two_annotators_get_different_cards_and_what_they_say_is_learned_once(
    make: Callable[..., Pipeline], serve: Callable[[Pipeline], Service]
) -> None:
    pipeline = make()
    with Inside(pipeline) as inside:
        asked(pipeline, inside, 7)
        service = serve(pipeline)
        ann, bob = ids(service.ask("ann")), ids(service.ask("bob"))
        assert len({*ann, *bob}) == 6
        replies = [
            service.ask("ann", said(ann[0]), said(ann[1], "out"), said(ann[2], None, abstain="unsure")),
            service.ask("bob", said(bob[0], note="looked twice")),
        ]
        assert [states(reply) for reply in replies] == [["kept"] * 3, ["kept"]]
        assert pipeline.read("labels") == []  # they can be undone
        service.ask("ann", leave=True)
        service.ask("bob", leave=True)
        assert not set(ids(service.ask("ann"))) & set(ann)  # on their way
        inside.until(lambda: inside.worker.progress.labels == 4, "the labels are taken")
        inside.worker.settle()
        until(lambda: service.statuses() == {"open": 4, "answered": 3}, "the page has seen it")
        until(lambda: not service.store.settled(), "nothing is on its way")
        assert not set(ids(service.ask("ann"))) & set(ann)  # unsure was said already
        figures = service.figures.read()
        assert {person["name"]: person["answers"] for person in figures["people"]} == {"ann": 2, "bob": 1}
        assert 0 <= figures["waiting"] < 600
        assert "seconds" in figures["waiting_in"]
        until(lambda: service.figures.read()["events"] == 7, "the events are counted")
        assert figures["learned"] == 3
        with pytest.raises(StoreBusyError, match="another page"):
            Service(pipeline)
    records = pipeline.read("labels")
    assert all(header(record, LABEL) for record in records)
    assert all(record.partition == partition_of(record.key.decode(), 2) for record in records)
    assert sorted(log_of(pipeline)) == sorted(
        [("Example", ann[0], "in"), ("Example", ann[1], "out"), ("Example", bob[0], "in")]
    )
    assert list(letters(pipeline).values()) == ["abstained"]
    people = SqlitePeople(service.path)
    became = {line["event_id"]: line["became"]["outcome"] for line in people.audit() if "became" in line}
    people.close()
    assert became == {ann[0]: "example", ann[1]: "example", ann[2]: "abstained", bob[0]: "example"}
    assert verify(pipeline.config).differences == []


def test_an_answer_is_taken_back_wherever_it_is_and_a_changed_one_amends(
    make: Callable[..., Pipeline], serve: Callable[[Pipeline], Service]
) -> None:
    pipeline = make()
    service = serve(pipeline)
    with Inside(pipeline) as inside:
        asked(pipeline, inside, 3)
        until(lambda: service.statuses().get("open") == 3, "the page has them")
        draft, sent, learned = said("e0"), said("e1"), said("e2")
        service.ask("ann", sent, learned)
        service.ask("ann", leave=True)
        service.ask("ann", draft)
        until(lambda: len(pipeline.read("labels")) == 2, "the others are on the topic")
        undone = service.ask("ann", *(Undo(key=f"un{a.key}", answer=a.key) for a in (draft, sent)))
        assert states(undone) == ["taken-back"] * 2
        inside.until(lambda: inside.worker.model.version == 3, "e1 was learned, and erased; e2 was learned")
        inside.worker.settle()
        until(lambda: service.statuses() == {"open": 1, "answered": 1, "erased": 1}, "the page has seen it")
        late = service.ask("ann", Undo(key=f"un{learned.key}", answer=learned.key))
        assert states(late) == ["learned"]
        assert states(service.ask("ann", said("e2", "out"))) == ["correction"]
        inside.until(lambda: inside.worker.model.version == 4, "it is amended")
        inside.worker.settle()
        digest = inside.worker.model.digest()
    events = [(kind, event_id, label) for kind, event_id, label in log_of(pipeline)]
    assert events[-1] == ("Amendment", "e2", "out")
    assert sorted(events[:3]) == [("Amendment", "e1", None), ("Example", "e1", "in"), ("Example", "e2", "in")]
    verdict = verify(pipeline.config)
    assert (verdict.differences, verdict.digest) == ([], digest)


def test_closed_queries_slide_away_and_a_quorum_wants_others(
    make: Callable[..., Pipeline], serve: Callable[[Pipeline], Service]
) -> None:
    pipeline = make(quorum=2)
    service = serve(pipeline)
    with Inside(pipeline) as inside:
        asked(pipeline, inside, 2)
        until(lambda: service.statuses().get("open") == 2, "the page has them")
        assert sorted(ids(service.ask("ann"))) == sorted(ids(service.ask("bob"))) == ["e0", "e1"]
        assert ids(service.ask("cyd")) == []
        service.ask("ann", said("e0"), have=("e0", "e1"))
        service.ask("ann", leave=True)
        pipeline.answer("e1", "in", annotator="dan")  # from elsewhere
        pipeline.answer("e1", "in", annotator="eve")
        pipeline.producer.flush()
        inside.until(lambda: inside.worker.progress.labels == 3, "the labels are taken")
        inside.worker.settle()
        until(lambda: service.statuses() == {"open": 1, "answered": 1}, "the page has seen it")
        until(lambda: not service.store.settled(), "nothing is on its way")
        assert service.ask("bob", have=("e0", "e1")).gone == {"e1": "answered meanwhile"}
        assert ids(service.ask("ann")) == []
        service.ask("bob", leave=True)
        assert ids(service.ask("cyd")) == ["e0"]  # ann's vote is one of two
        until(lambda: service.board.classes().known == ("in",), "what was learned is a button")


def test_what_a_killed_service_had_produced_is_not_sent_again(
    make: Callable[..., Pipeline], serve: Callable[[Pipeline], Service]
) -> None:
    pipeline = make()
    with Inside(pipeline) as inside:
        asked(pipeline, inside, 2)
        service = serve(pipeline)
        service.relay.close()  # the page takes answers, and nothing goes out
        service.ask("ann", said("e0"), said("e1"))
        service.ask("ann", leave=True)
        service.store.hand_over()
        produced, unsent = service.store.outgoing()
        # As it had, before it noticed.
        where = partition_of("e0", 2)
        topic, head = pipeline.topic("labels"), [(LABEL, produced.id.encode())]
        pipeline.producer.send(topic, produced.record, b"e0", head, where).get(10)
        service.store.close()
        serve(pipeline)
        inside.until(lambda: inside.worker.model.version == 2, "both are learned")
        inside.worker.settle()
    found = Counter(header(record, LABEL) for record in pipeline.read("labels"))
    assert found == {produced.id: 1, unsent.id: 1}
    assert letters(pipeline) == {}


def test_answers_to_one_event_arrive_in_order_however_many_there_are(
    make: Callable[..., Pipeline], serve: Callable[[Pipeline], Service]
) -> None:
    pipeline = make()
    with Inside(pipeline) as inside:
        asked(pipeline, inside, 1)
        service = serve(pipeline)
        service.ask("ann", said("e0"))
        service.ask("ann", leave=True)
        inside.until(lambda: inside.worker.model.version == 1, "it is learned")
        inside.worker.settle()
        until(lambda: service.statuses() == {"answered": 1}, "the page has seen it")
        mind = ["out", "in"] * 5
        assert states(service.ask("ann", *(said("e0", label) for label in mind))) == ["correction"] * 10
        inside.until(lambda: inside.worker.model.version == 11, "all are amended")
        inside.worker.settle()
    assert [label for _, _, label in log_of(pipeline)] == ["in", *mind]


def test_a_file_of_something_else_is_refused(
    make: Callable[..., Pipeline], serve: Callable[[Pipeline], Service], tmp_path: Path
) -> None:
    pipeline = make()
    serve(pipeline).close()
    with pytest.raises(StoreError, match="is of other topics"):
        RelayedStore(pipeline.config.store.path, pipeline.config.pipeline(), "another cluster")


# ── as a process ─────────────────────────────────────────────────────────────────────────────────


def waits(page: Client) -> tuple[int, bool]:
    reply = page.sync()
    return reply["undelivered"], reply["away"]


@pytest.fixture
def page_server() -> Iterator[Callable[[Pipeline], PageServer]]:
    made: list[PageServer] = []

    def start(pipeline: Pipeline) -> PageServer:
        made.append(PageServer(pipeline.path))
        return made[-1]

    yield start
    for each in made:
        if each.process.poll() is None:
            each.kill()


def on_page(event_id: str, label: str = "in") -> dict[str, Any]:
    key = f"key-{next(_keys):08d}"
    return {"op": "answer", "key": key, "event_id": event_id, "label": json.dumps(label)}


def test_answers_outlive_a_broker_that_is_gone_and_a_service_that_is_killed_meanwhile(
    own_broker: Broker, topics: str, tmp_path: Path, page_server: Callable[[Pipeline], PageServer]
) -> None:
    with closing(
        Pipeline(own_broker.bootstrap, topics, tmp_path / "p", partitions=2, budget=1.0)
    ) as pipeline:
        _outlive(pipeline, own_broker, page_server(pipeline))


def _outlive(pipeline: Pipeline, own_broker: Broker, server: PageServer) -> None:
    pipeline.start("a")
    pipeline.feed(rows(4))
    until(lambda: len(pipeline.read("queries")) >= 4, "all are asked")
    page = Client(server).open()
    first = page.sync()
    cards = [card["id"] for card in first["cards"]]
    assert waits(page) == (0, False)

    own_broker.kill()
    for event_id in cards[:2]:
        (done,) = page.sync(on_page(event_id), have=tuple(cards))["done"]
        assert done["state"] == "kept"
    page.sync(leave=True)
    until(lambda: waits(page) == (2, True), "the page says that they wait")
    own_broker.restart()
    until(lambda: waits(page) == (0, False), "they are delivered")
    until(lambda: len(pipeline.read("examples")) == 2, "they are learned")

    own_broker.kill()
    fourth = next(event_id for event_id in pipeline.truth if event_id not in cards)
    page.sync(on_page(cards[2]), on_page(fourth))
    page.sync(leave=True)
    until(lambda: waits(page) == (2, True), "the page says that they wait")
    server.kill()
    own_broker.restart()
    server.start()
    until(lambda: len(pipeline.read("examples")) == 4, "they are learned")
    assert max(Counter(event_id for _, event_id, _ in log_of(pipeline)).values()) == 1
    assert letters(pipeline) == {}
    said_ = server.stop()
    assert "Traceback" not in said_, said_
    pipeline.finish(1)
    pipeline.check()


def test_a_service_killed_again_and_again_loses_nothing_and_doubles_nothing(
    make: Callable[..., Pipeline], page_server: Callable[[Pipeline], PageServer]
) -> None:
    events = 24
    pipeline = make()
    pipeline.start("a")
    pipeline.feed(rows(events))
    until(lambda: len(pipeline.read("queries")) >= events, "all are asked")
    server = page_server(pipeline)
    answered: list[str] = []
    for round_ in range(8):
        page = Client(server).open()
        cards = [card["id"] for card in page.sync()["cards"]]
        assert not set(cards) & set(answered)
        for event_id in cards:
            (done,) = page.sync(on_page(event_id, "out"), have=tuple(cards))["done"]
            assert done["state"] == "kept"
        answered += cards
        page.sync(leave=True)
        time.sleep(0.02 * round_)  # not to wait for anything: to be killed at another moment each time
        server.kill()
        server.start()
    assert len(answered) == events
    until(lambda: len(pipeline.read("examples")) == events, "all are learned")
    server.stop()
    pipeline.finish(1)
    found = pipeline.check()
    assert found["examples"] == events
    assert set(found["letters"]) <= {"duplicate"}
