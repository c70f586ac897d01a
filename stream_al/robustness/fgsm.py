"""The fast gradient sign method: every feature moves a little, the way that the slope says.

Goodfellow, Shlens & Szegedy, *Explaining and Harnessing Adversarial Examples* (2015), arXiv 1412.6572. Its step is
``x + ε·sign(∇J)``; here ε is searched for, too, so that the result is the least change that fools the model. For J
the lead over one other class is taken, for each other class in turn (Gowal et al. 2019, arXiv 1910.09338): for two
classes the sign is that of the loss, and for linear models the result is the least change there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from stream_al.model import Model
from stream_al.robustness.linear import Linear
from stream_al.robustness.victim import Attempt, Fooled, Victim, logarithm

Floats = npt.NDArray[np.float64]
_SIZES = np.geomspace(1e-4, 1.0, 33)
"""Where along the step the model is asked, as shares of the greatest step."""


class Slopes(Protocol):
    """How each class's standing changes with each feature."""

    @property
    def exact(self) -> bool:
        """Whether these are the model's own slopes."""

    def at(self, victim: Victim) -> Floats:
        """Return one row a class of the model, sorted; one column a feature of the victim's space."""


@dataclass(frozen=True, slots=True, eq=False)
class ExactSlopes:
    """The weights of a linear model. Costs nothing."""

    linear: Linear
    exact: bool = True

    def at(self, victim: Victim) -> Floats:
        """Return the weights; the same everywhere."""
        return self.linear.columns(victim.space.names)


@dataclass(frozen=True, slots=True)
class DifferenceSlopes:
    """Central differences of the logarithms of the probabilities, for any model. Costs 2 answers a feature.

    Where a model is constant around an event, as trees are but for their leaves, there is no slope to follow.

    Parameters
    ----------
    step
        How far to either side, in spreads.
    """

    step: float = 0.01
    exact: bool = False

    def at(self, victim: Victim) -> Floats:
        """Return the differences."""
        steps = np.diag(self.step * victim.space.spread)
        rows = [
            [logarithm(answer.probabilities.get(label, 0.0)) for label in victim.model.classes]
            for answer in victim.answers(np.concatenate([victim.own + steps, victim.own - steps]))
        ]
        up, down = np.split(np.array(rows), 2)
        slopes: Floats = ((up - down) / (2.0 * np.diag(steps))[:, None]).T
        return slopes


def slopes_of(model: Model) -> Slopes:
    """Return the weights of a linear model, and differences for any other."""
    linear = Linear.of(model)
    return DifferenceSlopes() if linear is None else ExactSlopes(linear)


def fgsm(victim: Victim, slopes: Slopes, most: float) -> Attempt:
    """Look for the least step that fools the model.

    Parameters
    ----------
    victim
        The event and the model.
    slopes
        Which way each feature moves.
    most
        The greatest step, in spreads.

    Examples
    --------
    >>> from river.linear_model import LogisticRegression
    >>> from stream_al.records import Example
    >>> from stream_al.robustness.space import Space
    >>> model = Model(LogisticRegression())
    >>> for label, value in ((False, -1.0), (True, 1.0)):
    ...     _ = model.learn(Example(event_id="e", features={"x": value}, label=label))
    >>> victim = Victim(model, "e", {"x": 0.9}, Space.of([{"x": -1.0}, {"x": 1.0}]))
    >>> attempt = fgsm(victim, slopes_of(model), most=2.0)
    >>> attempt.fooled.before.label, attempt.fooled.after.label, attempt.fooled.changes[0].after < 0.1
    (True, False, True)
    """
    space, rows, classes = victim.space, slopes.at(victim), victim.model.classes
    mine = rows[classes.index(victim.before.label)]
    flat, best = True, None
    for place, label in enumerate(classes):
        if label == victim.before.label or victim.target not in (None, label):
            continue
        slope = rows[place] - mine
        if not np.any(slope):
            continue
        flat = False
        step = np.sign(slope) * space.spread

        def path(size: float, step: Floats = step) -> Floats:
            return np.clip(victim.own + size * step, space.low, space.high)

        # One that is no shorter than the best so far is of no use.
        found = victim.least(path, _SIZES * (most if best is None else best.size))
        if found is not None:
            _, after, answer = found
            candidate = victim.fooled(after, answer, np.abs(slope * (after - victim.own)))
            best = candidate if best is None or candidate.size < best.size else best
    return Attempt(_kept(best), victim.calls, flat)


def _kept(best: Fooled | None) -> Fooled | None:
    """Return a find that changed something; an event on the very boundary may be fooled by nothing."""
    return best if best is not None and best.changes else None
