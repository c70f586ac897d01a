"""The three pipelines of the demo: their directory, and their configurations as anybody could write them."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stream_al.errors import ConfigError
from stream_al.replay.contenders import default_cold_start, matched_share, most_while_late
from stream_al.replay.outcome import Outcome
from stream_al.replay.stream import LabelledStream, truth_of

MODEL = "AMFClassifier(n_estimators=10, seed=1), an aggregated Mondrian forest"
RESULTS = {"plot": "learning-curves.png", "html": "report.html"}
_BATCHES = 100
"""How many transactions each run is cut into; results do not depend on it."""
_MARKER = ".stream-al-demo"
_FILES = (
    "pipeline.toml",
    "pipeline.db",
    "pipeline.db-wal",
    "pipeline.db-shm",
    "pipeline.db.lock",
    "predictions.jsonl",
    "queries.jsonl",
)
_CONFIG = """\
# Written by `stream-al demo`: {title}. It is what `stream-al run` takes.
[model]
use = "river.forest.AMFClassifier"
args = {{ n_estimators = 10, seed = 1 }}

[strategy]
{strategy}

[events]
path = "{source}"

[labels]
source = "simulated"  # in a real pipeline people answer, with `stream-al label`
delay = {delay}
jitter = {jitter}

[store]
path = "pipeline.db"

[output]
predictions = "predictions.jsonl"
queries = "queries.jsonl"

[run]
batch_size = {batch_size}
key = "{key}"
"""
_MARGIN = """\
name = "budgeted"
utility = "margin"
budget = {budget}
cold_start = {{ rule = "all", examples = {cold}, asks = {late} }}"""
_RANDOM = """\
name = "random"
budget = {share}
cold_start = {{ rule = "all", examples = {cold}, share = {share} }}"""
_ALL = """\
name = "random"
budget = 1.0
cold_start = { rule = "none" }"""


@dataclass(frozen=True, slots=True)
class Run:
    """One of the three pipelines."""

    name: str
    title: str
    strategy: str
    """The ``[strategy]`` section."""

    def config(self, directory: Path) -> Path:
        """Return the path of its configuration; all its files are beside it."""
        return directory / self.name / "pipeline.toml"

    def outcome(self, directory: Path, stream: LabelledStream, answered: int) -> Outcome:
        """Measure the predictions it wrote."""
        lines = self.config(directory).with_name("predictions.jsonl").read_bytes().splitlines()
        return Outcome.measure(self.name, self.title, lines, [truth_of(row) for row in stream.rows], answered)


def demo_runs(stream: LabelledStream, budget: float, key: str) -> list[Run]:
    """Return the runs: by margin, at random with the same number of labels, and all labels."""
    cold = default_cold_start(len(stream.rows), budget)
    late = most_while_late(cold, budget, len(stream.rows))
    share = matched_share((str(row.id) for row in stream.rows), budget=budget, cold_start=cold, key=key)
    return [
        Run("margin", "asked by margin", _MARGIN.format(budget=budget, cold=cold, late=late)),
        Run("random", "asked at random with the same budget", _RANDOM.format(share=share, cold=cold)),
        Run("all", "all labels", _ALL),
    ]


def write_configs(
    runs: list[Run], directory: Path, stream: LabelledStream, *, delay: int, jitter: int, key: str
) -> None:
    """Write each run's configuration into a directory of its own."""
    for run in runs:
        text = _CONFIG.format(
            title=run.title,
            strategy=run.strategy,
            source=stream.name,
            delay=delay,
            jitter=jitter,
            batch_size=max(1, len(stream.rows) // _BATCHES),
            key=key,
        )
        path = run.config(directory)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")


@contextmanager
def prepared(directory: Path) -> Iterator[None]:
    """Make a directory for a demo and hold it; a former demo's is emptied, of what a demo writes only.

    Raises
    ------
    ConfigError
        When it holds other files, cannot be written, or another demo is running in it.
    """
    try:
        marker = directory / _MARKER
        if directory.exists() and not directory.is_dir():
            raise ConfigError(f"--dir {directory}: is a file; name a directory")
        if directory.is_dir() and any(directory.iterdir()) and not marker.exists():
            raise ConfigError(f"--dir {directory}: holds files that no demo wrote; name a new directory")
        directory.mkdir(parents=True, exist_ok=True)
        with marker.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigError(f"--dir {directory}: another demo is running in it; name another") from None
            _remove_former(directory)
            yield
    except OSError as error:
        raise ConfigError(f"--dir {error.filename}: {error.strerror}; name another directory") from error


def _remove_former(directory: Path) -> None:
    for name in RESULTS.values():
        (directory / name).unlink(missing_ok=True)
    for run in ("margin", "random", "all"):
        for name in _FILES:
            (directory / run / name).unlink(missing_ok=True)
