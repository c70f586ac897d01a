"""What the dashboard shows of a store: how much is open, how fast people answer, how far they agree."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, Final

from connectors.sqlite import sharing
from connectors.sqlite.agreement import Read, people_of
from connectors.sqlite.schema import connect, explained, is_relayed, progress_of, statuses_of
from stream_al.monitor import Accuracy, Alarm
from stream_al.ports import Progress
from stream_al.reliability import standings_of

_LABELS: Final = 5000
"""Of the ledger the newest labels; a dashboard that looks again every other second must not read all."""
_HOURS: Final = 12
_WAITING: Final = (
    "events from asking to the worker's reading the answer",
    "seconds from the event to its answer, by the times of their records",
)
_NOT_HERE: Final = "stream-al status tells it: it takes reading all topics"


class SqliteFigures:
    """Reads what the dashboard shows, with a connection of its own, so that nobody who answers waits for it.

    Parameters
    ----------
    path
        The store's file.
    now
        The time in seconds since 1970.
    """

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self.path = path
        self._now = now
        self._connection = connect(path)
        self._watched: tuple[str | None, dict[str, Any] | None] = (None, None)

    def read(self) -> dict[str, Any]:
        """Return what the dashboard shows, as JSON-able values.

        Waiting is counted in events, from asking to the worker's reading the answer: a store knows no other time of
        asking. In the file of a pipeline that runs elsewhere (`relayed`) it is counted in seconds. Two annotators agree
        where their labels of one query are the same.
        """
        now, connection = self._now(), self._connection
        with explained(self.path):
            connection.execute("BEGIN")
            try:
                return self._read(connection, now)
            finally:
                connection.execute("COMMIT")

    def _read(self, connection: sqlite3.Connection, now: float) -> dict[str, Any]:
        execute = connection.execute
        progress = progress_of(connection) or Progress()
        relayed = is_relayed(connection)
        read = _labels(connection, relayed)
        waited = [
            wait / 1000 if relayed else wait
            for _, outcome, wait, *_ in read
            if wait is not None and outcome != "unknown-event"
        ]
        (unsent,) = execute("SELECT count(*) FROM drafts").fetchone()
        if relayed:
            unsent += sharing.undelivered(connection)
        holding = execute("SELECT DISTINCT annotator FROM leases WHERE until > ? ORDER BY 1", (now,))
        return {
            "events": progress.events,
            "learned": progress.examples,
            "statuses": statuses_of(connection),
            "drafts": unsent,
            "at_work": [who for (who,) in holding],
            "hours": _hours(connection, now),
            "waiting": _median(waited),
            "waiting_in": _WAITING[relayed],
            "people": people_of(read, {one.name: one for one in standings_of(progress.desk)}),
            "accuracy": {"whole": {"why_not": _NOT_HERE}} if relayed else self._accuracy(progress),
            "alarms": _alarms(progress),
        }

    def _accuracy(self, progress: Progress) -> dict[str, Any] | None:
        """Return the estimated accuracy of all events and of the recent ones; None where it is not watched."""
        if progress.accuracy is None:
            return None
        if self._watched[0] != progress.accuracy:  # reading it costs more than all the rest
            report = Accuracy.load(progress.accuracy).report(progress.events)
            found = {
                "whole": report.whole._asdict(),
                "recent": report.recent._asdict(),
                "curve": [found._asdict() for found in report.curve],
            }
            self._watched = (progress.accuracy, found)
        return self._watched[1]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _alarms(progress: Progress) -> list[dict[str, Any]]:
    """Return the newest drift alarms."""
    if progress.drift is None:
        return []
    alarms = [Alarm(**alarm) for alarm in json.loads(progress.drift)["recent"]]
    return [{"event": alarm.event, "text": alarm.text()} for alarm in alarms]


def _labels(connection: sqlite3.Connection, relayed: bool) -> list[Read]:
    """Return the newest labels."""
    asked = (
        "nullif(q.asked, 0)" if relayed else "q.asked"
    )  # elsewhere it is a time, which may not be known any more
    rows = connection.execute(
        f"SELECT l.event_id, l.outcome, l.at_event - {asked}, CAST(l.record AS TEXT), q.query FROM labels AS l "
        "JOIN queries AS q ON q.event_id = l.event_id ORDER BY l.number DESC LIMIT ?",
        (_LABELS,),
    )
    return [
        Read(event, outcome, waited, *_said(record, query)) for event, outcome, waited, record, query in rows
    ]


def _said(record: str, query: str) -> tuple[str, Any, Any, float | None]:
    """Return who answered what, the model's own answer, and how many seconds it took."""
    try:
        label, asked = json.loads(record), json.loads(query)
        seconds = (label.get("page") or {}).get("seconds")
        return str(label.get("annotator", "anonymous")), label.get("label"), asked.get("predicted"), seconds
    except (ValueError, AttributeError):
        return "?", None, None, None


def _hours(connection: sqlite3.Connection, now: float) -> list[int]:
    """Return how many answers were kept in each of the last hours, the current one last."""
    counts = [0] * _HOURS
    rows = connection.execute(
        "SELECT CAST((? - at) / 3600 AS INTEGER), count(*) FROM answers "
        "WHERE at > ? AND undone IS NULL AND state <> 'refused' GROUP BY 1",
        (now, now - 3600 * _HOURS),
    )
    for ago, count in rows:
        if 0 <= ago < _HOURS:
            counts[_HOURS - 1 - ago] = count
    return counts


def _median(values: list[float]) -> float | None:
    return median(values) if values else None
