"""A pipeline's configuration: one TOML file, checked when it is read.

Every key can be overridden by an environment variable: ``STREAM_AL_STORE__PATH`` for ``[store] path``.
"""

from __future__ import annotations

import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from stream_al.config.asking import (
    ColdStartConfig,
    DriftConfig,
    GroupsConfig,
    GuardConfig,
    LimitsConfig,
    QuotaConfig,
    StrategyConfig,
)
from stream_al.config.base import Section, defaults, duration
from stream_al.config.gold import GoldConfig
from stream_al.config.services import KafkaConfig, TopicsConfig, WebhooksConfig
from stream_al.desk_rules import DeskRules
from stream_al.errors import ConfigError
from stream_al.groups import GroupRules
from stream_al.monitor.accuracy import WINDOW
from stream_al.strategies import QueryStrategy

try:
    from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
except ImportError as error:  # pragma: no cover - depends on how it was installed
    raise ConfigError(
        "reading a configuration needs the `cli` extra: pip install 'stream-al[cli]'"
    ) from error

__all__ = [
    "RULES",
    "ColdStartConfig",
    "Config",
    "DriftConfig",
    "EventsConfig",
    "GoldConfig",
    "GroupsConfig",
    "GuardConfig",
    "KafkaConfig",
    "LabelsConfig",
    "LimitsConfig",
    "ModelConfig",
    "QuotaConfig",
    "StrategyConfig",
    "TopicsConfig",
    "WebhooksConfig",
    "checked",
    "load_config",
    "stored_config",
]


class ModelConfig(Section):
    """``[model]``: which River classifier."""

    use: str = "river.linear_model.LogisticRegression"
    args: dict[str, Any] = {}  # noqa: RUF012  # copied by pydantic
    steps: tuple[dict[str, Any], ...] = ()
    file: Path | None = None
    classes: tuple[bool | int | str, ...] = ()
    label_type: Literal["str", "int", "bool"] | None = None
    checkpoint_every: int = Field(1000, ge=1)

    @model_validator(mode="after")
    def _one_way(self) -> ModelConfig:
        given = sorted(self.model_fields_set & {"use", "steps", "file"} - defaults(self))
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)}: give one of use (with args), steps, file")
        return self


class AccuracyConfig(Section):
    """``[accuracy]``: how the accuracy of the answers is watched."""

    window: int = Field(WINDOW, ge=2)


class EventsConfig(Section):
    """``[events]``: where events come from."""

    path: str = "-"
    format: Literal["csv", "jsonl", "flat-jsonl", "parquet"] | None = None
    follow: bool = False
    id_column: str | None = None
    timestamp_column: str | None = None
    key_column: str | None = None
    label_column: str | None = None
    ignore: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    max_record_bytes: int = Field(1_000_000, ge=100)


class LabelsConfig(Section):
    """``[labels]``: where people's answers come from, and how they become examples."""

    source: Literal["store", "file", "simulated"] = "store"
    path: Path | None = None
    delay: int = Field(100, ge=0)
    jitter: int = Field(0, ge=0)
    quorum: int = Field(1, ge=1)
    agreement: Literal["majority", "unanimous", "plurality", "weighted"] = "majority"
    max_answers: int = Field(5, ge=1)
    max_abstentions: int = Field(3, ge=1)
    expire_after: timedelta | None = None
    expire_after_events: int | None = Field(None, ge=1)
    max_open: int = Field(10_000, ge=1)
    when_full: Literal["stop-asking", "withdraw-least"] = "stop-asking"
    remember: int = Field(100_000, ge=0)
    corrections: Literal["amend", "dead-letter"] = "amend"
    withdraw_below: float | None = Field(None, ge=0, le=1)
    rescore_every: int = Field(10, ge=1)
    rescore_most: int = Field(100, ge=1)
    sure: float = Field(0.5, ge=0.5, lt=1)
    second_opinion: float | None = Field(None, gt=0, le=1)

    _duration = field_validator("expire_after", mode="before")(duration)

    @model_validator(mode="after")
    def _complete(self) -> LabelsConfig:
        if (self.source == "file") != (self.path is not None):
            raise ValueError('path: belongs to source = "file", and is needed there')
        if self.max_answers < self.quorum:
            raise ValueError(f"max_answers: {self.max_answers} is less than the quorum, {self.quorum}")
        if self.second_opinion is not None and self.max_answers == self.quorum:
            raise ValueError(f"max_answers: {self.max_answers} leaves no second opinion; give more")
        return self

    def used(self) -> set[str]:
        """Return the rules that decide anything; others are left out, as stores were made before there were any."""
        unused = {"rescore_every", "rescore_most"} if self.withdraw_below is None else set()
        unused |= set() if self.agreement == "weighted" else {"sure"}
        return set(RULES) - unused


class StoreConfig(Section):
    """``[store]``: the SQLite file that keeps everything."""

    path: Path = Path("pipeline.db")


class OutputConfig(Section):
    """``[output]``: JSONL files to write besides the store."""

    predictions: Path | None = None
    queries: Path | None = None
    dead_letters: Path | None = None


class RunConfig(Section):
    """``[run]``: how the worker runs."""

    until: Literal["events-end", "answered", "stopped"] = "events-end"
    batch_size: int = Field(1000, ge=1)
    batch_seconds: float = Field(0.05, gt=0.0)
    key: str = "stream_al"


class Config(BaseSettings):
    """All of it."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="STREAM_AL_", env_nested_delimiter="__"
    )

    model: ModelConfig = ModelConfig()
    strategy: StrategyConfig = StrategyConfig()
    limits: LimitsConfig = LimitsConfig()
    guard: GuardConfig = GuardConfig()
    drift: DriftConfig = DriftConfig()
    groups: GroupsConfig = GroupsConfig()
    accuracy: AccuracyConfig = AccuracyConfig()
    events: EventsConfig = EventsConfig()
    labels: LabelsConfig = LabelsConfig()
    gold: GoldConfig = GoldConfig()
    store: StoreConfig = StoreConfig()
    output: OutputConfig = OutputConfig()
    webhooks: WebhooksConfig = WebhooksConfig()
    run: RunConfig = RunConfig()
    kafka: KafkaConfig | None = None

    @classmethod
    def settings_customise_sources(  # noqa: D102
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings

    @model_validator(mode="after")
    def _reserve_of_a_budget(self) -> Config:
        if self.drift.reserve is None:
            return self
        if "budget" not in self.strategy.used():
            raise ValueError(f"[drift] reserve: is of a budget, and {self.strategy.name!r} has none")
        left = self.strategy.budget * (1.0 - self.drift.reserve)
        if (self.strategy.explore or 0.0) > left:
            raise ValueError(f"[drift] reserve: leaves {left:.3g} of the budget, less than explore")
        return self

    @model_validator(mode="after")
    def _groups_of_one_worker(self) -> Config:
        if self.group_rules() is None:
            return self
        window = self.strategy.cold_start.rule == "representatives"
        key = "[strategy.cold_start] rule = 'representatives'" if window else "[groups] within"
        if self.kafka is not None:
            raise ValueError(
                f"{key}: an event and the query it is like may be in partitions of different workers on Kafka, "
                "so nothing can be grouped there; leave it out"
            )
        if window and self.limits.active():
            raise ValueError(
                f"{key}: asks about as many as it says, whatever [limits] allow; leave one of them out"
            )
        return self

    def group_rules(self) -> GroupRules | None:
        """Return when near-duplicates are grouped; None where nothing is."""
        return self.groups.rules(self.strategy.cold_start)

    def query_strategy(self) -> QueryStrategy:
        """Return the strategy, with its reserve, within its limits and behind its guard."""
        return self.guard.around(self.limits.around(self.drift.around(self.strategy)))

    def pipeline(self) -> dict[str, Any]:
        """Return what decides the results: a store keeps it, and refuses to go on with another."""
        strategy = {"name", "cold_start", *self.strategy.used()}
        # Left out when there are none, so that a store made before there were any is still the same pipeline's.
        used = {
            "limits": self.limits.active(),
            "guard": self.guard.active(),
            "drift": bool(self.drift.watch),
            "gold": bool(self.gold.questions),
            "groups": self.group_rules() is not None,
        }
        also = {
            name: getattr(self, name).model_dump(mode="json", exclude_none=True, exclude={"path"})
            for name, is_used in used.items()
            if is_used
        }
        return {
            "model": self.model.model_dump(mode="json", exclude={"checkpoint_every"}, exclude_none=True),
            "strategy": self.strategy.model_dump(mode="json", include=strategy, exclude_none=True),
            "accuracy": self.accuracy.model_dump(mode="json"),
            **also,
            "labels": self.labels.model_dump(mode="json", include=self.labels.used(), exclude_none=True),
            "run": {"key": self.run.key},
        }


RULES = tuple(DeskRules.__dataclass_fields__)


def stored_config(pipeline: dict[str, Any], name: str) -> Config:
    """Return the configuration whose `Config.pipeline` was kept; the environment has no say in it.

    Raises
    ------
    ConfigError
        When it is damaged.
    """
    try:
        return Config.model_construct(
            model=ModelConfig(**pipeline["model"]),
            strategy=StrategyConfig(**pipeline["strategy"]),
            limits=LimitsConfig(**pipeline.get("limits", {})),
            guard=GuardConfig(**pipeline.get("guard", {})),
            drift=DriftConfig(**pipeline.get("drift", {})),
            groups=GroupsConfig(**pipeline.get("groups", {})),
            accuracy=AccuracyConfig(**pipeline["accuracy"]),
            labels=LabelsConfig(**pipeline["labels"]),
            gold=GoldConfig(**pipeline.get("gold", {})),
            run=RunConfig(**pipeline["run"]),
        )
    except ValidationError as error:
        raise ConfigError(
            "\n".join(f"{name}: the configuration kept: {x}" for x in _complaints(error))
        ) from None
    except (KeyError, TypeError, AttributeError):
        raise ConfigError(
            f"{name}: does not say which pipeline it is of; `stream-al run` makes stores that do"
        ) from None


def load_config(path: Path) -> Config:
    """Read and check a configuration. Relative paths in it are relative to the file.

    Raises
    ------
    ConfigError
        Naming file, key, value and what is allowed.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; `stream-al init` writes one to start from") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    return checked(content, str(path), path.parent)


def checked(content: dict[str, Any], name: str, base: Path = Path()) -> Config:
    """Check a configuration's content; ``name`` is what errors call it."""
    try:
        config = Config(**content)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{name}: {line}" for line in _complaints(error))) from None
    paths = {
        "store": {"path": config.store.path},
        "output": {k: v for k, v in config.output if v is not None},
        "labels": {"path": config.labels.path},
        "model": {"file": config.model.file},
    }
    changes: dict[str, Any] = {
        section: getattr(config, section).model_copy(
            update={k: base / v for k, v in found.items() if v is not None}
        )
        for section, found in paths.items()
    }
    changes["gold"] = config.gold.read(base)
    if config.kafka is not None:
        files = ("snapshots", "ca_file", "cert_file", "key_file", "token_file")
        found = {k: getattr(config.kafka, k) for k in files}
        changes["kafka"] = config.kafka.model_copy(
            update={k: base / v for k, v in found.items() if v is not None}
        )
    if config.events.path != "-" and not config.events.path.startswith(("river:", "sklearn:")):
        changes["events"] = config.events.model_copy(update={"path": str(base / config.events.path)})
    return config.model_copy(update=changes)


def _complaints(error: ValidationError) -> list[str]:
    """Return a line a mistake: ``[strategy] name = "margn": must be one of …``."""
    lines = []
    for wrong in error.errors(include_url=False):
        section, *rest = [str(part) for part in wrong["loc"]] or [""]
        key = ".".join(rest)
        place = f"[{section}] {key}".strip()
        if wrong["type"] == "extra_forbidden":
            allowed = ", ".join(_keys(wrong["loc"][:-1]))
            lines.append(f"{place}: no such key; there are {allowed}")
            continue
        message = wrong["msg"].removeprefix("Value error, ")
        if wrong["type"] == "literal_error":
            message = f"must be one of {wrong['ctx']['expected']}"
        shown = "" if isinstance(wrong["input"], dict) else f" = {wrong['input']!r}"
        lines.append(f"{place}{shown}: {message}")
    return lines


def _keys(path: tuple[int | str, ...]) -> list[str]:
    kind: type[BaseModel] = Config
    for part in path:
        annotation = kind.model_fields[str(part)].annotation if str(part) in kind.model_fields else None
        kinds = [
            k for k in (annotation, *get_args(annotation)) if isinstance(k, type) and issubclass(k, BaseModel)
        ]
        if not kinds:
            return []
        kind = kinds[0]
    return list(kind.model_fields)
