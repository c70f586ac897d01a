"""A pipeline's configuration: one TOML file, checked when it is read.

Every key can be overridden by an environment variable: ``STREAM_AL_STORE__PATH`` for ``[store] path``.
"""

from __future__ import annotations

import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from stream_al.desk_rules import DeskRules
from stream_al.errors import ConfigError
from stream_al.monitor import ConfidentEnough, DriftRules
from stream_al.monitor.accuracy import WINDOW
from stream_al.strategies import (
    AnyOf,
    Apart,
    Balanced,
    Budgeted,
    ColdStart,
    Entropy,
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
from stream_al.webhooks import KINDS, keys_of

try:
    from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
except ImportError as error:  # pragma: no cover - depends on how it was installed
    raise ConfigError(
        "reading a configuration needs the `cli` extra: pip install 'stream-al[cli]'"
    ) from error


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _duration(value: object) -> object:
    """Read ``"7d"``: s, m, h or d."""
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    if isinstance(value, str) and value[-1:] in units and value[:-1].replace(".", "", 1).isdigit():
        return timedelta(**{units[value[-1]]: float(value[:-1])})
    return value


class ModelConfig(_Section):
    """``[model]``: which River classifier."""

    use: str = "river.linear_model.LogisticRegression"
    args: dict[str, Any] = {}
    steps: tuple[dict[str, Any], ...] = ()
    file: Path | None = None
    classes: tuple[bool | int | str, ...] = ()
    label_type: Literal["str", "int", "bool"] | None = None
    checkpoint_every: int = Field(1000, ge=1)

    @model_validator(mode="after")
    def _one_way(self) -> ModelConfig:
        given = sorted(self.model_fields_set & {"use", "steps", "file"} - _defaults(self))
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)}: give one of use (with args), steps, file")
        return self


def _defaults(section: BaseModel) -> set[str]:
    """Return the keys that have their default value, given or not."""
    return {name for name, f in type(section).model_fields.items() if getattr(section, name) == f.default}


class ColdStartConfig(_Section):
    """``[strategy.cold_start]``: how to ask while the model knows too little."""

    rule: Literal["all", "random", "none"] = "all"
    examples: int = Field(50, ge=0)
    share: float = Field(0.1, ge=0.0, le=1.0)
    asks: int | None = Field(None, ge=0)


class StrategyConfig(_Section):
    """``[strategy]``: when to ask."""

    name: Literal[
        "budgeted",
        "variable",
        "selective",
        "balanced",
        "least-confidence",
        "margin",
        "entropy",
        "any-of",
        "random",
    ] = "budgeted"
    budget: float = Field(0.1, ge=0.0, le=1.0)
    utility: Literal["least-confidence", "margin", "entropy", "expected-change", "committee"] = "margin"
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
        explores = self.explore or (self.explore is None and self._bucketed and self.budget)
        if self.stop_at is not None and not explores:
            raise ValueError(
                "stop_at: nothing can be certain of events that are never asked about; set explore = 0.01, say"
            )
        return self

    @property
    def _bucketed(self) -> bool:
        return self.name in ("budgeted", "variable", "selective", "balanced")

    def used(self) -> set[str]:
        """Return the keys that mean something to this strategy, besides its name and the cold start."""
        return {
            "budgeted": {"budget", "utility", "explore", "burst", "apart", "stop_at"},
            "variable": {"budget", "step", "spread", "explore", "burst", "apart", "stop_at"},
            "selective": {"budget", "explore", "burst", "apart", "stop_at"},
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
        strategy = ColdStart(inner, cold.examples, cold.rule, cold.share, asks)
        return strategy if self.stop_at is None else ConfidentEnough(strategy, self.stop_at)

    def _inner(self) -> QueryStrategy:
        explore = self.explore or 0.0
        if self.name == "budgeted":
            return Budgeted(self.budget, self.utility, self.explore, self.burst)
        if self.name == "variable":
            return VariableUncertainty(self.budget, self.step, self.spread, self.explore, self.burst)
        if self.name == "selective":
            return Selective(self.budget, self.explore, self.burst)
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


class QuotaConfig(_Section):
    """One of ``[limits] quotas``: what one key, predicted class or value of a feature may use."""

    by: str = Field(pattern=r"^(key|predicted|features\..+)$")
    share: float = Field(gt=0.0, le=1.0)


class LimitsConfig(_Section):
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

    _duration = field_validator("answers_within", mode="before")(_duration)

    @model_validator(mode="after")
    def _meaningful(self) -> LimitsConfig:
        if self.active():
            self.around(Random())  # which says what is wrong
        elif "burst" in self.model_fields_set - _defaults(self):
            raise ValueError("burst: is what each limit saves up, and there is none; set labels_per_day, say")
        return self

    def active(self) -> bool:
        """Tell whether anything is limited."""
        return bool(self.model_fields_set - {"burst"} - _defaults(self))

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


class DriftConfig(_Section):
    """``[drift]``: what is watched for changes, and what is kept for then."""

    watch: tuple[str, ...] = ()
    detector: str = "ADWIN"
    args: dict[str, Any] = {}
    reserve: float | None = Field(None, gt=0.0, lt=1.0)
    share: float = Field(0.2, gt=0.0, le=1.0)
    events: int = Field(500, ge=1)
    size: int = Field(100, ge=1)

    @model_validator(mode="after")
    def _meaningful(self) -> DriftConfig:
        if self.watch:
            self.rules()  # which says what is wrong
        elif self.model_fields_set - _defaults(self):
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


class AccuracyConfig(_Section):
    """``[accuracy]``: how the accuracy of the answers is watched."""

    window: int = Field(WINDOW, ge=2)


class EventsConfig(_Section):
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


class LabelsConfig(_Section):
    """``[labels]``: where people's answers come from, and how they become examples."""

    source: Literal["store", "file", "simulated"] = "store"
    path: Path | None = None
    delay: int = Field(100, ge=0)
    jitter: int = Field(0, ge=0)
    quorum: int = Field(1, ge=1)
    agreement: Literal["majority", "unanimous", "plurality"] = "majority"
    max_answers: int = Field(5, ge=1)
    max_abstentions: int = Field(3, ge=1)
    expire_after: timedelta | None = None
    expire_after_events: int | None = Field(None, ge=1)
    max_open: int = Field(10_000, ge=1)
    when_full: Literal["stop-asking", "withdraw-least"] = "stop-asking"
    remember: int = Field(100_000, ge=0)
    corrections: Literal["amend", "dead-letter"] = "amend"

    _duration = field_validator("expire_after", mode="before")(_duration)

    @model_validator(mode="after")
    def _complete(self) -> LabelsConfig:
        if (self.source == "file") != (self.path is not None):
            raise ValueError('path: belongs to source = "file", and is needed there')
        if self.max_answers < self.quorum:
            raise ValueError(f"max_answers: {self.max_answers} is less than the quorum, {self.quorum}")
        return self


class StoreConfig(_Section):
    """``[store]``: the SQLite file that keeps everything."""

    path: Path = Path("pipeline.db")


class OutputConfig(_Section):
    """``[output]``: JSONL files to write besides the store."""

    predictions: Path | None = None
    queries: Path | None = None
    dead_letters: Path | None = None


class TopicsConfig(_Section):
    """``[kafka.topics]``: the topics' names and how `stream-al topics create` makes them."""

    prefix: str = ""
    events: str = "events"
    predictions: str = "predictions"
    queries: str = "queries"
    labels: str = "labels"
    examples: str = "examples"
    dead_letters: str = "dead-letters"
    partitions: int = Field(6, ge=1)
    query_partitions: int = Field(6, ge=1)
    replication: int = Field(-1, ge=-1)
    retention: timedelta = timedelta(days=7)

    _duration = field_validator("retention", mode="before")(_duration)

    def name(self, which: str) -> str:
        """Return the full name of a topic, by its key here."""
        return f"{self.prefix}{getattr(self, which)}"


class KafkaConfig(_Section):
    """``[kafka]``: run on Kafka topics instead of files and a store."""

    bootstrap: str = "localhost:9092"
    group: str = "stream-al"
    instance: str | None = Field(None, min_length=1)
    predictions: Literal["all", "queried", "none"] = "all"
    snapshots: Path | None = None
    session_timeout: float = Field(45.0, ge=1.0)
    transaction_timeout: float = Field(10.0, ge=1.0)
    stall_after: float = Field(30.0, ge=1.0)
    topics: TopicsConfig = TopicsConfig()
    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    key_password: SecretStr | None = None
    check_hostname: bool = True
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = None
    username: str | None = None
    password: SecretStr | None = None
    token_file: Path | None = None
    token_url: str | None = None
    client_id: str | None = None
    client_secret: SecretStr | None = None
    scope: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _secrets_are_text(cls, data: Any) -> Any:
        # Told of the section, not of the key: what is told of a key shows its value.
        for key in _SECRET if isinstance(data, dict) else ():
            if not isinstance(data.get(key), str | SecretStr | None):
                raise ValueError(f"{key}: must be text, in quotation marks")
        return data

    @model_validator(mode="after")
    def _can_connect(self) -> KafkaConfig:
        if not all(address.strip() for address in self.bootstrap.split(",")):
            raise ValueError("bootstrap: give host:port, or several with commas between")
        self._check_topics()
        self._check_tls()
        self._check_login()
        return self

    def _check_topics(self) -> None:
        names: dict[str, str] = {}
        for which in ("events", "predictions", "queries", "labels", "examples", "dead_letters"):
            name = self.topics.name(which)
            if not re.fullmatch(r"[a-zA-Z0-9._-]{1,249}", name) or name in (".", ".."):
                raise ValueError(
                    f"topics: {name!r} is no name for a topic; letters, digits and . _ - are allowed"
                )
            if name in names:
                raise ValueError(f"topics: {names[name]} and {which} are both {name!r}; each needs its own")
            names[name] = which

    def _check_tls(self) -> None:
        if not self.protocol.endswith("SSL"):
            for key in ("ca_file", "cert_file", "key_file", "key_password"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key}: belongs to protocol SSL or SASL_SSL, not {self.protocol}")
        pairs = {"cert_file": "key_file", "key_file": "cert_file", "key_password": "key_file"}
        for key, other in pairs.items():
            if getattr(self, key) is not None and getattr(self, other) is None:
                raise ValueError(f"{key}: needs {other}, too")

    def _check_login(self) -> None:
        given = {key for key in _LOGIN if getattr(self, key) is not None}
        if not self.protocol.startswith("SASL"):
            if given or self.mechanism:
                key = "mechanism" if self.mechanism else min(given)
                raise ValueError(
                    f"{key}: belongs to protocol SASL_SSL or SASL_PLAINTEXT, not {self.protocol}"
                )
            return
        if self.mechanism is None:
            raise ValueError(
                f"mechanism: protocol {self.protocol} needs one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER"
            )
        if self.mechanism != "OAUTHBEARER":
            needed = {"username", "password"}
        elif ("token_file" in given) == ("token_url" in given):
            raise ValueError("mechanism: OAUTHBEARER needs one of token_file, token_url")
        else:
            needed = {"token_file"} if "token_file" in given else {"token_url", "client_id", "client_secret"}
        for key in sorted(needed):
            # An empty one is what an environment variable leaves that nobody filled.
            if getattr(self, key) in (None, "", SecretStr("")):
                told = (
                    f"; best as STREAM_AL_KAFKA__{key.upper()} in the environment" if key in _SECRET else ""
                )
                raise ValueError(f"{key}: mechanism {self.mechanism} needs it{told}")
        for key in sorted(given - needed - ({"scope"} if "token_url" in needed else set())):
            raise ValueError(
                f"{key}: means nothing to mechanism {self.mechanism} here, which takes {', '.join(sorted(needed))}"
            )
        if self.token_url is not None and not self.token_url.startswith(("https://", "http://")):
            raise ValueError(f"token_url: {self.token_url!r} is not an http or https address")


_LOGIN = ("username", "password", "token_file", "token_url", "client_id", "client_secret", "scope")
_SECRET = ("password", "client_secret", "key_password")


class WebhooksConfig(_Section):
    """``[webhooks]``: which server is told of what happens."""

    url: str | None = None
    events: tuple[Literal["label", "drift", "budget-spent"], ...] = KINDS
    secret: SecretStr | None = None
    give_up_after: timedelta = timedelta(days=4)

    _duration = field_validator("give_up_after", mode="before")(_duration)

    @model_validator(mode="before")
    @classmethod
    def _secret_is_one(cls, data: Any) -> Any:
        # Told of the section, not of the key: what is told of a key shows its value.
        secret = data.get("secret") if isinstance(data, dict) else None
        if isinstance(secret, SecretStr):
            secret = secret.get_secret_value()
        if secret is not None and not isinstance(secret, str):
            raise ValueError("secret: must be text, in quotation marks")
        keys_of(secret or "")  # which says what is wrong
        return data

    @model_validator(mode="after")
    def _meaningful(self) -> WebhooksConfig:
        if self.url is None:
            if (
                self.model_fields_set - {"secret"} - _defaults(self)
            ):  # the secret may be everybody's environment's
                raise ValueError("url: nothing is sent without one; set it to https://…")
            return self
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[^!-~]", self.url):
            raise ValueError(f"url: {self.url!r} is not an http or https address")
        if parts.username is not None:
            raise ValueError("url: leave the login out; the signature says who is sending")
        if not self.events:
            raise ValueError(f"events: give one or more of {', '.join(KINDS)}, or leave url out")
        if self.give_up_after < timedelta(0):
            raise ValueError("give_up_after: must not be negative")
        return self

    def keys(self, name: str) -> tuple[bytes, ...]:
        """Return what messages are signed with.

        Parameters
        ----------
        name
            What errors call the configuration.

        Raises
        ------
        ConfigError
            When there is no url, or no secret.
        """
        if self.url is None:
            raise ConfigError(f"{name}: [webhooks] url: is not set; set it to https://…")
        found = keys_of("" if self.secret is None else self.secret.get_secret_value())
        if not found:
            raise ConfigError(
                f"{name}: [webhooks] secret: is missing, and nobody could tell who is sending; set {SECRET_VARIABLE} in "
                "the environment to one made with echo whsec_$(openssl rand -base64 32)"
            )
        return found


SECRET_VARIABLE = "STREAM_AL_WEBHOOKS__SECRET"


class RunConfig(_Section):
    """``[run]``: how the worker runs."""

    until: Literal["events-end", "answered", "stopped"] = "events-end"
    batch_size: int = Field(1000, ge=1)
    key: str = "stream_al"


class Config(BaseSettings):
    """All of it."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="STREAM_AL_", env_nested_delimiter="__"
    )

    model: ModelConfig = ModelConfig()
    strategy: StrategyConfig = StrategyConfig()
    limits: LimitsConfig = LimitsConfig()
    drift: DriftConfig = DriftConfig()
    accuracy: AccuracyConfig = AccuracyConfig()
    events: EventsConfig = EventsConfig()
    labels: LabelsConfig = LabelsConfig()
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

    def query_strategy(self) -> QueryStrategy:
        """Return the strategy, with its reserve and within its limits."""
        return self.limits.around(self.drift.around(self.strategy))

    def pipeline(self) -> dict[str, Any]:
        """Return what decides the results: a store keeps it, and refuses to go on with another."""
        strategy = {"name", "cold_start", *self.strategy.used()}
        # Left out when there are none, so that a store made before there were any is still the same pipeline's.
        used = {"limits": self.limits.active(), "drift": bool(self.drift.watch)}
        also = {
            name: getattr(self, name).model_dump(mode="json", exclude_none=True)
            for name, is_used in used.items()
            if is_used
        }
        return {
            "model": self.model.model_dump(mode="json", exclude={"checkpoint_every"}, exclude_none=True),
            "strategy": self.strategy.model_dump(mode="json", include=strategy, exclude_none=True),
            "accuracy": self.accuracy.model_dump(mode="json"),
            **also,
            "labels": self.labels.model_dump(mode="json", include=set(RULES), exclude_none=True),
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
            drift=DriftConfig(**pipeline.get("drift", {})),
            accuracy=AccuracyConfig(**pipeline["accuracy"]),
            labels=LabelsConfig(**pipeline["labels"]),
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
