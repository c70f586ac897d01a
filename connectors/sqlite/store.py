"""The worker's side of a store: one transaction a batch, and the inbox as a source of labels."""

from __future__ import annotations

import fcntl
import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import IO, Any, Final
from zlib import crc32

from connectors.sqlite.open_table import OpenTable
from connectors.sqlite.schema import checksum, connect, explained, pipeline_of, progress_of, read_examples
from stream_al.codec import EventRow, QueryRow, encode_lines
from stream_al.errors import StoreBusyError, StoreError
from stream_al.groups import GONE, HELD, KEPT, MemberState
from stream_al.ports import NEVER, Batch, IncomingLabel, Position, Recovered
from stream_al.query_state import QueryState
from stream_al.records import Amendment, LogRecord

_SNAPSHOTS_KEPT: Final = 3
_CHANGE_QUERY: Final = """
INSERT INTO queries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (event_id) DO UPDATE SET
    status = excluded.status, utility = excluded.utility, asked = excluded.asked, votes = excluded.votes,
    clock = excluded.clock, example = excluded.example, closed = excluded.closed,
    query = CASE excluded.query WHEN '' THEN query ELSE excluded.query END,
    abstained = CASE excluded.query WHEN '' THEN abstained ELSE excluded.abstained END
"""


class SqliteStore:
    """The store of one worker.

    Parameters
    ----------
    path
        The file; made when it does not exist.
    pipeline
        The parts of the configuration that decide what is computed. Kept with the store; another one is
        refused, as its results would not follow from what the store holds.
    remember
        How many closed queries to give back on recovery (`DeskRules.remember`).

    Raises
    ------
    StoreError
        When the file cannot be used, or was made with another ``pipeline``.
    StoreBusyError
        When another worker holds it.
    """

    def __init__(
        self, path: Path, pipeline: dict[str, Any] | None = None, *, remember: int = 100_000
    ) -> None:
        self.path = path
        self._remember = remember
        self._lock = locked(path)
        try:
            self.connection = connect(path, create=True)
            with explained(path):
                self._agree(pipeline or {})
        except BaseException:
            self._lock.close()
            raise
        self.open_queries = OpenTable(lambda: self.connection, path)
        """Where the open queries are looked up."""

    def _agree(self, pipeline: dict[str, Any]) -> None:
        written = json.dumps(pipeline, sort_keys=True)
        self.connection.execute(
            "INSERT OR IGNORE INTO meta VALUES ('pipeline', ?, ?)", (written, checksum(written))
        )
        before = pipeline_of(self.connection)
        if json.loads(written) == before:
            return
        changed = sorted(k for k in {*before, *pipeline} if before.get(k) != json.loads(written).get(k))
        told = "; ".join(f"[{k}] was {json.dumps(before.get(k))}" for k in changed)
        raise StoreError(
            f"{self.path}: was made with another configuration: {told}. Restore it, or name a new store"
        )

    def note_label_source(self, source: str) -> None:
        """Keep where this worker takes labels from, so that annotators can be told when it is not from here."""
        with explained(self.path):
            self.connection.execute(
                "INSERT OR REPLACE INTO meta VALUES ('label_source', ?, ?)", (source, checksum(source))
            )

    def recover(self) -> Recovered | None:
        """Return where the last committed batch left off."""
        with explained(self.path):
            progress = progress_of(self.connection)
            if progress is None:
                return None
            rows = self.connection.execute(
                f"SELECT * FROM members WHERE status IN {HELD} UNION ALL SELECT * FROM (SELECT * FROM members "
                f"WHERE status NOT IN {HELD + GONE} ORDER BY joined DESC LIMIT ?)",
                (KEPT,),
            )
            members = [MemberState(*row) for row in rows]
            last = {"predictions": b"", "queries": b"", "dead_letters": b""}
            for predictions, asked in self.connection.execute(
                "SELECT CAST(predictions AS BLOB), CAST(queries AS BLOB) FROM batches WHERE number = ?",
                (progress.batch,),
            ):
                last["predictions"], last["queries"] = predictions, asked
            letters = self.connection.execute(
                "SELECT letter FROM dead_letters WHERE batch = ? ORDER BY number", (progress.batch,)
            )
            last["dead_letters"] = b"".join(letter.encode() + b"\n" for (letter,) in letters)
        return Recovered(progress, self._closed(), last, members)

    def _closed(self) -> Iterator[QueryState]:
        fields = ", ".join(QueryState._fields)
        with explained(self.path):
            for row in self.connection.execute(
                f"SELECT {fields} FROM queries WHERE closed IS NOT NULL ORDER BY closed DESC LIMIT ?",
                (max(self._remember, 1),),  # the last one tells from which number on they are counted
            ):
                yield QueryState(*row)

    def commit(self, batch: Batch) -> None:
        """Write a batch in one transaction."""
        with explained(self.path):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                self._write(batch)
                self.open_queries.write(self.connection)
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise
        self.open_queries.clock = None

    def _write(self, batch: Batch) -> None:
        execute, many = self.connection.execute, self.connection.executemany
        number = batch.progress.batch
        if batch.events:
            lines = encode_lines(batch.events)[:-1]
            outputs = batch.outputs()
            execute(
                "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    number,
                    batch.first_event,
                    len(batch.events),
                    json.dumps(batch.state),
                    lines,
                    array("I", map(crc32, lines.split(b"\n"))).tobytes(),
                    outputs["predictions"],
                    outputs["queries"],
                ),
            )
        many(
            "INSERT INTO labels VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    r.number,
                    number,
                    r.at_event,
                    r.position,
                    r.record,
                    checksum(r.record),
                    r.event_id,
                    r.outcome,
                    r.detail,
                )
                for r in batch.received
            ],
        )
        many(
            "UPDATE labels SET outcome = ?, detail = ? WHERE number = ?",
            [(outcome, detail, label) for label, outcome, detail in batch.settled],
        )
        many(
            "INSERT INTO dead_letters (batch, at_event, letter, checksum) VALUES (?, ?, ?, ?)",
            [
                (number, at, text, checksum(text))
                for at, text in ((at, letter.to_json().decode()) for at, letter in batch.dead_letters)
            ],
        )
        many(_CHANGE_QUERY, batch.changed)
        many("INSERT OR REPLACE INTO members VALUES (?, ?, ?, ?, ?)", batch.members)
        many(
            "INSERT INTO examples VALUES (?, ?, ?)",
            [(place, record.event_id, record.to_json().decode()) for place, record in batch.examples],
        )
        many(
            # What is taken out of the model should not live on in its older snapshots.
            "DELETE FROM snapshots WHERE version > ?",
            [(record.amends,) for _, record in batch.examples if isinstance(record, Amendment)],
        )
        if batch.snapshot is not None:
            self._keep(*batch.snapshot)
        content = {part.name: getattr(batch.progress, part.name) for part in fields(batch.progress)}
        parts = {name: content.pop(name) or "" for name in ("accuracy", "drift")}  # JSON already
        parts["progress"] = json.dumps(content)
        many(
            "INSERT OR REPLACE INTO meta VALUES (?, ?, ?)",
            [(name, text, checksum(text)) for name, text in parts.items()],
        )

    def examples(self, start: int = 0) -> Iterator[LogRecord]:
        """Yield the log, examples and amendments, from a number on.

        Raises
        ------
        StoreError
            When an example cannot be read, naming it.
        """
        yield from read_examples(self.connection, self.path, start)

    def snapshots(self) -> Iterator[tuple[int, bytes]]:
        """Yield (version, snapshot), newest first."""
        with explained(self.path):
            yield from self.connection.execute(
                "SELECT version, CAST(snapshot AS BLOB) FROM snapshots ORDER BY version DESC"
            )

    def save_snapshot(self, version: int, snapshot: bytes) -> None:
        """Keep a snapshot, and drop all but the newest few."""
        with explained(self.path):
            self._keep(version, snapshot)

    def _keep(self, version: int, snapshot: bytes) -> None:
        self.connection.execute(
            "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?)", (version, snapshot, checksum(snapshot))
        )
        self.connection.execute(
            "DELETE FROM snapshots WHERE version NOT IN "
            "(SELECT version FROM snapshots ORDER BY version DESC LIMIT ?)",
            (_SNAPSHOTS_KEPT,),
        )

    def close(self) -> None:
        """Close the file and give up the lock."""
        self.connection.close()
        self._lock.close()


def locked(path: Path, who: str = "worker is running on this store") -> IO[str]:
    """Return the lock of a store's file, held until it is closed.

    Raises
    ------
    StoreBusyError
        When another process holds it; ``who`` that is likely to be.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(path.name + ".lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise StoreBusyError(f"{path}: another {who}; stop it first") from None
    return lock


class SqliteLabels:
    """The labels that annotators put into the store's inbox, as a worker's source.

    Parameters
    ----------
    store
        The worker's own store.
    """

    due: float = NEVER
    lag: float = NEVER

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._last = 0

    @property
    def position(self) -> Position:
        """Return the number of the last label taken."""
        return self._last

    def seek(self, position: Position) -> None:
        """Go to a position."""
        self._last = position or 0

    def poll(self, events: float) -> Sequence[IncomingLabel]:
        """Return the labels put in since the last call, at most a thousand."""
        with explained(self._store.path):
            rows = self._store.connection.execute(
                "SELECT number, record FROM inbox WHERE number > ? ORDER BY number LIMIT 1000", (self._last,)
            ).fetchall()
        found = [IncomingLabel(bytes(record), f"inbox:{number}") for number, record in rows]
        if rows:
            self._last = rows[-1][0]
        return found

    def asked(self, query: QueryRow, event: EventRow, number: int) -> None:
        """Do nothing: annotators read the store."""

    def close(self) -> None:
        """Do nothing: the store is closed by who opened it."""
