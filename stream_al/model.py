"""A River classifier as a fold over the log of examples: pure scoring, atomic learning, exact state."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import river
from river import base
from river.compose import Pipeline

from stream_al.digest import digest, visit
from stream_al.errors import ModelError, RecordError, SnapshotError
from stream_al.records import ClassLabel, Example, Features
from stream_al.snapshot import dump_estimator, globals_of, load_estimator
from stream_al.uncertainty import Scores, scores

_MAGIC: Final = b"stream_al snapshot 1\n"
LABEL_TYPES: Final[Mapping[str, type]] = {"str": str, "int": int, "bool": bool}


class Model:
    """Wraps any River classifier, a pipeline too.

    River's models are fast because they trust their caller. This wrapper is the caller they can trust:
    scoring never changes the model (features no example had are left out, and counted), features are given
    in one order, two-class models get the two booleans they need, an example that makes ``learn_one`` raise
    leaves no trace, and the state has a digest that does not depend on the process.

    Parameters
    ----------
    estimator
        A ``river.base.Classifier``, or a pipeline that ends in one. It is copied, not changed. All its random
        parts must be seeded.
    classes
        The classes that may be learned; any, when not given. May be of one type only.
    label_type
        ``"str"``, ``"int"`` or ``"bool"``; fixed by the first example when not given.
    checkpoint_every
        After how many examples the state is dumped; later in a long log after a tenth of its length, at most
        ten times this number. Undoing a failed example refolds from the last dump.

    Raises
    ------
    ModelError
        When the estimator is no classifier, gives no probabilities, is unseeded or cannot be saved.

    Examples
    --------
    >>> from river.linear_model import LogisticRegression
    >>> from stream_al.records import Example
    >>> model = Model(LogisticRegression())
    >>> for label, value in (("ham", -1.0), ("spam", 1.0)):
    ...     _ = model.learn(Example(event_id="e", features={"x": value}, label=label))
    >>> model.score({"x": 2.0}).label, model.version
    ('spam', 2)
    """

    def __init__(
        self,
        estimator: base.Classifier | Pipeline,
        *,
        classes: Iterable[ClassLabel] = (),
        label_type: str | None = None,
        checkpoint_every: int = 1000,
    ) -> None:
        self._binary = _check(estimator)
        declared = tuple(classes)
        if declared:
            label_type = label_type or type(declared[0]).__name__
        if label_type is not None and label_type not in LABEL_TYPES:
            raise ModelError(f"label_type = {label_type!r}: must be one of {', '.join(LABEL_TYPES)}")
        if any(type(c).__name__ != label_type for c in declared):
            raise ModelError(f"classes = {list(declared)!r}: all must be of label_type {label_type!r}")
        if self._binary and len(set(declared)) > 2:
            raise ModelError(_third_class(estimator, declared[2]))
        if checkpoint_every < 1:
            raise ModelError(f"checkpoint_every = {checkpoint_every!r}: must be at least 1")
        self._declared = frozenset(declared)
        self._every = checkpoint_every
        self._allowed = globals_of(estimator)
        self._origin = digest((estimator, sorted(map(repr, declared)), label_type))
        self._estimator: Any = load_estimator(dump_estimator(estimator), self._allowed)
        self.version = 0
        self.label_type: str | None = label_type
        self.unknown_features = 0
        """How often a feature was left out of scoring because no learned example had it."""
        self._names: tuple[str, ...] = ()
        self._seen: tuple[ClassLabel, ...] = ()  # in the order of arrival
        self._classes: tuple[ClassLabel, ...] = ()  # sorted
        self._native: dict[ClassLabel, bool] = {}
        self._tail: list[Example] = []
        self._checkpoint, self._checkpointed = self._pack(), 0

    # ── scoring ──────────────────────────────────────────────────────────────────────────────────

    @property
    def classes(self) -> tuple[ClassLabel, ...]:
        """The classes learned so far, sorted."""
        return self._classes

    def score(self, features: Features) -> Scores:
        """Return the model's answer; empty before the first example. Changes nothing.

        Raises
        ------
        RecordError
            When the estimator cannot score these features (text where it needs numbers, say).
        """
        if not self.version:
            return Scores({}, None, 0.0, 0.0, 0, 0)
        known = {name: features[name] for name in self._names if name in features}
        if len(known) < len(features):
            self.unknown_features += len(features) - len(known)
        try:
            probabilities = self._estimator.predict_proba_one(known)
        except Exception as error:
            raise RecordError(
                "cannot-score",
                f"features: the model cannot score them ({type(error).__name__}: {error}); "
                "give the types the model was taught with",
            ) from error
        if self._binary:
            probabilities = self._named(probabilities)
        classes = self._classes
        if tuple(probabilities) != classes:
            probabilities = {c: probabilities[c] for c in sorted(probabilities)}
        total = sum(probabilities.values())
        if not 0.999999 < total < 1.000001 or type(total) is not float:
            probabilities = _mended(probabilities)
        return scores(probabilities, self.version, len(classes))

    def _named(self, probabilities: Mapping[bool, float]) -> Mapping[Any, float]:
        classes = self._classes
        if len(classes) < 2:
            return dict.fromkeys(classes, 1.0)
        native = self._native
        return {classes[0]: probabilities[native[classes[0]]], classes[1]: probabilities[native[classes[1]]]}

    # ── learning ─────────────────────────────────────────────────────────────────────────────────

    def check_label(self, label: ClassLabel) -> None:
        """Raise RecordError when this label cannot be learned: another type, an undeclared or third class."""
        kind = type(label).__name__
        if self.label_type is not None and kind != self.label_type:
            raise RecordError(
                "wrong-label-type",
                f"label: {label!r} is {kind}, this pipeline's labels are {self.label_type}; "
                f"send {_as_type(label, self.label_type)}",
            )
        if self._declared and label not in self._declared:
            allowed = ", ".join(map(repr, sorted(self._declared)))
            raise RecordError("unknown-class", f"label: {label!r} is not one of the configured classes {allowed}")
        if self._binary and len(self._seen) == 2 and label not in self._seen:
            raise RecordError("third-class", _third_class(self._estimator, label))

    def learn(self, example: Example) -> str | None:
        """Fold one example: the version grows by one, whatever happens.

        An example that cannot be learned is folded as nothing, in every replica alike, so that any log can
        be folded.

        Returns
        -------
        str or None
            Why nothing was learned from it; None when something was.
        """
        refused: str | None = None
        try:
            self.check_label(example.label)
        except RecordError as error:
            refused = error.detail
        else:
            try:
                self._learn(example)
            except Exception as error:
                refused = f"the model cannot learn it ({type(error).__name__}: {error})"
                self._undo()
        self.version += 1
        if refused is None:
            self._tail.append(example)
        if self.version - self._checkpointed >= min(max(self._every, self.version // 10), 10 * self._every):
            self._checkpoint, self._checkpointed = self._pack(), self.version
            self._tail.clear()
        return refused

    def _learn(self, example: Example) -> None:
        label = example.label
        features = {name: example.features[name] for name in sorted(example.features)}
        target: ClassLabel = self._booleans(label) if self._binary else label
        if example.weight == 1.0:
            self._estimator.learn_one(features, target)
        else:
            self._estimator.learn_one(features, target, w=example.weight)
        if not features.keys() <= set(self._names):
            self._names = tuple(sorted({*self._names, *features}))
        if label not in self._seen:
            self._remember(label)

    def _booleans(self, label: ClassLabel) -> bool:
        """Map a class to what two-class models learn: 0, 1 and booleans to themselves, others by arrival."""
        if label in self._native:
            return self._native[label]
        if self._native:
            return not next(iter(self._native.values()))
        return bool(label) if isinstance(label, int) else False

    def _remember(self, label: ClassLabel) -> None:
        if self._binary:
            self._native[label] = self._booleans(label)
        self.label_type = type(label).__name__
        self._seen = (*self._seen, label)
        self._classes = tuple(sorted(self._seen))

    def _undo(self) -> None:
        version, unknown, tail = self.version, self.unknown_features, list(self._tail)
        self._unpack(self._checkpoint)
        for example in tail:
            self._learn(example)
        self._tail, self.version, self.unknown_features = tail, version, unknown

    # ── state ────────────────────────────────────────────────────────────────────────────────────

    @property
    def checkpoint(self) -> bytes:
        """The last periodic dump, or the snapshot loaded since."""
        return self._checkpoint

    @property
    def checkpointed(self) -> int:
        """The version the checkpoint is of."""
        return self._checkpointed

    def digest(self) -> str:
        """Return 32 hexadecimal digits, equal for all models that folded the same examples."""
        return digest((self._origin, self.version, self._names, self._seen, self.label_type, self._estimator))

    def dump(self) -> bytes:
        """Return a snapshot: the state, its version and its digest."""
        return self._pack()

    def load(self, snapshot: bytes) -> None:
        """Take over the state of a snapshot.

        Raises
        ------
        SnapshotError
            When it is corrupt, made by another version or for another model. The model stays as it was.
        """
        before = dict(self.__dict__)
        try:
            self._unpack(snapshot)
            if self.digest() != read_header(snapshot)["digest"]:
                raise SnapshotError("the snapshot is corrupt: its state does not have the digest it names")
        except SnapshotError:
            self.__dict__.update(before)
            raise
        self._checkpoint, self._checkpointed = snapshot, self.version

    def _pack(self) -> bytes:
        header = {
            **_environment(),
            "origin": self._origin,
            "version": self.version,
            "names": self._names,
            "seen": self._seen,
            "label_type": self.label_type,
            "digest": self.digest(),
        }
        return _MAGIC + json.dumps(header).encode() + b"\n" + dump_estimator(self._estimator)

    def _unpack(self, snapshot: bytes) -> None:
        header = self._header(snapshot)
        estimator = load_estimator(snapshot.split(b"\n", 2)[2], self._allowed)
        self._estimator = estimator
        self.version = header["version"]
        self.label_type = header["label_type"]
        self._names = tuple(header["names"])
        self._seen, self._classes, self._native = (), (), {}
        for label in header["seen"]:
            self._remember(label)
        self._tail = []

    def _header(self, snapshot: bytes) -> dict[str, Any]:
        header = read_header(snapshot)
        for name, value in {**_environment(), "origin": self._origin}.items():
            if header.get(name) != value:
                what = "model or configuration" if name == "origin" else f"version of {name}"
                raise SnapshotError(
                    f"the snapshot is of another {what} ({header.get(name)}, here {value}); refold from the log"
                )
        return header


def read_header(snapshot: bytes) -> dict[str, Any]:
    """Return what a snapshot says of itself (version, digest, …) without loading it.

    Raises
    ------
    SnapshotError
        When it is no snapshot.
    """
    try:
        header = json.loads(snapshot.split(b"\n", 2)[1]) if snapshot.startswith(_MAGIC) else None
    except (ValueError, IndexError):
        header = None
    wanted = {"version": int, "digest": str, "names": list, "seen": list}
    if not isinstance(header, dict) or not all(isinstance(header.get(k), t) for k, t in wanted.items()):
        raise SnapshotError("the snapshot is corrupt: it does not begin as one")
    return header


def _environment() -> dict[str, str]:
    major, minor, _ = platform.python_version_tuple()
    return {"river": river.__version__, "numpy": np.__version__, "python": f"{major}.{minor}"}


def _check(estimator: object) -> bool:
    """Refuse what cannot be a model; return whether it knows only two classes."""
    last = estimator
    while isinstance(last, Pipeline):
        last = next(reversed(last.steps.values()), None)
    if not isinstance(last, base.Classifier):
        raise ModelError(
            f"{type(last).__name__} is not a classifier; give a river.base.Classifier or a pipeline ending in one"
        )
    if type(last).predict_proba_one is base.Classifier.predict_proba_one:
        raise ModelError(f"{type(last).__name__} gives no probabilities, so nothing can be asked by uncertainty")
    unseeded: list[str] = []

    def note(thing: object) -> None:
        module = type(thing).__module__
        if module.startswith("river.") and not module.startswith("river.proba") and not isinstance(thing, type):
            seed = getattr(thing, "seed", 0)
            if seed is None and type(thing).__name__ not in unseeded:
                unseeded.append(type(thing).__name__)

    visit(estimator, note)
    if unseeded:
        raise ModelError(
            f"{', '.join(unseeded)} has no seed, so no two runs would agree; give it one, for example seed=1"
        )
    return not last._multiclass


def _third_class(estimator: object, label: ClassLabel) -> str:
    name = type(estimator).__name__
    return (
        f"label: {label!r} is a third class, and {name} knows two; use river.multiclass.OneVsRestClassifier "
        "around it, or river.linear_model.SoftmaxRegression"
    )


def _as_type(label: ClassLabel, kind: str) -> str:
    return {"str": f'"{label}"', "int": "a JSON integer without quotes", "bool": "true or false"}[kind]


def _mended(probabilities: Mapping[Any, float]) -> dict[Any, float]:
    """Make floats that sum to one; nothing at all, which is complete doubt, of what cannot be."""
    values = {label: float(probability) for label, probability in probabilities.items()}
    total = sum(values.values())
    if not all(math.isfinite(p) and p >= 0.0 for p in values.values()) or total <= 0.0:
        return {}
    if 0.999999 < total < 1.000001:
        return values
    return {label: probability / total for label, probability in values.items()}
