"""Labels on topics: early, unknown, astray, twice, and handed over from worker to worker."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime

import pytest
from pipelines import Pipeline, rows, until

from connectors.kafka import client
from connectors.kafka.verify import verify
from connectors.kafka.wire import EVENT, FORWARDED, LABELS, PLACE, STATUS, header, partition_of
from connectors.kafka.worker import KafkaWorker
from stream_al.codec import QueryRow
from stream_al.records import Example


class Inside:
    """A worker in this process, driven step by step."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.told: list[str] = []
        self.worker = KafkaWorker(pipeline.config, tell=self.told.append)
        self.worker.recover()

    def until(self, condition: Callable[[], bool], what: str) -> None:
        def stepped() -> bool:
            self.worker.step()
            return condition()

        until(stepped, what, 60)

    def __enter__(self) -> Inside:
        return self

    def __exit__(self, *_: object) -> None:
        self.worker.close()


def letters(pipeline: Pipeline) -> dict[str, str]:
    """Return the dead letters' reasons by the place they name."""
    found: dict[str, str] = {}
    for record in pipeline.read("dead_letters"):
        where = header(record, PLACE)
        assert where is not None
        assert where not in found
        found[where] = json.loads(record.value)["reason"]
    return found


def query_of(event_id: str, propensity: float = 1.0, reason: str = "cold-start") -> bytes:
    features: dict[str, float | int | bool | str] = {"x": 1.0, "y": 0.0, "n": 1}
    row = QueryRow(event_id, features, None, None, None, {}, 1.0, None, propensity, reason, 0, 0)
    return row.to_json()


@pytest.mark.usefixtures("each_client")
@pytest.mark.parametrize("fate", ["commit", "abort"])
def test_a_label_that_overtakes_its_query_waits_for_it(make: Callable[..., Pipeline], fate: str) -> None:
    pipeline = make()
    writer = client.producer(pipeline.kafka, transactional_id=f"{pipeline.kafka.group}-writer")
    writer.init_transactions()
    with Inside(pipeline) as inside:
        inside.until(lambda: inside.worker.ready, "the worker has its share")
        writer.begin_transaction()
        where = partition_of("early", 2)
        writer.send(pipeline.topic("queries"), query_of("early"), b"early", partition=where).get(10)
        pipeline.answer("early", "in")
        pipeline.producer.flush()
        for _ in range(20):
            inside.worker.step()
        assert inside.worker.progress.labels == 0
        getattr(writer, f"{fate}_transaction")()
        inside.until(lambda: inside.worker.progress.labels == 1, "the label is taken")
        writer.close()
    assert len(pipeline.read("examples")) == (fate == "commit")
    assert list(letters(pipeline).values()) == ([] if fate == "commit" else ["unknown-event"])


@pytest.mark.usefixtures("each_client")
def test_a_label_astray_is_passed_on_once_and_learned_under_its_first_place(
    make: Callable[..., Pipeline],
) -> None:
    pipeline = make()
    pipeline.feed(rows(1))
    wrong = 1 - partition_of("e0", 2)
    with Inside(pipeline) as inside:
        inside.until(lambda: inside.worker.open == 1, "the query is open")
        pipeline.answer("e0", "in", wrong)
        pipeline.producer.flush()
        inside.until(lambda: inside.worker.model.version == 1, "it is learned")
        inside.until(lambda: inside.worker.open == 0, "the query is closed")
    (example,) = pipeline.read("examples")
    place = f"{pipeline.topic('labels')}:{wrong}:0"
    assert json.loads(header(example, LABELS) or "") == [place]
    moved = [record for record in pipeline.read("labels") if header(record, FORWARDED)]
    assert [(record.partition, header(record, FORWARDED)) for record in moved] == [(1 - wrong, place)]
    assert verify(pipeline.config).differences == []


def test_a_label_weighs_what_the_strategy_says(
    make: Callable[..., Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAM_AL_STRATEGY__NAME", "importance")
    pipeline = make(budget=0.1)
    for name, chance, reason in (("first", 1.0, "cold-start"), ("later", 0.4, "uncertain")):
        where = partition_of(name, 2)
        query = query_of(name, chance, reason)
        pipeline.producer.send(pipeline.topic("queries"), query, name.encode(), partition=where)
        pipeline.answer(name, "in")
    pipeline.producer.flush()
    with Inside(pipeline) as inside:
        inside.until(lambda: inside.worker.model.version == 2, "both are learned")
    examples = [Example.model_validate_json(record.value) for record in pipeline.read("examples")]
    assert {example.event_id: example.weight for example in examples} == {"first": 1.0, "later": 0.25}


@pytest.mark.usefixtures("each_client")
def test_answers_wait_for_the_quorum_across_a_change_of_workers(make: Callable[..., Pipeline]) -> None:
    pipeline = make(quorum=2)
    pipeline.feed(rows(1))
    with Inside(pipeline) as inside:
        inside.until(lambda: inside.worker.open == 1, "the query is open")
        pipeline.answer("e0", "in", annotator="ann")
        pipeline.producer.flush()
        inside.until(lambda: inside.worker.progress.labels == 1, "the first label is taken")
        inside.worker.settle()
    assert pipeline.read("examples") == []
    with Inside(pipeline) as inside:
        pipeline.answer("e0", "in", annotator="ann")
        pipeline.answer("e0", "in", annotator="bob")
        pipeline.producer.flush()
        inside.until(lambda: inside.worker.model.version == 1, "it is learned")
    (record,) = pipeline.read("examples")
    assert Example.model_validate_json(record.value).annotators == ("ann", "bob")
    assert list(letters(pipeline).values()) == ["duplicate"]
    assert verify(pipeline.config).differences == []


def test_late_labels_are_told_apart_after_a_change_of_workers(make: Callable[..., Pipeline]) -> None:
    pipeline = make(rules='corrections = "dead-letter"')
    pipeline.feed(rows(1))
    with Inside(pipeline) as inside:
        inside.until(lambda: inside.worker.open == 1, "the query is open")
        pipeline.answer("e0", "in", annotator="ann")
        pipeline.producer.flush()
        inside.until(lambda: inside.worker.model.version == 1, "it is learned")
    with Inside(pipeline) as inside:
        for annotator, label in (("ann", "in"), ("ann", "out"), ("bob", "in")):
            pipeline.answer("e0", label, annotator=annotator)
        pipeline.answer("never", "in")
        pipeline.producer.flush()
        inside.until(lambda: inside.worker.progress.labels == 4, "they are taken")
        inside.worker.settle()
    assert sorted(letters(pipeline).values()) == [
        "already-answered",
        "correction-after-learning",
        "duplicate",
        "unknown-event",
    ]
    assert len(pipeline.read("examples")) == 1


@pytest.mark.usefixtures("each_client")
def test_poison_becomes_dead_letters_with_its_place_and_stops_nothing(make: Callable[..., Pipeline]) -> None:
    pipeline = make()
    poison = [b"{", b"\xff\xfe", b"[]", b'{"features": {}}', b'{"features": {"x": 1e999}}', b"null", b""]
    for number, value in enumerate(poison):
        pipeline.producer.send(pipeline.topic("events"), value, partition=number % 2)
        pipeline.producer.send(pipeline.topic("labels"), value, partition=number % 2)
    pipeline.producer.send(pipeline.topic("events"), key=b"gone", partition=0)
    pipeline.producer.send(pipeline.topic("queries"), b"junk", b"junk", partition=0)
    pipeline.producer.send(pipeline.topic("examples"), b"junk", b"junk", partition=0)
    pipeline.producer.flush()
    pipeline.feed(rows(10))
    with Inside(pipeline) as inside:
        inside.until(lambda: inside.worker.progress.events == 10, "the events are answered")
        inside.until(lambda: inside.worker.progress.labels == len(poison), "the labels are taken")
        inside.until(lambda: inside.worker.open == 10, "the queries are open")
        inside.worker.settle()
        assert inside.worker.model.version == 1  # of nothing
    found = letters(pipeline)
    events = [place for place in found if place.startswith(pipeline.topic("events"))]
    labels = [place for place in found if place.startswith(pipeline.topic("labels"))]
    assert (len(events), len(labels)) == (len(poison) + 1, len(poison))
    assert [reason for place, reason in found.items() if "example 0" in place] == ["refused"]
    assert verify(pipeline.config).differences == []


def test_an_example_that_teaches_nothing_is_told_once_whoever_works(make: Callable[..., Pipeline]) -> None:
    pipeline = make()
    for label in ('"in"', "3", '"out"'):
        value = f'{{"event_id": "e", "features": {{"x": 1.0}}, "label": {label}}}'.encode()
        pipeline.producer.send(pipeline.topic("examples"), value, b"e", partition=0)
    pipeline.producer.flush()
    for _ in range(2):
        with Inside(pipeline) as inside:
            inside.until(lambda: inside.worker.ready, "the worker has its share")
            for _ in range(5):
                inside.worker.step()
            inside.worker.settle()
            assert inside.worker.model.version == 3
    assert list(letters(pipeline).values()) == ["refused"]


def test_keys_headers_times_and_places_carry_over(make: Callable[..., Pipeline]) -> None:
    pipeline = make()
    trace = [("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), ("other", b"stays")]
    topic = pipeline.topic("events")
    moment = int(time.time()) * 1000 - 3_600_000 + 123  # older ones the broker would delete
    pipeline.producer.send(
        topic,
        b'{"features": {"x": 1.5}}',
        b"customer 7",
        headers=trace,
        partition=1,
        timestamp_ms=moment,
    )
    pipeline.producer.flush()
    with Inside(pipeline) as inside:
        inside.until(lambda: inside.worker.open == 1, "the query is open")
    place = f"{topic}:1:0"
    (prediction,), (query,) = pipeline.read("predictions"), pipeline.read("queries")
    for record in (prediction, query):
        assert bytes(record.key).decode() == place
        assert json.loads(record.value)["event_id"] == place
        assert record.timestamp == moment
        assert record.headers == [trace[0], (EVENT, place.encode())]
    content = json.loads(query.value)
    asked_at = datetime.fromisoformat(content["asked_at"])
    assert (content["key"], round(asked_at.timestamp() * 1000)) == ("customer 7", moment)


def test_an_event_asked_about_twice_is_learned_once(make: Callable[..., Pipeline]) -> None:
    pipeline = make()
    pipeline.feed(rows(1))
    pipeline.feed(rows(1))
    with Inside(pipeline) as inside:
        inside.until(lambda: inside.worker.progress.events == 2, "both are answered")
        inside.until(lambda: inside.worker.open == 1, "one query is open")
        pipeline.answer("e0", "in")
        pipeline.producer.flush()
        inside.until(lambda: inside.worker.model.version == 1, "it is learned")
        pipeline.feed(rows(1))
        inside.until(lambda: inside.worker.progress.events == 3, "it is answered again")
        for _ in range(10):
            inside.worker.step()
        assert inside.worker.open == 0
    assert len(pipeline.read("queries")) >= 3
    assert verify(pipeline.config).differences == []


def closings(pipeline: Pipeline) -> dict[str, str | None]:
    return {
        bytes(record.key).decode(): header(record, STATUS)
        for record in pipeline.read("queries")
        if record.value is None
    }


def test_queries_expire_by_the_time_of_those_after_them_and_their_labels_are_late(
    make: Callable[..., Pipeline],
) -> None:
    pipeline = make(rules='expire_after = "1h"', quorum=2, partitions=1)
    now = int(time.time()) * 1000

    def event(event_id: str, moment: int) -> None:
        value = json.dumps({"id": event_id, "features": {"x": 1.0}}).encode()
        pipeline.producer.send(pipeline.topic("events"), value, timestamp_ms=moment)
        pipeline.producer.flush()

    event("e0", now - 7_200_000)
    with Inside(pipeline) as inside:
        inside.until(lambda: inside.worker.open == 1, "the query is open")
        pipeline.answer("e0", "in")
        pipeline.producer.flush()
        inside.until(lambda: inside.worker.progress.labels == 1, "one has answered")
        inside.worker.settle()
    event("e1", now)
    for _ in range(2):  # also a worker that only reads of it tells what it was
        with Inside(pipeline) as inside:
            inside.until(lambda: inside.worker.ready, "the worker has its share")
            inside.until(lambda: inside.worker.open == 1, "one query is open")
            inside.until(lambda: "e0" in closings(pipeline), "the other one has expired")
            pipeline.answer("e0", "in", annotator="bob")
            pipeline.producer.flush()
            inside.until(lambda: inside.worker.progress.labels >= 1, "its label is taken")
            inside.worker.settle()
    assert closings(pipeline) == {"e0": "expired"}
    assert sorted(letters(pipeline).values()) == ["expired", "late", "late"]
    assert verify(pipeline.config).differences == []


def test_no_more_queries_are_open_than_allowed(make: Callable[..., Pipeline]) -> None:
    pipeline = make(max_open=3, partitions=1)
    pipeline.feed(rows(8))
    with Inside(pipeline) as inside:
        inside.until(lambda: len(closings(pipeline)) == 5, "what is too much is withdrawn")
        assert inside.worker.open == 3
    assert set(closings(pipeline).values()) == {"withdrawn"}


def test_a_query_that_somebody_deletes_is_closed(make: Callable[..., Pipeline]) -> None:
    pipeline = make(partitions=1)
    pipeline.feed(rows(1))
    with Inside(pipeline) as inside:
        inside.until(lambda: inside.worker.open == 1, "the query is open")
        pipeline.producer.send(pipeline.topic("queries"), key=b"e0", partition=0).get(10)
        inside.until(lambda: inside.worker.open == 0, "it is closed")
        pipeline.answer("e0", "in")
        pipeline.producer.flush()
        inside.until(lambda: inside.worker.progress.labels == 1, "its label is taken")
        inside.worker.settle()
    assert list(letters(pipeline).values()) == ["late"]


@pytest.mark.usefixtures("each_client")
def test_a_transaction_that_nobody_ends_is_told_once(
    make: Callable[..., Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.kafka.worker._ENDED_AFTER", 0.0)
    pipeline = make()
    kafka = pipeline.kafka.model_copy(update={"transaction_timeout": 2.0, "stall_after": 1.0})
    pipeline.config = pipeline.config.model_copy(update={"kafka": kafka})
    theirs = pipeline.kafka.model_copy(update={"client": "kafka-python"})
    producer = client.transactional_producer(theirs, f"{kafka.group}-other", transaction_timeout_ms=60_000)
    producer.init_transactions()
    producer.begin_transaction()
    producer.send(pipeline.topic("labels"), b"{}", b"e1", [], 1, int(time.time() * 1000))
    producer.flush(10)
    with Inside(pipeline) as inside:
        inside.until(lambda: bool(inside.told), "it is told")
        (said,) = inside.told
        assert f"{pipeline.topic('labels')}:1 cannot be read past offset 0" in said
        assert "find-hanging" in said
        producer.abort_transaction()
        pipeline.feed(rows(20, 1))
        inside.until(lambda: inside.worker.progress.events == 20, "all goes on")
        assert inside.told == [said]
    producer.close(timeout=5)
