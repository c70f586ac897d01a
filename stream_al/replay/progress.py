"""A comparison on the terminal: progress while it runs, a table when it is done."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from stream_al.replay.comparison import Comparison
from stream_al.replay.group import Group
from stream_al.replay.report.numbers import estimate

_LINES = 10
"""So often a line says how far it is, where there is no terminal."""


class Watch:
    """Shows how many events of all runs are answered: a bar on a terminal, a few lines elsewhere."""

    def __init__(self, console: Console, total: int, what: str, unit: str, quiet: bool) -> None:
        self._console, self._total, self._what, self._unit = console, max(1, total), what, unit
        self._lines = not quiet and not console.is_terminal
        self._told = 0
        self._began = time.monotonic()  # for people only
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn(unit),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        live = console.is_terminal and not quiet
        self.bar = Progress(*columns, console=console, disable=not live, transient=True, expand=True)
        self._task: TaskID = self.bar.add_task(what, total=self._total)

    def update(self, events: int, done: int, of: int) -> None:
        """Take note that so many events are answered, and so many of the runs done."""
        self.bar.update(self._task, completed=events, description=f"{self._what} {done} of {of}")
        share = events * _LINES // self._total
        if self._lines and share > self._told and (events < self._total or done == of):
            self._told = share
            left = (time.monotonic() - self._began) * (self._total - events) / max(1, events)
            line = f"{events:,} of {self._total:,} {self._unit}, {done} of {of} {self._what} done, about {left:,.0f} s left"
            self._console.print(line, highlight=False, soft_wrap=True)


@contextmanager
def watched(total: int, what: str = "runs", *, unit: str = "events", quiet: bool = False) -> Iterator[Watch]:
    """Show on standard error how far something with so many events (or other units) is."""
    watch = Watch(Console(stderr=True), total, what, unit, quiet)
    with watch.bar:
        yield watch


def comparison_table(comparison: Comparison) -> Table:
    """Return the numbers as a table, those compared first."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("strategy", no_wrap=True)
    for name in ("labels", "of events", "accuracy", "vs all", "last tenth", "κ", "enough at"):
        table.add_column(name, justify="right")
    for group in comparison.groups:
        table.add_row(*_cells(comparison, group), style="" if group.baseline else "bold")
    return table


def _cells(comparison: Comparison, group: Group) -> Sequence[str]:
    gap, reached = comparison.gap(group), comparison.labels_to_reach(group)
    return [
        comparison.label(group),
        f"{group.labels:,.0f}",
        f"{group.share:.1%}",
        estimate(group.measures["accuracy"], percent=True),
        "" if gap is None or group is comparison.all(group.model) else f"{gap:+.1f} pt",
        f"{group.last_tenth:.1%}",
        f"{group.measures['kappa'].mean:.2f}",
        "" if reached is None else f"{reached:,.0f}",
    ]


def show_comparison(comparison: Comparison, console: Console | None = None) -> None:
    """Print the table, the result in words, and what must be known to judge it."""
    console = console or Console(highlight=False)
    heading = f"{comparison.source} · {comparison.events:,} events · {comparison.classes} classes"
    console.print(f"\n{heading}", style="bold", markup=False)
    for name, value in comparison.configuration.items():
        console.print(f"  {name}: {value}", style="dim", markup=False)
    console.print(comparison_table(comparison))
    console.print(comparison.sentence(), markup=False)
    best = comparison.best
    saved = comparison.saved(best)
    if saved is not None and saved[1] is not None and not best.baseline:
        console.print(
            f"Against all labels it saves {saved[0]:,.0f} labels, {saved[1]:,.2f} in money.", markup=False
        )
    for note in comparison.notes:
        console.print(f"note: {note}", style="yellow", markup=False)
