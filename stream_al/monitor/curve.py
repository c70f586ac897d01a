"""The learning curve: how accurate the answers were, piece of the stream by piece, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any, Final, NamedTuple

from stream_al.monitor.stretch import Span

PIECES: Final = 64
"""At most so many pieces; each is then half as fine."""
_FINEST: Final = 100
_SURE: Final = 1.96


class Point(NamedTuple):
    """How accurate the answers to one piece of the stream were."""

    events: int
    """Events answered at its end."""
    labels: int
    """Labels counted at its end."""
    accuracy: float | None
    """Doubly robust, as `Estimate.accuracy`; None without a label."""
    low: float
    high: float
    """About 95 %, each point for itself, by the normal approximation (Horvitz & Thompson 1952): for the eye. Nothing is
    assumed of what nobody answered or could be asked. What holds at all times is the `Estimate`."""


class Curve:
    """Keeps sums of pieces of the stream, which are joined in pairs when they become many.

    Examples
    --------
    >>> curve = Curve()
    >>> for number in range(1000):
    ...     curve.count(Span(), 0.1, 1.0, number % 10 == 0)
    >>> [(point.events, round(point.accuracy, 3)) for point in curve.points()][:2]
    [(100, 0.9), (200, 0.9)]
    """

    def __init__(self) -> None:
        self._every = _FINEST
        self._pieces: list[list[float]] = [[0.0] * 6]

    def count(self, span: Span, expected: float, propensity: float, wrong: bool | None) -> None:
        """Take in events that were not asked about, and the one after them that was (`Stretch.count`)."""
        piece = self._pieces[-1]
        piece[0] += span.events + 1
        piece[1] += span.unseen
        piece[2] += span.expected + expected
        if wrong is not None:
            missed = (wrong - expected) / propensity
            piece[3] += 1
            piece[4] += missed
            piece[5] += missed * missed * (1.0 - propensity)
        else:  # stands for all like it, none of which is known
            piece[1] += 1.0 / propensity
        if piece[0] >= self._every:
            if len(self._pieces) == PIECES:
                self._every *= 2
                self._pieces = [
                    [one + other for one, other in zip(*pair, strict=True)]
                    for pair in zip(self._pieces[::2], self._pieces[1::2], strict=True)
                ]
            self._pieces.append([0.0] * 6)

    def points(self) -> list[Point]:
        """Return the curve; the last piece may be a short one and is left out."""
        found, events, labels = [], 0, 0
        for size, unknown, expected, asked, missed, squares in self._pieces[:-1]:
            events, labels = events + int(size), labels + int(asked)
            accuracy = 1.0 - (expected + missed) / size
            half, doubt = _SURE * sqrt(squares) / size, unknown / size
            found.append(
                Point(
                    events,
                    labels,
                    min(1.0, max(0.0, accuracy)) if asked else None,
                    min(1.0, max(0.0, accuracy - half - doubt)) if asked else 0.0,
                    max(0.0, min(1.0, accuracy + half + doubt)) if asked else 1.0,
                )
            )
        return found

    def dump(self) -> list[Any]:
        """Return the state as JSON."""
        return [self._every, self._pieces]

    @classmethod
    def load(cls, state: Sequence[Any]) -> Curve:
        """Return the curve whose `dump` this is."""
        made = cls()
        made._every, made._pieces = state[0], [list(piece) for piece in state[1]]
        return made
