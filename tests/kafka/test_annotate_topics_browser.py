"""The annotator's page of a pipeline on topics in a real browser, with a worker beside it and a broker that goes away."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from broker import Broker
from page_servers import PageServer
from pipelines import Pipeline, rows, until

from stream_al.records import Example, parse_logged

pytestmark = pytest.mark.slow


def shown(page: Any) -> str:
    """Return the event whose card is before the annotator, once there is one."""
    page.wait_for_function("() => !document.querySelector('#card').hidden")
    return str(page.text_content("#title"))


def answer(page: Any, *keys: str) -> str:
    """Answer the card by keys, and return its event once the next is there."""
    event_id = shown(page)
    for key in keys:
        page.keyboard.press(key)
    page.wait_for_function("id => document.querySelector('#title').textContent !== id", arg=event_id)
    return event_id


def learned(pipeline: Pipeline) -> dict[str, Any]:
    found = [parse_logged(record.value) for record in pipeline.read("examples")]
    assert all(isinstance(record, Example) for record in found)
    return {record.event_id: record.label for record in found}


def test_from_a_key_to_the_model_and_back_to_the_page_with_the_broker_away_in_between(
    own_broker: Broker, topics: str, tmp_path: Path, visit: Callable[..., Any]
) -> None:
    pipeline = Pipeline(own_broker.bootstrap, topics, tmp_path / "p", partitions=2, budget=1.0)
    with closing(pipeline):
        pipeline.start("a")
        pipeline.feed(rows(8))
        until(lambda: len(pipeline.read("queries")) >= 8, "all are asked")
        server = PageServer(pipeline.path)
        try:
            page = visit(server.url)
            said = {}
            event_id = shown(page)
            page.keyboard.press("n")
            page.keyboard.type("in")
            page.keyboard.press("Enter")
            page.wait_for_function("id => document.querySelector('#title').textContent !== id", arg=event_id)
            said[event_id] = "in"
            page.wait_for_function("() => document.querySelector('#classes').children.length === 1")
            said[answer(page, "1")] = "in"
            answer(page, "s")
            taken_back = answer(page, "1")
            page.keyboard.press("z")
            page.wait_for_function(
                "id => document.querySelector('#title').textContent === id", arg=taken_back
            )
            page.reload()  # leaving sends the drafts
            until(lambda: learned(pipeline) == said, "what was said is learned, and nothing else")

            page.goto(f"{server.url}dashboard")
            tiles = page.locator("#queries")
            page.wait_for_function(
                "() => document.querySelector('#queries').textContent.includes('Answered2')"
            )
            assert "Open6" in tiles.text_content()
            assert "stream-al status" in page.text_content("#model-tiles")
            page.screenshot(path=tmp_path / "dashboard.png")

            page.goto(server.url)
            own_broker.kill()
            said[answer(page, "1")] = "in"
            said[answer(page, "1")] = "in"
            page.reload()
            # Should the page ask before the leaving of the one before has arrived, it asks again after 45 seconds.
            page.wait_for_function(
                "() => document.querySelector('#unsent').textContent === '2 unsent'", timeout=90_000
            )
            said[answer(page, "1")] = "in"  # it goes on taking answers
            page.screenshot(path=tmp_path / "away.png")
            own_broker.restart()
            page.wait_for_function(
                "() => document.querySelector('#unsent').textContent === ''", timeout=90_000
            )
            page.reload()
            until(lambda: learned(pipeline) == said, "all are learned")
        finally:
            complaints = server.stop()
        assert "Traceback" not in complaints, complaints
        pipeline.stop("a")
        pipeline.check()
