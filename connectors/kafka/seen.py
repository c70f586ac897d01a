"""What the records of a pipeline's topics say to whoever answers its queries: `stream_al.annotate.relay`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from connectors.kafka.lookup import Topics
from connectors.kafka.wire import (
    ABSTAINED,
    ANSWERS,
    FORWARDED,
    LABEL,
    LABELS,
    PLACE,
    STATUS,
    VOTES,
    header,
    place,
)
from stream_al.annotate.relay import Asked, Buried, Closed, Logged, Said, Seen
from stream_al.errors import RecordError
from stream_al.log_codec import decode_logged
from stream_al.records import Amendment, ClassLabel, Query, parse_answer


def seen_in(record: Any, topics: Topics) -> Iterator[Seen]:
    """Yield what a record of one of the topics says; of what is none of ours, nothing."""
    if record.topic == topics.queries:
        yield from _query(record)
    elif record.topic == topics.labels:
        yield _label(record)
    elif record.topic == topics.examples:
        yield _logged(record)
    else:
        yield from _letter(record, topics.labels)


def _query(record: Any) -> Iterator[Seen]:
    event_id = bytes(record.key or b"").decode("utf-8", "replace")
    if record.value is None:
        yield Closed(event_id, header(record, STATUS) or "withdrawn", _time(record))
        return
    try:
        query = Query.model_validate_json(record.value)
    except ValidationError:
        return  # only workers write here
    text = bytes(record.value).decode()
    votes, abstained = header(record, VOTES), header(record, ABSTAINED) or "[]"
    yield Asked(query.event_id, query.utility, text, _time(record), votes, abstained)


def _label(record: Any) -> Said:
    value = bytes(record.value or b"")
    event_id: str | None
    try:
        event_id = parse_answer(value).event_id
    except RecordError as error:
        event_id = error.event_id
    where = header(record, FORWARDED) or place(record)
    return Said(where, value, event_id, _time(record), header(record, LABEL))


def _logged(record: Any) -> Logged:
    places = json.loads(header(record, LABELS) or "[]")
    answers: Mapping[str, ClassLabel | None] = json.loads(header(record, ANSWERS) or "{}")
    text, at = bytes(record.value or b"").decode("utf-8", "replace"), _time(record)
    try:
        logged = decode_logged(record.value or b"")
    except RecordError:
        return Logged(text, None, None, None, False, {}, places, 0, None, at)
    if not isinstance(logged, Amendment):
        answers = answers or dict.fromkeys(logged.annotators, logged.label)
        asked = _milliseconds(logged.asked_at)
        return Logged(
            text, logged.event_id, logged.label, None, False, answers, places, asked, logged.predicted, at
        )
    return Logged(text, logged.event_id, logged.label, logged.amends, True, answers, places, 0, None, at)


def _letter(record: Any, labels: str) -> Iterator[Buried]:
    where = header(record, PLACE) or ""
    if where.startswith(f"{labels}:"):
        letter = json.loads(record.value or b"{}")
        yield Buried(where, str(letter.get("reason")), str(letter.get("detail")))


def _time(record: Any) -> int:
    return max(0, record.timestamp or 0)


def _milliseconds(moment: datetime | None) -> int:
    return 0 if moment is None else max(0, round(1000 * moment.timestamp()))
