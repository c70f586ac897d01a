"""Comparisons of real runs, and a page of a report taken apart."""

from __future__ import annotations

from html.parser import HTMLParser

import msgspec

from stream_al.replay import Comparison, LabelledStream
from stream_al.replay.compare import compare
from stream_al.replay.people import Crowd
from stream_al.replay.plan import Plan, entries
from stream_al.replay.pool import run_plan
from stream_al.replay.report import render

VOID = {"meta", "link", "img", "source", "br", "wbr"}


class Page(HTMLParser):
    """The tags of a page, checked for being closed in order; its text, and its tables."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open, self.tags, self.texts, self.tables = [], [], [], []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        assert len(dict(attributes)) == len(attributes), "an attribute is there twice"
        self.tags.append((tag, dict(attributes)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    def find(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def compared(
    stream: LabelledStream, strategies, *, budgets=(0.1,), models=("",), seeds=1, cold=10, **options
) -> Comparison:
    """Run strategies and all baselines over a stream."""
    crowd = options.pop("crowd", Crowd())
    found = entries(strategies, budgets=budgets, models=models, cold_starts=[cold] * len(budgets))
    plan = Plan(found, seeds, crowd, key="k")
    configuration = options.pop("configuration", {"key": "k"})
    return compare(stream, plan, run_plan(plan, stream), configuration, **options)


def hostile(row):
    """The same event with a name and a feature that want to be markup."""
    features = {"<img src=x>": 1, "note": "</td><script>alert(1)</script>", **row.features}
    features |= {f"f{number}": number for number in range(50)}
    return msgspec.structs.replace(row, id=f"<i>{row.id}</i>", features=features, truth=f"<u>{row.truth}")


_pages: dict[int, tuple[Comparison, str]] = {}


def html_of(comparison: Comparison) -> str:
    """Render a report, once for each comparison."""
    if id(comparison) not in _pages:
        _pages[id(comparison)] = comparison, render(comparison)
    return _pages[id(comparison)][1]
