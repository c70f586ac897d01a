from dataclasses import replace

import pytest

from stream_al.replay.group import Estimate
from stream_al.replay.outcome import Asked
from stream_al.replay.report import tables, words
from stream_al.replay.report.questions import _question, questions


def cells(table):
    names = [name for name, _ in table.columns]
    return [
        (row.name, dict(zip(names, row.cells, strict=True)), row)
        for _, rows in table.sections
        for row in rows
    ]


def test_results_say_what_each_asked_for_and_reached(single):
    found = cells(tables.results(single))
    assert len(found) == len(single.groups)
    for (name, row, _), group in zip(found, single.groups, strict=True):
        assert name.lower() == group.title
        assert row["Labels"] == f"{group.labels:,.0f}"
        assert row["Accuracy"] == f"{group.accuracy:.1%}"
        assert row["Accuracy in the last tenth"] == f"{group.last_tenth:.1%}"
    everything = found[3][1]
    assert everything["Points against all labels"] == everything["Points against random"] == "–"


def test_exactly_the_best_is_marked(single, grid):
    for comparison in (single, grid):
        for table in (tables.results(comparison), tables.measured(comparison)):
            marked = [row for _, rows in table.sections for row in rows if row.marked]
            assert len(marked) == 1
        assert marked[0].name == comparison.best.short


def test_many_rows_are_in_sections_of_a_model_and_a_budget(grid):
    table = tables.results(grid)
    assert [heading.rpartition(" · ")[2] for heading, _ in table.sections] == [
        "budget 10%",
        "budget 20%",
        "without a budget",
    ] * 2
    assert sum(len(rows) for _, rows in table.sections) == len(grid.groups)
    assert len({heading for heading, _ in table.sections}) == 6


def test_the_strongest_of_a_section_has_its_best_value_all_labels_aside(grid):
    for table in (tables.results(grid), tables.measured(grid)):
        for _, rows in table.sections:
            for place in range(len(rows[0].cells)):
                strong = [row for row in rows if row.strong[place]]
                assert all(row.name.lower() not in ("all labels", "no labels") for row in strong)
    found = cells(tables.measured(grid))[:3]
    assert len(found) == 3
    for name, pick in (("Log-loss", min), ("Macro F1", max)):
        values = {row.name: float(at[name].split()[0]) for _, at, row in found}
        place = list(tables.MEASURES_SHOWN.values()).index(name)
        (strong,) = [row.name for _, _, row in found if row.strong[place]]
        assert values[strong] == pick(values.values())


def test_classes_are_worst_first_with_the_best_random_and_all(single):
    table, notes = tables.by_class(single)
    assert [name for name, _ in table.columns] == ["Events", "margin", "random", "all labels"]
    assert not notes  # each class was answered
    rows = table.sections[0][1]
    assert sorted(row.name for row in rows) == ["in", "out"]
    found = sorted(single.best.by_class, key=lambda one: one.f1)
    assert [row.name for row in rows] == [one.label for one in found]
    assert table.starts == {1, 5, 9}
    assert all(len(row.cells) == 12 for row in rows)


def test_tables_behind_curves_end_at_the_results(single):
    last = tables.behind_labels(single, "").sections[0][1][-1]
    shares = [f"{group.accuracy:.1%}" for group in single.groups]
    assert list(last.cells[1::2]) == shares
    assert last.name == "300"
    spent = tables.behind_time(single, "").sections[0][1][-1]
    assert list(spent.cells) == [f"{group.labels:,.0f}" for group in single.groups[:3]]


def test_key_figures_are_of_the_best_beside_its_baselines(single, grid):
    figures = {figure.name: figure for figure in words.key_figures(single)}
    best = single.best
    assert figures["Labels asked for"].value == f"{best.labels:,.0f}"
    assert figures["Labels saved"].value == f"{300 - best.labels:,.0f}"
    money = {figure.name: figure for figure in words.key_figures(grid)}["Money saved"]
    assert money.value == f"{(300 - grid.best.labels) * 0.5:,.2f}"
    assert money.beside.endswith("0.50 each")


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.5, 1.5, "The lead of margin over random, 1.0 points"),
        (-1.5, -0.5, "The lag of margin behind random, 1.0 points"),
        (-0.5, 2.5, "may be chance"),
    ],
)
def test_a_difference_is_judged_by_its_interval(low, high, said):
    sentence = words._judged("margin", Estimate((low + high) / 2, low, high))
    assert said in sentence
    assert ("more than chance" in sentence) == ("1.0 points, is" in sentence)


def test_one_chosen_from_several_is_told_to_be_flattered(single, grid):
    for comparison in (single, grid):
        name, many = comparison.label(comparison.best), len(comparison.compared)
        assert f"Of {many} that were compared, {name} was chosen" in words.qualifiers(comparison)[-1]
    alone = replace(single, groups=[single.best, *single.groups[2:]])
    assert words.qualifiers(alone) == words.qualifiers(single)[:1]


def test_differences_are_taken_run_by_run(grid):
    best, at_random = grid.best, grid.random(grid.best)
    found = words.ahead(best, at_random)
    assert found.mean == pytest.approx(100 * (best.accuracy - at_random.accuracy))
    assert words.ahead(best, best) is None
    assert words.ahead(best, replace(at_random, runs=at_random.runs[:1])) is None


def asked(**given):
    values = {
        "number": 1200,
        "event_id": "e",
        "reason": "uncertain",
        "features": {"x": 1.23456789},
        "probabilities": {"a": 0.6, "b": 0.4},
        "utility": 0.8,
        "threshold": 0.7,
        "truth": "a",
    }
    return Asked(**(values | given))


def test_a_question_tells_what_the_model_thought_and_whether_it_was_right():
    found = _question(asked())
    assert found.number == "1,200"
    assert found.why == "The model is unsure (a label is worth 0.80, it asks above 0.70)"
    assert found.thought == (("a", "60%"), ("b", "40%"))
    assert found.right == "the model was right"
    assert found.first == (("x", "1.23457"),)
    assert _question(asked(truth="b")).right == "the model was wrong"
    assert _question(asked(truth=True, probabilities={"true": 1.0})).right == "the model was right"
    assert _question(asked(probabilities={})).right == "the model had no answer"
    assert _question(asked(truth=None)).truth == "unknown"


def test_a_question_is_never_long():
    features = {f"name {number} " * 50: "value " * 1000 for number in range(5000)}
    found = _question(
        asked(
            features=features,
            event_id="x" * 10_000,
            reason="y" * 10_000,
            probabilities={f"{'z' * 999}{n}": 1 / 500 for n in range(500)},
        )
    )
    assert len(str(found)) < 10_000
    assert found.hidden == 5000 - len(found.first) - len(found.rest)
    assert found.others == 499


def test_a_certainty_that_is_none_is_not_rounded_to_one():
    assert _question(asked(probabilities={"a": 0.9999, "b": 0.0001})).thought == (("a", "over 99%"),)


def test_questions_are_in_the_order_of_the_stream(single):
    numbers = [int(one.number) for one in questions(single.best)]
    assert numbers == sorted(numbers)
