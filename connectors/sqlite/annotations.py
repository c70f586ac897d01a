"""The annotator's side of a store: what to answer next, and where answers go."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from connectors.sqlite.schema import connect, explained, pipeline_of, progress_of
from stream_al.errors import RecordError
from stream_al.records import ClassLabel, Label, Query, parse_answer, parse_label

_FOR_ME: Final = """
FROM queries WHERE status = 'open'
AND event_id NOT IN (SELECT event_id FROM drafts WHERE annotator = :me)
AND event_id NOT IN (SELECT value FROM json_each(:on_their_way))
AND (votes = '[]' OR NOT EXISTS (
    SELECT 1 FROM json_each(votes) WHERE json_extract(value, '$[1].annotator') = :me))
AND (abstained = '[]' OR NOT EXISTS (SELECT 1 FROM json_each(abstained) WHERE value = :me))
"""


class Annotations:
    """An annotator's side of a store: what to answer next, and where answers go.

    An answer is first a draft, durable but not yet sent, so that it can be undone; a draft is sent when
    enough others followed it, or when the annotator leaves. Drafts of a session that died are sent when the
    same annotator comes back.

    Parameters
    ----------
    path
        The store's file.
    annotator
        The name the answers bear.
    undo
        How many answers can be undone.

    Raises
    ------
    StoreError
        When there is no such store.
    """

    def __init__(self, path: Path, annotator: str, *, undo: int = 10) -> None:
        self.path = path
        self.annotator = annotator
        self._undo = undo
        self._classes: list[ClassLabel] = []
        self._examples_read = 0
        self._connection = connect(path)
        try:
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
        """Return open queries this annotator has not answered, those worth most first."""
        with self._transaction("DEFERRED") as connection:
            rows = connection.execute(
                f"SELECT query {_FOR_ME} ORDER BY utility DESC, asked LIMIT :limit",
                {**self._me(), "limit": limit},
            ).fetchall()
        return [Query.model_validate_json(query) for (query,) in rows]

    def count_for_me(self) -> int:
        """Return how many open queries this annotator has not answered."""
        with self._transaction("DEFERRED") as connection:
            (count,) = connection.execute(f"SELECT count(*) {_FOR_ME}", self._me()).fetchone()
        return int(count)

    def statuses(self) -> dict[str, int]:
        """Return how many queries there are of each status (`stream_al.labels.STATUSES`)."""
        with explained(self.path):
            return dict(self._connection.execute("SELECT status, count(*) FROM queries GROUP BY status"))

    def status(self, event_id: str) -> str | None:
        """Return the status of an event's query; None when there is none."""
        with explained(self.path):
            row = self._connection.execute(
                "SELECT status FROM queries WHERE event_id = ?", (event_id,)
            ).fetchone()
            return None if row is None else str(row[0])

    def count_events(self) -> int:
        """Return how many events the worker has answered."""
        with explained(self.path):
            progress = progress_of(self._connection)
            return progress.events if progress else 0

    def count_on_their_way(self) -> int:
        """Return how many of this annotator's answers were sent and not yet read by the worker."""
        with self._transaction("DEFERRED"):
            return sum(label.annotator == self.annotator for label in self._on_their_way())

    def _me(self) -> dict[str, str]:
        mine = [label.event_id for label in self._on_their_way() if label.annotator == self.annotator]
        return {"me": self.annotator, "on_their_way": json.dumps(mine)}

    def _on_their_way(self) -> Iterator[Label]:
        """Yield the labels in the inbox that the worker has not read; what is no label is its business."""
        progress = progress_of(self._connection)
        position = progress.label_position if progress else 0
        taken = position if isinstance(position, int) else 0
        for (record,) in self._connection.execute("SELECT record FROM inbox WHERE number > ?", (taken,)):
            try:
                answer = parse_answer(record)
            except RecordError:
                continue
            if isinstance(answer, Label):
                yield answer

    # ── classes ──────────────────────────────────────────────────────────────────────────────────

    def classes(self) -> list[ClassLabel]:
        """Return the classes that are configured, learned, or on their way to be, sorted."""
        with self._transaction("DEFERRED"):
            found = self._learned()
            kind = self.label_type()
            if self.configured_classes():
                return _in_order(found)
            for label in (*self._answered(), *(label.label for label in self._on_their_way())):
                if label is not None and kind in (None, type(label).__name__):
                    _add(found, label)
        return _in_order(found)

    def _learned(self) -> list[ClassLabel]:
        """Return the configured and learned classes; the log only grows, so only its new end is read."""
        for label in self.configured_classes():
            _add(self._classes, label)
        rows = self._connection.execute(
            "SELECT max(number), json_extract(example, '$.label') AS label, "
            "json_type(example, '$.label') AS kind FROM examples WHERE number >= ? GROUP BY label, kind",
            (self._examples_read,),
        ).fetchall()
        for number, value, kind in rows:
            self._examples_read = max(self._examples_read, number + 1)
            _add(self._classes, _typed(value, kind))
        return list(self._classes)

    def _answered(self) -> Iterator[ClassLabel | None]:
        """Yield the classes in answers that wait for a quorum, or are still drafts of this annotator."""
        rows = self._connection.execute(
            "SELECT DISTINCT json_extract(vote.value, '$[1].label'), json_type(vote.value, '$[1].label') "
            "FROM queries, json_each(votes) AS vote WHERE status = 'open' AND votes != '[]'"
        )
        yield from (_typed(value, kind) for value, kind in rows)
        drafts = self._connection.execute("SELECT record FROM drafts WHERE annotator = ?", (self.annotator,))
        yield from (parse_label(record).label for (record,) in drafts)

    def configured_classes(self) -> list[ClassLabel]:
        """Return the classes the configuration lists; when it does, no other can be learned."""
        with explained(self.path):
            found: list[ClassLabel] = pipeline_of(self._connection).get("model", {}).get("classes") or []
            return list(found)

    def label_source(self) -> str:
        """Return where the store's worker takes labels from; ``"store"`` is here."""
        with explained(self.path):
            row = self._connection.execute("SELECT value FROM meta WHERE name = 'label_source'").fetchone()
            return "store" if row is None else str(row[0])

    def label_type(self) -> str | None:
        """Return the pipeline's label type: configured, or fixed by its first class; None while it is not."""
        with explained(self.path):
            kind = pipeline_of(self._connection).get("model", {}).get("label_type")
            if isinstance(kind, str):
                return kind
            learned = self._learned()
            return type(learned[0]).__name__ if learned else None

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
            self.send()
        finally:
            self._connection.close()


def _typed(value: Any, kind: str) -> ClassLabel:
    """Return a class as JSON had it; SQLite gives its booleans as numbers."""
    label: ClassLabel = {"true": True, "false": False}.get(kind, value)
    return label


def _in_order(classes: list[ClassLabel]) -> list[ClassLabel]:
    return sorted(classes, key=lambda label: (type(label).__name__, label))


def _add(classes: list[ClassLabel], label: ClassLabel) -> None:
    if not any(type(label) is type(known) and label == known for known in classes):
        classes.append(label)
