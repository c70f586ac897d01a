"""SIGKILL of real processes at random times, on real files."""

from __future__ import annotations

import json
import multiprocessing
import random
import time
from collections import Counter
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
from streams import rows, write_jsonl

from connectors.sqlite import connect, progress_of, read_examples, verify
from stream_al.cli.assemble import assembled, learner_of
from stream_al.config import load_config
from stream_al.log_codec import ExampleRow

EVENTS = 12_000
PREDICTION_BYTES = 300
CONFIG = """
[events]
path = "events.jsonl"
label_column = "label"
[model]
steps = [{{ use = "river.preprocessing.StandardScaler" }}, {{ use = "river.linear_model.LogisticRegression" }}]
checkpoint_every = 150
[strategy]
budget = 0.1
[labels]
{labels}
[output]
predictions = "predictions.jsonl"
queries = "queries.jsonl"
dead_letters = "dead_letters.jsonl"
[run]
batch_size = 40
until = "answered"
"""


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Start processes that have imported everything already, so that they can be killed at work."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["stream_al.cli.assemble", "river.linear_model", "river.preprocessing"])
    return context


def work(config: Path) -> None:
    """What the process runs: `stream-al run` without its display."""
    settings = load_config(config)
    with assembled(settings, str(config)) as pipeline:
        pipeline.worker.run(settings.run.until)


def pipeline(folder: Path, labels: str) -> Path:
    folder.mkdir()
    write_jsonl(folder / "events.jsonl", rows(EVENTS, seed=3, twice=50))
    config = folder / "pipeline.toml"
    config.write_text(CONFIG.format(labels=labels))
    return config


def killed(processes: ForkServerContext, config: Path, kills: int, seed: int) -> int:
    """Run a pipeline to its end, killing it ``kills`` times on the way; return how often that succeeded."""
    rng = random.Random(seed)
    done = 0
    while True:
        process: ForkServerProcess = processes.Process(target=work, args=(config,))
        process.start()
        if done < kills:
            live_a_while(process, config.parent / "predictions.jsonl", rng, kills)
        else:
            process.join(120)
        if process.exitcode is None:
            process.kill()
            process.join()
            assert done < kills, "the last run did not end"
            done += 1
        else:
            assert process.exitcode == 0
            return done


def live_a_while(process: ForkServerProcess, predictions: Path, rng: random.Random, kills: int) -> None:
    """Wait for a random moment: soon after the start, or after a random share of the work, however fast it goes."""
    if rng.random() < 0.3:
        process.join(0.1 * rng.random())
        return

    def written() -> int:
        return predictions.stat().st_size if predictions.exists() else 0

    goal = written() + rng.random() * EVENTS * PREDICTION_BYTES / kills
    while written() < goal and process.exitcode is None:
        process.join(0.001)
    process.join(0.002 * rng.random())


def outputs(folder: Path) -> dict[str, bytes]:
    return {
        name: (folder / f"{name}.jsonl").read_bytes() for name in ("predictions", "queries", "dead_letters")
    }


def facts(folder: Path) -> dict[str, Any]:
    """Check what must hold after any history, and return what can be compared."""
    store = folder / "pipeline.db"
    connection = connect(store)
    try:
        answered = [
            json.loads(line)["event_id"] for line in (folder / "predictions.jsonl").read_text().splitlines()
        ]
        assert answered == [event.id for event in rows(EVENTS, seed=3, twice=50)]
        labels = connection.execute("SELECT number, event_id, outcome FROM labels ORDER BY number").fetchall()
        log = list(read_examples(connection, store))
        examples = [record for record in log if isinstance(record, ExampleRow)]
        learned = Counter(example.event_id for example in examples)
        assert max(learned.values()) == 1
        assert [number for number, _, _ in labels] == list(range(len(labels)))
        assert sum(outcome == "example" for _, _, outcome in labels) == len(examples)
        letters = [json.loads(line) for line in (folder / "dead_letters.jsonl").read_text().splitlines()]
        amended = sum(outcome == "amendment" for _, _, outcome in labels)
        assert amended == len(log) - len(examples)
        assert len(letters) == len(labels) - len(log)
        progress = progress_of(connection)
        assert progress is not None
    finally:
        connection.close()
    verdict = verify(store, lambda kept: learner_of(kept, store))
    assert verdict.differences == []
    return {"digest": verdict.digest, "examples": len(examples), "labels": len(labels), "amended": amended}


@pytest.mark.slow
def test_seventy_kills_leave_the_bytes_and_the_digest_of_an_undisturbed_run(
    processes: ForkServerContext, tmp_path: Path
) -> None:
    labels = 'source = "simulated"\ndelay = 150\njitter = 300'
    calm = pipeline(tmp_path / "calm", labels)
    assert killed(processes, calm, 0, seed=0) == 0
    wild = pipeline(tmp_path / "wild", labels)
    assert killed(processes, wild, 70, seed=1) == 70, (
        "the run was over before it had been killed often enough"
    )
    assert outputs(wild.parent) == outputs(calm.parent)
    assert facts(wild.parent) == facts(calm.parent)
    assert facts(wild.parent)["examples"] > 1000


def annotate(folder: Path) -> None:
    """Another process that answers at its own pace: late, out of order, some twice, otherwise or wrong in form."""
    rng = random.Random(5)
    truth = {event.id: event.truth for event in rows(EVENTS, seed=3, twice=50)}
    seen = 0
    held: list[str] = []
    with (folder / "labels.jsonl").open("a", buffering=1) as answers:
        while True:
            queries = folder / "queries.jsonl"
            lines = queries.read_bytes().splitlines(keepends=True) if queries.exists() else []
            fresh = [json.loads(line)["event_id"] for line in lines[seen:] if line.endswith(b"\n")]
            seen += len(fresh)
            held += fresh
            rng.shuffle(held)
            due, held = held[: len(held) // 2 + 1], held[len(held) // 2 + 1 :]
            for event_id in due:
                answer = json.dumps({"event_id": event_id, "label": truth[event_id], "annotator": "ann"})
                answers.write(answer + "\n")
                if rng.random() < 0.1:
                    answers.write(answer + "\n")
                if rng.random() < 0.05:
                    held.append(event_id)  # says it again, later
                    truth[event_id] = "in" if truth[event_id] == "out" else "out"
                if rng.random() < 0.02:
                    erasure = {"event_id": event_id, "amends": None, "label": None, "why": "on request"}
                    answers.write(json.dumps(erasure) + "\n")
                if rng.random() < 0.02:
                    answers.write(answer[:-4] + "\n")
            time.sleep(0.01)


@pytest.mark.slow
def test_forty_kills_beside_an_annotator_at_his_own_pace(
    processes: ForkServerContext, tmp_path: Path
) -> None:
    config = pipeline(tmp_path / "live", 'source = "file"\npath = "labels.jsonl"')
    annotator = processes.Process(target=annotate, args=(config.parent,))
    annotator.start()
    try:
        assert killed(processes, config, 40, seed=2) == 40
    finally:
        annotator.kill()
        annotator.join()
    found = facts(config.parent)
    assert found["examples"] > 1000
    assert found["labels"] > found["examples"]
    assert found["amended"] > 50
