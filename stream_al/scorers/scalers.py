"""Scalers as two numbers a feature: each of River's makes of x the number ``(x - shift) / scale``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Any, Final, TypeAlias

from river import preprocessing

from stream_al.estimators import PURE

Row: TypeAlias = tuple[Any, Any]
"""The shift and the scale of one feature. River makes zero of a feature without spread; so does an infinite scale,
unless the value is infinite itself, as a scaler before may have made it: then it gives no number. A shift of
nothing is the integer 0, which leaves a large integer as it is."""


def _standard(scaler: Any, names: tuple[str, ...]) -> list[Row]:
    mean, variance = dict(scaler.means).__getitem__, dict(scaler.vars).__getitem__
    if scaler.window_size is not None:
        mean, variance = _current(scaler.means), _current(scaler.vars)
    if not scaler.with_std:
        return [(mean(name), 1.0) for name in names]
    return [(mean(name), variance(name) ** 0.5 or inf) for name in names]


def _adaptive(scaler: Any, names: tuple[str, ...]) -> list[Row]:
    mean, variance = _current(scaler.means), _current(scaler.vars)
    return [(mean(name), max(variance(name), 0.0) ** 0.5 or inf) for name in names]


def _min_max(scaler: Any, names: tuple[str, ...]) -> list[Row]:
    least, most = _current(scaler.min), _current(scaler.max)
    return [(low := least(name), most(name) - low or inf) for name in names]


def _max_abs(scaler: Any, names: tuple[str, ...]) -> list[Row]:
    most = _current(scaler.abs_max)
    return [(0, most(name) or inf) for name in names]


def _robust(scaler: Any, names: tuple[str, ...]) -> list[Row]:
    if not scaler.with_scaling:
        if not scaler.with_centering:
            raise TypeError("leaves an integer an integer, which no division does")
        return [(shift, 1.0) for shift in map(_current(scaler.median), names)]
    median = _current(scaler.median) if scaler.with_centering else lambda name: 0
    width = _current(scaler.iqr)
    return [(median(name), width(name) or inf) for name in names]


def _current(statistics: Mapping[str, Any]) -> Callable[[str], Any]:
    """Return the function to the present value of a feature's statistic."""
    plain = dict(statistics)  # which does not make up what is missing
    return lambda name: plain[name].get()


_BY_CLASS: Final[dict[Any, Callable[[Any, tuple[str, ...]], list[Row]]]] = {
    preprocessing.StandardScaler: _standard,
    preprocessing.AdaptiveStandardScaler: _adaptive,
    preprocessing.MinMaxScaler: _min_max,
    preprocessing.MaxAbsScaler: _max_abs,
    preprocessing.RobustScaler: _robust,
}
SCALERS: Final = {**_BY_CLASS, **{PURE[kind]: rows for kind, rows in _BY_CLASS.items()}}
"""By the exact class, the function from (scaler, names) to a row for each name.

Names that the scaler has not learned make it raise. The pure subclasses differ only in what they forget."""
