"""Connections to Kafka: what every client of ours is given, and what is told when there is none.

Only these functions unwrap the secrets of a configuration.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

from stream_al.config import KafkaConfig
from stream_al.errors import ConfigError

if TYPE_CHECKING:
    from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

_FETCH_BYTES: Final = 4 * 2**20
"""Of a partition, in one fetch. No limit on a record: a broker hands out at least one batch, however large."""

_REQUEST_BYTES: Final = 32 * 2**20
"""Not in the way: what is too large is the topic's ``max.message.bytes`` to decide."""


def require_kafka() -> None:
    """Make sure that a kafka-python that works is installed.

    Raises
    ------
    ConfigError
        Naming the extra to install.
    """
    _require("kafka-python", (3, 0, 12), "[kafka]: running on Kafka needs", "kafka")


def require_confluent() -> None:
    """Make sure that a confluent-kafka that works is installed.

    Raises
    ------
    ConfigError
        Naming the extra to install.
    """
    _require("confluent-kafka", (2, 16), '[kafka] client = "confluent" needs', "confluent")


def _require(package: str, oldest: tuple[int, ...], who: str, extra: str) -> None:
    remedy = f"pip install 'stream-al[{extra}]'"
    try:
        found = version(package)
    except PackageNotFoundError:
        raise ConfigError(f"{who} the `{extra}` extra: {remedy}") from None
    if tuple(int(part) for part in found.split(".")[:3] if part.isdigit()) < oldest:
        needed = ".".join(map(str, oldest))
        raise ConfigError(f"{who} {package} {needed} or newer, and {found} is installed: {remedy}")


def common(config: KafkaConfig) -> dict[str, Any]:
    """Return the arguments that any kafka-python client needs to connect.

    Raises
    ------
    ConfigError
        When a file of the TLS or token settings cannot be used.
    BrokerError
        When the provider of tokens cannot be reached.
    """
    require_kafka()
    from connectors.kafka.hidden import Hidden, hush
    from connectors.kafka.tls import tls_context
    from connectors.kafka.tokens import token_provider

    hush()
    arguments: dict[str, Any] = {
        "bootstrap_servers": [address.strip() for address in config.bootstrap.split(",")],
        "client_id": config.group if config.instance is None else f"{config.group}-{config.instance}",
        "security_protocol": config.protocol,
    }
    if config.protocol.endswith("SSL"):
        arguments["ssl_context"] = tls_context(config)
    if config.protocol.startswith("SASL"):
        arguments["sasl_mechanism"] = config.mechanism
        if config.mechanism == "OAUTHBEARER":
            arguments["sasl_oauth_token_provider"] = token_provider(config)
        else:
            arguments["sasl_plain_username"] = config.username
            password = config.password
            arguments["sasl_plain_password"] = (
                None if password is None else Hidden(password.get_secret_value())
            )
    return arguments


def consumer(config: KafkaConfig, **overrides: Any) -> KafkaConsumer:
    """Return a consumer that reads committed records from the beginning and commits nothing by itself.

    Raises
    ------
    BrokerError
        When no broker can be reached.
    ConfigError
        When a broker refuses the login, or its certificate is not trusted.
    """
    require_kafka()
    from connectors.kafka.connection import connected
    from connectors.kafka.consumer import Consumer

    kind: Callable[..., Any] = Consumer
    if config.client == "confluent":
        require_confluent()
        from connectors.kafka.confluent_consumer import ConfluentConsumer

        kind = partial(ConfluentConsumer, config)
    settings: dict[str, Any] = {
        "enable_auto_commit": False,
        "isolation_level": "read_committed",
        "auto_offset_reset": "earliest",
        "allow_auto_create_topics": False,
        # An event should not wait for half a second, the default, because its partition is quiet.
        "fetch_max_wait_ms": 50,
        "max_partition_fetch_bytes": _FETCH_BYTES,
        "check_crcs": True,
    }
    return connected(kind, config, common(config) | settings | overrides)


def producer(config: KafkaConfig, **overrides: Any) -> KafkaProducer:
    """Return an idempotent producer.

    Raises
    ------
    BrokerError
        When no broker can be reached.
    ConfigError
        When a broker refuses the login, or its certificate is not trusted.
    """
    require_kafka()
    from kafka import KafkaProducer

    from connectors.kafka.connection import connected

    settings: dict[str, Any] = {
        # Said although they are the defaults: kafka-python switches idempotence off, with no more than a
        # warning, when it is not asked for and another setting contradicts it.
        "enable_idempotence": True,
        "acks": "all",
        "linger_ms": 5,
        "batch_size": 128 * 2**10,
        "max_request_size": _REQUEST_BYTES,
        "allow_auto_create_topics": False,
    }
    return connected(KafkaProducer, config, common(config) | settings | overrides)


def give_up(producer: KafkaProducer, patience: float = 5.0) -> None:
    """Close a producer, with what it has not sent.

    kafka-python 3.0.12's ``close(timeout=0)`` waits for that all the same, fails, and leaves a thread that sends it when the
    broker is back: after others have.
    """
    from kafka.errors import KafkaError

    producer._sender.force_close()
    producer._sender.join(patience)
    with contextlib.suppress(KafkaError):
        producer.close(timeout=patience)


def transactional_producer(
    config: KafkaConfig, name: str, *, transaction_timeout_ms: int, max_block_ms: int = 60_000
) -> Any:
    """Return a producer of transactions that fail as a whole, by the client that the configuration names.

    Parameters
    ----------
    config
        The connection.
    name
        The transactional id.
    transaction_timeout_ms
        After so many milliseconds the broker aborts a transaction.
    max_block_ms
        So long a call may wait.

    Raises
    ------
    BrokerError
        When no broker can be reached, which librdkafka notices only by `init_transactions`.
    ConfigError
        When a broker refuses the login, or its certificate is not trusted.

    Notes
    -----
    kafka-python 3.0.12 answers some errors of a record (as of one that comes when the broker has ended the transaction
    already) by beginning a new epoch, which aborts what was sent, and goes on with the rest as if nothing had
    happened (KIP-360 leaves that to idempotent producers without transactions). Where it believes that the broker
    knows no epochs it lets the transaction fail, which is what is wanted.
    """
    if config.client == "confluent":
        require_confluent()
        from connectors.kafka.confluent_producer import ConfluentProducer

        return ConfluentProducer(config, name, transaction_timeout_ms, max_block_ms)
    made = producer(
        config,
        transactional_id=name,
        transaction_timeout_ms=transaction_timeout_ms,
        max_block_ms=max_block_ms,
        # Each transaction meets the end of the one before it, and waits so long to try again; the records of a
        # batch come at once, so there is nothing to linger for.
        retry_backoff_ms=5,
        linger_ms=0,
    )
    made._transaction_manager._supports_epoch_bump = lambda: False
    return made


def admin(config: KafkaConfig, **overrides: Any) -> KafkaAdminClient:
    """Return a client that can look at topics and make them.

    Raises
    ------
    BrokerError
        When no broker can be reached.
    ConfigError
        When a broker refuses the login, or its certificate is not trusted.
    """
    require_kafka()
    from kafka import KafkaAdminClient

    from connectors.kafka.connection import connected

    return connected(KafkaAdminClient, config, common(config) | overrides)
