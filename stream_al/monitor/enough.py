"""Confident enough: asking less once it is certain that the model is accurate enough, and more when it no longer is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from stream_al.monitor.accuracy import Accuracy
from stream_al.strategies import Decision, Guard, Limited, QueryStrategy, Reserve, State
from stream_al.uncertainty import Scores


@dataclass(frozen=True, slots=True)
class ConfidentEnough(QueryStrategy):
    """Ask as ``then``, until the answers are accurate enough for certain; then only as ``then`` explores.

    Rule: once the lower bound of the accuracy since this strategy last began is at least ``accuracy``, ``then``
    is shown every event as if the model were sure of it, so it asks the share it explores, and its budget goes
    on as ever. It reopens by itself when the bound sinks below ``accuracy`` again (answers fail to come, or errors
    accumulate); and when the *upper* bound of the recent stretch is below, which means that the model is worse now:
    then what is older counts no more, and the evidence is gathered anew, from the next stretch on. So it does when a
    drift detector gives an alarm.

    The bounds are those of `stream_al.monitor.Accuracy`, valid at all times at once. So from one beginning to the next, the
    probability that it ever closes while the true running accuracy is below ``accuracy`` is at most 2.5 %. It
    looks whenever a label settles a query.

    It needs exploration: without, nothing can be certified and it never closes. Cost: while open, a call; while closed,
    two decisions an event. Budget: that of ``then``.

    Parameters
    ----------
    then
        The strategy.
    accuracy
        What is enough, as a share.
    after
        It does not judge by fewer events: the bounds are about the events that were answered, and a handful of
        those, even if all are known to be right, tells little of the next.
    """

    then: QueryStrategy
    accuracy: float = 0.95
    after: int = 1000

    def __post_init__(self) -> None:
        if not 0.0 < self.accuracy < 1.0:
            raise ValueError(f"accuracy = {self.accuracy!r}: must be between 0 and 1")

    def start(self) -> State:
        """Return (whether it is confident enough, then the state of ``then``)."""
        return (0, *self.then.start())

    def decide(self, scores: Scores, state: State, draw: float) -> tuple[Decision, State]:
        """Decide about one event; see `QueryStrategy.decide`."""
        closed, inner = state[0], state[1:]
        told, after = self.then.decide(scores, inner, draw)
        if not closed or scores.label is None:
            return told, (closed, *after)
        decision, after = self.then.decide(scores.as_if_sure(), inner, draw)
        # What a label would be worth is recorded as it is.
        decision = msgspec.structs.replace(decision, utility=told.utility, threshold=told.threshold)
        return decision, (closed, *after)

    def review(self, state: State, watch: Accuracy, events: int) -> State:
        """Return the state after looking at how accurate the answers are, ``events`` having been answered."""
        recent = watch.recent(events)
        if recent.events >= min(self.after, watch.window // 2) and recent.surely_below(self.accuracy):
            watch.begin_anew()
        since = watch.since(events)
        enough = since.events >= self.after and since.surely_above(self.accuracy)
        return state if enough == state[0] else (int(enough), *state[1:])

    def charge(self, state: State) -> State:
        """Charge the query to ``then``."""
        return (state[0], *self.then.charge(state[1:]))

    def alarmed(self, state: State) -> State:
        """Reopen: what was certain is no longer."""
        return (0, *self.then.alarmed(state[1:]))

    def divided(self, parts: int) -> QueryStrategy:
        """Divide ``then``."""
        return replace(self, then=self.then.divided(parts))

    def rate(self) -> float:
        """Return the rate of ``then``."""
        return self.then.rate()

    def slack(self) -> float:
        """Return the slack of ``then``."""
        return self.then.slack()


def enough_of(strategy: QueryStrategy) -> ConfidentEnough | None:
    """Return the rule that tells when it is enough, if a strategy has one, within a guard, limits or a reserve."""
    # Their state begins with that of what they are around, so `review` can be given either.
    while isinstance(strategy, Guard | Limited | Reserve):
        strategy = strategy.then
    return strategy if isinstance(strategy, ConfidentEnough) else None
