"""`verify` finds nothing in a store as it was written, and names the record whatever value is altered."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from streams import learner, rows

from connectors.memory import MemoryEvents, MemorySink
from connectors.sqlite import SqliteLabels, SqliteStore, verify
from stream_al import DeadLetter, DeskRules
from stream_al.runtime import Worker
from stream_al.verdict import Verdict

RULES = DeskRules(quorum=2, max_answers=3, expire_after_events=60, remember=30)
EVENTS: list[Any] = list(rows(150, twice=11))
EVENTS[40:40] = [
    DeadLetter(source="events", position="f:41", reason="malformed-json", detail="d", record="{")
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with something in every table: two annotators, wrong, late, doubled and malformed labels."""
    path = tmp_path_factory.mktemp("verify") / "store.db"
    opened = SqliteStore(path, {"any": "thing"})
    worker = Worker(
        learner(RULES), MemoryEvents(EVENTS), SqliteLabels(opened), MemorySink(), opened, batch_size=20
    )
    worker.recover()
    truth = {row.id: row.truth for row in EVENTS if not isinstance(row, DeadLetter)}
    told: set[str] = set()
    while worker.step():
        for (event_id,) in opened.connection.execute(
            "SELECT event_id FROM queries ORDER BY asked"
        ).fetchall():
            if event_id in told:
                continue
            told.add(event_id)
            for annotator in ("ann", "bob", "ann"):
                answer = {"event_id": event_id, "label": truth[event_id], "annotator": annotator}
                if annotator == "bob" and len(told) % 7 == 0:
                    answer["label"] = "in" if truth[event_id] == "out" else "out"
                put(opened, json.dumps(answer))
            if len(told) % 9 == 0:
                put(opened, "{not json")
                put(opened, json.dumps({"event_id": "never", "label": "in"}))
    worker.save()
    assert opened.connection.execute("SELECT count(*) FROM queries WHERE status = 'open'").fetchone()[0] > 0
    opened.close()
    return path


def put(store: SqliteStore, record: str) -> None:
    store.connection.execute("INSERT INTO inbox (record) VALUES (?)", (record.encode(),))


def verified(path: Path) -> Verdict:
    return verify(path, lambda pipeline: learner(RULES))


def test_nothing_is_found_in_a_store_as_it_was_written(store: Path) -> None:
    before = store.read_bytes()
    verdict = verified(store)
    assert verdict.differences == []
    assert verdict.events == 150
    assert verdict.examples > 10
    assert verdict.labels > verdict.examples
    assert store.read_bytes() == before


def altered(value: Any) -> Any:
    """Return another value of the same type that a careless hand might leave."""
    if value is None:
        return 7
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value * (1 + 2**-52) if value else 1e-300
    if isinstance(value, bytes):
        return altered(value.decode("latin-1")).encode("latin-1") if value else b"x"
    middle = len(value) // 2
    digits = [n for n in range(middle, len(value)) if value[n] in "12345678"]
    place = digits[0] if digits else middle
    return value[:place] + chr(ord(value[place : place + 1] or "a") ^ 1) + value[place + 1 :]


TABLES = {
    "meta": ("value", "checksum"),
    "batches": ("first_event", "size", "state", "events", "checksums", "predictions", "queries"),
    "labels": ("batch", "at_event", "position", "record", "checksum", "event_id", "outcome", "detail"),
    "dead_letters": ("batch", "at_event", "letter", "checksum"),
    "queries": (
        "event_id", "status", "utility", "asked", "query", "votes", "abstained", "clock", "example", "closed",
    ),
    "examples": ("number", "event_id", "example"),
    "snapshots": ("snapshot", "checksum"),
    "inbox": ("record",),
}  # fmt: skip


@pytest.mark.parametrize(("table", "column"), [(t, c) for t, columns in TABLES.items() for c in columns])
@pytest.mark.parametrize("which", [0.0, 0.5, 1.0], ids=["first", "middle", "last"])
def test_one_altered_value_is_found_and_named(
    store: Path, tmp_path: Path, table: str, column: str, which: float
) -> None:
    path = tmp_path / "store.db"
    shutil.copy(store, path)
    connection = sqlite3.connect(path, isolation_level=None)
    name = "name" if table == "meta" else "rowid"
    found = connection.execute(f"SELECT {name}, {column} FROM {table} ORDER BY 1").fetchall()
    key, value = found[round(which * (len(found) - 1))]
    new = altered(value)
    assert new != value
    connection.execute(f"UPDATE OR REPLACE {table} SET {column} = ? WHERE {name} = ?", (new, key))
    connection.close()
    verdict = verified(path)
    assert verdict.differences, f"{table}.{column} of {key} was {value!r}, is {new!r}"
    named = (
        f"meta {key}" if table == "meta" else next((c for c in verdict.differences[0] if c.isdigit()), "?")
    )
    assert named in verdict.differences[0]


@pytest.mark.parametrize("table", ["batches", "labels", "dead_letters", "queries", "examples"])
def test_a_missing_row_is_found(store: Path, tmp_path: Path, table: str) -> None:
    path = tmp_path / "store.db"
    shutil.copy(store, path)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"DELETE FROM {table} WHERE rowid = (SELECT max(rowid) - 1 FROM {table})")
    connection.close()
    assert verified(path).differences


def test_an_altered_prediction_is_named_by_event_and_field(store: Path, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    shutil.copy(store, path)
    connection = sqlite3.connect(path, isolation_level=None)
    (lines,) = connection.execute("SELECT predictions FROM batches WHERE number = 3").fetchone()
    content = [json.loads(line) for line in lines.splitlines()]
    content[4]["confidence"] = 0.123
    new = b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in content)
    connection.execute("UPDATE batches SET predictions = ? WHERE number = 3", (new,))
    connection.close()
    differences = verified(path).differences
    assert len(differences) == 1
    assert differences[0].startswith(
        f"prediction of event '{content[4]['event_id']}': confidence is 0.123 in the store"
    )
