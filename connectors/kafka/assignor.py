"""Who gets which partitions: every topic shared out evenly by itself, moved cooperatively (KIP-429).

kafka-python's sticky assignor evens out the number of partitions over all topics together: a second worker would be
given all of `labels` and none of `events`.

What moves is nobody's after one round, until whoever had it comes for the next. If that is a static member (KIP-345) which
dies in between, its successor is handed the share it was left with, and knows of no further round: what was to move would be
nobody's for good. So a share says itself that it is not the last word.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment

_MORE: Final = b"more"
"""Goes with the shares of a round that leaves partitions to nobody."""


class PerTopicAssignor(CooperativeStickyAssignor):  # type: ignore[misc]
    """Shares out each topic by itself; what a member has it keeps, as far as its part goes."""

    name = "stream-al-per-topic"
    unfinished = False
    """Whether there are partitions that only another round gives to anybody: ask for it."""

    def assign(self, cluster: Any, members: Iterable[Any]) -> dict[str, Any]:
        """Return what each member has after this round; a partition on the move is nobody's until the next."""
        members = list(members)
        owned: dict[str, list[tuple[str, int]]] = {
            member.member_id: [tuple(p) for p in self.parse_member_metadata(member.metadata).partitions]
            for member in members
        }
        topics: dict[str, list[str]] = defaultdict(list)
        for member in sorted(members, key=lambda member: (member.group_instance_id or "", member.member_id)):
            for topic in member.metadata.topics:
                topics[topic].append(member.member_id)
        counts = {topic: sorted(cluster.partitions_for_topic(topic) or ()) for topic in sorted(topics)}
        shares = shared_out(topics, counts, owned)
        given = sum(len(numbers) for share in shares.values() for numbers in share.values())
        word = _MORE if given < sum(map(len, counts.values())) else b""
        return {
            member: ConsumerProtocolAssignment(self.version, sorted(share.items()), word)
            for member, share in shares.items()
        }

    def on_assignment(self, assignment: Any, generation: int) -> None:
        """Take note of the share that was given, and of whether it is the last word."""
        super().on_assignment(assignment, generation)
        self.unfinished = assignment.user_data == _MORE


def shared_out(
    members: Mapping[str, Sequence[str]],
    partitions: Mapping[str, Sequence[int]],
    owned: Mapping[str, Iterable[tuple[str, int]]],
) -> dict[str, dict[str, list[int]]]:
    """Return each member's partitions by topic after one round.

    Parameters
    ----------
    members
        By topic, who takes part, in an order that all members agree on.
    partitions
        By topic, its partitions.
    owned
        By member, what it says it has.

    Examples
    --------
    >>> shared_out(
    ...     {"t": ["a", "b"]}, {"t": [0, 1, 2, 3]}, {"a": [("t", 0), ("t", 1), ("t", 2), ("t", 3)], "b": []}
    ... )
    {'a': {'t': [0, 1]}, 'b': {'t': []}}
    >>> shared_out({"t": ["a", "b"]}, {"t": [0, 1, 2, 3]}, {"a": [("t", 0), ("t", 1)], "b": []})
    {'a': {'t': [0, 1]}, 'b': {'t': [2, 3]}}
    """
    claims = Counter(claim for claimed in owned.values() for claim in set(claimed))
    result: dict[str, dict[str, list[int]]] = {member: {} for member in owned}
    total: Counter[str] = Counter()
    for topic, takers in members.items():
        numbers = partitions[topic]
        least, extra = divmod(len(numbers), len(takers))
        # Of what two members say they have (one of them has not heard yet) neither keeps anything.
        held = {m: sorted(p for t, p in set(owned[m]) if t == topic and claims[t, p] == 1) for m in takers}
        # Who holds more already keeps one more; of the others who has least of all topics gets it.
        by_right = sorted(takers, key=lambda m: (-min(len(held[m]), least + 1), total[m], takers.index(m)))
        quota = {member: least + (place < extra) for place, member in enumerate(by_right)}
        kept = {member: held[member][: quota[member]] for member in takers}
        taken = {p for mine in kept.values() for p in mine}
        free = [p for p in numbers if p not in taken]
        for member in takers:
            mine = kept[member]
            while len(mine) < quota[member]:
                mine.append(free.pop(0))
            total[member] += len(mine)
            # What another member has still comes to this one in the next round, when that one has let go.
            result[member][topic] = sorted(p for p in mine if p in held[member] or not claims[topic, p])
    return result
