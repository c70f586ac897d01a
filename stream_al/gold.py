"""Gold questions: events whose answer is known, mixed among the queries to see who answers them rightly.

An answer to one is compared with what is known and never learned: it is in no example, no accuracy, no budget. To whom it
is shown it looks like the query after which it was asked, whose reason, utility and threshold it bears; so its id should
look like that of any event, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stream_al.codec import QueryRow
from stream_al.records import ClassLabel, FeatureValue, class_text
from stream_al.strategies.base import require_share
from stream_al.uncertainty import Scores

if TYPE_CHECKING:  # with it comes NumPy, which the page's server does without
    from stream_al.draws import Draws


@dataclass(frozen=True, slots=True)
class GoldQuestion:
    """An event whose class is known.

    Parameters
    ----------
    id
        As that of an event; no event of the stream may have it.
    features
        What is shown, unless there is something to ``display``.
    label
        The known class.
    display
        As in `Event`.
    """

    id: str
    features: dict[str, FeatureValue]
    label: ClassLabel
    display: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Gold:
    """Which gold questions there are, and how often one is asked.

    Parameters
    ----------
    questions
        Asked one after the other, and from the beginning again; one that is still open is passed over.
    share
        Of all questions that people get, gold ones included.

    Examples
    --------
    >>> gold = Gold([GoldQuestion("g1", {"x": 1.0}, "spam")], share=0.5)
    >>> gold.truths["g1"]
    'spam'
    """

    questions: Sequence[GoldQuestion]
    share: float = 0.05
    truths: dict[str, ClassLabel] = field(init=False, repr=False, compare=False)
    """The known class by id."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "questions", tuple(self.questions))
        object.__setattr__(self, "truths", {question.id: question.label for question in self.questions})
        require_share("share", self.share, most=0.5)
        if len(self.truths) < len(self.questions):
            raise ValueError("questions: each needs an id of its own")

    def is_due(self, query: QueryRow, draws: Draws) -> bool:
        """Tell whether one is asked after this query."""
        return bool(self.questions) and draws(query.event_id) < self.share / (1.0 - self.share)


def disguised(question: GoldQuestion, scores: object, query: QueryRow) -> QueryRow:
    """Return a gold question as a query that looks like another; ``scores`` are the model's answer to it, if it has one."""
    known = scores if isinstance(scores, Scores) else None
    return QueryRow(
        question.id,
        question.features,
        question.display,
        query.key,
        None if known is None else known.label,
        {} if known is None else {class_text(label): chance for label, chance in known.probabilities.items()},
        query.utility,
        query.threshold,
        query.propensity,
        query.reason,
        query.model_version,
        query.event_number,
        query.asked_at,
    )
