"""A store's journal as sources: the events and labels of a run, exactly as they came, batch by batch."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from stream_al.codec import EventRow, QueryRow
from stream_al.errors import RecordError
from stream_al.ports import NEVER, IncomingLabel, LabelledRow, Position
from stream_al.records import DeadLetter

_decode = msgspec.json.Decoder(LabelledRow).decode  # validated when it came; as a batch keeps it


class JournalEvents:
    """The recorded events; each `read` returns one recorded batch, whatever its limit."""

    exhausted = True  # a batch without events is one where only labels came

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.batch = 0

    @property
    def position(self) -> Position:
        """Return the number of the last batch read."""
        return self.batch

    def seek(self, position: Position) -> None:
        """Do nothing: a journal is read from its beginning."""

    def read(self, limit: int, wait: float) -> Sequence[EventRow | DeadLetter]:
        """Return the events of the next batch, and in their places the records that were none."""
        self.batch += 1
        found = self._connection.execute(
            "SELECT first_event, CAST(events AS BLOB) FROM batches WHERE number = ?", (self.batch,)
        ).fetchone()
        first, events = found or (0, b"")
        lines = events.split(b"\n") if events else []
        items: list[tuple[int, int, EventRow | DeadLetter]] = [
            (first + place, 1, _decode(line)) for place, line in enumerate(lines)
        ]
        letters = self._connection.execute(
            "SELECT at_event, letter FROM dead_letters WHERE batch = ? ORDER BY number", (self.batch,)
        )
        for at_event, text in letters:
            letter = DeadLetter.model_validate_json(text)
            if letter.source == "events":
                items.append((at_event, 0, letter))
        return [item for _, _, item in sorted(items, key=lambda item: item[:2])]

    def close(self) -> None:
        """Do nothing."""


class JournalLabels:
    """The recorded labels; each comes in its batch, after as many events as then."""

    lag: float = NEVER

    def __init__(self, connection: sqlite3.Connection, events: JournalEvents) -> None:
        self._connection = connection
        self._events = events
        self._batch = 0
        self._waiting: list[tuple[int, IncomingLabel]] = []

    def _load(self) -> None:
        if self._batch == self._events.batch:
            return
        self._batch = self._events.batch
        rows: Any = self._connection.execute(
            "SELECT at_event, CAST(record AS BLOB), position, outcome, detail FROM labels WHERE batch = ? ORDER BY number",
            (self._batch,),
        )
        self._waiting = [
            # Of an oversized label only the beginning was kept, so its problem cannot be found again.
            (
                at,
                IncomingLabel(
                    bytes(record), position, RecordError(why, detail) if why == "oversized" else None
                ),
            )
            for at, record, position, why, detail in rows
        ]

    @property
    def due(self) -> float:
        """Return the event number before which the next label came."""
        return self._waiting[0][0] if self._waiting else NEVER

    @property
    def position(self) -> Position:
        """Return the number of the batch."""
        return self._batch

    def seek(self, position: Position) -> None:
        """Do nothing: a journal is read from its beginning."""

    def poll(self, events: float) -> Sequence[IncomingLabel]:
        """Return the labels of this batch that came by then."""
        self._load()
        count = sum(1 for at, _ in self._waiting if at <= events)
        found, self._waiting = self._waiting[:count], self._waiting[count:]
        return [label for _, label in found]

    def asked(self, query: QueryRow, event: EventRow, number: int) -> None:
        """Do nothing: the answers are recorded."""

    def close(self) -> None:
        """Do nothing."""


def decoded(text: object) -> Any:
    """Return JSON content where there is some, else the thing itself; for showing differences."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    try:
        return json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return text
