"""A digest of a model's state by value: the same in every process that holds the same state.

Pickle bytes will not do: they depend on which equal objects happen to be one object, on the order of sets,
and on generators that River's distributions seed from the operating system and never use. So the state is
walked: type names, floats as their eight bytes, dictionaries and sets in the order of their encoded keys.
Left out are those unused generators and the caches that `Pipeline` derives from its steps.
"""

from __future__ import annotations

import functools
import struct
import sys
import types
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from random import Random
from typing import Any, Final

import numpy as np
from river.compose import Pipeline
from river.proba.base import Distribution

_PIPELINE_CACHES: Final = frozenset({"_plan", "_inference_transformers", "_last_step_cached"})
_SIZE: Final = 16
_ATOMS: Final = (type(None), bool, int, float, complex, str, bytes)


def digest(thing: object) -> str:
    """Return 32 hexadecimal digits that say what state ``thing`` is in.

    Examples
    --------
    >>> digest({"a": 1, "b": 2.0}) == digest({"b": 2.0, "a": 1})
    True
    >>> digest({"a": 1}) == digest({"a": 1.0})
    False
    """
    with deep_recursion():
        return _Walk().of(thing).hex()


def visit(thing: object, each: Callable[[object], None]) -> None:
    """Call ``each`` with every object, class and function that ``thing`` is made of."""
    with deep_recursion():
        _Walk(each).of(thing)


@contextmanager
def deep_recursion() -> Iterator[None]:
    """Allow for structures as deep as a long-grown tree (CPython ≥ 3.11 recurses on the heap)."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 100_000))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def state_of(thing: object) -> Any:
    """Return what defines an object besides its type, without unused generators and derived caches."""
    state = thing.__reduce_ex__(4)
    if isinstance(state, str):
        return state
    maker, arguments, attributes, items, pairs = (*state, None, None, None)[:5]
    if isinstance(attributes, dict):
        if isinstance(thing, Distribution):
            attributes = {k: v for k, v in attributes.items() if k != "_rng"}
        elif isinstance(thing, Pipeline):
            attributes = {k: v for k, v in attributes.items() if k not in _PIPELINE_CACHES}
    return (
        maker,
        arguments,
        attributes,
        None if items is None else list(items),
        None if pairs is None else dict(pairs),
    )


class _Walk:
    """One walk over an object graph. What is met twice is digested once; a way back up is its distance."""

    def __init__(self, visit: Callable[[object], None] | None = None) -> None:
        self._visit = visit
        self._known: dict[int, bytes] = {}
        self._kept: list[object] = []  # keeps temporary objects alive, so that no id is used twice
        self._above: dict[int, int] = {}

    def of(self, thing: object) -> bytes:
        kind = type(thing)
        if kind in _ATOMS:
            return _hash(kind.__name__, _atom(thing))
        key = id(thing)
        if key in self._known:
            return self._known[key]
        if key in self._above:
            return _hash("above", str(len(self._above) - self._above[key]).encode())
        self._above[key] = len(self._above)
        if self._visit is not None:
            self._visit(thing)
        found = self._inside(thing, kind)
        del self._above[key]
        self._known[key] = found
        self._kept.append(thing)
        return found

    def _inside(self, thing: Any, kind: type) -> bytes:
        if isinstance(thing, type | types.FunctionType | types.BuiltinFunctionType):
            return _hash("name", f"{thing.__module__}.{thing.__qualname__}".encode())
        if kind in (list, tuple, deque):
            return _hash(kind.__name__, *map(self.of, thing))
        if kind in (set, frozenset):
            return _hash(kind.__name__, *sorted(map(self.of, thing)))
        if kind is dict:
            return self._mapping("dict", thing)
        if isinstance(thing, np.ndarray) and thing.dtype != object:
            return _hash("array", thing.dtype.str.encode(), str(thing.shape).encode(), thing.tobytes())
        if isinstance(thing, np.generic):
            return _hash("scalar", thing.dtype.str.encode(), thing.tobytes())
        if isinstance(thing, Random):
            return _hash("Random", self.of(thing.getstate()))
        if isinstance(thing, types.MethodType):
            return _hash("method", self.of(thing.__self__), thing.__name__.encode())
        if isinstance(thing, functools.partial):
            return _hash("partial", self.of(thing.func), self.of(thing.args), self.of(thing.keywords))
        name = f"{kind.__module__}.{kind.__qualname__}"
        return _hash(name, self.of(state_of(thing)))

    def _mapping(self, name: str, thing: Mapping[Any, Any]) -> bytes:
        pairs = sorted(((self.of(key), key) for key in thing), key=lambda pair: pair[0])
        return _hash(name, *(part for encoded, key in pairs for part in (encoded, self.of(thing[key]))))


def _atom(thing: Any) -> bytes:
    if isinstance(thing, float):
        return struct.pack("<d", thing)
    if isinstance(thing, bytes):
        return thing
    if isinstance(thing, complex):
        return struct.pack("<dd", thing.real, thing.imag)
    return str(thing).encode("utf-8", "surrogatepass")


def _hash(name: str, *parts: bytes) -> bytes:
    found = blake2b(name.encode(), digest_size=_SIZE)
    for part in parts:
        found.update(len(part).to_bytes(8))
        found.update(part)
    return found.digest()
