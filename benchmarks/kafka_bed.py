"""What the benchmarks on Kafka stand on: a broker, pipelines with topics of their own, processes and their cost."""

from __future__ import annotations

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from kafka.admin import ConfigResource
from kafka.errors import KafkaError
from kafka.structs import TopicPartition
from rich.console import Console
from river.datasets import synth

from connectors.kafka import client
from connectors.kafka.topics import create
from connectors.kafka.wire import partition_of
from stream_al.codec import QueryRow, encode_json
from stream_al.config import Config, KafkaConfig, load_config
from stream_al.records import Example, Features

ROOT = Path(__file__).resolve().parents[1]
PARTITIONS = 4
TAUGHT = 2000
"""Examples that the models of most measurements have learned before."""
BUDGET = 0.04
_TICK = 1 / os.sysconf("SC_CLK_TCK")
_CORES = os.cpu_count() or 1

console = Console(width=120)
aside = Console(stderr=True)


class Row(NamedTuple):
    """An event, and what people would say of it."""

    features: Features
    label: str


def rows(data: Path | None, label_column: str, limit: int = 40_000) -> list[Row]:
    """Return labelled rows: of a CSV file, or of a generator that is as wide as Electricity."""
    if data is None:
        stream = synth.RandomRBF(seed_model=1, seed_sample=2, n_classes=2, n_features=7, n_centroids=20)
        return [
            Row({f"x{name}": round(float(value), 6) for name, value in x.items()}, str(int(y)))
            for x, y in stream.take(limit)
        ]
    opened = gzip.open if data.suffix == ".gz" else open
    with opened(data, "rt") as file:
        return [
            Row({n: float(v) for n, v in line.items() if n != label_column}, line[label_column])
            for line in islice(csv.DictReader(file), limit)
        ]


@dataclass
class Bed:
    """A broker to measure on."""

    bootstrap: str
    broker_pid: int | None
    folder: Path
    rows: list[Row]
    made: int = 0
    client: str = "kafka-python"
    """The workers' client; what measures them is kafka-python always."""

    def pipeline(self, **settings: Any) -> Pipeline:
        """Return a pipeline with topics of its own, made; for the settings see `Pipeline`."""
        self.made += 1
        made = Pipeline(self, f"cost-{os.getpid()}-{self.made}", self.client, **settings)
        create(made.config())
        return made


@contextmanager
def bed(bootstrap: str | None, data: list[Row]) -> Iterator[Bed]:
    """Use the broker at an address, or start one for the time being."""
    with tempfile.TemporaryDirectory(prefix="kafka-cost-") as name:
        if bootstrap:
            yield Bed(bootstrap, None, Path(name), data)
            return
        sys.path.append(str(ROOT / "tests" / "kafka"))
        from broker import Broker  # type: ignore[import-not-found,unused-ignore]  # no package, see its docstring

        with Broker(Path(name) / "kafka") as broker:
            yield Bed(broker.bootstrap, broker.pid, Path(name), data)


@dataclass
class Pipeline:
    """A pipeline on Kafka: its configuration, and what stands on its topics before anything is measured."""

    bed: Bed
    name: str
    client: str
    predictions: str = "all"
    max_open: int = 10_000_000
    snapshots: bool = False
    timed: bool = False
    """Whether the broker writes the time of its arrival on each output; the event's time stands there otherwise."""
    batch_size: int | None = None
    """The most events in one transaction; the worker's own choice when not told."""

    def path(self, instance: str | None = None) -> Path:
        """Write the configuration of one worker; return where."""
        where = self.bed.folder / f"{self.name}-{instance}.toml"
        snapshots = f'snapshots = "{self.bed.folder / f"{self.name}-{instance}-snapshots"}"'
        where.write_text(f"""
[events]
path = "-"
[model]
steps = [{{ use = "river.preprocessing.StandardScaler" }}, {{ use = "river.linear_model.LogisticRegression" }}]
[strategy]
budget = {BUDGET}
[labels]
max_open = {self.max_open}
[run]
{f"batch_size = {self.batch_size}" if self.batch_size else ""}
[kafka]
bootstrap = "{self.bed.bootstrap}"
client = "{self.client}"
group = "{self.name}"
predictions = "{self.predictions}"
{snapshots if self.snapshots else ""}
[kafka.topics]
prefix = "{self.name}-"
partitions = {PARTITIONS}
query_partitions = {PARTITIONS}
replication = 1
""")
        return where

    def config(self) -> Config:
        """Return the configuration."""
        return load_config(self.path())

    @property
    def kafka(self) -> KafkaConfig:
        """Its section on Kafka, for what measures."""
        found = self.config().kafka
        assert found is not None
        return found.model_copy(update={"client": "kafka-python"})

    def topic(self, which: str) -> str:
        """Return a topic's name."""
        return self.kafka.topics.name(which)

    def start(self, instance: str | None = None) -> Process:
        """Start a real worker process; it works until it is stopped."""
        command = [sys.executable, "-m", "stream_al", "run", str(self.path(instance)), "--until", "stopped"]
        process = subprocess.Popen(
            [*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
        return Process(process.pid, process)

    def time_outputs(self) -> None:
        """Have the broker write the time of arrival on predictions and queries."""
        with client.admin(self.kafka) as admin:
            admin.alter_configs(
                [
                    ConfigResource("topic", self.topic(which), {"message.timestamp.type": "LogAppendTime"})
                    for which in ("predictions", "queries")
                ]
            )

    def teach(self, count: int = TAUGHT) -> list[Example]:
        """Put examples on the log; return them."""
        examples = [
            Example(event_id=f"taught-{n}", features=dict(row.features), label=row.label)
            for n, row in zip(range(count), self._cycle(), strict=False)
        ]
        with client.producer(self.kafka, linger_ms=50) as producer:
            topic = self.topic("examples")
            for example in examples:
                producer.send(topic, example.to_json(), example.event_id.encode(), partition=0)
            producer.flush()
        return examples

    def _cycle(self) -> Iterator[Row]:
        while True:
            yield from self.bed.rows

    @contextmanager
    def hidden_events(self, count: int) -> Iterator[Callable[[], float]]:
        """Put events on the topic that nobody sees until the function given is called; it returns when that was.

        They stand in an open transaction: consumers of committed records cannot read past its begin. So all
        workers can be there before the first event is.
        """
        producer = client.producer(
            self.kafka, transactional_id=f"{self.name}-events", transaction_timeout_ms=600_000, linger_ms=50
        )
        try:
            producer.init_transactions()
            producer.begin_transaction()
            topic = self.topic("events")
            for n, row in zip(range(count), self._cycle(), strict=False):
                name = f"e{n:07d}"
                line = encode_json({"id": name, "features": row.features})
                producer.send(topic, line, name.encode(), partition=n % PARTITIONS)
            producer.flush()

            def show() -> float:
                now = time.time()
                producer.commit_transaction()
                return now

            yield show
        finally:
            producer.close()

    def ask(self, first: int, last: int, tell: Callable[[int], None] = lambda n: None) -> None:
        """Put open queries on the topic, each in the partition of its key."""
        topic = self.topic("queries")
        with client.producer(self.kafka, linger_ms=50, batch_size=2**19) as producer:
            for n, row in zip(range(first, last), self._cycle(), strict=False):
                name, line = query(n, row)
                producer.send(topic, line, name.encode(), partition=partition_of(name, PARTITIONS))
                if n % 10_000 == 0:
                    tell(n)
            producer.flush()

    def wait_for_members(
        self, count: int, patience: float = 120.0, kinds: tuple[str, ...] = ("events", "labels")
    ) -> dict[str, int]:
        """Wait until a group has so many members, and all partitions have an owner.

        Returns how many partitions of events each has. ``kinds`` are the topics the group has subscribed to.
        """
        deadline = time.monotonic() + patience
        topic = self.topic("events")
        with client.admin(self.kafka) as admin:
            while True:
                try:
                    group = admin.describe_groups([self.name])[self.name]
                except KafkaError as error:
                    if not error.retriable:
                        raise
                    group = {"group_state": "unknown", "members": []}
                owned, total = {}, 0
                for member in group["members"]:
                    assigned = (member["member_assignment"] or {}).get("assigned_partitions", [])
                    each = {one["topic"]: len(one["partitions"]) for one in assigned}
                    owned[member["member_id"]] = each.get(topic, 0)
                    total += sum(each.values())
                settled = len(owned) == count and total == PARTITIONS * len(kinds)
                if settled and group["group_state"] == "Stable":
                    return owned
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the group is {group['group_state']} with {owned}")
                time.sleep(0.1)

    def appended(self, which: str, *, sort: bool = True) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return the times (s) written on a topic's records, sorted or in the order of a single partition."""
        topic, times = self.topic(which), []
        with client.consumer(self.kafka) as consumer:
            partitions = consumer.partitions_for_topic(topic) or set()
            assigned = [TopicPartition(topic, n) for n in partitions]
            consumer.assign(assigned)
            consumer.seek_to_beginning(*assigned)
            ends = consumer.end_offsets(assigned)
            while any(consumer.position(p) < ends[p] for p in assigned):
                for records in consumer.poll(200).values():
                    times += [record.timestamp / 1000 for record in records]
        return np.sort(np.array(times)) if sort else np.array(times)

    def committed(self) -> int:
        """Return how many events are answered, as the group's committed offsets have it."""
        with client.admin(self.kafka) as admin:
            found = admin.list_group_offsets({self.name: None})[self.name]
        topic = self.topic("events")
        return sum(at.offset for partition, at in found.items() if partition.topic == topic)


def query(number: int, row: Row) -> tuple[str, bytes]:
    """Return an open query's id, and the record a worker writes for it."""
    name = f"q{number:07d}"
    made = QueryRow(
        name, dict(row.features), None, name, "1", {"0": 0.43216789, "1": 0.56783211}, 0.13566422, 0.26113579,
        0.98765432, "uncertain", TAUGHT, number, None,
    )  # fmt: skip
    return name, made.to_json()


# ── processes ────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Process:
    """A process, ours or that of the bare loop."""

    pid: int
    popen: subprocess.Popen[str]

    def stop(self) -> dict[str, Any]:
        """End it in order; return the summary it prints."""
        self.popen.send_signal(signal.SIGTERM)
        try:
            out, err = self.popen.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            raise
        if self.popen.returncode not in (0, -signal.SIGTERM):  # the latter before it listened for it
            raise RuntimeError(f"a worker ended with {self.popen.returncode}: {err[-2000:]}")
        found: dict[str, Any] = json.loads(out.splitlines()[-1]) if out.strip() else {}
        return found | {"notes": err}


def cpu_of(pid: int) -> float:
    """Return the CPU seconds a process has had, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK


def memory_of(pid: int, which: str = "VmRSS") -> int:
    """Return the bytes a process has in memory, or with VmHWM the most it ever had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(which):
            return int(line.split()[1]) * 1024
    raise KeyError(which)


def _busy() -> float:
    user, nice, system, _, _, irq, soft, *_ = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    return sum(map(int, (user, nice, system, irq, soft))) * _TICK


class Sampler:
    """Notes every 20 ms what CPU some processes, and the whole machine, have used so far."""

    def __init__(self, pids: list[int]) -> None:
        self._pids = pids
        self._samples: list[tuple[float, ...]] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(0.02):
            self._samples.append((time.time(), _busy(), *(cpu_of(pid) for pid in self._pids)))

    def used(self, since: float, until: float) -> tuple[float, list[float]]:
        """Return the CPU seconds between two moments, of the whole machine and of each process."""
        columns = np.array(self._samples).T
        machine, *each = (
            float(np.interp(until, columns[0], column) - np.interp(since, columns[0], column))
            for column in columns[1:]
        )
        return machine, each


def cores() -> int:
    return _CORES
