"""One transaction a micro-batch: outputs, offsets and what travels with them, all or nothing (KIP-98, KIP-447)."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from kafka import errors
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata, TopicPartition

from connectors.kafka.wire import Message
from stream_al.errors import BrokerError

_T = TypeVar("_T")


class RejectedError(Exception):
    """The transaction was aborted: this worker's share has changed meanwhile. Nothing of it is visible."""


class LostError(Exception):
    """It cannot be told what became of the transaction, or another process took this worker's place.

    What is true is on the broker: read it back.
    """


class Transactions:
    """Commits micro-batches.

    Parameters
    ----------
    producer
        A transactional producer; becomes this object's.
    patience
        Seconds after which a call of the client that has not come back counts as lost.
    """

    def __init__(self, producer: Any, patience: float) -> None:
        self._producer = producer
        self._patience = patience
        try:
            guarded(producer.init_transactions, patience)
        except errors.KafkaError as error:
            raise LostError(f"transactions cannot be begun: {error}") from error

    def commit(
        self,
        messages: list[Message],
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
        member: ConsumerGroupMetadata,
    ) -> None:
        """Make messages and offsets visible together.

        Raises
        ------
        RejectedError
            When the group has moved on since ``member`` was noted, so others may be at work on the same records.
        LostError
            When the outcome is unknown or this producer was fenced.
        """
        try:
            guarded(lambda: self._commit(messages, offsets, member), self._patience)
        except (
            errors.ProducerFencedError,
            errors.InvalidProducerEpochError,
            errors.FencedInstanceIdError,
            errors.TransactionalIdAuthorizationFailedError,
            LostError,
        ) as error:
            raise LostError(f"{type(error).__name__}: {error}") from error
        except errors.KafkaError as error:
            self._abort(error)
            raise RejectedError(f"{type(error).__name__}: {error}") from error

    def _commit(
        self,
        messages: list[Message],
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
        member: ConsumerGroupMetadata,
    ) -> None:
        producer = self._producer
        producer.begin_transaction()
        send = producer.send
        for topic, partition, key, value, headers, timestamp_ms in messages:
            send(topic, value, key, headers, partition, timestamp_ms)
        producer.send_offsets_to_transaction(dict(offsets), member)
        producer.commit_transaction()

    def _abort(self, cause: BaseException) -> None:
        try:
            guarded(self._producer.abort_transaction, self._patience)
        except (errors.KafkaError, LostError) as error:
            raise LostError(f"could not be aborted after {cause!r}: {error}") from error

    def close(self) -> None:
        """Give the producer up; an open transaction is aborted by the broker, or by the next with its name."""
        with contextlib.suppress(Exception):
            guarded(lambda: self._producer.close(timeout=1.0), 5.0)


def guarded(call: Callable[[], _T], patience: float) -> _T:
    """Return what a call returns, or raise `LostError` when it has not come back after ``patience`` seconds.

    Some of kafka-python's calls wait without a limit. What is left waiting is a daemon thread, which holds
    nothing that a new client would need.
    """
    found: list[_T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(call())
        except BaseException as error:  # raised again in the caller's thread
            failed.append(error)

    thread = threading.Thread(target=run, name="kafka call", daemon=True)
    thread.start()
    thread.join(patience)
    if thread.is_alive():
        raise LostError(f"no answer in {patience:g} seconds")
    if failed:
        raise failed[0]
    return found[0]


def explained(error: errors.KafkaError, doing: str) -> BrokerError:
    """Return an error of the client as ours."""
    return BrokerError(
        f"{doing}: {type(error).__name__}: {error}; check that the brokers are up and reachable"
    )
