"""What goes on around the workers in `stream-al demo --kafka`: events in, predictions out, late answers in."""

from __future__ import annotations

import json
import time
from collections import Counter
from types import TracebackType
from typing import Any, Final, Self

from kafka.structs import TopicPartition

from connectors.kafka import client
from connectors.kafka.connection import reaching
from connectors.kafka.oracle import TopicOracle
from stream_al.codec import EventRow, encode_json
from stream_al.config import KafkaConfig
from stream_al.replay.stream import LabelledStream, truth_of

_WAIT_MS: Final = 20
_POLLED: Final = 5000
_UNUSED: Final = 5
"""Labels that may be on their way into the model at a time."""
_READ: Final = ("predictions", "examples", "dead_letters")


class Traffic:
    """Feeds the events without their true classes, keeps those aside, and reads back what became of them.

    No more than ``ahead`` events and a few labels are under way at a time: a delay counted in events would mean
    nothing if all of them were answered before the first label can come.

    Parameters
    ----------
    config
        Where the topics are.
    stream
        The events with their true classes.
    delay, jitter
        Of the simulated oracle, in events.
    ahead
        How many events are fed before the predictions of the earlier ones are read.
    speed
        Events a second, at most; 0 is as fast as possible.
    """

    def __init__(
        self,
        config: KafkaConfig,
        stream: LabelledStream,
        *,
        delay: int,
        jitter: int,
        ahead: int,
        speed: float,
    ) -> None:
        self.total = len(stream.rows)
        self.fed = self.asked = self.right = self.examples = 0
        self.lines: dict[str, bytes] = {}
        """The prediction of each event."""
        self.predictions = 0
        self.letters: Counter[str] = Counter()
        """Dead letters, by where they are from and why: ``labels:duplicate``."""
        self._rows, self._config = stream.rows, config
        self._ahead, self._speed = ahead, speed
        self._began: float | None = None
        self.truths = {str(row.id): truth_of(row) for row in stream.rows}
        self._topics = {config.topics.name(kind): kind for kind in _READ}
        self.oracle = TopicOracle(
            config,
            self.truths.get,
            delay=delay,
            jitter=jitter,
            clock=lambda: self.predictions,
            twice=0.03,
            misplaced=0.1,
            annotator="simulated",
        )
        self._open: list[Any] = [self.oracle]
        try:
            self._producer = client.producer(config)
            self._open.append(self._producer)
            self._consumer = client.consumer(config)
            self._open.append(self._consumer)
            share = [
                TopicPartition(topic, number)
                for topic in self._topics
                for number in self._consumer.partitions_for_topic(topic) or ()
            ]
            self._consumer.assign(share)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        while self._open:
            self._open.pop().close()

    def step(self) -> None:
        """Feed what may be fed, read what has come and send the answers that are due."""
        with reaching(self._config, "feeding events and reading predictions"):
            while self.fed < self.total and self._may_feed():
                self._feed(self._rows[self.fed])
            for records in self._consumer.poll(_WAIT_MS, _POLLED).values():
                for record in records:
                    self._take(record)
        self.oracle.step()
        if self._all_answered:
            self.oracle.hurry()

    def _may_feed(self) -> bool:
        under_way = self.fed - self.predictions - self._lost("events")
        now = time.monotonic()
        self._began = self._began or now
        too_fast = self._speed and self.fed > (now - self._began) * self._speed
        return under_way < self._ahead and self._unused < _UNUSED and not too_fast

    def _feed(self, row: EventRow) -> None:
        event = EventRow(
            row.features, row.id, row.timestamp, row.key, row.display
        )  # what is more is the truth
        self._producer.send(self._config.topics.name("events"), encode_json(event), str(row.id).encode())
        self.fed += 1

    def _take(self, record: Any) -> None:
        kind = self._topics[record.topic]
        if kind == "examples":
            self.examples += 1
            return
        content = json.loads(record.value)
        if kind == "dead_letters":
            self.letters[f"{content['source']}:{content['reason']}"] += 1
            return
        event_id = content["event_id"]
        self.predictions += 1
        self.asked += content["queried"]
        self.right += content["label"] == self.truths[event_id]
        self.lines[event_id] = record.value

    def _lost(self, source: str) -> int:
        return sum(count for name, count in self.letters.items() if name.startswith(f"{source}:"))

    @property
    def _unused(self) -> int:
        return self.oracle.sent - self.examples - self._lost("labels")

    @property
    def accuracy(self) -> float:
        """The share of right answers so far, each given before its label was known."""
        return self.right / max(1, self.predictions)

    @property
    def _all_answered(self) -> bool:
        everything = self.predictions + self._lost("events") == self.total
        return everything and self.oracle.queries == self.asked

    @property
    def finished(self) -> bool:
        """Whether every event is answered, every query too, and every label became an example or a dead letter."""
        oracle = self.oracle
        return self._all_answered and not (oracle.pending or oracle.open or self._unused)

    def standing(self) -> dict[str, str]:
        """Return how things stand, by name."""
        counts = {
            "events": self.fed,
            "answered": self.predictions,
            "asked": self.asked,
            "labels": self.oracle.sent,
            "open": self.oracle.open,
            "learned": self.examples,
        }
        return {name: f"{count:,}" for name, count in counts.items()} | {
            "accuracy so far": f"{self.accuracy:.1%}"
        }
