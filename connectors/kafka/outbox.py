"""What one micro-batch produces and commits."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from kafka.structs import OffsetAndMetadata, TopicPartition

from connectors.kafka.lookup import Topics
from connectors.kafka.wire import PLACE, Message
from stream_al.errors import RecordError
from stream_al.records import MAX_NAME, DeadLetter
from stream_al.runtime.worker import record_text


@dataclass(slots=True)
class Outbox:
    """What one micro-batch produces and commits."""

    topics: Topics
    messages: list[Message] = field(default_factory=list)
    offsets: dict[TopicPartition, OffsetAndMetadata] = field(default_factory=dict)
    marks: dict[TopicPartition, Any] = field(default_factory=dict)
    """By partition, what its lane is told once the offset is committed."""
    counts: Counter[str] = field(default_factory=Counter)
    events: int = 0
    labels: int = 0

    def send(self, message: Message) -> None:
        """Add a message."""
        self.messages.append(message)

    def bury(self, source: str, position: str, error: RecordError, record: bytes) -> None:
        """Add a dead letter."""
        event_id = None if error.event_id is None else error.event_id[:MAX_NAME]
        letter = DeadLetter(
            source="labels" if source == "labels" else "events",
            position=position,
            reason=error.reason,
            detail=error.detail,
            event_id=event_id,
            record=record_text(record),
        )
        key = None if event_id is None else event_id.encode("utf-8", "backslashreplace")
        headers = [(PLACE, position.encode())]
        self.messages.append(Message(self.topics.dead_letters, None, key, letter.to_json(), headers))
        self.counts[f"dead:{error.reason}"] += 1
