"""`stream-al oracle`: a simulated human on the topics of a pipeline, for trying one out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def oracle_command(
    config: Annotated[
        Path, typer.Argument(help="The pipeline's TOML file, with [kafka].", show_default=False)
    ],
    truth: Annotated[
        str,
        typer.Option(
            help="The events with their true classes: a CSV or JSONL file (also .gz), or river:NAME.",
            show_default=False,
        ),
    ],
    label_column: Annotated[str, typer.Option(help="The column of the true class.")] = "label",
    id_column: Annotated[
        str | None, typer.Option(help="Of a CSV file: the column of the event's id.", show_default=False)
    ] = None,
    delay: Annotated[int, typer.Option(min=0, help="Answer so many queries later.")] = 0,
    jitter: Annotated[int, typer.Option(min=0, help="Up to so many more, so out of order.")] = 0,
) -> None:
    """Answer the open queries of a pipeline on Kafka with the truth, until stopped. A simulation of people.

    Reads the topic of queries and writes to that of labels, as any program or person may do. Queries of events
    that the truth does not have stay open.

    Example: stream-al oracle pipeline.toml --truth events.jsonl --delay 20 --jitter 50
    """
    from connectors.datasets import is_bundled
    from connectors.kafka.client import require_kafka
    from stream_al.cli.assemble import open_events
    from stream_al.cli.run import StopSignal
    from stream_al.config import EventsConfig, load_config
    from stream_al.errors import ConfigError
    from stream_al.ports import LabelledRow

    settings = load_config(config)
    if settings.kafka is None:
        raise ConfigError(
            f"{config}: there is no [kafka] section; the embedded pipeline has [labels] simulated"
        )
    require_kafka()
    from connectors.kafka.oracle import TopicOracle

    bundled = is_bundled(truth)
    events = EventsConfig(path=truth, id_column=id_column, label_column=None if bundled else label_column)
    source = open_events(events, settings.model.label_type or "str", "--truth")
    known = {}
    while not source.exhausted:
        for row in source.read(10_000, 0.0):
            if isinstance(row, LabelledRow) and row.truth is not None:
                known[str(row.id)] = row.truth
    source.close()
    console = Console(stderr=True)
    console.print(f"simulated oracle: knows {len(known):,} events", style="dim", highlight=False)
    with StopSignal() as stop, TopicOracle(settings.kafka, known, delay=delay, jitter=jitter) as oracle:
        oracle.run(stop)
        console.print(f"{oracle.sent:,} answers to {oracle.queries:,} queries", highlight=False)
