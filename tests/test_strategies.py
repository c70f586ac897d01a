"""Every strategy keeps the common promises, and those with a budget keep it whatever the model says."""

from __future__ import annotations

import itertools
import json
import random
import re
from dataclasses import dataclass
from math import exp, isfinite, log, nan
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stream_al.checks import check_strategy
from stream_al.checks.strategy import most_over
from stream_al.draws import Draws
from stream_al.learner import default_strategy
from stream_al.strategies import (
    AnyOf,
    Apart,
    Balanced,
    Budgeted,
    ColdStart,
    Decision,
    Entropy,
    Importance,
    LeastConfidence,
    Limited,
    Margin,
    QueryStrategy,
    Quota,
    Random,
    Reserve,
    Selective,
    State,
    VariableUncertainty,
    while_late,
)
from stream_al.strategies.bucket import Bucketed
from stream_al.uncertainty import Scores, scores

ALL = [
    Budgeted(),
    Budgeted(0.3, utility="entropy", explore=0.0),
    Budgeted(0.05, utility="least-confidence", explore=0.05, burst=1),
    Budgeted(0.0),
    Budgeted(1.0),
    Random(0.2),
    Random(0.0),
    Random(1.0),
    LeastConfidence(0.6, explore=0.02),
    Margin(0.3),
    Entropy(0.7, explore=0.1),
    AnyOf((LeastConfidence(0.5), Margin(0.2, explore=0.05))),
    ColdStart(),
    ColdStart(Budgeted(0.02), examples=10, rule="random", share=0.5),
    ColdStart(Budgeted(0.02), rule="none"),
    ColdStart(Margin(0.3), examples=7),
    ColdStart(AnyOf((LeastConfidence(0.5), Entropy(0.9))), rule="random"),
    ColdStart(Random(0.1), examples=0),
    ColdStart(ColdStart(Budgeted(), examples=5), examples=20),
    Reserve(ColdStart(Budgeted(0.08)), earned=0.02),
    Reserve(Random(0.1), earned=1.0, share=1.0, events=3, size=1),
    ColdStart(Budgeted(0.05), examples=10, asks=80),
    VariableUncertainty(),
    VariableUncertainty(0.02, spread=1.0),
    VariableUncertainty(0.2, step=0.5, explore=0.0, burst=2),
    VariableUncertainty(1.0, spread=10.0),
    VariableUncertainty(0.0),
    Selective(),
    Selective(0.02, explore=0.0, burst=1),
    Selective(1.0),
    Selective(0.0),
    ColdStart(Selective(0.05), examples=10),
    Importance(0.05, explore=0.02),
    Apart(Budgeted()),
    ColdStart(Apart(Balanced(0.2), events=9), examples=10),
    Apart(Margin(0.3, explore=0.05), events=1),
    Budgeted(0.1, "committee"),
    Budgeted(0.1, "expected-change"),
    Budgeted(0.1, "fragility"),
    Balanced(),
    Balanced(0.3, explore=0.0, burst=1),
    Balanced(1.0),
    Balanced(0.0),
    Reserve(ColdStart(Balanced(0.2), examples=10)),
    default_strategy(),
]


@pytest.mark.parametrize("strategy", ALL, ids=repr)
def test_strategy_keeps_the_common_promises(strategy: QueryStrategy) -> None:
    check_strategy(strategy, events=500, keys=200)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ALL, ids=repr)
def test_strategy_keeps_the_common_promises_for_long(strategy: QueryStrategy) -> None:
    check_strategy(strategy, events=5000, keys=2000)


# ── the suite itself notices ─────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Broken(QueryStrategy):
    """Breaks one promise at a time."""

    how: Any = "nothing"

    def start(self) -> State:
        return {"list": [0], "big": tuple(range(1000)), "nan": (nan,)}.get(self.how, (0,))  # type: ignore[return-value]

    def decide(self, scores: Scores, state: State, draw: float) -> tuple[Decision, State]:
        count = state[0]
        propensity = 0.5
        utility = 1.0 - scores.margin
        utility = 1.0 if utility != utility else utility
        if self.how == "depends on the draw":
            propensity = 1.0 if draw < 0.2 else 0.1
        ask = draw < propensity
        reason = "random" if ask else "none"
        threshold: float | None = None
        after: Any = (count + 1,)
        match self.how:
            case "asks anyway":
                ask, reason = True, "random"
            case "lies":
                propensity = 0.2
            case "no reason":
                reason = "none"
            case "own reason":
                reason = "felt like it" if ask else "none"
            case "nan utility":
                utility = 1.0 - scores.margin
            case "nan threshold":
                threshold = nan
            case "too probable":
                propensity, ask, reason = 1.5, True, "random"
            case "remembers":
                Broken.calls = getattr(Broken, "calls", 0) + 1  # type: ignore[attr-defined]
                utility = float(Broken.calls)  # type: ignore[attr-defined]
            case "grows":
                after = (*state, count + 1)
            case "text":
                after = {count}
        return Decision(ask, utility, threshold, propensity, reason), after

    def rate(self) -> float:
        return 0.1 if self.how == "greedy" else 1.0

    def slack(self) -> float:
        return 3.0 if self.how == "greedy" else float("inf")


def test_the_suite_accepts_a_third_partys_strategy() -> None:
    check_strategy(Broken("nothing"), events=300, keys=50)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("list", "return a tuple of numbers"),
        ("big", "keep it under 1024"),
        ("nan", "keep finite numbers only"),
        ("asks anyway", "ask exactly when draw < propensity"),
        ("lies", "ask exactly when draw < propensity"),
        ("depends on the draw", "does not depend on the draw"),
        ("no reason", "it is 'none' exactly when nothing is asked"),
        ("own reason", "give one of cold-start, cost-limit, drift, explore"),
        ("nan utility", "return a finite number"),
        ("nan threshold", "give a finite number, or None"),
        ("too probable", "it is a probability"),
        ("remembers", "use nothing but the arguments"),
        ("grows", "keep it under 1024"),
        ("text", "the state is set; return a tuple"),
        ("greedy", "and slack() is 3"),
        ([], "cannot be hashed"),
    ],
)
def test_the_suite_names_the_broken_promise(how: Any, told: str) -> None:
    with pytest.raises(AssertionError, match="Broken") as caught:
        check_strategy(Broken(how), events=500, keys=50)
    assert told in str(caught.value)


def test_the_suite_refuses_a_strategy_that_can_be_changed() -> None:
    class Loose(Random):
        def __setattr__(self, name: str, value: object) -> None:
            object.__setattr__(self, name, value)

    with pytest.raises(AssertionError, match="frozen=True"):
        check_strategy(Loose(), events=10, keys=10)


def test_the_worst_window_is_that_of_trying_all() -> None:
    rng = random.Random(5)
    for _ in range(50):
        asked = [rng.random() < 0.3 for _ in range(rng.randrange(30))]
        windows = [asked[i:j] for i in range(len(asked)) for j in range(i, len(asked) + 1)]
        slow = max((sum(window) - 0.2 * len(window) for window in windows), default=0.0)
        assert most_over(asked, 0.2) == pytest.approx(slow)


# ── budgets ──────────────────────────────────────────────────────────────────────────────────────


def answer_of(utility: float, version: int = 1000) -> Scores:
    """An answer whose every utility is near this number."""
    first = 1.0 - utility / 2.0
    return scores({"a": first, "b": 1.0 - first}, version, 2)


RAW_NAN = Scores({"a": nan, "b": nan}, None, nan, nan, 1000, 2)
levels = st.floats(0.0, 1.0) | st.sampled_from([0.0, 1e-9, 0.5, 1.0])
runs = st.one_of(
    st.tuples(levels, st.integers(1, 400)).map(lambda run: [answer_of(run[0])] * run[1]),
    st.lists(levels, min_size=1, max_size=30).map(lambda found: [answer_of(u) for u in found]),
    st.tuples(levels, levels, st.integers(2, 300)).map(
        lambda trend: [answer_of(trend[0] + (trend[1] - trend[0]) * k / trend[2]) for k in range(trend[2])]
    ),
    st.tuples(levels, levels, st.integers(2, 300)).map(
        lambda pair: [answer_of(pair[k % 2]) for k in range(pair[2])]
    ),
    st.integers(1, 200).map(lambda n: [RAW_NAN] * n),
    st.integers(1, 200).map(lambda n: [scores({}, 0)] * n),
    st.integers(1, 200).map(lambda n: [scores({"a": 1.0}, 3)] * n),
)
streams = st.lists(runs, min_size=1, max_size=8).map(
    lambda found: [answer for run in found for answer in run]
)
budgeted = st.builds(
    lambda budget, share, burst, utility: Budgeted(budget, utility, budget * share, burst),
    st.sampled_from([0.0, 0.01, 0.1, 0.3, 1.0]) | st.floats(0.0, 1.0),
    st.sampled_from([0.0, 0.1, 1.0]),
    st.sampled_from([1, 3, 20]),
    st.sampled_from(["least-confidence", "margin", "entropy"]),
)
variable = st.builds(
    lambda budget, share, burst, spread, step: VariableUncertainty(
        budget, step, spread, budget * share, burst
    ),
    st.sampled_from([0.0, 0.01, 0.1, 1.0]),
    st.sampled_from([0.0, 0.1, 1.0]),
    st.sampled_from([1, 3, 20]),
    st.sampled_from([0.0, 1.0, 5.0]),
    st.sampled_from([0.01, 0.5]),
)
selective = st.builds(
    lambda budget, share, burst: Selective(budget, budget * share, burst),
    st.sampled_from([0.0, 0.01, 0.1, 1.0]),
    st.sampled_from([0.0, 0.1, 1.0]),
    st.sampled_from([1, 3, 20]),
)
balanced = st.builds(
    lambda budget, share, burst: Balanced(budget, budget * share, burst),
    st.sampled_from([0.0, 0.01, 0.1, 1.0]),
    st.sampled_from([0.0, 0.1, 1.0]),
    st.sampled_from([1, 3, 20]),
)
importance = st.builds(
    Importance, st.sampled_from([0.0, 0.01, 0.1, 1.0]), st.none(), st.sampled_from([1, 3, 20])
)
bucketed = budgeted | variable | selective | importance | balanced
with_bucket = bucketed | st.builds(Apart, bucketed, st.integers(1, 3000))
strategies_with_budget = with_bucket | st.builds(
    ColdStart,
    with_bucket,
    st.integers(0, 60),
    st.sampled_from(["all", "random", "none"]),
    st.floats(0.0, 1.0),
    st.none() | st.integers(0, 200),
)
draw_rules = st.sampled_from([lambda k: 0.0, lambda k: 1.0 - 2.0**-53, None])


@settings(max_examples=250, deadline=None)
@given(strategies_with_budget, streams, draw_rules, st.integers(0, 10))
def test_no_window_exceeds_the_budget_by_more_than_the_slack(
    strategy: QueryStrategy, stream: list[Scores], rule: Any, charged: int
) -> None:
    hashed = Draws("budget")
    state = strategy.start()
    asked = []
    for number, answer in enumerate(stream):
        draw = rule(number) if rule else hashed(str(number))
        decision, state = strategy.decide(answer, state, draw)
        asked.append(decision.ask)
        assert isfinite(decision.utility)
        if charged and number % 17 < charged:
            state = strategy.charge(state)
    assert isfinite(strategy.slack())
    assert most_over(asked, strategy.rate()) <= strategy.slack() + 1e-6


@settings(max_examples=100, deadline=None)
@given(
    strategies_with_budget,
    st.builds(dict, earned=levels, share=levels, events=st.integers(1, 200), size=st.integers(1, 30)),
    streams,
    draw_rules,
    st.integers(1, 100),
)
def test_no_alarm_makes_a_reserve_exceed_what_was_kept_back(
    then: QueryStrategy, kept: dict[str, Any], stream: list[Scores], rule: Any, alarm_every: int
) -> None:
    strategy, hashed = Reserve(then, **kept), Draws("reserve")
    state = strategy.start()
    asked, from_reserve = [], 0
    for number, answer in enumerate(stream):
        draw = rule(number) if rule else hashed(str(number))
        if number % alarm_every == 0:
            state = strategy.alarmed(state)
        decision, state = strategy.decide(answer, state, draw)
        assert decision.ask == (draw < decision.propensity)
        asked.append(decision.ask)
        from_reserve += decision.reason == "drift"
    assert from_reserve <= kept["earned"] * len(stream) + 1e-6, "nothing is saved before it was kept back"
    rate = then.rate() + kept["earned"]
    assert most_over(asked, rate) <= strategy.slack() + 1e-6


def test_a_reserve_asks_its_share_while_the_alarm_lasts_and_the_saved_do() -> None:
    strategy, draw = Reserve(Margin(0.0), earned=0.05, share=0.5, events=200, size=40), Draws("while")
    state = strategy.start()
    told = []
    for number in range(3000):
        if number in (1000, 2000):
            state = strategy.alarmed(state)
        decision, state = strategy.decide(answer_of(0.3), state, draw(str(number)))
        told.append(decision)
    asked = [number for number, decision in enumerate(told) if decision.ask]
    assert asked
    assert {decision.reason for decision in told} == {"none", "drift"}
    assert all(1000 <= number < 1200 or 2000 <= number < 2200 for number in asked)
    for first in (1000, 2000):
        spent = sum(first <= number < first + 200 for number in asked)
        assert 40 <= spent <= 40 + 200 * 0.05
    assert {decision.propensity for decision in told[:1000]} == {0.0}
    assert {decision.propensity for decision in told[1000:1050]} == {0.5}


@settings(max_examples=100, deadline=None)
@given(bucketed, streams)
@example(Budgeted(0.5, burst=3), [answer_of(1.0)] * 50)
def test_without_exploration_draws_that_are_all_low_still_keep_the_budget(
    strategy: Bucketed, stream: list[Scores]
) -> None:
    state = strategy.start()
    tokens = [state[1]]
    for answer in stream:
        _, state = strategy.decide(answer, state, 0.0)
        tokens.append(state[1])
    assert max(tokens) <= strategy.burst
    assert min(tokens) >= -strategy.burst - 1 - 1e-9


def beta(rng: random.Random) -> Scores:
    return answer_of(rng.betavariate(0.5, 3.0))


def few_leaves(rng: random.Random) -> Scores:
    return answer_of(rng.choice((0.02, 0.1, 0.35, 0.8)))


def three_classes(rng: random.Random) -> Scores:
    values = [rng.random() ** 4 for _ in range(3)]
    return scores({c: v / sum(values) for c, v in zip("abc", values, strict=True)}, 1000)


def drifting(rng: random.Random, step: list[int] = [0]) -> Scores:  # noqa: B006 - a counter
    step[0] += 1
    return answer_of(min(1.0, rng.betavariate(0.5, 3.0) * (0.3 + 0.7 * (step[0] // 5000 % 2))))


@pytest.mark.parametrize("budget", [0.01, 0.05, 0.1, 0.2, 0.3])
@pytest.mark.parametrize("stream", [beta, few_leaves, three_classes, drifting], ids=lambda f: f.__name__)
@pytest.mark.parametrize("kind", [Budgeted, VariableUncertainty, Selective, Importance, Balanced])
def test_a_long_ordinary_stream_is_asked_for_its_budget(budget: float, stream: Any, kind: Any) -> None:
    rng = random.Random(11)
    strategy, draw = kind(budget), Draws(f"long {budget}")
    state = strategy.start()
    events = int(1500 / budget)
    asked = 0
    for number in range(events):
        decision, state = strategy.decide(stream(rng), state, draw(str(number)))
        asked += decision.ask
    assert asked / events == pytest.approx(budget, rel=0.02)


def test_a_model_that_is_always_sure_or_never_sure_is_still_asked_for_the_budget() -> None:
    for utility in (0.0, 1e-12, 0.5, 1.0):
        strategy, draw = Budgeted(0.1), Draws("always")
        state = strategy.start()
        asked = 0
        for number in range(20_000):
            decision, state = strategy.decide(answer_of(utility), state, draw(str(number)))
            asked += decision.ask
        share = asked / 20_000
        # Below what the log-odds can tell apart nothing is worth asking: what is left is exploration.
        assert share == pytest.approx(0.1, rel=0.05) if utility > 1e-6 else 0.005 < share <= 0.1 * 1.02, (
            utility
        )


def test_exploration_asks_its_share_of_what_the_model_is_sure_of() -> None:
    strategy, draw = Budgeted(0.1, explore=0.03), Draws("explore")
    rng = random.Random(3)
    state = strategy.start()
    sure = asked = 0
    for number in range(60_000):
        decision, state = strategy.decide(beta(rng), state, draw(str(number)))
        if decision.propensity == 0.03:
            sure += 1
            asked += decision.ask
    assert sure > 40_000
    assert asked / sure == pytest.approx(0.03, rel=0.1)


def test_an_unsure_stretch_is_asked_more_than_a_sure_one() -> None:
    strategy, draw = Budgeted(0.1, burst=50), Draws("stretch")
    rng = random.Random(4)
    state = strategy.start()
    counts = {"sure": 0, "unsure": 0}
    for number in range(20_000):
        kind = "unsure" if number % 1000 < 100 else "sure"
        utility = rng.uniform(0.6, 1.0) if kind == "unsure" else rng.uniform(0.0, 0.3)
        decision, state = strategy.decide(answer_of(utility), state, draw(str(number)))
        counts[kind] += decision.ask
    assert counts["unsure"] / 2_000 > 1.5 * counts["sure"] / 18_000


def test_a_loan_is_repaid_so_that_the_whole_keeps_the_budget() -> None:
    strategy, draw = Budgeted(0.1), Draws("loan")
    rng = random.Random(6)
    state = strategy.start()
    for _ in range(200):
        state = strategy.charge(state)
    asked = 0
    for number in range(20_000):
        decision, state = strategy.decide(beta(rng), state, draw(str(number)))
        asked += decision.ask
    assert state[2] == 0.0
    assert (asked + 200) / 20_000 == pytest.approx(0.1, rel=0.03)


def test_a_budget_of_nothing_asks_nothing() -> None:
    strategy = Budgeted(0.0)
    state = strategy.start()
    for answer in [scores({}), answer_of(1.0), answer_of(0.0), RAW_NAN] * 50:
        decision, state = strategy.decide(answer, state, 0.0)
        assert not decision.ask


# ── variable uncertainty, selective sampling ─────────────────────────────────────────────────────


def test_a_variable_threshold_falls_with_a_question_and_rises_where_there_was_none() -> None:
    strategy = VariableUncertainty(0.5, step=0.1, explore=0.0)
    asked, state = strategy.decide(answer_of(0.8), strategy.start(), 0.999)
    assert (asked.ask, asked.propensity, state[0]) == (True, 1.0, pytest.approx(0.9))
    passed, state = strategy.decide(answer_of(0.1), state, 0.999)
    assert (passed.ask, passed.propensity, state[0]) == (False, 0.0, pytest.approx(0.99))
    assert passed.threshold == pytest.approx(0.1)


def test_a_variable_threshold_rests_while_there_is_no_token() -> None:
    strategy = VariableUncertainty(0.1, explore=0.0)
    decision, after = strategy.decide(answer_of(1.0), (0.9, 0.2, 0.0), 0.0)
    assert (decision.ask, after[0]) == (False, 0.9)


def test_a_randomised_threshold_asks_as_often_as_a_normal_factor_would() -> None:
    rng = random.Random(2)
    strategy = VariableUncertainty(0.5, spread=1.0, explore=0.0)
    for level, utility in ((1.0, 0.2), (0.7, 0.9), (0.6, 0.01)):
        answer = answer_of(utility)
        decision, _ = strategy.decide(answer, (level, 10.0, 0.0), 0.5)
        often = sum(answer.confidence < level * rng.gauss(1.0, 1.0) for _ in range(40_000)) / 40_000
        assert decision.propensity == pytest.approx(often, abs=0.01)


def test_selective_sampling_asks_by_the_margin_in_log_odds() -> None:
    strategy = Selective(0.2, explore=0.0)
    for probability in (0.5, 0.7, 0.99):
        answer = scores({"a": probability, "b": 1.0 - probability}, 1000, 2)
        decision, _ = strategy.decide(answer, (0.7, 10.0, 0.0), 0.5)
        apart = log(probability / (1.0 - probability))
        assert decision.propensity == pytest.approx(exp(0.7) / (exp(0.7) + apart))


def test_selective_sampling_gives_every_event_a_chance_however_sure_the_model_is() -> None:
    strategy, draw = Selective(0.1, explore=0.0), Draws("chance")
    rng = random.Random(5)
    state = strategy.start()
    never = 0
    for number in range(5_000):
        answer = scores({"a": 1.0, "b": 0.0}, 1000, 2) if number % 3 == 0 else beta(rng)
        decision, state = strategy.decide(answer, state, draw(str(number)))
        never += decision.propensity == 0.0
    assert never < 250


def test_parts_of_a_stream_divide_what_is_a_number_of_events() -> None:
    parts = ColdStart(Apart(Balanced(0.1, burst=20), events=600), examples=40).divided(4)
    assert parts == ColdStart(Apart(Balanced(0.1, burst=5), events=150), examples=40, asks=10)


def test_balance_divides_the_odds_of_a_utility_by_how_often_its_class_was_asked_about() -> None:
    strategy = Balanced(1.0, explore=1.0)
    sides = {label: scores({"a": p, "b": 1.0 - p}, 1000, 2) for label, p in (("a", 0.8), ("b", 0.2))}
    state, asked = strategy.start(), 0
    for number in range(60):
        decision, state = strategy.decide(sides["b" if number % 4 == 0 else "a"], state, 0.0)
        asked += decision.ask
    assert asked == 60
    for label, count in (("a", 45), ("b", 15)):
        odds = (0.4 / 0.6) / (2 * (count + 1) / 62)
        assert strategy.decide(sides[label], state, 0.0)[0].utility == pytest.approx(odds / (1.0 + odds))


def test_balance_asks_more_about_a_rare_class_than_budgeted_does() -> None:
    def asked(strategy: QueryStrategy) -> tuple[int, int]:
        rng, draw, state, found = random.Random(3), Draws("rare"), strategy.start(), {True: 0, False: 0}
        for number in range(20_000):
            rare, first = rng.random() < 0.02, 0.5 + rng.random() / 2
            answer = scores({"a": 1.0 - first, "b": first} if rare else {"a": first, "b": 1.0 - first}, 1000)
            decision, state = strategy.decide(answer, state, draw(str(number)))
            found[rare] += decision.ask
        return found[True], found[True] + found[False]

    (rare, of), (usual, among) = asked(Balanced(0.1)), asked(Budgeted(0.1))
    assert rare > 2 * usual
    assert of == pytest.approx(among, rel=0.02)


def test_the_state_of_a_balanced_strategy_within_every_limit_stays_small() -> None:
    strategy: QueryStrategy = Reserve(ColdStart(Balanced(1.0), examples=1))
    strategy = Limited(strategy, labels_per_day=1e6, labels_total=1e6, quotas=(Quota("predicted", 1.0),))
    state = strategy.start()
    for number in range(200):
        answer = scores({str(label): float(label == number % 40) for label in range(40)}, 1000)
        _, state = strategy.decide(answer, state, 0.0)
    assert len(json.dumps(state)) < 1024


def sketched(utility: float, sketch: int) -> Scores:
    return msgspec.structs.replace(answer_of(utility), sketch=sketch)


def test_what_is_near_to_the_last_queries_is_asked_about_by_exploration_alone() -> None:
    strategy = Apart(Margin(0.5, explore=0.1), events=96)
    state = strategy.start()
    for place, asked in ((0, True), (0, False), (1, False), (7, True), (5, False), (255, True), (0, False)):
        decision, state = strategy.decide(sketched(0.9, place), state, 0.5)
        assert (decision.ask, decision.propensity) == (asked, 1.0 if asked else 0.1)
        assert decision.utility == pytest.approx(0.9)
    assert [it for it in state[1:] if it] == [1, 8, 256]


def test_a_query_is_remembered_for_so_many_events_and_no_longer() -> None:
    strategy = Apart(Margin(0.5), events=96)
    state, asked = strategy.start(), []
    for number in range(300):
        decision, state = strategy.decide(sketched(0.9, 5), state, 0.5)
        asked += [number] * decision.ask
    gaps = [later - one for one, later in itertools.pairwise(asked)]
    assert len(gaps) == 3
    assert all(93 <= gap <= 96 for gap in gaps), "in steps of 96/32 events"


def test_what_is_not_asked_again_leaves_its_budget_to_others() -> None:
    def asked(strategy: QueryStrategy) -> tuple[int, int]:
        rng, draw, state, found = random.Random(4), Draws("apart"), strategy.start(), [0, 0]
        for number in range(10_000):
            alike = rng.random() < 0.5
            answer = sketched(0.9 if alike else rng.random() * 0.8, 0 if alike else rng.getrandbits(24))
            decision, state = strategy.decide(answer, state, draw(str(number)))
            found[alike] += decision.ask
        return found[0], found[1]

    (other, alike), (before, usual) = asked(Apart(Budgeted(0.1))), asked(Budgeted(0.1))
    assert alike < usual / 2
    assert other > 2 * before
    assert other + alike == pytest.approx(usual + before, rel=0.02)


# ── cold start ───────────────────────────────────────────────────────────────────────────────────


def test_a_cold_start_asks_every_event_until_it_has_asked_enough() -> None:
    strategy = ColdStart(Budgeted(0.1), examples=5)
    state = strategy.start()
    reasons = []
    for _ in range(8):
        decision, state = strategy.decide(scores({}, 0), state, 0.999)
        reasons.append(decision.reason)
    assert reasons == ["cold-start"] * 5 + ["none"] * 3


def test_a_cold_start_ends_with_the_examples_learned_and_two_classes() -> None:
    strategy = ColdStart(Margin(0.2), examples=5)
    one_class = scores({"a": 1.0}, 9)
    assert strategy.decide(one_class, (0,), 0.5)[0].reason == "cold-start"
    assert strategy.decide(answer_of(0.1, version=4), (0,), 0.5)[0].reason == "cold-start"
    assert strategy.decide(answer_of(0.1, version=5), (0,), 0.5)[0].reason == "none"
    assert strategy.decide(answer_of(0.9, version=5), (0,), 0.5)[0].reason == "uncertain"


def test_a_cold_start_goes_on_asking_only_while_the_answers_are_late() -> None:
    strategy = ColdStart(Budgeted(0.01), examples=5, asks=12)
    for arrives_after, expected in ((0, 5), (3, 8), (10**6, 12)):
        state, asked = strategy.start(), 0
        for number in range(30):
            known = max(0, min(asked, number - arrives_after))
            answer = scores({"a": 0.995, "b": 0.005}, known) if known else scores({}, 0)
            decision, state = strategy.decide(answer, state, 0.999)
            asked += decision.ask
        assert asked == expected, arrives_after


def test_a_late_cold_start_is_repaid_like_any_other() -> None:
    strategy, draw = ColdStart(Budgeted(0.1), examples=50, asks=while_late(50, 0.1)), Draws("late")
    rng = random.Random(8)
    state, asked, events = strategy.start(), 0, 20_000
    for number in range(events):
        answer = scores({}, 0) if number < 2_000 else beta(rng)
        decision, state = strategy.decide(answer, state, draw(str(number)))
        asked += decision.ask
    assert asked / events == pytest.approx(0.1, rel=0.02)


def test_while_its_labels_are_late_a_cold_start_without_a_budget_asks_its_share() -> None:
    strategy = ColdStart(Margin(0.2), examples=3, share=0.25)
    decision, state = strategy.decide(scores({}, 0), (3,), 0.2)
    assert (decision.ask, decision.propensity, decision.reason) == (True, 0.25, "cold-start")
    assert not strategy.decide(scores({}, 0), state, 0.25)[0].ask


@pytest.mark.parametrize("threshold", [LeastConfidence(0.7), Margin(0.2), Entropy(0.5)])
def test_fixed_thresholds_ask_where_the_model_gives_nan(threshold: QueryStrategy) -> None:
    assert threshold.decide(RAW_NAN, (), 0.99)[0].ask


def test_any_of_asks_when_one_member_asks_and_reports_its_propensity() -> None:
    strategy = AnyOf([LeastConfidence(0.5, explore=0.1), Margin(0.2, explore=0.3)])  # type: ignore[arg-type]
    assert hash(strategy) == hash(AnyOf(strategy.members))
    sure = scores({"a": 0.9, "b": 0.1})
    assert strategy.decide(sure, (), 0.2)[0].reason == "explore"
    assert strategy.decide(sure, (), 0.2)[0].propensity == 0.3
    assert not strategy.decide(sure, (), 0.3)[0].ask


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Budgeted(nan), "budget = nan"),
        (lambda: Budgeted(-0.1), "budget = -0.1"),
        (lambda: Budgeted(0.1, explore=0.2), "explore = 0.2"),
        (lambda: Budgeted(utility="boldness"), "least-confidence, margin, entropy"),
        (lambda: Budgeted(burst=0), "burst = 0"),
        (lambda: ColdStart(examples=-1), "examples = -1"),
        (lambda: ColdStart(asks=-1), "asks = -1"),
        (lambda: ColdStart(rule="some"), "all, random, none"),
        (lambda: ColdStart(share=2.0), "share = 2.0"),
        (lambda: Random(1.1), "budget = 1.1"),
        (lambda: VariableUncertainty(step=0.0), "step = 0.0"),
        (lambda: VariableUncertainty(spread=nan), "spread = nan"),
        (lambda: VariableUncertainty(0.1, explore=0.2), "explore = 0.2"),
        (lambda: Apart(events=0), "events = 0"),
        (lambda: Balanced(2.0), "budget = 2.0"),
        (lambda: Balanced(0.1, explore=0.2), "explore = 0.2"),
        (lambda: Selective(2.0), "budget = 2.0"),
        (lambda: Selective(burst=0), "burst = 0"),
        (lambda: Importance(explore=0.0), "explore = 0.0"),
        (lambda: Importance(0.1, explore=0.2), "explore = 0.2"),
        (lambda: Margin(nan), "threshold = nan"),
        (lambda: LeastConfidence(explore=-1.0), "explore = -1.0"),
        (lambda: Entropy(2.0), "threshold = 2.0"),
        (lambda: AnyOf(()), "one or more"),
        (lambda: AnyOf((Budgeted(),)), "fixed thresholds"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused_by_name(make: Any, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        make()
