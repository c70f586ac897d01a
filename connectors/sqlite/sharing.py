"""Who may answer what: leases, answers on their way, and how many answers a query still needs.

An annotator is offered an open query when they have not answered it, and fewer others than it needs answers have it
before them or have answered it lately. Leases are rows of the store, so several servers and terminals agree; they end by
themselves when whoever holds them is not heard of.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Final

from connectors.sqlite.schema import pipeline_of, progress_of
from stream_al.errors import RecordError
from stream_al.records import Label, parse_answer

LEASE_SECONDS: Final = 180.0
"""A page in the background may be woken once a minute only, so two missed beats must not cost the card."""

TABLES: Final = """
CREATE TABLE IF NOT EXISTS leases (
    event_id TEXT NOT NULL, annotator TEXT NOT NULL, until REAL NOT NULL, PRIMARY KEY (event_id, annotator)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS leases_annotator ON leases (annotator);
CREATE INDEX IF NOT EXISTS drafts_event ON drafts (event_id, annotator);
CREATE INDEX IF NOT EXISTS drafts_annotator ON drafts (annotator, number);
CREATE TABLE IF NOT EXISTS underway (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, place TEXT);
CREATE INDEX IF NOT EXISTS underway_place ON underway (place);
"""
"""``underway`` are labels that were taken from the inbox to be passed on (`relayed`): what became of them is not seen
yet, so that they are on their way as if nobody had read them. On a store of a worker there are none."""
_ON_THEIR_WAY: Final = """
CREATE TEMP TABLE IF NOT EXISTS on_their_way (
    number INTEGER PRIMARY KEY, event_id TEXT NOT NULL, annotator TEXT NOT NULL, label TEXT
);
CREATE INDEX IF NOT EXISTS temp.on_their_way_event ON on_their_way (event_id, annotator);
CREATE INDEX IF NOT EXISTS temp.on_their_way_annotator ON on_their_way (annotator);
"""
NOT_MINE: Final = """
NOT EXISTS (SELECT 1 FROM temp.on_their_way AS w WHERE w.event_id = q.event_id AND +w.annotator = :me)
AND NOT EXISTS (SELECT 1 FROM drafts AS d WHERE d.event_id = q.event_id AND d.annotator = :me)
AND (q.votes = '[]' OR NOT EXISTS (
    SELECT 1 FROM json_each(q.votes) WHERE json_extract(value, '$[1].annotator') = :me))
AND (q.abstained = '[]' OR NOT EXISTS (SELECT 1 FROM json_each(q.abstained) WHERE value = :me))
"""
"""True of a query that this annotator has not answered. (The plus keeps SQLite from going through all of theirs.)"""
_OTHERS_LABELS: Final = """
FROM temp.on_their_way AS w WHERE w.event_id = q.event_id AND w.annotator <> :me AND w.label IS NOT NULL
"""
_OTHERS_LEASES: Final = (
    "FROM leases AS l WHERE l.event_id = q.event_id AND l.annotator <> :me AND l.until > :now"
)
WANTED: Final = f"""
CASE :quorum WHEN 1 THEN NOT EXISTS (SELECT 1 {_OTHERS_LABELS}) AND NOT EXISTS (SELECT 1 {_OTHERS_LEASES})
ELSE (SELECT count(*) FROM (SELECT w.annotator {_OTHERS_LABELS} UNION SELECT l.annotator {_OTHERS_LEASES}))
    < max(1, :quorum - json_array_length(q.votes)) END
"""
"""True of a query for which one more answer is wanted than others have under their hands.

With a quorum of 1 that is asked in a way that costs a third: whoever is dealt a card passes by all those just answered.
"""
FOR_ME: Final = f"FROM queries AS q WHERE q.status = 'open' AND {WANTED} AND {NOT_MINE}"


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables of this module where they are missing."""
    (there,) = connection.execute(
        "SELECT count(*) FROM sqlite_master WHERE name = 'underway_place'"
    ).fetchone()
    if not there:
        connection.executescript(f"BEGIN IMMEDIATE;{TABLES}COMMIT;")
    connection.executescript(_ON_THEIR_WAY)


def quorum(connection: sqlite3.Connection) -> int:
    """Return how many annotators must answer a query."""
    return int(pipeline_of(connection).get("labels", {}).get("quorum", 1))


def may_wait(connection: sqlite3.Connection) -> bool:
    """Tell whether an answer may wait for another one to the same query."""
    labels = pipeline_of(connection).get("labels", {})
    more = "second_opinion" in labels or labels.get("agreement") == "weighted"
    return more or int(labels.get("quorum", 1)) > 1


def withdraw_below(connection: sqlite3.Connection) -> float:
    """Return the utility below which open queries are withdrawn; 0 where none are."""
    return float(pipeline_of(connection).get("labels", {}).get("withdraw_below", 0.0))


def taken(connection: sqlite3.Connection) -> int:
    """Return the number of the last label in the inbox that the worker has read, or that is being passed on to one."""
    progress = progress_of(connection)
    position = progress.label_position if progress else 0
    return position if isinstance(position, int) else 0


def refresh(connection: sqlite3.Connection) -> None:
    """Bring ``temp.on_their_way``, the labels in the inbox that the worker has not read, up to date.

    Only what is new is read; what is no label is the worker's business.
    """
    last = taken(connection)
    connection.execute(
        "DELETE FROM temp.on_their_way WHERE number NOT IN (SELECT number FROM inbox) "
        "OR (number <= ? AND number NOT IN (SELECT number FROM underway))",
        (last,),
    )
    (newest,) = connection.execute("SELECT max(number) FROM temp.on_their_way").fetchone()
    (passed_on,) = connection.execute("SELECT min(number) FROM underway").fetchone()
    start = last if passed_on is None else min(last, passed_on - 1)
    rows = connection.execute(
        "SELECT number, record FROM inbox WHERE number > ? "
        "AND (number > ? OR number IN (SELECT number FROM underway))",
        (max(start, newest or 0), last),
    )
    found = [(number, label) for number, record in rows if (label := _read(record)) is not None]
    connection.executemany(
        "INSERT INTO temp.on_their_way VALUES (?, ?, ?, ?)",
        [(n, x.event_id, x.annotator, None if x.label is None else json.dumps(x.label)) for n, x in found],
    )


def undelivered(connection: sqlite3.Connection) -> int:
    """Return how many labels are to be passed on, and have not been seen where they belong."""
    (count,) = connection.execute(
        "SELECT count(*) FROM inbox WHERE number NOT IN (SELECT number FROM underway WHERE place IS NOT NULL)"
    ).fetchone()
    return int(count)


def undelivered_of(connection: sqlite3.Connection, annotator: str) -> tuple[int, bool]:
    """Return how many of those are an annotator's, and whether they cannot be passed on just now."""
    away = connection.execute("SELECT value FROM meta WHERE name = 'away'").fetchone()
    if away is None:  # a store of a worker
        return 0, False
    (count,) = connection.execute(
        "SELECT count(*) FROM temp.on_their_way AS w WHERE w.annotator = ? "
        "AND w.number NOT IN (SELECT number FROM underway WHERE place IS NOT NULL)",
        (annotator,),
    ).fetchone()
    return int(count), away[0] == "yes"


def _read(record: bytes) -> Label | None:
    try:
        answer = parse_answer(record)
    except RecordError:
        return None
    return answer if isinstance(answer, Label) else None


def lease(connection: sqlite3.Connection, annotator: str, events: Iterable[str], until: float) -> None:
    """Make these the queries an annotator holds, besides those they have answered with a class and not sent."""
    held = json.dumps(list(events))
    connection.execute("DELETE FROM leases WHERE annotator = ?", (annotator,))
    connection.execute(
        "INSERT INTO leases SELECT event_id, :me, :until FROM ("
        "SELECT value AS event_id FROM json_each(:held) UNION SELECT event_id FROM drafts "
        "WHERE annotator = :me AND json_extract(CAST(record AS TEXT), '$.label') IS NOT NULL)",
        {"me": annotator, "until": until, "held": held},
    )
