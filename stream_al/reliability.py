"""What a label desk knows of its annotators, and what it makes of their votes: `Trust`, kept up as queries are closed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from stream_al.records import ClassLabel
from stream_al.trust import Trust

DISTRUSTED_BELOW: Final = 0.5
"""Who is right less often than this, as certain as 97.5 %, is named."""

MOST_PEOPLE: Final = 1000
"""Of more, whoever was compared least is a stranger again: names come from outside, and memory is bounded."""
_NOT_NAMED: Final = ["", " "]
"""No JSON."""


class Standing(NamedTuple):
    """How far one annotator is trusted."""

    name: str
    reliability: float
    """With which probability their answers are right, as far as is known; a stranger's is 0.8."""
    compared: float
    """How many of their answers were compared with others', or with a known answer."""
    distrusted: bool


class Reliability:
    """Weighs annotators by whom they agree with, query by query; a function of its calls.

    Classes are held as JSON, in which ``1``, ``true`` and ``"1"`` differ. Small: two numbers an annotator.

    Examples
    --------
    >>> known = Reliability()
    >>> for _ in range(20):
    ...     known.compare({"ann": "a", "bob": "a", "eve": "b"})
    >>> known.agreed({"ann": "a", "eve": "b"}, 0.9), [one.name for one in known.standings() if one.distrusted]
    ('a', ['eve'])
    """

    def __init__(self) -> None:
        self._trust = Trust(_padded([]))

    def agreed(self, votes: Mapping[str, ClassLabel], sure: float) -> ClassLabel | None:
        """Return the class, of those voted for, that the votes make more probable than ``sure``; None without one.

        A class that nobody voted for is never agreed on, however little those who voted for others are trusted.
        """
        written = _written(votes)
        chances = self._knowing(written).probabilities(written)
        best = max(sorted(set(written.values())), key=lambda text: chances[text])
        if not chances[best] > sure:
            return None
        return next(votes[name] for name, text in written.items() if text == best)

    def compare(self, votes: Mapping[str, ClassLabel], truth: ClassLabel | None = None) -> None:
        """Learn from the votes for a query that is closed: with each other, or with the answer that was known before."""
        if truth is None and len(votes) < 2:
            return  # there is nothing to compare it with
        written = _written(votes)
        known = None if truth is None else json.dumps(truth)
        trust = self._knowing(written, known).after(written, known)
        if len(trust.counts) > MOST_PEOPLE:
            known_best = sorted(trust.counts.items(), key=lambda pair: (-sum(pair[1]), pair[0]))
            trust = Trust(trust.classes, dict(known_best[:MOST_PEOPLE]))
        self._trust = trust

    def _knowing(self, written: Mapping[str, str], truth: str | None = None) -> Trust:
        """Return the trust with these classes among those there are."""
        trust = self._trust
        seen = {*self._classes, *written.values()} | ({truth} if truth else set())
        return trust if seen <= {*self._classes} else Trust(_padded(sorted(seen)), trust.counts)

    @property
    def _classes(self) -> list[str]:
        return [str(text) for text in self._trust.classes if text not in _NOT_NAMED]

    def standings(self) -> list[Standing]:
        """Return how far each is trusted, by name."""
        distrusted = set(self._trust.distrusted(DISTRUSTED_BELOW))
        return [
            Standing(name, self._trust.reliability(name), right + wrong, name in distrusted)
            for name, (right, wrong) in sorted(self._trust.counts.items())
        ]

    # ── state ────────────────────────────────────────────────────────────────────────────────────

    def dump(self) -> dict[str, Any] | None:
        """Return the state as JSON-able values; None while nothing is known."""
        if not self._trust.counts:
            return None
        return {
            "classes": self._classes,
            "counts": {name: list(pair) for name, pair in self._trust.counts.items()},
        }

    @classmethod
    def load(cls, state: Mapping[str, Any] | None) -> Reliability:
        """Return the one whose `dump` this is."""
        made = cls()
        if state is not None:
            counts = {name: (right, wrong) for name, (right, wrong) in state["counts"].items()}
            made._trust = Trust(_padded(state["classes"]), counts)
        return made


def standings_of(memory: str | None) -> list[Standing]:
    """Return how far each annotator is trusted, given what a desk keeps (`LabelDesk.memory`)."""
    return Reliability.load(None if memory is None else json.loads(memory).get("people")).standings()


def told_of(one: Standing) -> str:
    """Return what there is to say of somebody who is distrusted, in a sentence.

    Examples
    --------
    >>> told_of(Standing("eve", 0.2, 30.0, True))
    'eve disagrees with the others or with known answers: right in about 20% of 30 answers compared'
    """
    return (
        f"{one.name} disagrees with the others or with known answers: right in about {one.reliability:.0%} of "
        f"{one.compared:,.0f} answers compared"
    )


def _written(votes: Mapping[str, ClassLabel]) -> dict[str, str]:
    return {name: json.dumps(label) for name, label in votes.items()}


def _padded(classes: list[str]) -> list[str]:
    """Return two classes at least: one that nobody has named yet may be the true one."""
    return classes + _NOT_NAMED[: max(0, 2 - len(classes))]
