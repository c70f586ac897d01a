"""Several ways of doing work, taking turns, so that whatever disturbs the machine disturbs all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median, quantiles

CALIBRATION = "calibration"
"""In a round: the CPU time of a fixed loop, the longest of those between its turns."""


def calibrate() -> float:
    """Return the CPU time of a fixed loop, in µs, which tells of a disturbed processor."""
    before = time.thread_time()
    total = 0.0
    for number in range(20_000):
        total += number * 0.5
    return (time.thread_time() - before) * 1e6


def take_turns(
    ways: Mapping[str, Callable[[int], object]],
    rounds: int,
    *,
    clock: Callable[[], float] = time.thread_time,
) -> list[dict[str, float]]:
    """Return the µs that each way took, round by round.

    Parameters
    ----------
    ways
        By name; each is told the number of the round. The first round only warms them up, and is left out.
    rounds
        How many rounds to measure.
    clock
        What measures; by default the CPU time of this thread.
    """
    found: list[dict[str, float]] = []
    for number in range(rounds + 1):
        turn = {CALIBRATION: calibrate()}
        for name, way in ways.items():
            before = clock()
            way(number)
            turn[name] = (clock() - before) * 1e6
            turn[CALIBRATION] = max(turn[CALIBRATION], calibrate())
        found.append(turn)
    return found[1:]


def undisturbed(rounds: list[dict[str, float]]) -> list[dict[str, float]]:
    """Return the rounds in which the fixed loop took at most a tenth longer than it usually does."""
    usual = median(found[CALIBRATION] for found in rounds)
    return [found for found in rounds if found[CALIBRATION] <= 1.1 * usual]


def ratio(rounds: list[dict[str, float]], name: str, beside: str) -> str:
    """Return how many times as long one way took as another in the same round: the median (the quartiles)."""
    low, middle, high = quantiles((found[name] / found[beside] for found in rounds), n=4)
    return f"{middle:.2f}× ({low:.2f}-{high:.2f})"
