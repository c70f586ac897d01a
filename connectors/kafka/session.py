"""The connections of one worker, and the share of the partitions it has at the moment."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from kafka import errors
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.structs import ConsumerGroupMetadata, MemberState, OffsetAndMetadata, TopicPartition

from connectors.kafka import client
from connectors.kafka.assignor import PerTopicAssignor
from connectors.kafka.fold import Fold
from connectors.kafka.lookup import Topics
from connectors.kafka.matching import LabelLane, read_letters
from connectors.kafka.outbox import Outbox
from connectors.kafka.scoring import EventLane
from connectors.kafka.transactions import Call, LostError, RejectedError, Transactions
from stream_al.config import Config, KafkaConfig
from stream_al.desk_rules import DeskRules
from stream_al.strategies import QueryStrategy

_MOST_WAITING = 5000
"""Labels of a partition that are held while they cannot be taken."""
_POLLED = 5000
_PATIENCE_MS = 30_000
_RESTLESS = 60.0
"""Seconds after which a rebalance that does not end is given up."""
_UNEMPLOYED = 5.0
"""Seconds after which a member without a share knows that none will come."""

Lane: TypeAlias = EventLane | LabelLane


class _Handover(ConsumerRebalanceListener):  # type: ignore[misc]
    """Notes, on the client's own thread, which partitions were given to this member since it was last asked."""

    def __init__(self) -> None:
        self._given: set[TopicPartition] = set()
        self._lock = threading.Lock()

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        with self._lock:
            self._given.update(assigned)

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Do nothing: what is lost is not in the assignment any more, or is given again."""

    @property
    def given(self) -> bool:
        """Tell whether there are any."""
        return bool(self._given)

    def take(self) -> set[TopicPartition]:
        """Return them, once."""
        with self._lock:
            given, self._given = self._given, set()
        return given


class Session:
    """A membership in the group, with everything that is lost when it is.

    Nothing here outlives a lost connection: what is true is on the broker, and a new session reads it back.

    Parameters
    ----------
    config
        The pipeline.
    topics
        Names and numbers, as they are on the broker.
    fold
        The worker's model, which outlives sessions.
    strategy, rules
        What the lanes are made with.
    name
        The transactional id.
    """

    def __init__(
        self,
        config: Config,
        topics: Topics,
        fold: Fold,
        strategy: QueryStrategy,
        rules: DeskRules,
        name: str,
    ) -> None:
        kafka = _kafka(config)
        self._config, self._topics, self._fold = config, topics, fold
        self._strategy, self._rules = strategy, rules
        self.events: dict[TopicPartition, EventLane] = {}
        self.labels: dict[TopicPartition, LabelLane] = {}
        self._fold_to: dict[TopicPartition, int] = {}
        self._open: list[Callable[[], object]] = []
        self._began = time.monotonic()
        self._under_way = Outbox(topics)
        self.refusal = ""
        """Why the last batch was refused that was."""
        patience = kafka.transaction_timeout + 20.0
        try:
            self._transactions = Transactions(
                lambda: client.transactional_producer(
                    kafka,
                    name,
                    transaction_timeout_ms=int(kafka.transaction_timeout * 1000),
                    max_block_ms=int(kafka.transaction_timeout * 1000) + 15_000,
                ),
                patience,
            )
            self._open.append(self._transactions.close)
            self._examples = self._consumer()
            fold.attach(self._examples)
            self._queries = self._consumer()
            # What others have written and not committed counts as written when it is about what may come.
            self._ends = self._consumer(isolation_level="read_uncommitted")
            self._assignor = PerTopicAssignor()  # of its own: it keeps state
            self.group = self._consumer(
                group_id=kafka.group,
                group_instance_id=kafka.instance,
                session_timeout_ms=int(kafka.session_timeout * 1000),
                # Also how soon a member notices that another has come or gone.
                heartbeat_interval_ms=min(1000, int(kafka.session_timeout * 1000 / 10)),
                max_poll_interval_ms=300_000,
                partition_assignment_strategy=[self._assignor],
            )
            for topic in (topics.events, topics.labels):
                # Asked for before joining: a leader that does not know the topics yet hands out nothing of them.
                self.group.partitions_for_topic(topic)
            self._handover = _Handover()
            self._synced: tuple[object, ...] = ()
            self.group.subscribe([topics.events, topics.labels], listener=self._handover)
        except BaseException:
            self.close()
            raise

    def _consumer(self, **settings: Any) -> Any:
        made = client.consumer(_kafka(self._config), **settings)
        self._open.append(lambda: made.close(autocommit=False, timeout_ms=2000))
        return made

    def close(self) -> None:
        """Leave the group (a static member keeps its share for the session timeout) and close everything."""
        for close in reversed(self._open):
            with contextlib.suppress(Exception):
                Call(close).result(5.0)
        self._open.clear()

    # ── reading ──────────────────────────────────────────────────────────────────────────────────

    def fetch(
        self, most: int, wait: float
    ) -> tuple[dict[TopicPartition, list[Any]], ConsumerGroupMetadata] | None:
        """Return new records of this worker's share, and the membership under which they were fetched.

        None when the share has changed: `settle`, then `take_share`; what was fetched is fetched again.
        """
        fetched = self.group.poll(timeout_ms=int(wait * 1000), max_records=most)
        member = self.group.group_metadata()
        began = time.monotonic()
        while member.state is MemberState.REBALANCING:
            # kafka-python 3.0.12 forgets a join that ends while nobody polls, and joins anew, which sets all others
            # in motion again; and one whose reason has gone meanwhile it never looks at again, unless reminded.
            if time.monotonic() - began > _RESTLESS:
                raise LostError(f"the group has not come to rest in {_RESTLESS:.0f} seconds")
            self.group._coordinator.request_rejoin()
            fetched = self.group.poll(timeout_ms=1000, max_records=most)
            member = self.group.group_metadata()
        if _identity(member) != self._synced or self._handover.given or self._share(member) != self._lanes():
            return None
        return fetched if self._lanes() else {}, member

    def _share(self, member: ConsumerGroupMetadata) -> set[TopicPartition]:
        """Return the partitions that are this member's; none while it is no member.

        A transaction that names no member is accepted without looking (for clients of before KIP-447), so
        nothing may be committed then, whatever the client still believes to be assigned.
        """
        joined = member.generation_id >= 0 and member.member_id
        return set(self.group.assignment()) if joined else set()

    def _lanes(self) -> set[TopicPartition]:
        return self.events.keys() | self.labels.keys()

    def _rewind(self, lane: Lane) -> None:
        if isinstance(lane, LabelLane):
            lane.waiting.clear()
        if lane.partition in self.group.assignment():
            self.group.seek(lane.partition, lane.next)

    def take_share(self) -> None:
        """Give up the lanes of partitions that are gone, and take over those that have come."""
        # Noted before the share is looked at: when it moves on meanwhile, `fetch` finds it different again.
        member = self.group.group_metadata()
        self._synced = _identity(member)
        share, given = self._share(member), self._handover.take()
        for lanes in (self.events, self.labels):
            for gone in lanes.keys() - share:
                del lanes[gone]
        try:
            for partition in sorted(share):
                self._take(partition, anew=partition in given)
        except BaseException:
            self._synced = ()  # not done: try again
            raise
        self._follow_queries()
        if self._assignor.unfinished:
            self.group._coordinator.request_rejoin()

    def _take(self, partition: TopicPartition, *, anew: bool) -> None:
        """Take a partition over, or go on with it where it was left, if nobody else had it meanwhile."""
        lane: Lane | None = self.events.get(partition) or self.labels.get(partition)
        # Waits for the transactions of whoever had it before: they decide where it goes on.
        try:
            committed = self.group.committed(partition, metadata=True, timeout_ms=_PATIENCE_MS)
        except errors.KafkaTimeoutError:
            raise LostError(
                f"{partition.topic}:{partition.partition}: its offset could not be read for {_PATIENCE_MS // 1000} "
                "seconds: the transaction of a worker that had it is still open; if that does not end by itself, "
                "kafka-transactions.sh find-hanging and abort end it"
            ) from None
        if lane is None or anew or (committed is not None and committed.offset != lane.next):
            beginning = 0
            if committed is None:
                beginning = self._ends.beginning_offsets([partition])[partition]
            lane = self._lane(partition, committed, beginning)
        self._rewind(lane)

    def _lane(self, partition: TopicPartition, committed: OffsetAndMetadata | None, beginning: int) -> Lane:
        if partition.topic == self._topics.events:
            events = EventLane(
                partition,
                self._fold.model,
                self._fold.monitors,
                self._strategy,
                self._config.run.key,
                self._topics,
            )
            events.restore(committed, beginning)
            self.events[partition] = events
            return events
        labels = LabelLane(partition, self._fold.model, self._rules, self._topics, self._strategy.weigher())
        self._begin(labels, beginning if committed is None else committed.offset, read_letters(committed))
        self.labels[partition] = labels
        return labels

    def _begin(self, lane: LabelLane, offset: int, letters: int) -> None:
        examples = TopicPartition(self._topics.examples, 0)
        ends = self._ends.end_offsets([lane.queries, examples])
        lane.restore(offset, letters, ends[lane.queries])
        self._fold_to[lane.partition] = ends[examples]

    def _follow_queries(self) -> None:
        self._queries.assign([lane.queries for lane in self.labels.values()])
        for lane in self.labels.values():
            self._queries.seek(lane.queries, lane.seen_to)

    def read_queries(self) -> int:
        """Read what has come on `queries`; return how many records."""
        if not self.labels:
            return 0
        lanes = {lane.queries: lane for lane in self.labels.values()}
        count = 0
        for partition, records in self._queries.poll(0, _POLLED).items():
            for record in records:
                lanes[partition].take_query(record)
            count += len(records)
        for lane in self.labels.values():
            if lane.seen_to < lane.read_to:  # the end may be a mark of a transaction, which is no record
                lane.seen_to = max(lane.seen_to, self._queries.position(lane.queries) or 0)
            if (
                not lane.ready
                and lane.seen_to >= lane.read_to
                and self._fold.next >= self._fold_to[lane.partition]
            ):
                lane.take_over(self._fold.answered(lane.partition.partition))
            self._hold_back(lane)
        return count

    def _hold_back(self, lane: LabelLane) -> None:
        paused = lane.partition in self.group.paused()
        if len(lane.waiting) > _MOST_WAITING and not paused:
            self.group.pause(lane.partition)
        elif paused and len(lane.waiting) < _MOST_WAITING // 2:
            self.group.resume(lane.partition)

    def end_of_queries(self, partition: TopicPartition) -> int:
        """Return where a partition of queries ends now, what is not committed included."""
        return int(self._ends.end_offsets([partition])[partition])

    # ── writing ──────────────────────────────────────────────────────────────────────────────────

    def commit(self, out: Outbox, member: ConsumerGroupMetadata) -> None:
        """Begin to commit a batch; `settle` tells what became of it. Nothing else may be under way."""
        self._transactions.start(out.messages, out.offsets, member)
        self._under_way = out

    def settle(self) -> Outbox | None:
        """Wait for the batch under way; return it, or an empty one when there was none.

        Returns None when it was refused: everything done since the last commit, of whatever batch, is put back.

        Raises
        ------
        LostError
            When only a new session can tell.
        """
        out, self._under_way = self._under_way, Outbox(self._topics)
        try:
            self._transactions.finish()
        except RejectedError as error:
            self.refusal = str(error)
            for lane in self.events.values():
                lane.roll_back()
                self._rewind(lane)
            for labels in self.labels.values():
                self._begin(labels, *labels.committed)
                self._rewind(labels)
            self._follow_queries()
            return None
        lanes: dict[TopicPartition, Lane] = {**self.events, **self.labels}
        for partition, mark in out.marks.items():
            lanes[partition].accept(mark)
        return out

    # ── the end ──────────────────────────────────────────────────────────────────────────────────

    def read_to_the_end(self) -> bool:
        """Tell whether all that is committed on this worker's share has been read."""
        share = self._share(self.group.group_metadata())
        if share != self._lanes():
            return False
        if not share and time.monotonic() - self._began < _UNEMPLOYED:
            return False
        ends = self.group.end_offsets(list(share)) if share else {}
        examples = TopicPartition(self._topics.examples, 0)
        return (
            all(lane.ready and not lane.waiting for lane in self.labels.values())
            and all((self.group.position(partition) or 0) >= end for partition, end in ends.items())
            and self._fold.next >= self._examples.end_offsets([examples])[examples]
        )

    @property
    def ready(self) -> bool:
        """Whether the share is known, and the queries of it are read."""
        return bool(self._lanes()) and all(lane.ready for lane in self.labels.values())

    def queries_open(self) -> int:
        """Return how many queries of this worker's share are open."""
        return sum(lane.open for lane in self.labels.values())

    def all_queries_read(self) -> bool:
        """Tell whether every query asked so far is known."""
        partitions = [lane.queries for lane in self.labels.values()]
        ends = self._ends.end_offsets(partitions) if partitions else {}
        return all((self._queries.position(p) or 0) >= end for p, end in ends.items())

    def lag(self) -> dict[TopicPartition, int]:
        """Return how many committed records of each partition are not fetched yet."""
        share = [p for p in self.group.assignment() if p not in self.group.paused()]
        ends = self.group.end_offsets(share) if share else {}
        return {p: end - (self.group.position(p) or 0) for p, end in ends.items()}

    def held_up(self) -> dict[TopicPartition, int]:
        """Return the partitions with records that cannot be read yet, from which offset on: a transaction has not ended."""
        queries = {lane.queries for lane in self.labels.values()}
        partitions = {*self._lanes(), *queries, TopicPartition(self._topics.examples, 0)}
        stable, ends = self._examples.end_offsets(partitions), self._ends.end_offsets(partitions)
        return {p: offset for p, offset in sorted(stable.items()) if offset < ends[p]}


def _identity(member: ConsumerGroupMetadata) -> tuple[object, object]:
    return member.generation_id, member.member_id


def _kafka(config: Config) -> KafkaConfig:
    assert config.kafka is not None
    return config.kafka
