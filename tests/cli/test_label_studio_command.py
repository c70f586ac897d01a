"""The command, as people start it: a process, a store, and a Label Studio."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from label_studio_server import TOKEN, StudioServer
from labelled_stores import CATS, Pipeline, rows

ROOT = Path(__file__).parents[2]


@pytest.fixture
def studio():
    server = StudioServer()
    yield server
    server.close()


@pytest.fixture
def pipeline(tmp_path):
    made = Pipeline(tmp_path / "pipeline.db", rows(3), CATS, quorum=2)
    yield made
    made.store.close()


def start(store, studio, *options, token=TOKEN, project=1):
    command = [sys.executable, "-m", "stream_al", "label-studio", str(store), "--url", studio.url + "/"]
    return subprocess.Popen(
        [*command, "--project", str(project), *options],
        env={**os.environ, "PYTHONPATH": str(ROOT), "LABEL_STUDIO_API_KEY": token},
        stderr=subprocess.PIPE,
        text=True,
    )


def done(process):
    _, said = process.communicate(timeout=60)
    return process.returncode, said


def test_once_is_one_round_and_says_what_it_did(pipeline, studio):
    code, said = done(start(pipeline.path, studio, "--once"))
    assert code == 0
    assert said.splitlines() == [
        "note: a query needs 2 annotators ([labels] quorum), and the project asks 1 for a task; raise its overlap, "
        "or others must answer too",
        "tasks made: 3, answers taken: 0, tasks deleted: 0",
    ]
    studio.overlap = 2
    studio.annotate("e01", "cat")
    assert done(start(pipeline.path, studio, "--once")) == (
        0, "tasks made: 0, answers taken: 1, tasks deleted: 0\n"
    )  # fmt: skip
    assert pipeline.answers() == [("e01", "cat")]


def test_it_goes_on_through_failures_until_a_signal_ends_it(pipeline, studio):
    """A round takes the answer after one that failed; SIGTERM is a good end."""
    studio.overlap = 2
    failed = threading.Event()

    def after(method, path):
        if path.endswith("/import") and not failed.is_set():
            failed.set()
            studio.annotate("e02", "dog")
            return False  # it was done, and the bridge does not hear of it
        return True

    studio.after = after
    process = start(pipeline.path, studio, "--every", "1")
    lines = [process.stderr.readline(), process.stderr.readline()]
    process.send_signal(signal.SIGTERM)
    code, rest = done(process)
    assert re.match(r"note: .*/import: no usable answer .*nothing is lost, try again later\n", lines[0])
    assert (lines[1], rest, code) == ("tasks made: 0, answers taken: 1, tasks deleted: 0\n", "", 0)
    assert pipeline.answers() == [("e02", "dog")]
    assert sorted(studio.query_ids()) == ["e01", "e02", "e03"]


def test_every_command_of_the_howto_runs(tmp_path):
    text = (ROOT / "docs" / "howto-label-studio.md").read_text("utf-8")
    commands = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)[1:]  # the first installs it
    (config,) = re.findall(r"```xml\n(.*?)```", text, re.DOTALL)
    (said,) = re.findall(r"says `(tasks made.*?)`", text)
    studio = StudioServer(config)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "LABEL_STUDIO_API_KEY": TOKEN}
    heard = []
    for command in commands:
        here = command.replace("http://localhost:8080", studio.url)
        ran = subprocess.run(
            here, shell=True, text=True, capture_output=True, cwd=tmp_path, env=environment, check=False
        )
        assert ran.returncode == 0, f"{command}\n{ran.stderr}"
        heard.append(ran.stderr.strip())
        if len(heard) == 2:
            studio.annotate("tx-1", "ham")
    studio.close()
    assert heard[1:] == [said, "tasks made: 0, answers taken: 1, tasks deleted: 0"]


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"token": ""}, 2, "LABEL_STUDIO_API_KEY: is not set"),
        ({"token": "wrong"}, 2, "does not take this token"),
        ({"project": 77}, 2, "--project 77: "),
        ({"store": "nothing.db"}, 3, "no such file"),
    ],
)
def test_what_cannot_work_is_one_line_and_an_exit_code(pipeline, studio, change, code, said):
    store = change.pop("store", pipeline.path)
    found, text = done(start(store, studio, "--once", **change))
    assert (found, text.count("\n")) == (code, 1)
    assert said in text
    assert "wrong" not in text, "a token is nobody's business"
