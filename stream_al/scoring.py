"""What a River estimator answers, as it stands: of the features and classes it has learned, and never changed by it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import repeat
from typing import Any, Final

import numpy as np

from stream_al.errors import RecordError
from stream_al.insight import Insight
from stream_al.records import ClassLabel, Features, FeatureValue
from stream_al.scorers import scorer_of
from stream_al.uncertainty import Scores, scores

_TOGETHER: Final = 16
"""From so many events on columns pay."""
_FLOATS: Final = {float}


class Scoring:
    """An estimator with the names and classes that it knows, for `stream_al.model.Model` to ask and to teach.

    Parameters
    ----------
    estimator
        The River classifier or pipeline itself, no copy. Whoever teaches it says so: `scorer.forget`, `know`, `remember`.
    binary
        Whether it learns booleans only.
    """

    def __init__(self, estimator: Any, *, binary: bool) -> None:
        self.estimator, self._binary = estimator, binary
        self.scorer = scorer_of(estimator)
        self.unknown_features = 0
        """How often a feature was left out of scoring because no learned example had it."""
        self.names: tuple[str, ...] = ()
        """The features that a learned example had, sorted."""
        self.template: dict[str, FeatureValue] = {}
        """The names in order, for events that have them all."""
        self._known: frozenset[str] = frozenset()
        self.seen: tuple[ClassLabel, ...] = ()
        """The classes in the order of arrival."""
        self.classes: tuple[ClassLabel, ...] = ()
        """The classes, sorted."""
        self.native: dict[ClassLabel, bool] = {}
        """What each is to an estimator that learns booleans."""
        self._two: tuple[ClassLabel, ClassLabel, ClassLabel, ClassLabel] | None = None
        """Exactly two classes, sorted, and what they are to River; for the path of most events."""

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "scorer"}

    def __setstate__(self, state: dict[str, Any]) -> None:  # of a deep copy, whose scorer must be its own
        self.__dict__.update(state)
        self.scorer = scorer_of(self.estimator)
        self.scorer.know(self.names)

    # ── what it knows ────────────────────────────────────────────────────────────────────────────

    def know(self, names: Collection[str]) -> None:
        """Take note of the features of an example that was learned."""
        if self._known.issuperset(names):
            return
        self._known = self._known.union(names)
        self.names = tuple(sorted(self._known))
        self.template = dict.fromkeys(self.names, 0.0)
        self.scorer.know(self.names)

    def boolean(self, label: ClassLabel) -> bool:
        """Map a class to what two-class models learn: 0, 1 and booleans to themselves, others by arrival."""
        if label in self.native:
            return self.native[label]
        if self.native:
            return not next(iter(self.native.values()))
        return bool(label) if isinstance(label, int) else False

    def remember(self, label: ClassLabel) -> None:
        """Take note of the class of an example that was learned."""
        if label in self.seen:
            return
        if self._binary:
            self.native[label] = self.boolean(label)
        self.seen = (*self.seen, label)
        self.classes = tuple(sorted(self.seen))
        self._two = None
        if len(self.seen) == 2:
            first, second = self.classes
            self._two = (
                (first, second, self.native[first], self.native[second])
                if self._binary
                else (first, second, first, second)
            )

    # ── answers ──────────────────────────────────────────────────────────────────────────────────

    def score_all(
        self, events: Sequence[dict[str, FeatureValue]], version: int, wants: Collection[str] = ()
    ) -> list[Scores | RecordError]:
        """Return the answer to each of these events, or why there is none; see `stream_al.model.Model.score_all`.

        Parameters
        ----------
        events
            The features of each.
        version
            What the estimator is at, for the answers to tell.
        wants
            What they are to tell besides.
        """
        if wants:
            return self._looked_into(events, version, wants)
        template, width = self.template, len(self.names)
        predict = self.scorer.shortest
        if not self.classes:
            return [Scores({}, None, 0.0, 0.0, version, 0) for _ in events]
        together = self._together(events, version)
        if together is not None:
            return together
        # Two classes are the usual case, so spelled out. With more, no answer is of these two.
        first, second, mine, theirs = self._two or (None, None, None, None)
        found: list[Scores | RecordError] = []
        for features in events:
            try:
                known = template | features  # in the order of the template
                if len(known) != width or len(features) != width:
                    known = self._canonical(features)
                answer = predict(known)
                one, other = answer.get(mine), answer.get(theirs)
                if (
                    type(one) is float
                    and type(other) is float
                    and 0.999999 < one + other < 1.000001
                    and len(answer) == 2
                ):
                    answer = {first: one, second: other}
                    if 0.0 <= other <= one <= 1.0:
                        found.append(Scores(answer, first, one, one - other, version, 2))
                        continue
                    if 0.0 <= one < other <= 1.0:
                        found.append(Scores(answer, second, other, other - one, version, 2))
                        continue
                    answer = {mine: one, theirs: other}
                found.append(self._ranked(self._by_class(answer), version))
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:  # a panic in River's Rust is no Exception
                found.append(_cannot_score(error))
        return found

    def _together(
        self, events: Sequence[dict[str, FeatureValue]], version: int
    ) -> list[Scores | RecordError] | None:
        """Return the answers to events that have all features: in columns, which takes half the time.

        None where one of them needs a closer look; then each is asked about by itself.
        """
        if self._two is None or len(events) < _TOGETHER:
            return None
        first, second, mine, theirs = self._two
        template = self.template
        known = [template | features for features in events]  # in the order of the template
        if {*map(len, known), *map(len, events)} != {len(self.names)}:
            return None
        try:
            columns = self.scorer.together(known)
            one, other = columns[mine], columns[theirs]
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # as in scoring
            return None
        table = np.array((one, other))
        total = one + other
        whole = (
            total.min() > 0.999999 and total.max() < 1.000001 and table.min() >= 0.0 and table.max() <= 1.0
        )
        if len(columns) > 2 or not whole:
            return None
        best, margins = table.max(axis=0).tolist(), np.abs(one - other).tolist()
        answers = [{first: p, second: q} for p, q in zip(one.tolist(), other.tolist(), strict=True)]
        labels = [first if ahead else second for ahead in (one >= other).tolist()]
        return list(map(Scores, answers, labels, best, margins, repeat(version), repeat(2)))

    def _looked_into(
        self, events: Sequence[dict[str, FeatureValue]], version: int, wants: Collection[str]
    ) -> list[Scores | RecordError]:
        look = Insight(self.estimator, wants)
        found = self.score_all(events, version)
        counted = self.unknown_features
        for place, (features, answer) in enumerate(zip(events, found, strict=True)):
            if isinstance(answer, Scores) and answer.classes:
                try:
                    found[place] = look(self._canonical(features), answer)
                except (KeyboardInterrupt, SystemExit):
                    raise
                except BaseException as error:  # as in scoring
                    found[place] = _cannot_score(error)
        self.unknown_features = counted
        return found

    def look(self, features: Features, answer: Scores, wants: Collection[str]) -> Scores:
        """Return an answer with what is wanted besides; see `stream_al.model.Model.look`."""
        counted = self.unknown_features
        try:
            return Insight(self.estimator, wants)(self._canonical(features), answer)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # as in scoring
            return answer
        finally:
            self.unknown_features = counted

    def _canonical(self, features: Features) -> dict[str, FeatureValue]:
        """Return the features that a learned example had, in sorted order; count the others."""
        names = self.names
        if len(names) <= 2 * len(features):
            known = {name: features[name] for name in names if name in features}
        else:  # many names, few of them in each event
            known = {name: features[name] for name in sorted(self._known.intersection(features))}
        if len(known) < len(features):
            self.unknown_features += len(features) - len(known)
        return known

    def _by_class(self, answer: Mapping[Any, float]) -> Mapping[Any, float]:
        """Return River's answer by the sorted classes."""
        classes = self.classes
        if self._binary:
            if len(classes) == 1:
                return {classes[0]: 1.0}
            return {label: answer.get(self.native[label], 0.0) for label in classes}
        return answer if tuple(answer) == classes else _in_order(answer, classes)

    def _ranked(self, answer: Mapping[Any, float], version: int) -> Scores:
        found = scores(answer, version, len(self.classes))
        total = sum(answer.values())
        if (
            set(map(type, answer.values())) == _FLOATS
            and 0.999999 < total < 1.000001
            and found.confidence <= 1.0
            and min(answer.values()) >= 0.0
        ):
            return found
        return scores(_mended(answer), version, len(self.classes))


def _cannot_score(cause: BaseException) -> RecordError:
    error = RecordError(
        "cannot-score",
        f"features: the model cannot score them ({type(cause).__name__}: {cause}); "
        "give the types the model was taught with",
    )
    error.__cause__ = cause
    return error


def _in_order(answer: Mapping[Any, float], classes: tuple[ClassLabel, ...]) -> dict[Any, float]:
    """Return the probabilities of all classes learned, sorted; of none, when the model gave none."""
    return {label: answer.get(label, 0.0) for label in sorted({*classes, *answer})} if answer else {}


def _mended(probabilities: Mapping[Any, float]) -> dict[Any, float]:
    """Make floats that sum to one; nothing at all, which is complete doubt, of what cannot be."""
    values = {label: float(probability) for label, probability in probabilities.items()}
    total = sum(values.values())
    if not all(math.isfinite(p) and p >= 0.0 for p in values.values()) or not 0.0 < total < math.inf:
        return {}
    if 0.999999 < total < 1.000001 and max(values.values()) <= 1.0:
        return values
    return {label: probability / total for label, probability in values.items()}
