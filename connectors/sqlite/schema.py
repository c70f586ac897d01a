"""The tables of a store, opening its file, and what its errors mean."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from stream_al.errors import RecordError, StoreBusyError, StoreError
from stream_al.log_codec import decode_logged
from stream_al.ports import Progress
from stream_al.records import LogRecord

APPLICATION_ID: Final = 0x53414C31  # "SAL1"
SCHEMA: Final = 1
BUSY_SECONDS: Final = 15.0
"""A backup or an annotator holds the write lock for milliseconds; who holds it longer is worth an error."""
ORIGIN: Final = "topics"
"""In the file of a page whose pipeline runs elsewhere (`relayed`) the pipeline has this part, which says where. No
worker's pipeline has it, so no worker takes the file for its own."""
_PAGE: Final = 8_192
_WAL_PAGES: Final = 2_000
"""A batch is a megabyte in a few large values, which want large pages, and hundreds of rows that change, each with a page of
an index, which want small ones. 16 MB are together when they are carried over into the file."""

TABLES: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE batches (
    number INTEGER PRIMARY KEY, first_event INTEGER NOT NULL, size INTEGER NOT NULL, state TEXT NOT NULL,
    events BLOB NOT NULL, checksums BLOB NOT NULL, predictions BLOB NOT NULL, queries BLOB NOT NULL
);
CREATE TABLE labels (
    number INTEGER PRIMARY KEY, batch INTEGER NOT NULL, at_event INTEGER NOT NULL, position TEXT NOT NULL,
    record BLOB NOT NULL, checksum INTEGER NOT NULL, event_id TEXT, outcome TEXT NOT NULL, detail TEXT NOT NULL
);
CREATE TABLE dead_letters (
    number INTEGER PRIMARY KEY, batch INTEGER NOT NULL, at_event INTEGER NOT NULL, letter TEXT NOT NULL,
    checksum INTEGER NOT NULL
);
CREATE TABLE queries (
    event_id TEXT PRIMARY KEY, status TEXT NOT NULL, utility REAL NOT NULL, asked INTEGER NOT NULL,
    query TEXT NOT NULL, votes TEXT NOT NULL, abstained TEXT NOT NULL, clock TEXT, example INTEGER, closed INTEGER
);
CREATE TABLE examples (number INTEGER PRIMARY KEY, event_id TEXT NOT NULL, example TEXT NOT NULL);
CREATE TABLE snapshots (version INTEGER PRIMARY KEY, snapshot BLOB NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE inbox (number INTEGER PRIMARY KEY AUTOINCREMENT, record BLOB NOT NULL);
CREATE TABLE drafts (
    number INTEGER PRIMARY KEY AUTOINCREMENT, annotator TEXT NOT NULL, event_id TEXT NOT NULL, record BLOB NOT NULL
);
CREATE VIEW predictions AS SELECT
    first_event + line.key AS event_number,
    json_extract(line.value, '$.event_id') AS event_id,
    json_extract(line.value, '$.label') AS label,
    json_extract(line.value, '$.confidence') AS confidence,
    json_extract(line.value, '$.margin') AS margin,
    json_extract(line.value, '$.model_version') AS model_version,
    json_extract(line.value, '$.queried') AS queried,
    json_extract(line.value, '$.reason') AS reason,
    line.value AS record
FROM batches, json_each(
    '[' || replace(rtrim(CAST(predictions AS TEXT), char(10)), char(10), ',') || ']'
) AS line;
"""

INDEXES: Final = """
DROP INDEX IF EXISTS queries_open;
DROP INDEX IF EXISTS queries_closed;
CREATE INDEX queries_by_utility ON queries (utility DESC, asked, status) WHERE status = 'open';
CREATE INDEX queries_by_number ON queries (asked, event_id, status) WHERE status = 'open';
CREATE INDEX queries_by_closing ON queries (closed, status) WHERE closed IS NOT NULL;
"""
"""Of the queries; they take the place of the two that an earlier version made. Each of the open ones is a page more that an
answer changes. (The status is in them because SQLite 3.40 looks into the table for it though all are the same.)"""

ADDED: Final = """
CREATE TABLE IF NOT EXISTS members (
    event_id TEXT PRIMARY KEY, representative TEXT NOT NULL, status TEXT NOT NULL, joined INTEGER NOT NULL,
    features TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS members_of ON members (representative, status);
"""
"""What stores made by an earlier version lack."""


def checksum(content: bytes | str) -> int:
    """Return the CRC-32 kept beside what a store was given and could not compute again."""
    return zlib.crc32(content.encode() if isinstance(content, str) else content)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours, which say what to do."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise StoreBusyError(
                f"{path}: locked by another process for more than {BUSY_SECONDS:.0f} seconds; "
                "close whatever has it open for writing, then start again"
            ) from error
        advice = {
            sqlite3.SQLITE_FULL: "the disk (or the file's size limit) is full; make room, then start again",
            sqlite3.SQLITE_NOTADB: "not a SQLite file; name another path",
            sqlite3.SQLITE_CORRUPT: "damaged; restore a backup, or start a new store",
            sqlite3.SQLITE_READONLY: "not writable; check its permissions",
            sqlite3.SQLITE_CANTOPEN: "cannot be opened; check the path and its permissions",
            sqlite3.SQLITE_IOERR: "the disk failed to read or write it; check the disk, then start again",
        }.get(code, "unexpected")
        raise StoreError(f"{path}: {advice} (SQLite says: {error})") from error


def connect(path: Path, *, create: bool = False) -> sqlite3.Connection:
    """Open a store's file and check that it is one.

    Raises
    ------
    StoreError
        When it does not exist, is not ours, or is of another schema.
    """
    if not create and not path.is_file():
        raise StoreError(f"{path}: no such store; `stream-al run` makes it")
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            _check(connection, path, create=create)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
            connection.executescript(ADDED)
            _index(connection)
        except BaseException:
            connection.close()
            raise
        return connection


def _check(connection: sqlite3.Connection, path: Path, *, create: bool) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    if application == APPLICATION_ID and schema == SCHEMA:
        return
    if application == APPLICATION_ID:
        raise StoreError(
            f"{path}: of schema {schema}, this version of stream_al reads {SCHEMA}; "
            "use the version that wrote it, or start a new store"
        )
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not create or application or tables:
        raise StoreError(f"{path}: a SQLite file, but not a store of stream_al; name another path")
    connection.execute(f"PRAGMA page_size = {_PAGE}")
    connection.executescript(
        f"BEGIN IMMEDIATE;{TABLES}"
        f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA}; COMMIT;"
    )


def _index(connection: sqlite3.Connection) -> None:
    there = "SELECT 1 FROM sqlite_master WHERE name = 'queries_by_closing'"
    if connection.execute(there).fetchone() is None:
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute(there).fetchone() is None:  # else another process has done it meanwhile
            for statement in INDEXES.split(";"):
                connection.execute(statement)
        connection.execute("COMMIT")


def statuses_of(connection: sqlite3.Connection) -> dict[str, int]:
    """Return how many queries there are of each status."""
    (opened,) = connection.execute("SELECT count(*) FROM queries WHERE status = 'open'").fetchone()
    closed = connection.execute(
        "SELECT status, count(*) FROM queries WHERE closed IS NOT NULL GROUP BY status"
    )
    return ({"open": opened} if opened else {}) | dict(closed.fetchall())


def pipeline_of(connection: sqlite3.Connection) -> dict[str, Any]:
    """Return the configuration a store was made with."""
    (value,) = connection.execute("SELECT value FROM meta WHERE name = 'pipeline'").fetchone() or ("{}",)
    found: dict[str, Any] = json.loads(value)
    return found


def is_relayed(connection: sqlite3.Connection) -> bool:
    """Tell whether a store is the file of a page whose pipeline runs elsewhere; queries are then ``asked`` at a time."""
    return ORIGIN in pipeline_of(connection)


def progress_of(connection: sqlite3.Connection) -> Progress | None:
    """Return how far a store's worker has come; None before its first batch."""
    rows = connection.execute("SELECT name, value FROM meta WHERE name IN ('progress', 'accuracy', 'drift')")
    found = dict(rows.fetchall())
    if "progress" not in found:
        return None
    progress = Progress(**json.loads(found["progress"]))
    progress.state = tuple(progress.state)
    progress.accuracy = found.get("accuracy") or None
    progress.drift = found.get("drift") or None
    return progress


def read_examples(connection: sqlite3.Connection, path: Path, start: int = 0) -> Iterator[LogRecord]:
    """Yield the log of a store, examples and amendments, from a number on; see `SqliteStore.examples`."""
    expected = start
    with explained(path):
        rows = connection.execute(
            "SELECT number, example FROM examples WHERE number >= ? ORDER BY number", (start,)
        )
        for number, text in rows:
            if number != expected:
                raise StoreError(f"{path}: example {expected} is missing; restore a backup")
            expected += 1
            try:
                record = decode_logged(text)
            except (RecordError, ValueError) as error:
                raise StoreError(f"{path}: example {number} is damaged ({error}); restore a backup") from None
            yield record


class StoredLog:
    """The log of a store that is open for reading: a `stream_al.amendments.ExampleLog`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection, self._path = connection, path

    def examples(self, start: int = 0) -> Iterator[LogRecord]:
        """Yield the records from a number on."""
        return read_examples(self._connection, self._path, start)
