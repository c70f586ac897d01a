"""The loop that the worker on Kafka is measured against: consume, ``predict_proba_one``, produce, and nothing else.

It makes as many records as the worker, of the same size and in the same partitions, with the same settings of the
same client; but without transactions, headers, checks, draws or a strategy: every 25th event is asked about. What
it has produced when it dies may be produced again, or never. Run by kafka_cost.py, as

    python benchmarks/kafka_bare.py CONFIG
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
from kafka.structs import TopicPartition
from river import compose, linear_model, preprocessing

from connectors.kafka import client
from connectors.kafka.wire import partition_of
from stream_al.config import load_config
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


def main(path: Path) -> None:
    kafka = load_config(path).kafka
    assert kafka is not None
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    predict = taught(kafka).predict_proba_one
    decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode
    predictions, queries = kafka.topics.name("predictions"), kafka.topics.name("queries")
    wanted, count = kafka.predictions, 0
    producer = client.producer(kafka)
    consumer = client.consumer(
        kafka, group_id=kafka.group, enable_auto_commit=True, auto_commit_interval_ms=1000
    )
    consumer.subscribe([kafka.topics.name("events")])
    tune_collector()
    send = producer.send
    while not stopped:
        for records in consumer.poll(50, 1000).values():
            for record in records:
                event = decode(record.value)
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
                    send(predictions, line, name.encode(), None, record.partition)
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
                    send(queries, line, name.encode(), None, place)
    producer.flush()
    consumer.close()
    producer.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
