"""One sitting of one annotator: the card before them, the classes, what they have answered."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime
from statistics import median
from typing import Any, Literal, NamedTuple

from rich.text import Text

from connectors.sqlite import Annotations
from stream_al.annotate.classes import class_of
from stream_al.annotate.words import STATUS_WORDS, class_text, count, model_said, plain, why_empty
from stream_al.cli.cards import one_line
from stream_al.errors import RecordError
from stream_al.records import ClassLabel, Label, Query


class _Given(NamedTuple):
    event_id: str
    answer: str
    """What the summary counts it as: answered, unsure or skipped."""
    said: str
    seconds: float


class Session:
    """One sitting of one annotator: the card before them, the classes, what they have answered.

    Parameters
    ----------
    annotations
        The annotator's side of the store.
    show_prediction
        See `label_command`.
    """

    def __init__(self, annotations: Annotations, show_prediction: str = "after") -> None:
        self.annotations = annotations
        self.show_prediction = show_prediction
        self.card: Query | None = None
        self.only_this = False
        """Whether the answer to the card is of it alone."""
        self.waiting_for_it = 0
        """How many events wait for the answer to the card."""
        self.classes: list[ClassLabel] = []
        self.notice = Text()
        self.left = 0
        """How many queries this annotator could answer now."""
        self.undoable = 0
        self.given: list[_Given] = []
        configured = [class_text(label) for label in annotations.configured_classes()]
        self.closed_classes = ""
        """Why there can be no new class, where that is so."""
        if configured:
            listed = ", ".join(configured[:9]) + (" …" if len(configured) > 9 else "")
            self.closed_classes = f"the configuration allows no classes but {listed}"
        self._shown_at = self._started = time.monotonic()

    def look(self) -> None:
        """Bring everything up to date with the store."""
        if self.card is not None and self._still_open(self.card, ""):
            self.annotations.hold(self.card.event_id)
        if self.card is None:
            self._show(next(iter(self.annotations.next_queries()), None))
        known = {(type(label), label): label for label in self.annotations.classes()}
        if self.annotations.label_type() == "bool":
            known |= {(bool, label): label for label in (False, True)}
        # A class keeps its place, and so its key, for as long as the sitting lasts.
        kept = [label for label in self.classes if known.pop((type(label), label), None) is not None]
        self.classes = kept + list(known.values())
        self.left = self.annotations.count_for_me()
        self.undoable = self.annotations.unsent()

    def _show(self, query: Query | None) -> None:
        self.card, self.only_this = query, False
        self.waiting_for_it = 0 if query is None else self.annotations.waiting(query.event_id)
        self._shown_at = time.monotonic()

    def _still_open(self, query: Query, otherwise: str) -> bool:
        status = self.annotations.status(query.event_id)
        if status == "open":
            return True
        told = STATUS_WORDS.get(status or "", "gone")
        self.notice = Text(
            f"{one_line(query.event_id, 40)} is {told} meanwhile. {otherwise}".rstrip(), "yellow"
        )
        self.card = None
        return False

    def answer(self, label: ClassLabel) -> None:
        """Answer the card with a class, and bring the next one."""
        if self.card is None:
            return
        said = class_text(label)
        notice = Text(f"✓ {said}", "bold green").append(
            f"  {one_line(self.card.event_id, 40)}", "not bold dim"
        )
        if self.show_prediction == "after":
            notice.append(f" — {model_said(self.card, label)}", "not bold")
        self._give(Label(label=label, **self._signed(self.card)), "answered", said, notice)

    def abstain(self, how: Literal["unsure", "skip"]) -> None:
        """Put the card away without a class, and bring the next one."""
        if self.card is None:
            return
        said = {"unsure": "unsure", "skip": "skipped"}[how]
        notice = Text(f"– {said}", "bold yellow").append(
            f"  {one_line(self.card.event_id, 40)}", "not bold dim"
        )
        self._give(Label(abstain=how, **self._signed(self.card)), said, said, notice)

    def _signed(self, query: Query) -> dict[str, Any]:
        return {
            "event_id": query.event_id,
            "annotator": self.annotations.annotator,
            "timestamp": datetime.now(UTC),
            "only_this": self.only_this,
        }

    def _give(self, label: Label, answer: str, said: str, notice: Text) -> None:
        query = self.card
        if query is not None and self._still_open(query, "Your answer was not needed any more."):
            self.annotations.draft(query.event_id, label.to_json())
            self.given.append(_Given(query.event_id, answer, said, time.monotonic() - self._shown_at))
            self.notice = notice
        self.card = None
        self.look()

    def undo(self) -> None:
        """Take the last answer back, and show its card again."""
        query = self.annotations.undo()
        if query is None:
            self.notice = Text(
                "Nothing to undo: " + ("older answers are sent." if self.given else "no answer yet.")
            )
            self.notice.stylize("yellow")
            return
        said = ""
        for at in range(len(self.given) - 1, -1, -1):
            if self.given[at].event_id == query.event_id:
                said = f" {self.given.pop(at).said}"
                break
        self.notice = Text(f"↶ taken back:{said}", "bold yellow").append(
            f"  {one_line(query.event_id, 40)}", "not bold dim"
        )
        if self._still_open(query, "Your answer is taken back."):
            self._show(query)
        self.look()

    def class_from(self, text: str) -> ClassLabel:
        """Read the name of a class that may be new; raise a RecordError that says why it cannot be one."""
        label = class_of(plain(text), self.annotations.label_type())
        if self.closed_classes and label not in self.annotations.configured_classes():
            raise RecordError("unknown-class", self.closed_classes)
        return label

    def send(self) -> None:
        """Send what could still be undone."""
        if self.undoable:
            self.notice = Text(f"{count(self.undoable, 'answer')} sent.", "dim")
            self.annotations.send()
            self.look()

    def waiting(self) -> list[str]:
        """Return why there is nothing to answer, in sentences."""
        return why_empty(self.annotations.standing())

    def summary(self) -> str:
        """Return what was done in this sitting, in a line."""
        if not self.given:
            return "Nothing answered."
        counts = Counter(given.answer for given in self.given)
        done = ", ".join(
            f"{counts[name]} {name}" for name in ("answered", "unsure", "skipped") if counts[name]
        )
        typical = median(given.seconds for given in self.given)
        took = _duration(time.monotonic() - self._started)
        return f"{done} in {took}; median {_duration(typical)} each. All sent."


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
