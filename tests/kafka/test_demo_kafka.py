"""`stream-al demo --kafka` as everybody runs it: a process, against a real broker, with two worker processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from broker import free_ports
from pipelines import until
from rich.console import Console
from river import datasets

from connectors.kafka import client
from connectors.kafka.wire import FORWARDED, header, partitions
from stream_al.cli.demo_board import Board
from stream_al.config import load_config

ROOT = Path(__file__).parents[2]
IDS = [f"ImageSegments:{number + 1}" for number in range(2310)]
TRUTHS = dict(zip(IDS, (label for _, label in datasets.ImageSegments()), strict=True))
PATIENCE = 240.0


def command(bootstrap: str, folder: Path, *options: str) -> list[str]:
    demo = [sys.executable, "-m", "stream_al", "demo", "--kafka", bootstrap, "--dir", str(folder)]
    return [*demo, *options]


ENVIRONMENT = os.environ | {"NO_COLOR": "1", "COLUMNS": "100"}


class Finished(NamedTuple):
    folder: Path
    run: subprocess.CompletedProcess[str]
    topics: dict[str, list[Any]]

    def number(self, name: str) -> str:
        """What the table says beside a name."""
        (found,) = re.findall(rf"^ {name} {{2,}}(\S+)", self.run.stdout, re.MULTILINE)
        return str(found).replace(",", "")


def read_all(path: Path) -> dict[str, list[Any]]:
    """All committed records of the demo's topics."""
    kafka = load_config(path).kafka
    assert kafka is not None
    found: dict[str, list[Any]] = {}
    with client.consumer(kafka) as consumer:
        for kind in ("events", "predictions", "queries", "labels", "examples", "dead_letters"):
            topic = kafka.topics.name(kind)
            share = partitions(topic, consumer.partitions_for_topic(topic) or ())
            consumer.assign(share)
            consumer.seek_to_beginning(*share)
            ends, found[kind] = consumer.end_offsets(share), []
            while any((consumer.position(partition) or 0) < end for partition, end in ends.items()):
                for records in consumer.poll(500, 10_000).values():
                    found[kind] += records
    return found


@pytest.fixture(scope="module")
def finished(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("demo") / "demo"
    run = subprocess.run(
        command(kafka, folder), cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return Finished(folder, run, read_all(folder / "kafka" / "pipeline.toml"))


@pytest.mark.slow
def test_the_table_says_what_the_topics_say(finished: Finished) -> None:
    topics = finished.topics
    predictions = [json.loads(record.value) for record in topics["predictions"]]
    assert sorted(p["event_id"] for p in predictions) == sorted(IDS)
    right = sum(p["label"] == TRUTHS[p["event_id"]] for p in predictions)
    asked = {p["event_id"] for p in predictions if p["queried"]}
    written = [record for record in topics["labels"] if header(record, FORWARDED) is None]
    assert finished.number("events") == str(len(topics["events"])) == "2310"
    assert finished.number("predictions") == "2310"
    assert finished.number("asked") == str(len(asked))
    assert finished.number("labels") == str(len(written))
    assert finished.number("examples") == str(len(topics["examples"])) == str(len(asked))
    assert finished.number("dead letters") == str(len(topics["dead_letters"]))
    assert finished.number("accuracy") == f"{right / 2310:.1%}"
    assert f"{len(topics['labels']) - len(written)} in a wrong partition" in finished.run.stdout
    assert f"{asked_share(asked):.1%} of the events" in finished.run.stdout


def asked_share(asked: set[str]) -> float:
    return len(asked) / len(IDS)


@pytest.mark.slow
def test_it_was_worth_its_labels(finished: Finished) -> None:
    assert 180 <= int(finished.number("asked")) <= 260
    assert float(finished.number("accuracy").rstrip("%")) > 70.0


@pytest.mark.slow
def test_no_event_gives_its_class_away(finished: Finished) -> None:
    for record in finished.topics["events"]:
        assert json.loads(record.value).keys() == {"id", "features"}


@pytest.mark.slow
def test_answers_are_late_out_of_order_and_said_to_be_simulated(finished: Finished) -> None:
    written = [record for record in finished.topics["labels"] if header(record, FORWARDED) is None]
    assert {json.loads(record.value)["annotator"] for record in written} == {"simulated"}
    in_time = sorted(written, key=lambda record: record.timestamp)
    numbers = [IDS.index(json.loads(record.value)["event_id"]) for record in in_time]
    assert numbers != sorted(numbers)
    answered_at = {json.loads(r.value)["event_id"]: r.timestamp for r in reversed(in_time)}
    asked_at = {r.key.decode(): r.timestamp for r in finished.topics["queries"] if r.value is not None}
    assert all(answered_at[event_id] >= asked_at[event_id] for event_id in asked_at)
    assert "50 to 150 events later, out of order; the person who answers is simulated" in finished.run.stdout
    assert "simulated" in finished.run.stderr


@pytest.mark.slow
def test_each_label_is_learned_once_or_has_a_dead_letter(finished: Finished) -> None:
    given = Counter(
        json.loads(record.value)["event_id"]
        for record in finished.topics["labels"]
        if header(record, FORWARDED) is None
    )
    learned = Counter(record.key.decode() for record in finished.topics["examples"])
    buried = Counter(json.loads(record.value)["event_id"] for record in finished.topics["dead_letters"])
    assert set(learned.values()) == {1}
    assert learned + buried == given
    assert {json.loads(record.value)["reason"] for record in finished.topics["dead_letters"]} <= {"duplicate"}


@pytest.mark.slow
def test_both_workers_end_with_the_model_of_the_log(finished: Finished) -> None:
    assert "of both workers, and of the log folded" in finished.run.stdout
    assert re.search(r"verify +0 differences", finished.run.stdout)
    verify = [sys.executable, "-m", "stream_al", "verify", str(finished.folder / "kafka" / "pipeline.toml")]
    again = subprocess.run(
        verify, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE
    )
    assert again.stdout.startswith("0 differences in 2,310 predictions")
    assert f"digest {finished.number('digest')}" in again.stdout


@pytest.mark.slow
def test_progress_is_plain_lines_and_the_commands_to_look_are_named(finished: Finished) -> None:
    assert "\x1b" not in finished.run.stderr
    assert len(re.findall(r"events, .* answered, .* accuracy so far", finished.run.stderr)) == 4
    assert re.search(r"kcat -b \S+ .*read_committed -t stream-al-demo-\w+-predictions", finished.run.stdout)


# ── when something goes wrong ────────────────────────────────────────────────────────────────────


def processes_with(text: str) -> list[int]:
    """The processes, other than this one, that have a text in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue  # it has just ended
            if text.encode() in line:
                found.append(int(entry.name))
    return found


@contextmanager
def under_way(bootstrap: str, folder: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A demo in the middle of it, and its workers."""
    with subprocess.Popen(
        command(bootstrap, folder, "--json"),
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as demo:
        try:
            assert demo.stderr is not None
            seen = ""
            while "answered" not in seen:
                line = demo.stderr.readline()
                assert line, seen
                seen += line
            workers = processes_with(f"{folder}/kafka/pipeline.toml")
            assert len(workers) == 2
            yield demo, workers
        finally:
            demo.terminate()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_leaves_no_worker_behind(
    kafka: str, tmp_path: Path, number: signal.Signals
) -> None:
    with under_way(kafka, tmp_path / "demo") as (demo, _):
        demo.send_signal(number)
        out, _ = demo.communicate(timeout=PATIENCE)
        assert demo.returncode == 128 + number
        assert out == ""
        assert processes_with(str(tmp_path)) == []


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks for processes in /proc")
def test_a_worker_that_dies_is_named_with_how_it_died(kafka: str, tmp_path: Path) -> None:
    with under_way(kafka, tmp_path / "demo") as (demo, workers):
        os.kill(workers[0], signal.SIGKILL)
        _, told = demo.communicate(timeout=PATIENCE)
        assert demo.returncode == 3
        assert re.search(r"error: worker-[12] ended by signal SIGKILL; .*worker-[12]\.log", told)
        until(lambda: processes_with(str(tmp_path)) == [], "the other has ended", 5)


@pytest.mark.slow
def test_where_no_broker_answers_it_says_so(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    run = subprocess.run(
        command(f"127.0.0.1:{port}", tmp_path / "demo"),
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert run.returncode == 4
    assert f"no Kafka broker answers at 127.0.0.1:{port}" in run.stderr
    assert processes_with(str(tmp_path)) == []


@pytest.mark.slow
def test_it_runs_on_a_fresh_broker_that_is_started_for_it(can_start: None, tmp_path: Path) -> None:
    """What `make demo-kafka` does."""
    script = Path(__file__).with_name("with_broker.py")
    words = [
        sys.executable,
        str(script),
        "--keep",
        *command("{bootstrap}", tmp_path / "demo", "--json", "--quiet"),
    ]
    run = subprocess.run(
        words,
        cwd=ROOT,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (run.returncode, run.stderr) == (0, "")
    found = json.loads(run.stdout)
    assert (found["predictions"], found["differences"], found["digests_equal"]) == (2310, 0, True)
    assert sum(found["predictions_by_worker"].values()) == 2310
    assert min(found["predictions_by_worker"].values()) > 500
    assert processes_with(str(tmp_path)) == []


@pytest.mark.slow
def test_a_command_beside_a_broker_keeps_its_exit_code(can_start: None) -> None:
    script = Path(__file__).with_name("with_broker.py")
    words = [sys.executable, str(script), "sh", "-c", "echo {bootstrap}; exit 7"]
    run = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
    assert run.returncode == 7
    assert re.fullmatch(r"127\.0\.0\.1:\d+\n", run.stdout)


@pytest.mark.parametrize("width", [60, 80, 160])
def test_on_a_terminal_it_is_a_live_table(width: int) -> None:
    file = StringIO()
    console = Console(file=file, force_terminal=True, width=width, color_system=None)
    standing = {"events": "1,200", "answered": "1,190", "open": "14", "accuracy so far": "71.2%"}
    with Board(console, "a heading", 2310) as board:
        board.say("waiting for the workers")
        board.update(1190, standing)
        board._live.refresh()
    shown = file.getvalue()
    for text in ("a heading", "stream-al demo on Kafka", *standing.values(), "answered"):
        assert text in shown


def test_quiet_is_quiet() -> None:
    file = StringIO()
    with Board(Console(file=file, force_terminal=True), "a heading", 10, quiet=True) as board:
        board.say("waiting")
        board.update(10, {"events": "10"})
    assert file.getvalue() == ""
