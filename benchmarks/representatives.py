"""What representatives and propagation are worth: accuracy after labelling 1 %, 2 % and 5 % of a pool.

    python benchmarks/representatives.py [--data outdoor.csv.gz] [--seeds 5]

Digits (scikit-learn's, 8 × 8 pixels), ImageSegments (River's) and any CSV file with a column `label`. A fifth of each is
held out, another for each seed, and accuracy is measured there. *random*: labels for records drawn evenly; *margin*: a fifth
of the labels at random, the rest in four rounds where the margin is least; *representatives*: the medoids of as many groups
as there are labels; *+ propagation*: and a quarter of each group takes over its label, at half the weight, or at full
weight where the model knows no weights. All are learned by the same model in the order of the stream, propagated labels
last. Cells are means and 95 % intervals over seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from river import datasets, linear_model, multiclass, naive_bayes, neighbors, preprocessing, tree

from stream_al.cli.assemble import open_events
from stream_al.codec import EventRow
from stream_al.config import EventsConfig
from stream_al.model import Model
from stream_al.pool import examples, grouped, propagated, vectors
from stream_al.ports import LabelledRow
from stream_al.records import ClassLabel
from stream_al.replay.group import Estimate
from stream_al.replay.rounds import Rounds, run_rounds, split
from stream_al.replay.stream import LabelledStream, truth_of
from stream_al.uncertainty import Scores

MODELS: dict[str, tuple[Callable[[], Any], float]] = {
    "logistic regressions": (
        lambda: (
            preprocessing.StandardScaler() | multiclass.OneVsRestClassifier(linear_model.LogisticRegression())
        ),
        0.5,
    ),
    "Hoeffding tree": (lambda: tree.HoeffdingTreeClassifier(grace_period=50), 0.5),
    "Gaussian naive Bayes": (naive_bayes.GaussianNB, 1.0),
    "3 nearest neighbours": (
        lambda: (
            preprocessing.StandardScaler()
            | neighbors.KNNClassifier(n_neighbors=3, engine=neighbors.LazySearch(window_size=2000))
        ),
        1.0,
    ),
}
"""And what a propagated label weighs."""
WAYS = ("random", "margin", "representatives", "+ propagation")
SHARES = (0.01, 0.02, 0.05)


def digits() -> LabelledStream:
    """Return scikit-learn's digits."""
    from sklearn.datasets import load_digits

    found = load_digits()
    rows = [
        _row(f"d{number}", {f"pixel-{at:02d}": float(v) for at, v in enumerate(image)}, str(target))
        for number, (image, target) in enumerate(zip(found.data, found.target, strict=True))
    ]
    return _stream("digits", rows)


def segments() -> LabelledStream:
    """Return River's ImageSegments."""
    rows = [_row(f"s{n}", dict(x), str(y)) for n, (x, y) in enumerate(datasets.ImageSegments())]
    return _stream("ImageSegments", rows)


def _row(name: str, features: dict[str, Any], truth: str) -> EventRow:
    return LabelledRow(features, name, truth=truth)


def _stream(name: str, rows: list[EventRow]) -> LabelledStream:
    classes = tuple(sorted({str(truth_of(row)) for row in rows}))
    return LabelledStream(name, tuple(rows), classes, {})


def accuracies(
    stream: LabelledStream, make: Callable[[], Model], share: float, key: str, weight: float
) -> list[float]:
    """Return the accuracy of each of `WAYS`."""
    pool, held_out = split(stream, key)
    count = round(share * len(pool))
    at_once, in_rounds = Rounds(share, 1.0, share, 1.0, 1.1), Rounds(share / 5, share / 5, share, 1.0, 1.1)
    found = [
        run_rounds(stream, name, make, rounds, key=key).rounds[-1].accuracy
        for name, rounds in (("random", at_once), ("margin", in_rounds))
    ]
    points = vectors([row.features for row in pool])
    groups = grouped(points, count, key=key)
    labels: dict[int, ClassLabel] = {
        place: truth
        for group in groups
        for place in group.representatives
        if (truth := truth_of(pool[place])) is not None
    }
    for taken in ([], propagated(groups, points, labels)):
        model = make()
        for example in examples(pool, labels, taken, weight=weight):
            assert model.learn(example) is None
        scored = model.score_all([row.features for row in held_out])
        right = [
            isinstance(s, Scores) and s.label == truth_of(row)
            for s, row in zip(scored, held_out, strict=True)
        ]
        found.append(sum(right) / len(right))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, action="append", default=[], help="a CSV file with a column `label`"
    )
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    streams = [digits(), segments()]
    for path in given.data:
        events = open_events(EventsConfig(path=str(path), label_column="label"))
        streams.append(LabelledStream.read(events, path.name.partition(".")[0]))
    table = Table(title=f"accuracy on the fifth held out, {given.seeds} seeds")
    for name in ("pool", "model", "labels", *WAYS):
        table.add_column(name, justify="left" if name in ("pool", "model") else "right")
    for stream in streams:
        for name, (make, weight) in MODELS.items():
            for share in SHARES:
                runs = [
                    accuracies(stream, lambda make=make: Model(make()), share, f"pool/{seed}", weight)  # type: ignore[misc]
                    for seed in range(given.seeds)
                ]
                cells = [Estimate.of(list(values)) for values in zip(*runs, strict=True)]
                table.add_row(stream.name, name, f"{share:.0%}", *(_cell(cell) for cell in cells))
    Console(width=140).print(table)


def _cell(found: Estimate) -> str:
    return f"{found.mean:.1%}" if found.high is None else f"{found.mean:.1%} ± {found.high - found.mean:.1%}"


if __name__ == "__main__":
    main()
