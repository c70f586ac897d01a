"""`stream-al replay`: what asking this way would have achieved where the labels are known."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_al.errors import ConfigError

if TYPE_CHECKING:
    from stream_al.model import Model
    from stream_al.replay.contenders import Contender
    from stream_al.replay.stream import LabelledStream


def replay_command(
    source: Annotated[
        str,
        typer.Argument(
            help="A CSV or JSONL file (plain or .gz), - for standard input, or river:NAME for a data set "
            "that comes with river.",
            show_default=False,
        ),
    ],
    label_column: Annotated[
        str | None, typer.Option(help="The column with the true class.", show_default=False)
    ] = None,
    label_type: Annotated[
        str, typer.Option(help="What the classes of a file are: str, int or bool.")
    ] = "str",
    id_column: Annotated[
        str | None, typer.Option(help="The column with the event's id.", show_default=False)
    ] = None,
    timestamp_column: Annotated[
        str | None, typer.Option(help="The column with the event's time.", show_default=False)
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format", help="csv, jsonl or flat-jsonl; told by the file's name.", show_default=False
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Use the first so many events.", show_default=False)
    ] = None,
    strategy: Annotated[
        list[str] | None,
        typer.Option(
            help="How to ask; may be given several times. margin, least-confidence, entropy (each within the "
            "budget), random, all, or a fixed threshold: 'margin<0.2', 'confidence<0.7', 'entropy>0.5'.",
            show_default="margin",
        ),
    ] = None,
    budget: Annotated[float, typer.Option(min=0.0, max=1.0, help="The share of events to ask about.")] = 0.1,
    explore: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="The share of events to ask about whatever the model says.",
            show_default="a tenth of the budget; 0 for fixed thresholds",
        ),
    ] = None,
    cold_start: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Ask about the first so many events.",
            show_default="50; half the budget if that is less",
        ),
    ] = None,
    baselines: Annotated[
        bool, typer.Option(help="Compare with asking at random, and with all labels.")
    ] = True,
    delay: Annotated[int, typer.Option(min=0, help="Events between query and label, at least.")] = 0,
    jitter: Annotated[
        int, typer.Option(min=0, help="How many more there may be; labels then come out of order.")
    ] = 0,
    model: Annotated[
        str | None,
        typer.Option(
            help="Import path of a River classifier, or a .py file that defines `model`.",
            show_default="logistic regression; a Hoeffding tree for three classes or more",
        ),
    ] = None,
    key: Annotated[str, typer.Option(help="The seed of all that is random.")] = "stream_al",
    plot: Annotated[
        Path | None, typer.Option(help="Write the learning curves to this PNG.", show_default=False)
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write a report to this HTML file.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the result.")] = False,
) -> None:
    """Replay a labelled stream: compare query strategies, each event answered before its label is known.

    Every strategy gets the same events, model, delays and random draws. Nothing depends on a clock: the same
    command prints the same numbers.

    Example: stream-al replay river:Phishing --strategy margin --strategy entropy --budget 0.05 --delay 20
    """
    from stream_al.replay.comparison import Comparison
    from stream_al.replay.contenders import default_cold_start
    from stream_al.replay.progress import show_comparison, watched
    from stream_al.replay.report import require_writable, write_files
    from stream_al.replay.run import Trial, lateness, replay

    require_writable({"--plot": plot, "--html": html})
    if not budget:
        raise ConfigError("--budget 0: nothing could be asked; give a share of the events, such as 0.05")
    stream = _read(source, form, label_column, label_type, id_column, timestamp_column, limit)
    if cold_start is None:
        cold_start = default_cold_start(len(stream.rows), budget)
    contenders = _contenders(stream, strategy or ["margin"], budget, explore, cold_start, baselines, key)
    _require_enough(stream, cold_start, delay)
    make_model, model_name = _model_maker(model, stream)
    trial = Trial(make_model, delay, jitter, key)
    outcomes = watched(
        contenders,
        len(stream.rows),
        lambda contender, on_progress: replay(stream, contender, trial, on_progress),
        quiet=quiet,
    )
    configuration = {
        "model": model_name,
        "budget": f"{budget:.4g} of the events",
        "cold start": f"the first {cold_start:,} events",
        "labels arrive": lateness(delay, jitter),
        "key": key,
    }
    notes = [*_notes(stream, budget, cold_start), *(note for outcome in outcomes for note in outcome.notes)]
    comparison = Comparison(stream.name, len(stream.classes), outcomes, configuration, notes)
    write_files(comparison, plot=plot, html=html)
    if as_json:
        sys.stdout.write(json.dumps(comparison.to_json(), indent=1) + "\n")
    else:
        show_comparison(comparison)
        for path in (plot, html):
            if path is not None:
                typer.echo(f"wrote {path}")


# ── input ────────────────────────────────────────────────────────────────────────────────────────────


def _read(
    source: str,
    form: str | None,
    label_column: str | None,
    label_type: str,
    id_column: str | None,
    timestamp_column: str | None,
    limit: int | None,
) -> LabelledStream:
    from connectors.datasets import PREFIX
    from stream_al.cli.assemble import open_events
    from stream_al.config import EventsConfig
    from stream_al.model import LABEL_TYPES
    from stream_al.replay.stream import LabelledStream

    bundled = source.startswith(PREFIX)
    columns = {"label": label_column, "id": id_column, "timestamp": timestamp_column}
    if bundled and (given := [name for name, column in columns.items() if column is not None]):
        raise ConfigError(f"--{given[0]}-column: {source} knows its own; leave it out")
    if label_type not in LABEL_TYPES:
        raise ConfigError(f"--label-type {label_type}: must be one of {', '.join(LABEL_TYPES)}")
    if form not in (None, "csv", "jsonl", "flat-jsonl"):
        raise ConfigError(f"--format {form}: must be one of csv, jsonl, flat-jsonl")
    if source == "-" and form is None:
        raise ConfigError("-: standard input has no name to tell its format by; give --format")
    config = EventsConfig.model_validate(
        {
            "path": source,
            "format": form or (None if bundled else _format(source)),
            **{f"{name}_column": column for name, column in columns.items()},
        }
    )
    events = open_events(config, label_type, source)
    try:
        # Without a label column one event is enough to say so, and to name the columns there are.
        return LabelledStream.read(events, source, 1 if not bundled and label_column is None else limit)
    finally:
        events.close()


def _format(path: str) -> str | None:
    """Return which kind of JSONL a file is, by its first line: records, or flat objects; None for others."""
    from connectors.files import FileLines

    if not {".jsonl", ".ndjson"} & set(Path(path).suffixes):
        return None
    lines = FileLines(Path(path))
    try:
        first = json.loads(lines.read(1, 0.0)[0].data)
    except (ValueError, IndexError):
        first = None
    finally:
        lines.close()
    return "jsonl" if isinstance(first, dict) and isinstance(first.get("features"), dict) else "flat-jsonl"


def _require_enough(stream: LabelledStream, cold_start: int, delay: int) -> None:
    events = len(stream.rows)
    if events <= cold_start:
        raise ConfigError(
            f"{stream.name}: has {events:,} events, all of which --cold-start {cold_start} would ask about; "
            "give a lower number"
        )
    if events <= delay:
        raise ConfigError(
            f"{stream.name}: has {events:,} events, so with --delay {delay} no label comes before the end; "
            "give a lower number"
        )


# ── what is run ──────────────────────────────────────────────────────────────────────────────────────


def _contenders(
    stream: LabelledStream,
    names: list[str],
    budget: float,
    explore: float | None,
    cold_start: int,
    baselines: bool,
    key: str,
) -> list[Contender]:
    from stream_al.replay.contenders import ALL, RANDOM, all_labels, matched_random, parse_strategy

    wanted = [name.strip().lower() for name in names] + ([RANDOM, ALL] if baselines else [])
    found = [
        parse_strategy(name, budget=budget, explore=explore, cold_start=cold_start)
        for name in wanted
        if name not in (RANDOM, ALL)
    ]
    if RANDOM in wanted:
        ids = (str(row.id) for row in stream.rows)
        found.append(matched_random(ids, budget=budget, cold_start=cold_start, key=key))
    if ALL in wanted:
        found.append(all_labels())
    return list({contender.name: contender for contender in found}.values())


def _model_maker(text: str | None, stream: LabelledStream) -> tuple[Callable[[], Model], str]:
    """Return what makes a fresh model, and its name; the classes are given, so that too many are refused."""
    from stream_al.build import build_estimator
    from stream_al.config import ModelConfig
    from stream_al.model import Model
    from stream_al.replay.default_model import default_model

    estimator: Any
    if text is None:
        estimator, name = default_model(stream)
    else:
        settings = ModelConfig.model_validate({"file" if text.endswith(".py") else "use": text})
        estimator, name = build_estimator(settings), text
    return lambda: Model(estimator, classes=stream.classes), name


def _notes(stream: LabelledStream, budget: float, cold_start: int) -> list[str]:
    events = len(stream.rows)
    notes = []
    if stream.unusable:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in stream.unusable.items())
        notes.append(f"{sum(stream.unusable.values()):,} records were left out ({reasons}).")
    if stream.unlabelled:
        notes.append(f"{stream.unlabelled:,} events have no label; they are answered, and not measured.")
    if repeated := events - len({row.id for row in stream.rows}):
        notes.append(f"{repeated:,} events repeat an id; an id is asked about once.")
    if cold_start > budget * events:
        notes.append(
            f"The cold start ({cold_start:,} labels) is more than the whole budget ({budget * events:,.0f})."
        )
    return notes
