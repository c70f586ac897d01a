"""Sending what a real store holds to a real server on this machine."""

from __future__ import annotations

import json
import re
import runpy
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hook_receivers import SECRET, Receiver, receiving, signed_by
from labelled_stores import Pipeline

from connectors.sqlite.outbox import SqliteOutbox, standing
from connectors.webhooks import Endpoint, Sender
from stream_al.webhooks import keys_of

FAST = (0.02, 0.04)
"""A schedule for tests."""


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within half a minute"
        time.sleep(0.005)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def label(pipeline: Pipeline, *numbers: int) -> None:
    """Answer events, and let the worker take the answers."""
    for number in numbers:
        record = json.dumps({"event_id": f"e{number:02d}", "label": "cat", "annotator": "ann"})
        pipeline.store.connection.execute("INSERT INTO inbox (record) VALUES (?)", (record.encode(),))
    pipeline.work()


def sender(
    pipeline: Pipeline, url: str, told: list[str], give_up_after: float = 60.0, timeout: float = 5.0
) -> Sender:
    endpoint = Endpoint(url, keys_of(SECRET), timeout)
    return Sender(lambda: SqliteOutbox(pipeline.path, ["label"]), endpoint, give_up_after, told.append, FAST)


def state(pipeline: Pipeline) -> dict[str, Any]:
    found = standing(pipeline.store.connection)
    assert found is not None
    return found


def test_labels_are_sent_in_order_once_and_signed(
    pipeline: Callable[..., Pipeline], receiver: Receiver
) -> None:
    made, told = pipeline(30), list[str]()
    with sender(made, receiver.url, told):
        label(made, 3, 1)
        until(lambda: len(receiver.got) == 2)
        label(made, 2, *range(4, 25))
        until(lambda: len(receiver.got) == 24)
    assert [got.data["event_id"] for got in receiver.got] == [f"e{n:02d}" for n in (3, 1, 2, *range(4, 25))]
    assert [got.data["number"] for got in receiver.got] == list(range(24))
    assert {got.type for got in receiver.got} == {"label.received"}
    assert {got.data["outcome"] for got in receiver.got} == {"example"}
    assert all(map(signed_by, receiver.got))
    assert len({*receiver.ids}) == 24
    assert state(made) == {"waiting": 0, "failing": None, "given_up": 0, "last_given_up": []}
    assert told == []


def test_a_signature_of_another_secret_or_of_another_body_is_seen(
    pipeline: Callable[..., Pipeline], receiver: Receiver
) -> None:
    made = pipeline(3)
    with sender(made, receiver.url, []):
        label(made, 1)
        until(lambda: len(receiver.got) == 1)
    got = receiver.got[0]
    assert signed_by(got)
    assert not signed_by(got, "whsec_" + "A" * 32)
    assert not signed_by(got._replace(body=got.body.replace(b"cat", b"dog")))
    assert not signed_by(got._replace(headers={**got.headers, "webhook-id": "msg_other"}))


@pytest.mark.parametrize("status", [301, 400, 404, 429, 500, 502])
def test_whatever_is_not_2xx_is_tried_again_in_its_place_with_the_same_id_and_body(
    pipeline: Callable[..., Pipeline], receiver: Receiver, status: int
) -> None:
    made, told = pipeline(9), list[str]()
    failures = iter([status, status, status])
    receiver.answer = lambda got: (
        (next(failures, 200), {"location": "/elsewhere"}) if got.data["event_id"] == "e02" else 200
    )
    with sender(made, receiver.url, told):
        label(made, 1, 2, 3)
        until(lambda: len(receiver.got) == 6)
    assert [got.data["event_id"] for got in receiver.got] == ["e01", *["e02"] * 4, "e03"]
    assert len({(got.id, got.body) for got in receiver.got[1:5]}) == 1
    assert all(map(signed_by, receiver.got))
    assert len(told) == 1
    assert f"HTTP {status}" in told[0]


def test_a_receiver_that_takes_too_long_has_failed(
    pipeline: Callable[..., Pipeline], receiver: Receiver
) -> None:
    made, told, go = pipeline(5), list[str](), threading.Event()

    def slow_at_first(_: object) -> int:
        if len(receiver.got) == 1:
            go.wait(30)
        return 200

    receiver.answer = slow_at_first
    with sender(made, receiver.url, told, timeout=0.1):
        label(made, 1)
        until(lambda: len(receiver.got) == 2)
        go.set()
    assert len({*receiver.ids}) == 1
    assert "timed out" in told[0]


def test_retry_after_is_waited_for(pipeline: Callable[..., Pipeline], receiver: Receiver) -> None:
    made = pipeline(5)
    receiver.answer = lambda _: (503, {"retry-after": "3600"})
    with sender(made, receiver.url, [], give_up_after=86_400):
        label(made, 1)
        until(lambda: state(made)["failing"] is not None)
    found = state(made)
    assert found["failing"]["error"] == "HTTP 503 Service Unavailable"
    assert 3500 < found["failing"]["seconds_to_next"] <= 3600
    assert len(receiver.got) == 1


def test_a_message_that_is_not_taken_is_given_up_shown_and_the_rest_goes_on(
    pipeline: Callable[..., Pipeline], receiver: Receiver
) -> None:
    made, told = pipeline(9), list[str]()
    receiver.answer = lambda got: 400 if got.data["event_id"] == "e01" else 200
    with sender(made, receiver.url, told, give_up_after=0.2):
        label(made, 1, 2)
        until(lambda: state(made)["given_up"] == 1)
        until(lambda: state(made)["waiting"] == 0)
    assert receiver.got[-1].data["event_id"] == "e02"
    (given_up,) = state(made)["last_given_up"]
    assert given_up["id"] == receiver.ids[0]
    assert given_up["attempts"] == len(receiver.got) - 1 > 1
    assert given_up["error"] == "HTTP 400 Bad Request"
    assert "given up" in told[-1]


def test_nothing_more_is_sent_to_who_is_gone_until_the_next_start(
    pipeline: Callable[..., Pipeline], receiver: Receiver
) -> None:
    made, told = pipeline(9), list[str]()
    receiver.answer = lambda _: 410
    with sender(made, receiver.url, told):
        label(made, 1, 2)
        until(lambda: bool(told))
    assert len(receiver.got) == 1
    assert "410" in told[0]
    assert state(made)["waiting"] == 2
    receiver.answer = lambda _: 200
    with sender(made, receiver.url, told):
        until(lambda: len(receiver.got) == 3)
    assert [got.data["event_id"] for got in receiver.got] == ["e01", "e01", "e02"]


def test_with_nobody_listening_the_worker_works_and_all_is_sent_later(
    pipeline: Callable[..., Pipeline],
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]  # nobody listens here: connections are refused
        made, told = pipeline(40), list[str]()
        with sender(made, f"http://127.0.0.1:{port}/hooks", told):
            for number in range(1, 31):
                label(made, number)
            until(lambda: state(made)["waiting"] == 30)
    assert made.worker.progress.examples == 30
    assert "refused" in told[0]
    with receiving() as receiver:
        with sender(made, receiver.url, told):
            until(lambda: state(made)["waiting"] == 0)
        assert [got.data["number"] for got in receiver.got] == list(range(30))


def test_what_was_committed_last_is_sent_before_the_end(
    pipeline: Callable[..., Pipeline], receiver: Receiver
) -> None:
    made = pipeline(20)
    with sender(made, receiver.url, []):
        label(made, *range(1, 16))
    assert [got.data["number"] for got in receiver.got] == list(range(15))


def test_a_store_in_trouble_is_said_and_does_not_end_the_sending(
    pipeline: Callable[..., Pipeline], receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.sqlite.schema.BUSY_SECONDS", 0.05)
    monkeypatch.setattr("connectors.webhooks._TROUBLE", 0.05)
    made, told = pipeline(5), list[str]()
    other = sqlite3.connect(made.path, isolation_level=None, check_same_thread=False)

    def lock_at_first(_: object) -> int:
        if len(receiver.got) == 1:
            other.execute("BEGIN IMMEDIATE")  # as a backup would, for too long
        return 200

    receiver.answer = lock_at_first
    with sender(made, receiver.url, told):
        label(made, 1)
        until(lambda: bool(told))
        other.execute("ROLLBACK")
        label(made, 2)
        until(lambda: state(made)["waiting"] == 0 and len(receiver.got) >= 3)
    other.close()
    assert "locked by another process" in told[0]
    assert [got.data["event_id"] for got in receiver.got] == ["e01"] * (len(receiver.got) - 1) + ["e02"]
    assert len({*receiver.ids}) == 2


def test_what_the_howto_tells_receivers_to_run_verifies_and_refuses(
    pipeline: Callable[..., Pipeline], receiver: Receiver, tmp_path: Path
) -> None:
    text = (Path(__file__).parents[2] / "docs" / "howto-webhooks.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "receiver.py").write_text(code)
    is_ours = runpy.run_path(str(tmp_path / "receiver.py"))["is_ours"]
    made = pipeline(3)
    with sender(made, receiver.url, []):
        label(made, 1)
        until(lambda: len(receiver.got) == 1)
    got = receiver.got[0]
    assert is_ours(SECRET, got.headers, got.body)
    assert not is_ours(SECRET, got.headers, got.body + b" ")
    assert not is_ours("whsec_" + "A" * 32, got.headers, got.body)
    old = {**got.headers, "webhook-timestamp": "1614265330"}
    assert not is_ours(SECRET, old, got.body)
