"""Records on topics: places, keys, partitions, headers and times."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from kafka.partitioner import murmur2
from kafka.structs import OffsetAndMetadata, TopicPartition

from stream_al.records import MAX_NAME

EVENT: Final = "stream-al-event"
"""On predictions and queries: the place of the event."""
LABELS: Final = "stream-al-labels"
"""On examples and amendments: the places of the labels it was made of, as JSON."""
ANSWERS: Final = "stream-al-answers"
"""On examples and amendments: who answered what to the query, as JSON; null is taken back."""
VOTES: Final = "stream-al-votes"
"""On queries: the answers that wait for more, as JSON."""
ABSTAINED: Final = "stream-al-abstained"
"""On queries: who could not say, as JSON."""
STATUS: Final = "stream-al-status"
"""On the tombstone of a query: why it was closed."""
FORWARDED: Final = "stream-al-forwarded"
"""On labels: where it stood before it was passed on to the partition of its query."""
LABEL: Final = "stream-al-label"
"""On labels given on the annotator's page: what tells whether the topic has one of them."""
PLACE: Final = "stream-al-place"
"""On dead letters: the place of the record."""
_CARRIED: Final = frozenset({"traceparent", "tracestate", "baggage"})
"""What is handed on from an event to its prediction and its query (W3C Trace Context, Baggage)."""

Headers = list[tuple[str, bytes]]


class Message(NamedTuple):
    """What is to be produced."""

    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int | None = None


def place(record: Any) -> str:
    """Return where a record stands: ``topic:partition:offset``."""
    return f"{record.topic}:{record.partition}:{record.offset}"


def partition_of(event_id: str, partitions: int) -> int:
    """Return the partition that Java's and kafka-python's producers put a key into (murmur2)."""
    return int((murmur2(event_id.encode()) & 0x7FFFFFFF) % partitions)


def carried(headers: Iterable[tuple[str, bytes]]) -> Headers:
    """Return the headers of a trace."""
    return [(name, value) for name, value in headers if name in _CARRIED and value is not None]


def header(record: Any, name: str) -> str | None:
    """Return the last header of this name."""
    for found, value in reversed(record.headers):
        if found == name and value is not None:
            return bytes(value).decode("utf-8", "replace")
    return None


def json_header(name: str, content: object) -> tuple[str, bytes]:
    """Return a header that holds JSON."""
    return name, json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def beside(committed: OffsetAndMetadata) -> Any:
    """Return what was committed with an offset, as JSON; confluent-kafka adds the NUL that ends it in C.

    Raises
    ------
    ValueError
        When it is something else.
    """
    return json.loads(committed.metadata.removesuffix("\0"))


def time_of(record: Any) -> datetime | None:
    """Return a record's timestamp."""
    if record.timestamp is None or record.timestamp < 0:
        return None
    try:
        return datetime.fromtimestamp(record.timestamp / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def key_of(record: Any) -> str | None:
    """Return a record's key, if it can be one of ours: text of some length."""
    if not record.key or len(record.key) > 4 * MAX_NAME:
        return None
    try:
        text = bytes(record.key).decode()
    except UnicodeDecodeError:
        return None
    return text if len(text) <= MAX_NAME else None


def partitions(topic: str, numbers: Iterable[int]) -> list[TopicPartition]:
    """Return a topic's partitions, in order."""
    return [TopicPartition(topic, number) for number in sorted(numbers)]
