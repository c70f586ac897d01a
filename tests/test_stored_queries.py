"""Open queries that stay in a store's file, against those in memory: the same answers, whatever comes and whoever dies."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from recordings import People, run_pipeline
from streams import learner, rows

from connectors.memory import MemoryEvents, MemorySink, MemoryStore
from connectors.sqlite import SqliteLabels, SqliteStore, open_table
from stream_al import DeskRules, fingerprints
from stream_al.codec import QueryRow
from stream_al.desk_rules import WHEN_FULL
from stream_al.errors import StreamALError
from stream_al.fingerprints import Fingerprints
from stream_al.gold import Gold, GoldQuestion
from stream_al.labels import LabelDesk, Settled
from stream_al.ports import Batch, Progress
from stream_al.query_state import QueryState
from stream_al.records import Label
from stream_al.runtime import Worker
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
        vague: bool,
    ) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(open_table, "_AT_ONCE", at_once)
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
        assert not (stored._added or stored._changed), "nothing is in memory between batches"
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


class InMemory(SqliteStore):
    """A store whose worker holds the open queries."""

    open_queries = None  # type: ignore[assignment]
