"""Budgets that mean something to people: labels an hour, money, the pace of the answers, quotas."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import floor, inf
from typing import Final, NamedTuple

import msgspec

from stream_al.strategies.base import Decision, QueryStrategy, State
from stream_al.strategies.quotas import KEPT, Quota, code_of, level_of, taken, value_of
from stream_al.uncertainty import ABOUT, Scores

HELD_BACK: Final = {
    "rate-limit": "the labels per hour or day, or in all, were used up",
    "cost-limit": "the money was spent",
    "slow-answers": "the oldest query waited longer than answers_within",
    "quota": "their key, class or feature had used its quota",
}
"""Why `Limited` holds an event back, by the reason that its prediction gives."""

RATES: Final = ("labels_per_hour", "labels_per_day", "labels_total", "spend_per_day", "spend_total")
_MOMENT: Final = timedelta(milliseconds=1)
_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_FUZZ: Final = 1e-9


class _Bucket(NamedTuple):
    reason: str
    rate: float
    """Labels earned a second."""
    burst: float


@dataclass(frozen=True, slots=True)
class Limited(QueryStrategy):
    """Ask as ``then``, but only where every limit allows it.

    Rule: each limit is a token bucket in record time, as the generic cell rate algorithm keeps it (ITU-T I.371): it
    earns its rate, saves up ``burst`` labels and pays one a query. A total is a bucket that earns nothing; money is
    a bucket of labels at their price. A quota is such a bucket for each value, of which the `KEPT` that have used most
    are told apart (`stream_al.strategies.quotas`); all others count as if they had used as much as the least of these,
    so a quota is never exceeded, and held back too early only where more values than that compete. So that those who
    are counted can use all of the budget, a share is at least 1 in that number.

    An event that a limit holds back was not offered to ``then``, whose state stays as it was: it could not have been
    asked about, has propensity 0, and its reason is one of `HELD_BACK`.

    Time is the newest event timestamp seen, so it never goes back. An event without a timestamp happens then; before
    there is any, only what was saved (``burst``) can be asked. One timestamp far in the future fills every bucket and
    stops the clock until then.

    Cost: a few microseconds. Budget: that of ``then``; and in any stretch of t hours at most ``labels_per_hour·t +
    burst``, and so on for each limit. Set the share of ``then`` to about what the limits come to: it chooses the
    best of its share, while a limit takes whatever comes first.

    Parameters
    ----------
    then
        The strategy.
    labels_per_hour, labels_per_day, labels_total
        How many labels may be asked for. None: no such limit.
    cost_per_label, spend_per_day, spend_total
        The same in money, of any one currency.
    burst
        How many unused labels each limit saves up.
    answers_within
        While the oldest open query has waited longer than this, nothing is asked. (How many may be open is
        `DeskRules.max_open`.)
    quotas
        What one key, predicted class or value of a feature may use: of the tightest rate above, or of the share
        of events that ``then`` may ask where there is no rate.

    Examples
    --------
    >>> from stream_al.strategies import Random
    >>> from stream_al.codec import decode_event
    >>> from stream_al.about import About
    >>> from stream_al.uncertainty import Scores
    >>> strategy = Limited(Random(1.0), labels_per_hour=60, burst=1)
    >>> state, told = strategy.start(), []
    >>> for second in ("00", "01", "59"):
    ...     event = decode_event(
    ...         b'{"features": {"x": 1}, "timestamp": "2026-01-01T00:00:%sZ"}' % second.encode(), "e"
    ...     )
    ...     answer = Scores({}, None, 0.0, 0.0, 0, 0, about=About(event))
    ...     decision, state = strategy.decide(answer, state, 0.5)
    ...     told.append(decision.reason)
    >>> told
    ['random', 'rate-limit', 'rate-limit']
    """

    then: QueryStrategy
    labels_per_hour: float | None = None
    labels_per_day: float | None = None
    labels_total: float | None = None
    cost_per_label: float | None = None
    spend_per_day: float | None = None
    spend_total: float | None = None
    burst: int = 20
    answers_within: timedelta | None = None
    quotas: tuple[Quota, ...] = ()
    _buckets: tuple[_Bucket, ...] = field(init=False, repr=False, compare=False)
    _inner: int = field(init=False, repr=False, compare=False)
    """The length of the state of ``then``."""
    _kept: int = field(init=False, repr=False, compare=False)
    """Places of each quota's table."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "quotas", tuple(self.quotas))
        for name in (*RATES, "cost_per_label"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < inf:
                raise ValueError(f"{name} = {value!r}: must be a number above 0")
        spends = self.spend_per_day is not None or self.spend_total is not None
        if spends != (self.cost_per_label is not None):
            raise ValueError(
                "cost_per_label: belongs to spend_per_day or spend_total, and is needed with these"
            )
        if self.burst < 1:
            raise ValueError(f"burst = {self.burst!r}: must be at least 1")
        if self.answers_within is not None and self.answers_within <= timedelta(0):
            raise ValueError(f"answers_within = {self.answers_within}: must be longer than nothing")
        if len(self.quotas) > KEPT:
            raise ValueError(f"quotas: there are {len(self.quotas)}; at most {KEPT}")
        kept = KEPT // len(self.quotas) if self.quotas else 0
        for quota in self.quotas:
            if (
                quota.share * kept < 1.0
            ):  # else those that are counted could not use the budget, and nobody the rest
                raise ValueError(
                    f"quotas: {quota.by}: share = {quota.share!r}: must be at least 1/{kept}, as no more values are counted"
                )
        object.__setattr__(self, "_buckets", tuple(self._limits()))
        object.__setattr__(self, "_inner", len(self.then.start()))
        object.__setattr__(self, "_kept", kept)

    def _limits(self) -> list[_Bucket]:
        burst, price = float(self.burst), self.cost_per_label or 1.0
        found = []
        if self.labels_per_hour is not None:
            found.append(_Bucket("rate-limit", self.labels_per_hour / 3600.0, burst))
        if self.labels_per_day is not None:
            found.append(_Bucket("rate-limit", self.labels_per_day / 86400.0, burst))
        if self.labels_total is not None:
            found.append(_Bucket("rate-limit", 0.0, self.labels_total))
        if self.spend_per_day is not None:
            found.append(_Bucket("cost-limit", self.spend_per_day / price / 86400.0, burst))
        if self.spend_total is not None:
            found.append(_Bucket("cost-limit", 0.0, self.spend_total / price))
        return found

    # ── deciding ─────────────────────────────────────────────────────────────────────────────────

    def looks(self) -> frozenset[str]:
        """Return the event: its time, key and features."""
        return self.then.looks() | {ABOUT}

    def start(self) -> State:
        """Return (the state of ``then``, events, first and newest time in ms, a level a bucket, the tables)."""
        places = 2 * self._kept * len(self.quotas)
        return (*self.then.start(), 0, 0, 0, *[0.0] * len(self._buckets), *[0] * places)

    def decide(self, scores: Scores, state: State, draw: float) -> tuple[Decision, State]:
        """Decide about one event, of whose time, key and features nothing is known where the scores do not say it."""
        at, about = self._inner, scores.about
        events, origin, clock = state[at] + 1, state[at + 1], state[at + 2]
        if about is not None and about.event.timestamp is not None:
            now = (about.event.timestamp - _EPOCH) // _MOMENT
            if not clock:  # the first time there is
                origin = clock = now
            clock = max(clock, now)
        seconds = (clock - origin) / 1000.0
        levels, tables = state[at + 3 : at + 3 + len(self._buckets)], state[at + 3 + len(self._buckets) :]
        decision, after = self.then.decide(scores, state[:at], draw)
        codes = [code_of(value_of(quota.by, scores)) for quota in self.quotas]
        oldest = None if about is None else about.oldest
        held = self._held(levels, tables, codes, seconds, events, clock, oldest)
        if held is not None:
            decision = msgspec.structs.replace(decision, ask=False, propensity=0.0, reason=held)
            after = state[:at]
        elif decision.ask:
            levels = tuple(
                max(level, bucket.rate * seconds) + 1.0
                for level, bucket in zip(levels, self._buckets, strict=True)
            )
            tables = self._charged(tables, codes, seconds, events)
        return decision, (*after, events, origin, clock, *levels, *tables)

    def _held(
        self,
        levels: State,
        tables: State,
        codes: list[int],
        seconds: float,
        events: float,
        clock: float,
        oldest: datetime | None,
    ) -> str | None:
        """Return the first limit that does not allow a query now."""
        for level, (reason, rate, burst) in zip(levels, self._buckets, strict=True):
            if max(level, rate * seconds) + 1.0 > rate * seconds + burst + _FUZZ:
                return reason
        if oldest is not None and self.answers_within is not None:
            waited = clock - (oldest - _EPOCH) // _MOMENT
            if waited > self.answers_within // _MOMENT:
                return "slow-answers"
        for number, (quota, code) in enumerate(zip(self.quotas, codes, strict=True)):
            earned = self._earned(quota, seconds, events)
            level = max(level_of(self._table(tables, number), code), earned)
            if level + 1.0 > earned + quota.burst(self.burst) + _FUZZ:
                return "quota"
        return None

    def _charged(self, tables: State, codes: list[int], seconds: float, events: float) -> State:
        found: list[float] = []
        for number, (quota, code) in enumerate(zip(self.quotas, codes, strict=True)):
            earned, table = self._earned(quota, seconds, events), self._table(tables, number)
            found += taken(table, code, max(level_of(table, code), earned) + 1.0, earned)
        return tuple(found)

    def _table(self, tables: State, number: int) -> State:
        return tables[2 * self._kept * number : 2 * self._kept * (number + 1)]

    def _earned(self, quota: Quota, seconds: float, events: float) -> float:
        """Return how many labels one value of a quota has earned since the beginning."""
        rates = [bucket.rate for bucket in self._buckets if bucket.rate]
        return quota.share * (min(rates) * seconds if rates else self.then.rate() * events)

    # ── as a part of others ──────────────────────────────────────────────────────────────────────

    def charge(self, state: State) -> State:
        """Charge the query to ``then``."""
        return (*self.then.charge(state[: self._inner]), *state[self._inner :])

    def alarmed(self, state: State) -> State:
        """Tell ``then``."""
        return (*self.then.alarmed(state[: self._inner]), *state[self._inner :])

    def divided(self, parts: int) -> QueryStrategy:
        """Divide every rate and total, and what is saved. Parts of a total are whole labels, rounded down."""

        def part(value: float | None) -> float | None:
            return None if value is None else value / parts

        def whole(value: float | None, price: float = 1.0) -> float | None:
            return None if value is None else floor(value / price / parts + _FUZZ) * price

        return replace(
            self,
            then=self.then.divided(parts),
            labels_per_hour=part(self.labels_per_hour),
            labels_per_day=part(self.labels_per_day),
            labels_total=whole(self.labels_total),
            spend_per_day=part(self.spend_per_day),
            spend_total=whole(self.spend_total, self.cost_per_label or 1.0),
            burst=max(1, self.burst // parts),
        )

    def rate(self) -> float:
        """Return the rate of ``then``."""
        return self.then.rate()

    def slack(self) -> float:
        """Return the slack of ``then``."""
        return self.then.slack()
