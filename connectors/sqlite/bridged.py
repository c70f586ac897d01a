"""A store as a bridge to another labelling tool sees it: what is open, and labels that are sent once.

Guarantee: a label enters the inbox in one transaction with the note of it.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from connectors.sqlite import sharing
from connectors.sqlite.annotations import label_source
from connectors.sqlite.classes import KnownClasses
from connectors.sqlite.schema import connect, explained
from stream_al.errors import ConfigError, StoreBusyError
from stream_al.records import ClassLabel, Label, Query

TABLES: Final = """
CREATE TABLE IF NOT EXISTS bridged (
    bridge TEXT NOT NULL, event_id TEXT NOT NULL, annotator TEXT NOT NULL, said TEXT NOT NULL,
    PRIMARY KEY (bridge, event_id, annotator)
) WITHOUT ROWID;
"""


class Bridged:
    """A store as a bridge sees it.

    Parameters
    ----------
    path
        The store's file.
    bridge
        What is at the other end; what was sent is noted under it.

    Raises
    ------
    StoreError
        When there is no such store, or another bridge is at work on it.
    ConfigError
        When its worker takes labels from elsewhere, so that nobody would read them.
    """

    def __init__(self, path: Path, bridge: str) -> None:
        self.path = path
        self._bridge = bridge
        self._connection = connect(path)
        self._lock = path.with_name(path.name + ".bridge.lock").open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with explained(path):
                if (elsewhere := label_source(self._connection)) != "store":
                    raise ConfigError(
                        f"{path}: its worker takes labels from elsewhere ([labels] source = {elsewhere!r}), so nobody "
                        'would read the answers; set source = "store" and start it again'
                    )
                sharing.prepare(self._connection)
                self._connection.executescript(f"BEGIN IMMEDIATE;{TABLES}COMMIT;")
                self.quorum = sharing.quorum(self._connection)
                self._known = KnownClasses(self._connection)
        except BlockingIOError:
            self.close()
            raise StoreBusyError(
                f"{path}: another bridge is at work on it, and two would make each task twice; stop that one first"
            ) from None
        except BaseException:
            self.close()
            raise

    def classes(self) -> list[ClassLabel]:
        """Return the classes that are configured, learned, or on their way to be."""
        with explained(self.path):
            sharing.refresh(self._connection)
            return self._known.all()

    @property
    def closed(self) -> bool:
        """Whether there can be no other classes."""
        return bool(self._known.configured)

    def label_type(self) -> str | None:
        """Return the pipeline's label type; None while it is not fixed."""
        with explained(self.path):
            return self._known.kind()

    def statuses(self) -> dict[str, str]:
        """Return the status of every query, by event."""
        with explained(self.path):
            return dict(self._connection.execute("SELECT event_id, status FROM queries").fetchall())

    def open_queries(self) -> Iterable[Query]:
        """Return the open queries, those worth most first."""
        with explained(self.path):
            rows = self._connection.execute(
                "SELECT query FROM queries WHERE status = 'open' ORDER BY utility DESC, asked"
            ).fetchall()
        return (Query.model_validate_json(query) for (query,) in rows)

    def said(self) -> dict[str, dict[str, dict[str, ClassLabel]]]:
        """Return what was sent last, by event and annotator."""
        found: dict[str, dict[str, dict[str, ClassLabel]]] = {}
        with explained(self.path):
            rows = self._connection.execute(
                "SELECT event_id, annotator, said FROM bridged WHERE bridge = ?", (self._bridge,)
            ).fetchall()
        for event_id, annotator, said in rows:
            found.setdefault(event_id, {})[annotator] = json.loads(said)
        return found

    def send(self, labels: Sequence[Label]) -> None:
        """Put labels into the inbox and note them, in one transaction."""
        with explained(self.path):
            execute = self._connection.execute
            execute("BEGIN IMMEDIATE")
            try:
                for label in labels:
                    execute("INSERT INTO inbox (record) VALUES (?)", (label.to_json(),))
                    said = {"abstain": label.abstain} if label.label is None else {"label": label.label}
                    execute(
                        "INSERT OR REPLACE INTO bridged VALUES (?, ?, ?, ?)",
                        (self._bridge, label.event_id, label.annotator, json.dumps(said)),
                    )
                execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the store, and let another bridge work on it."""
        self._connection.close()
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
