"""Events from lines: JSON objects, or the rows of a CSV file."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from connectors.files.columns import Columns
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
        return [self._letter(0, b"", RecordError("empty-input", "there is not a single line; check the path"))]


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
            if not data and not oversized:
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
        except Exception as error:
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
        return columns.labelled(row, None if truth is None else str(truth))


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
        self._header: list[str] | None = None
        self._goal: Position = None
        self._pending: list[Line] = []
        self._position: Position = None

    @property
    def position(self) -> Position:
        """Return ``[offset, lines read]`` after the last whole record."""
        return super().position if self._found_empty else self._position

    @property
    def exhausted(self) -> bool:
        """Tell whether the input has ended."""
        return self._lines.exhausted and not self._pending

    def seek(self, position: Position) -> None:
        """Go to a position; the header is read again first (of a new pipe: its own)."""
        super().seek(position if isinstance(self._lines, StdinLines) else None)
        self._found_empty = bool(position) and len(position) > 2
        self._goal = self._position = None if self._found_empty else position
        self._header = None
        self._pending.clear()

    def read(self, limit: int, wait: float) -> Sequence[EventRow | DeadLetter]:
        """Return up to ``limit`` records; blank lines are passed over."""
        found: list[EventRow | DeadLetter] = []
        waiting = deque(self._lines.read(limit, wait) if self._header else self._first(limit, wait))
        while waiting or (self._pending and self._lines.exhausted):
            if waiting:
                self._pending.append(waiting.popleft())
                quotes = sum(line.data.count(b'"') for line in self._pending)
                if quotes % 2 and len(self._pending) < _MOST_LINES and not self._pending[-1].oversized:
                    continue  # a quoted cell goes on in the next line
            self._take(found, waiting)
        return found or self._empty()

    def _take(self, found: list[EventRow | DeadLetter], waiting: deque[Line]) -> None:
        """Make a record of the pending lines; if that fails, of the first of them alone."""
        lines, self._pending = self._pending, []
        first = lines[0]
        data = b"\n".join(line.data for line in lines)
        place = f"{self._lines.name}:{first.number}"
        used = lines[-1]
        try:
            oversized = next((line for line in lines if line.oversized), None)
            if oversized is not None:
                raise oversized_error(oversized)
            if data:
                found.append(self._event(data, place))
        except RecordError as error:
            used = first
            waiting.extendleft(reversed(lines[1:]))
            found.append(self._letter(first.number, first.data, error))
        self._position = [used.after, used.number]

    def _event(self, data: bytes, default_id: str) -> EventRow:
        header = self._header or []
        cells = _cells(data)
        if len(cells) != len(header):
            detail = f"the row has {len(cells)} cells, the header {len(header)}; every row needs as many"
            raise RecordError("ragged-row", detail, default_id)
        kept = self._columns.named().values()
        record = {n: c if n in kept else _value(c) for n, c in zip(header, cells, strict=True) if c != ""}
        return self._columns.event(record, default_id)

    def _first(self, limit: int, wait: float) -> list[Line]:
        """Read the header, and go on to where a position was given."""
        lines = self._lines.read(1, wait)
        if not lines:
            return []
        try:
            self._header = _cells(lines[0].data.removeprefix(b"\xef\xbb\xbf"))
        except RecordError as error:
            raise SourceError(f"{self._lines.name}: the header is unreadable: {error.detail}") from None
        for setting, name in self._columns.named().items():
            if name not in self._header:
                raise SourceError(
                    f"{self._lines.name}: {setting} = {name!r}: no such column; there are {', '.join(self._header)}"
                )
        if self._goal is not None and not isinstance(self._lines, StdinLines):
            self._lines.seek(self._goal)
        elif self._position is None:
            self._position = [lines[0].after, 1]
        return self._lines.read(limit, 0.0)


def _cells(data: bytes) -> list[str]:
    try:
        return next(csv.reader((data.decode(),), strict=True), [])
    except UnicodeDecodeError as error:
        raise RecordError("not-utf8", f"byte {error.start} is not UTF-8; convert the file") from None
    except csv.Error as error:
        raise RecordError("malformed-csv", f"{error}; quote cells as RFC 4180 says") from None


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
