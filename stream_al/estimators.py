"""Which River estimators can be a model, and what keeps those few honest that would not be by themselves.

A model must answer without changing, and alike in every process. Most of River does; the exceptions of
0.26.1 are all here. What cannot be helped is refused with the reason (`check`). The others are given a
subclass that differs in one point only (`steadied`): it forgets what it stored while it scored, or goes
through a set in sorted order. The classes are changed on the model's own copy; clones that an ensemble
makes of its members later inherit the change.
"""

from __future__ import annotations

import collections
import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import numpy as np
from river import (
    base,
    compose,
    dummy,
    ensemble,
    facto,
    feature_extraction,
    forest,
    linear_model,
    neighbors,
    preprocessing,
    tree,
)
from river.metrics.confusion import ConfusionMatrix
from river.tree.splitter.nominal_splitter_classif import NominalSplitterClassif

from stream_al.digest import visit
from stream_al.errors import ModelError

UNUSABLE: Final = {
    "ActiveLearningClassifier": "decides itself what to ask; give the classifier it wraps",
    "ZstdClassifier": "answers by what it was asked before; use BagOfWords | MultinomialNB",
    "SKL2RiverClassifier": "takes features by their place, whatever they are called, and knows no others; use a "
    "classifier of River's own",
    "SWINN": "keeps part of its graph in a variable that all models of a process share; "
    "give KNNClassifier engine=LazySearch(...)",
    "PoissonInclusion": "draws the features it lets through while it scores; choose them with Select",
    "LDA": "samples while it scores; use BagOfWords or TFIDF",
    "RandomTreesEmbedding": "keeps memory addresses, which no restart preserves; use RBFSampler",
    "LocalOutlierFactor": "keeps memory addresses, which no restart preserves; use HalfSpaceTrees",
    "KolmogorovSmirnov": "draws from Python's global generator",
    "ThompsonSampling": "draws from generators that no seed reaches for good; use EpsilonGreedy(seed=...)",
    "Counter": "depends on Python's hash of a text, which differs from process to process",
    "Set": "depends on Python's hash of a text, which differs from process to process",
}
"""By the name of a River class (or of one it derives from), why it cannot be part of a model."""

_IGNORES_WEIGHTS: Final = (ensemble.SRPClassifier,)
"""Wrappers that take a weight and leave it out."""

_KEEPS_NAMES: Final = (
    compose.Discard,
    compose.Prefixer,
    compose.Renamer,
    compose.Select,
    compose.Suffixer,
    preprocessing.AdaptiveStandardScaler,
    preprocessing.Binarizer,
    preprocessing.MaxAbsScaler,
    preprocessing.MinMaxScaler,
    preprocessing.Normalizer,
    preprocessing.RobustScaler,
    preprocessing.StandardScaler,
)


def check(estimator: object) -> bool:
    """Refuse what cannot be a model; return whether it knows only two classes.

    Raises
    ------
    ModelError
        Naming the part that is the reason, and the remedy.
    """
    last = estimator
    while isinstance(last, compose.Pipeline):
        last = next(reversed(last.steps.values()), None)
    if not isinstance(last, base.Classifier):
        raise ModelError(
            f"{type(last).__name__} is not a classifier; "
            "give a river.base.Classifier or a pipeline ending in one"
        )
    unseeded: dict[str, None] = {}

    def look_at(part: object) -> None:
        if not isinstance(part, type):
            _refuse_unusable(part)
            if getattr(part, "seed", 0) is None and not type(part).__module__.startswith("river.proba"):
                unseeded[type(part).__name__] = None

    visit(estimator, look_at)
    if unseeded:
        raise ModelError(
            f"{', '.join(unseeded)} has no seed, so no two runs would agree; give it one, for example seed=1"
        )
    return not _multiclass(last)


def _refuse_unusable(part: object) -> None:
    kind: Any = type(part)
    if kind.__module__.startswith("river."):
        for ancestor in kind.__mro__:
            if ancestor.__name__ in UNUSABLE and ancestor.__module__.startswith("river."):
                raise ModelError(f"{kind.__name__} cannot be used: it {UNUSABLE[ancestor.__name__]}")
    if issubclass(kind, base.Classifier) and kind.predict_proba_one is base.Classifier.predict_proba_one:
        raise ModelError(f"{kind.__name__} gives no probabilities, so nothing can be asked by uncertainty")
    if issubclass(kind, neighbors.KNNClassifier) and vars(part)["cleanup_every"]:
        raise ModelError(
            "KNNClassifier with cleanup_every fails at every clean-up (River 0.26.1); leave it at 0"
        )


def require_weights(
    estimator: object, why: str = "this strategy gives its labels; use another strategy"
) -> None:
    """Refuse what does not learn with weights. A pipeline leaves them out in silence where its last step knows none.

    Raises
    ------
    ModelError
        Naming the part that knows no weights, or ignores them, and the remedy.
    """
    last: Any = estimator
    while True:
        if isinstance(last, compose.Pipeline):
            last = next(reversed(last.steps.values()))
        elif isinstance(last, base.Wrapper) and not isinstance(last, _IGNORES_WEIGHTS):
            last = last._wrapped_model
        else:
            break
    if "w" not in inspect.signature(last.learn_one).parameters:
        raise ModelError(
            f"{type(last).__name__} does not learn with weights, which {why}, or use a model "
            "that does: LogisticRegression, a Hoeffding tree, or bagging or one-vs-rest of these"
        )


def _multiclass(classifier: Any) -> bool:
    if type(classifier) is compose.Pipeline:
        return _multiclass(next(reversed(classifier.steps.values())))
    if type(classifier) is ensemble.StackingClassifier:  # River asks the one that decides only
        return all(_multiclass(member) for member in (*classifier, classifier.meta_classifier))
    answer = classifier._multiclass
    return bool(answer() if callable(answer) else answer)  # SuccessiveHalvingClassifier forgot `@property`


# ── what is given a subclass ─────────────────────────────────────────────────────────────────────────


def steadied(estimator: Any) -> Any:
    """Change the classes of those parts that would not be pure, or not alike in every process.

    Changes ``estimator``, which must be the model's own copy, and returns it.
    """
    parts: list[Any] = []
    visit(estimator, parts.append)
    simple = _names_are_known(parts)
    for part in parts:
        kind = type(part)
        if (ordered := ORDERED.get(kind)) is not None:
            part.__class__ = ordered
            for name in ordered.sets:
                part.__dict__[name] = SortedSet(part.__dict__[name])
        elif not (simple and kind in _KEEPS_NAMES) and (pure := PURE.get(kind)) is not None:
            part.__class__ = pure
        elif kind is preprocessing.OneHotEncoder and part.categories:
            part._zero_dict = dict(sorted(part._zero_dict.items()))  # came out of the user's sets
        if getattr(part, "max_depth", None) == sys.getrecursionlimit() - 20:
            part.max_depth = 980  # River's default, from Python's default limit, in whichever process
    return estimator


def _names_are_known(parts: list[object]) -> bool:
    """Whether every part has learned every name it will be asked about: one classifier behind steps that keep
    names. A member of an ensemble may have skipped the examples that had them.
    """  # noqa: D205
    kinds = [type(part) for part in parts]
    transformers = (kind for kind in kinds if issubclass(kind, base.BaseTransformer))
    return sum(issubclass(kind, base.Classifier) for kind in kinds) == 1 and all(
        kind in _KEEPS_NAMES for kind in transformers
    )


class SortedSet(set[Any]):
    """A set that is gone through in sorted order, in every process and after every restart."""

    def __iter__(self) -> Iterator[Any]:
        return iter(sorted(super().__iter__(), key=_by_type))

    def __reduce__(self) -> tuple[type, tuple[list[Any]]]:
        return type(self), (list(self),)


def _by_type(value: object) -> tuple[str, object]:
    return type(value).__name__, value


def _ordered(parent: type, *sets: str) -> type:
    def initialise(self: Any, *args: Any, **kwargs: Any) -> None:
        parent.__init__(self, *args, **kwargs)  # type: ignore[misc]
        for name in sets:
            self.__dict__[name] = SortedSet(self.__dict__[name])

    initialise = functools.wraps(parent.__init__)(initialise)  # type: ignore[misc]
    return _subclass(parent, {"__init__": initialise, "sets": sets})


def _pure(parent: type, method: str, *, stores: Iterable[str], rng: str = "") -> type:
    """Return a subclass that forgets, after ``method``, what it stored and what its generator drew."""
    original: Callable[..., Any] = getattr(parent, method)
    attributes = tuple(stores)

    @functools.wraps(original)
    def call(self: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
        dictionaries = [getattr(self, name) for name in attributes]
        dictionaries += [
            d for outer in dictionaries for d in outer.values() if type(d) is collections.defaultdict
        ]
        sizes = [len(dictionary) for dictionary in dictionaries]
        generator = functools.reduce(_attribute, rng.split("."), self) if rng else None
        drawn = _state_of(generator)
        try:
            return original(self, x, *args, **kwargs)
        finally:
            for dictionary, size in zip(dictionaries, sizes, strict=True):
                while len(dictionary) > size:
                    dictionary.popitem()  # the last one in
            _restore(generator, drawn)

    return _subclass(parent, {method: call})


def _silent(parent: type) -> type:
    """Return a subclass that knows nothing until it has learned; River's sets itself up when asked."""

    def predict_proba_one(self: Any, x: Any, **kwargs: Any) -> Any:
        return parent.predict_proba_one(self, x, **kwargs) if self.models else {}  # type: ignore[attr-defined]

    return _subclass(parent, {"predict_proba_one": predict_proba_one})


def _subclass(parent: type, members: dict[str, Any]) -> type:
    # Under its parent's name, which is what messages show, and where pickle finds it (`globals` below).
    return type(parent.__name__, (parent,), {**members, "__module__": __name__})


def _attribute(thing: Any, name: str) -> Any:
    return getattr(thing, name, None)  # `Zeros` has no generator


def _state_of(generator: Any) -> Any:
    if generator is None:
        return None
    return generator.get_state() if isinstance(generator, np.random.RandomState) else generator.getstate()


def _restore(generator: Any, state: Any) -> None:
    if isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    elif generator is not None:
        generator.setstate(state)


ORDERED: Final[dict[type, Any]] = {
    parent: _ordered(parent, name)
    for parent, name in (
        (compose.Select, "keys"),  # the order in which scalers and linear models add up
        (neighbors.KNNClassifier, "classes"),  # the order in which weights are added up
        (tree.HoeffdingAdaptiveTreeClassifier, "classes"),  # the order in which ties are broken, and below
        (forest.AMFClassifier, "_classes"),
        (dummy.NoChangeClassifier, "classes"),
    )
}

PURE: Final[dict[type, type]] = {
    preprocessing.StandardScaler: _pure(
        preprocessing.StandardScaler, "transform_one", stores=("means", "vars")
    ),
    preprocessing.MinMaxScaler: _pure(preprocessing.MinMaxScaler, "transform_one", stores=("min", "max")),
    preprocessing.MaxAbsScaler: _pure(preprocessing.MaxAbsScaler, "transform_one", stores=("abs_max",)),
    preprocessing.RobustScaler: _pure(preprocessing.RobustScaler, "transform_one", stores=("median", "iqr")),
    preprocessing.AdaptiveStandardScaler: _pure(
        preprocessing.AdaptiveStandardScaler, "transform_one", stores=("means", "vars")
    ),
    preprocessing.OrdinalEncoder: _pure(preprocessing.OrdinalEncoder, "transform_one", stores=("values",)),
    feature_extraction.Agg: _pure(feature_extraction.Agg, "transform_one", stores=("_groups",)),
    feature_extraction.TargetAgg: _pure(feature_extraction.TargetAgg, "transform_one", stores=("_groups",)),
    compose.Grouper: _pure(compose.Grouper, "transform_one", stores=("transformers",)),
    feature_extraction.RBFSampler: _pure(
        feature_extraction.RBFSampler, "transform_one", stores=("weights",), rng="rng"
    ),
    preprocessing.GaussianRandomProjector: _pure(
        preprocessing.GaussianRandomProjector, "transform_one", stores=("_projection_matrix",), rng="_rng"
    ),
    preprocessing.SparseRandomProjector: _pure(
        preprocessing.SparseRandomProjector, "transform_one", stores=("_projection_matrix",), rng="_rng"
    ),
    linear_model.AdPredictor: _pure(
        linear_model.AdPredictor, "predict_proba_one", stores=("means", "variances")
    ),
    **{
        parent: _pure(parent, "predict_proba_one", stores=("correct_weight", "wrong_weight"))
        for parent in (
            ensemble.AdaBoostClassifier,
            ensemble.ADWINBoostingClassifier,
            ensemble.BOLEClassifier,
        )
    },
    **{
        parent: _pure(
            parent, "predict_proba_one", stores=("weights", "latents"), rng="latent_initializer._rng"
        )
        for parent in (facto.FFMClassifier, facto.FMClassifier, facto.HOFMClassifier)
    },
    facto.FwFMClassifier: _pure(
        facto.FwFMClassifier,
        "predict_proba_one",
        stores=("weights", "latents", "interaction_weights"),
        rng="latent_initializer._rng",
    ),
    forest.ARFClassifier: _silent(forest.ARFClassifier),
    ensemble.SRPClassifier: _silent(ensemble.SRPClassifier),
}

globals().update({kind.__name__: kind for kind in (*ORDERED.values(), *PURE.values())})


# ── the two that no subclass reaches ─────────────────────────────────────────────────────────────────


def _peek(self: Any, att_val: Any, target_val: Any) -> Any:
    if target_val not in self._att_dist_per_class:  # which River would note down, while scoring
        return 0.0
    return _cond_proba(self, att_val, target_val)


def _best_of_sorted(self: Any, *args: Any, **kwargs: Any) -> Any:
    values = self._att_values
    self._att_values = sorted(values, key=_by_type)
    try:
        return _best_split(self, *args, **kwargs)
    finally:
        self._att_values = values


# River's trees and metrics make these by name wherever they need one, and go through sets of text: of two
# equally good splits the first wins, and sums of floats depend on their order. Nothing else changes, so River
# used beside stream_al in the same process is not harmed.
_splitter: Any = NominalSplitterClassif
_confusion: Any = ConfusionMatrix
_best_split: Final = _splitter.best_evaluated_split_suggestion
_cond_proba: Final = _splitter.cond_proba
_classes_of: Final = _confusion.classes.fget
_splitter.best_evaluated_split_suggestion = _best_of_sorted
_splitter.cond_proba = _peek
_confusion.classes = property(lambda matrix: sorted(_classes_of(matrix), key=_by_type))
