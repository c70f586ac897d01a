"""The records that travel between a stream, a model and the people who teach it.

These pydantic models are the public types *and* the schema of the wire (see `json_schema`). They are
frozen, unknown fields are ignored on input, numbers must be finite, and timestamps are UTC. The path of
every event uses the faster `stream_al.codec`, which a property test holds to the verdicts given here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

import msgspec
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError, from_json

from stream_al.errors import RecordError

if TYPE_CHECKING:  # it imports this module
    from stream_al.log_codec import ExampleRow

SCHEMA_VERSION: Final = 1

MAX_NUMBER: Final = 1e100
"""Larger magnitudes overflow the squares and products that models keep (a learned 1e308 breaks trees)."""
MAX_INTEGER: Final = 2**63 - 1
MAX_NAME: Final = 256
"""Characters in an id, a feature's name, a class label or an annotator's name."""
MAX_TEXT: Final = 20_000
"""Characters in a text feature."""
MAX_FEATURES: Final = 10_000

Name = Annotated[StrictStr, Field(min_length=1, max_length=MAX_NAME)]


def _integer_as_text(value: object) -> object:
    """Let an id be an integer, as it is in many tables."""
    return str(value) if type(value) is int else value


def _read_time(value: object) -> object:
    """Let msgspec read a time first, as the codec does: of a seventh decimal it rounds, pydantic cuts."""
    if isinstance(value, str):
        try:
            return msgspec.convert(value, datetime)
        except msgspec.ValidationError:
            pass  # pydantic knows more spellings, and says what is wrong
    return value


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("the year is outside 1 to 9999 in UTC") from None


Timestamp = Annotated[AwareDatetime, BeforeValidator(_read_time), AfterValidator(_utc)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Probability = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]

ClassLabel: TypeAlias = str | int | bool
"""A class. One pipeline has one label type, and ``1``, ``True`` and ``"1"`` are three different labels."""

FeatureValue: TypeAlias = float | int | bool | str
Features: TypeAlias = Mapping[str, FeatureValue]

Integer = Annotated[StrictInt, Field(ge=-MAX_INTEGER - 1, le=MAX_INTEGER)]
LabelField = StrictBool | Integer | Name
_Number = Annotated[StrictFloat, Field(ge=-MAX_NUMBER, le=MAX_NUMBER, allow_inf_nan=False)]
FeaturesField = Annotated[
    dict[Name, StrictBool | Integer | _Number | Annotated[StrictStr, Field(max_length=MAX_TEXT)]],
    Field(min_length=1, max_length=MAX_FEATURES),
]


def _printable(display: dict[str, JsonValue]) -> dict[str, JsonValue]:
    try:
        json.dumps(display, allow_nan=False, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise PydanticCustomError("string_unicode", "text must be Unicode without lone surrogates") from None
    except ValueError:
        raise PydanticCustomError("finite_number", "numbers must be finite") from None
    return display


Display = Annotated[dict[str, JsonValue], AfterValidator(_printable)]

Reason: TypeAlias = Literal[
    "none", "cold-start", "uncertain", "explore", "random", "drift", "representative",
    "already-asked", "queue-full", "grouped", "window", "rate-limit", "cost-limit", "slow-answers", "quota",
    "flood", "near-duplicate", "outlier",
]  # fmt: skip
"""Why an event was asked about, or why it could not be."""


class Record(BaseModel):
    """What all records share."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: Literal[1] = SCHEMA_VERSION

    def to_json(self) -> bytes:
        """Write the record as one line of JSON (no line end), fields in the order of the schema."""
        return self.model_dump_json().encode()


class Event(Record):
    """One unlabelled instance of the stream.

    Examples
    --------
    >>> Event(id="tx-1", features={"amount": 12.5, "country": "FR"}).features["amount"]
    12.5
    """

    id: Name
    features: FeaturesField
    timestamp: Timestamp | None = None
    key: Name | None = None
    display: Display | None = None
    """What the annotator is shown beside or instead of the features; the model never sees it."""

    _integer_ids = field_validator("id", mode="before")(_integer_as_text)


class Prediction(Record):
    """The model's answer to one event, and the decision whether to ask about it."""

    event_id: Name
    label: LabelField | None
    """The most probable class; of equally probable ones the smallest. None while nothing is known."""
    probabilities: dict[LabelField, Probability]
    confidence: Probability
    margin: Probability
    model_version: Annotated[int, Field(ge=0)]
    utility: Number
    threshold: Number | None
    propensity: Probability
    queried: bool
    reason: Reason

    @field_validator("probabilities", mode="before")
    @classmethod
    def _typed_keys(cls, value: object, info: Any) -> object:
        """JSON has only text keys: give them the type of the label."""
        label = info.data.get("label")
        if not isinstance(value, Mapping) or isinstance(label, str) or label is None:
            return value
        if isinstance(label, bool):
            return {
                {"true": True, "false": False}.get(k, k) if isinstance(k, str) else k: p
                for k, p in value.items()
            }
        return {int(k) if isinstance(k, str) and k.lstrip("-").isdigit() else k: p for k, p in value.items()}


class Query(Record):
    """A request for an event's label. It carries the features, so that learning needs nothing else."""

    event_id: Name
    features: FeaturesField
    display: Display | None = None
    key: Name | None = None
    predicted: LabelField | None
    probabilities: dict[str, Probability]
    """By the text of the class: what an annotator may be shown."""
    utility: Number
    threshold: Number | None
    propensity: Probability
    reason: Reason
    model_version: Annotated[int, Field(ge=0)]
    event_number: Annotated[int, Field(ge=0)]
    """How many events this pipeline had answered before this one."""
    asked_at: Timestamp | None = None


class Label(Record):
    """One annotator's answer: a class, or an abstention.

    Examples
    --------
    >>> Label(event_id="tx-1", label="fraud", annotator="ann").label
    'fraud'
    >>> Label(event_id="tx-1", abstain="unsure", annotator="bob").label is None
    True
    """

    event_id: Name
    label: LabelField | None = None
    abstain: Literal["unsure", "skip"] | None = None
    annotator: Name = "anonymous"
    timestamp: Timestamp | None = None
    only_this: StrictBool = False
    """Whether it is of this event only, and not of those that were grouped with it (`stream_al.groups`)."""

    _integer_ids = field_validator("event_id", mode="before")(_integer_as_text)

    @model_validator(mode="after")
    def _one_answer(self) -> Label:
        if (self.label is None) == (self.abstain is None):
            raise ValueError('give either "label" (a class) or "abstain" ("unsure" or "skip")')
        return self


class Example(Record):
    """A query matched with its agreed label: what the model learns from, in the order of the log."""

    event_id: Name
    features: FeaturesField
    label: LabelField
    weight: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] = 1.0
    propensity: Probability = 1.0
    predicted: LabelField | None = None
    """The model's answer when it asked: what makes an honest live accuracy possible."""
    confidence: Probability | None = None
    """How sure the model was of that."""
    annotators: tuple[Name, ...] = ()
    asked_at: Timestamp | None = None
    labelled_at: Timestamp | None = None
    propagated_from: Name | None = None
    """The event whose label this is, where nobody labelled this one (`stream_al.pool`, `stream_al.groups`)."""


class Amendment(Record):
    """A later record of the log of examples, which corrects or erases an example of it.

    The model is then the fold of the log without it, exactly: as if the example had had this label from the
    beginning, or had never been there. Of several amendments of one example the last counts.

    Examples
    --------
    >>> Amendment(event_id="tx-1", label="ham", why="misread", by="ann").erases
    False
    >>> Amendment(event_id="tx-1", why="erased on request").erases
    True
    """

    event_id: Name
    amends: Annotated[int, Field(ge=0)] | None = None
    """The number of the example in the log; None for the last one of this event that is before the amendment."""
    label: LabelField | None = None
    """The corrected class; None erases the example."""
    why: Annotated[StrictStr, Field(min_length=1, max_length=MAX_TEXT)]
    by: Name = "anonymous"
    timestamp: Timestamp | None = None
    propagated_from: Name | None = None
    """The event whose label this one's follows; None where somebody decided about this event itself."""

    _integer_ids = field_validator("event_id", mode="before")(_integer_as_text)

    @property
    def erases(self) -> bool:
        """Whether the example is taken out, and not given another label."""
        return self.label is None


LoggedExample: TypeAlias = "Example | ExampleRow"
"""An example, or the row of one that was read from the log."""

LogRecord: TypeAlias = "LoggedExample | Amendment"
"""What the log of examples holds."""


class DeadLetter(Record):
    """A record that could not be used, and why."""

    source: Literal["events", "labels"]
    position: str
    """Where it stood, for example ``"answers.jsonl:17"``."""
    reason: str
    detail: str
    event_id: str | None = None
    record: str
    """The record itself; what is not UTF-8 is written with backslashes, what is oversized is cut."""


RECORDS: Final[tuple[type[Record], ...]] = (
    Event, Prediction, Query, Label, Example, Amendment, DeadLetter,
)  # fmt: skip


def class_text(label: ClassLabel) -> str:
    """Return a class as text: as a key of ``probabilities`` is written, and as people read it.

    Examples
    --------
    >>> class_text(True), class_text(1), class_text("spam")
    ('true', '1', 'spam')
    """
    return str(label).lower() if isinstance(label, bool) else str(label)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of every record, by its name in lower case."""
    return {record.__name__.lower(): record.model_json_schema() for record in RECORDS}


def parse_label(line: bytes | str) -> Label:
    """Read a `Label` from JSON.

    Raises
    ------
    RecordError
        Naming the field and the remedy.
    """
    try:
        return Label.model_validate_json(line)
    except ValidationError as error:
        wrong = record_error(error)
        wrong.event_id = _event_id(line)
        raise wrong from None


def parse_answer(line: bytes | str) -> Label | Amendment:
    """Read what people send: a `Label`, or, when it has the field ``amends`` (it may be null), an `Amendment`.

    Raises
    ------
    RecordError
        Naming the field and the remedy.
    """
    if not _amends(line):
        return parse_label(line)
    try:
        return Amendment.model_validate_json(line)
    except ValidationError as error:
        wrong = record_error(error)
        wrong.event_id = _event_id(line)
        raise wrong from None


def parse_logged(line: bytes | str) -> Example | Amendment:
    """Read a record of the log of examples; `stream_al.log_codec.decode_logged` does it faster.

    Raises
    ------
    RecordError
        Naming the field and the remedy.
    """
    try:
        return (Amendment if _amends(line) else Example).model_validate_json(line)
    except ValidationError as error:
        raise record_error(error) from None


def _amends(line: bytes | str) -> bool:
    """Tell whether a line is meant as an amendment."""
    if (b'"amends"' if isinstance(line, bytes) else '"amends"') not in line:  # type: ignore[operator]
        return False
    try:
        content = from_json(line)
    except ValueError:
        return False
    return isinstance(content, dict) and "amends" in content and "features" not in content


def _event_id(line: bytes | str) -> str | None:
    """Return what an unusable label says it is about, if that can be made out."""
    try:
        content = from_json(line)
    except ValueError:
        return None
    found = content.get("event_id") if isinstance(content, dict) else None
    return str(found)[:MAX_NAME] if isinstance(found, str | int) else None


_REASONS: Final = {
    "json_invalid": "malformed-json",
    "model_type": "malformed-json",
    "missing": "missing-field",
    "too_short": "empty-features",
    "too_long": "too-many-features",
    "finite_number": "not-finite",
    "string_too_long": "too-long",
    "string_too_short": "empty-text",
    "string_unicode": "not-utf8",
    "greater_than_equal": "out-of-range",
    "less_than_equal": "out-of-range",
    "value_error": "contradiction",
    "literal_error": "not-allowed",
}
_REMEDIES: Final = {
    "malformed-json": "write one JSON object a line",
    "empty-features": "give at least one",
    "not-finite": "leave a missing value out",
    "too-long": "shorten it",
    "empty-text": "leave it out, or give some text",
    "out-of-range": "use another unit, or leave it out",
    "not-utf8": "replace the lone surrogates",
    "too-many-features": f"give at most {MAX_FEATURES:,}",
    ("wrong-type", "id"): "give a text or an integer",
    ("wrong-type", "event_id"): "give a text or an integer",
    ("wrong-type", "key"): "give a text",
    ("wrong-type", "annotator"): "give a text",
    ("wrong-type", "by"): "give a text",
    ("missing-field", "why"): "say why the example is amended",
    ("wrong-type", "why"): "say why the example is amended",
    ("wrong-type", "amends"): "give the number of the example, or null",
    ("wrong-type", "display"): "give an object of JSON values",
    ("not-allowed", "schema_version"): f"this release reads schema_version {SCHEMA_VERSION}",
    ("wrong-type", "features"): "a feature is a number, a text, true or false; leave a missing value out",
    ("wrong-type", "timestamp"): "write it as 2026-01-31T12:00:00Z",
    ("wrong-type", "label"): "a class is a text, an integer, true or false",
    ("contradiction", "timestamp"): "check the clock that wrote it",
}
_BRANCHES: Final = {bool: "bool", int: "constrained-int", float: "constrained-float", str: "constrained-str"}
"""How pydantic calls the members of the unions above, by the type of what was given."""
_SHOWN: Final = 80


def record_error(error: ValidationError) -> RecordError:
    """Turn pydantic's list of complaints into one sentence: the first field, what is wrong, the remedy.

    Examples
    --------
    >>> from pydantic import ValidationError
    >>> try:
    ...     Event(id="e", features={"a": float("nan")})
    ... except ValidationError as error:
    ...     print(record_error(error))
    not-finite: features.a: Input should be a finite number; leave a missing value out
    """
    complaints = error.errors(include_url=False, include_context=False)
    chosen = complaints[0]
    place = _place(chosen["loc"])
    same = [complaint for complaint in complaints if _place(complaint["loc"]) == place]
    message = chosen["msg"].removeprefix("Value error, ")
    if len(same) > 1:  # a union: what counts is the complaint of the member that was meant
        wanted = _BRANCHES.get(type(chosen["input"]))
        meant = [complaint for complaint in same if complaint["loc"][-1] == wanted]
        if meant and meant[0]["type"] in _REASONS:
            chosen, message = meant[0], meant[0]["msg"]
        else:
            message = f"{_KINDS.get(type(chosen['input']), 'this')} is not allowed here"
    reason = _REASONS.get(chosen["type"], "wrong-type")
    remedy = _REMEDIES.get((reason, place[0] if place else "")) or _REMEDIES.get(reason)
    where = ".".join((part if len(part) <= _SHOWN else part[:_SHOWN] + "…") or "''" for part in place)
    detail = f"{where}: {message}" if where else message
    return RecordError(reason, f"{detail}; {remedy}" if remedy else detail)


_KINDS: Final = {type(None): "null", list: "a list", dict: "an object", float: "a number with a fraction"}


def _place(loc: tuple[int | str, ...]) -> tuple[str, ...]:
    """Return where in the record a complaint belongs, without the member of the union that made it."""
    depth = 2 if loc and loc[0] in ("features", "probabilities") else 1
    return tuple(str(part) for part in loc[:depth])
