"""`stream-al status` and `stream-al verify`: what a store holds, and whether it is true."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from stream_al.verdict import Verdict

TargetArgument = Annotated[
    Path,
    typer.Argument(
        help="The pipeline's SQLite file; or its configuration (.toml), on Kafka.", show_default=False
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def status_command(
    target: TargetArgument,
    as_json: JsonOption = False,
    digest: Annotated[
        bool, typer.Option(help="Compute the model's digest, too (refolds a store's tail of the log).")
    ] = False,
) -> None:
    """Show what is open, learned and spent, and how accurate the answers are. Does not disturb a running worker.

    The accuracy is that of all events, estimated from the labels; docs/accuracy.md says how to read it. On Kafka all
    topics are read into memory.

    Example: stream-al status pipeline.db --json | jq .open
    """
    from stream_al.cli.summary import show

    found, told = (_of_configuration if target.suffix == ".toml" else _of_store)(target, digest)
    if as_json:
        sys.stdout.write(json.dumps(found) + "\n")
        return
    console = Console()
    show(found, console)
    console.print(f"  {told}", style="dim")


def _of_configuration(path: Path, digest: bool) -> tuple[dict[str, Any], str]:
    from stream_al.cli.summary import summary
    from stream_al.config import load_config
    from stream_al.errors import ConfigError

    config = load_config(path)
    if config.kafka is None:
        return _of_store(config.store.path, digest)
    if digest:
        raise ConfigError("--digest: `stream-al verify` tells it of a pipeline on Kafka")
    from connectors.kafka.client import require_kafka

    require_kafka()
    from connectors.kafka.standing import read_standing

    found = summary(*read_standing(config, str(path)))
    found["pipeline"] = config.pipeline()
    return found, f"{path}: strategy {config.strategy.name}"


def _of_store(path: Path, digest: bool) -> tuple[dict[str, Any], str]:
    from connectors.sqlite import connect, pipeline_of, progress_of
    from connectors.sqlite.outbox import standing
    from stream_al.cli.summary import summary
    from stream_al.ports import Progress

    connection = connect(path)
    try:
        progress = progress_of(connection) or Progress()
        (opened,) = connection.execute("SELECT count(*) FROM queries WHERE status = 'open'").fetchone()
        (waiting,) = connection.execute(
            "SELECT count(*) FROM inbox WHERE number > ?",
            (progress.label_position if isinstance(progress.label_position, int) else 0,),
        ).fetchone()
        (oldest,) = connection.execute("SELECT min(asked) FROM queries WHERE status = 'open'").fetchone()
        pipeline = pipeline_of(connection)
        strategy = pipeline.get("strategy", {})
        found = summary(progress, opened, strategy.get("stop_at"))
        found["waiting_in_inbox"] = waiting if pipeline else 0
        found["oldest_open_asked_events_ago"] = None if oldest is None else progress.events - oldest
        found["bytes"] = path.stat().st_size
        found["pipeline"] = pipeline
        found["webhooks"] = standing(connection)
        if digest:
            found["digest"] = _digest(connection, path, pipeline)
    finally:
        connection.close()
    return found, f"{path}: {found['bytes'] / 1e6:,.1f} MB, strategy {strategy.get('name', '?')}"


def _digest(connection: Any, path: Path, pipeline: dict[str, Any]) -> str:
    from connectors.sqlite import StoredLog
    from stream_al.cli.assemble import learner_of
    from stream_al.errors import SnapshotError

    model = learner_of(pipeline, path).model
    for (snapshot,) in connection.execute("SELECT snapshot FROM snapshots ORDER BY version DESC"):
        try:
            model.load(snapshot)
            break
        except SnapshotError:
            continue
    log = StoredLog(connection, path)
    model.fold_all(log.examples(model.version), log)
    return model.digest()


def verify_command(
    target: TargetArgument,
    as_json: JsonOption = False,
) -> None:
    """Recompute every prediction, decision and example of a store or of Kafka's topics, and compare.

    Exits with 0 when all is as it must be, with 1 when something differs; each difference names the record.
    Nothing is changed. On Kafka all topics are read into memory.

    Example: stream-al verify pipeline.db
    """
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("running everything again", total=None)
        verdict = _verified(target, lambda done, total: bar.update(task, completed=done, total=total))
    count = len(verdict.differences) + verdict.more
    if as_json:
        content = {
            "events": verdict.events,
            "labels": verdict.labels,
            "examples": verdict.examples,
            "digest": verdict.digest,
            "differences": count,
            "first_differences": verdict.differences,
        }
        sys.stdout.write(json.dumps(content) + "\n")
    else:
        for difference in verdict.differences:
            typer.echo(difference)
        if verdict.more:
            typer.echo(f"… and {verdict.more:,} more")
        typer.echo(
            f"{count:,} differences in {verdict.events:,} predictions, {verdict.labels:,} labels and "
            f"{verdict.examples:,} examples; digest {verdict.digest or '(nothing yet)'}"
        )
    if count:
        raise typer.Exit(1)


def _verified(target: Path, on_step: Callable[[int, int], None]) -> Verdict:
    if target.suffix == ".toml":
        from connectors.kafka.client import require_kafka
        from stream_al.config import load_config

        require_kafka()
        from connectors.kafka.verify import verify as verify_topics

        return verify_topics(load_config(target), str(target), on_step)
    from connectors.sqlite import verify
    from stream_al.cli.assemble import learner_of

    return verify(target, lambda pipeline: learner_of(pipeline, target), on_step)
