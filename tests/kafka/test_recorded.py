"""What topics recorded, run again: the decisions of real workers come out one for one. And a topic as a replay's input."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from kafka.errors import KafkaError
from pipelines import Pipeline, rows, running, until
from typer.testing import CliRunner

from connectors.kafka import client
from connectors.kafka.events import TopicEvents
from connectors.kafka.recording import read_recording
from stream_al.build import build_learner
from stream_al.checks import check_event_source
from stream_al.cli.app import app
from stream_al.codec import PredictionRow
from stream_al.columns import Columns
from stream_al.config import KafkaConfig
from stream_al.errors import ConfigError, SourceError
from stream_al.ports import LabelledRow
from stream_al.recording import Recording
from stream_al.records import DeadLetter
from stream_al.replay import LabelledStream, parse_strategy
from stream_al.replay.counterfactual import Evidence
from stream_al.replay.rerun import reproduce, run_otherwise
from stream_al.strategies import ColdStart

pytestmark = pytest.mark.slow
EVENTS = 3000


@pytest.fixture(scope="module")
def pipeline(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A pipeline of two partitions and two workers that came to its end; some answers were late, double or astray."""
    folder = tmp_path_factory.mktemp("recorded")
    pipeline = Pipeline(
        kafka, f"recorded-{uuid.uuid4().hex[:12]}-", folder, partitions=2, budget=0.2, batch=50
    )
    with running(pipeline) as oracle:
        pipeline.start("a", static=False)
        pipeline.start("b", static=False)
        with client.admin(pipeline.kafka) as admin:
            until(lambda: shared(admin, pipeline.kafka.group), "both workers have a partition")
        for start in range(0, EVENTS, 300):
            pipeline.feed(rows(EVENTS, 5)[start : start + 300])
            until(lambda start=start: len(pipeline.read("predictions")) >= start + 200, "they are answered")
        until(lambda: len(pipeline.read("predictions")) == EVENTS, "all are answered")
        pipeline.finish(2)
        assert oracle.sent > len(oracle.asked) > 200
        yield pipeline


def shared(admin: Any, group: str) -> bool:
    """Tell whether two members of a group have a share each."""
    try:
        found = admin.describe_groups([group])
    except KafkaError:  # its coordinator is not there yet
        return False
    described = found[group] if isinstance(found, dict) else found[0]
    members = described["members"] if isinstance(described, dict) else described.members
    state = described["group_state"] if isinstance(described, dict) else described.state
    return state == "Stable" and len(members) == 2


@pytest.fixture(scope="module")
def recording(pipeline: Pipeline) -> Recording:
    return read_recording(pipeline.config, "pipeline.toml")


def test_the_recorded_decisions_come_out_one_for_one(pipeline: Pipeline, recording: Recording) -> None:
    assert not pipeline.check(summaries=False)["verdict"].differences
    assert len(recording.predictions) == EVENTS
    assert set(recording.parts) == {0, 1}
    verdict = reproduce(recording)
    assert verdict.differences == []
    assert verdict.examples > 200
    assert verdict.digest == pipeline.check(summaries=False)["verdict"].digest


def test_the_order_is_total_each_partitions_own_and_that_of_the_models(
    pipeline: Pipeline, recording: Recording
) -> None:
    versions = [row.model_version for row in recording.predictions]
    assert versions == sorted(versions)
    assert len(set(versions)) > 20
    for partition in (0, 1):
        sent = [json.loads(r.value)["id"] for r in pipeline.read("events") if r.partition == partition]
        assert [
            row.id for row, part in zip(recording.events, recording.parts, strict=True) if part == partition
        ] == sent


def test_labels_have_their_outcomes_and_those_learned_their_time(recording: Recording) -> None:
    outcomes = {label.outcome for label in recording.labels}
    assert outcomes == {"example", "duplicate"}
    used = [label for label in recording.labels if label.outcome == "example"]
    assert len(used) == len(recording.examples)
    for label in used:
        assert label.at_event is not None
        number = [e.event_id for e in recording.examples if e is not None].index(str(label.event_id))
        before = [row.model_version for row in recording.predictions[: label.at_event]]
        assert max(before, default=0) <= number
        assert recording.version_at(label.at_event) > number


def test_another_decision_is_found(recording: Recording) -> None:
    changed: list[PredictionRow] = list(recording.predictions)
    row = changed[-5]
    fields = {name: getattr(row, name) for name in row.__struct_fields__}
    changed[-5] = PredictionRow(**{**fields, "propensity": 0.123})
    other = Recording(**{**vars_of(recording), "predictions": changed})
    (found,) = reproduce(other).differences
    assert row.event_id in found
    assert "propensity was 0.123" in found


def vars_of(recording: Recording) -> dict[str, Any]:
    return {name: getattr(recording, name) for name in Recording.__dataclass_fields__}


def test_its_agreed_labels_are_the_truth(pipeline: Pipeline, recording: Recording) -> None:
    stream = LabelledStream.of(recording)
    named = {
        row.id: row.truth for row in stream.rows if isinstance(row, LabelledRow) and row.truth is not None
    }
    assert len(named) == len(recording.examples)
    assert all(pipeline.truth[str(name)] == truth for name, truth in named.items())


def test_counterfactuals_of_topics(pipeline: Pipeline, recording: Recording) -> None:
    strategy = build_learner(pipeline.config).strategy
    again = run_otherwise(recording, strategy)
    assert again.undetermined is None
    evidence = Evidence(recording)
    assert evidence.unlike == []
    own = evidence.as_it_was()
    wrong = [row.label != pipeline.truth[row.event_id] for row in recording.predictions]
    asked = [w for w, row in zip(wrong, recording.predictions, strict=True) if row.queried]
    assert (own.questions, own.wrong.kind, own.wrong.value) == (
        len(asked), "exact", pytest.approx(sum(asked) / len(asked)),
    )  # fmt: skip
    other = evidence.of(parse_strategy("margin<0.1"))
    assert isinstance(strategy, ColdStart)
    known = [row for row in recording.predictions if row.model_version >= strategy.examples]
    assert other.questions >= sum(row.margin < 0.1 for row in known)


def test_how_accurate_the_workers_are_is_estimated_from_the_topics(
    pipeline: Pipeline, recording: Recording
) -> None:
    right = sum(row.label == pipeline.truth[row.event_id] for row in recording.predictions) / EVENTS
    found = recording.accuracy().report(EVENTS).whole
    assert found.low < right < found.high  # whether there is a number, too, depends on who was overdrawn when
    assert (found.events, found.labels) == (EVENTS, len(recording.examples))
    done = CliRunner().invoke(app, ["status", str(pipeline.path), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["accuracy"]["whole"] == json.loads(json.dumps(found._asdict()))
    assert (told["events"], told["examples"], told["open"]) == (EVENTS, len(recording.examples), 0)
    assert told["asked"] == sum(row.queried for row in recording.predictions)
    assert told["labels"] == told["labels_by_outcome"]["example"] + told["labels_by_outcome"]["duplicate"]
    assert told["dead_letters_by_reason"] == {"duplicate": told["labels_by_outcome"]["duplicate"]}
    shown = CliRunner().invoke(app, ["status", str(pipeline.path)])
    assert ("accuracy, estimated" in shown.output) == (found.accuracy is not None)
    refused = CliRunner().invoke(app, ["status", str(pipeline.path), "--digest"])
    assert isinstance(refused.exception, ConfigError)


def test_the_command_takes_the_configuration(pipeline: Pipeline) -> None:
    done = CliRunner().invoke(
        app, ["counterfactual", str(pipeline.path), "--strategy", "margin<0.1", "--json"]
    )
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["events"] == EVENTS
    assert found["differs_from_its_record"] == []
    assert found["strategies"][0]["questions"]["kind"] == "exact"


# ── a topic as an input ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def table(pipeline: Pipeline) -> str:
    """A topic of two partitions, whose timestamps go back and forth, with labels beside and among the features."""
    name = f"{pipeline.kafka.topics.prefix}table"
    from kafka.admin import NewTopic

    with client.admin(pipeline.kafka) as admin:
        admin.create_topics(
            [NewTopic(name, num_partitions=2, replication_factor=1, topic_configs={"retention.ms": "-1"})]
        )
    until(lambda: bool(pipeline.producer.partitions_for(name)), "the topic is there")
    for number in range(40):
        content: dict[str, Any] = {"id": f"e{number}", "features": {"x": number, "y": number % 3}}
        content["features" if number % 2 else "label"] = (
            {**content["features"], "label": number % 2} if number % 2 else str(number % 2)
        )
        time = 1_700_000_000_000 + 1000 * ((number * 7) % 40)
        pipeline.producer.send(name, json.dumps(content).encode(), partition=number % 2, timestamp_ms=time)
    pipeline.producer.send(name, b"{not json", partition=0, timestamp_ms=1_700_000_100_000)
    pipeline.producer.send(name, b'{"features": {"x": 1}}', b"k", partition=1, timestamp_ms=1_700_000_100_000)
    pipeline.producer.flush()
    return name


def test_a_topic_keeps_the_promises_of_a_source_in_the_order_of_its_times(
    pipeline: Pipeline, table: str
) -> None:
    found = check_event_source(lambda: TopicEvents(pipeline.kafka, f"kafka:{table}", Columns(label="label")))
    order = sorted(range(40), key=lambda number: (number * 7) % 40)
    assert [row.id for row in found[:40]] == [f"e{number}" for number in order]  # type: ignore[union-attr]
    assert [row.truth for row in found[:40]] == [str(number % 2) for number in order]  # type: ignore[union-attr]
    assert all("label" not in row.features for row in found if isinstance(row, LabelledRow))
    letter, last = found[40:]
    assert isinstance(letter, DeadLetter)
    assert (letter.position, letter.reason) == (f"{table}:0:20", "malformed-json")
    assert isinstance(last, LabelledRow)
    assert (last.id, last.key, last.truth) == (f"{table}:1:20", "k", None)
    assert str(last.timestamp) == "2023-11-14 22:15:00+00:00"


def test_a_range_of_offsets_is_of_each_partition(pipeline: Pipeline, table: str) -> None:
    def ids(source: str) -> set[object]:
        opened = TopicEvents(pipeline.kafka, source)
        found = opened.read(1000, 0.0)
        assert opened.exhausted
        return {row.id for row in found if not isinstance(row, DeadLetter)}

    assert ids(f"kafka:{table}@0-2") == {"e0", "e1", "e2", "e3"}
    assert ids(f"kafka:{table}@18-20") == {"e36", "e37", "e38", "e39"}
    assert ids(f"kafka:{table}@19-") == {"e38", "e39", f"{table}:1:20"}
    assert ids(f"kafka:{table}@-1") == {"e0", "e1"}
    assert ids(f"kafka:{table}@500-") == set()


def test_it_ends_where_the_topic_ended_when_it_was_first_read(pipeline: Pipeline, table: str) -> None:
    name = f"{table}@0-"
    source = TopicEvents(pipeline.kafka, f"kafka:{name}")
    source.read(3, 0.0)
    position = json.loads(json.dumps(source.position))
    rest = source.read(1000, 0.0)
    pipeline.producer.send(table, b'{"id": "new", "features": {"x": 0}}', partition=0, timestamp_ms=1).get(30)
    later = TopicEvents(pipeline.kafka, f"kafka:{name}")
    later.seek(position)
    assert later.read(1000, 0.0) == rest
    assert TopicEvents(pipeline.kafka, f"kafka:{name}").read(1, 0.0)[0].id == "new"  # type: ignore[union-attr]


def test_a_topic_can_be_replayed(pipeline: Pipeline, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_AL_KAFKA__BOOTSTRAP", pipeline.kafka.bootstrap)
    command = [
        "replay",
        f"kafka:{table}@0-20",
        "--label-column",
        "label",
        "--cold-start",
        "4",
        "--json",
        "--quiet",
    ]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["events"] == 40


def test_what_is_no_topic_says_so(pipeline: Pipeline) -> None:
    with pytest.raises(ConfigError, match=r"write kafka:TOPIC, or kafka:TOPIC@FROM-TO"):
        TopicEvents(pipeline.kafka, "kafka:a@x-3")
    with pytest.raises(SourceError, match=r"topic 'none-such' does not exist"):
        TopicEvents(pipeline.kafka, "kafka:none-such").read(1, 0.0)
    queried = KafkaConfig(**{**pipeline.kafka.model_dump(exclude_none=True), "predictions": "queried"})
    with pytest.raises(ConfigError, match="only pipelines that publish all predictions"):
        read_recording(pipeline.config.model_copy(update={"kafka": queried}))
