"""Several pipelines side by side on the terminal, while they run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stream_al.ports import Progress

_LEVELS = "▁▂▃▄▅▆▇█"
_STRETCHES = 16
"""How many bars show the accuracy over time; also how often a line is printed where there is no terminal."""


@dataclass(slots=True)
class Lane:
    """How one pipeline stands."""

    title: str
    events: int = 0
    asked: int = 0
    answered: int = 0
    open: int = 0
    measured: int = 0
    correct: int = 0
    stretches: list[float] = field(default_factory=list)
    """The accuracy in each finished stretch of the stream."""
    _last: tuple[int, int] = (0, 0)

    def update(self, progress: Progress, open_queries: int, total: int) -> None:
        """Take over how things stand after a batch."""
        counts = progress.counts
        self.events, self.answered, self.open = progress.events, progress.labels, open_queries
        self.asked = sum(count for name, count in counts.items() if name.startswith("asked:"))
        self.measured, self.correct = counts.get("measured", 0), counts.get("correct", 0)
        if self.events * _STRETCHES >= (len(self.stretches) + 1) * total:
            measured, correct = self._last
            self.stretches.append((self.correct - correct) / max(1, self.measured - measured))
            self._last = (self.measured, self.correct)

    @property
    def accuracy(self) -> float:
        """The share of right answers so far."""
        return self.correct / max(1, self.measured)

    def sparkline(self, low: float, high: float) -> str:
        """Return the accuracy of each stretch as a row of bars, the lowest for ``low``."""
        scale = 7.999 / max(high - low, 0.01)
        return "".join(_LEVELS[int(scale * (share - low))] for share in self.stretches).ljust(_STRETCHES)


class RaceDisplay:
    """Shows lanes: a live panel on a terminal, a few lines elsewhere, nothing when ``quiet``."""

    def __init__(
        self, console: Console, heading: str, lanes: Sequence[Lane], total: int, *, quiet: bool = False
    ) -> None:
        self._console = console
        self._heading = heading
        self._lanes = lanes
        self._total = total
        self._quiet = quiet
        self._printed = 0
        self._live = Live(console=console, refresh_per_second=12, transient=True)

    def __enter__(self) -> RaceDisplay:
        if self._quiet:
            return self
        if self._console.is_terminal:
            self._live.start()
        else:
            self._console.print(self._heading, highlight=False, soft_wrap=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._live.is_started:
            self._live.stop()

    def update(self) -> None:
        """Show how the lanes stand."""
        if self._live.is_started:
            self._live.update(self._panel())
        elif not self._quiet and (done := min(len(lane.stretches) for lane in self._lanes)) > self._printed:
            self._printed = done
            if done % 4 == 0:
                self._console.print(self._line(), highlight=False, soft_wrap=True)

    def _line(self) -> str:
        parts = [
            f"{lane.title}: {lane.asked:,} asked, {lane.answered:,} answered, {lane.open:,} open, "
            f"{lane.accuracy:.1%} right"
            for lane in self._lanes
        ]
        return f"  {self._lanes[0].events:,} of {self._total:,} events | " + " | ".join(parts)

    def _panel(self) -> Panel:
        table = Table(box=None, expand=True, padding=(0, 1), pad_edge=False)
        table.add_column("", no_wrap=True)
        table.add_column("events", ratio=1, min_width=8)
        for name in ("", "asked", "answered", "open", "accuracy so far"):
            table.add_column(name, justify="right", no_wrap=name != "accuracy so far")
        wide = self._console.width >= 110 and not self._console.options.ascii_only
        if wide:
            table.add_column("over time", no_wrap=True)
        shares = [share for lane in self._lanes for share in lane.stretches] or [0.0]
        for place, lane in enumerate(self._lanes):
            color = "cyan" if place == 0 else "bright_black"
            bar = ProgressBar(self._total, lane.events, complete_style=color, finished_style=color)
            numbers = [f"{n:,}" for n in (lane.events, lane.asked, lane.answered, lane.open)]
            title, accuracy = Text(lane.title, style="bold"), Text(f"{lane.accuracy:.1%}", style="bold")
            history = [Text(lane.sparkline(min(shares), max(shares)), style=color)] if wide else []
            table.add_row(title, bar, *numbers, accuracy, *history)
        content = Group(Text(self._heading, style="dim"), Text(), table)
        return Panel(content, title="stream-al demo", padding=(1, 2))
