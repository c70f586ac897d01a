"""The service between the page and the topics dies at every effect it has, one after the other."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pipelines import Pipeline, rows, until
from test_matching import letters
from test_recovery import DEAD, SOAK, Fragile, Fuse

from connectors.kafka import client, relay
from connectors.kafka.lookup import look_up
from connectors.kafka.wire import LABEL, header
from connectors.sqlite.board import SqliteBoard
from connectors.sqlite.relayed import RelayedStore
from stream_al.annotate.board import Answer, Reply, Request
from stream_al.config import KafkaConfig, load_config


class Dying(RelayedStore):
    """A file each of whose transactions is an effect, before it and after it."""

    fuse: Fuse

    @contextmanager
    def _transaction(self, *, durable: bool) -> Iterator[Callable[..., Any]]:
        self.fuse()
        with super()._transaction(durable=durable) as execute:
            yield execute
        self.fuse()


def life(path: Path, dies_at: int) -> None:
    """What the process runs: the service, until nothing is on its way or it dies."""
    fuse = Dying.fuse = Fuse(dies_at)

    class Clients:
        give_up = staticmethod(client.give_up)

        @staticmethod
        def producer(config: KafkaConfig, **settings: Any) -> Any:
            return Fragile(client.producer(config, **settings), fuse, "send")

        @staticmethod
        def consumer(config: KafkaConfig, **settings: Any) -> Any:
            made = client.consumer(config, **settings)
            return made if settings else Fragile(made, fuse, "poll")

    relay.client = Clients  # type: ignore[attr-defined]
    config = load_config(path)
    topics, origin = look_up(config, "the pipeline")
    store = Dying(config.store.path, config.pipeline(), origin)
    assert config.kafka is not None
    service = relay.TopicRelay(config.kafka, topics, store)
    service.start()
    other = SqliteBoard(config.store.path)  # looks with a connection of its own
    while other._connection.execute("SELECT EXISTS (SELECT 1 FROM inbox)").fetchone()[0]:
        time.sleep(0.05)
    os._exit(0)


def say(pipeline: Pipeline, *answers: tuple[str, str]) -> None:
    """Answer on the page, and leave it."""
    said = tuple(
        Answer(key=f"key {time.time_ns()} {at}", event_id=event_id, label=json.dumps(label))
        for at, (event_id, label) in enumerate(answers)
    )
    board = SqliteBoard(pipeline.config.store.path)
    (reply,) = board.apply([("ann", Request(said, leave=True))])
    board.close()
    assert isinstance(reply, Reply)


@pytest.mark.slow
def test_a_crash_at_every_effect_loses_no_answer_and_learns_none_twice(make: Callable[..., Pipeline]) -> None:
    lives = 60 if SOAK else 16
    pipeline = make()
    pipeline.start("a")
    pipeline.feed(rows(2 * lives))
    until(lambda: len(pipeline.read("queries")) >= 2 * lives, "all are asked")
    _, origin = look_up(pipeline.config, "the pipeline")
    RelayedStore(pipeline.config.store.path, pipeline.config.pipeline(), origin).close()
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["connectors.kafka.relay", "connectors.sqlite.board"])
    ends = Counter[int]()
    for dies_at in [*range(1, lives + 1), -1]:
        if dies_at > 0:
            say(pipeline, (f"e{2 * dies_at - 2}", "in"), (f"e{2 * dies_at - 1}", "out"))
        process = processes.Process(target=life, args=(pipeline.path, dies_at))
        process.start()
        process.join(120)
        ends[process.exitcode or 0] += 1
    assert set(ends) == {0, DEAD}
    assert ends[DEAD] > lives // 2
    until(lambda: len(pipeline.read("examples")) >= 2 * lives, "all are learned")
    pipeline.stop("a")
    found = pipeline.check()
    assert found["examples"] == 2 * lives
    assert set(found["letters"]) <= {"duplicate"}
    sent = Counter(header(record, LABEL) for record in pipeline.read("labels"))
    assert len(sent) == 2 * lives
    assert sum(sent.values()) - len(sent) == len(letters(pipeline))  # what came twice is told
