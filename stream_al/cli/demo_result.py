"""What came of `stream-al demo --kafka`: as JSON, and as a table with the commands to look for oneself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream_al.config import KafkaConfig
from stream_al.replay.demo_runs import MODEL
from stream_al.replay.outcome import Outcome
from stream_al.replay.stream import LabelledStream

if TYPE_CHECKING:
    from stream_al.cli.demo_traffic import Traffic
    from stream_al.verdict import Verdict


def result_of(
    traffic: Traffic, said: dict[str, dict[str, Any]], verdict: Verdict, stream: LabelledStream
) -> dict[str, Any]:
    """Return what came of it: the content of ``--json``.

    Parameters
    ----------
    traffic
        What was fed and read.
    said
        What each worker said of itself when it had ended.
    verdict
        What verifying found.
    stream
        The events with their true classes.
    """
    lines = [traffic.lines[str(row.id)] for row in stream.rows if str(row.id) in traffic.lines]
    truths = [truth for event_id, truth in traffic.truths.items() if event_id in traffic.lines]
    outcome = Outcome.measure("margin", "asked by margin", lines, truths, traffic.examples)
    digests = {name: summary["digest"] for name, summary in said.items()}
    oracle = traffic.oracle
    return {
        "events": traffic.fed,
        "predictions": traffic.predictions,
        "predictions_by_worker": {name: summary["events"] for name, summary in said.items()},
        "asked": outcome.labels,
        "asked_share": outcome.share,
        "labels": oracle.sent,
        "labels_given_twice": oracle.sent_twice,
        "labels_misplaced": oracle.sent_misplaced,
        "examples": traffic.examples,
        "dead_letters": dict(traffic.letters),
        "accuracy": outcome.accuracy,
        "last_tenth": outcome.last_tenth,
        "digest": verdict.digest,
        "digest_by_worker": digests,
        "digests_equal": set(digests.values()) == {verdict.digest},
        "differences": len(verdict.differences) + verdict.more,
        "first_differences": verdict.differences,
    }


def show_result(found: dict[str, Any], stream: LabelledStream, config: KafkaConfig) -> None:
    """Print the table, what must be known to judge it, and the commands to look at the topics."""
    bootstrap, partitions = config.bootstrap, config.topics.partitions
    workers = len(found["digest_by_worker"])
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"\n{stream.name} · {found['events']:,} events · {len(stream.classes)} classes",
        style="bold",
        markup=False,
    )
    settings = {
        "model": MODEL,
        "budget": f"{found['budget']:.4g} of the events, asked by margin",
        "labels arrive": f"{found['labels_arrive']}; the person who answers is simulated",
        "pipeline": f"topics {found['prefix']}* on {bootstrap}, {partitions} partitions, {workers} worker processes",
    }
    for name, value in settings.items():
        console.print(f"  {name}: {value}", style="dim", markup=False)
    console.print(_table(found))
    for difference in found["first_differences"]:
        console.print(difference, style="red", markup=False)
    for note in found["notes"]:
        console.print(f"note: {note}", style="yellow", markup=False)
    topic = f"kcat -b {bootstrap} -q -C -e -X isolation.level=read_committed -t {found['prefix']}"
    typer.echo(f"answers         {topic}predictions")
    typer.echo(f"what it learned {topic}examples -f '%o %k %s\\n'")
    typer.echo(f"open queries    {topic}queries -f '%k %S\\n'   (-1: closed)")
    typer.echo(f"is it all true? stream-al verify {found['config']}")
    typer.echo(
        f"remove it       kafka-topics.sh --bootstrap-server {bootstrap} --delete --topic '{found['prefix']}.*'"
    )


def _table(found: dict[str, Any]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    shares = ", ".join(f"{name} {count:,}" for name, count in found["predictions_by_worker"].items())
    odd = f"{found['labels_given_twice']:,} given twice, {found['labels_misplaced']:,} in a wrong partition"
    letters = ", ".join(
        f"{count:,} {name.partition(':')[2]}" for name, count in found["dead_letters"].items()
    )
    same = "of both workers, and of the log folded"
    table.add_row("events", f"{found['events']:,}", "without their true classes")
    table.add_row("predictions", f"{found['predictions']:,}", shares)
    table.add_row("asked", f"{found['asked']:,}", f"{found['asked_share']:.1%} of the events")
    table.add_row("labels", f"{found['labels']:,}", odd)
    table.add_row("examples", f"{found['examples']:,}", "learned, each once")
    table.add_row("dead letters", f"{sum(found['dead_letters'].values()):,}", letters)
    table.add_row("accuracy", f"{found['accuracy']:.1%}", "right, before the label of the event was known")
    table.add_row("", f"{found['last_tenth']:.1%}", "of the last tenth of the events")
    digests = ", ".join(f"{name} {digest}" for name, digest in found["digest_by_worker"].items())
    table.add_row("digest", found["digest"][:12], same if found["digests_equal"] else f"but {digests}")
    style = "red" if found["differences"] else "green"
    verified = Text(f"{found['differences']:,} differences", style=style)
    table.add_row("verify", verified, "between the topics and all of it run again")
    table.add_row("took", f"{found['seconds']:.1f} s", "with starting and verifying")
    return table
