"""What a store recorded, for running it again: `stream_al.recording`. The store is only read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from connectors.sqlite.journal import JournalEvents
from connectors.sqlite.schema import connect, explained, pipeline_of, progress_of, read_examples
from stream_al.codec import EventRow, PredictionRow
from stream_al.errors import StoreError
from stream_al.ports import Progress
from stream_al.recording import RecordedLabel, Recording

if TYPE_CHECKING:  # with it comes River, which the page's server does without
    from stream_al.learner import ActiveLearner

_decode = msgspec.json.Decoder(PredictionRow).decode


def read_recording(path: Path, make_learner: Callable[[dict[str, Any]], ActiveLearner]) -> Recording:
    """Read all that a store holds, as of now; a running worker is not disturbed.

    Parameters
    ----------
    path
        The store.
    make_learner
        Makes a fresh learner from the configuration kept in the store.

    Raises
    ------
    StoreError
        When it is no store, or damaged.
    """
    connection = connect(path)
    try:
        with explained(path):
            connection.execute("BEGIN")  # one state, whatever a running worker does meanwhile
            progress = progress_of(connection) or Progress()
            pipeline = pipeline_of(connection)
            journal = JournalEvents(connection)
            rows = [row for _ in range(progress.batch) for row in journal.read(0, 0.0)]
            events = [row for row in rows if isinstance(row, EventRow)]
            predictions = [
                _decode(line)
                for (lines,) in connection.execute(
                    "SELECT CAST(predictions AS BLOB) FROM batches ORDER BY number"
                )
                for line in lines.splitlines()
            ]
            labels = [
                RecordedLabel(record, position, event_id, outcome, at_event)
                for record, position, event_id, outcome, at_event in connection.execute(
                    "SELECT CAST(record AS BLOB), position, event_id, outcome, at_event FROM labels ORDER BY number"
                )
            ]
            closed = connection.execute(
                "SELECT event_id, status FROM queries WHERE status NOT IN ('open', 'answered', 'erased')"
            ).fetchall()
            examples = tuple(read_examples(connection, path))
    except (msgspec.MsgspecError, ValueError) as error:
        raise StoreError(f"{path}: damaged ({error}); `stream-al verify` names where") from None
    finally:
        connection.close()
    if len(events) != len(predictions):
        raise StoreError(
            f"{path}: damaged ({len(events):,} events, {len(predictions):,} predictions); "
            "`stream-al verify` names where"
        )
    return Recording(
        str(path),
        lambda: make_learner(pipeline),
        events,
        predictions,
        labels,
        examples,
        withdrawn=frozenset(event_id for event_id, status in closed if status == "withdrawn"),
        unanswered=frozenset(event_id for event_id, _ in closed),
    )
