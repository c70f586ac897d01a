"""The records that travel between a stream, a model and the people who teach it.

These pydantic models are the public types *and* the schema of the wire (see `json_schema`). They are
frozen, unknown fields are ignored on input, numbers must be finite, and timestamps are UTC. The path of
every event uses the faster `stream_al.codec`, which a property test holds to the verdicts given here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    field_validator,
    model_validator,
)

from stream_al.errors import RecordError

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
Timestamp = Annotated[AwareDatetime, AfterValidator(lambda moment: moment.astimezone(UTC))]
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

Reason: TypeAlias = Literal[
    "none", "cold-start", "uncertain", "explore", "random", "drift", "representative",
    "already-asked", "queue-full",
]  # fmt: skip
"""Why an event was asked about, or why it could not be."""

ABSTENTIONS: Final = ("unsure", "skip")


class Record(BaseModel):
    """What all records share."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings")

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
    display: dict[str, Any] | None = None
    """What the annotator is shown beside or instead of the features; the model never sees it."""

    @field_validator("id", mode="before")
    @classmethod
    def _integer_ids(cls, value: object) -> object:
        return str(value) if type(value) is int else value


class Prediction(Record):
    """The model's answer to one event, and the decision whether to ask about it."""

    event_id: Name
    label: LabelField | None
    """The most probable class; of equally probable ones the smallest. None while nothing is known."""
    probabilities: dict[LabelField, Probability]
    confidence: Probability
    margin: Probability
    model_version: Annotated[int, Field(ge=0)]
    utility: float
    threshold: float | None
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
            return {{"true": True, "false": False}.get(k, k) if isinstance(k, str) else k: p for k, p in value.items()}
        return {int(k) if isinstance(k, str) and k.lstrip("-").isdigit() else k: p for k, p in value.items()}


class Query(Record):
    """A request for an event's label. It carries the features, so that learning needs nothing else."""

    event_id: Name
    features: FeaturesField
    display: dict[str, Any] | None = None
    key: Name | None = None
    predicted: LabelField | None
    probabilities: dict[str, Probability]
    """By the text of the class: what an annotator may be shown."""
    utility: float
    threshold: float | None
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

    @field_validator("event_id", mode="before")
    @classmethod
    def _integer_ids(cls, value: object) -> object:
        return str(value) if type(value) is int else value

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
    annotators: tuple[Name, ...] = ()
    asked_at: Timestamp | None = None
    labelled_at: Timestamp | None = None


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


RECORDS: Final[tuple[type[Record], ...]] = (Event, Prediction, Query, Label, Example, DeadLetter)


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
        raise record_error(error) from None


_REASONS: Final = {
    "json_invalid": "malformed-json",
    "missing": "missing-field",
    "too_short": "empty-features",
    "too_long": "too-many-features",
    "finite_number": "not-finite",
    "string_too_long": "too-long",
    "string_too_short": "empty-text",
    "greater_than_equal": "out-of-range",
    "less_than_equal": "out-of-range",
    "value_error": "contradiction",
    "literal_error": "not-allowed",
}


def record_error(error: ValidationError) -> RecordError:
    """Turn pydantic's list of complaints into one sentence about the first of them.

    Examples
    --------
    >>> from pydantic import ValidationError
    >>> try:
    ...     Event(id="e", features={})
    ... except ValidationError as error:
    ...     print(record_error(error))
    empty-features: features: Dictionary should have at least 1 item after validation, not 0
    """
    first = error.errors(include_url=False, include_context=False)[0]
    branches = {"bool", "int", "float", "str", "constrained-str", "constrained-int", "constrained-float"}
    place = ".".join(str(part) for part in first["loc"] if part not in branches)
    message = first["msg"].removeprefix("Value error, ")
    return RecordError(_REASONS.get(first["type"], "wrong-type"), f"{place}: {message}" if place else message)
