import importlib.util
import re
import struct
from html.parser import HTMLParser

import pytest
from streams import estimator, rows

from stream_al import ConfigError, Model
from stream_al.replay import Comparison, LabelledStream, Trial, matched_random, parse_strategy, replay
from stream_al.replay.contenders import all_labels
from stream_al.replay.report import render, require_extra, require_writable, write_files

VOID = {"meta", "link", "img", "source", "br"}


@pytest.fixture(scope="module")
def comparison():
    stream = LabelledStream("<b>x</b> & y.csv", tuple(rows(300)), ("in", "out"), {})
    contenders = [
        parse_strategy("margin", cold_start=10),
        parse_strategy("confidence<0.7", cold_start=10),
        matched_random((str(row.id) for row in stream.rows), budget=0.1, cold_start=10, key="k"),
        all_labels(),
    ]
    outcomes = [replay(stream, c, Trial(lambda: Model(estimator()), key="k")) for c in contenders]
    return Comparison(stream.name, 2, outcomes, {"model": "<script>alert(1)</script>"}, ["a < b"])


class Page(HTMLParser):
    """The tags of a page, checked for being closed in order, and its text."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.text = [], [], []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def find(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def test_a_page_shows_every_number_and_says_it_in_words(comparison):
    page = Page(render(comparison))
    text = " ".join("".join(page.text).split())
    assert comparison.sentence() in text
    for outcome in comparison.outcomes:
        assert f"{outcome.accuracy:.1%}" in text
        assert f"{outcome.labels:,}" in text
        assert outcome.title.capitalize() in text


def test_a_page_needs_nothing_else(comparison):
    html = render(comparison)
    page = Page(html)
    assert not page.find("script")
    assert not page.find("link")
    for image in page.find("img") + page.find("source"):
        assert (image.get("src") or image["srcset"]).startswith("data:image/svg+xml;base64,")
    assert not re.search(r"https?://|url\(|@import", html)


def test_a_page_escapes_what_it_is_told(comparison):
    html = render(comparison)
    assert "<b>x</b>" not in html
    assert "&lt;b&gt;x&lt;/b&gt; &amp; y.csv" in html
    assert "&lt;script&gt;" in html


def test_every_curve_has_a_text_and_a_table_in_both_schemes(comparison):
    page = Page(render(comparison))
    assert len(page.find("picture")) == len(page.find("details")) == 2
    assert all(image["alt"] for image in page.find("img"))
    assert [source["media"] for source in page.find("source")] == [
        "screen and (prefers-color-scheme: dark)"
    ] * 2
    assert len(page.find("table")) == 3


def test_the_same_comparison_gives_the_same_bytes(comparison, tmp_path):
    for name in ("a", "b"):
        write_files(comparison, plot=tmp_path / f"{name}.png", html=tmp_path / f"{name}.html")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_the_picture_is_a_png_of_a_readable_size(comparison, tmp_path):
    write_files(comparison, plot=tmp_path / "curves.png")
    content = (tmp_path / "curves.png").read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", content[16:24]) == (1800, 750)


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_any_part_of_a_comparison_can_be_drawn(comparison, kept):
    part = Comparison("part", 2, comparison.outcomes[-kept:], {})
    assert Page(render(part)).find("picture")


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'stream-al\[plot\]'"):
        require_extra()
    require_writable({"--plot": None})


def test_a_path_that_cannot_be_written_is_refused_beforehand(tmp_path):
    for path in (tmp_path / "no" / "x.png", tmp_path):
        with pytest.raises(ConfigError, match=r"--plot .*: not a file in a directory that exists"):
            require_writable({"--plot": path})
