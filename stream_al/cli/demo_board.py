"""How `stream-al demo --kafka` stands, while it runs."""

from __future__ import annotations

from typing import Final

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
