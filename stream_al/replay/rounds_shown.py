"""Rounds side by side: the numbers as a table, a picture, JSON, and in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from stream_al.replay.contenders import RANDOM
from stream_al.replay.group import Estimate
from stream_al.replay.report.numbers import estimate
from stream_al.replay.rounds import HOLDOUT, Rounds, RoundsOutcome


@dataclass(frozen=True)
class RoundsComparison:
    """What several ways of choosing gave, each with several seeds.

    Parameters
    ----------
    source
        The name of the data.
    rounds
        How they went.
    outcomes
        For each way of choosing, the outcome of each seed; random is the last.
    """

    source: str
    rounds: Rounds
    outcomes: Sequence[Sequence[RoundsOutcome]]

    @property
    def heading(self) -> str:
        """Return what was run, in a line."""
        first = self.outcomes[0][0]
        seeds = f" · {len(self.outcomes[0])} seeds" if len(self.outcomes[0]) > 1 else ""
        return f"{self.source} · {first.model} · in rounds of {self.rounds.step:.0%}{seeds}"

    @property
    def all_labels(self) -> Estimate:
        """The accuracy after learning all labels."""
        return Estimate.of([outcome.all_labels for outcome in self.outcomes[-1]])

    def count(self, outcomes: Sequence[RoundsOutcome]) -> int:
        """Return how many rounds all seeds had."""
        return min(len(outcome.rounds) for outcome in outcomes)

    def accuracy(self, outcomes: Sequence[RoundsOutcome], number: int) -> Estimate | None:
        """Return the accuracy after a round, over the seeds; None where some had stopped before."""
        if number >= self.count(outcomes):
            return None
        return Estimate.of([outcome.rounds[number].accuracy for outcome in outcomes])

    def sure(self, outcomes: Sequence[RoundsOutcome], number: int) -> float | None:
        """Return the share of the rest the model was sure of after a round, over the seeds."""
        if number >= self.count(outcomes):
            return None
        return Estimate.of([outcome.rounds[number].sure for outcome in outcomes]).mean

    def sentence(self) -> str:
        """Return the result in words: the best way of choosing beside random, at the last round both had."""
        compared = [outcomes for outcomes in self.outcomes if outcomes[0].name != RANDOM]
        at_random = self.outcomes[-1]
        everything = f"all labels give {self.all_labels.mean:.1%}"
        if not compared:
            last = self.count(at_random) - 1
            share = at_random[0].rounds[last].share
            found = self.accuracy(at_random, last)
            assert found is not None
            return f"With {share:.0%} labelled at random it was right on {found.mean:.1%}; {everything}."
        last = min(self.count(outcomes) for outcomes in self.outcomes) - 1
        best = max(compared, key=lambda outcomes: (self.accuracy(outcomes, last) or Estimate(0.0)).mean)
        mine, theirs = self.accuracy(best, last), self.accuracy(at_random, last)
        assert mine is not None
        assert theirs is not None
        points = 100.0 * (mine.mean - theirs.mean)
        share = best[0].rounds[last].share
        return (
            f"With {share:.0%} of the labels, {best[0].title}, the model was right on {mine.mean:.1%} of what it had "
            f"never seen: {abs(points):.1f} points {'more' if points >= 0 else 'fewer'} than with as many chosen at "
            f"random; {everything}."
        )

    def notes(self) -> list[str]:
        """Return what must be known to judge the numbers."""
        notes = [
            f"Accuracy is measured on {HOLDOUT:.0%} of the records that are never labelled; sure: the share of the "
            f"rest of the pool with a confidence of {self.rounds.confidence:g} or more."
        ]
        for outcomes in self.outcomes:
            reasons = list(dict.fromkeys(outcome.why for outcome in outcomes))
            notes.append(f"{outcomes[0].title}: stopped when {', or '.join(reasons)}.")
        return notes

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "source": self.source,
            "model": self.outcomes[0][0].model,
            "held_out": HOLDOUT,
            "confidence": self.rounds.confidence,
            "summary": self.sentence(),
            "all_labels": self.all_labels._asdict(),
            "strategies": [
                {
                    "name": outcomes[0].name,
                    "title": outcomes[0].title,
                    "seeds": [
                        {"stopped": outcome.why, "rounds": [done._asdict() for done in outcome.rounds]}
                        for outcome in outcomes
                    ],
                }
                for outcomes in self.outcomes
            ],
        }


def rounds_table(comparison: RoundsComparison) -> Table:
    """Return a row for each round."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("round", "labels", "of all"):
        table.add_column(name, justify="right", no_wrap=True)
    for outcomes in comparison.outcomes:
        table.add_column(outcomes[0].name, justify="right", no_wrap=True)
        table.add_column("sure", justify="right", style="dim", no_wrap=True)
    longest = max(comparison.outcomes, key=comparison.count)
    for number in range(comparison.count(longest)):
        done = longest[0].rounds[number]
        cells = [f"{number}", f"{done.labels:,}", f"{done.share:.0%}"]
        for outcomes in comparison.outcomes:
            accuracy, sure = comparison.accuracy(outcomes, number), comparison.sure(outcomes, number)
            cells.append("" if accuracy is None else estimate(accuracy, percent=True))
            cells.append("" if sure is None else f"{sure:.0%}")
        table.add_row(*cells)
    everything = ["all", "", "100%"]
    for _ in comparison.outcomes:
        everything += [estimate(comparison.all_labels, percent=True), ""]
    table.add_section()
    table.add_row(*everything)
    return table


def write_rounds_png(comparison: RoundsComparison, path: Path) -> None:
    """Write accuracy against labels, with and without active learning, into one PNG.

    Raises
    ------
    ConfigError
        When the ``plot`` extra is not installed, or the file cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, PercentFormatter

    from stream_al.replay.report.extra import require_extra
    from stream_al.replay.report.palette import LIGHT

    require_extra()

    figure = Figure(figsize=(8.0, 5.0), layout="constrained")
    axes = figure.subplots()
    strokes = ("-", (0, (8, 2, 1.5, 2)), (0, (3, 1)))
    for place, outcomes in enumerate(comparison.outcomes):
        at_random = outcomes[0].name == RANDOM
        color = LIGHT.random if at_random else LIGHT.compared[place % len(LIGHT.compared)]
        stroke: Any = (0, (5, 2)) if at_random else strokes[place // len(LIGHT.compared) % 3]
        points = [
            (outcomes[0].rounds[number].labels, comparison.accuracy(outcomes, number))
            for number in range(comparison.count(outcomes))
        ]
        labels = [label for label, _ in points]
        found = [accuracy for _, accuracy in points if accuracy is not None]
        axes.plot(labels, [e.mean for e in found], color=color, linestyle=stroke, marker="o", markersize=4.5,
                  linewidth=2.2, label=outcomes[0].title)  # fmt: skip
        if found[0].high is not None:
            low = [e.low if e.low is not None else e.mean for e in found]
            high = [e.high if e.high is not None else e.mean for e in found]
            axes.fill_between(labels, low, high, color=color, alpha=0.15, linewidth=0)
    level = comparison.all_labels.mean
    axes.axhline(level, color=LIGHT.all, linestyle=(0, (1.5, 1.5)), linewidth=1.6, label="all labels")
    axes.set_xlabel("labels", color=LIGHT.faint)
    axes.set_title(comparison.heading, loc="left", color=LIGHT.ink, fontsize=11, pad=12)
    axes.set_ylabel("accuracy on records held out", color=LIGHT.faint)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlim(left=0)
    axes.grid(axis="y", color=LIGHT.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=LIGHT.faint, length=0, labelsize=9.5)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(LIGHT.grid)
    axes.legend(loc="lower right", frameon=False, labelcolor=LIGHT.ink)
    figure.savefig(path, format="png", dpi=150, facecolor="white")
