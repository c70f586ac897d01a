"""The packed queries against a plain dictionary of them, and what they are packed for: their size."""

from __future__ import annotations

import gc
import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_al import open_queries
from stream_al.codec import QueryRow
from stream_al.open_queries import OpenQueries
from stream_al.query_state import OpenQuery, Vote
from stream_al.records import Label

START = datetime(2026, 1, 31, tzinfo=UTC)


def opened(event_id: str, number: int, utility: float, clock: datetime | None = None) -> OpenQuery:
    features = {"a": number / 7, "b": 0.1, "text": "ü\n\u2028" * (number % 3)}
    row = QueryRow(
        event_id, features, {"x": [number]}, None, "c", {"c": utility}, utility, None, 1.0, "r", 3, number
    )
    return OpenQuery(row, row.to_json().decode(), clock)


@pytest.fixture(params=[0, 1, 1024])
def newest(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """So many queries are not packed."""
    monkeypatch.setattr(open_queries, "_NEWEST", request.param)
    return int(request.param)


def test_a_query_comes_out_as_it_went_in(newest: int) -> None:
    queries = OpenQueries()
    given = [
        opened(f"e{n}", n, n / 10, None if n % 2 else START + timedelta(microseconds=n)) for n in range(20)
    ]
    for query in given:
        queries.add(query)
    assert sum(isinstance(held, bytes) for held in queries._held.values()) == max(0, 20 - newest)
    assert list(queries) == given
    assert [queries.pop(query.query.event_id) for query in given] == given
    assert len(queries) == 0
    assert queries.oldest is None


def test_an_answer_at_a_query_stays_with_it(newest: int) -> None:
    queries = OpenQueries()
    queries.add(opened("e", 0, 0.5))
    held = queries.get("e")
    assert held is not None
    held.votes["ann"] = Vote(0, Label(event_id="e", label="x", annotator="ann"), "")
    queries.add(opened("f", 1, 0.5))
    queries.add(opened("g", 2, 0.5))
    assert queries.pop("e").votes == held.votes
    assert queries.get("e") is None


def test_queries_of_no_time_age_from_the_first_time_on(newest: int) -> None:
    queries = OpenQueries()
    for number in range(3):
        queries.add(opened(f"e{number}", number, 0.5))
    queries.get("e1")
    assert [held.clock for held in queries.begin(START)] == [START] * 3
    assert [held.clock for held in queries] == [START] * 3
    assert queries.oldest == queries.peek("e0")


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdefgh"), st.sampled_from([0.0, 0.2, 0.2, 0.9]), st.booleans()),
        max_size=60,
    )
)
@settings(deadline=None)
def test_the_oldest_and_the_least_are_found_whatever_comes_and_goes(
    steps: list[tuple[str, float, bool]],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(open_queries, "_AHEAD", 2)
        patch.setattr(open_queries, "_NEWEST", 2)
        queries, plain = OpenQueries(ranked=True), dict[str, tuple[float, int]]()
        for number, (event_id, utility, look) in enumerate(steps):
            if event_id in plain:
                assert queries.pop(event_id).query.event_number == plain.pop(event_id)[1]
            else:
                queries.add(opened(event_id, number, utility))
                plain[event_id] = utility, number
                assert len(queries._heap) <= 2 * len(plain) + 2
            if look and plain:
                oldest, least = next(iter(plain)), min(plain, key=lambda name: plain[name])
                assert queries.oldest is not None
                assert queries.oldest.query.event_id == oldest
                assert queries.least == (plain[least][0], least)
        assert [held.query.event_id for held in queries] == list(plain)


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdefgh"), st.sampled_from([0.0, 0.2, 0.5, 0.9]), st.booleans()),
        max_size=60,
    ),
    st.integers(0, 60),
)
@settings(deadline=None)
def test_a_query_has_the_utility_it_was_given_last_and_they_take_turns_in_the_order_they_were_asked(
    steps: list[tuple[str, float, bool]], serial: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(open_queries, "_AHEAD", 2)
        patch.setattr(open_queries, "_NEWEST", 2)
        queries, plain = OpenQueries(ranked=True), dict[str, list[float]]()
        for number, (event_id, utility, again) in enumerate(steps):
            if event_id not in plain:
                queries.add(opened(event_id, number, utility))
                plain[event_id] = [utility, queries.peek(event_id).serial]
                assert len(queries._heap) <= 2 * len(plain) + 2
            elif again:
                held = queries.revalue(event_id, utility)
                assert (held is None) == (plain[event_id][0] == utility)
                plain[event_id][0] = utility
                assert len(queries._heap) <= 2 * len(plain) + 2
            else:
                assert queries.pop(event_id).utility == plain.pop(event_id)[0]
            assert {held.query.event_id: held.utility for held in queries} == {
                name: now for name, (now, _) in plain.items()
            }
            if plain:
                least = min(plain, key=lambda name: plain[name])
                assert queries.least == (plain[least][0], least)
                assert queries.oldest is not None
                assert queries.oldest.utility == next(iter(plain.values()))[0]
        names = [name for name in plain if name != "a"]
        later = [name for name in names if plain[name][1] > serial]
        turns = [held.query.event_id for held in queries.behind(serial, 5, {"a"})]
        assert turns == (later + [name for name in names if name not in later] if later else names)[:5]


def test_a_query_at_rest_is_some_hundred_bytes_and_no_work_for_the_garbage_collector(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(open_queries, "_NEWEST", 0)
    queries, given = OpenQueries(), [opened(f"e{n}", n, n / 1000) for n in range(1000)]
    queries.add(opened("first", 0, 0.5))
    tracemalloc.start()
    try:
        for query in given:
            queries.add(query)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 250 * len(given)
    assert not any(gc.is_tracked(held) for held in queries._held.values())
