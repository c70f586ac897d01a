"""Whether the stream changes: River's detectors on the error at the labels, the confidence and the features."""

from __future__ import annotations

import inspect
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp, sqrt
from typing import TYPE_CHECKING, Any, Final

import msgspec

from stream_al.errors import SnapshotError

if TYPE_CHECKING:  # River is 70 MB, which whoever only reads records does without
    from river.base import BinaryDriftDetector, DriftDetector

FEATURE: Final = "features."
_WATCHED: Final = "error, surprise, confidence, features.NAME"
SHOWN: Final = 20
"""Alarms that are kept to be looked at."""
_LATELY: Final = 1.0 / 50.0
"""How much of the mean of late the newest value is: it tells in which direction something changed."""
_REFERENCE: Final = 200
"""Values of a feature that say what is usual for it, before its detector sees any."""


@dataclass(frozen=True, slots=True)
class DriftRules:
    """What is watched, and how.

    Parameters
    ----------
    detector
        A class of `river.drift` (ADWIN, PageHinkley, KSWIN) or, for the error only, of `river.drift.binary` (DDM, EDDM,
        FHDDM, HDDMA, HDDMW). KSWIN costs 0.7 ms a value, the others a few µs at most.
    args
        Its arguments. What is random is seeded with 1 unless told.
    watch
        ``"error"`` (whether the model was wrong about an example just before it learned it), ``"surprise"`` (the same,
        less how probable the model itself thought that), ``"confidence"`` (of every answer), ``"features.NAME"`` (a
        number that events have).

    Examples
    --------
    >>> DriftRules("ADWIN", {"delta": 0.001}).make().delta
    0.001
    """

    detector: str = "ADWIN"
    args: Mapping[str, Any] = field(default_factory=dict)
    watch: tuple[str, ...] = ("error",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "watch", tuple(self.watch))
        if not self.watch:
            raise ValueError(f"watch: give one or more of {_WATCHED}")
        for what in self.watch:
            if (
                what not in ("error", "surprise", "confidence")
                and not what.removeprefix(FEATURE) != what != FEATURE
            ):
                raise ValueError(f"watch: {what!r}: must be one of {_WATCHED}")
        if len({*self.watch}) < len(self.watch):
            raise ValueError("watch: names something twice")
        from river.base import BinaryDriftDetector

        if isinstance(self.make(), BinaryDriftDetector) and self.watch != ("error",):
            raise ValueError(
                f"detector = {self.detector!r}: is for the error only; use ADWIN, PageHinkley or KSWIN for the rest"
            )

    def make(self) -> DriftDetector | BinaryDriftDetector:
        """Return a fresh detector.

        Raises
        ------
        ValueError
            When River has none of this name, or it does not take these arguments.
        """
        from river import drift
        from river.base import BinaryDriftDetector, DriftDetector

        kind = getattr(drift, self.detector, None) or getattr(drift.binary, self.detector, None)
        if not (isinstance(kind, type) and issubclass(kind, DriftDetector | BinaryDriftDetector)):
            raise ValueError(f"detector = {self.detector!r}: is no drift detector of river.drift; try ADWIN")
        takes = inspect.signature(kind).parameters
        seed = {"seed": 1} if "seed" in takes else {}
        try:
            return kind(**{**seed, **self.args})
        except (TypeError, ValueError) as error:
            raise ValueError(f"args: {self.detector}: {error}; it takes {', '.join(takes)}") from None


class Alarm(msgspec.Struct, frozen=True, omit_defaults=True):
    """A change that was noticed."""

    event: int
    """How many events had been answered then."""
    what: str
    before: float
    """The mean since the last change."""
    after: float
    """The mean of late."""
    counted: str = "event"
    """What ``event`` is the number of: examples, where only the log is watched (`LogMonitors`)."""

    def text(self) -> str:
        """Return it as a sentence.

        Examples
        --------
        >>> Alarm(1200, "error", 0.1, 0.32).text()
        'event 1,200: the error at the labels went from 0.1 to 0.32'
        """
        named = {
            "error": "the error at the labels",
            "surprise": "the error at the labels beyond what was expected",
            "confidence": "the confidence",
        }
        what = named.get(self.what, f"the feature {self.what.removeprefix(FEATURE)!r}")
        return f"{self.counted} {self.event:,}: {what} went from {self.before:.3g} to {self.after:.3g}"


class Drift:
    """Watches a pipeline for changes. No clock: a function of what it was told, in order.

    Every change of a feature is an alarm; of the error and the surprise only a rise, and of the confidence only a fall, as a
    model that learns gets better and surer all the time.

    Parameters
    ----------
    rules
        See `DriftRules`.
    counted
        What alarms are numbered by.
    """

    def __init__(self, rules: DriftRules, counted: str = "event") -> None:
        self.rules, self.counted = rules, counted
        self._watched = {what: _Watched(rules.make()) for what in rules.watch}
        self._error, self._surprise = self._watched.get("error"), self._watched.get("surprise")
        self._confidence = self._watched.get("confidence")
        self._features = [
            (what.removeprefix(FEATURE), watched)
            for what, watched in self._watched.items()
            if what.startswith(FEATURE)
        ]
        self.counts: dict[str, int] = {}
        """How many alarms there were, by what was watched."""
        self.recent: deque[Alarm] = deque(maxlen=SHOWN)

    @property
    def alarms(self) -> int:
        """Return how many alarms there were."""
        return sum(self.counts.values())

    def learned(self, event: int, wrong: bool, confidence: float) -> bool:
        """Hear of an example before it is learned: the model's answer to it; return whether that is an alarm."""
        alarm = False
        surprise = wrong - (1.0 - confidence)
        # Detectors assume values from 0 to 1; a surprise is from -1 to 1.
        for what, watched, value, shown in (
            ("error", self._error, float(wrong), float(wrong)),
            ("surprise", self._surprise, (surprise + 1.0) / 2.0, surprise),
        ):
            if watched is not None and watched.changed(value, shown) and watched.lately > watched.before:
                alarm = self._alarm(event, what, watched)
        return alarm

    def passed(self, event: int, confidence: float, features: Mapping[str, Any]) -> bool:
        """Hear of an answered event; return whether that is an alarm."""
        alarm = False
        watched = self._confidence
        if watched is not None and confidence == confidence and watched.changed(confidence):
            alarm = watched.lately < watched.before and self._alarm(event, "confidence", watched)
        for name, watched in self._features:
            value = features.get(name)
            if isinstance(value, int | float):
                usual = watched.usual(float(value))
                if usual is not None and watched.changed(usual, float(value)):
                    alarm = self._alarm(event, FEATURE + name, watched)
        return alarm

    def _alarm(self, event: int, what: str, watched: _Watched) -> bool:
        self.counts[what] = self.counts.get(what, 0) + 1
        self.recent.append(Alarm(event, what, watched.before, watched.lately, self.counted))
        return True

    def dump(self) -> str:
        """Return everything, as JSON."""
        state = {
            "counts": self.counts,
            "recent": list(self.recent),
            "watched": {what: watched.dump() for what, watched in self._watched.items()},
        }
        return msgspec.json.encode(state).decode()

    @classmethod
    def load(cls, rules: DriftRules, state: str, counted: str = "event") -> Drift:
        """Return what `dump` was given of.

        Raises
        ------
        SnapshotError
            When it is corrupt, or of something else.
        """
        made = cls(rules, counted)
        try:
            found = msgspec.json.decode(state)
            made.counts = dict(found["counts"])
            made.recent.extend(msgspec.convert(alarm, Alarm) for alarm in found["recent"])
            for what, watched in made._watched.items():
                watched.load(found["watched"][what])
        except (KeyError, TypeError, ValueError) as error:
            raise SnapshotError(f"the state of the drift detectors is corrupt: {error!r}") from None
        return made


class _Watched:
    """One detector, and the means that say in which direction a change goes."""

    __slots__ = ("_count", "_detector", "_mean", "_seen", "_squares", "_usual", "before", "lately")

    def __init__(self, detector: DriftDetector | BinaryDriftDetector) -> None:
        self._detector = detector
        self._count, self._mean, self.lately = 0, 0.0, 0.0
        self.before = 0.0
        """The mean before the last change."""
        self._seen, self._usual, self._squares = 0, 0.0, 0.0

    def usual(self, value: float) -> float | None:
        """Return a feature's value on a scale from 0 to 1, whatever its unit: detectors assume one like this.

        None for the first values, which say what is usual: their mean and deviation (Welford 1962) stay the measure.
        """
        if self._seen < _REFERENCE:
            self._seen += 1
            step = value - self._usual
            self._usual += step / self._seen
            self._squares += step * (value - self._usual)
            return None
        spread = sqrt(self._squares / _REFERENCE) or 1.0
        return 1.0 / (1.0 + exp(min(50.0, max(-50.0, (self._usual - value) / spread))))

    def changed(self, value: float, shown: float | None = None) -> bool:
        """Take a value; tell whether the detector sees a change with it. ``shown`` is what people know it as."""
        known = value if shown is None else shown
        self._count += 1
        self._mean += (known - self._mean) / self._count
        self.lately += (known - self.lately) * max(_LATELY, 1.0 / self._count)
        self._detector.update(value)  # type: ignore[arg-type]  # 0.0 or 1.0 where it wants a bool
        if not self._detector.drift_detected:
            return False
        self.before = self._mean
        self._count, self._mean = 1, self.lately
        return True

    def dump(self) -> list[Any]:
        from stream_al.snapshot import dump_estimator

        means = [self._count, self._mean, self.lately, self.before, self._seen, self._usual, self._squares]
        return [*means, b64encode(dump_estimator(self._detector)).decode()]

    def load(self, state: list[Any]) -> None:
        from stream_al.snapshot import globals_of, load_estimator

        *means, detector = state
        self._count, self._mean, self.lately, self.before, self._seen, self._usual, self._squares = means
        self._detector = load_estimator(b64decode(detector), globals_of(self._detector))
