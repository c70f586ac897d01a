"""Fail when the pipeline has become much slower, beside River in the same process.

    python benchmarks/ratios.py [--tries 3]

What `speed.py` measures, on River's Phishing (9 features, two classes), twenty times over. A ratio may be twice what it is
on a quiet machine (`BOUNDS`): that is no goal, but what only a blunder reaches. A try that exceeds a bound, or of which
most rounds were disturbed, is made again; it fails when the last undisturbed try exceeds it, and says so when there was
none. Seconds are never looked at.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Final

from rich.console import Console
from speed import MODELS, measure, rows_of

from connectors.datasets import RiverEvents

PASSES = 20
BOUNDS: Final = {
    "StandardScaler | LogisticRegression": {"decide": 5.0, "learn": 11.0, "durable": 19.0},
    "HoeffdingTreeClassifier": {"decide": 2.6, "learn": 6.5, "durable": 14.0},
    "GaussianNB": {"decide": 0.4, "learn": 0.6, "durable": 1.0},
    "ARFClassifier(10)": {"decide": 0.8, "learn": 2.0, "durable": 2.5},
}
"""How many times bare; see `speed.py`."""


def exceeded(rounds: list[dict[str, float]], bounds: dict[str, float]) -> list[str]:
    """Return a sentence for each way whose median ratio is above its bound."""
    ratios = {way: median(found[way] / found["bare"] for found in rounds) for way in bounds}
    return [
        f"{way}: {ratios[way]:.2f} times bare, more than {bound}"
        for way, bound in bounds.items()
        if ratios[way] > bound
    ]


def tried(name: str, tries: int, console: Console) -> list[str] | None:
    """Measure one model until it keeps its bounds; return what it exceeds, None when it was always disturbed."""
    rows = rows_of(RiverEvents("river:Phishing"), 10_000)
    last: list[str] | None = None
    for attempt in range(1, tries + 1):
        with tempfile.TemporaryDirectory() as folder:
            rounds = measure(MODELS[name], rows, PASSES, Path(folder))
        possible = len(rows) * PASSES // 2000 - 1
        if 2 * len(rounds) < possible:
            console.print(
                f"{name}, try {attempt}: {possible - len(rounds)} of {possible} rounds were disturbed"
            )
            continue
        ratios = ", ".join(
            f"{way} {median(found[way] / found['bare'] for found in rounds):.2f}" for way in BOUNDS[name]
        )
        console.print(f"{name}, try {attempt}: {ratios} times bare", highlight=False)
        last = exceeded(rounds, BOUNDS[name])
        if not last:
            break
    return last


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tries", type=int, default=3)
    options = parser.parse_args()
    console, failed = Console(), False
    for name in MODELS:
        found = tried(name, options.tries, console)
        if found is None:
            console.print(f"{name}: the machine is too busy to tell")
        for sentence in found or ():
            failed = True
            console.print(f"{name}: {sentence}", style="red", highlight=False)
    sys.exit(failed)


if __name__ == "__main__":
    main()
