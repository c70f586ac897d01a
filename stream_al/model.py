"""A River classifier as a fold over the log of examples: pure scoring, atomic learning, exact state."""

from __future__ import annotations

import json
import math
import platform
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import blake2b
from itertools import groupby, islice, repeat
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
from stream_al.insight import Insight
from stream_al.records import Amendment, ClassLabel, Features, FeatureValue, LoggedExample, LogRecord
from stream_al.scorers import scorer_of
from stream_al.snapshot import dump_estimator, globals_of, load_estimator
from stream_al.uncertainty import Scores, scores

_MAGIC: Final = b"stream_al snapshot 1\n"
# Neither how deep the caller stands nor the process's limit must decide what is learned: River's trees take
# their greatest depth from it.
_DEPTH: Final = 5000
_TOGETHER: Final = 16
"""From so many events on columns pay."""
_RUN: Final = 1000
"""Records of the log that are read before they are folded together."""
_FLOATS: Final = {float}
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
        self.unknown_features = 0
        """How often a feature was left out of scoring because no learned example had it."""
        self._names: tuple[str, ...] = ()
        self._known: frozenset[str] = frozenset()
        self._template: dict[str, FeatureValue] = {}  # the names in order, for events that have them all
        self._seen: tuple[ClassLabel, ...] = ()  # in the order of arrival
        self._classes: tuple[ClassLabel, ...] = ()  # sorted
        self._native: dict[ClassLabel, bool] = {}
        self._two: tuple[ClassLabel, ClassLabel, ClassLabel, ClassLabel] | None = None
        """Exactly two classes, sorted, and what they are to River; for the path of most events."""
        self._tail: list[LoggedExample] = []
        """What was learned since the checkpoint."""
        self._keep(Checkpoints(self._pack()))

    # ── scoring ──────────────────────────────────────────────────────────────────────────────────

    @property
    def classes(self) -> tuple[ClassLabel, ...]:
        """The classes learned so far, sorted."""
        return self._classes

    @property
    def names(self) -> tuple[str, ...]:
        """The features that a learned example had, sorted: those that answers depend on."""
        return self._names

    @property
    def positive(self) -> ClassLabel | None:
        """The class that a two-class estimator knows as True; None of others, and while it has not come."""
        return next((label for label, native in self._native.items() if native), None)

    @property
    def estimator(self) -> Any:
        """The River estimator as it is now, to look into; whoever changes it breaks the fold."""
        return self._estimator

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
        if wants:
            return self._looked_into(events, wants)
        template, width, version = self._template, len(self._names), self.version
        predict = self._scorer.shortest
        if not self._classes:
            return [Scores({}, None, 0.0, 0.0, version, 0) for _ in events]
        together = self._scored_together(events)
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
                found.append(self._ranked(self._by_class(answer)))
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:  # a panic in River's Rust is no Exception
                found.append(_cannot_score(error))
        return found

    def _scored_together(
        self, events: Sequence[dict[str, FeatureValue]]
    ) -> list[Scores | RecordError] | None:
        """Return the answers to events that have all features: in columns, which takes half the time.

        None where one of them needs a closer look; then each is asked about by itself.
        """
        if self._two is None or len(events) < _TOGETHER:
            return None
        first, second, mine, theirs = self._two
        template = self._template
        known = [template | features for features in events]  # in the order of the template
        if {*map(len, known), *map(len, events)} != {len(self._names)}:
            return None
        try:
            columns = self._scorer.together(known)
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
        return list(map(Scores, answers, labels, best, margins, repeat(self.version), repeat(2)))

    def _looked_into(
        self, events: Sequence[dict[str, FeatureValue]], wants: Collection[str]
    ) -> list[Scores | RecordError]:
        look = Insight(self._estimator, wants)
        found = self.score_all(events)
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
        counted = self.unknown_features
        try:
            return Insight(self._estimator, wants)(self._canonical(features), answer)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # as in scoring
            return answer
        finally:
            self.unknown_features = counted

    def _canonical(self, features: Features) -> dict[str, FeatureValue]:
        """Return the features that a learned example had, in sorted order; count the others."""
        names = self._names
        if len(names) <= 2 * len(features):
            known = {name: features[name] for name in names if name in features}
        else:  # many names, few of them in each event
            known = {name: features[name] for name in sorted(self._known.intersection(features))}
        if len(known) < len(features):
            self.unknown_features += len(features) - len(known)
        return known

    def _by_class(self, answer: Mapping[Any, float]) -> Mapping[Any, float]:
        """Return River's answer by the sorted classes."""
        classes = self._classes
        if self._binary:
            if len(classes) == 1:
                return {classes[0]: 1.0}
            return {label: answer.get(self._native[label], 0.0) for label in classes}
        return answer if tuple(answer) == classes else _in_order(answer, classes)

    def _ranked(self, answer: Mapping[Any, float]) -> Scores:
        found = scores(answer, self.version, len(self._classes))
        total = sum(answer.values())
        if (
            set(map(type, answer.values())) == _FLOATS
            and 0.999999 < total < 1.000001
            and found.confidence <= 1.0
            and min(answer.values()) >= 0.0
        ):
            return found
        return scores(_mended(answer), self.version, len(self._classes))

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
        if self._binary and len(self._seen) == 2 and label not in self._seen:
            raise RecordError("third-class", _third_class(self._estimator, label))

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
            self._scorer.forget(None)
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
            self.unknown_features = before["unknown_features"]
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
        learn_one, done, alone = self._estimator.learn_one, self._tail.append, len(examples) == 1
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
                target = self._booleans(label) if self._binary else label
            if alone:  # else all is forgotten
                self._scorer.forget(features)
            if example.weight == 1.0:
                learn_one(features, target)
            else:
                learn_one(features, target, w=example.weight)
            done(example)
            if others or new:
                if not self._known.issuperset(features):
                    self._know(self._known.union(features))
                if new and label not in self._seen:
                    self._remember(label)
                template, width, kind, targets = self._expected()
        return None

    def _expected(
        self,
    ) -> tuple[dict[str, FeatureValue], int, type | None, Mapping[ClassLabel, ClassLabel]]:
        """Return what most examples are like: their features and how many; their label's type, and what each is to River."""
        targets = self._native if self._binary else dict(zip(self._seen, self._seen, strict=True))
        return self._template, len(self._names), LABEL_TYPES.get(self.label_type or ""), targets

    def _know(self, names: frozenset[str]) -> None:
        self._known, self._names = names, tuple(sorted(names))
        self._template = dict.fromkeys(self._names, 0.0)
        self._scorer.know(self._names)

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
        self._two = None
        if len(self._seen) == 2:
            first, second = self._classes
            self._two = (
                (first, second, self._native[first], self._native[second])
                if self._binary
                else (first, second, first, second)
            )

    def _undo(self) -> None:
        version, unknown, tail = self.version, self.unknown_features, self._tail
        self._unpack(self.checkpoint)
        with deep_recursion(_DEPTH):
            self._learn(tail)
        self.version, self.unknown_features, self._tail = version, unknown, []
        if tail:  # so that many bad examples in a row do not each fold the same good ones again
            self._checkpoint_now()

    # ── state ────────────────────────────────────────────────────────────────────────────────────

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_scorer"}

    def __setstate__(self, state: dict[str, Any]) -> None:  # of a deep copy, whose scorer must be its own
        self.__dict__.update(state)
        self._run(self._estimator)
        self._scorer.know(self._names)

    def _run(self, estimator: Any) -> None:
        self._estimator = estimator
        self._scorer = scorer_of(estimator)

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
            "names": self._names,
            "seen": self._seen,
            "label_type": self.label_type,
            "digest": self.digest(),
        }
        # The names once more, in one pickle with the state, so that loaded names are the state's own objects.
        content = json.dumps(header).encode() + b"\n" + dump_estimator((self._names, self._estimator))
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
        self._run(estimator)
        self.version = header["version"]
        self._know(frozenset(names))
        self._seen, self._classes, self._native, self._two = (), (), {}, None
        for label in header["seen"]:
            self._remember(label)
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


def _cannot_score(cause: BaseException) -> RecordError:
    error = RecordError(
        "cannot-score",
        f"features: the model cannot score them ({type(cause).__name__}: {cause}); "
        "give the types the model was taught with",
    )
    error.__cause__ = cause
    return error


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
