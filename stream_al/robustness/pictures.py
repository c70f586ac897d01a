"""Events as pictures, where the features are pixels: told by their names, or by a shape."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_al.errors import ConfigError
from stream_al.records import Features

Floats = npt.NDArray[np.float64]
_PLACE = re.compile(r"(\d+)\D+(\d+)$")


@dataclass(frozen=True, slots=True)
class Grid:
    """Which feature each pixel is, row by row.

    Examples
    --------
    >>> event = {f"p_{y}_{x}": float(x + y) for y in range(2) for x in range(3)}
    >>> Grid.told_by(event).values(event).tolist()
    [[0.0, 1.0, 2.0], [1.0, 2.0, 3.0]]
    >>> Grid.told_by({"x": 1.0, "y": 2.0}) is None
    True
    """

    rows: tuple[tuple[str, ...], ...]

    @classmethod
    def told_by(cls, features: Features) -> Grid | None:
        """Return the grid that names such as ``pixel_3_4`` (row, column) fill; None when they do not."""
        places: dict[tuple[int, int], str] = {}
        for name in features:
            found = _PLACE.search(name)
            if found is None:
                return None
            places[int(found[1]), int(found[2])] = name
        tops, lefts = (sorted(set(axis)) for axis in zip(*places, strict=True))
        if (
            len(places) < len(features)
            or len(places) != len(tops) * len(lefts)
            or min(len(tops), len(lefts)) < 2
        ):
            return None
        return cls(tuple(tuple(places[top, left] for left in lefts) for top in tops))

    @classmethod
    def parse(cls, shape: str, features: Features) -> Grid:
        """Return the grid of this shape, such as ``28x28``, of features in the order they have.

        Raises
        ------
        ConfigError
            When it is no shape, or there are more or fewer features.
        """
        found = re.fullmatch(r"(\d+)[x×](\d+)", shape.strip())
        names = list(features)
        if found is None or int(found[1]) * int(found[2]) != len(names):
            raise ConfigError(
                f"--shape {shape}: give height x width, such as 8x8, with as many pixels as there are features, "
                f"{len(names)}"
            )
        width = int(found[2])
        return cls(tuple(tuple(names[start : start + width]) for start in range(0, len(names), width)))

    def values(self, features: Features) -> Floats:
        """Return the pixels of an event; 0 where it has none."""
        return np.array([[float(features.get(name, 0.0)) for name in row] for row in self.rows])
