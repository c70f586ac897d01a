"""docs/howto-kcat.md says what is true: each of its commands is run, on a real broker and with a real worker."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from connectors.kafka.wire import partition_of

pytestmark = pytest.mark.slow

GUIDE = Path(__file__).parents[2] / "docs" / "howto-kcat.md"
TOPICS = ("events", "predictions", "queries", "labels", "examples", "dead-letters")
PATIENCE = 90.0
"""Seconds for one block: it waits for what the worker writes."""


class Block(NamedTuple):
    heading: str
    language: str
    commands: str


class Ran(NamedTuple):
    heading: str
    commands: str
    output: str

    @property
    def records(self) -> list[tuple[str, ...]]:
        """Lines of ``%k %h %s`` or the like, in three parts at most."""
        return [tuple(line.split(" ", 2)) for line in self.output.splitlines()]


def blocks() -> list[Block]:
    """The fenced blocks of the guide, each with the heading it stands under."""
    found, heading = [], ""
    for title, language, commands in re.findall(
        r"^#+ (.*)$|^```(.*)\n([\s\S]*?)^```$", GUIDE.read_text("utf-8"), re.MULTILINE
    ):
        heading = title or heading
        if not title:
            found.append(Block(heading, language, commands))
    return found


@pytest.fixture(scope="module")
def with_kcat() -> None:
    if shutil.which("kcat") is None:
        why = "the guide to kcat is not tested: there is no kcat here; `apt-get install kcat`"
        if os.environ.get("CI") == "true":
            pytest.fail(why, pytrace=False)
        pytest.skip(why)


@pytest.fixture(scope="module")
def guide(kafka: str, with_kcat: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Ran]]:
    """All blocks, run in order in a folder of their own, on topics of their own."""
    folder = tmp_path_factory.mktemp("kcat")
    prefix = f"kcat-{uuid.uuid4().hex[:12]}-"
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "STREAM_AL_KAFKA__TOPICS__PREFIX": prefix,
        "STREAM_AL_KAFKA__GROUP": f"{prefix}group",
        "NO_COLOR": "1",
    }

    def filled(commands: str) -> str:
        assert set(re.findall(r" -t (\S+)", commands)) <= set(TOPICS)
        return commands.replace("localhost:9092", kafka).replace(" -t ", f" -t {prefix}")

    def bash(commands: str) -> list[str]:
        return ["bash", "-euo", "pipefail", "-c", filled(commands)]

    ran: list[Ran] = []
    workers: list[subprocess.Popen[bytes]] = []
    try:
        for heading, language, commands in blocks():
            if language == "sh worker":
                with (folder / "worker.log").open("ab") as log:
                    worker = subprocess.Popen(
                        bash(commands), cwd=folder, env=environment, stdout=log, stderr=log, process_group=0
                    )
                workers.append(worker)
                continue
            assert language == "sh"
            done = subprocess.run(
                bash(commands), cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE
            )
            assert done.returncode == 0, f"{commands}{done.stderr}\n{(folder / 'worker.log').read_text()}"
            ran.append(Ran(heading, commands, done.stdout))
        yield ran
    finally:
        for worker in workers:
            os.killpg(worker.pid, signal.SIGTERM)
            assert worker.wait(PATIENCE) == 0, (folder / "worker.log").read_text()


def under(guide: list[Ran], heading: str, reading: str | None = None) -> Ran:
    (found,) = (
        ran
        for ran in guide
        if ran.heading == heading and (reading is None or f"-t {reading} -C" in ran.commands)
    )
    return found


def test_all_topics_and_both_directions_are_shown() -> None:
    text = "".join(block.commands for block in blocks())
    assert {topic for topic in TOPICS if f"-t {topic} " in text} == set(TOPICS)
    assert sum(block.language == "sh worker" for block in blocks()) == 1
    reads = re.findall(r"kcat .* -C .*", text)
    assert len(reads) >= 5
    assert all("isolation.level=read_committed" in read for read in reads)


def test_each_event_has_one_prediction_and_a_trace_goes_on(guide: list[Ran]) -> None:
    records = under(guide, "Read predictions").records
    assert sorted(key for key, *_ in records) == ["r-1", "r-2", "r-3", "r-4"]
    for key, headers, value in records:
        assert json.loads(value)["event_id"] == key
        assert re.search(r"stream-al-event=\S+events:\d+:\d+", headers)
        assert ("traceparent=00-0af7651916cd43dd8448eb211c80319c" in headers) == (key == "r-4")


def test_queries_carry_what_an_answer_needs(guide: list[Ran]) -> None:
    records = under(guide, "Read queries").records
    assert sorted(key for key, *_ in records) == ["r-1", "r-2", "r-3", "r-4"]
    assert all(set(json.loads(value)["features"]) == {"temperature", "vibration"} for *_, value in records)


def test_a_label_placed_by_crc32_is_passed_on_once_and_one_placed_by_murmur2_is_not(guide: list[Ran]) -> None:
    records = under(guide, "Answer", "labels").records
    placed = {(key, "stream-al-forwarded=" in "".join(rest)): int(number) for number, key, *rest in records}
    assert len(placed) == len(records) == 3
    assert placed["r-1", False] == partition_of("r-1", 6)
    assert placed["r-2", False] != partition_of("r-2", 6)
    assert placed["r-2", True] == partition_of("r-2", 6)
    (origin,) = (rest for _, key, *rest in records if "forwarded" in "".join(rest))
    assert re.fullmatch(rf"stream-al-forwarded=\S+labels:{placed['r-2', False]}:0", "".join(origin).strip())


def test_both_labels_are_learned_once(guide: list[Ran]) -> None:
    records = under(guide, "See what was learned, and what was not", "examples").records
    examples = [json.loads(value) for *_, value in records]
    assert sorted((e["event_id"], e["label"]) for e in examples) == [("r-1", "fine"), ("r-2", "broken")]
    headers = {key: header for key, header, _ in records}
    assert re.search(r"labels:1:0", headers["r-2"])  # where it was written, not where it was passed on to


def test_a_tombstone_withdraws_a_query_and_an_abstention_leaves_it_open(guide: list[Ran]) -> None:
    last: dict[str, tuple[str, ...]] = {}
    for key, *rest in under(guide, "Withdraw a query").records:
        last[key] = tuple(rest)
    assert {key: value == "NULL" for key, (*_, value) in last.items()} == {
        "r-1": True, "r-2": True, "r-3": False, "r-4": True
    }  # fmt: skip
    assert {key: headers for key, (headers, _) in last.items() if key != "r-3"} == {
        "r-1": "stream-al-status=answered",
        "r-2": "stream-al-status=answered",
        "r-4": "stream-al-status=withdrawn",
    }


def test_labels_that_teach_nothing_are_dead_letters(guide: list[Ran]) -> None:
    letters = under(guide, "See what was learned, and what was not", "dead-letters").output.splitlines()
    reasons = {content["event_id"]: content["reason"] for content in map(json.loads, letters)}
    assert reasons == {"r-3": "abstained", "r-4": "late", "r-9": "unknown-event"}


def test_all_of_it_verifies(guide: list[Ran]) -> None:
    assert re.match(r"0 differences in 4 predictions, 5 labels and 2 examples", guide[-1].output)
