"""What is wrong with the topics as they are, in sentences that say what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.kafka.topic_rules import Topic
from stream_al.config import KafkaConfig


@dataclass(frozen=True)
class Found:
    """One of the six, as it is."""

    topic: Topic
    partitions: int = 0
    """0 when it is missing."""
    replication: int = 0
    settings: dict[str, str] = field(default_factory=dict)
    """Empty when this user may not see them."""
    complaints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inspection:
    """How the six stand."""

    topics: tuple[Found, ...]
    notes: tuple[str, ...]
    """What works, but could be safer."""

    @property
    def complaints(self) -> list[str]:
        """What must be mended first."""
        return [complaint for found in self.topics for complaint in found.complaints]


def judged(
    topics: Sequence[Topic],
    described: Mapping[str, dict[str, Any]],
    settings: Mapping[str, dict[str, Any]],
    kafka: KafkaConfig,
) -> Inspection:
    """Return what is to be said about topics, given what the broker tells of those that exist."""
    found = [_found(topic, described.get(topic.name), settings.get(topic.name, {})) for topic in topics]
    by_key = {each.topic.which: each for each in found}
    told = [replace(each, complaints=tuple(_complaints(each, by_key, kafka))) for each in found]
    return Inspection(tuple(told), tuple(_notes(told)))


def count_of(count: int) -> str:
    """Return a number of partitions in words."""
    return f"{count} partition{'' if count == 1 else 's'}"


def _found(topic: Topic, described: dict[str, Any] | None, settings: dict[str, dict[str, Any]]) -> Found:
    if described is None:
        return Found(topic)
    partitions = described["partitions"]
    copies = min((len(p["replica_nodes"]) for p in partitions), default=0)
    return Found(topic, len(partitions), copies, {key: each["value"] for key, each in settings.items()})


def _complaints(found: Found, by_key: dict[str, Found], kafka: KafkaConfig) -> list[str]:
    topic, name = found.topic, found.topic.name
    if not found.partitions:
        return [f"topic {name} is missing; `stream-al topics create` makes it"]
    said = []
    if topic.which == "examples" and found.partitions != 1:
        said.append(
            f"topic {name} has {count_of(found.partitions)}, but examples have one order and so one partition; "
            "give [kafka.topics] examples another name, and let `stream-al topics create` make it"
        )
    queries = by_key["queries"]
    if topic.which == "labels" and queries.partitions not in (0, found.partitions):
        said.append(_unequal(found, queries, kafka))
    if not found.settings:
        said.append(f"the settings of topic {name} are hidden from this user; grant it DescribeConfigs on it")
        return said
    for rule in topic.rules:
        value = found.settings.get(rule.key)
        if value is not None and not rule.holds(value):
            least = "" if isinstance(rule.value, str) or rule.value < 0 else "at least "
            said.append(
                f"topic {name} has {rule.key}={value}, but must have {least}{rule.value}: {rule.why}; "
                f"kafka-configs.sh --bootstrap-server {kafka.bootstrap} --alter --topic {name} "
                f"--add-config {rule.key}={rule.value}"
            )
    return said


def _unequal(labels: Found, queries: Found, kafka: KafkaConfig) -> str:
    told = (
        f"topic {labels.topic.name} has {count_of(labels.partitions)} and {queries.topic.name} "
        f"{queries.partitions}, but a label is matched with its query by the partition"
    )
    if labels.partitions < queries.partitions:
        return (
            f"{told}; kafka-topics.sh --bootstrap-server {kafka.bootstrap} --alter --topic {labels.topic.name} "
            f"--partitions {queries.partitions}"
        )
    # More partitions for the queries would leave the open ones where nobody looks for them.
    return (
        f"{told}; give one of them another name in [kafka.topics], and let `stream-al topics create` make it"
    )


def _notes(topics: list[Found]) -> list[str]:
    present = [found for found in topics if found.partitions]
    single = [found.topic.name for found in present if found.replication == 1]
    weak = [
        found.topic.name
        for found in present
        if found.replication > 1 and found.settings.get("min.insync.replicas") == "1"
    ]
    notes = []
    if single:
        notes.append(f"one broker lost is data lost: replication is 1 for {', '.join(single)}")
    if weak:
        notes.append(f"one copy is enough for a commit: min.insync.replicas is 1 for {', '.join(weak)}")
    return notes
