import fcntl
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from river import datasets
from typer.testing import CliRunner

from stream_al import StreamALError
from stream_al.cli.app import app

ROOT = Path(__file__).parents[2]
MAIN = [sys.executable, "-m", "stream_al.cli.app"]
TRUTHS = [label for _, label in datasets.ImageSegments()]


def demo(directory, *arguments):
    command = [*MAIN, "demo", "--dir", str(directory), "--json", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | {"NO_COLOR": "1"}, capture_output=True, text=True
    )


def refused(*arguments):
    result = CliRunner().invoke(app, ["demo", *map(str, arguments)])
    assert isinstance(result.exception, StreamALError)
    return str(result.exception)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The demo as everybody runs it, once for all these tests, whichever of pytest's workers runs them."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    directory, kept = shared / "demo", shared / "demo.json"
    with (shared / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            run = demo(directory)
            kept.write_text(json.dumps([run.returncode, run.stdout, run.stderr]))
    return subprocess.CompletedProcess([], *json.loads(kept.read_text())), directory


@pytest.fixture
def result(finished):
    run, _ = finished
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.slow
def test_the_table_says_what_the_written_predictions_say(finished, result):
    _, directory = finished
    assert [s["title"] for s in result["strategies"]] == [
        "asked by margin",
        "asked at random with the same budget",
        "all labels",
    ]
    for strategy in result["strategies"]:
        lines = (directory / strategy["name"] / "predictions.jsonl").read_text().splitlines()
        predictions = [json.loads(line) for line in lines]
        assert [p["event_id"] for p in predictions] == [f"ImageSegments:{n + 1}" for n in range(2310)]
        right = sum(p["label"] == truth for p, truth in zip(predictions, TRUTHS, strict=True))
        assert strategy["accuracy"] == pytest.approx(right / 2310, abs=1e-12)
        assert strategy["labels"] == sum(p["queried"] for p in predictions)
        asked = [
            json.loads(q) for q in (directory / strategy["name"] / "queries.jsonl").read_text().splitlines()
        ]
        assert [q["event_id"] for q in asked] == [p["event_id"] for p in predictions if p["queried"]]


@pytest.mark.slow
def test_the_table_says_what_the_stores_say(finished, result):
    _, directory = finished
    for strategy in result["strategies"]:
        connection = sqlite3.connect(directory / strategy["name"] / "pipeline.db")
        (events,) = connection.execute("SELECT count(*) FROM predictions").fetchone()
        (examples,) = connection.execute("SELECT count(*) FROM examples").fetchone()
        (still_open,) = connection.execute("SELECT count(*) FROM queries WHERE status = 'open'").fetchone()
        connection.close()
        assert (events, examples, still_open) == (2310, strategy["answered"], 0)
        assert strategy["answered"] == strategy["labels"]


@pytest.mark.slow
def test_the_comparison_is_fair(result):
    margin, at_random, everything = (strategy["labels"] for strategy in result["strategies"])
    assert at_random == 231
    assert abs(margin - at_random) <= 21
    assert everything == 2310


@pytest.mark.slow
def test_answers_came_late_and_out_of_order(finished):
    _, directory = finished
    connection = sqlite3.connect(directory / "margin" / "pipeline.db")
    answered = connection.execute("SELECT event_id, at_event FROM labels ORDER BY number").fetchall()
    connection.close()
    asked = [int(event_id.split(":")[1]) for event_id, _ in answered]
    late = [at - number for number, (_, at) in zip(asked, answered, strict=True) if at < 2310]
    assert min(late) >= 50
    assert max(late) <= 150
    assert asked != sorted(asked)


@pytest.mark.slow
def test_the_pictures_and_the_page_are_there(finished, result):
    _, directory = finished
    files = {name: Path(path) for name, path in result["files"].items()}
    assert files == {"plot": directory / "learning-curves.png", "html": directory / "report.html"}
    assert files["plot"].read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert result["summary"] in files["html"].read_text()


@pytest.mark.slow
def test_progress_goes_to_standard_error_as_plain_lines(finished):
    run, _ = finished
    assert "asked by margin: " in run.stderr
    assert " open, " in run.stderr
    assert "\x1b" not in run.stderr


@pytest.mark.slow
def test_a_store_of_the_demo_verifies(finished):
    _, directory = finished
    command = [*MAIN, "verify", str(directory / "margin" / "pipeline.db")]
    verified = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert verified.returncode == 0, verified.stdout
    assert verified.stdout.startswith("0 differences in 2,310 predictions")


@pytest.mark.slow
def test_a_former_demo_is_overwritten_with_the_same_bytes_and_nothing_else_is_touched(finished, tmp_path):
    run, directory = finished
    copy = tmp_path / "copy"
    shutil.copytree(directory, copy)
    (copy / "margin" / "notes.txt").write_text("mine")
    again = demo(copy, "--quiet")
    assert again.stderr == ""
    assert json.loads(again.stdout) | {"files": ...} == json.loads(run.stdout) | {"files": ...}
    for name in ("margin/predictions.jsonl", "all/queries.jsonl", "report.html", "learning-curves.png"):
        assert (copy / name).read_bytes() == (directory / name).read_bytes()
    assert (copy / "margin" / "notes.txt").read_text() == "mine"


def test_a_directory_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    assert "holds files that no demo wrote" in refused("--dir", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    assert "is a file" in refused("--dir", tmp_path / "thesis.tex")


def test_two_demos_do_not_share_a_directory(tmp_path):
    with (tmp_path / ".stream-al-demo").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another demo is running in it" in refused("--dir", tmp_path)


def test_nothing_to_ask_is_refused(tmp_path):
    assert "nothing could be asked" in refused("--dir", tmp_path / "new", "--budget", "0")
    assert not (tmp_path / "new").exists()
