"""The data sets that river bundles, as sources of events: ``river:ImageSegments``. Nothing is downloaded.

``sklearn:digits`` is another: 1,797 handwritten digits of 8 × 8 pixels, which scikit-learn bundles (extra ``pool``).

Guarantee: exactly once, as for files; a data set is read from its beginning to get to a position.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from river import datasets

from stream_al.codec import EventRow, event_from_fields, printable
from stream_al.errors import ConfigError, RecordError, SourceError
from stream_al.ports import LabelledRow, Position
from stream_al.records import DeadLetter

PREFIX = "river:"
SKLEARN = "sklearn:"


class RiverEvents:
    """A river data set (or any iterable of ``(features, label)``) as a source of labelled events.

    Parameters
    ----------
    name
        Of a class in ``river.datasets``, or ``sklearn:digits``; ids are ``name:1``, ``name:2``, …
    dataset
        The iterable itself, when it is not one of river's.

    Raises
    ------
    SourceError
        When there is no such data set, or it would have to be downloaded.
    ConfigError
        When scikit-learn is needed and not installed.
    """

    def __init__(self, name: str, dataset: Any = None) -> None:
        self._name = name.removeprefix(PREFIX).removeprefix(SKLEARN)
        if dataset is None:
            dataset = _of_sklearn(self._name) if name.startswith(SKLEARN) else _bundled(self._name)
        self._dataset = dataset
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


def is_bundled(path: str) -> bool:
    """Tell whether a path is the name of a data set, which knows its own labels, instead of a file."""
    return path.startswith((PREFIX, SKLEARN))


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


def _of_sklearn(name: str) -> list[tuple[dict[str, float], str]]:
    """Return the digits (Alpaydin & Kaynak 1998, UCI); scikit-learn's others are sorted by class, so no streams."""
    if name != "digits":
        raise SourceError(f"{SKLEARN}{name}: not a data set that can be read here; there is {SKLEARN}digits")
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ConfigError(
            f"{SKLEARN}{name}: needs scikit-learn, of the `pool` extra: pip install 'stream-al[pool]'"
        ) from None
    found = load_digits()
    names = [name for name in found.feature_names if name.startswith("pixel")]
    return [
        (dict(zip(names, map(float, values), strict=True)), str(label))
        for values, label in zip(found.data, found.target, strict=True)
    ]
