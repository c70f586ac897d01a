"""The model of a worker: all of `examples`, folded in the order of the log, with snapshots on the local disk.

For an amendment the log is read again from the last place before the amended example that is known; it is not
held in memory.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from kafka.structs import TopicPartition

from connectors.kafka.wire import ANSWERS, header, partition_of
from stream_al.errors import RecordError, SnapshotError
from stream_al.log_codec import ExampleRow, decode_logged
from stream_al.model import Model
from stream_al.monitor import LogMonitors
from stream_al.query_state import QueryState
from stream_al.records import Amendment, ClassLabel, LogRecord

_MAGIC: Final = b"stream_al kafka snapshot 1\n"
_KEPT: Final = 3
_POLLED: Final = 5000
_PLACES: Final = 16
"""Of so many versions it is remembered where in the topic they are."""


class Refusal(NamedTuple):
    """An example of the log that taught nothing: its number, its event, and why."""

    number: int
    event_id: str | None
    detail: str
    record: str


class Answered(NamedTuple):
    """What is remembered of an example: its query's partition, its number, its label, and who answered what."""

    partition: int
    number: int
    label: ClassLabel | None
    """None when it is erased."""
    answers: dict[str, ClassLabel | None]


class Fold:
    """Follows the log of examples; every worker does, and all hold the same model at the same version.

    Parameters
    ----------
    topic
        The log.
    model
        A fresh model.
    open_consumer
        Opens another consumer of committed records, to read the log again when an example is amended.
    monitors
        What is watched of the log.
    query_partitions
        The number of partitions of `queries`.
    remember
        Of how many examples it is remembered whose event they were of, for telling what late labels are.
    snapshots
        The folder for snapshots; None keeps none.
    origin
        What tells this log from another of the same name: a snapshot of another log is refused.
    """

    def __init__(
        self,
        topic: str,
        model: Model,
        open_consumer: Callable[[], Any],
        *,
        monitors: LogMonitors | None = None,
        query_partitions: int = 1,
        remember: int = 100_000,
        snapshots: Path | None = None,
        origin: str = "",
    ) -> None:
        self.model = model
        self.monitors = monitors or LogMonitors()
        self.refused: list[Refusal] = []
        self.notices: list[str] = []
        self.recent: OrderedDict[str, Answered] = OrderedDict()
        self._open_consumer = open_consumer
        self._places = [(0, 0)]
        """(version, offset of its next record), the first and the latest."""
        self._partition = TopicPartition(topic, 0)
        self._query_partitions = query_partitions
        self._remember = remember
        self._folder = snapshots
        self._origin = origin
        self._saved = 0
        self.next = 0
        """The offset of the next record."""
        self._consumer: Any = None
        self._reader: Any = None

    def attach(self, consumer: Any) -> None:
        """Read on with this consumer: of committed records, without a group."""
        self._consumer = consumer
        consumer.assign([self._partition])
        consumer.seek(self._partition, self.next)

    def start(self, end: int) -> None:
        """Load the newest snapshot that is good for this log, which ends at ``end``."""
        for path in self._snapshots():
            try:
                self._load(path, end)
            except (SnapshotError, OSError) as error:
                self.notices.append(f"snapshot {path.name} was left aside: {error}")
                continue
            self._consumer.seek(self._partition, self.next)
            return

    def advance(self, timeout_ms: int = 0) -> int:
        """Fold what has come; return how many records that were."""
        folded = 0
        for records in self._consumer.poll(timeout_ms, _POLLED).values():
            self._fold(records)
            folded += len(records)
        position = self._consumer.position(self._partition, timeout_ms=1000)
        if position is not None:
            self.next = max(self.next, position)
        return folded

    def catch_up(self, end: int, stop: Callable[[], bool] = lambda: False) -> None:
        """Fold until the log is read up to an offset."""
        while self.next < end and not stop():
            self.advance(100)

    def examples(self, start: int = 0) -> Iterator[LogRecord | None]:
        """Yield the records of the log folded so far, from a number on; for amendments."""
        version, offset = max(place for place in self._places if place[0] <= start)
        if self._reader is None:
            self._reader = self._open_consumer()
            self._reader.assign([self._partition])
        consumer = self._reader
        consumer.seek(self._partition, offset)
        while (consumer.position(self._partition) or 0) < self.next:
            for records in consumer.poll(100, _POLLED).values():
                for record in records:
                    if record.offset >= self.next:
                        return
                    if version >= start:
                        yield read_logged(record)
                    version += 1

    def close_reader(self) -> None:
        """Close the consumer that amendments read the log with; it is opened again when needed."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _fold(self, records: Sequence[Any]) -> None:
        """Fold records, as many examples together as come before something is to be done after one of them."""
        examples: list[tuple[Any, LogRecord]] = []
        for record in records:
            folded = read_logged(record)
            if isinstance(folded, ExampleRow):
                examples.append((record, folded))
                # A detector asks the model before each; a checkpoint is written with what is known at its version.
                if self.monitors.drift is None and len(examples) < self.model.room:
                    continue
            self._learn(examples)
            examples = []
            if isinstance(folded, Amendment):
                self._amend(record, folded)
            elif folded is None:
                self._pass_over(record)
        self._learn(examples)

    def _learn(self, examples: Sequence[tuple[Any, LogRecord]]) -> None:
        if not examples:
            return
        first = self.model.version
        for number, (_, example) in enumerate(examples, first):
            self.monitors.learned(number, example, self.model)
        refused = self.model.fold_all([example for _, example in examples], self)
        for number, (record, example) in enumerate(examples, first):
            self._note(number, example, refused.get(number), record)
        self._stand_after(examples[-1][0])

    def _amend(self, record: Any, amendment: Amendment) -> None:
        number, known = self.model.version, self.recent.get(amendment.event_id)
        if amendment.amends is None and known is not None:
            amendment = amendment.model_copy(update={"amends": known.number})  # saves reading all of the log
        self._note(number, amendment, self.model.fold(amendment, self), record)
        self._stand_after(record)
        if self.model.checkpointed == self.model.version:
            self._drop_snapshots(amendment.amends or 0)

    def _pass_over(self, record: Any) -> None:
        """Fold what is neither example nor amendment."""
        value = record.value or b""
        try:
            decode_logged(value)
        except RecordError as error:
            text = value[:20_000].decode("utf-8", "backslashreplace")
            self.refused.append(Refusal(self.model.version, None, error.detail, text))
        self.model.pass_over()
        self._stand_after(record)

    def _note(self, number: int, folded: LogRecord, detail: str | None, record: Any) -> None:
        if detail is not None:
            self.refused.append(Refusal(number, folded.event_id, detail, folded.to_json().decode()))
        self._remember_answers(number, folded, header(record, ANSWERS))

    def _stand_after(self, record: Any) -> None:
        """Go on after a record, and keep the model's checkpoint if there is one here."""
        model, self.next = self.model, record.offset + 1
        if model.checkpointed == model.version:
            self._places = [(0, 0), *self._places[1:][1 - _PLACES :], (model.version, self.next)]
            if model.version > self._saved:
                self._write(model.version, self.next, model.checkpoint)

    def _remember_answers(self, number: int, record: LogRecord, answers: str | None) -> None:
        event_id, said = record.event_id, json.loads(answers) if answers else {}
        if isinstance(record, Amendment):
            known = self.recent.get(event_id)
            if known is not None and known.number == record.amends:
                self.recent[event_id] = known._replace(label=record.label, answers=said)
            return
        partition = partition_of(event_id, self._query_partitions)
        said = said or dict.fromkeys(record.annotators, record.label)
        self.recent[event_id] = Answered(partition, number, record.label, said)
        self.recent.move_to_end(event_id)
        if len(self.recent) > self._remember:
            self.recent.popitem(last=False)

    def answered(self, partition: int) -> Iterator[QueryState]:
        """Yield the answered queries remembered of a partition of `queries`, as a desk loads them."""
        for event_id, (home, number, label, answers) in self.recent.items():
            if home == partition:
                status = "erased" if label is None else "answered"
                votes = [
                    [0, {"event_id": event_id, "label": answer, "annotator": name}, ""]
                    for name, answer in answers.items()
                ]
                yield QueryState(
                    event_id, status, 0.0, 0, "", json.dumps(votes), "[]", None, number, number + 1
                )

    # ── snapshots ────────────────────────────────────────────────────────────────────────────────

    def save(self) -> None:
        """Keep a snapshot of the model as it is."""
        if self.model.version > self._saved:
            self._write(self.model.version, self.next, self.model.dump())

    def _write(self, version: int, offset: int, dump: bytes) -> None:
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        head = {
            "origin": self._origin,
            "offset": offset,
            "version": version,
            "refused": self.refused,
            "recent": list(self.recent.items()),
            "monitors": self.monitors.dump(),
        }
        path = self._folder / f"{version:012d}.snapshot"
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes(_MAGIC + json.dumps(head).encode() + b"\n" + dump)
        unfinished.replace(path)
        self._saved = version
        for old in self._snapshots()[_KEPT:]:
            old.unlink(missing_ok=True)

    def _drop_snapshots(self, amended: int) -> None:
        """Remove the older snapshots that hold an example as it was."""
        for path in self._snapshots():
            if amended < int(path.stem) < self.model.version:
                path.unlink(missing_ok=True)

    def _snapshots(self) -> list[Path]:
        if self._folder is None or not self._folder.is_dir():
            return []
        return sorted(self._folder.glob("*.snapshot"), reverse=True)

    def _load(self, path: Path, end: int) -> None:
        content = path.read_bytes()
        try:
            magic, head_line, dump = content.split(b"\n", 2)
            if magic + b"\n" != _MAGIC:
                raise ValueError("it does not begin as one")
            head = json.loads(head_line)
            offset, version = int(head["offset"]), int(head["version"])
            refused = [Refusal(*row) for row in head["refused"]]
            recent = [
                (name, Answered(partition_of(name, self._query_partitions), number, label, dict(answers)))
                for name, (_, number, label, answers) in head["recent"]
            ]
        except (ValueError, TypeError, KeyError) as error:
            raise SnapshotError(f"it is corrupt: {error}") from None
        if head["origin"] != self._origin:
            raise SnapshotError(f"it is of another log ({head['origin']}, here {self._origin})")
        if offset > end:
            raise SnapshotError(f"it is newer (offset {offset}) than the log, which ends at {end}")
        before = self.monitors.dump()
        self.monitors.load(head.get("monitors", ""))
        try:
            self.model.load(dump)
        except SnapshotError:
            self.monitors.load(before)
            raise
        if self.model.version != version:
            raise SnapshotError(f"it is of version {self.model.version}, and says {version}")
        self.refused, self.next, self._saved = refused, offset, version
        self.recent = OrderedDict(recent)
        self._places = [(0, 0), (version, offset)]


def read_logged(record: Any) -> LogRecord | None:
    """Read a record of the log; None for what is neither example nor amendment."""
    try:
        return decode_logged(record.value or b"")
    except RecordError:
        return None
