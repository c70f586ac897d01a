"""A simulated human oracle on topics: reads `queries`, knows the true classes, and answers on `labels`.

A simulation, for demos, benchmarks and tests; its answers come late, out of order, some of them twice and some in
the wrong partition. Guarantee: at least once; one that is started anew answers again whatever is still open.
"""

from __future__ import annotations

import heapq
import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self

from connectors.kafka import client
from connectors.kafka.connection import explained, reaching
from connectors.kafka.wire import partition_of, partitions
from stream_al.config import KafkaConfig
from stream_al.draws import Draws
from stream_al.errors import SourceError
from stream_al.records import ClassLabel

_POLLED: Final = 1000
_WAIT_MS: Final = 50
_FLUSH_SECONDS: Final = 30.0


class TopicOracle:
    """Answers every open query with the truth, ``delay`` to ``delay + jitter`` queries later.

    Time is what ``clock`` counts: the queries seen, unless told otherwise. Which answer takes how long, comes twice or
    goes astray is a keyed hash of the event's id.

    Parameters
    ----------
    config
        Where the topics are.
    truth
        The true class of an event, by its id; None, or nothing, where nobody knows it: such a query stays open.
    delay, jitter
        How much later an answer comes at least, and how much more that may be. With jitter they are out of order.
    clock
        Counts what the delay is counted in, such as events answered; must never go back.
    twice
        The share of the queries that are answered once more, with the same label.
    misplaced
        The share of the answers that are written to a partition in which their query is not.
    seed
        Decides which.
    annotator
        The name the answers bear.

    Raises
    ------
    SourceError
        When the topics are missing, or do not have as many partitions.
    BrokerError
        When no broker can be reached.

    Examples
    --------
    >>> with TopicOracle(config.kafka, truths, delay=20, jitter=50) as oracle:  # doctest: +SKIP
    ...     oracle.run(stop)
    """

    def __init__(
        self,
        config: KafkaConfig,
        truth: Mapping[str, ClassLabel] | Callable[[str], ClassLabel | None],
        *,
        delay: int = 0,
        jitter: int = 0,
        clock: Callable[[], int] | None = None,
        twice: float = 0.0,
        misplaced: float = 0.0,
        seed: str = "oracle",
        annotator: str = "oracle",
    ) -> None:
        if delay < 0 or jitter < 0:
            raise ValueError(f"delay = {delay!r}, jitter = {jitter!r}: must not be negative")
        if not (0.0 <= twice <= 1.0 and 0.0 <= misplaced <= 1.0):
            raise ValueError(f"twice = {twice!r}, misplaced = {misplaced!r}: must be shares, from 0 to 1")
        self.queries = self.sent = self.sent_twice = self.sent_misplaced = 0
        self._config, self._topics = config, config.topics
        self._truth = truth if callable(truth) else truth.get
        self._delay, self._jitter, self._annotator = delay, jitter, annotator
        self._clock = clock or (lambda: self.queries)
        self._twice, self._misplaced = twice, misplaced
        self._late, self._again, self._astray = (
            Draws(seed, purpose) for purpose in ("oracle", "oracle again", "oracle astray")
        )
        self._due: list[tuple[int, int, str, bool]] = []  # when, in which turn, of which event, once more?
        self._turn = 0
        self._open: set[str] = set()
        self._unconfirmed: deque[Any] = deque()
        self._consumer = client.consumer(config)
        try:
            self._producer = client.producer(config)
            self._partitions = self._look_up()
        except BaseException:
            self._consumer.close()
            raise

    def _look_up(self) -> int:
        queries, labels = self._topics.name("queries"), self._topics.name("labels")
        found = [self._consumer.partitions_for_topic(topic) or set() for topic in (queries, labels)]
        if not all(found) or len(found[0]) != len(found[1]):
            self._producer.close()
            raise SourceError(
                f"topics {queries!r} and {labels!r} must exist and have as many partitions, and have "
                f"{len(found[0])} and {len(found[1])}; `stream-al topics create` makes them"
            )
        share = partitions(queries, found[0])
        self._consumer.assign(share)
        self._consumer.seek_to_beginning(*share)
        return len(found[1])

    @property
    def open(self) -> int:
        """How many of the queries seen are not closed by a worker yet."""
        return len(self._open)

    @property
    def pending(self) -> int:
        """How many answers are still to come."""
        return len(self._due)

    def step(self) -> int:
        """Read what was asked and send the answers that are due, without waiting; return how many."""
        return self._step(0)

    def run(self, stop: Callable[[], bool], patience: float = 1.0) -> None:
        """Answer until told to stop; after ``patience`` seconds without a query, what is pending is due."""
        quiet_since = time.monotonic()
        while not stop():
            before = self.queries
            if self._step(_WAIT_MS) or self.queries != before:
                quiet_since = time.monotonic()
            elif self._due and time.monotonic() - quiet_since > patience:
                self.hurry()
        self.flush()

    def hurry(self) -> int:
        """Send all that is pending now, in its order: nothing more comes that would make it due."""
        sent = 0
        while self._due:
            sent += self._answer(*heapq.heappop(self._due))
        return sent

    def flush(self) -> None:
        """Wait until the brokers have all that was sent."""
        with reaching(self._config, "sending labels"):
            self._producer.flush(timeout=_FLUSH_SECONDS)
        self._confirm()

    def close(self) -> None:
        """Close the connections; what was sent is delivered first."""
        try:
            self._producer.close(timeout=_FLUSH_SECONDS)
        finally:
            self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _step(self, wait_ms: int) -> int:
        with reaching(self._config, "reading queries"):
            for records in self._consumer.poll(wait_ms, _POLLED).values():
                for record in records:
                    self._take(record)
        self._confirm()
        sent = 0
        while self._due and self._due[0][0] <= self._clock():
            sent += self._answer(*heapq.heappop(self._due))
        return sent

    def _take(self, record: Any) -> None:
        event_id = bytes(record.key or b"").decode("utf-8", "replace")
        if record.value is None:
            self._open.discard(event_id)
        elif event_id not in self._open:  # otherwise it is written down anew, with the answers it has
            self._open.add(event_id)
            self.queries += 1
            self._plan(event_id, self._late, self._clock(), again=False)

    def _plan(self, event_id: str, draw: Draws, now: int, *, again: bool) -> None:
        late = self._delay + int(draw(event_id) * (self._jitter + 1))
        heapq.heappush(self._due, (now + late, self._turn, event_id, again))
        self._turn += 1

    def _answer(self, due: int, turn: int, event_id: str, again: bool) -> int:
        label = self._truth(event_id)
        if label is None or not (again or event_id in self._open):
            return 0  # nobody knows; or it expired
        right = partition_of(event_id, self._partitions)
        # The draw decides about the first and the second answer of an event apart.
        astray = (self._astray(event_id) + 0.5 * again) % 1.0 < self._misplaced and self._partitions > 1
        partition = (right + astray) % self._partitions
        content = {"event_id": event_id, "label": label, "annotator": self._annotator}
        with reaching(self._config, "sending labels"):
            sending = self._producer.send(
                self._topics.name("labels"), json.dumps(content).encode(), event_id.encode(), None, partition
            )
        self._unconfirmed.append(sending)
        self.sent += 1
        self.sent_twice += again
        self.sent_misplaced += astray
        if not again and self._again(event_id) < self._twice:
            self._plan(event_id, self._again, due, again=True)
        return 1

    def _confirm(self) -> None:
        """Notice what could not be delivered."""
        while self._unconfirmed and self._unconfirmed[0].is_done:
            failure = self._unconfirmed.popleft().exception
            if failure is not None:
                raise explained(self._config, failure)
