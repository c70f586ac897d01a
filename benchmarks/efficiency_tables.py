"""The tables of the label efficiency benchmark, from its rows."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from scipy.stats import t as student

SIX: Final = ("electricity", "weather", "phishing", "sea", "rbf", "spam")
"""The streams that means are over; the others are shown cell by cell only."""
OURS: Final = ("default", "only 50 first", "least confidence", "random")
TIE: Final = 0.5
"""Points within which two strategies are said to be level."""

Cell = tuple[str, int, str, float, str]
"""Learner, delay, strategy, budget, stream."""


class Gaps:
    """By cell, the gaps to all labels and the shares asked, a number a seed."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        kept = list(rows)
        reached = {
            (r["stream"], r["learner"], r["delay"], r["seed"]): r["accuracy"]
            for r in kept
            if r["strategy"] == "all"
        }
        self.gaps: dict[Cell, dict[int, float]] = defaultdict(dict)
        self.asked: dict[Cell, list[float]] = defaultdict(list)
        for r in kept:
            place = (r["stream"], r["learner"], r["delay"])
            # A real table is one stream, whatever the seed: its baseline was measured once.
            best = reached.get((*place, r["seed"]), reached.get((*place, 0)))
            if r["strategy"] != "all" and best is not None:
                cell = (r["learner"], r["delay"], r["strategy"], r["budget"], r["stream"])
                self.gaps[cell][r["seed"]] = r["accuracy"] - best
                self.asked[cell].append(r["asked"])

    def values(self, at: int) -> list[Any]:
        """Return what occurs at this place of the cells, in order."""
        return sorted({cell[at] for cell in self.gaps})

    def streams(self, learner: str, delay: int) -> list[str]:
        found = {cell[4] for cell in self.gaps if cell[:2] == (learner, delay)}
        return [name for name in SIX if name in found] + sorted(found - set(SIX))

    def mean(self, learner: str, delay: int, strategy: str, budget: float) -> list[float] | None:
        """Return the mean over the six streams for each seed that has all of them; None when none has."""
        wanted = [name for name in self.streams(learner, delay) if name in SIX]
        cells = [self.gaps.get((learner, delay, strategy, budget, name), {}) for name in wanted]
        seeds = set.intersection(*map(set, cells)) if cells else set()
        return [fmean(cell[seed] for cell in cells) for seed in sorted(seeds)] or None


def interval(values: Sequence[float]) -> float:
    """Return half the width of the 95 % t-interval of the mean over seeds; 0 for one seed."""
    if len(values) < 2:
        return 0.0
    quantile = float(student.ppf(0.975, len(values) - 1))
    return quantile * stdev(values) / math.sqrt(len(values))


def print_tables(rows: Iterable[Mapping[str, Any]], console: Console) -> None:
    """Print mean gaps, each stream's gaps, and the default against the best of the others."""
    gaps = Gaps(rows)
    for learner in gaps.values(0):
        for delay in sorted({cell[1] for cell in gaps.gaps if cell[0] == learner}):
            console.print(means(gaps, learner, delay))
            console.print(each(gaps, learner, delay))
            console.print(against_the_best(gaps, learner, delay))


def means(gaps: Gaps, learner: str, delay: int) -> Table:
    """Return the mean gap of each strategy at each budget, ± over seeds, and the most it spent of its budget."""
    streams = [name for name in gaps.streams(learner, delay) if name in SIX]
    table = Table(
        title=f"{learner}, labels {delay} events late: mean gap in points over {', '.join(streams)}"
    )
    table.add_column("strategy")
    budgets = gaps.values(3)
    for budget in budgets:
        table.add_column(f"{budget:.0%}", justify="right")
    table.add_column("spent, × budget", justify="right")
    for strategy in gaps.values(2):
        found = {budget: gaps.mean(learner, delay, strategy, budget) for budget in budgets}
        if not any(found.values()):
            continue
        spent = [
            share / budget
            for (one, late, name, budget, stream), shares in gaps.asked.items()
            if (one, late, name) == (learner, delay, strategy) and stream in SIX
            for share in shares
        ]
        cells = [f"{fmean(v):+.2f} ± {interval(v):.2f} ({len(v)})" if v else "" for v in found.values()]
        table.add_row(strategy, *cells, f"{min(spent):.2f}–{max(spent):.2f}")
    return table


def each(gaps: Gaps, learner: str, delay: int) -> Table:
    """Return the gap of each stream."""
    table = Table(title=f"{learner}, {delay} late: gap by stream")
    streams = gaps.streams(learner, delay)
    for name in ("strategy", "budget", *streams):
        table.add_column(name, justify="left" if name == "strategy" else "right")
    for strategy in gaps.values(2):
        for budget in gaps.values(3):
            found = [gaps.gaps.get((learner, delay, strategy, budget, name)) for name in streams]
            if any(found):
                cells = [f"{fmean(v.values()):+.1f}" if v else "" for v in found]
                table.add_row(strategy, f"{budget:.0%}", *cells)
    return table


def against_the_best(gaps: Gaps, learner: str, delay: int) -> Table:
    """Return by budget how often the default wins, is level with and loses to the best of the others."""
    table = Table(
        title=f"{learner}, {delay} late: default against the best peer of each stream (level: {TIE} points)"
    )
    for name in ("budget", "wins", "level", "losses", "worst loss"):
        table.add_column(name)
    for budget in gaps.values(3):
        apart: dict[str, tuple[float, str]] = {}
        for stream in gaps.streams(learner, delay):
            mine = gaps.gaps.get((learner, delay, "default", budget, stream))
            peers = {
                cell[2]: fmean(v.values())
                for cell, v in gaps.gaps.items()
                if (*cell[:2], *cell[3:]) == (learner, delay, budget, stream) and cell[2] not in OURS
            }
            if mine and peers:
                best = max(peers, key=lambda name: peers[name])
                apart[stream] = (fmean(mine.values()) - peers[best], best)
        if apart:
            wins = sum(d > TIE for d, _ in apart.values())
            losses = sum(d < -TIE for d, _ in apart.values())
            stream, (most, peer) = min(apart.items(), key=lambda item: item[1][0])
            told = f"{most:+.1f} on {stream}, to {peer}" if most < 0 else ""
            table.add_row(f"{budget:.0%}", str(wins), str(len(apart) - wins - losses), str(losses), told)
    return table
