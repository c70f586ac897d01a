"""People who answer away from the topics, such as on the annotator's page: a service between the topics and a file.

It takes over into the file what `queries`, `labels`, `examples` and `dead-letters` hold, and passes on to `labels` what was
answered. Guarantee: an answer of the file is produced at least once, under an id by which the topic tells whether it has
it: before anything is produced that may be there, the topic is read to its end. What comes twice all the same
(when a service was killed in the very moment) is a duplicate to the desk. Answers to one event keep their order.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from connectors.kafka import client
from connectors.kafka.connection import explained
from connectors.kafka.lookup import Topics
from connectors.kafka.seen import seen_in
from connectors.kafka.wire import LABEL, beside, partition_of, partitions
from stream_al.annotate.relay import RelayStore, Seen
from stream_al.codec import EventRow, decode_events
from stream_al.config import KafkaConfig
from stream_al.errors import BrokerError, StreamALError

_POLLED: Final = 2000
_WAIT_MS: Final = 50
_LATE: Final = 3.0
"""Seconds after which an answer that is not seen on the topic counts as waiting for the broker."""
_LOOK: Final = 5.0
_SAMPLED: Final = 60.0
_SAMPLE: Final = 500
_PATIENCE_MS: Final = 3000
"""Of questions to the broker; meanwhile answers wait, and nobody would be told."""
_LONGEST: Final = 5.0
_log = logging.getLogger(__name__)


class _Sent(NamedTuple):
    event_id: str | None
    sending: Any
    since: float


class TopicRelay:
    """A service between the topics and a file; it works in a thread of its own.

    Parameters
    ----------
    config
        Where the topics are.
    topics
        Their names and numbers (`look_up`).
    store
        The file.
    """

    def __init__(self, config: KafkaConfig, topics: Topics, store: RelayStore) -> None:
        self._config, self._topics, self._store = config, topics, store
        counts = {
            topics.queries: topics.query_partitions,
            topics.labels: topics.query_partitions,
            topics.examples: 1,
            topics.dead_letters: topics.dead_letter_partitions,
        }
        self._share = [p for topic, count in counts.items() for p in partitions(topic, range(count))]
        self._events = partitions(topics.events, range(topics.event_partitions))
        self._consumer: Any = None
        self._producer: Any = None
        self._ends: Any = None
        self._read_to: dict[TopicPartition, int] = {}
        self._flying: dict[int, _Sent] = {}
        self._settling: dict[int, tuple[TopicPartition, int]] = {}
        self._stalled: dict[TopicPartition, tuple[int, float]] = {}
        self._looked = self._sampled = float("-inf")
        self._answered: int | None = None
        self._away = False
        self._stopped = threading.Event()
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    def start(self) -> None:
        """Begin, and return once the file is as the topics are.

        Raises
        ------
        StreamALError
            When the topics cannot be read.
        """
        self._thread.start()
        while not self._started.wait(0.2):  # a signal is noticed meanwhile
            pass
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """End; what has not gone out does when the next one starts."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(_LONGEST)  # longer it takes only to notice that there is no broker

    # ── its thread ───────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        try:
            self._connect()
            while not self._stopped.is_set() and not self._reached(self._share):
                self._step()
            self._look_around()
        except BaseException as error:
            self._failure = explained(self._config, error) if isinstance(error, KafkaError) else error
            self._disconnect()
            return
        finally:
            self._started.set()
        while not self._stopped.is_set():
            try:
                self._step()
            except (StreamALError, KafkaError) as error:
                self._renew(error)
            except Exception as error:  # a thread that ends would keep all answers from the model
                _log.exception("what is between the page and the topics failed")
                self._renew(error)
        self._disconnect()

    def _renew(self, error: Exception) -> None:
        """Connect anew; what is true is in the file and on the topics."""
        _log.warning("connecting anew: %s", error)
        pause = 0.1
        while not self._stopped.wait(pause):
            try:
                self._note_away(True)
                self._disconnect()
                self._connect()
                return
            except Exception as still:  # of whatever kind: without this thread no answer would arrive
                _log.info("no connection yet: %s", still)
                pause = min(2 * pause, _LONGEST)

    def _connect(self) -> None:
        self._flying, self._settling, self._stalled = {}, {}, {}
        self._ends = client.consumer(
            self._config, isolation_level="read_uncommitted", group_id=self._config.group
        )
        self._consumer = client.consumer(self._config)
        self._producer = client.producer(self._config, max_block_ms=_PATIENCE_MS)
        self._producer.partitions_for(self._topics.labels)  # else the first answer would wait for that
        self._consumer.assign(self._share)
        known = self._store.positions()
        beginnings = self._ends.beginning_offsets(self._share, timeout_ms=_PATIENCE_MS)
        for partition in self._share:
            # A compacted topic may begin later than where it was read to.
            self._consumer.seek(partition, max(known.get(_part(partition), 0), beginnings[partition]))
        self._read_to = self._ends_of(self._share)

    def _disconnect(self) -> None:
        if self._producer is not None:
            client.give_up(self._producer)
        for consumer in (self._consumer, self._ends):
            if consumer is not None:
                with contextlib.suppress(KafkaError):
                    consumer.close()
        self._producer = self._consumer = self._ends = None

    def _step(self) -> None:
        self._read()
        self._settle()
        labels = [partition for partition in self._share if partition.topic == self._topics.labels]
        if self._reached(labels):  # else it may be there that an earlier connection had sent
            self._send()
        if time.monotonic() - self._looked >= _LOOK:
            self._look_around()

    # ── from the topics ──────────────────────────────────────────────────────────────────────────

    def _read(self) -> None:
        seen: list[Seen] = []
        positions = {}
        for partition, records in self._consumer.poll(_WAIT_MS, _POLLED).items():
            for record in records:
                seen += seen_in(record, self._topics)
            positions[_part(partition)] = records[-1].offset + 1
        if positions:
            self._store.take(seen, positions)

    def _reached(self, share: Iterable[TopicPartition]) -> bool:
        """Tell whether partitions are read to where they ended when the connection was made.

        A mark of a transaction is no record, and to what is not committed yet it has to be waited.
        """
        return all((self._consumer.position(p) or 0) >= self._read_to[p] for p in share)

    def _ends_of(self, share: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return where partitions end now, what is not committed included."""
        found: dict[TopicPartition, int] = self._ends.end_offsets(list(share), timeout_ms=_PATIENCE_MS)
        return found

    def _settle(self) -> None:
        """Forget answers of which it is known what became of them, and whose queries are read since."""
        settled = self._store.settled()
        if new := settled.keys() - self._settling.keys():
            homes = {
                number: TopicPartition(self._topics.queries, int(settled[number].split(":")[-2]))
                for number in new
            }
            ends = self._ends_of(set(homes.values()))
            self._settling |= {number: (home, ends[home]) for number, home in homes.items()}
        done = [n for n, (home, end) in self._settling.items() if (self._consumer.position(home) or 0) >= end]
        if done:
            self._store.forget(done)
            for number in done:
                del self._settling[number]

    # ── to the topics ────────────────────────────────────────────────────────────────────────────

    def _send(self) -> None:
        """Send what was handed over; of the answers to an event one after the other."""
        self._store.hand_over()
        outgoing = self._store.outgoing()
        waiting = {answer.number for answer in outgoing}
        self._flying = {number: sent for number, sent in self._flying.items() if number in waiting}
        busy = {sent.event_id for sent in self._flying.values()}
        for answer in outgoing:
            if answer.number in self._flying or answer.event_id in busy:
                continue
            busy.add(answer.event_id)
            key = None if answer.event_id is None else answer.event_id.encode()
            home = 0 if key is None else partition_of(key.decode(), self._topics.query_partitions)
            sending = self._producer.send(
                self._topics.labels, answer.record, key, [(LABEL, answer.id.encode())], home
            )
            self._flying[answer.number] = _Sent(answer.event_id, sending, time.monotonic())
        oldest = time.monotonic()
        for sent in self._flying.values():
            if sent.sending.is_done and sent.sending.exception is not None:
                raise explained(self._config, sent.sending.exception)
            oldest = min(oldest, sent.since)
        waited = time.monotonic() - oldest
        self._note_away(waited > _LATE)
        if waited > self._config.stall_after:
            raise BrokerError(f"answers are not on {self._topics.labels} after {waited:.0f} seconds")

    def _note_away(self, away: bool) -> None:
        if away != self._away:
            self._store.note_away(away)
            self._away = away

    # ── what is worth knowing besides ────────────────────────────────────────────────────────────

    def _look_around(self) -> None:
        now = time.monotonic()
        self._look_for_stalls(now)
        answered = self._count_events()
        if answered != self._answered:
            self._store.take((), {}, answered)
            self._answered = answered
        if now - self._sampled >= _SAMPLED:
            self._sampled = now
            self._store.keep_sample(self._newest_events())
        self._looked = time.monotonic()

    def _count_events(self) -> int | None:
        """Return how many events the workers have answered, which travels with their offsets; None: not known now."""
        answered = 0
        try:
            for partition in self._events:
                committed = self._ends.committed(partition, metadata=True, timeout_ms=_PATIENCE_MS)
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    answered += int(beside(committed)["events"]) if committed is not None else 0
        except KafkaError:  # nobody has made a group yet, or it is not for this user to know
            return None
        return answered

    def _look_for_stalls(self, now: float) -> None:
        """Notice a partition that has records and gives none: a known class of kafka-python's bugs."""
        still = {}
        for partition, end in self._ends_of(self._share).items():
            position = self._consumer.position(partition) or 0
            before, since = self._stalled.get(partition, (-1, now))
            if position < end:
                still[partition] = (position, since if position == before else now)
                if now - still[partition][1] > self._config.stall_after:
                    raise BrokerError(
                        f"{_part(partition)} has given nothing for {self._config.stall_after} s"
                    )
        self._stalled = still

    def _newest_events(self) -> list[EventRow]:
        """Return the newest events of each partition, as far as they come at once."""
        consumer, found = self._ends, []
        beginnings = consumer.beginning_offsets(self._events, timeout_ms=_PATIENCE_MS)
        ends = self._ends_of(self._events)
        consumer.assign(self._events)
        for partition in self._events:
            share = -(-_SAMPLE // len(self._events))
            consumer.seek(partition, max(beginnings[partition], ends[partition] - share))
        for _ in range(20):
            found += [r.value for rs in consumer.poll(_WAIT_MS, _SAMPLE).values() for r in rs if r.value]
            if len(found) >= _SAMPLE or all((consumer.position(p) or 0) >= ends[p] for p in self._events):
                break
        consumer.unsubscribe()
        return [row for row in decode_events(found[:_SAMPLE]) if isinstance(row, EventRow)]


def _part(partition: TopicPartition) -> str:
    return f"{partition.topic}:{partition.partition}"
