"""confluent-kafka's settings and errors, without a Kafka."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from connectors.kafka import client
from stream_al import BrokerError, ConfigError
from stream_al.config import KafkaConfig

# kafka-python reads its schemas by functions that Python 3.11 and 3.12 call deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:(read|open)_text is deprecated:DeprecationWarning")

pytest.importorskip("crc32c", reason="needs the `kafka` extra")  # importing kafka itself would warn
confluent_kafka = pytest.importorskip("confluent_kafka", reason="needs the `confluent` extra")


def config(**settings: Any) -> KafkaConfig:
    return KafkaConfig.model_validate({"client": "confluent"} | settings)


def settings(**given: Any) -> dict[str, Any]:
    from connectors.kafka.confluent import common

    found = common(config(**given))
    del found["logger"]
    return found


@pytest.mark.parametrize(
    ("found", "said"), [(None, "needs the `confluent` extra: "), ("2.15.9", "and 2.15.9 is installed: ")]
)
def test_a_confluent_kafka_that_is_missing_or_old_is_told_with_the_extra(
    monkeypatch: pytest.MonkeyPatch, found: str | None, said: str
) -> None:
    def of(package: str) -> str:
        if package != "confluent-kafka":
            return version(package)
        if found is None:
            raise client.PackageNotFoundError
        return found

    monkeypatch.setattr(client, "version", of)
    message = re.escape(said + "pip install 'stream-al[confluent]'")
    with pytest.raises(ConfigError, match=message):
        client.consumer(config())
    with pytest.raises(ConfigError, match=message):
        client.transactional_producer(config(), "name", transaction_timeout_ms=1000)


def test_settings_become_librdkafkas() -> None:
    plain = settings(bootstrap="a:1, b:2", group="fraud", instance="3")
    assert (plain["bootstrap.servers"], plain["client.id"]) == ("a:1,b:2", "fraud-3")
    assert plain["security.protocol"] == "PLAINTEXT"
    assert not any(key.startswith(("ssl.", "sasl.")) for key in plain)
    login = {"mechanism": "SCRAM-SHA-512", "username": "ann", "password": "sesame"}
    both = settings(protocol="SASL_SSL", **login, ca_file="ca.pem", check_hostname=False)
    assert (both["sasl.mechanisms"], both["sasl.username"], both["sasl.password"]) == tuple(login.values())
    assert (both["ssl.ca.location"], both["ssl.endpoint.identification.algorithm"]) == ("ca.pem", "none")
    own = {"cert_file": "own.pem", "key_file": "own.key", "key_password": "barley"}
    tls = settings(protocol="SSL", **own)
    assert (tls["ssl.certificate.location"], tls["ssl.key.location"], tls["ssl.key.password"]) == tuple(
        own.values()
    )
    assert tls["ssl.endpoint.identification.algorithm"] == "https"
    assert "ssl.ca.location" not in tls  # the system's list


def test_every_field_of_a_connection_is_translated_or_kafka_pythons_alone() -> None:
    """A new field of the connection must be thought of here, too."""
    ours = {
        "bootstrap", "client", "group", "instance", "protocol", "ca_file", "cert_file", "key_file", "key_password",
        "check_hostname", "mechanism", "username", "password", "token_file", "token_url", "client_id",
        "client_secret", "scope", "transaction_timeout",
    }  # fmt: skip
    others = {"predictions", "snapshots", "session_timeout", "stall_after", "topics"}
    assert set(KafkaConfig.model_fields) == ours | others


def test_a_token_is_asked_for_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("one")
    asked = settings(protocol="SASL_PLAINTEXT", mechanism="OAUTHBEARER", token_file=path)["oauth_cb"]
    assert asked("")[0] == "one"
    path.write_text("two")
    assert asked("")[0] == "two"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("PRODUCER_FENCED", "ProducerFencedError"),
        ("_FENCED", "ProducerFencedError"),
        ("ILLEGAL_GENERATION", "IllegalGenerationError"),
        ("FENCED_INSTANCE_ID", "FencedInstanceIdError"),
        ("INVALID_PRODUCER_EPOCH", "InvalidProducerEpochError"),
        ("TOPIC_AUTHORIZATION_FAILED", "TopicAuthorizationFailedError"),
        ("_TIMED_OUT", "KafkaTimeoutError"),
        ("_ALL_BROKERS_DOWN", "KafkaConnectionError"),
        ("_STATE", "KafkaError"),
    ],
)
def test_an_error_becomes_kafka_pythons(code: str, kind: str) -> None:
    from kafka import errors

    from connectors.kafka.confluent import error_of, translated

    found = confluent_kafka.KafkaError(getattr(confluent_kafka.KafkaError, code))
    assert type(error_of(found)) is getattr(errors, kind)
    with pytest.raises(getattr(errors, kind), match=code.lstrip("_")), translated():
        raise confluent_kafka.KafkaException(found)


def test_a_membership_is_packed_as_librdkafka_does() -> None:
    from kafka.structs import ConsumerGroupMetadata

    from connectors.kafka.confluent import check_packing, packed

    for instance in (None, "ins-1"):
        named = {} if instance is None else {"group.instance.id": instance}
        made = confluent_kafka.Consumer(
            {"bootstrap.servers": "127.0.0.1:1", "group.id": "grüppe", "log_level": 0, **named}
        )
        try:
            assert made.consumer_group_metadata() == packed(ConsumerGroupMetadata("grüppe", -1, "", instance))
            if instance is None:
                check_packing(made, "grüppe")
                with pytest.raises(ConfigError, match="writes memberships in a way that is not known here"):
                    check_packing(made, "other")
        finally:
            made.close()


@pytest.mark.filterwarnings("ignore:unclosed <:ResourceWarning")
def test_a_broker_that_cannot_be_reached_is_told_as_ever() -> None:
    with pytest.raises(BrokerError, match=r"no Kafka broker answers at 127\.0\.0\.1:1 "):
        client.consumer(config(bootstrap="127.0.0.1:1"), bootstrap_timeout_ms=300)
