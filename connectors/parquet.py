"""Events from Parquet files, one row each. Read in batches, so that no more than a row group is in memory.

Guarantee: exactly once, as for files; the position is the number of rows read, and row groups before it are
not read again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from stream_al.codec import EventRow, printable
from stream_al.columns import Columns
from stream_al.errors import ConfigError, RecordError, SourceError
from stream_al.ports import Position
from stream_al.records import DeadLetter

_BATCH: Final = 1024
_RECORD: Final = 20_000
"""Characters of a row that a dead letter keeps."""


class ParquetEvents:
    """The rows of a Parquet file as a source of events.

    A null is a missing value; in a column of floating-point numbers so is NaN, as that is how most writers put
    a null there. Decimals become floating-point numbers, dates and times ISO-8601 in UTC. A row with a list, an
    object or bytes for a feature is a dead letter.

    Parameters
    ----------
    path
        The file; it must not change while it is read.
    columns
        Names the columns that are not features.

    Raises
    ------
    ConfigError
        When pyarrow is not installed; names the extra.
    SourceError
        When it is no Parquet file, or a column named in ``columns`` does not exist.
    """

    def __init__(self, path: Path, columns: Columns | None = None) -> None:
        self._columns = columns or Columns()
        self._path = path
        self._file: Any = _opened(path)
        self._rows: Iterator[dict[str, Any]] | None = None
        self._next = 0
        self._count: int = self._file.metadata.num_rows
        try:
            self._check()
        except SourceError:
            self.close()
            raise

    def _check(self) -> None:
        names: list[str] = self._file.schema_arrow.names
        for name in names:
            if names.count(name) > 1:
                raise SourceError(f"{self._path}: column {name!r} is there twice; rename one of them")
        for setting, column in self._columns.named().items():
            if column not in names:
                raise SourceError(
                    f"{self._path}: {setting} = {column!r}: no such column; there are {', '.join(names)}"
                )

    @property
    def position(self) -> Position:
        """Return how many rows were read."""
        return self._next

    @property
    def exhausted(self) -> bool:
        """Tell whether all rows were read."""
        return self._next >= self._count

    def seek(self, position: Position) -> None:
        """Go to a row."""
        self._next = position or 0
        self._rows = None
        if self._next > self._count:
            raise SourceError(
                f"{self._path}: has {self._count:,} rows, and {self._next:,} were read before: it was shortened; "
                "restore it"
            )

    def read(self, limit: int, wait: float) -> Sequence[EventRow | DeadLetter]:
        """Return the events of the next rows; never waits."""
        if self._rows is None:
            self._rows = self._from(self._next)
        found: list[EventRow | DeadLetter] = []
        while len(found) < limit and not self.exhausted:
            try:
                row = next(self._rows)
            except (StopIteration, OSError, ValueError) as error:  # pyarrow's own errors derive from these
                raise SourceError(
                    f"{self._path}: row {self._next + 1} cannot be read ({error}); the file is damaged"
                ) from None
            self._next += 1
            found.append(self._event(row, f"{self._path.name}:{self._next}"))
        return found

    def _from(self, start: int) -> Iterator[dict[str, Any]]:
        """Yield the rows from one on, a batch at a time."""
        metadata = self._file.metadata
        groups = list(range(metadata.num_row_groups))
        while groups and start >= metadata.row_group(groups[0]).num_rows:
            start -= metadata.row_group(groups.pop(0)).num_rows
        for group in groups:  # one by one: asked for all of them, pyarrow reads ahead through the whole file
            for batch in self._file.iter_batches(_BATCH, row_groups=[group]):
                if start < batch.num_rows:
                    yield from _without_nanoseconds(batch.slice(start)).to_pylist()
                start = max(0, start - batch.num_rows)

    def _event(self, row: dict[str, Any], place: str) -> EventRow | DeadLetter:
        kept = self._columns.named().values()
        cells = {n: v for n, v in ((n, _cell(v, text=n in kept)) for n, v in row.items()) if v is not None}
        try:
            return self._columns.event(cells, printable(place))
        except RecordError as error:
            return DeadLetter(
                source="events",
                position=printable(place),
                reason=error.reason,
                detail=printable(error.detail),
                event_id=error.event_id or printable(place),
                record=printable(repr(row))[:_RECORD],
            )

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):
            self._file.close()


def _opened(path: Path) -> Any:
    try:
        from pyarrow import ArrowInvalid, parquet
    except ImportError:
        raise ConfigError(
            f"{path}: reading Parquet needs the `parquet` extra: pip install 'stream-al[parquet]'"
        ) from None
    try:
        return parquet.ParquetFile(path)
    except FileNotFoundError:
        raise SourceError(f"{path}: no such file; check the path") from None
    except (ArrowInvalid, OSError) as error:
        raise SourceError(
            f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]}); check what it is"
        ) from None


def _without_nanoseconds(batch: Any) -> Any:
    """Return a batch whose times are in microseconds: what is finer, Python's times cannot hold."""
    import pyarrow as pa

    for place, field in enumerate(batch.schema):
        if pa.types.is_timestamp(field.type) and field.type.unit == "ns":
            times = batch.column(place).cast(pa.timestamp("us", field.type.tz), safe=False)
            batch = batch.set_column(place, field.name, times)
    return batch


def _cell(value: Any, *, text: bool) -> Any:
    """Return a value as the cell of a table: what is no number, text or boolean in the form the records have."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value) if value.is_finite() and not text else str(value)
    if isinstance(value, float) and math.isnan(value):
        return None
    if text and isinstance(value, float) and value.is_integer():
        return str(int(value))  # pandas makes floating-point numbers of integers where one is missing
    return value
