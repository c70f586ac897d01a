"""Making the six topics, and saying what is wrong with them.

Nothing here alters or deletes a topic that exists: whoever runs the brokers does that, by the commands that
the complaints give.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from connectors.kafka.client import admin, require_kafka
from connectors.kafka.topic_complaints import Inspection, count_of, judged
from connectors.kafka.topic_rules import kafka_of, wanted
from stream_al.config import Config, KafkaConfig
from stream_al.errors import BrokerError, ConfigError, StreamALError

if TYPE_CHECKING:
    from kafka import KafkaAdminClient

_PATIENCE_MS: Final = 10_000


def create(
    config: Config, *, partitions: int | None = None, query_partitions: int | None = None
) -> list[str]:
    """Make the topics that are missing, and return what was done, in sentences.

    What exists stays as it is: doing it again, or twice at once, does no harm. `check` then tells whether all
    is well.

    Raises
    ------
    BrokerError
        When no broker can be reached.
    ConfigError
        When a topic cannot be made as configured, or this user may not make it.
    """
    require_kafka()
    from kafka import errors

    from connectors.kafka.connection import reaching

    kafka = kafka_of(config)
    topics = {topic.name: topic for topic in wanted(config, partitions, query_partitions)}
    done: list[str] = []
    with reaching(kafka, "making topics"), closing(admin(kafka, bootstrap_timeout_ms=_PATIENCE_MS)) as client:
        present = _described(client, list(topics))
        missing = {
            name: {
                "num_partitions": topic.partitions,
                "replication_factor": kafka.topics.replication or -1,
                "configs": topic.settings(),
            }
            for name, topic in topics.items()
            if name not in present
        }
        made = client.create_topics(missing, raise_errors=False)["topics"] if missing else []
        for each in made:
            name, error = each["name"], errors.for_code(each["error_code"])
            if error is errors.NoError:
                done.append(f"made {name} with {count_of(topics[name].partitions)}")
            elif error is not errors.TopicAlreadyExistsError:  # another process was quicker
                raise _not_made(name, error, each.get("error_message"), kafka)
        client.wait_for_topics(list(topics), timeout_ms=_PATIENCE_MS)
    return done


def _described(client: KafkaAdminClient, names: list[str]) -> dict[str, dict[str, Any]]:
    from kafka import errors

    found: dict[str, dict[str, Any]] = {}
    for topic in client.describe_topics(names):
        error = errors.for_code(topic["error_code"])
        if error in (errors.NoError, errors.LeaderNotAvailableError):
            found[topic["name"]] = topic
        elif error is not errors.UnknownTopicOrPartitionError:
            raise error(f"topic {topic['name']}")
    return found


def _not_made(name: str, error: Any, told: str | None, kafka: KafkaConfig) -> StreamALError:
    why = f"{error.__name__}: {told or error.description}"
    if error.retriable:
        return BrokerError(f"topic {name} could not be made on {kafka.bootstrap} ({why}); try again")
    return ConfigError(
        f"[kafka.topics]: topic {name} cannot be made on {kafka.bootstrap} ({why}); check partitions and "
        "replication, and that this user may create topics"
    )


def check(config: Config) -> list[str]:
    """Return what is wrong with the topics, in sentences that say what to do; see `inspect`."""
    return inspect(config).complaints


def inspect(config: Config) -> Inspection:
    """Look at the topics as they are, and judge them.

    Raises
    ------
    BrokerError
        When no broker can be reached.
    ConfigError
        When a broker refuses the login.
    """
    require_kafka()
    from kafka.admin import ConfigResource

    from connectors.kafka.connection import reaching

    kafka = kafka_of(config)
    topics = wanted(config)
    names = [topic.name for topic in topics]
    with (
        reaching(kafka, "looking at topics"),
        closing(admin(kafka, bootstrap_timeout_ms=_PATIENCE_MS)) as client,
    ):
        described = _described(client, names)
        resources = [ConfigResource("topic", name) for name in names if name in described]
        answer = client.describe_configs(resources, config_filter="all") if resources else {}
    return judged(topics, described, answer.get("topic", {}), kafka)
