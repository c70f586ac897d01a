"""Models that have learned two or three noisy clouds of points, for attacking."""

from __future__ import annotations

import random

import numpy as np

from stream_al import Example, Model
from stream_al.robustness import Space

NAMES = ("a", "b", "c", "d", "e")
SCALES = (1.0, 100.0, 0.01, 5.0, 1.0)


def events(count: int, classes: int = 2, seed: int = 1) -> list[tuple[dict[str, float], str]]:
    """Points about a centre for each class, on scales that differ."""
    rng = random.Random(seed)
    found = []
    for _ in range(count):
        label = rng.randrange(classes)
        values = [scale * (rng.gauss(0, 1) + 1.5 * label * (-1) ** n) for n, scale in enumerate(SCALES)]
        if classes > 2:
            values[label] += 3.0 * SCALES[label]
        found.append((dict(zip(NAMES, values, strict=True)), "xyz"[label]))
    return found


def taught(estimator, classes: int = 2, count: int = 300) -> Model:
    model = Model(estimator)
    for number, (features, label) in enumerate(events(count, classes)):
        assert model.learn(Example(event_id=str(number), features=features, label=label)) is None
    return model


def space_of(classes: int = 2) -> Space:
    return Space.of(features for features, _ in events(300, classes))


def without_bounds(space: Space) -> Space:
    far = np.full(len(space.names), 1e9)
    return Space(space.names, -far, far, space.spread)
