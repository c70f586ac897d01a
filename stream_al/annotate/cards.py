"""A query as a card of the page: plain texts in a fixed shape, of which the page makes text nodes and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from stream_al.annotate.classes import codes
from stream_al.annotate.usual import Mark, Usual
from stream_al.annotate.words import (
    class_text,
    model_said,
    one_line,
    plain,
    share_text,
    stands_for,
    value_text,
    why,
)
from stream_al.records import ClassLabel, Query

ShowPrediction = Literal["never", "after", "before"]

ROWS_SHOWN: Final = 8
"""Rows of a table before the rest is folded."""
_LONG: Final = 100
"""Characters of a text that stands in a block of its own instead of a row."""
_IMAGE: Final = re.compile(r"data:image/(png|jpeg|gif|webp|avif);base64,[A-Za-z0-9+/=\s]+")


def card(
    query: Query,
    usual: Usual,
    show: ShowPrediction = "after",
    images: tuple[str, ...] = (),
    budget: float | None = None,
    waiting: int = 0,
) -> dict[str, Any]:
    """Return a query as the page shows it: what it wants to display first, then its features.

    Parameters
    ----------
    query
        The query.
    usual
        What is usual in its stream.
    show
        When the model's own answer may be shown; with ``"never"`` it does not leave the server.
    images
        The origins from which the page may load images, such as ``"https://images.example.org"``.
    budget
        The share of events that may be asked about, where there is one.
    waiting
        How many events wait for the answer to this one.
    """
    blocks: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for name, value in (query.display or {}).items():
        blocks += _displayed(name, value, images, rows)
    blocks += _table(rows, ROWS_SHOWN)
    marks = usual.marks(query.features)
    long = {k: v for k, v in query.features.items() if isinstance(v, str) and (len(v) > _LONG or "\n" in v)}
    blocks += [_text(name, value) for name, value in long.items()]
    first = dict.fromkeys((*marks, *query.features))
    rows = [_row(name, query.features[name], marks.get(name)) for name in first if name not in long]
    blocks += _table(rows, len(marks) if query.display else max(ROWS_SHOWN, len(marks)))
    found: dict[str, Any] = {
        "id": query.event_id,
        "title": one_line(query.event_id),
        "blocks": blocks,
        "why": why(query),
        "facts": _facts(query, show, budget),
        "group": stands_for(waiting),
    }
    if show != "never":
        label = None if query.predicted is None else json.dumps(query.predicted)
        found["model"] = {
            "label": label,
            "said": model_said(query),
            "same": model_said(query, query.predicted),
        }
    return found


def buttons(classes: tuple[ClassLabel, ...]) -> list[dict[str, str]]:
    """Return the classes as buttons: the JSON of each, its text, and the digits that answer with it."""
    return [
        {"label": json.dumps(label), "text": class_text(label), "code": code}
        for code, label in codes(classes).items()
    ]


def _displayed(
    name: str, value: object, images: tuple[str, ...], rows: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return something to display as blocks; what is short goes to the rows of a table."""
    if name == "image" and isinstance(value, str):
        return [_image(name, value, "", images)]
    if isinstance(value, Mapping) and isinstance(value.get("image"), str):
        return [_image(name, value["image"], str(value.get("alt", "")), images)]
    if isinstance(value, str) and (name == "text" or len(value) > _LONG or "\n" in value):
        return [_text("" if name == "text" else name, value)]
    if isinstance(value, dict | list):
        text = json.dumps(value, ensure_ascii=False, indent=2)
        return [{"kind": "json", "name": one_line(name), "text": plain(text)}]
    rows.append(_row(name, value, None))
    return []


def _image(name: str, source: str, alt: str, images: tuple[str, ...]) -> dict[str, Any]:
    """Return an image to show, or, where the page may not load it, its address as text."""
    alt = one_line(alt) or f"the picture to judge ({one_line(name)})"
    try:
        parts = urlsplit(source)
        origin = f"{parts.scheme}://{parts.netloc}"
    except ValueError:
        origin = ""
    if _IMAGE.fullmatch(source) or origin in images:
        return {"kind": "image", "name": one_line(name), "source": source, "alt": alt}
    told = plain(source) if len(source) <= 500 else f"{plain(source[:500])} …"
    remedy = "not loaded: this page may not load images from there; its owner can allow it with --images-from"
    return {"kind": "text", "name": f"{one_line(name)} ({remedy})", "text": told}


def _text(name: str, value: str) -> dict[str, Any]:
    return {"kind": "text", "name": one_line(name), "text": plain(value)}


def _row(name: str, value: object, mark: Mark | None) -> dict[str, Any]:
    row = {"name": one_line(name) or "(blank)", "value": value_text(value)}
    return row if mark is None else {**row, "mark": mark.word, "usually": mark.usually}


def _table(rows: list[dict[str, Any]], shown: int) -> list[dict[str, Any]]:
    if not rows:
        return []
    if len(rows) == shown + 1:  # a fold that hides one row hides nothing worth it
        shown += 1
    return [{"kind": "table", "rows": rows[:shown], "folded": rows[shown:]}]


def _facts(query: Query, show: ShowPrediction, budget: float | None) -> list[tuple[str, str]]:
    """Return why an event is asked about, as numbers."""
    facts = [("A label is worth", value_text(query.utility))]
    if query.threshold is not None:
        facts.append(("Asked above", value_text(query.threshold)))
    facts.append(("Chance that it is asked", share_text(query.propensity)))
    if budget is not None:
        facts.append(("Budget", f"{share_text(budget)} of all events"))
    facts.append(("Examples learned by then", f"{query.model_version:,}"))
    facts.append(("Event number", f"{query.event_number:,}"))
    if query.asked_at is not None:
        facts.append(("Asked at", f"{query.asked_at:%Y-%m-%d %H:%M:%S} UTC"))
    if show == "before" and query.probabilities:
        likely = sorted(query.probabilities.items(), key=lambda item: -item[1])[:5]
        facts.append(("The model's answer", ", ".join(f"{one_line(k)} {share_text(p)}" for k, p in likely)))
    return facts
