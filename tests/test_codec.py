"""The fast codec and the pydantic schema give the same verdict on every input."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from strategies_of_data import (
    RECORD_STRATEGIES,
    answers,
    damaged_events,
    displays,
    features,
    moments,
    names,
    numbers,
    probabilities,
    raw_events,
)

from stream_al.codec import (
    EventRow,
    PredictionRow,
    QueryRow,
    decode_event,
    decode_query,
    encode_json,
    encode_predictions,
    event_from_fields,
    printable,
)
from stream_al.errors import RecordError
from stream_al.records import MAX_FEATURES, MAX_NAME, Event, Prediction, Query

DEFAULT_ID = "file:1"


def exact(value: Any) -> Any:
    """A value that equals another only if both have the same types and bits."""
    if isinstance(value, dict):
        return {key: exact(inner) for key, inner in value.items()}, list(value)
    if isinstance(value, list):
        return [exact(inner) for inner in value]
    return type(value).__name__, repr(value)


def content(event: EventRow | Event) -> tuple[Any, ...]:
    return (
        exact(event.id),
        exact(dict(event.features)),
        event.timestamp,
        None if event.timestamp is None else event.timestamp.tzinfo is UTC,
        event.key,
        exact(event.display),
        event.schema_version,
    )


class Anonymous(Event):
    """The schema's verdict on a record whose place gives the id."""

    id: Any = None


def expected(line: bytes) -> Event | None:
    """What the schema makes of a line; an id that is missing or null is the default one."""
    try:
        return Event.model_validate_json(line)
    except ValidationError:
        pass
    try:
        event = Anonymous.model_validate_json(line)
    except ValidationError:
        return None
    return event.model_copy(update={"id": DEFAULT_ID}) if event.id is None else None


def assert_same_verdict(line: bytes) -> None:
    event = expected(line)
    row: EventRow | RecordError
    try:
        row = decode_event(line, DEFAULT_ID)
    except RecordError as error:
        row = error
    if isinstance(row, RecordError):
        assert event is None, f"refused, though the schema takes it: {row}"
        assert row.reason
        assert row.detail.encode()
        assert row.event_id
    else:
        assert event is not None, "accepted, though the schema refuses it"
        assert content(row) == content(event)


@settings(max_examples=600, deadline=None)
@given(raw_events())
def test_near_valid_json_has_the_same_verdict_and_content_as_the_schema(line: bytes) -> None:
    assert_same_verdict(line)


@settings(max_examples=400, deadline=None)
@given(damaged_events() | st.binary(max_size=40))
def test_damaged_lines_and_random_bytes_have_the_same_verdict_as_the_schema(line: bytes) -> None:
    assert_same_verdict(line)


@pytest.mark.slow
@settings(max_examples=15_000, deadline=None)
@given(raw_events() | damaged_events())
def test_many_lines_have_the_same_verdict_as_the_schema(line: bytes) -> None:
    assert_same_verdict(line)


@pytest.mark.parametrize(
    "depth", [10, 90, 150, 190, 195, 196, 197, 198, 199, 200, 201, 202, 300, 1500, 100_000]
)
@pytest.mark.parametrize(
    "where",
    [b'"junk":%s', b'"display":{"a":%s}', b'"display":%s', b'"features":%s', b'"key":%s', b'"timestamp":%s'],
)
@pytest.mark.parametrize("brackets", [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
def test_deep_nesting_has_the_same_verdict_as_the_schema(
    depth: int, where: bytes, brackets: tuple[bytes, bytes]
) -> None:
    nested = brackets[0] * depth + b"1" + brackets[1] * depth
    assert_same_verdict(b'{"features":{"a":1},' + where % nested + b"}")


@pytest.mark.parametrize(
    "line",
    [
        b'{"features":{' + b",".join(b'"f%d":1' % n for n in range(MAX_FEATURES)) + b"}}",
        b'{"features":{' + b",".join(b'"f%d":1' % n for n in range(MAX_FEATURES + 1)) + b"}}",
        b'{"features":{"a":[],"a":1}}',
        b'{"features":{"a":1,"a":2.0}}',
        b'{"features":[],"features":{"a":1}}',
        b'{"features":{"a":NaN},"features":{"a":1}}',
        b'{"features":{"a":1},"id":1.5,"id":"x"}',
        b'{"features":{"a":1},"junk":"\xff"}',
        b'{"features":{"a":1},"\xff":1}',
        b'{"features":{"a":1},"junk":NaN}',
        b'{"features":{"a":1},"junk":1e999}',
        b'{"features":{"a":1},"junk":' + b"1" * 5000 + b"}",
        b'{"features":{"a":1},"display":{"a":' + b"1" * 5000 + b"}}",
        b'{"features":{"a":1},"display":{"a":NaN}}',
        b'{"features":{"a":1},"display":{"a":1e999}}',
        b'{"features":{"a":1},"display":{"a":"\\ud800"}}',
        b'{"features":{"a":1},"display":null,"key":null,"timestamp":null}',
        b'{"features":{"a":1},"id":-9223372036854775809}',
        b"",
        b"null",
        b"[]",
        b'"x"',
    ],
)
def test_known_traps_have_the_same_verdict_as_the_schema(line: bytes) -> None:
    assert_same_verdict(line)


@pytest.mark.parametrize(
    ("line", "reason", "told"),
    [
        (b'{"features":{"a":NaN}}', "not-finite", "features.a: Input should be a finite number; leave a"),
        (b'{"features":{"a":1e999}}', "not-finite", "features.a"),
        (b'{"features":{"a":1e101}}', "out-of-range", "features.a"),
        (b'{"features":{"a":null}}', "wrong-type", "features.a: null is not allowed here; a feature is"),
        (b'{"features":{"bool":[1]}}', "wrong-type", "features.bool: a list is not allowed here"),
        (b'{"features":{"":1}}', "empty-text", "features.''"),
        (b'{"features":{"a":"' + b"x" * 20_001 + b'"}}', "too-long", "features.a"),
        (b'{"features":{}}', "empty-features", "features: Dictionary should have at least 1 item"),
        (b'{"feature":{"a":1}}', "missing-field", "features: Field required"),
        (b'{"features":{"a":1},"id":true}', "wrong-type", "id: Input should be a valid string; give a text"),
        (b'{"features":{"a":1},"id":""}', "empty-text", "id"),
        (b'{"features":{"a":1},"timestamp":"yesterday"}', "wrong-type", "timestamp: "),
        (b'{"features":{"a":1},"timestamp":"2026-01-31T12:00:00"}', "wrong-type", "timezone info; write"),
        (b'{"features":{"a":1},"timestamp":"0001-01-01T00:00:00+01:00"}', "contradiction", "timestamp: the"),
        (b'{"features":{"a":1},"schema_version":2}', "not-allowed", "should be 1; this release"),
        (b'{"features":{"a":1},"display":[]}', "wrong-type", "display: Input should be an object"),
        (b'{"features":{"a":1},"display":{"a":{"b":[NaN]}}}', "not-finite", "display: numbers must be"),
        (b'{"features":{"a":1}', "malformed-json", "write one JSON object a line"),
        (b'{"features":{"a":"\\ud800"}}', "malformed-json", "write one JSON object a line"),
        (b"[1]", "malformed-json", "Input should be an object; write one JSON object a line"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_field_and_the_remedy(line: bytes, reason: str, told: str) -> None:
    with pytest.raises(RecordError) as caught:
        decode_event(line, DEFAULT_ID)
    assert caught.value.reason == reason
    assert told in caught.value.detail


def test_a_refusal_names_the_event_where_the_line_still_tells_it() -> None:
    for line, event_id in [
        (b'{"features":{},"id":"tx-1"}', "tx-1"),
        (b'{"features":{},"id":17}', "17"),
        (b'{"features":{}}', DEFAULT_ID),
        (b'{"features":{},"id":[]}', DEFAULT_ID),
        (b'{"features":{},"id":""}', DEFAULT_ID),
        (b'{"features":{},"id":"' + b"x" * 300 + b'"}', "x" * MAX_NAME),
        (b"\xff", DEFAULT_ID),
    ]:
        with pytest.raises(RecordError) as caught:
            decode_event(line, DEFAULT_ID)
        assert caught.value.event_id == event_id


def test_a_refusal_of_a_huge_name_is_still_short() -> None:
    with pytest.raises(RecordError) as caught:
        decode_event(json.dumps({"features": {"x" * 500_000: 1}}).encode(), DEFAULT_ID)
    assert len(caught.value.detail) < 400


# ── events ───────────────────────────────────────────────────────────────────────────────────────

events = st.builds(
    lambda i, f, t, k, d: Event(id=i, features=f, timestamp=t, key=k, display=d),
    names,
    features,
    st.none() | moments,
    st.none() | names,
    st.none() | displays,
)


@settings(max_examples=200, deadline=None)
@given(events)
def test_an_event_survives_encoding_bit_for_bit(event: Event) -> None:
    row = EventRow.of(event)
    again = decode_event(encode_json(row), DEFAULT_ID)
    assert content(again) == content(row) == content(event)
    assert content(Event.model_validate_json(encode_json(row))) == content(event)
    assert encode_json(again) == encode_json(row)


fields = st.fixed_dictionaries(
    {
        "features": st.dictionaries(
            st.text(max_size=4) | st.just("x" * 257),
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.text(max_size=4)
            | st.just("y" * 20_001)
            | st.just([1]),
            max_size=3,
        ),
        "event_id": st.text(max_size=4) | st.just("x" * 257),
        "timestamp": st.none()
        | moments.map(datetime.isoformat)
        | st.sampled_from(
            ["2026-01-31", "0001-01-01T00:00:00+01:00", "x", "\ud800", "2026-01-31T12:00:00.1234567Z"]
        ),
        "key": st.none() | st.text(max_size=4),
    }
)


@settings(max_examples=500, deadline=None)
@given(fields)
@example({"features": {"a": math.nan}, "event_id": "e", "timestamp": None, "key": None})
@example({"features": {"\ud800": 1}, "event_id": "e", "timestamp": None, "key": None})
@example({"features": {"a": "\ud800"}, "event_id": "e", "timestamp": None, "key": None})
@example({"features": {"a": 1}, "event_id": "\ud800", "timestamp": None, "key": "\ud800"})
def test_fields_have_the_same_verdict_and_content_as_the_schema(parts: dict[str, Any]) -> None:
    plain = {("id" if name == "event_id" else name): value for name, value in parts.items()}
    try:
        event = Event.model_validate(plain)
    except ValidationError:
        with pytest.raises(RecordError) as caught:
            event_from_fields(**parts)
        caught.value.detail.encode()
        (caught.value.event_id or "").encode()
        return
    row = event_from_fields(**parts)
    assert content(row) == content(event)
    encode_json(row)


@given(st.text(max_size=5))
def test_printable_text_is_utf8_and_tells_what_was_not(text: str) -> None:
    shown = printable(text)
    shown.encode()
    assert (shown == text) == (not any("\ud800" <= c <= "\udfff" for c in text))


# ── queries ──────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=150, deadline=None)
@given(RECORD_STRATEGIES[Query])
def test_a_query_row_and_the_schema_read_each_others_json(query: Query) -> None:
    row = QueryRow.of(query)
    assert repr(Query.model_validate_json(row.to_json())) == repr(query)
    assert repr(row.public()) == repr(query)
    assert decode_query(query.to_json()) == decode_query(row.to_json()) == row


# ── predictions ──────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=300, deadline=None)
@given(
    names,
    answers(),
    st.tuples(probabilities, probabilities, probabilities),
    st.integers(0, 2**53),
    numbers,
    st.none() | numbers,
    st.booleans(),
    st.sampled_from(
        ["none", "cold-start", "uncertain", "explore", "random", "already-asked", "queue-full", "quota"]
    ),
)
def test_an_encoded_prediction_is_read_by_the_schema_with_equal_fields(
    event_id: str,
    answer: tuple[Any, dict[Any, float]],
    shares: tuple[float, float, float],
    version: int,
    utility: float,
    threshold: float | None,
    queried: bool,
    reason: str,
) -> None:
    label, table = answer
    row = PredictionRow(
        event_id, label, table, shares[0], shares[1], version, utility, threshold, shares[2], queried, reason
    )
    lines = encode_predictions([row, row])
    line = lines[: len(lines) // 2 - 1]
    assert lines == line + b"\n" + line + b"\n"
    read = Prediction.model_validate_json(line)
    for name in row.__struct_fields__:
        if name != "probabilities":
            assert exact(getattr(read, name)) == exact(getattr(row, name)), name
    assert exact(dict(read.probabilities)) == exact(dict(table))
    assert b"\n" not in line
    assert Prediction.model_validate_json(read.to_json()) == read
