"""Estimators to bytes and back, without trusting the bytes.

A pickle may call anything, so loading is restricted: classes from River, numpy and collections, a handful of
named functions, and what the estimator itself was made of. Anything else is refused by name before it runs.
"""

from __future__ import annotations

import io
import pickle
import types
from copyreg import __newobj__  # type: ignore[attr-defined]
from typing import Any, Final

from river.compose import Pipeline
from river.proba.base import Distribution

from stream_al.digest import deep_recursion, state_of, visit
from stream_al.errors import ModelError, SnapshotError

_PACKAGES: Final = ("river", "numpy", "sortedcontainers")
"""Classes defined in these packages may be loaded, functions may not."""

_GLOBALS: Final = frozenset(
    {
        *(f"builtins.{name}" for name in ("bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset")),
        *(f"builtins.{name}" for name in ("int", "list", "object", "range", "set", "slice", "str", "tuple")),
        "collections.Counter",
        "collections.OrderedDict",
        "collections.defaultdict",
        "collections.deque",
        "copyreg.__newobj__",
        "copyreg._reconstructor",
        "datetime.datetime",
        "datetime.timedelta",
        "datetime.timezone",
        "functools.partial",
        "math.sqrt",
        "math.log",
        "numpy._core.multiarray._reconstruct",
        "numpy._core.multiarray.scalar",
        "numpy._core.numeric._frombuffer",
        "numpy.random._pickle.__bit_generator_ctor",
        "numpy.random._pickle.__generator_ctor",
        "numpy.random._pickle.__randomstate_ctor",
        "random.Random",
    }
)


def globals_of(estimator: object) -> frozenset[str]:
    """Return the names of all classes and functions an estimator is made of."""
    names: set[str] = set()

    def note(thing: object) -> None:
        named = thing if isinstance(thing, type | types.FunctionType) else type(thing)
        names.add(f"{named.__module__}.{named.__qualname__}")

    visit(estimator, note)
    return frozenset(names)


class _Pickler(pickle.Pickler):
    """Leaves out what `stream_al.digest` leaves out; forests shrink more than tenfold by it."""

    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, Distribution | Pipeline) and not isinstance(thing, type):
            maker, arguments, attributes, *_ = state_of(thing)
            if maker is __newobj__ and isinstance(attributes, dict):
                if isinstance(thing, Pipeline):
                    attributes = {**attributes, "_plan": None, "_inference_transformers": ()}
                    attributes["_last_step_cached"] = None
                return maker, arguments, attributes
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, allowed: frozenset[str]) -> None:
        super().__init__(io.BytesIO(data))
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full in _GLOBALS or full in self._allowed:
            return super().find_class(module, name)
        if module.partition(".")[0] in _PACKAGES:
            found = super().find_class(module, name)
            # What a module imported from elsewhere (`river.x.os.system`) is not that module's own.
            if isinstance(found, type) and found.__module__.partition(".")[0] in _PACKAGES:
                return found
        raise SnapshotError(
            f"the snapshot names {full}, which is not on the list of what may be loaded; nothing was executed. "
            "If the model is yours, load it through a config that names its class; otherwise discard the snapshot"
        )


def dump_estimator(estimator: object) -> bytes:
    """Return an estimator's pickle, without unused generators and derived caches.

    Raises
    ------
    ModelError
        When it cannot be pickled, for example because it holds a lambda.
    """
    buffer = io.BytesIO()
    try:
        with deep_recursion():
            _Pickler(buffer, protocol=5).dump(estimator)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ModelError(
            f"{type(estimator).__name__} cannot be saved: {error}; "
            "use functions defined in a module instead of lambdas and local classes"
        ) from None
    return buffer.getvalue()


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
        with deep_recursion():
            return _Unpickler(data, allowed).load()
    except SnapshotError:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything
        raise SnapshotError(f"the snapshot is corrupt: {type(error).__name__}: {error}") from None
