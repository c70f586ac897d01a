"""Tables as events: which columns are not features, and what to make of a record's cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from stream_al.codec import EventRow, event_from_fields
from stream_al.errors import RecordError
from stream_al.ports import LabelledRow


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table (or keys of a flat JSON object) are not features.

    ``label`` names the true class; it goes to a simulated oracle and never to the model. With ``features``
    only these columns are allowed as features, and a record with another one is a dead letter.
    """

    id: str | None = None
    timestamp: str | None = None
    key: str | None = None
    label: str | None = None
    label_type: str = "str"
    ignore: tuple[str, ...] = ()
    features: tuple[str, ...] = ()

    def named(self) -> dict[str, str]:
        """Return the columns that must exist, by the setting that names them."""
        named = {"id_column": self.id, "timestamp_column": self.timestamp, "key_column": self.key}
        return {k: v for k, v in {**named, "label_column": self.label}.items() if v is not None}

    def event(self, cells: dict[str, Any], default_id: str) -> EventRow:
        """Make an event of one record's cells; empty ones are missing values.

        Raises
        ------
        RecordError
            When it is no event.
        """
        event_id = _taken(cells, self.id, default_id) or default_id
        timestamp = _taken(cells, self.timestamp, event_id)
        key = _taken(cells, self.key, event_id)
        truth = _taken(cells, self.label, event_id)
        for name in self.ignore:
            cells.pop(name, None)
        self.check(cells, event_id)
        row = event_from_fields(cells, event_id, _timestamp(timestamp, event_id), key)
        if self.label is None:
            return row
        return self.labelled(row, truth)

    def check(self, features: Mapping[str, object], event_id: str | None) -> None:
        """Raise RecordError when a feature is not among those configured."""
        if self.features:
            for name in features:
                if name not in self.features:
                    detail = f"features: {name!r} is not one of those configured; add it there, or ignore it"
                    raise RecordError("unknown-feature", detail, event_id)

    def labelled(self, row: EventRow, truth: str | None) -> LabelledRow:
        """Return the row with its true class."""
        label: str | int | bool | None = truth
        if truth is not None and self.label_type != "str":
            try:
                label = int(truth) if self.label_type == "int" else _BOOLEANS[truth.lower()]
            except (ValueError, KeyError):
                detail = f"{self.label}: {truth!r} is not {self.label_type}; set label_type to what it holds"
                raise RecordError("wrong-label-type", detail, str(row.id)) from None
        return LabelledRow(row.features, row.id, row.timestamp, row.key, row.display, truth=label)


_BOOLEANS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}


def _taken(cells: dict[str, Any], name: str | None, event_id: str) -> str | None:
    """Take a cell out and return its text; None when it is missing or empty."""
    value = None if name is None else cells.pop(name, None)
    return text_of(value, str(name), event_id)


def text_of(value: object, name: str, event_id: str) -> str | None:
    """Return the text of a JSON value that is one cell; None of null and of empty text.

    Raises
    ------
    RecordError
        When it is a list or an object.
    """
    if isinstance(value, list | dict):
        raise RecordError(
            "wrong-type", f"{name}: a list or an object is not allowed here; give a text", event_id
        )
    return None if value is None or value == "" else str(value)


def _timestamp(text: str | None, event_id: str) -> str | None:
    """Return an ISO-8601 time in UTC; times without a zone, and seconds since 1970, are taken as UTC."""
    if text is None:
        return None
    try:
        moment = (
            datetime.fromtimestamp(float(text), UTC) if _is_number(text) else datetime.fromisoformat(text)
        )
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        shown = text if len(text) <= 80 else text[:80] + "…"
        detail = f"timestamp: {shown!r} is no ISO-8601 time; write it as 2026-01-31T12:00:00Z"
        raise RecordError("wrong-type", detail, event_id) from None
    return moment.isoformat()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return not text.isdigit() or len(text) != 8  # 20260131 is a date
