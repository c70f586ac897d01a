"""How labels become examples: the rules of the label desk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from stream_al.records import ClassLabel

AGREEMENTS: Final = ("majority", "unanimous", "plurality", "weighted")
CORRECTIONS: Final = ("amend", "dead-letter")
WHEN_FULL: Final = ("stop-asking", "withdraw-least")


@dataclass(frozen=True, slots=True)
class DeskRules:
    """How labels become examples.

    Parameters
    ----------
    quorum
        How many annotators must answer a query.
    agreement
        ``"majority"`` (more than half), ``"unanimous"``, ``"plurality"`` (more than any other class), or ``"weighted"``:
        each vote counts as much as whom its annotator agreed with says it should (`stream_al.reliability`).
    max_answers
        After so many answers without agreement the query is closed as disputed.
    max_abstentions
        After so many annotators abstained the query is closed as unanswerable.
    expire_after
        By record time: the newest event timestamp seen, since the query was asked. None: never.
    expire_after_events
        By the number of events since the query was asked. None: never.
    max_open
        The number of open queries that is never exceeded.
    when_full
        What to do then: ``"stop-asking"``, or ``"withdraw-least"`` (the open query of least utility makes
        way for a more useful one).
    remember
        How many closed queries are remembered, to tell duplicates and late labels from unknown ones and not
        to ask about an id again.
    corrections
        What an annotator's other answer to a query that is closed does, when by these rules the annotators then agree on
        another class, or on none: ``"amend"`` corrects or erases the example, exactly; ``"dead-letter"`` leaves the
        model as it is, for pipelines in which what was learned must never change by itself.
    withdraw_below
        Open queries are scored again as the model learns, and withdrawn when their utility is below this; 0 only
        puts those first that are worth most by now. None: not scored again. See `stream_al.rescoring`.
    rescore_every
        After so many records of the log of examples open queries are scored again.
    rescore_most
        So many of them each time, in turn.
    sure
        With ``"weighted"``: what the probability of a class must exceed, given the votes, for it to be agreed on. More than
        0.5 asks further people, until it does or there are ``max_answers``.
    second_opinion
        When the model gave its own answer this probability or more and an annotator says otherwise, one answer more is
        needed than the quorum: one of the two is wrong, and it is worth knowing which. None: never.
    """

    quorum: int = 1
    agreement: str = "majority"
    max_answers: int = 5
    max_abstentions: int = 3
    expire_after: timedelta | None = None
    expire_after_events: int | None = None
    max_open: int = 10_000
    when_full: str = "stop-asking"
    remember: int = 100_000
    corrections: str = "amend"
    withdraw_below: float | None = None
    rescore_every: int = 10
    rescore_most: int = 100
    sure: float = 0.5
    second_opinion: float | None = None

    def __post_init__(self) -> None:
        for name in ("quorum", "max_answers", "max_abstentions", "max_open", "rescore_every", "rescore_most"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)!r}: must be at least 1")
        if self.max_answers < self.quorum:
            raise ValueError(f"max_answers = {self.max_answers}: must be at least the quorum, {self.quorum}")
        if self.agreement not in AGREEMENTS:
            raise ValueError(f"agreement = {self.agreement!r}: must be one of {', '.join(AGREEMENTS)}")
        if self.when_full not in WHEN_FULL:
            raise ValueError(f"when_full = {self.when_full!r}: must be one of {', '.join(WHEN_FULL)}")
        if self.corrections not in CORRECTIONS:
            raise ValueError(f"corrections = {self.corrections!r}: must be one of {', '.join(CORRECTIONS)}")
        if self.withdraw_below is not None and not 0.0 <= self.withdraw_below <= 1.0:
            raise ValueError(f"withdraw_below = {self.withdraw_below!r}: must be a utility from 0 to 1")
        if not 0.5 <= self.sure < 1.0:
            raise ValueError(f"sure = {self.sure!r}: must be a probability from 0.5 to below 1")
        if self.second_opinion is not None and not 0.0 < self.second_opinion <= 1.0:
            raise ValueError(f"second_opinion = {self.second_opinion!r}: must be a probability above 0")
        if self.second_opinion is not None and self.max_answers <= self.quorum:
            raise ValueError(
                f"max_answers = {self.max_answers}: must be above the quorum for a second opinion"
            )
        if self.remember < 0:
            raise ValueError(f"remember = {self.remember}: must not be negative")
        if self.expire_after is not None and self.expire_after <= timedelta(0):
            raise ValueError(f"expire_after = {self.expire_after}: must be longer than nothing")
        if self.expire_after_events is not None and self.expire_after_events < 1:
            raise ValueError(f"expire_after_events = {self.expire_after_events}: must be at least 1")

    def needed(self, answers: Sequence[ClassLabel], predicted: ClassLabel | None, chance: float) -> int:
        """Return how many answers a query needs, given those there are and what the model said with which probability.

        Examples
        --------
        >>> rules = DeskRules(second_opinion=0.9)
        >>> rules.needed(["a"], "b", 0.95), rules.needed(["b"], "b", 0.95), rules.needed(["a"], "b", 0.6)
        (2, 1, 1)
        """
        if self.second_opinion is None or predicted is None or chance < self.second_opinion:
            return self.quorum
        return self.quorum + any(
            answer != predicted for answer in answers
        )  # of one type, as a pipeline has one

    def agreed(self, answers: Sequence[ClassLabel]) -> ClassLabel | None:
        """Return the class that these answers agree on, None while they do not; ``"weighted"``: all weighing the same.

        Examples
        --------
        >>> rules = DeskRules(quorum=2)
        >>> rules.agreed(["a"]), rules.agreed(["a", "b"]), rules.agreed(["a", "b", "a"])
        (None, None, 'a')
        """
        if len(answers) < self.quorum:
            return None
        if len(answers) == 1:
            return answers[0]
        counts = Counter((type(answer).__name__, answer) for answer in answers)
        (first, most), *others = counts.most_common(2)
        enough = {
            "majority": 2 * most > len(answers),
            "weighted": not others or most > others[0][1],
            "unanimous": not others,
            "plurality": not others or most > others[0][1],
        }[self.agreement]
        return first[1] if enough else None
