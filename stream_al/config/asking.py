"""The sections that say when to ask: the strategy, its limits, and what is watched for changes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from stream_al.config.base import Section, defaults, duration
from stream_al.groups import GroupRules
from stream_al.monitor import ConfidentEnough, DriftRules
from stream_al.strategies import (
    AnyOf,
    Apart,
    Balanced,
    Budgeted,
    ColdStart,
    Entropy,
    Guard,
    Importance,
    LeastConfidence,
    Limited,
    Margin,
    QueryStrategy,
    Quota,
    Random,
    Reserve,
    Selective,
    VariableUncertainty,
    while_late,
)
from stream_al.strategies.limits import RATES


class ColdStartConfig(Section):
    """``[strategy.cold_start]``: how to ask while the model knows too little."""

    rule: Literal["all", "random", "none", "representatives"] = "all"
    examples: int = Field(50, ge=0)
    share: float = Field(0.1, ge=0.0, le=1.0)
    asks: int | None = Field(None, ge=0)
    window: int | None = Field(None, ge=2)

    @model_validator(mode="after")
    def _meaningful(self) -> ColdStartConfig:
        if self.rule != "representatives":
            if self.window is not None:
                raise ValueError("window: belongs to rule = 'representatives'")
        elif self.asks is not None:
            raise ValueError(
                "asks: means nothing to rule = 'representatives', which asks about `examples` of a window"
            )
        elif not 0 < self.examples <= self.events:
            raise ValueError(
                f"examples: {self.examples} representatives cannot be chosen of {self.events} events"
            )
        return self

    @property
    def events(self) -> int:
        """How many events the window has of which representatives are chosen."""
        return 10 * self.examples if self.window is None else self.window


class StrategyConfig(Section):
    """``[strategy]``: when to ask."""

    name: Literal[
        "budgeted",
        "variable",
        "selective",
        "importance",
        "balanced",
        "least-confidence",
        "margin",
        "entropy",
        "any-of",
        "random",
    ] = "budgeted"
    budget: float = Field(0.1, ge=0.0, le=1.0)
    utility: Literal["least-confidence", "margin", "entropy", "expected-change", "committee", "fragility"] = (
        "margin"
    )
    threshold: float | None = Field(None, ge=0.0, le=1.0)
    confidence: float | None = Field(None, ge=0.0, le=1.0)
    margin: float | None = Field(None, ge=0.0, le=1.0)
    entropy: float | None = Field(None, ge=0.0, le=1.0)
    explore: float | None = Field(None, ge=0.0, le=1.0)
    burst: int = Field(20, ge=1)
    step: float = Field(0.01, gt=0.0, lt=1.0)
    spread: float = Field(0.0, ge=0.0, le=10.0)
    apart: int = Field(0, ge=0)
    stop_at: float | None = Field(None, gt=0.0, lt=1.0)
    calibrated: bool = False
    cold_start: ColdStartConfig = ColdStartConfig()

    @model_validator(mode="after")
    def _meaningful(self) -> StrategyConfig:
        used = self.used()
        given = self.model_fields_set - {"name", "cold_start"}
        for name in sorted(given - used):
            raise ValueError(f"{name}: means nothing to {self.name!r}, which takes {', '.join(sorted(used))}")
        if self.name == "any-of" and not given & {"confidence", "margin", "entropy"}:
            raise ValueError("any-of: give one or more of confidence, margin, entropy")
        if self._bucketed and self.explore is not None and self.explore > self.budget:
            raise ValueError(f"explore: {self.explore} is more than the budget, {self.budget}")
        if self.name == "importance" and self.explore == 0.0:
            raise ValueError(
                "explore: must be above 0, the least probability to ask with; a label weighs budget / explore at most"
            )
        explores = self.explore or (self.explore is None and self._bucketed and self.budget)
        if self.stop_at is not None and not explores:
            raise ValueError(
                "stop_at: nothing can be certain of events that are never asked about; set explore = 0.01, say"
            )
        return self

    @property
    def _bucketed(self) -> bool:
        return self.name in ("budgeted", "variable", "selective", "importance", "balanced")

    def used(self) -> set[str]:
        """Return the keys that mean something to this strategy, besides its name and the cold start."""
        return {
            "budgeted": {"budget", "utility", "explore", "burst", "apart", "stop_at"},
            "variable": {"budget", "step", "spread", "explore", "burst", "apart", "stop_at"},
            "selective": {"budget", "explore", "burst", "apart", "stop_at"},
            "importance": {"budget", "explore", "burst", "apart", "stop_at"},
            "balanced": {"budget", "explore", "burst", "apart", "stop_at"},
            "random": {"budget"},
            "any-of": {"confidence", "margin", "entropy", "explore", "stop_at", "calibrated"},
        }.get(self.name, {"threshold", "explore", "stop_at", "calibrated"})

    def build(self) -> QueryStrategy:
        """Return the strategy."""
        cold = self.cold_start
        asks = cold.asks
        if asks is None and self._bucketed:
            asks = while_late(cold.examples, self.budget)
        inner = Apart(self._inner(), self.apart) if self.apart else self._inner()
        rule = cold.rule
        if (
            rule == "representatives"
        ):  # of a window, which the learner collects; the strategy goes on from there
            rule, asks = "none", cold.examples
        strategy = ColdStart(inner, cold.examples, rule, cold.share, asks)
        return strategy if self.stop_at is None else ConfidentEnough(strategy, self.stop_at)

    def _inner(self) -> QueryStrategy:
        explore = self.explore or 0.0
        if self.name == "budgeted":
            return Budgeted(self.budget, self.utility, self.explore, self.burst)
        if self.name == "variable":
            return VariableUncertainty(self.budget, self.step, self.spread, self.explore, self.burst)
        if self.name == "selective":
            return Selective(self.budget, self.explore, self.burst)
        if self.name == "importance":
            return Importance(self.budget, self.explore, self.burst)
        if self.name == "balanced":
            return Balanced(self.budget, self.explore, self.burst)
        if self.name == "random":
            return Random(self.budget)
        if self.name == "any-of":
            members: list[QueryStrategy] = []
            if self.confidence is not None:
                members.append(LeastConfidence(self.confidence, explore))
            if self.margin is not None:
                members.append(Margin(self.margin, explore))
            if self.entropy is not None:
                members.append(Entropy(self.entropy, explore))
            return AnyOf(tuple(members))
        thresholds: dict[str, type[LeastConfidence | Margin | Entropy]] = {
            "least-confidence": LeastConfidence,
            "margin": Margin,
            "entropy": Entropy,
        }
        kind = thresholds[self.name]
        return kind(explore=explore) if self.threshold is None else kind(self.threshold, explore)


class QuotaConfig(Section):
    """One of ``[limits] quotas``: what one key, predicted class or value of a feature may use."""

    by: str = Field(pattern=r"^(key|predicted|features\..+)$")
    share: float = Field(gt=0.0, le=1.0)


class LimitsConfig(Section):
    """``[limits]``: what is never exceeded, whatever the strategy wants."""

    labels_per_hour: float | None = Field(None, gt=0.0, allow_inf_nan=False)
    labels_per_day: float | None = Field(None, gt=0.0, allow_inf_nan=False)
    labels_total: float | None = Field(None, gt=0.0, allow_inf_nan=False)
    cost_per_label: float | None = Field(None, gt=0.0, allow_inf_nan=False)
    spend_per_day: float | None = Field(None, gt=0.0, allow_inf_nan=False)
    spend_total: float | None = Field(None, gt=0.0, allow_inf_nan=False)
    burst: int = Field(20, ge=1)
    answers_within: timedelta | None = None
    quotas: tuple[QuotaConfig, ...] = Field((), max_length=32)

    _duration = field_validator("answers_within", mode="before")(duration)

    @model_validator(mode="after")
    def _meaningful(self) -> LimitsConfig:
        if self.active():
            self.around(Random())  # which says what is wrong
        elif "burst" in self.model_fields_set - defaults(self):
            raise ValueError("burst: is what each limit saves up, and there is none; set labels_per_day, say")
        return self

    def active(self) -> bool:
        """Tell whether anything is limited."""
        return bool(self.model_fields_set - {"burst"} - defaults(self))

    def timed(self) -> str | None:
        """Return the first key that needs the events' timestamps."""
        keys = ("labels_per_hour", "labels_per_day", "spend_per_day", "answers_within")
        return next((key for key in keys if getattr(self, key) is not None), None)

    def around(self, strategy: QueryStrategy) -> QueryStrategy:
        """Return a strategy within the limits."""
        if not self.active():
            return strategy
        return Limited(
            strategy,
            **{name: getattr(self, name) for name in (*RATES, "cost_per_label", "burst", "answers_within")},
            quotas=tuple(Quota(quota.by, quota.share) for quota in self.quotas),
        )


class GroupsConfig(Section):
    """``[groups]``: when near-duplicates of an open query are grouped with it."""

    within: float | None = Field(None, gt=0.0, allow_inf_nan=False)
    weight: float = Field(0.5, gt=0.0, le=1.0)
    most: int = Field(20, ge=1)
    groups: int = Field(200, ge=1)
    check: float = Field(0.05, ge=0.0, le=1.0)

    def rules(self, cold: ColdStartConfig) -> GroupRules | None:
        """Return when an event joins a group, also one of the cold start's window; None where nothing is grouped.

        Raises
        ------
        ValueError
            When there are rules, and nothing is grouped.
        """
        if cold.rule == "representatives":
            window = (cold.events, cold.examples)
        elif self.within is not None:
            window = (0, 50)
        elif self.model_fields_set - defaults(self):
            raise ValueError("[groups] within: nothing is grouped; set it to 0.2, say")
        else:
            return None
        return GroupRules(self.within, self.weight, self.most, self.groups, self.check, *window)


class GuardConfig(Section):
    """``[guard]``: what keeps events away that are sent to burn people's hours."""

    source: str | None = Field(None, pattern=r"^(key|features\..+)$")
    share: float = Field(0.2, gt=0.0, le=1.0)
    burst: int = Field(10, ge=1)
    duplicates: int = Field(0, ge=0)
    repeats: int = Field(3, ge=1)
    outlier: float | None = Field(None, gt=1.0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _meaningful(self) -> GuardConfig:
        given = self.model_fields_set - defaults(self)
        for key, rule in (("share", "source"), ("burst", "source"), ("repeats", "duplicates")):
            if key in given and not getattr(self, rule):
                raise ValueError(f"{key}: belongs to {rule}, which is not set")
        return self

    def active(self) -> bool:
        """Tell whether anything is guarded against."""
        return self.source is not None or self.duplicates > 0 or self.outlier is not None

    def around(self, strategy: QueryStrategy) -> QueryStrategy:
        """Return a strategy behind the guard."""
        if not self.active():
            return strategy
        return Guard(strategy, **self.model_dump())


class DriftConfig(Section):
    """``[drift]``: what is watched for changes, and what is kept for then."""

    watch: tuple[str, ...] = ()
    detector: str = "ADWIN"
    args: dict[str, Any] = {}  # noqa: RUF012  # copied by pydantic
    reserve: float | None = Field(None, gt=0.0, lt=1.0)
    share: float = Field(0.2, gt=0.0, le=1.0)
    events: int = Field(500, ge=1)
    size: int = Field(100, ge=1)

    @model_validator(mode="after")
    def _meaningful(self) -> DriftConfig:
        if self.watch:
            self.rules()  # which says what is wrong
        elif self.model_fields_set - defaults(self):
            raise ValueError('watch: nothing is watched; set it to ["error"], say')
        return self

    def rules(self) -> DriftRules | None:
        """Return what is watched."""
        return DriftRules(self.detector, self.args, self.watch) if self.watch else None

    def around(self, strategy: StrategyConfig) -> QueryStrategy:
        """Return a strategy, with a part of its budget in reserve if there is to be one."""
        if self.reserve is None:
            return strategy.build()
        kept = strategy.budget * self.reserve
        then = strategy.model_copy(update={"budget": strategy.budget - kept}).build()
        return Reserve(then, kept, self.share, self.events, self.size)
