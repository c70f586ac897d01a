"""How easily a model is fooled: attacks on many events, and what they found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import sqrt
from statistics import median
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from stream_al.draws import Draws
from stream_al.errors import ConfigError, ModelError, RecordError
from stream_al.model import Model
from stream_al.records import ClassLabel, Features
from stream_al.robustness.few import few_features
from stream_al.robustness.fgsm import fgsm, slopes_of
from stream_al.robustness.space import Space
from stream_al.robustness.victim import Attempt, Fooled, Victim

Floats = npt.NDArray[np.float64]
FGSM: Final = "every feature"
_Z: Final = 1.959963984540054
_NOISES: Final = 10
"""How many random changes of each size are tried with each event."""
_SIZES: Final = 8
"""The sizes of random changes, evenly up to the greatest."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An event that is attacked: one that the model answers rightly, where that is known."""

    event_id: str
    features: Features


@dataclass(frozen=True, slots=True)
class Attack:
    """What one kind of attack did to all events."""

    name: str
    tried: int
    fooled: tuple[Fooled, ...]
    """In the order of the events."""
    calls: int
    """How often the model was asked, in all."""
    flat: int = 0
    """Events around which the model has no slope to follow."""

    @property
    def share(self) -> float:
        """The share of the events that were changed so that the model answers something else."""
        return len(self.fooled) / self.tried

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the share among all such events."""
        n, p = self.tried, self.share
        middle, half = p + _Z**2 / (2 * n), _Z * sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
        return max(0.0, (middle - half) / (1 + _Z**2 / n)), min(1.0, (middle + half) / (1 + _Z**2 / n))

    @property
    def sizes(self) -> list[float]:
        """The changes that fooled the model, in spreads, ascending."""
        return sorted(found.size for found in self.fooled)

    @property
    def median(self) -> float | None:
        """The median change over all events attacked, in spreads; None when fewer than half were fooled."""
        sizes = self.sizes + [float("inf")] * (self.tried - len(self.fooled))
        middle = median(sizes)
        return middle if middle < float("inf") else None

    @property
    def features(self) -> list[tuple[str, float]]:
        """Each feature's share in what the changes did, over the events fooled; the greatest first."""
        total: dict[str, float] = {}
        for found in self.fooled:
            for change in found.changes:
                total[change.name] = total.get(change.name, 0.0) + change.effect / len(self.fooled)
        return sorted(total.items(), key=lambda pair: (-pair[1], pair[0]))


@dataclass(frozen=True, slots=True)
class Findings:
    """All that a probe found.

    ``noise`` says, of some sizes in spreads, how often the model is fooled when every feature moves so far up or
    down by the toss of a coin: what the attacks are to be compared with. ``target`` is the class that the model was
    to answer, None for any other than before. ``exact`` says whether the slopes are those of the model itself
    instead of differences.
    """

    subjects: tuple[Subject, ...]
    space: Space
    attacks: tuple[Attack, ...]
    noise: tuple[tuple[float, float], ...]
    within: float
    exact: bool
    target: ClassLabel | None = None

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON."""
        return {
            "events": len(self.subjects),
            "target": self.target,
            "within": self.within,
            "slopes": "exact" if self.exact else "differences",
            "noise": [{"change": size, "share": share} for size, share in self.noise],
            "features": len(self.space.names),
            "fixed": list(self.space.fixed),
            "attacks": [_attack(attack) for attack in self.attacks],
        }


def choose(
    model: Model,
    rows: Sequence[tuple[str, Features, ClassLabel | None]],
    count: int,
    key: str = "stream_al",
    target: ClassLabel | None = None,
) -> tuple[Subject, ...]:
    """Return events to attack, in their order: those answered rightly, where the true class is known.

    Parameters
    ----------
    model
        The model.
    rows
        Id, features and true class (None where unknown) of each event.
    count
        How many at most; which of them is drawn.
    key
        Of the draws.
    target
        Events that are already answered so are left out.

    Raises
    ------
    ModelError
        When the model has fewer than two classes to answer with, or none of its answers is right.
    ConfigError
        When the target is no class of the model.
    """
    if len(model.classes) < 2:
        known = f"only {model.classes[0]!r}" if model.classes else "nothing"
        raise ModelError(f"the model has learned {known}; a model must know two classes to be fooled")
    if target is not None and target not in model.classes:
        there = ", ".join(map(repr, model.classes))
        raise ConfigError(f"target {target!r}: the model knows no such class; there are {there}")
    usable = []
    for (event_id, features, truth), answer in zip(
        rows, model.score_all([dict(features) for _, features, _ in rows]), strict=True
    ):
        if isinstance(answer, RecordError):
            raise ConfigError(f"event {event_id}: {answer.detail}") from answer
        if answer.label is not None and answer.label != target and truth in (None, answer.label):
            usable.append(Subject(event_id, features))
    if not usable:
        raise ModelError(
            f"of {len(rows):,} events the model answers none rightly, so there is nothing to fool it about; "
            "teach it more, or check the labels"
        )
    draws = Draws(key, "probe").all(subject.event_id for subject in usable)
    drawn = sorted(sorted(range(len(usable)), key=lambda place: (draws[place], place))[:count])
    return tuple(usable[place] for place in drawn)


def probe(
    model: Model,
    subjects: Sequence[Subject],
    space: Space,
    *,
    few: Sequence[int] = (1,),
    target: ClassLabel | None = None,
    within: float = 1.0,
    key: str = "stream_al",
    on_progress: Callable[[int], None] = lambda done: None,
) -> Findings:
    """Attack every event in every way.

    Parameters
    ----------
    model
        The model; it is only asked.
    subjects
        The events; see `choose`.
    space
        What may be changed.
    few
        For each of these k the attack on k features is tried.
    target
        The class that the model is to answer; any other than now when not given.
    within
        How far all features may move together, in spreads.
    key
        Of the draws; the same key gives the same findings.
    on_progress
        Told how many attacks are done.
    """
    slopes = slopes_of(model)
    seed = Draws(key, "probe-seed")
    ways: list[tuple[str, Callable[[Victim], Attempt]]] = [(FGSM, partial(fgsm, slopes=slopes, most=within))]
    for k in few:
        ways.append((f"{k} feature{'s' if k > 1 else ''}", partial(_few, k=k, seed=seed)))
    attacks, done = [], 0
    for name, attack in ways:
        attempts = []
        for subject in subjects:
            attempts.append(attack(Victim(model, subject.event_id, subject.features, space, target)))
            done += 1
            on_progress(done)
        fooled = tuple(attempt.fooled for attempt in attempts if attempt.fooled is not None)
        calls = sum(attempt.calls for attempt in attempts)
        flat = sum(attempt.flat for attempt in attempts)
        attacks.append(Attack(name, len(attempts), fooled, calls, flat))
    noise = _noise(model, subjects, space, target, within, seed)
    return Findings(tuple(subjects), space, tuple(attacks), noise, within, slopes.exact, target)


def _few(victim: Victim, k: int, seed: Draws) -> Attempt:
    return few_features(victim, k, int(seed(f"{k}:{victim.event_id}") * 2.0**53))


def _noise(
    model: Model,
    subjects: Sequence[Subject],
    space: Space,
    target: ClassLabel | None,
    within: float,
    seed: Draws,
) -> tuple[tuple[float, float], ...]:
    """Return how often the model is fooled by random changes, by their size."""
    sizes = [within * (place + 1) / _SIZES for place in range(_SIZES)]
    hits = [0] * _SIZES
    for subject in subjects:
        victim = Victim(model, subject.event_id, subject.features, space, target)
        generator = np.random.default_rng(int(seed(f"noise:{subject.event_id}") * 2.0**53))
        signs = generator.integers(0, 2, (_NOISES, len(victim.own))) * 2 - 1
        for place, size in enumerate(sizes):
            moved = victim.own + signs * size * victim.space.spread
            answers = victim.answers(np.clip(moved, victim.space.low, victim.space.high))
            hits[place] += sum(map(victim.is_fooled, answers))
    tried = _NOISES * len(subjects)
    return tuple((size, hit / tried) for size, hit in zip(sizes, hits, strict=True))


def _attack(attack: Attack) -> dict[str, Any]:
    low, high = attack.interval
    return {
        "name": attack.name,
        "tried": attack.tried,
        "fooled": len(attack.fooled),
        "share": attack.share,
        "low": low,
        "high": high,
        "median_change": attack.median,
        "without_slope": attack.flat,
        "calls": attack.calls,
        "features": [{"name": name, "effect": effect} for name, effect in attack.features],
        "found": [*_finds(attack)],
    }


def _finds(attack: Attack) -> Iterator[dict[str, Any]]:
    for found in attack.fooled:
        yield {
            "event_id": found.event_id,
            "before": found.before.label,
            "confidence_before": found.before.confidence,
            "after": found.after.label,
            "confidence_after": found.after.confidence,
            "change": found.size,
            "changes": {change.name: [change.before, change.after] for change in found.changes},
        }
