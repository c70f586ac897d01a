"""How far annotators agree, with each other and with the model: each of them, and on each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from stream_al.records import ClassLabel, class_text
from stream_al.reliability import Standing


class Read(NamedTuple):
    """A label that was read, and what is known about it."""

    event_id: str
    outcome: str
    waited: float | None
    """From asking to reading it."""
    annotator: str
    label: ClassLabel | None
    predicted: ClassLabel | None
    """The model's own answer."""
    seconds: float | None
    """How long the card was looked at, where that is known."""

    @property
    def counts(self) -> bool:
        """Whether it is somebody's standing answer: not taken back, and not said twice."""
        return self.label is not None and self.outcome not in ("replaced", "duplicate")


def people_of(read: Sequence[Read], standings: Mapping[str, Standing]) -> list[dict[str, Any]]:
    """Return, for each annotator, how much they answered, how fast, how often others and the model agreed, how trusted.

    Parameters
    ----------
    read
        The labels, the newest first.
    standings
        How far each is trusted, where that is known.

    Returns
    -------
    list of dict
        By name. ``classes`` has the same for each class that they gave.
    """
    answers: dict[str, dict[str, ClassLabel | None]] = {}
    for one in read:
        if one.counts:
            answers.setdefault(one.event_id, {}).setdefault(one.annotator, one.label)
    by_name: dict[str, list[Read]] = {}
    for one in read:
        by_name.setdefault(one.annotator, []).append(one)
    people = []
    for name, mine in sorted(by_name.items()):
        given = [one for one in mine if one.counts]
        classes: dict[str, list[Read]] = {}
        for one in given:
            assert one.label is not None
            classes.setdefault(class_text(one.label), []).append(one)
        standing = standings.get(name)
        seconds = [one.seconds for one in mine if one.seconds is not None]
        people.append(
            {
                "name": name,
                "abstained": sum(one.label is None for one in mine),
                **_agreement(given, answers),
                "classes": [
                    {"label": label, **_agreement(some, answers)} for label, some in sorted(classes.items())
                ],
                "seconds": median(seconds) if seconds else None,
                "reliability": None if standing is None else standing.reliability,
                "distrusted": standing is not None and standing.distrusted,
            }
        )
    return people


def _agreement(
    given: Sequence[Read], answers: Mapping[str, Mapping[str, ClassLabel | None]]
) -> dict[str, Any]:
    """Return how many labels somebody gave, and the share of others' labels of the same events that are the same."""
    pairs = [
        _same(one.label, label)
        for one in given
        for name, label in answers[one.event_id].items()
        if name != one.annotator
    ]
    model = [_same(one.label, one.predicted) for one in given if one.predicted is not None]
    return {
        "answers": len(given),
        "pairs": len(pairs),
        "with_others": sum(pairs) / len(pairs) if pairs else None,
        "with_model": sum(model) / len(model) if model else None,
    }


def _same(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other
