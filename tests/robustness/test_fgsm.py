"""The least step along the slope: on linear models it is known in closed form."""

import numpy as np
import pytest
from attacked import events, space_of, taught, without_bounds
from river import linear_model, multiclass, naive_bayes, preprocessing, tree

from stream_al import Example, Model
from stream_al.errors import ModelError
from stream_al.robustness import Linear, Space, Victim, fgsm, slopes_of
from stream_al.robustness.fgsm import DifferenceSlopes

TWO = preprocessing.StandardScaler() | linear_model.LogisticRegression()
THREE = [
    preprocessing.StandardScaler() | linear_model.SoftmaxRegression(),
    preprocessing.StandardScaler() | multiclass.OneVsRestClassifier(linear_model.LogisticRegression()),
]


def standing(linear, features):
    return linear.weights @ [features[name] for name in linear.names] + linear.bias


def test_for_two_classes_it_is_the_distance_to_the_plane():
    model, space = taught(TWO), without_bounds(space_of())
    scaler, head = model.estimator.steps.values()
    for features, _ in events(60, seed=5):
        found = fgsm(Victim(model, "e", features, space), slopes_of(model), most=50.0).fooled
        # |w·x + b| / ‖w‖₁ in the scaled space, whose units are the spreads of the very events that were learned.
        scaled = scaler.transform_one(features)
        distance = abs(sum(head.weights[name] * scaled[name] for name in scaled) + head.intercept)
        assert found.size == pytest.approx(distance / sum(map(abs, head.weights.values())), rel=0.01)
        assert found.after.label != found.before.label


@pytest.mark.parametrize("estimator", THREE)
@pytest.mark.parametrize("target", [None, "x", "y", "z"])
def test_for_more_it_is_the_distance_to_the_nearest_plane_or_the_wanted_one(estimator, target):
    model, space = taught(estimator, 3), without_bounds(space_of(3))
    linear = Linear.of(model)
    for features, _ in events(40, 3, seed=6):
        victim = Victim(model, "e", features, space, target)
        if victim.before.label == target:
            continue
        found = fgsm(victim, slopes_of(model), most=100.0).fooled
        gaps, mine = standing(linear, features), model.classes.index(victim.before.label)
        distances = [
            (gaps[mine] - gaps[k]) / np.sum(np.abs(linear.weights[mine] - linear.weights[k]) * space.spread)
            for k in range(3)
            if k != mine and target in (None, model.classes[k])
        ]
        if target is None:
            assert found.size == pytest.approx(min(distances), rel=0.01)
        elif found is not None:  # the third class may be in the way, or come first
            assert found.after.label == target
            assert found.size >= min(distances) * 0.99


def test_for_two_classes_its_order_is_that_of_the_margin():
    model, space = taught(TWO), without_bounds(space_of())
    victims = [Victim(model, str(n), features, space) for n, (features, _) in enumerate(events(40, seed=14))]
    sizes = {victim.event_id: fgsm(victim, slopes_of(model), 50.0).fooled.size for victim in victims}
    margins = {victim.event_id: victim.before.margin for victim in victims}
    assert sorted(sizes, key=sizes.get) == sorted(margins, key=margins.get)


def test_where_the_range_of_the_data_is_in_the_way_the_other_features_go_further():
    model, whole = taught(TWO), space_of()
    middle = (whole.low + whole.high) / 2.0
    space = Space(whole.names, middle - whole.spread, middle + whole.spread, whole.spread)
    linear = Linear.of(model)
    weights = linear.weights[1] - linear.weights[0]
    clipped = 0
    for features, _ in events(100, seed=7):
        victim = Victim(model, "e", features, space)
        found = fgsm(victim, slopes_of(model), most=50.0).fooled
        gap = standing(linear, features) @ [-1.0, 1.0]
        room = np.where(weights * -gap > 0, victim.space.high - victim.own, victim.own - victim.space.low)

        def moved(size, room=room):
            return np.sum(np.abs(weights) * np.minimum(size * space.spread, room))

        if moved(np.inf) < abs(gap):
            assert found is None
            continue
        assert moved(found.size) == pytest.approx(abs(gap), rel=0.01)
        clipped += moved(found.size) < 0.99 * np.sum(np.abs(weights) * found.size * space.spread)
    assert clipped > 5


def test_differences_find_what_the_models_own_slopes_find():
    model, space = taught(TWO), space_of()
    for features, _ in events(30, seed=8):
        one = fgsm(Victim(model, "e", features, space), slopes_of(model), most=3.0).fooled
        other = fgsm(Victim(model, "e", features, space), DifferenceSlopes(), most=3.0).fooled
        assert (one is None) == (other is None)
        if one is not None:
            assert other.size == pytest.approx(one.size, rel=0.01)


@pytest.mark.parametrize("estimator", [naive_bayes.GaussianNB(), tree.HoeffdingTreeClassifier(), TWO])
def test_what_it_reports_is_true_and_the_model_is_unchanged(estimator):
    model, space = taught(estimator), space_of()
    digest, fooled = model.digest(), 0
    for features, _ in events(40, seed=9):
        attempt = fgsm(Victim(model, "e", features, space), slopes_of(model), most=2.0)
        if attempt.fooled is None:
            continue
        fooled += 1
        after = dict(features) | {change.name: change.after for change in attempt.fooled.changes}
        assert model.score(after).label == attempt.fooled.after.label != attempt.fooled.before.label
        assert attempt.fooled.size <= 2.0 + 1e-9
        assert sum(change.effect for change in attempt.fooled.changes) == pytest.approx(1.0)
        around = space.around(features)
        for change in attempt.fooled.changes:
            place = around.names.index(change.name)
            assert around.low[place] <= change.after <= around.high[place]
            assert change.before == features[change.name]
    assert fooled > 0
    assert model.digest() == digest


def test_a_tree_of_majorities_has_no_slope_and_says_so():
    model = taught(tree.HoeffdingTreeClassifier(grace_period=20, tau=0.2, leaf_prediction="mc"))
    attempts = [
        fgsm(Victim(model, "e", features, space_of()), slopes_of(model), most=3.0)
        for features, _ in events(30, seed=10)
    ]
    assert all(attempt.flat and attempt.fooled is None for attempt in attempts[:1])
    assert sum(attempt.flat for attempt in attempts) >= 28  # but for events that lie at a boundary


def test_text_and_yes_or_no_are_left_as_they_are():
    model = Model(tree.HoeffdingTreeClassifier())
    rows = [
        ({**features, "colour": "red" if n % 2 else "blue", "new": n % 3 == 0}, label)
        for n, (features, label) in enumerate(events(200))
    ]
    for number, (features, label) in enumerate(rows):
        model.learn(Example(event_id=str(number), features=features, label=label))
    space = Space.of(features for features, _ in rows)
    assert space.fixed == ("colour", "new")
    for features, _ in rows[:20]:
        found = fgsm(Victim(model, "e", features, space), slopes_of(model), most=3.0).fooled
        assert found is None or not {"colour", "new"} & {change.name for change in found.changes}


def test_an_event_that_the_model_has_no_answer_to_is_named():
    with pytest.raises(ModelError, match="event e7: the model has no answer"):
        Victim(Model(linear_model.LogisticRegression()), "e7", {"a": 1.0}, space_of())
