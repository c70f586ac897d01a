"""What learning labels with their weight (`Importance`) does to a model: its accuracy, and what its probabilities are worth.

    python benchmarks/weighted_labels.py --data DIR [--budget 0.1] [--seeds 2]

The linear model and the streams of `label_efficiency.py`, which measures them, labels at once. *Confidence − accuracy*
is how much surer the model is, in the mean over all events, than it is right, in points; *loss* is the mean logarithmic one.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import fmean
from typing import Final

from efficiency_streams import streams
from efficiency_tables import SIX, markdown
from label_efficiency import Job, measure

STRATEGIES: Final = ("default", "selective", "importance", "random", "all")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of electricity.csv.gz, weather.csv.gz, …")
    parser.add_argument("--budget", type=float, default=0.1)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    found = [stream for name, stream in streams(options.data).items() if name in SIX]
    results: dict[str, list[dict[str, float]]] = {strategy: [] for strategy in STRATEGIES}
    for stream in found:
        for seed in range(options.seeds):
            rows = stream.rows(seed)
            for strategy in STRATEGIES:
                job = Job(stream.name, "linear", strategy, options.budget, seed)
                results[strategy].append(measure(job, stream, rows))
    table = [
        [
            strategy,
            f"{fmean(one['accuracy'] for one in these):.1f}",
            f"{fmean(one['overconfident'] for one in these):+.1f}",
            f"{fmean(one['loss'] for one in these):.3f}",
        ]
        for strategy, these in results.items()
    ]
    title = (
        f"Budget {options.budget:.0%}, mean over {', '.join(s.name for s in found)}, {options.seeds} seeds"
    )
    print(markdown(title, ["strategy", "accuracy", "confidence − accuracy", "loss"], table))


if __name__ == "__main__":
    main()
