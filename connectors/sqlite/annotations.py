"""The annotator's side of a store: what to answer next, and where answers go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from connectors.sqlite.schema import connect, explained, pipeline_of, progress_of
from stream_al.records import Query


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
        self._connection = connect(path)
        self.send()

    def next_queries(self, limit: int = 1) -> list[Query]:
        """Return open queries this annotator has not answered, those worth most first."""
        with explained(self.path):
            rows = self._connection.execute(
                """
                SELECT query, votes, abstained FROM queries WHERE status = 'open'
                AND event_id NOT IN (SELECT event_id FROM drafts WHERE annotator = :me)
                AND event_id NOT IN (
                    SELECT json_extract(CAST(record AS TEXT), '$.event_id') FROM inbox
                    WHERE number > :taken AND json_extract(CAST(record AS TEXT), '$.annotator') = :me
                )
                ORDER BY utility DESC, asked
                """,
                {"me": self.annotator, "taken": self._taken()},
            )
            found: list[Query] = []
            for query, votes, abstained in rows:
                answered = {vote[1]["annotator"] for vote in json.loads(votes)} | set(json.loads(abstained))
                if self.annotator not in answered:
                    found.append(Query.model_validate_json(query))
                    if len(found) == limit:
                        break
            return found

    def _taken(self) -> int:
        progress = progress_of(self._connection)
        position = progress.label_position if progress else 0
        return position if isinstance(position, int) else 0

    def count_open(self) -> int:
        """Return how many queries are open for anybody."""
        with explained(self.path):
            (count,) = self._connection.execute("SELECT count(*) FROM queries WHERE status = 'open'").fetchone()
            return int(count)

    def classes(self) -> list[str | int | bool]:
        """Return the classes that were configured or learned so far, sorted."""
        with explained(self.path):
            found: list[Any] = list(pipeline_of(self._connection).get("model", {}).get("classes") or [])
            rows = self._connection.execute(
                "SELECT DISTINCT json_extract(example, '$.label'), json_type(example, '$.label') FROM examples"
            )
            for value, kind in rows:
                label = {"true": True, "false": False}.get(kind, value)
                if not any(type(label) is type(c) and label == c for c in found):
                    found.append(label)
        return sorted(found, key=lambda label: (type(label).__name__, label))

    def label_type(self) -> str | None:
        """Return the configured label type, or None."""
        with explained(self.path):
            kind = pipeline_of(self._connection).get("model", {}).get("label_type")
            return kind if isinstance(kind, str) else None

    def draft(self, event_id: str, record: bytes) -> None:
        """Keep an answer; send those that are too old to be undone."""
        with explained(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute(
                "INSERT INTO drafts (annotator, event_id, record) VALUES (?, ?, ?)",
                (self.annotator, event_id, record),
            )
            self._send(keep=self._undo)
            self._connection.execute("COMMIT")

    def undo(self) -> Query | None:
        """Take the last unsent answer back; return its query, or None when there is nothing to undo."""
        with explained(self.path):
            row = self._connection.execute(
                "SELECT number, event_id FROM drafts WHERE annotator = ? ORDER BY number DESC LIMIT 1",
                (self.annotator,),
            ).fetchone()
            if row is None:
                return None
            self._connection.execute("DELETE FROM drafts WHERE number = ?", (row[0],))
            found = self._connection.execute("SELECT query FROM queries WHERE event_id = ?", (row[1],)).fetchone()
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
        with explained(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            self._send(keep=0)
            self._connection.execute("COMMIT")

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
        self.send()
        self._connection.close()
