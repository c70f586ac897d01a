"""`stream-al oracle`: a simulated human for trying a pipeline out."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pipelines import Pipeline, rows, until
from streams import write_jsonl


@pytest.mark.slow
def test_it_answers_what_is_asked_until_it_is_stopped(kafka: str, topics: str, tmp_path: Path) -> None:
    pipeline = Pipeline(kafka, topics, tmp_path, partitions=2, budget=0.3)
    events = rows(200)
    write_jsonl(tmp_path / "truth.jsonl", events)
    command = [sys.executable, "-W", "ignore", "-m", "stream_al", "oracle", str(pipeline.path)]
    command += ["--truth", str(tmp_path / "truth.jsonl"), "--delay", "3", "--jitter", "9"]
    oracle = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        pipeline.start("worker")
        pipeline.feed(events)
        until(lambda: len(pipeline.read("predictions")) == 200, "the events are answered")
        asked = {bytes(record.key) for record in pipeline.read("queries") if record.value is not None}
        until(lambda: len(pipeline.read("examples")) == len(asked), "the queries are answered")
        oracle.send_signal(signal.SIGTERM)
        _, told = oracle.communicate(timeout=30)
        assert oracle.returncode == 0
        assert "knows 200 events" in told
        assert f"{len(asked)} answers" in told
        pipeline.stop("worker")
        pipeline.check()
    finally:
        oracle.kill()
        pipeline.close()
