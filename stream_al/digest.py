"""A digest of a model's state by value: the same in every process that holds the same state.

Pickle bytes will not do: they depend on which equal objects happen to be one object, on the order of sets,
and on generators that River's distributions seed from the operating system and never use. So the state is
walked: type names, floats as their eight bytes, dictionaries and sets in the order of their encoded keys.
Left out are those unused generators and the caches that `Pipeline` derives from its steps.
"""

from __future__ import annotations

import copyreg
import functools
import sys
import types
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from operator import itemgetter
from random import Random
from struct import pack
from typing import Any, Final

import numpy as np
from river.compose import Pipeline
from river.proba.base import Distribution

PIPELINE_CACHES: Final = frozenset(
    {"_plan", "_inference_transformers", "_last_step_cached", "_last_step_params"}
)
_SIZE: Final = 16
_FIRST: Final = itemgetter(0)


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
        return blake2b(_Walk().of(thing), digest_size=_SIZE).hexdigest()


def visit(thing: object, each: Callable[[object], None]) -> None:
    """Call ``each`` with every object, class and function that ``thing`` is made of."""
    with deep_recursion():
        _Walk(each).of(thing)


@contextmanager
def deep_recursion(limit: int = 1_000_000) -> Iterator[None]:
    """Allow for structures as deep as a long-grown tree.

    The default is for recursion in Python only, whose frames CPython ≥ 3.11 keeps on the heap: recursion in C
    would run out of stack long before.
    """
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(limit)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def state_of(thing: object) -> Any:
    """Return what defines an object besides its type, without unused generators and derived caches."""
    kind: Any = type(thing)
    reducer = copyreg.dispatch_table.get(kind)  # regular expressions, for one
    state = reducer(thing) if reducer is not None else thing.__reduce_ex__(4)
    if isinstance(state, str):
        return state
    maker, arguments, attributes, items, pairs = (*state, None, None, None)[:5]
    return (
        maker,
        arguments,
        _kept(thing, attributes),
        None if items is None else list(items),
        None if pairs is None else dict(pairs),
    )


def _kept(thing: object, attributes: Any) -> Any:
    kind: Any = type(thing)
    left_out = _left_out(kind)
    if left_out and isinstance(attributes, dict):
        return {name: value for name, value in attributes.items() if name not in left_out}
    return attributes


@functools.cache
def _left_out(kind: Any) -> frozenset[str]:
    # By class: River's wrappers and pipelines pass `isinstance` for what they contain.
    if issubclass(kind, Pipeline):
        return PIPELINE_CACHES
    return frozenset({"_rng"}) if issubclass(kind, Distribution) else frozenset()


# What has no parts is encoded in place, each so that its end is known; the rest by the digest of its parts.
_ATOMS: Final[dict[type, Callable[[Any], bytes]]] = {
    float: lambda value: pack("<cd", b"f", value),
    str: lambda value: _sized(b"s", value.encode("utf-8", "surrogatepass")),
    int: lambda value: _sized(b"i", b"%d" % value),
    bool: lambda value: b"T" if value else b"F",
    type(None): lambda _: b"n",
    bytes: lambda value: _sized(b"b", value),
    complex: lambda value: pack("<cdd", b"c", value.real, value.imag),
}


def _sized(tag: bytes, content: bytes) -> bytes:
    return b"%b%d:%b" % (tag, len(content), content)


class _Walk:
    """One walk over an object graph. What is met twice is digested once; a way back up is its distance."""

    def __init__(self, visit: Callable[[object], None] | None = None) -> None:
        self._visit = visit
        self._known: dict[int, bytes] = {}
        self._kept: list[object] = []  # keeps temporary objects alive, so that no id is used twice
        self._above: dict[int, int] = {}

    def of(self, thing: Any) -> bytes:
        kind: Any = type(thing)
        atom = _ATOMS.get(kind)
        if atom is not None:
            return atom(thing)
        key = id(thing)
        if key in self._known:
            return self._known[key]
        if key in self._above:
            return b"^%d:" % (len(self._above) - self._above[key])
        self._above[key] = len(self._above)
        if self._visit is not None:
            self._visit(thing)
        # Loops rather than `map`: recursion through C would use up the stack on deep structures.
        parts: list[bytes] = []
        if kind is dict:
            name = b"dict"
            self._pairs(thing, parts)
        elif kind is list or kind is tuple or kind is deque:
            name = kind.__name__.encode()
            for part in thing:
                parts.append(self.of(part))
        elif is_plain(kind):
            name = _name_of(kind)
            state = _kept(thing, thing.__getstate__())
            if type(state) is dict:
                self._pairs(state, parts)
            else:  # None, or the attributes and the slots
                parts.append(self.of(state))
        else:
            name = self._others(thing, kind, parts)
        del self._above[key]
        self._known[key] = found = b"#" + blake2b(_sized(name, b"".join(parts)), digest_size=_SIZE).digest()
        self._kept.append(thing)
        return found

    def _pairs(self, thing: dict[Any, Any], parts: list[bytes]) -> None:
        pairs = []
        for key, value in thing.items():
            pairs.append((self.of(key), value))
        pairs.sort(key=_FIRST)
        for encoded, value in pairs:
            parts.append(encoded)
            parts.append(self.of(value))

    def _others(self, thing: Any, kind: type, parts: list[bytes]) -> bytes:
        """Collect the parts of what is rarer; return the name they are digested under."""
        if isinstance(thing, types.MethodType):
            state: Any = (thing.__func__, thing.__self__)
        elif isinstance(thing, type | types.FunctionType | types.BuiltinFunctionType):
            owner = getattr(thing, "__self__", None)
            if owner is None or isinstance(owner, type | types.ModuleType):
                parts.append(f"{thing.__module__}.{thing.__qualname__}".encode())
                return b"name"
            state = (thing.__qualname__, owner)  # `pattern.findall`
        elif isinstance(thing, types.MethodDescriptorType):  # `str.lower`
            state = (thing.__objclass__, thing.__name__)
        elif isinstance(thing, np.ndarray) and thing.dtype != object:
            parts += (_sized(b"", f"{thing.dtype.str}{thing.shape}".encode()), thing.tobytes())
            return b"array"
        elif isinstance(thing, np.generic):
            parts += (_sized(b"", thing.dtype.str.encode()), thing.tobytes())
            return b"scalar"
        elif kind is set or kind is frozenset:
            for part in thing:
                parts.append(self.of(part))
            parts.sort()
            return kind.__name__.encode()
        elif isinstance(thing, Random):
            state = thing.getstate()
        elif isinstance(thing, functools.partial):
            state = (thing.func, thing.args, thing.keywords)
        else:
            state = state_of(thing)
        parts.append(self.of(state))
        return _name_of(kind)


@functools.cache
def is_plain(kind: Any) -> bool:
    """Tell whether an object of this class is its attributes and nothing else."""
    return (
        kind.__reduce_ex__ is object.__reduce_ex__
        and kind.__reduce__ is object.__reduce__
        and not issubclass(kind, type | dict | list | tuple | set | frozenset | str | int | float | bytes)
        and not hasattr(kind, "__getnewargs__")
        and not hasattr(kind, "__getnewargs_ex__")
        and kind.__module__ != "builtins"
        and kind not in copyreg.dispatch_table
    )


@functools.cache
def _name_of(kind: Any) -> bytes:
    return f"{kind.__module__}.{kind.__qualname__}".encode()
