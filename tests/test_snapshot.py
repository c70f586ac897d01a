"""Snapshots: exact, and harmless whatever their bytes are."""

from __future__ import annotations

import contextlib
import io
import pickle
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import base, compose, ensemble, feature_extraction, linear_model, naive_bayes, preprocessing, tree
from river_models import examples

from stream_al import model as model_module
from stream_al.digest import digest
from stream_al.errors import ModelError, SnapshotError
from stream_al.model import Model, read_header
from stream_al.snapshot import _GLOBALS, bind, dump_estimator, globals_of, load_estimator, text_method


def cube(x: dict[str, Any]) -> dict[str, Any]:
    return {name: value**3 for name, value in x.items()}


class Mine(base.Classifier):
    """A classifier of the user's own."""

    def __init__(self) -> None:
        self.counts: dict[Any, int] = {}

    def learn_one(self, x: Any, y: Any) -> None:
        self.counts[y] = self.counts.get(y, 0) + 1

    def predict_proba_one(self, x: Any, **kwargs: Any) -> dict[Any, float]:
        return {label: count / sum(self.counts.values()) for label, count in self.counts.items()}

    @property
    def _multiclass(self) -> bool:
        return True


def trained(estimator: Any = None) -> Model:
    model = Model(estimator or ensemble.BaggingClassifier(naive_bayes.GaussianNB(), n_models=2, seed=1))
    for one in examples("numbers", ("a", "b", "c"), 30):
        model.learn(one)
    return model


# ── poison ───────────────────────────────────────────────────────────────────────────────────────────


class Calls:
    """Pickles as a call."""

    def __init__(self, name: str, *arguments: Any) -> None:
        self.name, self.arguments = name, arguments


class PoisonPickler(pickle._Pickler):  # type: ignore[name-defined,misc]
    """Writes a `Calls` as that call, by any name whatever."""

    def save(self, thing: Any, save_persistent_id: bool = True) -> None:
        if not isinstance(thing, Calls):
            super().save(thing, save_persistent_id)
            return
        module, _, name = thing.name.partition(":")
        super().save(module)
        super().save(name)
        self.write(pickle.STACK_GLOBAL)
        if thing.arguments:
            super().save(thing.arguments)
            self.write(pickle.REDUCE)


def poison(name: str, *arguments: Any) -> bytes:
    buffer = io.BytesIO()
    PoisonPickler(buffer, protocol=4).dump(Calls(name, *arguments))
    return buffer.getvalue()


COMMAND = "touch {mark}"
POISONS = {
    "os.system": ("os:system", COMMAND),
    "posix.system": ("posix:system", COMMAND),
    "builtins.eval": ("builtins:eval", "__import__('os').system('touch {mark}')"),
    "builtins.exec": ("builtins:exec", "open('{mark}', 'w')"),
    "builtins.open": ("builtins:open", "{mark}", "w"),
    "builtins.getattr": ("builtins:getattr", "x", "upper"),
    "builtins.__import__": ("builtins:__import__", "antigravity"),
    "subprocess.Popen": ("subprocess:Popen", ["touch", "{mark}"]),
    "shutil.rmtree": ("shutil:rmtree", "{mark}"),
    "pickle.loads": ("pickle:loads", poison("os:system", "true")),
    "functools.reduce": ("functools:reduce", max, []),
    "operator.attrgetter": ("operator:attrgetter", "__class__"),
    "operator.methodcaller": ("operator:methodcaller", "upper"),
    "types.FunctionType": ("types:FunctionType", 1),
    "copyreg.__reduce_ex__": ("copyreg:__reduce_ex__", 1, 2),
    "importlib.import_module": ("importlib:import_module", "antigravity"),
    "numpy.load": ("numpy:load", "{mark}"),
    "numpy.save": ("numpy:save", "{mark}", 1),
    "numpy.memmap": ("numpy:memmap", "{mark}", "uint8", "w+", 0, 8),
    "numpy.f2py.__main__.main": ("numpy.f2py.__main__:main",),
    "numpy.testing._private.utils.runstring": ("numpy.testing._private.utils:runstring", "1", {}),
    "numpy.ma.core.MaskedArray": ("numpy.ma.core:MaskedArray", 1),
    "river.datasets.base.os.system": ("river.datasets.base:os.system", COMMAND),
    "river.tree.base.io.open": ("river.tree.hoeffding_tree:io.open", "{mark}", "w"),
    "river.stream.cache.Cache": ("river.stream.cache:Cache", "{mark}"),
    "river.stream.cache.pickle.loads": ("river.stream.cache:pickle.loads", b""),
    "river.stream.iter_csv": ("river.stream:iter_csv", "{mark}"),
    "river.bandit.datasets.news.NewsArticles": ("river.bandit.datasets.news:NewsArticles",),
    "river.utils.math.dot": ("river.utils.math:dot", {}, {}),
    "river.base.base.Base.clone": ("river.base.base:Base.clone", 1),
    "river.compose.pipeline.Pipeline.__init__.__globals__": (
        "river.compose.pipeline:Pipeline.__init__.__globals__",
    ),
    "river.tree.base.Branch.__class__": ("river.tree.base:Branch.__class__", "X", (), {}),
    "river.linear_model.np.load": ("river.linear_model.base:np.load", "{mark}"),
    "stream_al.snapshot.io.open": ("stream_al.snapshot:io.open", "{mark}", "w"),
    "tests.streams.rows": ("tests.streams:rows", 1),
    "__main__.anything": ("__main__:anything",),
}


def filled(thing: Any, mark: Path) -> Any:
    if isinstance(thing, list):
        return [filled(part, mark) for part in thing]
    return thing.replace("{mark}", str(mark)) if isinstance(thing, str) else thing


@pytest.mark.parametrize("name", POISONS)
@pytest.mark.parametrize("wrapped", [False, True], ids=["called", "in a partial"])
def test_what_is_not_allowed_is_refused_by_name_and_never_run(
    name: str, wrapped: bool, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    called, *arguments = filled(list(POISONS[name]), mark)
    data = poison("functools:partial", Calls(called), *arguments) if wrapped else poison(called, *arguments)
    expected = called.replace(":", ".").replace(".", r"\.")
    with pytest.raises(SnapshotError, match=rf"names {expected}, which is not on the list"):
        load_estimator(data, trained()._allowed)
    assert not mark.exists()


def test_the_poison_would_work_without_the_allow_list(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    pickle.loads(poison("os:system", f"touch {mark}"))  # noqa: S301
    assert mark.exists()


def test_refusing_does_not_even_import_the_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "harmful.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SnapshotError, match=r"harmful\.Thing"):
        load_estimator(poison("harmful:Thing"))
    assert not (tmp_path / "mark").exists()


def test_a_poisoned_snapshot_with_right_checksum_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    model = trained()
    before = dict(model.__dict__)
    magic, _, header, _ = model.dump().split(b"\n", 3)
    content = header + b"\n" + poison("os:system", f"touch {tmp_path / 'mark'}")
    with pytest.raises(SnapshotError, match=r"os\.system"):
        model.load(magic + b"\n" + model_module._checksum(content) + b"\n" + content)
    assert model.__dict__ == before
    assert not (tmp_path / "mark").exists()


def test_a_snapshot_whose_state_is_another_than_it_says_is_refused() -> None:
    model, other = trained(), trained()
    other.learn(examples("numbers", ("a", "b", "c"), 30)[0])
    magic, _, header, _ = model.dump().split(b"\n", 3)
    for state in (
        other.dump().split(b"\n", 3)[3],
        pickle.dumps("text"),
        pickle.dumps({}),
        pickle.dumps(None),
    ):
        content = header + b"\n" + state
        with pytest.raises(SnapshotError, match="corrupt"):
            model.load(magic + b"\n" + model_module._checksum(content) + b"\n" + content)


@pytest.mark.parametrize(
    "change", [{"version": True}, {"seen": [[]]}, {"seen": ["b", 1]}, {"names": [1, "x"]}, {"label_type": []}]
)
def test_a_header_that_makes_no_sense_is_refused_and_changes_nothing(change: dict[str, Any]) -> None:
    model = trained()
    before = dict(model.__dict__)
    magic, _, header, state = model.dump().split(b"\n", 3)
    content = model_module.json.dumps({**model_module.json.loads(header), **change}).encode() + b"\n" + state
    with pytest.raises(SnapshotError):
        model.load(magic + b"\n" + model_module._checksum(content) + b"\n" + content)
    assert model.__dict__ == before


def test_every_name_on_the_list_is_harmless_and_exists() -> None:
    for name in _GLOBALS:
        module, _, thing = name.rpartition(".")
        found = getattr(__import__(module, fromlist=[thing]), thing)
        assert isinstance(found, type | types.FunctionType | types.BuiltinFunctionType)
    forbidden = {
        "eval",
        "exec",
        "getattr",
        "setattr",
        "open",
        "compile",
        "__import__",
        "type",
        "globals",
        "vars",
    }
    assert not {name.rpartition(".")[2] for name in _GLOBALS} & forbidden


def test_no_estimator_brings_the_functions_of_python_with_it() -> None:
    for part in (str.lower, [].append, getattr, int.__add__, (1).__add__, print):
        estimator = Mine()
        estimator.held = part  # type: ignore[attr-defined]
        assert not globals_of(estimator) & {"builtins.getattr", "builtins.print"}


def test_methods_of_text_are_a_short_list() -> None:
    assert text_method("lower") is str.lower
    for name in ("format", "__class__", "__init__", "join", "encode"):
        with pytest.raises(ValueError, match="not on the list"):
            text_method(name)
    assert bind(cube, {"a": 2})() == {"a": 8}


# ── damage ───────────────────────────────────────────────────────────────────────────────────────────

_SNAPSHOT = trained().dump()
_TARGET = trained()
_STATE = dict(_TARGET.__dict__)


def loads_alike_or_not_at_all(damaged: bytes) -> None:
    try:
        _TARGET.load(damaged)
    except SnapshotError:
        assert _TARGET.__dict__ == _STATE
    else:
        assert _TARGET.digest() == read_header(_SNAPSHOT)["digest"]
        _TARGET.__dict__.update(_STATE)


@given(st.integers(0, len(_SNAPSHOT) - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed(place: int, change: int) -> None:
    loads_alike_or_not_at_all(_SNAPSHOT[:place] + bytes([_SNAPSHOT[place] ^ change]) + _SNAPSHOT[place + 1 :])


@given(st.integers(0, len(_SNAPSHOT) - 1))
def test_a_cut_is_noticed(length: int) -> None:
    with pytest.raises(SnapshotError):
        _TARGET.load(_SNAPSHOT[:length])
    assert _TARGET.__dict__ == _STATE


@given(st.integers(0, len(_SNAPSHOT)), st.binary(min_size=1, max_size=30))
def test_inserted_bytes_are_noticed(place: int, more: bytes) -> None:
    loads_alike_or_not_at_all(_SNAPSHOT[:place] + more + _SNAPSHOT[place:])


@given(st.binary(max_size=200))
def test_noise_is_no_snapshot(noise: bytes) -> None:
    for damaged in (noise, b"stream_al snapshot 1\n" + noise):
        with pytest.raises(SnapshotError):
            _TARGET.load(damaged)
        with pytest.raises(SnapshotError):
            read_header(damaged)


@given(st.binary(max_size=60))
def test_a_damaged_pickle_is_a_snapshot_error_even_without_a_checksum(noise: bytes) -> None:
    # without the opcodes that reserve memory for a number of objects given in four bytes
    data = b"\x80\x04" + bytes(byte for byte in noise if byte not in pickle.LONG_BINPUT + pickle.BINPUT)
    with contextlib.suppress(SnapshotError):
        load_estimator(data)


@pytest.mark.parametrize("part", ["river", "numpy", "python"])
def test_a_snapshot_of_another_version_is_refused_by_name(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = trained()
    usual = model_module._environment()
    with monkeypatch.context() as patch:
        patch.setattr(model_module, "_environment", lambda: {**usual, part: "0.1"})
        foreign = trained().dump()
    with pytest.raises(SnapshotError, match=rf"another version of {part} \(0\.1, here .*refold from the log"):
        model.load(foreign)


# ── what an estimator is made of ─────────────────────────────────────────────────────────────────────


def exactly(estimator: Any) -> Any:
    loaded = load_estimator(dump_estimator(estimator), globals_of(estimator))
    assert digest(loaded) == digest(estimator)
    return loaded


def test_a_class_of_the_users_own_loads_because_the_estimator_is_made_of_it() -> None:
    model = trained(Mine())
    other = Model(Mine())
    other.load(model.dump())
    assert other.digest() == model.digest()
    with pytest.raises(SnapshotError, match="Mine"):
        load_estimator(dump_estimator(Mine()))


def test_a_function_of_the_users_own_loads_because_the_estimator_is_made_of_it() -> None:
    pipeline = compose.FuncTransformer(cube) | linear_model.LogisticRegression()
    assert exactly(pipeline)["cube"].func is cube
    with pytest.raises(SnapshotError, match="cube"):
        load_estimator(dump_estimator(pipeline))


def test_words_bound_methods_and_n_grams_survive() -> None:
    for estimator in (
        feature_extraction.BagOfWords(on="t", ngram_range=(1, 2), stop_words={"the"}),
        feature_extraction.TFIDF(on="t", preprocessor=str.upper),
        preprocessing.GaussianRandomProjector(n_components=2, seed=1),
        feature_extraction.RBFSampler(n_components=2, seed=1),
    ):
        exactly(estimator)
    words = exactly(feature_extraction.BagOfWords(on="t", ngram_range=(1, 2)))
    assert words.transform_one({"t": "One two"}) == {"one": 1, "two": 1, ("one", "two"): 1}


def test_a_bound_method_is_bound_to_the_copy() -> None:
    loaded = exactly(preprocessing.GaussianRandomProjector(n_components=2, seed=1))
    assert loaded._projection_matrix.default_factory.__self__ is loaded


@pytest.mark.parametrize("what", [lambda x: x, open(__file__), (part for part in ())])  # noqa: SIM115
def test_what_cannot_be_saved_is_refused_with_the_remedy(what: Any) -> None:
    estimator = Mine()
    estimator.held = what  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match=r"Mine cannot be saved.*defined in a module"):
        dump_estimator(estimator)
    if isinstance(what, io.IOBase):
        what.close()


def test_a_pipeline_learns_and_answers_as_before_without_its_plan() -> None:
    pipeline = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    for one in examples("numbers", (False, True), 20):
        pipeline.learn_one(dict(one.features), one.label)
    pipeline.predict_proba_one({"a": 1.0})
    loaded = exactly(pipeline)
    assert loaded.predict_proba_one({"a": 1.0}) == pipeline.predict_proba_one({"a": 1.0})


@pytest.mark.parametrize("wrap", [lambda thing: [thing], lambda thing: {"a": thing}, lambda thing: (thing,)])
def test_ten_thousand_levels_are_saved_and_loaded(wrap: Callable[[Any], Any]) -> None:
    thing: Any = 1.5
    for _ in range(10_000):
        thing = wrap(thing)
    exactly(thing)


def test_a_tree_grown_deep_on_rising_values_is_saved_and_loaded() -> None:
    model = tree.HoeffdingTreeClassifier(grace_period=10**6, splitter=tree.splitter.ExhaustiveSplitter())
    for number in range(2500):
        model.learn_one({"clock": float(number)}, number % 2)
    exactly(model)
