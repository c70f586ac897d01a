"""kafka-python's consumer, without a fault of it that would end a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from kafka import KafkaConsumer
from kafka.structs import TopicPartition


class Consumer(KafkaConsumer):  # type: ignore[misc]  # kafka-python has no types
    """Knows the offsets of any partitions.

    Asked for those of several, of which it has not heard who leads some, kafka-python 3.0.12 raises KeyError: of a topic
    that is new to it, or while a leader is elected. Asked about one alone it waits.
    """

    def beginning_offsets(
        self, partitions: Iterable[TopicPartition], timeout_ms: float | None = None
    ) -> dict[TopicPartition, int]:
        """Return the first offset of each partition."""
        return _of_all(super().beginning_offsets, partitions, timeout_ms)

    def end_offsets(
        self, partitions: Iterable[TopicPartition], timeout_ms: float | None = None
    ) -> dict[TopicPartition, int]:
        """Return the offset after the last record of each partition that this consumer would read now."""
        return _of_all(super().end_offsets, partitions, timeout_ms)


def _of_all(
    ask: Callable[..., Any], partitions: Iterable[TopicPartition], timeout_ms: float | None
) -> dict[TopicPartition, int]:
    share = list(partitions)
    try:
        return dict(ask(share, timeout_ms=timeout_ms))
    except KeyError:
        return {partition: ask([partition], timeout_ms=timeout_ms)[partition] for partition in share}
