"""The in-memory connectors keep the promises of every connector."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from connectors.memory import MemoryEvents, MemoryLabels, MemorySink
from stream_al.checks import check_event_source, check_label_source, check_sink
from stream_al.codec import EventRow
from stream_al.ports import OUTPUTS, IncomingLabel
from stream_al.records import DeadLetter, Label

LETTER = DeadLetter(source="events", position="3", reason="malformed-json", detail="no", record="{")
ROWS: list[EventRow | DeadLetter] = [EventRow({"a": n}, f"e{n}") for n in range(20)]


def test_events_keep_the_promises_of_a_source() -> None:
    items = [*ROWS[:3], LETTER, *ROWS[3:]]
    assert check_event_source(lambda: MemoryEvents(items)) == items
    assert check_event_source(lambda: MemoryEvents([])) == []


def test_events_that_are_still_coming_do_not_exhaust_the_source() -> None:
    source = MemoryEvents(closed=False)
    assert source.read(10, 0.0) == []
    assert not source.exhausted
    source.items += ROWS[:2]
    assert source.read(10, 0.0) == ROWS[:2]
    source.closed = True
    assert source.exhausted


def test_labels_keep_the_promises_of_a_source() -> None:
    items: list[IncomingLabel] = []

    def make() -> MemoryLabels:
        source = MemoryLabels()
        source.items = items
        return source

    check_label_source(make, lambda label: make().put(label))


def test_labels_may_be_any_bytes() -> None:
    source = MemoryLabels()
    source.put(b"\xff")
    source.put(Label(event_id="e", label="x"))
    assert [(found.record[:1], found.position) for found in source.poll(0)] == [
        (b"\xff", "memory:1"),
        (b"{", "memory:2"),
    ]


class Streams:
    """What outlives a sink."""

    def __init__(self) -> None:
        self.streams: dict[str, bytearray] = {name: bytearray() for name in OUTPUTS}

    def make(self) -> MemorySink:
        sink = MemorySink()
        sink.streams = self.streams
        return sink

    def read(self) -> Mapping[str, bytes]:
        return {name: bytes(stream) for name, stream in self.streams.items()}

    def write(self, contents: Mapping[str, bytes]) -> None:
        for name, content in contents.items():
            self.streams[name][:] = content


def test_a_sink_keeps_the_promises_of_a_sink() -> None:
    outside = Streams()
    check_sink(outside.make, outside.read, outside.write)


# ── the suites themselves notice ─────────────────────────────────────────────────────────────────


class Repeats(MemoryEvents):
    """Goes back one item too far after a restart."""

    def seek(self, position: object) -> None:
        super().seek(max(0, int(position or 0) - 1))  # type: ignore[call-overload]


class Greedy(MemoryEvents):
    def read(self, limit: int, wait: float) -> list[EventRow | DeadLetter]:
        return list(super().read(limit + 1, wait))


class Endless(MemoryEvents):
    exhausted = False  # type: ignore[assignment]


class Skips(MemoryEvents):
    """Loses the last item of a batch that is full."""

    def read(self, limit: int, wait: float) -> list[EventRow | DeadLetter]:
        found = list(super().read(limit, wait))
        return found[:-1] if len(found) == limit > 2 else found


class Opaque(MemoryEvents):
    @property
    def position(self) -> object:
        return {super().position}


class Nameless(MemoryEvents):
    def read(self, limit: int, wait: float) -> list[EventRow | DeadLetter]:
        return [EventRow({"a": 1}, "") for _ in super().read(limit, wait)]


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (Repeats, r"a new source put to position 1 .* gives other records"),
        (Greedy, r"read\(1, 0.0\) returned 2 records"),
        (Endless, "is not exhausted"),
        (Skips, "gives other records: record 2 is"),
        (Opaque, "is not JSON"),
        (Nameless, "has no id"),
    ],
)
def test_the_suite_for_events_names_the_broken_promise(broken: type[MemoryEvents], told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        check_event_source(lambda: broken(ROWS[:9]))


class Forgets(MemorySink):
    """Does not cut back what was written and never committed."""

    def recover(self, lengths: Mapping[str, int], last: Mapping[str, bytes]) -> None:
        for name, stream in self.streams.items():
            if len(stream) <= lengths.get(name, 0):
                stream += last.get(name, b"")


def test_the_suite_for_sinks_names_the_crash_that_recovery_does_not_survive() -> None:
    outside = Streams()

    def make() -> MemorySink:
        sink = Forgets()
        sink.streams = outside.streams
        return sink

    with pytest.raises(AssertionError, match="after a crash that left"):
        check_sink(make, outside.read, outside.write)


def test_the_suite_for_labels_notices_a_label_given_twice() -> None:
    items: list[IncomingLabel] = []

    class Twice(MemoryLabels):
        def poll(self, events: float) -> list[IncomingLabel]:
            return list(self.items)

    def make() -> MemoryLabels:
        source = Twice()
        source.items = items
        return source

    with pytest.raises(AssertionError, match="gives a label twice"):
        check_label_source(make, lambda label: make().put(label))
