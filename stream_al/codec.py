"""The codec of every event: bytes to event, prediction to bytes, without building pydantic models.

The verdict on an input is pydantic's (`stream_al.records`). msgspec decodes in less than half the time, so
it goes first; whatever it does not accept is handed to pydantic, which accepts it after all (a timestamp
written another way) or says what is wrong. So the two can only differ where msgspec accepts, and that a
property test excludes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from pydantic import ValidationError

from stream_al.errors import RecordError
from stream_al.records import (
    MAX_FEATURES,
    MAX_INTEGER,
    MAX_NAME,
    MAX_NUMBER,
    MAX_TEXT,
    SCHEMA_VERSION,
    Event,
    FeatureValue,
    record_error,
)

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)]
_Value = (
    bool
    | Annotated[int, msgspec.Meta(ge=-MAX_INTEGER - 1, le=MAX_INTEGER)]
    | Annotated[float, msgspec.Meta(ge=-MAX_NUMBER, le=MAX_NUMBER)]
    | Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]
)


class EventRow(msgspec.Struct, gc=False, omit_defaults=True):
    """An event on its way through the pipeline: the same fields as `stream_al.records.Event`."""

    features: Annotated[dict[_Name, _Value], msgspec.Meta(min_length=1, max_length=MAX_FEATURES)]
    id: _Name | Annotated[int, msgspec.Meta(ge=-MAX_INTEGER - 1, le=MAX_INTEGER)] = ""
    timestamp: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    key: _Name | None = None
    display: dict[str, Any] | None = None
    schema_version: Annotated[int, msgspec.Meta(ge=SCHEMA_VERSION, le=SCHEMA_VERSION)] = SCHEMA_VERSION

    @classmethod
    def of(cls, event: Event) -> EventRow:
        """Return the row of a validated event."""
        return cls(event.features, event.id, event.timestamp, event.key, event.display)


class PredictionRow(msgspec.Struct, gc=False):
    """A prediction on its way out: the same fields as `stream_al.records.Prediction`."""

    event_id: str
    label: str | int | bool | None
    probabilities: Mapping[Any, float]
    confidence: float
    margin: float
    model_version: int
    utility: float
    threshold: float | None
    propensity: float
    queried: bool
    reason: str
    schema_version: int = SCHEMA_VERSION


_decode = msgspec.json.Decoder(EventRow).decode
_encoder = msgspec.json.Encoder()
encode_event = _encoder.encode
encode_json: Final = _encoder.encode
decode_json: Final = msgspec.json.Decoder().decode


def decode_event(line: bytes, default_id: str) -> EventRow:
    """Read one event from one line of JSON.

    Parameters
    ----------
    line
        A JSON object with ``features`` and, each optional, ``id``, ``timestamp``, ``key``, ``display``.
    default_id
        The id of a record that brings none; sources derive it from the record's place.

    Raises
    ------
    RecordError
        When the line is not an event; names the field and the remedy.

    Examples
    --------
    >>> decode_event(b'{"features": {"a": 1.5}}', "stdin:1")
    EventRow(features={'a': 1.5}, id='stdin:1', timestamp=None, key=None, display=None, schema_version=1)
    """
    try:
        row = _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _decode_slowly(line, default_id)
    if type(row.id) is int:
        row.id = str(row.id)
    elif not row.id:
        row.id = default_id
    if row.timestamp is not None and row.timestamp.tzinfo is not UTC:
        row.timestamp = row.timestamp.astimezone(UTC)
    return row


def _decode_slowly(line: bytes, default_id: str) -> EventRow:
    try:
        content = decode_json(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError("malformed-json", f"not JSON: {error}; write one JSON object a line") from None
    if not isinstance(content, dict):
        raise RecordError("malformed-json", 'not a JSON object; write {"features": {…}}')
    try:
        if content.get("id") is None:
            return EventRow.of(Event.model_validate_json(_encoder.encode({**content, "id": default_id})))
        return EventRow.of(Event.model_validate_json(line))
    except ValidationError as error:
        wrong = record_error(error)
        wrong.event_id = str(content["id"])[:MAX_NAME] if content.get("id") is not None else default_id
        raise wrong from None


def event_from_fields(
    features: dict[str, FeatureValue],
    event_id: str,
    timestamp: str | None = None,
    key: str | None = None,
) -> EventRow:
    """Return the row of an event whose parts were read from something else than JSON records.

    Raises
    ------
    RecordError
        As `decode_event`.
    """
    try:
        row = msgspec.convert(
            {"features": features, "id": event_id, "timestamp": timestamp, "key": key}, EventRow
        )
    except msgspec.ValidationError:
        try:
            event = Event.model_validate(
                {"features": features, "id": event_id, "timestamp": timestamp, "key": key}
            )
        except ValidationError as error:
            wrong = record_error(error)
            wrong.event_id = event_id or None
            raise wrong from None
        return EventRow.of(event)
    if not all(value == value and abs(value) <= MAX_NUMBER for value in features.values() if type(value) is float):
        raise RecordError("not-finite", "features: numbers must be finite; leave a missing value out", event_id)
    if row.timestamp is not None:
        row.timestamp = row.timestamp.astimezone(UTC)
    return row


def encode_prediction(row: PredictionRow) -> bytes:
    """Write a prediction as one line of JSON (without its line end), exactly as `Prediction` reads it."""
    if type(row.label) is bool:
        row = msgspec.structs.replace(
            row, probabilities={("true" if c else "false"): p for c, p in row.probabilities.items()}
        )
    return _encoder.encode(row)
