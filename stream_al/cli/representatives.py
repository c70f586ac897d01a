"""`stream-al representatives`: which few records of a pool to label, and what their labels teach about the rest."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_al.errors import ConfigError, ModelError, RecordError, SourceError

if TYPE_CHECKING:
    from stream_al.codec import EventRow
    from stream_al.pool import Embed, Group
    from stream_al.pool.vectors import Vectors
    from stream_al.records import ClassLabel, Label


def representatives_command(
    source: Annotated[
        str,
        typer.Argument(
            help="A CSV or JSONL file (plain or .gz), a Parquet file, - for JSONL on standard input, or river:NAME.",
            show_default=False,
        ),
    ],
    count: Annotated[
        int, typer.Option(min=1, help="How many records people are to label.", show_default=False)
    ],
    label_column: Annotated[
        str | None, typer.Option(help="A column that is no feature: the true class.", show_default=False)
    ] = None,
    id_column: Annotated[
        str | None, typer.Option(help="The column with the record's id.", show_default=False)
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format", help="csv, jsonl, flat-jsonl or parquet; told by the file's name.", show_default=False
        ),
    ] = None,
    embed: Annotated[
        str | None,
        typer.Option(
            help="What records are compared by: the import path of a River transformer, or a .py file that defines "
            "`model` as one. By default the features, standardised.",
            show_default=False,
        ),
    ] = None,
    clusterer: Annotated[
        str | None,
        typer.Option(
            help="A River clusterer instead of mini-batch k-means: its import path, or a .py file that defines `model`.",
            show_default=False,
        ),
    ] = None,
    queries: Annotated[
        Path | None,
        typer.Option(help="Write the queries here, a line of JSON each.", show_default="standard output"),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="What people said, a line of JSON each; give --examples, too.", show_default=False),
    ] = None,
    examples: Annotated[
        Path | None,
        typer.Option(
            help="Write what a model may learn here: the labels, and those propagated.", show_default=False
        ),
    ] = None,
    reach: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="The share of a group that takes over its label.")
    ] = 0.25,
    weight: Annotated[
        float, typer.Option(min=0.001, max=1.0, help="What a propagated label weighs; a person's weighs 1.")
    ] = 0.5,
    key: Annotated[str, typer.Option(help="Seeds the clustering.")] = "stream_al",
) -> None:
    """Choose the few records of a pool that stand for the others, and propagate their labels.

    Similar records form groups, and each group has a representative. Label those (the queries), give the labels back
    with the same options, and get examples: people's labels, and propagated ones with less weight and the mark
    `propagated_from`. Where people's labels in a group differ, nothing is propagated.

    Example: stream-al representatives pool.csv --count 50 --queries queries.jsonl

    Then: stream-al representatives pool.csv --count 50 --labels labels.jsonl --examples examples.jsonl
    """
    from stream_al.pool import grouped, vectors

    if (labels is None) != (examples is None) or (labels is not None and queries is not None):
        raise ConfigError("--labels and --examples belong together, and --queries comes before them")
    rows = _read(source, form, label_column, id_column)
    found = vectors([row.features for row in rows], _embedding(embed, rows))
    groups = grouped(found, count, clusterer=_named(clusterer, "--clusterer"), key=key)
    if labels is None or examples is None:
        _write_queries(rows, groups, queries)
    else:
        _propagate(rows, found, groups, labels, examples, reach, weight)


def _read(source: str, form: str | None, label_column: str | None, id_column: str | None) -> list[EventRow]:
    from stream_al.cli.assemble import open_events
    from stream_al.config import EventsConfig
    from stream_al.records import DeadLetter

    settings = {"path": source, "format": form, "label_column": label_column, "id_column": id_column}
    events = open_events(EventsConfig.model_validate(settings), name=source)
    rows: list[EventRow] = []
    bad: list[DeadLetter] = []
    try:
        while not events.exhausted:
            for record in events.read(10_000, 0.0):
                if isinstance(record, DeadLetter):
                    bad.append(record)
                else:
                    rows.append(record)
    finally:
        events.close()
    if bad:
        typer.echo(
            f"{len(bad):,} records were left out; the first, {bad[0].position}: {bad[0].detail}", err=True
        )
    if not rows:
        raise SourceError(f"{source}: there is no record in it")
    return rows


def _named(path: str | None, option: str) -> Any:
    from stream_al.build import build_estimator
    from stream_al.config import ModelConfig

    if path is None:
        return None
    try:
        return build_estimator(ModelConfig.model_validate({"file" if path.endswith(".py") else "use": path}))
    except ModelError as error:
        raise ConfigError(f"{option} {path}: {error}") from None


def _embedding(path: str | None, rows: Sequence[EventRow]) -> Embed | None:
    from river.base import Transformer
    from river.compose import Pipeline

    from stream_al.pool import embedded

    if path is None:
        return None
    found = _named(path, "--embed")
    if isinstance(found, Transformer | Pipeline):
        return embedded(found, [row.features for row in rows])
    if callable(found):
        return found  # type: ignore[no-any-return]
    raise ConfigError(f"--embed {path}: is neither a River transformer nor a function of the features")


def _write_queries(rows: Sequence[EventRow], groups: Sequence[Group], path: Path | None) -> None:
    from stream_al.records import Query

    lines = []
    for group in groups:
        for place in group.representatives:
            row = rows[place]
            query = Query(
                event_id=str(row.id),
                features=row.features,
                display=row.display,
                key=row.key,
                predicted=None,
                probabilities={},
                utility=len(group.members) / len(rows) / len(group.representatives),
                threshold=None,
                propensity=1.0,
                reason="representative",
                model_version=0,
                event_number=place,
                asked_at=row.timestamp,
            )
            lines.append(query.to_json() + b"\n")
    if path is None:
        sys.stdout.write(b"".join(lines).decode())
    else:
        path.write_bytes(b"".join(lines))
    sizes = [len(group.members) for group in groups]
    typer.echo(
        f"{len(lines):,} of {len(rows):,} records stand for {len(groups):,} groups of {min(sizes):,} to "
        f"{max(sizes):,} records{'' if path is None else f'; wrote {path}'}",
        err=True,
    )


def _propagate(
    rows: Sequence[EventRow],
    found: Vectors,
    groups: Sequence[Group],
    labels: Path,
    examples: Path,
    reach: float,
    weight: float,
) -> None:
    from stream_al.pool import examples as examples_of
    from stream_al.pool import propagated

    agreed, names, disputed = _agreed(labels, rows)
    taken = propagated(groups, found, agreed, reach)
    made = examples_of(rows, agreed, taken, weight=weight, annotators=names)
    examples.write_bytes(b"".join(example.to_json() + b"\n" for example in made))
    sources = {item.source for item in taken}
    silent = sum(
        any(place in agreed for place in group.members) and not sources.intersection(group.members)
        for group in groups
    )
    told = f"{len(agreed):,} labels, propagated to {len(taken):,} of {len(rows) - len(agreed):,} others; wrote {examples}"
    if disputed:
        told += f"; of {disputed:,} records people's labels differ, so they were left out"
    if silent:
        told += f"; {silent:,} groups took nothing over (labels in them differ, or nothing is left)"
    typer.echo(told, err=True)


def _agreed(
    path: Path, rows: Sequence[EventRow]
) -> tuple[dict[int, ClassLabel], dict[int, tuple[str, ...]], int]:
    """Return the labels by the place of the record, who gave them, and of how many records people's labels differ."""
    from stream_al.records import parse_label

    place = {str(row.id): number for number, row in enumerate(rows)}
    said: dict[int, dict[str, Label]] = defaultdict(dict)
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise SourceError(f"--labels {path}: {error.strerror or error}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            label = parse_label(line)
        except RecordError as error:
            raise SourceError(f"{path}:{number}: {error.detail}") from None
        if label.event_id not in place:
            raise SourceError(
                f"{path}:{number}: event_id: there is no record {label.event_id!r} in the pool; give the pool, and "
                "--id-column, that the queries were made with"
            )
        said[place[label.event_id]][label.annotator] = label  # an annotator has one say, the last
    agreed: dict[int, ClassLabel] = {}
    names: dict[int, tuple[str, ...]] = {}
    disputed = 0
    for number in sorted(said):
        given = [label for label in said[number].values() if label.label is not None]
        if len({(type(label.label), label.label) for label in given}) > 1:
            disputed += 1
        elif given:
            assert given[0].label is not None
            agreed[number], names[number] = given[0].label, tuple(label.annotator for label in given)
    return agreed, names, disputed
