"""`check_store` passes for our stores, and catches those that forget."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from connectors.memory import MemoryStore
from connectors.sqlite import SqliteStore
from stream_al.checks import check_store
from stream_al.ports import Batch, Recovered


def test_sqlite(tmp_path: Path) -> None:
    check_store(lambda: SqliteStore(tmp_path / "store.db"))


def test_memory() -> None:
    store = MemoryStore()
    check_store(lambda: store)


class ForgetsQueries(MemoryStore):
    def commit(self, batch: Batch) -> None:
        super().commit(batch)
        self.queries.clear()


class ForgetsExamples(MemoryStore):
    def commit(self, batch: Batch) -> None:
        super().commit(batch)
        del self.log[3:]


class ForgetsTheLastOutputs(MemoryStore):
    def recover(self) -> Recovered | None:
        found = super().recover()
        return found and found._replace(last_outputs={})


@pytest.mark.parametrize("forgetful", [ForgetsQueries, ForgetsExamples, ForgetsTheLastOutputs])
def test_a_store_that_forgets_is_caught(forgetful: Callable[[], MemoryStore]) -> None:
    store = forgetful()
    with pytest.raises(AssertionError):
        check_store(lambda: store)
