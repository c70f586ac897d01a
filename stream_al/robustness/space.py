"""What an attack may change: the numeric features, each within its bounds, measured by its spread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_al.errors import ConfigError
from stream_al.records import Features, FeatureValue

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """The features that can be changed, sorted; with the least and greatest value, and the spread, of each.

    The spread is the standard deviation in the data: a change of 1 spread moves every feature no further than it
    usually varies by itself.
    """

    names: tuple[str, ...]
    low: Floats
    high: Floats
    spread: Floats
    fixed: tuple[str, ...] = ()
    """The features that are not changed: text, yes and no, and those that never vary."""

    @classmethod
    def of(cls, rows: Iterable[Features]) -> Space:
        """Return the space of these rows.

        Raises
        ------
        ConfigError
            When there is no feature that is a number and varies.

        Examples
        --------
        >>> space = Space.of([{"x": 1.0, "c": "a"}, {"x": 3.0, "c": "b"}])
        >>> space.names, space.spread.tolist(), space.fixed
        (('x',), [1.0], ('c',))
        """
        columns: dict[str, list[FeatureValue]] = {}
        for row in rows:
            for name, value in row.items():
                columns.setdefault(name, []).append(value)
        names, bounds, fixed = [], [], []
        for name in sorted(columns):
            values = columns[name]
            spread = float(np.std(np.array(values, float))) if all(map(is_number, values)) else 0.0
            if 0.0 < spread < np.inf:
                names.append(name)
                bounds.append((float(min(values)), float(max(values)), spread))
            else:
                fixed.append(name)
        if not names:
            raise ConfigError(
                f"features {', '.join(sorted(columns)[:10]) or '(none)'}: none is a number that varies, so there is "
                "nothing to change a little; give events with numeric features"
            )
        low, high, spreads = np.array(bounds).T
        return cls(tuple(names), low, high, spreads, tuple(fixed))

    def around(self, features: Features) -> Space:
        """Return the part of the space that this event has, with bounds that hold the event itself."""
        places = [place for place, name in enumerate(self.names) if is_number(features.get(name))]
        names = tuple(self.names[place] for place in places)
        own = values_of(features, names)
        low, high = np.minimum(self.low[places], own), np.maximum(self.high[places], own)
        return Space(names, low, high, self.spread[places], self.fixed)

    def size(self, before: Floats, after: Floats) -> float:
        """Return the greatest change of any feature (L∞), in spreads."""
        return float(np.max(np.abs(after - before) / self.spread, initial=0.0))


def is_number(value: object) -> bool:
    """Tell whether a feature's value can be changed a little."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def values_of(features: Features, names: Sequence[str]) -> Floats:
    """Return the numbers of an event as a vector."""
    return np.array([features[name] for name in names], float)
