"""The page of a probe: whole in itself, the same every time, and pictures where features are pixels."""

import base64
import re
import struct
import zlib

import numpy as np
import pytest
from attacked import events, space_of, taught
from river import linear_model, preprocessing

from stream_al import Example, Model
from stream_al.errors import ConfigError
from stream_al.robustness import Findings, Space, choose, probe
from stream_al.robustness.pictures import Grid
from stream_al.robustness.report import render, write_page
from stream_al.robustness.report.png import differences, shades
from stream_al.robustness.setting import Setting

SETTING = Setting("some.csv", "LogisticRegression", 300, 80, 60)


@pytest.fixture(scope="module")
def findings() -> Findings:
    model = taught(preprocessing.StandardScaler() | linear_model.LogisticRegression())
    given = [(f"e{n}", features, label) for n, (features, label) in enumerate(events(60, seed=30))]
    return probe(model, choose(model, given, 20), space_of(), few=(1, 2))


@pytest.fixture(scope="module")
def pixels() -> Findings:
    """A dark left or a dark right half of 3 × 2."""
    rng = np.random.default_rng(1)
    rows = []
    for number in range(200):
        side = number % 2
        values = rng.uniform(0, 4, (3, 2)) + np.array([2.0 * (1 - side), 2.0 * side])
        rows.append(({f"p_{y}_{x}": float(values[y, x]) for y in range(3) for x in range(2)}, "LR"[side]))
    model = Model(linear_model.LogisticRegression())
    for number, (features, label) in enumerate(rows[:150]):
        model.learn(Example(event_id=str(number), features=features, label=label))
    given = [(f"e{n}", features, label) for n, (features, label) in enumerate(rows[150:])]
    return probe(model, choose(model, given, 10), Space.of(x for x, _ in rows), few=(1,), within=5.0)


def decoded(address: str) -> np.ndarray:
    data = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    width, height = struct.unpack(">II", data[16:24])
    start = data.index(b"IDAT")
    (length,) = struct.unpack(">I", data[start - 4 : start])
    lines = np.frombuffer(zlib.decompress(data[start + 4 : start + 4 + length]), np.uint8)
    return lines.reshape(height, 1 + 3 * width)[:, 1:].reshape(height, width, 3)


def test_the_page_needs_nothing_from_elsewhere(findings, pixels):
    for page in (
        render(findings, SETTING),
        render(pixels, SETTING, Grid.told_by(pixels.subjects[0].features)),
    ):
        assert not re.search(r"""(src|href)=["'](?!data:|#)|@import|url\(|<script""", page)
        assert "prefers-color-scheme: dark" in page


def test_the_same_findings_give_the_same_bytes(findings):
    assert render(findings, SETTING) == render(findings, SETTING)


def test_its_numbers_are_those_of_the_findings(findings):
    page = render(findings, SETTING)
    for attack in findings.attacks:
        assert f"for {len(attack.fooled)} of {attack.tried} events" in page
        assert f">{attack.share:.0%}<" in page
    assert "75.0%" in page  # 60 of 80


def test_names_and_ids_that_are_markup_are_text(findings):
    page = render(findings, Setting("<b>x", "<script>alert(1)</script>", 1, 0, 0))
    assert "<b>x" not in page
    assert "<script>" not in page


def test_pictures_come_in_threes_and_differ_where_the_difference_says(pixels):
    page = render(pixels, SETTING, Grid.told_by(pixels.subjects[0].features))
    pictures = [decoded(found) for found in re.findall(r'src="(data:image/png[^"]+)"', page)]
    fooled = sum(bool(attack.fooled) for attack in pixels.attacks)
    assert fooled == 2
    triples = (len(pictures) - fooled) // 3  # and one for each attack of where it gives way
    assert triples >= 4
    assert len(pictures) == 3 * triples + fooled
    for number in range(triples):
        before, after, moved = pictures[3 * number : 3 * number + 3]
        assert before.shape == (3, 2, 3)
        changed = np.any(before != after, axis=2)
        assert np.all(np.any(moved != 255, axis=2)[changed])
        assert changed.any()


def test_more_is_darker_and_a_change_has_the_colour_of_its_direction():
    (row,) = decoded(shades(np.array([[0.0, 8.0, 16.0]]), 0.0, 16.0)).tolist()
    assert row[0] == [255, 255, 255]
    assert row[0] > row[1] > row[2]
    less, nothing, more = decoded(differences(np.array([[-2.0, 0.0, 2.0]]), 2.0))[0].tolist()
    assert nothing == [255, 255, 255]
    assert less[2] > less[0]
    assert more[0] > more[2]


def test_without_any_success_the_page_says_so():
    model = taught(preprocessing.StandardScaler() | linear_model.LogisticRegression())
    given = [(f"e{n}", features, label) for n, (features, label) in enumerate(events(60, seed=31))]
    surest = sorted(choose(model, given, 60), key=lambda s: -model.score(s.features).confidence)[:3]
    page = render(probe(model, surest, space_of(), few=(), within=0.001), SETTING)
    assert "was not found to make the model answer something else for any of 3 events" in page
    assert "Where it gives way" not in page


@pytest.mark.parametrize(
    ("names", "rows"),
    [
        (["pixel_0_0", "pixel_0_1", "pixel_1_0", "pixel_1_1"], 2),
        (["a1b1", "a1b2", "a1b3", "a2b1", "a2b2", "a2b3"], 2),
        (["pixel_0_0", "pixel_0_1", "pixel_1_0"], None),
        (["x_1_1", "x_1_2", "x_2_1", "other"], None),
        (["x_1_1", "y_1_1", "x_1_2", "x_2_1", "x_2_2"], None),
        (["x_1_1", "x_1_2"], None),
    ],
)
def test_a_grid_is_told_by_names_that_fill_it(names, rows):
    grid = Grid.told_by(dict.fromkeys(names, 0.0))
    assert (None if grid is None else len(grid.rows)) == rows


@pytest.mark.parametrize("shape", ["3x3", "2", "axb", "0x4"])
def test_a_shape_that_does_not_fit_is_refused_with_the_number_of_features(shape):
    with pytest.raises(ConfigError, match="features, 4"):
        Grid.parse(shape, dict.fromkeys("abcd", 0.0))


def test_a_file_that_cannot_be_written_is_named(findings, tmp_path):
    with pytest.raises(ConfigError, match="name another path"):
        write_page(findings, SETTING, tmp_path / "missing" / "page.html")
