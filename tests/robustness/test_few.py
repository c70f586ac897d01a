"""The attack on k features needs answers only."""

import pytest
from attacked import events, space_of, taught
from river import forest, linear_model, preprocessing, tree

from stream_al.robustness import Victim, few_features

MODELS = [
    preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    tree.HoeffdingTreeClassifier(grace_period=20, tau=0.2, leaf_prediction="mc"),
    forest.ARFClassifier(n_models=3, seed=1),
]


@pytest.mark.parametrize("estimator", MODELS)
@pytest.mark.parametrize("k", [1, 2, 9])
def test_at_most_k_features_change_within_their_bounds_and_the_model_is_fooled(estimator, k):
    model, space = taught(estimator), space_of()
    fooled = 0
    for number, (features, _) in enumerate(events(20, seed=11)):
        found = few_features(Victim(model, "e", features, space), k, number).fooled
        if found is None:
            continue
        fooled += 1
        assert 1 <= len(found.changes) <= k
        after = dict(features) | {change.name: change.after for change in found.changes}
        assert model.score(after).label == found.after.label != found.before.label
        around = space.around(features)
        for change in found.changes:
            place = around.names.index(change.name)
            assert around.low[place] <= change.after <= around.high[place]
    assert fooled > 0


def test_the_same_seed_finds_the_same():
    model, space = taught(MODELS[0]), space_of()
    features = events(1, seed=12)[0][0]
    one, other = (few_features(Victim(model, "e", features, space), 2, 7) for _ in range(2))
    assert one == other


def test_a_wanted_class_is_what_it_ends_with():
    estimator = preprocessing.StandardScaler() | linear_model.SoftmaxRegression()
    model, space = taught(estimator, 3), space_of(3)
    found = [
        few_features(Victim(model, "e", features, space, "z"), 3, 1).fooled
        for features, label in events(10, 3, seed=13)
        if label != "z"
    ]
    assert any(found)
    assert all(one is None or one.after.label == "z" for one in found)


def test_one_feature_that_decides_alone_is_found():
    rows = events(100, seed=14)
    model = taught(linear_model.LogisticRegression())  # on raw scales the one of scale 100 decides
    found = [
        few_features(Victim(model, "e", x, space_of()), 1, n).fooled for n, (x, _) in enumerate(rows[:10])
    ]
    assert {change.name for one in found if one for change in one.changes} == {"b"}
