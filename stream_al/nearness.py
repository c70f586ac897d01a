"""Which of a few records is nearest to another one, and whether that is near enough."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from stream_al.pool.vectors import column
from stream_al.records import Features

FEWEST: Final = 10
"""From fewer records nobody can tell how far a feature spreads; nothing is near then."""


class Nearness:
    """Finds the nearest of some records; a new one is made when they change.

    The distance of two records is the root of the mean, over the features that either of them has, of the squared
    differences. A number's difference is in standard deviations among the records held; a text that differs counts 2, as
    it is two columns of 0 and 1 (`stream_al.pool.vectors`). So 0.2 means that features differ by a fifth of their spread.

    It is the same to the last bit wherever it is computed: sums go over one row after the other.

    Cost: all pairs of the records once, and then one comparison with each for an event.

    Parameters
    ----------
    held
        The records, by name; of equally near ones the first is nearest.

    Examples
    --------
    >>> held = Nearness((f"e{n}", {"x": float(n), "kind": "a"}) for n in range(10))
    >>> held.nearest({"x": 3.1, "kind": "a"}, 0.2), held.nearest({"x": 3.1, "kind": "b"}, 0.2)
    ('e3', None)
    """

    def __init__(self, held: Iterable[tuple[str, Features]]) -> None:
        records = list(held)
        self._names = [name for name, _ in records]
        if len(records) < FEWEST:
            return
        columns = {column(name, value) for _, features in records for name, value in features.items()}
        self._place = {it: place for place, it in enumerate(sorted(columns))}
        owners = sorted({name for name, _ in columns})
        self._owner = {name: place for place, name in enumerate(owners)}
        self._rows = np.zeros((len(self._place), len(records)))
        self._has = np.zeros((len(owners), len(records)), dtype=np.int64)
        for at, (_, features) in enumerate(records):
            for name, value in features.items():
                self._rows[self._place[column(name, value)], at] = _number(value)
                self._has[self._owner[name], at] = 1
        self._count = self._has.sum(axis=0)
        self._scale = np.array(
            [1.0 if text else _spread(row) for (_, text), row in zip(self._place, self._rows, strict=True)]
        )[:, None]

    def nearest(
        self, features: Features, within: float, allowed: Callable[[str], bool] = lambda name: True
    ) -> str | None:
        """Return the name of the nearest record, among those allowed; None when none is within this distance."""
        if len(self._names) < FEWEST:
            return None
        point = np.zeros((len(self._place), 1))
        beyond, known = 0.0, []
        for name, value in sorted(features.items()):
            place = self._place.get(column(name, value))
            if place is None:
                beyond += _number(value) ** 2
            else:
                point[place, 0] = _number(value)
            if name in self._owner:
                known.append(self._owner[name])
        squares = (((self._rows - point) / self._scale) ** 2).sum(axis=0) + beyond
        either: npt.NDArray[np.int64] = self._count + len(features) - self._has[known].sum(axis=0)
        found = squares / either
        near = [at for at in np.flatnonzero(found <= within**2) if allowed(self._names[at])]
        return self._names[min(near, key=lambda at: (found[at], at))] if near else None


def _number(value: object) -> float:
    return 1.0 if isinstance(value, str) else float(value)  # type: ignore[arg-type]


def _spread(row: npt.NDArray[np.float64]) -> float:
    values = row.tolist()
    mean = sum(values) / len(values)
    return float((sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5) or 1.0
