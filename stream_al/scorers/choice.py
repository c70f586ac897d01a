"""Which scorer a model gets: by the exact types of its parts, and only where it gives River's own numbers."""

from __future__ import annotations

import functools
from typing import Any, Final

from river import base, compose, forest, linear_model, metrics, multiclass, naive_bayes, preprocessing, tree
from river.__version__ import __version__ as river_version

from stream_al.estimators import PURE
from stream_al.scorers.base import Behind, Compile, Compiled, Scorer, ThroughRiver
from stream_al.scorers.forests import ForestScorer
from stream_al.scorers.linear import LINEAR
from stream_al.scorers.naive_bayes import NaiveBayesScorer, compile_gaussian, compile_gaussian_many
from stream_al.scorers.scalers import SCALERS
from stream_al.scorers.trees import TreeScorer

SERIES: Final = "0.26."
"""The River that the scorers were written for."""

_FOREST: Final[Any] = PURE[forest.ARFClassifier]
_WORTH: Final = 8
"""To compile a linear model takes about the time that it saves with so many events."""


def scorer_of(estimator: Any) -> Scorer:
    """Return the quickest exact way to an estimator's probabilities.

    Examples
    --------
    >>> from river.linear_model import LogisticRegression
    >>> model = LogisticRegression()
    >>> model.learn_one({"x": 2.0}, True)
    >>> scorer_of(model)({"x": 1.0}) == model.predict_proba_one({"x": 1.0})
    True
    """
    steps = list(estimator.steps.values()) if type(estimator) is compose.Pipeline else [estimator]
    steps = [step for step in steps if not isinstance(step, base.AnomalyFilter)]
    classifier = steps.pop()
    scalers: list[Any] = []
    while steps and type(classifier) in LINEAR and type(steps[-1]) in SCALERS:
        scalers.insert(0, steps.pop())
    kind: Any = type(classifier)
    if (scorer := _own(scalers, classifier, _WORTH)) is None or not agrees(kind):
        return ThroughRiver([step.transform_one for step in (*steps, *scalers)], classifier.predict_proba_one)
    return Behind([step.transform_one for step in steps], scorer) if steps else scorer


def _own(scalers: list[Any], classifier: Any, worth: int) -> Scorer | None:
    """Return the scorer of a family; None for a classifier of none, or with which River itself is quickest."""
    kind = type(classifier)
    if kind in LINEAR and (scalers or kind is not linear_model.LogisticRegression):
        river = ThroughRiver([scaler.transform_one for scaler in scalers], classifier.predict_proba_one)
        try:
            return Compiled(LINEAR[kind](scalers, classifier), river, worth)
        except TypeError:  # a loss that is no `BinaryLoss`
            return None
    if kind is naive_bayes.GaussianNB:
        compile_for = Compile(
            functools.partial(compile_gaussian, classifier),
            functools.partial(compile_gaussian_many, classifier),
        )
        return Compiled(compile_for, classifier.predict_proba_one, 0)
    if kind in (naive_bayes.MultinomialNB, naive_bayes.BernoulliNB, naive_bayes.ComplementNB):
        return NaiveBayesScorer(classifier)
    if kind is tree.HoeffdingTreeClassifier:
        return TreeScorer(classifier)
    # Most other metrics, with which trees are weighed, note down what they are asked.
    if kind is _FOREST and type(classifier.metric) is metrics.Accuracy:
        return ForestScorer(classifier)
    return None


@functools.cache
def agrees(kind: Any) -> bool:
    """Whether a family's scorer gives River's numbers here, on a small sample: tried once a process, at first use.

    Another River may keep its state elsewhere, or add up in another order; naive Bayes follows scipy and NumPy, too,
    whose last bits may be others on other processors.
    """
    if not river_version.startswith(SERIES):
        return False
    try:
        *scalers, classifier = SAMPLES[kind]()
        return _agree(scalers, classifier)
    except Exception:  # it is made differently, or learns differently
        return False


def _agree(scalers: list[Any], classifier: Any) -> bool:
    scorer = _own(scalers, classifier, worth=1)
    if scorer is None:
        return False
    river = ThroughRiver([scaler.transform_one for scaler in scalers], classifier.predict_proba_one)
    two = type(classifier) is linear_model.LogisticRegression
    events: list[dict[str, Any]] = [
        {name: abs((number * step) % 97 / 7 - number % 10 // shift) for shift, step, name in _FEATURES}
        for number in range(60)
    ]
    scorer.know(tuple(events[0]))
    for number, x in enumerate(events):
        if number % 20 == 19:
            for y in events[number - 6 : number] * 3:  # asked again, for what is compiled when it is worth it
                if repr(sorted(scorer(y).items())) != repr(sorted(river(y).items())):
                    return False
            together = scorer.together(events[number - 19 : number + 1])
            for label, column in together.items():
                if column.tolist() != [river(y)[label] for y in events[number - 19 : number + 1]]:
                    return False
        scorer.forget(x)
        for scaler in scalers:
            scaler.learn_one(x)
            x = scaler.transform_one(x)
        classifier.learn_one(x, number % 10 > 4 if two else number % 10)
    return True


_FEATURES: Final = ((1, 31, "a"), (2, 53, "b"), (3, 71, "c"))
SAMPLES: Final[dict[Any, Any]] = {
    linear_model.LogisticRegression: lambda: (*_scalers(), linear_model.LogisticRegression()),
    linear_model.SoftmaxRegression: lambda: (*_scalers(), linear_model.SoftmaxRegression()),
    multiclass.OneVsRestClassifier: lambda: (*_scalers(), multiclass.OneVsRestClassifier(_scaled())),
    naive_bayes.GaussianNB: lambda: (naive_bayes.GaussianNB(),),
    naive_bayes.MultinomialNB: lambda: (naive_bayes.MultinomialNB(),),
    naive_bayes.BernoulliNB: lambda: (naive_bayes.BernoulliNB(),),
    naive_bayes.ComplementNB: lambda: (naive_bayes.ComplementNB(),),
    tree.HoeffdingTreeClassifier: lambda: (tree.HoeffdingTreeClassifier(grace_period=10, delta=0.5),),
    _FOREST: lambda: (_FOREST(n_models=3, grace_period=10, delta=0.5, seed=1),),
}
"""What each family is tried with."""


def _scalers() -> list[Any]:
    return [
        preprocessing.RobustScaler(),
        preprocessing.MaxAbsScaler(),
        preprocessing.MinMaxScaler(),
        preprocessing.AdaptiveStandardScaler(),
        preprocessing.StandardScaler(),
    ]


def _scaled() -> Any:
    return preprocessing.StandardScaler() | linear_model.LogisticRegression()
