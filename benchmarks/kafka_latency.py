"""How long an event waits for its prediction, and a label until every worker has learned from it."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

import numpy as np
from kafka.structs import TopicPartition
from kafka_bed import PARTITIONS, Bed, Pipeline, Sampler, aside, console, cores
from kafka_throughput import wait_for
from rich.table import Table

from connectors.kafka import client
from connectors.kafka.wire import partition_of
from connectors.kafka.worker import KafkaWorker
from stream_al.codec import encode_json
from stream_al.config import KafkaConfig, load_config
from stream_al.records import Label, LoggedExample
from stream_al.runtime import tune_collector

_SETTLED = 3.0
"""Seconds at the beginning that do not count: pages and code are still cold."""
spawn = multiprocessing.get_context("spawn")


class Found(NamedTuple):
    """Milliseconds, each an array."""

    predictions: Any
    folds: Any
    labels: int
    asked: float
    """Events a second that were sent."""
    others: float


def work(path: Path, pipe: Connection) -> None:
    """Be a worker that notes when its model learns: the machine's clock, at each version."""
    worker = KafkaWorker(load_config(path), str(path))
    worker.recover()
    tune_collector()
    moments: list[tuple[int, float]] = []
    learn_all = worker.model.learn_all

    def noted(examples: Sequence[LoggedExample]) -> dict[int, str]:
        before = worker.model.version
        refused = learn_all(examples)
        now = time.time()
        moments.extend((version, now) for version in range(before + 1, worker.model.version + 1))
        return refused

    worker.model.learn_all = noted  # type: ignore[method-assign]
    pipe.send(os.getpid())
    worker.run("stopped", pipe.poll)
    pipe.send(moments)


def send_events(kafka: KafkaConfig, lines: list[dict[str, float]], rate: float, seconds: float) -> None:
    """Send events at an even pace, every five milliseconds those that are due."""
    topic, sent = kafka.topics.name("events"), 0
    with client.producer(kafka, linger_ms=0) as producer:
        began = time.monotonic()
        while (elapsed := time.monotonic() - began) < seconds:
            while sent < rate * elapsed:
                name = f"e{sent:07d}"
                line = encode_json({"id": name, "features": lines[sent % len(lines)]})
                # Its time is that at which it is sent, as a client's clock would have it.
                producer.send(
                    topic,
                    line,
                    name.encode(),
                    partition=sent % PARTITIONS,
                    timestamp_ms=int(time.time() * 1000),
                )
                sent += 1
            time.sleep(0.005)
        producer.flush()


def follow(kafka: KafkaConfig, which: str, each: Callable[[Any], None], stopped: Event) -> Thread:
    """Hand every committed record that comes to a function, on a thread of its own."""
    topic = kafka.topics.name(which)

    def run() -> None:
        with client.consumer(kafka) as consumer:
            assigned = [TopicPartition(topic, n) for n in consumer.partitions_for_topic(topic) or ()]
            consumer.assign(assigned)
            consumer.seek_to_end(*assigned)
            while not stopped.is_set():
                for records in consumer.poll(50).values():
                    for record in records:
                        each(record)

    thread = Thread(target=run, daemon=True)
    thread.start()
    return thread


class People:
    """Answer every query as soon as they see it."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._producer = client.producer(pipeline.kafka, linger_ms=0)
        self._topic, self._rows = pipeline.topic("labels"), pipeline.bed.rows
        self.answers = 0

    def __call__(self, record: Any) -> None:
        if record.value is None or not record.key.startswith(b"e"):
            return
        name = record.key.decode()
        label = self._rows[int(name[1:]) % len(self._rows)].label
        line = Label(event_id=name, label=label, annotator="ann").model_dump_json(exclude_none=True).encode()
        place = partition_of(name, PARTITIONS)
        self._producer.send(
            self._topic, line, record.key, partition=place, timestamp_ms=int(time.time() * 1000)
        )
        self.answers += 1


def measure(bed: Bed, workers: int, rate: float, seconds: float) -> Found:
    """Run workers under an even load, with people who answer at once."""
    pipeline = bed.pipeline()
    taught = len(pipeline.teach())
    pipes, processes = [], []
    for n in range(workers):
        mine, theirs = spawn.Pipe()
        process = spawn.Process(target=work, args=(pipeline.path(f"w{n}"), theirs), daemon=True)
        process.start()
        pipes.append(mine)
        processes.append(process)
    stopped, waited, people = Event(), [], People(pipeline)

    def seen(record: Any) -> None:
        waited.append((record.timestamp / 1000, time.time()))

    try:
        pids = [pipe.recv() for pipe in pipes]
        pipeline.wait_for_members(workers)
        threads = [
            follow(pipeline.kafka, "predictions", seen, stopped),
            follow(pipeline.kafka, "queries", people, stopped),
        ]
        time.sleep(2.0)
        features = [dict(row.features) for row in bed.rows[:5000]]
        feeder = spawn.Process(
            target=send_events, args=(pipeline.kafka, features, rate, _SETTLED + seconds), daemon=True
        )
        feeder.start()
        assert feeder.pid is not None
        helpers = [os.getpid(), feeder.pid, *([bed.broker_pid] if bed.broker_pid else [])]
        began = time.time()
        wait_for(lambda: bool(waited), 30, 0.05)
        with Sampler([*pids, *helpers]) as sampler:
            time.sleep(_SETTLED + seconds - 1.0)
            until = time.time()
            machine, each = sampler.used(until - seconds + 0.5, until - 0.5)
        feeder.join(30)
        wait_for(lambda: len(waited) >= rate * (seconds + _SETTLED) * 0.99, 20)
        time.sleep(2.0)
    finally:
        for pipe in pipes:
            pipe.send("stop")
    moments = [dict(pipe.recv()) for pipe in pipes]
    stopped.set()
    for thread in threads:
        thread.join(5)
    for process in processes:
        process.join(30)
    first = waited[0][0] + _SETTLED
    predictions = np.array([1000 * (seen - sent) for sent, seen in waited if sent >= first])
    examples = pipeline.appended("examples", sort=False)
    folds = [
        1000 * (versions[number] - examples[number - 1])
        for versions in moments
        for number in range(taught + 1, len(examples) + 1)
        if number in versions and examples[number - 1] >= first
    ]
    if began and any(max(versions, default=0) < len(examples) for versions in moments):
        aside.print(f"[yellow]not all of the {len(examples)} examples were folded by all workers")
    others = max(0.0, machine - sum(each)) / (cores() * (seconds - 1.0)) if bed.broker_pid else 0.0
    return Found(predictions, np.array(folds), people.answers, len(waited) / (seconds + _SETTLED), others)


def latency(bed: Bed, rates: dict[int, float], seconds: float) -> dict[str, float]:
    """Print the table; return the goals' figures.

    Parameters
    ----------
    bed
        Where.
    rates
        By the number of workers, how many events a second they are given.
    seconds
        How long.
    """
    table = Table(
        "workers", "events/s", "prediction p50", "p99", "max", "labels", "folded by all p50", "p99", "max", "others",
        title=f"{bed.client}: milliseconds until committed readers see it, for {seconds:.0f} s",
    )  # fmt: skip
    result: dict[str, float] = {}
    for workers, rate in rates.items():
        with aside.status(f"latency: {workers} workers, {rate:,.0f} events/s for {seconds:.0f} s"):
            found = measure(bed, workers, rate, seconds)
        cells = []
        for name, values in (("prediction", found.predictions), ("fold", found.folds)):
            p50, p99, most = (float(x) for x in np.percentile(values, (50, 99, 100)))
            cells.append([f"{p50:.0f}", f"{p99:.0f}", f"{most:.0f}"])
            result[f"{workers} {name} p99"] = p99
        table.add_row(
            str(workers),
            f"{found.asked:,.0f}",
            *cells[0],
            f"{found.labels:,}",
            *cells[1],
            f"{found.others:.0%}" if bed.broker_pid else "?",
        )
    console.print(table)
    return result
