"""Labels from a JSONL file that others append to, and outputs as JSONL files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from connectors.files.lines import FileLines, oversized_error
from stream_al.codec import EventRow, QueryRow
from stream_al.errors import SourceError
from stream_al.ports import NEVER, OUTPUTS, IncomingLabel, Position


class JsonlLabels:
    """Labels from a JSONL file that others append to, followed as ``tail -f`` does."""

    due: float = NEVER
    lag: float = NEVER

    def __init__(self, path: Path, *, max_bytes: int = 1_000_000) -> None:
        self._lines = FileLines(path, follow=True, max_bytes=max_bytes)

    @property
    def position(self) -> Position:
        """Return ``[offset, lines read]``."""
        return self._lines.position

    def seek(self, position: Position) -> None:
        """Go to a position."""
        self._lines.seek(position)

    def poll(self, events: float) -> Sequence[IncomingLabel]:
        """Return the labels appended since the last call, at most a thousand; blank lines are passed over."""
        return [
            IncomingLabel(
                line.data,
                f"{self._lines.name}:{line.number}",
                oversized_error(line) if line.oversized else None,
            )
            for line in self._lines.read(1000, 0.0)
            if line.oversized or (line.data and not line.data.isspace())
        ]

    def asked(self, query: QueryRow, event: EventRow, number: int) -> None:
        """Do nothing: people read the queries elsewhere."""

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


class JsonlSink:
    """Output streams as JSONL files, each optional.

    Parameters
    ----------
    paths
        By stream (``predictions``, ``queries``, ``dead_letters``), the file it is appended to.
    """

    def __init__(self, paths: Mapping[str, Path]) -> None:
        unknown = sorted(set(paths) - set(OUTPUTS))
        if unknown:
            raise ValueError(f"no such output: {', '.join(unknown)}; there are {', '.join(OUTPUTS)}")
        self._paths = dict(paths)
        self._files: dict[str, IO[bytes]] = {}
        self._lengths = dict.fromkeys(paths, 0)

    def lengths(self) -> dict[str, int]:
        """Return the length of each file in bytes."""
        return dict(self._lengths)

    def recover(self, lengths: Mapping[str, int], last: Mapping[str, bytes]) -> None:
        """Cut the files back to ``lengths`` and append what the last commit held.

        Raises
        ------
        SourceError
            When a file is shorter than what was committed, or exists and is not ours. None is changed then.
        """
        self.close()
        for name, path in self._paths.items():  # nothing is cut before all of them are known to be right
            size = path.stat().st_size if path.exists() else 0
            if size < lengths.get(name, 0):
                raise SourceError(
                    f"{path}: has {size:,} bytes, but {lengths[name]:,} had been written; "
                    "put the missing part back"
                )
            if size and name not in lengths:
                raise SourceError(
                    f"{path}: exists, but not by this store; move it away, or name another output"
                )
        for name, path in self._paths.items():
            self._open(name, path, lengths.get(name, 0))
        # A stream that was added since has no part in what was committed before.
        self.emit({name: lines for name, lines in last.items() if name in lengths})

    def _open(self, name: str, path: Path, length: int) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = self._files[name] = path.open("r+b" if path.exists() else "w+b")
            file.truncate(length)
            file.seek(length)
        except OSError as error:
            raise SourceError(f"{path}: cannot be written: {error.strerror}") from None
        self._lengths[name] = length

    def emit(self, outputs: Mapping[str, bytes]) -> None:
        """Append, and make it durable."""
        for name, file in self._files.items():
            lines = outputs.get(name, b"")
            if lines:
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
                self._lengths[name] += len(lines)

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        self._files.clear()
