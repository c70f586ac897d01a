import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from river import datasets
from typer.testing import CliRunner

from stream_al import StreamALError
from stream_al.cli.app import app

ROOT = Path(__file__).parents[2]


def run(*arguments, **options):
    """Return (exit code, standard output, the rest of it or the error)."""
    result = CliRunner().invoke(app, ["replay", *map(str, arguments)], **options)
    if isinstance(result.exception, StreamALError):
        return result.exception.exit_code, result.stdout, str(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result.exit_code, result.stdout, result.stderr


def replayed(*arguments):
    code, out, _ = run(*arguments, "--json", "--quiet")
    assert code == 0
    return json.loads(out)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """River's Phishing as a CSV file."""
    path = tmp_path_factory.mktemp("replay") / "phishing.csv"
    events = [*datasets.Phishing()]
    lines = [",".join(["id", *events[0][0], "bad"])]
    lines += [",".join([f"p{n}", *map(str, x.values()), str(y)]) for n, (x, y) in enumerate(events)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_strategies_side_by_side_with_their_baselines():
    found = replayed(
        "river:Phishing", "--strategy", "margin", "--strategy", "confidence<0.7", "--delay", "20"
    )
    assert [s["name"] for s in found["strategies"]] == ["margin", "confidence<0.7", "random", "all", "none"]
    by_name = {s["name"]: s for s in found["strategies"]}
    assert by_name["all"]["labels"] == by_name["all"]["answered"] == found["events"] == 1250
    assert by_name["random"]["labels"] == 125
    assert by_name["margin"]["labels"] == pytest.approx(125, abs=21)
    for strategy in found["strategies"]:
        gap = 100 * (strategy["accuracy"] - by_name["all"]["accuracy"])
        assert strategy["gap_to_all_labels"] == pytest.approx(gap)
        assert strategy["curve"][-1]["labels"] == strategy["labels"]


def test_the_same_command_prints_the_same_bytes():
    command = [sys.executable, "-m", "stream_al.cli.app", "replay", "river:Phishing", "--limit", "500"]
    command += ["--delay", "10", "--jitter", "30", "--json"]
    outputs = [
        subprocess.run(
            command, cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert json.loads(outputs[0])["events"] == 500


def test_another_key_is_another_draw():
    one, two = (replayed("river:Phishing", "--limit", "400", "--key", key) for key in "ab")
    assert one["strategies"] != two["strategies"]


def test_a_file_gives_what_its_data_set_gives(table):
    by_name = replayed("river:Phishing", "--no-baselines", "--strategy", "all")
    options = ["--label-column", "bad", "--label-type", "bool", "--id-column", "id"]
    by_file = replayed(table, *options, "--no-baselines", "--strategy", "all")
    assert by_file["strategies"] == by_name["strategies"]


def test_compressed_and_json_files_read_alike(table, tmp_path):
    lines = table.read_text().splitlines()
    head = lines[0].split(",")
    flat = [dict(zip(head, line.split(","), strict=True)) for line in lines[1:]]
    for record in flat:
        record |= {name: float(record[name]) for name in head[1:-1]}
    nested = [{"id": r["id"], "features": {k: r[k] for k in head[1:-1]}, "bad": r["bad"]} for r in flat]
    with gzip.open(tmp_path / "p.csv.gz", "wt") as file:
        file.write(table.read_text())
    (tmp_path / "flat.jsonl").write_text("".join(json.dumps(r) + "\n" for r in flat))
    (tmp_path / "nested.jsonl").write_text("".join(json.dumps(r) + "\n" for r in nested))
    options = ["--label-column", "bad", "--limit", "300"]
    expected = replayed(table, *options, "--id-column", "id")["strategies"]
    assert replayed(tmp_path / "p.csv.gz", *options, "--id-column", "id")["strategies"] == expected
    assert replayed(tmp_path / "flat.jsonl", *options, "--id-column", "id")["strategies"] == expected
    assert replayed(tmp_path / "nested.jsonl", *options)["strategies"] == expected


def test_a_model_by_import_path_or_file(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("from river import tree\nmodel = tree.HoeffdingTreeClassifier()\n")
    options = ["river:Phishing", "--limit", "400", "--model"]
    by_path = replayed(*options, "river.tree.HoeffdingTreeClassifier")
    assert by_path["strategies"] == replayed(*options, file)["strategies"]
    assert by_path["strategies"] != replayed("river:Phishing", "--limit", "400")["strategies"]


def test_the_table_and_the_files(tmp_path):
    plot, html = tmp_path / "curves.png", tmp_path / "report.html"
    code, out, error = run("river:Phishing", "--limit", "400", "--plot", plot, "--html", html)
    assert code == 0
    assert "margin" in out
    assert "all labels" in out
    assert f"wrote {html}" in out.replace("\n", "")
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert html.read_text().startswith("<!doctype html>")
    assert "1,600 of 1,600 events, 4 of 4 runs done" in error


def test_quiet_says_nothing_besides_the_result():
    assert run("river:Phishing", "--limit", "400", "--quiet")[2] == ""


def test_what_must_be_known_to_judge_the_numbers_is_noted(tmp_path):
    path = tmp_path / "odd.csv"
    rows = [f"{n % 90},{n % 7},{'' if n == 5 else n % 2}" for n in range(100)]
    path.write_text("\n".join(["id,x,y", "1,2,3,4", *rows]) + "\n")
    found = replayed(path, "--label-column", "y", "--id-column", "id", "--cold-start", "20")
    assert found["notes"] == [
        "1 records were left out (1 ragged-row).",
        "1 events have no label; they are answered, and not measured.",
        "10 events repeat an id; an id is asked about once.",
        "The cold start (20 labels) is more than the whole budget (10).",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["{}", "--label-column", "nope"], 3, r"no such column; there are id, "),
        (["{}"], 2, "name the label's column with --label-column; there are id, "),
        (["{}", "--label-column", "id"], 2, "1,250 distinct values"),
        (["{}", "--label-column", "bad", "--label-type", "text"], 2, "must be one of str, int, bool"),
        (["river:Phishing", "--label-column", "x"], 2, "--label-column: river:Phishing knows its own"),
        (["river:Nope"], 3, "not a data set that river bundles; there are "),
        (["nowhere.csv", "--label-column", "y"], 3, "no such file"),
        (["-", "--label-column", "y"], 2, "give --format"),
        (["river:Phishing", "--budget", "0"], 2, "nothing could be asked"),
        (["river:Phishing", "--strategy", "margn"], 2, "no such strategy; there are "),
        (
            ["river:Phishing", "--limit", "50", "--cold-start", "50"],
            2,
            "has 50 events, all of which --cold-start 50",
        ),
        (["river:Phishing", "--limit", "100", "--delay", "100"], 2, "none comes before the end"),
        (["river:Phishing", "--model", "river.nope.X"], 2, "cannot be imported"),
        (["river:Phishing", "--plot", "/nowhere/x.png"], 2, "not a file in a directory that exists"),
        (["river:ImageSegments", "--model", "river.linear_model.Perceptron"], 2, "a third class"),
        (["river:ImageSegments", "--max-classes", "5"], 2, "7 distinct values, more than 5"),
        (["river:Phishing", "--budget", "1"], 2, "that is all labels, which take part anyway"),
        (["river:Phishing", "--latency", "soon"], 2, "no such latency"),
        (["river:Phishing", "--latency", "2h"], 2, "counts time, and event 1 has no timestamp"),
        (["river:Phishing", "--latency", "20", "--delay", "3"], 2, "not both"),
        (["river:Phishing", "--quorum", "2"], 2, "needs as many annotators"),
        (
            ["river:Phishing", "--annotator", "ann:wrong.maybe=0.1"],
            2,
            "there is no such class; there are False, True",
        ),
        (["river:Phishing", "--results", "rows.xls"], 2, "end it in one of .csv, .json, .jsonl, .parquet"),
        (
            ["river:Phishing", "--rounds", "--budget", "0.1"],
            2,
            "--budget: belongs to the stream, not to --rounds",
        ),
        (["river:Phishing", "--rounds", "--start", "0.5"], 2, "give shares of the records"),
    ],
)
def test_bad_input_gets_a_sentence(table, arguments, code, message):
    found, out, error = run(*(argument.format(table) for argument in arguments), "--json")
    assert (found, out) == (code, "")
    assert message in error


def test_a_measurement_is_no_class(tmp_path):
    path = tmp_path / "measured.csv"
    path.write_text("x,y\n" + "".join(f"{n},{n / 7:.3f}\n" for n in range(200)))
    code, _, error = run(path, "--label-column", "y")
    assert code == 2
    assert "a measurement, not a class; sort it into classes first" in error


def test_a_grid_of_models_budgets_and_seeds(tmp_path):
    results = tmp_path / "rows.csv"
    found = replayed(
        *("river:Phishing", "--limit", "300", "--seeds", "2", "--results", results, "--cost-per-label", "2"),
        *("--strategy", "margin", "--strategy", "margin<0.2", "--budget", "0.2", "--budget", "0.1"),
        *("--model", "river.naive_bayes.GaussianNB", "--model", "river.tree.HoeffdingTreeClassifier"),
    )
    assert [(s["name"], s["budget"], s["model"]) for s in found["strategies"][:3]] == [
        ("margin", 0.1, "GaussianNB"),
        ("margin", 0.2, "GaussianNB"),
        ("margin<0.2", None, "GaussianNB"),
    ]
    assert len(found["strategies"]) == 2 * (2 + 1 + 2 + 2)
    by_random = next(s for s in found["strategies"] if s["name"] == "random")
    assert by_random["money_saved"] == 2 * (300 - by_random["labels"])
    accuracy = by_random["measures"]["accuracy"]
    assert accuracy["low"] <= accuracy["mean"] <= accuracy["high"]
    lines = results.read_text().splitlines()
    assert len(lines) == 1 + 2 * len(found["strategies"])
    assert lines[0].startswith("source,model,strategy,budget,seed,events,labels,")


def test_people_who_are_slow_wrong_and_silent_teach_less():
    perfect = replayed("river:Phishing", "--limit", "600")
    human = replayed(
        *(
            "river:Phishing",
            "--limit",
            "600",
            "--latency",
            "exponential:30",
            "--wrong",
            "0.2",
            "--silent",
            "0.3",
        )
    )
    for one, other in zip(perfect["strategies"], human["strategies"], strict=True):
        assert other["accuracy"] < one["accuracy"]
        assert one["answered"] == one["labels"]
    by_all = next(s for s in human["strategies"] if s["name"] == "all")
    assert by_all["answered"] == pytest.approx(0.7 * 600, abs=40)
    assert human["configuration"]["labels arrive"] == "exponential, mean 30 events, 20% wrong, 30% never"


def test_three_annotators_outvote_the_one_who_errs():
    options = ["river:Phishing", "--limit", "400", "--strategy", "all", "--no-baselines"]
    alone = replayed(*options, "--annotator", "bad:wrong=0.4")["strategies"][0]
    crowd = [word for name in ("bad:wrong=0.4", "ann", "bob") for word in ("--annotator", name)]
    together = replayed(*options, *crowd, "--quorum", "2", "--agreement", "unanimous")["strategies"][0]
    assert together["accuracy"] > alone["accuracy"] + 0.05


def test_in_rounds(tmp_path):
    plot = tmp_path / "rounds.png"
    found = replayed(
        "river:Phishing", "--rounds", "--strategy", "least-confidence", "--seeds", "2", "--plot", plot
    )
    assert [s["name"] for s in found["strategies"]] == ["least-confidence", "random"]
    rounds = found["strategies"][0]["seeds"][0]["rounds"]
    assert [round(done["share"], 2) for done in rounds] == [0.05, 0.1, 0.15, 0.2, 0.25, 0.3]
    assert plot.read_bytes().startswith(b"\x89PNG")
    code, out, _ = run("river:Phishing", "--rounds", "--quiet")
    assert code == 0
    assert "With 30% of the labels, chosen by margin, the model was right on" in " ".join(out.split())


@pytest.mark.slow
def test_what_is_kept_makes_the_second_time_short(tmp_path):
    command = ["river:Phishing", "--keep", tmp_path / "runs", "--processes", "2", "--json"]
    (_, first, told), (_, second, again) = run(*command), run(*command)
    assert first == second
    assert told.count("\n") > 1
    assert again == "5,000 of 5,000 events, 4 of 4 runs done, about 0 s left\n"
    assert len(list((tmp_path / "runs").glob("*.npz"))) == 4
