"""A share of events, of which only those asked about are known: exact, estimated with an interval, or refused.

The point estimate is Hájek's (1971), the self-normalised form of Horvitz & Thompson's (1952): each known event
counts 1 / propensity. Events that were certain to be asked (propensity 1) and those that chance decided about are
estimated apart and put together by their known numbers, so that what is known for certain stays certain. The
propensity of an event depends only on what came before it, so the estimator is a sum of martingale differences, and
its variance is that of Poisson sampling (Särndal, Swensson & Wretman 1992, sections 3.5 and 5.7), although models
and thresholds adapt.

The interval is Wilson's (1927) with the effective number of labels in the place of their number, which Franco,
Little, Louis & Slud (2019) recommend of seven for samples of unequal weights: unlike the usual ± two standard errors
it is honest when few or none of the known ones are wrong. The effective number is the smaller of that which the
weights alone give (Kish 1965) and that which the estimated variance gives. The two strata's intervals are added by
recovering the variance from each limit (Zou & Donner 2008).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

Z: Final = 1.959963984540054
"""The normal quantile of a two-sided interval of 95 %."""
MOST_UNKNOWN: Final = 0.05
"""When nothing is known of more than this share, there is no number. Of less, the worst and the best are allowed for."""
FEWEST: Final = 5
"""Answers that an estimate is made of at least; of one or two, Wilson's interval covers too rarely."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number and how it is known: ``exact``, ``estimated`` (95 % interval ``low`` to ``high``), or ``refused``."""

    kind: Literal["exact", "estimated", "refused"]
    value: float | None = None
    low: float | None = None
    high: float | None = None
    why: str = ""
    """Of a refused one: what is missing."""

    @classmethod
    def exactly(cls, value: float) -> Figure:
        """Return a number that the record determines."""
        return cls("exact", value, value, value)

    def mapped(self, scale: float, offset: float) -> Figure:
        """Return ``scale * self + offset``, kept within [0, 1]."""
        if self.value is None or self.low is None or self.high is None:
            return self
        value, *ends = (min(1.0, max(0.0, scale * x + offset)) for x in (self.value, self.low, self.high))
        return Figure(self.kind, value, min(ends), max(ends))

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        if self.kind == "refused":
            return {"kind": self.kind, "why": self.why}
        if self.kind == "exact":
            return {"kind": self.kind, "value": self.value}
        return {"kind": self.kind, "value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class Sample:
    """What a record says about which events are known.

    Parameters
    ----------
    propensity
        With which each event was asked about.
    asked
        Whether it was.
    """

    propensity: Floats
    asked: Bools


def weighted_share(truth: Floats, weight: Floats, sample: Sample) -> Figure:
    """Return the share ``sum(weight * truth) / sum(weight)`` over all events.

    An event that was asked about and has no answer (open, expired, disputed, abstained) is taken to be like the
    answered ones of its stratum. Events that could not be asked about, or of a stratum with next to no answers, can
    be anything: up to `MOST_UNKNOWN` of the weight the interval allows for the worst and the best of them.

    Parameters
    ----------
    truth
        0 or 1 for each event; NaN where it is not known.
    weight
        How much each event counts. Must not depend on the event's own draw.
    sample
        How the known ones came to be known.

    Examples
    --------
    >>> import numpy as np
    >>> sample = Sample(np.array([1.0] * 2 + [0.5] * 10), np.array([True] * 7 + [False] * 5))
    >>> truth = np.array([1.0, 0.0] + [1.0, 1.0, 0.0, 0.0, 0.0] + [np.nan] * 5)
    >>> found = weighted_share(truth, np.ones(12), sample)
    >>> found.kind, round(found.value, 3), round(found.low, 2), round(found.high, 2)
    ('estimated', 0.417, 0.22, 0.66)
    >>> weighted_share(truth, np.array([1.0] * 2 + [0.0] * 10), sample)
    Figure(kind='exact', value=0.5, low=0.5, high=0.5, why='')
    """
    total = float(weight.sum())
    if total <= 0.0:
        return Figure("refused", why="there is no such event")
    counts = weight > 0.0
    if not np.isnan(truth[counts]).any():
        return Figure.exactly(float(truth[counts] @ weight[counts]) / total)
    certain = sample.propensity >= 1.0
    value = below = above = 0.0
    known_share = 0.0
    for stratum in (certain, ~certain & (sample.propensity > 0.0)):
        members = stratum & counts
        share = float(weight[members].sum()) / total
        part = _stratum(truth[members], weight[members], sample.propensity[members], sample.asked[members])
        if part is not None:
            mean, low, high = part
            value += share * mean
            below += (share * (mean - low)) ** 2
            above += (share * (high - mean)) ** 2
            known_share += share
    unknown = max(0.0, 1.0 - known_share)
    if unknown > MOST_UNKNOWN:
        return Figure(
            "refused", why=f"of {unknown:.1%} of these events fewer than {FEWEST} answers are known"
        )
    low, high = max(0.0, value - sqrt(below)), min(1.0, value + sqrt(above) + unknown)
    return Figure("estimated", value / known_share, low, high)


def _stratum(
    truth: Floats, weight: Floats, propensity: Floats, asked: Bools
) -> tuple[float, float, float] | None:
    """Return the share among events of one kind, and its interval; None when too little is known of them."""
    known = asked & ~np.isnan(truth)
    if not known.any():
        return None
    expansion = weight / weight.max() / propensity
    answered = float(expansion[known].sum()) / float(expansion[asked].sum())
    one = expansion[known]
    left_out = 1.0 - propensity[known] * answered
    mean = float(one @ truth[known] / one.sum())
    spread = float((left_out * one**2).sum()) / float(one.sum()) ** 2
    variance = float((left_out * (one * (truth[known] - mean)) ** 2).sum()) / float(one.sum()) ** 2
    number = min(
        1.0 / spread if spread > 0.0 else inf, mean * (1.0 - mean) / variance if variance > 0.0 else inf
    )
    if known.sum() < FEWEST and number < inf:
        return None
    return (mean, *_wilson(mean, number))


def _wilson(share: float, number: float) -> tuple[float, float]:
    """Return Wilson's interval for a share observed in so many."""
    if number == inf:
        return share, share
    centre = (share + Z**2 / (2 * number)) / (1 + Z**2 / number)
    half = Z / (1 + Z**2 / number) * sqrt(share * (1 - share) / number + Z**2 / (4 * number**2))
    return max(0.0, centre - half), min(1.0, centre + half)
