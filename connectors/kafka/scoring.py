"""One partition of `events`: its strategy's state, and from its records to predictions and queries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from kafka.structs import OffsetAndMetadata, TopicPartition

from connectors.kafka.lookup import Topics
from connectors.kafka.outbox import Outbox
from connectors.kafka.wire import (
    EVENT,
    Headers,
    Message,
    beside,
    carried,
    key_of,
    partition_of,
    place,
    time_of,
)
from stream_al.codec import EventRow, decode_events, encode_json, encode_predictions
from stream_al.errors import RecordError, SourceError
from stream_al.learner import ActiveLearner
from stream_al.model import Model
from stream_al.monitor import LogMonitors
from stream_al.runtime.worker import RUN
from stream_al.stand_ins import AskedElsewhere
from stream_al.strategies import QueryStrategy

_VERSION: Final = 1

Standing: TypeAlias = tuple[tuple[float, ...], int, int]
"""Of a partition: the strategy's state, how many events were answered, of how many alarms the strategy heard."""


class EventLane:
    """One partition of `events`.

    Parameters
    ----------
    partition
        Which.
    model, monitors
        The worker's replica, and what is watched of its log, shared by all its lanes.
    strategy
        The strategy, divided by the number of partitions.
    key
        Of the random draws.
    topics
        The names of the topics by their keys, and the number of partitions of `queries` and `predictions`.
    """

    def __init__(
        self,
        partition: TopicPartition,
        model: Model,
        monitors: LogMonitors,
        strategy: QueryStrategy,
        key: str,
        topics: Topics,
    ) -> None:
        self.partition = partition
        self.monitors = monitors
        rescaled = False if monitors.calibration is None else monitors.rescaled
        self.learner = ActiveLearner(model, strategy, key=key, window=None, calibrated=rescaled)
        self.learner.desk = AskedElsewhere()
        self.next = 0
        """The offset after what is committed."""
        self._topics = topics
        self.alarms = 0
        """Drift alarms that the strategy has heard of."""
        self._committed: Standing = (self.learner.state, 0, 0)

    def restore(self, committed: OffsetAndMetadata | None, beginning: int) -> None:
        """Take over from whoever had the partition before.

        Raises
        ------
        SourceError
            When the offset was committed by something else than a worker of this pipeline.
        """
        self.next = beginning if committed is None else committed.offset
        if committed is not None:
            self._committed = read_state(
                committed, self.partition, self.learner.strategy, self._topics.fingerprint
            )
        self.roll_back()

    def roll_back(self) -> None:
        """Forget what was done since the last commit."""
        self.learner.state, self.learner.events, self.alarms = self._committed

    @property
    def standing(self) -> Standing:
        """What travels with the offset."""
        return self.learner.state, self.learner.events, self.alarms

    def accept(self, mark: tuple[int, Standing]) -> None:
        """Take note that what was done up to a mark is committed."""
        self.next, self._committed = mark

    def commit_with(self, out: Outbox, offset: int) -> None:
        """Let the offset be committed, and with it the strategy's state.

        It travels in the offset's metadata (under 4 KB; as Kafka Streams does with its partition time).
        """
        content = {
            "v": _VERSION,
            "pipeline": self._topics.fingerprint,
            "state": self.learner.state,
            "events": self.learner.events,
            "alarms": self.alarms,
        }
        out.offsets[self.partition] = OffsetAndMetadata(offset, json.dumps(content))
        out.marks[self.partition] = offset, self.standing

    def hear(self, alarms: int) -> None:
        """Let the strategy hear of the drift alarms, so many by now, that it has not heard of.

        A replica that is behind another that had the partition may know of fewer; those it has heard of stay heard.
        """
        for _ in range(self.alarms, alarms):
            self.learner.state = self.learner.strategy.alarmed(self.learner.state)
            self.alarms += 1

    def answer(self, records: Sequence[Any], out: Outbox) -> None:
        """Answer records of this partition, in order."""
        self.hear(self.monitors.alarms)
        for start in range(0, len(records), RUN):
            self._answer(records[start : start + RUN], out)

    @staticmethod
    def read_all(records: Sequence[Any], limit: int) -> list[EventRow | RecordError]:
        """Return each record's event, or what is wrong with it. Key and time fill in for what it does not say."""
        found = decode_events([record.value or b"" for record in records])
        for at, (record, row) in enumerate(zip(records, found, strict=True)):
            if record.value is not None and len(record.value) > limit:
                detail = (
                    f"the record has {len(record.value):,} bytes; raise max_record_bytes if that is meant"
                )
                found[at] = RecordError("oversized", detail, place(record))
            elif isinstance(row, RecordError):
                row.event_id = row.event_id or place(record)
            else:
                row.id = row.id or place(record)
                row.key = row.key or key_of(record)
                row.timestamp = row.timestamp or time_of(record)
        return found

    def _answer(self, records: Sequence[Any], out: Outbox) -> None:
        rows: list[EventRow] = []
        sources: list[Any] = []
        found = self.read_all(records, self._topics.max_record_bytes)
        for record, row in zip(records, found, strict=True):
            if isinstance(row, RecordError):
                self._bury(record, row, out)
            else:
                rows.append(row)
                sources.append(record)
        predictions, incidents = self.learner.answer(rows)
        lines = encode_predictions(predictions).split(b"\n")
        asked = {incident.place: incident for incident in incidents}
        at = 0
        for number, (row, record) in enumerate(zip(rows, sources, strict=True)):
            incident = asked.get(number)
            if incident is not None and incident.error is not None:
                error = incident.error
                error.event_id = error.event_id or str(row.id)
                self._bury(record, error, out, encode_json(row))
                continue
            if incident is not None and incident.query is not None:
                out.counts[f"asked:{incident.query.reason}"] += 1
            elif incident is not None and incident.blocked:
                out.counts[f"blocked:{incident.blocked}"] += 1
            self._send(record, str(row.id), lines[at], incident.line if incident else b"", out)
            at += 1
        out.events += at

    def _send(self, record: Any, event_id: str, line: bytes, query: bytes, out: Outbox) -> None:
        topics = self._topics
        key, time = event_id.encode(), max(record.timestamp, 0)
        headers: Headers = [*carried(record.headers), (EVENT, place(record).encode())]
        if topics.outputs == "all" or (query and topics.outputs == "queried"):
            # In the partition of the event, so that a partition's predictions are in its events' order.
            partition = record.partition % topics.prediction_partitions
            out.messages.append(Message(topics.predictions, partition, key, line, headers, time))
        if query:
            partition = partition_of(event_id, topics.query_partitions)
            out.messages.append(Message(topics.queries, partition, key, query, headers, time))

    def _bury(self, record: Any, error: RecordError, out: Outbox, text: bytes | None = None) -> None:
        out.bury("events", place(record), error, text if text is not None else record.value or b"")


def read_state(
    committed: OffsetAndMetadata, partition: TopicPartition, strategy: QueryStrategy, fingerprint: str
) -> Standing:
    """Read what `EventLane.commit_with` wrote.

    Raises
    ------
    SourceError
        When it is something else.
    """
    try:
        content = beside(committed)
        if content["v"] != _VERSION or len(content["state"]) != len(strategy.start()):
            raise ValueError("written by another version of stream_al")
        if content["pipeline"] != fingerprint:
            raise ValueError("it was another model, strategy, key or other rules for labels")
        return tuple(content["state"]), int(content["events"]), int(content["alarms"])
    except (ValueError, TypeError, KeyError) as error:
        raise SourceError(
            f"{partition.topic}:{partition.partition}: the offset of this group was not committed by a worker of "
            f"this configuration ({error}); use another [kafka] group, or reset the group's offsets"
        ) from None
