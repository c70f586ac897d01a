"""Verifying a store: run its journal again, and compare everything.

The events and labels a store was given are protected by checksums; all the rest follows from them. So the
journal is run through a fresh learner into a second store, batch by batch, and the two are compared cell by
cell. Besides, the log of examples is folded once more by itself, and every snapshot is loaded and compared
with the fold at its version.
"""

from __future__ import annotations

import sqlite3
import tempfile
from array import array
from collections.abc import Callable, Iterator
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from connectors.sqlite.journal import JournalEvents, JournalLabels, decoded
from connectors.sqlite.schema import StoredLog, checksum, connect, explained, pipeline_of, progress_of
from connectors.sqlite.store import SqliteStore
from stream_al.amendments import Rewritten
from stream_al.errors import SnapshotError, StreamALError
from stream_al.ports import Progress
from stream_al.records import Amendment
from stream_al.verdict import Verdict, differing, short

if TYPE_CHECKING:  # with them comes River, which the page's server does without
    from stream_al.learner import ActiveLearner
    from stream_al.model import Model

_TABLES: Final = {
    "batches": ("number", "first_event", "size", "state", "predictions", "queries"),
    "labels": ("number", "batch", "at_event", "position", "record", "event_id", "outcome", "detail"),
    "dead_letters": ("number", "batch", "at_event", "letter"),
    "queries": (
        "event_id", "status", "utility", "asked", "query", "votes", "abstained", "clock", "example", "closed",
    ),
    "members": ("event_id", "representative", "status", "joined", "features"),
    "examples": ("number", "event_id", "example"),
}  # fmt: skip
_NAMED: Final = {
    "labels": "label",
    "dead_letters": "dead letter",
    "queries": "query of",
    "members": "group of",
    "examples": "example",
}


def verify(
    path: Path,
    make_learner: Callable[[dict[str, Any]], ActiveLearner],
    on_batch: Callable[[int, int], None] = lambda done, total: None,
) -> Verdict:
    """Recompute all that a store holds, and compare.

    Parameters
    ----------
    path
        The store; it is only read.
    make_learner
        Makes a fresh learner from the configuration kept in the store.
    on_batch
        Told (batches done, batches in all).

    Raises
    ------
    StoreError
        When it is no store, or damaged beyond reading.
    """
    connection = connect(path)
    connection.text_factory = lambda text: text.decode("utf-8", "backslashreplace")  # it may be damaged
    verdict = Verdict()
    try:
        with explained(path):
            # One transaction, so that a running worker does not move the ground.
            connection.execute("BEGIN")
            _check_inputs(connection, verdict)
            try:
                learner = make_learner(pipeline_of(connection))
                progress = progress_of(connection)
                if progress is None:
                    return verdict
                with tempfile.TemporaryDirectory(prefix="stream-al-verify-") as folder:
                    again = _run_again(connection, Path(folder), learner, progress.batch, on_batch)
                    try:
                        _compare(connection, again.connection, verdict)
                        _check_progress(
                            progress, progress_of(again.connection) or Progress(), learner, verdict
                        )
                    finally:
                        again.close()
                _check_fold(connection, path, lambda: make_learner(pipeline_of(connection)).model, verdict)
            except (StreamALError, ValueError, TypeError, KeyError) as error:
                verdict.add(f"cannot be run again: {type(error).__name__}: {error}")
    finally:
        connection.close()
    return verdict


def _check_inputs(connection: sqlite3.Connection, verdict: Verdict) -> None:
    for name, value, kept in connection.execute("SELECT name, value, checksum FROM meta"):
        if checksum(value) != kept:
            verdict.add(f"meta {name}: does not have its checksum")
    for number, events, sums in connection.execute(
        "SELECT number, CAST(events AS BLOB), CAST(checksums AS BLOB) FROM batches"
    ):
        kept_sums = array("I", bytes(sums)[: len(sums) // 4 * 4])
        for place, (line, kept) in enumerate(zip_longest(events.split(b"\n"), kept_sums)):
            if line is None or kept is None or checksum(line) != kept:
                verdict.add(
                    f"event {_event_id(line)} (place {place} of batch {number}): does not have its checksum"
                )
    for number, event_id, record, kept in connection.execute(
        "SELECT number, event_id, CAST(record AS BLOB), checksum FROM labels"
    ):
        if checksum(record) != kept:
            verdict.add(f"label {number} (for event {event_id}): its record does not have its checksum")
    for number, letter, kept in connection.execute("SELECT number, letter, checksum FROM dead_letters"):
        if checksum(letter) != kept:
            verdict.add(f"dead letter {number}: does not have its checksum")
    query = """
        SELECT inbox.number FROM inbox JOIN labels ON labels.position = 'inbox:' || inbox.number
        WHERE inbox.record <> labels.record AND labels.outcome <> 'oversized'
    """
    for (number,) in connection.execute(query):
        verdict.add(f"inbox {number}: is not the label that was taken from there")


def _event_id(line: bytes | None) -> str:
    content = decoded(line)
    return repr(content.get("id")) if isinstance(content, dict) else "?"


def _run_again(
    connection: sqlite3.Connection,
    folder: Path,
    learner: ActiveLearner,
    batches: int,
    on_batch: Callable[[int, int], None],
) -> SqliteStore:
    from stream_al.runtime.worker import Worker

    store = SqliteStore(folder / "again.db")
    store.connection.execute("PRAGMA synchronous = OFF")  # it need not outlive this
    events = JournalEvents(connection)
    worker = Worker(learner, events, JournalLabels(connection, events), _NoSink(), store)
    for done in range(batches):
        worker.step()
        on_batch(done + 1, batches)
    return store


class _NoSink:
    """Writes nothing: the predictions to compare are in the store."""

    def lengths(self) -> dict[str, int]:
        return {}

    def recover(self, lengths: object, last: object) -> None:
        pass

    def emit(self, outputs: object) -> None:
        pass

    def close(self) -> None:
        pass


def _compare(stored: sqlite3.Connection, again: sqlite3.Connection, verdict: Verdict) -> None:
    for table, columns in _TABLES.items():
        query = f"SELECT {', '.join(columns)} FROM {table} ORDER BY {columns[0]}"
        missing, extra = _rows(stored, query), _rows(again, query)
        left, right = next(missing, None), next(extra, None)
        while left is not None or right is not None:
            if right is None or (left is not None and left[0] < right[0]):
                verdict.add(
                    f"{_NAMED.get(table, 'batch')} {left and left[0]}: is in the store, but does not follow"
                )
                left = next(missing, None)
            elif left is None or right[0] < left[0]:
                verdict.add(f"{_NAMED.get(table, 'batch')} {right[0]}: is missing in the store")
                right = next(extra, None)
            else:
                if left != right:
                    _differ(table, columns, left, right, verdict)
                left, right = next(missing, None), next(extra, None)


def _rows(connection: sqlite3.Connection, query: str) -> Iterator[tuple[Any, ...]]:
    yield from connection.execute(query)


def _differ(
    table: str, columns: tuple[str, ...], stored: tuple[Any, ...], again: tuple[Any, ...], verdict: Verdict
) -> None:
    for column, left, right in zip(columns, stored, again, strict=True):
        if left == right and type(left) is type(right):
            continue
        if table == "batches" and column in ("predictions", "queries"):
            _differing_lines(column, left, right, verdict)
            continue
        for place, one, other in differing(decoded(left), decoded(right)):
            name = f"{_NAMED.get(table, 'batch')} {stored[0]}: {column}{place}"
            verdict.add(f"{name} is {short(one)} in the store, recomputed {short(other)}")


def _differing_lines(column: str, stored: object, again: bytes, verdict: Verdict) -> None:
    one = stored if isinstance(stored, bytes) else str(stored).encode()
    for left, right in zip_longest(one.split(b"\n"), again.split(b"\n"), fillvalue=b""):
        if left == right:
            continue
        content, expected = decoded(left), decoded(right)
        event_id = (expected or content)["event_id"] if isinstance(expected or content, dict) else "?"
        for place, old, new in differing(content, expected):
            what = "prediction" if column == "predictions" else "query"
            verdict.add(
                f"{what} of event {event_id!r}:{place} is {short(old)} in the store, recomputed {short(new)}"
            )


def _check_progress(progress: Progress, again: Progress, learner: ActiveLearner, verdict: Verdict) -> None:
    verdict.events, verdict.labels, verdict.examples = learner.events, learner.labels, learner.model.version
    verdict.digest = learner.model.digest()
    for name in ("events", "labels", "examples", "state", "clock", "accuracy", "drift", "desk", "counts"):
        left, right = getattr(progress, name), getattr(again, name)
        if name in ("accuracy", "drift", "desk"):
            left, right = decoded(left), decoded(right)
        for place, one, other in differing(left, right) if left != right else ():
            verdict.add(f"progress: {name}{place} is {short(one)} in the store, recomputed {short(other)}")


def _check_fold(
    connection: sqlite3.Connection, path: Path, make_model: Callable[[], Model], verdict: Verdict
) -> None:
    """Fold the log of examples by itself, and compare with the run and with every snapshot."""
    model = make_model()
    snapshots = {}
    for version, snapshot, kept in connection.execute(
        "SELECT version, CAST(snapshot AS BLOB), checksum FROM snapshots"
    ):
        if checksum(snapshot) != kept:
            verdict.add(f"snapshot {version}: does not have its checksum")
        snapshots[version] = snapshot
    log = StoredLog(connection, path)
    records = log.examples()
    for version in sorted(snapshots):
        model.fold_all(islice(records, version - model.version), log)
        if model.version == version:
            _check_snapshot(snapshots[version], model, verdict)
        else:
            verdict.add(f"snapshot {version}: is newer than the log")
    model.fold_all(records, log)
    if model.digest() != verdict.digest:
        verdict.add(f"the fold of the log has digest {model.digest()}, the run {verdict.digest}")
    if any(
        isinstance(record, Amendment) for record in log.examples()
    ):  # then once more in one go: of the log as it was amended
        fresh = make_model()
        fresh.fold_all(Rewritten(log, 0, model.version), log)
        if fresh.digest() != model.digest():
            verdict.add(f"the log as amended has digest {fresh.digest()}, amended by and by {model.digest()}")


def _check_snapshot(snapshot: bytes, model: Model, verdict: Verdict) -> None:
    copy = type(model).__new__(type(model))
    copy.__dict__.update(model.__dict__)
    try:
        copy.load(snapshot)
    except SnapshotError as error:
        verdict.add(f"snapshot {model.version}: {error}")
        return
    if copy.digest() != model.digest():
        verdict.add(f"snapshot {model.version}: is not the fold of the log up to there")
