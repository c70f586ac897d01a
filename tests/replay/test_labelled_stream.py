import pytest

from connectors.memory import MemoryEvents
from stream_al import ConfigError, DeadLetter, SourceError
from stream_al.codec import EventRow
from stream_al.ports import LabelledRow
from stream_al.replay import LabelledStream

LETTER = DeadLetter(
    source="events", position="f:2", reason="ragged-row", detail="the row has 1 cells", record="x"
)


def row(number, truth):
    return LabelledRow({"x": float(number)}, f"e{number}", truth=truth)


def read(items, limit=None):
    return LabelledStream.read(MemoryEvents(items), "here.csv", limit)


def test_events_are_kept_in_order_and_what_is_none_is_counted():
    stream = read([row(0, "b"), LETTER, row(1, None), row(2, "a")])
    assert [r.id for r in stream.rows] == ["e0", "e1", "e2"]
    assert stream.classes == ("a", "b")
    assert stream.unusable == {"ragged-row": 1}
    assert stream.unlabelled == 1


def test_a_limit_counts_events():
    assert len(read([row(n, "ab"[n % 2]) for n in range(9)], limit=4).rows) == 4


def test_more_than_one_chunk_is_read():
    assert len(read([row(n, n % 2) for n in range(10_001)]).rows) == 10_001


@pytest.mark.parametrize(
    ("items", "error", "message"),
    [
        ([], SourceError, "there is no event in it"),
        ([LETTER], SourceError, r"no event in it; the first record \(f:2\): the row has 1 cells"),
        ([EventRow({"x": 1, "target": "a"}, "e")], ConfigError, "--label-column; there are x, target"),
        ([row(0, None)], ConfigError, "no event has a label"),
        ([row(0, "a"), row(1, "a")], ConfigError, "every label is 'a'; there must be two classes"),
        ([row(n, n) for n in range(1001)], ConfigError, "1,001 distinct values"),
        ([row(0, "a"), row(1, 1)], ConfigError, r"of several types \(int, str\)"),
    ],
)
def test_what_cannot_be_compared_on_is_refused_with_a_sentence(items, error, message):
    with pytest.raises(error, match=message):
        read(items)
