"""Estimators to bytes and back, without trusting the bytes.

A pickle may call anything, so loading is restricted: the classes of River's models, the few other classes and
functions that their state is made of, and what the estimator itself is made of. Anything else is refused by
name, before it runs and before its module is imported.
"""

from __future__ import annotations

import functools
import io
import pickle
import sys
import threading
import types
from collections.abc import Callable
from copyreg import __newobj__  # type: ignore[attr-defined]
from typing import Any, Final, TypeVar

from river.compose import Pipeline
from river.proba.base import Distribution

from stream_al.digest import is_plain, state_of, visit
from stream_al.errors import ModelError, SnapshotError

_T = TypeVar("_T")

_RIVER: Final = frozenset(
    {
        "_river_rust", "anomaly", "bandit", "base", "cluster", "compose", "covariance", "drift", "dummy",
        "ensemble", "facto", "feature_extraction", "feature_selection", "forest", "imblearn", "linear_model",
        "metrics", "misc", "model_selection", "multiclass", "naive_bayes", "neighbors", "optim",
        "preprocessing", "proba", "rules", "sketch", "stats", "tree", "utils",
    }
)  # fmt: skip
"""The subpackages of River whose classes may be loaded. Not `stream` and `datasets`, whose classes open files
and addresses."""

_GLOBALS: Final = frozenset(
    {
        *(f"builtins.{name}" for name in ("bool", "dict", "float", "frozenset", "int", "list", "range")),
        *(f"builtins.{name}" for name in ("set", "str", "tuple")),
        "collections.Counter",
        "collections.OrderedDict",
        "collections.defaultdict",
        "collections.deque",
        "copy.deepcopy",
        "functools.partial",
        "numpy._core.multiarray._reconstruct",
        "numpy._core.multiarray.scalar",
        "numpy._core.numeric._frombuffer",
        "numpy.dtype",
        "numpy.ndarray",
        "numpy.random._mt19937.MT19937",
        "numpy.random._pickle.__bit_generator_ctor",
        "numpy.random._pickle.__randomstate_ctor",
        "operator.itemgetter",
        "random.Random",
        "river._river_rust.vectordict.euclidean_distance_tuple",
        "stream_al.estimators.SortedSet",
        "stream_al.snapshot.bind",
        "stream_al.snapshot.text_method",
    }
)


def globals_of(estimator: object) -> frozenset[str]:
    """Return the names of all classes and functions an estimator is made of."""
    names: set[str] = set()

    def note(thing: object) -> None:
        named = (
            thing if isinstance(thing, type | types.FunctionType | types.BuiltinFunctionType) else type(thing)
        )
        # Python's own functions are no part of anyone's estimator, and `getattr` among them opens all doors.
        if isinstance(named, type) or named.__module__ not in ("builtins", None):
            names.add(f"{named.__module__}.{named.__qualname__}")

    visit(estimator, note)
    return frozenset(names)


def bind(function: Callable[..., Any], owner: object) -> types.MethodType:
    """Return a function as the method of an object; what a snapshot holds of a bound method."""
    return types.MethodType(function, owner)


def text_method(name: str) -> Callable[..., str]:
    """Return a method of `str`, one of those that preprocess text."""
    if name not in ("casefold", "lower", "strip", "title", "upper"):
        raise ValueError(f"str.{name} is not on the list of what may be loaded")
    return getattr(str, name)  # type: ignore[no-any-return]


class _Pickler(pickle.Pickler):
    """Leaves out what `stream_al.digest` leaves out; forests shrink more than tenfold by it."""

    def reducer_override(self, thing: Any) -> Any:
        kind: Any = type(thing)
        if kind is types.MethodType:
            # Left to itself pickle would call `getattr`, which must not be allowed to anyone.
            return bind, (thing.__func__, thing.__self__)
        if kind is types.MethodDescriptorType and thing.__objclass__ is str:
            return text_method, (thing.__name__,)
        if issubclass(kind, Distribution | Pipeline):
            maker, arguments, attributes, *_ = state_of(thing)
            if maker is __newobj__ and isinstance(attributes, dict):
                if issubclass(kind, Pipeline):
                    attributes = {**attributes, "_plan": None, "_inference_transformers": ()}
                    attributes["_last_step_cached"] = None
                return maker, arguments, _one_by_one(kind, attributes)
        elif is_plain(kind):
            maker, arguments, attributes, *_ = thing.__reduce_ex__(4)  # or it says why it cannot be pickled
            if maker is __newobj__ and type(attributes) is dict:
                return maker, arguments, _one_by_one(kind, attributes)
        return NotImplemented


def _one_by_one(kind: Any, attributes: dict[str, Any]) -> Any:
    """Return the attributes in the form that pickle sets one by one, as Python code would.

    Otherwise it writes them into the object's dictionary; and an object whose dictionary was ever looked at CPython
    3.11 keeps in a form in which reading an attribute takes longer.
    """
    own = _sets_its_own(kind)
    return attributes if own is None or not own.isdisjoint(attributes) else (None, attributes)


@functools.cache
def _sets_its_own(kind: Any) -> frozenset[str] | None:
    """Return the names whose setting runs code of the class; None when all of it is its own business."""
    if kind.__setattr__ is not object.__setattr__ or hasattr(kind, "__setstate__"):
        return None
    members = ((name, member) for ancestor in kind.__mro__ for name, member in vars(ancestor).items())
    return frozenset(name for name, member in members if hasattr(type(member), "__set__"))


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, allowed: frozenset[str]) -> None:
        super().__init__(io.BytesIO(data))
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full in _GLOBALS or full in self._allowed:
            return super().find_class(module, name)
        package, part, *below = f"{module}..".split(".")
        if package == "river" and part in _RIVER and below[0] not in ("datasets", "envs"):
            found = super().find_class(module, name)
            # What a module imported from elsewhere (`river.x.os.system`) is not that module's own.
            if isinstance(found, type) and found.__module__.partition(".")[0] == "river":
                return found
        raise SnapshotError(
            f"the snapshot names {full}, which is not on the list of what may be loaded; nothing was run. "
            "If the model is yours, load it through a config that names its class; else discard the snapshot"
        )


def dump_estimator(estimator: object) -> bytes:
    """Return an estimator's pickle, without unused generators and derived caches.

    Raises
    ------
    ModelError
        When it cannot be pickled, for example because it holds a lambda.
    """

    def dump() -> bytes:
        buffer = io.BytesIO()
        _Pickler(buffer, protocol=5).dump(estimator)
        return buffer.getvalue()

    try:
        return _deep(dump)
    except (pickle.PicklingError, AttributeError, TypeError, RecursionError) as error:
        raise ModelError(
            f"{type(estimator).__name__} cannot be saved: {error}; "
            "use functions defined in a module instead of lambdas and local classes"
        ) from None


def load_estimator(data: bytes, allowed: frozenset[str] = frozenset()) -> Any:
    """Return the estimator that `dump_estimator` wrote.

    Parameters
    ----------
    data
        The pickle.
    allowed
        Dotted names that may be loaded besides the built-in list; see `globals_of`.

    Raises
    ------
    SnapshotError
        When the bytes are no pickle, or name a global that may not be loaded.
    """
    try:
        return _deep(lambda: _Unpickler(data, allowed).load())
    except SnapshotError:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything
        raise SnapshotError(f"the snapshot is corrupt: {type(error).__name__}: {error}") from None


def _deep(work: Callable[[], _T]) -> _T:
    """Do work that recurses in C, again on a large stack of its own when this one is too small for it."""
    try:
        return work()
    except RecursionError:
        pass
    done: list[_T] = []
    failed: list[BaseException] = []

    def run() -> None:
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(200_000)
        try:
            done.append(work())
        except BaseException as error:  # raised again in the caller's thread
            failed.append(error)
        finally:
            sys.setrecursionlimit(limit)

    before = threading.stack_size(512 * 2**20)  # address space; only what is used becomes memory
    try:
        thread = threading.Thread(target=run, name="deep pickle")
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    if failed:
        raise failed[0]
    return done[0]
