"""A labelled stream held in memory, checked for being one that strategies can be compared on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stream_al.codec import EventRow
from stream_al.errors import ConfigError, SourceError
from stream_al.ports import EventSource, LabelledRow
from stream_al.recording import Recording
from stream_al.records import ClassLabel, DeadLetter

MOST_CLASSES = 1000
"""A label column with more distinct values holds a measurement or an id."""
_FEW = 20
"""So many distinct fractions may be classes still."""
_CHUNK = 10_000


@dataclass(frozen=True, slots=True)
class LabelledStream:
    """The events of a source, in order, and the classes among them.

    ``unusable`` counts the records that were no events, by reason; no strategy sees them.
    """

    name: str
    rows: tuple[EventRow, ...]
    classes: tuple[ClassLabel, ...]
    unusable: Mapping[str, int]

    @classmethod
    def read(
        cls,
        source: EventSource,
        name: str,
        limit: int | None = None,
        max_classes: int = MOST_CLASSES,
    ) -> LabelledStream:
        """Read a source to its end, or ``limit`` events of it.

        Raises
        ------
        SourceError
            When there is no event in it, or it cannot be read.
        ConfigError
            When its labels are missing, or no classes.
        """
        rows: list[EventRow] = []
        unusable: Counter[str] = Counter()
        problem: DeadLetter | None = None
        while not source.exhausted and (limit is None or len(rows) < limit):
            wanted = _CHUNK if limit is None else min(_CHUNK, limit - len(rows))
            for record in source.read(wanted, 0.0):
                if isinstance(record, DeadLetter):
                    unusable[record.reason] += 1
                    problem = problem or record
                else:
                    rows.append(record)
        if not rows:
            why = f"; the first record ({problem.position}): {problem.detail}" if problem else ""
            raise SourceError(f"{name}: there is no event in it{why}")
        return cls(name, tuple(rows), _classes(rows, name, max_classes), dict(sorted(unusable.items())))

    @classmethod
    def of(cls, recording: Recording) -> LabelledStream:
        """Return the events of a recorded run, with the classes that people agreed on.

        Events that nobody was asked about, or that people did not agree on, have no class: a replay answers
        them, and does not measure them. So its accuracies are over the events that were asked about, which
        are no fair sample; see `stream_al.replay.counterfactual` for what can be said of all.

        Raises
        ------
        ConfigError
            When there are fewer than two classes.
        """
        agreed = recording.agreed
        rows = [
            LabelledRow(row.features, row.id, row.timestamp, row.key, row.display, truth=agreed.get(place))
            for place, row in enumerate(recording.events)
        ]
        if not rows:
            raise SourceError(f"{recording.name}: there is no event in it")
        if not agreed:
            raise ConfigError(
                f"{recording.name}: no label has become an example yet, so nothing can be measured"
            )
        return cls(recording.name, tuple(rows), _classes(rows, recording.name, MOST_CLASSES), {})

    @property
    def unlabelled(self) -> int:
        """How many events have no true class: they are answered, and not measured."""
        return sum(truth_of(row) is None for row in self.rows)


def truth_of(row: EventRow) -> ClassLabel | None:
    """Return the true class of an event; None where nobody knows it."""
    return row.truth if isinstance(row, LabelledRow) else None


def _classes(rows: Sequence[EventRow], name: str, most: int) -> tuple[ClassLabel, ...]:
    found = {truth for row in rows if (truth := truth_of(row)) is not None}
    if not found:
        columns = ", ".join(rows[0].features)
        raise ConfigError(
            f"{name}: no event has a label, so nothing can be measured; "
            f"name the label's column with --label-column; there are {columns}"
        )
    if len(found) == 1:
        (only,) = found
        raise ConfigError(f"{name}: every label is {only!r}; there must be two classes or more to tell apart")
    if len(found) > most:
        raise ConfigError(
            f"{name}: the labels have {len(found):,} distinct values, more than {most:,}: "
            "that is a measurement or an id, not a class; name another --label-column, or raise --max-classes"
        )
    if len(found) > max(_FEW, len(rows) // 10) and sum(map(_is_fraction, found)) * 2 > len(found):
        few = ", ".join(sorted(map(str, found))[:3])
        raise ConfigError(
            f"{name}: the labels are {len(found):,} different fractions ({few}, …): a measurement, not a class; "
            "sort it into classes first, or name another --label-column"
        )
    try:
        return tuple(sorted(found))
    except TypeError:
        kinds = ", ".join(sorted({type(label).__name__ for label in found}))
        raise ConfigError(f"{name}: the labels are of several types ({kinds}); make them one") from None


def _is_fraction(label: ClassLabel) -> bool:
    try:
        return not float(label).is_integer()
    except ValueError:
        return False
