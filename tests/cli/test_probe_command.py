import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stream_al import StreamALError
from stream_al.cli.app import app

ROOT = Path(__file__).parents[2]
SOFTMAX = "river.linear_model.SoftmaxRegression"


def run(*arguments):
    """Return (exit code, standard output or the error)."""
    result = CliRunner().invoke(app, ["probe", *map(str, arguments)])
    if isinstance(result.exception, StreamALError):
        return result.exception.exit_code, str(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result.exit_code, result.stdout


def test_one_command_shows_pictures_that_look_alike_and_are_answered_differently(tmp_path):
    page = tmp_path / "digits.html"
    code, out = run(SOFTMAX, "--data", "sklearn:digits", "--events", 8, "--html", page, "--json", "--quiet")
    assert code == 0
    found = json.loads(out)
    assert (found["learned"], found["answered"]) == (1258, 539)
    assert found["accuracy"] > 0.75
    every, one = found["attacks"]
    assert every["share"] == 1.0
    assert every["median_change"] < 1.0
    assert one["name"] == "1 feature"
    assert all(len(event["changes"]) == 1 for event in one["found"])
    text = page.read_text("utf-8")
    assert text.count("data:image/png;base64,") >= 18
    assert "Alike to the eye, not to the model" in text


@pytest.mark.slow
def test_the_same_bytes_in_another_process_with_another_hash_seed(tmp_path):
    outputs = []
    for seed in ("0", "1"):
        page = tmp_path / f"{seed}.html"
        command = [sys.executable, "-m", "stream_al.cli.app", "probe", SOFTMAX, "--data", "sklearn:digits"]
        command += ["--events", "3", "--limit", "300", "--json", "--html", str(page), "--quiet"]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(command, capture_output=True, cwd=ROOT, env=environment, check=True)
        outputs.append((done.stdout, page.read_bytes()))
    assert outputs[0] == outputs[1]


def test_a_table_for_people_with_the_result_in_words():
    code, out = run(
        "river.tree.HoeffdingTreeClassifier", "--data", "river:Phishing", "--events", 10, "--target", True
    )
    assert code == 0
    words = " ".join(out.split())
    assert "answer “True” for" in words
    assert "the model is constant" in words
    assert "Random changes of that size do it" in words


def test_the_model_of_a_store_is_attacked_on_what_it_recorded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("pipeline.toml").write_text(
        '[events]\npath = "river:Phishing"\n[model]\nsteps = [{ use = "river.preprocessing.StandardScaler" }, '
        '{ use = "river.linear_model.LogisticRegression" }]\n[labels]\nsource = "simulated"\n'
        '[store]\npath = "pipeline.db"\n'
    )
    assert CliRunner().invoke(app, ["run", "pipeline.toml", "--quiet"]).exit_code == 0
    by_store, by_config, elsewhere = (
        json.loads(run(*target, "--events", 5, "--json", "--quiet")[1])
        for target in (
            ["pipeline.db"],
            ["pipeline.toml"],
            ["pipeline.db", "--data", "river:Phishing", "--label-type", "bool"],
        )
    )
    assert by_store["attacks"] == by_config["attacks"]
    assert by_store["model"] == "the model of pipeline.db"
    assert by_store["learned"] == elsewhere["learned"] > 50
    assert by_store["slopes"] == "exact"
    assert elsewhere["answered"] == 1250 > by_store["answered"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([SOFTMAX], "name the events"),
        ([SOFTMAX, "--data", "missing.csv", "--label-column", "y"], "missing.csv"),
        ([SOFTMAX, "--data", "river:Phishing", "--train", "0"], "a share that leaves some for both"),
        ([SOFTMAX, "--data", "river:Phishing", "--train", "1"], "a share that leaves some for both"),
        ([SOFTMAX, "--data", "river:Phishing", "--target", "spam"], "there are False, True"),
        ([SOFTMAX, "--data", "river:Phishing", "--shape", "5x5"], "as many pixels as there are features, 9"),
        (["river.linear_model.Nonsense", "--data", "river:Phishing"], "cannot be imported"),
        (["missing.db"], "missing.db"),
        (["river.linear_model.LogisticRegression", "--data", "sklearn:digits"], "third class"),
    ],
)
def test_what_cannot_be_probed_gets_a_sentence(arguments, message):
    code, error = run(*arguments, "--quiet")
    assert code in (2, 3)
    assert message in error


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("y,x\n", "there is no event"),
        ("y,x\n" + "a,1\n" * 10, "there must be two classes"),
        ("y,x\n" + "a,red\nb,blue\n" * 10, "none is a number that varies"),
        ("y,x\n" + "a,1\n" * 10 + "b,2\n" * 5, "only 'a'"),
    ],
)
def test_data_that_cannot_be_attacked_gets_a_sentence(tmp_path, table, message):
    path = tmp_path / "table.csv"
    path.write_text(table)
    model = "river.tree.HoeffdingTreeClassifier"
    code, error = run(model, "--data", path, "--label-column", "y", "--train", 0.5, "--quiet")
    assert code in (2, 3)
    assert message in error


@pytest.mark.slow
def test_the_numbers_of_the_guide_are_those_that_its_command_gives():
    guide = (ROOT / "docs" / "howto-probe.md").read_text("utf-8")
    code, out = run(
        SOFTMAX, "--data", "sklearn:digits", "--features", 1, "--features", 3, "--json", "--quiet"
    )
    assert code == 0
    found = json.loads(out)
    every, one, three = found["attacks"]
    assert f"answers {found['accuracy']:.1%}".replace("%", " %") in guide
    assert (
        f"| every pixel a little | {every['fooled']} | half of them by at most {every['median_change']:.2f} "
        in guide
    )
    assert f"| every pixel as much, at random | {100 * found['noise'][-1]['share']:.0f} |" in guide
    assert f"| one pixel | {one['fooled']} |" in guide
    assert f"| three pixels (`--features 3`) | {three['fooled']} |" in guide
