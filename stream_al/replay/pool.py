"""Running a plan: in as many processes as wanted, with what is done kept, so that it can be gone on with.

Which process runs what, and when, decides nothing: each run is a function of its cell, and the results are in the
order of the plan.
"""

from __future__ import annotations

import multiprocessing
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from stream_al.errors import ConfigError, StreamALError
from stream_al.replay.kept import Kept
from stream_al.replay.outcome import Outcome
from stream_al.replay.plan import Cell, Plan
from stream_al.replay.stream import LabelledStream
from stream_al.runtime.worker import tune_collector

_LOOK = 0.2
"""Seconds between two looks at how far the runs are."""

OnProgress = Callable[[int, int], None]
"""Told how many events are answered in all runs together, and how many runs are done."""


def run_plan(
    plan: Plan,
    stream: LabelledStream,
    *,
    processes: int = 1,
    keep: Path | None = None,
    on_progress: OnProgress = lambda events, done: None,
) -> dict[Cell, Outcome]:
    """Run every cell of a plan, and return their outcomes in the plan's order.

    Parameters
    ----------
    plan, stream
        What is run.
    processes
        How many at the same time.
    keep
        A directory for the outcomes of finished runs; what is there already is not run again.
    on_progress
        See `OnProgress`.

    Raises
    ------
    ModelError
        When a model could not score or learn anything.
    ConfigError
        When ``keep`` is no directory that can be written.
    """
    cells = plan.cells
    kept = None if keep is None else Kept(keep, plan, stream_digest(stream))
    found = (
        {} if kept is None else {cell: outcome for cell in cells if (outcome := kept.load(cell)) is not None}
    )
    todo = [cell for cell in cells if cell not in found]
    answered = [len(stream.rows) if cell in found else 0 for cell in cells]
    numbers = {cell: number for number, cell in enumerate(cells)}

    def told(cell: Cell, events: int) -> None:
        answered[numbers[cell]] = events
        on_progress(sum(answered), len(found))

    def done(cell: Cell, outcome: Outcome) -> None:
        if kept is not None:
            kept.save(cell, outcome)
        found[cell] = outcome
        told(cell, len(stream.rows))

    on_progress(sum(answered), len(found))
    if min(processes, len(todo)) > 1:
        _run_together(plan, stream, todo, min(processes, len(todo)), told, done)
    else:
        for cell in todo:
            done(cell, plan.run(stream, cell, lambda events, cell=cell: told(cell, events)))  # type: ignore[misc]
    return {cell: found[cell] for cell in cells}


def stream_digest(stream: LabelledStream) -> str:
    """Return 32 hexadecimal digits that tell this stream's events and labels from any others."""
    digest = blake2b(digest_size=16)
    encode = msgspec.json.Encoder().encode
    for row in stream.rows:
        digest.update(encode(row))
    digest.update(repr(stream.classes).encode())
    return digest.hexdigest()


# ── several processes ────────────────────────────────────────────────────────────────────────────────

_child: tuple[Plan, LabelledStream, Any] | None = None
"""In a process of the pool: what all its runs have in common, and where it tells how far they are."""


def _start(packed: bytes, progress: Any) -> None:
    global _child
    plan, stream = pickle.loads(packed)  # noqa: S301  # packed by the parent
    _child = plan, stream, progress
    tune_collector()


def _run_cell(number: int, cell: Cell) -> Outcome | StreamALError:
    assert _child is not None
    plan, stream, progress = _child

    def tell(events: int) -> None:
        progress[number] = events

    try:
        return plan.run(stream, cell, tell)
    except StreamALError as error:  # not every one of them can be pickled as an exception is raised
        return error


def _run_together(
    plan: Plan,
    stream: LabelledStream,
    cells: Sequence[Cell],
    processes: int,
    told: Callable[[Cell, int], None],
    done: Callable[[Cell, Outcome], None],
) -> None:
    # Not forked: a copy of a process that has threads, as one with a progress bar has, may stop for ever.
    context = multiprocessing.get_context("spawn")
    progress = context.Array("q", len(cells), lock=False)
    packed = pickle.dumps((plan, stream))
    with _pool(context, processes, packed, progress) as pool:
        futures: dict[int, Future[Outcome | StreamALError]] = {
            number: pool.submit(_run_cell, number, cell) for number, cell in enumerate(cells)
        }
        while futures:
            time.sleep(_LOOK)
            for number in list(futures):
                if not futures[number].done():
                    told(cells[number], progress[number])
                    continue
                found = futures.pop(number).result()
                if isinstance(found, StreamALError):
                    raise found
                done(cells[number], found)


@contextmanager
def _pool(context: Any, processes: int, packed: bytes, progress: Any) -> Iterator[ProcessPoolExecutor]:
    pool = ProcessPoolExecutor(processes, context, _start, (packed, progress))
    try:
        yield pool
    except BrokenProcessPool:
        raise ConfigError(
            "a process of the replay died (of too little memory, perhaps); give a lower --processes"
        ) from None
    finally:
        # Not waited for: after an error or Ctrl-C nobody wants what is still running.
        processes_left = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes_left:
            process.terminate()
