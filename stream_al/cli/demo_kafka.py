"""`stream-al demo --kafka`: the demo through real topics, with two worker processes and a simulated person."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import typer
from rich.console import Console

from stream_al.errors import BrokerError, ConfigError
from stream_al.replay.contenders import default_cold_start, most_while_late
from stream_al.replay.people import Crowd
from stream_al.replay.stream import LabelledStream

if TYPE_CHECKING:
    from stream_al.cli.demo_board import Board
    from stream_al.cli.demo_traffic import Traffic
    from stream_al.cli.demo_workers import WorkerGroup
    from stream_al.config import Config
    from stream_al.verdict import Verdict

_WORKERS: Final = ("worker-1", "worker-2")
_PARTITIONS: Final = 4
_UNDER_WAY: Final = 100
"""The share of the events that may be under way at a time is one of so many."""
_PATIENCE: Final = 90.0
"""Seconds in which something must move: longer than a dead worker's partitions take to go to the other."""
_CONFIG: Final = """\
# Written by `stream-al demo --kafka`. It is what `stream-al run` takes; events and labels come from topics.
[model]
use = "river.forest.AMFClassifier"
args = {{ n_estimators = 10, seed = 1 }}

[strategy]
name = "budgeted"
utility = "margin"
budget = {budget}
cold_start = {{ rule = "all", examples = {cold}, asks = {late} }}

[kafka]
bootstrap = {bootstrap}
group = "{name}"

[kafka.topics]
prefix = "{name}-"
partitions = {partitions}
query_partitions = {partitions}
"""


def demo_on_kafka(
    bootstrap: str,
    directory: Path,
    stream: LabelledStream,
    *,
    budget: float,
    delay: int,
    jitter: int,
    speed: float,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run the demo in a prepared directory and print what came of it.

    Raises
    ------
    BrokerError
        When no broker can be reached, or nothing moves any more.
    ConfigError
        When the topics cannot be made.
    SourceError
        When a worker ended that should not have.
    """
    from connectors.kafka.client import require_kafka

    require_kafka()
    from connectors.kafka.topics import create
    from connectors.kafka.verify import verify
    from stream_al.cli.demo_board import Board
    from stream_al.cli.demo_result import result_of, show_result
    from stream_al.cli.demo_traffic import Traffic
    from stream_al.cli.demo_workers import WorkerGroup

    console = Console(stderr=True)
    path = directory / "kafka" / "pipeline.toml"
    config = _configured(bootstrap, path, budget, len(stream.rows))
    assert config.kafka is not None
    began = time.monotonic()
    create(config)
    heading = f"{stream.name} · {len(stream.rows):,} events · labels arrive {Crowd.one(delay, jitter).sentence()}, simulated"
    ahead = max(1, len(stream.rows) // _UNDER_WAY)
    with _ended_in_order(), WorkerGroup(path, _WORKERS) as workers:
        with (
            Traffic(config.kafka, stream, delay=delay, jitter=jitter, ahead=ahead, speed=speed) as traffic,
            Board(console, heading, len(stream.rows), quiet=quiet) as board,
        ):
            board.say("waiting for the workers to share the partitions")
            _wait_for_share(config, workers)
            board.say("")
            _run(traffic, workers, board)
            traffic.oracle.flush()
        said = workers.stop()
        board.say("verifying: everything is run again from the topics")
        verdict = verify(config, str(path))
        _read_on(said, workers, verdict)
        notes = workers.notes()
    found = result_of(traffic, said, verdict, stream) | {
        "seconds": time.monotonic() - began,
        "notes": notes,
        "budget": budget,
        "labels_arrive": Crowd.one(delay, jitter).sentence(),
        "prefix": config.kafka.topics.prefix,
        "config": str(path),
    }
    if as_json:
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
    else:
        show_result(found, stream, config.kafka)
    if found["differences"] or not found["digests_equal"]:
        raise typer.Exit(1)


def _configured(bootstrap: str, path: Path, budget: float, events: int) -> Config:
    """Write the configuration and read it back, as the workers will."""
    from stream_al.config import load_config

    cold = default_cold_start(events, budget)
    text = _CONFIG.format(
        budget=budget,
        cold=cold,
        late=most_while_late(cold, budget, events),
        bootstrap=json.dumps(bootstrap),
        name=f"stream-al-demo-{uuid4().hex[:8]}",
        partitions=_PARTITIONS,
    )
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8")
    config = load_config(path)
    if config.kafka is None or config.kafka.bootstrap != bootstrap:
        raise ConfigError("--kafka: STREAM_AL_KAFKA__BOOTSTRAP in the environment says otherwise; unset it")
    return config


@contextlib.contextmanager
def _ended_in_order() -> Iterator[None]:
    """Let a SIGTERM, or a terminal that is closed, end the demo as a Ctrl-C does: nothing is left behind."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait_for_share(config: Config, workers: WorkerGroup) -> None:
    """Wait until every worker has partitions, so that all of them take part from the first event on."""
    from kafka.errors import CoordinatorLoadInProgressError, CoordinatorNotAvailableError

    from connectors.kafka import client
    from connectors.kafka.connection import reaching

    kafka = config.kafka
    assert kafka is not None
    deadline = time.monotonic() + _PATIENCE
    with reaching(kafka, "looking at the group"), client.admin(kafka) as admin:
        while time.monotonic() < deadline:
            workers.check()
            group: dict[str, Any] = {"members": [], "group_state": ""}
            # On a broker that never had a group the topic of the offsets is made first.
            with contextlib.suppress(CoordinatorNotAvailableError, CoordinatorLoadInProgressError):
                group = admin.describe_groups([kafka.group])[kafka.group]
            shares = [member["member_assignment"] for member in group["members"]]
            busy = sum(bool(share and share["assigned_partitions"]) for share in shares)
            if group["group_state"] == "Stable" and busy == len(_WORKERS):
                return
            time.sleep(0.1)
    raise BrokerError(
        f"the workers have not shared the partitions of group {kafka.group} within {_PATIENCE:.0f} seconds; "
        f"their logs are beside the configuration: {', '.join(str(w.log) for w in workers.workers)}"
    )


def _run(traffic: Traffic, workers: WorkerGroup, board: Board) -> None:
    """Let everything flow until every event, every query and every label has come to its end."""
    before, moved = traffic.standing(), time.monotonic()
    while not traffic.finished:
        traffic.step()
        workers.check()
        standing = traffic.standing()
        board.update(traffic.predictions, standing)
        if standing != before:
            before, moved = standing, time.monotonic()
        elif time.monotonic() - moved > _PATIENCE:
            how = ", ".join(f"{count} {name}" for name, count in standing.items())
            logs = ", ".join(str(worker.log) for worker in workers.workers)
            raise BrokerError(f"nothing has moved for {_PATIENCE:.0f} seconds ({how}); see {logs}")


def _read_on(said: dict[str, dict[str, Any]], workers: WorkerGroup, verdict: Verdict) -> None:
    """Have a worker read the log to its end that was stopped before it had: only then digests can be compared."""
    for worker in workers.workers:
        if said[worker.name]["examples"] < verdict.examples:
            said[worker.name]["digest"] = worker.read_on()["digest"]
