"""A seeded instance of every River classifier that can be a model, and streams to teach them with."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import river
from river import (
    active,
    anomaly,
    bandit,
    compat,
    compose,
    drift,
    dummy,
    ensemble,
    facto,
    feature_extraction,
    feature_selection,
    forest,
    imblearn,
    linear_model,
    metrics,
    misc,
    model_selection,
    multiclass,
    naive_bayes,
    neighbors,
    optim,
    preprocessing,
    stats,
    tree,
)
from river.tree import mondrian
from sklearn.linear_model import SGDClassifier

from stream_al.records import Example

LABELS: Mapping[str, tuple[Any, ...]] = {
    "str": ("spam", "ham", "unsolicited"),
    "int": (7, 0, 40),
    "bool": (True, False),
}


class Case(NamedTuple):
    """How to make a model, and what it eats: numbers, counts (of words), texts, or mixed."""

    make: Callable[[], Any]
    data: str = "numbers"
    binary: bool = False
    classes: tuple[Any, ...] | None = None  # only these labels, of one type


def total(x: dict[str, Any]) -> dict[str, Any]:
    return {**x, "total": sum(value for value in x.values() if not isinstance(value, str))}


def distance(a: Any, b: Any) -> float:
    return sum(abs(a.get(name, 0.0) - b.get(name, 0.0)) for name in sorted({*a, *b}))


def scaled(classifier: Any) -> Any:
    return preprocessing.StandardScaler() | classifier


def hoeffding(**settings: Any) -> Any:
    return tree.HoeffdingTreeClassifier(grace_period=20, delta=0.1, **settings)


def union() -> Any:
    numbers = compose.Select("b", "a", "d", "c") | preprocessing.StandardScaler()
    words = compose.SelectType(str) | preprocessing.OneHotEncoder()
    return (
        numbers + words + (compose.SelectType(float) | compose.FuncTransformer(total))
    ) | linear_model.LogisticRegression(optimizer=optim.Adam())


def sampled(kind: Any) -> Any:
    return kind(hoeffding(), desired_dist={"spam": 0.5, "ham": 0.3, "unsolicited": 0.2}, seed=3)


def lr() -> Any:
    return linear_model.LogisticRegression()


def engine() -> Any:
    return neighbors.LazySearch(window_size=40)


CASES: Mapping[str, Case] = {
    # trees
    "HoeffdingTree": Case(hoeffding),
    "HoeffdingTree, binary splits, mixed": Case(lambda: hoeffding(binary_split=True), "mixed"),
    "HoeffdingTree, mixed, poor attributes": Case(lambda: hoeffding(remove_poor_attrs=True), "mixed"),
    "HoeffdingTree, histogram": Case(lambda: hoeffding(splitter=tree.splitter.HistogramSplitter())),
    "HoeffdingTree, exhaustive": Case(lambda: hoeffding(splitter=tree.splitter.ExhaustiveSplitter())),
    "HoeffdingAdaptiveTree": Case(
        lambda: tree.HoeffdingAdaptiveTreeClassifier(grace_period=20, delta=0.1, seed=3), "mixed"
    ),
    "ExtremelyFastDecisionTree": Case(
        lambda: tree.ExtremelyFastDecisionTreeClassifier(
            grace_period=20, delta=0.1, min_samples_reevaluate=20
        ),
        "mixed",
    ),
    "LAST": Case(lambda: tree.LASTClassifier(), "mixed"),
    "SGT": Case(
        lambda: tree.SGTClassifier(
            delta=0.5,
            grace_period=20,
            max_depth=8,
            nominal_attributes=["f"],
            feature_quantizer=tree.splitter.StaticQuantizer(n_bins=8, warm_start=10),
        ),
        "mixed",
        binary=True,
    ),
    "MondrianTree": Case(lambda: mondrian.MondrianTreeClassifier(seed=3)),
    # forests
    "ARF": Case(lambda: forest.ARFClassifier(n_models=3, grace_period=15, delta=0.1, seed=3), "mixed"),
    "AMF": Case(lambda: forest.AMFClassifier(n_estimators=3, seed=3)),
    "SRP": Case(lambda: ensemble.SRPClassifier(model=hoeffding(), n_models=3, seed=3), "mixed"),
    # naive Bayes, neighbours, baselines
    "GaussianNB": Case(naive_bayes.GaussianNB),
    "BernoulliNB": Case(naive_bayes.BernoulliNB, "counts"),
    "ComplementNB": Case(naive_bayes.ComplementNB, "counts"),
    "MultinomialNB": Case(naive_bayes.MultinomialNB, "counts"),
    "KNN": Case(lambda: neighbors.KNNClassifier(n_neighbors=5, engine=engine())),
    "KNN, own distance, softmax": Case(
        lambda: neighbors.KNNClassifier(engine=neighbors.LazySearch(30, dist_func=distance), softmax=True)
    ),
    "NoChange": Case(dummy.NoChangeClassifier),
    "Prior": Case(dummy.PriorClassifier),
    # linear models and factorisation machines
    "LogisticRegression": Case(lr, binary=True),
    "LogisticRegression, l1, AdaGrad": Case(
        lambda: linear_model.LogisticRegression(optimizer=optim.AdaGrad(), l1=0.01), binary=True
    ),
    "AdPredictor": Case(linear_model.AdPredictor, "counts", binary=True),
    "ALMA": Case(linear_model.ALMAClassifier, binary=True),
    "PA": Case(linear_model.PAClassifier, binary=True),
    "Perceptron": Case(linear_model.Perceptron, binary=True),
    "Softmax": Case(linear_model.SoftmaxRegression),
    "FM": Case(lambda: facto.FMClassifier(seed=3), "mixed", binary=True),
    "FFM": Case(lambda: facto.FFMClassifier(seed=3), "mixed", binary=True),
    "FwFM": Case(lambda: facto.FwFMClassifier(seed=3), "mixed", binary=True),
    "HOFM": Case(lambda: facto.HOFMClassifier(degree=3, seed=3), "mixed", binary=True),
    # reductions, ensembles, wrappers
    "OneVsRest": Case(lambda: multiclass.OneVsRestClassifier(scaled(lr()))),
    "Bagging": Case(lambda: ensemble.BaggingClassifier(scaled(lr()), n_models=3, seed=3), binary=True),
    "ADWINBagging": Case(lambda: ensemble.ADWINBaggingClassifier(hoeffding(), n_models=3, seed=3), "mixed"),
    "LeveragingBagging": Case(
        lambda: ensemble.LeveragingBaggingClassifier(scaled(lr()), n_models=3, seed=3), binary=True
    ),
    "AdaBoost": Case(lambda: ensemble.AdaBoostClassifier(hoeffding(), n_models=3, seed=3), "mixed"),
    "ADWINBoosting": Case(
        lambda: ensemble.ADWINBoostingClassifier(naive_bayes.GaussianNB(), n_models=3, seed=3)
    ),
    "BOLE": Case(lambda: ensemble.BOLEClassifier(hoeffding(), n_models=3, seed=3), "mixed"),
    "Bagging of KNN": Case(
        lambda: ensemble.BaggingClassifier(neighbors.KNNClassifier(engine=engine()), n_models=3, seed=3)
    ),
    "Bagging of FM": Case(
        lambda: ensemble.BaggingClassifier(facto.FMClassifier(seed=3), n_models=3, seed=3),
        "mixed",
        binary=True,
    ),
    "Bagging of ARF": Case(
        lambda: ensemble.BaggingClassifier(forest.ARFClassifier(n_models=2, seed=3), n_models=3, seed=3)
    ),
    "Bagging of AdPredictor": Case(
        lambda: ensemble.BaggingClassifier(linear_model.AdPredictor(), n_models=3, seed=3),
        "counts",
        binary=True,
    ),
    "Stacking": Case(
        lambda: ensemble.StackingClassifier(
            [naive_bayes.GaussianNB(), hoeffding()], meta_classifier=linear_model.SoftmaxRegression()
        )
    ),
    "Stacking of two-class models": Case(
        lambda: ensemble.StackingClassifier(
            [scaled(lr()), naive_bayes.GaussianNB()], meta_classifier=linear_model.SoftmaxRegression()
        ),
        binary=True,
    ),
    "DriftRetraining": Case(
        lambda: drift.DriftRetrainingClassifier(scaled(lr()), drift.binary.DDM()), binary=True
    ),
    "HardSampling": Case(
        lambda: imblearn.HardSamplingClassifier(
            scaled(linear_model.SoftmaxRegression()), p=0.3, size=20, seed=3
        )
    ),
    "RandomUnderSampler": Case(lambda: sampled(imblearn.RandomUnderSampler), classes=LABELS["str"]),
    "RandomOverSampler": Case(lambda: sampled(imblearn.RandomOverSampler), classes=LABELS["str"]),
    "RandomSampler": Case(lambda: sampled(imblearn.RandomSampler), classes=LABELS["str"]),
    "Bandit": Case(
        lambda: model_selection.BanditClassifier(
            [scaled(lr()), naive_bayes.GaussianNB(), hoeffding()],
            metric=metrics.Accuracy(),
            policy=bandit.EpsilonGreedy(0.2, burn_in=5, seed=3),
        ),
        binary=True,
    ),
    "SuccessiveHalving": Case(
        lambda: model_selection.SuccessiveHalvingClassifier(
            [naive_bayes.GaussianNB(), hoeffding(), dummy.NoChangeClassifier()],
            metric=metrics.MacroF1(),
            budget=100,
        )
    ),
    # pipelines
    "StandardScaler | LogisticRegression": Case(lambda: scaled(lr()), binary=True),
    "Select | Normalizer | PA": Case(
        lambda: compose.Select("d", "a", "b") | preprocessing.Normalizer() | linear_model.PAClassifier(),
        binary=True,
    ),
    "MinMaxScaler | KNN": Case(
        lambda: preprocessing.MinMaxScaler() | neighbors.KNNClassifier(n_neighbors=7, engine=engine())
    ),
    "rolling StandardScaler | Softmax": Case(
        lambda: preprocessing.StandardScaler(window_size=20) | linear_model.SoftmaxRegression()
    ),
    "RobustScaler | AdaptiveStandardScaler | NB": Case(
        lambda: (
            preprocessing.RobustScaler() | preprocessing.AdaptiveStandardScaler() | naive_bayes.GaussianNB()
        )
    ),
    "union of Select, OneHotEncoder, FuncTransformer": Case(union, "mixed", binary=True),
    "BagOfWords | MultinomialNB": Case(
        lambda: feature_extraction.BagOfWords(on="text") | naive_bayes.MultinomialNB(), "texts"
    ),
    "BagOfWords | StandardScaler | LogisticRegression": Case(
        lambda: feature_extraction.BagOfWords(on="text") | scaled(lr()), "texts", binary=True
    ),
    "TFIDF | MaxAbsScaler | Softmax": Case(
        lambda: (
            feature_extraction.TFIDF(on="text")
            | preprocessing.MaxAbsScaler()
            | linear_model.SoftmaxRegression()
        ),
        "texts",
    ),
    "BagOfWords | RBFSampler | LogisticRegression": Case(
        lambda: (
            feature_extraction.BagOfWords(on="text")
            | feature_extraction.RBFSampler(n_components=4, seed=3)
            | lr()
        ),
        "texts",
        binary=True,
    ),
    "BagOfWords | GaussianRandomProjector | LogisticRegression": Case(
        lambda: (
            feature_extraction.BagOfWords(on="text")
            | preprocessing.GaussianRandomProjector(n_components=4, seed=3)
            | lr()
        ),
        "texts",
        binary=True,
    ),
    "SparseRandomProjector | NB": Case(
        lambda: (
            preprocessing.SparseRandomProjector(n_components=5, density=0.5, seed=3)
            | naive_bayes.GaussianNB()
        )
    ),
    "GapEncoder | LogisticRegression": Case(
        lambda: preprocessing.GapEncoder(n_components=3, on="text", seed=3) | lr(), "texts", binary=True
    ),
    "OneHotEncoder | StandardScaler | LogisticRegression": Case(
        lambda: preprocessing.OneHotEncoder() | scaled(lr()), "mixed", binary=True
    ),
    "OneHotEncoder of given categories | StandardScaler | LogisticRegression": Case(
        lambda: (
            compose.Select("f", "g")
            | preprocessing.OneHotEncoder(categories={"f": {"red", "green", "blue"}, "g": {"x", "y", "z"}})
            | scaled(lr())
        ),
        "mixed",
        binary=True,
    ),
    "FeatureHasher | LogisticRegression": Case(
        lambda: preprocessing.FeatureHasher(n_features=16, seed=3) | lr(), "mixed", binary=True
    ),
    "OrdinalEncoder | HoeffdingTree": Case(lambda: preprocessing.OrdinalEncoder() | hoeffding(), "mixed"),
    "Agg + TargetAgg | NB": Case(
        lambda: (
            (
                feature_extraction.Agg(on="a", by="f", how=stats.Mean())
                + feature_extraction.TargetAgg(by="g", how=stats.Mean())
            )
            | scaled(lr())
        ),
        "mixed",
        binary=True,
    ),
    "Grouper | LogisticRegression": Case(
        lambda: (
            compose.Discard("g", "c")
            | compose.Grouper(preprocessing.OrdinalEncoder(), by="f")
            | compose.SelectType(float)
            | scaled(lr())
        ),
        "mixed",
        binary=True,
    ),
    "SelectKBest | NB": Case(
        lambda: feature_selection.SelectKBest(stats.PearsonCorr(), k=2) | lr(), classes=(0, 1), binary=True
    ),
    "VarianceThreshold | PolynomialExtender | Normalizer | LogisticRegression": Case(
        lambda: (
            feature_selection.VarianceThreshold()
            | feature_extraction.PolynomialExtender()
            | preprocessing.Normalizer()
            | lr()
        ),
        binary=True,
    ),
    "QuantileFilter | NB": Case(
        lambda: (
            preprocessing.MinMaxScaler()
            | anomaly.QuantileFilter(
                anomaly.HalfSpaceTrees(n_trees=3, height=3, window_size=20, seed=3), q=0.9
            )
            | naive_bayes.GaussianNB()
        )
    ),
    "PreviousImputer | Binarizer | BernoulliNB": Case(
        lambda: (
            preprocessing.PreviousImputer()
            | preprocessing.Binarizer(threshold=0.5)
            | naive_bayes.BernoulliNB()
        )
    ),
    "Prefixer + Suffixer | FM": Case(
        lambda: (
            (compose.Prefixer("p_") + compose.Suffixer("_s") + compose.Renamer({"a": "z"}))
            | facto.FMClassifier(seed=3)
        ),
        binary=True,
    ),
}

REFUSED: Mapping[str, tuple[Callable[[], Any], str]] = {
    "VotingClassifier": (
        lambda: ensemble.VotingClassifier([hoeffding(), naive_bayes.GaussianNB()]),
        "VotingClassifier gives no probabilities",
    ),
    "OneVsOneClassifier": (
        lambda: multiclass.OneVsOneClassifier(lr()),
        "OneVsOneClassifier gives no probabilities",
    ),
    "OutputCodeClassifier": (
        lambda: multiclass.OutputCodeClassifier(lr(), code_size=4, seed=3),
        "OutputCodeClassifier gives no probabilities",
    ),
    "OneVsOneClassifier inside": (
        lambda: ensemble.BaggingClassifier(multiclass.OneVsOneClassifier(lr()), seed=3),
        "OneVsOneClassifier gives no probabilities",
    ),
    "EntropySampler": (lambda: active.EntropySampler(hoeffding(), seed=3), "decides itself what to ask"),
    "ZstdClassifier": (
        lambda: misc.ZstdClassifier.__new__(misc.ZstdClassifier),  # its __init__ wants Python 3.14
        "answers by what it was asked before",
    ),
    "SKL2RiverClassifier": (
        lambda: compat.SKL2RiverClassifier(SGDClassifier(random_state=3), classes=[False, True]),
        "takes features by their place",
    ),
    "KNN with SWINN": (
        lambda: neighbors.KNNClassifier(engine=neighbors.SWINN(seed=3)),
        "a variable that all models of a process share",
    ),
    "KNN with clean-up": (
        lambda: neighbors.KNNClassifier(engine=engine(), cleanup_every=5),
        "fails at every clean-up",
    ),
    "PoissonInclusion": (
        lambda: feature_selection.PoissonInclusion(0.1, seed=3) | lr(),
        "draws the features it lets through while it scores",
    ),
    "LDA": (
        lambda: feature_extraction.BagOfWords(on="text") | preprocessing.LDA(n_components=2, seed=3) | lr(),
        "samples while it scores",
    ),
    "RandomTreesEmbedding": (
        lambda: feature_extraction.RandomTreesEmbedding(seed=3) | lr(),
        "keeps memory addresses",
    ),
    "LocalOutlierFactor": (
        lambda: anomaly.QuantileFilter(anomaly.LocalOutlierFactor(), q=0.9) | naive_bayes.GaussianNB(),
        "keeps memory addresses",
    ),
    "KolmogorovSmirnov": (
        lambda: feature_selection.SelectKBest(stats.KolmogorovSmirnov(), k=2) | lr(),
        "Python's global generator",
    ),
    "ThompsonSampling": (
        lambda: model_selection.BanditClassifier(
            [lr(), lr()],
            metric=metrics.Accuracy(),
            policy=bandit.ThompsonSampling(reward_obj=metrics.Accuracy(), seed=3),
        ),
        "no seed reaches",
    ),
    "a transformer": (preprocessing.StandardScaler, "is not a classifier"),
    "a pipeline of transformers": (
        lambda: compose.Pipeline(preprocessing.StandardScaler(), preprocessing.MinMaxScaler()),
        "is not a classifier",
    ),
    "an empty pipeline": (compose.Pipeline, "is not a classifier"),
    "a regressor": (linear_model.LinearRegression, "is not a classifier"),
    "a lambda": (lambda: compose.FuncTransformer(lambda x: x) | lr(), "cannot be saved"),
}
"""What cannot be a model, and a part of the reason given."""


def river_classes(kind: type) -> Iterator[type]:
    """Yield every concrete public class of River of this kind."""
    for module in pkgutil.walk_packages(river.__path__, "river."):
        if module.name.rpartition(".")[2].startswith(("test_", "conftest")):
            continue
        try:
            members = vars(importlib.import_module(module.name))
        except ImportError:  # what needs an optional package
            continue
        for thing in (members.get(name) for name in members.get("__all__", ())):
            if inspect.isclass(thing) and issubclass(thing, kind) and not inspect.isabstract(thing):
                yield thing


@functools.cache
def examples(data: str, labels: tuple[Any, ...], count: int = 90) -> tuple[Example, ...]:
    """Return a stream of examples whose last class comes late, if there are more than two.

    Every fifth example lacks a feature, and the names stand in another order each time.
    """
    rng = random.Random(f"{data} {len(labels)}")  # the same for labels of every type
    stream = []
    for number in range(count):
        features, signal = FEATURES[data](rng)
        known = labels if number >= count // 2 else labels[:2]
        label = known[min(int(signal * len(known)), len(known) - 1)]
        names = list(features)
        rng.shuffle(names)
        if number % 5 == 4 and len(names) > 2:
            names = [name for name in names if name not in ("c", "w3")]
        stream.append(
            Example(event_id=str(number), features={name: features[name] for name in names}, label=label)
        )
    return tuple(stream)


def _numbers(rng: random.Random) -> tuple[dict[str, Any], float]:
    signal = rng.random()
    return {
        "a": signal + rng.gauss(0.0, 0.1),
        "b": rng.uniform(0.0, 3.0),
        "c": signal * 0.3 + rng.random(),
        "d": rng.gauss(-1.0, 7.0),
    }, signal


def _counts(rng: random.Random) -> tuple[dict[str, Any], float]:
    signal = rng.random()
    return {f"w{i}": rng.randrange(3) + int(4 * signal * (i % 2)) for i in range(6)}, signal


def _mixed(rng: random.Random) -> tuple[dict[str, Any], float]:
    features, signal = _numbers(rng)
    colours = ("red", "green", "blue") if signal < 0.5 else ("green", "blue", "yellow")
    return {**features, "f": rng.choice(colours), "g": rng.choice("xyz")}, signal


def _texts(rng: random.Random) -> tuple[dict[str, Any], float]:
    signal = rng.random()
    words = rng.sample(("pills", "offer", "win") if signal < 0.5 else ("meeting", "notes", "agenda"), 2)
    return {"text": " ".join([*words, *rng.sample(("the", "and", "today", "lunch", "Zürich"), 3)])}, signal


FEATURES: Mapping[str, Callable[[random.Random], tuple[dict[str, Any], float]]] = {
    "numbers": _numbers,
    "counts": _counts,
    "mixed": _mixed,
    "texts": _texts,
}


def probes(data: str, count: int = 6) -> tuple[dict[str, Any], ...]:
    """Return events to score: usual ones, with unknown and missing names, unknown values, shuffled."""
    rng = random.Random(f"probes {data}")
    found: list[dict[str, Any]] = []
    for number in range(count):
        features, _ = FEATURES[data](rng)
        if number % 3 == 1:
            features = {f"unknown{number}": 3.5, **features}
            features = {
                name: f"{value} novel{number}" if name == "text" else value
                for name, value in features.items()
            }
            features = {name: f"new{number}" if name in "fg" else value for name, value in features.items()}
        if number % 3 == 2 and data != "texts":
            del features[sorted(features)[1]]
        found.append(dict(reversed(features.items())) if number % 2 else features)
    return tuple(found)


def labels_of(case: Case, kind: str) -> tuple[Any, ...]:
    """Return the labels of a type that this model can learn; none, when it cannot."""
    if case.classes is not None:
        return case.classes if type(case.classes[0]).__name__ == kind else ()
    return LABELS[kind][:2] if case.binary else LABELS[kind]
