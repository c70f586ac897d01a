"""A bound on a running sum of which only a random sample is seen; it holds at all times at once.

Every event has a residual rho, for example "wrong or not" minus "how probably wrong, as told beforehand". It is seen only if
the event is asked about and answered: with probability pi, which is known. For any number lam with
``1 - exp(-lam * rho) < pi`` the product over the events of

    exp(lam * rho) * (1 + A * (exp(-lam * rho) - 1) / pi)        (A is 1 when it was seen, else 0)

has expectation 1 whatever rho is: the second factor is the inverse-propensity estimate of ``exp(-lam * rho)``. So
the product is a nonnegative martingale over the draws alone, and so is a mixture of such products. By Ville's inequality
a mixture ever exceeds 1/alpha with probability at most alpha. As only the *sum* of the residuals in it is unknown, that
is a bound on the sum, valid at every event at once, without any assumption about the stream, the model or their drift.

Sources: Ville (1939); Robbins (1970, Ann. Math. Stat. 41) for mixtures; Howard, Ramdas, McAuliffe & Sekhon (2020,
Probability Surveys 17; 2021, Ann. Stat. 49) for time-uniform Chernoff bounds and confidence sequences; Waudby-Smith &
Ramdas (2020, arXiv:2006.04347) and Ham, Lindon, Tingley & Bojinov ("Design-based confidence sequences", 2022) for finite
populations, where the draws are all that is random; Waudby-Smith, Wu, Ramdas, Karampatziakis & Mineiro (2022,
arXiv:2210.10768) for doubly robust sequences of a time-varying mean under adaptive propensities. Their empirical-Bernstein
process must learn the variance of the weighted outcomes; here the propensity is known and the exact moment generating
function takes its place, which `benchmarks/honest_accuracy.py` shows to be narrower.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, expm1, inf, log, log1p
from typing import Any, Final

_RATES: Final = 12
"""How many values of lam are mixed. With the ratio below they serve from a handful of labels to billions of events."""
_RATIO: Final = 1.7
_HIGHEST: Final = 0.95
"""Of the largest lam there may be, where 1 - exp(-lam) is the propensity."""
_SHARES: Final = [1.0 / (j + 2.0) for j in range(_RATES)]
PRIOR: Final = [log(share / sum(_SHARES)) for share in _SHARES]
"""The mixture's weights, as logarithms. Large lam, best while few labels were seen, weigh a little more."""
_HALVINGS: Final = 60


def rates(first: float, most: float) -> list[float]:
    """Return the values of lam that are mixed, largest first, when this is the first propensity below 1."""
    return [-log1p(-_HIGHEST * _RATIO**-j * first) / most for j in range(_RATES)]


class SumBound:
    """An upper bound on the sum of residuals, from those that were seen.

    Parameters
    ----------
    most
        No residual of an event that may go unseen is larger than this.

    Examples
    --------
    Ten thousand events are each asked about with probability 0.1; of the thousand asked, 50 are wrong:

    >>> wrong = SumBound(most=1.0)
    >>> wrong.meet(0.1, 0.1)
    >>> wrong.add(1.0, 0.1, times=50)
    >>> 500 < wrong.bound(0.025) < 900
    True
    """

    __slots__ = ("_costs", "_first", "_gone", "_rates", "most")

    def __init__(self, most: float) -> None:
        self.most = most
        self._first = 0.0
        """The first propensity below 1, which sets the rates; 0 before."""
        self._gone = 0
        """So many of the largest rates have met a propensity too small for them, and are out."""
        self._rates: list[float] = []
        self._costs = [0.0] * _RATES

    def meet(self, first: float, least: float) -> None:
        """Hear of events to come or unseen, before any of them is added.

        Parameters
        ----------
        first
            The propensity of the first of them that has one below 1.
        least
            The smallest propensity among them.
        """
        if not self._first:
            self._set_rates(first)
        while self._gone < _RATES and -expm1(-self._rates[self._gone] * self.most) >= least:
            self._gone += 1

    def _set_rates(self, first: float) -> None:
        self._first = first
        self._rates = rates(first, self.most)

    def next(self, slack: float = 0.0) -> SumBound:
        """Return a bound for what comes after the events met so far, with the same rates.

        With ``slack``, for propensities that are known up to that share of themselves.
        """
        made = SumBound(self.most)
        if self._first:
            made._set_rates(self._first * (1.0 - slack))
            made._gone = self._gone
        return made

    def join(self, after: SumBound) -> None:
        """Take in the events of the bound for what came after, which `next` returned."""
        if after._first:
            if not self._first:
                self._set_rates(after._first)
            self._gone = max(self._gone, after._gone)
            self._costs = [one + other for one, other in zip(self._costs, after._costs, strict=True)]

    def add(self, residual: float, propensity: float, times: int = 1) -> None:
        """Take note of a residual that was seen."""
        costs, gone = self._costs, self._gone
        costs[gone:] = [
            cost - times * log1p(expm1(-rate * residual) / propensity)
            for cost, rate in zip(costs[gone:], self._rates[gone:], strict=True)
        ]

    def excludes(self, total: float, alpha: float) -> bool:
        """Tell whether the sum is below ``total``, at level 1 - alpha."""
        return self.evidence(total) >= -log(alpha) if self._first else total > 0.0

    def bound(self, alpha: float) -> float:
        """Return what the sum is below, at level 1 - alpha; infinite when propensities allow no statement."""
        if not self._first:
            return 0.0  # no event was left to chance
        if self._gone == _RATES:
            return inf
        high = min(
            (self._costs[j] - PRIOR[j] - log(alpha)) / self._rates[j] for j in range(self._gone, _RATES)
        )
        step = max(1.0, abs(high))
        low = high - step
        while self.evidence(low) > -log(alpha):
            step *= 2.0
            low -= step
        for _ in range(_HALVINGS):
            middle = (low + high) / 2.0
            if self.evidence(middle) > -log(alpha):
                high = middle
            else:
                low = middle
        return high

    def evidence(self, total: float) -> float:
        """Return the logarithm of the mixture, if this were the sum: it exceeds log(1/alpha) with probability alpha."""
        exponents = [PRIOR[j] + self._rates[j] * total - self._costs[j] for j in range(self._gone, _RATES)]
        if not exponents:
            return -inf
        largest = max(exponents)
        return largest + log(sum(exp(x - largest) for x in exponents))

    def dump(self) -> list[Any]:
        """Return the state as JSON."""
        return [self._first, self._gone, *(self._costs if self._first else ())]

    @classmethod
    def load(cls, most: float, state: Sequence[Any]) -> SumBound:
        """Return the bound whose `dump` this is."""
        made = cls(most)
        if state[0]:
            made._set_rates(state[0])
            made._gone, made._costs = state[1], list(state[2:])
        return made
