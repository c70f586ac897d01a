"""A query as the desk holds it while it is open, and as a store keeps it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from math import isnan, nan
from typing import NamedTuple

from stream_al.codec import QueryRow, decode_query
from stream_al.records import Label


class Vote(NamedTuple):
    """A label that waits at an open query."""

    number: int
    label: Label
    position: str


class QueryState(NamedTuple):
    """A query as it is stored: everything the desk knows of it, JSON-able."""

    event_id: str
    status: str
    utility: float
    """What its label is worth: as asked, or by the model as it was when it was last scored again."""
    asked: int
    """The number of the event; open queries are in this order."""
    query: str
    votes: str
    abstained: str
    clock: str | None
    example: int | None
    closed: int | None


@dataclass(slots=True)
class OpenQuery:
    """A query that waits for answers, with those it has."""

    query: QueryRow
    line: str
    """The query as JSON, as it was written when it was asked."""
    clock: datetime | None
    """The newest event timestamp when it was asked."""
    votes: dict[str, Vote] = field(default_factory=dict)
    abstained: list[str] = field(default_factory=list)
    serial: int = 0
    """The place among all that were opened here."""
    utility: float = nan
    """By the model as it was when it was asked, or scored again."""

    def __post_init__(self) -> None:
        if isnan(self.utility):
            self.utility = self.query.utility

    @classmethod
    def of(cls, state: QueryState) -> OpenQuery:
        """Return a query as it was stored while it was open."""
        votes = [
            Vote(number, Label.model_validate_json(json.dumps(label)), position)
            for number, label, position in json.loads(state.votes)
        ]
        return cls(
            decode_query(state.query),
            state.query,
            None if state.clock is None else datetime.fromisoformat(state.clock),
            {vote.label.annotator: vote for vote in votes},
            json.loads(state.abstained),
            utility=state.utility,
        )

    def state(
        self, status: str = "open", example: int | None = None, closed: int | None = None
    ) -> QueryState:
        """Return the query as it is to be stored."""
        votes = [[v.number, v.label.model_dump(mode="json"), v.position] for v in self.votes.values()]
        return QueryState(
            self.query.event_id,
            status,
            self.utility,
            self.query.event_number,
            self.line,
            json.dumps(votes) if votes else "[]",
            json.dumps(self.abstained) if self.abstained else "[]",
            None if self.clock is None else self.clock.isoformat(),
            example,
            closed,
        )
