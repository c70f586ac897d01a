"""What records of topics say to the annotator's page; anybody may write to `labels`, and whatever they write is no harm."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connectors.kafka.lookup import Topics
from connectors.kafka.seen import seen_in
from connectors.sqlite.relayed import RelayedStore
from stream_al.annotate.relay import Buried, Closed, Said

TOPICS = Topics("events", "predictions", "queries", "labels", "examples", "dead-letters", 2, 2, 2)


def record(topic: str, value: bytes | None, key: bytes | None = b"e", **headers: bytes | None) -> Any:
    named = [(name.replace("_", "-"), content) for name, content in headers.items()]
    return SimpleNamespace(
        topic=topic, partition=1, offset=7, key=key, value=value, headers=named, timestamp=-1
    )


def test_a_label_is_named_by_where_it_stood_first_and_by_its_own_id() -> None:
    value = b'{"event_id": 5, "label": "a"}'
    (said,) = seen_in(record("labels", value), TOPICS)
    assert said == Said("labels:1:7", value, "5", 0, None)
    headers = {"stream_al_forwarded": b"labels:0:3", "stream_al_label": b"id"}
    (said,) = seen_in(record("labels", value, **headers), TOPICS)
    assert said == Said("labels:0:3", value, "5", 0, "id")


def test_only_dead_letters_of_labels_are_about_labels() -> None:
    letter = b'{"reason": "late", "detail": "too late"}'
    places = (b"labels:1:7", b"events:1:7", b"examples:0:example 3", None)
    found = [list(seen_in(record("dead-letters", letter, stream_al_place=p), TOPICS)) for p in places]
    assert found == [[Buried("labels:1:7", "late", "too late")], [], [], []]


def test_a_deleted_query_is_withdrawn() -> None:
    assert list(seen_in(record("queries", None), TOPICS)) == [Closed("e", "withdrawn", 0)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayedStore]:
    made = RelayedStore(tmp_path_factory.mktemp("seen") / "page.db", {}, "here")
    yield made
    made.close()


@settings(deadline=None)
@given(value=st.none() | st.binary(), key=st.none() | st.binary(), own=st.none() | st.binary(max_size=9))
@example(value=b'{"event_id": "\\ud800", "label": "a"}', key=None, own=b"\xff")
@example(value=b'{"event_id": "a\\u0000", "label": 1, "amends": "\\ud800"}', key=b"\xff", own=None)
@example(value=b"[" * 100_000, key=b"", own=b"")
def test_whatever_is_written_to_labels_can_be_kept(
    value: bytes | None, key: bytes | None, own: bytes | None, store: RelayedStore
) -> None:
    (said,) = seen_in(record("labels", value, key, stream_al_label=own), TOPICS)
    assert isinstance(said, Said)
    assert said.record == (value or b"")
    store.take([said], {"labels:1": 8})
    assert store.positions() == {"labels:1": 8}
