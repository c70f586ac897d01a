"""A new worker on an empty disk, snapshots good and bad, and a crash at every effect."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pipelines import Oracle, Pipeline, rows

from connectors.kafka import client, session
from connectors.kafka.worker import KafkaWorker
from stream_al.config import KafkaConfig, load_config
from stream_al.records import Example, LoggedExample

SOAK = bool(os.environ.get("STREAM_AL_SOAK"))


@pytest.fixture
def pipeline(kafka: str, topics: str, tmp_path: Path, each_client: str) -> Iterator[Pipeline]:
    made = Pipeline(kafka, topics, tmp_path, partitions=1, budget=1.0, batch=20, client=each_client)
    yield made
    made.close()


def write_log(pipeline: Pipeline, count: int) -> None:
    for row in rows(count, 9):
        assert row.truth is not None
        example = Example(event_id=str(row.id), features=row.features, label=row.truth, annotators=("ann",))
        pipeline.producer.send(
            pipeline.topic("examples"), example.to_json(), example.event_id.encode(), partition=0
        )
    pipeline.producer.flush()


def recovered(pipeline: Pipeline) -> tuple[KafkaWorker, list[str], int]:
    """Return a worker that is ready, what it told, and how many examples it folded for that."""
    told: list[str] = []
    worker = KafkaWorker(pipeline.config, tell=told.append)
    folded = 0
    learn_all = worker.model.learn_all

    def counted(examples: Sequence[LoggedExample]) -> dict[int, str]:
        nonlocal folded
        folded += len(examples)
        return learn_all(examples)

    worker.model.learn_all = counted  # type: ignore[method-assign]
    worker.recover()
    return worker, told, folded


def test_a_new_worker_folds_the_log_and_the_next_begins_at_its_snapshot(pipeline: Pipeline) -> None:
    write_log(pipeline, 450)
    first, told, folded = recovered(pipeline)
    assert (first.model.version, folded, told) == (450, 450, [])
    second, told, folded = recovered(pipeline)
    assert (second.model.version, folded, told) == (450, 50, [])  # checkpoints are every hundred
    assert second.model.digest() == first.model.digest()
    second.run("stopped", stop=lambda: True)  # which keeps a snapshot of the very end
    third, told, folded = recovered(pipeline)
    assert (third.model.version, folded, third.model.digest()) == (450, 0, first.model.digest())


def damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(bytes(content))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


def of_another_log(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"origin": "', b'"origin": "x', 1))


@pytest.mark.parametrize(
    ("harm", "told_of"), [(damaged, "corrupt"), (cut, "corrupt"), (of_another_log, "another log")]
)
def test_a_bad_snapshot_is_left_aside_and_the_log_folded(
    pipeline: Pipeline, harm: Callable[[Path], None], told_of: str
) -> None:
    write_log(pipeline, 250)
    good, _, _ = recovered(pipeline)
    assert pipeline.kafka.snapshots is not None
    snapshots = sorted(pipeline.kafka.snapshots.glob("*.snapshot"))
    assert len(snapshots) == 2
    for snapshot in snapshots:
        harm(snapshot)
    worker, told, folded = recovered(pipeline)
    assert (worker.model.version, folded) == (250, 250)
    assert worker.model.digest() == good.model.digest()
    assert len(told) == 2
    assert all(told_of in line and ".snapshot" in line for line in told)


def test_a_snapshot_that_is_newer_than_the_log_is_left_aside(
    pipeline: Pipeline, kafka: str, topics: str, tmp_path: Path
) -> None:
    write_log(pipeline, 120)
    recovered(pipeline)
    assert pipeline.kafka.snapshots is not None
    (snapshot,) = pipeline.kafka.snapshots.glob("*.snapshot")
    content = snapshot.read_bytes()
    snapshot.write_bytes(content.replace(b'"offset": 100', b'"offset": 999', 1))
    worker, told, folded = recovered(pipeline)
    assert (worker.model.version, folded) == (120, 120)
    assert "newer" in told[0]


class Fuse:
    """Counts effects, and dies at the one it was set for: with the whole process, as kill -9 does it."""

    def __init__(self, dies_at: int) -> None:
        self.dies_at = dies_at
        self.count = 0

    def __call__(self) -> None:
        self.count += 1
        if self.count == self.dies_at:
            os._exit(DEAD)


class Fragile:
    """Stands before a client; each call of the methods named is an effect, before it and after it."""

    def __init__(self, real: Any, fuse: Fuse, *methods: str) -> None:
        self.real, self._fuse, self._methods = real, fuse, methods

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.real, name)
        if name not in self._methods:
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            if name != "poll":
                self._fuse()
            result = found(*arguments, **named)
            if name != "poll" or result:  # polls that give nothing have no effect
                self._fuse()
            return result

        return call


DEAD = 9
TRANSACTIONS = ("init_transactions", "begin_transaction", "send_offsets_to_transaction", "commit_transaction")


def life(path: Path, dies_at: int) -> None:
    """What the process runs: a worker, until all is answered or it dies."""
    fuse = Fuse(dies_at)

    class Clients:
        admin = staticmethod(client.admin)

        @staticmethod
        def transactional_producer(config: KafkaConfig, name: str, **settings: Any) -> Any:
            return Fragile(client.transactional_producer(config, name, **settings), fuse, *TRANSACTIONS)

        @staticmethod
        def consumer(config: KafkaConfig, **settings: Any) -> Any:
            made = client.consumer(config, **settings)
            return Fragile(made, fuse, "poll") if "group_id" in settings else made

    session.client = Clients  # type: ignore[attr-defined]
    worker = KafkaWorker(load_config(path))
    worker.recover()
    worker.run("answered")
    os._exit(0)


@pytest.mark.slow
def test_a_crash_at_every_effect_of_the_clients_changes_nothing(pipeline: Pipeline) -> None:
    text = pipeline.path.read_text().replace("[kafka]\n", '[kafka]\ninstance = "the-one"\n')
    pipeline.path.write_text(text)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["connectors.kafka.worker", "river.linear_model", "river.preprocessing"])
    lives = 40 if SOAK else 20  # a life of 25 events has some 45 effects
    events = rows(lives * 25, 5)
    oracle = Oracle(pipeline)
    oracle.start()
    try:
        for dies_at in [*range(1, lives + 1), -1]:
            if dies_at > 0:
                pipeline.feed(events[(dies_at - 1) * 25 : dies_at * 25])
            process = processes.Process(target=life, args=(pipeline.path, dies_at))
            process.start()
            process.join(60)
            assert process.exitcode == (DEAD if dies_at > 0 else 0)
    finally:
        oracle.stop()
    found = pipeline.check(summaries=False)
    assert found["predictions"] == len(events)
    assert found["examples"] == len(oracle.asked) > len(events) // 2
