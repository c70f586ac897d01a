"""What a pipeline's topics recorded, for running it again: `stream_al.recording`. The topics are only read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from connectors.kafka.fold import read_logged
from connectors.kafka.history import History, by_header, newest
from connectors.kafka.scoring import EventLane
from connectors.kafka.wire import EVENT, FORWARDED, LABELS, PLACE, STATUS, header, place
from stream_al.build import build_learner
from stream_al.codec import EventRow, PredictionRow
from stream_al.config import Config
from stream_al.errors import RecordError, SourceError
from stream_al.recording import RecordedLabel, Recording
from stream_al.records import Amendment, parse_answer

_decode = msgspec.json.Decoder(PredictionRow).decode


def read_recording(config: Config, name: str = "the configuration") -> Recording:
    """Read all that a pipeline's topics hold, as far as its group has committed. All is held in memory.

    The order of the events is that of the model versions they were answered with, then that of partitions and
    offsets; see `Recording`.

    Parameters
    ----------
    config
        The pipeline.
    name
        What reports and errors call it.

    Raises
    ------
    ConfigError
        When the pipeline does not publish all predictions.
    SourceError
        When topics are missing, or records of them that are needed were deleted.
    """
    return recording_of(History(config, name))


def recording_of(history: History) -> Recording:
    """Do what `read_recording` does."""
    config, name, topics, read = history.config, history.name, history.topics, history.read
    letters = by_header(PLACE, read(topics.dead_letters))
    predictions = by_header(EVENT, read(topics.predictions, topics.prediction_partitions))
    answered = _in_order(history.events(), predictions, letters, topics.max_record_bytes)
    # After the predictions, as every query asked by then is to be seen; before the log, as what answered one is.
    queries = newest(read(topics.queries, topics.query_partitions))
    log = read(topics.examples, 1)
    recording = Recording(
        name,
        lambda: build_learner(config, name),
        [row for row, _, _ in answered],
        [prediction for _, prediction, _ in answered],
        (),
        [read_logged(record) for record in log],
        partitions=topics.event_partitions,
        parts=[partition for _, _, partition in answered],
    )
    learned = {
        example.event_id for example in recording.examples if example and not isinstance(example, Amendment)
    }
    asked = {row.event_id for row in recording.predictions if row.queried}
    labels = history.below_committed(read(topics.labels, topics.query_partitions))
    return replace(
        recording,
        labels=_labels(labels, log, letters, recording),
        # A query that was asked twice is withdrawn once; its event may have been learned all the same.
        withdrawn=frozenset(
            event_id
            for event_id, record in queries.items()
            if record.value is None and header(record, STATUS) == "withdrawn" and event_id not in learned
        ),
        # Compaction removes tombstones, too, some time.
        unanswered=frozenset(
            event_id
            for event_id in asked - learned
            if event_id not in queries or queries[event_id].value is None
        ),
    )


def _in_order(
    events: Iterable[Any], predictions: Mapping[str, list[Any]], letters: Mapping[str, list[Any]], limit: int
) -> list[tuple[EventRow, PredictionRow, int]]:
    """Return the events that were answered, with their partitions, in one order for all partitions."""
    newest: dict[int, int] = {}
    found = []
    for record in events:
        where = place(record)
        (row,) = EventLane.read_all([record], limit)
        if where not in predictions or isinstance(row, RecordError):
            if where not in letters:
                raise SourceError(
                    f"event {where}: its prediction was deleted; keep predictions for as long as events "
                    "([kafka.topics] retention)"
                )
            continue
        prediction = _decode(predictions[where][0].value)
        partition = record.partition
        version = newest[partition] = max(newest.get(partition, 0), prediction.model_version)
        found.append((version, partition, record.offset, row, prediction))
    found.sort(key=lambda item: item[:3])
    return [(row, prediction, partition) for _, partition, _, row, prediction in found]


def _labels(
    labels: Iterable[Any], log: Iterable[Any], letters: Mapping[str, list[Any]], recording: Recording
) -> list[RecordedLabel]:
    """Return the labels with their outcomes; when one came can only be told of those that were learned."""
    learned = {
        where: (
            "amendment" if isinstance(recording.examples[number], Amendment) else "example",
            recording.learned_at(number),
        )
        for number, record in enumerate(log)
        for where in json.loads(header(record, LABELS) or "[]")
    }
    found = []
    for record in labels:
        where = place(record)
        if header(record, FORWARDED) is not None:
            continue  # it is there twice, and named by where it stood first
        value = bytes(record.value or b"")
        outcome, at_event = learned.get(where, ("waiting", None))
        if where in letters:
            outcome = str(json.loads(letters[where][0].value)["reason"])
        event_id: str | None
        try:
            event_id = parse_answer(value).event_id
        except RecordError as error:
            event_id = error.event_id
        found.append(RecordedLabel(value, where, event_id, outcome, at_event))
    return found
