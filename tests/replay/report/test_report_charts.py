import base64
import re
from importlib.resources import files
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_al.replay.contenders import ALL, NONE, RANDOM
from stream_al.replay.report import charts
from stream_al.replay.report.drawing import NARROW, WIDE, _apart, svg
from stream_al.replay.report.palette import DARK, LIGHT


def test_by_labels_a_curve_ends_at_the_numbers_of_the_table(single):
    (chart,) = charts.by_labels(single)
    assert [line.text for line in chart.lines] == [
        "margin",
        "confidence<0.7",
        "random",
        "all labels",
        "no labels",
    ]
    for line in chart.lines:
        assert line.ys[-1] == pytest.approx(line.group.accuracy)
        assert bool(line.xs) == (line.group.name not in (ALL, NONE))
        if line.xs:
            assert line.xs[-1] == line.group.labels


def test_with_several_budgets_there_is_a_point_for_each(grid):
    found = charts.by_budgets(grid)
    assert len(found) == len(grid.models) == 2
    for model, chart in zip(grid.models, found, strict=True):
        points = {line.text: list(zip(line.xs, line.ys, strict=False)) for line in chart.lines}
        for name in ("margin", "entropy", "random"):
            groups = [g for g in grid.groups if g.name == name and g.model == model]
            assert points[name] == [(g.labels, g.accuracy) for g in sorted(groups, key=lambda g: g.labels)]
        assert len(points["margin<0.3"]) == 1
        assert points["all labels"] == points["no labels"] == []


def test_bands_are_the_intervals_over_the_runs(single, grid):
    assert not any(line.low or line.high for line in charts.lately(single)[0].lines)
    for chart in charts.by_budgets(grid):
        for line in chart.lines:
            assert len(line.low) == len(line.high) == (0 if line.group.name == NONE else len(line.ys))
            assert all(low <= y <= high for low, y, high in zip(line.low, line.ys, line.high, strict=False))


def test_over_time_the_budget_of_the_best_is_shown_and_what_has_none(grid):
    best = grid.best
    assert charts.budget_shown(grid) == (best.budget or grid.random(best).budget)
    for model, chart in zip(grid.models, charts.lately(grid), strict=True):
        names = [line.group.name for line in chart.lines]
        assert sorted(names) == sorted(["margin", "entropy", "margin<0.3", RANDOM, ALL, NONE])
        assert {line.group.model for line in chart.lines} == {model}


def test_a_strategy_looks_the_same_in_every_figure_and_on_every_model(grid):
    places: dict[str, set[int]] = {}
    for drawn in (charts.by_budgets(grid), charts.lately(grid), charts.over_time(grid)):
        for chart in drawn:
            for line in chart.lines:
                places.setdefault(line.text, set()).add(line.place)
    assert all(len(found) == 1 for found in places.values())


def test_panels_have_one_scale(grid):
    for drawn in (charts.by_budgets(grid), charts.lately(grid), charts.over_time(grid)):
        assert len({chart.ylim for chart in drawn}) == 1


def test_a_histogram_holds_every_label(grid):
    chart = charts.latency(grid.best)
    assert sum(height for _, _, height in chart.bars) == pytest.approx(1.0)
    assert all(before[1] == after[0] for before, after in pairwise(chart.bars))
    assert len(chart.bars) <= 40


def test_equal_waits_are_no_distribution(single):
    assert charts.latency(single.best) is None


@pytest.mark.parametrize("size", [WIDE, NARROW])
@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_a_drawing_keeps_its_text_and_points_nowhere(single, size, palette):
    (chart,) = charts.by_labels(single)
    text = base64.b64decode(svg(chart, palette, size).partition("base64,")[2]).decode()
    assert f'viewBox="0 0 {size[0]} {size[1]}"' in text
    for name in ("margin", "random", "labels asked for"):
        assert f">{name}" in text
    assert not re.search(r'(href="(?!#)|url\((?!#)|@import)', text)
    assert "<metadata" not in text


def luminance(color: str) -> float:
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_whatever_is_read_in_a_figure_has_the_contrast_of_wcag_aa(palette):
    for color in (palette.ink, palette.faint, *palette.compared, palette.random, palette.all, palette.none):
        assert contrast(color, palette.ground) >= 4.5, color


def test_whatever_is_read_on_the_page_has_the_contrast_of_wcag_aa():
    css = (files("stream_al.replay.report") / "report.css").read_text("utf-8")
    schemes = [
        dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in re.findall(r":root \{[^}]*--[^}]*\}", css)
    ]
    assert len(schemes) == 2
    for scheme, palette in zip(schemes, (LIGHT, DARK), strict=True):
        assert scheme["card"] == palette.ground
        for color in ("ink", "faint", "accent"):
            for ground in ("ground", "card", "mark"):
                assert contrast(scheme[color], scheme[ground]) >= 4.5, (color, ground)


def test_twenty_strategies_differ_in_colour_or_stroke():
    styles = [LIGHT.style(str(number), number) for number in range(20)]
    assert len({(style["color"], style["linestyle"]) for style in styles}) == 20
    for before, after in pairwise(styles):
        assert before["color"] != after["color"]
        assert before["linestyle"] != after["linestyle"]


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=14), st.floats(0.01, 0.07))
def test_names_are_apart_in_order_and_inside(values, gap):
    values.sort()
    places = _apart(values, 0.0, 1.0, gap)
    assert len(places) == len(values)
    assert all(after - before >= gap * 0.999 for before, after in pairwise(places))
    assert places[0] >= -1e-9
    assert places[-1] <= 1.0 + 1e-9
    if all(after - before >= gap for before, after in pairwise(values)):
        assert places == pytest.approx(values)
