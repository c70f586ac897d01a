"""A guard against floods: what is sent only to burn the experts' hours is answered, and not asked about."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf
from typing import Final

import msgspec

from stream_al.strategies.apart import is_near
from stream_al.strategies.base import Decision, QueryStrategy, State, require_share
from stream_al.strategies.budgeted import Budgeted
from stream_al.strategies.quotas import Quota, code_of, level_of, taken, value_of
from stream_al.uncertainty import ABOUT, DISTANCE, SKETCH, Scores

QUARANTINED: Final = {
    "flood": "their source sent more doubtful events than its share",
    "near-duplicate": "several nearly like them were just asked about",
    "outlier": "they were too far from all that was learned",
}
"""Why `Guard` keeps an event from being asked about, by the reason that its prediction gives."""

KEPT: Final = 24
"""How many sources are told apart, and how many queries are remembered: with both, under 1 KB of state."""
LEARNED: Final = 50
"""From so many examples on, spreads are known well enough to say what is far."""


@dataclass(frozen=True, slots=True)
class Guard(QueryStrategy):
    """Ask as ``then``, but keep out sources that flood it, near-duplicates of queries, and outliers.

    An event is *doubtful* when its utility is above the threshold of ``then``: that is what an attacker crafts. The rules:

    - *Flood*: each value of ``source`` has a bucket that loses ``share`` of the budget and gains one for each query and each
      doubtful event, asked about or not. Over ``burst`` the source is in quarantine, and as its doubtful events go on to
      count (up to twice ``burst``), it stays there for as long as it floods, and ``burst / (share·budget)`` events longer.
    - *Near-duplicate*: a doubtful event whose sketch (as in `Apart`) differs in at most one bit from those of ``repeats`` of
      the queries asked out of doubt within ``duplicates`` events, of which the last `KEPT` are remembered.
    - *Outlier*: a doubtful event that is more than ``outlier`` spreads from what was learned (`stream_al.insight.distance`),
      once that is `LEARNED` examples.

    An event in quarantine was not offered to ``then``, whose threshold and budget stay as they were; it has propensity 0,
    and its reason is one of `QUARANTINED`. The last two rules leave exploration alone, which an attacker who does not know
    the key of the draws cannot aim at; so what lies far away can still be learned, and is then no longer far.

    Cost: with a ``source``, a look into a table for every event; a sketch or a distance for doubtful events only.
    Budget: that of ``then``. Of more than `KEPT` sources that are in debt at once the others count as the least indebted.

    Parameters
    ----------
    then
        The strategy.
    source
        What tells who sends: ``"key"`` or ``"features.NAME"``; as trustworthy as whoever sets it. None: no such rule.
    share
        Of the budget, what one source may use; at least twice what the largest honest one does.
    burst
        How many doubtful events a source may send at once.
    duplicates
        For how many events a query is remembered at most; 0: no such rule.
    repeats
        How many nearly the same are asked about.
    outlier
        How many spreads are too far; None: no such rule.

    Examples
    --------
    >>> from stream_al.about import About
    >>> from stream_al.codec import EventRow
    >>> from stream_al.uncertainty import scores
    >>> guard = Guard(Budgeted(0.5), source="key", share=0.5, burst=2)
    >>> state, told = guard.start(), []
    >>> for key in ("bot", "bot", "bot", "bot", "ann", "bot"):
    ...     row = EventRow({"x": 1.0}, "e", key=key)
    ...     answer = msgspec.structs.replace(scores({"a": 0.5, "b": 0.5}, 9), about=About(row))
    ...     decision, state = guard.decide(answer, state, 0.9)
    ...     told.append(decision.reason)
    >>> told
    ['uncertain', 'uncertain', 'flood', 'flood', 'uncertain', 'flood']
    """

    then: QueryStrategy = field(default_factory=Budgeted)
    source: str | None = None
    share: float = 0.2
    burst: int = 10
    duplicates: int = 0
    repeats: int = 3
    outlier: float | None = None
    _inner: int = field(init=False, repr=False, compare=False)
    """The length of the state of ``then``."""
    _looked: frozenset[str] = field(init=False, repr=False, compare=False)
    """What is looked at of doubtful events."""

    def __post_init__(self) -> None:
        if self.source is not None:
            if self.source == "predicted":
                raise ValueError("source = 'predicted': is not who sends; give key or features.NAME")
            Quota(self.source, 1.0)  # which says what is wrong
        require_share("share", self.share)
        for name, least in (("share", 1e-6), ("burst", 1), ("duplicates", 0), ("repeats", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} = {getattr(self, name)!r}: must be at least {least}")
        if self.outlier is not None and not 1.0 < self.outlier < inf:
            raise ValueError(f"outlier = {self.outlier!r}: must be above 1 spread, which is usual")
        looked = {SKETCH} if self.duplicates else set()
        looked |= {DISTANCE} if self.outlier is not None else set()
        object.__setattr__(self, "_looked", frozenset(looked))
        object.__setattr__(self, "_inner", len(self.then.start()))

    def looks(self) -> frozenset[str]:
        """Return the event, and what the rules go by."""
        return self.then.looks() | self._looked | {ABOUT}

    def start(self) -> State:
        """Return (the state of ``then``, events, events since a query was last forgotten, their sketches, the sources)."""
        ring, table = self._places()
        return (*self.then.start(), 0, 0, *[0] * ring, *[0] * table)

    def _places(self) -> tuple[int, int]:
        return KEPT if self.duplicates else 0, 2 * KEPT if self.source is not None else 0

    def decide(self, scores: Scores, state: State, draw: float) -> tuple[Decision, State]:
        """Decide about one event; see `QueryStrategy.decide`."""
        at, (ring, _) = self._inner, self._places()
        inner, events, passed = state[:at], state[at] + 1, state[at + 1] + 1
        asked, table = state[at + 2 : at + 2 + ring], state[at + 2 + ring :]
        if passed * KEPT >= self.duplicates:  # so that none of so many is older than ``duplicates``
            passed, asked = 0, (*asked[1:], 0) if ring else ()
        decision, after = self.then.decide(scores, inner, draw)
        threshold = decision.threshold
        doubtful = threshold is not None and decision.utility > threshold and scores.classes > 1
        reason = None
        if self.source is not None:
            reason, table = self._counted(
                table, value_of(self.source, scores), events, decision.ask, doubtful
            )
        if reason is None and doubtful and self._looked:
            seen = scores.looked(self._looked)
            reason = self._strange(seen, asked)
            if reason is None and decision.ask and ring and seen.sketch is not None:
                asked = (*asked[1:], seen.sketch + 1)
        if reason is not None:
            decision = msgspec.structs.replace(decision, ask=False, propensity=0.0, reason=reason)
            after = inner
        return decision, (*after, events, passed, *asked, *table)

    def _counted(
        self, table: State, source: object, events: float, ask: bool, doubtful: bool
    ) -> tuple[str | None, State]:
        """Tell whether a source is in quarantine, and return the table after its event."""
        code, earned = code_of(source), self.share * self.then.rate() * events
        level = max(level_of(table, code), earned)
        flood = level + 1.0 > earned + self.burst
        if doubtful or (ask and not flood):
            table = taken(table, code, min(level + 1.0, earned + 2.0 * self.burst), earned)
        return "flood" if flood else None, table

    def _strange(self, seen: Scores, asked: State) -> str | None:
        """Return what is wrong with a doubtful event, if anything is."""
        far = seen.distance
        if far is not None and self.outlier is not None and seen.version >= LEARNED and far > self.outlier:
            return "outlier"
        if seen.sketch is not None and asked:
            alike = sum(1 for it in asked if it and is_near(seen.sketch, int(it) - 1))
            if alike >= self.repeats:
                return "near-duplicate"
        return None

    # ── as a part of others ──────────────────────────────────────────────────────────────────────

    def charge(self, state: State) -> State:
        """Charge the query to ``then``."""
        return (*self.then.charge(state[: self._inner]), *state[self._inner :])

    def alarmed(self, state: State) -> State:
        """Tell ``then``."""
        return (*self.then.alarmed(state[: self._inner]), *state[self._inner :])

    def divided(self, parts: int) -> QueryStrategy:
        """Divide ``then``, for how long a query is remembered, and what a source may send at once."""
        return replace(
            self,
            then=self.then.divided(parts),
            burst=max(1, self.burst // parts),
            duplicates=max(1, self.duplicates // parts) if self.duplicates else 0,
        )

    def rate(self) -> float:
        """Return the rate of ``then``."""
        return self.then.rate()

    def slack(self) -> float:
        """Return the slack of ``then``."""
        return self.then.slack()
