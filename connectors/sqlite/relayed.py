"""The page's file of a pipeline that runs elsewhere: a store in which nothing is computed.

What others' log holds (`stream_al.annotate.relay`) is taken over into the tables of a store, so that the board, the
terminal and the dashboard work on it as on any store; the labels of its inbox go out to that log.

Guarantee: what was seen and how far is one transaction. A label is handed over, durably, before it goes out, and is on its
way until it was seen in the log and its outcome, too: whoever dies meanwhile, the next one knows what to look for.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from connectors.sqlite import sharing
from connectors.sqlite.schema import ORIGIN, checksum, connect, explained, pipeline_of, progress_of
from connectors.sqlite.store import locked
from stream_al.annotate.relay import Asked, Closed, Logged, Outgoing, Said, Seen
from stream_al.codec import EventRow, encode_lines
from stream_al.errors import RecordError, StoreError
from stream_al.ports import Progress
from stream_al.records import parse_answer

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS positions (part TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS labels_position ON labels (position);
"""
# The topics of a log are read side by side: an example may be seen before its query, and who answered must stay known.
_ASKED: Final = """
INSERT INTO queries VALUES (:event_id, 'open', :utility, :at, :query, '[]', '[]', NULL, NULL, NULL)
ON CONFLICT (event_id) DO UPDATE SET status = 'open', utility = :utility, asked = :at, query = :query, abstained = '[]',
    votes = CASE WHEN example IS NULL THEN '[]' ELSE votes END, closed = NULL
WHERE status <> 'open'
"""  # asked again while it is open: the first stands
_WRITTEN_ANEW: Final = """
INSERT INTO queries VALUES (:event_id, 'open', :utility, 0, :query, :votes, :abstained, NULL, NULL, NULL)
ON CONFLICT (event_id) DO UPDATE SET status = 'open', abstained = :abstained, closed = NULL,
    votes = CASE WHEN example IS NULL THEN :votes ELSE votes END
"""
_CLOSED: Final = """
INSERT INTO queries VALUES (:event_id, :status, 0.0, 0, '{}', '[]', '[]', NULL, NULL, :at)
ON CONFLICT (event_id) DO UPDATE SET closed = :at,
    status = CASE WHEN :status = 'withdrawn' AND example IS NOT NULL THEN 'answered' ELSE :status END
"""  # a second query of an event that was learned is withdrawn: the first was answered
_LEARNED: Final = """
INSERT INTO queries VALUES (:event_id, 'answered', 0.0, :asked, :query, :votes, '[]', NULL, :number, :at)
ON CONFLICT (event_id) DO UPDATE SET status = 'answered', votes = :votes, example = :number, closed = :at
"""
_OUTCOME: Final = """
INSERT INTO labels (batch, at_event, position, record, checksum, outcome, detail) VALUES (0, 0, ?, x'', 0, ?, ?)
ON CONFLICT (position) DO UPDATE SET outcome = excluded.outcome, detail = excluded.detail
"""
_ON_LOG: Final = "sent"
"""The outcome of a label that no worker has taken yet."""


class RelayedStore:
    """The page's file, as whoever speaks with the log sees it; see `stream_al.annotate.relay.RelayStore`.

    Parameters
    ----------
    path
        The file; made when it does not exist.
    pipeline
        `Config.pipeline`.
    origin
        What tells the log from others.

    Raises
    ------
    StoreError
        When the file is a worker's store, or of another log.
    StoreBusyError
        When another process has it.
    """

    def __init__(self, path: Path, pipeline: dict[str, Any], origin: str) -> None:
        self.path = path
        self._lock = locked(path, "page is being served from this file")
        try:
            self._connection = connect(path, create=True)
            with explained(path):
                self._agree(pipeline, origin)
                sharing.prepare(self._connection)
                self._connection.executescript(f"BEGIN IMMEDIATE;{_TABLES}COMMIT;")
                self._progress = progress_of(self._connection) or Progress()
        except BaseException:
            self._lock.close()
            raise
        self.note_away(False)

    def _agree(self, pipeline: dict[str, Any], origin: str) -> None:
        before = pipeline_of(self._connection)
        (worked,) = self._connection.execute("SELECT EXISTS (SELECT 1 FROM batches)").fetchone()
        if (worked and not before) or (before and before.get(ORIGIN) != origin):
            whose = "of other topics" if ORIGIN in before else "the store of a worker"
            raise StoreError(
                f"{self.path}: is {whose}; name another file for the page of this pipeline in [store] path"
            )
        written = json.dumps({**pipeline, ORIGIN: origin}, sort_keys=True)
        self._connection.execute(
            "INSERT OR REPLACE INTO meta VALUES ('pipeline', ?, ?)", (written, checksum(written))
        )

    @contextmanager
    def _transaction(self, *, durable: bool) -> Iterator[Callable[..., sqlite3.Cursor]]:
        """Give a transaction; what is not durable can be read from the log again."""
        execute = self._connection.execute
        with explained(self.path):
            execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            execute("BEGIN IMMEDIATE")
            try:
                yield execute
                execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    execute("ROLLBACK")
                raise

    # ── from the log ─────────────────────────────────────────────────────────────────────────────

    def positions(self) -> dict[str, int]:
        """Return how far the log is read, by its parts."""
        with explained(self.path):
            return dict(self._connection.execute("SELECT part, next FROM positions").fetchall())

    def take(self, seen: Iterable[Seen], positions: Mapping[str, int], events: int | None = None) -> None:
        """Take over what was seen, and how far that is, in one transaction."""
        with self._transaction(durable=False) as execute:
            for each in seen:
                if isinstance(each, Asked):
                    execute(_ASKED if each.votes is None else _WRITTEN_ANEW, each._asdict())
                    self._wait(each)
                elif isinstance(each, Closed):
                    execute(_CLOSED, each._asdict())
                elif isinstance(each, Said):
                    self._hear(each)
                elif isinstance(each, Logged):
                    self._log(each)
                else:
                    execute(_OUTCOME, each)
            self._connection.executemany(
                "INSERT OR REPLACE INTO positions VALUES (?, ?)", list(positions.items())
            )
            (examples,) = execute("SELECT coalesce(max(number) + 1, 0) FROM examples").fetchone()
            (labels,) = execute("SELECT coalesce(max(number), 0) FROM labels").fetchone()
            self._progress.examples, self._progress.labels = examples, labels
            self._progress.events = self._progress.events if events is None else events
            self._write_progress()

    def _write_progress(self) -> None:
        text = json.dumps(asdict(self._progress))
        self._connection.execute(
            "INSERT OR REPLACE INTO meta VALUES ('progress', ?, ?)", (text, checksum(text))
        )

    def _wait(self, query: Asked) -> None:
        """Note of the labels at a query that they wait, of which that is the last that was seen."""
        self._connection.executemany(
            _OUTCOME + f"WHERE outcome = '{_ON_LOG}'",
            [(place, "waiting", "") for _, _, place in json.loads(query.votes or "[]")],
        )

    def _hear(self, said: Said) -> None:
        execute = self._connection.execute
        execute(
            "INSERT INTO labels (batch, at_event, position, record, checksum, event_id, outcome, detail) "
            "VALUES (0, :at, :place, :record, :checksum, :event_id, :outcome, '') ON CONFLICT (position) "
            "DO UPDATE SET at_event = :at, record = :record, checksum = :checksum, event_id = :event_id",
            {**said._asdict(), "checksum": checksum(said.record), "outcome": _ON_LOG},
        )
        if (
            said.id is not None
        ):  # of one that was sent twice the first counts; the other is a duplicate to the desk
            execute("UPDATE underway SET place = ? WHERE id = ? AND place IS NULL", (said.place, said.id))

    def _log(self, logged: Logged) -> None:
        execute = self._connection.execute
        (number,) = execute("SELECT coalesce(max(number) + 1, 0) FROM examples").fetchone()
        text = "{}" if logged.event_id is None else logged.record
        execute("INSERT INTO examples VALUES (?, ?, ?)", (number, logged.event_id or "", text))
        votes = [
            [0, {"event_id": logged.event_id, "label": label, "annotator": who}, ""]
            for who, label in logged.answers.items()
        ]
        content = {"event_id": logged.event_id, "votes": json.dumps(votes), "number": number, "at": logged.at}
        if logged.amended:
            status = "erased" if logged.label is None else "answered"
            execute(
                "UPDATE queries SET status = :status, votes = :votes, closed = :at WHERE event_id = :event_id "
                "AND example IS NOT NULL AND (:amends IS NULL OR example = :amends)",
                {**content, "status": status, "amends": logged.amends},
            )
        elif logged.event_id is not None:
            query = json.dumps({"event_id": logged.event_id, "predicted": logged.predicted})
            execute(_LEARNED, {**content, "query": query, "asked": logged.asked_at})
        outcome = "amendment" if logged.amended else "example"
        self._connection.executemany(
            _OUTCOME, [(place, outcome, f"example {number}") for place in logged.places]
        )

    def keep_sample(self, events: Sequence[EventRow]) -> None:
        """Keep some of the newest events, where a worker's store has all of them."""
        with self._transaction(durable=False) as execute:
            execute(
                "INSERT OR REPLACE INTO batches VALUES (0, 0, ?, '[]', ?, x'', x'', x'')",
                (len(events), encode_lines(list(events))[:-1]),
            )

    # ── to the log ───────────────────────────────────────────────────────────────────────────────

    def hand_over(self) -> None:
        """Note which labels go out from now on; in the order of the inbox."""
        with explained(self.path):
            rows = self._connection.execute(
                "SELECT 1 FROM inbox WHERE number > ?", (self._progress.label_position or 0,)
            ).fetchone()
        if rows is None:
            return
        with self._transaction(durable=True) as execute:
            new = execute(
                "SELECT number, record FROM inbox WHERE number > ? ORDER BY number",
                (self._progress.label_position or 0,),
            ).fetchall()
            self._connection.executemany(
                "INSERT INTO underway (number, id) VALUES (?, ?)",
                [(number, _id(number, bytes(record))) for number, record in new],
            )
            if new:  # else they were taken out meanwhile
                self._progress.label_position = new[-1][0]
                self._write_progress()

    def outgoing(self) -> list[Outgoing]:
        """Return the labels that go out and were not seen in the log, in order."""
        with explained(self.path):
            rows = self._connection.execute(
                "SELECT u.number, u.id, i.record FROM underway AS u JOIN inbox AS i ON i.number = u.number "
                "WHERE u.place IS NULL ORDER BY u.number"
            ).fetchall()
        return [
            Outgoing(number, id_, _event_of(bytes(record)), bytes(record)) for number, id_, record in rows
        ]

    def settled(self) -> dict[int, str]:
        """Return the labels of which it was seen what became of them: their numbers and places."""
        with explained(self.path):
            rows = self._connection.execute(
                "SELECT u.number, u.place FROM underway AS u JOIN labels AS l ON l.position = u.place "
                f"WHERE l.outcome <> '{_ON_LOG}'"
            )
            return dict(rows.fetchall())

    def forget(self, numbers: Iterable[int]) -> None:
        """Forget settled labels, once the queries are as they are because of them."""
        with self._transaction(durable=False):
            for table in ("underway", "inbox"):
                self._connection.executemany(
                    f"DELETE FROM {table} WHERE number = ?", [(number,) for number in numbers]
                )

    def note_away(self, away: bool) -> None:
        """Note whether labels are waiting for the log to be there again."""
        with explained(self.path):
            said = "yes" if away else "no"
            self._connection.execute(
                "INSERT OR REPLACE INTO meta VALUES ('away', ?, ?)", (said, checksum(said))
            )

    def close(self) -> None:
        """Close the file, and let another process have it."""
        self._connection.close()
        self._lock.close()


def _id(number: int, record: bytes) -> str:
    """Return what tells a label from all others: also from one that has its number in an older copy of the file."""
    return blake2b(b"%d %s" % (number, record), digest_size=16).hexdigest()


def _event_of(record: bytes) -> str | None:
    try:
        return parse_answer(record).event_id
    except RecordError:
        return None
