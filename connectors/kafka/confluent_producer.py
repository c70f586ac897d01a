"""A producer of transactions by librdkafka, with as much of kafka-python's as `transactions` calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import kafka.errors as ke
from confluent_kafka import KafkaException, Producer
from confluent_kafka import TopicPartition as Place
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata, TopicPartition

from connectors.kafka.confluent import common, error_of, packed, translated
from connectors.kafka.wire import Headers
from stream_al.config import KafkaConfig

_REQUEST_BYTES: Final = 32 * 2**20
_WAIT: Final = 0.05


class _Sending:
    """A record on its way; when it fails its transaction does, by what librdkafka promises."""

    @staticmethod
    def failed() -> bool:
        return False


_SENDING: Final = _Sending()


class ConfluentProducer:
    """Produces in transactions.

    Parameters
    ----------
    kafka
        The connection.
    name
        The transactional id.
    transaction_timeout_ms
        After so long the broker aborts a transaction.
    max_block_ms
        So long each call may wait.
    """

    def __init__(self, kafka: KafkaConfig, name: str, transaction_timeout_ms: int, max_block_ms: int) -> None:
        settings = {
            "transactional.id": name,
            "transaction.timeout.ms": transaction_timeout_ms,
            "acks": "all",
            # Java's and kafka-python's. Only dead letters leave it to the client where they go.
            "partitioner": "murmur2_random",
            "message.max.bytes": _REQUEST_BYTES,
            # The records of a batch come at once, and the commit waits for no lingering.
            "linger.ms": 5,
            "retry.backoff.ms": 5,
            "delivery.report.only.error": True,
        }
        with translated():
            self._producer: Any = Producer(common(kafka) | settings)
        self._patience = max_block_ms / 1000

    def init_transactions(self) -> None:
        """Abort what a predecessor of the name had begun, and fence it."""
        with translated():
            self._producer.init_transactions(self._patience)

    def begin_transaction(self) -> None:
        """Begin one."""
        with translated():
            self._producer.begin_transaction()

    def send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        headers: Headers,
        partition: int | None,
        timestamp_ms: int | None,
    ) -> _Sending:
        """Queue a record."""
        number = -1 if partition is None else partition
        while True:
            try:
                self._producer.produce(
                    topic, value, key, number, timestamp=timestamp_ms or 0, headers=headers
                )
                return _SENDING
            except BufferError:
                self._producer.poll(_WAIT)
            except KafkaException as failure:
                raise error_of(failure.args[0]) from failure

    def send_offsets_to_transaction(
        self, offsets: Mapping[TopicPartition, OffsetAndMetadata], member: ConsumerGroupMetadata
    ) -> None:
        """Commit offsets and their metadata with the transaction, if the membership is still the group's (KIP-447)."""
        places = [Place(p.topic, p.partition, at.offset, at.metadata) for p, at in offsets.items()]
        with translated():
            self._producer.send_offsets_to_transaction(places, packed(member), self._patience)

    def flush(self, timeout: float) -> None:
        """Wait until all is sent, or given up."""
        with translated():
            self._producer.flush(timeout)

    def commit_transaction(self) -> None:
        """Make it visible.

        Raises
        ------
        TransactionAbortedError
            When it had failed before that.
        KafkaError
            When it is not known whether it is visible.
        """
        try:
            self._producer.commit_transaction(self._patience)
        except KafkaException as failure:
            error = failure.args[0]
            told = error_of(error)
            raise ke.TransactionAbortedError(str(told)) if error.txn_requires_abort() else told from failure

    def close(self, timeout: float | None = None) -> None:
        """Forget what is not sent; librdkafka ends when the last call of its has come back."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
