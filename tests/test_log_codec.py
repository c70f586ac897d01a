"""The fast codec of the log and the pydantic schema give the same verdict on every input."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_of_data import RECORD_STRATEGIES, damaged, raw_logged

from stream_al.amendments import relabelled
from stream_al.errors import RecordError
from stream_al.log_codec import ExampleRow, decode_logged
from stream_al.records import MAX_NAME, Amendment, Example, parse_logged

T = TypeVar("T")


def exact(value: Any) -> Any:
    """A value that equals another only if both have the same types and bits."""
    if isinstance(value, dict):
        return {key: exact(inner) for key, inner in value.items()}, list(value)
    return type(value).__name__, repr(value)


def content(record: ExampleRow | Example | Amendment) -> dict[str, Any]:
    names = Amendment.model_fields if isinstance(record, Amendment) else ExampleRow.__struct_fields__
    return {name: exact(getattr(record, name)) for name in names}


def verdict(read: Callable[[bytes | str], T], line: bytes | str) -> T | RecordError:
    try:
        return read(line)
    except RecordError as error:
        return error


def assert_same_verdict(line: bytes | str) -> None:
    expected, found = verdict(parse_logged, line), verdict(decode_logged, line)
    if isinstance(expected, RecordError) or isinstance(found, RecordError):
        assert repr(found) == repr(expected)
        return
    assert isinstance(found, Amendment if isinstance(expected, Amendment) else ExampleRow)
    assert content(found) == content(expected)
    assert found.to_json() == expected.to_json()


@settings(max_examples=800, deadline=None)
@given(raw_logged())
def test_near_valid_records_have_the_same_verdict_and_content_as_the_schema(line: bytes) -> None:
    assert_same_verdict(line)


@settings(max_examples=300, deadline=None)
@given(damaged(raw_logged()) | st.binary(max_size=40))
def test_damaged_records_have_the_same_verdict_as_the_schema(line: bytes) -> None:
    assert_same_verdict(line)


@pytest.mark.slow
@settings(max_examples=15_000, deadline=None)
@given(raw_logged() | damaged(raw_logged()))
def test_many_records_have_the_same_verdict_as_the_schema(line: bytes) -> None:
    assert_same_verdict(line)


@settings(max_examples=200, deadline=None)
@given(RECORD_STRATEGIES[Example] | RECORD_STRATEGIES[Amendment])
def test_what_a_pipeline_wrote_is_read_as_it_was_from_bytes_and_from_text(
    record: Example | Amendment,
) -> None:
    line = record.to_json()
    assert_same_verdict(line)
    assert_same_verdict(line.decode())
    if isinstance(record, Example):
        row = decode_logged(line)
        assert isinstance(row, ExampleRow)
        assert row == ExampleRow.of(record)
        assert row.public() == record
        for moment in (row.asked_at, row.labelled_at):
            assert moment is None or moment.tzinfo is UTC


@pytest.mark.parametrize(
    "features",
    [
        '{"":1}',
        '{"%s":1}' % ("x" * MAX_NAME),
        '{"%s":1}' % ("x" * (MAX_NAME + 1)),
        '{"%s":1,"a":2}' % ("é" * (MAX_NAME + 1)),
        json.dumps({"x" * 200: 1, "y" * 200: 2}),
        "{}",
        json.dumps({f"f{n}": 1 for n in range(10_000)}),
        json.dumps({f"f{n}": 1 for n in range(10_001)}),
        '{"a":1e101}',
        '{"a":NaN}',
        '{"a":"\\ud800"}',
        '{"amends":1}',
    ],
)
def test_features_have_the_same_verdict_as_the_schema(features: str) -> None:
    assert_same_verdict('{"event_id":"e1","label":"ham","features":' + features + "}")


@given(RECORD_STRATEGIES[Example], st.none() | st.sampled_from(["spam", 7, True]))
def test_a_row_is_relabelled_as_an_example_is(example: Example, label: Any) -> None:
    row = relabelled(ExampleRow.of(example), label)
    expected = relabelled(example, label)
    assert (row is None) == (expected is None) == (label is None)
    if row is not None and expected is not None:
        assert content(row) == content(expected)
