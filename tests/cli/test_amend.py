"""`stream-al amend` and `erase` on a store: beside a worker, without one, and what they refuse."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from streams import learner, offline_digest, rows
from typer.testing import CliRunner, Result

from connectors.memory import MemoryEvents, MemorySink
from connectors.sqlite import Annotations, SqliteLabels, SqliteStore, StoredLog, verify
from stream_al import DeskRules, RecordError
from stream_al.cli.app import app
from stream_al.errors import ConfigError
from stream_al.records import Amendment
from stream_al.runtime import Worker

EVENTS = rows(40)
TRUTH = {str(row.id): str(row.truth) for row in EVENTS}


class Running:
    """A worker on a store that has learned the truth of every event it asked about, from "ann"."""

    def __init__(self, path: Path, rules: DeskRules | None = None) -> None:
        self.path, self.rules = path, rules
        self.start()
        self.worker.run()
        for (event_id,) in self.store.connection.execute("SELECT event_id FROM queries").fetchall():
            self.put({"event_id": event_id, "label": TRUTH[event_id], "annotator": "ann"})
        self.worker.run()
        self.learned = [record.event_id for record in self.store.examples()]
        assert len(self.learned) > 5

    def start(self) -> None:
        self.store = SqliteStore(self.path)
        self.worker = Worker(
            learner(self.rules),
            MemoryEvents(EVENTS),
            SqliteLabels(self.store),
            MemorySink(),
            self.store,
            batch_size=10,
        )
        self.worker.recover()

    def put(self, record: dict[str, object]) -> None:
        self.store.connection.execute("INSERT INTO inbox (record) VALUES (?)", (json.dumps(record).encode(),))

    def check(self) -> None:
        """The model is the one that folded the log as amended, and everything can be recomputed."""
        model = self.worker.learner.model
        assert model.digest() == offline_digest(self.store.examples(), learner().model)
        verdict = verify(self.path, lambda pipeline: learner(self.rules))
        assert verdict.differences == []
        assert verdict.digest == model.digest()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path / "p.db")
    yield made
    made.store.close()


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def other(event_id: str) -> str:
    return "in" if TRUTH[event_id] == "out" else "out"


def test_beside_a_running_worker_it_is_applied_in_the_next_batch(running: Running) -> None:
    event_id = running.learned[2]
    right = other(event_id)
    said = call("amend", running.path, event_id, "--label", right, "--why", "misread", "--by", "eve")
    assert said.output == f"Sent: example 2 is '{right}' now within its next batch.\n"
    before = running.worker.learner.model.digest()
    running.worker.run()
    assert running.worker.learner.model.digest() != before
    *_, amendment = running.store.examples()
    assert isinstance(amendment, Amendment)
    assert (amendment.event_id, amendment.amends, amendment.label) == (event_id, 2, right)
    assert (amendment.why, amendment.by, amendment.timestamp is None) == ("misread", "eve", False)
    running.check()


def test_when_no_worker_runs_it_is_applied_at_the_next_start(running: Running) -> None:
    running.store.close()
    said = call("erase", running.path, running.learned[0], "--why", "on request")
    assert said.output == "Sent: example 0 is erased when a worker starts again; none is running.\n"
    running.start()
    running.worker.run()
    *_, amendment = running.store.examples()
    assert isinstance(amendment, Amendment)
    assert amendment.erases
    (status,) = running.store.connection.execute(
        "SELECT status FROM queries WHERE event_id = ?", (running.learned[0],)
    ).fetchone()
    assert status == "erased"
    running.check()


def test_what_would_change_nothing_is_refused_also_when_it_is_still_on_its_way(running: Running) -> None:
    event_id = running.learned[1]
    for arguments, reason in (
        (("amend", running.path, "nobody", "--label", "in", "--why", "?"), "unknown-event"),
        (("erase", running.path, "nobody", "--why", "?"), "unknown-event"),
        (("amend", running.path, event_id, "--label", TRUTH[event_id], "--why", "?"), "same-label"),
        (("amend", running.path, event_id, "--label", "in", "--why", ""), "empty-text"),
    ):
        error = call(*arguments).exception
        assert isinstance(error, RecordError)
        assert error.reason == reason
    assert call("erase", running.path, event_id, "--why", "on request").exit_code == 0
    for _ in range(2):
        error = call("erase", running.path, event_id, "--why", "on request").exception
        assert isinstance(error, RecordError)
        assert error.reason == "already-erased"
        running.worker.run()
    assert len(list(running.store.examples())) == len(running.learned) + 1


def test_the_worker_refuses_by_itself_what_reaches_it_all_the_same(running: Running) -> None:
    first, second = running.learned[:2]
    running.put({"event_id": "nobody", "amends": None, "why": "?"})
    running.put({"event_id": first, "amends": None, "why": "?", "label": TRUTH[first]})
    running.put({"event_id": first, "amends": 1, "why": "?"})
    running.put({"event_id": first, "amends": None, "why": "?", "label": 7})
    running.put({"event_id": first, "amends": None})
    running.put({"event_id": second, "amends": 1, "why": "on request"})
    running.put({"event_id": second, "amends": 1, "why": "on request"})
    running.worker.run()
    connection = running.store.connection
    outcomes = [o for (o,) in connection.execute("SELECT outcome FROM labels ORDER BY number DESC LIMIT 7")]
    assert outcomes[::-1] == [
        "unknown-event", "same-label", "unknown-event", "wrong-label-type", "missing-field", "amendment",
        "already-erased",
    ]  # fmt: skip
    running.check()


def test_an_answer_after_a_decision_changes_nothing(running: Running) -> None:
    event_id = running.learned[3]
    call("amend", running.path, event_id, "--label", other(event_id), "--why", "misread")
    running.worker.run()
    for label in (TRUTH[event_id], other(event_id)):
        running.put({"event_id": event_id, "label": label, "annotator": "ann"})
    running.worker.run()
    assert len(list(running.store.examples())) == len(running.learned) + 1
    call("erase", running.path, event_id, "--why", "on request")
    running.worker.run()
    running.put({"event_id": event_id, "label": TRUTH[event_id], "annotator": "ann"})
    running.worker.run()
    outcomes = running.store.connection.execute(
        "SELECT outcome FROM labels WHERE event_id = ? ORDER BY number", (event_id,)
    )
    assert [outcome for (outcome,) in outcomes] == [
        "example", "amendment", "already-answered", "already-answered", "amendment", "late",
    ]  # fmt: skip
    running.check()


def test_an_annotator_corrects_and_takes_back_what_was_learned(running: Running) -> None:
    first, second, third = running.learned[:3]
    running.put({"event_id": first, "label": other(first), "annotator": "ann"})
    running.put({"event_id": second, "abstain": "skip", "annotator": "ann"})
    running.put({"event_id": third, "abstain": "unsure", "annotator": "ann"})
    running.put({"event_id": third, "label": other(third), "annotator": "ann"})
    running.worker.run()
    amended = [(r.event_id, r.label) for r in running.store.examples() if isinstance(r, Amendment)]
    assert amended == [(first, other(first)), (second, None), (third, None), (third, other(third))]
    running.check()
    running.store.close()
    running.start()
    running.put({"event_id": second, "label": TRUTH[second], "annotator": "ann"})
    running.worker.run()
    *_, last = running.store.examples()
    assert (last.event_id, last.label) == (second, TRUTH[second])
    running.check()


def test_corrections_can_be_switched_off_and_decisions_still_count(tmp_path: Path) -> None:
    running = Running(tmp_path / "p.db", DeskRules(corrections="dead-letter"))
    first = running.learned[0]
    running.put({"event_id": first, "label": other(first), "annotator": "ann"})
    running.worker.run()
    assert len(list(running.store.examples())) == len(running.learned)
    letters = running.store.connection.execute("SELECT letter FROM dead_letters").fetchall()
    assert [json.loads(letter)["reason"] for (letter,) in letters] == ["correction-after-learning"]
    call("amend", running.path, first, "--label", other(first), "--why", "decided")
    running.worker.run()
    assert len(list(running.store.examples())) == len(running.learned) + 1
    running.check()
    running.store.close()


def test_snapshots_that_hold_what_was_amended_are_dropped(running: Running) -> None:
    def versions() -> list[int]:
        return [version for version, _ in running.store.snapshots()]

    dump = running.worker.learner.model.checkpoint
    running.store.save_snapshot(
        7, dump
    )  # one more, older than the newest; what it holds matters to nobody here
    assert len(versions()) == 2
    call("erase", running.path, running.learned[0], "--why", "on request")
    running.worker.run()
    assert versions() == [len(running.learned) + 1]
    running.store.close()
    running.start()
    running.check()


def test_amendments_are_no_answers_on_their_way(running: Running) -> None:
    call("amend", running.path, running.learned[0], "--label", "never seen", "--why", "misread")
    call("erase", running.path, running.learned[1], "--why", "on request")
    annotations = Annotations(running.path, "anonymous")
    assert annotations.classes() == ["in", "out"]
    running.worker.run()
    assert annotations.classes() == ["in", "out"]  # the model knows two; and an erasure is no class
    (refused,) = running.store.connection.execute("SELECT count(*) FROM labels WHERE outcome = 'third-class'")
    assert refused == (1,)
    annotations.close()


def test_a_store_whose_labels_come_from_elsewhere_says_where_to_put_it(running: Running) -> None:
    running.store.note_label_source("file")
    error = call("erase", running.path, running.learned[0], "--why", "on request").exception
    assert isinstance(error, ConfigError)
    line = str(error).split(": ", 2)[2]
    running.put(json.loads(line[line.index("{") :]))
    running.worker.run()
    *_, amendment = running.store.examples()
    assert isinstance(amendment, Amendment)
    running.store.note_label_source("simulated")
    error = call("erase", running.path, running.learned[1], "--why", "on request").exception
    assert isinstance(error, ConfigError)


def test_verify_names_an_amendment_that_was_altered(running: Running) -> None:
    call("amend", running.path, running.learned[1], "--label", other(running.learned[1]), "--why", "misread")
    running.worker.run()
    running.store.close()
    connection = sqlite3.connect(running.path)
    number = len(list(StoredLog(connection, running.path).examples())) - 1
    connection.execute("UPDATE examples SET example = replace(example, 'misread', 'mistake')")
    connection.commit()
    connection.close()
    found = verify(running.path, lambda pipeline: learner()).differences
    assert len(found) == 1
    assert f"example {number}: example why is 'mistake'" in found[0]
    running.start()
