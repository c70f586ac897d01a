"""One transaction a micro-batch: outputs, offsets and what travels with them, all or nothing (KIP-98, KIP-447)."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from kafka import errors
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata, TopicPartition

from connectors.kafka.wire import Message

_T = TypeVar("_T")

_ABORTED = (errors.CommitFailedError, errors.TransactionAbortedError)
"""What a commit says that has not come to asking for it."""


class RejectedError(Exception):
    """The transaction was aborted: this worker's share has changed meanwhile. Nothing of it is visible."""


class LostError(Exception):
    """It cannot be told what became of the transaction, or another process took this worker's place.

    What is true is on the broker: read it back.
    """


class Transactions:
    """Commits micro-batches, each while the next is worked on.

    Parameters
    ----------
    make
        Makes a producer with this worker's transactional id.
    patience
        Seconds after which a call of the client that has not come back counts as lost.
    """

    def __init__(self, make: Callable[[], Any], patience: float) -> None:
        self._make = make
        self._patience = patience
        self._running: Call[None] | None = None
        self._producer = self._begun()

    def _begun(self) -> Any:
        """Return a producer under this worker's name; what the one before had begun is aborted by that."""
        producer = self._make()
        try:
            Call(producer.init_transactions).result(self._patience)
        except (errors.KafkaError, LostError) as error:
            Call(lambda: producer.close(timeout=0))
            raise LostError(f"transactions cannot be begun: {error}") from error
        return producer

    def start(
        self,
        messages: list[Message],
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
        member: ConsumerGroupMetadata,
    ) -> None:
        """Begin to make messages and offsets visible together; nothing else may be under way."""
        assert self._running is None
        self._running = Call(lambda: self._commit(messages, offsets, member))

    def finish(self) -> None:
        """Wait until what was started is visible.

        Raises
        ------
        RejectedError
            When the group has moved on since ``member`` was noted, so others may be at work on the same records.
        LostError
            When the outcome is unknown or this producer was fenced.
        """
        running, self._running = self._running, None
        if running is None:
            return
        try:
            running.result(self._patience)
        except (
            errors.ProducerFencedError,
            errors.InvalidProducerEpochError,
            errors.FencedInstanceIdError,
            errors.AuthorizationError,
            LostError,
        ) as error:
            raise LostError(f"{type(error).__name__}: {error}") from error
        except errors.KafkaError as error:
            # Not `abort_transaction`: kafka-python 3.0.12 keeps offsets that were refused, and commits them with
            # those of the next transaction of the same producer, when others have long been further.
            self.close()
            self._producer = self._begun()
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
        sent = [
            send(topic, value, key, headers, partition, timestamp_ms)
            for topic, partition, key, value, headers, timestamp_ms in messages
        ]
        producer.send_offsets_to_transaction(dict(offsets), member)
        # kafka-python 3.0.12 commits what is left of a transaction of which it had to give records up.
        producer.flush(self._patience)
        for future in sent:
            if future.failed():
                raise future.exception
        try:
            producer.commit_transaction()
        except _ABORTED:
            raise
        except errors.KafkaError as error:  # it may have been committed all the same
            raise LostError(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Give the producer up; an open transaction is aborted by the broker, or by the next with its name."""
        with contextlib.suppress(Exception):
            Call(lambda: self._producer.close(timeout=0)).result(5.0)


class Call(Generic[_T]):
    """A call under way in a thread of its own.

    Some of kafka-python's calls wait without a limit. What is left waiting is a daemon thread, which holds
    nothing that a new client would need.
    """

    def __init__(self, call: Callable[[], _T]) -> None:
        self._found: list[_T] = []
        self._failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, args=(call,), name="kafka call", daemon=True)
        self._thread.start()

    def _run(self, call: Callable[[], _T]) -> None:
        try:
            self._found.append(call())
        except BaseException as error:  # raised again in the thread that asks for the result
            self._failed.append(error)

    def result(self, patience: float) -> _T:
        """Return what the call returns, or raise what it raises; `LostError` after so many seconds."""
        self._thread.join(patience)
        if self._thread.is_alive():
            raise LostError(f"no answer in {patience:g} seconds")
        if self._failed:
            raise self._failed[0]
        return self._found[0]
