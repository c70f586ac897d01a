"""What is to be told to somebody else's server: messages about what the worker has committed, in tables of the store.

Everything here is done in transactions of its own, by a connection of its own: what a batch commits does not depend on
whether anybody is told of it. The position up to which rows have become messages is kept with the messages, so each row
becomes one message, whatever dies.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from pathlib import Path
from secrets import token_hex
from typing import Any, Final, NamedTuple

import msgspec

from connectors.sqlite.schema import connect, explained
from stream_al.errors import RecordError, StoreError
from stream_al.records import Amendment, parse_answer
from stream_al.reliability import Standing, standings_of
from stream_al.strategies.guard import QUARANTINED
from stream_al.webhooks import Message

TABLES: Final = """
CREATE TABLE IF NOT EXISTS outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, type TEXT NOT NULL, body BLOB NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, since REAL, due REAL NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '',
    given_up INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (given_up, number);
CREATE TABLE IF NOT EXISTS outbox_state (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_AT_ONCE: Final = 500
"""Labels, or batches, that become messages in one transaction."""
_SHOWN: Final = 3
"""Messages given up that are shown; all are kept."""
_TOLD: Final = {
    "budget-spent": ("budget.spent", "limit", ("rate-limit", "cost-limit")),
    "quarantine": ("guard.quarantine", "reason", tuple(QUARANTINED)),
}
"""Of each kind its type, what its reason is called, and the reasons of predictions that are told once a day."""


class _New(NamedTuple):
    """A message before it has a place in the outbox."""

    key: str
    """What it is about: the row, and what the row says. Its id is a hash of this."""
    type: str
    at: datetime | None
    data: dict[str, Any]


class _Alarms(msgspec.Struct):
    """What is needed of `stream_al.monitor.Drift.dump`."""

    counts: dict[str, int]
    recent: list[dict[str, Any]]


class _Timed(msgspec.Struct):
    """What is needed of an event of the journal."""

    id: str
    timestamp: datetime | None = None
    key: str | None = None


class SqliteOutbox:
    """The outbox of a store; a `stream_al.webhooks.Outbox`.

    What was in the store before a kind of message was first wanted is not told of.

    Parameters
    ----------
    path
        The store's file.
    kinds
        Which messages are wanted, of `stream_al.webhooks.KINDS`.
    """

    def __init__(self, path: Path, kinds: Collection[str]) -> None:
        self.path = path
        self._connection = connect(path)
        # Not to lose the last moments to a power failure is the worker's concern: here they would be told again.
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._read: dict[str, Callable[[Any], tuple[list[_New], Any, bool]]] = {
            "label": self._labels,
            "drift": self._drift,
            **{kind: partial(self._held_back, *told) for kind, told in _TOLD.items()},
            "distrust": self._distrusted,
        }
        self._kinds = [kind for kind in self._read if kind in kinds]
        self._seen = -1
        with explained(path), self._connection:
            self._connection.executescript(f"BEGIN IMMEDIATE;{TABLES}COMMIT;")
            self._connection.execute("BEGIN IMMEDIATE")
            self._begin()

    def _begin(self) -> None:
        execute = self._connection.execute
        execute("INSERT OR IGNORE INTO outbox_state VALUES ('store', ?)", (token_hex(16),))
        (self._store,) = execute("SELECT value FROM outbox_state WHERE name = 'store'").fetchone()
        now = {
            "label": "SELECT coalesce(max(number), -1) FROM labels",
            "drift": "SELECT coalesce((SELECT sum(n.value) FROM meta, json_each(meta.value, '$.counts') AS n "
            "WHERE meta.name = 'drift' AND meta.value <> ''), 0)",
            **dict.fromkeys(_TOLD, "SELECT coalesce(max(number), 0) FROM batches"),
        }
        if "distrust" in self._kinds:
            known = json.dumps(sorted(one.name for one in self._standings() if one.distrusted))
            execute("INSERT OR IGNORE INTO outbox_state VALUES ('distrust', ?)", (known,))
        else:
            execute("DELETE FROM outbox_state WHERE name = 'distrust'")
        for kind, query in now.items():
            if kind not in self._kinds:
                execute("DELETE FROM outbox_state WHERE name = ?", (kind,))
                continue
            (position,) = execute(query).fetchone()
            start = {"batch": position, "told": {}} if kind in _TOLD else position
            execute("INSERT OR IGNORE INTO outbox_state VALUES (?, ?)", (kind, json.dumps(start)))
        # A start is a new chance: somebody may have repaired what was wrong.
        execute("UPDATE outbox SET since = NULL, due = 0 WHERE given_up = 0 AND attempts > 0")

    # ── from rows to messages ────────────────────────────────────────────────────────────────────

    def collect(self) -> bool:
        """Write messages about what has been committed since; return whether there may be more at once."""
        with explained(self.path):
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
            if version == self._seen:
                return False
            try:
                more = self._collect()
            except (LookupError, ValueError) as error:  # msgspec's are ValueErrors
                raise StoreError(
                    f"{self.path}: what it holds cannot be read ({error}); `stream-al verify` tells what is damaged"
                ) from error
            self._seen = -1 if more else version
            return more

    def _collect(self) -> bool:
        # Read first: the worker's commit waits for who writes, not for who reads.
        more = False
        new: list[_New] = []
        positions: list[tuple[str, str]] = []
        for kind in self._kinds:
            before = self._position(kind)
            found, after, full = self._read[kind](before)
            new += found
            more = more or full
            if after != before:
                positions.append((json.dumps(after), kind))
        if positions:
            self._write(new, positions)
        return more

    def _position(self, kind: str) -> Any:
        (value,) = self._connection.execute(
            "SELECT value FROM outbox_state WHERE name = ?", (kind,)
        ).fetchone()
        return json.loads(value)

    def _write(self, new: list[_New], positions: list[tuple[str, str]]) -> None:
        now = datetime.now(UTC)
        rows = [
            (
                "msg_" + blake2b(f"{self._store} {key}".encode(), digest_size=16).hexdigest(),
                kind,
                msgspec.json.encode({"type": kind, "timestamp": at or now, "data": data}),
            )
            for key, kind, at, data in new
        ]
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany("INSERT INTO outbox (id, type, body) VALUES (?, ?, ?)", rows)
            self._connection.executemany("UPDATE outbox_state SET value = ? WHERE name = ?", positions)

    def _labels(self, position: int) -> tuple[list[_New], int, bool]:
        rows = self._connection.execute(
            "SELECT number, at_event, CAST(record AS BLOB), outcome FROM labels WHERE number > ? ORDER BY number LIMIT ?",
            (position, _AT_ONCE),
        )
        found, read = [], 0
        for number, at_event, record, outcome in rows:
            position, read = number, read + 1
            try:
                answer = parse_answer(record)
            except RecordError:
                continue  # no label: a dead letter
            told: dict[str, Any] = {"number": number, "event_id": answer.event_id}
            if isinstance(answer, Amendment):
                kind = "label.amended"
                told |= {"amends": answer.amends, "label": answer.label, "why": answer.why, "by": answer.by}
            else:
                kind = "label.received"
                told |= {"label": answer.label, "abstain": answer.abstain, "annotator": answer.annotator}
            told |= {"after_events": at_event, "outcome": outcome}
            key = f"label {number} {blake2b(record).hexdigest()}"
            found.append(_New(key, kind, answer.timestamp, told))
        return found, position, read == _AT_ONCE

    def _drift(self, position: int) -> tuple[list[_New], int, bool]:
        (text,) = self._connection.execute("SELECT value FROM meta WHERE name = 'drift'").fetchone() or ("",)
        if not text:
            return [], position, False
        kept = msgspec.json.decode(text, type=_Alarms)
        total = sum(kept.counts.values())
        first = max(position, total - len(kept.recent))  # the store keeps the newest only
        found = []
        for number in range(first, total):
            alarm = kept.recent[number - total]
            event = self._event(alarm["event"] - 1)
            at = None if event is None else event.timestamp
            key = f"drift {number} {json.dumps(alarm, sort_keys=True)}"
            found.append(_New(key, "drift.alarm", at, {"number": number, **alarm}))
        return found, total, False

    def _event(self, number: int) -> _Timed | None:
        """Return an event of the journal by its number from 0."""
        row = self._connection.execute(
            "SELECT first_event, CAST(events AS BLOB) FROM batches WHERE first_event <= ? ORDER BY number DESC LIMIT 1",
            (number,),
        ).fetchone()
        lines = row[1].split(b"\n") if row else []
        place = number - row[0] if row else 0
        return msgspec.json.decode(lines[place], type=_Timed) if 0 <= place < len(lines) else None

    def _standings(self) -> list[Standing]:
        row = self._connection.execute("SELECT value FROM meta WHERE name = 'progress'").fetchone()
        return standings_of(None if row is None else json.loads(row[0]).get("desk"))

    def _distrusted(self, position: list[str]) -> tuple[list[_New], list[str], bool]:
        """Return a message about each annotator who is distrusted, and was not when we last looked."""
        found, names = [], []
        for one in self._standings():
            if not one.distrusted:
                continue
            names.append(one.name)
            if one.name not in position:
                data = {"annotator": one.name, "reliability": one.reliability, "compared": one.compared}
                key = f"distrust {one.name} {one.compared!r}"
                found.append(_New(key, "annotator.distrusted", None, data))
        return found, names, False

    def _held_back(
        self, kind: str, called: str, reasons: Collection[str], position: dict[str, Any]
    ) -> tuple[list[_New], dict[str, Any], bool]:
        """Return messages of a kind: for each reason, one about the first event of a day that it held back."""
        last, told = position["batch"], dict(position["told"])
        (newest,) = self._connection.execute("SELECT coalesce(max(number), 0) FROM batches").fetchone()
        newest = min(newest, last + _AT_ONCE)
        found = []
        for reason in reasons:
            rows = self._connection.execute(
                "SELECT first_event, CAST(events AS BLOB), CAST(predictions AS BLOB) FROM batches "
                "WHERE number > ? AND number <= ? AND instr(CAST(predictions AS BLOB), ?) ORDER BY number",
                (last, newest, _mark(reason)),
            )
            for first, events, predictions in rows:
                for place, event in _first_held_back(events, predictions, reason, told.get(reason)):
                    day = told[reason] = _day(event)
                    data = {
                        called: reason,
                        "day": day or None,
                        "event_id": event.id,
                        "event": first + place + 1,
                        "key": event.key,
                    }
                    found.append(_New(f"spent {reason} {day} {data['event']}", kind, event.timestamp, data))
        found.sort(key=lambda message: message.data["event"])
        return found, {"batch": newest, "told": told}, newest == last + _AT_ONCE

    # ── from messages to their receiver ──────────────────────────────────────────────────────────

    def waiting(self, limit: int) -> list[Message]:
        """Return what is to be sent next, in order."""
        with explained(self.path):
            rows = self._connection.execute(
                "SELECT number, id, type, CAST(body AS BLOB), attempts, since, due FROM outbox WHERE given_up = 0 "
                "ORDER BY number LIMIT ?",
                (limit,),
            )
            return [Message(*row) for row in rows]

    def sent(self, numbers: Sequence[int]) -> None:
        """Forget messages that their receiver has."""
        if numbers:
            self._change("DELETE FROM outbox WHERE number = ?", [(number,) for number in numbers])

    def failed(self, number: int, since: float, due: float, error: str) -> None:
        """Note that a message was sent in vain, and when to send it again."""
        self._change(
            "UPDATE outbox SET attempts = attempts + 1, since = ?, due = ?, error = ? WHERE number = ?",
            [(since, due, error, number)],
        )

    def give_up(self, number: int, error: str) -> None:
        """Leave a message aside, for people to see."""
        self._change(
            "UPDATE outbox SET attempts = attempts + 1, given_up = 1, error = ? WHERE number = ?",
            [(error, number)],
        )

    def _change(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        with explained(self.path), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(statement, rows)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _mark(reason: str) -> bytes:
    """Return what a prediction with this reason has in its line, and no other: quotes within texts are escaped."""
    return f'"reason":"{reason}"'.encode()


def _first_held_back(
    events: bytes, predictions: bytes, reason: str, told: str | None
) -> Iterator[tuple[int, _Timed]]:
    """Yield the first event of each day that was held back for a reason in a batch, of days after one told of."""
    mark = _mark(reason)
    lines = events.split(b"\n")
    newest = msgspec.json.decode(lines[predictions.count(b"\n", 0, predictions.rindex(mark))], type=_Timed)
    if told is not None and _day(newest) <= told:
        return  # as it is for nearly all batches, once a budget is spent
    for place, line in enumerate(predictions.split(b"\n")):
        if mark in line:
            event = msgspec.json.decode(lines[place], type=_Timed)
            if told is None or _day(event) > told:
                told = _day(event)
                yield place, event


def _day(event: _Timed) -> str:
    return "" if event.timestamp is None else event.timestamp.astimezone(UTC).date().isoformat()


def standing(connection: sqlite3.Connection) -> dict[str, Any] | None:
    """Return how the outbox of a store stands; None where nobody was ever to be told."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'outbox'").fetchone():
        return None
    (waiting,) = connection.execute("SELECT count(*) FROM outbox WHERE given_up = 0").fetchone()
    (given_up,) = connection.execute("SELECT count(*) FROM outbox WHERE given_up = 1").fetchone()
    head = connection.execute(
        "SELECT id, type, attempts, due, error FROM outbox WHERE given_up = 0 ORDER BY number LIMIT 1"
    ).fetchone()
    failing = None
    if head is not None and head[2]:
        due = max(0.0, head[3] - time.time())
        failing = {
            "id": head[0],
            "type": head[1],
            "attempts": head[2],
            "seconds_to_next": due,
            "error": head[4],
        }
    last = connection.execute(
        "SELECT id, type, attempts, error FROM outbox WHERE given_up = 1 ORDER BY number DESC LIMIT ?",
        (_SHOWN,),
    )
    names = ("id", "type", "attempts", "error")
    recent = [dict(zip(names, row, strict=True)) for row in last]
    return {"waiting": waiting, "failing": failing, "given_up": given_up, "last_given_up": recent}
