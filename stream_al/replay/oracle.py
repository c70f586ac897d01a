"""A simulated human oracle: knows the true classes, and answers late and out of order.

A simulation, for demos, replays and tests. Its delay counts events, not seconds, so a run that uses it is
deterministic; which answer takes how long is a keyed hash of the event's id.
"""

from __future__ import annotations

import json
from bisect import insort
from collections.abc import Sequence

from stream_al.codec import EventRow, QueryRow
from stream_al.draws import Draws
from stream_al.ports import NEVER, IncomingLabel, LabelledRow, Position


class SimulatedOracle:
    """Answers every query with the truth, ``delay`` to ``delay + jitter`` events later.

    A label source whose position is the answers still to come, so that a restarted run goes on with them.

    Parameters
    ----------
    delay
        How many events pass between query and answer, at least; 0 answers before the next event.
    jitter
        How many more there may be. Answers then come out of order.
    key
        Decides which answers are the late ones.
    annotator
        The name the answers bear.
    """

    def __init__(
        self, delay: int = 0, jitter: int = 0, key: str = "oracle", annotator: str = "oracle"
    ) -> None:
        if delay < 0 or jitter < 0:
            raise ValueError(f"delay = {delay!r}, jitter = {jitter!r}: must not be negative")
        self._delay = delay
        self._jitter = jitter
        self._annotator = annotator
        self._draw = Draws(key, "oracle")
        self._pending: list[tuple[int, int, str, str | int | bool]] = []
        self._asked = 0

    @property
    def due(self) -> float:
        """Return the event number before which the next answer comes."""
        return self._pending[0][0] if self._pending else NEVER

    @property
    def lag(self) -> float:
        """Return how many events after the one asked about its answer comes, at least: before the next is 1."""
        return self._delay + 1

    @property
    def position(self) -> Position:
        """Return the answers still to come, and how many were ever asked for."""
        return {"asked": self._asked, "pending": [list(answer) for answer in self._pending]}

    def seek(self, position: Position) -> None:
        """Take over the answers still to come."""
        position = position or {"asked": 0, "pending": []}
        self._asked = position["asked"]
        self._pending = [(due, turn, event_id, label) for due, turn, event_id, label in position["pending"]]

    def asked(self, query: QueryRow, event: EventRow, number: int) -> None:
        """Look the answer up; it is due ``delay`` to ``delay + jitter`` events after ``number``."""
        if not isinstance(event, LabelledRow) or event.truth is None:
            return  # nobody knows
        late = int(self._draw(query.event_id) * (self._jitter + 1))
        insort(self._pending, (number + self._delay + late, self._asked, query.event_id, event.truth))
        self._asked += 1

    def poll(self, events: float) -> Sequence[IncomingLabel]:
        """Return the answers due by now, in the order they became due."""
        found = []
        while self._pending and self._pending[0][0] <= events:
            _, turn, event_id, label = self._pending.pop(0)
            record = {"event_id": event_id, "label": label, "annotator": self._annotator}
            found.append(IncomingLabel(json.dumps(record).encode(), f"oracle:{turn + 1}"))
        return found

    def close(self) -> None:
        """Do nothing."""
