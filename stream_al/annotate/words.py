"""The words annotators read, in the terminal and on the page: values, classes, why a query is asked.

Everything here is a pure function of what it is given. Values come from outside, so nothing in them may reach
anybody as anything but text: control characters, escape sequences and changes of direction are taken out.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from stream_al.reasons import reason_text
from stream_al.records import ClassLabel, Query

_ESCAPES: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours, the cursor, modes
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # titles, links, …
    r"|\x1b[ -/]*[0-~]"
)
_KEPT: Final = "\n\u200c\u200d"  # the joiners belong to Persian and to emoji


def plain(value: object) -> str:
    r"""Return text without escape sequences, control characters and changes of direction.

    Examples
    --------
    >>> plain("\x1b[31mred\x1b[0m\x07 and\tplain")
    'red and  plain'
    """
    text = _ESCAPES.sub("", str(value).replace("\r\n", "\n"))
    text = text.replace("\t", "  ").replace("\u2028", "\n").replace("\u2029", "\n")
    return "".join(c for c in text if c in _KEPT or unicodedata.category(c) not in ("Cc", "Cf", "Cs"))


def one_line(value: object) -> str:
    """Return `plain` text on one line."""
    return " ".join(plain(value).split("\n"))


def value_text(value: object) -> str:
    """Return a value as people write it.

    Examples
    --------
    >>> value_text(0.1 + 0.2), value_text(12345678.9), value_text(True), value_text(None)
    ('0.3', '12345678.90', 'true', '—')
    """
    if isinstance(value, str):
        return plain(value)
    if value is None:
        return "—"
    if isinstance(value, float) and math.isfinite(value):
        text = f"{value:.6g}"
        return f"{value:.2f}".removesuffix(".00") if "e+" in text and abs(value) < 1e15 else text
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return plain(json.dumps(_cleaned(value), ensure_ascii=False, default=str))


def _cleaned(value: object) -> object:
    """Return nested values with plain texts, before JSON writes control characters as escapes."""
    if isinstance(value, Mapping):
        return {plain(key): _cleaned(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_cleaned(inner) for inner in value]
    return plain(value) if isinstance(value, str) else value


def class_text(label: ClassLabel) -> str:
    """Return a class as it is shown and typed."""
    return str(label).lower() if isinstance(label, bool) else one_line(label) or "(blank)"


def share_text(probability: float) -> str:
    """Return a probability in percent, never rounded to a certainty it is not.

    Examples
    --------
    >>> share_text(0.614), share_text(0.9999), share_text(1.0)
    ('61 %', 'over 99 %', '100 %')
    """
    if 0.99 < probability < 1.0:
        return "over 99 %"
    return "under 1 %" if 0.0 < probability < 0.01 else f"{probability:.0%}".replace("%", " %")


def stands_for(waiting: int) -> str:
    """Return for how many events more an answer is to serve, as a sentence; nothing where it serves one.

    Examples
    --------
    >>> stands_for(0), stands_for(1), stands_for(12)
    ('', 'Your answer also serves 1 record like it.', 'Your answer also serves 12 records like it.')
    """
    return f"Your answer also serves {count(waiting, 'record')} like it." if waiting else ""


def why(query: Query) -> str:
    """Return why an event is asked about, in one sentence for people."""
    reason = reason_text(query.reason, query.utility, query.threshold)
    known = {0: "no examples yet", 1: "1 example"}.get(query.model_version, f"{query.model_version} examples")
    return f"Asked because: {reason}. The model had learned {known} (version {query.model_version})."


def model_said(query: Query, label: ClassLabel | None = None) -> str:
    """Return the model's own answer to a query, compared with somebody's when that is given."""
    if query.predicted is None:
        return "the model had no answer yet"
    said = class_text(query.predicted)
    probability = query.probabilities.get(said if isinstance(query.predicted, bool) else str(query.predicted))
    sure = "" if probability is None else f" ({share_text(probability)})"
    if type(label) is type(query.predicted) and label == query.predicted:
        return f"the model had said so too{sure}"
    return f"the model had said {said}{sure}"


# ── why there is nothing to answer ───────────────────────────────────────────────────────────────

STATUS_WORDS: Final = {
    "open": "open",
    "answered": "answered",
    "disputed": "closed without agreement",
    "unanswerable": "closed because nobody could tell",
    "expired": "expired",
    "withdrawn": "withdrawn",
    "erased": "erased",
    "checked": "checked",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """What an annotator without a card should know."""

    events: int
    """How many events the worker has answered."""
    statuses: Mapping[str, int] = field(default_factory=dict)
    on_their_way: int = 0
    """Answers of this annotator that the worker has not read."""
    held: int = 0
    """Open queries that others have before them."""
    held_until: str = ""
    """When the first of those is given back if its holder is gone, as a time of day."""
    sure_for: int = 0
    """How many events were answered since the last one that was asked about."""
    answered: int | None = None
    """Of the open queries, how many this annotator has answered; None: all that nobody holds."""


def why_empty(standing: Standing) -> list[str]:
    """Return why there is nothing to answer, in sentences.

    Examples
    --------
    >>> why_empty(Standing(events=20))
    ['No open query: the worker has answered 20 events and asked about none.']
    """
    events, asked = standing.events, sum(standing.statuses.values())
    if not events:
        return ["No open query: the worker has not answered any event yet."]
    if not asked:
        return [f"No open query: the worker has answered {count(events, 'event')} and asked about none."]
    closed = ", ".join(
        f"{standing.statuses[s]:,} {told}"
        for s, told in STATUS_WORDS.items()
        if standing.statuses.get(s) and s != "open"
    )
    said = [
        f"The worker has answered {count(events, 'event')} and asked about {asked:,}"
        + (f": {closed}." if closed else ".")
    ]
    still = standing.statuses.get("open", 0)
    said[0] = f"No open query{' for you' if still else ''}. {said[0]}"
    mine = still - standing.held if standing.answered is None else standing.answered
    if mine:
        said.append(f"You have given your answer to the {count(mine, 'query')} still open.")
    if standing.held:
        until = f" until {standing.held_until} at most, unless they go on" if standing.held_until else ""
        said.append(
            f"{count(standing.held, 'query')} {'is' if standing.held == 1 else 'are'} with others{until}."
        )
    if way := standing.on_their_way:
        said.append(
            f"{count(way, 'answer')} of yours {'is' if way == 1 else 'are'} not read by the worker yet."
        )
    if standing.sure_for:
        said.append(f"The model was sure of the last {count(standing.sure_for, 'event')}.")
    return said


def count(number: int, what: str) -> str:
    """Return a number of things, in words.

    Examples
    --------
    >>> count(1, "query"), count(2000, "query")
    ('1 query', '2,000 queries')
    """
    many = f"{what[:-1]}ies" if what.endswith("y") else f"{what}s"
    return f"{number:,} {what if number == 1 else many}"
