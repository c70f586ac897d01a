"""How far each annotator can be trusted, from whom they agree with: one number each, learned as answers come.

The one-coin case of Dawid & Skene (1979, *Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm*):
an annotator gives the true class with a probability of their own, else any other class, each as likely. The votes
are then best weighed by the logarithm of ``r · (K − 1) / (1 − r)`` (Nitzan & Paroush 1982 for two classes; Li & Yu 2014,
arXiv 1411.4086), which is negative for who is wrong more often than by chance. Here the counts are learned in one
pass: an incremental EM (Neal & Hinton 1998) that never returns to a question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, log, sqrt
from typing import Final, TypeAlias

from stream_al.records import ClassLabel

Counts: TypeAlias = Mapping[str, tuple[float, float]]
"""Of each annotator, how many answers were right and how many wrong, as far as is known: expected numbers."""

_Z: Final = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Trust:
    """What is known of the annotators; frozen, each question makes the next one.

    Parameters
    ----------
    classes
        The classes that can be answered; two or more.
    counts
        What is known so far.
    right, wrong
        What is supposed of somebody unknown, as if they had given so many answers before. Most people are mostly right:
        without some such supposition a crowd of liars could not be told from one of honest people.

    Examples
    --------
    >>> trust = Trust(("ham", "spam"))
    >>> for _ in range(10):
    ...     trust = trust.after({"ann": "ham", "bob": "ham", "eve": "spam"})
    >>> trust.agreed({"ann": "ham", "eve": "spam"}), trust.distrusted(0.5)
    ('ham', ['eve'])
    """

    classes: Sequence[ClassLabel]
    counts: Counts = field(default_factory=dict)
    right: float = 4.0
    wrong: float = 1.0

    def __post_init__(self) -> None:
        if len(set(self.classes)) < 2:
            raise ValueError(f"classes = {list(self.classes)!r}: give two or more that differ")
        if not (self.right > 0.0 and self.wrong > 0.0):
            raise ValueError(f"right = {self.right!r}, wrong = {self.wrong!r}: must be above 0")

    def reliability(self, annotator: str) -> float:
        """Return with which probability this annotator's answers are right, as far as is known."""
        right, wrong = self.counts.get(annotator, (0.0, 0.0))
        return (right + self.right) / (right + wrong + self.right + self.wrong)

    def weight(self, annotator: str) -> float:
        """Return what this annotator's vote counts; below 0 it counts against what it says."""
        reliability = self.reliability(annotator)
        return log(reliability * (len(self.classes) - 1) / (1.0 - reliability))

    def probabilities(self, votes: Mapping[str, ClassLabel]) -> dict[ClassLabel, float]:
        """Return the probability of each class being the true one, given who voted for what; equal without votes."""
        totals = dict.fromkeys(self.classes, 0.0)
        for annotator in sorted(votes):
            if votes[annotator] in totals:
                totals[votes[annotator]] += self.weight(annotator)
        most = max(totals.values())
        shares = {label: exp(total - most) for label, total in totals.items()}
        whole = sum(shares.values())
        return {label: share / whole for label, share in shares.items()}

    def agreed(self, votes: Mapping[str, ClassLabel], least: float = 0.5) -> ClassLabel | None:
        """Return the class that the votes make more probable than ``least``, None where there is none."""
        label, probability = max(self.probabilities(votes).items(), key=lambda pair: pair[1])
        return label if probability > least else None

    def after(self, votes: Mapping[str, ClassLabel], truth: ClassLabel | None = None) -> Trust:
        """Return what is known after a question.

        Parameters
        ----------
        votes
            Who answered what.
        truth
            The true class of a gold question, one whose answer was known. Of others each annotator is compared with
            the other votes, never with their own.
        """
        counts = dict(self.counts)
        for annotator in sorted(votes):
            if truth is not None:
                right = float(votes[annotator] == truth)
            else:
                others = {name: label for name, label in votes.items() if name != annotator}
                if not others:
                    continue
                right = self.probabilities(others).get(votes[annotator], 0.0)
            before = counts.get(annotator, (0.0, 0.0))
            counts[annotator] = (before[0] + right, before[1] + 1.0 - right)
        return Trust(self.classes, counts, self.right, self.wrong)

    def distrusted(self, least: float) -> list[str]:
        """Return, sorted, the annotators who are right less often than ``least``, as certain as 97.5 %.

        By the upper end of Wilson's interval of their counts, without what is supposed of strangers.
        """
        found = []
        for name, (right, wrong) in sorted(self.counts.items()):
            n = right + wrong
            share = right / n
            half = _Z * sqrt(share * (1.0 - share) / n + _Z**2 / (4.0 * n**2))
            if (share + _Z**2 / (2.0 * n) + half) / (1.0 + _Z**2 / n) < least:
                found.append(name)
        return found
