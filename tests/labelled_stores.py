"""A store with a worker, for the tests of those who answer its queries."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from river.naive_bayes import GaussianNB

from connectors.memory import MemoryEvents, MemorySink
from connectors.sqlite import SqliteLabels, SqliteStore
from stream_al import ActiveLearner, DeskRules, QueryStrategy
from stream_al.codec import EventRow
from stream_al.groups import GroupRules
from stream_al.records import Label
from stream_al.runtime import Worker

CATS = {"classes": ["cat", "dog"], "label_type": "str"}


def rows(count: int, **features: Any) -> list[EventRow]:
    return [EventRow(id=f"e{n:02d}", features={"x": float(n), **features}) for n in range(1, count + 1)]


GROUPED = [*rows(12), *(EventRow(id=f"like-{n}", features={"x": 3.0 + n / 100}) for n in range(2))]
"""Twelve events, and two that are like the third."""
GROUPS = GroupRules(within=0.05, weight=1.0, check=0.0)


class Pipeline:
    """A worker and its store; `work` lets it do whatever there is to do."""

    def __init__(
        self,
        path: Path,
        events: Sequence[EventRow],
        model: dict[str, Any] | None = None,
        quorum: int = 1,
        labels: type[SqliteLabels] = SqliteLabels,
        groups: GroupRules | None = None,
        strategy: QueryStrategy | None = None,
        **rules: Any,
    ) -> None:
        self.path = path
        self.store = SqliteStore(path, {"model": model or {}, "labels": {"quorum": quorum, **rules}})
        self.events = MemoryEvents(events)
        rules_of_desk = DeskRules(quorum=quorum, **rules)
        learner = ActiveLearner(GaussianNB(), strategy, rules=rules_of_desk, groups=groups)
        self.labels = labels(self.store)
        self.worker = Worker(learner, self.events, self.labels, MemorySink(), self.store)
        self.worker.recover()
        self.work()

    def work(self) -> Any:
        self.worker.run()
        return self.worker.progress

    def send(self, event_id: str, label: str, annotator: str = "elsewhere") -> None:
        """Put an answer of somebody who is not at the page into the inbox."""
        record = json.dumps({"event_id": event_id, "label": label, "annotator": annotator}).encode()
        self.store.connection.execute("INSERT INTO inbox (record) VALUES (?)", (record,))

    def records(self) -> list[dict[str, Any]]:
        """Return the labels that were sent, as JSON."""
        connection = sqlite3.connect(self.path)
        found = connection.execute("SELECT record FROM inbox ORDER BY number").fetchall()
        connection.close()
        return [json.loads(record) for (record,) in found]

    def drafts(self) -> list[dict[str, Any]]:
        """Return the answers that can still be thrown away, as JSON."""
        connection = sqlite3.connect(self.path)
        found = connection.execute("SELECT record FROM drafts ORDER BY number").fetchall()
        connection.close()
        return [json.loads(record) for (record,) in found]

    def sent(self) -> list[Label]:
        return [Label.model_validate(record) for record in self.records()]

    def answers(self) -> list[tuple[str, Any]]:
        """Return what was sent of each event: a class or an abstention."""
        return [(x.event_id, x.abstain if x.label is None else x.label) for x in self.sent()]

    def ledger(self) -> list[tuple[str, str]]:
        """Return the outcome of each label the worker has read."""
        return list(self.store.connection.execute("SELECT event_id, outcome FROM labels ORDER BY number"))
