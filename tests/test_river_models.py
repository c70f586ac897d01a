"""What a `Model` promises, over every River classifier: pure scores, equal folds, exact snapshots."""

from __future__ import annotations

import builtins
import copy
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from river import base
from river_models import CASES, LABELS, REFUSED, examples, labels_of, probes, river_classes

from stream_al.digest import digest, visit
from stream_al.errors import ModelError, RecordError
from stream_al.model import Model
from stream_al.snapshot import _GLOBALS
from stream_al.uncertainty import Scores

KINDS = tuple(LABELS)
EACH = pytest.mark.parametrize("name", CASES)
EACH_AND_LABELS = pytest.mark.parametrize(
    ("name", "kind"),
    [(name, kind) for name, case in CASES.items() for kind in KINDS if labels_of(case, kind)],
)


def stream(name: str, kind: str | None = None) -> tuple[Any, ...]:
    case = CASES[name]
    kind = kind or next(k for k in KINDS if labels_of(case, k))
    return examples(case.data, labels_of(case, kind))


def answers(model: Model, name: str) -> list[Scores | str]:
    """The answer to each probe, or why there is none; without the version."""
    found: list[Scores | str] = []
    for features in probes(CASES[name].data):
        try:
            found.append(msgspec.structs.replace(model.score(features), version=0))
        except RecordError as error:
            found.append(error.detail)
    return found


# ── which can be a model ─────────────────────────────────────────────────────────────────────────────


def test_every_classifier_of_river_is_either_tried_or_refused() -> None:
    covered: set[str] = set()
    for case in CASES.values():
        visit(case.make(), lambda thing: covered.add(type(thing).__name__))
    covered |= {name.split()[0] for name in REFUSED}
    bases = {"BaseTreeClassifier"}  # a member of ARF, not for use alone
    missing = {kind.__name__ for kind in river_classes(base.Classifier)} - covered - bases
    assert not missing, f"River has classifiers that tests/river_models.py lacks: {sorted(missing)}"


def test_every_transformer_of_river_is_either_tried_or_refused() -> None:
    covered: set[str] = set()
    for case in CASES.values():
        visit(case.make(), lambda thing: covered.add(type(thing).__name__))
    covered |= {name.split()[0] for name in REFUSED}
    other = {
        "TransformerProduct",  # as TransformerUnion
        "StatImputer",  # imputes None, which no record has
        "MultioutputLabelEncoder",
    }
    missing = {kind.__name__ for kind in river_classes(base.BaseTransformer)} - covered - other
    assert not missing, f"River has transformers that tests/river_models.py lacks: {sorted(missing)}"


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_a_model_is_refused_with_the_reason(name: str) -> None:
    make, reason = REFUSED[name]
    with pytest.raises(ModelError, match=reason) as raised:
        Model(make())
    assert type(raised.value) is ModelError


# ── purity, and equal folds ──────────────────────────────────────────────────────────────────────────


@EACH
def test_scoring_changes_nothing_whatever_it_is_asked(name: str) -> None:
    model = Model(CASES[name].make())
    for number, example in enumerate(stream(name)):
        model.learn(example)
        if number < 3 or number % 12 == 0:  # at first, members of an ensemble may have learned nothing yet
            before = model.digest()
            first = answers(model, name)
            assert model.digest() == before
            assert answers(model, name) == first


@EACH
def test_a_replica_that_is_asked_in_between_learns_the_same(name: str) -> None:
    asked, silent = Model(CASES[name].make(), checkpoint_every=30), Model(CASES[name].make())
    refused = []
    for example in stream(name):
        refused.append(asked.learn(example))
        answers(asked, name)
        assert silent.learn(example) == refused[-1]
    assert asked.digest() == silent.digest()
    assert answers(asked, name) == answers(silent, name)
    assert refused.count(None) > len(refused) / 2


@EACH_AND_LABELS
def test_probabilities_are_floats_of_all_classes_in_sorted_order(name: str, kind: str) -> None:
    model = Model(CASES[name].make())
    answered = 0
    for number, example in enumerate(stream(name, kind)):
        model.learn(example)
        if number % 10 == 9:
            for answer in answers(model, name):
                if isinstance(answer, str) or not answer.probabilities:
                    continue
                answered += 1
                values = list(answer.probabilities.values())
                assert tuple(answer.probabilities) == model.classes == tuple(sorted(model.classes))
                assert [type(c) for c in answer.probabilities] == [type(c) for c in model.classes]
                assert all(type(p) is float and 0.0 <= p <= 1.0 for p in values)
                assert sum(values) == pytest.approx(1.0)
                assert answer.confidence == max(values)
                first_of_the_best = list(answer.probabilities)[values.index(max(values))]
                assert answer.label == first_of_the_best
                assert type(answer.label) is type(first_of_the_best)
    assert answered > 5
    assert model.classes == tuple(sorted(labels_of(CASES[name], kind)))


@EACH
def test_the_order_of_names_in_examples_and_events_does_not_matter(name: str) -> None:
    one, other = Model(CASES[name].make()), Model(CASES[name].make())
    for example in stream(name):
        one.learn(example)
        turned = dict(reversed(example.features.items()))
        other.learn(example.model_copy(update={"features": turned}))
    assert one.digest() == other.digest()
    for features in probes(CASES[name].data):
        assert [_answer(one, features)] == [_answer(other, dict(reversed(features.items())))]


def _answer(model: Model, features: Mapping[str, Any]) -> Scores | str:
    try:
        return model.score(features)
    except RecordError as error:
        return error.detail


# ── snapshots and copies ─────────────────────────────────────────────────────────────────────────────


@EACH
def test_a_restart_goes_on_exactly(name: str) -> None:
    model = Model(CASES[name].make())
    restarted: list[Model] = []
    for number, example in enumerate(stream(name)):
        outcome = model.learn(example)
        assert [other.learn(example) for other in restarted] == [outcome] * len(restarted)
        if number in (4, 50):
            other = Model(CASES[name].make())
            other.load(model.dump())
            assert other.digest() == model.digest()
            assert answers(other, name) == answers(model, name)
            restarted.append(other)
    for other in restarted:
        assert other.digest() == model.digest()
        assert answers(other, name) == answers(model, name)


@EACH
def test_a_deep_copy_goes_on_exactly(name: str) -> None:
    model = Model(CASES[name].make())
    for example in stream(name)[:50]:
        model.learn(example)
    twin = copy.deepcopy(model)
    assert twin.digest() == model.digest()
    for example in stream(name)[50:]:
        assert twin.learn(example) == model.learn(example)
    assert twin.digest() == model.digest()
    assert answers(twin, name) == answers(model, name)


@EACH
def test_undoing_a_failed_example_is_exact(name: str) -> None:
    model, sound = Model(CASES[name].make(), checkpoint_every=20), Model(CASES[name].make())
    for number, example in enumerate(stream(name)[:45]):
        model.learn(example)
        sound.learn(example)
        if number in (2, 19, 33):
            model._undo()  # what follows an example that fails
    assert model.digest() == sound.digest()
    assert answers(model, name) == answers(sound, name)


@EACH
def test_a_model_adds_only_classes_and_functions_of_river_to_what_may_be_loaded(name: str) -> None:
    own = {"river_models.distance", "river_models.total"}
    harmless = ("river.", "stream_al.", "collections.", "numpy.", "random.Random", "functools.partial")
    for allowed in Model(CASES[name].make())._allowed - _GLOBALS - own:
        assert allowed.startswith(
            (*harmless, "operator.itemgetter", "numbers.Number", "copyreg.__newobj__")
        ) or (allowed.startswith("builtins.") and isinstance(getattr(builtins, allowed[9:], type), type)), (
            allowed
        )


@EACH
def test_the_estimator_given_is_copied_not_changed(name: str) -> None:
    estimator = CASES[name].make()
    before = digest(estimator)
    model = Model(estimator)
    for example in stream(name)[:10]:
        model.learn(example)
    answers(model, name)
    assert digest(estimator) == before


# ── processes ────────────────────────────────────────────────────────────────────────────────────────


def report() -> Iterator[tuple[str, Any]]:
    """Yield, for each model, the digest and the exact answers after a fold with a restart in it."""
    for name, case in CASES.items():
        model = Model(case.make())
        for number, example in enumerate(stream(name)):
            model.learn(example)
            if number == 40:
                snapshot = model.dump()
                model = Model(case.make())
                model.load(snapshot)
        yield name, [model.digest(), [repr(answer) for answer in answers(model, name)]]


def test_processes_with_different_hash_seeds_agree_to_the_last_bit() -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, __file__],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[1])},
            stdout=subprocess.PIPE,
        )
        for seed in ("1", "77")
    ]
    outputs = [worker.communicate()[0] for worker in workers]
    reports = [json.loads(output) for output in outputs]
    assert reports[0].keys() == CASES.keys()
    differing = [name for name in reports[0] if any(r[name] != reports[0][name] for r in reports[1:])]
    assert not differing


if __name__ == "__main__":
    json.dump(dict(report()), sys.stdout)
