"""What the topics hold: read once, from beginning to end, by partition and offset."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from kafka.structs import OffsetAndMetadata, TopicPartition

from connectors.kafka import client
from connectors.kafka.lookup import look_up
from connectors.kafka.wire import header, partitions
from stream_al.config import Config, KafkaConfig
from stream_al.errors import ConfigError, SourceError


class History:
    """All records of a pipeline's topics, as far as its group has committed; those read are held in memory.

    Parameters
    ----------
    config
        The pipeline.
    name
        What errors call it.

    Raises
    ------
    ConfigError
        When it is not on Kafka, or does not publish all predictions.
    SourceError
        When topics are missing.
    """

    def __init__(self, config: Config, name: str) -> None:
        if config.kafka is None:
            raise ConfigError(f"{name}: there is no [kafka] section")
        if config.kafka.predictions != "all":
            raise ConfigError(
                f"{name}: [kafka] predictions = {config.kafka.predictions!r}: there is nothing to compare decisions "
                "with; only pipelines that publish all predictions can be verified, or run again"
            )
        self.config, self.name = config, name
        self._kafka: KafkaConfig = config.kafka
        self.topics, _ = look_up(config, name)
        self._found: dict[str, list[Any]] = {}
        with client.admin(self._kafka) as admin:
            group = self._kafka.group
            self.committed: dict[TopicPartition, OffsetAndMetadata] = admin.list_group_offsets({group: None})[
                group
            ]

    def events(self) -> list[Any]:
        """Return all events that were committed.

        Raises
        ------
        SourceError
            When some were deleted, as what was decided about them decides about the others.
        """
        topic = self.topics.events
        records, beginnings = read_topic(self._kafka, topic, self.topics.event_partitions)
        for partition, beginning in beginnings.items():
            if beginning > 0 and self.committed.get(partition) is not None:
                raise SourceError(
                    f"{topic}:{partition.partition}: the events before offset {beginning:,} were deleted, and "
                    "what was decided about them decides about the others; keep events for longer "
                    "([kafka.topics] retention)"
                )
        return self.below_committed(records)

    def read(self, topic: str, count: int | None = None) -> list[Any]:
        """Return all committed records of a topic, by partition and offset; as they were when first asked for."""
        if topic not in self._found:
            self._found[topic] = read_topic(self._kafka, topic, count)[0]
        return self._found[topic]

    def below_committed(self, records: Iterable[Any]) -> list[Any]:
        """Return those that the group has worked off."""
        return [record for record in records if record.offset < self._offset(record)]

    def _offset(self, record: Any) -> int:
        found = self.committed.get(TopicPartition(record.topic, record.partition))
        return 0 if found is None else int(found.offset)


def read_topic(
    kafka: KafkaConfig, topic: str, count: int | None = None, first: int = 0, last: int | None = None
) -> tuple[list[Any], dict[TopicPartition, int]]:
    """Read a topic up to where it ends now.

    Parameters
    ----------
    kafka
        The connection.
    topic
        Its name.
    count
        The number of its partitions, if it is known.
    first, last
        Read, of each partition, the offsets from ``first`` up to and without ``last``.

    Returns
    -------
    tuple
        The committed records by partition and offset; and where each partition begins.
    """
    found: list[Any] = []
    with client.consumer(kafka) as consumer:
        share = partitions(
            topic, range(count) if count is not None else consumer.partitions_for_topic(topic) or ()
        )
        if not share:
            raise SourceError(f"topic {topic!r} does not exist; check its name, and [kafka] bootstrap")
        consumer.assign(share)
        ends = {
            partition: end if last is None else min(end, last)
            for partition, end in consumer.end_offsets(share).items()
        }
        beginnings: dict[TopicPartition, int] = consumer.beginning_offsets(share)
        for partition, beginning in beginnings.items():
            consumer.seek(partition, max(beginning, first))
        while any((consumer.position(partition) or 0) < end for partition, end in ends.items()):
            for records in consumer.poll(500, 10_000).values():
                found += records
    found.sort(key=lambda record: (record.partition, record.offset))
    return [r for r in found if r.offset < ends[TopicPartition(topic, r.partition)]], beginnings


def by_header(name: str, records: Iterable[Any]) -> dict[str, list[Any]]:
    """Return records by what a header of theirs says."""
    found: dict[str, list[Any]] = defaultdict(list)
    for record in records:
        found[header(record, name) or f"(without {name})"].append(record)
    return found


def newest(records: Iterable[Any]) -> dict[str, Any]:
    """Return the last record of each key."""
    return {bytes(record.key or b"").decode("utf-8", "replace"): record for record in records}
