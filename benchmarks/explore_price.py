"""What exploring more costs in accuracy, and how much narrower the interval for the accuracy is: with real models.

    python benchmarks/explore_price.py --data DIR [--budget 0.1] [--seeds 2]

The linear model and the streams of `label_efficiency.py`, labels at once, through `ActiveLearner` and its own estimate.
*points* is the accuracy over that with a tenth of the budget, the default, in the mean and where it loses most; *width* is
that of the 95 % sequence at the end of the stream, in points; *even* is how many times as wide as for as many labels drawn
evenly, of the same answers; both are medians over streams and seeds. *held* counts the runs whose interval contains the
true accuracy at the end.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import fmean, median
from typing import Final, NamedTuple

from efficiency_streams import LEARNERS, Row, Stream, streams
from efficiency_tables import SIX, markdown
from rich.console import Console
from rich.progress import track

from stream_al import ActiveLearner, Budgeted, ColdStart, Label, Model
from stream_al.codec import EventRow, PredictionRow
from stream_al.draws import Draws
from stream_al.monitor import Accuracy
from stream_al.replay.contenders import default_cold_start, most_while_late

SHARES: Final = (0.1, 0.15, 0.25, 0.35, 0.5)
"""Of the budget, what is explored with; the first is the default."""
_RUN: Final = 200
"""Events answered at a time, at most."""


class Run(NamedTuple):
    """What came of one stream."""

    accuracy: float
    width: float
    even: float
    held: bool


def run(stream: Stream, rows: list[Row], share: float, budget: float, seed: int) -> Run:
    """Answer a stream, asking and learning, and estimate the accuracy from the labels."""
    examples = default_cold_start(len(rows), budget)
    strategy = ColdStart(
        Budgeted(budget, explore=share * budget),
        examples,
        asks=most_while_late(examples, budget, len(rows)),
    )
    model = Model(LEARNERS["linear"].make(stream), checkpoint_every=10**9)
    learner = ActiveLearner(model, strategy, key=f"{stream.name} {seed}")
    events = [EventRow(features, str(number)) for number, (features, _) in enumerate(rows)]
    answers: list[PredictionRow] = []
    asked = 0
    while len(answers) < len(events):
        at = len(answers)
        predictions, _ = learner.answer(events[at : at + _RUN], until_asked=True)
        answers += predictions
        if answers[-1].queried:
            asked += 1
            place = len(answers) - 1
            learner.teach(Label(event_id=str(place), label=rows[place][1]))
    assert learner.accuracy is not None
    mine = learner.accuracy.report(len(rows)).whole
    even, drawn, chance = Accuracy(), Draws(f"even {stream.name} {seed}"), asked / len(rows)
    for number, (answer, (_, label)) in enumerate(zip(answers, rows, strict=True)):
        name = str(number) if drawn(str(number)) < chance else None
        if even.pass_by(number, answer.label, answer.confidence, chance, name):
            even.settle(str(number), label)
    theirs = even.report(len(rows)).whole
    accuracy = fmean(answer.label == label for answer, (_, label) in zip(answers, rows, strict=True))
    width = mine.high - mine.low
    held = mine.low <= accuracy <= mine.high
    return Run(100.0 * accuracy, 100.0 * width, width / (theirs.high - theirs.low), held)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of electricity.csv.gz, weather.csv.gz, …")
    parser.add_argument("--budget", type=float, default=0.1)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    found = [stream for name, stream in streams(options.data).items() if name in SIX]
    jobs = [(stream, seed) for stream in found for seed in range(options.seeds)]
    runs: dict[float, list[Run]] = {share: [] for share in SHARES}
    for stream, seed in track(jobs, console=Console(stderr=True), description=""):
        rows = stream.rows(seed if stream.seeded else 0)
        for share in SHARES:
            runs[share].append(run(stream, rows, share, options.budget, seed))
    table = []
    for share, these in runs.items():
        gains = [
            fmean(
                mine.accuracy - default.accuracy
                for (stream, _), mine, default in zip(jobs, these, runs[SHARES[0]], strict=True)
                if stream is of
            )
            for of in found
        ]
        worst = min(range(len(found)), key=gains.__getitem__)
        table.append(
            [
                f"{share:.0%}",
                f"{fmean(gains):+.2f}",
                f"{gains[worst]:+.2f} ({found[worst].name})" if min(gains) < 0.0 else "",
                f"{median(one.width for one in these):.1f}",
                f"{median(one.even for one in these):.2f}×",
                f"{sum(one.held for one in these)} of {len(these)}",
            ]
        )
    head = ["explore, of the budget", "points, mean", "at worst", "width", "even", "held"]
    names = ", ".join(stream.name for stream in found)
    print(markdown(f"Budget {options.budget:.0%}, {names}, {options.seeds} seeds", head, table))


if __name__ == "__main__":
    main()
