"""Between a log of others, such as topics, and the file that the page answers from: what is seen there, what goes out.

The file is a store in which nothing is computed. What workers and people write to the log is taken over into it, and
the answers given here are passed on to the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from stream_al.codec import EventRow
from stream_al.records import ClassLabel


class Asked(NamedTuple):
    """A query was asked, or written down anew with the answers that wait for more."""

    event_id: str
    utility: float
    query: str
    at: int
    """When, in milliseconds since 1970; 0 is not known."""
    votes: str | None = None
    """As in `stream_al.labels.QueryState`; None: it was asked just now."""
    abstained: str = "[]"


class Closed(NamedTuple):
    """A query was closed."""

    event_id: str
    status: str
    at: int


class Said(NamedTuple):
    """A label was written, by whomever."""

    place: str
    record: bytes
    event_id: str | None
    at: int
    id: str | None
    """That of `Outgoing`, where it is one."""


class Logged(NamedTuple):
    """A record of the log of examples."""

    record: str
    event_id: str | None
    """None: it is neither an example nor an amendment."""
    label: ClassLabel | None
    amends: int | None
    """Of an amendment, the number of the example, if it names one."""
    amended: bool
    answers: Mapping[str, ClassLabel | None]
    places: Sequence[str]
    """Of the labels it was made of."""
    asked_at: int
    predicted: ClassLabel | None
    at: int


class Buried(NamedTuple):
    """A label was not used."""

    place: str
    reason: str
    detail: str


Seen: TypeAlias = Asked | Closed | Said | Logged | Buried


class Outgoing(NamedTuple):
    """An answer that is to be in the log once."""

    number: int
    id: str
    """Equal for equal answers of one place only: by it the log tells whether it has it."""
    event_id: str | None
    record: bytes


class RelayStore(Protocol):
    """The file, as whoever speaks with the log sees it."""

    def positions(self) -> dict[str, int]:
        """Return how far the log is read, by its parts."""

    def take(self, seen: Iterable[Seen], positions: Mapping[str, int], events: int | None = None) -> None:
        """Take over what was seen, and how far that is, in one transaction; ``events`` is how many are answered."""

    def keep_sample(self, events: Sequence[EventRow]) -> None:
        """Keep some of the newest events, for saying what is usual."""

    def hand_over(self) -> None:
        """Note, durably, which answers are to go out from now on; they cannot be taken out of the inbox any more."""

    def outgoing(self) -> list[Outgoing]:
        """Return the answers that go out and were not seen in the log, in order."""

    def settled(self) -> dict[int, str]:
        """Return the answers of which it was seen what became of them: their numbers and places."""

    def forget(self, numbers: Iterable[int]) -> None:
        """Forget settled answers, once the queries are as they are because of them."""

    def note_away(self, away: bool) -> None:
        """Note whether answers are waiting for the log to be there again."""
