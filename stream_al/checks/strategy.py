"""What every query strategy promises (`stream_al.strategies.QueryStrategy`), as one suite."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from itertools import islice
from math import inf, isfinite, nan, sin, sqrt
from random import Random
from typing import Final, get_args

from stream_al.draws import Draws
from stream_al.records import Reason
from stream_al.strategies import NOT_ASKABLE, Decision, QueryStrategy, State
from stream_al.uncertainty import Scores, scores

REASONS: Final = frozenset(get_args(Reason)) - {"already-asked", "queue-full"}
"""What a strategy may give as its reason; the other two are the label desk's."""
_NOT_ASKING: Final = {"none", *NOT_ASKABLE}

_STATE_BYTES: Final = 1024
_DRAWS: Final = (0.0, 1e-9, 0.01, 0.1, 0.3, 0.5, 0.9, 1.0 - 2.0**-53)


def check_strategy(strategy: QueryStrategy, *, events: int = 2000, keys: int = 400) -> None:
    """Hold a query strategy to what `QueryStrategy` promises.

    It is run over a dozen streams made to break it (constant, tied, trending, bursting, alternating and NaN
    probabilities, models that know no class or one), and must be: frozen and hashable, small in its state, a
    pure function of its arguments, consistent (``ask == (draw < propensity)``, a reason from `REASONS`,
    ``"none"`` or what held it back exactly when it does not ask), right about its propensity, and within its
    budget (``rate()`` and ``slack()``) in every window, also when queries are charged to it.

    Parameters
    ----------
    strategy
        The strategy, as configured.
    events
        The length of each stream.
    keys
        How many keys the propensity is estimated with, at a handful of moments of each stream.

    Raises
    ------
    AssertionError
        Naming the strategy, the stream, the event and the promise that was broken.

    Examples
    --------
    >>> from stream_al.strategies import Margin
    >>> check_strategy(Margin(threshold=0.3, explore=0.05), events=200, keys=50)
    """
    _check_configuration(strategy)
    _raise(_wrong_state(strategy.start()), f"{strategy!r}, before the first event")
    chances = [Draws(f"key {number}")("event") for number in range(keys)]
    for name in STREAMS:
        for charged in (0.0, 0.02):
            _check_stream(strategy, name, events, chances, charged)


def require(condition: bool, sentence: str) -> None:
    """Raise AssertionError with this sentence unless the condition holds."""
    if not condition:
        raise AssertionError(sentence)


def most_over(asked: list[bool], rate: float) -> float:
    """Return by how many queries the worst window of a stream exceeds ``rate`` times its length.

    Examples
    --------
    >>> most_over([True, True, False, False, True], 0.5)
    1.0
    """
    level = lowest = worst = 0.0
    for ask in asked:
        level += ask - rate
        worst = max(worst, level - lowest)
        lowest = min(lowest, level)
    return worst


# ── streams ──────────────────────────────────────────────────────────────────────────────────────


def _answer(utility: float, version: int) -> Scores:
    """Return an answer of two classes whose 1 − margin is about this utility."""
    first = 1.0 - min(1.0, max(0.0, utility)) / 2.0
    return scores({"a": first, "b": 1.0 - first}, version)


def _ordinary(rng: Random) -> Iterator[Scores]:
    version = 0
    while True:
        values = [rng.random() ** 3 for _ in range(3)]
        version += rng.random() < 0.1
        yield scores({c: v / sum(values) for c, v in zip("abc", values, strict=True)}, version)


def _cold(rng: Random) -> Iterator[Scores]:
    """Begin empty, then one class, then two."""
    for event in range(200):
        yield scores({}, 0) if event < 100 else scores({"a": 1.0}, event - 99)
    yield from _ordinary(rng)


def _broken(rng: Random) -> Iterator[Scores]:
    """Answers that no `Model` gives, but another caller may."""
    answers = [
        scores({"a": nan, "b": nan}, 60),
        scores({"a": nan, "b": 0.5}, 60),
        Scores({"a": nan, "b": nan}, None, nan, nan, 60, 2),
        Scores({}, None, 0.0, 0.0, 60, 2),
        scores({"a": 0.0, "b": 0.0}, 60),
        scores({0: 0.5, 1: 0.5}, 60),
        scores({False: 1.0, True: 0.0}, 60),
    ]
    while True:
        yield rng.choice(answers)


def _steady(utility: float) -> Iterator[Scores]:
    while True:
        yield _answer(utility, 1000)


def _trend(up: bool) -> Iterator[Scores]:
    event = 0
    while True:
        share = event % 1000 / 1000
        yield _answer(share if up else 1.0 - share, 1000)
        event += 1


def _bursts(rng: Random) -> Iterator[Scores]:
    while True:
        level = rng.choice((0.0, 1e-5, 0.2, 0.9, 1.0))
        for _ in range(rng.randrange(1, 400)):
            yield _answer(level * rng.random() ** 0.1, 1000)


def _waves() -> Iterator[Scores]:
    event = 0
    while True:
        yield _answer(0.5 + 0.5 * sin(event / 30), 1000)
        event += 1


def _ties(rng: Random) -> Iterator[Scores]:
    while True:
        yield _answer(rng.choice((0.1, 0.4)), 1000)


STREAMS: Final[dict[str, Callable[[Random], Iterator[Scores]]]] = {
    "ordinary": _ordinary,
    "cold": _cold,
    "never a class": lambda rng: iter(lambda: scores({}, 0), None),
    "one class": lambda rng: iter(lambda: scores({"a": 1.0}, 1000), None),
    "broken": _broken,
    "always sure": lambda rng: _steady(0.0),
    "never sure": lambda rng: _steady(1.0),
    "constant": lambda rng: _steady(0.5),
    "rising": lambda rng: _trend(True),
    "falling": lambda rng: _trend(False),
    "bursts": _bursts,
    "waves": lambda rng: _waves(),
    "ties": _ties,
}
"""By name, from a generator of random numbers to an endless stream of answers."""


# ── checks ───────────────────────────────────────────────────────────────────────────────────────


def _check_configuration(strategy: QueryStrategy) -> None:
    require(isinstance(strategy, QueryStrategy), f"{strategy!r} is not a QueryStrategy; subclass it")
    require(dataclasses.is_dataclass(strategy), f"{strategy!r} is no dataclass; decorate it with @dataclass")
    try:
        hash(strategy)
    except TypeError as error:
        raise AssertionError(
            f"{strategy!r} cannot be hashed ({error}); make it frozen, with tuples"
        ) from None
    for field in dataclasses.fields(strategy):  # type: ignore[arg-type]
        try:
            setattr(strategy, field.name, getattr(strategy, field.name))
        except AttributeError:
            continue
        raise AssertionError(f"{strategy!r}: {field.name} can be changed; use @dataclass(frozen=True)")
    again = dataclasses.replace(strategy)  # type: ignore[type-var]
    require(again == strategy, f"{strategy!r} is not equal to a copy of itself; compare by configuration")
    rate = strategy.rate()
    require(0.0 <= rate <= 1.0, f"{strategy!r}: rate() is {rate!r}; return a share from 0 to 1")
    require(strategy.slack() >= 0.0, f"{strategy!r}: slack() is {strategy.slack()!r}; it cannot be negative")


def _raise(wrong: str | None, place: str) -> None:
    if wrong is not None:
        raise AssertionError(f"{place}: {wrong}")


def _wrong_state(state: object) -> str | None:
    if type(state) is not tuple:
        return f"the state is {type(state).__name__}; return a tuple of numbers"
    try:
        text = json.dumps(state, allow_nan=False)
    except (TypeError, ValueError) as error:
        return f"the state {state!r} is not JSON ({error}); keep finite numbers only"
    if tuple(json.loads(text)) != state:
        return f"the state {state!r} is another one after a trip through JSON"
    if len(text) >= _STATE_BYTES:
        return f"the state has {len(text)} bytes as JSON; keep it under {_STATE_BYTES}"
    return None


def _wrong_decision(decision: Decision, draw: float) -> str | None:
    ask, utility, threshold = decision.ask, decision.utility, decision.threshold
    propensity, reason = decision.propensity, decision.reason
    if ask not in (True, False):
        return f"ask is {ask!r}; return True or False"
    if not isfinite(utility):
        return f"utility is {utility!r}; return a finite number, 1 where nothing is known"
    if threshold is not None and not isfinite(threshold):
        return f"threshold is {threshold!r}; give a finite number, or None"
    if not 0.0 <= propensity <= 1.0:
        return f"propensity is {propensity!r}; it is a probability"
    if ask != (draw < propensity):
        return f"ask is {ask} at draw {draw!r}, propensity {propensity!r}; ask exactly when draw < propensity"
    if reason not in REASONS:
        return f"reason is {reason!r}; give one of {', '.join(sorted(REASONS))}"
    if (reason in _NOT_ASKING) == ask:
        return f"reason is {reason!r} and ask is {ask}; it is 'none' exactly when nothing is asked"
    return None


def _check_stream(
    strategy: QueryStrategy, name: str, events: int, chances: list[float], charged: float
) -> None:
    rng = Random(7)
    draw_of = Draws(name)
    answers: Iterator[Scores] = STREAMS[name](rng)
    state = strategy.start()
    asked = []
    for number, answer in enumerate(islice(answers, events)):
        draw = draw_of(str(number))
        decision, after = strategy.decide(answer, state, draw)
        wrong = _wrong_decision(decision, draw) or _wrong_state(after)
        again = strategy.decide(answer, tuple(json.loads(json.dumps(state))), draw)
        if wrong is None and again != (decision, after):
            wrong = f"decided {decision} and then {again[0]} of the same; use nothing but the arguments"
        if wrong is None and number % max(1, events // 10) == 3:
            wrong = _wrong_propensity(strategy, answer, state, chances)
        asked.append(decision.ask)
        state = after
        if rng.random() < charged:
            state = strategy.charge(state)
            wrong = wrong or _wrong_state(state)
        if wrong is not None:
            raise AssertionError(f"{strategy!r}, stream {name!r}, event {number}: {wrong}")
    over, slack = most_over(asked, strategy.rate()), strategy.slack()
    require(
        slack == inf or over <= slack + 1e-6,
        f"{strategy!r}, stream {name!r}: a window exceeds rate() = {strategy.rate()} by {over:.2f} queries, "
        f"and slack() is {slack}",
    )


def _wrong_propensity(
    strategy: QueryStrategy, answer: Scores, state: State, chances: list[float]
) -> str | None:
    """Compare the propensity with how often other keys ask about the same event in the same state."""
    decisions = [(strategy.decide(answer, state, draw)[0], draw) for draw in (*_DRAWS, *chances)]
    expected = decisions[0][0].propensity
    for decision, draw in decisions:
        if wrong := _wrong_decision(decision, draw):
            return wrong
        if decision.propensity != expected:
            return (
                f"propensity is {decision.propensity!r} at draw {draw!r} and {expected!r} at another; "
                "it is given the state, and does not depend on the draw"
            )
    if chances:
        share = sum(decision.ask for decision, _ in decisions[len(_DRAWS) :]) / len(chances)
        error = 5.0 * sqrt(expected * (1.0 - expected) / len(chances)) + 1.0 / len(chances)
        if abs(share - expected) > error:
            return f"propensity is {expected!r}, but {share:.4f} of {len(chances)} keys ask"
    return None
