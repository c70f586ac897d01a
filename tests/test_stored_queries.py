"""Open queries that stay in a store's file, against those in memory: the same answers, whatever comes and whoever dies."""

from __future__ import annotations

import sqlite3
import tempfile
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import recordings
import streams
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from river.naive_bayes import GaussianNB
from streams import rows

from connectors.memory import MemoryStore
from connectors.sqlite import SqliteStore, connect, open_table
from connectors.sqlite.schema import statuses_of
from stream_al import ActiveLearner, Budgeted, ColdStart, DeskRules, Model, fingerprints, stored_queries
from stream_al.codec import QueryRow
from stream_al.desk_rules import WHEN_FULL
from stream_al.fingerprints import Fingerprints
from stream_al.gold import Gold, GoldQuestion
from stream_al.groups import GroupRules
from stream_al.labels import LabelDesk
from stream_al.ports import Batch, Progress, Recovered
from stream_al.query_state import QueryState
from stream_al.records import Label
from stream_al.stored_queries import StoredQueries

EVENTS = [f"e{n}" for n in range(12)]
GOLD = Gold([GoldQuestion(f"e{n}.", {"a": 1.0}, "x") for n in range(3)], share=0.5)
UTILITIES = [0.0, 0.2, 0.5, 0.5, 0.9]
START = datetime(2026, 1, 31, tzinfo=UTC)


def row(event_id: str, number: int, utility: float, asked_at: datetime | None) -> QueryRow:
    features = {"a": number / 7, "text": "ü\n\u2028\x00" * (number % 3)}
    return QueryRow(
        event_id, features, None, None, "x", {"x": 0.6}, utility, None, 0.5, "random", 3, number, asked_at
    )


class Twins(RuleBasedStateMachine):
    """A desk that holds its open queries and one that leaves them in the file, told the same; both commit and die."""

    @initialize(
        quorum=st.integers(1, 2),
        events=st.none() | st.integers(2, 15),
        seconds=st.none() | st.integers(2, 30),
        max_open=st.integers(2, 8),
        when_full=st.sampled_from(WHEN_FULL),
        remember=st.integers(0, 4),
        at_once=st.sampled_from([1, 2, 64]),
        newest=st.sampled_from([0, 2, 64]),
        vague=st.booleans(),
    )
    def begin(
        self,
        quorum: int,
        events: int | None,
        seconds: int | None,
        max_open: int,
        when_full: str,
        remember: int,
        at_once: int,
        newest: int,
        vague: bool,
    ) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(open_table, "_AT_ONCE", at_once)
        self.patch.setattr(stored_queries, "_NEWEST", newest)
        if vague:  # whatever it is asked for may be there
            self.patch.setattr(Fingerprints, "__contains__", lambda self, event_id: True)
        self.rules = DeskRules(
            quorum=quorum,
            expire_after=None if seconds is None else timedelta(seconds=seconds),
            expire_after_events=events,
            max_open=max_open,
            when_full=when_full,
            remember=remember,
            withdraw_below=0.3,
        )
        self.folder = tempfile.TemporaryDirectory()
        self.held, self.kept = MemoryStore(), self.open()
        self.number = self.labels = 0
        self.moment: datetime | None = None
        self.start(None)

    def open(self) -> SqliteStore:
        store = SqliteStore(Path(self.folder.name) / "store.db", remember=self.rules.remember)
        store.connection.execute("PRAGMA synchronous = OFF")
        return store

    def start(self, progress: Progress | None) -> None:
        """Give both a new desk, as a process that starts does."""
        self.desks = LabelDesk(self.rules, gold=GOLD), LabelDesk(self.rules, gold=GOLD)
        for desk, store in zip(self.desks, (self.held, self.kept), strict=True):
            if store.open_queries is not None:  # type: ignore[attr-defined]
                desk.keep_in(store.open_queries)  # type: ignore[attr-defined]
            found = store.recover()  # type: ignore[attr-defined]
            if found is not None:
                desk.load(found.queries, found.progress.clock, found.progress.desk)
        self.committed = progress

    def both(self, name: str, *arguments: Any) -> Any:
        held, kept = (getattr(desk, name)(*arguments) for desk in self.desks)
        assert held == kept, name
        return held

    def teardown(self) -> None:
        if hasattr(self, "kept"):
            self.kept.close()
            self.folder.cleanup()
            self.patch.undo()

    # ── what happens ─────────────────────────────────────────────────────────────────────────────

    @rule(event_id=st.sampled_from(EVENTS), utility=st.sampled_from(UTILITIES), gold=st.booleans())
    def ask(self, event_id: str, utility: float, gold: bool) -> None:
        if self.both("blocks", event_id, utility) is None:
            self.both("ask", row(event_id, self.number, utility, self.moment))
            question = self.both("next_gold") if gold else None
            if question is not None:
                self.both("ask", row(question.id, self.number, utility, self.moment))
        self.number += 1

    @rule(
        event_id=st.sampled_from([*EVENTS, *GOLD.truths, "never asked"]),
        label=st.sampled_from(["x", "y", None]),
        who=st.sampled_from(["ann", "bob"]),
    )
    def answer(self, event_id: str, label: str | None, who: str) -> None:
        given = Label(event_id=event_id, label=label, abstain=None if label else "unsure", annotator=who)
        self.both("submit", self.labels, given, "", self.labels)
        self.labels += 1

    @precondition(lambda self: self.desks[0].expires)
    @rule(events=st.integers(0, 4), seconds=st.none() | st.integers(-5, 10))
    def let_time_pass(self, events: int, seconds: int | None) -> None:
        self.number += events
        if seconds is not None:
            self.moment = (self.moment or START) + timedelta(seconds=seconds)
        self.both("advance", self.number, None if seconds is None else self.moment)

    @rule(most=st.integers(1, 4), utility=st.sampled_from(UTILITIES), withdraws=st.booleans())
    def score_again(self, most: int, utility: float, withdraws: bool) -> None:
        for found in self.both("take_turns", most):
            self.both("revalue", found.event_id, utility)
            if self.both("untouched", found.event_id) and withdraws:
                self.both("withdraw", found.event_id, "because")

    @rule()
    def commit(self) -> None:
        for desk, store in zip(self.desks, (self.held, self.kept), strict=True):
            progress = Progress(batch=1, clock=desk.clock, desk=desk.memory)
            store.commit(Batch(self.number, (), changed=desk.take_changes(), progress=progress))  # type: ignore[attr-defined]
            desk.committed()
        self.committed = progress
        stored = self.desks[1]._open
        assert isinstance(stored, StoredQueries)
        assert not stored._added
        assert not stored._changed
        assert sum(map(len, stored._ids._buckets)) == 3 * len(stored)
        fields = ", ".join(QueryState._fields)
        kept = self.kept.connection.execute(f"SELECT {fields} FROM queries").fetchall()
        assert {QueryState(*found) for found in kept} == set(self.held.queries.values())

    @rule()
    def restart(self) -> None:
        self.commit()
        self.die()

    @rule()
    def die(self) -> None:
        self.kept.close()
        self.kept = self.open()
        self.start(self.committed)

    # ── what must be the same ────────────────────────────────────────────────────────────────────

    @invariant()
    def all_is_the_same(self) -> None:
        held, kept = self.desks
        assert len(held) == len(kept)
        assert held.oldest == kept.oldest
        if held._open.oldest is not None:
            assert kept._open.oldest is not None
            assert held._open.oldest.utility == kept._open.oldest.utility
        assert held.memory == kept.memory
        assert held.open_events == kept.open_events
        assert held.open_queries == kept.open_queries
        assert list(held.dump()) == list(kept.dump())
        assert [name in held for name in EVENTS] == [name in kept for name in EVENTS]
        assert [held.is_open(name) for name in GOLD.truths] == [kept.is_open(name) for name in GOLD.truths]
        if self.rules.when_full == "withdraw-least" and len(held):
            assert held._open.least == kept._open.least


TestTwins = Twins.TestCase
TestTwins.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


@pytest.mark.slow
def test_the_two_agree_for_long() -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        Twins, settings=settings(max_examples=1000, stateful_step_count=80, deadline=None)
    )


def test_an_id_is_found_until_as_many_of_its_kind_are_taken_out_as_came_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fingerprints, "hash", lambda text: int(text[1:]) << 14, raising=False)
    known, ids = (
        Fingerprints(),
        [f"e{number}" for number in range(64)],
    )  # four to a fingerprint of each bucket
    for event_id in ids:
        known.add(event_id)
    for event_id in ids:
        assert event_id in known
        known.discard(event_id)
    assert not any(event_id in known for event_id in ids)


class Holding(SqliteStore):
    """A store whose worker holds the open queries."""

    open_queries = None  # type: ignore[assignment]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.table, self.open_queries = self.open_queries, None

    def recover(self) -> Recovered | None:
        found = super().recover()
        return (
            None if found is None else found._replace(queries=[*self.table.asked_after(-1), *found.queries])
        )

    def commit(self, batch: Batch) -> None:
        self.open_queries = self.table
        super().commit(batch)
        self.open_queries = None


def test_a_worker_leaves_the_same_store_whether_or_not_it_holds_the_open_queries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = DeskRules(
        quorum=2,
        withdraw_below=0.5,
        rescore_every=3,
        rescore_most=7,
        max_open=40,
        when_full="withdraw-least",
        expire_after_events=90,
        expire_after=timedelta(minutes=80),
        remember=60,
    )
    events = rows(900, twice=11)
    for number, event in enumerate(events[300:]):  # before, there was no time
        event.timestamp = START + timedelta(minutes=number)
    found = []
    for kind in (SqliteStore, Holding):
        monkeypatch.setattr(recordings, "SqliteStore", kind)
        path = tmp_path / f"{kind.__name__}.db"
        for end in (200, 450, 451, 900):
            people = recordings.People(
                end, names=("ann", "bob"), wrong=0.2, silent=0.2, unsure=0.1, twice=0.1
            )
            strategy, groups = (
                ColdStart(Budgeted(0.3), examples=5),
                GroupRules(within=0.3, weight=1.0, check=0.3),
            )
            model = Model(GaussianNB(), checkpoint_every=7)
            learner = ActiveLearner(model, strategy, rules=rules, gold=GOLD, groups=groups)
            recordings.run_pipeline(path, learner, events[:end], people)
        found.append(contents(path))
    assert found[0] == found[1]
    statuses = {status for _, status, *_ in found[0]["queries"]}
    assert statuses >= {"answered", "checked", "expired", "open", "withdrawn"}


def test_a_learner_that_had_asked_before_it_got_a_store_takes_its_queries_along(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    learner = streams.learner(budget=1.0)
    learner.answer(rows(5))
    recordings.run_pipeline(path, learner, rows(8)[5:], recordings.People(silent=1.0))
    with closing(connect(path)) as connection:
        found = connection.execute(
            "SELECT event_id FROM queries WHERE status = 'open' ORDER BY asked"
        ).fetchall()
    assert [event_id for (event_id,) in found] == [f"e{number}" for number in range(8)]


def contents(path: Path) -> dict[str, list[Any]]:
    with closing(connect(path)) as connection:
        tables = ("batches", "labels", "dead_letters", "queries", "members", "examples", "meta")
        return {table: sorted(connection.execute(f"SELECT * FROM {table}")) for table in tables}


def test_a_store_of_an_earlier_version_gets_the_indexes_that_are_asked_now(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    people = recordings.People(silent=0.5)
    recordings.run_pipeline(path, streams.learner(), rows(300), people)
    before = contents(path)
    with closing(sqlite3.connect(path)) as connection:
        for index in ("by_utility", "by_number", "by_closing"):
            connection.execute(f"DROP INDEX queries_{index}")
        connection.execute("CREATE INDEX queries_open ON queries (status, utility DESC, asked)")
        connection.execute("CREATE INDEX queries_closed ON queries (closed)")
    store = SqliteStore(path)
    names = "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'queries' AND sql IS NOT NULL"
    found = {name for (name,) in store.connection.execute(names)}
    statuses = statuses_of(store.connection)
    store.close()
    assert found == {"queries_by_utility", "queries_by_number", "queries_by_closing"}
    assert contents(path) == before
    assert statuses == Counter(status for _, status, *_ in before["queries"])
