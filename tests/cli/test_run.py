"""`run`, `init`, `status` and `verify` as a user meets them: real processes, files, signals and pipes."""

from __future__ import annotations

import gzip
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streams import rows, write_jsonl

from connectors.sqlite import Annotations, SqliteStore
from stream_al import Label

ROOT = Path(__file__).parents[2]
CONFIG = """
[events]
path = "events.jsonl"
{events}
[model]
steps = [{{ use = "river.preprocessing.StandardScaler" }}, {{ use = "river.linear_model.LogisticRegression" }}]
{model}
[strategy]
budget = 0.2
[strategy.cold_start]
examples = 10
[labels]
{labels}
[output]
predictions = "predictions.jsonl"
queries = "queries.jsonl"
dead_letters = "dead_letters.jsonl"
[run]
batch_size = 50
"""


def stream_al(
    *arguments: object, folder: Path, check: int | None = 0, **more: Any
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "stream_al", *map(str, arguments)],
        cwd=folder, text=True, capture_output=True, timeout=120, env={**os.environ, "PYTHONPATH": str(ROOT)}, **more,
    )  # fmt: skip
    if check is not None:
        assert done.returncode == check, done.stderr
    assert "Traceback" not in done.stderr
    return done


def background(*arguments: object, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "stream_al", *map(str, arguments)],
        cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def until(condition: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Wait for something another process does."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within a minute"
        assert process is None or process.poll() is None, process and process.stderr and process.stderr.read()
        time.sleep(0.01)


def ended(process: subprocess.Popen[str], signal_number: int) -> dict[str, Any]:
    process.send_signal(signal_number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def configured(folder: Path, *, events: str = "", labels: str = "", model: str = "") -> Path:
    path = folder / "pipeline.toml"
    path.write_text(CONFIG.format(events=events, labels=labels, model=model))
    return path


def count(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_init_run_status_verify(tmp_path: Path) -> None:
    told = stream_al("init", "--events", "river:ImageSegments", folder=tmp_path).stdout
    assert "stream-al run pipeline.toml" in told
    env = {"STREAM_AL_LABELS__SOURCE": "simulated", "STREAM_AL_LABELS__DELAY": "20"}
    os.environ.update(env)
    try:
        first = stream_al("run", "pipeline.toml", folder=tmp_path).stdout
        again = json.loads(stream_al("run", "pipeline.toml", "--json", folder=tmp_path).stdout)
    finally:
        for name in env:
            del os.environ[name]
    assert "2,310" in first
    assert again["events"] == 2310
    assert again["asked"] == again["labels"] == again["examples"]
    status = json.loads(stream_al("status", "pipeline.db", "--json", "--digest", folder=tmp_path).stdout)
    assert {k: status[k] for k in ("events", "asked", "open", "examples", "digest")} == {
        k: again[k] for k in ("events", "asked", "open", "examples", "digest")
    }
    assert "0 differences in 2,310 predictions" in stream_al("verify", "pipeline.db", folder=tmp_path).stdout


def test_init_does_not_overwrite(tmp_path: Path) -> None:
    (tmp_path / "pipeline.toml").write_text("mine")
    assert "exists; name another file" in stream_al("init", folder=tmp_path, check=2).stderr
    assert (tmp_path / "pipeline.toml").read_text() == "mine"
    stream_al("init", "--force", folder=tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_followed_file_a_signal_and_going_on(tmp_path: Path, number: signal.Signals) -> None:
    events = rows(400)
    write_jsonl(tmp_path / "events.jsonl", events[:150])
    configured(
        tmp_path, events='follow = true\nlabel_column = "label"', labels='source = "simulated"\ndelay = 9'
    )
    process = background("run", "pipeline.toml", "--json", folder=tmp_path)
    until(lambda: count(tmp_path / "predictions.jsonl") == 150, process)
    write_jsonl(tmp_path / "more.jsonl", events[150:])
    with (tmp_path / "events.jsonl").open("ab") as file:
        file.write((tmp_path / "more.jsonl").read_bytes()[:-30])
    until(lambda: count(tmp_path / "predictions.jsonl") == 399, process)
    assert ended(process, number)["events"] == 399
    with (tmp_path / "events.jsonl").open("ab") as file:
        file.write((tmp_path / "more.jsonl").read_bytes()[-30:])
    process = background("run", "pipeline.toml", "--json", folder=tmp_path)
    until(lambda: count(tmp_path / "predictions.jsonl") == 400, process)
    assert ended(process, number)["events"] == 400
    answered = [
        json.loads(line)["event_id"] for line in (tmp_path / "predictions.jsonl").read_text().splitlines()
    ]
    assert answered == [event.id for event in events]


def test_labels_appended_to_a_file_are_followed(tmp_path: Path) -> None:
    events = rows(300)
    write_jsonl(tmp_path / "events.jsonl", events)
    configured(tmp_path, labels='source = "file"\npath = "answers.jsonl"')
    process = background("run", "pipeline.toml", "--until", "stopped", "--json", folder=tmp_path)
    until(lambda: count(tmp_path / "predictions.jsonl") == 300, process)
    asked = [json.loads(line)["event_id"] for line in (tmp_path / "queries.jsonl").read_text().splitlines()]
    truth = {event.id: event.truth for event in events}
    with (tmp_path / "answers.jsonl").open("w") as file:
        for event_id in reversed(asked):
            file.write(json.dumps({"event_id": event_id, "label": truth[event_id]}) + "\n")
        file.write(json.dumps({"event_id": asked[0], "label": truth[asked[0]]}) + "\n")
        file.write('{"event_id": "nobody asked", "label": "in"}\n')
    until(lambda: count(tmp_path / "dead_letters.jsonl") == 2, process)
    found = ended(process, signal.SIGTERM)
    assert found["labels_by_outcome"] == {"duplicate": 1, "example": len(asked), "unknown-event": 1}
    letters = [json.loads(line) for line in (tmp_path / "dead_letters.jsonl").read_text().splitlines()]
    assert [letter["position"] for letter in letters] == [
        f"answers.jsonl:{len(asked) + 1}", f"answers.jsonl:{len(asked) + 2}",
    ]  # fmt: skip
    assert "0 differences" in stream_al("verify", "pipeline.db", folder=tmp_path).stdout


def test_labels_from_the_store_while_the_worker_runs(tmp_path: Path) -> None:
    events = rows(200)
    write_jsonl(tmp_path / "events.jsonl", events)
    configured(tmp_path)
    process = background("run", "pipeline.toml", "--until", "answered", "--json", folder=tmp_path)
    until(lambda: count(tmp_path / "predictions.jsonl") == 200, process)
    truth = {event.id: event.truth for event in events}
    annotator = Annotations(tmp_path / "pipeline.db", "ann")
    asked = annotator.next_queries(1000)
    for query in asked:
        record = Label(event_id=query.event_id, label=truth[query.event_id], annotator="ann").to_json()
        annotator.draft(query.event_id, record)
    annotator.close()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert json.loads(out)["examples"] == len(asked) > 10


def test_standard_input_goes_on_counting(tmp_path: Path) -> None:
    configured(tmp_path, labels='source = "file"\npath = "answers.jsonl"')
    lines = [json.dumps({"features": dict(event.features)}) + "\n" for event in rows(90)]
    environment = {"STREAM_AL_EVENTS__PATH": "-"}
    os.environ.update(environment)
    try:
        stream_al("run", "pipeline.toml", folder=tmp_path, input="".join(lines[:50]))
        stream_al("run", "pipeline.toml", folder=tmp_path, input="".join(lines[50:]).rstrip())
    finally:
        del os.environ["STREAM_AL_EVENTS__PATH"]
    answered = [
        json.loads(line)["event_id"] for line in (tmp_path / "predictions.jsonl").read_text().splitlines()
    ]
    assert answered == [f"stdin:{number}" for number in range(1, 91)]


def test_bad_events_become_dead_letters_and_the_run_goes_on(tmp_path: Path) -> None:
    good = [json.dumps({"id": e.id, "features": e.features, "label": e.truth}).encode() for e in rows(60)]
    bad = {
        b"{not json": "malformed-json",
        b"[1, 2]": "malformed-json",
        b'{"id": "n1", "features": {}}': "empty-features",
        b'{"id": "n2"}': "missing-field",
        b'{"id": "n3", "features": {"x": NaN}}': "malformed-json",
        b'{"id": "n4", "features": {"x": 1e999}}': "out-of-range",
        b'{"id": "n5", "features": {"x": null}}': "wrong-type",
        b'{"id": "n6", "features": {"x": [1]}}': "wrong-type",
        b'{"id": "n7", "features": {"x": 1, "z": 2}}': "unknown-feature",
        b'{"id": "n8", "features": {"x": "' + b"a" * 3000 + b'"}}': "oversized",
        b"\x00\xff\xfe binary \x80": "malformed-json",
    }
    lines = (
        good[:20]
        + [line for pair in zip(bad, good[20:], strict=False) for line in pair]
        + good[20 + len(bad) :]
    )
    with gzip.open(tmp_path / "events.jsonl.gz", "wb") as file:
        file.write(b"\n".join(lines) + b"\n")
    configured(
        tmp_path,
        events='label_column = "label"\nmax_record_bytes = 1000\nfeatures = ["x", "y", "n"]',
        labels='source = "simulated"',
    )
    config = tmp_path / "pipeline.toml"
    config.write_text(config.read_text().replace('"events.jsonl"', '"events.jsonl.gz"'))
    done = stream_al("run", "pipeline.toml", folder=tmp_path)
    assert "dead letters" in done.stdout
    assert "1 unknown-feature" in " ".join(done.stdout.split())
    letters = [json.loads(line) for line in (tmp_path / "dead_letters.jsonl").read_text().splitlines()]
    assert len(letters) == len(bad)
    for letter, (line, reason) in zip(letters, bad.items(), strict=True):
        assert letter["position"] == f"events.jsonl.gz:{lines.index(line) + 1}"
        assert letter["detail"]
        if reason not in ("out-of-range", "wrong-type"):
            assert letter["reason"] == reason
    assert count(tmp_path / "predictions.jsonl") == 60
    assert "0 differences in 60 predictions" in stream_al("verify", "pipeline.db", folder=tmp_path).stdout


def test_an_event_the_model_cannot_score_is_a_dead_letter(tmp_path: Path) -> None:
    events = rows(60)
    events[50].features["x"] = "text"
    write_jsonl(tmp_path / "events.jsonl", events)
    configured(tmp_path, events='label_column = "label"', labels='source = "simulated"\ndelay = 1')
    found = json.loads(stream_al("run", "pipeline.toml", "--json", folder=tmp_path).stdout)
    assert found["dead_letters_by_reason"] == {"cannot-score": 1}
    assert found["events"] == 59


def test_exit_codes(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "events.jsonl", rows(40))
    configured(tmp_path, events='label_column = "label"', labels='source = "simulated"')
    stream_al("run", "pipeline.toml", folder=tmp_path)
    assert "no such file" in stream_al("run", "nowhere.toml", folder=tmp_path, check=2).stderr
    stream_al("run", folder=tmp_path, check=2)
    assert "no such store" in stream_al("status", "nowhere.db", folder=tmp_path, check=3).stderr
    (tmp_path / "text.db").write_text("no database " * 100)
    assert "not a SQLite file" in stream_al("verify", "text.db", folder=tmp_path, check=3).stderr
    (tmp_path / "events.jsonl").rename(tmp_path / "elsewhere.jsonl")
    assert "no such file" in stream_al("run", "pipeline.toml", folder=tmp_path, check=3).stderr
    (tmp_path / "elsewhere.jsonl").rename(tmp_path / "events.jsonl")
    store = SqliteStore(tmp_path / "busy.db")
    os.environ["STREAM_AL_STORE__PATH"] = "busy.db"
    try:
        assert "another worker" in stream_al("run", "pipeline.toml", folder=tmp_path, check=4).stderr
    finally:
        del os.environ["STREAM_AL_STORE__PATH"]
        store.close()
    with (tmp_path / "predictions.jsonl").open("ab") as file:
        file.truncate(100)
    assert "put the missing part back" in stream_al("run", "pipeline.toml", folder=tmp_path, check=3).stderr


def test_verify_exits_with_1_and_names_the_record(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "events.jsonl", rows(80))
    configured(tmp_path, events='label_column = "label"', labels='source = "simulated"')
    stream_al("run", "pipeline.toml", folder=tmp_path)
    connection = sqlite3.connect(tmp_path / "pipeline.db")
    connection.execute("UPDATE examples SET example = replace(example, '\"in\"', '\"out\"') WHERE number = 3")
    connection.execute("UPDATE examples SET example = replace(example, '\"x\":', '\"X\":') WHERE number = 4")
    connection.commit()
    connection.close()
    done = stream_al("verify", "pipeline.db", folder=tmp_path, check=1)
    assert "example 4: example features is" in done.stdout
    found = json.loads(stream_al("verify", "pipeline.db", "--json", folder=tmp_path, check=1).stdout)
    assert found["differences"] >= 1


@pytest.mark.parametrize("command", ["", "run", "label", "replay", "init", "status", "verify", "demo"])
def test_help_teaches(tmp_path: Path, command: str) -> None:
    told = stream_al(*([command] if command else []), "--help", folder=tmp_path).stdout
    assert "Usage" in told
    assert not command or "Example" in told


def test_label_is_refused_where_nobody_would_read_the_answers(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "events.jsonl", rows(40))
    configured(tmp_path, events='label_column = "label"', labels='source = "simulated"')
    stream_al("run", "pipeline.toml", folder=tmp_path)
    refused = stream_al("label", "pipeline.db", "--as", "ann", folder=tmp_path, check=2, input="in\n").stderr
    assert "[labels] source = 'simulated'" in refused


def test_a_full_queue_is_said(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "events.jsonl", rows(40))
    configured(tmp_path, labels="max_open = 3")
    done = stream_al("run", "pipeline.toml", folder=tmp_path)
    assert "37 max_open queries were open" in " ".join(done.stdout.split())
    status = json.loads(stream_al("status", "pipeline.db", "--json", folder=tmp_path).stdout)
    assert status["blocked_by_reason"] == {"queue-full": 37}
    assert status["open"] == 3


def test_what_limits_held_back_is_said_and_verified(tmp_path: Path) -> None:
    lines = ["time,x,label"]
    lines += [
        f"2026-01-01T{n // 60:02}:{n % 60:02}:00Z,{n % 7},{'in' if n % 7 > 3 else 'out'}" for n in range(600)
    ]
    (tmp_path / "events.csv").write_text("\n".join(lines) + "\n")
    path = configured(tmp_path, events='label_column = "label"', labels='source = "simulated"\ndelay = 5')
    limits = "[limits]\nlabels_per_hour = 2\nburst = 3\ncost_per_label = 0.5\nspend_total = 9.0\n"
    path.write_text(path.read_text().replace("events.jsonl", "events.csv") + limits)
    refused = stream_al("run", "pipeline.toml", folder=tmp_path, check=2).stderr
    assert "[limits] labels_per_hour: needs the events' timestamps; set [events] timestamp_column" in refused
    path.write_text(path.read_text().replace("[events]", '[events]\ntimestamp_column = "time"'))
    shown = " ".join(stream_al("run", "pipeline.toml", folder=tmp_path).stdout.split())
    assert "the labels per hour or day, or in all, were used up" in shown
    status = json.loads(stream_al("status", "pipeline.db", "--json", folder=tmp_path).stdout)
    assert status["asked"] == 18, "2 an hour and 3 saved up, until 9.0 are spent"
    assert status["blocked_by_reason"].keys() == {"rate-limit", "cost-limit"}
    stream_al("verify", "pipeline.db", folder=tmp_path)


def test_alarms_are_said_kept_shown_and_verified(tmp_path: Path) -> None:
    events = rows(900)
    for number, row in enumerate(events):
        row.features["x"] += 5.0 * (number >= 600)
    write_jsonl(tmp_path / "events.jsonl", events)
    path = configured(tmp_path, events='label_column = "label"', labels='source = "simulated"\ndelay = 5')
    path.write_text(path.read_text() + '[drift]\nwatch = ["error", "features.x"]\nreserve = 0.25\n')
    done = stream_al("run", "pipeline.toml", "--quiet", folder=tmp_path)
    assert "drift: event 6" in done.stderr
    assert "the feature 'x' went from" in done.stderr
    status = json.loads(stream_al("status", "pipeline.db", "--json", folder=tmp_path).stdout)
    assert status["drift"]["alarms"] == status["drift"]["by"]["features.x"] == 1
    (alarm,) = status["drift"]["recent"]
    assert 600 < alarm["event"] < 700
    assert status["asked_by_reason"]["drift"] > 5
    shown = stream_al("status", "pipeline.db", folder=tmp_path).stdout
    assert "drift alarms since the start: 1 (1 features.x)" in shown
    assert alarm["text"] in shown
    stream_al("verify", "pipeline.db", folder=tmp_path)
    again = stream_al("run", "pipeline.toml", "--quiet", folder=tmp_path)
    assert "drift: event" not in again.stderr, "it was said already"


def test_a_quarantine_is_said_counted_and_verified(tmp_path: Path) -> None:
    events = [
        {"id": row.id, "features": row.features, "label": row.truth, "key": "bot" if n % 4 else "ann"}
        for n, row in enumerate(rows(400))
    ]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    path = configured(tmp_path, events='label_column = "label"', labels='source = "simulated"\ndelay = 5')
    path.write_text(path.read_text() + '[guard]\nsource = "key"\nshare = 0.4\nburst = 3\n')
    done = stream_al("run", "pipeline.toml", "--quiet", folder=tmp_path)
    assert (
        "in quarantine (flood), as their source sent more doubtful events than its share; the last: 'e"
        in (done.stderr)
    )
    assert "of 'bot'" in done.stderr
    status = json.loads(stream_al("status", "pipeline.db", "--json", folder=tmp_path).stdout)
    assert status["blocked_by_reason"]["flood"] > 50
    shown = " ".join(stream_al("status", "pipeline.db", folder=tmp_path).stdout.split())
    assert "their source sent more doubtful events than its share" in shown
    stream_al("verify", "pipeline.db", folder=tmp_path)
    again = stream_al("run", "pipeline.toml", "--quiet", folder=tmp_path)
    assert "quarantine" not in again.stderr, "it was said already"


@pytest.mark.slow
def test_status_estimates_the_accuracy_and_says_whether_it_is_enough(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "events.jsonl", rows(4000))
    path = configured(tmp_path, events='label_column = "label"', labels='source = "simulated"\ndelay = 20')
    text = path.read_text().replace("batch_size = 50", "batch_size = 500")
    strategy = 'name = "least-confidence"\nthreshold = 0.8\nexplore = 0.1\ncalibrated = true\nstop_at = 0.8'
    path.write_text(text.replace("budget = 0.2", strategy))
    shown = " ".join(stream_al("run", "pipeline.toml", folder=tmp_path).stdout.split())
    assert "accuracy, estimated" in shown
    assert "(95 %, at all times) of" in shown
    assert "confident enough yes" in shown
    assert "only exploration asks" in shown
    status = json.loads(stream_al("status", "pipeline.db", "--json", folder=tmp_path).stdout)
    found = status["accuracy"]
    assert found["whole"]["low"] <= status["prequential_accuracy"] <= found["whole"]["high"]
    assert found["whole"]["events"] == 4000
    assert found["enough"]["confident"] is True
    assert found["enough"]["target"] == 0.8 < found["enough"]["low"]
    assert [row["label"] for row in found["classes"]] == ["in", "out"]
    assert sum(row["events"] for row in found["confusion"]) == pytest.approx(4000)
    assert sum(row["share"] for row in found["calibration"]["bins"]) == pytest.approx(1.0)
    told = stream_al("verify", "pipeline.db", folder=tmp_path).stdout
    assert told.startswith("0 differences in 4,000 predictions")


def test_status_says_why_there_is_no_accuracy(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "events.jsonl", rows(200))
    path = configured(tmp_path, events='label_column = "label"', labels='source = "simulated"\ndelay = 5')
    path.write_text(path.read_text().replace("budget = 0.2", 'name = "margin"'))
    stream_al("run", "pipeline.toml", folder=tmp_path)
    shown = " ".join(stream_al("status", "pipeline.db", folder=tmp_path).stdout.split())
    assert "accuracy unknown" in shown
    assert "had no chance of being asked about" in shown
    status = json.loads(stream_al("status", "pipeline.db", "--json", folder=tmp_path).stdout)
    assert status["accuracy"]["whole"]["accuracy"] is None
    assert status["accuracy"]["classes"] == []
