"""A store that is locked, full, corrupt, of another schema or not ours is refused and left as it was."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from streams import learner, rows

import connectors.sqlite.schema as schema
from connectors.memory import MemoryEvents, MemorySink
from connectors.sqlite import SqliteLabels, SqliteStore, connect, progress_of
from stream_al import Label, StoreBusyError, StoreError
from stream_al.replay.oracle import SimulatedOracle
from stream_al.replay.people import Crowd
from stream_al.runtime import Worker


def worker(store: SqliteStore, events: int = 100) -> Worker:
    made = Worker(
        learner(),
        MemoryEvents(rows(events)),
        SimulatedOracle(Crowd.one(5)),
        MemorySink(),
        store,
        batch_size=25,
    )
    made.recover()
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait long for locks that the test itself holds."""
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.05)


def content(path: Path) -> list[str]:
    """Everything a SQLite file holds, as SQL."""
    connection = sqlite3.connect(path)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def test_one_worker_at_a_time(path: Path) -> None:
    first = SqliteStore(path)
    with pytest.raises(StoreBusyError, match="another worker is running on this store"):
        SqliteStore(path)
    first.close()
    SqliteStore(path).close()


@pytest.mark.usefixtures("impatient")
def test_a_store_locked_by_somebody_else_says_so_and_keeps_what_it_had(path: Path) -> None:
    store = SqliteStore(path)
    working = worker(store)
    working.step()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(
        StoreBusyError, match=r"store\.db: locked by another process .* then start again"
    ) as caught:
        working.step()
    assert caught.value.retriable
    other.execute("ROLLBACK")
    other.close()
    progress = progress_of(store.connection)
    assert progress is not None
    assert (progress.batch, progress.events) == (1, 25)
    store.close()
    again = SqliteStore(path)
    assert worker(again).run().events == 100
    again.close()


def test_a_full_disk_says_so_and_the_run_goes_on_when_there_is_room(path: Path) -> None:
    store = SqliteStore(path)
    working = worker(store, events=3000)
    working.step()
    (pages,) = store.connection.execute("PRAGMA page_count").fetchone()
    store.connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreError, match="full; make room") as caught:
        working.run()
    assert not caught.value.retriable
    assert not store.connection.in_transaction
    committed = progress_of(store.connection)
    assert committed is not None
    store.close()
    again = SqliteStore(path)
    resumed = worker(again, events=3000)
    assert resumed.progress == committed
    assert resumed.run().events == 3000
    again.close()


@pytest.mark.parametrize(
    "junk", [b"not a database, but text\n" * 500, b"\x00" * 5000, b"SQLite format 3\x00" + b"\xff" * 4096]
)
def test_a_file_that_is_no_store_is_refused_and_untouched(path: Path, junk: bytes) -> None:
    path.write_bytes(junk)
    with pytest.raises(StoreError, match=r"store\.db: "):
        SqliteStore(path)
    assert path.read_bytes() == junk


def test_another_programs_database_is_refused_and_untouched(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE precious (thing)")
    other.execute("INSERT INTO precious VALUES (1)")
    other.commit()
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="not a store of stream_al; name another path"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_another_schema_is_refused_and_untouched(path: Path) -> None:
    SqliteStore(path).close()
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    before = content(path)
    with pytest.raises(StoreError, match="of schema 99, this version of stream_al reads 1"):
        SqliteStore(path)
    with pytest.raises(StoreError, match="of schema 99"):
        connect(path)
    assert content(path) == before


def test_a_damaged_page_is_an_error_that_says_damaged(path: Path) -> None:
    store = SqliteStore(path)
    worker(store, events=2000).run()
    store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    damaged = bytearray(path.read_bytes())
    for page in range(1, len(damaged) // 4096):
        damaged[page * 4096 : page * 4096 + 64] = b"\xee" * 64
    path.write_bytes(damaged)
    with pytest.raises(StoreError, match=r"damaged; restore a backup"), closing(SqliteStore(path)) as broken:
        worker(broken)
    assert path.read_bytes() == damaged


def test_a_missing_example_is_named(path: Path) -> None:
    store = SqliteStore(path)
    worker(store).run()
    store.connection.execute("DELETE FROM snapshots")
    store.connection.execute("DELETE FROM examples WHERE number = 3")
    with pytest.raises(StoreError, match="example 3 is missing"):
        worker(store)
    store.close()


def test_a_store_remembers_its_pipeline_and_names_what_changed(path: Path) -> None:
    SqliteStore(path, {"strategy": {"budget": 0.1}, "run": {"key": "a"}}).close()
    SqliteStore(path, {"run": {"key": "a"}, "strategy": {"budget": 0.1}}).close()
    with pytest.raises(
        StoreError, match=r'made with another configuration: \[strategy\] was {"budget": 0.1}'
    ):
        SqliteStore(path, {"strategy": {"budget": 0.2}, "run": {"key": "a"}})


def test_a_bad_snapshot_is_left_aside_and_the_log_refolded(path: Path) -> None:
    store = SqliteStore(path)
    working = worker(store)
    working.run()
    digest = working.learner.model.digest()
    store.connection.execute("UPDATE snapshots SET snapshot = CAST(x'00' || substr(snapshot, 2) AS BLOB)")
    store.save_snapshot(10_000, b"of the future")
    again = worker(store)
    assert again.learner.model.digest() == digest
    assert "is newer than the log" in again.notices[0]
    assert all("left aside" in notice for notice in again.notices)
    store.close()


def test_labels_come_from_the_inbox_in_order_and_once(path: Path) -> None:
    store = SqliteStore(path)
    source = SqliteLabels(store)
    for number in range(5):
        record = Label(event_id=f"e{number}", label="in").to_json()
        store.connection.execute("INSERT INTO inbox (record) VALUES (?)", (record,))
    assert [label.position for label in source.poll(0)] == [f"inbox:{n}" for n in range(1, 6)]
    assert source.poll(0) == []
    source.seek(3)
    assert [label.position for label in source.poll(0)] == ["inbox:4", "inbox:5"]
    store.close()


def test_the_view_of_predictions_has_a_row_an_event(path: Path) -> None:
    store = SqliteStore(path)
    worker(store).run()
    found = store.connection.execute(
        "SELECT event_number, event_id, queried FROM predictions ORDER BY event_number"
    ).fetchall()
    assert [(number, name) for number, name, _ in found] == [(n, f"e{n}") for n in range(100)]
    assert {queried for _, _, queried in found} == {0, 1}
    store.close()
