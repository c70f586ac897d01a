"""The loop that the worker on Kafka is measured against: consume, ``predict_proba_one``, produce, and nothing else.

It makes as many records as the worker, of the same size and in the same partitions, with the same client, which is
set as the worker's; but without transactions, headers, checks, draws or a strategy: every 25th event is asked about. What
it has produced when it dies may be produced again, or never. Run by kafka_cost.py, as

    python benchmarks/kafka_bare.py CONFIG
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
from kafka.structs import TopicPartition
from river import compose, linear_model, preprocessing

from connectors.kafka import client
from connectors.kafka.wire import partition_of
from stream_al.config import KafkaConfig, load_config
from stream_al.runtime import tune_collector

# What the worker writes besides, so that the records are as large as its own, headers included.
_PREDICTION_REST = {
    "margin": 0.13566422135664221, "model_version": 2000, "utility": 0.13566422135664221,
    "threshold": 0.26113579261135792, "propensity": 0.012345678912345678, "queried": False, "reason": "uncertain",
    "schema_version": 1, "stream-al-event": "cost-12345-1-events:0:12345",
}  # fmt: skip
_QUERY_REST = _PREDICTION_REST | {"display": None, "key": None, "asked_at": "2026-11-25T02:00:00.123000Z"}


def taught(kafka: Any) -> Any:
    """Return the estimator, having learned the log of examples."""
    estimator = compose.Pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression())
    partition = TopicPartition(kafka.topics.name("examples"), 0)
    with client.consumer(kafka) as consumer:
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        end = consumer.end_offsets([partition])[partition]
        while consumer.position(partition) < end:
            for records in consumer.poll(100).values():
                for record in records:
                    example = msgspec.json.decode(record.value)
                    features = {sys.intern(name): v for name, v in sorted(example["features"].items())}
                    estimator.learn_one(features, example["label"] == "1")
    return estimator


Client = tuple[
    Callable[[], Iterable[tuple[Any, int]]], Callable[[str, bytes, bytes, int], object], Callable[[], None]
]
"""What gives records' values and partitions, what sends one, and what ends it."""


def by_kafka_python(kafka: KafkaConfig) -> Client:
    """Return kafka-python's consumer and producer."""
    producer = client.producer(kafka)
    consumer = client.consumer(
        kafka, group_id=kafka.group, enable_auto_commit=True, auto_commit_interval_ms=1000
    )
    consumer.subscribe([kafka.topics.name("events")])
    send = producer.send

    def fetch() -> Iterable[tuple[Any, int]]:
        for records in consumer.poll(50, 1000).values():
            for record in records:
                yield record.value, record.partition

    def close() -> None:
        producer.flush()
        consumer.close()
        producer.close()

    return fetch, lambda topic, line, key, partition: send(topic, line, key, None, partition), close


def by_confluent(kafka: KafkaConfig) -> Client:
    """Return confluent-kafka's."""
    from confluent_kafka import Consumer, Producer

    from connectors.kafka.confluent import common
    from connectors.kafka.confluent_consumer import SETTINGS

    producer = Producer(
        common(kafka) | {"enable.idempotence": True, "linger.ms": 5, "queue.buffering.max.messages": 10**7}
    )
    group = {"group.id": kafka.group, "enable.auto.commit": True, "auto.commit.interval.ms": 1000}
    stored = {"enable.auto.offset.store": True, "enable.partition.eof": False}
    consumer = Consumer(common(kafka) | SETTINGS | group | stored)
    consumer.subscribe([kafka.topics.name("events")])
    produce = producer.produce

    def fetch() -> Iterable[tuple[Any, int]]:
        producer.poll(0)
        found = consumer.consume(1, 0.05)
        for message in found + consumer.consume(999, 0) if found else ():
            if message.error() is None:
                yield message.value(), message.partition() or 0

    def close() -> None:
        producer.flush()
        consumer.close()

    return fetch, produce, close


def main(path: Path) -> None:
    kafka = load_config(path).kafka
    assert kafka is not None
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    predict = taught(kafka).predict_proba_one
    decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode
    predictions, queries = kafka.topics.name("predictions"), kafka.topics.name("queries")
    wanted, count = kafka.predictions, 0
    fetch, send, close = by_confluent(kafka) if kafka.client == "confluent" else by_kafka_python(kafka)
    tune_collector()
    while not stopped:
        for value, partition in fetch():
            event = decode(value)
            name, features = event["id"], event["features"]
            answer = predict(features)
            label = max(answer, key=answer.__getitem__)
            count += 1
            asked = count % 25 == 0
            if wanted == "all" or (asked and wanted == "queried"):
                line = encode(
                    {
                        "event_id": name,
                        "label": "1" if label else "0",
                        "probabilities": {"0": answer[False], "1": answer[True]},
                        "confidence": answer[label],
                        **_PREDICTION_REST,
                    }
                )
                send(predictions, line, name.encode(), partition)
            if asked:
                line = encode(
                    {
                        "event_id": name,
                        "features": features,
                        "predicted": "1" if label else "0",
                        **_QUERY_REST,
                    }
                )
                place = partition_of(name, kafka.topics.query_partitions)
                send(queries, line, name.encode(), place)
    close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
