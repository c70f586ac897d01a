"""Models of every family that has a scorer, and the same models asked through River alone."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from river import (
    datasets,
    drift,
    feature_extraction,
    forest,
    linear_model,
    multiclass,
    naive_bayes,
    optim,
    preprocessing,
    tree,
)
from river.datasets import synth

from stream_al.errors import RecordError
from stream_al.model import Model
from stream_al.records import Example
from stream_al.scorers import ThroughRiver


class PlainModel(Model):
    """Asks River's own ``predict_proba_one``, whatever the model."""

    def _run(self, estimator: Any) -> None:
        super()._run(estimator)
        self._scoring.scorer = ThroughRiver([], estimator.predict_proba_one)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._scoring.scorer = ThroughRiver([], self.estimator.predict_proba_one)


def lr(**settings: Any) -> Any:
    return linear_model.LogisticRegression(**settings)


# Trees that split early. River's estimate of their memory comes out of `sys.getsizeof`, which for equal trees differs
# within one process: it is never made, or no two models would be equal whatever they are asked through.
EAGER = {"grace_period": 5, "delta": 0.5, "memory_estimate_period": math.inf}


def hoeffding(**settings: Any) -> Any:
    return tree.HoeffdingTreeClassifier(**{**EAGER, **settings})


def arf(**settings: Any) -> Any:
    return forest.ARFClassifier(**{"n_models": 3, "seed": 3, **EAGER, **settings})


def rest(classifier: Any) -> Any:
    return multiclass.OneVsRestClassifier(classifier)


FAMILIES: Mapping[str, Callable[[], Any]] = {
    "StandardScaler | LR": lambda: preprocessing.StandardScaler() | lr(),
    "StandardScaler without spread | LR": lambda: preprocessing.StandardScaler(with_std=False) | lr(l2=0.1),
    "rolling StandardScaler | LR": lambda: preprocessing.StandardScaler(window_size=5) | lr(),
    "MinMaxScaler | LR, l1, AdaGrad": lambda: (
        preprocessing.MinMaxScaler() | lr(optimizer=optim.AdaGrad(), l1=0.01)
    ),
    "MaxAbsScaler | StandardScaler | LR, hinge": lambda: (
        preprocessing.MaxAbsScaler() | preprocessing.StandardScaler() | lr(loss=optim.losses.Hinge())
    ),
    "RobustScaler | LR, quick": lambda: preprocessing.RobustScaler() | lr(optimizer=optim.SGD(5.0)),
    "RobustScaler without centre | AdaptiveStandardScaler | LR": lambda: (
        preprocessing.RobustScaler(with_centering=False) | preprocessing.AdaptiveStandardScaler() | lr()
    ),
    "StandardScaler | OneVsRest of LR": lambda: preprocessing.StandardScaler() | rest(lr()),
    "OneVsRest of (StandardScaler | LR)": lambda: rest(preprocessing.StandardScaler() | lr()),
    "OneVsRest of LR": lambda: rest(lr()),
    "Softmax": lambda: linear_model.SoftmaxRegression(),
    "MinMaxScaler | Softmax": lambda: preprocessing.MinMaxScaler() | linear_model.SoftmaxRegression(l2=0.01),
    "OneHotEncoder | StandardScaler | Softmax": lambda: (
        preprocessing.OneHotEncoder() | preprocessing.StandardScaler() | linear_model.SoftmaxRegression()
    ),
    "GaussianNB": naive_bayes.GaussianNB,
    "StandardScaler | GaussianNB": lambda: preprocessing.StandardScaler() | naive_bayes.GaussianNB(),
    "MultinomialNB": naive_bayes.MultinomialNB,
    "BernoulliNB": naive_bayes.BernoulliNB,
    "ComplementNB": naive_bayes.ComplementNB,
    "HoeffdingTree, mc": lambda: hoeffding(leaf_prediction="mc"),
    "HoeffdingTree, nb": lambda: hoeffding(leaf_prediction="nb", nb_threshold=4),
    "HoeffdingTree, nba": hoeffding,
    "HoeffdingTree, binary splits, poor attributes": lambda: hoeffding(
        binary_split=True, remove_poor_attrs=True
    ),
    "HoeffdingTree, shallow": lambda: hoeffding(max_depth=2),
    "HoeffdingTree, nominal": lambda: hoeffding(nominal_attributes=["a", "b"]),
    "HoeffdingTree, histogram": lambda: hoeffding(splitter=tree.splitter.HistogramSplitter()),
    "StandardScaler | HoeffdingTree": lambda: preprocessing.StandardScaler() | hoeffding(),
    "ARF": arf,
    "ARF, mc, unweighted, no drift": lambda: arf(
        leaf_prediction="mc", disable_weighted_vote=True, drift_detector=drift.NoDrift()
    ),
    "ARF, drifting": lambda: arf(
        drift_detector=drift.ADWIN(delta=0.9, clock=2, grace_period=2, min_window_length=2),
        warning_detector=drift.ADWIN(delta=0.99, clock=1, grace_period=1, min_window_length=1),
    ),
    "StandardScaler | ARF": lambda: preprocessing.StandardScaler() | arf(),
}

TEXTS: Mapping[str, Callable[[], Any]] = {
    name: lambda last=last: feature_extraction.BagOfWords(on="text") | last()  # type: ignore[misc]
    for name, last in {
        "BagOfWords | MultinomialNB": naive_bayes.MultinomialNB,
        "BagOfWords | ComplementNB": naive_bayes.ComplementNB,
        "BagOfWords | GaussianNB": naive_bayes.GaussianNB,
        "BagOfWords | StandardScaler | LR": lambda: preprocessing.StandardScaler() | lr(),
        "BagOfWords | HoeffdingTree": hoeffding,
    }.items()
}


def twins(make: Callable[[], Any], **settings: Any) -> tuple[Model, PlainModel]:
    """Return a model with its scorer, and the same asked through River."""
    return Model(make(), **settings), PlainModel(make(), **settings)


def digestible(family: str, x: dict[str, Any]) -> dict[str, Any]:
    """Return features that the models of this family can learn: no texts, or counts only."""
    if family in ("MultinomialNB", "BernoulliNB", "ComplementNB"):
        return {name: len(value) if type(value) is str else abs(int(value)) % 9 for name, value in x.items()}
    if any(part in family for part in ("Tree", "ARF", "OneHot")) and not family.startswith("StandardScaler"):
        return x
    return {name: value for name, value in x.items() if type(value) is not str}


def asked(model: Model, features: Mapping[str, Any]) -> str:
    """Return the answer to the last bit, type and order, or why there is none."""
    try:
        return repr(model.score(features))
    except RecordError as error:
        return error.detail


def asked_together(model: Model, events: list[dict[str, Any]]) -> list[str]:
    """Return what `asked` does for each of these, asked in one go."""
    found = model.score_all(events)
    return [answer.detail if isinstance(answer, RecordError) else repr(answer) for answer in found]


def learned(models: tuple[Model, ...], features: Mapping[str, Any], label: Any, weight: float = 1.0) -> None:
    example = Example(event_id="e", features=dict(features), label=label, weight=weight)
    reasons = {model.learn(example) for model in models}
    assert len(reasons) == 1


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────


def bundled(name: str, count: int) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield from a data set that River brings along."""
    return islice(iter(getattr(datasets, name)()), count)


def drifting(count: int) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield numbers whose classes change their meaning half-way."""
    for variant in (0, 3):
        for x, y in synth.SEA(seed=1, variant=variant).take(count // 2):
            yield {f"x{name}": value for name, value in x.items()}, y


def mixed(count: int) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield texts, integers, booleans and floats of four classes; some are missing, some are in another order."""
    rng = random.Random(7)
    for _ in range(count):
        label = rng.randrange(4)
        x = {
            "a": rng.gauss(label, 1.0),
            "b": rng.randrange(5) - label,
            "c": rng.random() < label / 4,
            "d": rng.choice(("red", "green", "blue")[: 1 + label % 3]),
            "e": 1.5,
            "f": rng.uniform(-1e6, 1e6) * (label == 2),
        }
        for name in list(x):
            if rng.random() < 0.03:
                del x[name]
        names = list(x) or ["a"]
        rng.shuffle(names)
        yield {name: x.get(name, 0.0) for name in names}, f"class {label}"


STREAMS: Mapping[str, Callable[[], Iterator[tuple[dict[str, Any], Any]]]] = {
    "Phishing": lambda: bundled("Phishing", 500),
    "Bananas": lambda: bundled("Bananas", 500),
    "ImageSegments": lambda: bundled("ImageSegments", 200),
    "drifting": lambda: drifting(600),
    "mixed": lambda: mixed(300),
}
