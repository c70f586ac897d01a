"""A store as the page's server sees it: many annotators, one connection, each batch of requests one transaction.

Guarantee: an answer is durable before it is acknowledged, and its key makes sending it again harmless.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from connectors.sqlite import figures, sharing
from connectors.sqlite.annotations import label_source, standing
from connectors.sqlite.classes import KnownClasses
from connectors.sqlite.people import TABLES as PEOPLE
from connectors.sqlite.people import note
from connectors.sqlite.schema import connect, explained
from stream_al.annotate.board import Answer, Classes, Done, Reply, Request, Undo
from stream_al.annotate.classes import class_of
from stream_al.annotate.words import STATUS_WORDS, plain
from stream_al.errors import ConfigError, RecordError
from stream_al.records import ClassLabel, Label, Query

IDLE: Final = 120.0
"""Seconds without an answer after which drafts are sent, as in the terminal: the model should not wait."""
IDLE_EMPTY: Final = 15.0
"""The same for who has nothing left to answer: the worker may be waiting for exactly these answers."""
_COUNTED: Final = 2.0
"""Seconds for which the number of open queries is not counted again."""

TABLES: Final = """
CREATE TABLE IF NOT EXISTS answers (
    number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, annotator TEXT NOT NULL, event_id TEXT NOT NULL,
    at REAL NOT NULL, state TEXT NOT NULL, said TEXT NOT NULL, draft INTEGER, inbox INTEGER,
    undo TEXT UNIQUE, undone TEXT, undo_said TEXT
);
CREATE INDEX IF NOT EXISTS answers_of ON answers (annotator, event_id);
CREATE INDEX IF NOT EXISTS answers_draft ON answers (draft) WHERE draft IS NOT NULL;
CREATE INDEX IF NOT EXISTS answers_retracted ON answers (inbox) WHERE undone = 'retracting';
"""


class SqliteBoard:
    """A store as the page's server sees it; see `stream_al.annotate.board.Board`.

    Parameters
    ----------
    path
        The store's file.
    undo
        How many of an annotator's answers stay drafts.
    now
        The time in seconds since 1970.

    Raises
    ------
    StoreError
        When there is no such store.
    ConfigError
        When its worker takes labels from elsewhere, so that nobody would read the answers.
    """

    def __init__(self, path: Path, *, undo: int = 10, now: Callable[[], float] = time.time) -> None:
        self.path = path
        self._undo, self._now = undo, now
        self._known: list[ClassLabel] = []
        self._resting: set[str] = set()
        self._counted = (0, -_COUNTED)
        self._classes = (Classes((), False, None), -_COUNTED)
        self._connection = connect(path)
        try:
            with explained(path):
                if (elsewhere := label_source(self._connection)) != "store":
                    raise ConfigError(
                        f"{path}: its worker takes labels from elsewhere ([labels] source = {elsewhere!r}), so nobody "
                        'would read your answers; set source = "store" and start it again'
                    )
                sharing.prepare(self._connection)
                self._connection.executescript(f"BEGIN IMMEDIATE;{TABLES}{PEOPLE}COMMIT;")
                self._quorum = sharing.quorum(self._connection)
                self._known_classes = KnownClasses(self._connection)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the connection. Drafts are kept; the next server sends them when their time has come."""
        self._connection.close()

    # ── requests ─────────────────────────────────────────────────────────────────────────────────

    def apply(self, requests: Sequence[tuple[str, Request]]) -> list[Reply | Exception]:
        """Do what annotators ask for in one transaction; only answers are worth waiting for the disk."""
        said = any(request.operations or request.leave for _, request in requests)
        replies: list[Reply | Exception] = []
        with explained(self.path):
            execute = self._connection.execute
            execute(f"PRAGMA synchronous = {'FULL' if said else 'NORMAL'}")
            execute("BEGIN IMMEDIATE")
            try:
                sharing.refresh(self._connection)
                for who, request in requests:
                    execute("SAVEPOINT request")
                    try:
                        replies.append(self._one(who, request))
                    except (RecordError, ValueError) as error:
                        execute("ROLLBACK TO request")
                        replies.append(error)
                    execute("RELEASE request")
                execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    execute("ROLLBACK")
                raise
        return replies

    def _one(self, who: str, request: Request) -> Reply:
        reply = Reply()
        reopened = []
        for operation in request.operations:
            if isinstance(operation, Answer):
                reply.done.append(self._answer(who, operation))
            else:
                done, event_id = self._take_back(who, operation)
                reply.done.append(done)
                if event_id is not None and done.state == "taken-back":
                    reopened.append(event_id)
        if request.operations:
            sharing.refresh(self._connection)  # what was sent just now is on its way
        if request.leave:
            self._send(who, keep=0)
            sharing.lease(self._connection, who, (), 0.0)
            return reply
        self._deal(who, request, reopened, reply)
        return reply

    def _deal(self, who: str, request: Request, reopened: list[str], reply: Reply) -> None:
        """Prolong the leases of the cards a page has, put away what it need not answer, and give new ones."""
        execute = self._connection.execute
        me: dict[str, Any] = {"me": who, "now": self._now(), "quorum": self._quorum}
        mine: list[str] = []
        for event_id in dict.fromkeys((*request.have, *reopened)):
            found = execute(
                f"SELECT q.status, {sharing.NOT_MINE}, {sharing.WANTED} FROM queries AS q WHERE q.event_id = :id",
                {**me, "id": event_id},
            ).fetchone()
            status, unanswered, wanted = found or ("gone", True, True)
            if not unanswered:  # a vote that was taken back has left an abstention
                last = execute(
                    "SELECT undone FROM answers WHERE annotator = ? AND event_id = ? ORDER BY number DESC LIMIT 1",
                    (who, event_id),
                ).fetchone()
                unanswered = last is not None and last[0] is not None
            if status != "open":
                reply.gone[event_id] = f"{STATUS_WORDS.get(status, 'gone')} meanwhile"
            elif not unanswered:
                reply.gone[event_id] = "answered by you elsewhere"
            elif not wanted:
                reply.gone[event_id] = "with somebody else by now"
            else:
                mine.append(event_id)
        if len(mine) < request.want:
            rows = execute(
                f"SELECT q.event_id, q.query {sharing.FOR_ME} "
                "AND q.event_id NOT IN (SELECT value FROM json_each(:mine)) "
                "ORDER BY q.utility DESC, q.asked LIMIT :limit",
                {**me, "mine": json.dumps(mine), "limit": request.want - len(mine)},
            ).fetchall()
            reply.cards = [Query.model_validate_json(query) for _, query in rows]
            mine += [event_id for event_id, _ in rows]
        sharing.lease(self._connection, who, mine, self._now() + sharing.LEASE_SECONDS)
        (reply.undoable,) = execute("SELECT count(*) FROM drafts WHERE annotator = ?", (who,)).fetchone()
        reply.open = self._count_open()
        self._resting.discard(who)
        if not mine:
            self._resting.add(who)
            reply.empty = standing(self._connection, me)

    def _count_open(self) -> int:
        """Return how many open queries nobody has answered yet, as of a moment ago."""
        count, at = self._counted
        if not 0.0 <= self._now() - at < _COUNTED:
            (count,) = self._connection.execute(
                "SELECT (SELECT count(*) FROM queries WHERE status = 'open') - (SELECT count(*) FROM ("
                "SELECT event_id FROM temp.on_their_way UNION SELECT event_id FROM drafts))"
            ).fetchone()
            self._counted = (max(0, count), self._now())
        return self._counted[0]

    # ── answers ──────────────────────────────────────────────────────────────────────────────────

    def _answer(self, who: str, answer: Answer) -> Done:
        execute = self._connection.execute
        before = execute("SELECT annotator, state, said FROM answers WHERE key = ?", (answer.key,)).fetchone()
        if before is not None:
            if before[0] != who:
                raise ValueError(f"key {answer.key!r}: is that of another's answer; make a new one")
            return Done(answer.key, before[1], before[2])
        try:
            label, extra = self._read(who, answer)
        except RecordError as error:
            return self._keep(who, answer, {}, "refused", f"Not taken: {error.detail}.")
        content = {**label.model_dump(mode="json"), "page": extra}
        record = json.dumps(content, ensure_ascii=False).encode()
        found = execute("SELECT status, votes FROM queries WHERE event_id = ?", (answer.event_id,)).fetchone()
        execute("DELETE FROM drafts WHERE annotator = ? AND event_id = ?", (who, answer.event_id))
        if found is not None and found[0] == "open":
            place = execute(
                "INSERT INTO drafts (annotator, event_id, record) VALUES (?, ?, ?)",
                (who, answer.event_id, record),
            )
            done = self._keep(who, answer, content, "kept", "", draft=place.lastrowid)
            self._send(who, keep=self._undo)
            return done
        place = execute("INSERT INTO inbox (record) VALUES (?)", (record,))
        status, votes = found or ("gone", "[]")
        if status == "answered" and any(vote[1].get("annotator") == who for vote in json.loads(votes)):
            said = (
                "The model had learned your first answer. The correction is kept (dead letter "
                "“correction-after-learning”); it does not change the model yet."
            )
            return self._keep(who, answer, content, "correction", said, inbox=place.lastrowid)
        said = f"{answer.event_id} is {STATUS_WORDS.get(status, 'gone')} meanwhile; your answer is kept, but not needed."
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
        self._connection.execute(
            "INSERT INTO answers (key, annotator, event_id, at, state, said, draft, inbox) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (answer.key, who, answer.event_id, self._now(), state, said, draft, inbox),
        )
        if answer.new_class is not None:
            self._classes = (self._classes[0], -_COUNTED)  # it is to be a button on the next card
        told = content or {"label": answer.label, "new_class": answer.new_class, "why": said}
        note(self._connection, self._now(), who, "answered", answer.event_id, {"state": state, **told})
        return Done(answer.key, state, said)

    def _read(self, who: str, answer: Answer) -> tuple[Label, dict[str, Any]]:
        """Return an answer as a label, and what else was said and seen; both go into the record.

        Raises
        ------
        RecordError
            When it cannot be a label of this pipeline.
        """
        classes = self.classes()
        extra: dict[str, Any] = {
            "answer": answer.key,
            "saw_prediction": answer.saw_prediction,
            "seconds": round(answer.seconds, 3),
        }
        if answer.why:
            extra["why"] = plain(answer.why)
        if answer.note:
            extra["note"] = plain(answer.note)
        label, abstain = answer.label, answer.abstain
        if answer.new_class is not None:
            text = plain(answer.new_class)
            if classes.closed:
                label, abstain, extra["proposed_class"] = None, "unsure", text
            else:
                label = class_of(text, classes.kind)
        if (label is None) == (abstain is None):
            raise RecordError("contradiction", "an answer is either a class or an abstention")
        if label is not None:
            kind = type(label).__name__
            if classes.kind not in (None, kind):
                raise RecordError(
                    "wrong-label-type", f"this pipeline's classes are {classes.kind}, not {kind}"
                )
            if classes.closed and not any(type(c) is type(label) and c == label for c in classes.known):
                raise RecordError("unknown-class", "the configuration allows no such class")
        return (
            Label(
                event_id=answer.event_id,
                label=label,
                abstain=abstain,
                annotator=who,
                timestamp=self._when(answer),
            ),
            extra,
        )

    def _when(self, answer: Answer) -> datetime:
        """Return when an answer was given: by the annotator's clock, if that is not ahead of ours."""
        now = datetime.fromtimestamp(self._now(), UTC)
        try:
            at = datetime.fromisoformat(answer.at) if answer.at else now
            return min(at.astimezone(UTC) if at.tzinfo else now, now)
        except (ValueError, OverflowError):
            return now

    def _send(self, who: str, keep: int) -> None:
        """Send an annotator's drafts but the newest few."""
        execute = self._connection.execute
        old = execute(
            "SELECT number, record FROM drafts WHERE annotator = ? ORDER BY number DESC LIMIT -1 OFFSET ?",
            (who, keep),
        ).fetchall()
        for number, record in reversed(old):
            place = execute("INSERT INTO inbox (record) VALUES (?)", (record,)).lastrowid
            execute("UPDATE answers SET inbox = ?, draft = NULL WHERE draft = ?", (place, number))
            execute("DELETE FROM drafts WHERE number = ?", (number,))

    # ── taking back ──────────────────────────────────────────────────────────────────────────────

    def _take_back(self, who: str, undo: Undo) -> tuple[Done, str | None]:
        """Take an answer back, wherever it is by now; return the event, too, where there was one.

        A draft is thrown away. What lies in the inbox unread is taken out of it (`_settle` sees to it if the worker
        was faster). A vote that waits for others is withdrawn by a label that says so. What was learned stays learned:
        another answer to it is a correction.
        """
        execute = self._connection.execute
        row = execute(
            "SELECT number, event_id, draft, inbox, undo, undone, undo_said FROM answers WHERE key = ? AND annotator = ?",
            (undo.answer, who),
        ).fetchone()
        if row is None:
            return Done(undo.key, "nothing", "Nothing to undo: this answer never arrived."), None
        number, event_id, draft, inbox, undone_by, undone, undo_said = row
        if undone_by is not None:
            return Done(undo.key, _told(undone), undo_said), event_id
        status, votes = execute(
            "SELECT status, votes FROM queries WHERE event_id = ?", (event_id,)
        ).fetchone() or ("gone", "[]")
        state, said = "taken-back", ""
        if draft is not None and execute("DELETE FROM drafts WHERE number = ?", (draft,)).rowcount:
            pass
        elif inbox is not None and inbox > sharing.taken(self._connection):
            execute("DELETE FROM inbox WHERE number = ?", (inbox,))
            state = "retracting"
        elif status == "open":
            self._withdraw_vote(who, event_id, undo.key)
        elif status == "answered" and any(vote[1].get("annotator") == who for vote in json.loads(votes)):
            state, said = (
                "learned",
                (
                    "The model has learned this answer already. Answer again to correct it: the correction is kept, "
                    "but does not change the model yet."
                ),
            )
        if state == "taken-back" and status != "open":
            state, said = "closed", f"{event_id} is {STATUS_WORDS.get(status, 'gone')} meanwhile."
        execute(
            "UPDATE answers SET undo = ?, undone = ?, undo_said = ?, draft = NULL WHERE number = ?",
            (undo.key, state, said, number),
        )
        note(
            self._connection, self._now(), who, "undone", event_id,
            {"answer": undo.answer, "state": _told(state)},
        )  # fmt: skip
        return Done(undo.key, _told(state), said), event_id

    def _withdraw_vote(self, who: str, event_id: str, key: str) -> None:
        now = datetime.fromtimestamp(self._now(), UTC)
        label = Label(event_id=event_id, abstain="skip", annotator=who, timestamp=now)
        content = {**label.model_dump(mode="json"), "page": {"undo": key, "why": "taken back"}}
        self._connection.execute("INSERT INTO inbox (record) VALUES (?)", (json.dumps(content).encode(),))

    def _settle(self) -> None:
        """Look whether the worker had read an answer in the moment in which it was taken out of the inbox.

        If it had, and the annotator has given no other since, a label says that it was taken back.
        """
        execute = self._connection.execute
        rows = execute(
            "SELECT number, annotator, event_id, inbox, undo FROM answers WHERE undone = 'retracting' AND inbox <= ?",
            (sharing.taken(self._connection),),
        ).fetchall()
        for number, who, event_id, inbox, key in rows:
            read = execute("SELECT 1 FROM labels WHERE position = ?", (f"inbox:{inbox}",)).fetchone()
            again = execute(
                "SELECT 1 FROM answers WHERE annotator = ? AND event_id = ? AND number > ? AND undone IS NULL",
                (who, event_id, number),
            ).fetchone()
            if read and not again:
                self._withdraw_vote(who, event_id, key)
            execute("UPDATE answers SET undone = 'taken-back' WHERE number = ?", (number,))

    # ── by itself ────────────────────────────────────────────────────────────────────────────────

    def tick(self) -> None:
        """Send the drafts of who rests, forget leases that are over, and settle what was taken back."""
        with explained(self.path):
            execute, now = self._connection.execute, self._now()
            last = execute(
                "SELECT d.annotator, max(a.at) FROM drafts AS d JOIN answers AS a ON a.draft = d.number GROUP BY d.annotator"
            ).fetchall()
            due = [who for who, at in last if now - at >= (IDLE_EMPTY if who in self._resting else IDLE)]
            (over,) = execute("SELECT count(*) FROM leases WHERE until <= ?", (now,)).fetchone()
            (retracting,) = execute("SELECT count(*) FROM answers WHERE undone = 'retracting'").fetchone()
            if not (due or over or retracting):
                return
            execute(f"PRAGMA synchronous = {'FULL' if due or retracting else 'NORMAL'}")
            execute("BEGIN IMMEDIATE")
            try:
                for who in due:
                    self._send(who, keep=0)
                self._settle()
                execute("DELETE FROM leases WHERE until <= ?", (now,))
                execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    execute("ROLLBACK")
                raise

    # ── what there is ────────────────────────────────────────────────────────────────────────────

    def classes(self) -> Classes:
        """Return the classes, as of a moment ago; one keeps its place, and so its key, while this server runs."""
        found, at = self._classes
        if not 0.0 <= self._now() - at < _COUNTED:
            with explained(self.path):
                found = self._look_up_classes()
            self._classes = (found, self._now())
        return found

    def _look_up_classes(self) -> Classes:
        sharing.refresh(self._connection)
        known = self._known_classes
        found, kind = {(type(label), label): label for label in known.all()}, known.kind()
        if kind == "bool":
            found |= {(bool, label): label for label in (False, True)}
        kept = [label for label in self._known if found.pop((type(label), label), None) is not None]
        # Drafts of several types may be there before the first is learned; then only its type stays.
        self._known = [x for x in (*kept, *found.values()) if kind in (None, type(x).__name__)]
        return Classes(tuple(self._known), bool(known.configured), kind)

    def sample(self, size: int) -> list[dict[str, Any]]:
        """Return the features of the newest events, from the journal."""
        with explained(self.path):
            rows = self._connection.execute(
                "SELECT CAST(events AS BLOB) FROM batches ORDER BY number DESC LIMIT 20"
            )
            lines: list[bytes] = []
            for (events,) in rows:
                lines += reversed(events.split(b"\n"))
                if len(lines) >= size:
                    break
        return [json.loads(line).get("features", {}) for line in lines[:size] if line]

    def figures(self) -> dict[str, Any]:
        """Return what the dashboard shows."""
        with explained(self.path):
            return figures.figures(self._connection, self._now())

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection of the board, for who else works in the same thread."""
        return self._connection


def _told(undone: str) -> str:
    return "taken-back" if undone == "retracting" else undone
