"""`stream-al counterfactual` on real stores, and docs/howto-counterfactual.md: each of its commands is run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from stream_al import StreamALError
from stream_al.cli.app import app

GUIDE = Path(__file__).parents[2] / "docs" / "howto-counterfactual.md"
CONFIG = """
[events]
path = "river:Phishing"
[model]
steps = [{ use = "river.preprocessing.StandardScaler" }, { use = "river.linear_model.LogisticRegression" }]
[strategy]
name = "margin"
threshold = 0.5
explore = 0.1
cold_start = { examples = 20, share = 0.1 }
[labels]
source = "simulated"
delay = 10
jitter = 30
quorum = 1
[store]
path = "pipeline.db"
"""


def run(*arguments: object) -> tuple[int, str, str]:
    """Return (exit code, standard output, the error)."""
    result = CliRunner().invoke(app, [*map(str, arguments)])
    if isinstance(result.exception, StreamALError):
        return result.exception.exit_code, result.stdout, str(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline that ran to its end."""
    folder = tmp_path_factory.mktemp("counterfactual")
    (folder / "pipeline.toml").write_text(CONFIG)
    assert run("run", folder / "pipeline.toml", "--quiet")[0] == 0
    return folder


def found(folder: Path, *arguments: object) -> dict[str, Any]:
    code, out, error = run("counterfactual", folder / "pipeline.db", *arguments, "--json")
    assert code == 0, error
    content: dict[str, Any] = json.loads(out)
    return content


def test_each_number_says_how_it_is_known(folder: Path) -> None:
    content = found(folder, "--strategy", "margin<0.2", "--strategy", "random", "--strategy", "margin")
    status = json.loads(run("status", folder / "pipeline.db", "--json")[1])
    assert content["events"] == status["events"] == 1250
    assert content["labelled"] == status["examples"]
    assert content["unanswered"] == 0
    recorded = content["recorded"]
    assert recorded["models"] == "own"
    assert recorded["questions"] == {"kind": "exact", "value": status["asked"]}
    assert recorded["model_wrong_at_questions"]["kind"] == "exact"
    accuracy = recorded["accuracy"]
    assert accuracy["kind"] == "estimated"
    assert 0.0 < accuracy["low"] < accuracy["value"] < accuracy["high"] < 1.0
    assert [s["name"] for s in content["strategies"]] == ["margin<0.2", "random", "margin"]
    assert {strategy["models"] for strategy in content["strategies"]} == {"own", "as recorded"}
    for strategy in content["strategies"]:
        assert (strategy["determined_events"] == 1250) == (strategy["models"] == "own")
        assert strategy["accuracy"]["kind"] == "estimated"
        assert strategy["sentences"]
        assert "cost" not in strategy


def test_a_price_makes_it_money_for_each_answer_of_the_quorum(folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "pipeline.toml"
    config.write_text(
        CONFIG.replace("quorum = 1", "quorum = 2").replace('"simulated"', '"file"\npath = "labels.jsonl"')
    )
    config.write_text(config.read_text().replace("delay = 10\njitter = 30\n", ""))
    assert run("run", config, "--quiet")[0] == 0
    asked = json.loads(run("status", tmp_path / "pipeline.db", "--json")[1])["asked"]
    answers = [
        json.dumps({"event_id": f"Phishing:{number}", "label": number % 2 == 0, "annotator": name})
        for number in range(1, 21)
        for name in ("ann", "bob")
    ]
    (tmp_path / "labels.jsonl").write_text("".join(f"{answer}\n" for answer in answers))
    assert run("run", config, "--quiet")[0] == 0
    assert asked >= 20
    for path, quorum in [(folder / "pipeline.db", 1), (tmp_path / "pipeline.db", 2)]:
        code, out, _ = run(
            "counterfactual", path, "--strategy", "margin<0.2", "--cost-per-label", "0.25", "--json"
        )
        assert code == 0
        content = json.loads(out)
        for one in (content["recorded"], *content["strategies"]):
            assert one["cost"] == pytest.approx(0.25 * quorum * one["questions"]["value"])


def test_people_get_a_table_and_sentences(folder: Path) -> None:
    strategies = ("--strategy", "margin<0.2", "--strategy", "margin<0.8")
    code, out, _ = run("counterfactual", folder / "pipeline.toml", *strategies, "--cost-per-label", "2")
    assert code == 0
    assert re.search(r"margin<0\.2 +\d+ \(\d+\.\d%\) +\d+\.00 ", out)
    assert re.search(
        r"Asked where margin < 0\.2: \d+ questions about 1,250 events, \d+ fewer than were asked\.", out
    )
    assert "The record determines its whole run" in out
    assert re.search(r"Its own run is determined for the first \d+ events", out)
    assert "note: Right is what people agreed on." in out


def test_the_same_command_prints_the_same_bytes(folder: Path) -> None:
    command = [sys.executable, "-m", "stream_al", "counterfactual", str(folder / "pipeline.db"), "--json"]
    command += ["--strategy", "margin<0.2", "--strategy", "entropy"]
    outputs = [
        subprocess.run(
            command, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]


def test_a_store_without_exploration_refuses_what_it_cannot_know(folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "pipeline.toml"
    config.write_text(CONFIG.replace("explore = 0.1", "explore = 0.0"))
    assert run("run", config, "--quiet")[0] == 0
    code, out, _ = run("counterfactual", config, "--strategy", "margin<0.8")
    assert code == 0
    assert "refused" in out
    assert "set explore = 0.02 in [strategy]" in out
    (strategy,) = json.loads(run("counterfactual", config, "--strategy", "margin<0.8", "--json")[1])[
        "strategies"
    ]
    assert strategy["accuracy_elsewhere"]["kind"] == "refused"
    assert strategy["accuracy_elsewhere"].keys() == {"kind", "why"}


def test_a_fully_labelled_store_is_exact(folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "pipeline.toml"
    config.write_text(
        CONFIG.replace('"margin"\nthreshold = 0.5\nexplore = 0.1', '"random"\nbudget = 1.0').replace(
            "share = 0.1", "share = 1.0"
        )
    )
    assert run("run", config, "--quiet")[0] == 0
    (strategy,) = json.loads(run("counterfactual", config, "--strategy", "margin<0.2", "--json")[1])[
        "strategies"
    ]
    assert strategy["models"] == "own"
    kinds = {
        strategy[name]["kind"]
        for name in ("questions", "model_wrong_at_questions", "accuracy_elsewhere", "accuracy")
    }
    assert kinds == {"exact"}
    config.write_text(config.read_text().replace('"random"\nbudget = 1.0', '"margin"\nthreshold = 0.2').replace(
        "pipeline.db", "other.db"
    ))  # fmt: skip
    assert run("run", config, "--quiet")[0] == 0
    status = json.loads(run("status", tmp_path / "other.db", "--json")[1])
    assert strategy["questions"]["value"] == status["asked"]
    assert strategy["accuracy"]["value"] == pytest.approx(status["prequential_accuracy"])


def test_bad_input_is_told_and_what_to_do(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "events.csv"
    table.write_text("a,b\n1,2\n")
    empty = tmp_path / "pipeline.toml"
    empty.write_text(CONFIG.replace('"simulated"\ndelay = 10\njitter = 30', '"store"'))
    assert run("run", empty, "--quiet")[0] == 0
    store = folder / "pipeline.db"
    for arguments, code, told in [
        ((table, "--strategy", "margin<0.2"), 3, "events.csv: not a SQLite file; name another path"),
        ((tmp_path / "none.db", "--strategy", "margin<0.2"), 3, "no such store"),
        ((tmp_path / "none.toml", "--strategy", "margin<0.2"), 2, "no such file"),
        ((store, "--strategy", "margn"), 2, "--strategy margn: no such strategy; there are"),
        ((store, "--strategy", "margin<2"), 2, "--strategy margin<2: threshold = 2.0"),
        (
            (store, "--strategy", "margin", "--explore", "0.5"),
            2,
            "explore = 0.5: must be a share from 0 to 0.1",
        ),
        ((empty, "--strategy", "margin<0.2"), 3, "no label has become an example yet"),
    ]:
        found_code, out, error = run("counterfactual", *arguments)
        assert (found_code, out) == (code, ""), arguments
        assert told in error, (arguments, error)
    code, _, error = run("counterfactual", store)
    assert code == 2
    assert "--strategy" in error


def test_the_guide_says_what_is_true(tmp_path: Path) -> None:
    """Every console block runs in order in one folder, and prints what the guide shows, to the letter."""
    text = GUIDE.read_text("utf-8")
    blocks = re.findall(r"```(toml|console)\n(.*?)```", text, re.DOTALL)
    assert {kind for kind, _ in blocks} == {"toml", "console"}
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "NO_COLOR": "1",
        "COLUMNS": "100",
    }
    for kind, content in blocks:
        if kind == "toml":
            (tmp_path / "pipeline.toml").write_text(content)
            continue
        command, *shown = content.removeprefix("$ ").splitlines()
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        said = [line.rstrip() for line in done.stdout.splitlines()]
        if shown:
            assert said == [line.rstrip() for line in shown], command
