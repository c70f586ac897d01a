"""Lines of bytes from files and pipes, with their places: what the file connector reads records from."""

from __future__ import annotations

import gzip
import io
import os
import select
import sys
import time
from collections import deque
from pathlib import Path
from typing import IO, NamedTuple, Protocol, cast

from stream_al.errors import RecordError, SourceError
from stream_al.ports import Position


class Line(NamedTuple):
    """One line without its end, its number (from 1), and how long it was if it was too long to keep."""

    number: int
    data: bytes
    after: int
    """The offset of the next line, in bytes of (uncompressed) content."""
    oversized: int = 0


class Lines(Protocol):
    """What `FileLines` and `StdinLines` have in common."""

    name: str
    exhausted: bool
    position: Position
    """``[offset, lines read]``."""

    def seek(self, position: Position) -> None:
        """Go to a position."""

    def read(self, limit: int, wait: float) -> list[Line]:
        """Return up to ``limit`` lines, waiting up to ``wait`` seconds for the first."""

    def close(self) -> None:
        """Release what is open."""


class FileLines:
    """The lines of a file, plain or ``.gz``; with ``follow`` those that others will append, as ``tail -f``.

    A followed file need not exist yet, and its last line counts once its end is written.
    """

    def __init__(self, path: Path, *, follow: bool = False, max_bytes: int = 1_000_000) -> None:
        self.path = path
        self.name = path.name
        self.exhausted = False
        self._follow = follow
        self._max = max_bytes
        self._file: IO[bytes] | None = None
        self._offset = 0
        self._number = 0
        if follow and path.suffix == ".gz":
            raise SourceError(f"{path}: a compressed file cannot be followed; turn follow off")
        if not follow and not path.is_file():
            raise SourceError(f"{path}: no such file; check the path, or turn follow on to wait for it")

    @property
    def position(self) -> Position:
        """Return ``[offset, lines read]``."""
        return [self._offset, self._number]

    def seek(self, position: Position) -> None:
        """Go to a position."""
        self._offset, self._number = position or (0, 0)
        self.exhausted = False
        self.close()

    def read(self, limit: int, wait: float) -> list[Line]:
        """Return up to ``limit`` lines; see `Lines`.

        Raises
        ------
        SourceError
            When the file is shorter than what was read of it, or cannot be decompressed.
        """
        found = self._read(limit)
        if not found and self._follow and wait:
            time.sleep(wait)
            found = self._read(limit)
        return found

    def _read(self, limit: int) -> list[Line]:
        file = self._opened()
        found: list[Line] = []
        if file is None:
            return found
        try:
            while len(found) < limit:
                line = self._next(file)
                if line is None:
                    break
                found.append(line)
        except (OSError, EOFError) as error:
            if not found:
                raise SourceError(f"{self.path}: unreadable after line {self._number}: {error}") from error
        return found

    def _next(self, file: IO[bytes]) -> Line | None:
        data = file.readline(self._max + 1)
        size = len(data)
        whole = data.endswith(b"\n")
        if not whole and size > self._max:  # too long: read on to its end, keep the beginning
            rest = b"-"
            while rest and not rest.endswith(b"\n"):
                rest = file.readline(self._max)
                size += len(rest)
            whole = rest.endswith(b"\n")
        if not whole:
            if self._follow or not data:
                self._end(file)
                return None
            self.exhausted = True
        self._offset += size
        self._number += 1
        if size > self._max:
            return Line(self._number, data[:200], self._offset, size)
        return Line(self._number, data.rstrip(b"\r\n"), self._offset)

    def _end(self, file: IO[bytes]) -> None:
        if not self._follow:
            self.exhausted = True
            return
        file.seek(self._offset)
        if os.fstat(file.fileno()).st_size < self._offset:
            raise SourceError(f"{self.path}: is shorter than what was read of it; files may only be appended to")

    def _opened(self) -> IO[bytes] | None:
        if self._file is None:
            try:
                raw = self.path.open("rb")
            except FileNotFoundError:
                if self._follow and not self._offset:
                    return None
                raise SourceError(f"{self.path}: no such file any more; put it back") from None
            if self.path.suffix == ".gz":
                self._file = io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=raw)), 1 << 17)
            else:
                if os.fstat(raw.fileno()).st_size < self._offset:
                    raw.close()
                    raise SourceError(
                        f"{self.path}: is shorter than what was read of it ({self._offset:,} bytes); "
                        "files may only be appended to"
                    )
                self._file = raw
            try:
                self._file.seek(self._offset)
            except (OSError, EOFError) as error:
                raise SourceError(f"{self.path}: unreadable: {error}") from error
        return self._file

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


class StdinLines:
    """The lines of standard input. A pipe cannot be re-read: what a dead process had not committed is gone."""

    def __init__(self, *, max_bytes: int = 1_000_000, descriptor: int | None = None) -> None:
        self.name = "stdin"
        self.exhausted = False
        self._descriptor = sys.stdin.fileno() if descriptor is None else descriptor
        self._max = max_bytes
        self._whole: deque[bytes] = deque()
        self._tail = b""  # the beginning of the line that is still arriving
        self._dropped = 0  # bytes of it that were too many to keep
        self._offset = 0
        self._number = 0
        self._ended = False

    @property
    def position(self) -> Position:
        """Return ``[offset, lines read]``, over all processes that read for this pipeline."""
        return [self._offset, self._number]

    def seek(self, position: Position) -> None:
        """Count on from a position; the pipe itself is where it is."""
        self._offset, self._number = position or (0, 0)

    def read(self, limit: int, wait: float) -> list[Line]:
        """Return up to ``limit`` lines; see `Lines`."""
        found: list[Line] = []
        while len(found) < limit:
            if self._whole:
                found.append(self._line(self._whole.popleft(), 1))
            elif self._ended or not self._fill(0.0 if found else wait):
                break
        if self._ended and not self._whole and (self._tail or self._dropped) and len(found) < limit:
            tail, self._tail = self._tail, b""
            found.append(self._line(tail, 0))
        self.exhausted = self._ended and not self._whole and not self._tail and not self._dropped
        return found

    def _fill(self, wait: float) -> bool:
        ready, _, _ = select.select([self._descriptor], [], [], wait)
        if not ready:
            return False
        chunk = os.read(self._descriptor, 1 << 18)
        self._ended = not chunk
        first, *more = chunk.split(b"\n")
        self._tail += first
        if more:
            self._whole.append(self._tail)
            self._whole.extend(more[:-1])
            self._tail = more[-1]
        elif len(self._tail) > self._max + 1:
            self._dropped += len(self._tail) - self._max - 1
            self._tail = self._tail[: self._max + 1]
        return True

    def _line(self, data: bytes, end: int) -> Line:
        size = len(data) + self._dropped
        self._dropped = 0
        self._offset += size + end
        self._number += 1
        if size > self._max:
            return Line(self._number, data[:200], self._offset, size)
        return Line(self._number, data.rstrip(b"\r"), self._offset)

    def close(self) -> None:
        """Do nothing: standard input is not ours."""


def oversized_error(line: Line) -> RecordError:
    return RecordError(
        "oversized", f"the record has {line.oversized:,} bytes; raise max_record_bytes if that is meant"
    )
