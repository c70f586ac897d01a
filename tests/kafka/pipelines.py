"""A pipeline on real topics, with real worker processes, a simulated oracle, and what must be true at the end."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError
from streams import rows

from connectors.kafka import client as clients
from connectors.kafka.fold import read_logged
from connectors.kafka.topics import create
from connectors.kafka.verify import verify
from connectors.kafka.wire import EVENT, header, partitions
from stream_al.amendments import ListedLog
from stream_al.build import build_learner
from stream_al.config import Config, load_config
from stream_al.errors import BrokerError
from stream_al.log_codec import ExampleRow
from stream_al.ports import LabelledRow

CONFIG = """
[model]
steps = [{{ use = "river.preprocessing.StandardScaler" }}, {{ use = "river.linear_model.LogisticRegression" }}]
checkpoint_every = 100
[strategy]
{strategy}
[labels]
quorum = {quorum}
max_open = {max_open}
{rules}
[run]
batch_size = {batch}
[kafka]
bootstrap = "{bootstrap}"
client = "{client}"
group = "{prefix}workers"
session_timeout = {session}
transaction_timeout = 5
stall_after = 20
snapshots = "snapshots"
[kafka.topics]
prefix = "{prefix}"
partitions = {partitions}
query_partitions = {partitions}
replication = 1
"""

PATIENCE = 180.0


def until(condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"after {patience:.0f} seconds still not: {what}"
        time.sleep(0.02)


class Pipeline:
    """Topics, a configuration, and processes that work on them."""

    def __init__(
        self,
        bootstrap: str,
        prefix: str,
        folder: Path,
        *,
        partitions: int = 6,
        budget: float = 0.05,
        strategy: str | None = None,
        quorum: int = 1,
        max_open: int = 100_000,
        rules: str = "",
        batch: int = 300,
        session: float = 6.0,
        client: str = "kafka-python",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.path = folder / "pipeline.toml"
        self.path.write_text(
            CONFIG.format(
                bootstrap=bootstrap,
                prefix=prefix,
                partitions=partitions,
                strategy=strategy or f"budget = {budget}",
                quorum=quorum,
                max_open=max_open,
                rules=rules,
                batch=batch,
                session=session,
                client=client,
            )
        )
        self.config: Config = load_config(self.path)
        assert self.config.kafka is not None
        self.kafka = self.config.kafka
        self.partitions = partitions
        create(self.config)
        self.workers: dict[str, subprocess.Popen[str]] = {}
        self.truth: dict[str, Any] = {}
        self.summaries: list[dict[str, Any]] = []
        """What the workers said that came to their end."""
        self.producer: KafkaProducer = clients.producer(self.kafka)

    def topic(self, kind: str) -> str:
        return self.kafka.topics.name(kind)

    # ── processes ────────────────────────────────────────────────────────────────────────────────

    def start(self, name: str, *options: str, static: bool = True) -> subprocess.Popen[str]:
        """Start `stream-al run` as a process of its own."""
        environment = {**os.environ, "PYTHONWARNINGS": "default", "PYTHONFAULTHANDLER": "1"}
        environment["STREAM_AL_KAFKA__SNAPSHOTS"] = str(self.folder / f"snapshots-{name}")
        if static:
            environment["STREAM_AL_KAFKA__INSTANCE"] = name
        command = [sys.executable, "-m", "stream_al", "run", str(self.path), "--json", "--quiet", *options]
        with (self.folder / f"{name}.log").open("a") as log:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, env=environment, text=True
            )
        self.workers[name] = process
        return process

    def kill(self, name: str) -> None:
        """kill -9."""
        process = self.workers.pop(name)
        process.kill()
        process.communicate()

    def stop(self, name: str) -> None:
        """Stop with SIGTERM."""
        process = self.workers.pop(name)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
        if process.returncode == -signal.SIGTERM:
            return  # it was still starting
        assert process.returncode == 0, self.log(name)
        self.summaries.append(json.loads(output))

    def finish(self, count: int) -> None:
        """Stop all workers, and let fresh ones read everything to its end and wait for the last answers."""
        for name in list(self.workers):
            self.stop(name)
        names = [f"last-{number}" for number in range(count)]
        for name in names:
            self.start(name, "--until", "answered", static=False)
        for name in names:
            process = self.workers[name]
            try:
                output, _ = process.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                raise AssertionError(f"after {PATIENCE:.0f} seconds {name} has not come to its end") from None
            del self.workers[name]
            assert process.returncode == 0, self.log(name)
            self.summaries.append(json.loads(output))

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()[-5000:]

    def traces(self) -> str:
        """Return where all threads of the workers are, which ends them."""
        found = []
        while self.workers:
            name, process = self.workers.popitem()
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGABRT)
            process.communicate()
            said = (self.folder / f"{name}.log").read_text()
            found.append(f"worker {name}: {said.partition('Extension modules')[0][-20_000:]}")
        return "\n".join(found)

    def close(self) -> None:
        while self.workers:
            _, process = self.workers.popitem()
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.communicate()
        self.producer.close(timeout=5)

    # ── records ──────────────────────────────────────────────────────────────────────────────────

    def feed(self, events: list[LabelledRow]) -> None:
        """Produce events, keyed by their id."""
        topic = self.topic("events")
        sent = []
        for event in events:
            self.truth[str(event.id)] = event.truth
            value = json.dumps({"id": event.id, "features": event.features}).encode()
            sent.append(self.producer.send(topic, value, str(event.id).encode()))
        self.producer.flush()
        for sending in sent:  # one that is given up would be waited for in vain
            sending.get(10)

    def answer(
        self, event_id: str, label: object, partition: int | None = None, annotator: str = "ann"
    ) -> None:
        """Produce a label."""
        value = json.dumps({"event_id": event_id, "label": label, "annotator": annotator}).encode()
        self.producer.send(self.topic("labels"), value, event_id.encode(), partition=partition)

    def read(self, kind: str) -> list[Any]:
        """Return all committed records of a topic."""
        found: list[Any] = []
        with clients.consumer(self.kafka) as consumer:
            share = partitions(self.topic(kind), consumer.partitions_for_topic(self.topic(kind)) or ())
            consumer.assign(share)
            ends = consumer.end_offsets(share)
            for partition in share:
                consumer.seek(partition, 0)
            while any((consumer.position(partition) or 0) < end for partition, end in ends.items()):
                for records in consumer.poll(200, 10_000).values():
                    found += records
        return found

    def follow(self, kind: str) -> Any:
        """Return a consumer of a whole topic, from its beginning."""
        consumer = clients.consumer(self.kafka)
        topic = self.topic(kind)
        until(lambda: bool(consumer.partitions_for_topic(topic)), f"{topic} is known")
        share = partitions(topic, consumer.partitions_for_topic(topic))
        consumer.assign(share)
        for partition in share:
            consumer.seek(partition, 0)
        return consumer

    # ── what must be true ────────────────────────────────────────────────────────────────────────

    def check(self, *, summaries: bool = True) -> dict[str, Any]:
        """Check the invariants, and return what there is."""
        places = Counter(header(record, EVENT) for record in self.read("predictions"))
        assert max(places.values(), default=1) == 1, places.most_common(5)
        log = ListedLog(read_logged(record) for record in self.read("examples"))
        learned = Counter(record.event_id for record in log if isinstance(record, ExampleRow))
        assert bool(learned) == any(log)
        assert max(learned.values(), default=1) == 1, learned.most_common(5)
        model = build_learner(self.config).model
        folds = [model.digest()]
        for record in log:
            model.fold(record, log)
            folds.append(model.digest())
        assert self.summaries or not summaries
        for summary in self.summaries:  # each as far as it had folded when it stopped
            assert summary["digest"] == folds[summary["examples"]], summary
        verdict = verify(self.config)
        assert not verdict.differences, "\n".join(verdict.differences[:20])
        assert verdict.digest == folds[-1]
        letters = Counter(json.loads(record.value)["reason"] for record in self.read("dead_letters"))
        return {"predictions": len(places), "examples": len(log), "letters": letters, "verdict": verdict}


class Oracle(threading.Thread):
    """Answers the queries with the truth: late, out of order, a tenth twice, a tenth in the wrong partition."""

    def __init__(self, pipeline: Pipeline, seed: int = 1, *, twice: float = 0.1, astray: float = 0.1) -> None:
        super().__init__(daemon=True)
        self._pipeline = pipeline
        self._rng = random.Random(seed)
        self._twice, self._astray = twice, astray
        self._stopped = threading.Event()
        self.asked: set[str] = set()
        self.sent = 0

    def run(self) -> None:
        pipeline, rng = self._pipeline, self._rng
        consumer = pipeline.follow("queries")
        held: list[str] = []
        heard = time.monotonic()
        while not self._stopped.is_set():
            if time.monotonic() - heard > 10:  # a consumer that stopped, as they sometimes do: begin anew
                with suppress(BrokerError, KafkaError):  # unless the broker is down just now
                    fresh = pipeline.follow("queries")
                    consumer.close()
                    consumer = fresh
                heard = time.monotonic()
            for records in consumer.poll(50, 1000).values():
                for record in records:
                    heard = time.monotonic()
                    event_id = bytes(record.key).decode()
                    if record.value is not None and event_id not in self.asked:
                        self.asked.add(event_id)
                        held.append(event_id)
            rng.shuffle(held)
            due = (len(held) + 1) // 2
            for event_id in held[:due]:
                astray = rng.randrange(pipeline.partitions) if rng.random() < self._astray else None
                for _ in range(2 if rng.random() < self._twice else 1):
                    pipeline.answer(event_id, pipeline.truth[event_id], astray)
                    self.sent += 1
            held = held[due:]
        consumer.close()

    def stop(self) -> None:
        self._stopped.set()
        self.join(30)


@contextmanager
def running(pipeline: Pipeline, seed: int = 1, **settings: Any) -> Iterator[Oracle]:
    """Run an oracle beside a pipeline, and tidy up."""
    oracle = Oracle(pipeline, seed, **settings)
    oracle.start()
    try:
        yield oracle
    except AssertionError as error:  # of a wait that was in vain, as a rule
        error.add_note(pipeline.traces())
        raise
    finally:
        oracle.stop()
        pipeline.close()


class Progress:
    """How many events are answered: what the group has committed. Not by a consumer, as those sometimes stop."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._kafka, self._topic = pipeline.kafka, pipeline.topic("events")
        self._admin: Any = None
        self.count = 0

    def __call__(self) -> int:
        try:
            self._admin = self._admin or clients.admin(self._kafka)
            offsets = self._admin.list_group_offsets({self._kafka.group: None})[self._kafka.group]
        except (KafkaError, BrokerError):  # while the broker is gone
            self.close()
            return self.count
        mine = (o.offset for p, o in offsets.items() if p.topic == self._topic and o.offset > 0)
        self.count = max(self.count, sum(mine))
        return self.count

    def close(self) -> None:
        if self._admin is not None:
            self._admin.close()
        self._admin = None


__all__ = ["Oracle", "Pipeline", "Progress", "rows", "running", "until"]
