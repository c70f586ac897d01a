"""Hypothesis strategies: records, and the JSON of almost-records, as people and programs really write it."""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from stream_al.records import (
    MAX_INTEGER,
    MAX_NUMBER,
    Amendment,
    DeadLetter,
    Event,
    Example,
    Label,
    Prediction,
    Query,
    Record,
)

# ── values ───────────────────────────────────────────────────────────────────────────────────────

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
numbers = st.floats(-MAX_NUMBER, MAX_NUMBER, allow_nan=False)
integers = st.integers(-MAX_INTEGER - 1, MAX_INTEGER)
values = st.booleans() | integers | numbers | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
features = st.dictionaries(names, values, min_size=1, max_size=6)
zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=zones | st.just(UTC)).map(
    lambda moment: moment.replace(fold=0)  # means nothing in zones that never change
)
probabilities = st.floats(0.0, 1.0)
class_labels = st.sampled_from(["spam", "ham", "1", "true"]) | st.integers(-3, 3) | st.booleans()
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
displays = st.dictionaries(names, json_values, max_size=3)


@st.composite
def answers(draw: st.DrawFn) -> tuple[Any, dict[Any, float]]:
    """A label and the probabilities it stands out of, of one label type."""
    kind = draw(st.sampled_from([names, st.integers(-(2**63), 2**63 - 1), st.booleans()]))
    classes = draw(st.lists(kind, min_size=0, max_size=4, unique=True))
    table = {name: draw(probabilities) for name in sorted(classes)}
    return (max(table, key=table.__getitem__) if table else None), table


# ── records ──────────────────────────────────────────────────────────────────────────────────────

maybe_moments = st.none() | moments
counts = st.integers(0, 2**53)
reasons = st.sampled_from(["none", "cold-start", "uncertain", "explore", "random", "drift", "representative"])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)

RECORD_STRATEGIES: dict[type[Record], st.SearchStrategy[Any]] = {
    Event: st.builds(
        Event,
        id=names,
        features=features,
        timestamp=maybe_moments,
        key=st.none() | names,
        display=st.none() | displays,
    ),
    Prediction: answers().flatmap(
        lambda answer: st.builds(
            Prediction,
            event_id=names,
            label=st.just(answer[0]),
            probabilities=st.just(answer[1]),
            confidence=probabilities,
            margin=probabilities,
            model_version=counts,
            utility=numbers,
            threshold=st.none() | numbers,
            propensity=probabilities,
            queried=st.booleans(),
            reason=reasons,
        )
    ),
    Query: st.builds(
        Query,
        event_id=names,
        features=features,
        display=st.none() | displays,
        key=st.none() | names,
        predicted=st.none() | class_labels,
        probabilities=st.dictionaries(names, probabilities, max_size=3),
        utility=numbers,
        threshold=st.none() | numbers,
        propensity=probabilities,
        reason=reasons,
        model_version=counts,
        event_number=counts,
        asked_at=maybe_moments,
    ),
    Label: st.builds(
        lambda answer, **fields: Label(**answer, **fields),
        answer=st.builds(lambda label: {"label": label}, class_labels)
        | st.sampled_from([{"abstain": "unsure"}, {"abstain": "skip"}]),
        event_id=names,
        annotator=names,
        timestamp=maybe_moments,
    ),
    Example: st.builds(
        Example,
        event_id=names,
        features=features,
        label=class_labels,
        weight=st.floats(1e-9, 1e9),
        propensity=probabilities,
        predicted=st.none() | class_labels,
        annotators=st.lists(names, max_size=3).map(tuple),
        asked_at=maybe_moments,
        labelled_at=maybe_moments,
    ),
    Amendment: st.builds(
        Amendment,
        event_id=names,
        amends=st.none() | counts,
        label=st.none() | class_labels,
        why=names,
        by=names,
        timestamp=maybe_moments,
    ),
    DeadLetter: st.builds(
        DeadLetter,
        source=st.sampled_from(["events", "labels"]),
        position=texts,
        reason=texts,
        detail=texts,
        event_id=st.none() | texts,
        record=texts,
    ),
}

# ── JSON as it comes ─────────────────────────────────────────────────────────────────────────────

_ODD_NUMBERS = [
    "NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e-999", "1e100", "1.1e100", "-0", "-0.0", "01", "1.",
    ".5", "1e", "+1", "9223372036854775807", "9223372036854775808", "-9223372036854775809",
    "18446744073709551616",
    "1" * 30, "1" * 400, "1" * 5000, "0x10", "1_000", "1E5", "1.0", "1", "0",
]  # fmt: skip
_ODD_STRINGS = [
    b'"\\ud800"', b'"\\udc00x"', b'"\\ud800\\ud800"', b'"\\ud83d\\ude00"', b'"\\u0000"', b'"\x00"', b'"\xff"',
    b'"\xed\xa0\x80"', b'"\xc3\xa9"', b'""', b'" "', b'"\\q"', b'"\\u12"', b'"a\nb"', b"'a'", b'"open',
    b'"' + b"x" * 256 + b'"', b'"' + b"x" * 257 + b'"', b'"' + "é".encode() * 256 + b'"',
    b'"' + b"y" * 20_001 + b'"',
]  # fmt: skip
_TIMES = [
    "2026-01-31T12:00:00Z", "2026-01-31T12:00:00+00:00", "2026-01-31 12:00:00Z", "2026-01-31T12:00:00",
    "2026-01-31", "2026-01-31T12:00Z", "2026-01-31T12Z", "2026-01-31T12:00:00.123456789Z",
    "2026-01-31T24:00:00Z",
    "2026-01-31T23:59:60Z", "2026-01-31T12:00:00+0100", "2026-01-31T12:00:00+01", "2026-01-31T12:00:00-00:00",
    "2026-01-31t12:00:00z", "1769860800", "1769860800.5", "1769860800000", "0001-01-01T00:00:00+01:00",
    "9999-12-31T23:59:59-01:00", "9999-12-31T23:59:59.9999999Z", "2026-01-31T12:00:00+25:00",
    "2026-01-31T12:00:00+23:59", "2026-02-30T00:00:00Z", "0000-01-01T00:00:00Z", "", "x", "NaN",
    "2026-01-31_12:00:00Z", "2026-01-31T12:00:00.Z", "2026-01-31T12:00:00,5Z", "2026-01-31T12:00:00.5 Z",
    "20260131T120000Z", "2026-W05-6T12:00:00Z", "-1", "1e3", " 2026-01-31T12:00:00Z", "2026-1-31T12:00:00Z",
    "2026-01-31T12:00:00.0000005Z", "2026-01-31T12:00:00.9999995+02:00", "+2026-01-31T12:00:00Z",
]  # fmt: skip

raw_numbers = (
    st.sampled_from(_ODD_NUMBERS)
    | st.integers().map(str)
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | st.binary(min_size=8, max_size=8).map(
        lambda b: repr(struct.unpack("<d", b)[0]).replace("inf", "Infinity")
    )
).map(str.encode)
raw_strings = st.sampled_from(_ODD_STRINGS) | st.tuples(names, st.booleans()).map(
    lambda pair: json.dumps(pair[0], ensure_ascii=pair[1]).encode()
)
raw_times = st.sampled_from(_TIMES).map(lambda text: json.dumps(text).encode()) | moments.map(
    lambda moment: json.dumps(moment.isoformat()).encode()
)
_gaps = st.sampled_from([b"", b"", b"", b" ", b"\t", b"\r", b"\xa0", b"/**/"])


def _array(items: list[bytes]) -> bytes:
    return b"[" + b",".join(items) + b"]"


def _object(pairs: list[tuple[bytes, bytes]]) -> bytes:
    return b"{" + b",".join(key + b":" + value for key, value in pairs) + b"}"


_scalars = st.sampled_from([b"null", b"true", b"false", b"nul", b""]) | raw_numbers | raw_strings
_nested = st.builds(
    lambda depth, opening, closing: opening * depth + b"1" + closing * depth,
    st.sampled_from([2, 99, 150, 195, 198, 199, 200, 201, 205, 300, 2000]),
    *map(st.just, (b"[", b"]")),
) | st.sampled_from([150, 190, 199, 200, 201, 300]).map(lambda depth: b'{"a":' * depth + b"1" + b"}" * depth)
raw_values: st.SearchStrategy[bytes] = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=3).map(_array)
        | st.lists(st.tuples(raw_strings, inner), max_size=3).map(_object)
    ),
    max_leaves=5,
)
_feature_pairs = st.tuples(
    st.sampled_from([b'"a"', b'"a"', b'"b"', b'"\xc3\xa9"']) | raw_strings, raw_numbers | raw_values
)
_good_features = st.just(b'{"a":1.5,"b":2}') | features.map(lambda found: json.dumps(found).encode())
raw_features = _good_features | st.lists(_feature_pairs, max_size=3).map(_object) | raw_values

_FIELDS: dict[str, st.SearchStrategy[bytes]] = {
    "features": raw_features,
    "id": st.sampled_from([b'"e1"', b"7", b"null"]) | raw_values,
    "timestamp": raw_times | st.just(b"null") | raw_numbers | raw_values,
    "key": st.sampled_from([b'"k"', b"null"]) | raw_values,
    "display": (
        displays.map(lambda found: json.dumps(found).encode())
        | raw_values
        | st.tuples(st.just(b'"x"'), raw_values | _nested).map(lambda pair: _object([pair]))
    ),
    "schema_version": st.sampled_from([b"1", b"2", b"1.0", b"true", b'"1"', b"null"]),
    "junk": raw_values | _nested,
    "schema": raw_values,
}


_shares = st.sampled_from([b"0", b"1", b"0.5", b"1e-400", b"1.5", b"-0.0", b'"0.5"', b"true", b"null"])
_labels = st.sampled_from([b'"ham"', b"1", b"true", b"1.0", b"null"]) | raw_numbers | raw_values
_LOGGED: dict[str, st.SearchStrategy[bytes]] = {
    "features": raw_features,
    "event_id": st.sampled_from([b'"e1"', b"7", b"null"]) | raw_values,
    "label": _labels,
    "weight": _shares | raw_numbers | raw_values,
    "propensity": _shares | raw_numbers | raw_values,
    "predicted": _labels,
    "confidence": _shares | raw_numbers | raw_values,
    "annotators": st.lists(raw_strings, max_size=3).map(_array) | raw_values,
    "asked_at": raw_times | st.just(b"null") | raw_numbers | raw_values,
    "labelled_at": raw_times | st.just(b"null") | raw_numbers | raw_values,
    "propagated_from": st.sampled_from([b'"e0"', b"null"]) | raw_values,
    "schema_version": _FIELDS["schema_version"],
    "amends": st.sampled_from([b"null", b"0", b"-1", b'"0"']) | raw_values,
    "why": st.sampled_from([b'"misread"', b'""']) | raw_values,
    "by": raw_strings,
    "junk": raw_values | _nested,
}


def raw_events() -> st.SearchStrategy[bytes]:
    """Bytes that are an event, or nearly."""
    return _raw(_FIELDS, [(b'"features"', _good_features)])


def raw_logged() -> st.SearchStrategy[bytes]:
    """Bytes that are an example or an amendment, or nearly."""
    event = (b'"event_id"', st.just(b'"e1"'))
    example = [
        event,
        (b'"features"', _good_features),
        (b'"label"', st.sampled_from([b'"ham"', b"1", b"true"])),
    ]
    amendment = [event, (b'"amends"', st.just(b"3")), (b'"why"', st.just(b'"misread"'))]
    return _raw(_LOGGED, example) | _raw(_LOGGED, amendment)


@st.composite
def _raw(
    draw: st.DrawFn,
    fields: dict[str, st.SearchStrategy[bytes]],
    needed: list[tuple[bytes, st.SearchStrategy[bytes]]],
) -> bytes:
    pairs = [(key, draw(value)) for key, value in needed] if draw(st.booleans()) else []
    for name in draw(st.lists(st.sampled_from(sorted(fields)), max_size=4)):
        key = draw(
            st.just(f'"{name}"'.encode())
            | st.just(b'"' + b"\\u%04x" % ord(name[0]) + name[1:].encode() + b'"')
        )
        pairs.append((key, draw(fields[name])))
    pairs = draw(st.permutations(pairs))
    line = b"{" + b",".join(k + draw(_gaps) + b":" + draw(_gaps) + v for k, v in pairs) + b"}"
    return (
        draw(st.sampled_from([b"", b"", b"", b"", b" ", b"\xef\xbb\xbf"]))
        + line
        + draw(st.sampled_from([b"", b"", b"", b"", b" ", b"x", b"}", b","]))
    )


def damaged_events() -> st.SearchStrategy[bytes]:
    """An event of which a byte was lost, changed or added, or the end."""
    return damaged(raw_events())


@st.composite
def damaged(draw: st.DrawFn, lines: st.SearchStrategy[bytes]) -> bytes:
    """A line of which a byte was lost, changed or added, or the end."""
    line = bytearray(draw(lines))
    at = draw(st.integers(0, len(line)))
    how = draw(st.sampled_from(["cut", "change", "insert", "drop"]))
    if how == "cut":
        del line[at:]
    elif how == "insert":
        line[at:at] = draw(st.binary(min_size=1, max_size=2))
    elif at < len(line):
        line[at : at + 1] = draw(st.binary(min_size=1, max_size=1)) if how == "change" else b""
    return bytes(line)
