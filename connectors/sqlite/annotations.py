"""The annotator's side of a store: what to answer next, and where answers go."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connectors.sqlite import sharing
from connectors.sqlite.classes import KnownClasses
from connectors.sqlite.schema import connect, explained, is_relayed, progress_of, statuses_of
from connectors.sqlite.waiting import waiting_for
from stream_al.annotate.words import Standing
from stream_al.records import ClassLabel, Query


class Annotations:
    """An annotator's side of a store: what to answer next, and where answers go.

    An answer is first a draft, durable but not yet sent, so that it can be undone; a draft is sent when
    enough others followed it, or when the annotator leaves. Drafts of a session that died are sent when the
    same annotator comes back. A query that others have before them is not given to one more (`sharing`).

    Parameters
    ----------
    path
        The store's file.
    annotator
        The name the answers bear.
    undo
        How many answers can be undone.
    now
        The time in seconds, for leases.

    Raises
    ------
    StoreError
        When there is no such store.
    """

    def __init__(
        self, path: Path, annotator: str, *, undo: int = 10, now: Callable[[], float] = time.time
    ) -> None:
        self.path = path
        self.annotator = annotator
        self._undo = undo
        self._now = now
        self._connection = connect(path)
        try:
            with explained(path):
                sharing.prepare(self._connection)
                self._quorum = sharing.quorum(self._connection)
                self._known = KnownClasses(self._connection)
            self.send()
        except BaseException:
            self._connection.close()
            raise

    @contextmanager
    def _transaction(self, kind: str = "IMMEDIATE") -> Iterator[sqlite3.Connection]:
        """Give a transaction, rolled back when anything fails; ``DEFERRED`` is for reading one state."""
        connection = self._connection
        with explained(self.path):
            connection.execute(f"BEGIN {kind}")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    # ── what there is to answer ──────────────────────────────────────────────────────────────────

    def next_queries(self, limit: int = 1) -> list[Query]:
        """Return open queries for this annotator, those worth most first, and hold them for a while."""
        with self._transaction() as connection:
            rows = connection.execute(
                f"SELECT q.event_id, q.query {sharing.FOR_ME} ORDER BY q.utility DESC, q.asked LIMIT :limit",
                {**self._me(), "limit": limit},
            ).fetchall()
            until = self._now() + sharing.LEASE_SECONDS
            sharing.lease(connection, self.annotator, [event_id for event_id, _ in rows], until)
        return [Query.model_validate_json(query) for _, query in rows]

    def hold(self, event_id: str) -> None:
        """Go on holding a query that is being looked at."""
        with self._transaction() as connection:
            sharing.lease(connection, self.annotator, [event_id], self._now() + sharing.LEASE_SECONDS)

    def waiting(self, event_id: str) -> int:
        """Return how many events wait for the answer to this one."""
        with explained(self.path):
            return waiting_for(self._connection, [event_id]).get(event_id, 0)

    def count_for_me(self) -> int:
        """Return how many open queries there are for this annotator to answer."""
        with self._transaction("DEFERRED") as connection:
            (count,) = connection.execute(f"SELECT count(*) {sharing.FOR_ME}", self._me()).fetchone()
        return int(count)

    def status(self, event_id: str) -> str | None:
        """Return the status of an event's query; None when there is none."""
        with explained(self.path):
            row = self._connection.execute(
                "SELECT status FROM queries WHERE event_id = ?", (event_id,)
            ).fetchone()
            return None if row is None else str(row[0])

    def standing(self) -> Standing:
        """Return what an annotator without a card should know."""
        with self._transaction("DEFERRED") as connection:
            me = self._me()
            return standing(connection, me)

    def _me(self) -> dict[str, Any]:
        sharing.refresh(self._connection)
        return {"me": self.annotator, "now": self._now(), "quorum": self._quorum}

    # ── classes ──────────────────────────────────────────────────────────────────────────────────

    def classes(self) -> list[ClassLabel]:
        """Return the classes that are configured, learned, or on their way to be, sorted."""
        with self._transaction("DEFERRED"):
            sharing.refresh(self._connection)
            return self._known.all(self.annotator)

    def configured_classes(self) -> list[ClassLabel]:
        """Return the classes the configuration lists; when it does, no other can be learned."""
        return list(self._known.configured)

    def label_source(self) -> str:
        """Return where the store's worker takes labels from; ``"store"`` is here."""
        with explained(self.path):
            return label_source(self._connection)

    def label_type(self) -> str | None:
        """Return the pipeline's label type: configured, or fixed by its first class; None while it is not."""
        with explained(self.path):
            return self._known.kind()

    # ── answers ──────────────────────────────────────────────────────────────────────────────────

    def draft(self, event_id: str, record: bytes) -> None:
        """Keep an answer, instead of an earlier draft for the same event; send those too old to be undone."""
        with self._transaction() as connection:
            connection.execute(
                "DELETE FROM drafts WHERE annotator = ? AND event_id = ?", (self.annotator, event_id)
            )
            connection.execute(
                "INSERT INTO drafts (annotator, event_id, record) VALUES (?, ?, ?)",
                (self.annotator, event_id, record),
            )
            self._send(keep=self._undo)

    def undo(self) -> Query | None:
        """Take the last unsent answer back; return its query, or None when there is nothing to undo.

        The query may have been closed meanwhile (see `status`).
        """
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT number, event_id FROM drafts WHERE annotator = ? ORDER BY number DESC LIMIT 1",
                (self.annotator,),
            ).fetchone()
            if row is None:
                return None
            connection.execute("DELETE FROM drafts WHERE number = ?", (row[0],))
            found = connection.execute("SELECT query FROM queries WHERE event_id = ?", (row[1],)).fetchone()
        return None if found is None else Query.model_validate_json(found[0])

    def unsent(self) -> int:
        """Return how many answers can still be undone."""
        with explained(self.path):
            (count,) = self._connection.execute(
                "SELECT count(*) FROM drafts WHERE annotator = ?", (self.annotator,)
            ).fetchone()
            return int(count)

    def send(self) -> None:
        """Send all drafts."""
        with self._transaction():
            self._send(keep=0)

    def _send(self, keep: int) -> None:
        old = self._connection.execute(
            "SELECT number, record FROM drafts WHERE annotator = ? ORDER BY number DESC LIMIT -1 OFFSET ?",
            (self.annotator, keep),
        ).fetchall()
        for number, record in reversed(old):
            self._connection.execute("INSERT INTO inbox (record) VALUES (?)", (record,))
            self._connection.execute("DELETE FROM drafts WHERE number = ?", (number,))

    def close(self) -> None:
        """Send what is unsent, and close."""
        try:
            with self._transaction() as connection:
                sharing.lease(connection, self.annotator, [], 0.0)
                self._send(keep=0)
        finally:
            self._connection.close()


def label_source(connection: sqlite3.Connection) -> str:
    """Return where a store's worker takes labels from; ``"store"`` is here."""
    row = connection.execute("SELECT value FROM meta WHERE name = 'label_source'").fetchone()
    return "store" if row is None else str(row[0])


def standing(connection: sqlite3.Connection, me: dict[str, Any]) -> Standing:
    """Return what an annotator without a card should know; ``me`` as in `sharing.FOR_ME`."""
    execute = connection.execute
    statuses = statuses_of(connection)
    progress = progress_of(connection)
    events = progress.events if progress else 0
    (mine,) = execute("SELECT count(*) FROM temp.on_their_way WHERE annotator = :me", me).fetchone()
    (held,) = execute(
        f"SELECT count(*) FROM queries AS q WHERE q.status = 'open' AND {sharing.NOT_MINE} "
        f"AND NOT ({sharing.WANTED})",
        me,
    ).fetchone()
    (until,) = execute("SELECT min(until) FROM leases WHERE annotator <> :me AND until > :now", me).fetchone()
    # Of those asked about again the row is an old one; it is missed here if it is closed by now.
    (last,) = execute(
        "SELECT max(asked) FROM (SELECT asked FROM queries WHERE rowid = (SELECT max(rowid) FROM queries) "
        "UNION ALL SELECT max(asked) FROM queries WHERE status = 'open')"
    ).fetchone()
    return Standing(
        events=events,
        statuses=statuses,
        on_their_way=mine,
        held=held,
        held_until="" if until is None else time.strftime("%H:%M", time.localtime(until)),
        sure_for=0 if last is None or is_relayed(connection) else max(0, events - last - 1),
    )
