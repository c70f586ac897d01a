"""Several strategies on one stream: the numbers, and what they say in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stream_al.replay.contenders import ALL, RANDOM
from stream_al.replay.outcome import Outcome

_SAME = 1.1
"""Up to so many times the labels is an equal number: a budget is held over time, not to the last label."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The outcomes of several strategies on the same events.

    Parameters
    ----------
    source
        The name of the stream.
    classes
        How many classes it has.
    outcomes
        Those compared first, then the baselines.
    configuration
        What was run, for people: name to value.
    notes
        What a reader must know to judge the numbers, in sentences.
    """

    source: str
    classes: int
    outcomes: Sequence[Outcome]
    configuration: Mapping[str, str]
    notes: Sequence[str] = ()

    @property
    def events(self) -> int:
        """How many events the stream has."""
        return max(outcome.events for outcome in self.outcomes)

    @property
    def all(self) -> Outcome | None:
        """The outcome of asking about every event, if that took part."""
        return self._named(ALL)

    @property
    def random(self) -> Outcome | None:
        """The outcome of asking at random, if that took part."""
        return self._named(RANDOM)

    @property
    def compared(self) -> list[Outcome]:
        """The outcomes that are no baseline."""
        return [outcome for outcome in self.outcomes if outcome.name not in (ALL, RANDOM)]

    def _named(self, name: str) -> Outcome | None:
        return next((outcome for outcome in self.outcomes if outcome.name == name), None)

    def gap(self, outcome: Outcome) -> float | None:
        """Return by how many percentage points an outcome is ahead of all labels; None if unknown."""
        return None if self.all is None else 100.0 * (outcome.accuracy - self.all.accuracy)

    def sentence(self) -> str:
        """Return the result in words: the best of those compared, beside the baselines.

        One that spent more than random did is no match for it: it is left out while there is another, and is
        not said to beat random.
        """
        at_random, everything = self.random, self.all
        most = float("inf") if at_random is None else _SAME * at_random.labels
        matching = [outcome for outcome in self.compared if outcome.labels <= most]
        best = max(matching or self.compared or self.outcomes, key=lambda outcome: outcome.accuracy)
        text = f"{best.title[0].upper()}{best.title[1:]}"
        text += f", {best.labels:,} labels for {best.events:,} events gave {best.accuracy:.1%} right answers"
        parts = []
        if at_random is not None and best in matching:
            parts.append(_difference(best, at_random, f"asking for {at_random.labels:,} at random"))
        if everything is not None and everything is not best:
            parts.append(_difference(best, everything, f"learning from all {everything.labels:,} labels"))
        return f"{text}: {', and '.join(parts)}." if parts else f"{text}."

    def to_json(self, points: int = 100) -> dict[str, Any]:
        """Return everything as JSON values, each learning curve with at most ``points`` places."""
        return {
            "source": self.source,
            "events": self.events,
            "classes": self.classes,
            "configuration": dict(self.configuration),
            "notes": list(self.notes),
            "summary": self.sentence(),
            "strategies": [
                {
                    "name": outcome.name,
                    "title": outcome.title,
                    "labels": outcome.labels,
                    "answered": outcome.answered,
                    "share": outcome.share,
                    "accuracy": outcome.accuracy,
                    "gap_to_all_labels": self.gap(outcome),
                    "accuracy_last_tenth": outcome.last_tenth,
                    "window": outcome.window,
                    "curve": [point._asdict() for point in outcome.curve(points)],
                }
                for outcome in self.outcomes
            ],
        }


def _difference(outcome: Outcome, other: Outcome, words: str) -> str:
    points = round(100.0 * (outcome.accuracy - other.accuracy), 1)
    if not points:
        return f"as many as {words}"
    return f"{abs(points):.1f} points {'more' if points > 0 else 'fewer'} than {words}"
