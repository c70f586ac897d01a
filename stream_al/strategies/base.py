"""What a query strategy is: frozen configuration, a small state, and a pure decision."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeAlias

import msgspec

from stream_al.uncertainty import Scores

State: TypeAlias = tuple[float, ...]
"""What a strategy remembers between events: a few numbers, the same after a round trip through JSON."""
Weigher: TypeAlias = Callable[[float, str], float]
"""From a query's propensity and reason to the weight that its label is learned with."""


class Decision(msgspec.Struct, frozen=True, gc=False):
    """Whether to ask about an event, and everything needed to judge that choice later.

    ``propensity`` is the probability, over the draw, with which this event would have been asked given the
    strategy's state; an event is asked exactly when its draw is below it. ``threshold`` is on the scale of
    ``utility``; None where the strategy has none. ``reason`` says why it is asked about; else it is ``"none"``, or why it
    could not be asked about whatever its draw.
    """

    ask: bool
    utility: float
    threshold: float | None
    propensity: float
    reason: str


class QueryStrategy(ABC):
    """Decides which events are asked about.

    A strategy is a frozen dataclass: its fields are its configuration, checked when it is made. It has no
    clock, no generator and no I/O, so the same scores, state and draw always give the same decision.
    `stream_al.checks.check_strategy` holds any implementation to what is promised here.
    """

    def start(self) -> State:
        """Return the state before the first event; under 1 KB as JSON."""
        return ()

    @abstractmethod
    def decide(self, scores: Scores, state: State, draw: float) -> tuple[Decision, State]:
        """Decide about one event.

        Parameters
        ----------
        scores
            The model's answer.
        state
            What the call before returned, or `start()`.
        draw
            The event's own uniform number in [0, 1).

        Returns
        -------
        tuple
            The decision, with ``ask == (draw < propensity)``, and the state after the event. Whoever does
            not carry the decision out drops the state as well.
        """

    def wants(self) -> frozenset[str]:
        """Return what it needs of the model besides its answer (`stream_al.insight`): by default, what ``then`` does."""
        then = getattr(self, "then", None)
        return then.wants() if isinstance(then, QueryStrategy) else frozenset()

    def looks(self) -> frozenset[str]:
        """Return what it may look at where it matters (`Scores.about`, `Scores.looked`): by default, as ``then``.

        ``ABOUT`` for the event itself, and what only the model can tell of it. The event is given only to who says so.
        """
        then = getattr(self, "then", None)
        return then.looks() if isinstance(then, QueryStrategy) else frozenset()

    def weigher(self) -> Weigher | None:
        """Return what tells the weight of a query's label: by default, what ``then`` does; None where each weighs 1."""
        then = getattr(self, "then", None)
        return then.weigher() if isinstance(then, QueryStrategy) else None

    def charge(self, state: State) -> State:
        """Return the state after a query that somebody else put on this strategy's account."""
        return state

    def alarmed(self, state: State) -> State:
        """Return the state after an alarm: the stream seems to have changed (`stream_al.monitor.Drift`)."""
        return state

    def divided(self, parts: int) -> QueryStrategy:
        """Return the strategy for each of so many parts of a stream that decide on their own.

        A share of the events is the same share in every part; what is a number of events must be divided.
        """
        return self

    def rate(self) -> float:
        """Return the share of events that is asked at most, in the long run; 1 where there is no bound."""
        return 1.0

    def slack(self) -> float:
        """Return by how many queries a window of n events may exceed ``rate()·n``; may be infinite."""
        return float("inf")


def require_share(name: str, value: float, *, most: float = 1.0) -> None:
    """Raise ValueError unless ``0 <= value <= most``; NaN is refused too."""
    if not 0.0 <= value <= most:
        raise ValueError(f"{name} = {value!r}: must be a share from 0 to {most:g}")
