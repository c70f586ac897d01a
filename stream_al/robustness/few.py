"""The attack on k features: few features move, as far as the data goes.

One pixel, generalised: Su, Vargas & Sakurai, *One Pixel Attack for Fooling Deep Neural Networks* (2019), arXiv
1710.08864, find place and value by differential evolution (Storn & Price 1997). It needs no slope, only answers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stream_al.errors import ConfigError
from stream_al.robustness.victim import Attempt, Victim

Floats = npt.NDArray[np.float64]
_POPULATION = 64
_GENERATIONS = 40
_SIZES = np.linspace(0.05, 1.0, 20)
"""Where on the way to a change that was found the model is asked whether less is enough."""


def few_features(victim: Victim, k: int, seed: int) -> Attempt:
    """Look for k features, and a value within its bounds for each, that fool the model.

    What is found is then made as small as it can be on the straight way to it; its features are those found, so it
    need not be the least change there is.

    Parameters
    ----------
    victim
        The event and the model.
    k
        How many features may be changed.
    seed
        Of the search; the same seed gives the same result.

    Raises
    ------
    ConfigError
        When scipy is not installed.
    """
    try:
        from scipy.optimize import differential_evolution
    except ImportError:  # pragma: no cover - depends on how it was installed
        raise ConfigError(
            "this attack needs scipy, of the `cli` extra: pip install 'stream-al[cli]'"
        ) from None

    space, own = victim.space, victim.own
    k = min(k, len(space.names))

    def changed(genes: Floats) -> Floats:
        """Return the event with the features that the first half of the genes names set as the second says."""
        places = np.minimum((genes[:k] * len(own)).astype(int), len(own) - 1)
        after = own.copy()
        after[places] = space.low[places] + genes[k:] * (space.high - space.low)[places]
        return after

    def leads(genes: Floats) -> Floats:
        return np.array([victim.lead(answer) for answer in victim.answers([*map(changed, genes.T)])])

    def enough(intermediate_result: Any) -> bool:
        """Stop when the model is fooled, or all members are alike; not when all are equal, as where it is constant."""
        energies = intermediate_result.population_energies
        apart = float(np.std(energies))
        return bool(intermediate_result.fun < 0.0 or 0.0 < apart <= 0.01 * abs(float(np.mean(energies))))

    found = differential_evolution(
        leads,
        [(0.0, 1.0)] * (2 * k),
        maxiter=_GENERATIONS,
        popsize=max(1, _POPULATION // (2 * k)),
        mutation=0.5,
        recombination=0.9,
        polish=False,
        callback=enough,
        vectorized=True,
        updating="deferred",
        tol=0.0,
        atol=-1.0,  # `enough` decides
        rng=np.random.default_rng(seed),
    )
    goal = changed(found.x)
    nearer = victim.least(lambda share: own + share * (goal - own), _SIZES)
    if nearer is None or not np.any(goal != own):
        return Attempt(None, victim.calls)
    _, after, answer = nearer
    return Attempt(victim.fooled(after, answer, (after != own).astype(float)), victim.calls)
