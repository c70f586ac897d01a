"""The page over HTTPS: with a real certificate, and what is said of one that is none."""

import http.client
import ssl
from pathlib import Path

import pytest
from certificates import Authority
from labelled_stores import CATS
from page_servers import Client, PageServer

from connectors.sqlite.people import SqlitePeople
from stream_al.annotate.access import Person, hashed, new_token
from stream_al.cli.annotate import tls_files
from stream_al.errors import ConfigError


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def test_people_log_in_and_answer_by_https_and_their_cookie_goes_nowhere_else(pipeline, authority, tmp_path):
    p, token = pipeline(3, CATS), new_token()
    table = SqlitePeople(p.path)
    table.put(Person("ann", "annotator", hashed(token), 0.0), "test")
    table.close()
    (elsewhere := tmp_path / "another").mkdir()
    another = Authority(elsewhere)
    certificate, key = authority.signed("page")
    options = "--host", "0.0.0.0", "--cert-file", str(certificate), "--key-file", str(key)
    server = PageServer(p.path, *options)
    try:
        client = Client(server, authority.ca)
        form = f"name=ann&token={token}"
        status, headers, _ = client.call("POST", "/login", form, Origin=f"https://localhost:{server.port}")
        assert status == 303
        assert "; Secure" in headers["Set-Cookie"]
        assert "; HttpOnly" in headers["Set-Cookie"]
        assert len(client.open().sync()["cards"]) == 3
        with pytest.raises(ssl.SSLCertVerificationError):
            Client(server, another.ca).call("GET", "/login")
        with pytest.raises(http.client.RemoteDisconnected):
            Client(server).call("GET", "/login")
    finally:
        said = server.stop()
    assert "Traceback" not in said
    assert "tokens can be read" not in said


def test_what_is_no_certificate_and_its_key_is_told_with_what_to_do(tmp_path, authority):
    certificate, key = authority.signed("one")
    _, other = authority.signed("other")
    _, locked = authority.signed("locked", "barley")
    junk, missing = tmp_path / "junk.pem", tmp_path / "missing.pem"
    junk.write_text("-----BEGIN CERTIFICATE-----\n")
    assert tls_files(None, None) == {}
    assert tls_files(certificate, key) == {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}
    for given, told in (
        ((certificate, None), "--cert-file: needs --key-file, too"),
        ((None, key), "--key-file: needs --cert-file, too"),
        ((missing, key), f"--cert-file {missing}: No such file"),
        ((certificate, Path(tmp_path)), f"--key-file {tmp_path}: Is a directory"),
        ((certificate, other), "KEY_VALUES_MISMATCH"),
        ((junk, key), "not a certificate and its key in PEM format"),
        ((certificate, locked), "openssl pkey -in KEY -out PLAIN takes a password off"),
    ):
        with pytest.raises(ConfigError) as caught:
            tls_files(*given)
        assert told in str(caught.value)
