"""Groups of near-duplicates in the open queue: one answer serves all of a group.

An event that the strategy would ask about, and that is like one whose query is open, joins that query's group instead
of being asked about. When people answer the query, its label is propagated to the group, with less weight and marked
(`Example.propagated_from`). Nobody labelled those events: they are in no budget, quorum or estimate of accuracy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from stream_al.codec import decode_json, encode_json
from stream_al.records import Features, FeatureValue
from stream_al.strategies.base import require_share

if TYPE_CHECKING:  # with it comes NumPy, which the page's server does without
    from stream_al.nearness import Nearness

KEPT: Final = 100_000
"""Events whose group is remembered after it was answered, so that what people say later reaches the group."""
WAITING: Final = "waiting"


@dataclass(frozen=True, slots=True)
class GroupRules:
    """When an event joins the group of an open query, and what its label is worth then.

    Parameters
    ----------
    within
        The distance up to which an event is like another (`stream_al.nearness`): the root mean squared difference of
        their features, in standard deviations among the open queries. 0.2 is near.
    weight
        Of a propagated example, where a person's label weighs 1.
    most
        Events in a group besides the one asked about; what comes then is asked about.
    groups
        The oldest so many open queries have groups.
    check
        The share of near-duplicates that are asked about nevertheless. Their answers are people's answers about a
        group: where they differ from its label, what was propagated is withdrawn. They also keep the propensity of every
        event above 0, and with it the estimate of the accuracy honest.
    """

    within: float
    weight: float = 0.5
    most: int = 20
    groups: int = 500
    check: float = 0.05

    def __post_init__(self) -> None:
        if not 0.0 < self.within < float("inf"):
            raise ValueError(f"within = {self.within!r}: must be a distance above 0, 0.2 say")
        if not 0.0 < self.weight <= 1.0:
            raise ValueError(f"weight = {self.weight!r}: must be above 0, and at most 1")
        for name in ("most", "groups"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)!r}: must be at least 1")
        require_share("check", self.check)


class MemberState(NamedTuple):
    """To which group an event belongs, as it is stored."""

    event_id: str
    representative: str
    """The event that was asked about for all of them."""
    status: str
    """``"waiting"`` for the answer, ``"taught"`` by it, ``"dropped"`` without one; ``"check"``: asked about itself;
    ``"split"``, of a representative: somebody said that its label is of it alone."""
    joined: int
    """The number of the event."""
    features: str
    """As JSON, while it is waiting; else empty."""


class Groups:
    """Which open queries have groups, and who is in them. A function of its calls: no clock, no generator.

    Parameters
    ----------
    rules
        See `GroupRules`.
    keep_changes
        Keep what changes until `take_changes` takes it, as `LabelDesk` does.

    Examples
    --------
    >>> groups = Groups(GroupRules(within=0.2))
    >>> for number in range(10):
    ...     groups.asked(f"e{number}", {"x": float(number)}, number)
    >>> groups.near({"x": 3.1})
    'e3'
    >>> groups.join("e10", "e3", {"x": 3.1}, 10)
    >>> [member.event_id for member in groups.answered("e3")]
    ['e10']
    """

    def __init__(self, rules: GroupRules, *, keep_changes: bool = False) -> None:
        self.rules = rules
        self.keep_changes = keep_changes
        self._open: dict[str, tuple[Features, int]] = {}
        self._rows: dict[str, MemberState] = {}
        self._members: dict[str, list[str]] = {}
        """By representative, the events whose row names it."""
        self._waiting: dict[str, list[str]] = {}
        self._changed: dict[str, MemberState] = {}
        self._nearness: Nearness | None = None

    # ── events ───────────────────────────────────────────────────────────────────────────────────

    def waits(self, event_id: str) -> bool:
        """Tell whether an event waits for the answer to another one."""
        row = self._rows.get(event_id)
        return row is not None and row.status == WAITING

    def near(self, features: Features) -> str | None:
        """Return the open query whose group an event belongs to, if there is one that takes more."""
        if self._nearness is None:
            from stream_al.nearness import Nearness

            held = islice(self._open.items(), self.rules.groups)
            self._nearness = Nearness((name, known) for name, (known, _) in held)
        return self._nearness.nearest(features, self.rules.within, self._takes_more)

    def _takes_more(self, representative: str) -> bool:
        return len(self._waiting.get(representative, ())) < self.rules.most

    def join(self, event_id: str, representative: str, features: Features, number: int) -> None:
        """Let an event wait for the answer to another one."""
        row = MemberState(event_id, representative, WAITING, number, encode_json(features).decode())
        self._write(row)
        self._waiting.setdefault(representative, []).append(event_id)

    def asked(self, event_id: str, features: Features, number: int, near: str | None = None) -> None:
        """Take note of a query: from now on it has a group, or is a check of the one it is ``near``."""
        if event_id in self._rows:
            return  # asked about again, long after
        if near is None:
            self._open[event_id] = (features, number)
            self._nearness = None
        else:
            self._write(MemberState(event_id, near, "check", number, ""))

    # ── answers ──────────────────────────────────────────────────────────────────────────────────

    def size(self, event_id: str) -> int:
        """Return how many events wait for the answer to this one."""
        return len(self._waiting.get(event_id, ()))

    def answered(self, event_id: str) -> list[MemberState]:
        """Take note that a query is closed; return who waited for it, to be settled by the caller."""
        if self._open.pop(event_id, None) is not None:
            self._nearness = None
        return [self._rows[name] for name in self._waiting.pop(event_id, ())]

    def settle(self, members: Iterable[MemberState], status: str) -> None:
        """Take note of what became of those who waited."""
        for member in members:
            self._write(member._replace(status=status, features=""))

    def split(self, event_id: str) -> bool:
        """Let a group go: it takes nobody in any more, and nothing is propagated to it. False if there is none."""
        if event_id not in self._open and event_id not in self._members:
            return False
        _, number = self._open.get(event_id, (None, -1))
        self.settle(self.answered(event_id), "dropped")
        self._write(MemberState(event_id, event_id, "split", number, ""))
        return True

    def of(self, event_id: str) -> tuple[str, list[MemberState]]:
        """Return the event that was asked about for the group of this one, and the rows of the group."""
        row = self._rows.get(event_id)
        representative = event_id if row is None else row.representative
        return representative, [self._rows[name] for name in self._members.get(representative, ())]

    # ── state ────────────────────────────────────────────────────────────────────────────────────

    def _write(self, row: MemberState) -> None:
        if row.event_id not in self._rows:
            self._members.setdefault(row.representative, []).append(row.event_id)
        self._rows[row.event_id] = row
        if self.keep_changes:
            self._changed[row.event_id] = row
        if row.status == "dropped":
            self._forget(row)
        elif len(self._rows) > KEPT:
            self._forget(next(kept for kept in self._rows.values() if kept.status != WAITING))

    def _forget(self, row: MemberState) -> None:
        del self._rows[row.event_id]
        names = self._members[row.representative]
        names.remove(row.event_id)
        if not names:
            del self._members[row.representative]

    def take_changes(self) -> list[MemberState]:
        """Return the rows changed since the last call, as they are now."""
        changed = list(self._changed.values())
        self._changed = {}
        return changed

    def dump(self) -> Iterator[MemberState]:
        """Yield what is remembered, in the order in which events joined."""
        yield from self._rows.values()

    def load(self, rows: Iterable[MemberState], queries: Iterable[tuple[str, Features, int]]) -> None:
        """Take over what `dump` gave, or the newest that `take_changes` gave of each event; and the open queries.

        Parameters
        ----------
        rows
            In any order.
        queries
            The event, its features and its number, of each open query, oldest first.
        """
        self._open, self._rows, self._members, self._waiting, self._changed = {}, {}, {}, {}, {}
        for row in sorted(rows, key=lambda row: (row.joined, row.event_id)):
            if row.status == "dropped":
                continue
            self._rows[row.event_id] = row
            self._members.setdefault(row.representative, []).append(row.event_id)
            if row.status == WAITING:
                self._waiting.setdefault(row.representative, []).append(row.event_id)
        for event_id, features, number in queries:
            if event_id not in self._rows:
                self._open[event_id] = (features, number)
        self._nearness = None


def features_of(member: MemberState) -> dict[str, FeatureValue]:
    """Return the features of an event that waits."""
    found: dict[str, FeatureValue] = decode_json(member.features.encode())
    return found
