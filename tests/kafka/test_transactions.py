"""A transaction is all of it or nothing. What kafka-python does to one whose records fail, a killed broker shows
(`test_exactness.py`)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata, TopicPartition
from pipelines import Pipeline

from connectors.kafka import client
from connectors.kafka.transactions import LostError, RejectedError, Transactions
from connectors.kafka.wire import Message


class Transacting:
    """`Transactions` on a pipeline's topics, with a pause before the commit: the broker may have ended them by then."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.pause = 0.0
        self.transactions = self.begun()

    def begun(self) -> Transactions:
        return Transactions(self._producer, 30.0)

    def _producer(self) -> Any:
        kafka = self._pipeline.kafka
        # The broker ends a transaction after a second, when it looks, every three.
        made = client.transactional_producer(kafka, f"{kafka.group}-t", transaction_timeout_ms=1000)
        send_offsets = made.send_offsets_to_transaction

        def slow(*arguments: Any) -> None:
            send_offsets(*arguments)
            time.sleep(self.pause)

        made.send_offsets_to_transaction = slow
        return made

    def commit(self, values: list[bytes], offset: int) -> None:
        topic = self._pipeline.topic("predictions")
        now = int(time.time() * 1000)  # else they would be deleted as too old
        messages = [Message(topic, n % 2, b"k", value, [], now) for n, value in enumerate(values)]
        offsets = {TopicPartition(self._pipeline.topic("events"), 0): OffsetAndMetadata(offset, "")}
        self.transactions.start(messages, offsets, ConsumerGroupMetadata(self._pipeline.kafka.group))
        self.transactions.finish()

    def values(self) -> list[bytes]:
        return sorted(bytes(record.value) for record in self._pipeline.read("predictions"))

    def offset(self) -> int:
        admin = client.admin(self._pipeline.kafka)
        try:
            group = self._pipeline.kafka.group
            found = admin.list_group_offsets({group: None})[group]
        finally:
            admin.close()
        return max((committed.offset for committed in found.values()), default=-1)


@pytest.fixture
def transacting(kafka: str, topics: str, tmp_path: Path, each_client: str) -> Iterator[Transacting]:
    pipeline = Pipeline(kafka, topics, tmp_path, partitions=2, client=each_client)
    made = Transacting(pipeline)
    yield made
    made.transactions.close()
    pipeline.close()


def test_records_and_offsets_are_visible_together(transacting: Transacting) -> None:
    transacting.commit([b"a", b"b"], 2)
    assert transacting.values() == [b"a", b"b"]
    assert transacting.offset() == 2


@pytest.mark.slow
def test_a_commit_that_comes_when_the_broker_has_ended_the_transaction_is_no_success(
    transacting: Transacting,
) -> None:
    transacting.commit([b"before"], 1)
    transacting.pause = 8.0
    with pytest.raises((RejectedError, LostError)):
        transacting.commit([b"lost", b"too late"], 3)
    assert transacting.values() == [b"before"]
    assert transacting.offset() == 1
    transacting.pause = 0.0
    transacting.transactions.close()
    transacting.transactions = transacting.begun()
    transacting.commit([b"whole", b"again"], 3)
    assert transacting.values() == [b"again", b"before", b"whole"]
    assert transacting.offset() == 3
