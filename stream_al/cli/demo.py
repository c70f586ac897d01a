"""`stream-al demo`: a real data set through the real pipeline, with a simulated person who answers late."""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from stream_al.errors import ConfigError

if TYPE_CHECKING:
    from stream_al.cli.assemble import Assembled
    from stream_al.replay.race import Lane, RaceDisplay

_SOURCE = "river:ImageSegments"
_KEY = "stream_al"
_WATCHABLE = 160.0
"""Events a second on a terminal: about a quarter of a minute."""


def demo_command(
    directory: Annotated[
        Path, typer.Option("--dir", help="Where to write; a former demo there is overwritten.")
    ] = Path("stream-al-demo"),
    budget: Annotated[float, typer.Option(min=0.0, max=1.0, help="The share of events to ask about.")] = 0.1,
    delay: Annotated[
        int, typer.Option(min=0, max=1000, help="Events between query and label, at least.")
    ] = 50,
    jitter: Annotated[
        int, typer.Option(min=0, max=1000, help="How many more there may be; labels then come out of order.")
    ] = 100,
    speed: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="Events a second, to watch it; 0 is as fast as possible.",
            show_default=f"{_WATCHABLE:.0f} on a terminal, else 0",
        ),
    ] = None,
    kafka: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Run it on a Kafka broker instead: topics of its own, two worker processes, one group.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the result.")] = False,
) -> None:
    """Show it at work: 2,310 real events, asked about by margin, at random, and all of them.

    Three pipelines read river's ImageSegments, each with its own SQLite store and JSONL outputs. A simulated
    person answers what they ask, late and out of order. Needs no network and no server.

    With --kafka the first of them runs on topics made for it: two worker processes share the events, the
    person answers late, out of order, now and then twice or into the wrong partition, and everything is verified
    from the topics afterwards. Exits with 1 when that finds a difference. What a broker asks for beyond its
    address is set in the environment: STREAM_AL_KAFKA__PROTOCOL, STREAM_AL_KAFKA__PASSWORD and so on.

    Example: stream-al demo --budget 0.05
    """
    from connectors.datasets import RiverEvents
    from stream_al.replay.comparison import Comparison
    from stream_al.replay.demo_runs import MODEL, RESULTS, demo_runs, prepared, write_configs
    from stream_al.replay.people import Crowd
    from stream_al.replay.progress import show_comparison
    from stream_al.replay.race import Lane, RaceDisplay
    from stream_al.replay.report import require_extra, write_files
    from stream_al.replay.stream import LabelledStream

    if kafka is None:
        require_extra()
    if not budget:
        raise ConfigError("--budget 0: nothing could be asked; give a share of the events, such as 0.05")
    console = Console(stderr=True)
    if speed is None:
        speed = _WATCHABLE if console.is_terminal and not quiet else 0.0
    stream = LabelledStream.read(RiverEvents(_SOURCE), _SOURCE)
    if kafka is not None:
        from stream_al.cli.demo_kafka import demo_on_kafka

        with prepared(directory):
            demo_on_kafka(
                kafka,
                directory,
                stream,
                budget=budget,
                delay=delay,
                jitter=jitter,
                speed=speed,
                as_json=as_json,
                quiet=quiet,
            )
        return
    total = len(stream.rows)
    heading = f"{_SOURCE} · {total:,} events · labels arrive {Crowd.one(delay, jitter).sentence()}"
    runs = demo_runs(stream, budget, _KEY)
    lanes = [Lane(run.title) for run in runs]
    display = RaceDisplay(console, heading, lanes, total, quiet=quiet)
    files = {name: directory / file for name, file in RESULTS.items()}
    with prepared(directory):
        write_configs(runs, directory, stream, delay=delay, jitter=jitter, key=_KEY)
        learned = _race([run.config(directory) for run in runs], lanes, display, total, speed)
        outcomes = [run.outcome(directory, stream, n) for run, n in zip(runs, learned, strict=True)]
        configuration = {
            "model": MODEL,
            "budget": f"{budget:.4g} of the events",
            "labels arrive": Crowd.one(delay, jitter).sentence(),
            "pipeline": "SQLite store, JSONL predictions and queries, a simulated oracle",
            "key": _KEY,
        }
        comparison = Comparison.of(_SOURCE, len(stream.classes), outcomes, configuration)
        write_files(comparison, **files)
    if as_json:
        found = comparison.to_json() | {"files": {name: str(path) for name, path in files.items()}}
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
        return
    show_comparison(comparison)
    store = directory / runs[0].name / "pipeline.db"
    typer.echo(f"\nlearning curves  {files['plot']}")
    typer.echo(f"report           {files['html'].resolve().as_uri()}")
    typer.echo(f"what was kept    stream-al status {store}")
    typer.echo(f"is it all true?  stream-al verify {store}")


def _race(
    configs: list[Path], lanes: list[Lane], display: RaceDisplay, total: int, speed: float
) -> list[int]:
    """Run all pipelines at the same pace, a batch each in turn; return how many labels each learned."""
    from stream_al.cli.assemble import assembled
    from stream_al.config import load_config

    with ExitStack() as stack:
        pipelines = [stack.enter_context(assembled(load_config(path), str(path))) for path in configs]
        stack.enter_context(display)
        began = time.monotonic()
        working = True
        while working:
            steps = [_step(pipeline, lane, total) for pipeline, lane in zip(pipelines, lanes, strict=True)]
            working = any(steps)
            display.update()
            if speed:
                time.sleep(max(0.0, began + lanes[0].events / speed - time.monotonic()))
        for pipeline in pipelines:
            pipeline.worker.save()
        return [pipeline.worker.progress.counts.get("label:example", 0) for pipeline in pipelines]


def _step(pipeline: Assembled, lane: Lane, total: int) -> bool:
    worked = pipeline.worker.step()
    lane.update(pipeline.worker.progress, len(pipeline.learner.desk), total)
    return worked
