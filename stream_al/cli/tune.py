"""`stream-al tune`: which strategy to take for a stream like this one, and its configuration to paste."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_al.cli import replay_options as options
from stream_al.errors import ConfigError

if TYPE_CHECKING:
    from stream_al.replay.plan import Entry
    from stream_al.replay.stream import LabelledStream
    from stream_al.replay.tune import RunPlan, Tuned

_SHOWN = 10
"""Candidates in the table."""


def tune_command(
    source: options.Source,
    label_column: options.LabelColumn = None,
    label_type: options.LabelType = "str",
    id_column: options.IdColumn = None,
    timestamp_column: options.TimestampColumn = None,
    form: options.Format = None,
    limit: options.Limit = None,
    max_classes: options.MaxClasses = 1000,
    bootstrap: options.Bootstrap = None,
    budget: Annotated[
        float | None,
        typer.Option(help="The share of events that may be asked about.", show_default="0.1"),
    ] = None,
    labels: Annotated[
        int | None,
        typer.Option(
            min=1, help="Or: how many labels there may be in all of this stream.", show_default=False
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Import path of a River classifier, or a .py file that defines `model`; several to choose among.",
            show_default="logistic regression; a Hoeffding tree for three classes or more",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Run each candidate so often.")] = 3,
    tail: Annotated[
        float, typer.Option(min=0.05, max=0.9, help="The share of the stream held out to check the choice.")
    ] = 0.3,
    key: Annotated[str, typer.Option(help="The seed of all that is random.")] = "stream_al",
    delay: options.Delay = 0,
    jitter: options.Jitter = 0,
    latency: options.LatencyText = None,
    working_hours: options.Hours = None,
    wrong: options.Wrong = 0.0,
    abstain: options.Abstain = 0.0,
    silent: options.Silent = 0.0,
    rate: options.Rate = None,
    annotator: options.AnnotatorText = None,
    quorum: options.Quorum = 1,
    agreement: options.Agreement = "majority",
    events_per_hour: options.EventsPerHour = None,
    processes: options.Processes = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the result.")] = False,
) -> None:
    """Recommend a strategy for a stream and a label budget, with a configuration to paste.

    Candidates are replayed over the first part of the stream, random among them; the best is then compared with
    random on the tail, which had no part in the choice.

    Example: stream-al tune river:Phishing --budget 0.1
    """
    from stream_al.replay.tune import tune

    stream = options.Input(
        source, form, label_column, label_type, id_column, timestamp_column, limit, max_classes, bootstrap
    ).read()
    if budget is not None and labels is not None:
        raise ConfigError("--labels: give it or --budget, not both")
    share = 0.1 if budget is None else budget
    if labels is not None:
        share = labels / len(stream.rows)
    if not 0.0 < share < 1.0:
        raise ConfigError(f"a budget of {share:g}: give a share between 0 and 1, such as --budget 0.05")
    people = options.People(
        delay, jitter, latency, working_hours, wrong, abstain, silent, rate, tuple(annotator or ()), quorum,
        agreement, events_per_hour,
    )  # fmt: skip
    crowd = people.crowd(stream.classes)
    tuned = tune(
        stream,
        _runner(processes, quiet=quiet),
        budget=share,
        models=tuple(dict.fromkeys(model or [""])),
        seeds=seeds,
        crowd=crowd,
        clock=people.clock(stream, crowd),
        key=key,
        tail=tail,
    )
    if as_json:
        sys.stdout.write(json.dumps(_json(stream, tuned), indent=1) + "\n")
    else:
        _show(stream, tuned, share)


def _runner(processes: int | None, *, quiet: bool) -> RunPlan:
    from stream_al.replay.pool import run_plan
    from stream_al.replay.progress import watched

    def run(plan: Any, stream: LabelledStream) -> Any:
        cells = len(plan.cells)
        total = cells * len(stream.rows)
        with watched(total, quiet=quiet) as watch:
            return run_plan(
                plan,
                stream,
                processes=options.processes_for(processes, total),
                on_progress=lambda events, done: watch.update(events, done, cells),
            )

    return run


def _show(stream: LabelledStream, tuned: Tuned, budget: float) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from stream_al.replay.report.numbers import estimate
    from stream_al.replay.tune import to_toml

    console = Console(highlight=False)
    heading = (
        f"{stream.name} · {len(stream.rows):,} events · {len(stream.classes)} classes · budget {budget:.4g}"
    )
    console.print(f"\n{heading}", style="bold", markup=False)
    console.print(
        f"  chosen on the first {tuned.split:,} events, checked on the rest", style="dim", markup=False
    )
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("candidate", no_wrap=True)
    for name in ("explore", "cold start", "labels", "accuracy"):
        table.add_column(name, justify="right", no_wrap=True)
    for entry, group in tuned.tried[:_SHOWN]:
        table.add_row(
            _name(entry, tuned),
            "" if entry.explore is None else f"{entry.explore:.4g}",
            f"{entry.cold_start}",
            f"{group.labels:,.0f}",
            estimate(group.measures["accuracy"], percent=True),
            style="bold" if entry == tuned.chosen else "",
        )
    console.print(table)
    if len(tuned.tried) > _SHOWN:
        console.print(f"  and {len(tuned.tried) - _SHOWN} more", style="dim", markup=False)
    console.print(tuned.sentence(len(stream.rows)), markup=False)
    console.print(
        "\nTo paste into a configuration (`stream-al init` makes one):\n", style="dim", markup=False
    )
    typer.echo(to_toml(tuned.chosen))


def _name(entry: Entry, tuned: Tuned) -> str:
    several = len({tried.model for tried, _ in tuned.tried}) > 1
    return f"{entry.strategy} · {entry.model.rpartition('.')[2]}" if several else entry.strategy


def _json(stream: LabelledStream, tuned: Tuned) -> dict[str, Any]:
    from stream_al.replay.tune import to_toml

    def row(entry: Entry, group: Any) -> dict[str, Any]:
        return {
            "strategy": entry.strategy,
            "model": entry.model,
            "budget": entry.budget,
            "explore": entry.explore,
            "cold_start": entry.cold_start,
            "labels": group.labels,
            "accuracy": group.measures["accuracy"]._asdict(),
        }

    return {
        "source": stream.name,
        "events": len(stream.rows),
        "split": tuned.split,
        "chosen": row(*next(pair for pair in tuned.tried if pair[0] == tuned.chosen)),
        "confirmed": tuned.confirmed,
        "ahead_of_random_on_the_tail": tuned.ahead._asdict(),
        "summary": tuned.sentence(len(stream.rows)),
        "config": to_toml(tuned.chosen),
        "tried": [row(entry, group) for entry, group in tuned.tried],
        "tail": [row(entry, group) for entry, group in tuned.tail],
    }
