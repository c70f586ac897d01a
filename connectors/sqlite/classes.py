"""The classes of a store: configured, learned, or on their way to be."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

from connectors.sqlite import sharing
from connectors.sqlite.schema import pipeline_of
from stream_al.records import ClassLabel


class KnownClasses:
    """The classes of a store; `sharing.refresh` the connection before.

    Parameters
    ----------
    connection
        The store, opened by `connect` and made ready by `sharing.prepare`.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        model = pipeline_of(connection).get("model", {})
        self.configured: list[ClassLabel] = list(model.get("classes") or [])
        """The classes the configuration lists; when it does, no other can be learned."""
        self._kind: str | None = model.get("label_type") if isinstance(model.get("label_type"), str) else None
        self._several = sharing.may_wait(connection)
        self._found: list[ClassLabel] = []
        self._examples_read = 0

    def kind(self) -> str | None:
        """Return the pipeline's label type: configured, or fixed by its first class; None while it is not."""
        if self._kind is not None:
            return self._kind
        learned = self.learned()
        return type(learned[0]).__name__ if learned else None

    def learned(self) -> list[ClassLabel]:
        """Return the configured and learned classes; the log only grows, so only its new end is read."""
        for label in self.configured:
            _add(self._found, label)
        rows = self._connection.execute(
            "SELECT max(number), json_extract(example, '$.label') AS label, "
            "json_type(example, '$.label') AS kind FROM examples WHERE number >= ? "
            "AND json_type(example, '$.label') <> 'null' GROUP BY label, kind",
            (self._examples_read,),
        ).fetchall()
        for number, value, kind in rows:
            self._examples_read = max(self._examples_read, number + 1)
            _add(self._found, _typed(value, kind))
        return list(self._found)

    def all(self, drafts_of: str | None = None) -> list[ClassLabel]:
        """Return the classes that are configured, learned, or in answers that may be; sorted.

        ``drafts_of`` is the annotator whose drafts count; None: everybody's.
        """
        found = self.learned()
        if not self.configured:
            kind = self.kind()
            for label in self._said(drafts_of):
                if kind in (None, type(label).__name__):
                    _add(found, label)
        return sorted(found, key=lambda label: (type(label).__name__, label))

    def _said(self, drafts_of: str | None) -> Iterator[ClassLabel]:
        """Yield the classes in answers that wait for a quorum, are drafts, or not read by the worker."""
        execute = self._connection.execute
        if self._several:
            rows = execute(
                "SELECT DISTINCT json_extract(vote.value, '$[1].label'), json_type(vote.value, '$[1].label') "
                "FROM queries, json_each(votes) AS vote WHERE status = 'open' AND votes != '[]'"
            )
            yield from (_typed(value, kind) for value, kind in rows if value is not None)
        rows = execute(
            "SELECT DISTINCT json_extract(CAST(record AS TEXT), '$.label'), json_type(CAST(record AS TEXT), '$.label') "
            "FROM drafts WHERE :who IS NULL OR annotator = :who",
            {"who": drafts_of},
        )
        yield from (_typed(value, kind) for value, kind in rows if value is not None)
        rows = execute("SELECT DISTINCT label FROM temp.on_their_way WHERE label IS NOT NULL")
        yield from (json.loads(label) for (label,) in rows)


def _typed(value: Any, kind: str) -> ClassLabel:
    """Return a class as JSON had it; SQLite gives its booleans as numbers."""
    label: ClassLabel = {"true": True, "false": False}.get(kind, value)
    return label


def _add(classes: list[ClassLabel], label: ClassLabel) -> None:
    if not any(type(label) is type(known) and label == known for known in classes):
        classes.append(label)
