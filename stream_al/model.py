"""A River classifier as a fold over the log of examples: pure scoring, atomic learning, exact state."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import blake2b
from itertools import groupby, islice
from typing import Any, Final, cast

import numpy as np
from river import base
from river.__version__ import __version__ as river_version
from river.compose import Pipeline

from stream_al.amendments import ExampleLog, Rewritten, find_target
from stream_al.checkpoints import Checkpoints
from stream_al.digest import deep_recursion, digest
from stream_al.errors import ModelError, RecordError, SnapshotError
from stream_al.estimators import check, steadied
from stream_al.records import Amendment, ClassLabel, Features, FeatureValue, LoggedExample, LogRecord
from stream_al.scoring import Scoring
from stream_al.snapshot import dump_estimator, globals_of, load_estimator
from stream_al.uncertainty import Scores

_MAGIC: Final = b"stream_al snapshot 1\n"
# Neither how deep the caller stands nor the process's limit must decide what is learned: River's trees take
# their greatest depth from it.
_DEPTH: Final = 5000
_RUN: Final = 1000
"""Records of the log that are read before they are folded together."""
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
        ten times this number. Undoing a failed example refolds from the last dump; an amendment from the last dump
        before the example it amends, of a few that are kept.

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
        self._binary = check(estimator)
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
        own = steadied(_copied(estimator))
        self._run(own)
        self._allowed = globals_of(estimator) | globals_of(own)
        self._origin = digest((own, sorted(map(repr, declared)), label_type))
        self.version = 0
        self.label_type: str | None = label_type
        self._tail: list[LoggedExample] = []
        """What was learned since the checkpoint."""
        self._keep(Checkpoints(self._pack()))

    # ── scoring ──────────────────────────────────────────────────────────────────────────────────

    @property
    def classes(self) -> tuple[ClassLabel, ...]:
        """The classes learned so far, sorted."""
        return self._scoring.classes

    @property
    def names(self) -> tuple[str, ...]:
        """The features that a learned example had, sorted: those that answers depend on."""
        return self._scoring.names

    @property
    def unknown_features(self) -> int:
        """How often a feature was left out of scoring because no learned example had it."""
        return self._scoring.unknown_features

    @property
    def positive(self) -> ClassLabel | None:
        """The class that a two-class estimator knows as True; None of others, and while it has not come."""
        return next((label for label, native in self._scoring.native.items() if native), None)

    @property
    def estimator(self) -> Any:
        """The River estimator as it is now, to look into; whoever changes it breaks the fold."""
        return self._scoring.estimator

    def score(self, features: Features) -> Scores:
        """Return the model's answer; empty before the first example. Changes nothing.

        Raises
        ------
        RecordError
            When the estimator cannot score these features (text where it needs numbers, say).
        """
        (found,) = self.score_all([dict(features)])
        if isinstance(found, RecordError):
            raise found
        return found

    def score_all(
        self, events: Sequence[dict[str, FeatureValue]], wants: Collection[str] = ()
    ) -> list[Scores | RecordError]:
        """Return what `score` would return for each of these, or raise; the path of every event.

        Parameters
        ----------
        events
            The features of each.
        wants
            What the scores are to tell besides (`stream_al.insight`).
        """
        return self._scoring.score_all(events, self.version, wants)

    def look(self, features: Features, answer: Scores, wants: Collection[str]) -> Scores:
        """Return an answer of this model with what is wanted besides (`stream_al.insight`); as it is where it cannot tell.

        Parameters
        ----------
        features
            What it answered to.
        answer
            The answer.
        wants
            What is to be told besides.
        """
        return self._scoring.look(features, answer, wants)

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
            raise RecordError(
                "unknown-class", f"label: {label!r} is not one of the configured classes {allowed}"
            )
        if self._binary and len(self.classes) == 2 and label not in self.classes:
            raise RecordError("third-class", _third_class(self.estimator, label))

    def learn(self, example: LoggedExample) -> str | None:
        """Fold one example: the version grows by one, whatever happens.

        An example that cannot be learned is folded as nothing, in every replica alike, so that any log can
        be folded.

        Returns
        -------
        str or None
            Why nothing was learned from it; None when something was.
        """
        return self.learn_all([example]).get(self.version - 1)

    def learn_all(self, examples: Sequence[LoggedExample]) -> dict[int, str]:
        """Fold examples as `learn` would, one by one, at little more than River's own cost.

        Returns
        -------
        dict
            Of those that nothing was learned from: by their number in the log, why.
        """
        refused: dict[int, str] = {}
        if len(examples) > 1:
            self._scoring.scorer.forget(None)
        at = 0
        while at < len(examples):
            learned, detail = self._learn_some(examples[at : at + self.room])
            at += learned
            if detail is not None:
                refused[self.version] = detail
                self.version += 1
                at += 1
            if self.version >= self._due:
                self._checkpoint_now()
        return refused

    def _learn_some(self, examples: Sequence[LoggedExample]) -> tuple[int, str | None]:
        """Learn until one cannot be learned; return how many were, and why that one cannot.

        Nothing is copied for undoing: that one has changed the model, and those before it are folded again.
        """
        before, held, detail = sys.getrecursionlimit(), len(self._tail), None
        try:
            # What `deep_recursion` does, spelled out: it would be a fifth of learning one.
            sys.setrecursionlimit(_DEPTH)
            detail = self._learn(examples)
            learned = len(self._tail) - held
            self.version += learned
        except BaseException as error:  # a panic in River's Rust is no Exception
            learned = len(self._tail) - held
            self.version += learned
            self._undo()
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            detail = f"the model cannot learn it ({type(error).__name__}: {error})"
        finally:
            sys.setrecursionlimit(before)
        return learned, detail

    def fold(self, record: LogRecord | None, log: ExampleLog) -> str | None:
        """Fold one record of the log, whatever it is: the version grows by one.

        Parameters
        ----------
        record
            An example, an amendment, or None for what is neither.
        log
            The log, for an amendment to look back; see `amend`.

        Returns
        -------
        str or None
            Why nothing was learned from it; None when something was, or it is neither.
        """
        return self.fold_all([record], log).get(self.version - 1)

    def fold_all(self, records: Iterable[LogRecord | None], log: ExampleLog) -> dict[int, str]:
        """Fold records of the log as `fold` would, one by one; see `learn_all`.

        Parameters
        ----------
        records
            What follows in the log. May be read up to a thousand records ahead of what is folded.
        log
            As in `fold`.

        Returns
        -------
        dict
            Of those that nothing was learned from: by their number in the log, why.
        """
        refused: dict[int, str] = {}
        for kind, run in groupby(records, type):
            if kind is type(None):
                for _ in run:
                    self.pass_over()
            elif kind is Amendment:
                for amendment in run:
                    detail = self.amend(cast(Amendment, amendment), log)
                    if detail is not None:
                        refused[self.version - 1] = detail
            else:
                while few := list(islice(run, _RUN)):
                    refused |= self.learn_all(cast(list[LoggedExample], few))
        return refused

    def amend(self, amendment: Amendment, log: ExampleLog) -> str | None:
        """Fold one amendment: become the model that folded the log as it amends it, exactly.

        The examples since the last checkpoint before the amended one are folded again; they are read from the log,
        twice at most. An amendment of what is no example is folded as nothing, in every replica alike.

        Parameters
        ----------
        amendment
            The record that follows what was folded so far.
        log
            What was folded so far, at least.

        Returns
        -------
        str or None
            Why it changed nothing, or why the example as it is now cannot be learned.

        Raises
        ------
        ModelError
            When the log is shorter than what was folded. The model stays as it was.
        """
        number = self.version
        target = find_target(amendment, log, number)
        if target is None:
            self.pass_over()
            return f"there is no example of event {amendment.event_id!r} that it could amend"
        before = dict(self.__dict__)
        try:
            start, dump, before_target = self._checkpoints.before(target)
            self._keep(before_target)
            self._unpack(dump)
            refused = self.fold_all(Rewritten(log, start, number, amendment), log)
            if self.version != number:
                raise ModelError(f"the log ends at {self.version}, and {number} records of it were folded")
            self.pass_over()
            self._checkpoint_now()
        except BaseException:
            self.__dict__.update(before)
            raise
        return refused.get(target)

    def _keep(self, checkpoints: Checkpoints) -> None:
        self._checkpoints, (last, _) = checkpoints, checkpoints.last
        self._due = last + min(max(self._every, last // 10), 10 * self._every)
        """The version of the next checkpoint."""

    def _checkpoint_now(self) -> None:
        dump = self._pack()
        self._keep(self._checkpoints.plus(self.version, dump))
        # Looking through the state has made its objects slow (`stream_al.snapshot`); those of the dump are not.
        self._unpack(dump)

    def pass_over(self) -> None:
        """Fold a record of the log that is no example: the version grows, and nothing else."""
        self.version += 1

    def _learn(self, examples: Sequence[LoggedExample]) -> str | None:
        """Learn until a label cannot be; return why it cannot. Those learned are put at the end of the tail."""
        scoring, done, alone = self._scoring, self._tail.append, len(examples) == 1
        learn_one = scoring.estimator.learn_one
        template, width, kind, targets = self._expected()
        for example in examples:
            label, given = example.label, example.features
            features = template | given  # in the order of the template
            others = len(features) != width or len(given) != width
            if others:
                # Interned, so that the names of the model's state are the very objects it is asked with: found faster.
                features = {sys.intern(name): given[name] for name in sorted(given)}
            new = type(label) is not kind or label not in targets
            if not new:
                target = targets[label]
            else:
                try:
                    self.check_label(label)
                except RecordError as error:
                    return error.detail
                target = scoring.boolean(label) if self._binary else label
            if alone:  # else all is forgotten
                scoring.scorer.forget(features)
            if example.weight == 1.0:
                learn_one(features, target)
            else:
                learn_one(features, target, w=example.weight)
            done(example)
            if others or new:
                scoring.know(features)
                if new:
                    scoring.remember(label)
                    self.label_type = type(label).__name__
                template, width, kind, targets = self._expected()
        return None

    def _expected(
        self,
    ) -> tuple[dict[str, FeatureValue], int, type | None, Mapping[ClassLabel, ClassLabel]]:
        """Return what most examples are like: their features and how many; their label's type, and what each is to River."""
        scoring = self._scoring
        targets = scoring.native if self._binary else dict(zip(scoring.seen, scoring.seen, strict=True))
        return scoring.template, len(scoring.names), LABEL_TYPES.get(self.label_type or ""), targets

    def _undo(self) -> None:
        version, tail = self.version, self._tail
        self._unpack(self.checkpoint)
        with deep_recursion(_DEPTH):
            self._learn(tail)
        self.version, self._tail = version, []
        if tail:  # so that many bad examples in a row do not each fold the same good ones again
            self._checkpoint_now()

    # ── state ────────────────────────────────────────────────────────────────────────────────────

    def _run(self, estimator: Any) -> None:
        self._scoring = Scoring(estimator, binary=self._binary)

    @property
    def checkpoint(self) -> bytes:
        """The last periodic dump, or the snapshot loaded since."""
        return self._checkpoints.last[1]

    @property
    def checkpointed(self) -> int:
        """The version the checkpoint is of."""
        return self._checkpoints.last[0]

    @property
    def room(self) -> int:
        """How many examples are folded until there is another checkpoint, at least one."""
        return max(1, self._due - self.version)

    def digest(self) -> str:
        """Return 32 hexadecimal digits, equal for all models that folded the same examples."""
        return digest(
            (self._origin, self.version, self.names, self._scoring.seen, self.label_type, self.estimator)
        )

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
            self._unpack(snapshot)  # as in `_checkpoint_now`
        except BaseException as error:
            self.__dict__.update(before)
            if not isinstance(error, Exception) or isinstance(error, SnapshotError):
                raise
            raise SnapshotError(f"the snapshot is corrupt: {type(error).__name__}: {error}") from error
        self._keep(self._checkpoints.only(self.version, snapshot))

    def _pack(self) -> bytes:
        header = {
            **_environment(),
            "origin": self._origin,
            "version": self.version,
            "names": self.names,
            "seen": self._scoring.seen,
            "label_type": self.label_type,
            "digest": self.digest(),
        }
        # The names once more, in one pickle with the state, so that loaded names are the state's own objects.
        content = json.dumps(header).encode() + b"\n" + dump_estimator((self.names, self.estimator))
        return _MAGIC + _checksum(content) + b"\n" + content

    def _unpack(self, snapshot: bytes) -> None:
        header = self._header(snapshot)
        _, checksum, content = snapshot.split(b"\n", 2)
        if _checksum(content) != checksum:
            raise SnapshotError(
                "the snapshot is corrupt: its bytes are not those written; refold from the log"
            )
        names, estimator = load_estimator(content.split(b"\n", 1)[1], self._allowed)
        if list(names) != header["names"]:
            raise SnapshotError("the snapshot is corrupt: its names are not those of its state")
        counted = self.unknown_features
        self._run(estimator)
        self._scoring.unknown_features = counted
        self._scoring.know(names)
        for label in header["seen"]:
            self._scoring.remember(label)
        self.version = header["version"]
        self.label_type = header["label_type"]
        self._tail = []

    def _header(self, snapshot: bytes) -> dict[str, Any]:
        header = read_header(snapshot)
        for name, value in {**_environment(), "origin": self._origin}.items():
            if header.get(name) != value:
                what = "model or configuration" if name == "origin" else f"version of {name}"
                raise SnapshotError(
                    f"the snapshot is of another {what} ({header.get(name)}, here {value}); "
                    "refold from the log"
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
        header = json.loads(snapshot.split(b"\n", 3)[2]) if snapshot.startswith(_MAGIC) else None
    except (ValueError, IndexError):
        header = None
    wanted = {"version": int, "digest": str, "names": list, "seen": list}
    if not isinstance(header, dict) or not all(isinstance(header.get(k), t) for k, t in wanted.items()):
        raise SnapshotError("the snapshot is corrupt: it does not begin as one")
    return header


def _copied(estimator: object) -> Any:
    """Return a copy made as a snapshot will make it, so that what cannot be loaded is noticed now."""
    try:
        return load_estimator(dump_estimator(estimator), globals_of(estimator))
    except SnapshotError as error:
        raise ModelError(
            f"{type(estimator).__name__} cannot be saved and loaded ({error}); "
            "use functions defined in a module instead of methods of objects"
        ) from None


def _checksum(content: bytes) -> bytes:
    return blake2b(content, digest_size=16).hexdigest().encode()


def _environment() -> dict[str, str]:
    major, minor, _ = platform.python_version_tuple()
    return {"river": river_version, "numpy": np.__version__, "python": f"{major}.{minor}"}


def _third_class(estimator: object, label: ClassLabel) -> str:
    name = type(estimator).__name__
    if isinstance(estimator, Pipeline):
        name = " | ".join(estimator.steps)
    return (
        f"label: {label!r} is a third class, and {name} knows two; use river.multiclass.OneVsRestClassifier "
        "around it, or river.linear_model.SoftmaxRegression"
    )


def _as_type(label: ClassLabel, kind: str) -> str:
    return {"str": f'"{label}"', "int": "a JSON integer without quotes", "bool": "true or false"}[kind]
