"""Who may use the page of a store, who is logged in, and what everybody did: three tables of the store."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from secrets import token_bytes
from typing import Any, Final

from connectors.sqlite.schema import connect, explained
from stream_al.annotate.access import Person, Session

TABLES: Final = """
CREATE TABLE IF NOT EXISTS people (name TEXT PRIMARY KEY, role TEXT NOT NULL, token TEXT NOT NULL, since REAL NOT NULL)
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, began REAL NOT NULL, seen REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS page_secret (secret BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL,
    event_id TEXT, content TEXT NOT NULL
);
"""


def note(
    connection: sqlite3.Connection,
    at: float,
    who: str,
    what: str,
    event_id: str | None,
    content: dict[str, Any],
) -> None:
    """Write a line of the audit log."""
    connection.execute(
        "INSERT INTO audit (at, who, what, event_id, content) VALUES (?, ?, ?, ?, ?)",
        (at, who, what, event_id, json.dumps(content, ensure_ascii=False)),
    )


class SqlitePeople:
    """The people of a store; see `stream_al.annotate.access.People`.

    Parameters
    ----------
    path
        The store's file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = connect(path)
        with explained(path):
            self._connection.executescript(f"BEGIN IMMEDIATE;{TABLES}COMMIT;")

    def people(self) -> list[Person]:
        """Return all who have a token, by name."""
        with explained(self.path):
            return [
                Person(*row)
                for row in self._connection.execute(
                    "SELECT name, role, token, since FROM people ORDER BY name"
                )
            ]

    def put(self, person: Person, by: str) -> None:
        """Add somebody, or give them another role and token; their sessions end."""
        with explained(self.path), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("INSERT OR REPLACE INTO people VALUES (?, ?, ?, ?)", tuple(person))
            self._connection.execute("DELETE FROM sessions WHERE name = ?", (person.name,))
            note(
                self._connection,
                person.since,
                by,
                "token-made",
                None,
                {"name": person.name, "role": person.role},
            )

    def remove(self, name: str, by: str, at: float) -> bool:
        """Take somebody's token and sessions away; return whether there was such a person."""
        with explained(self.path), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            found = self._connection.execute("DELETE FROM people WHERE name = ?", (name,)).rowcount
            self._connection.execute("DELETE FROM sessions WHERE name = ?", (name,))
            if found:
                note(self._connection, at, by, "token-removed", None, {"name": name})
        return bool(found)

    def secret(self) -> bytes:
        """Return 32 random bytes, the same at every start."""
        with explained(self.path), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute(
                "INSERT INTO page_secret SELECT ? WHERE NOT EXISTS (SELECT 1 FROM page_secret)",
                (token_bytes(32),),
            )
            (found,) = self._connection.execute("SELECT secret FROM page_secret").fetchone()
        return bytes(found)

    def begin(self, session: Session) -> None:
        """Keep a session, and forget those that nobody has used for a day."""
        with explained(self.path), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("DELETE FROM sessions WHERE seen < ?", (session.began - 86_400.0,))
            self._connection.execute("INSERT INTO sessions VALUES (?, ?, ?, ?)", tuple(session))
            note(self._connection, session.began, session.name, "login", None, {})

    def session(self, key: str) -> tuple[Session, str] | None:
        """Return a session and the role its annotator has now."""
        with explained(self.path):
            row = self._connection.execute(
                "SELECT s.id, s.name, s.began, s.seen, p.role FROM sessions AS s JOIN people AS p ON p.name = s.name "
                "WHERE s.id = ?",
                (key,),
            ).fetchone()
        return None if row is None else (Session(*row[:4]), row[4])

    def seen(self, key: str, at: float) -> None:
        """Note that a session is in use."""
        with explained(self.path):
            self._connection.execute("UPDATE sessions SET seen = ? WHERE id = ?", (at, key))

    def end(self, key: str, name: str, at: float) -> None:
        """Forget a session."""
        with explained(self.path), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("DELETE FROM sessions WHERE id = ?", (key,))
            note(self._connection, at, name, "logout", None, {})

    def note(self, at: float, who: str, what: str, content: dict[str, Any]) -> None:
        """Write a line of the audit log."""
        with explained(self.path):
            note(self._connection, at, who, what, None, content)

    def audit(self) -> Iterator[dict[str, Any]]:
        """Yield the audit log; an answer with what became of its label, where the worker has read it."""
        with explained(self.path):
            outcomes = {
                key: {"outcome": outcome, "detail": detail}
                for key, outcome, detail in self._connection.execute(
                    "SELECT json_extract(CAST(record AS TEXT), '$.page.answer') AS key, outcome, detail FROM labels "
                    "WHERE json_valid(CAST(record AS TEXT)) AND key IS NOT NULL"
                )
            }
            rows = self._connection.execute(
                "SELECT number, at, who, what, event_id, content FROM audit ORDER BY number"
            )
            for number, at, who, what, event_id, content in rows:
                line = {"number": number, "at": at, "who": who, "what": what, "event_id": event_id}
                told = json.loads(content)
                page = told.get("page")
                became = outcomes.get(page.get("answer")) if isinstance(page, dict) else None
                yield {**line, "content": told, **({"became": became} if became else {})}

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
