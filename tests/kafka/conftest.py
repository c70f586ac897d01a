"""The broker of the tests in this folder: one for each pytest process that uses it, and fresh ones to be killed.

``STREAM_AL_TEST_KAFKA=host:port`` names a broker to use instead of starting one. Where none can be had the tests are
skipped and say what is missing; in CI (``CI=true``) they fail.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from broker import Broker, why_missing
from pipelines import Pipeline

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ours = [item for item in items if item.path.is_relative_to(HERE)]
    for item in ours:
        item.add_marker("kafka")
    # Last: kafka-python's threads draw from Python's global generator, which Hypothesis takes for the doing of
    # whatever test it is at.
    items[:] = [item for item in items if item not in ours] + ours


@pytest.fixture(scope="session")
def can_start() -> None:
    """Skip the test, or fail it in CI, if no broker can be started here."""
    why = why_missing()
    if why is not None and os.environ.get("CI") == "true":
        pytest.fail(why, pytrace=False)
    if why is not None:
        pytest.skip(why)


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What clients call ``bootstrap_servers``. The broker is shared: use `topics` to name what you make."""
    given = os.environ.get("STREAM_AL_TEST_KAFKA")
    if given:
        yield given
        return
    request.getfixturevalue("can_start")
    with Broker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker.bootstrap


@pytest.fixture(scope="session")
def confluent() -> str:
    """What ``[kafka] client`` calls confluent-kafka. Skip the test, or fail it in CI, if it is not installed."""
    why = "confluent-kafka is not installed: `pip install 'stream-al[confluent]'`"
    missing = find_spec("confluent_kafka") is None
    if missing and os.environ.get("CI") == "true":
        pytest.fail(why, pytrace=False)
    if missing:
        pytest.skip(why)
    return "confluent"


@pytest.fixture(params=["kafka-python", "confluent"])
def each_client(request: pytest.FixtureRequest) -> str:
    """What ``[kafka] client`` may be, one after the other."""
    name: str = request.param
    return name if name == "kafka-python" else str(request.getfixturevalue("confluent"))


@pytest.fixture
def own_broker(can_start: None, tmp_path: Path) -> Iterator[Broker]:
    """A running broker of the test's own, to be killed and restarted at will."""
    with Broker(tmp_path / "kafka") as broker:
        yield broker


@pytest.fixture
def topics(request: pytest.FixtureRequest) -> str:
    """A prefix for names of topics, groups and transactions that no other test, process or run uses."""
    test = re.sub(r"[^a-zA-Z0-9]+", "-", request.node.name)[:60].strip("-")
    return f"{test}-{uuid.uuid4().hex[:12]}-"


@pytest.fixture
def make(
    request: pytest.FixtureRequest, kafka: str, topics: str, tmp_path: Path
) -> Iterator[Callable[..., Pipeline]]:
    """Make a pipeline that asks about everything, of two partitions; with `each_client` where the test uses that."""
    made: list[Pipeline] = []
    usual: dict[str, Any] = {"partitions": 2, "budget": 1.0}
    if "each_client" in request.fixturenames:
        usual["client"] = request.getfixturevalue("each_client")

    def pipeline(**settings: Any) -> Pipeline:
        made.append(Pipeline(kafka, topics, tmp_path, **(usual | settings)))
        return made[-1]

    yield pipeline
    for pipeline_ in made:
        pipeline_.close()
