"""The accuracy estimated from a record is the one that was watched while it was made."""

from __future__ import annotations

from pathlib import Path

import pytest
from recordings import People, run_pipeline
from streams import learner, rows

from connectors.sqlite import connect, progress_of, read_recording
from stream_al import ActiveLearner, DeskRules
from stream_al.monitor import Accuracy

EVENTS = 600
RULES = {
    "first answer": DeskRules(),
    "quorum": DeskRules(quorum=2, max_answers=3),
    "full queue": DeskRules(max_open=4),
    "make way": DeskRules(max_open=4, when_full="withdraw-least"),
    "expiring": DeskRules(quorum=2, expire_after_events=40),
}


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_it_is_the_one_that_was_watched(tmp_path: Path, rules: DeskRules) -> None:
    def fresh() -> ActiveLearner:
        return learner(rules)

    names = ("ann", "bob", "cid") if rules.quorum > 1 else ("ann",)
    # What stays open holds the horizon, so people leave out only what expires.
    people = People(names=names, wrong=0.2, silent=0.1 if rules.expire_after_events else 0.0)
    path = run_pipeline(tmp_path / "store.db", fresh(), rows(EVENTS, twice=11), people, {"any": "thing"})
    connection = connect(path)
    progress = progress_of(connection)
    connection.close()
    assert progress is not None
    assert progress.accuracy is not None
    watched = Accuracy.load(progress.accuracy).report(EVENTS)
    found = read_recording(path, lambda pipeline: fresh()).accuracy().report(EVENTS)
    assert found == watched
    assert found.whole.labels > 5
