"""What annotators said on the page: kept under its key, sent in its time, and taken back wherever it is by then.

Guarantee: an answer is in the store when it is acknowledged, and its key makes sending it again harmless.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from connectors.sqlite import sharing
from connectors.sqlite.people import note
from stream_al.annotate.answers import label_of
from stream_al.annotate.board import Answer, Classes, Done, Undo
from stream_al.annotate.words import STATUS_WORDS, one_line
from stream_al.errors import RecordError
from stream_al.records import Label

TABLES: Final = """
CREATE TABLE IF NOT EXISTS answers (
    number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, annotator TEXT NOT NULL, event_id TEXT NOT NULL,
    at REAL NOT NULL, state TEXT NOT NULL, said TEXT NOT NULL, draft INTEGER, inbox INTEGER,
    undo TEXT UNIQUE, undone TEXT, undo_said TEXT
);
CREATE INDEX IF NOT EXISTS answers_of ON answers (annotator, event_id);
CREATE INDEX IF NOT EXISTS answers_draft ON answers (draft) WHERE draft IS NOT NULL;
CREATE INDEX IF NOT EXISTS answers_retracted ON answers (inbox) WHERE undone = 'retracting';
CREATE INDEX IF NOT EXISTS answers_at ON answers (at);
"""
_LEARNED: Final = "The model has learned this answer already. Another answer corrects what it learned."


class Answers:
    """The answers of a store; every method belongs into a transaction of the caller's.

    Parameters
    ----------
    connection
        The store, opened by `connect` and made ready by `sharing.prepare`, with `TABLES`.
    undo
        How many of an annotator's answers stay drafts.
    now
        The time in seconds since 1970.
    classes
        The classes there are.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        undo: int,
        now: Callable[[], float],
        classes: Callable[[], Classes],
    ) -> None:
        self._execute = connection.execute
        self._connection = connection
        self._undo, self._now, self._classes = undo, now, classes

    # ── said ─────────────────────────────────────────────────────────────────────────────────────

    def take(self, who: str, answer: Answer) -> Done:
        """Keep an answer: as a draft while its query is open; else it is sent, for the worker to say what it is."""
        execute = self._execute
        before = execute("SELECT annotator, state, said FROM answers WHERE key = ?", (answer.key,)).fetchone()
        if before is not None:
            if before[0] != who:
                raise ValueError(f"key {answer.key!r}: is that of another's answer; make a new one")
            return Done(answer.key, before[1], before[2])
        try:
            label, extra = label_of(answer, who, self._classes(), self._now())
        except RecordError as error:
            asked: dict[str, Any] = {"label": answer.label, "new_class": answer.new_class}
            return self._keep(who, answer, asked, "refused", f"Not taken: {error.detail}.")
        content = {**label.model_dump(mode="json"), "page": extra}
        record = json.dumps(content, ensure_ascii=False).encode()
        status, learned_from = self._standing_of(answer.event_id)
        execute("DELETE FROM drafts WHERE annotator = ? AND event_id = ?", (who, answer.event_id))
        if status == "open":
            place = execute(
                "INSERT INTO drafts (annotator, event_id, record) VALUES (?, ?, ?)",
                (who, answer.event_id, record),
            )
            done = self._keep(who, answer, content, "kept", "", draft=place.lastrowid)
            self.send(who, keep=self._undo)
            return done
        place = execute("INSERT INTO inbox (record) VALUES (?)", (record,))
        if status == "answered" and who in learned_from:
            said = "Your correction is sent."
            return self._keep(who, answer, content, "correction", said, inbox=place.lastrowid)
        closed = f"{one_line(answer.event_id)} is {STATUS_WORDS.get(status, 'gone')} meanwhile"
        said = f"{closed}; your answer is kept, but not needed."
        return self._keep(who, answer, content, "late", said, inbox=place.lastrowid)

    def _keep(
        self,
        who: str,
        answer: Answer,
        content: dict[str, Any],
        state: str,
        said: str,
        *,
        draft: int | None = None,
        inbox: int | None = None,
    ) -> Done:
        self._execute(
            "INSERT INTO answers (key, annotator, event_id, at, state, said, draft, inbox) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (answer.key, who, answer.event_id, self._now(), state, said, draft, inbox),
        )
        self._note(who, "answered", answer.event_id, {"state": state, **content})
        return Done(answer.key, state, said)

    def _standing_of(self, event_id: str) -> tuple[str, set[str]]:
        """Return the status of an event's query, and whose answers it has."""
        status, votes = self._execute(
            "SELECT status, votes FROM queries WHERE event_id = ?", (event_id,)
        ).fetchone() or ("gone", "[]")
        return status, {vote[1].get("annotator") for vote in json.loads(votes)}

    def _note(self, who: str, what: str, event_id: str, content: dict[str, Any]) -> None:
        note(self._connection, self._now(), who, what, event_id, content)

    def send(self, who: str, keep: int) -> None:
        """Send an annotator's drafts but the newest few."""
        execute = self._execute
        old = execute(
            "SELECT number, record FROM drafts WHERE annotator = ? ORDER BY number DESC LIMIT -1 OFFSET ?",
            (who, keep),
        ).fetchall()
        for number, record in reversed(old):
            place = execute("INSERT INTO inbox (record) VALUES (?)", (record,)).lastrowid
            execute("UPDATE answers SET inbox = ?, draft = NULL WHERE draft = ?", (place, number))
            execute("DELETE FROM drafts WHERE number = ?", (number,))

    # ── taken back ───────────────────────────────────────────────────────────────────────────────

    def take_back(self, who: str, undo: Undo) -> tuple[Done, str | None]:
        """Take an answer back, wherever it is by now; return the event, too, where it can be answered again.

        A draft is thrown away. What lies in the inbox unread is taken out of it (`settle` sees to it if the worker
        was faster). A vote that waits for others is withdrawn by a label that says so. What was learned stays learned:
        another answer to it is a correction.
        """
        row = self._execute(
            "SELECT number, event_id, draft, inbox, undo, undone, undo_said FROM answers WHERE key = ? AND annotator = ?",
            (undo.answer, who),
        ).fetchone()
        if row is None:
            return Done(undo.key, "nothing", "Nothing to undo: this answer never arrived."), None
        number, event_id, draft, inbox, undone_by, state, said = row
        if undone_by is None:
            state, said = self._undone(who, event_id, draft, inbox, undo.key)
            self._execute(
                "UPDATE answers SET undo = ?, undone = ?, undo_said = ?, draft = NULL WHERE number = ?",
                (undo.key, state, said, number),
            )
            self._note(who, "undone", event_id, {"answer": undo.answer, "state": _told(state)})
        return Done(undo.key, _told(state), said), event_id if _told(state) == "taken-back" else None

    def _undone(
        self, who: str, event_id: str, draft: int | None, inbox: int | None, key: str
    ) -> tuple[str, str]:
        """Take an answer back; return what the `answers` table is to say of it, and a sentence."""
        status, learned_from = self._standing_of(event_id)
        if draft is not None and self._execute("DELETE FROM drafts WHERE number = ?", (draft,)).rowcount:
            state = "taken-back"
        elif inbox is not None and inbox > sharing.taken(self._connection):
            self._execute("DELETE FROM inbox WHERE number = ?", (inbox,))
            state = "retracting"
        elif status == "open":
            self._withdraw_vote(who, event_id, key)
            state = "taken-back"
        elif status == "answered" and who in learned_from:
            return "learned", _LEARNED
        else:
            state = "closed"
        if status != "open" and state != "retracting":
            return "closed", f"{one_line(event_id)} is {STATUS_WORDS.get(status, 'gone')} meanwhile."
        return state, ""

    def _withdraw_vote(self, who: str, event_id: str, key: str) -> None:
        now = datetime.fromtimestamp(self._now(), UTC)
        label = Label(event_id=event_id, abstain="skip", annotator=who, timestamp=now)
        content = {**label.model_dump(mode="json"), "page": {"undo": key, "why": "taken back"}}
        self._execute("INSERT INTO inbox (record) VALUES (?)", (json.dumps(content).encode(),))

    def retracting(self) -> bool:
        """Tell whether `settle` has something to look at."""
        return bool(
            self._execute("SELECT EXISTS (SELECT 1 FROM answers WHERE undone = 'retracting')").fetchone()[0]
        )

    def settle(self) -> None:
        """Look whether the worker had read an answer in the moment in which it was taken out of the inbox.

        If it had, and the annotator has given no other since, a label says that it was taken back.
        """
        rows = self._execute(
            "SELECT number, annotator, event_id, inbox, undo FROM answers WHERE undone = 'retracting' AND inbox <= ?",
            (sharing.taken(self._connection),),
        ).fetchall()
        for number, who, event_id, inbox, key in rows:
            read = self._execute("SELECT 1 FROM labels WHERE position = ?", (f"inbox:{inbox}",)).fetchone()
            again = self._execute(
                "SELECT 1 FROM answers WHERE annotator = ? AND event_id = ? AND number > ? AND undone IS NULL",
                (who, event_id, number),
            ).fetchone()
            if read and not again:
                self._withdraw_vote(who, event_id, key)
            self._execute("UPDATE answers SET undone = 'taken-back' WHERE number = ?", (number,))

    def taken_back(self, who: str, event_id: str) -> bool:
        """Tell whether an annotator's last answer to this event was taken back."""
        last = self._execute(
            "SELECT undone FROM answers WHERE annotator = ? AND event_id = ? ORDER BY number DESC LIMIT 1",
            (who, event_id),
        ).fetchone()
        return last is not None and last[0] is not None


def _told(undone: str) -> str:
    return "taken-back" if undone == "retracting" else undone
