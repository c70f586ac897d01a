"""Logging in to real brokers, by every way there is; and that a secret is never told, right or wrong."""

from __future__ import annotations

import base64
import gc
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from broker import Broker, free_ports
from certificates import Authority
from kafka import KafkaProducer
from kafka.structs import TopicPartition

from connectors.kafka import client
from stream_al import ConfigError, SourceError
from stream_al.config import KafkaConfig

pytestmark = pytest.mark.slow

MODULES = "org.apache.kafka.common.security"
PLAIN = f'{MODULES}.plain.PlainLoginModule required user_ann="sesame";'
SCRAM = f"{MODULES}.scram.ScramLoginModule required;"
OAUTH = f'{MODULES}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";'


@pytest.fixture
def sockets_let_go() -> Iterator[None]:
    """Here, where the warning is known, and not in a later test; kafka-python's log would hold on to them."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL + 1)
    yield
    logging.getLogger("kafka").setLevel(logging.NOTSET)
    gc.collect()


def no_handshake(test: Callable[..., None]) -> Callable[..., None]:
    """Bear that kafka-python does not close the socket of a handshake that failed."""
    bearing = pytest.mark.filterwarnings("ignore:unclosed <ssl:ResourceWarning")
    return pytest.mark.usefixtures("sockets_let_go")(bearing(test))


@pytest.fixture(scope="module")
def logins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A listener that wants a login."""
    listener = "listener.name.sasl_plaintext"
    properties = {
        "listeners": (
            "PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{second_port},"
            "CONTROLLER://127.0.0.1:{controller_port}"
        ),
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,OAUTHBEARER",
        f"{listener}.plain.sasl.jaas.config": PLAIN,
        f"{listener}.scram-sha-256.sasl.jaas.config": SCRAM,
        f"{listener}.oauthbearer.sasl.jaas.config": OAUTH,
    }
    with Broker(tmp_path_factory.mktemp("logins"), properties=properties, scram={"ann": "sesame"}) as broker:
        with closing(client.admin(KafkaConfig(bootstrap=broker.bootstrap))) as admin:
            admin.create_topics(
                {"seen": {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True
            )
        yield broker.second_bootstrap


def listed(config: KafkaConfig) -> None:
    with closing(client.admin(config)) as admin:
        assert "seen" in admin.list_topics()
    producer: KafkaProducer
    with closing(client.producer(config)) as producer:
        producer.send("seen", b"x").get(20)
    for name in ("kafka-python", "confluent"):
        if name == "confluent":
            pytest.importorskip("confluent_kafka", reason="needs the `confluent` extra")
        config = config.model_copy(update={"client": name})
        writer = client.transactional_producer(config, f"{name}-writer", transaction_timeout_ms=9000)
        writer.init_transactions()
        writer.begin_transaction()
        writer.send("seen", b"y", None, [], 0, None)
        writer.flush(20)
        writer.commit_transaction()
        writer.close(timeout=0)
        seen = TopicPartition("seen", 0)
        with closing(client.consumer(config)) as consumer:
            assert "seen" in consumer.topics()
            consumer.assign([seen])
            consumer.seek(seen, 0)
            end, deadline = consumer.end_offsets([seen])[seen], time.monotonic() + 20
            while consumer.position(seen) < end:
                assert time.monotonic() < deadline, f"{name} has read up to {consumer.position(seen)}"
                consumer.poll(100)


def user(bootstrap: str, mechanism: str, **more: Any) -> KafkaConfig:
    settings = {"bootstrap": bootstrap, "protocol": "SASL_PLAINTEXT", "mechanism": mechanism} | more
    return KafkaConfig.model_validate(settings)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_the_right_password_logs_in_and_is_nowhere_in_the_logs(
    logins: str, mechanism: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    listed(user(logins, mechanism, username="ann", password="sesame"))
    assert "SaslAuthenticateRequest" in caplog.text
    assert "sesame" not in caplog.text


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
@pytest.mark.parametrize("make", [client.admin, client.consumer, client.producer])
def test_a_refused_login_names_user_and_mechanism_but_no_password(
    logins: str, mechanism: str, make: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    before = set(threading.enumerate())
    said = f"{logins} refuses the login of 'ann' by {mechanism}; check both"
    with pytest.raises(ConfigError, match=said) as caught:
        make(user(logins, mechanism, username="ann", password="barley"))
    assert set(threading.enumerate()) == before
    assert "barley" not in f"{caught.value!r} {caplog.text}"


def test_a_mechanism_that_the_broker_does_not_offer_is_named(logins: str) -> None:
    with pytest.raises(
        ConfigError, match=r"mechanism = 'SCRAM-SHA-512': .* does not offer it on this listener"
    ):
        client.admin(user(logins, "SCRAM-SHA-512", username="ann", password="sesame"))


def token(**claims: object) -> str:
    """A token that nobody signed; a broker takes it where it is set up to, as by default."""
    now = time.time()
    parts = ({"alg": "none"}, {"sub": "ann", "iat": now, "exp": now + 600} | claims)
    return (
        ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts) + "."
    )


def test_a_token_from_a_file_logs_in_and_is_nowhere_in_the_logs(
    logins: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    path = tmp_path / "token"
    path.write_text(token())
    listed(user(logins, "OAUTHBEARER", token_file=path))
    assert path.read_text() not in caplog.text


def test_a_token_that_the_broker_does_not_take_says_so(logins: str, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(token(exp=time.time() - 600))
    with pytest.raises(ConfigError, match=r"token_file: .* refuses the token, sent by OAUTHBEARER") as caught:
        client.consumer(user(logins, "OAUTHBEARER", token_file=path))
    assert path.read_text() not in str(caught.value)


def test_a_setting_that_would_lose_idempotence_is_refused(kafka: str) -> None:
    with pytest.raises(SourceError, match=r"enable_idempotence=True is incompatible with .*acks=1"):
        client.producer(KafkaConfig(bootstrap=kafka), acks=1)


def test_logs_without_logins_show_no_records(
    kafka: str, topics: str, caplog: pytest.LogCaptureFixture
) -> None:
    config = KafkaConfig(bootstrap=kafka)
    with closing(client.admin(config)) as admin:
        admin.create_topics(
            {f"{topics}x": {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True
        )
    caplog.set_level(logging.DEBUG)
    producer: KafkaProducer
    with closing(client.producer(config)) as producer:
        producer.send(f"{topics}x", b"somebody's feature").get(20)
    assert "somebody's feature" not in caplog.text


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def encrypted(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A listener that wants a certificate, and one that wants a login."""
    certificate, key = authority.signed("broker")
    both = authority.folder / "both.pem"
    both.write_text(key.read_text() + certificate.read_text())
    (login_port,) = free_ports(1)
    properties = {
        "listeners": (
            "PLAINTEXT://127.0.0.1:{port},SSL://127.0.0.1:{second_port},"
            f"SASL_SSL://127.0.0.1:{login_port},CONTROLLER://127.0.0.1:{{controller_port}}"
        ),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(both),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.ca),
        "listener.name.ssl.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_ssl.plain.sasl.jaas.config": PLAIN,
    }
    with Broker(tmp_path_factory.mktemp("encrypted"), properties=properties) as broker:
        with closing(client.admin(KafkaConfig(bootstrap=broker.bootstrap))) as admin:
            admin.create_topics(
                {"seen": {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True
            )
        yield broker.second_bootstrap, f"127.0.0.1:{login_port}"


def tls(bootstrap: str, **settings: Any) -> KafkaConfig:
    return KafkaConfig.model_validate({"bootstrap": bootstrap, "protocol": "SSL"} | settings)


def test_a_certificate_with_an_encrypted_key_gets_in(
    encrypted: tuple[str, str], authority: Authority
) -> None:
    certificate, key = authority.signed("worker", "barley")
    settings = {"ca_file": authority.ca, "cert_file": certificate, "key_file": key}
    listed(tls(encrypted[0], **settings, key_password="barley"))
    for password in ({}, {"key_password": "sesame"}):
        with pytest.raises(ConfigError, match="key_password is not the key's") as caught:
            client.admin(tls(encrypted[0], **settings, **password))
        assert "sesame" not in str(caught.value)


def test_a_password_over_tls_gets_in(encrypted: tuple[str, str], authority: Authority) -> None:
    login = {"protocol": "SASL_SSL", "mechanism": "PLAIN", "username": "ann"}
    listed(tls(encrypted[1], ca_file=authority.ca, **login, password="sesame"))
    with pytest.raises(ConfigError, match="refuses the login of 'ann' by PLAIN"):
        client.admin(tls(encrypted[1], ca_file=authority.ca, **login, password="barley"))


@no_handshake
def test_a_broker_whose_certificate_is_not_trusted_is_told_at_once(
    encrypted: tuple[str, str], tmp_path: Path
) -> None:
    started = time.monotonic()
    for trusted in ({}, {"ca_file": Authority(tmp_path).ca}):
        with pytest.raises(ConfigError, match=r"\[kafka\] ca_file: the certificate of .* is not trusted"):
            client.admin(tls(encrypted[0], **trusted))
    assert time.monotonic() - started < 15  # far from twice the 30 seconds that kafka-python would try


@no_handshake
def test_a_broker_by_another_name_is_told(encrypted: tuple[str, str], authority: Authority) -> None:
    address = encrypted[1].replace("127.0.0.1", "127.1")  # the same machine, written as no certificate has it
    login = {"protocol": "SASL_SSL", "mechanism": "PLAIN", "username": "ann", "password": "sesame"}
    with pytest.raises(ConfigError, match=r"\[kafka\] check_hostname: the certificate of 127\.1:"):
        client.admin(tls(address, ca_file=authority.ca, **login))
    listed(tls(address, ca_file=authority.ca, **login, check_hostname=False))


def test_a_listener_without_logins_is_told(kafka: str) -> None:
    with pytest.raises(ConfigError, match=r"protocol = 'SASL_PLAINTEXT': .* speaks something else"):
        client.admin(user(kafka, "PLAIN", username="ann", password="sesame"))


@no_handshake
def test_a_listener_that_wants_tls_is_told(encrypted: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"\[kafka\] protocol = 'PLAINTEXT': .* speaks something else"):
        client.admin(KafkaConfig(bootstrap=encrypted[1]))


@no_handshake
def test_a_listener_without_tls_is_told(kafka: str) -> None:
    with pytest.raises(SourceError, match=r"protocol = 'SSL' is what it speaks there"):
        client.admin(tls(kafka), bootstrap_timeout_ms=1000)
