"""A topic, or a range of its offsets, as a finite source of events: ``kafka:TOPIC`` or ``kafka:TOPIC@FROM-TO``.

For replaying what a topic holds; `stream-al run` follows topics by itself. It is read once, up to where it ends at
the first `read`, into memory. The order is that of the records' timestamps, and among equal ones of partition and
offset, so it does not depend on how they are fetched. Guarantee: exactly once; a position keeps the ends, and the
records up to there are read again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import MsgspecError

from connectors.kafka.history import read_topic
from connectors.kafka.scoring import EventLane
from connectors.kafka.wire import place
from stream_al.codec import EventRow, decode_json
from stream_al.columns import Columns, text_of
from stream_al.config import KafkaConfig
from stream_al.errors import ConfigError, RecordError, SourceError
from stream_al.ports import Position
from stream_al.records import DeadLetter
from stream_al.runtime.worker import record_text

PREFIX: Final = "kafka:"
_SOURCE: Final = re.compile(r"kafka:([a-zA-Z0-9._-]{1,249})(?:@(\d*)-(\d*))?")


class TopicEvents:
    """The records of a topic, read as `stream-al run` reads them.

    Parameters
    ----------
    kafka
        The connection.
    source
        ``kafka:TOPIC``; with ``@FROM-TO`` only the offsets from FROM up to and without TO, of each partition.
        Either may be left out.
    columns
        Its ``label`` names the true class, beside or among the features; its ``features`` those allowed.
    max_record_bytes
        Larger records are dead letters.

    Raises
    ------
    ConfigError
        When ``source`` is not written like that.
    """

    def __init__(
        self,
        kafka: KafkaConfig,
        source: str,
        columns: Columns | None = None,
        *,
        max_record_bytes: int = 1_000_000,
    ) -> None:
        match = _SOURCE.fullmatch(source)
        if match is None:
            raise ConfigError(
                f"{source}: write kafka:TOPIC, or kafka:TOPIC@FROM-TO for the offsets from FROM up to and without TO "
                "of each partition"
            )
        self._kafka = kafka
        self._topic = match[1]
        self._first = int(match[2] or 0)
        self._last = int(match[3]) if match[3] else None
        self._columns = columns or Columns()
        self._limit = max_record_bytes
        self._ends: dict[str, int] = {}
        self._records: list[Any] | None = None
        self._next = 0

    @property
    def position(self) -> Position:
        """Return how many records were read, and where the partitions ended; None before the first `read`."""
        return None if self._records is None else [self._next, self._ends]

    @property
    def exhausted(self) -> bool:
        """Tell whether all records were read."""
        return self._records is not None and self._next >= len(self._records)

    def seek(self, position: Position) -> None:
        """Go to a position."""
        self._next, ends = position or (0, self._ends)
        if ends != self._ends:
            self._ends, self._records = ends, None
        if self._records is None and position:
            self._load()

    def read(self, limit: int, wait: float) -> Sequence[EventRow | DeadLetter]:
        """Return the events of the next records; the first call reads the topic."""
        if self._records is None:
            self._load()
        assert self._records is not None
        records = self._records[self._next : self._next + limit]
        self._next += len(records)
        rows = EventLane.read_all(records, self._limit)
        return [self._event(record, row) for record, row in zip(records, rows, strict=True)]

    def _load(self) -> None:
        records, beginnings = read_topic(self._kafka, self._topic, None, self._first, self._last)
        late = {p.partition: b for p, b in beginnings.items() if b > self._first > 0}
        if late:
            part, beginning = min(late.items())
            raise SourceError(
                f"{self._topic}:{part}: begins at offset {beginning:,}, what was before is deleted; begin there"
            )
        if self._ends:
            records = [r for r in records if r.offset < self._ends.get(str(r.partition), 0)]
        else:
            self._ends = {str(p.partition): 0 for p in beginnings}
            self._ends |= {str(record.partition): record.offset + 1 for record in records}
        self._records = sorted(records, key=lambda r: (r.timestamp, r.partition, r.offset))

    def _event(self, record: Any, row: EventRow | RecordError) -> EventRow | DeadLetter:
        try:
            if isinstance(row, RecordError):
                raise row
            return self._labelled(row, bytes(record.value))
        except RecordError as error:
            return DeadLetter(
                source="events",
                position=place(record),
                reason=error.reason,
                detail=error.detail,
                event_id=error.event_id or place(record),
                record=record_text(bytes(record.value or b"")),
            )

    def _labelled(self, row: EventRow, value: bytes) -> EventRow:
        """Take the true class out of the features, or from beside them."""
        name = self._columns.label
        truth: object = None
        if name is not None:
            truth = row.features.pop(name, None)
            if truth is None:
                truth = _beside(value).get(name)
            if not row.features:
                raise RecordError(
                    "empty-features", f"features: there is only {name!r}, the label", str(row.id)
                )
        self._columns.check(row.features, str(row.id))
        if name is None:
            return row
        return self._columns.labelled(row, text_of(truth, name, str(row.id)))

    def close(self) -> None:
        """Do nothing: the connection is closed once the topic is read."""


def _beside(value: bytes) -> Mapping[str, object]:
    try:
        content = decode_json(value)
    except (MsgspecError, UnicodeDecodeError, RecursionError):
        return {}  # pydantic could read it, so it is an event; a label it has none that we can read
    return content if isinstance(content, dict) else {}
