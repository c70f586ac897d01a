"""Files and pipes as sources, files as sinks: whatever they hold, each bad record is one dead letter."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.files import (
    Columns,
    CsvEvents,
    FileLines,
    JsonlEvents,
    JsonlLabels,
    JsonlSink,
    StdinLines,
    event_lines,
)
from stream_al.checks import check_event_source, check_label_source, check_sink
from stream_al.errors import SourceError
from stream_al.ports import OUTPUTS, EventSource, LabelledRow
from stream_al.records import DeadLetter, Label

in_one_folder = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def drain(source: EventSource, limit: int = 7) -> list[Any]:
    found: list[Any] = []
    with closing(source):
        while not source.exhausted:
            found += source.read(limit, 0.0)
    return found


def write(path: Path, content: str | bytes) -> Path:
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def told(records: list[Any]) -> list[tuple[str, str]]:
    """Id or reason of every record, with its place."""
    return [
        (record.reason, record.position) if isinstance(record, DeadLetter) else ("ok", str(record.id))
        for record in records
    ]


@pytest.fixture
def read_csv(tmp_path: Path) -> Callable[..., list[Any]]:
    def read(content: str | bytes, columns: Columns | None = None, **options: Any) -> list[Any]:
        path = write(tmp_path / "t.csv", content)
        return drain(CsvEvents(FileLines(path, **options), columns))

    return read


@pytest.fixture
def read_jsonl(tmp_path: Path) -> Callable[..., list[Any]]:
    def read(
        content: str | bytes, columns: Columns | None = None, *, flat: bool = False, **options: Any
    ) -> list[Any]:
        path = write(tmp_path / "t.jsonl", content)
        return drain(JsonlEvents(FileLines(path, **options), columns, flat=flat))

    return read


# ── the promises of every connector ──────────────────────────────────────────────────────────────

MESSY_CSV = (
    "\ufeffid,amount,country,fraud\r\n"
    "1,12.5,FR,no\r\n"
    "\r\n"
    '2,13,"a ""quoted"" cell\r\nof two lines",yes\r\n'
    "3,nan,DE,no\r\n"
    "4,1\r\n"
    '5,1,"unpaired,no\r\n'
    "6,7,IT,yes\r\n"
    '7,8,"x"y,no\r\n'
    "8,9,,\r\n"
    '9,9,"three\r\n\r\nlines",no\r\n'
    "10,,,yes\r\n"
    "11,-1e-3,ES,no"
)
MESSY_JSONL = (
    b'\xef\xbb\xbf{"features": {"a": 1}}\n\n{"features": {"a": NaN}, "id": "nan"}\r\n   \n'
    b'{"features": {}}\n{"features": {"a": 2}, "id": "two"}\nnot json\n\xff\xfe\n'
    + b'{"features": {"a": "'
    + b"x" * 3000
    + b'"}}\n{"features": {"a": 3}}'
)
MESSY_FLAT = (
    b'{"id": 1, "a": 1.5, "b": "x", "y": true}\n{"a": null, "y": false}\n{"id": [1], "a": 1}\n{"a": {}}\n[]\n'
    b'{"id": "", "a": 2, "y": null, "t": "2026-01-31"}\n{"a": 1e400}\n{"a": 1, "t": 1769817600}\n{"a": 3, "y": "maybe"}\n'
)
CSV_COLUMNS = Columns(id="id", label="fraud")
FLAT_COLUMNS = Columns(id="id", label="y", label_type="bool", timestamp="t")


def opened(path: Path) -> EventSource:
    lines = FileLines(path, max_bytes=2000)
    if ".csv" in path.name:
        return CsvEvents(lines, CSV_COLUMNS)
    if "flat" in path.name:
        return JsonlEvents(lines, FLAT_COLUMNS, flat=True)
    return JsonlEvents(lines)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (
            "t.csv",
            MESSY_CSV,
            "ok:1 ok:2 not-finite:t.csv:6 ragged-row:t.csv:7 malformed-csv:t.csv:8 ok:6 malformed-csv:t.csv:10 ok:8 "
            "ok:9 empty-features:t.csv:15 ok:11",
        ),
        (
            "t.jsonl",
            MESSY_JSONL,
            "ok:t.jsonl:1 not-finite:t.jsonl:3 empty-features:t.jsonl:5 ok:two malformed-json:t.jsonl:7 "
            "malformed-json:t.jsonl:8 oversized:t.jsonl:9 ok:t.jsonl:10",
        ),
        (
            "flat.jsonl",
            MESSY_FLAT,
            "ok:1 empty-features:flat.jsonl:2 wrong-type:flat.jsonl:3 wrong-type:flat.jsonl:4 "
            "malformed-json:flat.jsonl:5 ok:flat.jsonl:6 malformed-json:flat.jsonl:7 ok:flat.jsonl:8 "
            "wrong-label-type:flat.jsonl:9",
        ),
        ("t.csv", "", "empty-input:t.csv:0"),
        ("t.jsonl", "", "empty-input:t.jsonl:0"),
        ("t.csv", "id,a,fraud\n", ""),
        ("t.csv", "id,a,fraud", ""),
        ("t.csv", "\n\nid,a,fraud\n\n1,2,no\n\n", "ok:1"),
        ("t.csv", "\n\n", ""),
        ("t.jsonl", "\n \n\n", ""),
        ("t.csv", 'id,a,fraud\n1,"never closed,no\n2,3,no\n3,4,no\n', "malformed-csv:t.csv:2 ok:2 ok:3"),
    ],
    ids=range(11),
)
def test_files_keep_the_promises_of_a_source(
    tmp_path: Path, name: str, content: str | bytes, expected: str, suffix: str
) -> None:
    path = write(tmp_path / (name + suffix), content)
    found = check_event_source(lambda: opened(path))
    assert " ".join(":".join(pair) for pair in told(found)).replace(suffix or "\0", "") == expected


rows = st.lists(
    st.one_of(
        st.lists(
            st.sampled_from(["1", "2.5", "text", "", "nan", 'a"b', "x\ny", "x\r\n\n", '"', ",", "é"]),
            min_size=2,
            max_size=3,
        ),
        st.sampled_from(['1,"', '"1,2', "1,2,3,4", "", " ", "1,inf", '"a"b,1', "\r1,2", "1,2\r"]),
    ),
    max_size=12,
)  # fmt: skip


def csv_text(rows: list[list[str] | str]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    out.write("a,b\n")
    for row in rows:
        if isinstance(row, str):
            out.write(row + "\n")
        else:
            writer.writerow(row)
    return out.getvalue()


@in_one_folder
@given(rows)
def test_any_table_reads_the_same_in_all_batches_and_after_any_restart(
    tmp_path: Path, rows: list[list[str] | str]
) -> None:
    path = write(tmp_path / "t.csv", csv_text(rows))
    check_event_source(lambda: CsvEvents(FileLines(path)))


cells = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), min_size=1, max_size=6
).filter(lambda cell: cell.strip() != "")


@in_one_folder
@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=8))
def test_what_a_csv_writer_wrote_is_read_back(tmp_path: Path, table: list[tuple[str, str]]) -> None:
    out = io.StringIO()
    csv.writer(out).writerows([("id", "text"), *[(f"x{a}", f"x{b}") for a, b in table]])
    path = tmp_path / "t.csv"
    path.write_bytes(out.getvalue().encode())
    found = drain(CsvEvents(FileLines(path), Columns(id="id")))
    assert [(row.id, row.features) for row in found] == [(f"x{a}", {"text": f"x{b}"}) for a, b in table]


@in_one_folder
@given(st.lists(st.binary(max_size=30), max_size=8).map(b"\n".join) | st.binary(max_size=200))
def test_binary_garbage_is_dead_letters_and_reads_the_same_after_any_restart(
    tmp_path: Path, data: bytes
) -> None:
    for name, make in (
        ("t.jsonl", lambda path: JsonlEvents(FileLines(path, max_bytes=20))),
        ("f.jsonl", lambda path: JsonlEvents(FileLines(path, max_bytes=20), Columns(id="id"), flat=True)),
    ):
        path = write(tmp_path / name, data)
        found = check_event_source(lambda path=path, make=make: make(path))  # type: ignore[misc]
        assert all(isinstance(record, DeadLetter) for record in found)
    path = write(tmp_path / "t.csv", b"a,b\n" + data)
    check_event_source(lambda: CsvEvents(FileLines(path, max_bytes=20)))
    path = write(tmp_path / "h.csv", data)
    with suppress(SourceError):  # a header that cannot be meant
        check_event_source(lambda: CsvEvents(FileLines(path)))


def test_labels_keep_the_promises_of_a_source(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"

    def put(label: Label) -> None:
        with path.open("ab") as file:
            file.write(label.to_json() + b"\n\n")

    check_label_source(lambda: JsonlLabels(path), put)


@pytest.mark.parametrize("names", [OUTPUTS, ("predictions",), ("dead_letters", "queries"), ()])
def test_a_sink_keeps_the_promises_of_a_sink(tmp_path: Path, names: tuple[str, ...]) -> None:
    paths = {name: tmp_path / "out" / f"{name}.jsonl" for name in names}

    def put(contents: Mapping[str, bytes]) -> None:
        for name, content in contents.items():
            paths[name].write_bytes(content)

    check_sink(
        lambda: JsonlSink(paths), lambda: {name: path.read_bytes() for name, path in paths.items()}, put
    )


# ── CSV ──────────────────────────────────────────────────────────────────────────────────────────


def test_cells_are_integers_numbers_missing_or_text(read_csv: Callable[..., list[Any]]) -> None:
    (row,) = read_csv("a,b,c,d,e,f,g,h,i\n1,1.5,,text,-0,1e3,1_000,true,123456789012345678901\n")
    assert row.features == {
        "a": 1, "b": 1.5, "d": "text", "e": 0, "f": 1000.0, "g": "1_000", "h": "true", "i": 123456789012345678901.0,
    }  # fmt: skip
    assert [type(value) for value in row.features.values()] == [int, float, str, int, float, str, str, float]


@pytest.mark.parametrize("cell", ["nan", "NaN", "inf", "-inf", "Infinity", "1e999", "1e101", "9" * 5000])
def test_a_number_that_is_not_finite_is_one_dead_letter(
    read_csv: Callable[..., list[Any]], cell: str
) -> None:
    found = read_csv(f"a\n1\n{cell}\n2\n")
    assert [record.features["a"] for record in (found[0], found[2])] == [1, 2]
    letter = found[1]
    assert letter.reason in ("not-finite", "out-of-range")
    assert (letter.position, letter.event_id, letter.record) == ("t.csv:3", "t.csv:3", cell)
    assert "features.a" in letter.detail
    assert "leave" in letter.detail


@pytest.mark.parametrize("row", ["1", "1,2,3", ",,"])
def test_a_ragged_row_is_one_dead_letter(read_csv: Callable[..., list[Any]], row: str) -> None:
    found = read_csv(f"a,b\n1,2\n{row}\n3,4\n")
    assert told(found) == [("ok", "t.csv:2"), ("ragged-row", "t.csv:3"), ("ok", "t.csv:4")]
    assert "the header 2; every row needs as many" in found[1].detail


def test_an_unpaired_quote_costs_one_row_and_not_the_rest_of_the_file(
    read_csv: Callable[..., list[Any]],
) -> None:
    found = read_csv('a,b\n1,2\n3,"open\n' + "5,6\n" * 1000)
    assert [record.reason for record in found if isinstance(record, DeadLetter)] == ["malformed-csv"]
    assert told(found)[1] == ("malformed-csv", "t.csv:3")
    assert "pair the quotes" in found[1].detail
    assert len(found) == 1002


def test_rows_between_two_unpaired_quotes_get_another_chance(read_csv: Callable[..., list[Any]]) -> None:
    found = read_csv('a,b\n1,"x\n2,3\ny",5,6\n7,8\n')
    assert told(found) == [
        ("ragged-row", "t.csv:2"),
        ("ok", "t.csv:3"),
        ("ragged-row", "t.csv:4"),
        ("ok", "t.csv:5"),
    ]


def test_a_quote_within_a_plain_cell_is_part_of_it(read_csv: Callable[..., list[Any]]) -> None:
    found = read_csv('a,b\n5" pipe,1\n2,"x, ""y"""\n')
    assert [row.features for row in found] == [{"a": '5" pipe', "b": 1}, {"a": 2, "b": 'x, "y"'}]


def test_a_quoted_cell_may_span_lines_and_counts_as_the_first(read_csv: Callable[..., list[Any]]) -> None:
    found = read_csv('a,b\r\n"one\r\n\r\ntwo",1\r\n3,4\r\n')
    assert [row.features for row in found] == [{"a": "one\n\ntwo", "b": 1}, {"a": 3, "b": 4}]
    assert [row.id for row in found] == ["t.csv:2", "t.csv:5"]


def test_a_bad_value_in_a_row_of_several_lines_is_one_dead_letter(read_csv: Callable[..., list[Any]]) -> None:
    found = read_csv('a,b\n"one\ntwo",inf\n3,4\n')
    assert told(found) == [("out-of-range", "t.csv:2"), ("ok", "t.csv:4")] or told(found) == [
        ("not-finite", "t.csv:2"),
        ("ok", "t.csv:4"),
    ]
    assert found[0].record == '"one\ntwo",inf'


def test_a_quoted_cell_of_too_many_lines_or_bytes_is_given_up(read_csv: Callable[..., list[Any]]) -> None:
    for filler, options in (
        ("x\n" * 250, {}),
        ("y\n" + "z" * 60 + "\n", {"max_bytes": 50}),
        (("z" * 30 + "\n") * 4, {"max_bytes": 50}),
    ):
        found = read_csv('a\n"' + filler + '"\n7\n', **options)
        assert told(found)[0] == ("malformed-csv", "t.csv:2")
        assert found[-1].features == {"a": 7}


def test_bytes_that_are_not_utf8_are_one_dead_letter(read_csv: Callable[..., list[Any]]) -> None:
    found = read_csv("a\né\n".encode() + "é\n".encode("latin-1") + b"2\n")
    assert told(found) == [("ok", "t.csv:2"), ("not-utf8", "t.csv:3"), ("ok", "t.csv:4")]
    assert found[1].record == "\\xe9"


@pytest.mark.parametrize("setting", ["id", "label", "timestamp", "key"])
def test_a_column_that_does_not_exist_is_named_with_those_that_do(
    read_csv: Callable[..., list[Any]], setting: str
) -> None:
    with pytest.raises(
        SourceError, match=rf"t.csv: {setting}_column = 'nope': no such column; there are a, b"
    ):
        read_csv("a,b\n1,2\n", Columns(**{setting: "nope"}))


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (b"a,b,a", "column 'a' is there twice"),
        (b",a", "column 1 has no name"),
        (b'"a,b', "a quoted name does not end"),
        (b"\xff,b", "byte 0 is not UTF-8"),
        (b"x" * 200, "raise max_record_bytes"),
    ],
)
def test_a_header_that_cannot_be_meant_ends_the_reading(
    read_csv: Callable[..., list[Any]], header: bytes, told: str
) -> None:
    with pytest.raises(SourceError, match=r"t\.csv") as caught:
        read_csv(header + b"\n1,2\n", max_bytes=100)
    assert told in str(caught.value)


def test_a_column_without_a_name_can_be_ignored(read_csv: Callable[..., list[Any]]) -> None:
    (row,) = read_csv(",a\n0,1\n", Columns(ignore=("",)))
    assert row.features == {"a": 1}


def test_columns_that_are_not_configured_as_features_are_dead_letters(
    read_csv: Callable[..., list[Any]],
) -> None:
    found = read_csv("id,a,b\n1,2,3\n2,3,\n", Columns(id="id", features=("a",)))
    assert told(found) == [("unknown-feature", "t.csv:2"), ("ok", "2")]
    assert "'b' is not one of those configured; add it there, or ignore it" in found[0].detail
    assert found[0].event_id == "1"


def test_named_columns_are_not_features_and_keep_their_text(read_csv: Callable[..., list[Any]]) -> None:
    columns = Columns(id="i", timestamp="t", key="k", label="y", ignore=("z",))
    (row,) = read_csv("i,t,k,y,z,a\n007,2026-01-31 12:00,01,1.0,junk,5\n", columns)
    assert isinstance(row, LabelledRow)
    assert (row.id, row.key, row.truth, row.features) == ("007", "01", "1.0", {"a": 5})
    assert row.timestamp is not None
    assert row.timestamp.isoformat() == "2026-01-31T12:00:00+00:00"


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("2026-01-31", "2026-01-31T00:00:00+00:00"),
        ("20260131", "2026-01-31T00:00:00+00:00"),
        ("2026-01-31T12:00:00+02:00", "2026-01-31T10:00:00+00:00"),
        ("1769860800", "2026-01-31T12:00:00+00:00"),
        ("1769860800.25", "2026-01-31T12:00:00.250000+00:00"),
        ("yesterday", None),
        ("nan", None),
        ("1e300", None),
        ("0001-01-01T00:00:00+01:00", None),
        ("9999-12-31T23:59:59-01:00", None),
        ("31.01.2026", None),
    ],
)
def test_times_are_read_as_utc_or_refused(
    read_csv: Callable[..., list[Any]], cell: str, expected: str | None
) -> None:
    (record,) = read_csv(f"t,a\n{cell},1\n", Columns(timestamp="t"))
    if expected is None:
        assert record.reason == "wrong-type"
        assert "write it as 2026-01-31T12:00:00Z" in record.detail
    else:
        assert record.timestamp.isoformat() == expected


@pytest.mark.parametrize(
    ("kind", "cell", "expected"),
    [
        ("int", "1", 1), ("int", "1.5", None), ("bool", "TRUE", True), ("bool", "0", False), ("bool", "maybe", None),
        ("str", "1", "1"),
    ],
)  # fmt: skip
def test_the_true_class_has_the_configured_type(
    read_csv: Callable[..., list[Any]], kind: str, cell: str, expected: object
) -> None:
    (record,) = read_csv(f"y,a\n{cell},1\n", Columns(label="y", label_type=kind))
    if expected is None:
        assert record.reason == "wrong-label-type"
        assert "set label_type" in record.detail
    else:
        assert (type(record.truth), record.truth) == (type(expected), expected)


def test_an_id_that_is_too_long_is_refused_and_not_cut(read_csv: Callable[..., list[Any]]) -> None:
    (letter,) = read_csv("i,a\n" + "x" * 257 + ",1\n", Columns(id="i"))
    assert letter.reason == "too-long"


# ── JSONL ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "malformed-json"),
        (b"[1]", "malformed-json"),
        (b'{"features": {}}', "empty-features"),
        (b'{"features": {"a": Infinity}}', "not-finite"),
        (b'{"features": {"a": 1e999}}', "not-finite"),
        (b'{"features": {"a": []}}', "wrong-type"),
        (b'{"features": 1}', "wrong-type"),
        (b'{"features": {"a": "\\ud800"}}', "malformed-json"),
        (b"\xff", "malformed-json"),
        (b"\x00", "malformed-json"),
        (b"[" * 5000, "malformed-json"),
        (b'{"features": {"a": "' + b"x" * 10_000 + b'"}}', "oversized"),
    ],
)
def test_a_bad_line_is_one_dead_letter_and_its_neighbours_are_unharmed(
    read_jsonl: Callable[..., list[Any]], line: bytes, reason: str
) -> None:
    good = b'{"features": {"a": 1}}\n'
    found = read_jsonl(good + line + b"\n" + good, max_bytes=9000)
    assert told(found) == [("ok", "t.jsonl:1"), (reason, "t.jsonl:2"), ("ok", "t.jsonl:3")]
    assert found[1].detail
    assert len(found[1].record) <= 9000
    found[1].to_json()


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
@pytest.mark.parametrize("size", [49, 50, 51, 52, 53, 200])
def test_a_line_may_have_as_many_bytes_as_configured_and_no_more(
    read_jsonl: Callable[..., list[Any]], size: int, end: bytes
) -> None:
    line = b'{"features": {"a": "' + b"x" * (size - 23) + b'"}}'
    assert len(line) == size
    for lines in ([line + end], [line + b"\n", line + end], [line + b"\r\n", line + end]):
        found = read_jsonl(b"".join(lines), max_bytes=50)
        assert [reason for reason, _ in told(found)] == ["ok" if size <= 50 else "oversized"] * len(lines)
        if size > 50:
            assert "raise max_record_bytes" in found[0].detail


def test_true_classes_of_records_are_taken_from_beside_or_among_the_features(
    read_jsonl: Callable[..., list[Any]],
) -> None:
    content = '{"features": {"a": 1}, "y": 2}\n{"features": {"a": 1, "y": 3}}\n{"features": {"a": 1}}\n'
    found = read_jsonl(content + '{"features": {"a": 1}, "y": []}\n', Columns(label="y", label_type="int"))
    assert [row.truth for row in found[:3]] == [2, 3, None]
    assert all(row.features == {"a": 1} for row in found[:3])
    assert found[3].reason == "wrong-type"


def test_features_of_records_that_are_not_configured_are_dead_letters(
    read_jsonl: Callable[..., list[Any]],
) -> None:
    found = read_jsonl(
        '{"features": {"a": 1, "b": 2}, "id": "x"}\n{"features": {"a": 1}}\n', Columns(features=("a",))
    )
    assert told(found) == [("unknown-feature", "t.jsonl:1"), ("ok", "t.jsonl:2")]
    assert found[0].event_id == "x"


def test_flat_objects_are_features(read_jsonl: Callable[..., list[Any]]) -> None:
    found = read_jsonl('{"i": 7, "a": 1, "b": null, "c": true}\n', Columns(id="i"), flat=True)
    assert [(row.id, row.features) for row in found] == [("7", {"a": 1, "c": True})]


def test_a_file_whose_name_is_not_utf8_can_be_read(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jsonl"))
    path.write_bytes(b'{"features": {"a": 1}}\nx\n')
    row, letter = drain(JsonlEvents(FileLines(path)))
    assert row.id == "\\udcff.jsonl:1"
    letter.to_json()


# ── files that are not what they were ────────────────────────────────────────────────────────────


def test_a_file_that_does_not_exist_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file; check the path, or turn follow on"):
        FileLines(tmp_path / "none.csv")
    with pytest.raises(SourceError, match="cannot be followed"):
        FileLines(tmp_path / "none.csv.gz", follow=True)
    with pytest.raises(SourceError, match="unreadable"):
        FileLines(tmp_path, follow=True).read(1, 0.0)


def test_a_file_that_was_shortened_or_removed_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", '{"features": {"a": 1}}\n' * 5)
    source = JsonlEvents(FileLines(path))
    source.read(3, 0.0)
    position = source.position
    source.close()
    for name, content in (("t.jsonl", "{}\n"), ("t.jsonl.gz", '{"features": {"a": 1}}\n')):
        source = JsonlEvents(FileLines(write(tmp_path / name, content)))
        source.seek(position)
        with pytest.raises(SourceError, match="is shorter than what was read of it"):
            source.read(1, 0.0)
    path.unlink()
    source = JsonlEvents(FileLines(tmp_path / "t.jsonl.gz"))
    (tmp_path / "t.jsonl.gz").unlink()
    with pytest.raises(SourceError, match="no such file any more"):
        source.read(1, 0.0)


def test_a_followed_file_that_was_shortened_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", '{"features": {"a": 1}}\n' * 5)
    source = JsonlEvents(FileLines(path, follow=True))
    assert len(source.read(10, 0.0)) == 5
    write(path, "{}\n")
    with pytest.raises(SourceError, match="is shorter"):
        source.read(10, 0.0)


def compressed() -> bytes:
    # Not to be compressed well, so that a cut anywhere loses lines.
    return gzip.compress(b"".join(b'{"features":{"a":%d}}\n' % (n * n * 7919 % 10_007) for n in range(4000)))


@pytest.mark.parametrize("cut", [5, 12, 100, 5000, -9, -8, -4, -1])
def test_a_truncated_gz_is_refused_after_its_whole_lines(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "t.jsonl.gz"
    path.write_bytes(compressed()[:cut])
    source = JsonlEvents(FileLines(path))
    found: list[Any] = []

    def read_all() -> None:
        while not source.exhausted:
            found.extend(source.read(100, 0.0))

    for _ in range(2):  # a second attempt fails as the first, and gives nothing more
        before = len(found)
        with pytest.raises(
            SourceError, match=r"t.jsonl.gz: unreadable after line \d+: .*; put a whole file there"
        ):
            read_all()
        assert before in (0, len(found))
    assert all(not isinstance(record, DeadLetter) for record in found)
    source.close()


def test_a_damaged_gz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl.gz"
    for at in range(10, len(compressed()), 400):
        data = bytearray(compressed())
        data[at] ^= 0x55
        path.write_bytes(data)
        with pytest.raises(SourceError, match=r"t.jsonl.gz: unreadable"):
            drain(JsonlEvents(FileLines(path)), 1000)
    path.write_bytes(b'{"features": {"a": 1}}\n')
    with pytest.raises(SourceError, match="unreadable"):
        drain(JsonlEvents(FileLines(path)))


def test_a_file_that_is_not_followed_ends_once(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", '{"features": {"a": 1}}\n{"features"')
    source = JsonlEvents(FileLines(path))
    assert [reason for reason, _ in told(list(source.read(10, 0.0)))] == ["ok", "malformed-json"]
    assert source.exhausted
    with path.open("a") as file:
        file.write(': {"a": 1}}\n')
    assert source.read(10, 0.0) == []
    assert source.exhausted
    source.close()


# ── following ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["t.jsonl", "t.csv"])
def test_a_followed_file_may_come_later_and_a_line_counts_once_its_end_is_written(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    pieces = ["a,b\n", "1,", "2\n3,4\n", '5,"six', '\nseven"', "\n"]
    if name == "t.jsonl":
        pieces = [
            "",
            '{"features": {"a":',
            ' 1}}\n{"features": {"a": 2}}\n',
            '{"features": ',
            '{"a": 3}}',
            "\n",
        ]
    source: EventSource = (
        CsvEvents(FileLines(path, follow=True))
        if name == "t.csv"
        else JsonlEvents(FileLines(path, follow=True))
    )
    assert source.read(10, 0.0) == []
    counts = []
    for piece in pieces:
        with path.open("a") as file:
            file.write(piece)
        found = source.read(10, 0.0)
        assert not any(isinstance(record, DeadLetter) for record in found)
        counts.append(len(found))
        fresh: EventSource = (
            CsvEvents(FileLines(path, follow=True))
            if name == "t.csv"
            else JsonlEvents(FileLines(path, follow=True))
        )
        fresh.seek(json.loads(json.dumps(source.position)))
        assert fresh.read(10, 0.0) == []
        fresh.close()
    assert counts == [0, 0, 2, 0, 0, 1]
    assert not source.exhausted
    source.close()


def test_labels_of_a_file_that_does_not_exist_yet_come_once_it_does(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    source = JsonlLabels(path, max_bytes=100)
    assert source.poll(0) == []
    path.write_bytes(b'{"event_id": "e"')
    assert source.poll(0) == []
    with path.open("ab") as file:
        file.write(b', "label": "x"}\r\n\n \n\xff\n' + b"x" * 101 + b"\n")
    found = source.poll(0)
    assert [label.position for label in found] == ["labels.jsonl:1", "labels.jsonl:4", "labels.jsonl:5"]
    assert found[0].record == b'{"event_id": "e", "label": "x"}'
    assert found[2].problem is not None
    assert found[2].problem.reason == "oversized"
    write(path, "")
    with pytest.raises(SourceError, match="shorter"):
        source.poll(0)


# ── standard input ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def pipe() -> Iterator[tuple[int, io.FileIO]]:
    reading, writing = os.pipe()
    file = io.FileIO(writing, "w")
    yield reading, file
    file.close()
    os.close(reading)


GOOD = b'{"features": {"a": 1}}'


def test_a_pipe_is_read_as_it_comes_and_ends_with_its_writer(pipe: tuple[int, io.FileIO]) -> None:
    reading, writer = pipe
    source = JsonlEvents(StdinLines(descriptor=reading))
    assert source.read(5, 0.0) == []
    assert not source.exhausted
    writer.write(b"\xef\xbb\xbf" + GOOD + b"\r\n" + GOOD[:5])
    assert told(list(source.read(5, 1.0))) == [("ok", "stdin:1")]
    writer.write(GOOD[5:] + b"\n\n" + GOOD * 2 + b"\n" + GOOD)  # no newline at the end
    writer.close()
    assert told(drain(source)) == [("ok", "stdin:2"), ("malformed-json", "stdin:4"), ("ok", "stdin:5")]
    assert source.read(5, 0.0) == []


def test_an_empty_pipe_is_said_to_be_empty_once(pipe: tuple[int, io.FileIO]) -> None:
    reading, writer = pipe
    writer.close()
    source = JsonlEvents(StdinLines(descriptor=reading))
    assert told(drain(source)) == [("empty-input", "stdin:0")]
    assert source.read(5, 0.0) == []


@pytest.mark.parametrize("size", [50, 51, 52, 53, 500, 60_000])
@pytest.mark.parametrize("chunk", [1, 7, 4096])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_an_oversized_line_of_a_pipe_is_one_dead_letter_however_it_arrives(
    pipe: tuple[int, io.FileIO], size: int, chunk: int, end: bytes
) -> None:
    reading, writer = pipe
    lines = StdinLines(max_bytes=50, descriptor=reading)
    source = JsonlEvents(lines)
    data = GOOD + b"\n" + b"x" * size + b"\n" + GOOD + b"\n" + b"y" * size + end
    chunk = max(chunk, len(data) // 200)
    found: list[Any] = []
    for at in range(0, len(data), chunk):
        writer.write(data[at : at + chunk])
        found += source.read(10, 0.0)
        assert len(lines._tail) <= 60 + chunk
    writer.close()
    found += drain(source)
    bad = "malformed-json" if size <= 50 else "oversized"
    assert told(found) == [("ok", "stdin:1"), (bad, "stdin:2"), ("ok", "stdin:3"), (bad, "stdin:4")]
    if bad == "oversized":
        assert f"{size:,} bytes" in found[1].detail.replace(f"{size + 1:,} bytes", f"{size:,} bytes")
        assert len(found[1].record) <= 200
    assert source.position == [len(data), 4]


@given(
    st.lists(st.sampled_from([b"", b"x", b"yy\r", b"z" * 9, b"\xef\xbb\xbf", b"w" * 30]), max_size=8),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_a_pipe_and_a_file_give_the_same_lines(parts: list[bytes], ended: bool) -> None:
    data = b"\n".join(parts) + (b"\n" if ended else b"")
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    lines = StdinLines(max_bytes=10, descriptor=reading)
    found = []
    while not lines.exhausted:
        found += lines.read(3, 0.0)
    os.close(reading)
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"stream_al-{os.getpid()}-lines"
    path.write_bytes(data)
    try:
        file = FileLines(path, max_bytes=10)
        expected = []
        while not file.exhausted:
            expected += file.read(3, 0.0)
        file.close()
    finally:
        path.unlink()
    assert found == expected


def test_a_resumed_pipe_counts_on_and_brings_its_own_header(pipe: tuple[int, io.FileIO]) -> None:
    reading, writer = pipe
    source = CsvEvents(StdinLines(descriptor=reading), Columns())
    source.seek([100, 7])
    writer.write(b"\xef\xbb\xbfa,b\n1,2\n")
    writer.close()
    assert [(row.id, row.features) for row in drain(source)] == [("stdin:9", {"a": 1, "b": 2})]


def test_a_dash_means_standard_input(monkeypatch: pytest.MonkeyPatch, pipe: tuple[int, io.FileIO]) -> None:
    reading, writer = pipe
    with open(reading, closefd=False) as file:
        monkeypatch.setattr("sys.stdin", file)
        lines = event_lines("-", max_bytes=77)
        assert isinstance(lines, StdinLines)
        assert lines.max_bytes == 77
        writer.write(b"x\n")
        assert [line.data for line in lines.read(1, 1.0)] == [b"x"]


# ── sinks ────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_that_exists_while_the_store_is_new_is_refused_and_kept(tmp_path: Path) -> None:
    old = write(tmp_path / "old.jsonl", "precious\n")
    other = write(tmp_path / "other.jsonl", "")
    for lengths, last in (({}, {}), ({"queries": 0}, {"queries": b"q\n", "predictions": b"p\n"})):
        sink = JsonlSink({"queries": other, "predictions": old})
        with pytest.raises(SourceError, match=r"old.jsonl: exists, but not by this store; move it away"):
            sink.recover(lengths, last)
        assert old.read_bytes() == b"precious\n"
        assert other.read_bytes() == b""


def test_a_file_shorter_than_what_was_committed_is_refused_and_no_file_is_changed(tmp_path: Path) -> None:
    one = write(tmp_path / "one.jsonl", "1\n2\n3\n")
    two = write(tmp_path / "two.jsonl", "1\n")
    sink = JsonlSink({"predictions": one, "queries": two})
    with pytest.raises(
        SourceError, match=r"two.jsonl: has 2 bytes, but 4 had been written; put the missing part"
    ):
        sink.recover({"predictions": 2, "queries": 4}, {})
    assert one.read_bytes() == b"1\n2\n3\n"
    two.unlink()
    with pytest.raises(SourceError, match="has 0 bytes, but 4"):
        sink.recover({"predictions": 2, "queries": 4}, {})


def test_an_output_added_later_begins_with_the_next_batch(tmp_path: Path) -> None:
    sink = JsonlSink({"queries": tmp_path / "new.jsonl"})
    sink.recover({"predictions": 10}, {"predictions": b"p\n", "queries": b"earlier\n"})
    sink.emit({"queries": b"later\n"})
    sink.close()
    assert (tmp_path / "new.jsonl").read_bytes() == b"later\n"


def test_an_output_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file" / "out.jsonl", Path("/proc/none/out.jsonl")):
        with pytest.raises(SourceError, match=r"out.jsonl: cannot be written"):
            JsonlSink({"queries": path}).recover({}, {})


def test_an_unknown_output_is_refused() -> None:
    with pytest.raises(
        ValueError, match="no such output: answers; there are predictions, queries, dead_letters"
    ):
        JsonlSink({"answers": Path("x")})
