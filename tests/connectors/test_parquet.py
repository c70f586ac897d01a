"""Parquet as a source: what a table held is what comes out, and each bad row is one dead letter."""

from __future__ import annotations

import builtins
import datetime as dt
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from typer.testing import CliRunner

from connectors.files import CsvEvents, event_lines
from connectors.parquet import ParquetEvents
from stream_al.checks import check_event_source
from stream_al.cli.app import app
from stream_al.columns import Columns
from stream_al.errors import ConfigError, SourceError
from stream_al.ports import LabelledRow
from stream_al.records import DeadLetter


def written(folder: Path, columns: dict[str, Any], *, group: int = 1_000_000) -> Path:
    path = folder / "events.parquet"
    parquet.write_table(pa.table(columns), path, row_group_size=group)
    return path


def drain(source: ParquetEvents) -> list[Any]:
    found: list[Any] = []
    while not source.exhausted:
        found += source.read(7, 0.0)
    return found


@pytest.mark.parametrize("group", [1, 7, 10_000])
def test_it_keeps_the_promises_of_a_source(tmp_path: Path, group: int) -> None:
    x = [None if n % 5 == 0 else n / 7 for n in range(60)]
    path = written(
        tmp_path, {"x": x, "b": [n % 2 == 0 for n in range(60)], "t": ["a", "b", None] * 20}, group=group
    )
    found = check_event_source(lambda: ParquetEvents(path))
    assert [row.id for row in found] == [f"events.parquet:{n}" for n in range(1, 61)]  # type: ignore[union-attr]
    assert found[0].features == {"b": True, "t": "a"}  # type: ignore[union-attr]
    assert found[1].features == {"x": 1 / 7, "b": False, "t": "b"}  # type: ignore[union-attr]


def test_columns_become_id_time_key_and_truth_and_are_no_features(tmp_path: Path) -> None:
    zone = dt.timezone(dt.timedelta(hours=2))
    moment = dt.datetime(2026, 1, 31, 14, 0, 0, 5, tzinfo=zone)
    path = written(
        tmp_path,
        {
            "number": [7, 8], "at": [moment, None], "who": ["ann", None], "label": [True, None],
            "price": [Decimal("1.25"), None], "x": [1, 2], "junk": [[1], [2]], "day": [dt.date(2026, 1, 2)] * 2,
        },
    )  # fmt: skip
    columns = Columns("number", "at", "who", "label", "bool", ignore=("junk",))
    first, second = drain(ParquetEvents(path, columns))
    assert isinstance(first, LabelledRow)
    assert (first.id, first.key, first.truth) == ("7", "ann", True)
    assert first.timestamp == moment
    assert first.timestamp.isoformat() == "2026-01-31T12:00:00.000005+00:00"
    assert first.features == {"price": 1.25, "x": 1, "day": "2026-01-02"}
    assert (second.id, second.timestamp, second.truth) == ("8", None, None)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_any_unit_without_a_zone_are_utc(tmp_path: Path, unit: str) -> None:
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    times = pa.array([1_700_000_000 * per_second + (1 if unit == "ns" else 0)], pa.timestamp(unit))
    (row,) = drain(ParquetEvents(written(tmp_path, {"at": times, "x": [1]}), Columns(timestamp="at")))
    assert row.timestamp == dt.datetime.fromtimestamp(1_700_000_000, dt.UTC)


def test_a_bad_row_is_one_dead_letter_and_its_neighbours_are_unharmed(tmp_path: Path) -> None:
    for bad, reason in [
        ({"x": [1.0, math.inf, 2.0]}, "out-of-range"),
        ({"x": [1.0, math.nan, 2.0]}, "empty-features"),
        ({"x": [1.0, None, 2.0]}, "empty-features"),
        ({"x": pa.array([None, [1], None], pa.list_(pa.int64())), "y": [1, 2, 3]}, "wrong-type"),
        ({"x": pa.array([None, b"\xff", None], pa.binary()), "y": [1, 2, 3]}, "wrong-type"),
        ({"x": [1, 2, 3], "s": pa.array([None, {"a": 1}, None], pa.struct({"a": pa.int64()}))}, "wrong-type"),
    ]:
        found = drain(ParquetEvents(written(tmp_path, bad)))
        assert [isinstance(row, DeadLetter) for row in found] == [False, True, False], bad
        letter = found[1]
        assert (letter.position, letter.event_id) == ("events.parquet:2", "events.parquet:2")
        assert letter.reason in (reason, "not-finite"), (bad, letter)
        letter.to_json()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(-1e6, 1e6, allow_subnormal=False)),
            st.integers(-(2**40), 2**40),
            st.one_of(st.none(), st.sampled_from(["red", "green blue", "é"])),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_the_same_table_as_csv_gives_the_same_events(tmp_path: Path, table: list[tuple[Any, ...]]) -> None:
    names = ("x", "n", "t")
    path = written(tmp_path, {name: [row[at] for row in table] for at, name in enumerate(names)}, group=4)
    lines = [",".join(names)]
    lines += [",".join("" if cell is None else f"{cell}" for cell in row) for row in table]
    (tmp_path / "events.csv").write_text("\n".join(lines) + "\n", "utf-8")
    csv = CsvEvents(event_lines(str(tmp_path / "events.csv")))
    expected: list[Any] = []
    while not csv.exhausted:
        expected += csv.read(100, 0.0)
    csv.close()
    assert [row.features for row in drain(ParquetEvents(path))] == [row.features for row in expected]


def test_no_more_than_a_row_group_is_in_memory(tmp_path: Path) -> None:
    path = written(tmp_path, {"x": list(range(100_000))}, group=1000)
    source = ParquetEvents(path)
    before = pa.total_allocated_bytes()
    most = 0
    while not source.exhausted:
        source.read(500, 0.0)
        most = max(most, pa.total_allocated_bytes() - before)
    assert most < 100_000 * 8 / 10


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        ParquetEvents(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("a,b\n1,2\n")
    with pytest.raises(SourceError, match=r"text\.parquet: cannot be read as Parquet"):
        ParquetEvents(tmp_path / "text.parquet")
    path = written(tmp_path, {"x": [1], "y": [2]})
    with pytest.raises(SourceError, match=r"label_column = 'z': no such column; there are x, y"):
        ParquetEvents(path, Columns(label="z"))
    with pytest.raises(SourceError, match="shortened"):
        ParquetEvents(path).seek(5)


def test_a_damaged_page_ends_it_with_the_row(tmp_path: Path) -> None:
    path = written(tmp_path, {"x": [float(n) ** 0.5 for n in range(5000)]}, group=1000)
    content = bytearray(path.read_bytes())
    content[200:9000] = bytes(8800)
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"cannot be read .*; the file is damaged"):
        drain(ParquetEvents(path))


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, {"x": [1]})
    there = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return there(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ConfigError, match=r"stream-al\[parquet\]"):
        ParquetEvents(path)


def test_replay_and_run_read_it_by_its_name(tmp_path: Path) -> None:
    labels = ["in" if n % 3 else "out" for n in range(200)]
    path = written(tmp_path, {"x": [float(n % 3) for n in range(200)], "label": labels})
    done = CliRunner().invoke(app, ["replay", str(path), "--label-column", "label", "--json", "--quiet"])
    assert done.exit_code == 0, done.output
    assert '"events": 200' in done.stdout
    config = tmp_path / "pipeline.toml"
    config.write_text(
        '[events]\npath = "events.parquet"\nlabel_column = "label"\n[labels]\nsource = "simulated"\ndelay = 5\n'
    )
    done = CliRunner().invoke(app, ["run", str(config), "--json", "--quiet"])
    assert done.exit_code == 0, done.output
    assert '"events": 200' in done.stdout
    config.write_text('[events]\npath = "-"\nformat = "parquet"\n')
    refused = CliRunner().invoke(app, ["run", str(config)])
    assert isinstance(refused.exception, ConfigError)
    assert "is of a whole file" in str(refused.exception)
