"""What the sources and sinks of events, labels and outputs promise (`stream_al.ports`), as one suite each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from stream_al.checks.strategy import require
from stream_al.codec import EventRow
from stream_al.errors import RecordError
from stream_al.ports import EventSource, LabelSource, Position, Sink
from stream_al.records import DeadLetter, Label, parse_label

_LIMITS: Final = (1, 2, 3, 7, 100)
_IDLE: Final = 1000
"""So many empty reads in a row of a source that is not exhausted are taken for ever."""
_RESTARTS: Final = 25


def check_event_source(make: Callable[[], EventSource]) -> list[EventRow | DeadLetter]:
    """Hold a source of events to what `EventSource` promises; return what it gave.

    Read in batches of any size, and with a restart (a new source, put to the position) between any two
    reads, it gives the same records in the same order. Positions survive JSON. Once exhausted it gives
    nothing more, and `seek` goes back.

    Parameters
    ----------
    make
        Opens the source anew, always on the same finite input.

    Raises
    ------
    AssertionError
        Naming the promise that was broken.

    Examples
    --------
    >>> from connectors.memory import MemoryEvents
    >>> rows = [EventRow({"a": n}, f"e{n}") for n in range(5)]
    >>> len(check_event_source(lambda: MemoryEvents(rows)))
    5
    """
    source = make()
    whole = _drain(source, 10_000)
    end = source.position
    for record in whole:
        _check_record(record)
    _check_end(source, "read to its end")
    source.seek(None)
    require(_drain(source, 10_000) == whole, "after seek(None) the source gives other records than at first")
    source.close()
    for limit in _LIMITS:
        source = make()
        found = _drain(source, limit)
        require(
            found == whole, f"read {limit} at a time the source gives other records: {_first(found, whole)}"
        )
        source.close()
        _check_restarts(make, whole, limit)
    source = make()
    source.seek(_through_json(end))
    require(_drain(source, 10) == [], "put to its last position, a new source gives records again")
    _check_end(source, "put to its last position")
    source.close()
    return whole


def _drain(source: EventSource, limit: int) -> list[EventRow | DeadLetter]:
    found: list[EventRow | DeadLetter] = []
    idle = 0
    while not source.exhausted and idle < _IDLE:
        records = _read(source, limit)
        idle = 0 if records else idle + 1
        found += records
    require(idle < _IDLE, f"{_IDLE} reads in a row gave nothing, and the source is not exhausted")
    return found


def _read(source: EventSource, limit: int) -> Sequence[EventRow | DeadLetter]:
    records = source.read(limit, 0.0)
    require(len(records) <= limit, f"read({limit}, 0.0) returned {len(records)} records")
    return records


def _check_record(record: object) -> None:
    if isinstance(record, DeadLetter):
        require(
            bool(record.position and record.reason and record.detail), f"{record!r} does not say why or where"
        )
        require(record.source == "events", f"{record!r} is of events, its source says {record.source!r}")
    else:
        require(isinstance(record, EventRow), f"{record!r} is neither an EventRow nor a DeadLetter")
        require(isinstance(record, EventRow) and isinstance(record.id, str), f"{record!r}: its id is no text")
        require(
            isinstance(record, EventRow) and bool(record.id),
            f"{record!r}: has no id; derive one of its place",
        )


def _check_end(source: EventSource, when: str) -> None:
    require(source.exhausted, f"{when}, the source does not say that it is exhausted")
    position = source.position
    require(not source.read(10, 0.0), f"{when} and exhausted, the source gives more records")
    require(source.exhausted, f"{when}, the source is exhausted only at times")
    require(source.position == position, f"{when}, the position still changes")


def _check_restarts(make: Callable[[], EventSource], whole: Sequence[object], limit: int) -> None:
    """Read on, and now and then put a new source to the position and compare what it gives from there."""
    source = make()
    places: list[tuple[int, Position]] = [(0, source.position)]
    count = 0
    while not source.exhausted:
        count += len(_read(source, limit))
        places.append((count, _through_json(source.position)))
    for count, position in places[:: max(1, len(places) // _RESTARTS)]:
        fresh = make()
        fresh.seek(position)
        rest = _drain(fresh, limit + 1)
        require(
            rest == list(whole[count:]),
            f"a new source put to position {position!r} (after {count} records, {limit} at a time) "
            f"gives other records: {_first(rest, whole[count:])}",
        )
        fresh.close()
        source.seek(position)
        again = _read(source, limit)
        require(
            list(again) == list(whole[count : count + len(again)]),
            f"the source put back to position {position!r} gives other records",
        )
    source.close()


def _through_json(position: Position) -> Position:
    try:
        after: Any = json.loads(json.dumps(position, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"the position {position!r} is not JSON ({error})") from None
    require(after == position, f"the position {position!r} is another after a trip through JSON: {after!r}")
    return after


def _first(found: Sequence[object], expected: Sequence[object]) -> str:
    for number, (one, other) in enumerate(zip(found, expected, strict=False)):
        if one != other:
            return f"record {number} is {one!r} instead of {other!r}"
    return f"{len(found)} of {len(expected)}"


def check_label_source(make: Callable[[], LabelSource], put: Callable[[Label], None]) -> None:
    """Hold a source of labels to what `LabelSource` promises.

    Each label is given once, whole and in order, with a place that names it; a new source put to a position
    goes on behind it; positions survive JSON.

    Parameters
    ----------
    make
        Opens the source anew, always on the same labels; none at first.
    put
        Adds a label as a person would.

    Raises
    ------
    AssertionError
        Naming the promise that was broken.
    """
    source = make()
    require(not source.poll(0), "a source without labels gives some")
    start = _through_json(source.position)
    labels = [
        Label(event_id="e1", label="spam", annotator="ann"),
        Label(event_id="e1", label=True, annotator="böb"),
        Label(event_id="e2", label=-3, timestamp="2026-01-31T12:00:00+01:00"),  # type: ignore[arg-type]
        Label(event_id="e3", abstain="unsure"),
        Label(event_id="e2", label="3"),
    ]
    places: list[tuple[int, Position]] = [(0, start)]
    names: list[str] = []
    for number, label in enumerate(labels, 1):
        put(label)
        incoming = source.poll(number)
        require(len(incoming) == 1, f"one label was put, poll gave {len(incoming)}")
        require(
            _read_label(incoming[0].record, incoming[0].problem) == label, f"{label!r} arrived as another"
        )
        require(not source.poll(number), "poll gives a label twice")
        names.append(incoming[0].position)
        places.append((number, _through_json(source.position)))
    require(len(set(names)) == len(names) and all(names), f"labels share a place: {names}")
    require(source.due >= 0, f"due is {source.due!r}; give an event number, or NEVER")
    require(
        source.lag >= 1, f"lag is {source.lag!r}; no label comes before the event after its own, which is 1"
    )
    for count, position in [(0, None), *places]:
        fresh = make()
        fresh.seek(position)
        found = fresh.poll(len(labels))
        require(
            [_read_label(record, problem) for record, _, problem in found] == labels[count:],
            f"a new source put to position {position!r} does not go on after {count} labels",
        )
        require(
            [place for _, place, _ in found] == names[count:], "a label's place depends on when it is read"
        )
        fresh.close()
    source.close()


def _read_label(record: bytes, problem: RecordError | None) -> Label:
    require(problem is None, f"a usable label came with a problem: {problem}")
    return parse_label(record)


def check_sink(
    make: Callable[[], Sink],
    read: Callable[[], Mapping[str, bytes]],
    write: Callable[[Mapping[str, bytes]], None],
) -> None:
    """Hold a sink to what `Sink` promises: after any crash, recovery leaves each line there exactly once.

    A crash is played at every byte of the last batch, in each stream by itself and in all of them.

    Parameters
    ----------
    make
        Opens the sink anew, always on the same outputs, which are empty at first.
    read
        Returns what the outputs hold, by stream.
    write
        Makes the outputs hold this instead, as a crash may have left them.

    Raises
    ------
    AssertionError
        Naming the promise that was broken.
    """
    sink = make()
    sink.recover({}, {})
    names = sorted(sink.lengths())
    require(set(sink.lengths().values()) <= {0}, f"a new sink has lengths {sink.lengths()}; they begin at 0")
    first = {name: f'{{"{name}": "é 1"}}\n'.encode() * 2 for name in names}
    last = {name: f'{{"{name}": 2}}\n'.encode() for name in names}
    sink.emit(first)
    lengths = sink.lengths()
    expected = {name: len(first[name]) for name in names}
    require(
        lengths == expected, f"after the first batch lengths are {lengths}, {expected} bytes were emitted"
    )
    sink.emit(last)
    sink.emit({})
    sink.close()
    whole = {name: first[name] + last[name] for name in names}
    require(_held(read, names) == whole, "the outputs do not hold what was emitted, in order")
    left = [dict.fromkeys(names, cut) for cut in range(-1, max(map(len, last.values()), default=0) + 1)]
    left += [{**dict.fromkeys(names, 0), name: 5} for name in names]
    for cuts in left:
        # −1 stands for more than was ever committed: a batch that was emitted by nobody's commit.
        broken = {
            n: whole[n] + b'{"more": ' if cut < 0 else whole[n][: lengths[n] + cut] for n, cut in cuts.items()
        }
        for times in (1, 2):
            write(broken)
            for _ in range(times):  # a crash during recovery, too
                sink = make()
                sink.recover(lengths, last)
                require(
                    _held(read, names) == whole,
                    f"after a crash that left {cuts} bytes of the last batch, it makes {_held(read, names)}",
                )
                sink.close()
    sink = make()
    sink.recover(lengths, last)
    sink.emit(last)
    require(sink.lengths() == {n: len(whole[n] + last[n]) for n in names}, "lengths are wrong after recovery")
    sink.close()
    require(
        _held(read, names) == {n: whole[n] + last[n] for n in names}, "a sink cannot go on after recovery"
    )


def _held(read: Callable[[], Mapping[str, bytes]], names: Sequence[str]) -> dict[str, bytes]:
    held = read()
    return {name: bytes(held[name]) for name in names}
