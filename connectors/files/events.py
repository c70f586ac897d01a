"""Events from lines: JSON objects, or the rows of a CSV file."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from msgspec import MsgspecError

from connectors.files.lines import FileLines, Line, Lines, StdinLines, oversized_error
from stream_al.codec import EventRow, decode_event, decode_events, decode_json, encode_json
from stream_al.columns import Columns, text_of
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

    def _place(self, number: int) -> str:
        return f"{self._lines.name}:{number}"

    def _letter(self, number: int, data: bytes, error: RecordError) -> DeadLetter:
        return DeadLetter(
            source="events",
            position=self._place(number),
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
        lines = self._lines.read(limit, wait)
        if self._flat or self._columns != Columns():
            rows = [self._decoded(line) for line in lines]
        else:
            rows = decode_events([line.data for line in lines])
        found: list[EventRow | DeadLetter] = []
        for line, row in zip(lines, rows, strict=True):
            if not line.oversized and isinstance(row, EventRow):
                if not row.id:
                    row.id = self._place(line.number)
                found.append(row)
            elif line.oversized or (line.data and not line.data.isspace()):
                error = oversized_error(line) if isinstance(row, EventRow) or line.oversized else row
                error.event_id = error.event_id or self._place(line.number)
                found.append(self._letter(line.number, line.data, error))
        return found or self._empty()

    def _decoded(self, line: Line) -> EventRow | RecordError:
        try:
            return self._decode(line.data, self._place(line.number))
        except RecordError as error:
            return error

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
        used = 0
        while used < limit:
            record = self._next(limit, 0.0 if used else wait)
            if record is None:
                break
            used += self._take(found, *record)
        return found

    def _next(self, limit: int, wait: float) -> tuple[int, list[str] | RecordError] | None:
        """Return of how many waiting lines the next record is made, and its cells or what is wrong."""
        texts: list[str] = []
        size = 0
        while len(texts) < _MOST_LINES and size <= self._lines.max_bytes:
            if len(texts) == len(self._waiting):
                self._waiting.extend(self._lines.read(limit, wait))
                wait = 0.0
            if len(texts) == len(self._waiting):
                if texts and self._lines.exhausted:
                    break
                return None
            line = self._waiting[len(texts)]
            texts.append("")
            try:
                texts[-1] = _text(line) + "\n"
                size += len(line.data)
                cells = _cells(texts) if len(texts) == 1 or b'"' in line.data else None
            except RecordError as error:
                if len(texts) > 1 and error.reason != "malformed-csv":
                    break  # another line's own trouble: this one's is that its quote is not closed
                return 1, error
            if cells is not None:
                return len(texts), cells
        detail = f"a quoted cell is not closed in the {len(texts)} lines from here; pair the quotes"
        return 1, RecordError("malformed-csv", detail)

    def _take(self, found: list[EventRow | DeadLetter], count: int, cells: list[str] | RecordError) -> int:
        """Make an event or a dead letter of the first waiting lines; return how many were used."""
        first = self._waiting[0]
        place = self._place(first.number)
        try:
            if isinstance(cells, RecordError):
                raise cells
            if cells and not first.data.isspace():
                found.append(self._event(cells, place))
        except RecordError as error:
            if error.reason == "ragged-row":
                count = 1  # an unpaired quote can make one row of several: the others get another chance
            error.event_id = error.event_id or place
            data = b"\n".join(line.data for line in islice(self._waiting, count))
            found.append(self._letter(first.number, data, error))
        for _ in range(count):
            last = self._waiting.popleft()
        self._position = [last.after, last.number]
        return count

    def _event(self, cells: list[str], default_id: str) -> EventRow:
        header = self._header
        if len(cells) != len(header):
            detail = f"the row has {len(cells)} cells, the header {len(header)}; every row needs as many"
            raise RecordError("ragged-row", detail, default_id)
        kept = self._columns.named().values()
        record = {n: c if n in kept else _value(c) for n, c in zip(header, cells, strict=True) if c != ""}
        return self._columns.event(record, default_id)

    def _read_header(self, wait: float) -> bool:
        """Read the header, and go on to where a position was given."""
        while lines := self._lines.read(1, wait):
            line = lines[0]
            if line.oversized or (line.data and not line.data.isspace()):
                break
        else:
            return False
        try:
            self._header = self._checked(_cells([_text(line) + "\n"]))
        except RecordError as error:
            self.close()
            raise SourceError(f"{self._lines.name}: the header is unreadable: {error.detail}") from None
        except SourceError:
            self.close()
            raise
        if self._goal is not None and not isinstance(self._lines, StdinLines):
            self._lines.seek(self._goal)
        elif self._position is None:
            self._position = [line.after, line.number]
        return True

    def _checked(self, header: list[str] | None) -> list[str]:
        """Raise SourceError when no record of a table with this header could be read as it is meant."""
        name = self._lines.name
        if header is None:
            raise SourceError(
                f"{name}: the header is unreadable: a quoted name does not end in the first line"
            )
        for place, column in enumerate(header, 1):
            if header.index(column) + 1 != place:
                raise SourceError(f"{name}: column {column!r} is there twice; rename one of them")
            if not column and column not in self._columns.ignore:
                raise SourceError(f'{name}: column {place} has no name; name it, or ignore it as ""')
        for setting, column in self._columns.named().items():
            if column not in header:
                raise SourceError(
                    f"{name}: {setting} = {column!r}: no such column; there are {', '.join(header)}"
                )
        return header


def _text(line: Line) -> str:
    if line.oversized:
        raise oversized_error(line)
    try:
        return line.data.decode()
    except UnicodeDecodeError as error:
        raise RecordError("not-utf8", f"byte {error.start} is not UTF-8; convert the file") from None


def _cells(texts: list[str]) -> list[str] | None:
    """Return the cells of a record's lines; None when a quoted cell goes on after them."""
    reader = csv.reader((*texts, ""), strict=True)
    try:
        return next(reader)
    except csv.Error as error:
        if reader.line_num > len(texts):  # it asked for the line after
            return None
        raise RecordError("malformed-csv", f"{error}; quote cells as RFC 4180 says") from None


def _value(cell: str) -> FeatureValue:
    if "_" in cell:  # Python reads 1_000 as a number, tables do not mean it
        return cell
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
