"""Events before and after, as the page shows them: pictures where the features are pixels, else numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stream_al.robustness.pictures import Grid
from stream_al.robustness.probe import FGSM, Attack, Findings
from stream_al.robustness.report.png import differences, shades
from stream_al.robustness.space import Space
from stream_al.robustness.victim import Change, Fooled

PAIRS = 6
"""Shown of each attack."""
_CHANGES = 5
"""Features shown of an event."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One event that was changed."""

    event_id: str
    before: str
    sure_before: str
    after: str
    sure_after: str
    size: str
    changes: tuple[tuple[str, str, str], ...]
    """Name, before and after of the features that did most."""
    others: int
    """How many more were changed."""
    pictures: tuple[str, str, str] | None = None
    """Before, after, and the difference."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The pairs of one attack, and what is said of them."""

    title: str
    lead: str
    pairs: tuple[Pair, ...]


def shown(findings: Findings, grid: Grid | None) -> list[Shown]:
    """Return what is shown of each attack that fooled the model."""
    found = []
    for attack in findings.attacks:
        if not attack.fooled:
            continue
        pairs = tuple(_pair(one, findings.space, grid) for one in _chosen(attack))
        found.append(Shown(_title(attack, grid), _lead(attack, grid), pairs))
    return found


def _title(attack: Attack, grid: Grid | None) -> str:
    if attack.name == FGSM:
        return "Alike to the eye, not to the model" if grid else "Every feature a little"
    number = attack.name.partition(" ")[0]
    if grid is None:
        return attack.name.replace("1 ", "One ") if number == "1" else attack.name.capitalize()
    return "One pixel" if number == "1" else f"{number} pixels"


def _lead(attack: Attack, grid: Grid | None) -> str:
    what = "pixel" if grid else "feature"
    if attack.name == FGSM:
        how = f"Every {what} moved by the same share of its spread, as little as makes the model answer something else."
    else:
        some = f"One {what}" if attack.name.startswith("1 ") else f"{attack.name.partition(' ')[0]} {what}s"
        how = f"{some} moved, within the range of the data; the others are as they were."
    return f"{how} Of the least changes found, those of events that the model was surest of."


def _chosen(attack: Attack) -> list[Fooled]:
    """Return, of the least quarter of the changes, those of the surest answers; of another class each, if there are."""
    few = max(PAIRS, len(attack.fooled) // 4)
    least = sorted(attack.fooled, key=lambda found: found.size)[:few]
    least.sort(key=lambda found: -found.before.confidence)
    first = {str(found.before.label): found for found in reversed(least)}
    others = [found for found in least if found is not first[str(found.before.label)]]
    return [*sorted(first.values(), key=least.index), *others][:PAIRS]


def _pair(found: Fooled, space: Space, grid: Grid | None) -> Pair:
    most = sorted(found.changes, key=lambda change: (-change.effect, change.name))
    pictures = None if grid is None else _pictures(found, space, grid)
    return Pair(
        found.event_id,
        str(found.before.label),
        _sure(found.before.confidence),
        str(found.after.label),
        _sure(found.after.confidence),
        f"{found.size:.2g}",
        tuple((change.name, *_apart(change)) for change in most[:_CHANGES]),
        max(0, len(most) - _CHANGES),
        pictures,
    )


def _sure(confidence: float) -> str:
    """Write a confidence, of which 100 % is certainty only."""
    return "over 99.9%" if 0.9995 <= confidence < 1.0 else f"{100.0 * confidence:.3g}%"


def _apart(change: Change) -> tuple[str, str]:
    """Write both values with as many digits as it takes to tell them apart."""
    for digits in range(4, 18):
        before, after = f"{change.before:.{digits}g}", f"{change.after:.{digits}g}"
        if before != after:
            break
    return before, after


def _pictures(found: Fooled, space: Space, grid: Grid) -> tuple[str, str, str]:
    before = grid.values(found.features)
    after = grid.values(dict(found.features) | {change.name: change.after for change in found.changes})
    low, high = float(np.min(space.low)), float(np.max(space.high))
    moved = after - before
    return (
        shades(before, low, high),
        shades(after, low, high),
        differences(moved, float(np.max(np.abs(moved)))),
    )
