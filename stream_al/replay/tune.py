"""Which strategy for this stream and budget: chosen by replay on its first part, checked on a tail it did not see."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from stream_al.config import StrategyConfig
from stream_al.errors import ConfigError
from stream_al.replay.contenders import RANDOM, default_cold_start
from stream_al.replay.group import Estimate, Group
from stream_al.replay.latency import Clock
from stream_al.replay.outcome import UNKNOWN, Outcome
from stream_al.replay.people import Crowd
from stream_al.replay.plan import Cell, Entry, Plan
from stream_al.replay.stream import LabelledStream
from stream_al.strategies import Apart
from stream_al.uncertainty import FROM_MODEL, UTILITIES

TAIL = 0.3
"""The share of the stream that is held out, at its end."""
_BLOCKS = 20
_LEAST = 200
"""Events the tail must have, for a difference of a few points to be seen at all."""
_OVER = 1.1
"""Who asks more than so many times the budget is no candidate."""

RunPlan = Callable[[Plan, LabelledStream], dict[Cell, Outcome]]
"""What runs a plan, in however many processes."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """What came out.

    Parameters
    ----------
    chosen
        The recommendation.
    tried
        Every candidate with its result on the first part, the best first.
    tail
        The results on the tail: chosen and random.
    ahead
        By how many percentage points the chosen one is ahead of random on the tail, with an interval.
    split
        The number of the first event of the tail.
    """

    chosen: Entry
    tried: Sequence[tuple[Entry, Group]]
    tail: Sequence[tuple[Entry, Group]]
    ahead: Estimate
    split: int

    @property
    def confirmed(self) -> bool:
        """Whether the tail shows that it is better than random."""
        return self.ahead.low is not None and self.ahead.low > 0.0

    def sentence(self, events: int) -> str:
        """Return the recommendation in words, with what the tail said to it."""
        mine, at_random = self.tail[0][1], self.tail[-1][1]
        held = f"On the last {events - self.split:,} events, which had no part in the choice,"
        if self.chosen.strategy == RANDOM:
            return (
                "Ask at random: no other way of asking did better on the first part of this stream. "
                f"{held} it was right on {at_random.accuracy:.1%}."
            )
        low, high = self.ahead.low or 0.0, self.ahead.high or 0.0
        spread = f"95 % interval {low:+.1f} to {high:+.1f}"
        text = (
            f"{mine.title[0].upper()}{mine.title[1:]}. {held} it was right on {mine.accuracy:.1%}, asking at random on "
            f"{at_random.accuracy:.1%}: {self.ahead.mean:+.1f} points ({spread})."
        )
        if self.confirmed:
            return text
        if high < 0.0:
            return f"{text} What won on the first part loses here: ask at random."
        return f"{text} That may be chance: do not expect more than from asking at random."


def tune(
    stream: LabelledStream,
    run: RunPlan,
    *,
    budget: float,
    models: Sequence[str] = ("",),
    seeds: int = 3,
    crowd: Crowd | None = None,
    clock: Clock | None = None,
    key: str = "stream_al",
    tail: float = TAIL,
) -> Tuned:
    """Choose a strategy.

    Every candidate is replayed over the first part of the stream, and the one most often right is chosen, random
    among them. Then that one and random are replayed over the whole stream, and compared on the tail alone.

    Parameters
    ----------
    stream
        The events, with labels.
    run
        What runs a plan.
    budget
        The share of events that may be asked.
    models
        See `Entry`.
    seeds
        How often each is run.
    crowd, clock, key
        See `Plan`.
    tail
        The share of the stream that is held out.

    Raises
    ------
    ConfigError
        When the stream is too short for that.
    """
    events = len(stream.rows)
    split = round((1.0 - tail) * events)
    first = replace(stream, rows=stream.rows[:split])
    if events - split < _LEAST or not 0.0 < tail < 1.0:
        raise ConfigError(
            f"{stream.name}: has {events:,} events, of which {events - split:,} would be held out to check the choice, "
            f"and {_LEAST} are needed; give more events, or a larger --tail"
        )
    if round(budget * split) < 20:
        raise ConfigError(
            f"{stream.name}: a budget of {budget:g} is {budget * split:.0f} labels in the {split:,} events to choose "
            "on, too few to tell strategies apart (20 are the least); give a larger --budget, or more events"
        )
    plan = Plan((), seeds, crowd or Crowd(), key, clock or Clock())
    found = candidates(stream, budget, split, models)
    tried = _groups(replace(plan, entries=found), first, run)
    thresholds = _thresholds(tried, budget)
    tried += _groups(replace(plan, entries=thresholds), first, run)
    matching = [(entry, group) for entry, group in tried if group.labels <= _OVER * budget * split]
    matching.sort(key=lambda pair: -pair[1].accuracy)  # stable: of equals the one tried first
    chosen = (matching or tried)[0][0]
    at_random = Entry(RANDOM, chosen.model, budget, None, chosen.cold_start)
    final = tuple(dict.fromkeys([chosen, at_random]))
    whole = _groups(replace(plan, entries=final), stream, run)
    on_tail = [
        (entry, Group(tuple(outcome.after(split) for outcome in group.runs), entry.budget))
        for entry, group in whole
    ]
    return Tuned(chosen, matching, on_tail, _ahead(on_tail[0][1], on_tail[-1][1]), split)


def candidates(
    stream: LabelledStream, budget: float, events: int, models: Sequence[str]
) -> tuple[Entry, ...]:
    """Return what is tried besides fixed thresholds: utilities × exploration × cold starts, and random.

    With two classes all utilities put events in the same order, so that margin stands for all.
    """
    utilities = ("margin",) if len(stream.classes) == 2 else ("margin", "least-confidence", "entropy")
    usual = default_cold_start(events, budget)
    starts = sorted({min(20, usual), usual, min(200, round(budget * events) // 2)})
    found = []
    for model in models:
        for utility in utilities:
            for start in starts:
                found += [
                    Entry(utility, model, budget, round(share * budget, 6), start)
                    for share in (0.0, 0.1, 0.3)
                ]
        found.append(Entry(RANDOM, model, budget, None, usual))
    return tuple(found)


def _thresholds(tried: Sequence[tuple[Entry, Group]], budget: float) -> tuple[Entry, ...]:
    """Return fixed thresholds on the confidence that would have asked about the budget, one for each model."""
    found = []
    for model in dict.fromkeys(entry.model for entry, _ in tried):
        best = max(
            (pair for pair in tried if pair[0].model == model and pair[0].strategy != RANDOM),
            key=lambda pair: pair[1].accuracy,
        )
        confidence = np.concatenate([run.confidence[run.predicted != UNKNOWN] for run in best[1].runs])
        threshold = round(float(np.quantile(confidence, budget)), 3)
        if 0.0 < threshold < 1.0:
            found.append(Entry(f"confidence<{threshold:g}", model, None, None, best[0].cold_start))
    return tuple(found)


def _groups(plan: Plan, stream: LabelledStream, run: RunPlan) -> list[tuple[Entry, Group]]:
    outcomes = run(plan, stream)
    return [
        (entry, Group(tuple(outcomes[Cell(entry, seed)] for seed in range(plan.seeds)), entry.budget))
        for entry in plan.entries
    ]


def _ahead(mine: Group, other: Group) -> Estimate:
    """Return the difference of two accuracies in points, with an interval from the means of blocks.

    Answers to neighbouring events are not independent; the means of blocks of events nearly are (the method of batch
    means, Law, *Simulation Modeling and Analysis*, section 9.5.3).
    """
    pairs = zip(mine.runs, other.runs, strict=False)
    each = np.mean([one.correct - two.correct for one, two in pairs if one.events == two.events], axis=0)
    each = each[~np.isnan(each)]
    return Estimate.of([100.0 * float(block.mean()) for block in np.array_split(each, _BLOCKS)])


def strategy_config(entry: Entry) -> StrategyConfig:
    """Return the ``[strategy]`` section that asks as an entry does.

    Raises
    ------
    ConfigError
        When the strategy is none that a pipeline can have.
    """
    cold_start = {"rule": "all" if entry.cold_start else "none", "examples": entry.cold_start}
    if entry.strategy == RANDOM:
        return StrategyConfig.model_validate(
            {"name": "random", "budget": entry.budget, "cold_start": cold_start | {"share": entry.budget}}
        )
    found: dict[str, object] = {"cold_start": cold_start}
    if entry.budget is not None:
        if entry.strategy in {**UTILITIES, **FROM_MODEL}:
            found |= {"name": "budgeted", "utility": entry.strategy}
        else:
            found |= (
                {"name": "budgeted", "apart": Apart().events}
                if entry.strategy == "apart"
                else {"name": entry.strategy}
            )
        found["budget"] = entry.budget
    else:
        measure, threshold = re.split("[<>]", entry.strategy)
        name = "least-confidence" if measure == "confidence" else measure
        found |= {"name": name, "threshold": float(threshold)}
    if entry.explore is not None:
        found["explore"] = entry.explore
    return StrategyConfig.model_validate(found)


def to_toml(entry: Entry) -> str:
    """Return the sections of a configuration to paste: the strategy, and the model if one was named."""
    config = strategy_config(entry)
    lines = ["[strategy]"]
    for name in ("name", "utility", "budget", "threshold", "apart", "explore"):
        if name in config.model_fields_set:
            value = getattr(config, name)
            lines.append(f'{name} = "{value}"' if isinstance(value, str) else f"{name} = {value!r}")
    start = config.cold_start
    share = f", share = {start.share!r}" if "share" in start.model_fields_set else ""
    lines.append(f'cold_start = {{ rule = "{start.rule}", examples = {start.examples}{share} }}')
    if entry.model:
        kind = "file" if entry.model.endswith(".py") else "use"
        path = Path(entry.model).as_posix() if kind == "file" else entry.model
        lines += ["", "[model]", f'{kind} = "{path}"']
    return "\n".join(lines) + "\n"
