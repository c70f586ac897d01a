"""Several strategies on one stream: the numbers, and what they say in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from stream_al.replay.contenders import ALL, RANDOM
from stream_al.replay.group import WITHIN, Group
from stream_al.replay.outcome import Outcome

_SAME = 1.1
"""Up to so many times the labels is an equal number: a budget is held over time, not to the last label."""


@dataclass(frozen=True)
class Comparison:
    """The outcomes of several strategies on the same events.

    Parameters
    ----------
    source
        The name of the stream.
    classes
        How many classes it has.
    groups
        Those compared first, then the baselines.
    configuration
        What was run, for people: name to value.
    notes
        What a reader must know to judge the numbers, in sentences.
    cost_per_label
        What a label costs, in whatever money; None where nobody said.
    drifts
        After how many events the stream changed, as far as a detector could tell.
    """

    source: str
    classes: int
    groups: Sequence[Group]
    configuration: Mapping[str, str]
    notes: Sequence[str] = ()
    cost_per_label: float | None = None
    drifts: Sequence[int] = ()

    @classmethod
    def of(
        cls,
        source: str,
        classes: int,
        outcomes: Sequence[Outcome],
        configuration: Mapping[str, str],
        notes: Sequence[str] = (),
    ) -> Comparison:
        """Return the comparison of single runs."""
        return cls(source, classes, [Group((outcome,)) for outcome in outcomes], configuration, notes)

    @property
    def events(self) -> int:
        """How many events the stream has."""
        return max(group.events for group in self.groups)

    @property
    def seeds(self) -> int:
        """How often each was run."""
        return max(len(group.runs) for group in self.groups)

    @property
    def models(self) -> list[str]:
        """The models' names, in order."""
        return list(dict.fromkeys(group.model for group in self.groups))

    @property
    def budgets(self) -> list[float]:
        """All budgets, ascending."""
        return sorted({group.budget for group in self.groups if group.budget is not None})

    @property
    def compared(self) -> list[Group]:
        """Those that are no baseline."""
        return [group for group in self.groups if not group.baseline]

    def all(self, model: str | None = None) -> Group | None:
        """Return what asking about every event gave on a model (the first, if none is named)."""
        wanted = self.models[0] if model is None else model
        return next((g for g in self.groups if g.name == ALL and g.model == wanted), None)

    def random(self, group: Group) -> Group | None:
        """Return what asking at random gave, on the same model with the same budget.

        A strategy without a budget is compared with the random sample that is nearest in labels.
        """
        found = [g for g in self.groups if g.name == RANDOM and g.model == group.model]
        if group.budget is not None:
            found = [g for g in found if g.budget == group.budget]
        return min(found, key=lambda g: abs(g.labels - group.labels), default=None)

    def gap(self, group: Group) -> float | None:
        """Return by how many percentage points a group is ahead of all labels; None if unknown."""
        everything = self.all(group.model)
        return None if everything is None else 100.0 * (group.accuracy - everything.accuracy)

    def labels_to_reach(self, group: Group) -> float | None:
        """Return after how many labels a group was within a point of all labels for good; None if it never was."""
        everything = self.all(group.model)
        return None if everything is None else group.labels_to_reach(everything)

    def saved(self, group: Group) -> tuple[float, float | None] | None:
        """Return the labels a group saved against asking about every event, and their price if one is known."""
        everything = self.all(group.model)
        if everything is None or group is everything:
            return None
        labels = everything.labels - group.labels
        return labels, None if self.cost_per_label is None else labels * self.cost_per_label

    def label(self, group: Group) -> str:
        """Return a short name for a group, that tells it from all others here."""
        parts = [group.short]
        if group.budget is not None and len(self.budgets) > 1:
            parts.append(f"{100 * group.budget:.3g}%")
        if len(self.models) > 1:
            parts.append(group.model)
        return " · ".join(parts)

    # ── in words ─────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def best(self) -> Group:
        """The one to look at: of those compared the most accurate; with several budgets, the least that suffices.

        One that spent more than random did is no match for it: it is left out while there is another.
        """
        close = [group for group in self._matching() if self._suffices(group)]
        if len(self.budgets) > 1 and close:
            return min(close, key=lambda group: (group.labels, -group.accuracy))
        return max(self._matching() or self.compared or self.groups, key=lambda group: group.accuracy)

    def _matching(self) -> list[Group]:
        found = []
        for group in self.compared:
            at_random = self.random(group)
            if at_random is None or group.labels <= _SAME * at_random.labels:
                found.append(group)
        return found

    def _suffices(self, group: Group) -> bool:
        gap = self.gap(group)
        return gap is not None and gap >= -100.0 * WITHIN - 1e-9

    def sentence(self) -> str:
        """Return the result in words: the best of those compared, beside the baselines."""
        best = self.best
        if len(self.budgets) > 1 and self._suffices(best) and not best.baseline:
            return self._sentence_of_budgets(best)
        text = f"{best.title[0].upper()}{best.title[1:]}{self._on(best)}"
        text += (
            f", {best.labels:,.0f} labels for {best.events:,} events gave {best.accuracy:.1%} right answers"
        )
        parts = []
        at_random, everything = self.random(best), self.all(best.model)
        if at_random is not None and best in self._matching():
            parts.append(_difference(best, at_random, f"asking for {at_random.labels:,.0f} at random"))
        if everything is not None and everything is not best:
            parts.append(_difference(best, everything, f"learning from all {everything.labels:,.0f} labels"))
        return f"{text}: {', and '.join(parts)}." if parts else f"{text}."

    def _sentence_of_budgets(self, best: Group) -> str:
        """Say which share of the labels sufficed, and which one random needed."""
        everything = self.all(best.model)
        assert everything is not None  # something was close to it
        share = best.labels / everything.labels
        text = (
            f"{best.title[0].upper()}{best.title[1:]}{self._on(best)}, {share:.0%} of the labels "
            f"({best.labels:,.0f} of {everything.labels:,.0f}) gave the accuracy of all of them, within a point "
            f"({best.accuracy:.1%} and {everything.accuracy:.1%})"
        )
        same = [g for g in self.groups if g.name == RANDOM and g.model == best.model]
        enough = [g for g in same if self._suffices(g)]
        if enough:
            least = min(enough, key=lambda g: g.labels)
            return f"{text}; at random it took {least.labels / everything.labels:.0%}."
        if same:
            most = max(same, key=lambda g: g.labels)
            return f"{text}; at random {most.labels / everything.labels:.0%} were not enough."
        return f"{text}."

    def _on(self, group: Group) -> str:
        return f" on {group.model}" if len(self.models) > 1 else ""

    # ── for machines ─────────────────────────────────────────────────────────────────────────────

    def to_json(self, points: int = 100) -> dict[str, Any]:
        """Return everything as JSON values, each learning curve with at most ``points`` places."""
        return {
            "source": self.source,
            "events": self.events,
            "classes": self.classes,
            "seeds": self.seeds,
            "configuration": dict(self.configuration),
            "notes": list(self.notes),
            "summary": self.sentence(),
            "drifts": list(self.drifts),
            "strategies": [self._group_json(group, points) for group in self.groups],
        }

    def _group_json(self, group: Group, points: int) -> dict[str, Any]:
        saved = self.saved(group)
        return {
            "name": group.name,
            "title": group.title,
            "model": group.model,
            "budget": group.budget,
            "labels": group.labels,
            "answered": group.answered,
            "share": group.share,
            "accuracy": group.accuracy,
            "gap_to_all_labels": self.gap(group),
            "labels_to_reach_all_within_a_point": self.labels_to_reach(group),
            "labels_saved": None if saved is None else saved[0],
            "money_saved": None if saved is None else saved[1],
            "accuracy_last_tenth": group.last_tenth,
            "measures": {name: estimate._asdict() for name, estimate in group.measures.items()},
            "by_class": [each._asdict() for each in group.by_class],
            "window": group.window,
            "curve": [
                {
                    "events": band.events,
                    "labels": band.labels,
                    "accuracy": band.accuracy._asdict(),
                    "recent": band.recent._asdict(),
                }
                for band in group.curve(points)
            ],
        }


def _difference(group: Group, other: Group, words: str) -> str:
    points = round(100.0 * (group.accuracy - other.accuracy), 1)
    if not points:
        return f"as many as {words}"
    return f"{abs(points):.1f} points {'more' if points > 0 else 'fewer'} than {words}"
