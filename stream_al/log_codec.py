"""The codec of the log of examples: bytes to what is folded, a million times in a row when a worker starts.

As in `stream_al.codec` msgspec goes first, and the verdict is pydantic's: whatever msgspec does not accept is handed to
`stream_al.records.parse_logged`, and a property test holds the two to the same where it accepts.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC
from typing import Annotated, Final

import msgspec

from stream_al.codec import WireInteger, WireName, WireTime, WireValue, WireVersion
from stream_al.records import (
    MAX_FEATURES,
    MAX_NAME,
    SCHEMA_VERSION,
    Amendment,
    ClassLabel,
    Example,
    LoggedExample,
    parse_logged,
)

_Label = bool | WireInteger | WireName
_Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


# Unknown fields are forbidden to msgspec for the reason that `EventRow` gives; so it takes no amendment for an example.
class ExampleRow(msgspec.Struct, gc=False, frozen=True, forbid_unknown_fields=True):
    """An example as it is read from the log: the same fields as `stream_al.records.Example`."""

    event_id: WireName
    features: Annotated[dict[str, WireValue], msgspec.Meta(min_length=1, max_length=MAX_FEATURES)]
    label: _Label
    weight: Annotated[float, msgspec.Meta(gt=0.0)] = 1.0
    propensity: _Share = 1.0
    predicted: _Label | None = None
    confidence: _Share | None = None
    annotators: tuple[WireName, ...] = ()
    asked_at: WireTime | None = None
    labelled_at: WireTime | None = None
    propagated_from: WireName | None = None
    schema_version: WireVersion = SCHEMA_VERSION

    @classmethod
    def of(cls, example: Example) -> ExampleRow:
        """Return the row of a validated example."""
        return cls(**{name: getattr(example, name) for name in cls.__struct_fields__})

    def public(self) -> Example:
        """Return the example as others see it."""
        return Example.model_validate({name: getattr(self, name) for name in self.__struct_fields__})

    def to_json(self) -> bytes:
        """Write the example as one line of JSON (no line end), as `Example` does."""
        return self.public().to_json()


_decode: Final = msgspec.json.Decoder(ExampleRow).decode
_names: Final[set[str]] = set()
_MOST_NAMES: Final = 10_000
"""Names are looked up, as most are those of the example before: checking them would take a third of the time."""


def decode_logged(line: bytes | str) -> ExampleRow | Amendment:
    """Read a record of the log of examples.

    Raises
    ------
    RecordError
        As `stream_al.records.parse_logged`.

    Examples
    --------
    >>> decode_logged(b'{"event_id": "e1", "features": {"a": 1.5}, "label": "ham"}').label
    'ham'
    """
    try:
        row = _decode(line)
        if not _names.issuperset(row.features) and not _are_names(row.features):
            return _slowly(line)
        if row.asked_at is row.labelled_at is None:
            return row
        return msgspec.structs.replace(
            row,
            asked_at=None if row.asked_at is None else row.asked_at.astimezone(UTC),
            labelled_at=None if row.labelled_at is None else row.labelled_at.astimezone(UTC),
        )
    except (msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError):
        return _slowly(line)


def _are_names(names: Iterable[str]) -> bool:
    """Tell whether features may be called this, and remember it."""
    if not all(0 < len(name) <= MAX_NAME for name in names):
        return False
    if len(_names) > _MOST_NAMES:
        _names.clear()
    _names.update(names)
    return True


def _slowly(line: bytes | str) -> ExampleRow | Amendment:
    record = parse_logged(line)
    return ExampleRow.of(record) if isinstance(record, Example) else record


def relabelled(example: LoggedExample, label: ClassLabel | None) -> LoggedExample | None:
    """Return an example with another label; None in place of one that is erased."""
    if label is None:
        return None
    if isinstance(example, ExampleRow):
        return msgspec.structs.replace(example, label=label)
    return example.model_copy(update={"label": label})
