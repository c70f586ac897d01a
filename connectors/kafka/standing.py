"""How a pipeline on topics stands: what `stream-al status` shows of it. The topics are only read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Final

from connectors.kafka.history import History, newest
from connectors.kafka.recording import recording_of
from stream_al.amendments import ListedLog
from stream_al.build import build_learner, log_monitors
from stream_al.config import Config
from stream_al.ports import Progress
from stream_al.records import LogRecord
from stream_al.strategies import NOT_ASKABLE

BLOCKED: Final = {"already-asked", "queue-full", *NOT_ASKABLE}


def read_standing(config: Config, name: str = "the configuration") -> tuple[Progress, int]:
    """Return where a pipeline stands, as far as its group has committed, and how many queries are open.

    All topics are read into memory, as by `read_recording`, which says what it raises.
    """
    history = History(config, name)
    topics = history.topics
    recording = recording_of(history)
    rows, labels = recording.predictions, recording.labels
    counts = Counter(f"asked:{row.reason}" for row in rows if row.queried)
    counts.update(f"blocked:{row.reason}" for row in rows if row.reason in BLOCKED)
    counts.update(f"label:{label.outcome}" for label in labels)
    counts.update(
        f"dead:{json.loads(record.value)['reason']}" for record in history.read(topics.dead_letters)
    )
    queries = newest(history.read(topics.queries, topics.query_partitions))
    progress = Progress(
        events=len(rows),
        labels=len(labels),
        examples=len(recording.examples),
        accuracy=recording.accuracy().dump(),
        drift=_drift(config, name, recording.examples),
        counts=dict(sorted(counts.items())),
    )
    return progress, sum(record.value is not None for record in queries.values())


def _drift(config: Config, name: str, records: Sequence[LogRecord | None]) -> str | None:
    """Fold the log once more, and return what the drift detectors say of it, if there are any."""
    monitors = log_monitors(config, name)
    if monitors.drift is None:
        return None
    model, log = build_learner(config, name).model, ListedLog(records)
    monitors.fold(log, model, log)
    return monitors.drift.dump()
