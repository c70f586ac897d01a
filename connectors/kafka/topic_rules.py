"""What each of the six topics must be, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from stream_al.config import Config, KafkaConfig
from stream_al.errors import ConfigError

TOPICS: Final = ("events", "predictions", "queries", "labels", "examples", "dead_letters")

FOREVER: Final = -1
"""As Kafka writes it; more than any number."""

_DAY: Final = 86_400_000
_OVERHEAD: Final = 4096
"""Bytes that a batch, a key and the headers of a trace may add to a record."""

_WHY_KEPT: Final = {
    "labels": "people's work cannot be had again, and verifying needs it",
    "examples": "they are the model",
    "dead_letters": "somebody has yet to look at them",
}


class Rule(NamedTuple):
    """What a topic's setting must be: a word exactly, a number at least."""

    key: str
    value: str | int
    why: str

    def holds(self, found: str) -> bool:
        """Return whether a setting as found on a broker does."""
        if isinstance(self.value, str):
            return found == self.value
        return int(found) == FOREVER or int(found) >= self.value != FOREVER


@dataclass(frozen=True)
class Topic:
    """What one of the six must be."""

    which: str
    """Its key in ``[kafka.topics]``."""
    name: str
    partitions: int
    """Of a new one; see `connectors.kafka.topics.inspect` for what an old one may have."""
    rules: tuple[Rule, ...]
    made_with: dict[str, str]
    """Settings that are a good idea for a new one, and nobody's business afterwards."""

    def settings(self) -> dict[str, str]:
        """Return what a new one is made with."""
        return {rule.key: str(rule.value) for rule in self.rules} | self.made_with


def kafka_of(config: Config) -> KafkaConfig:
    """Return a configuration's ``[kafka]`` section.

    Raises
    ------
    ConfigError
        When it has none.
    """
    if config.kafka is None:
        raise ConfigError("[kafka]: there is no such section, so the pipeline runs without Kafka; add one")
    return config.kafka


def wanted(config: Config, partitions: int | None = None, query_partitions: int | None = None) -> list[Topic]:
    """Return what the six topics must be.

    Parameters
    ----------
    config
        With a ``[kafka]`` section.
    partitions, query_partitions
        Of new topics, instead of what the configuration says.
    """
    kafka = kafka_of(config)
    many, few = partitions or kafka.topics.partitions, query_partitions or kafka.topics.query_partitions
    counts = {"queries": few, "labels": few, "examples": 1, "dead_letters": 1}
    largest = config.events.max_record_bytes
    return [
        Topic(
            which,
            kafka.topics.name(which),
            counts.get(which, many),
            (*_kept(which, kafka), *_sized(which, largest)),
            _made_with(which, largest, kafka),
        )
        for which in TOPICS
    ]


def _kept(which: str, kafka: KafkaConfig) -> tuple[Rule, ...]:
    if which == "queries":
        return (
            Rule("cleanup.policy", "compact", "the open queries are read back from it, however old they are"),
            Rule("delete.retention.ms", 7 * _DAY, "who was away for a week must learn of closed queries"),
            # Compacting takes what a query was before, never what it is: no reader depends on this. With a
            # day one can look into what became of a query yesterday; more is more to read at every start.
            Rule("min.compaction.lag.ms", _DAY, "so that one can see what became of a query in a day"),
        )
    rules = [Rule("cleanup.policy", "delete", "compacting takes all but the last record of a key")]
    if which in _WHY_KEPT:
        rules += [Rule(key, FOREVER, _WHY_KEPT[which]) for key in ("retention.ms", "retention.bytes")]
    else:
        kept = int(kafka.topics.retention.total_seconds() * 1000)
        rules.append(Rule("retention.ms", kept, "[kafka.topics] retention says so"))
    return tuple(rules)


def _sized(which: str, largest: int) -> tuple[Rule, ...]:
    time = Rule("message.timestamp.type", "CreateTime", "a record's time is its sender's")
    # A query and an example repeat the event's features, and may need more bytes to write them.
    times = {"events": 1, "queries": 2, "examples": 2}.get(which, 0)
    if not times:
        return (time,)
    why = f"[events] max_record_bytes is {largest}"
    return time, Rule("max.message.bytes", times * largest + _OVERHEAD, why)


def _made_with(which: str, largest: int, kafka: KafkaConfig) -> dict[str, str]:
    settings = {"max.message.bytes": str(2 * largest + 2**16)}
    if which == "queries":
        # Only closed segments are compacted, and by default one closes after a week.
        settings |= {"segment.ms": str(_DAY), "segment.bytes": str(128 * 2**20)}
    if kafka.topics.replication > 2:
        settings["min.insync.replicas"] = "2"  # with 1, `acks=all` is content with a single copy
    return settings
