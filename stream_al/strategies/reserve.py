"""A part of the budget kept for when the stream changes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from stream_al.strategies.base import Decision, QueryStrategy, State, require_share
from stream_al.uncertainty import Scores


@dataclass(frozen=True, slots=True)
class Reserve(QueryStrategy):
    """Ask as ``then``; and for a while after an alarm, also a share of all other events, from a reserve.

    Rule: an event earns the reserve ``earned`` labels, of which ``size`` are saved. For ``events`` events after an alarm
    (`alarmed`), each event that ``then`` does not ask about anyway is asked with probability ``share``, by its draw, as
    long as the reserve lasts; the reason is ``"drift"``. By chance rather than by the model's doubts, as a model
    whose world has changed does not doubt what it ought to.

    Cost: an addition. Budget: that of ``then`` and ``earned`` more, so that the total holds when ``then`` has that
    much less; a window may exceed it by ``size`` more.

    Parameters
    ----------
    then
        The strategy.
    earned
        Of the events, the share that the reserve may ask.
    share
        Of the events after an alarm, the share that is asked.
    events
        How many events an alarm lasts.
    size
        How many labels are saved at most.
    """

    then: QueryStrategy
    earned: float = 0.02
    share: float = 0.2
    events: int = 500
    size: int = 100

    def __post_init__(self) -> None:
        require_share("earned", self.earned)
        require_share("share", self.share)
        for name in ("events", "size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)!r}: must be at least 1")

    def start(self) -> State:
        """Return (the state of ``then``, labels saved, events that the alarm still lasts)."""
        return (*self.then.start(), 0.0, 0)

    def decide(self, scores: Scores, state: State, draw: float) -> tuple[Decision, State]:
        """Decide about one event; see `QueryStrategy.decide`."""
        *inner, saved, left = state
        decision, after = self.then.decide(scores, tuple(inner), draw)
        saved = min(float(self.size), saved + self.earned)
        if left and saved >= 1.0 and decision.propensity < self.share:
            decision = Decision(
                decision.ask, decision.utility, decision.threshold, self.share, decision.reason
            )
            if draw < self.share and not decision.ask:
                decision = Decision(True, decision.utility, decision.threshold, self.share, "drift")
                saved -= 1.0
        return decision, (*after, saved, max(0, left - 1))

    def alarmed(self, state: State) -> State:
        """Return the state after an alarm."""
        return (*self.then.alarmed(state[:-2]), state[-2], self.events)

    def charge(self, state: State) -> State:
        """Charge the query to ``then``."""
        return (*self.then.charge(state[:-2]), *state[-2:])

    def divided(self, parts: int) -> QueryStrategy:
        """Divide what is saved and how long an alarm lasts; ``then`` is divided, too."""
        return replace(
            self,
            then=self.then.divided(parts),
            events=max(1, self.events // parts),
            size=max(1, self.size // parts),
        )

    def rate(self) -> float:
        """Return the rate of ``then`` and what the reserve earns."""
        return min(1.0, self.then.rate() + self.earned)

    def slack(self) -> float:
        """Return the slack of ``then`` and what is saved."""
        return self.then.slack() + self.size
