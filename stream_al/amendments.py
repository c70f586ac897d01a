"""The log of examples as its amendments leave it.

An amendment is a record of the log, so all who fold it agree on what is amended and when. This module says which
example an amendment is of, and what is to be folded instead of it. Nothing is held in memory but the amendments.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple, Protocol

from stream_al.errors import RecordError
from stream_al.log_codec import relabelled
from stream_al.records import Amendment, ClassLabel, LoggedExample, LogRecord


class ExampleLog(Protocol):
    """Where the records of the log can be read again; every `ports.Store` is one."""

    def examples(self, start: int = 0) -> Iterable[LogRecord | None]:
        """Return the records from a number on; None in place of what is neither example nor amendment."""


class ListedLog(list["LogRecord | None"]):
    """A log in memory, for pipelines that keep none elsewhere.

    Examples
    --------
    >>> from river.naive_bayes import GaussianNB
    >>> from stream_al.model import Model
    >>> from stream_al.records import Amendment, Example
    >>> log = ListedLog(Example(event_id=e, features={"x": 1.0}, label="ham") for e in ("e1", "e2"))
    >>> log.append(Amendment(event_id="e1", label="spam", why="misread"))
    >>> model = Model(GaussianNB())
    >>> for record in log:
    ...     _ = model.fold(record, log)
    >>> model.version, model.classes
    (3, ('ham', 'spam'))
    """

    def examples(self, start: int = 0) -> Iterator[LogRecord | None]:
        """Yield the records from a number on."""
        yield from islice(self, start, None)


class Continued:
    """A log, and the records that were folded after it and are not appended yet.

    Parameters
    ----------
    log
        The log.
    length
        How many records of it there are.
    then
        The records that follow them; may grow.
    """

    def __init__(self, log: ExampleLog, length: int, then: Sequence[LogRecord]) -> None:
        self._log, self._length, self._then = log, length, then

    def examples(self, start: int = 0) -> Iterator[LogRecord | None]:
        """Yield the records from a number on."""
        yield from islice(self._log.examples(start), max(0, self._length - start))
        yield from self._then[max(0, start - self._length) :]


class Rewritten:
    """What is to be folded of a stretch of the log, for the model to be as its amendments want it.

    Parameters
    ----------
    log
        The log.
    start, end
        The numbers of the first record, and of the one after the last.
    also
        An amendment that stands at ``end``.

    Examples
    --------
    >>> from stream_al.records import Example
    >>> log = ListedLog([Example(event_id="e1", features={"x": 1.0}, label="ham")])
    >>> [
    ...     example.label
    ...     for example in Rewritten(log, 0, 1, Amendment(event_id="e1", label="spam", why="misread"))
    ... ]
    ['spam']
    """

    def __init__(self, log: ExampleLog, start: int, end: int, also: Amendment | None = None) -> None:
        self._log, self._start, self._end = log, start, end
        self._amendments = [
            (number, record)
            for number, record in enumerate(islice(log.examples(start), end - start), start)
            if isinstance(record, Amendment)
        ]
        if also is not None:
            self._amendments.append((end, also))

    def __iter__(self) -> Iterator[LoggedExample | None]:
        """Yield an example for every record, or None where nothing is to be learned."""
        by_target = self._by_target()
        records = islice(self._log.examples(self._start), self._end - self._start)
        for number, record in enumerate(records, self._start):
            if record is None or isinstance(record, Amendment):
                yield None
                continue
            amended = next(
                (
                    amendment
                    for place, amendment in reversed(by_target.get(number, []))
                    if place > number and amendment.event_id == record.event_id
                ),
                None,
            )
            yield record if amended is None else relabelled(record, amended.label)

    def _by_target(self) -> dict[int, list[tuple[int, Amendment]]]:
        """Return the amendments by the number of the example that they are of."""
        unnamed = {a.event_id: -1 for _, a in self._amendments if a.amends is None}
        last: dict[
            int, int
        ] = {}  # of an amendment that names no number: that of the last example of its event
        if unnamed:
            for number, record in enumerate(islice(self._log.examples(0), self._end)):
                if isinstance(record, Amendment):
                    if record.amends is None:
                        last[number] = unnamed.get(record.event_id, -1)
                elif record is not None and record.event_id in unnamed:
                    unnamed[record.event_id] = number
        found: dict[int, list[tuple[int, Amendment]]] = {}
        for place, amendment in self._amendments:
            target = amendment.amends
            if target is None:
                target = last.get(place, unnamed[amendment.event_id])
            found.setdefault(target, []).append((place, amendment))
        return found


class Standing(NamedTuple):
    """What the log has of an event: the number of its last example, and how that stands now."""

    number: int
    label: ClassLabel | None
    """None when it is erased."""
    example: LoggedExample


def standing_of(event_id: str, records: Iterable[LogRecord | None]) -> Standing | None:
    """Return what the log has of an event, read from its beginning; None when it has no example of it.

    Examples
    --------
    >>> from stream_al.records import Example
    >>> log = [
    ...     Example(event_id="e1", features={"x": 1.0}, label="ham"),
    ...     Amendment(event_id="e1", why="on request"),
    ... ]
    >>> standing_of("e1", log).label is None, standing_of("e2", log)
    (True, None)
    """
    found: Standing | None = None
    for number, record in enumerate(records):
        if record is None or record.event_id != event_id:
            continue
        if not isinstance(record, Amendment):
            found = Standing(number, record.label, record)
        elif found is not None and record.amends in (None, found.number):
            found = found._replace(label=record.label)
    return found


def amendable(amendment: Amendment, log: ExampleLog) -> tuple[int, str]:
    """Return the number of the example that an amendment changes, and in words how.

    Raises
    ------
    RecordError
        When it would change nothing: ``unknown-event``, ``already-erased``, ``same-label``.
    """
    event_id = amendment.event_id
    found = standing_of(event_id, log.examples())
    if found is None or amendment.amends not in (None, found.number):
        raise RecordError(
            "unknown-event",
            f"event_id: nothing was learned of event {event_id!r}, so there is nothing to amend; check the id "
            "(an open query is answered by a label)",
            event_id,
        )
    if found.label is None:
        raise RecordError(
            "already-erased",
            f"event_id: example {found.number} (of event {event_id!r}) is erased already",
            event_id,
        )
    if type(found.label) is type(amendment.label) and found.label == amendment.label:
        raise RecordError(
            "same-label",
            f"label: example {found.number} (of event {event_id!r}) has the label {found.label!r} already",
            event_id,
        )
    if amendment.label is None:
        return found.number, f"example {found.number} is erased"
    return found.number, f"example {found.number} is {amendment.label!r} now"


def find_target(amendment: Amendment, log: ExampleLog, number: int) -> int | None:
    """Return the number of the example that an amendment with this number is of; None when there is none."""
    if amendment.amends is None:
        found = standing_of(amendment.event_id, islice(log.examples(0), number))
        return None if found is None else found.number
    if amendment.amends >= number:
        return None
    record = next(iter(log.examples(amendment.amends)), None)
    if record is None or isinstance(record, Amendment) or record.event_id != amendment.event_id:
        return None
    return amendment.amends
