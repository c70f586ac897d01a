"""Connecting to Kafka without a Kafka: settings, secrets, tokens, and what is told when nobody answers."""

from __future__ import annotations

import base64
import gc
import json
import logging
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from connectors.kafka import client
from stream_al import BrokerError, ConfigError, SourceError
from stream_al.config import KafkaConfig

# kafka-python reads its schemas by functions that Python 3.11 and 3.12 call deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:(read|open)_text is deprecated:DeprecationWarning")

pytest.importorskip("crc32c", reason="needs the `kafka` extra")  # importing kafka itself would warn

PLAIN = {"protocol": "SASL_PLAINTEXT", "mechanism": "PLAIN", "username": "ann", "password": "sesame"}
OAUTH = {"protocol": "SASL_PLAINTEXT", "mechanism": "OAUTHBEARER"}


def config(**settings: Any) -> KafkaConfig:
    return KafkaConfig.model_validate(settings)


def free_port() -> int:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.mark.parametrize("found", [None, "2.3.1", "3.0.11"])
def test_a_kafka_python_that_is_missing_or_old_is_told_with_the_extra(
    monkeypatch: pytest.MonkeyPatch, found: str | None
) -> None:
    def version(_: str) -> str:
        if found is None:
            raise client.PackageNotFoundError
        return found

    monkeypatch.setattr(client, "version", version)
    for make in (client.admin, client.consumer, client.producer, client.common):
        with pytest.raises(ConfigError, match=re.escape("pip install 'stream-al[kafka]'")):
            make(config())


@pytest.mark.parametrize("found", ["3.0.12", "3.0.13", "3.1.0", "4.0", "3.0.13.dev1"])
def test_a_kafka_python_that_is_new_enough_will_do(monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    monkeypatch.setattr(client, "version", lambda _: found)
    client.require_kafka()


def test_importing_the_client_or_the_command_line_does_not_import_kafka() -> None:
    code = "import sys, connectors.kafka.client, connectors.kafka.topics, stream_al.cli.app; print('kafka' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_settings_become_kafka_pythons() -> None:
    plain = client.common(config(bootstrap="a:1, b:2", group="fraud", instance="3"))
    assert plain == {
        "bootstrap_servers": ["a:1", "b:2"],
        "client_id": "fraud-3",
        "security_protocol": "PLAINTEXT",
    }
    scram = client.common(config(**PLAIN | {"mechanism": "SCRAM-SHA-256"}))
    assert scram["sasl_mechanism"] == "SCRAM-SHA-256"
    assert (scram["sasl_plain_username"], scram["sasl_plain_password"]) == ("ann", "sesame")
    tls = client.common(config(protocol="SSL"))["ssl_context"]
    assert tls.check_hostname
    lax = client.common(config(protocol="SSL", check_hostname=False))["ssl_context"]
    assert not lax.check_hostname
    assert lax.verify_mode == tls.verify_mode


def test_settings_printed_whole_show_no_password() -> None:
    settings = client.common(config(**PLAIN))
    assert "sesame" not in repr(settings)
    assert "sesame" not in f"{settings}"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"ca_file": "none.pem"}, "[kafka] ca_file = 'none.pem': No such file"),
        ({"ca_file": __file__}, "holds no certificates in PEM format"),
        ({"cert_file": "none.pem", "key_file": "none.key"}, "[kafka] cert_file = 'none.pem': No such file"),
        ({"cert_file": __file__, "key_file": "none.key"}, "[kafka] key_file = 'none.key': No such file"),
        ({"cert_file": __file__, "key_file": __file__}, "not a certificate and its key in PEM format"),
    ],
)
def test_a_tls_file_that_cannot_be_used_is_named(files: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        client.common(config(protocol="SSL", **files))


def test_nothing_of_a_login_is_logged_at_any_level(caplog: pytest.LogCaptureFixture) -> None:
    client.common(config(**PLAIN))
    from kafka.protocol.sasl import SaslAuthenticateRequest, SaslBytesRequest

    caplog.set_level(1, "kafka")
    token = b"\0ann\0sesame"
    parser = logging.getLogger("kafka.protocol.parser")
    parser.debug("%s Send: %r", "node=1", token)
    parser.debug("%s Sending request %d %s", "node=1", 3, SaslAuthenticateRequest(token))
    logging.getLogger("kafka.net.connection").debug("%s Request %d: %s", "x", 3, SaslBytesRequest(token))
    logging.getLogger("kafka.admin.client").debug("configuration: %s", client.common(config(**PLAIN)))
    parser.error("only text %s", "kept")
    assert "sesame" not in caplog.text
    assert "only text kept" in caplog.text
    assert len(caplog.records) == 5


@pytest.fixture
def sockets_let_go() -> Iterator[None]:
    """Here, where the warning is known, and not in a later test."""
    yield
    gc.collect()


def leaky(test: Callable[..., None]) -> Callable[..., None]:
    """Bear that kafka-python does not close the socket of a connection that it cannot make."""
    bearing = pytest.mark.filterwarnings("ignore:unclosed <:ResourceWarning")
    return pytest.mark.usefixtures("sockets_let_go")(bearing(test))


@leaky
@pytest.mark.parametrize("make", [client.admin, client.consumer, client.producer])
def test_a_broker_that_cannot_be_reached_is_named_with_what_to_check(make: Callable[..., Any]) -> None:
    address = f"127.0.0.1:{free_port()}"
    before = set(threading.enumerate())
    with pytest.raises(BrokerError, match=f"no Kafka broker answers at {address} .*ECONNREFUSED") as caught:
        make(config(bootstrap=address), bootstrap_timeout_ms=300)
    assert "check [kafka] bootstrap, that the broker runs" in str(caught.value)
    assert "protocol = 'PLAINTEXT'" in str(caught.value)
    assert isinstance(caught.value, SourceError)
    assert caught.value.retriable
    assert caught.value.exit_code == 4
    assert set(threading.enumerate()) == before


@leaky
def test_the_command_line_ends_with_4_when_no_broker_answers_and_2_without_kafka(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from stream_al.cli.app import main

    path = tmp_path / "pipeline.toml"
    monkeypatch.setattr("connectors.kafka.topics._PATIENCE_MS", 300)
    for text, code, said in (
        (
            f"[kafka]\nbootstrap = '127.0.0.1:{free_port()}'",
            4,
            "error: no Kafka broker answers at 127.0.0.1:",
        ),
        ("", 2, "error: [kafka]: there is no such section"),
        ("[kafka]\nprotocol = 'SASL_SSL'", 2, "pipeline.toml: [kafka]: mechanism: protocol SASL_SSL needs"),
    ):
        path.write_text(text)
        for command in ("create", "check"):
            monkeypatch.setattr(sys, "argv", ["stream-al", "topics", command, str(path)])
            with pytest.raises(SystemExit) as ended:
                main()
            assert ended.value.code == code
            assert said in capsys.readouterr().err


Answer = tuple[int, dict[str, str], bytes]


class Provider:
    """An OIDC provider's token endpoint: what it was asked, and what it is to answer."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.answers: list[Answer] = []
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                fields = {key: value for key, (value,) in body.items()}
                provider.asked.append({"login": self.headers["Authorization"], "path": self.path} | fields)
                code, headers, content = provider.answers.pop(0)
                self.send_response(code)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def do_GET(self) -> None:
                self.do_POST()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/token"

    def gives(self, content: object, code: int = 200, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.answers.append((code, headers, body))


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def credentials(provider: Provider, now: Callable[[], float], secret: str = "se:same") -> Any:
    from connectors.kafka.tokens import ClientCredentials

    return ClientCredentials(provider.url, "worker", secret, "kafka", now)


def test_a_token_is_asked_for_once_in_four_fifths_of_its_life(provider: Provider) -> None:
    now = 100.0
    tokens = credentials(provider, lambda: now)
    provider.gives({"access_token": "one", "expires_in": 300})
    provider.gives({"access_token": "two", "expires_in": 300})
    assert tokens.token() == "one"
    now += 239.9
    assert tokens.token() == "one"
    now += 0.2
    assert tokens.token() == "two"
    login = base64.b64encode(b"worker:se%3Asame").decode()  # each part is encoded by itself, RFC 6749 2.3.1
    assert (
        provider.asked
        == [
            {
                "login": f"Basic {login}",
                "path": "/token",
                "grant_type": "client_credentials",
                "scope": "kafka",
            }
        ]
        * 2
    )


def test_a_token_without_a_life_is_used_once(provider: Provider) -> None:
    tokens = credentials(provider, lambda: 0.0)
    for name in ("one", "two"):
        provider.gives({"access_token": name})
        assert tokens.token() == name


@pytest.mark.parametrize(
    ("code", "content", "kind", "message"),
    [
        (
            401,
            {"error": "invalid_client", "error_description": "no"},
            ConfigError,
            "401 .*: invalid_client no.*; check",
        ),
        (
            400,
            {"error": "invalid_scope"},
            ConfigError,
            "gives no token .400 .*: invalid_scope.; check client_id",
        ),
        (404, b"<html>", ConfigError, "gives no token .404 Not Found"),
        (503, b"", BrokerError, "cannot give a token now .503 .*; it may later"),
        (429, b"[]", BrokerError, "cannot give a token now .429 "),
        (200, b"<html>", ConfigError, "the answer is not JSON; it must be a token endpoint"),
        (200, {"token": "x"}, ConfigError, "the answer has no access_token; it must be "),
        (200, b"[]", ConfigError, "the answer has no access_token"),
    ],
)
def test_a_provider_that_gives_no_token_is_named_with_the_remedy(
    provider: Provider, code: int, content: object, kind: type[Exception], message: str
) -> None:
    provider.gives(content, code)
    settings = OAUTH | {"token_url": provider.url, "client_id": "worker", "client_secret": "sesame"}
    with pytest.raises(kind, match=message) as caught:
        client.common(config(**settings))
    assert f"[kafka] token_url = '{provider.url}', client_id = 'worker': " in str(caught.value)
    assert "sesame" not in str(caught.value)


def test_a_providers_redirect_is_not_followed_with_the_secret(provider: Provider) -> None:
    provider.gives(b"", 302, Location=provider.url + "/elsewhere")
    with pytest.raises(ConfigError, match=r"gives no token \(302 "):
        credentials(provider, lambda: 0.0).token()
    assert [asked["path"] for asked in provider.asked] == ["/token"]


def test_a_provider_that_cannot_be_reached_may_be_later() -> None:
    url = f"http://127.0.0.1:{free_port()}/token"
    settings = OAUTH | {"token_url": url, "client_id": "worker", "client_secret": "sesame"}
    with pytest.raises(BrokerError, match=rf"token_url = '{url}'.*cannot be reached \(.*refused\)") as caught:
        client.consumer(config(**settings))
    assert caught.value.retriable
    assert "sesame" not in str(caught.value)


def test_a_token_file_is_read_anew_for_each_login(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("one\n")
    tokens = client.common(config(**OAUTH, token_file=path))["sasl_oauth_token_provider"]
    assert tokens.token() == "one"
    path.write_text("two")
    assert tokens.token() == "two"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"\n", "is empty"),
        (b"a b", "holds more than one token"),
        (b"\xff", "not a token"),
    ],
)
def test_a_token_file_without_a_token_is_told_at_once(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"\[kafka\] token_file = '{path}': {message}"):
        client.admin(config(**OAUTH, token_file=path))
