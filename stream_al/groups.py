"""Groups of near-duplicates in the open queue: one answer serves all of a group.

An event that the strategy would ask about, and that is like one whose query is open, joins that query's group instead
of being asked about. When people answer the query, its label is propagated to the group, with less weight and marked
(`Example.propagated_from`). Nobody labelled those events: they are in no budget, quorum or estimate of accuracy.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from stream_al.codec import EventRow, QueryRow, decode_json, encode_json
from stream_al.records import Features, FeatureValue
from stream_al.strategies.base import require_share

if TYPE_CHECKING:  # with it comes NumPy, which the page's server does without
    from stream_al.nearness import Nearness

KEPT: Final = 100_000
"""Events whose group is remembered after it was answered, so that what people say later reaches the group."""
WAITING: Final = "waiting"
HELD: Final = (WAITING, "collected", "planned")
"""Of who is still to be asked about, or to learn from somebody's answer."""
GONE: Final = ("dropped", "asked")
"""Of who belongs to no group any more."""


@dataclass(frozen=True, slots=True)
class GroupRules:
    """When an event joins the group of an open query, and what its label is worth then.

    Parameters
    ----------
    within
        The distance up to which an event is like another (`stream_al.nearness`): the root mean squared difference of
        their features, in standard deviations among the open queries. 0.2 is near. None groups nothing but a window.
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
    window
        The first so many events are grouped before anything is asked (`stream_al.window`); 0: there is no window.
        It needs scikit-learn.
    representatives
        How many of the window are asked about.
    """

    within: float | None
    weight: float = 0.5
    most: int = 20
    groups: int = 200
    check: float = 0.05
    window: int = 0
    representatives: int = 50

    def __post_init__(self) -> None:
        if self.within is not None and not 0.0 < self.within < float("inf"):
            raise ValueError(f"within = {self.within!r}: must be a distance above 0, 0.2 say")
        if not 0.0 < self.weight <= 1.0:
            raise ValueError(f"weight = {self.weight!r}: must be above 0, and at most 1")
        for name in ("most", "groups", "representatives"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)!r}: must be at least 1")
        if self.window < 0:
            raise ValueError(f"window = {self.window!r}: must not be negative")
        require_share("check", self.check)


class MemberState(NamedTuple):
    """To which group an event belongs, as it is stored."""

    event_id: str
    representative: str
    """The event that was asked about for all of them."""
    status: str
    """``"waiting"`` for the answer, ``"taught"`` by it, ``"dropped"`` without one; ``"check"``: asked about itself;
    ``"split"``, of a representative: somebody said that its label is of it alone. Of a window: ``"collected"``,
    ``"planned"`` to be asked about, ``"asked"``."""
    joined: int
    """The number of the event."""
    features: str
    """As JSON, while it is waiting; of a window the whole event; else empty."""


class Groups:
    """Which open queries have groups, and who is in them. A function of its calls: no clock, no generator.

    Parameters
    ----------
    rules
        See `GroupRules`.
    query
        Returns an open query by its event (`LabelDesk.query`).
    keep_changes
        Keep what changes until `take_changes` takes it, as `LabelDesk` does.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> queries = {f"e{n}": SimpleNamespace(features={"x": float(n)}) for n in range(10)}
    >>> groups = Groups(GroupRules(within=0.2), queries.__getitem__)
    >>> for number in range(10):
    ...     groups.asked(f"e{number}", number)
    >>> groups.near({"x": 3.1})
    'e3'
    >>> groups.join("e10", "e3", {"x": 3.1}, 10)
    >>> [member.event_id for member in groups.answered("e3")]
    ['e10']
    """

    def __init__(
        self, rules: GroupRules, query: Callable[[str], QueryRow], *, keep_changes: bool = False
    ) -> None:
        self.rules = rules
        self._query = query
        self.keep_changes = keep_changes
        self._open: OrderedDict[str, None] = OrderedDict()
        self._rows: dict[str, MemberState] = {}
        self._members: dict[str, list[str]] = {}
        """By representative, the events whose row names it."""
        self._waiting: dict[str, list[str]] = {}
        self._changed: dict[str, MemberState] = {}
        self._nearness: Nearness | None = None
        self._window: dict[str, None] = {}
        """Of the window: those collected, and then those planned to be asked about, in order."""
        self.collecting = rules.window > 0
        """Whether the window is open: events are collected, and nothing is asked."""

    # ── events ───────────────────────────────────────────────────────────────────────────────────

    def waits(self, event_id: str) -> bool:
        """Tell whether an event waits for the answer to another one, or to be asked about."""
        row = self._rows.get(event_id)
        return row is not None and row.status in HELD

    def near(self, features: Features) -> str | None:
        """Return the open query whose group an event belongs to, if there is one that takes more."""
        if self.rules.within is None:
            return None
        if self._nearness is None:
            from stream_al.nearness import Nearness

            held = islice(self._open, self.rules.groups)
            self._nearness = Nearness((name, self._query(name).features) for name in held)
        return self._nearness.nearest(features, self.rules.within, self._takes_more)

    def _takes_more(self, representative: str) -> bool:
        return len(self._waiting.get(representative, ())) < self.rules.most

    def join(self, event_id: str, representative: str, features: Features, number: int) -> None:
        """Let an event wait for the answer to another one."""
        row = MemberState(event_id, representative, WAITING, number, encode_json(features).decode())
        self._write(row)
        self._waiting.setdefault(representative, []).append(event_id)

    def asked(self, event_id: str, number: int, near: str | None = None) -> None:
        """Take note of a query: from now on it has a group, or is a check of the one it is ``near``."""
        known = self._rows.get(event_id)
        if known is not None and known.status == "planned":
            self._write(known._replace(status="asked", features=""))
            del self._window[event_id]
        elif known is not None:
            return  # asked about again, long after
        if near is None:
            if len(self._open) < self.rules.groups:
                self._nearness = None
            self._open[event_id] = None
        else:
            self._write(MemberState(event_id, near, "check", number, ""))

    # ── the window ───────────────────────────────────────────────────────────────────────────────

    def collect(self, row: EventRow, number: int, key: str) -> bool:
        """Keep an event of the window; the first after it decides who of the window is asked about.

        Parameters
        ----------
        row
            The event.
        number
            Its number.
        key
            Seeds the clustering.

        Returns
        -------
        bool
            Whether it is of the window.
        """
        from stream_al.window import collected, planned

        if number < self.rules.window:
            member = collected(row, number)
            self._write(member)
            self._window[member.event_id] = None
            return True
        self.collecting = False
        window, self._window = [self._rows[name] for name in self._window], {}
        plan = planned(window, self.rules.representatives, key) if window else []
        for member in plan:
            self._forget(self._rows[member.event_id])  # it may belong to another one now
            self._write(member)
            if member.status == "planned":
                self._window[member.event_id] = None
            elif member.status == WAITING:
                self._waiting.setdefault(member.representative, []).append(member.event_id)
        return False

    def next_planned(self) -> MemberState | None:
        """Return whom of the window to ask about next, of the largest group; None when there is nobody."""
        if self.collecting or not self._window:
            return None
        rows = (self._rows[name] for name in self._window)
        return min(rows, key=lambda row: (-self.size(row.event_id), row.joined))

    # ── answers ──────────────────────────────────────────────────────────────────────────────────

    def size(self, event_id: str) -> int:
        """Return how many events wait for the answer to this one."""
        return len(self._waiting.get(event_id, ()))

    def answered(self, event_id: str) -> list[MemberState]:
        """Take note that a query is closed; return who waited for it, to be settled by the caller."""
        if event_id in self._open:
            del self._open[event_id]
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
        number = self._query(event_id).event_number if event_id in self._open else -1
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
        if row.status in GONE:
            self._forget(row)
        elif len(self._rows) > KEPT:
            self._forget(next(kept for kept in self._rows.values() if kept.status not in HELD))

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

    def load(self, rows: Iterable[MemberState], opened: Iterable[str], events: int) -> None:
        """Take over what `dump` gave, or the newest that `take_changes` gave of each event; and the open queries.

        Parameters
        ----------
        rows
            In any order.
        opened
            The event of each open query, oldest first.
        events
            How many were answered.
        """
        self._rows, self._members, self._waiting, self._changed = {}, {}, {}, {}
        self._window, self.collecting = {}, 0 < self.rules.window >= events
        for row in sorted(rows, key=lambda row: (row.joined, row.event_id)):
            if row.status in GONE:
                continue
            self._rows[row.event_id] = row
            self._members.setdefault(row.representative, []).append(row.event_id)
            if row.status == WAITING:
                self._waiting.setdefault(row.representative, []).append(row.event_id)
            elif row.status in HELD:
                self._window[row.event_id] = None
        self._open = OrderedDict((event_id, None) for event_id in opened if event_id not in self._rows)
        self._nearness = None


def features_of(member: MemberState) -> dict[str, FeatureValue]:
    """Return the features of an event that waits."""
    found: dict[str, FeatureValue] = decode_json(member.features.encode())
    return found
