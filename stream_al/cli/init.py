"""`stream-al init`: a commented configuration to start from."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer


def init_command(
    path: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("pipeline.toml"),
    events: Annotated[
        str, typer.Option(help="The file of events to put into it; - is standard input.")
    ] = "events.csv",
    force: Annotated[bool, typer.Option(help="Overwrite an existing file.")] = False,
) -> None:
    """Write a commented configuration to start from.

    Example: stream-al init pipeline.toml --events readings.jsonl
    """
    from stream_al.errors import ConfigError

    if path.exists() and not force:
        raise ConfigError(f"{path}: exists; name another file, or give --force to overwrite it")
    text = (files("stream_al.cli") / "template.toml").read_text("utf-8")
    path.write_text(text.replace("events.csv", events.replace("\\", "\\\\").replace('"', '\\"')), "utf-8")
    typer.echo(f"wrote {path}; edit it, then: stream-al run {path}")
