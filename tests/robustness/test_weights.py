"""A linear model's weights, scalers multiplied in, are the model."""

import numpy as np
import pytest
from attacked import events, taught
from river import compose, feature_extraction, linear_model, multiclass, naive_bayes, preprocessing, tree

from stream_al import Model
from stream_al.robustness import Linear

SCALERS = [
    None,
    preprocessing.StandardScaler,
    preprocessing.MinMaxScaler,
    preprocessing.MaxAbsScaler,
]
HEADS = [
    (2, linear_model.LogisticRegression),
    (2, linear_model.Perceptron),
    (3, linear_model.SoftmaxRegression),
    (3, lambda: multiclass.OneVsRestClassifier(linear_model.LogisticRegression())),
]


@pytest.mark.parametrize("scaler", SCALERS)
@pytest.mark.parametrize(("classes", "head"), HEADS)
def test_its_greatest_row_is_the_answer_of_the_model(classes, head, scaler):
    model = taught(head() if scaler is None else scaler() | head(), classes)
    linear = Linear.of(model)
    answered = set()
    for features, _ in events(200, classes, seed=2):
        standing = linear.weights @ [features[name] for name in linear.names] + linear.bias
        answer = model.score(features)
        answered.add(answer.label)
        if answer.margin > 1e-9:  # else the sigmoids of both are 1
            assert linear.classes[int(np.argmax(standing))] == answer.label
    assert len(answered) >= 2


def test_of_logistic_regression_the_standing_is_the_log_odds():
    model = taught(preprocessing.StandardScaler() | linear_model.LogisticRegression())
    linear = Linear.of(model)
    for features, _ in events(50, seed=3):
        shares = model.score(features).probabilities
        standing = linear.weights @ [features[name] for name in linear.names] + linear.bias
        assert standing[1] - standing[0] == pytest.approx(np.log(shares["y"] / shares["x"]), abs=1e-6)


def test_scalers_one_after_the_other_are_multiplied():
    both = preprocessing.StandardScaler() | preprocessing.MinMaxScaler() | linear_model.LogisticRegression()
    model = taught(both)
    linear = Linear.of(model)
    features, _ = events(1, seed=4)[0]
    shares = model.score(features).probabilities
    standing = linear.weights @ [features[name] for name in linear.names] + linear.bias
    assert standing[1] - standing[0] == pytest.approx(np.log(shares["y"] / shares["x"]))


@pytest.mark.parametrize(
    "estimator",
    [
        tree.HoeffdingTreeClassifier(),
        naive_bayes.GaussianNB(),
        preprocessing.Normalizer() | linear_model.LogisticRegression(),
        feature_extraction.PolynomialExtender() | linear_model.LogisticRegression(),
        compose.Pipeline(compose.Select("a", "b"), linear_model.LogisticRegression()),
        multiclass.OneVsRestClassifier(naive_bayes.GaussianNB()),
    ],
)
def test_what_is_not_known_to_be_linear_has_no_weights(estimator):
    assert Linear.of(taught(estimator)) is None


def test_a_model_of_one_class_has_none():
    assert Linear.of(Model(linear_model.LogisticRegression())) is None
