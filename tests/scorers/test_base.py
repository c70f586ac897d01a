"""Functions compiled for names: when they are made, how long they last, and who answers when they fail."""

from __future__ import annotations

from typing import Any

import pytest

from stream_al.scorers.base import Compile, Compiled, Scorer

WHOLE = {"a": 1.0, "b": 2.0}
WORTH = 3


class Compiler:
    """Notes who was asked: River, or a function made for names."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.made: list[tuple[str, ...]] = []
        self.failing = False

    def compile_for(self, names: tuple[str, ...]) -> Any:
        self.made.append(names)
        if self.failing:
            raise KeyError(names)
        return lambda x: self._answer("compiled", {name: x[name] / 1.0 for name in names})

    def river(self, x: dict[str, Any]) -> dict[str, float]:
        return self._answer("river", x)

    def _answer(self, who: str, x: dict[str, Any]) -> dict[str, float]:
        self.asked.append(who)
        return x


@pytest.fixture
def compiler() -> Compiler:
    return Compiler()


@pytest.fixture
def scorer(compiler: Compiler) -> Scorer:
    made = Compiled(Compile(compiler.compile_for), compiler.river, WORTH)
    made.know(("a", "b"))
    return made


def ask(scorer: Scorer, x: dict[str, Any], times: int) -> None:
    for _ in range(times):
        assert scorer(x) == x


def test_a_function_is_made_once_as_many_events_have_come_as_it_is_worth(
    scorer: Scorer, compiler: Compiler
) -> None:
    ask(scorer, WHOLE, WORTH)
    assert compiler.made == []
    ask(scorer, WHOLE, 5)
    assert compiler.made == [("a", "b")]
    assert compiler.asked == ["river"] * WORTH + ["compiled"] * 5


def test_after_a_busy_stretch_the_next_function_is_made_at_once(scorer: Scorer, compiler: Compiler) -> None:
    ask(scorer, WHOLE, WORTH + 1)
    scorer.forget(WHOLE)
    compiler.asked.clear()
    ask(scorer, WHOLE, 1)
    assert compiler.asked == ["compiled"]
    scorer.forget(WHOLE)  # that was no busy stretch
    compiler.asked.clear()
    ask(scorer, WHOLE, WORTH)
    assert compiler.asked == ["river"] * WORTH


def test_where_an_example_follows_every_few_events_nothing_is_ever_compiled(
    scorer: Scorer, compiler: Compiler
) -> None:
    for _ in range(20):
        ask(scorer, WHOLE, WORTH)
        scorer.forget(WHOLE)
    assert compiler.made == []


def test_each_set_of_names_has_its_own_function_until_the_next_example(
    scorer: Scorer, compiler: Compiler
) -> None:
    for _ in range(2):
        ask(scorer, {"b": 1.0}, WORTH + 2)
        ask(scorer, {"a": 1.0}, WORTH + 2)
        scorer.forget(WHOLE)
    assert compiler.made == [("b",), ("a",)] * 2


def test_the_sets_of_names_that_are_kept_are_bounded(scorer: Scorer) -> None:
    for number in range(1000):
        ask(scorer, {f"word {number}": 1.0}, 1 + number % (WORTH + 2))
    assert len(vars(scorer)["_others"]) <= 64


def test_an_event_a_function_stumbles_over_is_rivers(scorer: Scorer, compiler: Compiler) -> None:
    ask(scorer, WHOLE, WORTH + 1)
    compiler.asked.clear()
    ask(scorer, {"a": "text", "b": 1.0}, 1)
    ask(scorer, WHOLE, 1)
    assert compiler.asked == ["river", "compiled"]


def test_a_state_that_cannot_be_compiled_is_rivers_and_not_tried_again(
    scorer: Scorer, compiler: Compiler
) -> None:
    compiler.failing = True
    ask(scorer, WHOLE, WORTH + 10)
    assert compiler.made == [("a", "b")]
    assert set(compiler.asked) == {"river"}
