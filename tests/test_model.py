"""`Model`: River's traps, one test each or more, and what a fold promises."""

from __future__ import annotations

import math
import pickle
import re
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example as example_of
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from river import (
    base,
    compose,
    drift,
    dummy,
    ensemble,
    feature_extraction,
    forest,
    linear_model,
    naive_bayes,
    neighbors,
    preprocessing,
    tree,
)
from river_models import examples

from stream_al.errors import ModelError, RecordError, SnapshotError
from stream_al.model import Model, read_header
from stream_al.records import Event, Example, LoggedExample
from stream_al.uncertainty import Scores


def example(label: Any = "spam", weight: float = 1.0, **features: Any) -> Example:
    return Example(event_id="e", features=features or {"x": 1.0}, label=label, weight=weight)


def two_classes(labels: tuple[Any, Any] = ("ham", "spam"), count: int = 40) -> list[Example]:
    return [example(labels[n % 2], x=(n % 2) * 4.0 - 2.0 + n / 100, y=1.0) for n in range(count)]


def fold(model: Model, stream: Any) -> Model:
    for one in stream:
        model.learn(one)
    return model


def logistic() -> Any:
    return preprocessing.StandardScaler() | linear_model.LogisticRegression()


class Corrupting(base.Classifier):
    """Changes itself, then raises, when a feature tells it to."""

    def __init__(self, error: type[BaseException] = RuntimeError) -> None:
        self.error = error
        self.learned: list[Any] = []
        self.by_name: dict[str, float] = {}

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        self.learned.append(y)
        for name, value in x.items():
            if value == "poison":
                self.learned.clear()
                raise self.error("poisoned")
            self.by_name[name] = self.by_name.get(name, 0.0) + value

    def predict_proba_one(self, x: dict[str, Any], **kwargs: Any) -> dict[Any, float]:
        if "panic" in x.values():
            raise self.error("cannot")
        return {label: self.learned.count(label) / len(self.learned) for label in self.learned}

    @property
    def _multiclass(self) -> bool:
        return True


class Answering(base.Classifier):
    """Answers what it is told to."""

    def __init__(self, answer: dict[Any, Any]) -> None:
        self.answer = answer

    def learn_one(self, x: Any, y: Any) -> None:
        pass

    def predict_proba_one(self, x: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(self.answer)

    @property
    def _multiclass(self) -> bool:
        return True


# ── trap 1: models that know nothing, or one class ───────────────────────────────────────────────────

NAIVE = {
    "tree": tree.HoeffdingTreeClassifier,
    "forest": lambda: forest.ARFClassifier(seed=1),
    "naive Bayes": naive_bayes.GaussianNB,
    "softmax": linear_model.SoftmaxRegression,
    "two-class": linear_model.LogisticRegression,
    "neighbours": lambda: neighbors.KNNClassifier(engine=neighbors.LazySearch(9)),
}


@pytest.mark.parametrize("make", NAIVE.values(), ids=NAIVE)
def test_before_the_first_example_there_is_no_answer_and_no_confidence(make: Any) -> None:
    answer = Model(make()).score({"x": 1.0})
    assert answer == Scores({}, None, 0.0, 0.0, 0, 0)


@pytest.mark.parametrize("make", NAIVE.values(), ids=NAIVE)
def test_after_one_class_the_answer_says_that_it_knows_only_one(make: Any) -> None:
    model = fold(Model(make()), [example("spam"), example("spam", x=2.0)])
    answer = model.score({"x": 1.0})
    assert answer.classes == 1
    assert answer.version == 2
    assert answer.label in ("spam", None)
    assert set(answer.probabilities) <= {"spam"}


def test_examples_that_all_failed_leave_no_answer_but_a_version() -> None:
    model = fold(Model(logistic()), [example("spam", x="text")])
    assert model.score({"x": 1.0}) == Scores({}, None, 0.0, 0.0, 1, 0)


# ── trap 2: two-class models ─────────────────────────────────────────────────────────────────────────

TWO_CLASS = {
    "LogisticRegression": linear_model.LogisticRegression,
    "Perceptron": linear_model.Perceptron,
    "PA": linear_model.PAClassifier,
    "ALMA": linear_model.ALMAClassifier,
    "Scaler | LogisticRegression": logistic,
    "Bagging": lambda: ensemble.BaggingClassifier(linear_model.LogisticRegression(), n_models=2, seed=1),
}
PAIRS = [
    ("0", "1"),
    ("spam", "ham"),
    ("ham", "spam"),
    (True, False),
    (False, True),
    (0, 1),
    (1, 0),
    (1, 2),
    (-1, 5),
]


@pytest.mark.parametrize("labels", PAIRS, ids=map(repr, PAIRS))
@pytest.mark.parametrize("make", TWO_CLASS.values(), ids=TWO_CLASS)
def test_two_class_models_learn_both_classes_whatever_they_are_called(make: Any, labels: Any) -> None:
    model = fold(Model(make()), two_classes(labels))
    low, high = model.score({"x": -2.0, "y": 1.0}), model.score({"x": 2.0, "y": 1.0})
    assert (low.label, high.label) == labels
    assert [type(c) for c in low.probabilities] == [type(labels[0])] * 2
    assert tuple(low.probabilities) == tuple(sorted(labels))


def test_zero_and_one_and_booleans_mean_what_river_takes_them_for() -> None:
    for labels in ((0, 1), (1, 0), (False, True), (True, False)):
        estimator = linear_model.LogisticRegression()
        model = Model(estimator)
        for one in two_classes(labels):
            model.learn(one)
            estimator.learn_one(dict(one.features), bool(one.label))
        assert (
            model.score({"x": 2.0, "y": 1.0}).probabilities[1]
            == estimator.predict_proba_one({"x": 2.0, "y": 1.0})[True]
        )


def test_a_third_class_is_refused_with_the_remedy_and_taught_to_no_one() -> None:
    model = fold(Model(logistic()), two_classes())
    state = model.digest()
    with pytest.raises(RecordError, match="OneVsRestClassifier") as raised:
        model.check_label("eggs")
    assert raised.value.reason == "third-class"
    assert "StandardScaler | LogisticRegression" in raised.value.detail
    refused = model.learn(example("eggs"))
    assert refused is not None
    assert "OneVsRestClassifier" in refused
    assert model.classes == ("ham", "spam")
    assert model.version == 41
    assert model.digest() != state  # the version is part of it
    assert model.score({"x": 2.0, "y": 1.0}).label == "spam"


def test_three_declared_classes_need_a_model_that_can_learn_them() -> None:
    with pytest.raises(ModelError, match="OneVsRestClassifier"):
        Model(logistic(), classes=("a", "b", "c"))
    Model(tree.HoeffdingTreeClassifier(), classes=("a", "b", "c"))


def test_one_class_of_a_two_class_model_is_certain_until_the_other_comes() -> None:
    model = fold(Model(logistic()), [example("spam")])
    assert model.score({"x": 1.0}).probabilities == {"spam": 1.0}


# ── trap 3: one label type ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("first", "wrong", "remedy"), [(1, "1", "integer"), ("1", 1, '"1"'), (True, 1, "true or")]
)
@pytest.mark.parametrize(
    "make", [tree.HoeffdingTreeClassifier, lambda: forest.ARFClassifier(seed=1), logistic]
)
def test_a_label_of_another_type_is_refused_and_bricks_nothing(
    make: Any, first: Any, wrong: Any, remedy: str
) -> None:
    model = fold(Model(make()), [example(first)])
    with pytest.raises(RecordError, match=remedy) as raised:
        model.check_label(wrong)
    assert raised.value.reason == "wrong-label-type"
    assert model.learn(example(wrong)) is not None
    assert model.learn(example(first, x=2.0)) is None
    assert model.score({"x": 1.0}).label == first
    assert model.label_type == type(first).__name__


def test_the_label_type_may_be_configured_and_is_that_of_the_classes() -> None:
    assert Model(logistic(), label_type="int").label_type == "int"
    assert Model(logistic(), classes=(True, False)).label_type == "bool"
    for settings in (
        {"label_type": "float"},
        {"classes": (1, "1")},
        {"classes": (1, True)},
        {"classes": ("a",), "label_type": "int"},
    ):
        with pytest.raises(ModelError, match="label_type"):
            Model(logistic(), **settings)
    with pytest.raises(ModelError, match="checkpoint_every"):
        Model(logistic(), checkpoint_every=0)


def test_a_class_that_was_not_configured_is_refused() -> None:
    model = Model(logistic(), classes=("ham", "spam"))
    with pytest.raises(RecordError, match="'ham', 'spam'") as raised:
        model.check_label("eggs")
    assert raised.value.reason == "unknown-class"
    assert model.learn(example("eggs")) is not None
    assert model.classes == ()


# ── trap 4: numbers that spoil everything ────────────────────────────────────────────────────────────


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 1e308, -1e308])
def test_numbers_that_would_poison_a_model_never_become_records(number: float) -> None:
    with pytest.raises(ValidationError):
        example("spam", x=number)
    with pytest.raises(ValidationError):
        Event(id="e", features={"x": number})


@pytest.mark.parametrize("make", [*NAIVE.values(), *TWO_CLASS.values()])
def test_the_largest_numbers_that_are_let_through_leave_answers_finite(make: Any) -> None:
    model = fold(Model(make()), two_classes())
    model.learn(example("spam", x=1e100, y=-1e100))
    answer = model.score({"x": -1e100, "y": 1e100})
    assert all(0.0 <= p <= 1.0 for p in answer.probabilities.values())
    assert 0.0 <= answer.confidence <= 1.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.5])
def test_probabilities_that_are_none_are_complete_doubt(bad: float) -> None:
    model = fold(Model(Answering({"ham": bad, "spam": 0.5})), two_classes())
    assert model.score({"x": 1.0}) == Scores({}, None, 0.0, 0.0, model.version, 2)


def test_nan_of_a_two_class_model_is_complete_doubt_too() -> None:
    model = fold(Model(logistic()), two_classes())
    model.estimator["LogisticRegression"].intercept = math.nan
    assert model.score({"x": 1.0, "y": 1.0}) == Scores({}, None, 0.0, 0.0, model.version, 2)


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ({"spam": 3.0, "ham": 1.0}, {"ham": 0.25, "spam": 0.75}),
        ({"spam": 1}, {"ham": 0.0, "spam": 1.0}),
        ({"spam": 1, "ham": 0}, {"ham": 0.0, "spam": 1.0}),
        ({"ham": 1.0000000000000002, "spam": 0.0}, {"ham": 1.0, "spam": 0.0}),
        ({"ham": 0.0, "spam": 0.0}, {}),
        ({}, {}),
        ({"ham": 1.0, "spam": -5e-7}, {}),
        ({"ham": True, "spam": False}, {"ham": 1.0, "spam": 0.0}),
    ],
)
def test_what_a_model_gives_becomes_floats_that_sum_to_one(given_: Any, expected: Any) -> None:
    answer = fold(Model(Answering(given_)), two_classes()).score({"x": 1.0})
    assert answer.probabilities == expected
    assert list(answer.probabilities) == list(expected)
    assert all(type(p) is float for p in answer.probabilities.values())


class AnsweringTwo(Answering):
    _multiclass = False


@given(st.dictionaries(st.booleans(), st.floats() | st.integers(-1, 2) | st.floats(-1e-6, 1e-6)))
@example_of({True: 1.0, False: -5e-7})
@example_of({True: 1.0000000000000002, False: 0.0})
@example_of({True: 1, False: 0.0})
def test_no_answer_of_any_two_class_model_gets_out_of_bounds(answer: Any) -> None:
    found = fold(Model(AnsweringTwo(answer)), [example("a"), example("b")]).score({"x": 1.0})
    assert tuple(found.probabilities) in ((), ("a", "b"))
    assert all(type(p) is float and 0.0 <= p <= 1.0 for p in found.probabilities.values())
    assert 0.0 <= found.margin <= found.confidence <= 1.0


@given(st.dictionaries(st.sampled_from("abcd"), st.floats() | st.integers(-1, 2), max_size=4))
def test_no_answer_of_any_model_gets_out_of_bounds(answer: Any) -> None:
    model = fold(Model(Answering(answer)), [example("a"), example("b"), example("c"), example("d")])
    found = model.score({"x": 1.0})
    assert tuple(found.probabilities) in ((), ("a", "b", "c", "d"))
    assert all(type(p) is float and 0.0 <= p <= 1.0 for p in found.probabilities.values())
    assert 0.0 <= found.margin <= found.confidence <= 1.0


# ── trap 5: learning is atomic ───────────────────────────────────────────────────────────────────────


def poisoned(estimator: Any, poison: Example, every: int, stream: list[Example]) -> tuple[Model, Model]:
    """Fold a stream with a poison at several places, and the same without learning it at all."""
    model, sound = Model(estimator, checkpoint_every=every), Model(estimator, checkpoint_every=1000)
    for number, one in enumerate(stream):
        if number in (1, 2, 7, 8, 20):
            refused = model.learn(poison)
            assert refused is not None
            assert "cannot learn" in refused
            sound.version += 1
        assert model.learn(one) is None
        assert sound.learn(one) is None
        assert model.version == sound.version
        assert model.digest() == sound.digest()
    return model, sound


@pytest.mark.parametrize("every", [1, 3, 8, 1000])
def test_a_learn_one_that_raises_halfway_leaves_no_trace(every: int) -> None:
    model, sound = poisoned(Corrupting(), example("ham", a=7.0, x="poison"), every, two_classes())
    assert model.score({"x": 1.0}) == sound.score({"x": 1.0})
    assert model.names == ("x", "y")
    assert model.unknown_features == sound.unknown_features


SPOILED = {
    "scaler": logistic,
    "naive Bayes": naive_bayes.GaussianNB,
    "tree": lambda: preprocessing.StandardScaler() | tree.HoeffdingTreeClassifier(),
    "forest": lambda: preprocessing.MinMaxScaler() | forest.ARFClassifier(n_models=2, seed=1),
    "bagging": lambda: ensemble.BaggingClassifier(logistic(), n_models=3, seed=1),
    "softmax": linear_model.SoftmaxRegression,
}


@pytest.mark.parametrize("make", SPOILED.values(), ids=SPOILED)
def test_text_fed_to_numeric_models_leaves_no_trace(make: Any) -> None:
    poisoned(make(), example("ham", x=1.0, y="text"), 5, two_classes(count=25))


def test_an_estimator_that_cannot_weigh_refuses_a_weight_and_others_use_it() -> None:
    assert "unexpected keyword" in str(Model(naive_bayes.GaussianNB()).learn(example(weight=2.0)))
    heavy, light = (
        fold(Model(logistic()), [*two_classes(), example("spam", weight=w, x=5.0)]) for w in (9.0, 1.0)
    )
    assert heavy.digest() != light.digest()


def test_many_bad_examples_in_a_row_do_not_each_fold_the_good_ones_again() -> None:
    model = fold(Model(Corrupting(), checkpoint_every=1000), two_classes())
    folded = 0
    learn = Model._learn

    def counting(self: Model, few: Sequence[LoggedExample]) -> str | None:
        nonlocal folded
        folded += len(few)
        return learn(self, few)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Model, "_learn", counting)
        for _ in range(20):
            model.learn(example("ham", x="poison"))
    assert folded <= 60
    assert model.version == 60
    assert model.checkpointed == 40


class Panic(BaseException):
    """As Rust's through pyo3."""


def test_a_panic_is_one_bad_example_and_an_interrupt_is_an_interrupt() -> None:
    model = fold(Model(Corrupting(Panic)), two_classes())
    assert "Panic" in str(model.learn(example("ham", x="poison")))
    with pytest.raises(RecordError, match="Panic"):
        model.score({"x": "panic"})
    model = fold(Model(Corrupting(KeyboardInterrupt)), two_classes())
    before = model.digest()
    with pytest.raises(KeyboardInterrupt):
        model.learn(example("ham", x="poison"))
    assert model.digest() == before
    with pytest.raises(KeyboardInterrupt):
        model.score({"x": "panic"})


# ── trap 6: names ────────────────────────────────────────────────────────────────────────────────────


def test_names_that_no_example_had_are_left_out_and_counted() -> None:
    model = fold(Model(logistic()), two_classes())
    before, usual = model.digest(), model.score({"x": 2.0, "y": 1.0})
    assert model.score({"unknown": 9.0, "y": 1.0, "x": 2.0, "z": 1}) == usual
    assert model.unknown_features == 2
    assert model.digest() == before
    model.learn(example("ham", x=1.0, z=1.0))
    model.score({"x": 2.0, "z": 1})
    assert model.unknown_features == 2


def test_the_order_and_the_lack_of_names_change_nothing_but_the_answer() -> None:
    model = fold(Model(logistic()), two_classes())
    before = model.digest()
    assert model.score({"y": 1.0, "x": 2.0}) == model.score({"x": 2.0, "y": 1.0})
    assert model.score({"x": 2.0}).label == "spam"
    assert model.score({"unknown": 1}).probabilities
    assert model.digest() == before


def test_an_event_with_few_of_many_names_is_scored_alike() -> None:
    model = Model(tree.HoeffdingTreeClassifier())
    for n in range(50):
        model.learn(example("ab"[n % 2], **{f"n{n:02}": 1.0, "x": float(n % 2)}))
    few = model.score({"x": 1.0, "n03": 1.0, "unknown": 2.0})
    assert few == model.score({"n03": 1.0, "x": 1.0})
    assert model.unknown_features == 1


def test_an_estimator_that_alters_its_features_does_not_alter_the_event() -> None:
    def spoil(x: dict[str, Any]) -> dict[str, Any]:
        x["x"] = 0.0
        return x

    globals()["spoil"] = spoil
    spoil.__qualname__ = "spoil"
    model = fold(Model(compose.FuncTransformer(spoil) | linear_model.LogisticRegression()), two_classes())
    event = {"x": 3.0, "y": 1.0}
    model.score(event)
    assert event == {"x": 3.0, "y": 1.0}
    one = example("ham", x=3.0, y=1.0)
    model.learn(one)
    assert one.features == {"x": 3.0, "y": 1.0}


def test_an_event_that_cannot_be_scored_is_a_record_error_and_changes_nothing() -> None:
    model = fold(Model(logistic()), two_classes())
    before = model.digest()
    with pytest.raises(RecordError, match="the types the model was taught with") as raised:
        model.score({"x": "text", "y": 1.0})
    assert raised.value.reason == "cannot-score"
    assert model.digest() == before


# ── traps 8 and 9: snapshots ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "make",
    [
        lambda: forest.ARFClassifier(n_models=10, seed=1),
        tree.HoeffdingTreeClassifier,
        naive_bayes.GaussianNB,
    ],
)
def test_a_snapshot_is_several_times_smaller_than_a_pickle(make: Any) -> None:
    model = fold(Model(make()), examples("numbers", ("a", "b", "c"), 350))
    state = model.dump().split(b"\n", 3)[3]
    assert len(pickle.dumps(model.estimator)) > 5 * len(state)


def test_dump_says_what_it_is_of_and_load_takes_it_over() -> None:
    model = fold(Model(logistic()), two_classes())
    snapshot = model.dump()
    header = read_header(snapshot)
    assert (header["version"], header["digest"]) == (40, model.digest())
    other = Model(logistic())
    other.load(snapshot)
    assert (other.version, other.classes, other.label_type) == (40, ("ham", "spam"), "str")
    assert (other.checkpoint, other.checkpointed) == (snapshot, 40)
    assert other.digest() == model.digest()
    assert other.dump() == snapshot


def test_the_checkpoint_follows_at_the_distance_configured() -> None:
    model = Model(logistic(), checkpoint_every=7)
    found = []
    for one in two_classes(count=30):
        model.learn(one)
        found.append(model.checkpointed)
        assert read_header(model.checkpoint)["version"] == model.checkpointed
    assert found == [7 * ((n + 1) // 7) for n in range(30)]


@pytest.mark.parametrize(
    "other",
    [
        lambda: Model(linear_model.LogisticRegression(l2=0.5)),
        lambda: Model(tree.HoeffdingTreeClassifier()),
        lambda: Model(logistic(), classes=("ham", "spam")),
        lambda: Model(logistic(), label_type="str"),
    ],
)
def test_a_snapshot_of_another_model_or_configuration_is_refused(other: Any) -> None:
    model = other()
    before = model.digest()
    with pytest.raises(SnapshotError, match="another model or configuration"):
        model.load(Model(logistic()).dump())
    assert model.digest() == before


def test_a_failed_load_leaves_a_trained_model_as_it_was() -> None:
    model = fold(Model(logistic(), checkpoint_every=9), two_classes())
    before = dict(model.__dict__)
    for bad in (b"", b"nonsense", model.dump()[:-9], Model(tree.HoeffdingTreeClassifier()).dump()):
        with pytest.raises(SnapshotError):
            model.load(bad)
        assert model.__dict__ == before


# ── trap 11: seeds ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("estimator", "name"),
    [
        (forest.ARFClassifier(), "ARFClassifier"),
        (preprocessing.StandardScaler() | forest.AMFClassifier(), "AMFClassifier"),
        (ensemble.BaggingClassifier(tree.HoeffdingAdaptiveTreeClassifier(), seed=1), "HoeffdingAdaptiveTree"),
        (preprocessing.FeatureHasher() | linear_model.LogisticRegression(), "FeatureHasher"),
        (drift.DriftRetrainingClassifier(ensemble.SRPClassifier(seed=None)), "SRPClassifier"),
    ],
)
def test_an_unseeded_part_is_named_wherever_it_hides(estimator: Any, name: str) -> None:
    with pytest.raises(ModelError, match=rf"{name}.*has no seed.*seed=1"):
        Model(estimator)


def test_what_would_not_come_back_from_a_snapshot_is_refused_at_once() -> None:
    words = feature_extraction.BagOfWords(on="t", tokenizer=re.compile("[a-z]+").findall)
    with pytest.raises(ModelError, match="functions defined in a module") as raised:
        Model(words | naive_bayes.MultinomialNB())
    assert type(raised.value) is ModelError


# ── the fold ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_version_counts_every_example_folded_learned_or_not() -> None:
    model = Model(logistic())
    stream = [example("spam"), example(3), example("ham", x="text"), example("ham"), example("eggs")]
    assert [model.learn(one) is None for one in stream] == [True, False, False, True, False]
    assert model.version == 5


def test_the_recursion_limit_of_the_process_does_not_show_in_the_model() -> None:
    made = [tree.HoeffdingTreeClassifier, lambda: forest.ARFClassifier(n_models=2, seed=1)]
    usual = [fold(Model(make()), two_classes()).digest() for make in made]
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + 2000)
    try:
        assert [fold(Model(make()), two_classes()).digest() for make in made] == usual
    finally:
        sys.setrecursionlimit(limit)


def test_models_that_folded_different_examples_have_different_digests() -> None:
    stream = two_classes()
    digests = {fold(Model(logistic()), stream[:n]).digest() for n in range(len(stream))}
    assert len(digests) == len(stream)
    assert fold(Model(dummy.PriorClassifier()), stream[:1]).digest() not in digests


def test_an_estimator_taught_beforehand_is_a_start_of_its_own() -> None:
    taught = tree.HoeffdingTreeClassifier()
    for one in two_classes(("a", "b")):
        taught.learn_one(dict(one.features), one.label)
    model = fold(Model(taught), [example("c", x=0.0)])
    assert tuple(model.score({"x": 2.0, "y": 1.0}).probabilities) == ("a", "b", "c")
    assert model.digest() != fold(Model(tree.HoeffdingTreeClassifier()), [example("c", x=0.0)]).digest()
