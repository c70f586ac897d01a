import re
from itertools import pairwise

import msgspec
import pytest
from reports import Page, compared, html_of
from streams import rows

from stream_al.replay import Comparison, LabelledStream
from stream_al.replay.measures import MEASURES
from stream_al.replay.report import render


@pytest.fixture(scope="module", params=["single", "grid", "untrusted"])
def comparison(request):
    return request.getfixturevalue(request.param)


def test_a_page_is_well_formed_and_says_the_result_in_words(comparison):
    page = Page(html_of(comparison))
    assert comparison.sentence() in page.text
    assert MEASURES["log_loss"] in page.text


def test_a_page_needs_nothing_else(comparison):
    html = html_of(comparison)
    page = Page(html)
    for tag in ("script", "link", "iframe", "object", "a", "base"):
        assert not page.find(tag)
    for image in page.find("img") + page.find("source"):
        assert (image.get("src") or image["srcset"]).startswith("data:image/svg+xml;base64,")
    assert not re.search(
        r"https?:|url\(|@import|\son[a-z]+=", re.sub(r"base64,[^\"]*", "", html.split("<body>")[0])
    )
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_a_page_is_small_enough_to_be_sent(comparison):
    assert len(html_of(comparison)) < 1_000_000


def test_every_figure_has_a_text_and_a_table_in_both_schemes(comparison):
    page = Page(html_of(comparison))
    pictures = page.find("picture")
    assert len(pictures) >= 3 * len(comparison.models)
    assert page.text.count("The same as a table") == len(pictures)
    assert all("The same values are in the table below." in image["alt"] for image in page.find("img"))
    dark = [source for source in page.find("source") if "dark" in source["media"]]
    assert len(dark) >= len(pictures)
    assert all("screen" in source["media"] for source in page.find("source"))  # paper is light, and wide


def test_headings_do_not_skip_a_level_and_every_region_has_a_name(comparison):
    page = Page(html_of(comparison))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = [attributes["aria-labelledby"] for _, attributes in page.tags if "aria-labelledby" in attributes]
    assert set(named) <= set(ids)
    for _, attributes in page.tags:
        if attributes.get("role") == "region":
            assert attributes.get("aria-labelledby") or attributes.get("aria-label")
            assert attributes["tabindex"] == "0"  # it scrolls, so the keyboard must reach it
    assert all(heading.get("scope") for heading in page.find("th"))


def test_a_page_escapes_what_it_is_told(untrusted):
    html = html_of(untrusted)
    page = Page(html)
    for tag in ("i", "u", "script"):
        assert not page.find(tag)
    assert [image for image in page.find("img") if image["src"] == "x"] == []
    assert "<b>x</b>" not in html
    for text in ("<b>x<i> & y.csv", "<u>in", "<img src=x>", "</td><script>alert(1)</script>", "a < b"):
        assert text in page.text
    assert "<i>e" in page.text


def test_the_same_comparison_gives_the_same_bytes(stream, single):
    again = compared(stream, ["margin", "confidence<0.7"])
    assert render(single) == html_of(single)
    assert render(again) == html_of(single)


def test_one_run_is_told_to_be_one_and_several_have_intervals(single, grid):
    assert "One run of each; differences of a point may be chance." in Page(html_of(single)).text
    assert "±" not in html_of(single)
    text = Page(html_of(grid)).text
    assert "Means of 3 runs" in text
    assert "95% interval" in text


def test_labels_that_come_at_once_have_no_latency(single, grid):
    assert "How late labels were" not in html_of(single)
    text = Page(html_of(grid)).text
    assert "How late labels were" in text
    assert "gave no label" in text  # a tenth is never answered


def test_a_stream_without_drift_shows_none(stream, single):
    without = Comparison(single.source, 2, single.groups, {}, drifts=())
    assert "ADWIN" not in html_of(without)
    few = Comparison(single.source, 2, single.groups, {}, drifts=(40, 120))
    assert Page(html_of(few)).text.count("(after 40, 120 events)") == 2
    many = Comparison(single.source, 2, single.groups, {}, drifts=tuple(range(10, 290, 10)))
    assert "Ticks at the top" in html_of(many)


def test_questions_are_shown_with_why_and_what_the_model_thought(single):
    page = Page(html_of(single))
    questions = single.best.runs[0].questions
    table = next(table for table in page.tables if table[0][:2] == ["Event", "Asked because"])
    assert len(table) == len(questions) + 1
    assert {asked.reason for asked in questions} == {"cold-start", "uncertain"}
    assert "it asks above" in page.text
    for row, asked in zip(table[1:], questions, strict=True):
        assert asked.event_id in row[0]
        assert str(asked.truth) in row[3]


def test_a_strategy_that_never_asked_is_told(stream):
    silent = compared(stream, ["margin"], budgets=(0.001,), cold=0)
    assert silent.best.labels == 0
    text = Page(html_of(silent)).text
    assert "margin never asked." in text
    assert silent.notes[0] in text


def test_a_class_that_was_never_answered_is_named(stream):
    late = [msgspec.structs.replace(row, id=f"{row.id}'", truth="new") for row in stream.rows[:3]]
    ended = LabelledStream("with a new class", (*stream.rows, *late), ("in", "new", "out"), {})
    text = Page(html_of(compared(ended, ["margin"]))).text
    assert "With margin the model never answered new." in text


def test_many_classes_are_folded_worst_first():
    events = tuple(
        msgspec.structs.replace(row, truth=f"class {number % 15:02}") for number, row in enumerate(rows(600))
    )
    stream = LabelledStream("many", events, tuple(f"class {n:02}" for n in range(15)), {})
    comparison = compared(stream, ["margin"], budgets=(0.3,))
    page = Page(html_of(comparison))
    assert "The other 5 classes" in page.text
    found = {one.label: one.f1 for one in comparison.best.by_class}
    listed = [row[0] for table in page.tables for row in table if row[0].startswith("class ")]
    assert sorted(listed) == sorted(found)
    assert [found[label] for label in listed] == sorted(found.values())


def test_a_page_of_a_stream_of_three_events(stream):
    tiny = LabelledStream("tiny", stream.rows[:3], ("in", "out"), {})
    page = Page(html_of(compared(tiny, ["margin"], budgets=(0.5,), cold=1)))
    assert page.find("picture")


@pytest.mark.parametrize("kept", [1, 2, 3, 4])
def test_any_part_of_a_comparison_can_be_told(single, kept):
    part = Comparison("part", 2, single.groups[-kept:], {})
    assert Page(html_of(part)).find("picture")
