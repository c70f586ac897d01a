"""What a report says in words, beside the comparison's own sentence: key figures, and how far to trust them."""

from __future__ import annotations

from typing import NamedTuple

from stream_al.replay.comparison import Comparison
from stream_al.replay.group import Estimate, Group
from stream_al.replay.report.numbers import budget, count, estimate, price, share, signed


class Figure(NamedTuple):
    """A number that stands out, with what it is, and what it must be seen beside."""

    name: str
    value: str
    beside: str


def key_figures(comparison: Comparison) -> list[Figure]:
    """Return the numbers of the group that the summary is about."""
    best = comparison.best
    found = [
        Figure("Labels asked for", count(best.labels), f"{share(best.share)} of {count(best.events)} events"),
        Figure("Right answers", estimate(best.measures["accuracy"], percent=True), _with_budget(best)),
    ]
    everything = comparison.all(best.model)
    gap = comparison.gap(best)
    if everything is not None and gap is not None and everything is not best:
        beside = f"{share(everything.accuracy)} with {count(everything.labels)} labels"
        found.append(Figure("Against all labels", _points(gap), beside))
    at_random = comparison.random(best)
    if at_random is not None and at_random is not best:
        difference = 100.0 * (best.accuracy - at_random.accuracy)
        beside = f"{share(at_random.accuracy)} with {count(at_random.labels)} labels"
        found.append(Figure("Against random", _points(difference), beside))
    if (saved := comparison.saved(best)) is not None and saved[0] > 0:
        labels, money = saved
        if money is None:
            found.append(Figure("Labels saved", count(labels), "against asking about every event"))
        else:
            beside = f"{count(labels)} labels fewer than all, {price(comparison.cost_per_label or 0.0)} each"
            found.append(Figure("Money saved", f"{money:,.2f}", beside))
    return found


def qualifiers(comparison: Comparison) -> list[str]:
    """Return how far the numbers can be trusted, in sentences."""
    best, many = comparison.best, len(comparison.compared)
    name = comparison.label(best)
    if comparison.seeds < 2:
        found = ["One run of each; differences of a point may be chance. More seeds would give intervals."]
    else:
        found = [
            f"Means of {comparison.seeds} runs, which differ in the events explored at random and in how people "
            "answered; ± and the bands are 95% intervals of the mean. Stream and model were the same in all runs: "
            "what another stream would give, the intervals do not say."
        ]
    at_random = comparison.random(best)
    difference = None if at_random is None else ahead(best, at_random)
    if difference is not None and difference.low is not None:
        found.append(_judged(name, difference))
    if many > 1:
        found.append(
            f"Of {many} that were compared, {name} was chosen by these very numbers, which flatters it."
        )
    return found


def ahead(group: Group, other: Group) -> Estimate | None:
    """Return by how many points a group is ahead of another, run by run; None when they were not run as often.

    Runs of one seed share their draws and answers, so their difference is less a matter of chance than each.
    """
    if len(group.runs) != len(other.runs) or group is other:
        return None
    pairs = zip(group.runs, other.runs, strict=True)
    return Estimate.of([100.0 * (one.accuracy - another.accuracy) for one, another in pairs])


def _judged(name: str, difference: Estimate) -> str:
    assert difference.low is not None
    assert difference.high is not None
    interval = f"(95% interval {signed(difference.low)} to {signed(difference.high)} points)"
    if difference.low <= 0.0 <= difference.high:
        return f"The difference between {name} and random may be chance {interval}."
    what = f"lead of {name} over" if difference.low > 0.0 else f"lag of {name} behind"
    return f"The {what} random, {abs(difference.mean):.1f} points, is more than chance {interval}."


def _with_budget(group: Group) -> str:
    return group.short if group.budget is None else f"{group.short}, budget {budget(group.budget)}"


def _points(value: float) -> str:
    return f"{signed(value)} points"
