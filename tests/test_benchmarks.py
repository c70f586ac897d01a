"""The guard of the ratios and the benchmarks' turns: what they conclude from times, not the times."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import bench
import ratios
from turns import CALIBRATION, ratio, take_turns, undisturbed

NAME = "GaussianNB"
FINE = dict.fromkeys(ratios.BOUNDS[NAME], 0.01) | {"bare": 1.0}
SLOW = FINE | {"decide": 9.0}


def test_turns_are_taken_in_order_and_the_first_round_is_left_out() -> None:
    now, called = [0.0], []

    def way(name: str, seconds: float) -> Any:
        def work(number: int) -> None:
            called.append((name, number))
            now[0] += seconds

        return work

    rounds = take_turns({"a": way("a", 1.0), "b": way("b", 2.0)}, 2, clock=lambda: now[0])
    assert called == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    assert [(found["a"], found["b"]) for found in rounds] == [(1e6, 2e6)] * 2
    assert ratio(rounds, "b", "a") == "2.00× (2.00-2.00)"


def test_a_round_in_which_the_fixed_loop_took_longer_is_disturbed() -> None:
    rounds = [{CALIBRATION: time} for time in (100.0, 101.0, 109.0, 130.0, 99.0)]
    assert [found[CALIBRATION] for found in undisturbed(rounds)] == [100.0, 101.0, 109.0, 99.0]


@pytest.mark.parametrize(
    ("tries", "expected", "made"),
    [
        ([[FINE] * 12], [], 1),
        ([[SLOW] * 12, [FINE] * 12], [], 2),
        ([[SLOW] * 12] * 3, ["decide: 9.00 times bare, more than 0.4"], 3),
        ([[SLOW] * 5 + [FINE] * 7], [], 1),
        ([[SLOW] * 3, [FINE] * 12], [], 2),
        ([[SLOW] * 12, [SLOW] * 2, [SLOW] * 2], ["decide: 9.00 times bare, more than 0.4"], 3),
        ([[SLOW] * 3] * 3, None, 3),
    ],
)
def test_the_guard_fails_only_for_what_is_slow_whenever_it_can_tell(
    monkeypatch: pytest.MonkeyPatch,
    tries: list[list[dict[str, float]]],
    expected: list[str] | None,
    made: int,
) -> None:
    left = iter(tries)
    monkeypatch.setattr(ratios, "measure", lambda *given: next(left))
    assert ratios.tried(NAME, 3, Console(file=io.StringIO())) == expected
    assert len(tries) - len(list(left)) == made


def test_every_benchmark_is_among_those_that_are_printed() -> None:
    scripts = {path.stem for path in bench.HERE.glob("*.py") if "def main(" in path.read_text("utf-8")}
    of_kafka_cost = {"kafka_bare"}
    assert scripts - of_kafka_cost - {"bench", "ratios"} == set(bench.QUICK)
