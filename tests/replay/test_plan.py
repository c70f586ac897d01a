"""Grids of runs: what is run, in whatever number of processes, and gone on with."""

from dataclasses import replace

import numpy as np
import pytest
from streams import rows

from stream_al import ConfigError, ModelError
from stream_al.ports import LabelledRow
from stream_al.replay import LabelledStream
from stream_al.replay.compare import compare
from stream_al.replay.contenders import BASELINES
from stream_al.replay.latency import Latency
from stream_al.replay.people import Annotator, Crowd
from stream_al.replay.plan import Cell, Plan, entries
from stream_al.replay.pool import run_plan, stream_digest
from stream_al.replay.results import rows as result_rows
from stream_al.replay.results import write_rows

STREAM = LabelledStream("small", tuple(rows(300)), ("in", "out"), {})
TREE = "river.tree.HoeffdingTreeClassifier"
PEOPLE = Crowd(
    (Annotator("ann", wrong=0.1, latency=Latency.parse("exponential:10")), Annotator("bob", silent=0.2)),
    classes=("in", "out"),
)


def plan(*strategies, seeds=2, budgets=(0.1, 0.2), models=("", TREE), **options):
    found = entries(strategies, models=models, budgets=budgets, cold_starts=[10] * len(budgets), **options)
    return Plan(found, seeds, PEOPLE, "k")


def same(one, two):
    return one.keys() == two.keys() and all(
        one[cell].chance.tobytes() == two[cell].chance.tobytes()
        and one[cell].asked.tobytes() == two[cell].asked.tobytes()
        and one[cell].questions == two[cell].questions
        and one[cell].title == two[cell].title
        and one[cell].waits.tobytes() == two[cell].waits.tobytes()
        for cell in one
    )


def test_every_combination_is_there_once_and_the_baselines_last():
    found = entries(
        ["margin", "Margin", "confidence<0.7"], models=["", TREE], budgets=[0.1, 0.2], cold_starts=[5, 10]
    )
    assert len(found) == len(set(found)) == 2 * (2 + 1 + 2 + 1 + 1)
    first = [entry for entry in found if not entry.model]
    assert [entry.strategy for entry in first] == [
        *("margin", "margin", "confidence<0.7", "random", "random", "all", "none")
    ]
    assert [(entry.budget, entry.cold_start) for entry in first[:3]] == [(0.1, 5), (0.2, 10), (None, 5)]


@pytest.mark.parametrize(
    ("strategies", "budget", "message"),
    [
        (["margin"], 0.0, "nothing could be asked"),
        (["margin"], 1.0, "all labels, which take part anyway"),
        (["margn"], 0.1, "no such strategy"),
    ],
)
def test_what_cannot_be_compared_is_refused(strategies, budget, message):
    with pytest.raises(ConfigError, match=message):
        entries(strategies, budgets=[budget])


@pytest.mark.slow
def test_the_number_of_processes_changes_no_byte(tmp_path):
    alone = run_plan(plan("margin", "entropy"), STREAM)
    together = run_plan(plan("margin", "entropy"), STREAM, processes=3)
    assert same(alone, together)
    files = []
    for name, outcomes in (("a", alone), ("b", together)):
        for suffix in (".csv", ".json", ".jsonl", ".parquet"):
            path = tmp_path / f"{name}{suffix}"
            write_rows(result_rows(compare(STREAM, plan("margin", "entropy"), outcomes, {})), path)
            files.append(path.read_bytes())
    assert files[:4] == files[4:]
    assert files[0].count(b"\n") == 1 + len(alone)


def test_seeds_differ_in_draws_and_answers_and_the_first_is_the_key_itself():
    outcomes = run_plan(plan("margin", models=("",), budgets=(0.1,)), STREAM)
    (zero, one) = (outcomes[cell] for cell in outcomes if cell.entry.strategy == "margin")
    assert zero.asked.tobytes() != one.asked.tobytes()
    single = run_plan(replace(plan("margin", models=("",), budgets=(0.1,)), seeds=1), STREAM)
    assert next(iter(single.values())).chance.tobytes() == zero.chance.tobytes()


def test_what_was_kept_is_not_run_again(tmp_path, monkeypatch):
    small = plan("margin", seeds=1, models=("",), budgets=(0.1,))
    first = run_plan(small, STREAM, keep=tmp_path)
    ran = []
    run = Plan.run
    monkeypatch.setattr(
        Plan, "run", lambda self, stream, cell, *rest: ran.append(cell) or run(self, stream, cell, *rest)
    )
    assert same(first, run_plan(small, STREAM, keep=tmp_path))
    assert ran == []
    more = replace(small, seeds=2)
    both = run_plan(more, STREAM, keep=tmp_path)
    assert ran == [cell for cell in more.cells if cell.seed == 1]
    assert same(first, {cell: both[cell] for cell in first})
    # Another stream, other people or a damaged file are not what was kept.
    ran.clear()
    other = LabelledStream("other", tuple(rows(301)), ("in", "out"), {})
    run_plan(small, other, keep=tmp_path)
    run_plan(replace(small, crowd=Crowd.one(5)), STREAM, keep=tmp_path)
    assert len(ran) == 2 * len(small.cells)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    ran.clear()
    assert same(first, run_plan(small, STREAM, keep=tmp_path))
    assert ran == small.cells


def test_progress_goes_up_to_all_events_of_all_runs(tmp_path):
    told = []
    small = plan("margin", seeds=1, models=("",), budgets=(0.1,))
    run_plan(small, STREAM, keep=tmp_path, on_progress=lambda *so_far: told.append(so_far))
    assert told == sorted(told)
    assert told[-1] == (len(small.cells) * 300, len(small.cells))


@pytest.mark.slow
def test_an_error_in_a_process_is_the_error_here():
    text = LabelledStream(
        "text",
        tuple(LabelledRow({"x": "a"}, f"t{n}", truth=n % 2 == 0) for n in range(50)),
        (False, True),
        {},
    )
    broken = Plan(entries(["margin"], models=["river.linear_model.LogisticRegression"], cold_starts=[5]))
    with pytest.raises(ModelError, match="learned none of"):
        run_plan(broken, text, processes=2)


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="name another directory"):
        run_plan(plan("margin"), STREAM, keep=tmp_path / "file")


def test_the_digest_tells_streams_apart():
    changed = list(STREAM.rows)
    changed[7] = LabelledRow(
        changed[7].features, changed[7].id, truth="in" if changed[7].truth == "out" else "out"
    )
    assert stream_digest(STREAM) != stream_digest(replace(STREAM, rows=tuple(changed)))
    assert stream_digest(STREAM) == stream_digest(replace(STREAM, name="elsewhere"))


def test_a_comparison_has_a_group_for_each_entry_with_all_its_seeds():
    wanted = plan("margin", "confidence<0.01")
    found = compare(STREAM, wanted, run_plan(wanted, STREAM), {"model": "two"})
    assert [len(group.runs) for group in found.groups] == [2] * len(wanted.entries)
    assert [group.name in BASELINES for group in found.groups] == sorted(
        group.baseline for group in found.groups
    )
    assert found.models == ["StandardScaler | LogisticRegression", "HoeffdingTreeClassifier"]
    assert len(set(map(found.label, found.groups))) == len(found.groups)


def test_a_strategy_that_never_asks_is_noted():
    never = Plan(entries(["margin<0", "margin"], cold_starts=[20], baselines=False))
    found = compare(STREAM, never, run_plan(never, STREAM), {})
    assert found.groups[0].labels == 20
    (note,) = (note for note in found.notes if "never asked" in note)
    assert note.startswith("margin<0: never asked after the cold start; change its threshold")


def test_a_stream_that_changes_is_marked_where_it_does():
    def truth(n, x):
        return "in" if (x > 0) != (n >= 1500) else "out"

    rng = np.random.default_rng(1)
    events = tuple(
        LabelledRow({"x": x}, f"e{n}", truth=truth(n, x))
        for n, x in enumerate(rng.normal(size=3000).tolist())
    )
    turning = LabelledStream("turning", events, ("in", "out"), {})
    all_only = Plan(entries(["all"], models=["river.naive_bayes.GaussianNB"], baselines=False))
    drifts = compare(turning, all_only, run_plan(all_only, turning), {}).drifts
    assert drifts
    assert 1500 < drifts[0] < 1900


def test_a_cell_is_what_it_says():
    wanted = plan("margin", seeds=3)
    assert wanted.cells[:3] == [Cell(wanted.entries[0], seed) for seed in range(3)]
