"""The benchmark of label efficiency: its streams, its peers, and a tiny run from beginning to end."""

import json
import sys
from pathlib import Path

import pytest

from stream_al.uncertainty import scores

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import label_efficiency
from efficiency_streams import LEARNERS, spam, streams
from efficiency_tables import Gaps, interval, tables, written_into
from label_efficiency import PEERS, Job, main, measure, ours

TINY = ["--learners", "linear", "--streams", "segments", "--budgets", "0.1", "--seeds", "1"]


def row(strategy, accuracy, stream="sea", seed=0, budget=0.1, asked=0.1, **other):
    found = {"stream": stream, "learner": "linear", "strategy": strategy, "budget": budget, "seed": seed}
    return found | {"delay": 0, "unanswered": 0.0, "accuracy": accuracy, "asked": asked} | other


# ── streams ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["rbf", "sea", "spam", "segments"])
def test_a_stream_is_the_same_for_its_seed_and_holds_numbers_of_so_many_classes(name):
    stream = streams(None)[name]
    rows = stream.rows(3)
    assert rows == stream.rows(3)
    assert (rows != stream.rows(4)) == stream.seeded
    assert len({label for _, label in rows}) == stream.classes
    assert all(type(value) is float for features, _ in rows[:100] for value in features.values())


def test_a_fifth_of_the_texts_is_spam_and_campaigns_change():
    rows = spam(0, events=5_000)
    assert sum(label == "spam" for _, label in rows) / 5_000 == pytest.approx(0.2, abs=0.02)

    def words_of_spam(part):
        return {word for features, label in part if label == "spam" for word in features}

    assert len(words_of_spam(rows[2_500:]) - words_of_spam(rows[:2_500])) > 100


def test_a_table_is_read_from_its_folder(tmp_path):
    import gzip

    with gzip.open(tmp_path / "weather.csv.gz", "wt") as file:
        file.write("a,b,label\n1,2.5,0\n3,4,1\n")
    assert streams(tmp_path)["weather"].rows(0) == [
        ({"a": 1.0, "b": 2.5}, "0"),
        ({"a": 3.0, "b": 4.0}, "1"),
    ]
    assert "weather" not in streams(None)


# ── runs ─────────────────────────────────────────────────────────────────────────────────────────


def run(strategy, budget=0.1, **how):
    stream = streams(None)["segments"]
    return measure(Job("segments", "linear", strategy, budget, 0, **how), stream, stream.rows(0)[:1_000])


def test_all_labels_are_all_labels_and_a_budget_is_one():
    best, some = run("all", 1.0), run("default")
    assert best["asked"] == 1.0
    assert some["asked"] <= 0.1 + ours(0.1, 1_000)["default"].slack() / 1_000
    assert some["accuracy"] < best["accuracy"]


def test_labels_that_are_late_or_never_come_are_missed():
    at_once = run("random", 0.5)["accuracy"]
    assert run("random", 0.5, delay=400)["accuracy"] < at_once
    never = run("random", 0.5, unanswered=0.999)
    assert never["accuracy"] < at_once - 20
    assert never["asked"] == run("random", 0.5)["asked"]


@pytest.mark.parametrize("learner", [name for name in LEARNERS if name != "vw"])
def test_every_learner_learns(learner):
    stream = streams(None)["segments"]
    found = measure(Job("segments", learner, "all", 1.0, 0), stream, stream.rows(0)[:600])
    assert found["accuracy"] > 50  # of seven classes


def test_a_tiny_run_is_kept_and_not_measured_again(tmp_path, capsys, monkeypatch):
    results, document = tmp_path / "rows.jsonl", tmp_path / "page.md"
    document.write_text("Before\n<!-- measured: begin -->\nold\n<!-- measured: end -->\nAfter\n")
    given = [*TINY, "--strategies", "default,random", "--results", str(results)]
    main(given)
    kept = results.read_text()
    assert [json.loads(line)["strategy"] for line in kept.splitlines()] == ["all", "default", "random"]
    assert "| 10% | default |" in capsys.readouterr().out
    monkeypatch.setattr(label_efficiency, "measure", lambda *job: pytest.fail("measured again"))
    main([*given, "--write", str(document)])
    assert results.read_text() == kept
    assert document.read_text().startswith(
        "Before\n<!-- measured: begin -->\n\n### Linear model, labels at once\n"
    )
    assert document.read_text().endswith("<!-- measured: end -->\nAfter\n")


# ── peers ────────────────────────────────────────────────────────────────────────────────────────


def test_every_strategy_of_scikit_activeml_decides():
    theirs = pytest.importorskip("skactiveml.stream", reason="the extra bench is not installed")
    from efficiency_peers import Peer

    base = {"CognitiveDualQueryStrategy", "UncertaintyZliobaite"}
    exported = {name for name in theirs.__all__ if isinstance(getattr(theirs, name), type)} - base
    assert set(PEERS) == exported
    doubtful = scores({"0": 0.51, "1": 0.49}, 100)
    for name in PEERS:
        peer = Peer(name, 0.3, 2, 1, ["a", "b"])
        asked = [peer.decide(doubtful, {"a": n / 7 % 1, "b": n / 3 % 1}, 0.5) for n in range(200)]
        assert 0.02 < sum(asked) / 200 <= 0.45, name


def test_their_unchecked_path_decides_as_the_checked_one():
    pytest.importorskip("skactiveml.stream", reason="the extra bench is not installed")
    from efficiency_peers import Peer

    for name in PEERS:
        runs = []
        for checked in (False, True):
            peer = Peer(name, 0.2, 2, 1, ["a"], checked=checked)
            answers = [scores({"0": 0.5 + n % 40 / 100, "1": 0.5 - n % 40 / 100}, 100) for n in range(120)]
            runs.append([peer.decide(answer, {"a": n % 13 / 13}, 0.5) for n, answer in enumerate(answers)])
        assert runs[0] == runs[1], name


def test_vowpal_wabbit_stays_within_its_budget():
    pytest.importorskip("vowpalwabbit", reason="the extra bench is not installed")
    from efficiency_vw import lines, once, within

    rows = streams(None)["sea"].rows(0)[:1_500]
    accuracy, asked = within(rows, 0.1)
    assert 0.0 < asked <= 0.1
    assert 60 < accuracy <= once(lines(rows), None)[0] + 2


# ── tables ───────────────────────────────────────────────────────────────────────────────────────


def test_a_gap_is_to_all_labels_of_the_same_seed():
    rows = [
        row("all", 90.0, asked=1.0, budget=1.0),
        row("all", 80.0, seed=1, asked=1.0, budget=1.0),
        row("default", 88.0),
        row("default", 79.0, seed=1, asked=0.12),
    ]
    gaps = Gaps(rows)
    assert gaps.mean(("linear", 0, 0.0), "default", 0.1) == [-2.0, -1.0]
    text = tables(rows, ["default"])
    assert "| default | -1.50 ± 6.35 (2) | 1.00–1.20 |" in text
    assert "| goal | -1.5, met |  |" in text
    assert interval([-2.0, -1.0]) == pytest.approx(12.706 * 0.5, abs=0.001)


def test_a_goal_that_is_missed_is_told():
    assert "| goal | -1.5, not met |  |" in tables([row("all", 90.0), row("default", 88.4)], ["default"])


def test_the_default_is_held_against_the_best_peer_of_each_stream():
    rows = [
        row("all", 90.0), row("default", 85.0), row("Split", 85.3), row("Periodic", 80.0),
        row("all", 90.0, "rbf"), row("default", 85.0, "rbf"), row("Split", 86.0, "rbf"), row("mine", 89.0, "rbf"),
        row("all", 90.0, "spam"), row("default", 85.0, "spam"), row("Periodic", 84.0, "spam"),
    ]  # fmt: skip
    text = tables(rows, ["default", "mine"])
    assert "| 10% | 1 | 1 | 1 | rbf -1.0 (Split) |" in text
    assert "| budget | strategy | sea | rbf | spam |" in text
    assert "| 10% | default | -5.0 | -5.0 | -5.0 |\n| 10% | best peer | -4.7 | -4.0 | -6.0 |" in text


def test_a_document_without_marks_is_refused():
    with pytest.raises(SystemExit, match="measured: begin"):
        written_into("text", "tables")
