"""The open queries of a store, for a desk that looks them up there: a `stream_al.stored_queries.QueryTable`."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from connectors.sqlite.schema import explained
from stream_al.query_state import QueryState

_FIELDS: Final = ", ".join(QueryState._fields)
_AT_ONCE: Final = 64
"""Rows read at a time. An open statement would keep the connection's snapshot, and nothing newer could be written upon."""


class OpenTable:
    """The open queries as of the last commit.

    Parameters
    ----------
    connect
        Returns the store's connection.
    path
        The store, for errors.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], path: Path) -> None:
        self._connect, self._path = connect, path
        self.clock: str | None = None
        """What those without a clock get with the next commit (`begin`)."""

    def find(self, event_id: str) -> QueryState | None:
        """Return an event's query; None when it is not open."""
        rows = self._read(
            f"SELECT {_FIELDS} FROM queries WHERE event_id = ? AND +status = 'open'", event_id
        )  # the plus keeps SQLite from going through all that are open
        return QueryState(*rows[0]) if rows else None

    def ids(self) -> Iterator[tuple[int, str]]:
        """Yield (number of the event, its id) of all, in the order of the numbers."""
        with explained(self._path):
            yield from self._connect().execute(
                "SELECT asked, event_id FROM queries WHERE status = 'open' ORDER BY asked, event_id"
            )

    def asked_after(self, number: int) -> Iterator[QueryState]:
        """Yield those asked after an event, in the order of the events."""
        asked, event_id = number + 1, ""
        while True:
            rows = self._read(
                f"SELECT {_FIELDS} FROM queries WHERE status = 'open' AND (asked, event_id) > (?, ?) "
                "ORDER BY asked, event_id LIMIT ?",
                asked,
                event_id,
                _AT_ONCE,
            )
            found = [QueryState(*row) for row in rows]
            yield from found
            if len(found) < _AT_ONCE:
                return
            asked, event_id = found[-1].asked, found[-1].event_id

    def least(self) -> Iterator[tuple[float, int, str]]:
        """Yield (utility, number of the event, its id) of all, smallest first."""
        ((utility,),) = self._read("SELECT min(utility) FROM queries WHERE status = 'open'")
        while utility is not None:
            asked, row = -1, 0
            while True:
                rows = self._read(
                    "SELECT asked, rowid, event_id FROM queries WHERE status = 'open' AND utility = ? "
                    "AND (asked, rowid) > (?, ?) ORDER BY asked, rowid LIMIT ?",
                    utility,
                    asked,
                    row,
                    _AT_ONCE,
                )
                yield from ((utility, asked, event_id) for asked, _, event_id in rows)
                if len(rows) < _AT_ONCE:
                    break
                asked, row, _ = rows[-1]
            ((utility,),) = self._read(
                "SELECT min(utility) FROM queries WHERE status = 'open' AND utility > ?", utility
            )

    def begin(self, clock: str) -> None:
        """Give those without a clock this one, with the next commit."""
        self.clock = clock

    def write(self, connection: sqlite3.Connection) -> None:
        """Do, in the transaction of a commit, what `begin` promised."""
        if self.clock is not None:
            connection.execute(
                "UPDATE queries SET clock = ? WHERE status = 'open' AND clock IS NULL", (self.clock,)
            )

    def _read(self, query: str, *parameters: Any) -> list[Any]:
        with explained(self._path):
            return self._connect().execute(query, parameters).fetchall()
