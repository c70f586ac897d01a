"""The streams label efficiency is measured on, and the learners: real tables, River's generators, sparse texts."""

from __future__ import annotations

import csv
import gzip
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, NamedTuple

from river import (
    base,
    datasets,
    forest,
    linear_model,
    multiclass,
    naive_bayes,
    neighbors,
    optim,
    preprocessing,
    tree,
)
from river.compose import Pipeline
from river.datasets import synth

Row = tuple[dict[str, Any], str]
"""Features, all of them numbers, and the label."""
TABLES: Final = ("electricity", "weather", "phishing", "outdoor")


class Stream(NamedTuple):
    """A stream's rows for a seed, and whether the seed changes them."""

    name: str
    half: str
    """``"tune"``, ``"confirm"`` or ``"extra"``: which streams a strategy was chosen on, and which it was checked on."""
    rows: Callable[[int], list[Row]]
    seeded: bool
    classes: int


def _table(path: Path, seed: int) -> list[Row]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [
            ({name: float(value) for name, value in row.items() if name != "label"}, row["label"])
            for row in csv.DictReader(file)
        ]


def _bundled(seed: int) -> list[Row]:
    return [({str(k): float(v) for k, v in x.items()}, str(y)) for x, y in datasets.ImageSegments()]


def _plain(rows: Iterator[tuple[dict[Any, Any], Any]]) -> list[Row]:
    return [({str(name): float(value) for name, value in x.items()}, str(int(y))) for x, y in rows]


def sea(seed: int) -> list[Row]:
    """Return 20,000 events of SEA (Street & Kim 2001), 10 % noise, whose concept changes abruptly every 5,000."""
    return [
        row
        for variant in range(4)
        for row in _plain(synth.SEA(variant=variant, noise=0.1, seed=10 * seed + variant).take(5_000))
    ]


def rbf(seed: int) -> list[Row]:
    """Return 20,000 events of four classes around 20 centroids, half of which move all the time."""
    return _plain(
        synth.RandomRBFDrift(
            seed_model=seed,
            seed_sample=seed + 1,
            n_classes=4,
            n_features=10,
            n_centroids=20,
            change_speed=0.001,
            n_drift_centroids=10,
        ).take(20_000)
    )


def spam(seed: int, events: int = 10_000, vocabulary: int = 3_000) -> list[Row]:
    """Return counted words of short texts, a fifth of them spam whose campaigns change every 2,500 texts."""
    rng = random.Random(seed)
    common = list(accumulate(1.0 / (rank + 3) for rank in range(vocabulary)))
    words = [f"w{number}" for number in range(vocabulary)]
    always = rng.sample(range(200, vocabulary), 40)
    ham = rng.sample(range(50, vocabulary), 60)
    campaigns: list[list[int]] = []
    rows: list[Row] = []
    for number in range(events):
        if number % 2_500 == 0:
            campaigns = [rng.sample(range(100, vocabulary), 25) for _ in range(3)]
        is_spam = rng.random() < 0.2
        campaign = rng.choice(campaigns)
        text: dict[str, float] = {}
        for _ in range(5 + int(rng.expovariate(1 / 12))):
            kind = rng.random()
            if is_spam and kind < 0.45:
                word = rng.choice(always if kind < 0.2 else campaign)
            elif not is_spam and kind < 0.12:
                word = rng.choice(ham)
            else:
                word = rng.choices(range(vocabulary), cum_weights=common)[0]
            text[words[word]] = text.get(words[word], 0.0) + 1.0
        rows.append((text, "spam" if is_spam else "ham"))
    return rows


def streams(data: Path | None) -> dict[str, Stream]:
    """Return the streams by name; the tables only when the folder that holds them is given."""
    found = [
        Stream("rbf", "tune", rbf, True, 4),
        Stream("spam", "tune", spam, True, 2),
        Stream("sea", "confirm", sea, True, 2),
        Stream("segments", "extra", _bundled, False, 7),
    ]
    if data is not None:
        kinds = {
            "electricity": ("tune", 2),
            "weather": ("confirm", 2),
            "phishing": ("confirm", 2),
            "outdoor": ("extra", 40),
        }
        for name, (half, classes) in kinds.items():
            found.append(Stream(name, half, partial(_table, data / f"{name}.csv.gz"), False, classes))
    return {stream.name: stream for stream in found}


def linear(stream: Stream) -> base.Classifier | Pipeline:
    """Return logistic regression: scaled, and one-vs-rest for more than two classes.

    Counted words are not scaled (a word's presence would be its mean, and vanish), and learned with ten times
    River's default rate, without which 10,000 texts do not suffice.
    """
    if stream.name == "spam":
        return linear_model.LogisticRegression(optim.SGD(0.1))
    last: base.Classifier = linear_model.LogisticRegression()
    if stream.classes > 2:
        last = multiclass.OneVsRestClassifier(last)
    return preprocessing.StandardScaler() | last


@dataclass(frozen=True)
class Learner:
    """A learner by name; ``events`` is how much of a stream it is given at most, where it is slow."""

    make: Callable[[Stream], base.Classifier | Pipeline]
    streams: tuple[str, ...]
    events: int | None = None


VW: Final = "vw"
"""Vowpal Wabbit, which is its own learner."""
_DENSE: Final = ("electricity", "weather", "phishing", "sea", "rbf", "segments")
LEARNERS: Final[dict[str, Learner]] = {
    "linear": Learner(linear, (*_DENSE, "spam", "outdoor")),
    "hat": Learner(lambda stream: tree.HoeffdingAdaptiveTreeClassifier(seed=1), _DENSE),
    "ht": Learner(lambda stream: tree.HoeffdingTreeClassifier(), _DENSE),
    "nb": Learner(lambda stream: naive_bayes.GaussianNB(), _DENSE, 10_000),
    "arf": Learner(lambda stream: forest.ARFClassifier(seed=1), _DENSE, 10_000),
    "knn": Learner(
        lambda stream: (
            preprocessing.StandardScaler()
            | neighbors.KNNClassifier(engine=neighbors.LazySearch(window_size=1000))
        ),
        _DENSE,
        5_000,
    ),
    VW: Learner(linear, ("electricity", "weather", "phishing", "sea", "spam")),
}
