"""The six topics on a real broker: made as they must be, and complained about when they are not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import ConfigResource
from typer.testing import CliRunner

from connectors.kafka import client
from connectors.kafka.topics import check, create, inspect
from stream_al import ConfigError
from stream_al.cli.app import app
from stream_al.config import Config, checked

pytestmark = pytest.mark.slow

DAY = 86_400_000
NAMES = ("events", "predictions", "queries", "labels", "examples", "dead-letters")


def pipeline(kafka: str, prefix: str, **topics: object) -> Config:
    return checked(
        {"kafka": {"bootstrap": kafka, "topics": {"prefix": prefix, "replication": 1} | topics}}, "x"
    )


@pytest.fixture
def admin(kafka: str) -> Iterator[KafkaAdminClient]:
    with closing(KafkaAdminClient(bootstrap_servers=kafka)) as made:
        yield made


def settings(admin: KafkaAdminClient, name: str) -> dict[str, str]:
    found = admin.describe_configs([ConfigResource("topic", name)], config_filter="all")
    return {key: each["value"] for key, each in found["topic"][name].items()}


def partitions(admin: KafkaAdminClient, prefix: str) -> dict[str, int]:
    found = admin.describe_topics([prefix + name for name in NAMES])
    return {t["name"].removeprefix(prefix): len(t["partitions"]) for t in found if not t["error_code"]}


def make(admin: KafkaAdminClient, name: str, count: int, **configs: object) -> None:
    told = {key.replace("_", "."): str(value) for key, value in configs.items()}
    admin.create_topics({name: {"num_partitions": count, "replication_factor": 1, "configs": told}})
    admin.wait_for_topics([name])


def test_what_is_made_is_what_must_be(kafka: str, topics: str, admin: KafkaAdminClient) -> None:
    config = pipeline(kafka, topics, partitions=3, query_partitions=2, retention="2d")
    done = create(config)
    assert len(done) == 6
    assert f"made {topics}examples with 1 partition" in done
    assert check(config) == []
    assert partitions(admin, topics) == {
        "events": 3, "predictions": 3, "queries": 2, "labels": 2, "examples": 1, "dead-letters": 1
    }  # fmt: skip
    queries = settings(admin, f"{topics}queries")
    assert queries["cleanup.policy"] == "compact"
    assert int(queries["delete.retention.ms"]) >= 7 * DAY
    for name in ("labels", "examples", "dead-letters"):
        found = settings(admin, topics + name)
        assert (found["cleanup.policy"], found["retention.ms"], found["retention.bytes"]) == (
            "delete",
            "-1",
            "-1",
        )
    for name in ("events", "predictions"):
        assert settings(admin, topics + name)["retention.ms"] == str(2 * DAY)
    for name in NAMES:
        assert settings(admin, topics + name)["message.timestamp.type"] == "CreateTime"


def test_making_them_again_changes_nothing(kafka: str, topics: str, admin: KafkaAdminClient) -> None:
    create(pipeline(kafka, topics, partitions=2, query_partitions=2))
    before = {name: settings(admin, topics + name) for name in NAMES}
    other = pipeline(kafka, topics, partitions=5, query_partitions=4, retention="1d")
    assert create(other) == []
    assert {name: settings(admin, topics + name) for name in NAMES} == before
    assert partitions(admin, topics)["events"] == 2
    assert check(other) == []


def test_only_what_is_missing_is_made(kafka: str, topics: str, admin: KafkaAdminClient) -> None:
    config = pipeline(kafka, topics)
    make(admin, f"{topics}events", 4)
    assert check(config) == [
        f"topic {topics}{name} is missing; `stream-al topics create` makes it" for name in NAMES[1:]
    ]
    assert len(create(config, partitions=3, query_partitions=2)) == 5
    assert partitions(admin, topics) == {
        "events": 4, "predictions": 3, "queries": 2, "labels": 2, "examples": 1, "dead-letters": 1
    }  # fmt: skip
    assert check(config) == []  # Kafka's defaults are good enough for events


def test_two_processes_can_make_them_at_once(kafka: str, topics: str) -> None:
    config = pipeline(kafka, topics, partitions=1, query_partitions=1)
    with ThreadPoolExecutor(4) as pool:
        done = [line for lines in pool.map(lambda _: create(config), range(4)) for line in lines]
    assert len(done) == len(set(done)) == 6
    assert check(config) == []


@pytest.mark.parametrize(
    ("which", "count", "configs", "said"),
    [
        ("events", 2, {"cleanup_policy": "compact"}, "has cleanup.policy=compact, but must have delete: "),
        ("events", 2, {"retention_ms": DAY}, f"has retention.ms={DAY}, but must have at least {7 * DAY}: "),
        (
            "events",
            2,
            {"max_message_bytes": 9999},
            "has max.message.bytes=9999, but must have at least 1004096: ",
        ),
        (
            "predictions",
            2,
            {"message_timestamp_type": "LogAppendTime"},
            "message.timestamp.type=LogAppendTime, ",
        ),
        ("queries", 6, {}, "has cleanup.policy=delete, but must have compact: "),
        ("queries", 6, {"cleanup_policy": "compact,delete"}, "has cleanup.policy=compact,delete, but must "),
        (
            "queries",
            6,
            {"cleanup_policy": "compact"},
            "has delete.retention.ms=86400000, but must have at least",
        ),
        ("queries", 6, {"cleanup_policy": "compact"}, "has min.compaction.lag.ms=0, but must have at least "),
        ("labels", 6, {}, "has retention.ms=604800000, but must have -1: people's work cannot be had again"),
        (
            "labels",
            6,
            {"retention_ms": -1, "retention_bytes": 10**9},
            "has retention.bytes=1000000000, but must",
        ),
        ("labels", 4, {"retention_ms": -1}, "labels has 4 partitions and "),
        ("labels", 8, {"retention_ms": -1}, "labels has 8 partitions and "),
        ("examples", 3, {}, "has 3 partitions, but examples have one order and so one partition; "),
        (
            "examples",
            1,
            {},
            "has retention.ms=604800000, but must have -1: they are the model; kafka-configs.sh ",
        ),
        (
            "dead_letters",
            1,
            {},
            "has retention.ms=604800000, but must have -1: somebody has yet to look at them",
        ),
    ],
)
def test_a_topic_that_is_not_as_it_must_be_is_named_with_the_remedy(
    kafka: str, topics: str, admin: KafkaAdminClient,
    which: str, count: int, configs: dict[str, object], said: str,
) -> None:  # fmt: skip
    config = pipeline(kafka, topics)
    assert config.kafka is not None
    name = config.kafka.topics.name(which)
    make(admin, name, count, **configs)
    create(config)
    complaints = check(config)
    assert any(said in complaint for complaint in complaints), complaints
    assert all(complaint.startswith(f"topic {name} has ") and "; " in complaint for complaint in complaints)


def test_the_command_that_a_complaint_gives_ends_it(kafka: str, topics: str, admin: KafkaAdminClient) -> None:
    config = pipeline(kafka, topics)
    make(admin, f"{topics}queries", 6)
    create(config)
    complaints = check(config)
    assert len(complaints) == 4  # policy, two times, size
    for complaint in complaints:
        words = complaint.split()
        name, told = words[words.index("--topic") + 1], words[words.index("--add-config") + 1]
        key, _, value = told.partition("=")
        admin.alter_configs([ConfigResource("topic", name, {key: value})])
    assert check(config) == []


def test_the_largest_record_allowed_gets_through_every_topic_that_may_carry_it(
    kafka: str, topics: str
) -> None:
    config = checked(
        {
            "events": {"max_record_bytes": 3_000_000},
            "kafka": {
                "bootstrap": kafka,
                "topics": {"prefix": topics, "partitions": 1, "query_partitions": 1},
            },
        },
        "x",
    )
    create(config)
    assert config.kafka is not None
    large = {"events": 3_000_000, "queries": 6_000_000, "examples": 6_000_000}
    producer: KafkaProducer
    consumer: KafkaConsumer
    with closing(client.producer(config.kafka)) as producer:
        for name, size in large.items():
            producer.send(topics + name, bytes(size), b"k" * 512).get(30)
    with closing(client.consumer(config.kafka, consumer_timeout_ms=20_000)) as consumer:
        consumer.subscribe([topics + name for name in large])
        read = {
            record.topic.removeprefix(topics): len(record.value)
            for record, _ in zip(consumer, large, strict=False)
        }
    assert read == large


def test_copies_are_a_note_and_no_complaint(kafka: str, topics: str) -> None:
    config = pipeline(kafka, topics)
    create(config)
    seen = inspect(config)
    assert seen.complaints == []
    assert any("replication is 1" in note for note in seen.notes)


def test_more_copies_than_brokers_say_so(kafka: str, topics: str) -> None:
    with pytest.raises(
        ConfigError, match=r"cannot be made on .*InvalidReplicationFactorError.*check partitions"
    ):
        create(pipeline(kafka, topics, replication=7))


def written(tmp_path: Path, kafka: str, prefix: str) -> str:
    path = tmp_path / "pipeline.toml"
    path.write_text(f"[kafka]\nbootstrap = '{kafka}'\n[kafka.topics]\nprefix = '{prefix}'\nreplication = 1\n")
    return str(path)


def test_the_command_line_makes_checks_and_tells(
    kafka: str, topics: str, admin: KafkaAdminClient, tmp_path: Path
) -> None:
    path, run = written(tmp_path, kafka, topics), CliRunner().invoke
    missing = run(app, ["topics", "check", path])
    assert missing.exit_code == 1
    assert len(missing.stdout.splitlines()) == 6
    made = run(app, ["topics", "create", path], env={"COLUMNS": "200"})
    assert made.exit_code == 0
    assert f"made {topics}labels with 6 partitions" in made.stdout
    assert "for ever" in made.stdout
    told = json.loads(run(app, ["topics", "check", path, "--json"]).stdout)
    assert told["complaints"] == told["done"] == []
    assert told["topics"]["dead_letters"]["name"] == f"{topics}dead-letters"
    admin.delete_topics([f"{topics}examples"])
    make(admin, f"{topics}examples", 2)
    again = run(app, ["topics", "create", path])
    assert again.exit_code == 1
    assert "examples have one order" in again.stdout
