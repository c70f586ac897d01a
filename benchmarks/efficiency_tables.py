"""The tables of the label efficiency benchmark, from its rows, as Markdown."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, Final

from scipy.stats import t as student

SIX: Final = ("electricity", "weather", "phishing", "sea", "rbf", "spam")
"""The streams that means are over; the others are shown stream by stream only."""
GOALS: Final[Mapping[tuple[str, int], Mapping[float, float]]] = {
    ("linear", 0): {0.01: -8.0, 0.05: -3.5, 0.1: -1.5, 0.2: -0.3, 0.3: 0.0},
    ("linear", 500): {0.1: -3.0},
    ("linear", 2000): {0.1: -3.0},
    ("hat", 0): {0.1: -3.0, 0.2: -2.0, 0.3: -1.0},
}
"""By learner and delay, the mean gap that was set as the goal before the default was chosen."""
LEARNERS: Final = {
    "linear": "Linear model",
    "hat": "Adaptive Hoeffding tree",
    "nb": "Naive Bayes",
    "knn": "Nearest neighbours",
    "arf": "Adaptive random forest",
    "vw": "Vowpal Wabbit",
}
TIE: Final = 0.5
"""Points within which two strategies are said to be level."""
_MARKS: Final = ("<!-- measured: begin -->", "<!-- measured: end -->")

Case = tuple[str, int, float]
"""Learner, delay, share never answered."""
Cell = tuple[Case, str, float, str]
"""Case, strategy, budget, stream."""


class Gaps:
    """By cell, the gaps to all labels and the shares asked, a number a seed."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        kept = list(rows)
        reached = {(_case(r), r["stream"], r["seed"]): r["accuracy"] for r in kept if r["strategy"] == "all"}
        self.gaps: dict[Cell, dict[int, float]] = defaultdict(dict)
        self.asked: dict[Cell, list[float]] = defaultdict(list)
        for r in kept:
            # A real table is one stream, whatever the seed: its baseline was measured once.
            place = (_case(r), r["stream"])
            best = reached.get((*place, r["seed"]), reached.get((*place, 0)))
            if r["strategy"] != "all" and best is not None:
                cell = (_case(r), r["strategy"], r["budget"], r["stream"])
                self.gaps[cell][r["seed"]] = r["accuracy"] - best
                self.asked[cell].append(r["asked"])

    def cases(self) -> list[Case]:
        """Return the cases measured, the linear learner first and labels without delay first."""
        found = {cell[0] for cell in self.gaps}
        return sorted(found, key=lambda case: (case[0] != "linear", case))

    def of(self, case: Case, at: int) -> list[Any]:
        """Return what occurs in a case at this place of the cells (1: strategies, 2: budgets), in order."""
        return sorted({cell[at] for cell in self.gaps if cell[0] == case})

    def streams(self, case: Case) -> list[str]:
        """Return the streams of a case: those that means are over, then the others."""
        found = {cell[3] for cell in self.gaps if cell[0] == case}
        return [name for name in SIX if name in found] + sorted(found - set(SIX))

    def mean(self, case: Case, strategy: str, budget: float) -> list[float]:
        """Return the mean over the six streams for each seed that has all of them."""
        cells = [
            self.gaps.get((case, strategy, budget, name), {}) for name in self.streams(case) if name in SIX
        ]
        seeds = set.intersection(*map(set, cells)) if cells else set()
        return [fmean(cell[seed] for cell in cells) for seed in sorted(seeds)]


def _case(row: Mapping[str, Any]) -> Case:
    return row["learner"], row["delay"], row["unanswered"]


def interval(values: Sequence[float]) -> float:
    """Return half the width of the 95 % t-interval of the mean over seeds; infinite for one seed."""
    if len(values) < 2:
        return math.inf
    return float(student.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))


def markdown(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table under its title; all columns but the first are numbers."""
    lines = [f"**{title}**", "", f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n\n"


def written_into(document: str, text: str) -> str:
    """Return a document with the text between its marks."""
    begin, end = (document.find(mark) for mark in _MARKS)
    if not 0 <= begin < end:
        raise SystemExit(f"the document needs a line {_MARKS[0]} and below it a line {_MARKS[1]}")
    return f"{document[:begin]}{_MARKS[0]}\n\n{text}{document[end:]}"


def tables(rows: Iterable[Mapping[str, Any]], ours: Sequence[str]) -> str:
    """Return all tables: the means with the goals, the default against the best peer, and stream by stream."""
    gaps = Gaps(rows)
    found = ""
    for case in gaps.cases():
        learner, delay, unanswered = case
        name = f"{LEARNERS.get(learner, learner)}, labels {f'{delay:,} events late' if delay else 'at once'}"
        if unanswered:
            name += f", {unanswered:.0%} never answered"
        found += f"### {name}\n\n" + means(gaps, case, ours) + against(gaps, case, ours)
        found += each(gaps, case, ours)
    return found


def _ordered(gaps: Gaps, case: Case, ours: Sequence[str]) -> list[str]:
    found = gaps.of(case, 1)
    return [name for name in ours if name in found] + [name for name in found if name not in ours]


def means(gaps: Gaps, case: Case, ours: Sequence[str]) -> str:
    """Return the mean gap of each strategy at each budget, ± over seeds, and what it spent of its budget."""
    budgets = gaps.of(case, 2)
    rows = []
    for strategy in _ordered(gaps, case, ours):
        found = [gaps.mean(case, strategy, budget) for budget in budgets]
        if any(found):
            spent = [
                share / cell[2]
                for cell, shares in gaps.asked.items()
                if cell[:2] == (case, strategy) and cell[3] in SIX
                for share in shares
            ]
            rows.append([strategy, *map(_mean, found), f"{min(spent):.2f}–{max(spent):.2f}"])
    goals = GOALS.get(case[:2], {}) if not case[2] else {}
    if goals:
        reached = [gaps.mean(case, "default", budget) for budget in budgets]
        rows.append(["goal", *(_goal(goals.get(b), r) for b, r in zip(budgets, reached, strict=True)), ""])
    names = [name for name in gaps.streams(case) if name in SIX]
    head = ["strategy", *(f"{budget:.0%}" for budget in budgets), "spent, × budget"]
    return markdown(f"Mean gap in points over {', '.join(names)} (± 95 %, number of seeds)", head, rows)


def _mean(values: list[float]) -> str:
    if not values:
        return ""
    width = f" ± {interval(values):.2f}" if len(values) > 1 else ""
    return f"{fmean(values):+.2f}{width} ({len(values)})"


def _goal(goal: float | None, reached: list[float]) -> str:
    if goal is None or not reached:
        return ""
    return f"{goal:+g}, {'met' if fmean(reached) >= goal else 'not met'}"


def best_peer(
    gaps: Gaps, case: Case, budget: float, stream: str, ours: Sequence[str]
) -> tuple[float, str] | None:
    """Return the smallest gap of a strategy that is not ours, and its name."""
    peers = [
        (fmean(found.values()), cell[1])
        for cell, found in gaps.gaps.items()
        if (cell[0], *cell[2:]) == (case, budget, stream) and cell[1] not in ours
    ]
    return max(peers, default=None)


def against(gaps: Gaps, case: Case, ours: Sequence[str]) -> str:
    """Return by budget how often the default wins, is level with and loses to the best peer of each stream."""
    rows = []
    for budget in gaps.of(case, 2):
        apart: dict[str, tuple[float, str]] = {}
        for stream in gaps.streams(case):
            mine = gaps.gaps.get((case, "default", budget, stream))
            best = best_peer(gaps, case, budget, stream, ours)
            if mine and best:
                apart[stream] = (fmean(mine.values()) - best[0], best[1])
        if apart:
            wins = sum(d > TIE for d, _ in apart.values())
            lost = sorted((d, s, p) for s, (d, p) in apart.items() if d < -TIE)
            told = "; ".join(f"{stream} {d:+.1f} ({peer})" for d, stream, peer in lost)
            level = len(apart) - wins - len(lost)
            rows.append([f"{budget:.0%}", str(wins), str(level), str(len(lost)), told])
    if not rows:
        return ""
    title = f"Default against whichever peer is best on the stream (level: within {TIE} points)"
    return markdown(title, ["budget", "wins", "level", "losses", "lost by"], rows)


def each(gaps: Gaps, case: Case, ours: Sequence[str]) -> str:
    """Return the gaps of the default, of random and of the best peer, stream by stream; without peers, of all of ours."""
    names, measured = gaps.streams(case), gaps.of(case, 1)
    shown = ("default", "random") if set(measured) - set(ours) else tuple(ours)
    rows = []
    for budget in gaps.of(case, 2):
        for strategy in shown:
            found = [gaps.gaps.get((case, strategy, budget, name)) for name in names]
            if any(found):
                cells = [f"{fmean(v.values()):+.1f}" if v else "" for v in found]
                rows.append([f"{budget:.0%}", strategy, *cells])
        best = [best_peer(gaps, case, budget, name, ours) for name in names]
        if any(best):
            rows.append([f"{budget:.0%}", "best peer", *(f"{b[0]:+.1f}" if b else "" for b in best)])
    return markdown("Gap by stream", ["budget", "strategy", *names], rows)
