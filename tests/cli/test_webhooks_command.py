"""Webhooks as a user meets them: real processes, kill -9, a real server."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hook_receivers import SECRET, Receiver, receiving, signed_by
from streams import rows, write_jsonl

from connectors.sqlite import connect
from stream_al.config import load_config
from stream_al.errors import ConfigError

ROOT = Path(__file__).parents[2]
CONFIG = """
[events]
path = "events.jsonl"
label_column = "label"
[strategy]
budget = 0.3
[limits]
labels_total = 300
[labels]
source = "simulated"
delay = 30
[output]
predictions = "predictions.jsonl"
[run]
batch_size = 20
until = "answered"
[webhooks]
{webhooks}
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def environment(secret: str | None) -> dict[str, str]:
    found = {name: value for name, value in os.environ.items() if not name.startswith("STREAM_AL_")}
    if secret is not None:
        found["STREAM_AL_WEBHOOKS__SECRET"] = secret
    return {**found, "PYTHONPATH": str(ROOT)}


def stream_al(
    *arguments: str, folder: Path, check: int = 0, secret: str | None = SECRET
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "stream_al", *arguments],
        cwd=folder, text=True, capture_output=True, timeout=120, env=environment(secret), check=False,
    )  # fmt: skip
    assert done.returncode == check, done.stderr
    assert "Traceback" not in done.stderr
    return done


def pipeline(folder: Path, webhooks: str, count: int = 1500) -> None:
    write_jsonl(folder / "events.jsonl", rows(count))
    (folder / "pipeline.toml").write_text(CONFIG.format(webhooks=webhooks))


def status(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stream_al("status", "pipeline.db", "--json", folder=folder).stdout)
    return found


def ledger(folder: Path) -> list[tuple[int, str]]:
    with closing(connect(folder / "pipeline.db")) as connection:
        return list(connection.execute("SELECT number, event_id FROM labels ORDER BY number"))


def labels(receiver: Receiver) -> list[tuple[int, str]]:
    return [
        (got.data["number"], got.data["event_id"]) for got in receiver.got if got.type == "label.received"
    ]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within a minute"
        time.sleep(0.005)


@pytest.mark.slow
def test_a_run_tells_of_labels_and_of_the_spent_budget(tmp_path: Path, receiver: Receiver) -> None:
    pipeline(tmp_path, f'url = "{receiver.url}"')
    stream_al("run", "pipeline.toml", folder=tmp_path)
    while status(tmp_path)["webhooks"]["waiting"]:  # a run that ends waits for some seconds only
        stream_al("run", "pipeline.toml", folder=tmp_path)
    assert labels(receiver) == ledger(tmp_path)
    assert len(labels(receiver)) == 300
    (spent,) = [got for got in receiver.got if got.type == "budget.spent"]
    assert spent.data["limit"] == "rate-limit"
    assert all(map(signed_by, receiver.got))
    assert len({*receiver.ids}) == 301
    assert "0 differences" in stream_al("verify", "pipeline.db", folder=tmp_path).stdout
    assert "webhooks: 0 to be sent, 0 given up" in stream_al("status", "pipeline.db", folder=tmp_path).stdout


@pytest.mark.slow
def test_kill_9_loses_no_message_and_repeats_have_the_same_id(tmp_path: Path, receiver: Receiver) -> None:
    pipeline(tmp_path, f'url = "{receiver.url}"', count=4000)
    (tmp_path / "pipeline.toml").write_text(
        (tmp_path / "pipeline.toml").read_text().replace("labels_total = 300", "labels_total = 900")
    )
    rng = random.Random(4)
    refused = random.Random(5)
    receiver.answer = lambda _: 500 if refused.random() < 0.01 else 204
    kills = 0
    while kills < 12:
        process = subprocess.Popen(
            [sys.executable, "-m", "stream_al", "run", "pipeline.toml", "--until", "stopped"],
            cwd=tmp_path, env=environment(SECRET), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        goal, deadline = len(receiver.got) + rng.randrange(1, 60), time.monotonic() + 5
        while len(receiver.got) < goal and time.monotonic() < deadline:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        kills += 1
    receiver.answer = lambda _: 204
    stream_al("run", "pipeline.toml", folder=tmp_path)
    while status(tmp_path)["webhooks"]["waiting"]:
        stream_al("run", "pipeline.toml", folder=tmp_path)
    got = labels(receiver)
    assert list(dict.fromkeys(got)) == ledger(tmp_path)  # all, and first in order
    assert len({*got}) == 900 < len(got)
    contents: dict[str, set[tuple[str, bytes]]] = {}
    for delivery in receiver.got:
        contents.setdefault(delivery.id, set()).add((delivery.type, delivery.body))
    assert {len(bodies) for bodies in contents.values()} == {1}
    assert len(contents) == 901
    assert all(map(signed_by, receiver.got))


@pytest.mark.slow
def test_an_endpoint_that_is_down_stops_nothing_and_is_shown(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/hooks"
        pipeline(tmp_path, f'url = "{url}"')
        told = stream_al("run", "pipeline.toml", folder=tmp_path).stderr
    assert "refused; tried again in 5 s" in " ".join(told.split())
    found = status(tmp_path)
    assert found["examples"] == 300
    assert found["webhooks"]["waiting"] == 301
    assert found["webhooks"]["failing"]["attempts"] == 1
    assert "301 to be sent" in stream_al("status", "pipeline.db", folder=tmp_path).stdout


def test_without_webhooks_the_store_has_no_trace_of_them(tmp_path: Path) -> None:
    pipeline(tmp_path, "")
    stream_al("run", "pipeline.toml", folder=tmp_path, secret=None)
    assert status(tmp_path)["webhooks"] is None
    with closing(connect(tmp_path / "pipeline.db")) as connection:
        assert not connection.execute("SELECT 1 FROM sqlite_master WHERE name LIKE 'outbox%'").fetchall()


def test_a_missing_secret_is_said_before_anything_is_done(tmp_path: Path, receiver: Receiver) -> None:
    pipeline(tmp_path, f'url = "{receiver.url}"')
    for command in (("run", "pipeline.toml"), ("webhooks", "test", "pipeline.toml")):
        told = stream_al(*command, folder=tmp_path, check=2, secret=None).stderr
        assert "[webhooks] secret: is missing" in told
        assert "STREAM_AL_WEBHOOKS__SECRET" in told
    assert not (tmp_path / "pipeline.db").exists()
    assert receiver.got == []


def test_a_sample_is_sent_and_the_answer_told(tmp_path: Path, receiver: Receiver) -> None:
    pipeline(tmp_path, f'url = "{receiver.url}"')
    told = stream_al("webhooks", "test", "pipeline.toml", folder=tmp_path).stdout
    assert "HTTP 204" in told
    (got,) = receiver.got
    assert got.type == "test"
    assert got.id in told
    assert signed_by(got)
    receiver.answer = lambda _: 401
    assert (
        "HTTP 401 Unauthorized"
        in stream_al("webhooks", "test", "pipeline.toml", folder=tmp_path, check=1).stderr
    )


def test_both_secrets_sign_while_one_replaces_the_other(tmp_path: Path, receiver: Receiver) -> None:
    pipeline(tmp_path, f'url = "{receiver.url}"')
    new = "whsec_" + "Q" * 44
    stream_al("webhooks", "test", "pipeline.toml", folder=tmp_path, secret=f"{new} {SECRET}")
    assert signed_by(receiver.got[0], SECRET)
    assert signed_by(receiver.got[0], new)


@pytest.mark.parametrize(
    ("webhooks", "told"),
    [
        ('events = ["label"]', "[webhooks]: url: nothing is sent without one"),
        ('url = "ftp://example.org"', "is not an http or https address"),
        ('url = "https:///x"', "is not an http or https address"),
        ('url = "https://me:pw@example.org/"', "leave the login out"),
        (
            'url = "https://example.org"\nevents = ["labels"]',
            "must be one of 'label', 'drift', 'budget-spent', 'quarantine' or 'distrust'",
        ),
        (
            'url = "https://example.org"\nevents = []',
            "events: give one or more of label, drift, budget-spent, quarantine, distrust",
        ),
        ('url = "https://example.org"\ngive_up_after = "-1h"', "give_up_after"),
        (
            'url = "https://example.org"\nsecret = "hunter2"',
            "secret: is not whsec_ and 24 to 64 bytes in base64",
        ),
        ('url = "https://example.org"\nsecret = 17', "secret: must be text, in quotation marks"),
        ('url = "https://example.org"\nretries = 3', "[webhooks] retries: no such key"),
    ],
)
def test_a_bad_configuration_names_the_key_and_shows_no_secret(
    tmp_path: Path, webhooks: str, told: str
) -> None:
    (tmp_path / "pipeline.toml").write_text(CONFIG.format(webhooks=webhooks))
    with pytest.raises(ConfigError) as refused:
        load_config(tmp_path / "pipeline.toml")
    assert told in str(refused.value)
    assert "hunter2" not in str(refused.value)
