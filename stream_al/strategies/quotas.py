"""Quotas: how much of a budget one key, one predicted class or one value of a feature may use."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from math import ceil
from typing import Final

from stream_al.strategies.base import require_share
from stream_al.uncertainty import Scores

KEPT: Final = 32
"""How many values are counted one by one, of all quotas of a strategy together: 700 bytes of its state."""
_BITS: Final = 24
FEATURE: Final = "features."
_FINE: Final = 1000
"""Levels are kept to a thousandth of a label, rounded up: a few digits in the state, and never too little."""


@dataclass(frozen=True, slots=True)
class Quota:
    """At most the ``share`` of the budget for one value of ``by``.

    Parameters
    ----------
    by
        ``"key"`` (the event's key), ``"predicted"`` (the model's answer) or ``"features.NAME"``, where a feature
        names the source, say. Events without one share the quota of "none".
    share
        Of the budget.
    """

    by: str
    share: float

    def __post_init__(self) -> None:
        require_share("share", self.share)
        named = self.by.startswith(FEATURE) and self.by != FEATURE
        if self.by not in ("key", "predicted") and not named:
            raise ValueError(f"by = {self.by!r}: must be one of key, predicted, features.NAME")

    def burst(self, burst: int) -> int:
        """Return how many labels one value may save up, of a budget that saves ``burst``."""
        return max(1, ceil(self.share * burst))


def value_of(by: str, scores: Scores) -> object:
    """Return the value of ``by`` (see `Quota`) for the event that these scores are about; None where it has none."""
    if by == "predicted":
        return scores.label
    if scores.about is None:
        return None
    event = scores.about.event
    return event.key if by == "key" else event.features.get(by[len(FEATURE) :])


def code_of(value: object) -> int:
    """Return 24 bits of a value's hash, not 0; two values with the same share a quota.

    Examples
    --------
    >>> code_of("1") == code_of(1), code_of(None) == code_of(None)
    (False, True)
    """
    text = f"{type(value).__name__}:{value}".encode("utf-8", "backslashreplace")
    return int.from_bytes(blake2b(text, digest_size=_BITS // 8).digest()) or 1


def level_of(table: tuple[float, ...], code: int) -> float:
    """Return how many labels a value has used, or more, on the scale of what it has earned.

    Parameters
    ----------
    table
        ``(code, level, code, level, …)``; a code of 0 is a free place.
    code
        The value's `code_of`.
    """
    least = float("inf")
    for at in range(0, len(table), 2):
        if table[at] == code:
            return table[at + 1]
        least = min(least, table[at + 1])
    return least if 0 not in table[::2] else 0.0


def taken(table: tuple[float, ...], code: int, level: float, earned: float) -> tuple[float, ...]:
    """Return the table after a label for a value that then has this level.

    A full table gives the newcomer the place of whoever has the least, and `level_of` has counted that as its
    own: Space-Saving (Metwally, Agrawal & El Abbadi 2005). So a value may be thought to have used more than it
    has, never less.
    """
    places = list(table)
    codes = places[::2]
    # Who has earned back all that was used is as good as new, and needs no place.
    free = [at for at, held in enumerate(codes) if not held or places[2 * at + 1] <= earned]
    if code in codes:
        at = codes.index(code)
    elif free:
        at = free[0]
    else:
        at = min(range(len(codes)), key=lambda place: places[2 * place + 1])
    places[2 * at : 2 * at + 2] = [code, ceil(level * _FINE) / _FINE]
    return tuple(places)
