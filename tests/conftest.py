"""What tests of several folders need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browsers import browser, visit
from labelled_stores import Pipeline, rows

__all__ = [
    "browser",
    "pipeline",
    "visit",
]  # fixtures; one browser for all folders: Playwright runs once in a process

collect_ignore_glob = ["conftest.py", "*/conftest.py"]  # as modules with doctests: they all have one name


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Callable[..., Pipeline]]:
    """Make a store with a worker, which has answered some events."""
    made: list[Pipeline] = []

    def make(count=5, model=None, quorum=1, events=None, **more):
        events = rows(count) if events is None else events
        made.append(Pipeline(tmp_path / "p.db", events, model, quorum, **more))
        return made[-1]

    yield make
    for each in made:
        each.store.close()
