"""The codec of every event: bytes to event, prediction to bytes, without building pydantic models.

The verdict on an input is pydantic's (`stream_al.records`). msgspec decodes in less than half the time, so
it goes first; whatever it does not accept is handed to pydantic, which accepts it after all (a timestamp
written another way, a field of a later version) or says what is wrong. So the two can only differ where
msgspec accepts, and that a property test excludes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from pydantic import ValidationError
from pydantic_core import from_json

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
    Name,
    Query,
    record_error,
)

WireName = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)]
WireInteger = Annotated[int, msgspec.Meta(ge=-MAX_INTEGER - 1, le=MAX_INTEGER)]
WireValue = (
    bool
    | WireInteger
    | Annotated[float, msgspec.Meta(ge=-MAX_NUMBER, le=MAX_NUMBER)]
    | Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]
)
WireFeatures = Annotated[dict[WireName, WireValue], msgspec.Meta(min_length=1, max_length=MAX_FEATURES)]
WireTime = Annotated[datetime, msgspec.Meta(tz=True)]
WireVersion = Annotated[int, msgspec.Meta(ge=SCHEMA_VERSION, le=SCHEMA_VERSION)]


# Unknown fields are forbidden to msgspec, because it would pass over them without looking: not UTF-8, nested
# deeper than pydantic reads. pydantic then ignores them.
class EventRow(msgspec.Struct, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """An event on its way through the pipeline: the same fields as `stream_al.records.Event`."""

    features: WireFeatures
    id: WireName | WireInteger = ""
    timestamp: WireTime | None = None
    key: WireName | None = None
    display: dict[str, Any] | None = None
    schema_version: WireVersion = SCHEMA_VERSION

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


class QueryRow(msgspec.Struct, gc=False):
    """A query inside the pipeline: the same fields as `stream_al.records.Query`."""

    event_id: str
    features: dict[str, Any]
    display: dict[str, Any] | None
    key: str | None
    predicted: str | int | bool | None
    probabilities: dict[str, float]
    utility: float
    threshold: float | None
    propensity: float
    reason: str
    model_version: int
    event_number: int
    asked_at: datetime | None = None
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def of(cls, query: Query) -> QueryRow:
        """Return the row of a validated query."""
        return cls(**{name: getattr(query, name) for name in cls.__struct_fields__})

    def public(self) -> Query:
        """Return the query as others see it."""
        return Query.model_validate({name: getattr(self, name) for name in self.__struct_fields__})

    def to_json(self) -> bytes:
        """Write the query as one line of JSON (no line end), exactly as `Query` reads it."""
        return _encoder.encode(self)


decode_query: Final = msgspec.json.Decoder(QueryRow).decode
_decode = msgspec.json.Decoder(EventRow).decode
_encoder = msgspec.json.Encoder()
encode_json: Final = _encoder.encode
encode_lines: Final = _encoder.encode_lines
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
    (row,) = decode_events([line])
    if isinstance(row, RecordError):
        row.event_id = row.event_id or default_id
        raise row
    row.id = row.id or default_id
    return row


def decode_events(lines: Iterable[bytes]) -> list[EventRow | RecordError]:
    """Return each line's event, or what is wrong with it; the path of every event.

    An event that brings no id has the id ``""``, and so has the error: whoever read the lines knows their places.
    """
    decode = _decode
    found: list[EventRow | RecordError] = []
    for line in lines:
        try:
            row = decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            found.append(_decode_slowly(line))
            continue
        if row.display is None and row.timestamp is None and type(row.id) is str:  # nearly all
            found.append(row)
        else:
            found.append(_checked(row, line))
    return found


def _checked(row: EventRow, line: bytes) -> EventRow | RecordError:
    """Return a row as pydantic would have it, in those points that msgspec leaves to us."""
    if row.display is not None and line.count(b"{") + line.count(b"[") > _NESTED:
        return _decode_slowly(line)
    if type(row.id) is int:
        row.id = str(row.id)
    if row.timestamp is not None and row.timestamp.tzinfo is not UTC:
        try:
            row.timestamp = row.timestamp.astimezone(UTC)
        except OverflowError:
            return _decode_slowly(line)
    return row


_NESTED: Final = 100
"""pydantic reads JSON up to 200 levels deep; with fewer brackets than this nothing can be."""


class _MaybeAnonymous(Event):
    """An event that need not bring an id."""

    id: Name | None = None  # type: ignore[assignment]


def _decode_slowly(line: bytes) -> EventRow | RecordError:
    try:
        row = EventRow.of(_MaybeAnonymous.model_validate_json(line))
    except ValidationError as error:
        wrong = record_error(error)
        wrong.event_id = _told_id(line)
        return wrong
    row.id = row.id or ""
    return row


def _told_id(line: bytes) -> str:
    """Return the id that an unusable line gives, if that can be made out."""
    try:
        content = from_json(line)
    except ValueError:
        return ""
    found = content.get("id") if isinstance(content, dict) else None
    return str(found)[:MAX_NAME] if isinstance(found, str | int) else ""


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
    fields = {"features": features, "id": event_id, "timestamp": timestamp, "key": key}
    try:
        row = msgspec.convert(fields, EventRow)
        encode_json(row)  # fails for lone surrogates, which Python's text may hold
        if row.timestamp is not None:
            row.timestamp = row.timestamp.astimezone(UTC)
        if row.id:
            return row
    except (msgspec.ValidationError, UnicodeEncodeError, OverflowError):
        pass
    try:
        return EventRow.of(Event.model_validate(fields))
    except ValidationError as error:
        wrong = record_error(error)
        wrong.event_id = printable(event_id) or None
        raise wrong from None


def printable(text: str) -> str:
    """Return a text as UTF-8 can hold it: lone surrogates (of undecodable file names, say) as backslashes."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def encode_predictions(rows: list[PredictionRow]) -> bytes:
    """Write predictions as lines of JSON, each exactly as `Prediction` reads it."""
    try:
        return encode_lines(rows)
    except TypeError:  # JSON has no booleans for keys
        return encode_lines([_with_text_keys(row) for row in rows])


def _with_text_keys(row: PredictionRow) -> PredictionRow:
    if type(row.label) is not bool:
        return row
    probabilities = {("true" if label else "false"): p for label, p in row.probabilities.items()}
    return msgspec.structs.replace(row, probabilities=probabilities)
