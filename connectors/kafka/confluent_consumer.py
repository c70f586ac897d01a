"""A consumer of kafka-python's whose records librdkafka fetches."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer as Fetcher
from confluent_kafka import KafkaError as Local
from confluent_kafka import TopicPartition as Place
from kafka.structs import TopicPartition

from connectors.kafka.confluent import check_packing, common, error_of, logger, translated
from connectors.kafka.consumer import Consumer
from stream_al.config import KafkaConfig

_LONGEST: Final = 0.1
"""Seconds of waiting without a look at the group, and at signals."""
_SILENT: Final = 3.0
"""Seconds without a word of a partition, or of its end, after which it is read anew, in case librdkafka lost track of it."""
SETTINGS: Final = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "earliest",
    "allow.auto.create.topics": False,
    "check.crcs": True,
    # The offset of the end is told: what comes before it may be marks of transactions, which are no records.
    "enable.partition.eof": True,
    # As for kafka-python: an event should not wait because its partition is quiet.
    "fetch.wait.max.ms": 50,
    "fetch.error.backoff.ms": 50,
    # What is fetched ahead stands in one queue, and labels behind events that came earlier: a few batches will do.
    "max.partition.fetch.bytes": 2**20,
    "queued.min.messages": 10_000,
    "queued.max.messages.kbytes": 32 * 2**10,
    # So long, a second by default, nothing is fetched when there was enough.
    "fetch.queue.backoff.ms": 10,
}
"""How records are fetched, whoever asks."""


class Record(NamedTuple):
    """A record, by the names that kafka-python has for it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    """Milliseconds since 1970; -1 when it has none."""
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


class ConfluentConsumer(Consumer):
    """Reads by librdkafka; all else, membership of the group too, is kafka-python's.

    A partition that is assigned by the group is read from when `seek` has said where. One that was assigned by `assign`
    is read from its beginning otherwise. Offsets are committed by transactions only, and reading by iteration is not
    offered.

    Parameters
    ----------
    kafka
        The connection.
    **settings
        kafka-python's.
    """

    def __init__(self, kafka: KafkaConfig, **settings: Any) -> None:
        super().__init__(**settings)
        self._kafka = kafka
        self._made: Any = None
        self._positions: dict[TopicPartition, int] = {}
        """Of what is read, the offset of the next record."""
        self._read: set[TopicPartition] = set()
        """What librdkafka was told to read."""
        self._moved: set[TopicPartition] = set()
        """Of these, or others, it must be told where."""
        self._heard: dict[TopicPartition, float] = {}
        """When it last gave records or its end, was begun with, or might have waited behind others."""
        self._full = False
        """Whether there may have been more than the last call returned."""
        if self.config["group_id"] is not None:
            try:
                check_packing(self._fetcher_made(), kafka.group)
            except BaseException:
                self.close(autocommit=False)
                raise

    def _fetcher_made(self) -> Any:
        """Return librdkafka's consumer, made when first needed: some only ask for offsets."""
        if self._made is None:
            isolation = {"isolation.level": self.config["isolation_level"], "group.id": self._kafka.group}
            with translated():
                self._made = Fetcher(common(self._kafka) | SETTINGS | isolation)
        return self._made

    def close(self, autocommit: bool = True, timeout_ms: float | None = None) -> None:
        """Stop reading, and leave the group."""
        made, self._made = self._made, None
        try:
            if made is not None:
                made.close()
        finally:
            super().close(autocommit=autocommit, timeout_ms=timeout_ms)

    # ── where it reads ───────────────────────────────────────────────────────────────────────────

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """Read these partitions, without a group."""
        super().assign(list(partitions))
        self._forget(self._positions.keys() - self.assignment())

    def unsubscribe(self) -> None:
        """Read nothing."""
        super().unsubscribe()
        self._forget(set(self._positions))
        self._tell()

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read on from an offset; what was fetched and not returned is forgotten."""
        self._positions[partition] = offset
        self._moved.add(partition)

    def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        """Read from the beginning; of all that is assigned when none are named."""
        for partition, beginning in self.beginning_offsets(list(partitions or self.assignment())).items():
            self.seek(partition, beginning)

    def position(self, partition: TopicPartition, timeout_ms: float | None = None) -> int | None:
        """Return the offset of the next record; None of a partition of the group that `seek` was not told of."""
        if partition not in self._positions and not self.subscription():
            self._begin([partition])
        return self._positions.get(partition)

    def _begin(self, partitions: list[TopicPartition]) -> None:
        if partitions:
            self.seek_to_beginning(*partitions)

    def _forget(self, partitions: set[TopicPartition]) -> None:
        for partition in partitions:
            self._positions.pop(partition, None)
        self._moved -= partitions

    def _tell(self) -> None:
        """Tell librdkafka what to read, if that has changed."""
        assigned = self.assignment()
        self._forget(self._positions.keys() - assigned)
        if not self.subscription():
            self._begin([partition for partition in assigned if partition not in self._positions])
        wanted = self._positions.keys() - self.paused()
        now = time.monotonic()
        if self._full:  # what is missing may be behind what was not returned yet
            self._heard = dict.fromkeys(self._read, now)
        self._moved |= {p for p in self._read if now - self._heard[p] > _SILENT}
        if wanted == self._read and not self._moved & wanted:
            return
        made = self._fetcher_made()
        # Not its `seek`, which fails while a partition is about to be read. What is taken away and given again starts anew.
        gone = (self._read - wanted) | (self._read & self._moved)
        come = (wanted - self._read) | (wanted & self._moved)
        with translated():
            if gone:
                made.incremental_unassign([Place(p.topic, p.partition) for p in gone])
            self._read -= gone
            if come:
                made.incremental_assign([Place(p.topic, p.partition, self._positions[p]) for p in come])
            self._read |= come
            self._heard |= dict.fromkeys(come, now)
        self._moved -= come

    # ── reading ──────────────────────────────────────────────────────────────────────────────────

    def poll(
        self, timeout_ms: float = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[Record]]:
        """Return the next records by partition; none after a while, which may be shorter than the timeout."""
        deadline = time.monotonic() + timeout_ms / 1000
        if not self._coordinator.poll(timeout_ms=timeout_ms):
            return {}
        self._tell()
        made = self._fetcher_made()
        wait = min(max(0.0, deadline - time.monotonic()), _LONGEST)
        most = max_records or self.config["max_poll_records"]
        with translated():
            # One first: it would wait for all of them together.
            found = made.consume(1, wait)
            if found and most > 1:
                found += made.consume(most - 1, 0)
        self._full = len(found) >= most
        return self._taken(found)

    def _taken(self, messages: list[Any]) -> dict[TopicPartition, list[Record]]:
        result: dict[TopicPartition, list[Record]] = {}
        topic: Any = None  # of the message before, as they come in long runs
        number, records = -1, []
        for message in messages:
            if message.error() is not None:
                self._take_word(message)
                continue
            if message.topic() != topic or message.partition() != number:
                topic, number = message.topic(), message.partition()
                records = result.setdefault(TopicPartition(topic, number), [])
            records.append(
                Record(
                    topic,
                    number,
                    message.offset(),
                    message.timestamp()[1],
                    message.key(),
                    message.value(),
                    message.headers() or [],
                )
            )
        for partition, records in result.items():
            self._heard[partition] = time.monotonic()
            # The end may have been told with them.
            self._positions[partition] = max(self._positions[partition], records[-1].offset + 1)
        return result

    def _take_word(self, message: Any) -> None:
        """Take what is no record: the end of a partition, or an error."""
        error = message.error()
        if error.code() == Local._PARTITION_EOF:
            partition = TopicPartition(message.topic(), message.partition())
            self._heard[partition] = time.monotonic()
            self._positions[partition] = max(self._positions[partition], message.offset())
            return
        told = error_of(error)
        if message.topic() is None or told.retriable:
            # Of the group, which this consumer is no member of; or it tries again. The worker looks for stalls.
            logger.info("%s", told)
            return
        raise told
