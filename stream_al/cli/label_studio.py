"""`stream-al label-studio`: people answer the queries of a store in a project of Label Studio."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from stream_al.errors import ConfigError, StreamALError

if TYPE_CHECKING:
    from connectors.label_studio import Bridge

TOKEN: Final = "LABEL_STUDIO_API_KEY"  # the name Label Studio's own SDK reads it by
_NAP: Final = 0.2
"""Seconds after which a signal is noticed at the latest."""


def label_studio_command(
    target: Annotated[
        Path,
        typer.Argument(help="The pipeline's SQLite file, or its configuration (.toml).", show_default=False),
    ],
    url: Annotated[
        str, typer.Option(help="Where Label Studio is, like https://labels.example.org.", show_default=False)
    ],
    project: Annotated[int, typer.Option(min=1, help="The number of the project.", show_default=False)],
    control: Annotated[
        str | None,
        typer.Option(
            help="The name of the <Choices> that ask for the class, where several do.", show_default=False
        ),
    ] = None,
    predictions: Annotated[
        bool,
        typer.Option(help="Give tasks the model's own answer; who sees it tends to agree with it."),
    ] = True,
    every: Annotated[float, typer.Option(min=1.0, help="Seconds between two rounds.")] = 15.0,
    once: Annotated[bool, typer.Option("--once", help="Do one round, and end; for cron.")] = False,
) -> None:
    """Let people answer the open queries of a store in Label Studio.

    Each round makes a task of every open query that has none, takes what people said since, edits and deletions too, and
    deletes the tasks nobody has touched whose query is closed. The environment variable LABEL_STUDIO_API_KEY holds the
    token. Runs beside the worker until a signal ends it; after a failure it tries again, and nothing is done twice.

    Example: stream-al label-studio pipeline.db --url https://labels.example.org --project 3
    """
    try:
        from connectors.label_studio import Bridge, LabelStudio, control_of
    except ImportError as error:
        raise ConfigError(
            "the bridge to Label Studio needs the `label-studio` extra: pip install 'stream-al[label-studio]'"
        ) from error
    from connectors.sqlite.bridged import Bridged
    from stream_al.cli.annotate import store_of
    from stream_al.cli.run import StopSignal

    token = os.environ.get(TOKEN, "").strip()
    if not token:
        raise ConfigError(f"{TOKEN}: is not set; put a token of Label Studio there (Account & Settings)")
    stop = StopSignal()
    store = store_of(target)
    with (
        LabelStudio(url, project, token) as studio,
        Bridged(store, f"{studio.url}/projects/{project}") as book,
        stop,
    ):
        settings = studio.settings()
        wanted = control_of(
            settings.get("label_config") or "",
            book.classes(),
            book.label_type(),
            closed=book.closed,
            name=control,
        )
        if settings.get("maximum_annotations", 1) < book.quorum:
            _say(
                f"note: a query needs {book.quorum} annotators ([labels] quorum), and the project asks "
                f"{settings.get('maximum_annotations', 1)} for a task; raise its overlap, or others must answer too"
            )
        bridge = Bridge(studio, book, wanted, predictions=predictions)
        while not stop():
            _round(bridge, keep_on=not once)
            if once:
                return
            until = time.monotonic() + every
            while not stop() and time.monotonic() < until:
                time.sleep(_NAP)


def _round(bridge: Bridge, *, keep_on: bool) -> None:
    """Do a round and say what it did; what may be better next time is only said."""
    try:
        done = bridge.round()
    except StreamALError as error:
        if not (keep_on and error.retriable):
            raise
        _say(f"note: {error}")
        return
    for notice in done.notices:
        _say(f"note: {notice}")
    if done or not keep_on:
        _say(f"tasks made: {done.imported}, answers taken: {done.labels}, tasks deleted: {done.deleted}")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
