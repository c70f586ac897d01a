"""The numbers of a comparison as rows, one for each run: CSV, JSON or Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from stream_al.errors import ConfigError
from stream_al.replay.comparison import Comparison
from stream_al.replay.group import Group
from stream_al.replay.measures import measures

FORMATS: Final = (".csv", ".json", ".jsonl", ".parquet")


def require_format(path: Path | None) -> None:
    """Raise ConfigError before anything is run when rows could not be written to this file afterwards."""
    if path is None:
        return
    if path.suffix not in FORMATS:
        raise ConfigError(f"--results {path}: not told by its name; end it in one of {', '.join(FORMATS)}")
    if path.suffix == ".parquet":
        _pyarrow()


def rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Return a row for each run, in the order of the plan; the same keys in each."""
    found = []
    for group in comparison.groups:
        everything = comparison.all(group.model)
        for seed, run in enumerate(group.runs):
            reached = None
            if everything is not None:
                reached = Group((run,)).labels_to_reach(everything)
            found.append(
                {
                    "source": comparison.source,
                    "model": group.model,
                    "strategy": group.name,
                    "budget": group.budget,
                    "seed": seed,
                    "events": run.events,
                    "labels": run.labels,
                    "share": run.share,
                    "answered": run.answered,
                    "mean_wait": float(run.waits.mean()) if len(run.waits) else None,
                    "labels_to_reach_all_within_a_point": reached,
                    **measures(run),
                }
            )
    return found


def write_rows(found: Sequence[dict[str, Any]], path: Path) -> None:
    """Write rows in the format that the file's name tells; the same bytes for the same rows.

    Raises
    ------
    ConfigError
        When it cannot be written, or pyarrow is not installed.
    """
    try:
        if path.suffix == ".parquet":
            arrow, parquet = _pyarrow()
            parquet.write_table(arrow.Table.from_pylist(list(found)), path)
        else:
            path.write_text(_text(found, path.suffix), "utf-8")
    except OSError as error:
        raise ConfigError(f"--results {path}: {error.strerror}; name another path") from None


def _text(found: Sequence[dict[str, Any]], suffix: str) -> str:
    if suffix == ".json":
        return json.dumps(list(found), indent=1) + "\n"
    if suffix == ".jsonl":
        return "".join(json.dumps(row) + "\n" for row in found)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(found[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return buffer.getvalue()


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ConfigError(
            "--results: Parquet needs pyarrow, of the `parquet` extra: pip install 'stream-al[parquet]'"
        ) from None
    return pyarrow, pyarrow.parquet
