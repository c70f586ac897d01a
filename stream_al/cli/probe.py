"""`stream-al probe`: how easily a model is fooled."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_al.cli import replay_options as options
from stream_al.errors import ConfigError

if TYPE_CHECKING:
    from stream_al.model import Model
    from stream_al.records import ClassLabel, Features
    from stream_al.replay.stream import LabelledStream
    from stream_al.robustness import Findings
    from stream_al.robustness.setting import Setting

    Row = tuple[str, Features, ClassLabel | None]

_RECORDS = (".db", ".toml")


def probe_command(
    model: Annotated[
        str,
        typer.Argument(
            help="Import path of a River classifier, or a .py file that defines `model`, which then learns the first part "
            "of the data; or a pipeline's store (.db) or configuration (.toml), whose model it is as it is.",
            show_default=False,
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            help="The events: as for `stream-al replay`.",
            show_default="the events of the pipeline",
        ),
    ] = None,
    label_column: options.LabelColumn = None,
    label_type: options.LabelType = "str",
    id_column: options.IdColumn = None,
    timestamp_column: options.TimestampColumn = None,
    form: options.Format = None,
    limit: options.Limit = None,
    train: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="The share of the data that a fresh model learns first."),
    ] = 0.7,
    events: Annotated[
        int, typer.Option(min=1, help="How many events to attack, of those the model answers rightly.")
    ] = 100,
    features: Annotated[
        list[int] | None,
        typer.Option(
            min=1, help="Attack by changing so many features; may be given several times.", show_default="1"
        ),
    ] = None,
    within: Annotated[
        float,
        typer.Option(
            min=0.0001, help="How far all features may move together: in spreads (standard deviations)."
        ),
    ] = 1.0,
    target: Annotated[
        str | None,
        typer.Option(help="The class that the model is to answer.", show_default="any but the right one"),
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option(
            help="Of pictures: height x width, such as 28x28, features being pixels row by row.",
            show_default="told by names such as pixel_3_4",
        ),
    ] = None,
    key: Annotated[str, typer.Option(help="The seed of all that is random.")] = "stream_al",
    html: Annotated[
        Path | None, typer.Option(help="Write a report to this HTML file.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the result.")] = False,
) -> None:
    """Attack a model, to see how little must change in an event until the answer is wrong.

    All features a little, along the slope (FGSM, Goodfellow et al. 2015); and few features much, by differential
    evolution (one pixel, Su et al. 2019). Events, places and changes are the same in every run with the same key.

    Example: stream-al probe river.linear_model.SoftmaxRegression --data sklearn:digits --html digits.html
    """
    from stream_al.replay.progress import watched
    from stream_al.replay.report.extra import require_writable
    from stream_al.robustness import Space, choose, probe
    from stream_al.robustness.pictures import Grid

    require_writable({"--html": html})
    read = options.Input(data or model, form, label_column, label_type, id_column, timestamp_column, limit)
    if Path(model).suffix in _RECORDS:
        name, found = _recorded(Path(model))
        rows = learned_from = _rows(read.read())
    else:
        if data is None:
            raise ConfigError(f"--data: {model} is a fresh model; name the events it learns and answers")
        stream = read.read()
        name, found = _taught(model, stream, train, quiet=quiet)
        count = round(train * len(stream.rows))
        learned_from, rows = _rows(stream)[:count], _rows(stream)[count:]
    grid = None if shape is None else Grid.parse(shape, rows[0][1])
    goal = None if target is None else _class(target, found.classes)
    subjects = choose(found, rows, events, key, goal)
    space = Space.of(features for _, features, _ in learned_from)
    ways = list(dict.fromkeys(features or [1]))
    total = len(subjects) * (1 + len(ways))
    with watched(total, "kinds of attack", unit="attacks", quiet=quiet) as watch:
        findings = probe(
            found,
            subjects,
            space,
            few=ways,
            target=goal,
            within=within,
            key=key,
            on_progress=lambda done: watch.update(done, done // len(subjects), 1 + len(ways)),
        )
    setting = _setting(read.source, name, found, rows)
    if html is not None:
        from stream_al.robustness.report import write_page

        write_page(findings, setting, html, grid or Grid.told_by(rows[0][1]))
    if as_json:
        sys.stdout.write(json.dumps({**setting.to_json(), **findings.to_json()}, indent=1) + "\n")
        return
    _show(findings, setting)
    if html is not None:
        typer.echo(f"wrote {html}")


def _rows(stream: LabelledStream) -> list[Row]:
    from stream_al.replay.stream import truth_of

    return [(str(row.id), row.features, truth_of(row)) for row in stream.rows]


def _recorded(path: Path) -> tuple[str, Model]:
    """Return the model that a pipeline's log makes."""
    from stream_al.amendments import ListedLog
    from stream_al.cli.recorded import open_recording

    recording = open_recording(path)
    model, log = recording.make_learner().model, ListedLog(recording.examples)
    model.fold_all(log, log)
    return f"the model of {path}", model


def _taught(text: str, stream: LabelledStream, train: float, *, quiet: bool) -> tuple[str, Model]:
    """Return a fresh model that has learned the first part of a stream."""
    from stream_al.records import Example
    from stream_al.replay.plan import model_maker
    from stream_al.replay.progress import watched
    from stream_al.replay.stream import truth_of

    make, name = model_maker(text, stream)
    model = make()
    count = round(train * len(stream.rows))
    if not 0 < count < len(stream.rows):
        raise ConfigError(
            f"--train {train:g}: of {len(stream.rows):,} events {count:,} are learned and the rest attacked; "
            "give a share that leaves some for both"
        )
    refused: str | None = None
    with watched(count, "models", unit="examples learned", quiet=quiet) as watch:
        for number, row in enumerate(stream.rows[:count], 1):
            truth = truth_of(row)
            if truth is not None:
                example = Example(event_id=str(row.id), features=row.features, label=truth)
                refused = model.learn(example) or refused
            watch.update(number, number // count, 1)
    if refused is not None and not model.classes:
        raise ConfigError(f"{name}: cannot learn these events: {refused}")
    return name, model


def _class(text: str, classes: tuple[ClassLabel, ...]) -> ClassLabel:
    found = next((label for label in classes if str(label) == text), None)
    if found is None:
        raise ConfigError(
            f"--target {text}: the model knows no such class; there are {', '.join(map(str, classes))}"
        )
    return found


def _setting(source: str, name: str, model: Model, rows: list[Row]) -> Setting:
    from stream_al.robustness.setting import Setting
    from stream_al.uncertainty import Scores

    answers = model.score_all([dict(features) for _, features, _ in rows])
    known = [
        (truth, answer)
        for (_, _, truth), answer in zip(rows, answers, strict=True)
        if truth is not None and isinstance(answer, Scores)
    ]
    right = sum(truth == answer.label for truth, answer in known)
    return Setting(source, name, model.version, len(known), right)


def _show(findings: Findings, setting: Setting) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from stream_al.robustness.setting import heading, notes, sentences

    console = Console(highlight=False)
    console.print(f"\n{heading(setting)}", style="bold", markup=False)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("changed", no_wrap=True)
    for column in ("fooled", "95 %", "median change", "answers needed"):
        table.add_column(column, justify="right", no_wrap=True)
    for attack in findings.attacks:
        low, high = attack.interval
        table.add_row(
            attack.name,
            f"{len(attack.fooled):,} of {attack.tried:,}",
            f"{low:.0%} to {high:.0%}",
            "" if attack.median is None else f"{attack.median:.2f}",
            f"{attack.calls / attack.tried:,.0f}",
        )
    console.print(table)
    for attack in findings.attacks:
        if attack.fooled:
            names = ", ".join(f"{name} {effect:.0%}" for name, effect in attack.features[:5])
            console.print(f"  {attack.name}, mostly: {names}", style="dim", markup=False)
    for sentence in sentences(findings):
        console.print(sentence, markup=False)
    for note in notes(findings):
        console.print(f"note: {note}", style="yellow", markup=False)
