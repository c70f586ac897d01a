"""The sections that name other servers: Kafka, and who is told by webhooks."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from stream_al.config.base import Section, defaults, duration
from stream_al.errors import ConfigError
from stream_al.webhooks import KINDS, keys_of


class TopicsConfig(Section):
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

    _duration = field_validator("retention", mode="before")(duration)

    def name(self, which: str) -> str:
        """Return the full name of a topic, by its key here."""
        return f"{self.prefix}{getattr(self, which)}"


class KafkaConfig(Section):
    """``[kafka]``: run on Kafka topics instead of files and a store."""

    bootstrap: str = "localhost:9092"
    client: Literal["kafka-python", "confluent"] = "kafka-python"
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


class WebhooksConfig(Section):
    """``[webhooks]``: which server is told of what happens."""

    url: str | None = None
    events: tuple[Literal["label", "drift", "budget-spent", "quarantine", "distrust"], ...] = KINDS
    secret: SecretStr | None = None
    give_up_after: timedelta = timedelta(days=4)

    _duration = field_validator("give_up_after", mode="before")(duration)

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
                self.model_fields_set - {"secret"} - defaults(self)
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
