"""`digest`: equal for equal states in every process, different for any other."""

from __future__ import annotations

import collections
import copy
import functools
import operator
import os
import pickle
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import compose, ensemble, linear_model, naive_bayes, preprocessing, proba, tree

from stream_al.digest import deep_recursion, digest, state_of, visit


class Node:
    def __init__(self, value: Any = None, parent: Any = None) -> None:
        self.value = value
        self.parent = parent


class Slotted:
    __slots__ = ("left", "value")

    def __init__(self, value: Any) -> None:
        self.value = value


class Listed(list[Any]):
    pass


ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters())
    | st.binary()
    | st.complex_numbers(allow_nan=False)
)
STATES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.builds(Node, inner)
        | st.builds(Slotted, inner)
        | st.frozensets(st.text() | st.integers())
    ),
    max_leaves=12,
)


@given(STATES)
def test_copies_and_restarts_have_the_same_digest(state: Any) -> None:
    assert digest(copy.deepcopy(state)) == digest(state)
    assert digest(pickle.loads(pickle.dumps(state))) == digest(state)  # noqa: S301


@given(
    st.lists(
        st.recursive(ATOMS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)), max_size=4
    )
)
def test_different_states_have_different_digests(states: list[Any]) -> None:
    # `repr` tells 1, 1.0 and True apart, and 0.0 from -0.0
    sorted_states = [_in_order(state) for state in states]
    assert len({digest(state) for state in states}) == len({repr(state) for state in sorted_states})


def _in_order(state: Any) -> Any:
    if isinstance(state, dict):
        return {key: _in_order(state[key]) for key in sorted(state)}
    return [_in_order(part) for part in state] if isinstance(state, list) else state


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1, 2], (1, 2)),
        (["ab", "c"], ["a", "bc"]),
        ([["a"], "b"], ["a", ["b"]]),
        ([[], []], [[[]]]),
        ({"a": "b"}, ["a", "b"]),
        ({1}, frozenset({1})),
        ([1], Listed([1])),
        ([1], collections.deque([1])),
        ({"a": 1}, collections.OrderedDict(a=1)),
        (collections.defaultdict(int), collections.defaultdict(float)),
        (1, True),
        (0.0, -0.0),
        (1.0, np.float64(1.0)),
        (np.float32(1.0), np.float64(1.0)),
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (np.array([1, 2]), np.array([1, 3])),
        (Node(1), Node(2)),
        (Slotted(1), Slotted(2)),
        ("é", "e\u0301"),
        (b"a", "a"),
        (len, max),
        (int, "int"),
        (re.compile("a").findall, re.compile("b").findall),
        (operator.itemgetter("a"), operator.itemgetter("b")),
        (str.lower, str.upper),
        (functools.partial(round, ndigits=1), functools.partial(round, ndigits=2)),
        (random.Random(1), random.Random(2)),
        (np.random.RandomState(1), np.random.RandomState(2)),
        (Node(1).__init__, Node(2).__init__),  # type: ignore[misc]
    ],
)
def test_look_alikes_differ_and_are_equal_to_themselves(one: Any, other: Any) -> None:
    assert digest(one) != digest(other)
    assert digest(one) == digest(one)
    assert digest([one, one]) == digest([one, copy.deepcopy(one)])


def taught(estimator: Any) -> Any:
    rng = random.Random(5)
    for number in range(300):
        x = {name: rng.gauss(number % 3, 1.0) for name in "abc"}
        estimator.learn_one(x, number % 2 == 0)
    return estimator


MODELS = {
    "scaled": lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    "tree": lambda: tree.HoeffdingTreeClassifier(grace_period=50, delta=0.1),
    "bayes": naive_bayes.GaussianNB,
    "bagging": lambda: ensemble.BaggingClassifier(tree.HoeffdingTreeClassifier(), n_models=2, seed=1),
}


def leaves(thing: Any, seen: set[int]) -> list[tuple[Any, Any]]:
    """Every place in a state that holds a float: what holds it, and where."""
    if id(thing) in seen or isinstance(thing, type):
        return []
    seen.add(id(thing))
    inside = thing if isinstance(thing, dict | list) else getattr(thing, "__dict__", {})
    found = []
    for key, value in list(inside.items()) if isinstance(inside, dict) else enumerate(inside):
        if type(value) is float:
            found.append((inside, key))
        elif key != "_plan":
            found += leaves(value, seen)
    return found


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_one_bit_of_any_float_of_a_model_shows(make: Any) -> None:
    model = taught(make())
    before = digest(model)
    places = leaves(model, set())
    assert len(places) > 5
    for holder, key in places[:: max(1, len(places) // 60)]:
        value = holder[key]
        holder[key] = float(np.nextafter(value, np.inf))
        assert digest(model) != before
        holder[key] = value
    assert digest(model) == before


def test_one_bit_of_a_weight_kept_in_rust_shows() -> None:
    model = taught(linear_model.LogisticRegression())
    before = digest(model)
    model._weights["a"] = float(np.nextafter(model._weights["a"], np.inf))
    assert digest(model) != before


def test_what_never_matters_is_left_out() -> None:
    assert digest(proba.Gaussian()) == digest(proba.Gaussian())
    one, other = taught(naive_bayes.GaussianNB()), taught(naive_bayes.GaussianNB())
    assert digest(one) == digest(other)
    used, fresh = MODELS["scaled"](), MODELS["scaled"]()
    used.predict_proba_one({})  # makes its plan
    assert digest(used) == digest(fresh)


def test_the_order_of_dictionaries_and_sets_does_not_matter_and_that_of_lists_does() -> None:
    assert digest({"a": [1], "b": {2}}) == digest({"b": {2}, "a": [1]})
    assert digest({8, 0}) == digest({0, 8})  # these collide: their order is that of arrival
    assert digest([1, 2]) != digest([2, 1])


def test_it_does_not_matter_which_equal_objects_are_one() -> None:
    shared = Node(1.5)
    assert digest([shared, shared]) == digest([Node(1.5), Node(1.5)])
    assert digest([(1.5,), (1.5,)]) == digest([(1.5,)] * 2)


def test_cycles_end_and_show() -> None:
    def ring(size: int, value: Any = None) -> Node:
        first = Node(value)
        last = first
        for _ in range(size - 1):
            last = Node(None, last)
        first.parent = last
        return first

    assert digest(ring(3)) == digest(ring(3))
    assert len({digest(ring(1)), digest(ring(2)), digest(ring(3)), digest(ring(3, 1.0))}) == 4
    itself: list[Any] = []
    itself.append(itself)
    assert digest(itself) == digest(copy.deepcopy(itself))


@pytest.mark.parametrize("kind", ["list", "dict", "object", "tuple"])
def test_ten_thousand_levels_are_no_problem(kind: str) -> None:
    def deep(bottom: float) -> Any:
        thing: Any = bottom
        for _ in range(10_000):
            thing = {"list": [thing], "dict": {"a": thing}, "object": Node(thing), "tuple": (thing,)}[kind]
        return thing

    one = deep(1.0)
    before = sys.getrecursionlimit()
    assert digest(one) == digest(deep(1.0))
    assert digest(one) != digest(deep(1.5))
    assert sys.getrecursionlimit() == before


def test_temporary_states_are_not_confused() -> None:
    # each state is a new object, which may get the address of the one before
    nodes = [Slotted(number % 2) for number in range(1000)]
    assert digest(nodes) == digest([copy.copy(node) for node in nodes])
    assert digest(nodes) != digest([Slotted(1 - number % 2) for number in range(1000)])


def test_visit_sees_every_part_once() -> None:
    inner = Node(1)
    seen: list[object] = []
    visit([inner, inner, int, len], seen.append)
    assert seen.count(inner) == 1
    assert int in seen
    assert len in seen


def test_state_of_tells_what_an_object_is_made_of() -> None:
    assert state_of(Node(1))[2] == {"value": 1, "parent": None}
    assert "_rng" not in state_of(proba.Gaussian())[2]
    assert "_plan" not in state_of(compose.Pipeline(preprocessing.StandardScaler()))[2]
    assert state_of(Listed([1]))[3] == [1]


def test_the_recursion_limit_comes_back_after_an_error() -> None:
    before = sys.getrecursionlimit()
    with pytest.raises(RuntimeError), deep_recursion():
        raise RuntimeError
    assert sys.getrecursionlimit() == before


def test_processes_agree() -> None:
    outputs = [
        subprocess.run(
            [sys.executable, __file__],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[1])},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert len(outputs[0].split()) == len(MODELS) + 1


if __name__ == "__main__":
    for make in MODELS.values():
        print(digest(taught(make())))
    print(digest([{"b", "a", "c"}, frozenset({"x", "y"}), {"k": {"w", "v"}}]))
