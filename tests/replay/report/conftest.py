from dataclasses import replace

import pytest
from reports import compared, hostile
from streams import rows

from stream_al.replay import Comparison, LabelledStream
from stream_al.replay.latency import Latency
from stream_al.replay.people import Annotator, Crowd

BAYES = "river.naive_bayes.GaussianNB"
TREE = "river.tree.HoeffdingTreeClassifier"


@pytest.fixture(scope="session")
def stream() -> LabelledStream:
    return LabelledStream("small.csv", tuple(rows(300)), ("in", "out"), {})


@pytest.fixture(scope="session")
def single(stream) -> Comparison:
    """One budget, one run of each, labels at once."""
    return compared(stream, ["margin", "confidence<0.7"])


@pytest.fixture(scope="session")
def grid(stream) -> Comparison:
    """Two models, two budgets, three runs of each, labels late, now and then wrong, missing, and paid for."""
    person = Annotator("ann", wrong=0.1, silent=0.1, latency=Latency("exponential", (20.0,)))
    return compared(
        stream,
        ["margin", "entropy", "margin<0.3"],
        budgets=(0.1, 0.2),
        models=("", BAYES),
        seeds=3,
        crowd=Crowd((person,), classes=stream.classes),
        cost_per_label=0.5,
    )


@pytest.fixture(scope="session")
def untrusted() -> Comparison:
    """Records, and a configuration, whose texts are markup."""
    events = tuple(hostile(row) for row in rows(200))
    stream = LabelledStream("<b>x<i> & y.csv", events, ("<u>in", "<u>out"), {})
    configuration = {"model": "<script>alert(1)</script>"}
    found = compared(stream, ["margin"], models=(TREE,), configuration=configuration)
    return replace(found, notes=["a < b"])
