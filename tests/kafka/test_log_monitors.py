"""Calibration and drift on a real broker: what the log decides is the same whoever works, and comes out again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from pipelines import Pipeline, Progress, rows, running, until
from typer.testing import CliRunner

from connectors.kafka.recording import read_recording
from stream_al.cli.app import app
from stream_al.ports import LabelledRow
from stream_al.replay.rerun import reproduce

pytestmark = pytest.mark.slow
EVENTS = 2400


def turned(row: LabelledRow) -> LabelledRow:
    return LabelledRow(row.features, row.id, truth="in" if row.truth == "out" else "out")


def told_of_drift(pipeline: Pipeline) -> bool:
    return any("drift: example " in pipeline.log(name) for name in ("w0", "w1", "w2", "w3"))


def work(pipeline: Pipeline, events: list[LabelledRow], after_alarm: Sequence[LabelledRow] = ()) -> None:
    """Let three workers answer, one after another killed, and people answer what they ask."""
    with running(pipeline, 7):
        progress = Progress(pipeline)
        share = len(events) // 4
        for number in range(4):
            pipeline.start(f"w{number}", static=False)
            pipeline.feed(events[number * share : (number + 1) * share])
            until(lambda number=number: progress() >= share * number + share // 2, "the workers get on")
            if number:
                pipeline.kill(f"w{number - 1}")
        until(lambda: progress() >= len(events), "all events are answered")
        if after_alarm:
            until(lambda: told_of_drift(pipeline), "a worker tells of an alarm")
            pipeline.feed([*after_alarm])
            until(lambda: progress() >= len(events) + len(after_alarm), "so are those after the alarm")
        progress.close()
        pipeline.finish(2)


def test_calibrated_thresholds_are_the_same_whoever_works(kafka: str, topics: str, tmp_path: Path) -> None:
    strategy = 'name = "least-confidence"\nthreshold = 0.9\nexplore = 0.1\ncalibrated = true'
    pipeline = Pipeline(kafka, topics, tmp_path, partitions=3, strategy=strategy, batch=50)
    work(pipeline, rows(EVENTS, 8))
    found = pipeline.check()
    assert found["predictions"] == EVENTS
    assert found["examples"] > 100
    recording = read_recording(pipeline.config)
    rescaled = [
        row for row in recording.predictions
        if row.model_version > 60 and abs(row.utility - (1.0 - row.confidence)) > 1e-9
    ]  # fmt: skip
    assert len(rescaled) > 200, "the strategy saw other confidences than the predictions show"
    assert reproduce(recording).differences == []


def test_an_alarm_reaches_every_partition_once_and_draws_on_the_reserve(
    kafka: str, topics: str, tmp_path: Path
) -> None:
    drift = (
        '[drift]\nwatch = ["surprise"]\ndetector = "PageHinkley"\n'
        'args = { threshold = 4.0, delta = 0.02, mode = "up" }\nreserve = 0.4\nshare = 0.5'
    )
    strategy = "budget = 0.3\nexplore = 0.1"
    pipeline = Pipeline(kafka, topics, tmp_path, partitions=3, strategy=strategy, rules=drift, batch=50)
    events = rows(EVENTS + 300, 8)
    before, after = events[: EVENTS // 2], [turned(row) for row in events[EVENTS // 2 :]]
    work(pipeline, [*before, *after[:-300]], after[-300:])
    found = pipeline.check()
    assert found["predictions"] == EVENTS + 300
    recording = read_recording(pipeline.config)
    reserved = {
        part
        for row, part in zip(recording.predictions, recording.parts, strict=True)
        if row.reason == "drift"
    }
    assert reserved == {0, 1, 2}
    assert reproduce(recording).differences == []
    status = CliRunner().invoke(app, ["status", str(pipeline.path), "--json"])
    assert status.exit_code == 0, status.output
    told = json.loads(status.stdout)["drift"]
    assert told["alarms"] == told["by"]["surprise"] > 0
    assert told["recent"][-1]["text"].startswith("example ")
    assert told_of_drift(pipeline)
