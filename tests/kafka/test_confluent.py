"""The records that librdkafka fetches are those that kafka-python does; and what its transactions do is as said."""

from __future__ import annotations

import logging
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from broker import Broker
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata, TopicPartition
from pipelines import Pipeline, Progress, rows, running, until

from connectors.kafka import client
from connectors.kafka.confluent_consumer import SETTINGS
from connectors.kafka.transactions import RejectedError, Transactions
from connectors.kafka.wire import Message, beside
from stream_al.config import KafkaConfig

SHAPES: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]] = [
    (b"value", b"key", [("a", b"1"), ("a", b"2"), ("b", b"")]),
    (None, b"tombstone", [("s", "ä€".encode())]),
    (b"\0\xff", None, []),
    (b"", b"", []),
    (b"large" * 50_000, b"large", []),
]


@pytest.fixture
def pipeline(kafka: str, topics: str, tmp_path: Path, confluent: str) -> Iterator[Pipeline]:
    made = Pipeline(kafka, topics, tmp_path, partitions=3, client=confluent)
    yield made
    made.close()


def other(config: KafkaConfig) -> KafkaConfig:
    return config.model_copy(update={"client": "kafka-python"})


def write(pipeline: Pipeline, transactions: int, config: KafkaConfig) -> None:
    """Write transactions of many small records, a third of them aborted, the last as well."""
    rng = random.Random(1)
    topic, now = pipeline.topic("predictions"), int(time.time() * 1000)
    for number in range(transactions):
        producer = client.transactional_producer(
            config, f"{pipeline.kafka.group}-w", transaction_timeout_ms=9000
        )
        producer.init_transactions()
        producer.begin_transaction()
        for at in range(rng.randrange(1, 200)):
            value, key, headers = rng.choice(SHAPES[:4]) if at else SHAPES[number % 5]
            producer.send(topic, value, key, headers, rng.randrange(3), now + at)
        producer.flush(10)
        if number % 3 < 2:
            producer.commit_transaction()
        producer.close(timeout=0)


def all_of(consumer: Any, share: list[TopicPartition]) -> dict[TopicPartition, list[Any]]:
    """Read until the position is the end, which is a mark of a transaction."""
    ends = consumer.end_offsets(share)
    found: dict[TopicPartition, list[Any]] = {partition: [] for partition in share}

    def read() -> bool:
        for partition, records in consumer.poll(100, 77).items():
            found[partition] += records
        return all(consumer.position(partition) >= end for partition, end in ends.items())

    until(read, "the position is at the end", 20)
    return found


def content(record: Any) -> tuple[Any, ...]:
    return record.offset, record.timestamp, record.key, record.value, list(record.headers)


@pytest.mark.parametrize("writer", ["kafka-python", "confluent"])
def test_both_read_the_same_records_of_what_either_wrote(pipeline: Pipeline, writer: str) -> None:
    config = pipeline.kafka.model_copy(update={"client": writer})
    write(pipeline, 8, config)
    # What the last one left open is aborted by its successor.
    client.transactional_producer(
        config, f"{config.group}-w", transaction_timeout_ms=9000
    ).init_transactions()
    share = [TopicPartition(pipeline.topic("predictions"), number) for number in range(3)]
    with client.consumer(pipeline.kafka) as ours, client.consumer(other(pipeline.kafka)) as theirs:
        for consumer in (ours, theirs):
            consumer.assign(share)
            consumer.seek_to_beginning()
        here, there = all_of(ours, share), all_of(theirs, share)
    assert sum(map(len, here.values())) > 200
    for partition in share:
        assert [content(record) for record in here[partition]] == [
            content(record) for record in there[partition]
        ]
        assert {(record.topic, record.partition) for record in here[partition]} == {tuple(partition)}


def test_it_reads_on_exactly_where_it_was_told_and_nothing_while_paused(pipeline: Pipeline) -> None:
    write(pipeline, 12, pipeline.kafka)
    share = [TopicPartition(pipeline.topic("predictions"), number) for number in range(3)]
    rng = random.Random(2)
    with client.consumer(pipeline.kafka) as consumer:
        consumer.assign(share)
        assert [consumer.position(partition) for partition in share] == [0, 0, 0]
        offsets = {
            partition: [record.offset for record in records]
            for partition, records in all_of(consumer, share).items()
        }
        due = {partition: len(found) for partition, found in offsets.items()}

        def read(timeout_ms: int, most: int) -> None:
            for partition, records in consumer.poll(timeout_ms, most).items():
                assert partition not in consumer.paused()
                wanted = offsets[partition][due[partition] : due[partition] + len(records)]
                assert [record.offset for record in records] == wanted
                due[partition] += len(records)
                assert consumer.position(partition) > wanted[-1]

        for _ in range(300):
            partition = rng.choice(share)
            due[partition] = rng.randrange(len(offsets[partition]))
            consumer.seek(partition, offsets[partition][due[partition]])
            assert consumer.position(partition) == offsets[partition][due[partition]]
            if rng.random() < 0.3:
                change = consumer.resume if partition in consumer.paused() else consumer.pause
                change(partition)
            for _ in range(rng.randrange(4)):
                read(rng.choice([0, 5, 20]), rng.choice([1, 50, 500]))
        consumer.resume(*consumer.paused())

        def read_all() -> bool:
            read(50, 500)
            return all(due[p] == len(offsets[p]) for p in share)

        until(read_all, "all is read", 20)


@pytest.mark.slow
def test_a_partition_behind_a_long_queue_is_not_begun_anew_again_and_again(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.kafka.confluent_consumer._SILENT", 0.5)
    # A thousand or two in the queue at a time: seconds of what is read below. When it runs out, librdkafka fetches of both
    # partitions, or only of the first; so it may take some rounds.
    for name, value in {"queued.min.messages": 1000, "max.partition.fetch.bytes": 2**16}.items():
        monkeypatch.setitem(SETTINGS, name, value)
    first, second = (TopicPartition(pipeline.topic("predictions"), number) for number in range(2))
    producer = client.transactional_producer(
        other(pipeline.kafka), f"{pipeline.kafka.group}-w", transaction_timeout_ms=9000
    )
    producer.init_transactions()
    producer.begin_transaction()
    for _ in range(30_000):
        producer.send(first.topic, b"x" * 50, None, [], 0, None)
    producer.send(first.topic, b"behind", None, [], 1, None)
    producer.commit_transaction()
    producer.close(timeout=5)
    with client.consumer(pipeline.kafka) as consumer:
        consumer.assign([first])
        consumer.poll(5000, 1)
        time.sleep(0.5)  # a thousand and more are fetched
        consumer.assign([first, second])
        before, found = 0, False
        while not found and before < 20_000:
            records = consumer.poll(1000, 20)
            before += len(records.get(first, ()))
            found = second in records
            time.sleep(0.03)
    assert found


def unregister(broker: Broker) -> None:
    """Have the controller forget its only broker: until a restart, metadata name none (UnregisterBroker, KIP-631).

    kafka-python has no such request.
    """
    body = struct.pack(">hhih1sb", 64, 0, 1, 1, b"t", 0) + struct.pack(">ib", 1, 0)
    with socket.create_connection(("127.0.0.1", broker.port), 5) as connection:
        connection.sendall(struct.pack(">i", len(body)) + body)
        answer = connection.recv(100)
    assert struct.unpack_from(">h", answer, 13) == (0,), answer


@pytest.mark.slow
def test_it_finds_back_when_metadata_have_named_no_broker(
    own_broker: Broker,
    topics: str,
    tmp_path: Path,
    confluent: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name, value in {"debug": "metadata", "topic.metadata.refresh.interval.ms": 50}.items():
        monkeypatch.setitem(SETTINGS, name, value)
    caplog.set_level(logging.DEBUG, "connectors.kafka.confluent")
    pipeline = Pipeline(own_broker.bootstrap, topics, tmp_path / "pipeline", partitions=3, client=confluent)
    share = [TopicPartition(pipeline.topic("predictions"), number) for number in range(3)]
    with client.consumer(pipeline.kafka) as consumer:
        consumer.assign(share)
        all_of(consumer, share)

        def named_none() -> bool:
            consumer.poll(100)
            return any(" 0 brokers" in message for message in caplog.messages)

        unregister(own_broker)
        until(named_none, "metadata named no broker")
        own_broker.kill()
        own_broker.restart()
        write(pipeline, 2, other(pipeline.kafka))
        assert any(all_of(consumer, share).values())
    pipeline.close()


def test_what_is_committed_beside_an_offset_is_read_back_by_both(pipeline: Pipeline) -> None:
    partition = TopicPartition(pipeline.topic("events"), 0)
    group = pipeline.kafka.group
    for config in (pipeline.kafka, other(pipeline.kafka)):
        producer = client.transactional_producer(config, f"{group}-w", transaction_timeout_ms=9000)
        producer.init_transactions()
        producer.begin_transaction()
        text = '{"state": [0.1, 2], "name": "ä€"}'
        offsets = {partition: OffsetAndMetadata(4, text)}
        producer.send_offsets_to_transaction(offsets, ConsumerGroupMetadata(group))
        producer.commit_transaction()
        producer.close(timeout=0)
        for reader in (pipeline.kafka, other(pipeline.kafka)):
            with client.consumer(reader, group_id=group) as consumer:
                committed = consumer.committed(partition, metadata=True)
            assert (committed.offset, beside(committed)) == (4, {"state": [0.1, 2], "name": "ä€"})


def stale(member: ConsumerGroupMetadata) -> ConsumerGroupMetadata:
    return ConsumerGroupMetadata(member.group_id, member.generation_id - 1, member.member_id, None)


def stranger(member: ConsumerGroupMetadata) -> ConsumerGroupMetadata:
    return ConsumerGroupMetadata(member.group_id, member.generation_id, member.member_id + "x", None)


@pytest.mark.parametrize("wrong", [stale, stranger])
def test_a_membership_that_is_not_the_groups_is_refused(
    pipeline: Pipeline, wrong: Callable[[ConsumerGroupMetadata], ConsumerGroupMetadata]
) -> None:
    kafka = pipeline.kafka
    name = f"{kafka.group}-t"
    transactions = Transactions(
        lambda: client.transactional_producer(kafka, name, transaction_timeout_ms=9000), 30.0
    )
    topic, now = pipeline.topic("predictions"), int(time.time() * 1000)
    offsets = {TopicPartition(pipeline.topic("events"), 0): OffsetAndMetadata(1, "{}")}
    with client.consumer(kafka, group_id=kafka.group) as consumer:
        consumer.subscribe([pipeline.topic("events")])

        def joined() -> bool:
            consumer.poll(100)
            return bool(consumer.assignment())

        until(joined, "it is a member", 30)
        member = consumer.group_metadata()
        transactions.start([Message(topic, 0, b"k", b"refused", [], now)], offsets, wrong(member))
        with pytest.raises(RejectedError):
            transactions.finish()
        transactions.start([Message(topic, 0, b"k", b"taken", [], now)], offsets, member)
        transactions.finish()
    transactions.close()
    assert [record.value for record in pipeline.read("predictions")] == [b"taken"]


def test_a_record_that_is_too_large_rejects_its_transaction_and_no_other(pipeline: Pipeline) -> None:
    kafka = pipeline.kafka
    transactions = Transactions(
        lambda: client.transactional_producer(kafka, f"{kafka.group}-t", transaction_timeout_ms=9000), 30.0
    )
    topic, now = pipeline.topic("predictions"), int(time.time() * 1000)
    member = ConsumerGroupMetadata(kafka.group)
    for size in (2**21, 2**26):  # too large for the topic; and for the client
        large = Message(topic, 0, b"k", b"x" * size, [], now)
        transactions.start([Message(topic, 1, b"k", b"beside", [], now), large], {}, member)
        with pytest.raises(RejectedError, match=r"MessageSizeTooLarge|TransactionAborted"):
            transactions.finish()
    transactions.start([Message(topic, 1, b"k", b"after", [], now)], {}, member)
    transactions.finish()
    transactions.close()
    assert [record.value for record in pipeline.read("predictions")] == [b"after"]


@pytest.mark.slow
def test_workers_of_both_clients_are_one_group_and_either_goes_on_with_the_others_work(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 6000
    events = rows(count, 12)

    def start(name: str, kind: str) -> None:
        monkeypatch.setenv("STREAM_AL_KAFKA__CLIENT", kind)
        pipeline.start(name)

    with running(pipeline, 9) as oracle:
        progress = Progress(pipeline)
        start("a", "kafka-python")
        pipeline.feed(events[: count // 4])
        until(lambda: progress() > count // 10, "kafka-python's worker is in the middle of it")
        start("b", "confluent")
        pipeline.feed(events[count // 4 : count // 2])
        until(lambda: progress() > 2 * count // 5, "both work")
        pipeline.kill("a")
        start("a", "confluent")  # the same member and transactional id, with the other client
        pipeline.feed(events[count // 2 : 3 * count // 4])
        until(lambda: progress() > 3 * count // 5, "confluent's work")
        pipeline.stop("b")
        start("b", "kafka-python")
        pipeline.feed(events[3 * count // 4 :])
        until(lambda: progress() >= count, "all events are answered")
        progress.close()
        pipeline.finish(2)
    found = pipeline.check()
    assert found["predictions"] == count
    assert found["examples"] == len(oracle.asked)
    assert set(found["letters"]) <= {"duplicate"}
