"""Exactly once, on a real broker, whatever dies. ``STREAM_AL_SOAK=1`` (`make soak`) runs the long version."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest
from broker import Broker
from pipelines import Pipeline, Progress, rows, running, until

from connectors.kafka.standing import read_standing
from connectors.kafka.worker import KafkaWorker

SOAK = bool(os.environ.get("STREAM_AL_SOAK"))
EVENTS = 50_000 if SOAK else 12_000
KILLS = 60 if SOAK else 12


@pytest.mark.slow
def test_workers_killed_at_random_leave_everything_exact(
    kafka: str, topics: str, tmp_path: Path, each_client: str
) -> None:
    rng = random.Random(1)
    pipeline = Pipeline(kafka, topics, tmp_path, batch=100, client=each_client)
    names = ["a", "b", "c"]
    with running(pipeline) as oracle:
        for name in names:
            pipeline.start(name)
        progress = Progress(pipeline)
        share = EVENTS // (KILLS + 1)
        events = rows(EVENTS, 3)
        for number in range(KILLS):
            pipeline.feed(events[number * share : (number + 1) * share])
            goal = min(progress() + rng.random() * share, (number + 1) * share)
            until(lambda goal=goal: progress() >= goal, "the workers get on")
            name = rng.choice(names)
            pipeline.kill(name)
            pipeline.start(name)
        pipeline.feed(events[KILLS * share :])
        until(lambda: progress() >= EVENTS, "all events are answered")
        progress.close()
        pipeline.finish(3)
    found = pipeline.check()
    assert found["predictions"] == EVENTS
    assert found["examples"] == len(oracle.asked)
    assert found["examples"] >= (2000 if SOAK else 400)
    assert set(found["letters"]) <= {"duplicate"}


@pytest.mark.slow
def test_workers_that_join_and_leave_all_the_time_leave_everything_exact(
    kafka: str, topics: str, tmp_path: Path, each_client: str
) -> None:
    rng = random.Random(2)
    pipeline = Pipeline(kafka, topics, tmp_path, batch=100, client=each_client)
    moves = 40 if SOAK else 10
    with running(pipeline, 2) as oracle:
        pipeline.start("w0", static=False)
        progress = Progress(pipeline)
        events = rows(EVENTS, 4)
        share = EVENTS // moves
        for number in range(moves):
            pipeline.feed(events[number * share : (number + 1) * share])
            if len(pipeline.workers) < 2 or (len(pipeline.workers) < 4 and rng.random() < 0.5):
                pipeline.start(f"w{number + 1}", static=False)
            else:
                pipeline.stop(rng.choice(list(pipeline.workers)))
            goal = min(progress() + rng.random() * share, (number + 1) * share)
            until(lambda goal=goal: progress() >= goal, "the workers get on")
        pipeline.feed(events[moves * share :])
        until(lambda: progress() >= EVENTS, "all events are answered")
        progress.close()
        pipeline.finish(2)
    found = pipeline.check()
    assert found["predictions"] == EVENTS
    assert found["examples"] == len(oracle.asked)


@pytest.mark.slow
def test_a_broker_killed_three_times_under_load_costs_nothing(
    own_broker: Broker, topics: str, tmp_path: Path, each_client: str
) -> None:
    count = EVENTS // 2
    pipeline = Pipeline(own_broker.bootstrap, topics, tmp_path / "pipeline", batch=100, client=each_client)
    with running(pipeline, 3) as oracle:
        for name in ("a", "b"):
            pipeline.start(name)
        progress = Progress(pipeline)
        events = rows(count, 5)
        for number in range(3):
            pipeline.feed(events[number * count // 4 : (number + 1) * count // 4])
            goal = min(progress() + count // 10, (number + 1) * count // 4)
            until(lambda goal=goal: progress() >= goal, "the workers get on")
            own_broker.kill()
            own_broker.restart()
        pipeline.feed(events[3 * count // 4 :])
        until(lambda: progress() >= count, "all events are answered")
        progress.close()
        pipeline.finish(2)
    found = pipeline.check()
    assert found["predictions"] == count
    assert found["examples"] == len(oracle.asked)


@pytest.mark.slow
def test_what_a_static_worker_was_giving_up_when_it_died_is_not_nobodys(
    kafka: str, topics: str, tmp_path: Path, each_client: str
) -> None:
    pipeline = Pipeline(kafka, topics, tmp_path, partitions=4, client=each_client)
    kafka_config = pipeline.kafka.model_copy(update={"instance": "a"})
    worker = KafkaWorker(pipeline.config.model_copy(update={"kafka": kafka_config}))
    worker.recover()

    def share() -> int:
        worker.step()
        session = worker._session
        return 0 if session is None else len(session.events)

    with running(pipeline, 8):
        until(lambda: share() == 4, "it has everything")
        pipeline.start("b")
        until(lambda: share() == 2, "half of it is to be another's, when this one has joined once more")
        worker.close()  # as if killed: a static member does not leave
        pipeline.start("a")
        progress = Progress(pipeline)
        pipeline.feed(rows(400, 9))
        until(lambda: progress() >= 400, "all events are answered", 60)
        progress.close()
        pipeline.finish(1)
    assert pipeline.check()["predictions"] == 400


@pytest.mark.slow
def test_a_zombie_is_fenced_and_publishes_nothing_twice(
    kafka: str, topics: str, tmp_path: Path, each_client: str
) -> None:
    count = EVENTS // 3
    pipeline = Pipeline(kafka, topics, tmp_path, batch=50, session=2.0, client=each_client)
    with running(pipeline, 4) as oracle:
        zombie = pipeline.start("zombie", static=False)
        progress = Progress(pipeline)
        events = rows(count, 6)
        pipeline.feed(events[: count // 2])
        until(lambda: progress() > count // 10, "the worker is in the middle of it")
        zombie.send_signal(signal.SIGSTOP)
        pipeline.start("heir", static=False)
        until(lambda: progress() >= count // 2, "its heir has taken everything over")
        zombie.send_signal(signal.SIGCONT)
        pipeline.feed(events[count // 2 :])
        until(lambda: progress() >= count, "all events are answered")
        progress.close()
        assert zombie.poll() is None
        pipeline.finish(2)
    found = pipeline.check()
    assert found["predictions"] == count
    assert found["examples"] == len(oracle.asked)


@pytest.mark.slow
def test_limits_move_with_the_partitions_and_hold_whoever_works(
    kafka: str, topics: str, tmp_path: Path
) -> None:
    limits = '[limits]\nlabels_total = 91\nquotas = [{ by = "features.n", share = 0.3 }, { by = "key", share = 0.5 }]'
    pipeline = Pipeline(kafka, topics, tmp_path, partitions=3, budget=0.2, rules=limits, batch=50)
    with running(pipeline, 7) as oracle:
        progress = Progress(pipeline)
        for number in range(4):
            pipeline.start(f"w{number}", static=False)
            pipeline.feed(rows(2400, 8)[number * 600 : (number + 1) * 600])
            until(lambda number=number: progress() >= 600 * number + 200, "the workers get on")
            if number:
                pipeline.kill(f"w{number - 1}")
        until(lambda: progress() >= 2400, "all events are answered")
        progress.close()
        pipeline.finish(2)
    found = pipeline.check()
    assert found["predictions"] == 2400
    assert found["examples"] == len(oracle.asked) == 90, "a third for each partition, whole labels"


@pytest.mark.slow
def test_what_only_the_model_can_tell_is_the_same_whoever_works(
    kafka: str, topics: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAM_AL_STRATEGY__UTILITY", "expected-change")
    monkeypatch.setenv("STREAM_AL_STRATEGY__APART", "90")
    guard = "[guard]\nduplicates = 300\nrepeats = 1\noutlier = 1.5"
    pipeline = Pipeline(kafka, topics, tmp_path, partitions=3, budget=0.2, rules=guard, batch=50)
    assert pipeline.config.strategy.apart == 90
    with running(pipeline, 7) as oracle:
        progress = Progress(pipeline)
        for number in range(3):
            pipeline.start(f"w{number}", static=False)
            pipeline.feed(rows(1800, 8)[number * 600 : (number + 1) * 600])
            until(lambda number=number: progress() >= 600 * number + 200, "the workers get on")
            if number:
                pipeline.kill(f"w{number - 1}")
        until(lambda: progress() >= 1800, "all events are answered")
        progress.close()
        pipeline.finish(2)
    found = pipeline.check()
    assert found["predictions"] == 1800
    counts = read_standing(pipeline.config)[0].counts
    assert counts["blocked:near-duplicate"] > 0
    assert found["examples"] == len(oracle.asked) > 100
