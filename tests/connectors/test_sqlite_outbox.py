"""From what a worker has committed to messages: each row once, whatever happens in between."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from labelled_stores import Pipeline, rows
from river.naive_bayes import GaussianNB

from connectors.memory import MemoryEvents, MemorySink
from connectors.sqlite import SqliteLabels, SqliteStore, verify
from connectors.sqlite.outbox import SqliteOutbox
from stream_al import ActiveLearner, Guard, Limited, Random
from stream_al.codec import EventRow
from stream_al.errors import StoreError
from stream_al.monitor import DriftRules
from stream_al.runtime import Worker
from stream_al.webhooks import KINDS


def put(pipeline: Pipeline, *records: dict[str, Any] | bytes) -> None:
    for record in records:
        line = record if isinstance(record, bytes) else json.dumps(record).encode()
        pipeline.store.connection.execute("INSERT INTO inbox (record) VALUES (?)", (line,))


def answer(number: int, label: str = "cat", by: str = "ann", **more: Any) -> dict[str, Any]:
    return {"event_id": f"e{number:02d}", "label": label, "annotator": by, **more}


def bodies(outbox: SqliteOutbox) -> list[dict[str, Any]]:
    while outbox.collect():
        pass
    return [json.loads(message.body) for message in outbox.waiting(10_000)]


def test_what_a_message_about_a_label_says(pipeline: Callable[..., Pipeline]) -> None:
    made = pipeline(5, quorum=2)
    with closing(SqliteOutbox(made.path, KINDS)) as outbox:
        put(made, answer(1, timestamp="2026-03-01T12:00:00Z"), answer(1, by="bob"), b"{no JSON", answer(99))
        put(made, {"event_id": "e02", "abstain": "unsure", "annotator": "ann"})
        made.work()
        put(made, {"event_id": "e01", "amends": 0, "label": "dog", "why": "a slip", "by": "eve"})
        made.work()
        first, second, unknown, unsure, amended = bodies(outbox)
    assert first == {
        "type": "label.received",
        "timestamp": "2026-03-01T12:00:00Z",
        "data": {
            "number": 0, "event_id": "e01", "label": "cat", "abstain": None, "annotator": "ann", "after_events": 5,
            "outcome": "example",
        },
    }  # fmt: skip
    assert second["data"]["annotator"] == "bob"
    assert unknown["data"]["outcome"] == "unknown-event"
    assert (unsure["data"]["label"], unsure["data"]["abstain"]) == (None, "unsure")
    assert amended["type"] == "label.amended"
    assert amended["data"] == {
        "number": 5, "event_id": "e01", "amends": 0, "label": "dog", "why": "a slip", "by": "eve", "after_events": 5,
        "outcome": "amendment",
    }  # fmt: skip


def test_what_was_there_before_anybody_wanted_it_is_not_told(pipeline: Callable[..., Pipeline]) -> None:
    made = pipeline(9)
    put(made, answer(1))
    made.work()
    with closing(SqliteOutbox(made.path, ["label"])) as outbox:
        assert bodies(outbox) == []
        put(made, answer(2))
        made.work()
        assert [body["data"]["number"] for body in bodies(outbox)] == [1]
    with closing(SqliteOutbox(made.path, ["drift"])) as outbox:  # labels are no longer wanted,
        put(made, answer(3))
        made.work()
        assert len(bodies(outbox)) == 1
    with closing(SqliteOutbox(made.path, ["label"])) as outbox:  # and are again
        put(made, answer(4))
        made.work()
        assert [body["data"]["number"] for body in bodies(outbox)] == [1, 3]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["label", "collect", "send", "reopen"]), max_size=40))
def test_each_label_is_one_message_in_order_whatever_happens_between(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    events = [EventRow({"x": float(n)}, f"e{n:02d}") for n in range(40)]
    made = Pipeline(tmp_path_factory.mktemp("outbox") / "p.db", events)
    outbox = SqliteOutbox(made.path, ["label"])
    labelled, sent = 0, []
    for step in [*steps, "reopen", "collect", "send"]:
        if step == "label":
            put(made, answer(labelled))
            made.work()
            labelled += 1
        elif step == "collect":
            outbox.collect()
        elif step == "send":
            messages = outbox.waiting(100)
            sent += messages
            outbox.sent([message.number for message in messages])
        else:
            outbox.close()
            outbox = SqliteOutbox(made.path, ["label"])
    outbox.close()
    made.store.close()
    assert [json.loads(message.body)["data"]["number"] for message in sent] == [*range(labelled)]
    assert len({message.id for message in sent}) == labelled


def test_messages_lost_with_a_power_failure_come_again_under_the_same_id(
    pipeline: Callable[..., Pipeline], tmp_path: Path
) -> None:
    made = pipeline(5)
    SqliteOutbox(made.path, ["label"]).close()
    put(made, answer(1), answer(2))
    made.work()
    before = tmp_path / "before.db"
    with closing(sqlite3.connect(made.path)) as source, closing(sqlite3.connect(before)) as copy:
        source.backup(copy)
    found = []
    for path in (made.path, before):
        with closing(SqliteOutbox(path, ["label"])) as outbox:
            outbox.collect()
            found.append([message.id for message in outbox.waiting(9)])
    assert found[0] == found[1]
    assert len({*found[0]}) == 2


def test_two_stores_and_a_restored_one_that_goes_another_way_have_other_ids(
    pipeline: Callable[..., Pipeline], tmp_path: Path
) -> None:
    made = pipeline(5)
    SqliteOutbox(made.path, ["label"]).close()
    backup, other = tmp_path / "backup.db", tmp_path / "other.db"
    with closing(sqlite3.connect(made.path)) as source, closing(sqlite3.connect(backup)) as copy:
        source.backup(copy)
    ids = []
    for path, label in ((made.path, "cat"), (backup, "dog"), (other, "cat")):
        again = made if path == made.path else Pipeline(path, rows(5))
        with closing(SqliteOutbox(path, ["label"])) as outbox:
            put(again, answer(1, label))
            again.work()
            outbox.collect()
            ids += [message.id for message in outbox.waiting(9)]
        if again is not made:
            again.store.close()
    assert len({*ids}) == 3


def worked(path: Path, learner: ActiveLearner, events: list[EventRow], batch_size: int = 50) -> SqliteStore:
    """Open an outbox, then let a worker answer events."""
    store = SqliteStore(path)
    SqliteOutbox(path, KINDS).close()
    worker = Worker(
        learner, MemoryEvents(events), SqliteLabels(store), MemorySink(), store, batch_size=batch_size
    )
    worker.recover()
    while worker.step():
        pass
    return store


def test_each_alarm_is_told_with_the_time_of_its_event(tmp_path: Path) -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    events = [
        EventRow({"x": float(n // 600 % 2) + n % 7 / 100}, f"e{n}", timestamp=start + timedelta(minutes=n))
        for n in range(4000)
    ]
    learner = ActiveLearner(GaussianNB(), Random(0.0), drift=DriftRules(watch=("features.x",)))
    store = worked(tmp_path / "p.db", learner, events)
    assert learner.drift is not None
    assert learner.drift.alarms == len(learner.drift.recent) > 3
    with closing(SqliteOutbox(store.path, KINDS)) as outbox:
        found = bodies(outbox)
    store.close()
    assert [body["type"] for body in found] == ["drift.alarm"] * learner.drift.alarms
    for number, (body, alarm) in enumerate(zip(found, learner.drift.recent, strict=True)):
        data = body["data"]
        assert (data["number"], data["event"], data["what"]) == (number, alarm.event, "features.x")
        assert (data["before"], data["after"]) == (alarm.before, alarm.after)
        assert datetime.fromisoformat(body["timestamp"]) == start + timedelta(minutes=alarm.event - 1)


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
@pytest.mark.parametrize("timed", [True, False])
def test_a_spent_budget_is_told_once_a_day_of_the_events_at_the_first_one_held_back(
    tmp_path: Path, batch_size: int, timed: bool
) -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    events = [
        EventRow({"x": float(n)}, f"e{n}", timestamp=start + timedelta(minutes=30 * n) if timed else None)
        for n in range(200)
    ]
    learner = ActiveLearner(GaussianNB(), Limited(Random(1.0), labels_per_day=20, burst=3))
    store = worked(tmp_path / "p.db", learner, events, batch_size)
    held_back = store.connection.execute(
        "SELECT event_number, event_id FROM predictions WHERE reason = 'rate-limit' ORDER BY event_number"
    ).fetchall()
    expected: dict[str, tuple[int, str]] = {}
    for number, event_id in held_back:
        day = (start + timedelta(minutes=30 * number)).date().isoformat() if timed else ""
        expected.setdefault(day, (number + 1, event_id))
    assert len(expected) == (5 if timed else 1)
    with closing(SqliteOutbox(store.path, KINDS)) as outbox:
        found = bodies(outbox)
        assert bodies(outbox) == found
    store.close()
    assert {body["type"] for body in found} == {"budget.spent"}
    told = [(b["data"]["day"] or "", (b["data"]["event"], b["data"]["event_id"])) for b in found]
    assert told == list(expected.items())
    assert {body["data"]["limit"] for body in found} == {"rate-limit"}


def test_the_first_event_of_a_day_in_quarantine_is_told_with_its_source(tmp_path: Path) -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    events = [
        EventRow({"x": float(n)}, f"e{n}", start + timedelta(hours=2 * n), "bot" if n % 2 else f"site {n}")
        for n in range(30)
    ]
    learner = ActiveLearner(GaussianNB(), Guard(Random(1.0), source="key", share=0.1, burst=2))
    store = worked(tmp_path / "p.db", learner, events, 7)
    with closing(SqliteOutbox(store.path, KINDS)) as outbox:
        found = bodies(outbox)
    store.close()
    assert [(body["type"], body["data"]["day"], body["data"]["event_id"]) for body in found] == [
        ("guard.quarantine", "2026-03-01", "e5"),
        ("guard.quarantine", "2026-03-02", "e13"),
        ("guard.quarantine", "2026-03-03", "e25"),
    ]
    assert {(body["data"]["reason"], body["data"]["key"]) for body in found} == {("flood", "bot")}


def test_an_outbox_changes_nothing_that_verify_looks_at(pipeline: Callable[..., Pipeline]) -> None:
    made = pipeline(9)
    with closing(SqliteOutbox(made.path, KINDS)) as outbox:
        put(made, answer(1), answer(2))
        made.work()
        assert len(bodies(outbox)) == 2
    verdict = verify(made.path, lambda _: ActiveLearner(GaussianNB()))
    assert verdict.differences == []
    assert verdict.labels == 2


def test_a_damaged_store_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    events = [EventRow({"x": 1.0}, f"e{n}", timestamp=start) for n in range(60)]
    learner = ActiveLearner(GaussianNB(), Limited(Random(1.0), labels_per_day=20, burst=3))
    store = worked(tmp_path / "p.db", learner, events)
    store.connection.execute("UPDATE batches SET events = 'junk'")
    with (
        closing(SqliteOutbox(store.path, KINDS)) as outbox,
        pytest.raises(StoreError, match="stream-al verify"),
    ):
        outbox.collect()
    store.close()
