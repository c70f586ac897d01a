"""What the page's server needs of a store, and the messages between a page and it.

A page sends what was said since (`Answer`, `Undo`), each with a key of its own, so that sending it twice does nothing
twice, and what it has before it. It gets back what became of each, and cards up to the number it wants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, Protocol

import msgspec

from stream_al.annotate.words import Standing
from stream_al.records import MAX_NAME, ClassLabel, Query

MAX_NOTE: Final = 2000
MAX_OPERATIONS: Final = 500
MAX_CARDS: Final = 10

Key = Annotated[str, msgspec.Meta(min_length=8, max_length=64)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)]
Note = Annotated[str, msgspec.Meta(max_length=MAX_NOTE)]


class Answer(msgspec.Struct, frozen=True, tag_field="op", tag="answer"):
    """What somebody said about one event: a class, the name of a new one, or that they cannot say."""

    key: Key
    event_id: Name
    label: Annotated[str, msgspec.Meta(max_length=2 * MAX_NAME)] | None = None
    """A class, as JSON: to a browser 1 and 1.0 are the same, and large integers are not exact."""
    new_class: Name | None = None
    abstain: Literal["unsure", "skip"] | None = None
    why: Note = ""
    """The reason of an abstention."""
    note: Note = ""
    only_this: bool = False
    """Whether it is of this event only, and not of those that wait for its answer."""
    saw_prediction: bool = False
    """Whether they had seen the model's own answer before giving theirs."""
    seconds: Annotated[float, msgspec.Meta(ge=0.0, le=1e7)] = 0.0
    """From the card's appearing to the answer."""
    at: str | None = None
    """When it was given, by the annotator's clock, ISO-8601."""


class Undo(msgspec.Struct, frozen=True, tag_field="op", tag="undo"):
    """The wish to take an answer back."""

    key: Key
    answer: Key


class Request(msgspec.Struct, frozen=True):
    """What a page sends; without operations it is the heartbeat of its leases."""

    operations: Annotated[tuple[Answer | Undo, ...], msgspec.Meta(max_length=MAX_OPERATIONS)] = ()
    have: Annotated[tuple[Name, ...], msgspec.Meta(max_length=MAX_CARDS)] = ()
    """The events whose cards it has."""
    want: Annotated[int, msgspec.Meta(ge=0, le=MAX_CARDS)] = 3
    leave: bool = False
    """Give the cards back, and send the drafts."""


@dataclass(frozen=True, slots=True)
class Done:
    """What became of an operation.

    ``state`` is of an answer: ``"kept"``, ``"late"`` (its query is closed), ``"correction"`` (of what was learned
    already), ``"refused"``; of an undo: ``"taken-back"``, ``"learned"`` (too late), ``"closed"``, ``"nothing"``.
    """

    key: str
    state: str
    said: str = ""


@dataclass(slots=True)
class Reply:
    """What a page gets back."""

    done: list[Done] = field(default_factory=list)
    cards: list[Query] = field(default_factory=list)
    waiting: dict[str, int] = field(default_factory=dict)
    """Of these cards, for how many events more the answer is to serve, where there are any."""
    gone: dict[str, str] = field(default_factory=dict)
    """Of the cards the page had: those it should put away, and why, in words."""
    open: int = 0
    undoable: int = 0
    """Answers that the model does not get before others have followed, or the annotator rests."""
    undelivered: int = 0
    """Answers of this annotator that were sent and are not yet where they belong."""
    away: bool = False
    """Whether that is so because it cannot be reached."""
    empty: Standing | None = None
    """Given when there is no card for this annotator."""


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes there are, and whether there can be others."""

    known: tuple[ClassLabel, ...]
    """In the order of their keys: a class never moves while a server runs."""
    closed: bool
    kind: str | None


class Board(Protocol):
    """The store as the page's server sees it. Called from one thread at a time."""

    def apply(self, requests: Sequence[tuple[str, Request]]) -> list[Reply | Exception]:
        """Do what annotators, by name, ask for, durably, all in one transaction.

        A request that cannot be done gives an exception and changes nothing; the others are done.
        """

    def classes(self) -> Classes:
        """Return the classes."""

    def sample(self, size: int) -> list[dict[str, Any]]:
        """Return the features of some of the newest events, for saying what is usual."""

    def budget(self) -> float | None:
        """Return the share of events that may be asked about, where there is one."""

    def tick(self) -> None:
        """Do what is due without anybody asking, such as sending the drafts of who rests."""

    def close(self) -> None:
        """Close it; drafts are kept."""
