"""Events from lines: JSON objects, or the rows of a CSV file."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from msgspec import MsgspecError

from connectors.files.columns import Columns, text_of
from connectors.files.lines import FileLines, Line, Lines, StdinLines, oversized_error
from stream_al.codec import EventRow, decode_event, decode_json, encode_json
from stream_al.errors import RecordError, SourceError
from stream_al.ports import Position
from stream_al.records import DeadLetter, FeatureValue

_MOST_LINES = 200
"""A quoted cell may not span more lines; an unpaired quote would swallow the rest of the file."""


class _Events:
    """What the two formats share: reading lines, and a dead letter for what is no event."""

    def __init__(self, lines: Lines, columns: Columns) -> None:
        self._lines = lines
        self._columns = columns
        self._found_empty = False

    @property
    def position(self) -> Position:
        """Return ``[offset, lines read]``, with a third item once the input was found to be empty."""
        return [0, 0, "empty"] if self._found_empty else self._lines.position

    @property
    def exhausted(self) -> bool:
        """Tell whether the input has ended."""
        return self._lines.exhausted

    def seek(self, position: Position) -> None:
        """Go to a position."""
        self._found_empty = bool(position) and len(position) > 2
        self._lines.seek(None if self._found_empty else position)

    def close(self) -> None:
        """Release what is open."""
        self._lines.close()

    def _letter(self, number: int, data: bytes, error: RecordError) -> DeadLetter:
        return DeadLetter(
            source="events",
            position=f"{self._lines.name}:{number}",
            reason=error.reason,
            detail=error.detail,
            event_id=error.event_id,
            record=data[:20_000].decode("utf-8", "backslashreplace"),
        )

    def _empty(self) -> list[EventRow | DeadLetter]:
        """Say, once, that the input has not a single line."""
        if not self._lines.exhausted or self._lines.position[1] or self._found_empty:
            return []
        self._found_empty = True
        return [
            self._letter(0, b"", RecordError("empty-input", "there is not a single line; check the path"))
        ]


class JsonlEvents(_Events):
    """Events, one JSON object a line.

    Parameters
    ----------
    lines
        Where the lines come from.
    columns
        Names what is not a feature, for flat objects; its ``label`` also for records.
    flat
        False: each object is a record with ``features``. True: its keys are the features themselves.
    """

    def __init__(self, lines: Lines, columns: Columns | None = None, *, flat: bool = False) -> None:
        super().__init__(lines, columns or Columns())
        self._flat = flat

    def read(self, limit: int, wait: float) -> Sequence[EventRow | DeadLetter]:
        """Return up to ``limit`` records; blank lines are passed over."""
        found: list[EventRow | DeadLetter] = []
        prefix = f"{self._lines.name}:"
        plain = not self._flat and self._columns == Columns()
        for line in self._lines.read(limit, wait):
            number, data, _, oversized = line
            if not oversized and (not data or data.isspace()):
                continue
            try:
                if oversized:
                    raise oversized_error(line)
                default_id = prefix + str(number)
                found.append(decode_event(data, default_id) if plain else self._decode(data, default_id))
            except RecordError as error:
                found.append(self._letter(number, data, error))
        return found or self._empty()

    def _decode(self, data: bytes, default_id: str) -> EventRow:
        columns = self._columns
        if not self._flat and columns.label is None:
            row = decode_event(data, default_id)
            columns.check(row.features, str(row.id))
            return row
        try:
            content = decode_json(data)
        except (MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise RecordError("malformed-json", f"not JSON: {error}; write one JSON object a line") from None
        if not isinstance(content, dict):
            raise RecordError("malformed-json", "not a JSON object; write one a line")
        if self._flat:
            return columns.event({k: v for k, v in content.items() if v is not None}, default_id)
        truth = content.pop(columns.label, None)
        features = content.get("features")
        if truth is None and isinstance(features, dict):
            truth = features.pop(columns.label, None)
        row = decode_event(encode_json(content), default_id)
        columns.check(row.features, str(row.id))
        return columns.labelled(row, text_of(truth, str(columns.label), str(row.id)))


class CsvEvents(_Events):
    """Events, one row of a CSV file each; the first line names the columns.

    A cell is an integer or a number if it reads as one, a missing value if it is empty, else text.

    Parameters
    ----------
    lines
        Where the lines come from.
    columns
        Names the columns that are not features.

    Raises
    ------
    SourceError
        When a column named in ``columns`` does not exist.
    """

    def __init__(self, lines: Lines, columns: Columns | None = None) -> None:
        super().__init__(lines, columns or Columns())
        self._header: list[str] = []
        self._goal: Position = None
        self._waiting: deque[Line] = deque()  # read, and not yet part of a record
        self._pending: list[Line] = []  # of a record with a quoted cell that goes on
        self._cells: list[str] = []  # of the record being read
        self._position: Position = None

    @property
    def position(self) -> Position:
        """Return ``[offset, lines read]`` after the last whole record."""
        return super().position if self._found_empty else self._position

    @property
    def exhausted(self) -> bool:
        """Tell whether the input has ended."""
        return self._lines.exhausted and not self._waiting

    def seek(self, position: Position) -> None:
        """Go to a position; the header is read again first (of a new pipe: its own)."""
        super().seek(position if isinstance(self._lines, StdinLines) else None)
        self._found_empty = bool(position) and len(position) > 2
        self._goal = self._position = None if self._found_empty else position
        self._header = []
        self._waiting.clear()

    def read(self, limit: int, wait: float) -> Sequence[EventRow | DeadLetter]:
        """Return up to ``limit`` records; blank lines are passed over."""
        found: list[EventRow | DeadLetter] = []
        if not self._header and not self._read_header(wait):
            return self._empty()
        taken = 0
        while taken < limit:
            lines = self._next(limit, 0.0 if taken else wait)
            if not lines:
                break
            taken += len(lines)
            self._take(found, lines)
        return found

    def _next(self, limit: int, wait: float) -> list[Line]:
        """Return the lines of the next record: one, or as many as its quoted cells span; none if it is not whole."""
        pass


def _value(cell: str) -> FeatureValue:
    try:
        return int(cell)
    except ValueError:
        pass
    try:
        return float(cell)
    except ValueError:
        return cell


def event_lines(path: str, *, follow: bool = False, max_bytes: int = 1_000_000) -> Lines:
    """Return the lines of a file, or of standard input for ``-``."""
    if path == "-":
        return StdinLines(max_bytes=max_bytes)
    return FileLines(Path(path), follow=follow, max_bytes=max_bytes)
