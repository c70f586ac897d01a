"""Examples of what was asked, and why. All of it is text from records: to be escaped, and kept short."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from stream_al.reasons import reason_text
from stream_al.records import class_text
from stream_al.replay.group import Group
from stream_al.replay.outcome import Asked
from stream_al.replay.report.numbers import count, share

_LONGEST: Final = 60
"""Characters of a name or a value."""
_CLASSES: Final = 3
_LEAST: Final = 0.005
"""Probability of a class that is still named."""
_FIRST: Final = 4
_FEATURES: Final = 40
"""Features that can be seen at all; an event may have thousands."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question, in words."""

    number: str
    event_id: str
    why: str
    thought: tuple[tuple[str, str], ...]
    """The most probable classes."""
    others: int
    """How many classes more."""
    truth: str
    right: str
    """Whether the model would have said so."""
    first: tuple[tuple[str, str], ...]
    rest: tuple[tuple[str, str], ...]
    hidden: int
    """How many features more."""


def questions(group: Group) -> list[Question]:
    """Return the questions that a group's first run kept as examples, in the order of the stream."""
    return [_question(asked) for asked in group.runs[0].questions]


def clipped(text: str) -> str:
    r"""Return a text on one line, cut where it is too long.

    Examples
    --------
    >>> clipped("two\nlines"), len(clipped("x" * 100))
    ('two lines', 60)
    """
    line = " ".join(
        text.encode("utf-8", "replace").decode().split()
    )  # a path may hold bytes that are no text
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _question(asked: Asked) -> Question:
    why = reason_text(asked.reason, asked.utility, asked.threshold)
    ranked = sorted(asked.probabilities.items(), key=lambda item: -item[1])
    likely = [item for place, item in enumerate(ranked) if not place or item[1] >= _LEAST][:_CLASSES]
    pairs = _pairs(asked.features)
    return Question(
        count(asked.number),
        clipped(asked.event_id),
        clipped_sentence(why),
        tuple((clipped(name), _likely(value)) for name, value in likely),
        len(ranked) - len(likely),
        "unknown" if asked.truth is None else clipped(class_text(asked.truth)),
        _right(asked, ranked[0][0] if ranked else None),
        tuple(pairs[:_FIRST]),
        tuple(pairs[_FIRST:_FEATURES]),
        max(0, len(asked.features) - _FEATURES),
    )


def clipped_sentence(text: str) -> str:
    """Return a reason as a sentence's beginning; one that a plug-in gave may be anything."""
    line = " ".join(text.split())[:200]
    return line[:1].upper() + line[1:]


def _right(asked: Asked, said: str | None) -> str:
    if asked.truth is None:
        return ""
    if said is None:
        return "the model had no answer"
    return "the model was right" if said == class_text(asked.truth) else "the model was wrong"


def _likely(probability: float) -> str:
    """Return a probability in percent, never rounded to a certainty it is not."""
    return "over 99%" if 0.995 <= probability < 1.0 else share(probability, 0)


def _pairs(features: Mapping[str, Any]) -> list[tuple[str, str]]:
    shown = list(features.items())[:_FEATURES]
    return [(clipped(str(name)), clipped(_value(value))) for name, value in shown]


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return class_text(value) if isinstance(value, bool) else str(value)
