"""Every topic is shared out evenly by itself, and nothing is ever two members' at once."""

from __future__ import annotations

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from connectors.kafka.assignor import shared_out

Shares = dict[str, dict[str, list[int]]]


def owned_after(shares: Shares) -> dict[str, list[tuple[str, int]]]:
    return {m: [(t, p) for t, numbers in share.items() for p in numbers] for m, share in shares.items()}


def settled(
    members: list[str], partitions: dict[str, list[int]], owned: dict[str, list[tuple[str, int]]]
) -> Shares:
    """Let members rejoin until nothing moves any more."""
    for rounds in count(1):
        shares = shared_out(dict.fromkeys(partitions, members), partitions, owned)
        given_out = [claim for claims in owned_after(shares).values() for claim in claims]
        assert len(given_out) == len(set(given_out))
        for member, claims in owned_after(shares).items():  # nothing is given while another still has it
            for claim in claims:
                assert claim in owned[member] or not any(claim in others for others in owned.values())
        if owned_after(shares) == {m: sorted(claims) for m, claims in owned.items()}:
            return shares
        assert rounds < 5
        owned = {m: sorted(claims) for m, claims in owned_after(shares).items()}
    raise AssertionError


@given(
    st.integers(1, 5),
    st.lists(st.integers(1, 12), min_size=1, max_size=2),
    st.data(),
)
def test_a_group_comes_to_rest_with_every_topic_shared_out_evenly(
    workers: int, sizes: list[int], data: st.DataObject
) -> None:
    members = [f"m{number}" for number in range(workers)]
    partitions = {f"t{number}": list(range(size)) for number, size in enumerate(sizes)}
    everything = [(topic, number) for topic, numbers in partitions.items() for number in numbers]
    owned = {m: data.draw(st.lists(st.sampled_from(everything), unique=True), label=m) for m in members}
    shares = settled(members, partitions, owned)
    for topic, numbers in partitions.items():
        parts = [len(share[topic]) for share in shares.values()]
        assert sum(parts) == len(numbers)
        assert max(parts) - min(parts) <= 1


def test_one_who_joins_gets_its_part_of_each_topic_and_the_others_keep_theirs() -> None:
    partitions = {"events": [0, 1, 2, 3], "labels": [0, 1, 2, 3]}
    alone = settled(["a"], partitions, {"a": []})
    both = settled(["a", "b"], partitions, {"a": owned_after(alone)["a"], "b": []})
    assert both == {"a": {"events": [0, 1], "labels": [0, 1]}, "b": {"events": [2, 3], "labels": [2, 3]}}
