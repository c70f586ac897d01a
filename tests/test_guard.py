"""The guard: floods, near-duplicates and outliers are answered and not asked about; honest sources keep their queries."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import People, record_in_memory, run_pipeline
from river import tree
from streams import estimator, rows

from connectors.sqlite import read_recording, verify
from stream_al import (
    ActiveLearner,
    Budgeted,
    ColdStart,
    ConfidentEnough,
    ConfigError,
    Event,
    Guard,
    Label,
    Limited,
    Margin,
    Model,
    ModelError,
    QueryStrategy,
    Quota,
    Random,
)
from stream_al.about import About
from stream_al.checks import check_strategy
from stream_al.codec import EventRow
from stream_al.config import load_config, stored_config
from stream_al.replay.contenders import parse_strategy
from stream_al.replay.counterfactual import Evidence
from stream_al.replay.rerun import reproduce
from stream_al.strategies.guard import KEPT, LEARNED, QUARANTINED
from stream_al.uncertainty import Scores, scores

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import flood
from efficiency_streams import linear

SURE, UNSURE = scores({"a": 0.99, "b": 0.01}, 1000), scores({"a": 0.5, "b": 0.5}, 1000)

GUARDED = [
    Guard(Budgeted(0.2), source="key", share=0.3, burst=4, duplicates=100, outlier=3.0),
    Guard(ColdStart(Margin(0.3, explore=0.05)), source="features.x", burst=1),
    Guard(Limited(ConfidentEnough(ColdStart(Budgeted(0.2))), labels_total=40), source="key"),
    Guard(Random(0.3), source="key", share=0.5),
    ColdStart(Guard(Budgeted(0.1), source="key")),
]


@pytest.mark.parametrize("strategy", GUARDED, ids=repr)
def test_a_guard_keeps_the_common_promises(strategy: QueryStrategy) -> None:
    check_strategy(strategy, events=500, keys=100)


def about(
    answer: Scores, key: str | None = None, *, sketch: int | None = None, distance: float | None = None
) -> Scores:
    """Return the scores of an event of a source, of which a model would tell so much."""

    def look(features: object, told: Scores, wants: object) -> Scores:
        return msgspec.structs.replace(told, sketch=sketch, distance=distance)

    return msgspec.structs.replace(answer, about=About(EventRow({"x": 1.0}, "e", key=key), None, look))


# ── floods ───────────────────────────────────────────────────────────────────────────────────────

inner = st.sampled_from([Random(1.0), Margin(0.5, explore=0.3), Budgeted(0.5), ColdStart(Budgeted(0.1), 5)])
events = st.lists(
    st.tuples(
        st.integers(0, 40),
        st.sampled_from([SURE, UNSURE, scores({}), scores({"a": 1.0}, 5)]),
        st.floats(0.0, 1.0, exclude_max=True),
        st.integers(1, 20),
    ),
    max_size=30,
)


@settings(max_examples=200, deadline=None)
@given(inner, st.sampled_from([0.05, 0.3, 1.0]), st.sampled_from([1, 7]), events)
def test_no_source_gets_more_than_its_share_in_any_window(
    then: QueryStrategy, share: float, burst: int, stream: Any
) -> None:
    guard = Guard(then, source="key", share=share, burst=burst)
    state = guard.start()
    asked: dict[str, list[int]] = {}
    number = 0
    for source, answer, draw, repeated in stream:
        for _ in range(repeated):
            number += 1
            told = about(answer, f"k{source}")
            decision, after = guard.decide(told, state, draw)
            assert (decision, after) == guard.decide(told, tuple(json.loads(json.dumps(state))), draw)
            assert decision.ask == (draw < decision.propensity)
            if decision.reason == "flood":
                assert decision.propensity == 0.0
                assert after[: len(then.start())] == state[: len(then.start())]
            else:
                assert decision == then.decide(told, state[: len(then.start())], draw)[0]
            if decision.ask:
                asked.setdefault(f"k{source}", []).append(number)
            state = after
            assert len(json.dumps(state)) < 1024
    for places in asked.values():
        for at, first in enumerate(places):
            for more, last in enumerate(places[at:], 1):
                assert more <= burst + share * then.rate() * (last - first + 1) + 0.01


def test_a_source_is_in_quarantine_for_as_long_as_it_floods_and_not_for_ever() -> None:
    guard = Guard(Margin(0.5), source="key", share=0.1, burst=5)
    state = guard.start()

    def send(key: str, answer: Scores = UNSURE) -> str:
        nonlocal state
        decision, state = guard.decide(about(answer, key), state, 0.9)
        return decision.reason

    assert [send("bot") for _ in range(200)] == ["uncertain"] * 5 + ["flood"] * 195
    assert send("bot", SURE) == "flood", "nothing of it reaches the strategy"
    assert [send("ann") for _ in range(5)] == ["uncertain"] * 5
    assert [send("bob", SURE) for _ in range(40)] == ["none"] * 40
    assert send("ann") == "uncertain", "it did not go on, so it had not to wait"
    assert send("bot") == "flood"
    assert [send("bob", SURE) for _ in range(30)] == ["none"] * 30
    assert send("bot") == "uncertain", "so many events after it stopped"


def test_more_sources_than_are_told_apart_are_judged_as_the_least_indebted() -> None:
    guard = Guard(Margin(0.5), source="key", share=0.01, burst=3)
    state, told = guard.start(), []
    for _ in range(20):
        for source in range(KEPT + 1):
            decision, state = guard.decide(about(UNSURE, f"k{source}"), state, 0.9)
            told.append(decision.reason)
    assert told.count("uncertain") <= 3 * KEPT
    assert set(told[-KEPT:]) == {"flood"}


# ── near-duplicates and outliers ─────────────────────────────────────────────────────────────────


def test_of_nearly_the_same_events_a_few_are_asked_about_until_they_are_forgotten() -> None:
    guard = Guard(Margin(0.5, explore=0.01), duplicates=10 * KEPT, repeats=2)
    state = guard.start()

    def send(sketch: int, answer: Scores = UNSURE, draw: float = 0.9) -> tuple[str, float]:
        nonlocal state
        decision, state = guard.decide(about(answer, sketch=sketch), state, draw)
        return decision.reason, decision.propensity

    assert [send(0b1000 ^ bit)[0] for bit in (0, 0, 1, 2, 4)] == ["uncertain"] * 2 + ["near-duplicate"] * 3
    assert send(0b1000)[1] == 0.0
    assert send(0b1000, SURE, 0.001) == ("explore", 0.01), "exploration is left alone"
    assert send(0b0111)[0] == "uncertain"
    for _ in range(10 * KEPT):
        send(0, SURE)
    assert send(0b1000)[0] == "uncertain"


def test_what_is_too_far_is_not_asked_about_once_enough_is_learned() -> None:
    guard = Guard(Margin(0.5, explore=0.01), outlier=4.0)
    young = scores({"a": 0.5, "b": 0.5}, LEARNED - 1)
    for answer, distance, reason in (
        (UNSURE, 3.9, "uncertain"),
        (UNSURE, 4.1, "outlier"),
        (SURE, 9.0, "none"),
        (young, 9.0, "uncertain"),
        (UNSURE, None, "uncertain"),
    ):
        decision, _ = guard.decide(about(answer, distance=distance), guard.start(), 0.9)
        assert decision.reason == reason


def test_no_more_than_one_in_sixteen_learned_events_is_four_spreads_away() -> None:
    model, made = Model(estimator()), rows(400)
    for number, row in enumerate(made):
        row.features["n"] = 1e6 if number % 100 == 50 else 0.0
    learner = ActiveLearner(model, Random(1.0))
    for row in made:
        learner.answer([row])
        learner.teach(Label(event_id=str(row.id), label=str(row.truth)))
    found = [model.look(row.features, SURE, {"distance"}).distance for row in made]
    assert 0 < sum(far is not None and far > 4.0 for far in found) <= 400 / 16
    assert model.look({"x": "text"}, SURE, {"distance"}) == SURE, "where it cannot tell, nothing is known"


def test_a_model_that_does_not_know_how_far_features_spread_is_refused() -> None:
    with pytest.raises(ModelError, match=r"\[guard\] outlier: HoeffdingTreeClassifier has no scaler"):
        ActiveLearner(Model(tree.HoeffdingTreeClassifier()), Limited(Guard(outlier=3.0), labels_total=9))


# ── in the pipeline ──────────────────────────────────────────────────────────────────────────────


def learner_of(strategy: QueryStrategy) -> ActiveLearner:
    return ActiveLearner(Model(estimator(), checkpoint_every=50), strategy)


def sent(count: int) -> list[EventRow]:
    made = []
    for number, row in enumerate(rows(count, twice=13)):
        row.timestamp = flood.START + timedelta(seconds=20 * number)
        row.key = "bot" if number % 3 else f"site {number % 7}"
        if number > 400 and number % 15 == 3:  # an honest source
            row.features["x"] += 8.0
            row.features["y"] -= 8.0
        made.append(row)
    return made


WHOLE = Guard(
    Limited(
        ColdStart(Budgeted(0.4, explore=0.1), examples=5),
        labels_per_hour=20,
        burst=3,
        quotas=(Quota("key", 0.9),),
    ),
    source="key",
    share=0.3,
    burst=10,
    duplicates=200,
    repeats=4,
    outlier=2.0,
)


def test_a_guarded_pipeline_is_reproduced_decision_by_decision(tmp_path: Path) -> None:
    def fresh(pipeline: object = None) -> ActiveLearner:
        return learner_of(WHOLE)

    run_pipeline(tmp_path / "store.db", fresh(), sent(900), People(delay=(1, 40)), {"any": "thing"})
    assert verify(tmp_path / "store.db", fresh).differences == []
    recording = read_recording(tmp_path / "store.db", fresh)
    assert reproduce(recording).differences == []
    reasons = {row.reason for row in recording.predictions}
    assert reasons >= {*QUARANTINED, "uncertain", "explore", "rate-limit"}
    assert all(row.propensity == 0.0 for row in recording.predictions if row.reason in QUARANTINED)


def test_a_strategy_that_looks_at_the_event_may_be_anywhere() -> None:
    limits: dict[str, Any] = {"labels_per_hour": 40.0, "burst": 3, "quotas": (Quota("key", 0.5),)}
    outside, inside = (
        learner_of(Limited(ColdStart(Budgeted(0.3), 0), **limits)),
        learner_of(ColdStart(Limited(Budgeted(0.3), **limits), 0)),
    )
    reasons = set()
    for row in sent(300):
        told = []
        for learner in (outside, inside):
            (prediction,), incidents = learner.answer([row])
            told.append((prediction, [incident.blocked for incident in incidents]))
            if prediction.queried:
                learner.teach(Label(event_id=str(row.id), label="in" if row.features["x"] > 0 else "out"))
        assert told[0] == told[1]
        reasons.add(told[0][0].reason)
    assert reasons >= {"rate-limit", "quota"}


def test_who_embeds_it_is_told_why_an_event_was_not_asked_about() -> None:
    learner = learner_of(Guard(Random(1.0), source="key", share=0.5, burst=1))
    told = [
        learner.process(Event(id=f"e{n}", features={"x": 1.0}, key="bot")).prediction.reason for n in range(2)
    ]
    assert told == ["random", "flood"]


@pytest.mark.slow
@pytest.mark.parametrize("attack", ["fgsm", "random"])
def test_a_flood_leaves_honest_sources_nine_tenths_of_their_queries(tmp_path: Path, attack: str) -> None:
    data = flood.PHISHING.rows(0)[:800]

    def under(name: str, attack: str | None, strategy: QueryStrategy) -> flood.Outcome:
        found, store = flood.run(tmp_path / f"{name}.db", data, linear(flood.PHISHING), strategy, attack)
        store.close()
        return found

    then = ColdStart(Budgeted(0.1), examples=20)
    guarded = Guard(then, source="key")
    calm, open_to_all = under("calm", None, then), under("open", attack, then)
    kept = under("kept", attack, guarded)
    assert calm.honest >= 25
    assert open_to_all.honest < 0.6 * calm.honest, "without a guard"
    assert open_to_all.flood > 5 * calm.honest
    assert kept.honest >= 0.9 * calm.honest
    assert kept.flood <= 0.5 * calm.honest
    again = verify(
        tmp_path / "kept.db", lambda pipeline: ActiveLearner(Model(linear(flood.PHISHING)), guarded)
    )
    assert again.differences == []


def test_a_counterfactual_keeps_the_guard_and_says_what_it_cannot_tell() -> None:
    def evidence(strategy: QueryStrategy) -> Evidence:
        return Evidence(record_in_memory(lambda: learner_of(strategy), sent(400), People()))

    by_source = Guard(Random(0.3), source="key", share=0.4, burst=3)
    other = evidence(by_source)._after_cold_start(Margin(0.2))
    assert other == Guard(Margin(0.2), source="key", share=0.4, burst=3)
    assert evidence(by_source).of(parse_strategy("margin<0.2")).questions > 0
    with pytest.raises(ConfigError, match="not its distance, sketch; compare it by stream-al replay"):
        evidence(Guard(Random(0.3), duplicates=50, outlier=3.0)).of(parse_strategy("margin<0.2"))


# ── configuration ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"source": "predicted"}, "source = 'predicted': is not who sends"),
        ({"source": "site"}, "must be one of key, predicted, features"),
        ({"source": "key", "share": 0.0}, "share = 0.0: must be at least"),
        ({"source": "key", "share": 1.5}, "share = 1.5: must be a share"),
        ({"burst": 0}, "burst = 0: must be at least 1"),
        ({"duplicates": -1}, "duplicates = -1: must be at least 0"),
        ({"repeats": 0}, "repeats = 0: must be at least 1"),
        ({"outlier": 1.0}, "outlier = 1.0: must be above 1 spread"),
    ],
)
def test_a_guard_without_a_meaning_is_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Guard(**wrong)


def config_of(folder: Path, text: str) -> Any:
    path = folder / "pipeline.toml"
    path.write_text(text)
    return load_config(path)


def test_the_guard_comes_from_the_configuration_around_the_limits(tmp_path: Path) -> None:
    text = "[guard]\nsource = 'key'\nburst = 9\nduplicates = 50\noutlier = 3\n[limits]\nlabels_total = 9\n"
    config = config_of(tmp_path, text)
    expected = Guard(
        Limited(config.strategy.build(), labels_total=9), source="key", burst=9, duplicates=50, outlier=3.0
    )
    assert config.query_strategy() == expected
    kept = stored_config(json.loads(json.dumps(config.pipeline())), "x")
    assert kept.query_strategy() == expected
    without = config_of(tmp_path, "")
    assert "guard" not in without.pipeline()
    assert without.query_strategy() == without.strategy.build()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("source = 'kex'", "[guard] source = 'kex': "),
        ("share = 0.5", "[guard]: share: belongs to source, which is not set"),
        ("repeats = 5", "[guard]: repeats: belongs to duplicates, which is not set"),
        ("outlier = 0.5", "[guard] outlier = 0.5: Input should be greater than 1"),
    ],
)
def test_a_mistake_in_the_guard_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_of(tmp_path, f"[guard]\n{text}")
    assert told in str(caught.value)


def test_what_a_partition_cannot_know_is_refused_on_kafka(tmp_path: Path) -> None:
    pytest.importorskip("kafka")
    from connectors.kafka.worker import KafkaWorker

    with pytest.raises(ConfigError, match=r"\[guard\] source: the stream is in partitions on Kafka"):
        KafkaWorker(config_of(tmp_path, "[guard]\nsource = 'key'\n[kafka]\n"))
