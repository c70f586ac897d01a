"""The data sets that river bundles, as sources of events: ``river:ImageSegments``. Nothing is downloaded.

Guarantee: exactly once, as for files; a data set is read from its beginning to get to a position.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from river import datasets

from stream_al.codec import EventRow, event_from_fields, printable
from stream_al.errors import RecordError, SourceError
from stream_al.ports import LabelledRow, Position
from stream_al.records import DeadLetter

PREFIX = "river:"


class RiverEvents:
    """A river data set (or any iterable of ``(features, label)``) as a source of labelled events.

    Parameters
    ----------
    name
        Of a class in ``river.datasets``; ids are ``name:1``, ``name:2``, …
    dataset
        The iterable itself, when it is not one of river's.

    Raises
    ------
    SourceError
        When there is no such data set, or it would have to be downloaded.
    """

    def __init__(self, name: str, dataset: Any = None) -> None:
        self._name = name.removeprefix(PREFIX)
        self._dataset = _bundled(self._name) if dataset is None else dataset
        self._rows: Iterator[tuple[dict[str, Any], Any]] | None = None
        self._next = 0
        self.exhausted = False

    @property
    def position(self) -> Position:
        """Return how many events were read."""
        return self._next

    def seek(self, position: Position) -> None:
        """Go to a position."""
        self._next = position or 0
        self._rows = None
        self.exhausted = False

    def read(self, limit: int, wait: float) -> Sequence[EventRow | DeadLetter]:
        """Return the next events; never waits."""
        if self._rows is None:
            self._rows = islice(iter(self._dataset), self._next, None)
        found: list[EventRow | DeadLetter] = []
        for features, label in islice(self._rows, limit):
            self._next += 1
            place = f"{self._name}:{self._next}"
            try:
                row = event_from_fields({str(k): v for k, v in features.items() if v is not None}, place)
            except RecordError as error:
                letter = DeadLetter(
                    source="events",
                    position=place,
                    reason=error.reason,
                    detail=printable(error.detail),
                    event_id=place,
                    record=repr(features),
                )
                found.append(letter)
            else:
                found.append(
                    LabelledRow(row.features, row.id, row.timestamp, row.key, row.display, truth=label)
                )
        self.exhausted = len(found) < limit
        return found

    def close(self) -> None:
        """Do nothing."""


def bundled() -> dict[str, type]:
    """Return the classification data sets that come with river, by name."""
    found = {}
    for name in datasets.__all__:
        kind: Any = getattr(datasets, name)
        if isinstance(kind, type) and issubclass(kind, datasets.base.FileDataset):
            if issubclass(kind, datasets.base.RemoteDataset):
                continue
            made: Any = kind  # its constructor differs from that of its base
            if made().task in (datasets.base.BINARY_CLF, datasets.base.MULTI_CLF):
                found[name] = kind
    return found


def _bundled(name: str) -> Any:
    known = bundled()
    if name not in known:
        raise SourceError(f"{PREFIX}{name}: not a data set that river bundles; there are {', '.join(known)}")
    return known[name]()
