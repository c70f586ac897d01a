"""The topics of a pipeline as they are on the broker, looked up once at the start."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from json import dumps
from typing import Final

from connectors.kafka import client
from stream_al.config import Config
from stream_al.errors import SourceError

_KINDS: Final = ("events", "predictions", "queries", "labels", "examples", "dead_letters")


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of a pipeline, as they are on the broker."""

    events: str
    predictions: str
    queries: str
    labels: str
    examples: str
    dead_letters: str
    event_partitions: int
    prediction_partitions: int
    query_partitions: int
    dead_letter_partitions: int = 1
    outputs: str = "all"
    """Of which events the predictions are published: all, queried, none."""
    max_record_bytes: int = 1_000_000
    fingerprint: str = ""
    """Of the configuration that decides the results; travels with the offsets."""


def look_up(config: Config, name: str) -> tuple[Topics, str]:
    """Return the topics as they are on the broker, and what tells this log of examples from another.

    Raises
    ------
    SourceError
        When topics are missing or do not fit together.
    """
    kafka = config.kafka
    assert kafka is not None
    names = {kind: kafka.topics.name(kind) for kind in _KINDS}
    with client.admin(kafka) as admin:
        found = {topic["name"]: topic for topic in admin.describe_topics(list(names.values()))}
        cluster = admin.describe_cluster()["cluster_id"]
    counts = {}
    for kind, topic_name in names.items():
        topic = found.get(topic_name)
        if topic is None or topic.get("error_code"):
            raise SourceError(
                f"topic {topic_name!r} does not exist; `stream-al topics create {name}` makes all it takes"
            )
        counts[kind] = len(topic["partitions"])
    if counts["examples"] != 1 or counts["labels"] != counts["queries"]:
        raise SourceError(
            f"the topics do not fit: {names['examples']!r} has {counts['examples']} partitions and must have 1; "
            f"{names['labels']!r} has {counts['labels']} and {names['queries']!r} {counts['queries']}, and they "
            f"must have as many; see `stream-al topics check {name}`"
        )
    fingerprint = blake2b(dumps(config.pipeline(), sort_keys=True).encode(), digest_size=6)
    topics = Topics(
        **names,
        event_partitions=counts["events"],
        prediction_partitions=counts["predictions"],
        query_partitions=counts["queries"],
        dead_letter_partitions=counts["dead_letters"],
        outputs=kafka.predictions,
        max_record_bytes=config.events.max_record_bytes,
        fingerprint=fingerprint.hexdigest(),
    )
    return topics, f"{cluster}/{found[names['examples']].get('topic_id')}"
