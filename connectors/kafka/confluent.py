"""librdkafka, by confluent-kafka, as the client of the records, for a fraction of kafka-python's CPU (docs/kafka.md).

Only records go through it: events, queries and examples in (`confluent_consumer`), transactions out
(`confluent_producer`). The group, topics, offsets and logins stay kafka-python's, whose assignor librdkafka could not be
given, and whose words for what is wrong the connector knows. So workers of both clients are one group, and a pipeline can
go on with either.

Needs the ``confluent`` extra.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, Final

import kafka.errors as ke
from kafka.structs import ConsumerGroupMetadata

from stream_al.config import KafkaConfig
from stream_al.errors import ConfigError, StreamALError

_TOKEN_SECONDS: Final = 10.0
"""How long librdkafka may keep a token. Ours are kept by who gives them, and a file may change at any time."""

_ORDER: Final = sys.byteorder
logger: Final = logging.getLogger("connectors.kafka.confluent")
"""Where librdkafka's log goes; it names no secrets unless its ``debug`` is set, which nothing here does."""
logger.addHandler(logging.NullHandler())  # by itself it would say every attempt to connect on the terminal


def common(config: KafkaConfig) -> dict[str, Any]:
    """Return the settings that any client of librdkafka needs to connect, as ``client.common`` has kafka-python's.

    The files and secrets were looked at when a kafka-python client was made, which every worker has as well.
    """
    settings: dict[str, Any] = {
        "bootstrap.servers": ",".join(address.strip() for address in config.bootstrap.split(",")),
        "client.id": config.group if config.instance is None else f"{config.group}-{config.instance}",
        "security.protocol": config.protocol,
        # A broker that is back should be found as soon as by the other clients of the worker.
        "reconnect.backoff.max.ms": 1000,
        # It forgets brokers that metadata do not name. A controller that takes all for dead names none for a moment, and
        # only at the bootstrap addresses are they found again then. (While they are away it tries these without a pause.)
        "metadata.recovery.strategy": "rebootstrap",
        "logger": logger,
    }
    if config.protocol.endswith("SSL"):
        settings |= _tls(config)
    if config.protocol.startswith("SASL"):
        settings |= _login(config)
    return settings


def _tls(config: KafkaConfig) -> dict[str, Any]:
    password = config.key_password
    given = {
        "ssl.ca.location": config.ca_file,
        "ssl.certificate.location": config.cert_file,
        "ssl.key.location": config.key_file,
        "ssl.key.password": None if password is None else password.get_secret_value(),
    }
    settings = {key: str(value) for key, value in given.items() if value is not None}
    settings["ssl.endpoint.identification.algorithm"] = "https" if config.check_hostname else "none"
    return settings


def _login(config: KafkaConfig) -> dict[str, Any]:
    if config.mechanism == "OAUTHBEARER":
        return {"sasl.mechanisms": config.mechanism, "oauth_cb": _tokens(config)}
    password = config.password
    return {
        "sasl.mechanisms": config.mechanism,
        "sasl.username": config.username,
        "sasl.password": "" if password is None else password.get_secret_value(),
    }


def _tokens(config: KafkaConfig) -> Callable[[str], tuple[str, float]]:
    """Return what librdkafka asks for a token, again and again; when it fails it asks again after some seconds."""
    from connectors.kafka.tokens import token_provider

    provider = token_provider(config)

    def asked(_: str) -> tuple[str, float]:
        try:
            return provider.token(), time.time() + _TOKEN_SECONDS
        except StreamALError as error:  # nobody hears of it otherwise
            logger.warning("there is no token now: %s", error)
            raise

    return asked


# ── errors ───────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def translated() -> Iterator[None]:
    """Turn librdkafka's errors within into kafka-python's, which the connector knows what to do about."""
    from confluent_kafka import KafkaException

    try:
        yield
    except KafkaException as failure:
        raise error_of(failure.args[0]) from failure


def error_of(error: Any) -> ke.KafkaError:
    """Return kafka-python's error for one of librdkafka's.

    What the broker says has the same number in both; what librdkafka says itself is negative.
    """
    code = error.code()
    said = f"{error.name()}: {error.str()}"
    if code > 0:
        return ke.for_code(code)(said)
    from confluent_kafka import KafkaError as Local

    if code == Local._FENCED:
        return ke.ProducerFencedError(said)
    if code in (Local._TIMED_OUT, Local._MSG_TIMED_OUT, Local._TIMED_OUT_QUEUE):
        return ke.KafkaTimeoutError(said)
    if code in (Local._TRANSPORT, Local._ALL_BROKERS_DOWN, Local._RESOLVE, Local._WAIT_COORD):
        return ke.KafkaConnectionError(said)
    if code == Local._AUTHENTICATION:
        return ke.SaslAuthenticationFailedError(said)
    return ke.KafkaError(said)


# ── membership ───────────────────────────────────────────────────────────────────────────────────


def packed(member: ConsumerGroupMetadata) -> bytes:
    r"""Return a membership that kafka-python knows as librdkafka hands it from its consumers to its producers.

    librdkafka has a constructor for it (``rd_kafka_consumer_group_metadata_new_with_genid``) that confluent-kafka does not
    offer; between the two it travels as these bytes. `check_packing` tells when they have changed.

    Examples
    --------
    >>> packed(ConsumerGroupMetadata("g", 7, "m", None))
    b'CGMDv2:\x07\x00\x00\x00g\x00m\x00\x01'
    """
    generation = int(member.generation_id).to_bytes(4, _ORDER, signed=True)
    instance = member.group_instance_id
    last = b"\x01" if instance is None else b"\x00" + instance.encode() + b"\x00"
    names = f"{member.group_id}\0{member.member_id}\0"
    return b"CGMDv2:" + generation + names.encode() + last


def check_packing(made: Any, group: str) -> None:
    """Make sure that a consumer of librdkafka's packs its membership, which is none yet, as `packed` does.

    Raises
    ------
    ConfigError
        When it does not: transactions could not be fenced then.
    """
    if made.consumer_group_metadata() != packed(ConsumerGroupMetadata(group, -1, "", None)):
        raise ConfigError(
            f'[kafka] client = "confluent": confluent-kafka {version("confluent-kafka")} writes memberships in a way '
            "that is not known here; install an older one, or leave client out for kafka-python"
        )
