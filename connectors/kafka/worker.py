"""The worker of a distributed pipeline: as many as there are partitions, all holding the same model."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final
from uuid import uuid4

from kafka import errors
from kafka.structs import TopicPartition

from connectors.kafka import client
from connectors.kafka.fold import Fold
from connectors.kafka.lookup import look_up
from connectors.kafka.outbox import Outbox
from connectors.kafka.session import Session
from connectors.kafka.transactions import LostError
from stream_al.build import build_learner, desk_rules, log_monitors
from stream_al.config import Config
from stream_al.errors import BrokerError, ConfigError, RecordError
from stream_al.ports import Progress

_WAIT: Final = 0.05
"""Seconds to wait for a record before looking for examples, queries and the stop signal again."""
_BATCH: Final = 4000
"""Events in one transaction at most, unless told: each costs its batch some 30 ms of waiting for the broker."""
_MOVING: Final = 5
"""So often a batch may be refused before it is worth telling."""
_ENDED_AFTER: Final = 20.0
"""Seconds after which a broker has ended a transaction whose time is over."""


class KafkaWorker:
    """One worker: scores its share of the events, matches its share of the labels, folds all the examples.

    Start as many as there are partitions, anywhere; the group spreads the partitions over them. Any may be
    stopped or killed at any moment.

    Parameters
    ----------
    config
        The pipeline, with ``[kafka]``.
    name
        What errors call the configuration.
    tell
        Told, in a sentence, what had to be worked around.
    """

    def __init__(
        self, config: Config, name: str = "the configuration", tell: Callable[[str], None] = lambda text: None
    ) -> None:
        if config.kafka is None:
            raise ConfigError(f"{name}: there is no [kafka] section; `stream-al init` shows one")
        if config.labels.expire_after_events is not None:
            raise ConfigError(
                f"{name}: [labels] expire_after_events: events are counted by partition on Kafka, so it would mean "
                "nothing; use expire_after"
            )
        if config.strategy.stop_at is not None:
            raise ConfigError(
                f"{name}: [strategy] stop_at: on Kafka the accuracy is not known to the workers while they run "
                "(`stream-al status` estimates it); leave it out, or run on a store"
            )
        if config.limits.answers_within is not None:
            raise ConfigError(
                f"{name}: [limits] answers_within: who scores does not know the open queries on Kafka; leave it out, and "
                "set [labels] max_open"
            )
        if config.guard.source is not None:
            raise ConfigError(
                f"{name}: [guard] source: the stream is in partitions on Kafka, and nobody sees all that a source sends; "
                "leave it out, and bound each key by [limits] quotas"
            )
        if config.labels.withdraw_below is not None:
            raise ConfigError(
                f"{name}: [labels] withdraw_below: on Kafka who holds the open queries has a model at a version of its own, "
                "so nobody could recompute what was withdrawn; leave it out, or run on a store"
            )
        if config.labels.agreement == "weighted" or config.gold.questions:
            key = "[gold]" if config.gold.questions else '[labels] agreement = "weighted"'
            raise ConfigError(
                f"{name}: {key}: on Kafka the labels are in partitions, and nobody sees all that "
                "an annotator says; leave it out, or run on a store"
            )
        if config.webhooks.url is not None:
            raise ConfigError(
                f"{name}: [webhooks] url: is of a store; on Kafka read the topics instead, or run on a store"
            )
        self._config, self._kafka, self._name, self._tell = config, config.kafka, name, tell
        learner, monitors = build_learner(config, name), log_monitors(config, name)
        self.model = learner.model
        self._strategy = learner.strategy
        self._rules = desk_rules(config.labels)
        self.progress = Progress()
        self._counts: Counter[str] = Counter()
        # Static members come back under their name, and end the transaction their predecessor left open.
        self._transactional_id = f"{self._kafka.group}-{self._kafka.instance or uuid4().hex}"
        self._topics, origin = look_up(config, name)
        self._fold = Fold(
            self._topics.examples,
            self.model,
            lambda: client.consumer(self._kafka),
            monitors=monitors,
            query_partitions=self._topics.query_partitions,
            remember=config.labels.remember,
            snapshots=self._kafka.snapshots,
            origin=origin,
        )
        self._strategy = self._strategy.divided(self._topics.event_partitions)
        given = "batch_size" in config.run.model_fields_set
        self._batch_size = config.run.batch_size if given else _BATCH
        self._session: Session | None = None
        self._stalled: dict[TopicPartition, tuple[int, float]] = {}
        self._held_up: dict[tuple[TopicPartition, int], float] = {}
        """Since when reading has not come past these offsets; infinity where that was told."""
        self._looked = 0.0
        self._refused = 0
        self._alarms = 0

    # ── starting ─────────────────────────────────────────────────────────────────────────────────

    def recover(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Fold the log of examples, from the newest snapshot that is good for it."""
        partition = TopicPartition(self._topics.examples, 0)
        with client.consumer(self._kafka) as consumer:
            end = consumer.end_offsets([partition])[partition]
            self._fold.attach(consumer)
            self._fold.start(end)
            for notice in self._fold.notices:
                self._tell(notice)
            self._fold.catch_up(end, stop)
        self._alarms = self._fold.monitors.alarms

    # ── working ──────────────────────────────────────────────────────────────────────────────────

    def run(
        self,
        until: str = "stopped",
        stop: Callable[[], bool] = lambda: False,
        on_batch: Callable[[Progress], None] = lambda progress: None,
    ) -> Progress:
        """Work until told; see `stream_al.runtime.Worker.run`.

        ``"events-end"`` and ``"answered"`` are about this worker's share, as it is then.
        """
        try:
            while not stop():
                try:
                    if self.step():
                        self.progress.examples = self.model.version
                        on_batch(self.progress)
                    elif until != "stopped" and self._done(until):
                        break
                except (LostError, errors.KafkaError, BrokerError) as error:
                    self._renew(error, stop)
            self.settle()
            self._fold.save()
            self.progress.examples = self.model.version
        finally:
            self.close()
        return self.progress

    def step(self) -> bool:
        """Work off one micro-batch; return False when there was nothing to do."""
        session = self._session = self._session or self._begin()
        found = session.fetch(self._batch_size, _WAIT)
        if found is None:
            self._settle(session)
            session.take_share()
            return True
        fetched, member = found
        moved = bool(fetched) | bool(self._fold.advance()) | bool(session.read_queries())
        self._tell_alarms()
        out = self._work(session, fetched)
        # The batch before has been on its way to the broker meanwhile.
        if self._settle(session) and out.offsets:
            session.commit(out, member)
        self._look_for_stalls(session)
        return moved or bool(out.offsets)

    def _work(self, session: Session, fetched: dict[TopicPartition, list[Any]]) -> Outbox:
        out = Outbox(self._topics)
        for partition, records in fetched.items():
            if partition in session.labels:
                session.labels[partition].waiting.extend(records)
            else:
                lane = session.events[partition]
                lane.answer(records, out)
                lane.commit_with(out, records[-1].offset + 1)
        for label_lane in session.labels.values():
            if label_lane.partition.partition == 0 and label_lane.ready:
                self._tell_refused(label_lane, out)
            label_lane.work(out, session.end_of_queries)
        return out

    def _settle(self, session: Session) -> bool:
        """Wait for the batch under way; False when it was refused, and all that was done since is void."""
        out = session.settle()
        if out is None:
            self._refused += 1
            if self._refused >= _MOVING:  # one or two are what a rebalance brings
                self._tell(f"a batch was refused {self._refused} times: {session.refusal}")
                time.sleep(min(0.1 * self._refused, 5.0))
            return False
        if out.offsets:
            self._refused = 0
            self._note(out)
        return True

    def _begin(self) -> Session:
        self._stalled = {}
        return Session(
            self._config, self._topics, self._fold, self._strategy, self._rules, self._transactional_id
        )

    def _tell_refused(self, lane: Any, out: Outbox) -> None:
        """Write a dead letter for each example that taught nothing, once: how far, travels with the offset."""
        refused = [refusal for refusal in self._fold.refused if refusal.number >= lane.letters]
        for number, event_id, detail, record in refused:
            error = RecordError("refused", detail, event_id)
            out.bury("labels", f"{self._topics.examples}:0:example {number}", error, record.encode())
        if refused:
            lane.letters = self.model.version
            lane.commit_with(out)

    def _tell_alarms(self) -> None:
        drift = self._fold.monitors.drift
        if drift is not None and drift.alarms > self._alarms:
            for alarm in list(drift.recent)[self._alarms - drift.alarms :]:
                self._tell(f"drift: {alarm.text()}")
            self._alarms = drift.alarms

    def _note(self, out: Outbox) -> None:
        self._counts.update(out.counts)
        before = self.progress
        self.progress = Progress(
            batch=before.batch + 1,
            events=before.events + out.events,
            labels=before.labels + out.labels,
            examples=self.model.version,
            counts=dict(sorted((name, n) for name, n in self._counts.items() if n)),
        )

    @property
    def ready(self) -> bool:
        """Whether this worker has its share, and knows the queries of it."""
        return self._session is not None and self._session.ready

    def settle(self) -> None:
        """Wait for the batch under way, as `run` does in the end."""
        if self._session is not None:
            self._settle(self._session)

    @property
    def open(self) -> int:
        """The number of open queries of this worker's share."""
        return 0 if self._session is None else self._session.queries_open()

    def _done(self, until: str) -> bool:
        session = self._session
        if session is None or not self._settle(session) or not session.read_to_the_end():
            return False
        return until == "events-end" or (session.all_queries_read() and not session.queries_open())

    # ── when something is wrong ──────────────────────────────────────────────────────────────────

    def _renew(self, error: Exception, stop: Callable[[], bool]) -> None:
        """Begin a new session; what is true is read back from the broker."""
        self._tell(f"connecting anew: {error}")
        self.close()
        pause = 0.1
        while not stop():
            try:
                self._session = self._begin()
                return
            except (LostError, errors.KafkaError, BrokerError) as still:
                self._tell(f"no connection yet: {still}")
                time.sleep(pause)
                pause = min(2 * pause, 5.0)

    def _look_for_stalls(self, session: Session) -> None:
        """Notice a partition that has records and gives none: a known class of kafka-python's bugs."""
        now = time.monotonic()
        if now - self._looked < self._kafka.stall_after / 3:
            return
        self._looked = now
        self._look_for_unended(session, now)
        still: dict[TopicPartition, tuple[int, float]] = {}
        for partition, behind in session.lag().items():
            position = session.group.position(partition) or 0
            before, since = self._stalled.get(partition, (-1, now))
            if behind > 0 and before == position:
                if now - since > self._kafka.stall_after:
                    raise LostError(
                        f"{partition.topic}:{partition.partition} has {behind:,} records and has given none for "
                        f"{now - since:.0f} seconds"
                    )
                still[partition] = (position, since)
            elif behind > 0:
                still[partition] = (position, now)
        self._stalled = still

    def _look_for_unended(self, session: Session, now: float) -> None:
        """Tell of a transaction that has not ended, and will not: nobody reads past it."""
        patience = self._kafka.transaction_timeout + _ENDED_AFTER
        self._held_up = {place: self._held_up.get(place, now) for place in session.held_up().items()}
        for (partition, offset), since in self._held_up.items():
            if now - since > patience:
                self._held_up[partition, offset] = math.inf
                self._tell(
                    f"{partition.topic}:{partition.partition} cannot be read past offset {offset}: a transaction has not "
                    f"ended there for {now - since:.0f} seconds; kafka-transactions.sh find-hanging names it, and abort "
                    "ends it, without what it wrote (docs/kafka.md, Limits)"
                )

    def close(self) -> None:
        """Leave the group and close the connections."""
        self._fold.close_reader()
        if self._session is not None:
            self._session.close()
            self._session = None
