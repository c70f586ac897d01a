"""Groups, their representatives, and the labels that are propagated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river.cluster import DBSTREAM, KMeans

from stream_al.codec import EventRow
from stream_al.errors import ConfigError
from stream_al.pool import Group, examples, grouped, propagated
from stream_al.pool.vectors import Vectors

CENTRES = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])


def blobs(size: int = 30, seed: int = 1) -> Vectors:
    """Return three groups of points, one after the other."""
    rng = np.random.default_rng(seed)
    return np.concatenate([centre + rng.normal(size=(size, 2)) for centre in CENTRES])


def test_groups_are_found_and_the_medoid_stands_for_each() -> None:
    pool = blobs()
    groups = grouped(pool, 3)
    assert sorted(group.members for group in groups) == [
        tuple(range(30)), tuple(range(30, 60)), tuple(range(60, 90)),
    ]  # fmt: skip
    for group in groups:
        (medoid,) = group.representatives
        members = pool[list(group.members)]
        costs = ((members[:, None, :] - members[None, :, :]) ** 2).sum(axis=2).sum(axis=1)
        assert medoid == group.members[int(costs.argmin())]


def test_they_are_the_same_every_time_and_others_with_another_key() -> None:
    pool = np.random.default_rng(3).normal(size=(200, 4))
    assert grouped(pool, 12) == grouped(pool, 12)
    assert grouped(pool, 12) != grouped(pool, 12, key="another")


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 25), st.integers(0, 3), st.integers(1, 25))
def test_so_many_representatives_as_asked_for_each_of_its_group(size: int, seed: int, count: int) -> None:
    pool = np.round(np.random.default_rng(seed).normal(size=(size, 2)))  # with duplicates
    count = min(count, size)
    distinct = len({tuple(row) for row in pool})
    groups = grouped(pool, min(count, distinct))
    chosen = [place for group in groups for place in group.representatives]
    assert len(chosen) == len(set(chosen)) == min(count, distinct)
    assert sorted(place for group in groups for place in group.members) == list(range(size))
    assert all(set(group.representatives) <= set(group.members) for group in groups)


def test_a_clusterer_with_fewer_groups_gets_representatives_that_lie_apart() -> None:
    pool = blobs()
    groups = grouped(pool, 7, clusterer=KMeans(n_clusters=3, halflife=0.1, sigma=3, seed=1))
    assert sum(len(group.representatives) for group in groups) == 7
    large = groups[0]
    first, second = large.representatives[:2]
    members = pool[list(large.members)]
    assert np.linalg.norm(pool[second] - pool[first]) == np.linalg.norm(members - pool[first], axis=1).max()


def test_any_clusterer_of_river_will_do() -> None:
    groups = grouped(blobs(), 4, clusterer=DBSTREAM(clustering_threshold=2.0))
    assert sum(len(group.representatives) for group in groups) == 4


@pytest.mark.parametrize("count", [0, 91])
def test_a_number_that_cannot_be_chosen_is_refused(count: int) -> None:
    with pytest.raises(ConfigError, match=r"--count .*from 1 to 90"):
        grouped(blobs(), count)


# ── propagation ──────────────────────────────────────────────────────────────────────────────────────

LINE = np.arange(10.0)[:, None]
GROUPS = [Group((2,), (0, 1, 2, 3, 4)), Group((7,), (5, 6, 7, 8, 9))]


def test_the_nearest_share_of_a_group_takes_its_label_over() -> None:
    taken = propagated(GROUPS, LINE, {2: "a", 7: "b"}, 0.5)
    assert [(item.place, item.label, item.source) for item in taken] == [
        (1, "a", 2), (3, "a", 2), (6, "b", 7), (8, "b", 7),
    ]  # fmt: skip


@given(st.dictionaries(st.integers(0, 9), st.sampled_from(["a", "b"])), st.floats(0, 1), st.floats(0, 1))
def test_a_group_agrees_or_takes_nothing_over(labels: dict[int, str], one: float, other: float) -> None:
    low, high = sorted((one, other))
    taken = propagated(GROUPS, LINE, labels, high)
    assert {item.place for item in propagated(GROUPS, LINE, labels, low)} <= {item.place for item in taken}
    for item in taken:
        (group,) = [group for group in GROUPS if item.place in group.members]
        said = {labels[place] for place in group.members if place in labels}
        assert said == {item.label}
        assert item.source in group.members
        assert labels[item.source] == item.label
        assert item.place not in labels, "what people labelled is left as it is"


def test_a_label_that_disagrees_withdraws_what_was_propagated() -> None:
    assert len(propagated(GROUPS, LINE, {2: "a"}, 1.0)) == 4
    assert propagated(GROUPS, LINE, {2: "a", 4: "b"}, 1.0) == []
    assert propagated(GROUPS, LINE, {2: 1, 4: True}, 1.0) == [], "1 and True are two classes"


def test_examples_say_which_of_them_nobody_labelled() -> None:
    rows = [EventRow({"x": float(n)}, f"e{n}") for n in range(10)]
    labels = {2: "a", 7: "b"}
    made = examples(
        rows, labels, propagated(GROUPS, LINE, labels, 0.25), weight=0.5, annotators={2: ("ann",)}
    )
    assert [(e.event_id, e.label, e.weight, e.annotators, e.propagated_from) for e in made] == [
        ("e2", "a", 1.0, ("ann",), None),
        ("e7", "b", 1.0, (), None),
        ("e1", "a", 0.5, (), "e2"),
        ("e6", "b", 0.5, (), "e7"),
    ]


def test_a_reach_that_is_no_share_is_refused() -> None:
    with pytest.raises(ValueError, match="reach"):
        propagated(GROUPS, LINE, {}, 1.5)
