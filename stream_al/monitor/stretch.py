"""A stretch of the stream: how many of its answers are wrong, from the few that were checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from stream_al.monitor.calibration import MOST
from stream_al.monitor.sequence import SumBound

ALPHA: Final = 0.05
"""Intervals are at level 95 %: 2.5 % a side."""
MOST_UNSEEN: Final = 0.05
"""With a larger share of events that had no chance of being asked about, no number is given."""


class Span(NamedTuple):
    """Events in a row that were not asked about: all that is kept of them."""

    events: int = 0
    expected: float = 0.0
    """The sum of their expected errors."""
    unseen: int = 0
    """Those with propensity 0."""
    unseen_expected: float = 0.0
    first: float = 1.0
    """The first propensity that is neither 0 nor 1, that of the event asked about next included; else 1."""
    least: float = 1.0
    """The smallest of them."""


class Estimate(NamedTuple):
    """How accurate the answers to a stretch of events are."""

    events: int
    accuracy: float | None
    """Doubly robust: expected errors, corrected by the labels with 1 / propensity. None when nothing honest can be said."""
    low: float
    high: float
    """At every moment of the stretch at once, the true share of right answers is between, with probability 95 %."""
    weighted: float | None
    """Self-normalised inverse propensity weighting (Hájek), for comparison."""
    labels: int
    effective: float
    """How many evenly drawn labels carry as much (Kish 1965): (sum of weights)² / sum of squared weights."""
    unanswered: int
    """Queries closed without an answer; the interval holds even if all of them hide errors, or none."""
    unseen: int
    """Events that had no chance of being asked about; likewise."""
    why_not: str | None
    """Why there is no number, and the remedy."""


class Stretch:
    """Counts over a stretch of events, in their order."""

    __slots__ = (
        "_doubt_high", "_doubt_low", "_missed", "_squares", "_weight", "_weighted_wrong", "events",
        "expected", "fewer", "labels", "more", "unanswered", "unseen", "unseen_expected", "wrong",
    )  # fmt: skip

    def __init__(self) -> None:
        self.events = 0
        self.expected = 0.0
        """Expected errors; of events that were asked with certainty the true ones."""
        self.unseen = 0
        self.unseen_expected = 0.0
        self.labels = 0
        self.wrong = 0
        self.unanswered = 0
        self._doubt_high = self._doubt_low = 0.0  # of queries asked with certainty that nobody answered
        self._missed = 0.0  # what the labels add to the expected errors, weighted
        self._weight = self._squares = self._weighted_wrong = 0.0
        self.more = SumBound(most=1.0)
        """On how many more errors there are than expected."""
        self.fewer = SumBound(most=MOST)
        """On how many fewer."""

    def pass_over(self, span: Span) -> None:
        """Take in events that were not asked about."""
        self.events += span.events
        self.expected += span.expected
        self.unseen += span.unseen
        self.unseen_expected += span.unseen_expected
        if span.first < 1.0:
            self.more.meet(span.first, span.least)
            self.fewer.meet(span.first, span.least)

    def count(self, expected: float, propensity: float, wrong: bool | None) -> None:
        """Take in an event that was asked about; ``wrong`` is None when nobody answered."""
        self.events += 1
        if wrong is None:
            self.unanswered += 1
            self.expected += expected
            if propensity == 1.0:
                self._doubt_high += 1.0 - expected
                self._doubt_low += expected
            else:  # the worst for either bound
                self.more.add(1.0 - expected, propensity)
                self.fewer.add(expected, propensity)
            return
        weight = 1.0 / propensity
        self.labels += 1
        self.wrong += wrong
        self._weight += weight
        self._squares += weight * weight
        self._weighted_wrong += weight * wrong
        if propensity == 1.0:
            self.expected += wrong
            return
        self.expected += expected
        residual = wrong - expected
        self._missed += residual * weight
        if residual:
            self.more.add(residual, propensity)
            self.fewer.add(-residual, propensity)

    # ── what is known ────────────────────────────────────────────────────────────────────────────

    def most_errors(self) -> float:
        """Return how many errors there are at most, at level 97.5 %."""
        bound = self.more.bound(ALPHA / 2.0) + self.unseen - self.unseen_expected + self._doubt_high
        return max(self.wrong, min(self.expected + bound, self.events - (self.labels - self.wrong)))

    def least_errors(self) -> float:
        """Return how many errors there are at least, at level 97.5 %."""
        bound = self.fewer.bound(ALPHA / 2.0) + self.unseen_expected + self._doubt_low
        return max(self.wrong, self.expected - bound)

    def surely_above(self, accuracy: float) -> bool:
        """Tell whether the accuracy is above this, at level 97.5 %; cheaper than `estimate`."""
        errors = (1.0 - accuracy) * self.events
        rest = errors - self.expected - (self.unseen - self.unseen_expected) - self._doubt_high
        return self.events > 0 and self.more.excludes(rest, ALPHA / 2.0)

    def surely_below(self, accuracy: float) -> bool:
        """Tell whether the accuracy is below this, at level 97.5 %."""
        errors = (1.0 - accuracy) * self.events
        return self.events > 0 and self.fewer.excludes(
            self.expected - errors - self.unseen_expected - self._doubt_low, ALPHA / 2.0
        )

    def estimate(self) -> Estimate:
        """Return what is known."""
        events, why_not = self.events, self.why_not()
        low, high, accuracy, weighted = 0.0, 1.0, None, None
        if events:
            low = max(0.0, 1.0 - self.most_errors() / events)
            high = min(1.0, 1.0 - self.least_errors() / events)
            accuracy = min(high, max(low, 1.0 - (self.expected + self._missed) / events))
        if self._weight:
            weighted = 1.0 - self._weighted_wrong / self._weight
        return Estimate(
            events,
            None if why_not else accuracy,
            low,
            high,
            None if why_not else weighted,
            self.labels,
            self._weight * self._weight / self._squares if self._squares else 0.0,
            self.unanswered,
            self.unseen,
            why_not,
        )

    def why_not(self) -> str | None:
        """Return why no honest number can be given, and the remedy; None when one can."""
        if not self.labels:
            return "no query of these events has been answered yet; answer some"
        if self.unseen > MOST_UNSEEN * self.events:
            return (
                f"{self.unseen:,} of {self.events:,} events ({self.unseen / self.events:.0%}) had no chance of being "
                "asked about, so their answers may be right or wrong and nobody would know; set [strategy] explore = "
                "0.01 (a share asked at random), or, where ids repeat or the queue is full, mend that"
            )
        return None

    # ── state ────────────────────────────────────────────────────────────────────────────────────

    def dump(self) -> list[Any]:
        """Return the state as JSON."""
        return [[getattr(self, name) for name in _NUMBERS], self.more.dump(), self.fewer.dump()]

    @classmethod
    def load(cls, state: Sequence[Any]) -> Stretch:
        """Return the stretch whose `dump` this is."""
        made = cls()
        for name, value in zip(_NUMBERS, state[0], strict=True):
            setattr(made, name, value)
        made.more, made.fewer = SumBound.load(1.0, state[1]), SumBound.load(MOST, state[2])
        return made

    def next(self) -> Stretch:
        """Return a stretch that begins where this one ends."""
        made = Stretch()
        made.more, made.fewer = self.more.next(), self.fewer.next()
        return made

    def joined(self, after: Stretch) -> Stretch:
        """Return this stretch and the one after it as one."""
        made = Stretch.load(self.dump())
        for name in _NUMBERS:
            setattr(made, name, getattr(self, name) + getattr(after, name))
        made.more.join(after.more)
        made.fewer.join(after.fewer)
        return made


_NUMBERS: Final = tuple(name for name in Stretch.__slots__ if name not in ("more", "fewer"))
