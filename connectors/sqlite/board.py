"""A store as the page's server sees it: many annotators, one connection, each batch of requests one transaction.

Guarantee: an answer is durable before it is acknowledged, and its key makes sending it again harmless.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from connectors.sqlite import sharing
from connectors.sqlite.annotations import label_source, standing
from connectors.sqlite.answers import TABLES as ANSWERS
from connectors.sqlite.answers import Answers
from connectors.sqlite.classes import KnownClasses
from connectors.sqlite.people import TABLES as PEOPLE
from connectors.sqlite.schema import connect, explained, pipeline_of
from connectors.sqlite.waiting import waiting_for
from stream_al.annotate.board import Answer, Classes, Reply, Request
from stream_al.annotate.words import STATUS_WORDS
from stream_al.errors import ConfigError, RecordError
from stream_al.records import ClassLabel, Query

IDLE: Final = 120.0
"""Seconds without an answer after which drafts are sent, as in the terminal: the model should not wait."""
IDLE_EMPTY: Final = 15.0
"""The same for who has nothing left to answer: the worker may be waiting for exactly these answers."""
_COUNTED: Final = 2.0
"""Seconds for which the number of open queries is not counted again."""


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
        self._now = now
        self._known: list[ClassLabel] = []
        self._resting: set[str] = set()
        self._counted = (0, -_COUNTED)
        self._classes = (Classes((), False, None), -_COUNTED)
        self._connection = connect(path)
        self._answers = Answers(self._connection, undo, now, self.classes)
        try:
            with explained(path):
                if (elsewhere := label_source(self._connection)) != "store":
                    raise ConfigError(
                        f"{path}: its worker takes labels from elsewhere ([labels] source = {elsewhere!r}), so nobody "
                        'would read your answers; set source = "store" and start it again'
                    )
                sharing.prepare(self._connection)
                self._connection.executescript(f"BEGIN IMMEDIATE;{ANSWERS}{PEOPLE}COMMIT;")
                self._quorum = sharing.quorum(self._connection)
                self._moot = sharing.withdraw_below(self._connection)
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
                reply.done.append(self._answers.take(who, operation))
                if operation.new_class is not None:
                    self._classes = (self._classes[0], -_COUNTED)  # it is to be a button on the next card
            else:
                done, event_id = self._answers.take_back(who, operation)
                reply.done.append(done)
                reopened += [event_id] if event_id is not None else []
        if request.operations:
            sharing.refresh(self._connection)  # what was sent just now is on its way
        if request.leave:
            self._answers.send(who, keep=0)
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
                f"SELECT q.status, q.utility, {sharing.NOT_MINE}, {sharing.WANTED} FROM queries AS q WHERE q.event_id = :id",
                {**me, "id": event_id},
            ).fetchone()
            status, utility, unanswered, wanted = found or ("gone", 1.0, True, True)
            if not unanswered:  # a vote that was taken back has left an abstention
                unanswered = self._answers.taken_back(who, event_id)
            if status == "withdrawn" and utility < self._moot:
                reply.gone[event_id] = "the model has become sure meanwhile"
            elif status != "open":
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
            reply.waiting = waiting_for(self._connection, [event_id for event_id, _ in rows])
            mine += [event_id for event_id, _ in rows]
        sharing.lease(self._connection, who, mine, self._now() + sharing.LEASE_SECONDS)
        (reply.undoable,) = execute("SELECT count(*) FROM drafts WHERE annotator = ?", (who,)).fetchone()
        reply.open = self._count_open()
        reply.undelivered, reply.away = sharing.undelivered_of(self._connection, who)
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
            retracting = self._answers.retracting()
            if not (due or over or retracting):
                return
            execute(f"PRAGMA synchronous = {'FULL' if due or retracting else 'NORMAL'}")
            execute("BEGIN IMMEDIATE")
            try:
                for who in due:
                    self._answers.send(who, keep=0)
                self._answers.settle()
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

    def budget(self) -> float | None:
        """Return the share of events that may be asked about, where there is one."""
        with explained(self.path):
            strategy = pipeline_of(self._connection).get("strategy", {})
        return strategy.get("budget") if strategy.get("name", "budgeted") in ("budgeted", "random") else None
