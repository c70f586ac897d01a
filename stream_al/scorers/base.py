"""What every scorer is, and the two that know no family: through River, and compiled for names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from struct import pack
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Features: TypeAlias = dict[str, Any]
Ask: TypeAlias = Callable[[Features], Mapping[Any, float]]
Floats: TypeAlias = npt.NDArray[np.float64]
AskMany: TypeAlias = Callable[[Floats], Mapping[Any, Floats]]
"""From the values of many events, one row each, to a column of probabilities for each class."""


class Compile(NamedTuple):
    """What makes the functions for events that have exactly these names, in this order."""

    one: Callable[[tuple[str, ...]], Ask]
    many: Callable[[tuple[str, ...]], AskMany] | None = None


WHOLE: Final = 2.0**53
"""Beyond, not all whole numbers are floats."""
_MOST_NAMES: Final = 64
"""How many sets of feature names are kept between two learned examples: texts have another one in each event."""


class Scorer:
    """Answers as a classifier would, in whatever order of classes; never changes it."""

    def __call__(self, x: Features) -> Mapping[Any, float]:
        """Return the probabilities for features in canonical order."""
        raise NotImplementedError

    @property
    def shortest(self) -> Ask:
        """What to call until the next example: this, or what this would do no more than call."""
        return self

    def together(self, events: Sequence[Features]) -> Mapping[Any, Floats]:
        """Return the answers to many events as a column of probabilities for each class.

        Parameters
        ----------
        events
            The features of each, at least one; all names that the classifier knows, in canonical order.

        Raises
        ------
        Exception
            Whatever an answer raises; also when they are not all of the same classes.
        """
        answers = list(map(self.shortest, events))
        labels = answers[0].keys()
        if {*map(len, answers)} != {len(labels)}:
            raise ValueError("answers of other classes")
        return {label: np.array([answer[label] for answer in answers], float) for label in labels}

    def forget(self, x: Features | None) -> None:
        """Drop what will no longer be true: the classifier is about to learn these features, or (None) others."""

    def know(self, names: tuple[str, ...]) -> None:
        """Take note of all the names that the classifier has learned, in canonical order."""


class ThroughRiver(Scorer):
    """Asks River itself: the classifier, after the transformers before it."""

    def __init__(self, transforms: list[Callable[[Features], Features]], ask: Ask) -> None:
        self._transforms, self._ask = transforms, ask

    def __call__(self, x: Features) -> Mapping[Any, float]:  # noqa: D102
        for transform in self._transforms:
            x = transform(x)
        return self._ask(x)

    @property
    def shortest(self) -> Ask:  # noqa: D102
        return self if self._transforms else self._ask


class Behind(Scorer):
    """A scorer behind transformers that River applies."""

    def __init__(self, transforms: list[Callable[[Features], Features]], scorer: Scorer) -> None:
        self._transforms, self._scorer = transforms, scorer

    def __call__(self, x: Features) -> Mapping[Any, float]:  # noqa: D102
        for transform in self._transforms:
            x = transform(x)
        return self._scorer(x)

    def forget(self, x: Features | None) -> None:
        """Forget everything: what will be learned is x as the transformers see it once they have learned it too."""
        self._scorer.forget(None)


class Compiled(Scorer):
    """Answers by functions made for the very names an event has, which last until the next example.

    Parameters
    ----------
    compile_for
        Makes the function for these names, in this order; raises when it cannot be exact.
    river
        The way through River, for whatever cannot be compiled or makes the function raise.
    worth
        How many events must be answered for compiling to pay. Until so many have come since the last example River
        is asked, unless more came between the last two.
    """

    def __init__(self, compile_for: Compile, river: Ask, worth: int) -> None:
        self._compile, self._river, self._worth = compile_for, river, worth
        self._names: tuple[str, ...] = ()
        self._width = -1  # of events that have all names
        self._whole: Ask | None = None  # the function for those, once they need no counting
        self._draft: Ask | None = None  # the same before
        self._many: AskMany | None = None  # the function for many of those
        self._asked = 0
        self._busy = False
        self._others: dict[tuple[str, ...], Ask | int] = {}  # for other names, or how many events had them

    def __call__(self, x: Features) -> Mapping[Any, float]:  # noqa: D102
        if len(x) != self._width:
            ask = self._other(tuple(x))
        elif (whole := self._whole) is not None:
            ask = whole
        else:
            self._asked += 1
            if self._asked <= self._worth and not self._busy:
                return self._river(x)
            ask = self._first()
        try:
            return ask(x)
        except Exception:  # a text for a number, an overflow: River says what it thinks of it
            return self._river(x)

    def together(self, events: Sequence[Features]) -> Mapping[Any, Floats]:  # noqa: D102
        if self._compile.many is None:
            return super().together(events)
        try:
            values = pack(f"{len(events) * self._width}d", *chain.from_iterable(map(dict.values, events)))
            rows = np.frombuffer(values).reshape(len(events), self._width)
            if np.abs(rows).max() > WHOLE:
                return super().together(events)
            if self._many is None:
                self._many = self._compile.many(self._names)
            with np.errstate(all="ignore"):
                found = self._many(rows)
        except Exception:  # a text for a number, an overflow: of one event most likely
            return super().together(events)
        self._asked += len(events)
        return found

    def _first(self) -> Ask:
        """Return the function for an event with all names, until the events need no counting the one kept."""
        if self._draft is None:
            self._draft = self._compiled(self._names)
        if self._asked > self._worth:
            self._whole = self._draft
        return self._draft

    def _other(self, names: tuple[str, ...]) -> Ask:
        found = self._others.get(names, 0)
        if not isinstance(found, int):
            return found
        if len(self._others) >= _MOST_NAMES:
            self._others.clear()
        if found < self._worth:
            self._others[names] = found + 1
            return self._river
        self._others[names] = ask = self._compiled(names)
        return ask

    def _compiled(self, names: tuple[str, ...]) -> Ask:
        try:
            return self._compile.one(names)
        except Exception:  # a state this was not written for
            return self._river

    def forget(self, x: Features | None) -> None:
        """Drop all functions: scales, weights and priors change with every example."""
        self._busy = self._asked > self._worth
        self._asked = 0
        self._whole = self._draft = self._many = None
        if self._others:
            self._others.clear()

    def know(self, names: tuple[str, ...]) -> None:
        """Keep the function for events that have all of these at hand."""
        self._names, self._width = names, len(names)
