"""The records are frozen, tolerant of what they do not know, strict about what they do, and JSON."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from strategies_of_data import (
    RECORD_STRATEGIES,
    moments,
    names,
    raw_times,
)

from stream_al.errors import RecordError
from stream_al.records import (
    RECORDS,
    Event,
    Label,
    Record,
    json_schema,
    parse_label,
)

any_record = st.one_of(*RECORD_STRATEGIES.values())


def read_label(line: bytes) -> Label | RecordError:
    try:
        return parse_label(line)
    except RecordError as error:
        return error


def test_every_record_has_a_strategy_here() -> None:
    assert set(RECORD_STRATEGIES) == set(RECORDS)


@settings(max_examples=300, deadline=None)
@given(any_record)
def test_a_record_survives_its_json(record: Record) -> None:
    line = record.to_json()
    again = type(record).model_validate_json(line)
    assert again == record
    assert repr(again) == repr(record)  # 1 and True and 1.0 are equal, and are not the same
    assert again.to_json() == line
    assert b"\n" not in line


@settings(max_examples=60, deadline=None)
@given(any_record, st.dictionaries(names.map("x_".__add__), st.just(1), min_size=1, max_size=2))
def test_unknown_fields_are_ignored(record: Record, unknown: dict[str, int]) -> None:
    line = json.dumps({**json.loads(record.to_json()), **unknown})
    assert type(record).model_validate_json(line) == record


@settings(max_examples=60, deadline=None)
@given(any_record)
def test_records_are_frozen(record: Record) -> None:
    for name in type(record).model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(record, name, getattr(record, name))


@settings(max_examples=60, deadline=None)
@given(any_record, st.sampled_from([0, 2, -1, "1", None, 1.5]))
def test_another_schema_version_is_refused(record: Record, version: object) -> None:
    line = json.dumps({**json.loads(record.to_json()), "schema_version": version})
    with pytest.raises(ValidationError, match="schema_version"):
        type(record).model_validate_json(line)


@settings(max_examples=100, deadline=None)
@given(moments)
def test_timestamps_are_turned_to_utc(moment: datetime) -> None:
    event = Event(id="e", features={"a": 1}, timestamp=moment)
    assert event.timestamp == moment
    assert event.timestamp is not None
    assert event.timestamp.tzinfo is UTC
    assert Event.model_validate_json(event.to_json()).timestamp == moment
    assert json.loads(event.to_json())["timestamp"].endswith("Z")


@settings(max_examples=100, deadline=None)
@given(raw_times)
def test_a_time_is_utc_or_refused_and_never_raises_anything_else(text: bytes) -> None:
    line = b'{"event_id":"e","label":"x","timestamp":' + text + b"}"
    label = read_label(line)
    if isinstance(label, RecordError):
        assert "timestamp" in label.detail
        assert label.event_id == "e"
    else:
        assert label.timestamp is None or label.timestamp.tzinfo is UTC


def test_times_that_utc_cannot_hold_and_times_without_a_zone_are_refused() -> None:
    east = timezone(timedelta(hours=1))
    for moment in (datetime(1, 1, 1, tzinfo=east), datetime(2026, 1, 31)):
        with pytest.raises(ValidationError, match="timestamp"):
            Event(id="e", features={"a": 1}, timestamp=moment)


def test_the_json_schema_of_every_record_is_exported() -> None:
    schemas = json_schema()
    assert set(schemas) == {"event", "prediction", "query", "label", "example", "amendment", "deadletter"}
    for name, schema in schemas.items():
        json.dumps(schema)
        assert schema["type"] == "object", name
    assert schemas["event"]["required"] == ["id", "features"]
    assert "default" not in schemas["label"]["properties"]["event_id"]


@pytest.mark.parametrize(
    "features",
    [
        {},
        {"a": math.nan},
        {"a": math.inf},
        {"a": 1e101},
        {"a": None},
        {"a": [1]},
        {"": 1},
        {"a": "\ud800"},
        {"\ud800": 1},
    ],
)
def test_features_that_would_harm_a_model_are_refused(features: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="features"):
        Event(id="e", features=features)


@pytest.mark.parametrize("display", [{"a": math.nan}, {"a": ["\ud800"]}, {"a": object()}, {"a": {1: 2}}])
def test_a_display_is_json(display: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="display"):
        Event(id="e", features={"a": 1}, display=display)


def test_the_three_spellings_of_one_are_three_labels() -> None:
    labels = [Label(event_id="e", label=label) for label in (1, True, "1")]
    read = [parse_label(label.to_json()).label for label in labels]
    assert [type(label) for label in read] == [int, bool, str]


@pytest.mark.parametrize(
    ("line", "reason", "told"),
    [
        (b'{"event_id":"e"}', "contradiction", 'give either "label"'),
        (b'{"event_id":"e","label":"x","abstain":"skip"}', "contradiction", 'give either "label"'),
        (
            b'{"event_id":"e","label":1.5}',
            "wrong-type",
            "label: a number with a fraction is not allowed here",
        ),
        (
            b'{"event_id":"e","label":[]}',
            "wrong-type",
            "label: a list is not allowed here; a class is a text",
        ),
        (b'{"event_id":"e","label":""}', "empty-text", "label"),
        (b'{"event_id":"e","abstain":"maybe"}', "not-allowed", "abstain: Input should be 'unsure' or 'skip'"),
        (b'{"label":"x"}', "missing-field", "event_id: Field required"),
        (b'{"event_id":"e","label":"\\ud800"}', "malformed-json", "write one JSON object a line"),
        (b'{"event_id":"e","label":"\xff"}', "malformed-json", "write one JSON object a line"),
        (b"17", "malformed-json", "write one JSON object a line"),
    ],
)
def test_an_unusable_label_is_refused_with_field_and_remedy(line: bytes, reason: str, told: str) -> None:
    with pytest.raises(RecordError) as caught:
        parse_label(line)
    assert caught.value.reason == reason
    assert told in caught.value.detail


def test_an_unusable_label_names_its_event_where_it_can_be_made_out() -> None:
    for line, event_id in [
        (b'{"event_id":"e","label":1.5}', "e"),
        (b'{"event_id":7,"label":1.5}', "7"),
        (b'{"label":"x"}', None),
        (b'{"event_id":"e"', None),
    ]:
        with pytest.raises(RecordError) as caught:
            parse_label(line)
        assert caught.value.event_id == event_id


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_random_bytes_are_no_label_and_raise_nothing_else(line: bytes) -> None:
    label = read_label(line)
    assert isinstance(label, RecordError)
    assert label.reason in ("malformed-json", "missing-field")  # the latter when they happen to be ``{}``
