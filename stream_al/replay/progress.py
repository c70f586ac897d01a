"""A comparison on the terminal: progress while it runs, a table when it is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from stream_al.replay.comparison import Comparison
from stream_al.replay.contenders import Contender
from stream_al.replay.outcome import Outcome


def watched(
    contenders: Sequence[Contender],
    events: int,
    run: Callable[[Contender, Callable[[int], None]], Outcome],
    *,
    quiet: bool = False,
) -> list[Outcome]:
    """Run the contenders one after the other, showing on standard error how far they are.

    On a terminal that is a bar each; elsewhere a line for each that is done.
    """
    console = Console(stderr=True)
    live = console.is_terminal and not quiet
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    outcomes = []
    with Progress(*columns, console=console, disable=not live, transient=True, expand=True) as progress:
        tasks = [progress.add_task(c.title, total=events, start=False) for c in contenders]
        for contender, task in zip(contenders, tasks, strict=True):
            progress.start_task(task)
            outcome = run(contender, lambda done, task=task: progress.update(task, completed=done))  # type: ignore[misc]
            outcomes.append(outcome)
            if not live and not quiet:
                line = f"{contender.title}: {outcome.labels:,} labels, accuracy {outcome.accuracy:.1%}"
                console.print(line, highlight=False, soft_wrap=True)
    return outcomes


def comparison_table(comparison: Comparison) -> Table:
    """Return the numbers as a table, those compared first."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("strategy")
    for name in ("labels", "of events", "accuracy", "vs all", "last tenth"):
        table.add_column(name, justify="right")
    for outcome in comparison.outcomes:
        gap = comparison.gap(outcome)
        table.add_row(
            outcome.title,
            f"{outcome.labels:,}",
            f"{outcome.share:.1%}",
            f"{outcome.accuracy:.1%}",
            "" if gap is None or outcome is comparison.all else f"{gap:+.1f} pt",
            f"{outcome.last_tenth:.1%}",
            style="bold" if outcome in comparison.compared else "",
        )
    return table


def show_comparison(comparison: Comparison, console: Console | None = None) -> None:
    """Print the table, the result in words, and what must be known to judge it."""
    console = console or Console(highlight=False)
    heading = f"{comparison.source} · {comparison.events:,} events · {comparison.classes} classes"
    console.print(f"\n{heading}", style="bold", markup=False)
    for name, value in comparison.configuration.items():
        console.print(f"  {name}: {value}", style="dim", markup=False)
    console.print(comparison_table(comparison))
    console.print(comparison.sentence(), markup=False)
    for note in comparison.notes:
        console.print(f"note: {note}", style="yellow", markup=False)
