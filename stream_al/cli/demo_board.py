"""How `stream-al demo --kafka` stands, and what came of it."""

from __future__ import annotations

from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_LINES: Final = 4
"""How often a line is printed where there is no terminal."""


class Board:
    """Shows how things stand: a live table on a terminal, a few lines elsewhere, nothing when ``quiet``."""

    def __init__(self, console: Console, heading: str, total: int, *, quiet: bool = False) -> None:
        self._console, self._heading, self._total, self._quiet = console, heading, total, quiet
        self._standing: dict[str, str] = {}
        self._done = self._printed = 0
        self._note = ""
        self._live = Live(console=console, refresh_per_second=12, transient=True)

    def __enter__(self) -> Board:
        if not self._quiet:
            self._print(self._heading)
            if self._console.is_terminal:
                self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live.is_started:
            self._live.stop()

    def say(self, what: str) -> None:
        """Show what is going on, in a few words; nothing, to take it away."""
        self._note = what
        if self._live.is_started:
            self._live.update(self._panel())
        elif what and not self._quiet:
            self._print(f"  {what}")

    def update(self, done: int, standing: dict[str, str]) -> None:
        """Show how things stand when so many events are answered."""
        self._done, self._standing = done, standing
        if self._live.is_started:
            self._live.update(self._panel())
        elif not self._quiet and done * _LINES // self._total > self._printed:
            self._printed = done * _LINES // self._total
            self._print("  " + ", ".join(f"{value} {name}" for name, value in standing.items()))

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True, markup=False)

    def _panel(self) -> Panel:
        table = Table(box=None, expand=True, padding=(0, 1), pad_edge=False)
        table.add_column("")
        for name in self._standing:
            table.add_column(name, justify="right", no_wrap=True)
        bar = ProgressBar(self._total, self._done, complete_style="cyan", finished_style="cyan")
        table.add_row(bar, *(Text(value, style="bold") for value in self._standing.values()))
        content = Group(Text(self._note or "two worker processes, one group", style="dim"), Text(), table)
        return Panel(content, title="stream-al demo on Kafka", padding=(1, 2))


def result_table(found: dict[str, Any]) -> Table:
    """Return what came of it, from the content of ``--json``."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    shares = ", ".join(f"{name} {count:,}" for name, count in found["predictions_by_worker"].items())
    odd = f"{found['labels_given_twice']:,} given twice, {found['labels_misplaced']:,} in a wrong partition"
    letters = ", ".join(f"{count:,} {name.partition(':')[2]}" for name, count in found["dead_letters"].items())
    same = "the same in both workers and of the log, folded in one go"
    table.add_row("events", f"{found['events']:,}", "without their true classes")
    table.add_row("predictions", f"{found['predictions']:,}", shares)
    table.add_row("asked", f"{found['asked']:,}", f"{found['asked_share']:.1%} of the events")
    table.add_row("labels", f"{found['labels']:,}", odd)
    table.add_row("examples", f"{found['examples']:,}", "learned, each once")
    table.add_row("dead letters", f"{sum(found['dead_letters'].values()):,}", letters)
    table.add_row("accuracy", f"{found['accuracy']:.1%}", "of all answers, each given before its label was known")
    table.add_row("", f"{found['last_tenth']:.1%}", "of the last tenth")
    digests = ", ".join(f"{name} {digest}" for name, digest in found["digest_by_worker"].items())
    table.add_row("digest", found["digest"][:12], same if found["digests_equal"] else f"but {digests}")
    style = "red" if found["differences"] else "green"
    verified = Text(f"{found['differences']:,} differences", style=style)
    table.add_row("verify", verified, "between all that is on the topics and all of it run again")
    table.add_row("took", f"{found['seconds']:.1f} s", "starting the workers and verifying included")
    return table
