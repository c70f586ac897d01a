"""The contract: with a scorer a model answers what it answers through River, to the last bit.

Answers are compared as text, which tells floats apart by every bit, and 0 from 0.0 and −0.0, and shows the order of
the classes; where there is none, by the reason given. Run this over every new release of River.
"""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from river_models import examples
from scorers.families import FAMILIES, STREAMS, TEXTS, asked, asked_together, digestible, learned, twins

from stream_al.model import Model
from stream_al.scorers import ThroughRiver

EACH = pytest.mark.parametrize("family", FAMILIES)


@pytest.mark.parametrize("family", [*FAMILIES, *TEXTS])
def test_every_family_has_a_scorer(family: str) -> None:
    assert not isinstance(Model({**FAMILIES, **TEXTS}[family]())._scoring.scorer, ThroughRiver)


@pytest.mark.parametrize("every", [1, 5, 25])
@pytest.mark.parametrize(
    ("family", "stream"),
    [
        (f, s) for f in FAMILIES for s in STREAMS if "OneHot" not in f or s == "mixed"
    ],  # a feature for each number
)
def test_every_answer_on_a_stream_is_rivers(family: str, stream: str, every: int) -> None:
    models = model, plain = twins(FAMILIES[family])
    rng = random.Random(stream)
    answered = 0
    for number, (x, y) in enumerate(STREAMS[stream]()):
        if rng.random() < 0.1:
            x = {**x, "unseen": 1.0}
        if rng.random() < 0.1:
            x = dict(reversed(x.items()))
        if rng.random() < 0.05 and len(x) > 1:
            x.pop(rng.choice(list(x)))
        x = digestible(family, x)
        found = asked(model, x)
        assert found == asked(plain, x)
        answered += found.startswith("Scores(") and "={}" not in found
        if number < 20 or number % every == 0:
            learned(models, x, y)
    assert model.digest() == plain.digest()
    assert model.unknown_features == plain.unknown_features
    assert answered > number / 2


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("family", [name for name in FAMILIES if "OneHot" not in name])  # as above
def test_every_answer_to_events_asked_about_together_is_rivers(family: str, stream: str) -> None:
    models = model, plain = twins(FAMILIES[family])
    rows = [(digestible(family, x), y) for x, y in STREAMS[stream]()]
    for start in range(0, len(rows), 50):
        for x, y in rows[start : start + 25]:
            learned(models, x, y)
        events = [x for x, _ in rows[start + 25 : start + 50]]
        assert asked_together(model, events) == [asked(plain, x) for x in events]


@pytest.mark.parametrize("family", TEXTS)
def test_every_answer_to_texts_is_rivers(family: str) -> None:
    models = model, plain = twins(TEXTS[family])
    for number, example in enumerate(examples("texts", ("ham", "spam"), 300)):
        assert asked(model, example.features) == asked(plain, example.features)
        if number % 4 == 0:
            learned(models, example.features, example.label)


# ── anything that may happen ─────────────────────────────────────────────────────────────────────────

EXTREMES = (0.0, -0.0, 5e-324, -5e-324, 1e-300, 1e100, -1e100, 1e16, 0.1, 2**53 + 1, -(2**60) - 1)
ONLY_ASKED = (1.7e308, -1.7e308, 10**400, 2.5e-308)
usual = st.floats(-5.0, 5.0) | st.integers(-3, 3) | st.booleans()
values = usual | usual | st.sampled_from(EXTREMES) | st.sampled_from(("red", "blue", ""))
names = st.sampled_from("abcde")
features = st.dictionaries(names, values, min_size=1)
odd = st.dictionaries(names | st.just("unseen"), values | st.sampled_from(ONLY_ASKED), max_size=6)
labels = st.integers(0, 3)
weights = st.sampled_from((1.0, 1.0, 1.0, 0.3, 7.0, 1e-9, 1e17))
steps = st.one_of(
    st.tuples(st.just("learn"), features, labels, weights),
    st.tuples(st.just("teach"), st.integers(0, 9), st.integers(1, 30), st.booleans()),
    st.tuples(st.just("ask"), odd, st.integers(1, 12)),
    st.tuples(
        st.just("ask together"),
        st.integers(0, 9),
        st.lists(st.tuples(names, values | st.sampled_from(ONLY_ASKED)), max_size=2),
    ),
    st.tuples(st.sampled_from(("undo", "load", "copy"))),
)


def usual_event(rng: random.Random) -> tuple[dict[str, Any], int]:
    label = rng.randrange(3)
    x: dict[str, Any] = {name: rng.gauss(label, 0.5) for name in "abcd"}
    x["e"] = rng.choice(("red", "blue", "green")) if label == 1 else float(label)
    if rng.random() < 0.1:
        del x[rng.choice("abcde")]
    return x, label


@EACH
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(steps, max_size=25), st.sampled_from((2, 4)))
def test_whatever_is_learned_asked_undone_loaded_or_copied_the_answers_are_rivers(
    family: str, todo: list[Any], classes: int
) -> None:
    live(family, todo, classes)


@pytest.mark.slow
@EACH
@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(steps, max_size=25), st.sampled_from((2, 4)))
def test_the_same_a_thousand_times(family: str, todo: list[Any], classes: int) -> None:
    live(family, todo, classes)


def live(family: str, todo: list[Any], classes: int) -> None:
    models = model, plain = twins(FAMILIES[family], checkpoint_every=10)
    for kind, *rest in todo:
        if kind == "learn":
            x, label, weight = rest
            if "histogram" in family:  # which goes through a loop as often as an example weighs
                weight = min(weight, 7.0)
            learned((model, plain), x, label % classes, weight)
        elif kind == "teach":  # with events to answer in between
            seed, count, numbers_only = rest
            rng = random.Random(seed)
            for _ in range(count):
                x, label = usual_event(rng)
                if numbers_only:
                    x.pop("e", None)
                learned((model, plain), x, label % classes)
                for _ in range(rng.choice((0, 1, 3, 12))):
                    x, _label = usual_event(rng)
                    assert asked(model, x) == asked(plain, x)
        elif kind == "ask":
            x, times = rest
            for _ in range(times):
                assert asked(model, x) == asked(plain, x)
        elif kind == "ask together":
            seed, strange = rest
            rng = random.Random(seed)
            events = [{**dict.fromkeys("abcde", 0.5), **usual_event(rng)[0]} for _ in range(20)]
            for place, (name, value) in enumerate(strange):
                events[place][name] = value
            if seed % 2:
                for x in events:
                    x["e"] = rng.random()
            assert asked_together(model, events) == [asked(plain, x) for x in events]
        elif kind == "undo":
            model._undo()
            plain._undo()
        elif kind == "load":
            snapshot = model.dump()
            assert snapshot == plain.dump()
            model.load(snapshot)
            plain.load(snapshot)
        else:
            left, left_plain = models
            models = model, plain = copy.deepcopy(left), copy.deepcopy(left_plain)
            x, label = usual_event(random.Random(1))
            learned((model, plain), x, label % classes)  # which those left behind must not notice
            assert asked(left, x) == asked(left_plain, x)
    assert model.digest() == plain.digest()


@EACH
def test_a_copy_and_its_original_do_not_share_what_was_compiled(family: str) -> None:
    models = twins(FAMILIES[family])
    rng = random.Random(3)
    for _ in range(60):
        x, label = usual_event(rng)
        x.pop("e", None)
        learned(models, x, label % 2)
    events = [usual_event(rng)[0] for _ in range(40)]
    for x in events:  # until all is compiled
        asked(models[0], x)
    copies = tuple(copy.deepcopy(model) for model in models)
    before = [asked(copies[0], x) for x in events]
    for _ in range(10):
        x, label = usual_event(rng)
        learned(models, x, label % 2)
    assert [asked(copies[0], x) for x in events] == before == [asked(copies[1], x) for x in events]
    assert [asked(models[0], x) for x in events] == [asked(models[1], x) for x in events]
