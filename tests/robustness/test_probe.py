"""Many events attacked: what is counted, and who is chosen."""

import pytest
from attacked import events, space_of, taught
from river import linear_model, preprocessing

from stream_al import Example, Model
from stream_al.errors import ConfigError, ModelError
from stream_al.robustness import Space, choose, probe
from stream_al.robustness.probe import FGSM

LINEAR = preprocessing.StandardScaler() | linear_model.LogisticRegression()


def rows(count=80, seed=20):
    return [(f"e{n}", features, label) for n, (features, label) in enumerate(events(count, seed=seed))]


def test_only_events_answered_rightly_are_attacked_in_their_order():
    model, given = taught(LINEAR), rows()
    subjects = choose(model, given, 1000)
    right = [event_id for event_id, features, truth in given if model.score(features).label == truth]
    assert [subject.event_id for subject in subjects] == right
    assert len(right) < len(given)


def test_which_are_drawn_depends_on_the_key_only():
    model, given = taught(LINEAR), rows()
    first = choose(model, given, 10)
    assert len(first) == 10
    assert choose(model, given, 10) == first
    assert choose(model, given, 10, "another") != first


def test_where_no_class_is_known_any_answer_counts():
    model = taught(LINEAR)
    assert len(choose(model, [(name, features, None) for name, features, _ in rows()], 1000)) == 80


def test_further_is_never_less_and_the_slope_beats_the_coin():
    model, space = taught(LINEAR), space_of()
    subjects = choose(model, rows(), 40)
    shares = []
    for within in (0.2, 0.5, 1.0, 2.0):
        findings = probe(model, subjects, space, few=(), within=within)
        shares.append(findings.attacks[0].share)
        assert all(size <= within + 1e-9 for size in findings.attacks[0].sizes)
        assert findings.noise[-1][0] == within
        assert findings.noise[-1][1] <= shares[-1]
    assert shares == sorted(shares)
    assert shares[0] < shares[-1]


def test_counts_shares_and_effects_fit_together():
    findings = probe(taught(LINEAR), choose(taught(LINEAR), rows(), 30), space_of(), few=(1, 2))
    assert [attack.name for attack in findings.attacks] == [FGSM, "1 feature", "2 features"]
    for attack, found in zip(findings.attacks, findings.to_json()["attacks"], strict=True):
        assert found["fooled"] == len(found["found"]) == len(attack.fooled)
        assert found["low"] <= found["share"] <= found["high"]
        assert sum(part["effect"] for part in found["features"]) == pytest.approx(1.0)
        sizes = [one["change"] for one in found["found"]]
        beyond = sum(size > found["median_change"] for size in sizes) if found["median_change"] else 0
        assert beyond <= attack.tried / 2


def test_progress_ends_with_every_attack_done():
    told: list[int] = []
    subjects = choose(taught(LINEAR), rows(), 5)
    probe(taught(LINEAR), subjects, space_of(), few=(1,), on_progress=told.append)
    assert told == [*range(1, 11)]


def test_a_model_of_one_class_cannot_be_fooled():
    model = Model(linear_model.LogisticRegression())
    with pytest.raises(ModelError, match="has learned nothing"):
        choose(model, rows(), 5)
    model.learn(Example(event_id="1", features={"a": 1.0}, label="x"))
    with pytest.raises(ModelError, match="only 'x'"):
        choose(model, rows(), 5)


def test_a_target_that_is_no_class_is_refused_with_those_there_are():
    with pytest.raises(ConfigError, match="there are 'x', 'y'"):
        choose(taught(LINEAR), rows(), 5, target="q")


def test_when_nothing_is_answered_rightly_there_is_nothing_to_fool():
    wrong = [(name, features, "q") for name, features, _ in rows()]
    with pytest.raises(ModelError, match="answers none rightly"):
        choose(taught(LINEAR), wrong, 5)


@pytest.mark.parametrize("given", [[], [{"c": "red"}, {"c": "blue"}], [{"x": 1.0}, {"x": 1.0}]])
def test_without_a_number_that_varies_there_is_nothing_to_change(given):
    with pytest.raises(ConfigError, match="none is a number that varies"):
        Space.of(given)
