"""From a configuration to a running worker: the one place that knows all embedded connectors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.datasets import RiverEvents, is_bundled
from connectors.files import Columns, CsvEvents, JsonlEvents, JsonlLabels, JsonlSink, event_lines
from connectors.parquet import ParquetEvents
from connectors.sqlite import SqliteLabels, SqliteStore
from stream_al.build import build_learner, event_format
from stream_al.config import Config, EventsConfig, KafkaConfig, checked, stored_config
from stream_al.errors import ConfigError
from stream_al.learner import ActiveLearner
from stream_al.ports import EventSource, LabelSource
from stream_al.runtime.worker import Worker


@dataclass(frozen=True, slots=True)
class Assembled:
    """A worker that has recovered, and what it works with."""

    worker: Worker
    learner: ActiveLearner
    store: SqliteStore


@contextmanager
def assembled(config: Config, name: str, on_answer: Any = None) -> Iterator[Assembled]:
    """Open everything a configuration names, recover, and close it all again.

    Raises
    ------
    StreamALError
        When something cannot be opened; what was opened before is closed.
    """
    learner = build_learner(config, name)
    _check_timestamps(config, name)
    with ExitStack() as stack:
        events = open_events(config.events, config.model.label_type or "str", name)
        stack.callback(events.close)
        store = SqliteStore(config.store.path, config.pipeline(), remember=config.labels.remember)
        stack.callback(store.close)
        store.note_label_source(config.labels.source)
        labels = _labels(config, store)
        stack.callback(labels.close)
        sink = JsonlSink({name: path for name, path in config.output if path is not None})
        stack.callback(sink.close)
        worker = Worker(
            learner,
            events,
            labels,
            sink,
            store,
            batch_size=config.run.batch_size,
            batch_seconds=config.run.batch_seconds,
            on_answer=on_answer,
        )
        worker.recover()
        yield Assembled(worker, learner, store)


def _check_timestamps(config: Config, name: str) -> None:
    key, events = config.limits.timed(), config.events
    if key is None or events.timestamp_column is not None or events.path.startswith("kafka:"):
        return
    if is_bundled(events.path) or event_format(events) != "jsonl":
        raise ConfigError(
            f"{name}: [limits] {key}: needs the events' timestamps; set [events] timestamp_column, or use labels_total"
        )


def open_events(
    events: EventsConfig,
    label_type: str = "str",
    name: str = "the configuration",
    kafka: KafkaConfig | None = None,
) -> EventSource:
    """Open the source of events that ``[events]`` names.

    Parameters
    ----------
    events
        The section.
    label_type
        What the true classes are.
    name
        What errors call the configuration.
    kafka
        How to connect, for ``kafka:TOPIC``; by default as the environment says (``STREAM_AL_KAFKA__BOOTSTRAP`` …).
    """
    if is_bundled(events.path):
        return RiverEvents(events.path)
    columns = Columns(
        events.id_column,
        events.timestamp_column,
        events.key_column,
        events.label_column,
        label_type,
        events.ignore,
        events.features,
    )
    if events.path.startswith("kafka:"):
        return _topic(events, columns, kafka)
    form = event_format(events)
    if form == "jsonl" and (
        events.id_column or events.timestamp_column or events.key_column or events.ignore
    ):
        raise ConfigError(
            f'{name}: [events] id_column, timestamp_column, key_column and ignore are for format "csv", '
            '"flat-jsonl" and "parquet"; in format "jsonl" a record has "id", "timestamp", "key" and "features"'
        )
    if form == "parquet":
        if events.path == "-" or events.follow:
            raise ConfigError(
                f'{name}: [events] format = "parquet": is of a whole file; name one in path, and leave follow out'
            )
        return ParquetEvents(Path(events.path), columns)
    lines = event_lines(events.path, follow=events.follow, max_bytes=events.max_record_bytes)
    if form == "csv":
        return CsvEvents(lines, columns)
    return JsonlEvents(lines, columns, flat=form == "flat-jsonl")


def _topic(events: EventsConfig, columns: Columns, kafka: KafkaConfig | None) -> EventSource:
    from connectors.kafka.client import require_kafka

    require_kafka()
    from connectors.kafka.events import TopicEvents

    kafka = kafka or checked({}, "the environment").kafka or KafkaConfig()
    return TopicEvents(kafka, events.path, columns, max_record_bytes=events.max_record_bytes)


def _labels(config: Config, store: SqliteStore) -> LabelSource:
    labels = config.labels
    if labels.source == "file" and labels.path is not None:
        return JsonlLabels(labels.path, max_bytes=config.events.max_record_bytes)
    if labels.source == "simulated":
        if config.events.label_column is None and not is_bundled(config.events.path):
            raise ConfigError(
                '[labels] source = "simulated": set [events] label_column, where it finds the truth'
            )
        from stream_al.replay.oracle import SimulatedOracle
        from stream_al.replay.people import Crowd

        return SimulatedOracle(Crowd.one(labels.delay, labels.jitter), config.run.key)
    return SqliteLabels(store)


def learner_of(pipeline: dict[str, Any], path: Path) -> ActiveLearner:
    """Return a fresh learner as the configuration kept in a store describes it."""
    return build_learner(stored_config(pipeline, str(path)), str(path))
