"""Limits: labels per hour, money, answers, quotas hold in every window, whatever model, clock and keys do."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from math import nan
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import People, run_pipeline
from streams import estimator, rows

from connectors.sqlite import read_recording, verify
from stream_al import (
    ActiveLearner,
    Budgeted,
    ColdStart,
    ConfidentEnough,
    ConfigError,
    DeskRules,
    Event,
    Label,
    Limited,
    Margin,
    Model,
    QueryStrategy,
    Quota,
    Random,
)
from stream_al.about import About
from stream_al.checks import check_strategy
from stream_al.checks.strategy import REASONS
from stream_al.codec import EventRow
from stream_al.config import load_config, stored_config
from stream_al.draws import Draws
from stream_al.replay.rerun import reproduce
from stream_al.strategies.limits import HELD_BACK
from stream_al.strategies.quotas import KEPT, code_of
from stream_al.uncertainty import Scores, scores

START = datetime(2026, 3, 1, tzinfo=UTC)
SURE, UNSURE = scores({"a": 0.99, "b": 0.01}, 1000), scores({"a": 0.5, "b": 0.5}, 1000)
BROKEN = Scores({"a": nan, "b": nan}, None, nan, nan, 1000, 2)

LIMITED = [
    Limited(ColdStart(), labels_per_hour=10),
    Limited(Budgeted(0.2), labels_total=40, burst=3),
    Limited(Random(0.5), cost_per_label=0.5, spend_total=20.0, burst=1),
    Limited(Margin(0.3, explore=0.1), labels_per_day=100, quotas=(Quota("predicted", 0.5),)),
    Limited(Budgeted(0.2), quotas=(Quota("key", 0.2), Quota("features.site", 0.5), Quota("predicted", 0.6))),
    Limited(ConfidentEnough(ColdStart(Budgeted(0.3))), labels_total=1000),
]


@pytest.mark.parametrize("strategy", LIMITED, ids=repr)
def test_limits_keep_the_common_promises(strategy: QueryStrategy) -> None:
    check_strategy(strategy, events=400, keys=100)


def event(seconds: float | None = None, key: str | None = None, site: str = "x", name: str = "e") -> EventRow:
    at = None if seconds is None else START + timedelta(seconds=seconds)
    return EventRow({"site": site}, name, at, key)


def about(answer: Scores, row: EventRow) -> Scores:
    return msgspec.structs.replace(answer, about=About(row))


# ── no window exceeds a limit ────────────────────────────────────────────────────────────────────

steps = st.one_of(
    st.floats(0.0, 30.0),
    st.just(0.0),  # equal times
    st.floats(-7200.0, 7200.0),  # back, and far on
    st.none(),  # no timestamp
)
moments = st.lists(
    st.tuples(
        steps,
        st.sampled_from(["a", "b", "c", None]),
        st.sampled_from([SURE, UNSURE, BROKEN]),
        st.floats(0.0, 1.0, exclude_max=True),
        st.integers(1, 30),
    ),
    max_size=25,
)
limits = st.fixed_dictionaries(
    {
        "burst": st.sampled_from([1, 2, 7]),
        "quotas": st.sampled_from(
            [(), (Quota("key", 0.3),), (Quota("predicted", 0.5), Quota("features.site", 0.2))]
        ),
    },
    optional={
        "labels_per_hour": st.sampled_from([0.5, 10.0, 600.0]),
        "labels_per_day": st.sampled_from([1.0, 2000.0]),
        "labels_total": st.sampled_from([1.0, 12.5]),
    },
)
inner = st.sampled_from([Random(1.0), Margin(0.5, explore=0.3), Budgeted(0.5), ColdStart(Budgeted(0.1))])


def most_in_a_window(asked: list[bool], earned: list[float]) -> float:
    """Return by how many queries the worst window exceeds what was earned between its first and last event."""
    worst = 0.0
    lowest = float("inf")
    count = 0
    for ask, so_far in zip(asked, earned, strict=True):
        lowest = min(lowest, count - so_far)
        count += ask
        worst = max(worst, count - so_far - lowest)
    return worst


@settings(max_examples=300, deadline=None)
@given(inner, limits, moments)
def test_no_window_exceeds_a_limit(then: QueryStrategy, given_limits: dict[str, Any], stream: Any) -> None:
    strategy = Limited(then, **given_limits)
    state = strategy.start()
    seconds, newest, first = 0.0, None, None
    asked: list[bool] = []
    hours: list[float] = []
    values: list[list[object]] = []
    for step, key, answer, draw, repeated in stream:
        for _ in range(repeated):
            at = None
            if step is not None:
                seconds += step
                at = seconds
                newest = at if newest is None else max(newest, at)
                first = at if first is None else first
            row = event(at, key, site=str(key) * 2)
            decision, after = strategy.decide(about(answer, row), state, draw)
            again = strategy.decide(about(answer, row), tuple(json.loads(json.dumps(state))), draw)
            assert again == (decision, after)
            assert decision.ask == (draw < decision.propensity)
            assert (decision.reason in HELD_BACK or decision.reason == "none") != decision.ask
            if decision.reason in HELD_BACK:
                assert decision.propensity == 0.0
                assert after[: len(then.start())] == state[: len(then.start())]
            state = after
            asked.append(decision.ask)
            hours.append(0.0 if newest is None or first is None else (newest - first) / 3600)
            values.append(
                [
                    {"key": key, "predicted": answer.label}.get(q.by, row.features["site"])
                    for q in strategy.quotas
                ]
            )
    assert len(json.dumps(strategy.start())) < 1024
    assert len(json.dumps(state)) < 1024
    fuzz = 0.01  # times are kept in ms, levels of quotas to a thousandth
    rates = [rate for rate in (strategy.labels_per_hour, (strategy.labels_per_day or 0) / 24) if rate]
    for rate in rates:
        assert most_in_a_window(asked, [rate * h for h in hours]) <= strategy.burst + fuzz * max(
            1, rate / 600
        )
    if strategy.labels_total is not None:
        assert sum(asked) <= strategy.labels_total
    earning = [min(rates) * h if rates else then.rate() * number for number, h in enumerate(hours)]
    for place, quota in enumerate(strategy.quotas):
        for value in {row[place] for row in values}:
            mine = [ask and row[place] == value for ask, row in zip(asked, values, strict=True)]
            worst = most_in_a_window(mine, [quota.share * e for e in earning])
            assert worst <= quota.burst(strategy.burst) + quota.share + fuzz


def ask_all(strategy: QueryStrategy, events: list[EventRow], answer: Scores = UNSURE) -> list[str]:
    """Return the reason of every decision, all draws being low."""
    assert isinstance(strategy, Limited)
    state, told = strategy.start(), []
    for row in events:
        decision, state = strategy.decide(about(answer, row), state, 0.0)
        told.append(decision.reason)
    return told


def test_unused_labels_are_carried_over_up_to_the_burst() -> None:
    strategy = Limited(Random(1.0), labels_per_hour=60, burst=3)
    times = [0, 1, 2, 3, 62, 63, 3600, 3601, 3602, 3603]
    told = ask_all(strategy, [event(at) for at in times])
    assert told == [*["random"] * 3, "rate-limit", "random", "rate-limit", *["random"] * 3, "rate-limit"]


def test_a_long_stream_is_asked_at_the_rate_of_the_limit() -> None:
    strategy = Limited(Budgeted(0.2), labels_per_hour=30, burst=5)
    told = ask_all(strategy, [event(10 * number) for number in range(36_000)])
    asked = sum(reason not in HELD_BACK and reason != "none" for reason in told)
    assert asked == pytest.approx(100 * 30, abs=10)


def test_money_is_labels_at_their_price() -> None:
    events = [event(37 * number) for number in range(3000)]
    money = Limited(Budgeted(0.3), cost_per_label=0.25, spend_per_day=25.0, burst=4)
    labels = Limited(Budgeted(0.3), labels_per_day=100, burst=4)
    spent = ask_all(money, events)
    assert [reason.replace("cost", "rate") for reason in spent] == ask_all(labels, events)
    assert "cost-limit" in spent
    total = ask_all(Limited(Random(1.0), cost_per_label=0.7, spend_total=10.0), events)
    assert total.count("random") == 14
    assert total[14:] == ["cost-limit"] * (len(events) - 14)


def test_without_timestamps_only_what_was_saved_can_be_asked() -> None:
    strategy = Limited(Random(1.0), labels_per_hour=3600, burst=4)
    events = [event() for _ in range(10)]
    assert ask_all(strategy, events) == ["random"] * 4 + ["rate-limit"] * 6
    # An event without one happens when the newest with one did.
    mixed = [event(0)] * 5 + [event(), event(2), event(), event()]
    assert ask_all(strategy, mixed)[4:] == ["rate-limit", "rate-limit", "random", "random", "rate-limit"]


def test_a_query_is_asked_only_if_every_limit_allows_it() -> None:
    strategy = Limited(
        Random(1.0),
        labels_per_hour=36_000,
        cost_per_label=1.0,
        spend_total=6.0,
        burst=4,
        quotas=(Quota("key", 0.5),),
    )
    told = ask_all(strategy, [event(0, key) for key in "aaabbbc"] + [event(0.1, key) for key in "abcd"])
    assert told == [
        "random", "random", "quota", "random", "random", "rate-limit", "rate-limit",
        "quota", "quota", "random", "rate-limit",
    ]  # fmt: skip
    later = ask_all(strategy, [event(60 * number, str(number)) for number in range(9)])
    assert later == ["random"] * 6 + ["cost-limit"] * 3


@pytest.mark.parametrize("by", ["key", "features.site", "predicted"])
def test_one_value_uses_no_more_than_its_share_and_leaves_the_rest_to_others(by: str) -> None:
    strategy, draw = Limited(Random(0.5), burst=10, quotas=(Quota(by, 0.2),)), Draws("quota")
    state = strategy.start()
    asked: dict[str, int] = defaultdict(int)
    for number in range(20_000):
        value = "loud" if number % 10 else "quiet"
        answer = scores({value: 0.6, "other": 0.4}, 1000)
        row = event(None, value, value)
        decision, state = strategy.decide(about(answer, row), state, draw(str(number)))
        asked[value] += decision.ask
    assert asked["loud"] == pytest.approx(0.2 * 0.5 * 20_000, rel=0.01)
    assert asked["quiet"] == pytest.approx(0.1 * 0.5 * 20_000, rel=0.1), "less than its share, so it gets all"


def test_more_values_than_are_kept_still_keep_their_quota() -> None:
    share = 1 / KEPT
    strategy, rng = Limited(Random(1.0), quotas=(Quota("key", share),)), random.Random(2)
    state = strategy.start()
    asked: dict[str, list[int]] = defaultdict(list)
    for number in range(6000):
        key = f"k{int(150 * rng.random() ** 2)}"
        decision, state = strategy.decide(about(UNSURE, event(None, key)), state, 0.0)
        if decision.ask:
            asked[key].append(number)
    assert len(asked) > 100, "those that are not counted one by one are asked, too"
    assert sum(map(len, asked.values())) > 0.5 * 6000
    for places in asked.values():
        for at, first in enumerate(places):
            for more, last in enumerate(places[at:], 1):
                assert more <= share * (last - first + 1) + 1.01


def test_a_value_of_another_type_is_another_value() -> None:
    assert len({code_of(1), code_of("1"), code_of(True), code_of(1.0), code_of(None)}) == 5
    assert code_of("\udc80") > 0


# ── together with the desk and the model ─────────────────────────────────────────────────────────


def learner_of(strategy: QueryStrategy, **more: Any) -> ActiveLearner:
    return ActiveLearner(Model(estimator(), checkpoint_every=50), strategy, **more)


def test_nothing_is_asked_while_the_oldest_query_waits_too_long() -> None:
    learner = learner_of(Limited(Random(1.0), answers_within=timedelta(minutes=10)))
    told = []
    for number, minute in enumerate([0, 5, 10, 11, 12]):
        at = START + timedelta(minutes=minute)
        told.append(learner.process(Event(id=f"e{number}", features={"x": 1.0}, timestamp=at)).prediction)
    assert [p.reason for p in told] == ["random", "random", "random", "slow-answers", "slow-answers"]
    assert [p.propensity for p in told] == [1.0, 1.0, 1.0, 0.0, 0.0]
    learner.teach(Label(event_id="e0", label="in"))
    at = START + timedelta(minutes=13)
    assert learner.process(Event(id="later", features={"x": 1.0}, timestamp=at)).query is not None


@pytest.mark.parametrize("max_open", [1, 3])
def test_asking_goes_at_the_pace_of_the_answers(max_open: int) -> None:
    learner = learner_of(Limited(Random(1.0), labels_total=30), rules=DeskRules(max_open=max_open))
    opened, asked = [], 0
    for number in range(200):
        query = learner.process(Event(id=f"e{number}", features={"x": float(number)})).query
        if query is not None:
            opened.append(query.event_id)
            asked += 1
        if number % 5 == 4 and opened:
            learner.teach(Label(event_id=opened.pop(0), label="in" if number % 2 else "out"))
        assert len(learner.desk) <= max_open
    assert asked == 30, "one for each answer, until the total is used up"


def timed(count: int) -> list[EventRow]:
    made = []
    for number, row in enumerate(rows(count, twice=13)):
        row.timestamp = START + timedelta(seconds=20 * number - 700 * (number % 9 == 0))
        row.key = f"customer {number * number % 7}"
        made.append(row)
    return made


WHOLE = Limited(
    ConfidentEnough(ColdStart(Budgeted(0.4, explore=0.1), examples=5), 0.8, after=100),
    labels_per_hour=30,
    cost_per_label=0.1,
    spend_total=6.0,
    burst=5,
    answers_within=timedelta(minutes=12),
    quotas=(Quota("key", 0.25), Quota("features.n", 0.2)),
)


def test_a_pipeline_with_all_limits_is_reproduced_decision_by_decision(tmp_path: Path) -> None:
    def fresh(pipeline: object = None) -> ActiveLearner:
        return learner_of(WHOLE, rules=DeskRules(max_open=6))

    people = People(delay=(1, 50), silent=0.02)
    run_pipeline(tmp_path / "store.db", fresh(), timed(900), people, {"any": "thing"})
    assert verify(tmp_path / "store.db", fresh).differences == []
    recording = read_recording(tmp_path / "store.db", fresh)
    assert reproduce(recording).differences == []
    reasons = {row.reason for row in recording.predictions}
    assert {*HELD_BACK} - {"cost-limit"} <= reasons
    assert sum(row.queried for row in recording.predictions) <= 60
    assert all(row.propensity == 0.0 for row in recording.predictions if row.reason in HELD_BACK)


def test_a_snapshot_goes_on_within_the_same_limits() -> None:
    one, other = learner_of(WHOLE), learner_of(WHOLE)
    events = timed(400)
    one.answer(events[:200])
    other.restore(one.snapshot())
    assert one.answer(events[200:])[0] == other.answer(events[200:])[0]


def test_thresholds_are_of_calibrated_probabilities_within_limits_too() -> None:
    strategy = Limited(Margin(0.5, explore=0.2), labels_total=10_000)
    within = learner_of(strategy, calibrated=True)
    without = learner_of(Margin(0.5, explore=0.2), calibrated=True)
    for row in rows(300):
        told = []
        for learner in (within, without):
            (prediction,), incidents = learner.answer([row])
            told.append(prediction)
            if any(incident.query for incident in incidents):
                learner.teach(Label(event_id=prediction.event_id, label=row.truth or ""))
        assert told[0] == told[1]


def test_parts_of_a_stream_together_keep_the_limits() -> None:
    whole = Limited(
        Random(1.0), labels_per_day=240, labels_total=100, cost_per_label=0.5, spend_total=30.0, burst=8
    )
    parts = [whole.divided(4) for _ in range(4)]
    told = [ask_all(part, [event(60 * number) for number in range(1440)]) for part in parts]
    assert sum(reasons.count("random") for reasons in told) == 60
    assert {reason for reasons in told for reason in reasons} == {"random", "rate-limit", "cost-limit"}
    slower = [Limited(Random(1.0), labels_per_day=240, burst=8).divided(4) for _ in range(4)]
    told = [ask_all(part, [event(60 * number) for number in range(1440)]) for part in slower]
    assert 240 <= sum(reasons.count("random") for reasons in told) <= 240 + 8


# ── configuration ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"labels_per_hour": 0}, "labels_per_hour = 0: must be a number above 0"),
        ({"labels_total": nan}, "labels_total = nan: must be a number above 0"),
        ({"spend_total": 3.0}, "cost_per_label: belongs to"),
        ({"cost_per_label": 3.0}, "cost_per_label: belongs to"),
        ({"labels_total": 3, "burst": 0}, "burst = 0: must be at least 1"),
        ({"answers_within": timedelta(0)}, "answers_within = 0:00:00: must be longer than nothing"),
        ({"quotas": (Quota("key", 1.0),) * (KEPT + 1)}, "quotas: there are 33; at most 32"),
        ({"quotas": (Quota("key", 0.03),)}, "quotas: key: share = 0.03: must be at least 1/32"),
        (
            {"quotas": (Quota("key", 0.06), Quota("predicted", 0.5))},
            "quotas: key: share = 0.06: must be at least 1/16",
        ),
    ],
)
def test_limits_without_a_meaning_are_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Limited(Random(), **wrong)


@pytest.mark.parametrize("by", ["keys", "features.", "feature.x", ""])
def test_a_quota_of_nothing_is_refused(by: str) -> None:
    with pytest.raises(ValueError, match="must be one of key, predicted, features"):
        Quota(by, 0.5)


LIMITS = """
[limits]
labels_per_hour = 30
labels_per_day = 200
cost_per_label = 0.2
spend_total = 100
burst = 5
answers_within = "4h"
quotas = [{ by = "key", share = 0.2 }, { by = "features.site", share = 0.5 }]
"""


def config_of(folder: Path, text: str) -> Any:
    path = folder / "pipeline.toml"
    path.write_text(text)
    return load_config(path)


def test_limits_come_from_the_configuration_and_are_kept_with_the_store(tmp_path: Path) -> None:
    config = config_of(tmp_path, LIMITS)
    built = config.limits.around(config.strategy.build())
    assert built == Limited(
        config.strategy.build(),
        labels_per_hour=30,
        labels_per_day=200,
        cost_per_label=0.2,
        spend_total=100,
        burst=5,
        answers_within=timedelta(hours=4),
        quotas=(Quota("key", 0.2), Quota("features.site", 0.5)),
    )
    kept = stored_config(json.loads(json.dumps(config.pipeline())), "x")
    assert kept.limits.around(kept.strategy.build()) == built
    without = config_of(tmp_path, "")
    assert "limits" not in without.pipeline()
    assert without.limits.around(Random()) == Random()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("labels_per_hour = 0", "[limits] labels_per_hour = 0: Input should be greater than 0"),
        ("spend_total = 3", "[limits]: cost_per_label: belongs to spend_per_day or spend_total"),
        ("burst = 3", "[limits]: burst: is what each limit saves up, and there is none"),
        ("quotas = [{ by = 'kex', share = 0.1 }]", "[limits] quotas.0.by = 'kex': "),
        ("quotas = [{ by = 'key' }]", "[limits] quotas.0.share: Field required"),
    ],
)
def test_a_mistake_in_the_limits_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_of(tmp_path, f"[limits]\n{text}")
    assert told in str(caught.value)


def test_what_holds_back_is_a_reason_of_predictions() -> None:
    assert {*HELD_BACK} < REASONS


def test_what_a_kafka_worker_cannot_know_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("kafka")
    from connectors.kafka.worker import KafkaWorker

    with pytest.raises(
        ConfigError, match="answers_within: who scores does not know the open queries on Kafka"
    ):
        KafkaWorker(config_of(tmp_path, "[limits]\nanswers_within = '1h'\n[kafka]\n"))
