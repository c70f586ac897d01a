"""`stream-al topics`: the Kafka topics of a pipeline."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from stream_al.cli.status import JsonOption

if TYPE_CHECKING:
    from connectors.kafka.topic_complaints import Found, Inspection

topics_app = typer.Typer(
    name="topics",
    no_args_is_help=True,
    rich_markup_mode="rich",
    help=(
        "Make and check the Kafka topics of a pipeline.\n\n"
        "A pipeline with a [bold]\\[kafka][/bold] section reads [bold]events[/bold] and [bold]labels[/bold], and "
        "writes [bold]predictions[/bold], [bold]queries[/bold], [bold]examples[/bold] and "
        "[bold]dead-letters[/bold]. What these topics must be is not what Kafka makes by default: the queries "
        "are compacted, and examples and labels are kept for ever."
    ),
)

ConfigArgument = Annotated[Path, typer.Argument(help="The pipeline's TOML file.", show_default=False)]


@topics_app.command("create")
def create_command(config: ConfigArgument, as_json: JsonOption = False) -> None:
    """Make the topics that are missing, then check them all. What exists is never altered.

    Exits with 0 when all is well, 1 when a topic that was there already must be mended, 4 when no broker answers.

    Example: stream-al topics create pipeline.toml
    """
    from connectors.kafka.topics import create, inspect
    from stream_al.config import load_config

    loaded = load_config(config)
    done = create(loaded)
    _tell(inspect(loaded), as_json, done)


@topics_app.command("check")
def check_command(config: ConfigArgument, as_json: JsonOption = False) -> None:
    """Say what is wrong with the topics, and the command that mends it. Changes nothing.

    Exits with 0 when nothing is, 1 with complaints, 4 when no broker answers.

    Example: stream-al topics check pipeline.toml --json | jq .complaints
    """
    from connectors.kafka.topics import inspect
    from stream_al.config import load_config

    _tell(inspect(load_config(config)), as_json, [])


def _tell(seen: Inspection, as_json: bool, done: list[str]) -> None:
    if as_json:
        content = {
            "topics": {
                found.topic.which: {
                    "name": found.topic.name,
                    "partitions": found.partitions,
                    "replication": found.replication,
                }
                for found in seen.topics
            },
            "done": done,
            "complaints": seen.complaints,
            "notes": seen.notes,
        }
        sys.stdout.write(json.dumps(content) + "\n")
    else:
        for line in done:
            typer.echo(line)
        for complaint in seen.complaints:
            typer.echo(complaint)
        if not seen.complaints:
            Console().print(_table(seen.topics))
        for note in seen.notes:
            Console(stderr=True).print(f"note: {note}", style="dim", markup=False, highlight=False)
    if seen.complaints:
        raise typer.Exit(1)


def _table(topics: tuple[Found, ...]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading, side in (("topic", "left"), ("partitions", "right"), ("copies", "right"), ("kept", "left")):
        table.add_column(heading, justify="right" if side == "right" else "left")
    for found in topics:
        table.add_row(found.topic.name, str(found.partitions), str(found.replication), _kept(found.settings))
    return table


def _kept(settings: dict[str, str]) -> str:
    if settings.get("cleanup.policy") == "compact":
        return "while open (compacted)"
    milliseconds = int(settings.get("retention.ms", "-1"))
    return "for ever" if milliseconds < 0 else f"{milliseconds / 86_400_000:g} days"
