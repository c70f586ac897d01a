"""What is usual in a stream, so that what is not can be shown first.

A number is unusual when its modified z-score, 0.6745 (x - median) / MAD, is beyond 3.5 (Iglewicz and Hoaglin, "How to
Detect and Handle Outliers", 1993); where more than half of the values are the same, MAD is 0 and the mean absolute
deviation takes its place, as they say. A text or truth value is unusual when fewer than one in fifty have it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from statistics import fmean, median, quantiles
from typing import Any, Final, NamedTuple

from stream_al.annotate.words import share_text, value_text
from stream_al.records import Features, FeatureValue

_FEW: Final = 20
"""Below so many values nothing can be called unusual."""
_FAR: Final = 3.5
_RARE: Final = 0.02


class Mark(NamedTuple):
    """Why a value is unusual."""

    word: str
    """``"high"``, ``"low"``, ``"rare"`` or ``"new"``."""
    usually: str
    """What is usual instead, in words."""
    far: float
    """How unusual it is, for the order."""


class _Numbers(NamedTuple):
    middle: float
    spread: float
    low: float
    high: float
    usually: str

    def mark(self, value: float) -> Mark | None:
        score = (value - self.middle) / self.spread if self.spread else 0.0
        if abs(score) <= _FAR or self.low <= value <= self.high:
            return None
        return Mark("high" if score > 0 else "low", self.usually, abs(score))


class _Texts(NamedTuple):
    shares: Mapping[FeatureValue, float]
    usually: str

    def mark(self, value: FeatureValue) -> Mark | None:
        share = self.shares.get(value, 0.0)
        if share >= _RARE:
            return None
        return Mark("rare" if share else "new", self.usually, _FAR + 1.0 - share)


class Usual:
    """What is usual in a sample of events.

    Parameters
    ----------
    sample
        The features of some events.

    Examples
    --------
    >>> usual = Usual([{"amount": float(n % 10), "country": "FR"} for n in range(100)])
    >>> {
    ...     name: (mark.word, mark.usually)
    ...     for name, mark in usual.marks({"amount": 99.0, "country": "NO"}).items()
    ... }
    {'amount': ('high', '0 to 9'), 'country': ('new', 'FR (100 %)')}
    """

    def __init__(self, sample: Iterable[Features]) -> None:
        columns: dict[str, list[FeatureValue]] = {}
        for features in sample:
            for name, value in features.items():
                columns.setdefault(name, []).append(value)
        self._known: dict[str, _Numbers | _Texts] = {}
        for name, values in columns.items():
            known = _known(values) if len(values) >= _FEW else None
            if known is not None:
                self._known[name] = known

    def marks(self, features: Features) -> dict[str, Mark]:
        """Return the unusual values of an event, by name, the most unusual first."""
        found = {}
        for name, value in features.items():
            known = self._known.get(name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if isinstance(known, _Numbers) and number:
                mark = known.mark(float(value))
            elif isinstance(known, _Texts) and not number:
                mark = known.mark(value)
            else:
                mark = None
            if mark is not None:
                found[name] = mark
        return dict(sorted(found.items(), key=lambda item: -item[1].far))


def _known(values: list[Any]) -> _Numbers | _Texts | None:
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        middle = float(median(values))
        away = [abs(float(value) - middle) for value in values]
        spread = median(away) / 0.6745 or fmean(away) * 1.253314
        twentieths = quantiles(values, n=20)
        low, high = twentieths[0], twentieths[-1]
        texts = [value_text(float(f"{bound:.3g}")) for bound in (low, high)]
        return _Numbers(middle, spread, low, high, " to ".join(dict.fromkeys(texts)))
    counts = Counter(values)
    if len(counts) > len(values) / 4:  # names, texts, identifiers: every one is new
        return None
    common = ", ".join(
        f"{value_text(value)[:40]} ({share_text(count / len(values))})"
        for value, count in counts.most_common(2)
    )
    return _Texts({value: count / len(values) for value, count in counts.items()}, common)
