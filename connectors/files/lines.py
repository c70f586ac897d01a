"""Lines of bytes from files and pipes, with their places: what the file connector reads records from."""

from __future__ import annotations

import gzip
import io
import os
import select
import sys
import time
import zlib
from collections import deque
from itertools import accumulate
from pathlib import Path
from typing import Final, Protocol, cast

import msgspec

from stream_al.codec import printable
from stream_al.errors import RecordError, SourceError
from stream_al.ports import Position

_MARK = b"\xef\xbb\xbf"
"""The byte order mark that some programs begin a file with."""
_BUFFER: Final = 1 << 17
_KEPT = 200
"""Bytes kept of a line that is too long."""


class Line(msgspec.Struct, frozen=True, gc=False):
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
    max_bytes: int
    """A longer line is given as too long, without its content."""

    @property
    def position(self) -> Position:
        """Return ``[offset, lines read]``."""

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
        self.name = printable(path.name)
        self.exhausted = False
        self.max_bytes = max_bytes
        self._follow = follow
        self._file: io.BufferedReader | None = None
        self._offset = 0
        self._number = 0
        self._broken: SourceError | None = None
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
        self._broken = None
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
        found: list[Line] = []
        if self._broken is not None:
            raise self._broken
        if self.exhausted:
            return found
        file = self._opened()
        if file is None:
            return found
        try:
            while len(found) < limit:
                if block := self._block(file, limit - len(found)):
                    found += block
                    continue
                line = self._next(file)
                if line is None:
                    break
                found.append(line)
        except (OSError, EOFError, zlib.error) as error:
            self.close()
            self._broken = SourceError(
                f"{self.path}: unreadable after line {self._number}: {error}; put a whole file there"
            )
            if not found:  # what was read before it broke comes first
                raise self._broken from error
        return found

    def _block(self, file: io.BufferedReader, limit: int) -> list[Line]:
        """Return whole lines that are at hand already, many at once; none when the next needs looking at."""
        at_hand = file.peek(1) if self._offset else b""  # the first line may bear a mark
        lines = at_hand[: at_hand.rfind(b"\n") + 1].split(b"\n", limit)
        del lines[-1]  # what follows the last line end
        sizes = [len(line) + 1 for line in lines]
        if not lines or max(sizes) > self.max_bytes:
            return []
        file.read(sum(sizes))
        if b"\r" in at_hand:
            lines = [line.rstrip(b"\r") for line in lines]
        numbers = range(self._number + 1, self._number + 1 + len(lines))
        ends = list(accumulate(sizes, initial=self._offset))[1:]
        self._number, self._offset = numbers[-1], ends[-1]
        return list(map(Line, numbers, lines, ends))

    def _next(self, file: io.BufferedReader) -> Line | None:
        """Return the next line, however it is; None when there is none (yet)."""
        data = file.readline(self.max_bytes + 2)
        size = len(data)
        whole = data.endswith(b"\n")
        if not whole and size > self.max_bytes:  # too long: read on to its end, keep the beginning
            rest = b"-"
            while rest and not rest.endswith(b"\n"):
                rest = file.readline(self.max_bytes)
                size += len(rest)
            whole = rest.endswith(b"\n")
        if not whole:
            if self._follow or not data:
                self._end(file)
                return None
            self.exhausted = True
        self._offset += size
        self._number += 1
        first = self._offset == size
        return _line(
            self._number, data.removesuffix(b"\n"), size - whole, self._offset, self.max_bytes, first
        )

    def _end(self, file: io.BufferedReader) -> None:
        if not self._follow:
            self.exhausted = True
            return
        file.seek(self._offset)
        if os.fstat(file.fileno()).st_size < self._offset:
            self.close()
            raise self._shortened()

    def _opened(self) -> io.BufferedReader | None:
        if self._file is not None:
            return self._file
        try:
            size = self.path.stat().st_size
            if self.path.suffix == ".gz":
                unzipped = cast(io.RawIOBase, gzip.GzipFile(self.path))
                self._file = io.BufferedReader(unzipped, _BUFFER)
                size = self._file.seek(self._offset)
            else:
                self._file = io.BufferedReader(io.FileIO(self.path), _BUFFER)
                self._file.seek(self._offset)
        except FileNotFoundError:
            if self._follow and not self._offset:
                return None
            raise SourceError(f"{self.path}: no such file any more; put it back") from None
        except (OSError, EOFError, zlib.error) as error:
            self.close()
            raise SourceError(f"{self.path}: unreadable: {error}; put a whole file there") from error
        if size < self._offset:
            self.close()
            raise self._shortened()
        return self._file

    def _shortened(self) -> SourceError:
        return SourceError(
            f"{self.path}: is shorter than what was read of it ({self._offset:,} bytes); "
            "files may only be appended to"
        )

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


class StdinLines:
    """The lines of standard input. It cannot be re-read: what a dead process had not committed is gone."""

    def __init__(self, *, max_bytes: int = 1_000_000, descriptor: int | None = None) -> None:
        self.name = "stdin"
        self.exhausted = False
        self.max_bytes = max_bytes
        self._descriptor = sys.stdin.fileno() if descriptor is None else descriptor
        self._whole: deque[bytes] = deque()
        self._tail = b""  # the beginning of the line that is still arriving
        self._dropped = 0  # bytes of it that were too many to keep
        self._fresh = True
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
        elif len(self._tail) > self.max_bytes + 2:
            self._dropped += len(self._tail) - self.max_bytes - 2
            self._tail = self._tail[: self.max_bytes + 2]
        return True

    def _line(self, data: bytes, end: int) -> Line:
        size = len(data) + self._dropped
        self._dropped = 0
        self._offset += size + end
        self._number += 1
        first, self._fresh = self._fresh, False
        return _line(self._number, data, size, self._offset, self.max_bytes, first)

    def close(self) -> None:
        """Do nothing: standard input is not ours."""


def _line(number: int, data: bytes, size: int, after: int, most: int, first: bool) -> Line:
    """Return a line of ``size`` bytes without its end, of which ``data`` are those that were kept."""
    cut = size > len(data)
    if first:
        data = data.removeprefix(_MARK)
    content = data.rstrip(b"\r")
    if cut or len(content) > most:
        return Line(number, data[: min(_KEPT, most)], after, size)
    return Line(number, content, after)


def oversized_error(line: Line) -> RecordError:
    """Return what is wrong with a line that is too long."""
    return RecordError(
        "oversized", f"the record has {line.oversized:,} bytes; raise max_record_bytes if that is meant"
    )
