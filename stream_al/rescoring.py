"""Scoring open queries again: those whose label has become worth little are withdrawn, those worth most come first.

A query waits for days, and the model learns meanwhile: it may need the label no more. After every
`DeskRules.rescore_every` records of the log, `DeskRules.rescore_most` open queries are scored again, in turn: so many
whatever happens, counted and never timed. All of it follows from the log and the calls, so a replay and
`stream-al verify` come to the same withdrawals.

Withdrawn is only what

- was asked with certainty (propensity 1). A query that chance has chosen, by exploration or a randomised strategy, stands
  for 1 / propensity events like it. To withdraw it because the model has become sure would bias every estimate that
  rests on it, and asking was not about this model's doubt. A certain one stands for itself: the accuracy counts it as
  unanswered, and its interval takes it to be right at one end and wrong at the other.
- nobody has answered yet, in part or as "unsure": that would throw somebody's work away.

What it cost of a budget does not come back: a budget bounds what is *asked*, in any window, and it was asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from stream_al.codec import QueryRow
from stream_al.labels import LabelDesk
from stream_al.model import Model
from stream_al.uncertainty import Scores

_WHY: Final = "the model has become sure"


def rescore(
    desk: LabelDesk,
    model: Model,
    before: int,
    utility: Callable[[QueryRow, Scores], float],
    wants: frozenset[str] = frozenset(),
) -> tuple[str, ...]:
    """Score open queries again where that is due; return the events whose queries were withdrawn.

    Parameters
    ----------
    desk
        The open queries, and the rules.
    model
        After it has folded something, or nothing.
    before
        Its version before.
    utility
        Of a label, given the query and the model's answer to its event by now.
    wants
        What that needs of the model besides its answer (`QueryStrategy.wants`).
    """
    rules = desk.rules
    every = rules.rescore_every
    if rules.withdraw_below is None or model.version // every == before // every:
        return ()
    rows = desk.take_turns(rules.rescore_most)
    withdrawn = []
    for row, scores in zip(rows, model.score_all([row.features for row in rows], wants), strict=True):
        if not isinstance(scores, Scores) or scores.classes < 2:
            continue  # a model that knows one class is sure of everything, and knows nothing
        worth = utility(row, scores)
        desk.revalue(row.event_id, worth)
        if worth < rules.withdraw_below and row.propensity == 1.0 and desk.untouched(row.event_id):
            desk.withdraw(row.event_id, _WHY)
            withdrawn.append(row.event_id)
    return tuple(withdrawn)
