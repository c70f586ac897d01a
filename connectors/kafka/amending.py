"""Amending what a pipeline on Kafka learned: an amendment is sent to the topic of labels, as an answer is."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from connectors.kafka import client
from connectors.kafka.connection import explained, reaching
from connectors.kafka.fold import read_logged
from connectors.kafka.history import read_topic
from connectors.kafka.lookup import look_up
from connectors.kafka.wire import partition_of
from stream_al.amendments import amendable
from stream_al.config import Config
from stream_al.errors import ConfigError
from stream_al.records import Amendment, LogRecord

_SECONDS = 30.0


class TopicAmending:
    """A way to correct or erase examples of a pipeline on Kafka: an `ExampleLog` of the topic as it is now.

    The worker that has the event's partition of `labels` writes the amendment to the log, in the transaction in which
    it takes it; every worker folds it from there.

    Parameters
    ----------
    config
        The pipeline, with ``[kafka]``.
    name
        What errors call it.

    Raises
    ------
    SourceError
        When topics are missing.
    """

    def __init__(self, config: Config, name: str = "the configuration") -> None:
        if config.kafka is None:
            raise ConfigError(f"{name}: there is no [kafka] section")
        self._kafka = config.kafka
        self._topics, _ = look_up(config, name)
        self._log = [read_logged(record) for record in read_topic(self._kafka, self._topics.examples, 1)[0]]

    def examples(self, start: int = 0) -> Iterator[LogRecord | None]:
        """Yield the log from a number on."""
        yield from islice(self._log, start, None)

    def amend(self, amendment: Amendment) -> str:
        """Send an amendment; return in words what it will do.

        Raises
        ------
        RecordError
            When it would change nothing: the event is unknown, erased already, or has this label.
        BrokerError
            When it cannot be delivered.
        """
        _, detail = amendable(amendment, self)
        key = amendment.event_id.encode()
        partition = partition_of(amendment.event_id, self._topics.query_partitions)
        with reaching(self._kafka, "sending the amendment"):
            producer = client.producer(self._kafka)
            try:
                sending = producer.send(self._topics.labels, amendment.to_json(), key, None, partition)
                producer.flush(timeout=_SECONDS)
            finally:
                producer.close(timeout=_SECONDS)
        if sending.exception is not None:
            raise explained(self._kafka, sending.exception)
        return detail
