import tomllib

import pytest
from streams import rows

from connectors.datasets import RiverEvents
from stream_al import ConfigError
from stream_al.config import Config, StrategyConfig
from stream_al.draws import Draws
from stream_al.ports import LabelledRow
from stream_al.replay import LabelledStream
from stream_al.replay.plan import Entry
from stream_al.replay.pool import run_plan
from stream_al.replay.tune import candidates, strategy_config, to_toml, tune
from stream_al.uncertainty import scores

PHISHING = LabelledStream.read(RiverEvents("river:Phishing"), "river:Phishing")


@pytest.fixture(scope="module")
def tuned():
    return tune(PHISHING, run_plan, budget=0.1, seeds=2)


def test_what_is_chosen_was_the_best_of_those_that_held_the_budget(tuned):
    accuracies = [group.accuracy for _, group in tuned.tried]
    assert accuracies == sorted(accuracies, reverse=True)
    assert tuned.chosen == tuned.tried[0][0]
    assert all(group.labels <= 1.1 * 0.1 * tuned.split for _, group in tuned.tried)
    assert {entry.strategy for entry, _ in tuned.tried} >= {"margin", "random"}


def test_the_tail_has_no_part_in_the_choice(tuned):
    # The same first part with a tail of nonsense: the same choice, and a check that says so.
    draw = Draws("noise")
    nonsense = tuple(
        row if n < tuned.split else LabelledRow(row.features, row.id, truth=draw(str(row.id)) < 0.5)
        for n, row in enumerate(PHISHING.rows)
    )
    again = tune(LabelledStream("nonsense", nonsense, PHISHING.classes, {}), run_plan, budget=0.1, seeds=2)
    assert again.chosen == tuned.chosen
    assert [group.accuracy for _, group in again.tried] == [group.accuracy for _, group in tuned.tried]
    assert not again.confirmed
    assert again.tail[0][1].accuracy < 0.65 < tuned.tail[0][1].accuracy


def test_the_sentence_says_whether_the_tail_agrees(tuned):
    text = tuned.sentence(len(PHISHING.rows))
    assert "On the last 375 events, which had no part in the choice, it was right on " in text
    assert ("That may be chance" in text) == (tuned.ahead.low <= 0.0 <= tuned.ahead.high)


@pytest.mark.parametrize(
    ("stream", "budget", "message"),
    [
        (
            LabelledStream("short", tuple(rows(300)), ("in", "out"), {}),
            0.1,
            "200 are needed; give more events",
        ),
        (
            LabelledStream("few", tuple(rows(900)), ("in", "out"), {}),
            0.02,
            "too few to tell strategies apart",
        ),
    ],
)
def test_a_stream_that_is_too_short_is_refused(stream, budget, message):
    with pytest.raises(ConfigError, match=message):
        tune(stream, run_plan, budget=budget)


ENTRIES = [
    Entry("margin", "", 0.05, 0.005, 50),
    Entry("entropy", "river.tree.HoeffdingTreeClassifier", 0.1, 0.0, 0),
    Entry("variable", "", 0.1, 0.0, 20),
    Entry("selective", "", 0.05, None, 20),
    Entry("importance", "", 0.05, None, 20),
    Entry("apart", "", 0.1, 0.02, 20),
    Entry("balanced", "", 0.1, None, 20),
    Entry("expected-change", "", 0.1, 0.0, 20),
    Entry("fragility", "", 0.1, 0.0, 20),
    Entry("random", "", 0.1, None, 20),
    Entry("confidence<0.734", "", None, None, 50),
    Entry("margin<0.2", "", None, 0.01, 50),
    Entry("entropy>0.5", "mine.py", None, None, 50),
]


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.strategy for entry in ENTRIES])
def test_the_configuration_asks_as_the_replay_did(entry):
    text = to_toml(entry)
    config = Config.model_validate(tomllib.loads(text))
    assert config.strategy == strategy_config(entry)
    built = config.strategy.build()
    stream = LabelledStream("small", tuple(rows(400)), ("in", "out"), {})
    replayed = entry.contender(stream, "k").strategy
    assert isinstance(config.strategy, StrategyConfig)
    state, other = built.start(), replayed.start()
    draw = Draws("k")
    asked = 0
    for number in range(400):
        p = 0.5 + number % 50 / 100
        answer = scores({"in": p, "out": 1 - p}, number, 2)
        one, state = built.decide(answer, state, draw(f"e{number}"))
        two, other = replayed.decide(answer, other, draw(f"e{number}"))
        if entry.strategy != "random":  # whose share a replay fits to the length of the stream
            assert one == two
        asked += one.ask
    assert asked


def test_candidates_cover_what_there_is_to_choose():
    three = LabelledStream("three", tuple(rows(1000)), ("a", "b", "c"), {})
    found = candidates(three, 0.1, 700, ("", "river.naive_bayes.GaussianNB"))
    assert len(found) == len(set(found))
    assert {entry.strategy for entry in found} == {"margin", "least-confidence", "entropy", "random"}
    assert {entry.model for entry in found} == {"", "river.naive_bayes.GaussianNB"}
    assert max(entry.cold_start for entry in found) <= 35
