"""What stands for a learner's desk, model or monitors where somebody else has done, or will do, their work."""

from __future__ import annotations

from collections.abc import Sequence

from stream_al.codec import QueryRow
from stream_al.errors import RecordError
from stream_al.labels import LabelDesk, Settled
from stream_al.monitor import LogMonitors
from stream_al.records import Query
from stream_al.uncertainty import Scores


class AskedElsewhere(LabelDesk):
    """Stands where the desk would, when other workers match the labels: asks, and keeps nothing."""

    def __init__(self) -> None:
        super().__init__(keep_changes=False)

    def blocks(self, event_id: str, utility: float) -> str | None:
        """Block nothing: what this worker happens to know must not decide."""
        return None

    def ask(self, query: Query | QueryRow, line: bytes | None = None) -> list[Settled]:
        """Open nothing: whoever called writes the query."""
        return []


class KnownScores:
    """Stands for the model when all scores are known already.

    Parameters
    ----------
    scores
        In the order in which they will be asked for.
    """

    def __init__(self, scores: Sequence[Scores | RecordError]) -> None:
        self._scores = scores
        self._next = 0

    def score_all(self, events: Sequence[object], wants: object = ()) -> Sequence[Scores | RecordError]:
        """Return the next scores, one an event."""
        found = self._scores[self._next : self._next + len(events)]
        self._next += len(events)
        return found

    def look(self, features: object, answer: Scores, wants: object) -> Scores:
        """Return the scores as they are known."""
        return answer


class KnownMonitors(LogMonitors):
    """Stands for the monitors when all calibrated scores are known already.

    Parameters
    ----------
    scores
        In the order in which they will be asked for; none where nothing is calibrated.
    """

    def __init__(self, scores: Sequence[Scores]) -> None:
        super().__init__(calibrated=bool(scores))
        self._scores = iter(scores)

    def rescaled(self, scores: Scores) -> Scores:
        """Return the next."""
        return next(self._scores)
