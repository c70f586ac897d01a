"""What a worker's state costs: memory for open queries, and the time to take a share over or to start."""

from __future__ import annotations

import multiprocessing
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from kafka_bed import PARTITIONS, Bed, Pipeline, Process, aside, console, memory_of, query
from kafka_latency import send_events
from kafka_throughput import wait_for
from rich.progress import Progress
from rich.table import Table

from connectors.kafka import client
from connectors.kafka.wire import partition_of
from connectors.kafka.worker import KafkaWorker
from stream_al import ports
from stream_al.config import load_config
from stream_al.records import Label
from stream_al.runtime import tune_collector

_RATE = 500
"""Events a second during a takeover: there are always some to answer."""
spawn = multiprocessing.get_context("spawn")


# ── memory ───────────────────────────────────────────────────────────────────────────────────────


def memory(bed: Bed, sizes: tuple[int, ...]) -> dict[str, float]:
    """Print what a worker needs with so many open queries; return the goals' figures.

    For each size a fresh worker takes all partitions over. It is ready when a label for a query of each partition
    has become an example.
    """
    table = Table(
        "open queries", "ready after s", "resident MB", "at most MB", "bytes a query", "bytes on the topic",
        title=f"Memory of one worker, {PARTITIONS} partitions of queries",
    )  # fmt: skip
    pipeline = bed.pipeline()
    pipeline.teach()
    result: dict[str, float] = {}
    base, asked = 0, 0
    length = len(query(0, bed.rows[0])[1])
    for size in (0, *sizes):
        with Progress(console=aside, transient=True) as progress:
            task = progress.add_task(f"asking {size:,} queries", total=size, completed=asked)
            pipeline.ask(asked, size, lambda n: progress.update(task, completed=n))  # noqa: B023  # called at once
        asked = size
        with aside.status(f"memory: a worker reads {size:,} open queries"):
            process = pipeline.start()
            try:
                began = time.monotonic()
                pipeline.wait_for_members(1, 120)
                if size:
                    answer_each_partition(pipeline, size)
                ready = time.monotonic() - began
                time.sleep(3.0)
                resident, most = memory_of(process.pid), memory_of(process.pid, "VmHWM")
            finally:
                process.stop()
        base = base or resident
        each = (resident - base) / size if size else 0.0
        table.add_row(
            f"{size:,}", f"{ready:.1f}", f"{resident / 2**20:.0f}", f"{most / 2**20:.0f}",
            f"{each:,.0f}" if size else "", f"{length:,}" if size else "",
        )  # fmt: skip
        if size:
            result["bytes a query"] = each
            result["resident MB"] = resident / 2**20
    console.print(table)
    return result


def answer_each_partition(pipeline: Pipeline, size: int) -> None:
    """Label one query of each partition, and wait for the examples; the newest queries, which are read last."""
    names: dict[int, str] = {}
    number = size
    while len(names) < PARTITIONS:
        number -= 1
        name = f"q{number:07d}"
        names.setdefault(partition_of(name, PARTITIONS), name)
    before = len(pipeline.appended("examples"))
    with client.producer(pipeline.kafka) as producer:
        for place, name in names.items():
            line = (
                Label(event_id=name, label="1", annotator="ann").model_dump_json(exclude_none=True).encode()
            )
            producer.send(pipeline.topic("labels"), line, name.encode(), partition=place)
        producer.flush()
    wait_for(lambda: len(pipeline.appended("examples")) >= before + PARTITIONS, 60 + size / 2000, 0.1)


# ── takeover ─────────────────────────────────────────────────────────────────────────────────────


def join(path: Path, pipe: Connection) -> None:
    """Be a worker that tells when it joins, has committed predictions, and has all its labels' queries."""
    worker = KafkaWorker(load_config(path), str(path))
    worker.recover()
    tune_collector()
    told: set[str] = set()

    def tell(what: str, *rest: int) -> None:
        if what not in told:
            told.add(what)
            pipe.send((what, time.time(), *rest))

    def look(progress: ports.Progress) -> None:
        session = worker._session
        if progress.events:
            tell("prediction")
        if session is not None and session.labels and all(lane.ready for lane in session.labels.values()):
            tell("labels", len(session.labels), worker.open)

    tell("joining")
    worker.run("stopped", pipe.poll, look)


@contextmanager
def flow(pipeline: Pipeline, seconds: float) -> Iterator[None]:
    """Send events while something else happens."""
    features = [dict(row.features) for row in pipeline.bed.rows[:5000]]
    feeder = spawn.Process(target=send_events, args=(pipeline.kafka, features, _RATE, seconds), daemon=True)
    feeder.start()
    try:
        yield
    finally:
        feeder.terminate()
        feeder.join(10)


def takeover(bed: Bed, queries: int, rounds: int) -> dict[str, float]:
    """Print how long a second worker takes until it works on what it takes over from the first."""
    table = Table(
        "round", "first prediction s", "labels ready s", "partitions of labels", "their open queries",
        title=f"A second worker joins, {queries:,} open queries: seconds since it joined",
    )  # fmt: skip
    firsts, readies = [], []
    for number in range(rounds):
        pipeline = bed.pipeline()
        pipeline.teach()
        pipeline.ask(0, queries)
        with (
            aside.status(f"takeover, round {number + 1}/{rounds}: the first worker takes all"),
            flow(pipeline, 120),
        ):
            first = pipeline.start()
            try:
                pipeline.wait_for_members(1)
                answer_each_partition(pipeline, queries)
                times, rest = second_joins(pipeline)
            finally:
                first.stop()
        joined = times["joining"]
        after = {name: at - joined for name, at in times.items()}
        table.add_row(
            str(number + 1),
            *(f"{after[name]:.2f}" if name in after else "got none" for name in ("prediction", "labels")),
            *map(str, rest),
        )
        firsts.append(after.get("prediction", float("inf")))
        readies.append(after.get("labels", float("inf")))
    console.print(table)
    return {"first prediction": max(firsts), "labels ready": max(readies)}


def second_joins(pipeline: Pipeline, patience: float = 30.0) -> tuple[dict[str, float], list[int]]:
    """Start a second worker; return when it did what, and how many partitions and queries it took over."""
    mine, theirs = spawn.Pipe()
    process = spawn.Process(target=join, args=(pipeline.path("second"), theirs), daemon=True)
    process.start()
    times: dict[str, float] = {}
    rest: list[int] = []
    while len(times) < 3 and mine.poll(patience):
        what, at, *more = mine.recv()
        times[what] = at
        rest = more or rest
    mine.send("stop")
    process.join(30)
    return times, rest


# ── start ────────────────────────────────────────────────────────────────────────────────────────


def start(bed: Bed, examples: int, rounds: int) -> dict[str, float]:
    """Print how long a worker takes until it has the model: on an empty disk, and with a snapshot."""
    table = Table(
        "", "model ready s", "since the process began s",
        title=f"A worker starts, {examples:,} examples on the log; best of {rounds}",
    )  # fmt: skip
    pipeline = bed.pipeline(snapshots=True)
    with aside.status(f"start: {examples:,} examples"):
        pipeline.teach(examples)
        folded = [_ready(pipeline, f"new-{n}") for n in range(rounds)]
        loaded = [_ready(pipeline, f"new-{n}") for n in range(rounds)]
    for name, found in (("folding the log", folded), ("from a snapshot", loaded)):
        table.add_row(name, f"{min(r[0] for r in found):.2f}", f"{min(r[1] for r in found):.2f}")
    console.print(table)
    return {
        "folding": min(r[0] for r in folded),
        "snapshot": min(r[0] for r in loaded),
        "folding, all": min(r[1] for r in folded),
        "snapshot, all": min(r[1] for r in loaded),
    }


def _ready(pipeline: Pipeline, instance: str) -> tuple[float, float]:
    """Start a worker, and stop it when it works; return what it says of its model, and when it said so."""
    began = time.monotonic()
    process: Process = pipeline.start(instance)
    assert process.popen.stderr is not None
    said = ""
    for line in process.popen.stderr:
        said += line
        if found := re.search(r"ready with [\d,]+ examples after ([\d.]+) s", line):
            took = time.monotonic() - began
            pipeline.wait_for_members(1)
            process.stop()
            return float(found[1]), took
    raise RuntimeError(f"the worker ended before it was ready: {said[-2000:]}")
