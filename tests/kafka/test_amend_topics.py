"""Corrections on topics: records of the log of examples, which every replica folds to the same model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pipelines import Pipeline, Progress, rows, running, until
from test_matching import Inside, letters
from typer.testing import CliRunner

from connectors.kafka.amending import TopicAmending
from connectors.kafka.fold import read_logged
from connectors.kafka.recording import read_recording
from connectors.kafka.verify import verify
from connectors.kafka.wire import partition_of
from stream_al.amendments import ListedLog
from stream_al.build import build_learner
from stream_al.cli.app import app
from stream_al.errors import RecordError
from stream_al.log_codec import relabelled
from stream_al.records import Amendment
from stream_al.replay.rerun import reproduce


def send(pipeline: Pipeline, amendment: Amendment, partition: int | None = None) -> None:
    key = amendment.event_id.encode()
    pipeline.producer.send(pipeline.topic("labels"), amendment.to_json(), key, partition=partition)
    pipeline.producer.flush()


def log_of(pipeline: Pipeline) -> list[Any]:
    return [read_logged(record) for record in pipeline.read("examples")]


def learned(pipeline: Pipeline, inside: Inside, count: int) -> None:
    """Let so many events be asked about, answered with the truth, and learned."""
    pipeline.feed(rows(count))
    inside.until(lambda: inside.worker.open == count, "all queries are open")
    for event_id, truth in pipeline.truth.items():
        pipeline.answer(event_id, truth)
    pipeline.producer.flush()
    inside.until(lambda: inside.worker.model.version == count, "they are learned")


def other(label: str) -> str:
    return "in" if label == "out" else "out"


def test_every_kind_of_correction_gives_the_digest_of_the_amended_log_in_every_replica(
    make: Callable[..., Pipeline],
) -> None:
    pipeline = make()
    with Inside(pipeline) as inside:
        learned(pipeline, inside, 40)
        truth = pipeline.truth
        pipeline.answer("e3", other(truth["e3"]))  # its annotator says otherwise
        pipeline.answer("e4", other(truth["e4"]), partition=1 - partition_of("e4", 2))
        pipeline.producer.flush()
        send(pipeline, Amendment(event_id="e5", label=other(truth["e5"]), why="looked at again", by="eve"))
        wrong = 1 - partition_of("e6", 2)
        send(pipeline, Amendment(event_id="e6", why="on request"), wrong)
        value = {"event_id": "e7", "abstain": "skip", "annotator": "ann"}
        pipeline.producer.send(pipeline.topic("labels"), json.dumps(value).encode(), b"e7")
        pipeline.producer.flush()
        inside.until(lambda: inside.worker.model.version == 45, "all are amended")
        for event in rows(50)[40:]:
            pipeline.feed([event])
        inside.until(lambda: inside.worker.progress.events == 50, "events after it are answered")
        inside.worker.settle()
        digest = inside.worker.model.digest()
    amendments = {r.event_id: r for r in log_of(pipeline) if isinstance(r, Amendment)}
    assert {name: amendment.label for name, amendment in amendments.items()} == {
        "e3": other(truth["e3"]),
        "e4": other(truth["e4"]),
        "e5": other(truth["e5"]),
        "e6": None,
        "e7": None,
    }
    sound = build_learner(pipeline.config).model
    for record in log_of(pipeline):
        example = None
        if record is not None and not isinstance(record, Amendment):
            amended = amendments.get(record.event_id)
            example = relabelled(record, record.label if amended is None else amended.label)
        sound.fold(example, ListedLog())
    assert digest == sound.digest()
    with Inside(pipeline) as replica:
        assert replica.worker.model.digest() == digest
    verdict = verify(pipeline.config)
    assert verdict.differences == []
    assert verdict.digest == digest
    assert reproduce(read_recording(pipeline.config)).differences == []
    assert letters(pipeline) == {}


def test_who_did_not_agree_is_still_known_to_the_next_worker(make: Callable[..., Pipeline]) -> None:
    pipeline = make(quorum=2)
    pipeline.feed(rows(1))
    with Inside(pipeline) as inside:
        inside.until(lambda: inside.worker.open == 1, "the query is open")
        for name, label in (("ann", "in"), ("bob", "out"), ("cyd", "in")):
            pipeline.answer("e0", label, annotator=name)
            pipeline.producer.flush()
        inside.until(lambda: inside.worker.model.version == 1, "it is learned")
    with Inside(pipeline) as inside:
        pipeline.answer("e0", "out", annotator="ann")
        pipeline.producer.flush()
        inside.until(lambda: inside.worker.model.version == 2, "it is amended")
    with Inside(pipeline) as inside:
        pipeline.answer("e0", "in", annotator="bob")
        pipeline.producer.flush()
        inside.until(lambda: inside.worker.model.version == 3, "it is amended again")
    assert [record.label for record in log_of(pipeline)] == ["in", "out", "in"]
    assert verify(pipeline.config).differences == []


def test_the_command_says_what_it_does_and_refuses_what_would_do_nothing(
    make: Callable[..., Pipeline],
) -> None:
    pipeline = make()
    run = CliRunner().invoke
    with Inside(pipeline) as inside:
        learned(pipeline, inside, 3)
        right = other(pipeline.truth["e1"])
        amended = run(app, ["amend", str(pipeline.path), "e1", "--label", right, "--why", "misread"])
        assert amended.output == (
            f"Sent: example {amended.output.split()[2]} is '{right}' now once the workers have read it from the "
            "topic of labels.\n"
        )
        inside.until(lambda: inside.worker.model.version == 4, "it is amended")
        same = run(app, ["amend", str(pipeline.path), "e1", "--label", right, "--why", "again"])
        assert isinstance(same.exception, RecordError)
        assert same.exception.reason == "same-label"
        assert run(app, ["erase", str(pipeline.path), "e2", "--why", "on request"]).exit_code == 0
        inside.until(lambda: inside.worker.model.version == 5, "it is erased")
        with pytest.raises(RecordError, match="already-erased"):
            TopicAmending(pipeline.config).amend(Amendment(event_id="e2", why="again"))
        with pytest.raises(RecordError, match="unknown-event"):
            TopicAmending(pipeline.config).amend(Amendment(event_id="nobody", why="?"))
        # Whoever sends one all the same gets a dead letter.
        send(pipeline, Amendment(event_id="nobody", why="?"))
        inside.until(lambda: inside.worker.model.version == 6, "it is in the log")
        inside.until(lambda: "refused" in letters(pipeline).values(), "it has a dead letter")
        inside.worker.settle()
    assert verify(pipeline.config).differences == []


@pytest.mark.slow
def test_workers_killed_between_corrections_hold_one_model(kafka: str, topics: str, tmp_path: Path) -> None:
    events = 6_000
    pipeline = Pipeline(kafka, topics, tmp_path, partitions=3, budget=0.1)
    progress = Progress(pipeline)
    with running(pipeline) as oracle:
        for name in ("a", "b"):
            pipeline.start(name)
        for number in range(6):
            pipeline.feed(rows(events)[number * 1000 : (number + 1) * 1000])
            goal = number * 1000 + 700
            until(lambda goal=goal: progress() >= goal, f"{goal} events are answered")  # type: ignore[misc]
            for event_id in sorted(oracle.asked)[number::50]:
                pipeline.answer(event_id, other(pipeline.truth[event_id]))
            for event_id in sorted(oracle.asked)[number::90]:
                send(pipeline, Amendment(event_id=event_id, why="on request"))
            pipeline.kill("ab"[number % 2])
            pipeline.start("ab"[number % 2])
        until(lambda: progress() >= events, "all events are answered")
        pipeline.finish(2)
        found = pipeline.check()
        progress.close()
    kinds = [type(record) for record in log_of(pipeline)]
    assert kinds.count(Amendment) > 30
    assert found["predictions"] == events
