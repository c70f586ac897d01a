"""Logging in by an OpenID provider's word: who comes in, who does not, and who must have been added before."""

import time

import httpx2
import pytest
from joserfc.jwk import RSAKey
from labelled_stores import CATS
from openid_provider import CLIENT, SECRET, OpenIdProvider
from page_servers import PageServer

from connectors.sqlite.people import SqlitePeople
from stream_al.annotate.access import Person, hashed
from stream_al.annotate.oidc import Provider, check
from stream_al.cli.annotate import provider_of
from stream_al.errors import ConfigError


@pytest.fixture
def provider():
    made = OpenIdProvider()
    yield made
    made.close()


@pytest.fixture
def served(pipeline, provider, monkeypatch):
    """A page that asks the provider, and a browser's worth of HTTP."""
    monkeypatch.setenv("STREAM_AL_OIDC_CLIENT_SECRET", SECRET)
    p = pipeline(3, CATS)
    table = SqlitePeople(p.path)
    for name, role in (("ann@example.org", "annotator"), ("viewer-7", "viewer"), ("bob", "owner")):
        table.put(Person(name, role, hashed(f"token of {name}"), 0.0), "test")
    table.close()
    server = PageServer(p.path, "--oidc-issuer", provider.issuer, "--oidc-client-id", CLIENT)
    with httpx2.Client(base_url=server.url, follow_redirects=True, timeout=20) as client:
        yield server, client, p
    said = server.stop()
    assert "Traceback" not in said
    assert SECRET not in said


def test_whoever_was_added_comes_in_and_answers_under_their_address(served, provider):
    server, client, p = served
    page = client.get("/")
    assert page.url.path == "/login"
    assert f"Log in with {provider.issuer.removeprefix('http://')}" in page.text
    page = client.get("/oidc/start")
    assert page.url.path == "/"
    assert 'data-csrf="' in page.text
    (asked,) = provider.asked
    assert (asked["client_id"], asked["response_type"], asked["code_challenge_method"]) == (
        CLIENT,
        "code",
        "S256",
    )
    assert asked["redirect_uri"] == f"{server.url}oidc/back"
    assert {"openid", "email"} <= set(asked["scope"].split())
    csrf = page.text.partition('data-csrf="')[2].partition('"')[0]
    given = {"operations": [], "have": [], "want": 1}
    reply = client.post("/sync", json=given, headers={"X-CSRF-Token": csrf})
    assert len(reply.json()["cards"]) == 1
    table = SqlitePeople(p.path)
    assert ("ann@example.org", "login") in [(line["who"], line["what"]) for line in table.audit()]
    table.close()


def test_a_viewer_known_by_their_subject_sees_the_dashboard_only(served, provider):
    _, client, _ = served
    provider.claims = {"sub": "viewer-7", "email": "ann@example.org", "email_verified": False}
    assert client.get("/oidc/start").url.path == "/dashboard"
    assert 'data-csrf="' not in client.get("/").text


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "7", "email": "eve@example.org", "email_verified": True},
        {"sub": "7", "email": "ann@example.org"},
        {"sub": "7", "email": "ann@example.org", "email_verified": "true"},
        {"sub": "<script>alert(1)</script>"},
    ],
)
def test_whom_nobody_added_stays_out_whatever_the_provider_says(served, provider, claims):
    _, client, p = served
    provider.claims = claims
    page = client.get("/oidc/start")
    assert page.status_code == 403
    assert "Ask the pipeline" in page.text
    assert "<script>alert" not in page.text
    assert client.get("/").url.path == "/login"
    table = SqlitePeople(p.path)
    assert [line["what"] for line in table.audit()][-1] == "login-failed"
    table.close()


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another-page"},
        {"iss": "https://another.example"},
        {"exp": int(time.time()) - 3600, "iat": int(time.time()) - 7200},
        {"nonce": "another"},
    ],
)
def test_a_token_that_is_not_for_this_login_is_refused(served, provider, claims):
    _, client, _ = served
    provider.claims |= claims
    page = client.get("/oidc/start")
    assert page.status_code == 403
    assert "The provider did not let you in." in page.text
    assert client.get("/").url.path == "/login"


def test_a_token_that_somebody_else_signed_is_refused(served, provider):
    _, client, _ = served
    provider.signs_with = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
    assert client.get("/oidc/start").status_code == 403
    assert client.get("/").url.path == "/login"


def test_nobody_is_let_in_by_an_answer_they_did_not_ask_for(served, provider):
    server, client, _ = served
    with httpx2.Client(base_url=server.url, follow_redirects=False) as eve:
        away = eve.get("/oidc/start").headers["Location"]
        back = httpx2.get(away).headers["Location"]
    # An attacker's own answer, in the browser of somebody who did not begin (login CSRF).
    assert client.get(back).status_code == 403
    assert client.get("/oidc/back?error=access_denied").status_code == 403
    assert client.get("/oidc/back").status_code == 403
    assert client.get("/").url.path == "/login"


def test_without_the_provider_tokens_are_still_good(served, provider):
    _, client, _ = served
    provider.close()
    page = client.get("/oidc/start")
    assert page.status_code == 502
    assert "cannot be reached" in page.text
    page = client.post("/login", data={"name": "bob", "token": "token of bob"})
    assert page.url.path == "/"


def test_the_cookie_of_a_login_under_way_is_for_it_alone(served):
    _, client, _ = served
    client.follow_redirects = False
    cookie = client.get("/oidc/start").headers["Set-Cookie"]
    assert cookie.startswith("stream_al_oidc=")
    for part in ("path=/oidc", "httponly", "samesite=lax", "Max-Age=600"):
        assert part.lower() in cookie.lower()


def test_a_provider_that_is_none_is_told_at_the_start(provider, monkeypatch):
    monkeypatch.delenv("STREAM_AL_OIDC_CLIENT_SECRET", raising=False)
    assert provider_of(None, None) is None
    for given, told in (
        ((provider.issuer, None), "--oidc-issuer: needs --oidc-client-id, too"),
        ((None, CLIENT), "--oidc-client-id: needs --oidc-issuer, too"),
        ((provider.issuer, CLIENT), "set STREAM_AL_OIDC_CLIENT_SECRET"),
    ):
        with pytest.raises(ConfigError, match=told):
            provider_of(*given)
    check(Provider(provider.issuer, CLIENT, SECRET))
    for issuer, told in (
        ("http://accounts.example", "must begin with https://"),
        (f"{provider.issuer}/realm", "does not describe itself at .*/realm/.well-known"),
        (f"{provider.issuer}/", "calls itself"),
    ):
        with pytest.raises(ConfigError, match=told):
            check(Provider(issuer, CLIENT, SECRET))
