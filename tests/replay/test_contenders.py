import pytest

from stream_al import ConfigError
from stream_al.config import StrategyConfig
from stream_al.draws import Draws
from stream_al.replay.contenders import (
    all_labels,
    matched_random,
    matched_share,
    most_while_late,
    parse_strategy,
)
from stream_al.strategies import (
    Apart,
    Balanced,
    Budgeted,
    ColdStart,
    Entropy,
    Importance,
    LeastConfidence,
    Margin,
    Selective,
    VariableUncertainty,
    while_late,
)

IDS = [f"e{n}" for n in range(1000)]


@pytest.mark.parametrize("utility", ["margin", "least-confidence", "entropy"])
def test_a_utility_names_a_budgeted_strategy(utility):
    contender = parse_strategy(utility, budget=0.2, explore=0.05, cold_start=7)
    assert contender.name == utility
    assert contender.strategy == ColdStart(Budgeted(0.2, utility, 0.05), 7, asks=while_late(7, 0.2))


def test_other_rules_within_a_budget_have_names_too():
    for name, inner in (
        ("variable", VariableUncertainty(0.2, explore=0.05)),
        ("selective", Selective(0.2, 0.05)),
        ("importance", Importance(0.2, 0.05)),
        ("balanced", Balanced(0.2, 0.05)),
        ("apart", Apart(Budgeted(0.2, explore=0.05))),
        ("committee", Budgeted(0.2, "committee", 0.05)),
        ("expected-change", Budgeted(0.2, "expected-change", 0.05)),
        ("fragility", Budgeted(0.2, "fragility", 0.05)),
    ):
        found = parse_strategy(name, budget=0.2, explore=0.05, cold_start=7)
        assert found.strategy == ColdStart(inner, 7, asks=while_late(7, 0.2))


def test_a_replayed_strategy_is_that_of_a_pipeline_configured_alike():
    config = StrategyConfig(budget=0.2)
    assert parse_strategy("margin", budget=0.2, cold_start=50).strategy == config.build()


@pytest.mark.parametrize(
    ("cold_start", "budget", "events", "most"),
    [(50, 0.1, 100_000, 200), (50, 0.1, 2_000, 100), (50, 0.1, 400, 50), (0, 0.1, 100_000, 0)],
)
def test_a_late_cold_start_asks_no_more_than_the_stream_can_repay(cold_start, budget, events, most):
    assert most_while_late(cold_start, budget, events) == most


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ("margin<0.2", Margin(0.2)),
        ("confidence<0.7", LeastConfidence(0.7)),
        (" Entropy > .5 ", Entropy(0.5)),
    ],
)
def test_a_comparison_names_a_fixed_threshold(text, inner):
    assert parse_strategy(text).strategy.then == inner


@pytest.mark.parametrize("text", ["margn", "margin>0.2", "entropy<0.5", "margin<", "margin<x", "", "random!"])
def test_an_unknown_strategy_is_refused_with_the_names_there_are(text):
    with pytest.raises(ConfigError, match=r"no such strategy; there are .*margin.*random, all.*entropy>0.5"):
        parse_strategy(text)


@pytest.mark.parametrize(
    ("text", "options"), [("margin<1.5", {}), ("margin", {"budget": 0.1, "explore": 0.2})]
)
def test_a_number_out_of_its_range_is_named(text, options):
    with pytest.raises(ConfigError, match=r"--strategy .*: (threshold|explore) = .* must be a share"):
        parse_strategy(text, **options)


@pytest.mark.parametrize(("budget", "cold"), [(0.1, 50), (0.3, 0), (0.05, 50), (0.02, 50), (1.0, 50)])
def test_random_spends_the_budget_to_the_last_label(budget, cold):
    share = matched_share(IDS, budget=budget, cold_start=cold, key="k")
    asked = sum(n < cold or Draws("k")(event_id) < share for n, event_id in enumerate(IDS))
    assert asked == max(cold, round(budget * len(IDS)))


def test_baselines_are_told_apart():
    contenders = [
        parse_strategy("margin"),
        matched_random(IDS, budget=0.1, cold_start=5, key="k"),
        all_labels(),
    ]
    assert [contender.baseline for contender in contenders] == [False, True, True]
