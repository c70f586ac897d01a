"""The page's server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from page_servers import PageServer

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("slow")


@pytest.fixture
def serve() -> Iterator[Callable[..., PageServer]]:
    """Start a page's server; at the end it must have complained about nothing."""
    servers: list[PageServer] = []

    def start(store: Any, *options: str, name: str = "ann") -> PageServer:
        servers.append(PageServer(store, *options, name=name))
        return servers[-1]

    yield start
    said = [server.stop() for server in servers]
    assert all("Traceback" not in text for text in said), "".join(said)
