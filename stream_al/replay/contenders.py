"""What is compared: query strategies by the names they have on the command line, and the two baselines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from stream_al.draws import Draws
from stream_al.errors import ConfigError
from stream_al.strategies import (
    Apart,
    Balanced,
    Budgeted,
    ColdStart,
    Entropy,
    Importance,
    LeastConfidence,
    Margin,
    QueryStrategy,
    Random,
    Selective,
    VariableUncertainty,
    while_late,
)
from stream_al.uncertainty import FROM_MODEL, UTILITIES

RANDOM: Final = "random"
ALL: Final = "all"
NONE: Final = "none"
BASELINES: Final = (RANDOM, ALL, NONE)
_FIXED: Final = re.compile(r"(margin|confidence|entropy)\s*([<>])\s*(\d*\.?\d+)")
_KINDS: Final = {"margin": ("<", Margin), "confidence": ("<", LeastConfidence), "entropy": (">", Entropy)}


def _by(utility: str) -> Callable[[float, float | None], QueryStrategy]:
    return lambda budget, explore: Budgeted(budget, utility, explore)


_WITHIN: Final[Mapping[str, tuple[str, Callable[[float, float | None], QueryStrategy]]]] = {
    **{name: (name.replace("-", " "), _by(name)) for name in (*UTILITIES, *FROM_MODEL)},
    "variable": (
        "variable uncertainty",
        lambda budget, explore: VariableUncertainty(budget, explore=explore),
    ),
    "selective": ("selective sampling", Selective),
    "importance": ("selective sampling, weighted", Importance),
    "apart": ("margin, no near-duplicates", lambda budget, explore: Apart(Budgeted(budget, explore=explore))),
    "balanced": ("margin, evenly across the classes", Balanced),
}
"""By name, what asks within a budget: how to say it, and what makes it of budget and exploration."""
_ALLOWED: Final = (
    f"{', '.join(_WITHIN)} (each within the budget), {RANDOM}, {ALL}, {NONE}, "
    "or a fixed threshold: 'margin<0.2', 'confidence<0.7', 'entropy>0.5'"
)


@dataclass(frozen=True, slots=True)
class Contender:
    """A query strategy that takes part in a comparison.

    ``name`` identifies it; ``title`` says how it asks, so that "asked by margin" can be read in a sentence.
    """

    name: str
    title: str
    strategy: QueryStrategy

    @property
    def baseline(self) -> bool:
        """Tell whether others are compared with it."""
        return self.name in BASELINES


def default_cold_start(events: int, budget: float) -> int:
    """Return how many events to ask first: 50, but no more than half of what may be asked at all."""
    return min(50, round(budget * events) // 2)


def most_while_late(cold_start: int, budget: float, events: int | None = None) -> int:
    """Return how many queries a cold start asks at most while its answers are late.

    As the pipeline's own (`while_late`), but no more than half of what may be asked at all of a stream of so many
    events, which would end before they are repaid.
    """
    most = while_late(cold_start, budget)
    return most if events is None else min(most, max(cold_start, round(budget * events) // 2))


def parse_strategy(
    text: str,
    *,
    budget: float = 0.1,
    explore: float | None = None,
    cold_start: int = 50,
    events: int | None = None,
) -> Contender:
    """Return the contender that a word such as ``margin`` or ``margin<0.2`` names; no baseline.

    Parameters
    ----------
    text
        The word.
    budget, explore
        As `Bucketed` has them.
    cold_start
        How many events are asked first.
    events
        The length of the stream, where it has one; see `most_while_late`.

    Raises
    ------
    ConfigError
        When it names none, or a number is out of its range.

    Examples
    --------
    >>> parse_strategy("entropy>0.5").title
    'asked where entropy > 0.5'
    """
    name = text.strip().lower()
    try:
        if name in _WITHIN:
            told, make = _WITHIN[name]
            asks = most_while_late(cold_start, budget, events)
            return Contender(
                name, f"asked by {told}", ColdStart(make(budget, explore), cold_start, asks=asks)
            )
        match = _FIXED.fullmatch(name)
        if match is None or match[2] != _KINDS[match[1]][0]:
            raise ConfigError(f"--strategy {text}: no such strategy; there are {_ALLOWED}")
        measure, sign, number = match.groups()
        fixed = _KINDS[measure][1](float(number), explore or 0.0)
        title = f"asked where {measure} {sign} {number}"
        return Contender(f"{measure}{sign}{number}", title, ColdStart(fixed, cold_start))
    except ValueError as error:
        raise ConfigError(f"--strategy {text}: {error}") from None


def all_labels() -> Contender:
    """Return the contender that asks about every event: what there is to reach."""
    return Contender(ALL, "all labels", Random(1.0))


def no_labels(cold_start: int) -> Contender:
    """Return the contender that asks about the first events and never again: what a model left alone is worth."""
    first = f"no labels after the first {cold_start:,}" if cold_start else "no labels at all"
    return Contender(NONE, first, ColdStart(Random(0.0), cold_start, "all", 0.0))


def has_budget(name: str) -> bool:
    """Tell whether how much a strategy asks is decided by a budget; not so of fixed thresholds, all and none."""
    return name in _WITHIN or name == RANDOM


def contender(
    text: str,
    ids: Sequence[str],
    *,
    budget: float = 0.1,
    explore: float | None = None,
    cold_start: int = 50,
    key: str = "stream_al",
) -> Contender:
    """Return the contender that a word names, baselines too; see `parse_strategy`."""
    name = text.strip().lower()
    if name == RANDOM:
        return matched_random(ids, budget=budget, cold_start=cold_start, key=key)
    if name == ALL:
        return all_labels()
    if name == NONE:
        return no_labels(cold_start)
    return parse_strategy(text, budget=budget, explore=explore, cold_start=cold_start, events=len(ids))


def matched_random(ids: Iterable[str], *, budget: float, cold_start: int, key: str) -> Contender:
    """Return the contender that asks at random, as much as the budget allows; see `matched_share`."""
    share = matched_share(ids, budget=budget, cold_start=cold_start, key=key)
    return Contender(RANDOM, "asked at random", ColdStart(Random(share), cold_start, "all", share))


def matched_share(ids: Iterable[str], *, budget: float, cold_start: int, key: str) -> float:
    """Return the share of events to ask after the cold start, so that the whole budget is spent and no more.

    A strategy with a budget repays its cold start by asking less afterwards. To be compared with it at an
    equal number of labels, random asks everything during the same cold start, and then a simple random sample
    of the rest, of the size that is left: the events with the lowest draws.

    Parameters
    ----------
    ids
        Of all events of the stream, in order.
    budget
        The share of events that may be asked.
    cold_start
        How many events are asked first.
    key
        The pipeline's key.
    """
    draw = Draws(key)
    values = [draw(event_id) for event_id in ids]
    left = max(0, round(budget * len(values)) - cold_start)
    rest = sorted(values[cold_start:])
    return rest[left] if left < len(rest) else 1.0
