"""The embedded default: one SQLite file that keeps state, journal, log, queries and labels.

Guarantee: exactly once. Each micro-batch is one transaction (WAL, ``synchronous=FULL``), so a process may die
or the power fail at any moment. One worker holds the file at a time (a lock beside it); annotators and
readers, in other processes, do not disturb it. A file that is locked, full, corrupt, of another schema or not
ours at all gives a `StoreError` and is left as it was.
"""

from connectors.sqlite.annotations import Annotations
from connectors.sqlite.recording import read_recording
from connectors.sqlite.schema import (
    APPLICATION_ID,
    SCHEMA,
    StoredLog,
    connect,
    pipeline_of,
    progress_of,
    read_examples,
)
from connectors.sqlite.store import SqliteLabels, SqliteStore
from connectors.sqlite.verify import verify

__all__ = [
    "APPLICATION_ID",
    "SCHEMA",
    "Annotations",
    "SqliteLabels",
    "SqliteStore",
    "StoredLog",
    "connect",
    "pipeline_of",
    "progress_of",
    "read_examples",
    "read_recording",
    "verify",
]
