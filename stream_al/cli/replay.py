"""`stream-al replay`: what asking this way would have achieved where the labels are known."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_al.cli import replay_options as options
from stream_al.errors import ConfigError

if TYPE_CHECKING:
    from stream_al.replay.comparison import Comparison
    from stream_al.replay.plan import Plan
    from stream_al.replay.stream import LabelledStream

_COMPARED = "What is compared"
_ROUNDS = "In rounds"
_OUTPUT = "Output"


def replay_command(
    source: options.Source,
    label_column: options.LabelColumn = None,
    label_type: options.LabelType = "str",
    id_column: options.IdColumn = None,
    timestamp_column: options.TimestampColumn = None,
    form: options.Format = None,
    limit: options.Limit = None,
    max_classes: options.MaxClasses = 1000,
    bootstrap: options.Bootstrap = None,
    strategy: Annotated[
        list[str] | None,
        typer.Option(
            help="How to ask; may be given several times. margin, least-confidence, entropy, variable, selective, "
            "importance, balanced, apart, expected-change, fragility, committee (each within the budget), random, all, "
            "none, or a fixed threshold: 'margin<0.2', 'confidence<0.7', 'entropy>0.5'.",
            show_default="margin",
            rich_help_panel=_COMPARED,
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Import path of a River classifier, or a .py file that defines `model`; may be given several times.",
            show_default="logistic regression; a Hoeffding tree for three classes or more",
            rich_help_panel=_COMPARED,
        ),
    ] = None,
    budget: Annotated[
        list[float] | None,
        typer.Option(
            help="The share of events to ask about; may be given several times.",
            show_default="0.1",
            rich_help_panel=_COMPARED,
        ),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(
            min=1, help="Run each so often, with other draws and answers.", rich_help_panel=_COMPARED
        ),
    ] = 1,
    explore: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="The share of events to ask about whatever the model says.",
            show_default="a tenth of the budget; 0 for fixed thresholds",
            rich_help_panel=_COMPARED,
        ),
    ] = None,
    cold_start: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Ask about the first so many events.",
            show_default="50; half the budget if that is less",
            rich_help_panel=_COMPARED,
        ),
    ] = None,
    baselines: Annotated[
        bool,
        typer.Option(
            help="Compare with asking at random, with all labels, and with none after the cold start.",
            rich_help_panel=_COMPARED,
        ),
    ] = True,
    key: Annotated[
        str, typer.Option(help="The seed of all that is random.", rich_help_panel=_COMPARED)
    ] = "stream_al",
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
    withdraw_below: options.WithdrawBelow = None,
    events_per_hour: options.EventsPerHour = None,
    rounds: Annotated[
        bool,
        typer.Option(
            "--rounds",
            help="Not as a stream: label a part, then in each round the next part that is least sure, as in a pool.",
            rich_help_panel=_ROUNDS,
        ),
    ] = False,
    start: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="The share labelled first.", rich_help_panel=_ROUNDS)
    ] = 0.05,
    step: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="The share each round adds.", rich_help_panel=_ROUNDS)
    ] = 0.05,
    stop: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="The share to stop at.", rich_help_panel=_ROUNDS),
    ] = 0.3,
    confidence: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, help="From which confidence on an answer is sure.", rich_help_panel=_ROUNDS
        ),
    ] = 0.9,
    confident: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Stop, too, when the model is sure of this share of the rest.",
            rich_help_panel=_ROUNDS,
        ),
    ] = 0.95,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Write the learning curves to this PNG.", show_default=False, rich_help_panel=_OUTPUT
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(help="Write a report to this HTML file.", show_default=False, rich_help_panel=_OUTPUT),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            help="Write a row for each run: .csv, .json, .jsonl or .parquet.",
            show_default=False,
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    cost_per_label: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="What a label costs, to tell what is saved.",
            show_default=False,
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=_OUTPUT)] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress, only the result.", rich_help_panel=_OUTPUT)
    ] = False,
    processes: options.Processes = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            help="Keep finished runs in this directory, and do not run again what is there.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Replay a labelled stream: compare query strategies, each event answered before its label is known.

    Every strategy gets the same events, model, people and random draws. Nothing depends on a clock: the same
    command prints the same numbers, whatever the number of processes.

    Example: stream-al replay river:Phishing --strategy margin --strategy entropy --budget 0.05 --delay 20
    """
    from stream_al.replay.report import require_writable
    from stream_al.replay.results import require_format

    require_writable({"--plot": plot, "--html": html})
    require_format(results)
    stream = options.Input(
        source, form, label_column, label_type, id_column, timestamp_column, limit, max_classes, bootstrap
    ).read()
    models = tuple(dict.fromkeys(model or [""]))
    if rounds:
        from stream_al.cli.rounds import replay_rounds

        given = {"--html": html, "--results": results, "--budget": budget, "--keep": keep}
        for name, value in given.items():
            if value is not None:
                raise ConfigError(f"{name}: belongs to the stream, not to --rounds; leave it out")
        parts = (start, step, stop, confidence, confident)
        replay_rounds(
            stream, strategy or ["margin"], models, parts, seeds, key, plot, as_json=as_json, quiet=quiet
        )
        return
    people = options.People(
        delay,
        jitter,
        latency,
        working_hours,
        wrong,
        abstain,
        silent,
        rate,
        tuple(annotator or ()),
        quorum,
        agreement,
        events_per_hour,
        withdraw_below,
    )
    plan = _plan(
        stream,
        strategy or ["margin"],
        models,
        budget or [0.1],
        explore,
        cold_start,
        baselines,
        seeds,
        people,
        key,
    )
    comparison = _run(stream, plan, processes, keep, cost_per_label, quiet=quiet)
    _tell(comparison, plot, html, results, as_json=as_json)


def _plan(
    stream: LabelledStream,
    strategies: list[str],
    models: tuple[str, ...],
    budgets: list[float],
    explore: float | None,
    cold_start: int | None,
    baselines: bool,
    seeds: int,
    people: options.People,
    key: str,
) -> Plan:
    from stream_al.replay.contenders import default_cold_start
    from stream_al.replay.plan import Plan, entries

    budgets = sorted(set(budgets))
    events = len(stream.rows)
    starts = [default_cold_start(events, share) if cold_start is None else cold_start for share in budgets]
    found = entries(
        strategies,
        models=models,
        budgets=budgets,
        explore=explore,
        cold_starts=starts,
        baselines=baselines,
    )
    crowd = people.crowd(stream.classes)
    options.require_enough(stream, max(starts), crowd)
    return Plan(found, seeds, crowd, key, people.clock(stream, crowd))


def _run(
    stream: LabelledStream,
    plan: Plan,
    processes: int | None,
    keep: Path | None,
    cost_per_label: float | None,
    *,
    quiet: bool,
) -> Comparison:
    from stream_al.replay.compare import compare
    from stream_al.replay.pool import run_plan
    from stream_al.replay.progress import watched

    cells = len(plan.cells)
    total = cells * len(stream.rows)
    configuration = _configuration(stream, plan)
    with watched(total, quiet=quiet) as watch:
        outcomes = run_plan(
            plan,
            stream,
            processes=options.processes_for(processes, total),
            keep=keep,
            on_progress=lambda events, done: watch.update(events, done, cells),
        )
    return compare(stream, plan, outcomes, configuration, cost_per_label=cost_per_label)


def _configuration(stream: LabelledStream, plan: Plan) -> dict[str, str]:
    from stream_al.replay.plan import model_maker

    models = dict.fromkeys(entry.model for entry in plan.entries)
    with_budget = [entry for entry in plan.entries if entry.budget is not None]
    starts = sorted({entry.cold_start for entry in (with_budget or plan.entries)})
    budgets = sorted({entry.budget for entry in plan.entries if entry.budget is not None})
    found = {"model": ", ".join(model_maker(model, stream)[1] for model in models)}
    if budgets:
        found["budget"] = f"{', '.join(f'{share:.4g}' for share in budgets)} of the events"
    found["cold start"] = f"the first {', '.join(f'{start:,}' for start in starts)} events"
    found["labels arrive"] = plan.crowd.sentence()
    if plan.seeds > 1:
        found["seeds"] = f"{plan.seeds}; intervals are 95 %, over seeds"
    found["key"] = plan.key
    return found


def _tell(
    comparison: Comparison, plot: Path | None, html: Path | None, results: Path | None, *, as_json: bool
) -> None:
    from stream_al.replay.progress import show_comparison
    from stream_al.replay.report import write_files
    from stream_al.replay.results import rows, write_rows

    write_files(comparison, plot=plot, html=html)
    if results is not None:
        write_rows(rows(comparison), results)
    if as_json:
        sys.stdout.write(json.dumps(comparison.to_json(), indent=1) + "\n")
        return
    show_comparison(comparison)
    for path in (plot, html, results):
        if path is not None:
            typer.echo(f"wrote {path}")
