"""River's bundled data sets as sources: whole, in order, restartable, and nothing is downloaded."""

from __future__ import annotations

import math
from typing import Any

import pytest

from connectors.datasets import RiverEvents, bundled
from stream_al.checks import check_event_source
from stream_al.errors import SourceError
from stream_al.ports import LabelledRow
from stream_al.records import DeadLetter


def drain(source: RiverEvents) -> list[Any]:
    found: list[Any] = []
    while not source.exhausted:
        found += source.read(1000, 0.0)
    return found


def test_a_bundled_data_set_is_read_whole_with_its_true_classes() -> None:
    rows = drain(RiverEvents("river:ImageSegments"))
    assert len(rows) == 2310
    assert all(isinstance(row, LabelledRow) for row in rows)
    assert (rows[0].id, rows[-1].id) == ("ImageSegments:1", "ImageSegments:2310")
    assert len({row.truth for row in rows}) == 7
    assert all(isinstance(row.truth, str) for row in rows)


@pytest.mark.parametrize("name", ["Phishing", "Bananas"])
def test_the_truth_keeps_its_type_and_is_no_feature(name: str) -> None:
    rows = RiverEvents(name).read(50, 0.0)
    truths = {type(row.truth) for row in rows}  # type: ignore[union-attr]
    assert truths == {bool}


def test_every_bundled_data_set_can_be_read() -> None:
    for name in bundled():
        rows = RiverEvents(name).read(20, 0.0)
        assert len(rows) == 20, name
        assert not any(isinstance(row, DeadLetter) for row in rows), name


def test_it_keeps_the_promises_of_a_source() -> None:
    rows = [({"a": n / 7, "b": "text", "c": None if n % 3 else True}, n % 2 == 0) for n in range(40)]
    found = check_event_source(lambda: RiverEvents("mine", rows))
    assert [row.id for row in found] == [f"mine:{n}" for n in range(1, 41)]  # type: ignore[union-attr]
    assert found[0].truth is True  # type: ignore[union-attr]


def test_a_data_set_without_rows_ends_at_once() -> None:
    assert check_event_source(lambda: RiverEvents("mine", [])) == []


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        ({}, "empty-features"),
        ({"a": None}, "empty-features"),
        ({"a": math.nan}, "not-finite"),
        ({"a": math.inf}, "out-of-range"),
        ({"a": [1]}, "wrong-type"),
        ({"a": "\ud800"}, "not-utf8"),
        ({"\ud800": 1}, "not-utf8"),
    ],
)
def test_a_bad_row_is_one_dead_letter_and_its_neighbours_are_unharmed(
    features: dict[str, Any], reason: str
) -> None:
    good = {"a": 1.5}
    found = drain(RiverEvents("mine", [(good, 1), (features, 1), (good, 0)]))
    assert [isinstance(record, DeadLetter) for record in found] == [False, True, False]
    letter = found[1]
    assert (letter.position, letter.event_id) == ("mine:2", "mine:2")
    assert letter.reason in (reason, "not-finite")
    assert letter.detail
    letter.to_json()


def test_the_digits_of_scikit_learn_are_pictures_of_8_by_8() -> None:
    rows = drain(RiverEvents("sklearn:digits"))
    assert len(rows) == 1797
    assert (rows[0].id, rows[0].truth) == ("digits:1", "0")
    assert len({row.truth for row in rows}) == 10
    assert set(rows[0].features) == {f"pixel_{y}_{x}" for y in range(8) for x in range(8)}


def test_another_data_set_of_scikit_learn_is_refused_with_the_one_there_is() -> None:
    with pytest.raises(SourceError, match="there is sklearn:digits"):
        RiverEvents("sklearn:iris")


@pytest.mark.parametrize("name", ["river:Nonsense", "Elec2", "river:TrumpApproval"])
def test_a_data_set_that_is_not_bundled_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(SourceError, match="ImageSegments"):
        RiverEvents(name)
