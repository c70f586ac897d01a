"""One partition of `labels`, and the partition of `queries` beside it: from people's answers to examples."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from kafka.structs import OffsetAndMetadata, TopicPartition
from msgspec import MsgspecError

from connectors.kafka.lookup import Topics
from connectors.kafka.outbox import Outbox
from connectors.kafka.wire import (
    ABSTAINED,
    ANSWERS,
    FORWARDED,
    LABELS,
    STATUS,
    VOTES,
    Message,
    beside,
    header,
    json_header,
    partition_of,
    place,
)
from stream_al.codec import QueryRow, decode_query
from stream_al.desk_rules import DeskRules
from stream_al.errors import RecordError
from stream_al.labels import STATUSES, USED, LabelDesk, Settled
from stream_al.model import Model
from stream_al.query_state import QueryState
from stream_al.records import Amendment, ClassLabel, Label, LogRecord, parse_answer
from stream_al.strategies import Weigher

_UNANSWERED = frozenset(STATUSES) - {"open", "answered", "erased"}
"""How a query ends of which the log of examples knows nothing."""


class LabelLane:
    """One partition of `labels`, with the desk of its queries.

    The open queries are the compacted topic: they are read back when the partition is taken over, and followed
    from then on. Until then labels wait. What the desk decides is written by `work`, and true once that is
    committed; when it is not, the lane is put back by `restore` and reads everything again.

    Parameters
    ----------
    partition
        Of `labels`; that of `queries` has the same number.
    model
        The worker's replica; tells which labels can be learned at all.
    rules
        How labels become examples. ``max_open`` is of each partition.
    topics
        The names.
    weigh
        Tells the weight of each example; None weighs each 1.
    """

    def __init__(
        self,
        partition: TopicPartition,
        model: Model,
        rules: DeskRules,
        topics: Topics,
        weigh: Weigher | None,
    ) -> None:
        self.partition = partition
        self.queries = TopicPartition(topics.queries, partition.partition)
        self.waiting: deque[Any] = deque()
        """Labels fetched and not yet taken."""
        self._model = model
        self._rules = rules
        self._weigh = weigh
        self._topics = topics
        self.restore(0, 0, 0)

    @property
    def open(self) -> int:
        """The number of open queries."""
        return len(self._desk)

    # ── taking over and following ────────────────────────────────────────────────────────────────

    def restore(self, offset: int, letters: int, read_to: int) -> None:
        """Begin at a committed offset; the queries must be read from their beginning up to ``read_to``."""
        self.next = self._taken = offset
        """The offset after what is committed; and after what was taken."""
        self.letters = letters
        self._committed = (offset, letters)
        self.ready = False
        self.read_to = read_to
        """The offset up to which queries must be read before the label at hand counts as unknown."""
        self.seen_to = 0
        """The offset of the next record of queries."""
        self._covered = -1  # labels up to this offset had arrived when `read_to` was looked up
        self.waiting.clear()
        self._desk = LabelDesk(self._rules, weigh=self._weigh)
        self._found: dict[str, QueryState] = {}
        self._moot: list[str] = []
        self._closed: list[QueryState] = []
        self._settled: list[Settled] = []

    def accept(self, mark: tuple[int, int]) -> None:
        """Take note that labels up to a mark are committed."""
        self.next, _ = self._committed = mark

    @property
    def committed(self) -> tuple[int, int]:
        """The offset and the letters of the last commit."""
        return self._committed

    def take_query(self, record: Any) -> None:
        """Read a record of `queries`; what is no query is passed over, as only workers write there."""
        self.seen_to = record.offset + 1
        event_id = bytes(record.key or b"").decode("utf-8", "replace")
        if self.ready:
            self._follow(record, event_id)
        elif record.value is None:
            self._found.pop(event_id, None)
            status = header(record, STATUS)
            if status in _UNANSWERED:
                self._found[event_id] = QueryState(
                    event_id, str(status), 0.0, 0, "", "[]", "[]", None, None, record.offset + 1
                )
        elif (query := _read(record)) is not None and (
            header(record, VOTES) is not None or event_id not in self._found
        ):
            self._found[event_id] = _state(record, query)

    def take_over(self, answered: Iterable[QueryState]) -> None:
        """Open the desk with what was read; the log of examples must be folded as far as labels were taken."""
        states = self._found
        for state in answered:
            if state.event_id in states and states[state.event_id].status == "open":
                self._moot.append(state.event_id)  # asked twice, by workers that could not know
            states[state.event_id] = state
        clocks = [state.clock for state in states.values() if state.clock is not None]
        self._desk.load(states.values(), max(clocks, default=None))
        self._found = {}
        self.ready = True

    def _follow(self, record: Any, event_id: str) -> None:
        desk = self._desk
        if record.value is None:
            if desk.is_open(event_id) and header(record, STATUS) is None:
                self._settled += desk.withdraw(event_id, "its query was deleted")
        elif header(record, VOTES) is None and (query := _read(record)) is not None:
            self._settled += desk.advance(0, query.asked_at)
            if desk.is_open(event_id):
                pass  # asked again while it is open: the first stands
            elif desk.blocks(event_id, query.utility) is not None:
                self._moot.append(event_id)
            else:
                self._settled += desk.ask(query)
        self._closed += [state for state in desk.take_changes() if state.status != "open"]

    # ── labels ───────────────────────────────────────────────────────────────────────────────────

    def work(self, out: Outbox, end_of_queries: Callable[[TopicPartition], int]) -> None:
        """Take the labels at hand, as far as their queries can be known, and write what follows.

        Parameters
        ----------
        out
            Where it is written.
        end_of_queries
            Returns where a partition of queries ends now, what is not committed included.
        """
        if not self.ready:
            return
        before = len(out.messages)
        taken = self._taken
        self._write_settled(self._settled, out)
        self._settled = []
        while self.waiting and self._take(self.waiting[0], out, end_of_queries):
            self._taken = self.waiting.popleft().offset + 1
        changed, self._closed = self._closed + self._desk.take_changes(), []
        for event_id in self._moot:
            self._send_query(out, event_id, None, [(STATUS, b"withdrawn")])
        self._moot = []
        for state in changed:
            if state.status == "open":
                headers = [(VOTES, state.votes.encode()), (ABSTAINED, state.abstained.encode())]
                self._send_query(out, state.event_id, state.query.encode(), headers)
            else:
                self._send_query(out, state.event_id, None, [(STATUS, state.status.encode())])
        if self._taken != taken or len(out.messages) != before:
            self.commit_with(out)

    def commit_with(self, out: Outbox) -> None:
        """Let this partition's offset be committed: whoever lost the partition is refused by that."""
        content = {"v": 1, "pipeline": self._topics.fingerprint, "letters": self.letters}
        out.offsets[self.partition] = OffsetAndMetadata(self._taken, json.dumps(content))
        out.marks[self.partition] = self._taken, self.letters

    def _take(self, record: Any, out: Outbox, end_of_queries: Callable[[TopicPartition], int]) -> bool:
        """Take one label; return False when it must wait for its query to be read."""
        forwarded = header(record, FORWARDED)
        position = forwarded or place(record)
        value = record.value or b""
        try:
            if len(value) > self._topics.max_record_bytes:
                detail = f"the record has {len(value):,} bytes; raise max_record_bytes if that is meant"
                raise RecordError("oversized", detail)
            label = parse_answer(value)
            right = partition_of(label.event_id, self._topics.query_partitions)
            if right != self.partition.partition and forwarded is None:
                self._forward(record, label, right, out)
                return True
            if label.label is not None:
                self._check(label)
        except RecordError as error:
            out.labels += 1
            out.counts[f"label:{error.reason}"] += 1
            out.bury("labels", position, error, value)
            return True
        if isinstance(label, Amendment):
            # Which example it is of, the log tells, also when the query is long forgotten here.
            out.labels += 1
            out.counts["label:amendment"] += 1
            self._desk.override(label.event_id, label.label)
            self._send_logged(label, {}, [position], record, out)
            return True
        if label.event_id not in self._desk and not self._all_read(record, end_of_queries):
            return False
        out.labels += 1
        settled, logged = self._desk.submit(record.offset, label, position)
        places = self._write_settled(settled, out)
        if logged is not None:
            self._send_logged(logged, self._desk.answers(label.event_id), places, record, out)
        return True

    def _check(self, label: Label | Amendment) -> None:
        assert label.label is not None
        try:
            self._model.check_label(label.label)
        except RecordError as error:
            error.event_id = label.event_id
            raise

    def _all_read(self, record: Any, end_of_queries: Callable[[TopicPartition], int]) -> bool:
        """Tell whether the queries were read to where they ended when the label had arrived."""
        if record.offset > self._covered:
            self.read_to = end_of_queries(self.queries)
            self._covered = self.waiting[-1].offset
        return self.seen_to >= self.read_to

    def _forward(self, record: Any, label: Label | Amendment, right: int, out: Outbox) -> None:
        """Pass a label on: librdkafka places keys by CRC32, others by whatever they like."""
        headers = [*record.headers, (FORWARDED, place(record).encode())]
        key = label.event_id.encode()
        out.send(Message(self._topics.labels, right, key, record.value, headers, max(record.timestamp, 0)))
        out.counts["label:forwarded"] += 1

    def _write_settled(self, settled: Iterable[Settled], out: Outbox) -> list[str]:
        """Bury the labels that were not used; return the places of those that made an example or an amendment."""
        used = []
        for _, outcome, detail, label, position in settled:
            if outcome == "waiting":
                continue
            out.counts[f"label:{outcome}"] += 1
            if outcome in USED:
                used.append(position)
            else:
                text = label.model_dump_json(exclude_none=True).encode()
                out.bury("labels", position, RecordError(outcome, detail, label.event_id), text)
        return used

    def _send_logged(
        self,
        logged: LogRecord,
        answers: dict[str, ClassLabel | None],
        places: list[str],
        source: Any,
        out: Outbox,
    ) -> None:
        headers = [json_header(LABELS, places), json_header(ANSWERS, answers)]
        key, time = logged.event_id.encode(), max(source.timestamp, 0)
        out.send(Message(self._topics.examples, 0, key, logged.to_json(), headers, time))

    def _send_query(
        self, out: Outbox, event_id: str, line: bytes | None, headers: list[tuple[str, bytes]]
    ) -> None:
        out.send(Message(self._topics.queries, self.queries.partition, event_id.encode(), line, headers))


def read_letters(committed: OffsetAndMetadata | None) -> int:
    """Read from an offset's metadata up to where dead letters of the log of examples were written."""
    try:
        return int(beside(committed)["letters"]) if committed is not None else 0
    except (ValueError, TypeError, KeyError):
        return 0


def _read(record: Any) -> QueryRow | None:
    """Return the open query of a record; None when it is none. Only workers write here, so it was checked once."""
    try:
        return decode_query(record.value)
    except (MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _state(record: Any, query: QueryRow) -> QueryState:
    """Return an open query as a desk loads it, with the answers that wait for more."""
    return QueryState(
        query.event_id,
        "open",
        query.utility,
        record.offset,  # the order in which they were asked
        bytes(record.value).decode(),
        header(record, VOTES) or "[]",
        header(record, ABSTAINED) or "[]",
        None if query.asked_at is None else query.asked_at.isoformat(),
        None,
        None,
    )
