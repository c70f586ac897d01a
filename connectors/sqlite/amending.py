"""Amending what a store's worker learned: through its inbox, beside the worker or while none runs."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from connectors.sqlite.schema import StoredLog, connect, explained, progress_of
from stream_al.amendments import amendable
from stream_al.errors import RecordError
from stream_al.records import Amendment, LogRecord, parse_answer


class Amending:
    """A way to correct or erase examples of a store: an `ExampleLog` with what is on its way to it.

    Parameters
    ----------
    path
        The store.

    Raises
    ------
    StoreError
        When there is no such store.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = connect(path)

    def examples(self, start: int = 0) -> Iterator[LogRecord]:
        """Yield the log from a number on, and after it the amendments that the worker has not read yet."""
        yield from StoredLog(self._connection, self.path).examples(start)
        progress = progress_of(self._connection)
        position = progress.label_position if progress else 0
        taken = position if isinstance(position, int) else 0
        for (record,) in self._connection.execute("SELECT record FROM inbox WHERE number > ?", (taken,)):
            try:
                answer = parse_answer(bytes(record))
            except RecordError:
                continue
            if isinstance(answer, Amendment):
                yield answer

    def amend(self, amendment: Amendment) -> str:
        """Put an amendment into the inbox; return in words what it will do.

        Raises
        ------
        RecordError
            When it would change nothing: the event is unknown, erased already, or has this label.
        """
        with explained(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                _, detail = amendable(amendment, self)
                self._connection.execute("INSERT INTO inbox (record) VALUES (?)", (amendment.to_json(),))
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
        return detail

    @property
    def label_source(self) -> str:
        """Where the store's worker takes labels from; ``"store"`` is the inbox."""
        with explained(self.path):
            row = self._connection.execute("SELECT value FROM meta WHERE name = 'label_source'").fetchone()
            return "store" if row is None else str(row[0])

    def is_running(self) -> bool:
        """Tell whether a worker is at work on the store."""
        try:
            with self.path.with_name(self.path.name + ".lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def close(self) -> None:
        """Close the store."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
