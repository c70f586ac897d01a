"""What asking evenly across the classes (`Balanced`) gives where one of them is rare.

    python benchmarks/rare_classes.py --data DIR [--rare 0.05] [--seeds 3]

Streams of two classes, of whose less frequent one as many events are left out, by chance, as make it ``--rare`` of the
stream; and those of many classes as they are. Measured as `label_efficiency.py` does, and beside the accuracy the mean
recall of the classes, in which a rare one counts as much as any. Means over seeds, which change the events left out.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from statistics import fmean

from efficiency_streams import Row, Stream, streams
from efficiency_tables import markdown
from label_efficiency import Job, measure

from stream_al.draws import Draws

STREAMS = ("electricity", "weather", "phishing", "spam", "rbf", "segments", "outdoor")
STRATEGIES = ("default", "balanced", "random")


def thinned(rows: list[Row], rare: float, seed: int) -> list[Row]:
    """Return the rows without so many of the least frequent class that ``rare`` of them are of it."""
    least, count = Counter(label for _, label in rows).most_common()[-1]
    kept = rare / (1.0 - rare) * (len(rows) - count) / count
    draw = Draws(f"thinned {seed}")
    return [row for number, row in enumerate(rows) if row[1] != least or draw(str(number)) < kept]


def cells(stream: Stream, options: argparse.Namespace, strategy: str) -> list[str]:
    """Return a strategy's accuracy, mean recall and share asked on a stream, at once and late."""
    found = []
    for delay in (0, 500):
        results = []
        for seed in range(options.seeds):
            rows = stream.rows(seed)
            rows = thinned(rows, options.rare, seed) if stream.classes == 2 else rows
            job = Job(stream.name, "linear", strategy, options.budget, seed, delay)
            results.append(measure(job, stream, rows))
        found += [f"{fmean(result[name] for result in results):.1f}" for name in ("accuracy", "recall")]
        found.append(f"{100.0 * fmean(result['asked'] for result in results):.1f}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of electricity.csv.gz, weather.csv.gz, …")
    parser.add_argument("--rare", type=float, default=0.05, help="the share of the rare class")
    parser.add_argument("--budget", type=float, default=0.1)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    found = streams(options.data)
    table = [
        [name, strategy, *cells(found[name], options, strategy)]
        for name in STREAMS
        if name in found
        for strategy in STRATEGIES
    ]
    title = f"Budget {options.budget:.0%}, a rare class {options.rare:.0%}, {options.seeds} seeds: at once; 500 late"
    columns = ["accuracy", "mean recall", "asked, %"]
    print(markdown(title, ["stream", "strategy", *columns, *[f"{name} (late)" for name in columns]], table))


if __name__ == "__main__":
    main()
