"""A crash at every effect: before and after each read, write and commit of every embedded connector."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streams import learner, offline_digest, rows, write_jsonl

from connectors.files import Columns, JsonlEvents, JsonlLabels, JsonlSink, event_lines
from connectors.memory import MemoryEvents, MemorySink, MemoryStore
from connectors.sqlite import SqliteLabels, SqliteStore, verify
from stream_al import ActiveLearner, DeskRules, Guard, Limited, Quota
from stream_al.groups import GroupRules
from stream_al.ports import OUTPUTS, Store
from stream_al.records import Amendment
from stream_al.replay.oracle import SimulatedOracle
from stream_al.replay.people import Crowd
from stream_al.runtime import Worker

EVENTS = rows(60, twice=7)
RULES = DeskRules(
    expire_after_events=25,
    max_open=8,
    when_full="withdraw-least",
    remember=20,
    withdraw_below=0.7,
    rescore_every=2,
    rescore_most=3,
)


class Crash(BaseException):
    """The process dies here."""


class Fuse:
    """Counts effects, and dies at the one it was set for."""

    def __init__(self, dies_at: int = -1) -> None:
        self.dies_at = dies_at
        self.count = 0

    def __call__(self) -> None:
        self.count += 1
        if self.count == self.dies_at:
            raise Crash


class Fragile:
    """Stands before a connector; each call of the methods named is an effect, before it and after it."""

    def __init__(self, real: Any, fuse: Fuse, *methods: str) -> None:
        self.real, self._fuse, self._methods = real, fuse, methods

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.real, name)
        if name not in self._methods:
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            if arguments and str(arguments[0]).startswith("SELECT"):
                return found(
                    *arguments, **named
                )  # a look at the store: to die there is to die at what is beside it
            self._fuse()
            result = found(*arguments, **named)
            self._fuse()
            return result

        return call


class FragileFile(io.FileIO):
    """A file whose process may die before, in the middle of, and after a write."""

    fuse: Fuse

    def write(self, data: Any) -> int:
        self.fuse()
        super().write(data[: len(data) // 2])
        self.fuse()
        super().write(data[len(data) // 2 :])
        self.fuse()
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        self.fuse()
        return super().truncate(size)


class FragilePath:
    """Opens `FragileFile`s."""

    def __init__(self, path: Path, fuse: Fuse) -> None:
        self._path, self._fuse = path, fuse

    def __getattr__(self, name: str) -> Any:
        return getattr(self._path, name)

    def open(self, mode: str) -> FragileFile:
        file = FragileFile(self._path, mode.replace("b", ""))
        file.fuse = self._fuse
        return file


class World:
    """What outlives a process. ``open`` starts one; ``die`` is what the system does after its death."""

    rules = RULES
    groups: GroupRules | None = None
    budget, batch_size = 0.3, 10
    crowd = Crowd.one(3, 9)

    def open(self, fuse: Fuse) -> Worker:
        raise NotImplementedError

    def learner(self) -> ActiveLearner:
        return learner(self.rules, groups=self.groups, budget=self.budget)

    def die(self) -> None:
        pass

    def remains(self) -> dict[str, Any]:
        """Everything that must be the same as after an undisturbed run."""
        raise NotImplementedError


def accuracy_of(store: Store) -> str:
    recovered = store.recover()
    assert recovered is not None
    assert recovered.progress.accuracy is not None
    return recovered.progress.accuracy


class InMemory(World):
    def __init__(self, folder: Path) -> None:
        self.store, self.sink = MemoryStore(keep_batches=True), MemorySink()

    def open(self, fuse: Fuse) -> Worker:
        return Worker(
            self.learner(),
            Fragile(MemoryEvents(EVENTS), fuse, "read"),
            Fragile(SimulatedOracle(self.crowd), fuse, "poll", "asked"),
            Fragile(self.sink, fuse, "emit", "recover"),
            Fragile(self.store, fuse, "commit", "save_snapshot", "examples"),
            batch_size=self.batch_size,
        )

    def remains(self) -> dict[str, Any]:
        return {
            "streams": {name: bytes(stream) for name, stream in self.sink.streams.items()},
            "received": self.store.received,
            "log": self.store.log,
            "queries": self.store.queries,
            "members": self.store.members,
            "digest": offline_digest(self.store.log, learner().model),
            "accuracy": accuracy_of(self.store),
        }


class OnDisk(World):
    """JSONL in and out, SQLite between; labels simulated."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_jsonl(folder / "events.jsonl", EVENTS)
        self.store: SqliteStore | None = None
        self.opened: list[Any] = []

    def labels(self, store: SqliteStore) -> Any:
        return SimulatedOracle(self.crowd)

    def open(self, fuse: Fuse) -> Worker:
        store = self.store = SqliteStore(self.folder / "store.db", remember=self.rules.remember)
        # What dies here is a process, not the power: nothing needs to wait for the disk.
        store.connection.execute("PRAGMA synchronous = OFF")
        labels = self.labels(store)
        store.connection = Fragile(store.connection, fuse, "execute", "executemany")  # type: ignore[assignment]
        paths = {name: FragilePath(self.folder / f"{name}.jsonl", fuse) for name in OUTPUTS}
        sink = JsonlSink(paths)  # type: ignore[arg-type]
        events = JsonlEvents(event_lines(str(self.folder / "events.jsonl")), Columns(label="label"))
        self.opened = [labels, sink, events]
        return Worker(
            self.learner(),
            Fragile(events, fuse, "read"),
            Fragile(labels, fuse, "poll", "asked"),
            sink,
            store,
            batch_size=self.batch_size,
        )

    def die(self) -> None:
        if self.store is not None:
            self.store.connection.real.close()  # type: ignore[attr-defined]
            self.store._lock.close()
        for opened in self.opened:
            opened.close()

    def remains(self) -> dict[str, Any]:
        store = SqliteStore(self.folder / "store.db")
        try:
            tables = ("batches", "labels", "dead_letters", "queries", "examples", "members")
            found: dict[str, Any] = {
                table: sorted(store.connection.execute(f"SELECT * FROM {table}")) for table in tables
            }
            found["digest"] = offline_digest(store.examples(), learner().model)
            found["accuracy"] = accuracy_of(store)
        finally:
            store.close()
        return found | {name: (self.folder / f"{name}.jsonl").read_bytes() for name in OUTPUTS}


def corrected(number: int) -> list[dict[str, Any]]:
    """What comes later of an event's label: another answer, none, an amendment, an erasure, all of it."""
    event = EVENTS[number]
    other = "in" if event.truth == "out" else "out"
    about = {"event_id": event.id, "annotator": "a"}
    changed, back, taken_back = {"label": other}, {"label": event.truth}, {"abstain": "skip"}
    decided = {"amends": None, "label": other, "why": "looked at again"}
    erased = {"amends": None, "why": "on request"}
    lines = [
        [changed],
        [taken_back],
        [decided],
        [erased],
        [changed, back],
        [taken_back, back],
        [decided, erased],
    ]
    return [about | line for line in lines[number % len(lines)]]


class FromFile(OnDisk):
    """Labels from a JSONL file that is complete before the run, some bad, some corrected later; a portion a batch."""

    PORTION = 30

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        lines = ["not json"] * self.PORTION  # read before the first event
        for first in range(0, len(EVENTS), 10):
            portion = [
                json.dumps({"event_id": e.id, "label": e.truth, "annotator": "a"})
                for e in EVENTS[first : first + 10]
            ]
            portion += [json.dumps(c) for n in range(max(first - 10, 0), first) for c in corrected(n)]
            portion += ['{"event_id": "e1", "label": 1.5}'] * (self.PORTION - len(portion))
            lines += portion
        (folder / "labels.jsonl").write_text("".join(line + "\n" for line in lines))

    def labels(self, store: SqliteStore) -> Any:
        labels = JsonlLabels(self.folder / "labels.jsonl")
        read = labels._lines.read
        labels._lines.read = lambda limit, wait: read(self.PORTION, wait)  # type: ignore[method-assign]
        return labels


class FromInbox(OnDisk):
    """Labels from the store's own inbox, all there from the start."""

    def labels(self, store: SqliteStore) -> Any:
        (count,) = store.connection.execute("SELECT count(*) FROM inbox").fetchone()
        if not count:
            records = [json.dumps({"event_id": e.id, "label": e.truth, "annotator": "a"}) for e in EVENTS]
            store.connection.execute("BEGIN")
            store.connection.executemany(
                "INSERT INTO inbox (record) VALUES (?)", [(record.encode(),) for record in records]
            )
            store.connection.execute("COMMIT")
        return SqliteLabels(store)


class Guarded(OnDisk):
    """Behind a guard and within limits, both of which keep something of their own."""

    def learner(self) -> ActiveLearner:
        made = learner(RULES)
        limited = Limited(made.strategy, labels_total=20, quotas=(Quota("features.n", 0.5),))
        made.strategy = Guard(limited, source="features.n", burst=4, duplicates=40, repeats=1, outlier=2.0)
        made.state = made.strategy.start()
        return made


class Grouped(FromFile):
    """Near-duplicates are grouped; what is said of a group is corrected, taken back, amended, and split."""

    rules = replace(RULES, max_open=30, remember=100)
    groups = GroupRules(within=0.6, most=4, check=0.3)
    budget, batch_size = 1.0, 20
    PORTION = 60

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        lines = []
        for first in range(-20, len(EVENTS), 20):  # answers are a batch late, so that a few queries are open
            told = range(max(first, 0), first + 20)
            about = [{"event_id": EVENTS[n].id, "annotator": "a"} for n in told]
            split = [line | {"abstain": "skip", "only_this": True} for line in about]
            portion = [
                *split[1::7],
                *(
                    line | {"label": EVENTS[n].truth, "only_this": n % 9 == 8}
                    for n, line in zip(told, about, strict=True)
                ),
                *(c for n in range(max(first - 20, 0), first, 3) for c in corrected(n)),
                *split[::5],
            ]
            portion += [{"event_id": "e1", "label": 1.5}] * (self.PORTION - len(portion))
            lines += [json.dumps(line) for line in portion]
        (folder / "labels.jsonl").write_text("".join(line + "\n" for line in lines))


class Windowed(OnDisk):
    """The first events are collected; then some are asked about, after the fact, and the simulated people know them."""

    rules, budget, batch_size = Grouped.rules, Grouped.budget, Grouped.batch_size
    groups = replace(Grouped.groups, window=25, representatives=6)
    crowd = Crowd.one(12, 9)


class WindowedInMemory(InMemory):
    rules, groups, budget, crowd = Windowed.rules, Windowed.groups, Windowed.budget, Windowed.crowd


WORLDS: list[Callable[[Path], World]] = [
    InMemory,
    OnDisk,
    FromFile,
    FromInbox,
    Guarded,
    Grouped,
    Windowed,
    WindowedInMemory,
]


def live(world: World, fuse: Fuse) -> bool:
    """Run one process to its end or its death; tell whether it finished."""
    try:
        worker = world.open(fuse)
        worker.recover()
        worker.run()
    except Crash:
        return False
    finally:
        world.die()
    return True


@pytest.fixture(scope="module", params=WORLDS, ids=lambda world: world.__name__)
def undisturbed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    world = request.param(tmp_path_factory.mktemp("undisturbed"))
    fuse = Fuse()
    assert live(world, fuse)
    return request.param, world.remains(), fuse.count


def test_a_crash_at_any_effect_changes_nothing(undisturbed: Any, tmp_path: Path) -> None:
    make, expected, effects = undisturbed
    assert effects > 40
    for point in range(1, effects + 1):
        folder = tmp_path / str(point)
        folder.mkdir()
        world = make(folder)
        assert not live(world, Fuse(point)), f"effect {point} was never reached"
        assert live(world, Fuse())
        assert world.remains() == expected, f"after a crash at effect {point} of {effects}"


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(crashes=st.lists(st.integers(1, 120), min_size=2, max_size=12))
def test_crashes_during_recovery_change_nothing_either(
    undisturbed: Any, tmp_path_factory: pytest.TempPathFactory, crashes: list[int]
) -> None:
    make, expected, _ = undisturbed
    world = make(tmp_path_factory.mktemp("crashes"))
    for point in crashes:
        if live(world, Fuse(point)):
            break
    assert live(world, Fuse())
    assert world.remains() == expected


def test_what_is_left_is_one_prediction_an_event_and_verifies(tmp_path: Path) -> None:
    world = OnDisk(tmp_path)
    for point in (30, 31, 55, 80, 120):
        live(world, Fuse(point))
    assert live(world, Fuse())
    remains = world.remains()
    answered = [json.loads(line)["event_id"] for line in remains["predictions"].splitlines()]
    assert answered == [event.id for event in EVENTS]
    assert len(remains["examples"]) > 10
    verdict = verify(tmp_path / "store.db", lambda pipeline: learner(RULES))
    assert verdict.differences == []
    assert verdict.digest == remains["digest"]


def test_a_window_verifies_after_crashes_and_its_representatives_teach_their_groups(tmp_path: Path) -> None:
    world = Windowed(tmp_path)
    for point in (30, 55, 80, 120):
        live(world, Fuse(point))
    assert live(world, Fuse())
    queries = [json.loads(line) for line in world.remains()["queries"].splitlines()]
    chosen = [query["event_id"] for query in queries if query["reason"] == "representative"]
    assert len(chosen) == 6
    assert set(chosen) <= {event.id for event in EVENTS[:25]}
    store = SqliteStore(tmp_path / "store.db")
    sources = {record.propagated_from for record in store.examples()} - {None}
    store.close()
    assert sources & set(chosen)
    verdict = verify(tmp_path / "store.db", lambda pipeline: world.learner())
    assert verdict.differences == []
    assert verdict.digest == world.remains()["digest"]


def test_the_guarded_one_keeps_events_in_quarantine(tmp_path: Path) -> None:
    world = Guarded(tmp_path)
    assert live(world, Fuse())
    reasons = {json.loads(line)["reason"] for line in world.remains()["predictions"].splitlines()}
    assert {"flood", "near-duplicate", "uncertain"} <= reasons
    assert verify(tmp_path / "store.db", lambda pipeline: world.learner()).differences == []


def test_the_labels_of_the_file_amend_and_erase(tmp_path: Path) -> None:
    world = FromFile(tmp_path)
    for point in (30, 55, 80):
        live(world, Fuse(point))
    assert live(world, Fuse())
    store = SqliteStore(tmp_path / "store.db")
    amendments = [record for record in store.examples() if isinstance(record, Amendment)]
    store.close()
    assert {amendment.erases for amendment in amendments} == {True, False}
    assert {amendment.by for amendment in amendments} == {"a", "anonymous"}
    verdict = verify(tmp_path / "store.db", lambda pipeline: learner(RULES))
    assert verdict.differences == []
    assert verdict.digest == world.remains()["digest"]


def test_groups_verify_after_crashes_whatever_was_said_of_them(tmp_path: Path) -> None:
    world = Grouped(tmp_path)
    for point in (30, 55, 80, 101, 140):
        live(world, Fuse(point))
    assert live(world, Fuse())
    store = SqliteStore(tmp_path / "store.db")
    log = list(store.examples())
    statuses = {status for (status,) in store.connection.execute("SELECT DISTINCT status FROM members")}
    store.close()
    assert {"taught", "dropped", "check", "split"} <= statuses
    propagated = [record for record in log if record.propagated_from]
    assert {isinstance(record, Amendment) for record in propagated} == {False, True}
    verdict = verify(tmp_path / "store.db", lambda pipeline: world.learner())
    assert verdict.differences == []
    assert verdict.digest == world.remains()["digest"]
