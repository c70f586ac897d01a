"""What it gives to withdraw open queries that the model has become sure of (`[labels] withdraw_below`).

    python benchmarks/withdraw.py --data DIR [--seeds 3]

The default strategy at a budget of 5 % (by margin, after a cold start), with labels 500 and 2,000 events late. *Asked* is
the same in all: a withdrawn query was asked, and its budget does not come back. *Labels* are what people still gave.
Accuracy is prequential, over all events. The utility is 1 - margin. Means over seeds, which decide what is explored.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from statistics import mean

from efficiency_streams import LEARNERS, Stream, streams
from rich.console import Console
from rich.table import Table

from stream_al import DeskRules, Model
from stream_al.ports import LabelledRow
from stream_al.replay import LabelledStream, Trial, replay
from stream_al.replay.contenders import parse_strategy
from stream_al.replay.people import Crowd

BELOW = (None, 0.2, 0.5, 0.8)
DELAYS = (500, 2_000)
PAIRS = (
    ("electricity", "linear"),
    ("electricity", "ht"),
    ("weather", "linear"),
    ("rbf", "ht"),
    ("sea", "ht"),
)


def _model(learner: str, source: Stream) -> Model:
    return Model(LEARNERS[learner].make(source))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of electricity.csv.gz and weather.csv.gz")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=0.05)
    options = parser.parse_args()
    found = streams(options.data)
    table = Table()
    for column in ("stream, learner", "late", "withdrawn below", "asked", "labels", "saved", "accuracy"):
        table.add_column(column, justify="left" if column[0] == "s" and "," in column else "right")
    for name, learner in PAIRS:
        if name not in found:
            continue
        source = found[name]
        rows = [
            LabelledRow(features, f"e{number}", truth=label)
            for number, (features, label) in enumerate(source.rows(0)[:20_000])
        ]
        stream = LabelledStream(name, tuple(rows), tuple(sorted({str(row.truth) for row in rows})), {})
        contender = parse_strategy("margin", budget=options.budget, events=len(rows))
        for delay in DELAYS:
            before = 0.0
            for below in BELOW:
                crowd = Crowd(Crowd.one(delay).people, DeskRules(withdraw_below=below))
                runs = [
                    replay(
                        stream,
                        contender,
                        Trial(partial(_model, learner, source), crowd, f"seed {seed}"),
                    )
                    for seed in range(options.seeds)
                ]
                labels = mean(run.answered for run in runs)
                before = before or labels
                table.add_row(
                    f"{name}, {learner}" if delay == DELAYS[0] and below is None else "",
                    f"{delay:,}" if below is None else "",
                    "never" if below is None else f"{below:g}",
                    f"{mean(run.labels for run in runs):,.0f}",
                    f"{labels:,.0f}",
                    f"{1.0 - labels / before:.0%}",
                    f"{mean(run.accuracy for run in runs):.2%}",
                )
        table.add_section()
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
