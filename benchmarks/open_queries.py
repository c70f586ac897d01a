"""What open queries cost: memory, and time an event, with a hundred to a million of them.

    python benchmarks/open_queries.py [--most 1000000] [--rounds 15]

For 10², 10³, … open queries there are three pipelines over River's Shuttle (9 features), each of which first asks about so
many events: *embedded*, a learner by itself; *worker*, all that `stream-al run` does, with an SQLite store; and *full*, a
learner whose desk is full, so that every new query withdraws the least useful one. Then all go on by turns, 2,000 events
each, asking about 4 %; embedded and worker get as many answers, to their oldest queries, and learn them. The table has the
CPU time of a turn beside that of the same pipeline with a hundred open queries in the same round: the median of the
rounds (the quartiles); rounds during which a fixed loop took a tenth longer than it usually does are left out.

The first memory is what the process grew by while the embedded learner asked; *collection* is then a full round of
Python's garbage collector; *restart* is the CPU time a new worker takes to stand where the last one stood, in a process of
its own, and what that has grown by after three turns, SQLite's cache of pages included.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from river import linear_model, preprocessing
from speed import rows_of, taught
from turns import ratio, take_turns, undisturbed

from connectors.datasets import RiverEvents
from connectors.memory import MemoryLabels, MemorySink
from connectors.sqlite import SqliteStore
from stream_al import ActiveLearner, DeskRules, Model, Random
from stream_al.codec import EventRow
from stream_al.ports import LabelledRow, Position
from stream_al.records import DeadLetter, Label
from stream_al.runtime import Worker, tune_collector
from stream_al.runtime.worker import RUN

SEGMENT = 2000


def memory() -> float:
    """Return the memory of this process, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


class Again:
    """The same rows again and again, as the events e0, e1, …: an endless source."""

    exhausted = False

    def __init__(self, rows: list[LabelledRow]) -> None:
        self._rows = rows
        self.position: Position = 0

    def seek(self, position: Position) -> None:
        self.position = position or 0

    def read(self, limit: int, wait: float) -> Sequence[EventRow | DeadLetter]:
        return self.next(limit)

    def next(self, most: int) -> list[EventRow]:
        start, rows = self.position or 0, self._rows
        self.position = start + most
        return [EventRow(rows[at % len(rows)].features, f"e{at}") for at in range(start, start + most)]

    def label(self, event_id: str) -> Label:
        return Label(event_id=event_id, label=self._rows[int(event_id[1:]) % len(self._rows)].truth)

    def close(self) -> None:
        """Do nothing."""


class Oldest:
    """Which query is the oldest: the first of those asked at the beginning, or later."""

    def __init__(self, queries: int) -> None:
        self.later: deque[str] = deque()
        self._first = queries
        self._next = 0

    def __next__(self) -> str:
        self._next += 1
        return f"e{self._next - 1}" if self._next <= self._first else self.later.popleft()


class Embedded:
    """A learner by itself, with so many open queries."""

    def __init__(self, model: bytes, rows: list[LabelledRow], queries: int, *, full: bool = False) -> None:
        rules = (
            DeskRules(max_open=queries, when_full="withdraw-least")
            if full
            else DeskRules(max_open=queries + SEGMENT)
        )
        self.events = Again(rows)
        self.learner = ActiveLearner(fresh(model), Random(1.0), rules=rules)
        for start in range(0, queries, RUN):
            self.learner.answer(self.events.next(min(RUN, queries - start)))
        self.learner.strategy = Random(0.04)
        self._oldest = None if full else Oldest(queries)

    def turn(self, number: int) -> None:
        for start in range(0, SEGMENT, RUN):
            _, incidents = self.learner.answer(self.events.next(min(RUN, SEGMENT - start)))
            if self._oldest is None:
                continue
            for incident in incidents:
                if incident.query is not None:
                    self._oldest.later.append(incident.query.event_id)
                    self.learner.teach(self.events.label(next(self._oldest)))


class Running:
    """A worker that has started on a store with so many open queries."""

    def __init__(self, model: bytes, rows: list[LabelledRow], queries: int, path: Path) -> None:
        self.events, self.labels = Again(rows), MemoryLabels()
        self.labels.asked = self._asked  # type: ignore[method-assign]
        self._oldest = Oldest(queries)
        rules = DeskRules(max_open=queries + SEGMENT)
        learner = ActiveLearner(fresh(model), Random(0.04), rules=rules)
        self._sink, self.store = MemorySink(), SqliteStore(path)
        self.worker = Worker(learner, self.events, self.labels, self._sink, self.store, batch_size=SEGMENT)
        self.worker.recover()

    def _asked(self, query: object, event: EventRow, number: int) -> None:
        self._oldest.later.append(str(event.id))
        self.labels.put(self.events.label(next(self._oldest)))

    def turn(self, number: int) -> None:
        self.worker.step()
        for lines in self._sink.streams.values():
            lines.clear()


def fresh(model: bytes) -> Model:
    made = Model(
        preprocessing.StandardScaler() | linear_model.SoftmaxRegression(), checkpoint_every=1_000_000
    )
    made.load(model)
    return made


def ask(model: bytes, rows: list[LabelledRow], queries: int, path: Path) -> None:
    """Ask about so many events in a worker, whose store it leaves."""
    learner = ActiveLearner(fresh(model), Random(1.0), rules=DeskRules(max_open=queries))
    store = SqliteStore(path)
    worker = Worker(learner, Again(rows), MemoryLabels(), MemorySink(), store, batch_size=min(queries, 1000))
    worker.recover()
    while learner.events < queries:
        worker.step()
    store.close()


def restarted(model: bytes, rows: list[LabelledRow], queries: int, path: Path) -> tuple[float, float]:
    """Start a worker where the last one stopped; return the CPU time in seconds and the memory in MB."""
    tune_collector()
    before, began = memory(), time.process_time()
    running = Running(model, rows, queries, path)
    seconds = time.process_time() - began
    for number in range(3):
        running.turn(number)
    running.store.close()
    return seconds, memory() - before


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--most", type=int, default=1_000_000, help="the most open queries")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    rows = rows_of(RiverEvents("river:Shuttle"), 10_000)
    model = taught(lambda: preprocessing.StandardScaler() | linear_model.SoftmaxRegression(), rows).dump()
    sizes = [10**n for n in range(2, 10) if 10**n <= options.most]
    ways: dict[str, Callable[[int], object]] = {}
    cells: dict[int, list[str]] = {}
    tune_collector()
    with tempfile.TemporaryDirectory() as folder:
        for queries in sizes:
            print(f"asking {queries:,} queries, three times ...", flush=True)
            path = Path(folder) / f"{queries}.db"
            process = multiprocessing.Process(target=ask, args=(model, rows, queries, path))
            process.start()
            process.join()
            before = memory()
            embedded = Embedded(model, rows, queries)
            taken = memory() - before
            began = time.perf_counter()
            gc.collect()
            collection = time.perf_counter() - began
            copy = Path(shutil.copy(path, path.with_suffix(".copy")))  # as it goes on there
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                restart, grown = pool.apply(restarted, (model, rows, queries, copy))
            running = Running(model, rows, queries, path)
            cells[queries] = [
                f"{taken:.0f} MB",
                f"{taken * 1e6 / queries:.0f}",
                f"{collection * 1e3:.0f} ms",
                f"{restart:.1f} s, {grown:.0f} MB",
            ]
            ways[f"embedded {queries}"] = embedded.turn
            ways[f"worker {queries}"] = running.turn
            ways[f"full {queries}"] = Embedded(model, rows, queries, full=True).turn
        print(f"{options.rounds} rounds ...", flush=True)
        rounds = undisturbed(take_turns(ways, options.rounds))
    table = Table("open queries", "memory", "bytes each", "collection", "restart", "embedded", "worker", "full",
        title=f"2,000 events beside a hundred open queries, CPU time; {len(rounds)} of {options.rounds} rounds")  # fmt: skip
    for queries in sizes:
        beside = [
            ratio(rounds, f"{way} {queries}", f"{way} {sizes[0]}") for way in ("embedded", "worker", "full")
        ]
        table.add_row(f"{queries:,}", *cells[queries], *beside)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
