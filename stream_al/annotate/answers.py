"""Reading what somebody said on the page as a label of the pipeline."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from stream_al.annotate.board import Answer, Classes
from stream_al.annotate.classes import class_of
from stream_al.annotate.words import plain
from stream_al.errors import RecordError
from stream_al.records import ClassLabel, Label


def label_of(answer: Answer, who: str, classes: Classes, now: float) -> tuple[Label, dict[str, Any]]:
    """Return an answer as a label, and what else was said and seen; both go into the label's record.

    A proposed class becomes the label where any class may be learned. Where the configuration lists the classes it
    cannot: the answer is an abstention then, and the proposal is kept beside it.

    Parameters
    ----------
    answer
        What the page sent.
    who
        The annotator.
    classes
        The classes there are.
    now
        The server's time, in seconds since 1970.

    Raises
    ------
    RecordError
        When it cannot be a label of this pipeline.

    Examples
    --------
    >>> answer = Answer(key="8 letters", event_id="e", new_class="lynx")
    >>> label_of(answer, "ann", Classes(("cat", "dog"), closed=False, kind="str"), 0.0)[0].label
    'lynx'
    >>> label, said = label_of(answer, "ann", Classes(("cat", "dog"), closed=True, kind="str"), 0.0)
    >>> label.abstain, said["proposed_class"]
    ('unsure', 'lynx')
    """
    said: dict[str, Any] = {
        "answer": answer.key,
        "saw_prediction": answer.saw_prediction,
        "seconds": round(answer.seconds, 3),
    }
    said |= {name: plain(text) for name in ("why", "note") if (text := getattr(answer, name))}
    label: ClassLabel | None = None
    abstain = answer.abstain
    if answer.label is not None:
        label = _listed(answer.label, classes)
    elif answer.new_class is not None and classes.closed:
        abstain, said["proposed_class"] = "unsure", plain(answer.new_class)
    elif answer.new_class is not None:
        label = class_of(plain(answer.new_class), classes.kind)
    if (label is None) == (abstain is None):
        raise RecordError("contradiction", "an answer is either a class or an abstention")
    at = _given_at(answer.at, datetime.fromtimestamp(now, UTC))
    made = Label(
        event_id=answer.event_id,
        label=label,
        abstain=abstain,
        annotator=who,
        timestamp=at,
        only_this=answer.only_this,
    )
    return made, said


def _listed(text: str, classes: Classes) -> ClassLabel:
    """Read a class that the page had on a button."""
    try:
        label = json.loads(text)
    except ValueError:
        label = None
    if not isinstance(label, str | int):  # booleans are integers
        raise RecordError("wrong-label-type", f"{text[:80]!r} is no class")
    kind = type(label).__name__
    if classes.kind not in (None, kind):
        raise RecordError("wrong-label-type", f"this pipeline's classes are {classes.kind}, not {kind}")
    if classes.closed and not any(type(c) is type(label) and c == label for c in classes.known):
        raise RecordError("unknown-class", "the configuration allows no such class")
    return label


def _given_at(text: str | None, now: datetime) -> datetime:
    """Return when an answer was given: by the annotator's clock, if that is not ahead of ours."""
    try:
        at = datetime.fromisoformat(text) if text else now
        return min(at.astimezone(UTC) if at.tzinfo else now, now)
    except (ValueError, OverflowError):
        return now
