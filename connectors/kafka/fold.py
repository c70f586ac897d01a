"""The model of a worker: all of `examples`, folded in the order of the log, with snapshots on the local disk."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from kafka.structs import TopicPartition
from pydantic import ValidationError

from connectors.kafka.wire import partition_of
from stream_al.errors import RecordError, SnapshotError
from stream_al.labels import QueryState
from stream_al.model import Model
from stream_al.records import ClassLabel, Example, record_error

_MAGIC: Final = b"stream_al kafka snapshot 1\n"
_KEPT: Final = 3
_POLLED: Final = 5000


class Refusal(NamedTuple):
    """An example of the log that taught nothing: its number, its event, and why."""

    number: int
    event_id: str | None
    detail: str
    record: str


class Answered(NamedTuple):
    """What is remembered of an example: its query's partition, its number, and who gave which label."""

    partition: int
    number: int
    label: ClassLabel
    annotators: tuple[str, ...]


class Fold:
    """Follows the log of examples; every worker does, and all hold the same model at the same version.

    Parameters
    ----------
    topic
        The log.
    model
        A fresh model.
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
        *,
        query_partitions: int = 1,
        remember: int = 100_000,
        snapshots: Path | None = None,
        origin: str = "",
    ) -> None:
        self.model = model
        self.refused: list[Refusal] = []
        self.notices: list[str] = []
        self.recent: OrderedDict[str, Answered] = OrderedDict()
        self._partition = TopicPartition(topic, 0)
        self._query_partitions = query_partitions
        self._remember = remember
        self._folder = snapshots
        self._origin = origin
        self._saved = 0
        self.next = 0
        """The offset of the next record."""
        self._consumer: Any = None

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
            for record in records:
                self._fold(record)
                folded += 1
        position = self._consumer.position(self._partition, timeout_ms=1000)
        if position is not None:
            self.next = max(self.next, position)
        return folded

    def catch_up(self, end: int, stop: Callable[[], bool] = lambda: False) -> None:
        """Fold until the log is read up to an offset."""
        while self.next < end and not stop():
            self.advance(100)

    def _fold(self, record: Any) -> None:
        model = self.model
        number = model.version
        try:
            example = read_example(record.value)
        except RecordError as error:
            model.pass_over()
            text = (record.value or b"")[:20_000].decode("utf-8", "backslashreplace")
            self.refused.append(Refusal(number, None, error.detail, text))
            return
        detail = model.learn(example)
        if detail is not None:
            self.refused.append(Refusal(number, example.event_id, detail, example.to_json().decode()))
        partition = partition_of(example.event_id, self._query_partitions)
        self.recent[example.event_id] = Answered(partition, number, example.label, example.annotators)
        self.recent.move_to_end(example.event_id)
        if len(self.recent) > self._remember:
            self.recent.popitem(last=False)
        if model.checkpointed == model.version > self._saved:
            self._write(model.version, record.offset + 1, model.checkpoint)

    def answered(self, partition: int) -> Iterator[QueryState]:
        """Yield the answered queries remembered of a partition of `queries`, as a desk loads them."""
        for event_id, (home, number, label, annotators) in self.recent.items():
            if home == partition:
                votes = [
                    [0, {"event_id": event_id, "label": label, "annotator": name}, ""] for name in annotators
                ]
                yield QueryState(
                    event_id, "answered", 0.0, 0, "", json.dumps(votes), "[]", None, number, number + 1
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
        }
        path = self._folder / f"{version:012d}.snapshot"
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes(_MAGIC + json.dumps(head).encode() + b"\n" + dump)
        unfinished.replace(path)
        self._saved = version
        for old in self._snapshots()[_KEPT:]:
            old.unlink(missing_ok=True)

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
                (name, Answered(partition_of(name, self._query_partitions), number, label, tuple(annotators)))
                for name, (_, number, label, annotators) in head["recent"]
            ]
        except (ValueError, TypeError, KeyError) as error:
            raise SnapshotError(f"it is corrupt: {error}") from None
        if head["origin"] != self._origin:
            raise SnapshotError(f"it is of another log ({head['origin']}, here {self._origin})")
        if offset > end:
            raise SnapshotError(f"it is newer (offset {offset}) than the log, which ends at {end}")
        self.model.load(dump)
        if self.model.version != version:
            raise SnapshotError(f"it is of version {self.model.version}, and says {version}")
        self.refused, self.next, self._saved = refused, offset, version
        self.recent = OrderedDict(recent)


def read_example(value: bytes | None) -> Example:
    """Read an example of the log.

    Raises
    ------
    RecordError
        When it is none.
    """
    try:
        return Example.model_validate_json(value or b"")
    except ValidationError as error:
        raise record_error(error) from None
