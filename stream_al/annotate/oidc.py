"""Logging in by the word of an OpenID provider: the code flow of OpenID Connect Core 1.0, with PKCE (RFC 7636).

Authlib does what the protocol asks for: state and nonce, and the identity token's signature, issuer, audience and age. Here
it is decided who that is. The provider says who somebody is, never what they may do: they must have been added with
`stream-al people add`, under their e-mail address where the provider vouches for it, else under its ``sub``.
"""

from __future__ import annotations

import logging
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.starlette_client import OAuth
from joserfc.errors import JoseError
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from stream_al.annotate.access import Access
from stream_al.annotate.doors import let_in, refuse
from stream_al.errors import ConfigError

_SECONDS: Final = 600
"""For so long somebody may take to log in at the provider."""
_TIMEOUT: Final = 10.0
_log = logging.getLogger(__name__)


class Provider(NamedTuple):
    """An OpenID provider, and what this page is to it."""

    issuer: str
    """Its address, as identity tokens name it: ``https://accounts.example.org``."""
    client_id: str
    client_secret: str

    @property
    def metadata(self) -> str:
        """The address of its description (OpenID Connect Discovery 1.0)."""
        return f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"


def check(provider: Provider) -> None:
    """Ask a provider for its description, so that a mistake is told at the start and not to whoever logs in first.

    Raises
    ------
    ConfigError
        When it does not answer as one, or not by HTTPS.
    """
    parts = urlsplit(provider.issuer)
    if parts.scheme != "https" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise ConfigError(
            f"--oidc-issuer {provider.issuer}: must begin with https://, or anybody could be anybody"
        )
    try:
        answer = httpx2.get(provider.metadata, timeout=_TIMEOUT)
        answer.raise_for_status()
        named = answer.json()["issuer"]
    except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"--oidc-issuer {provider.issuer}: does not describe itself at {provider.metadata} "
            f"({error or type(error).__name__}); give what it calls its issuer"
        ) from error
    if named != provider.issuer:
        raise ConfigError(f"--oidc-issuer {provider.issuer}: calls itself {named!r}; give that")


def oidc_doors(access: Access, provider: Provider, secret: bytes, *, secure: bool) -> list[BaseRoute]:
    """Return the routes by which people come in from a provider.

    Parameters
    ----------
    access
        Who may do what.
    provider
        Who vouches for people.
    secret
        Signs the cookie that says what somebody on their way has to come back with.
    secure
        Whether the page speaks HTTPS, so that this cookie goes nowhere else.
    """
    client = OAuth().register(
        "provider",
        client_id=provider.client_id,
        client_secret=provider.client_secret,
        server_metadata_url=provider.metadata,
        client_kwargs={"scope": "openid email", "code_challenge_method": "S256", "timeout": _TIMEOUT},
    )

    async def start(request: HttpRequest) -> Response:
        try:
            found: Response = await client.authorize_redirect(request, str(request.url_for("oidc:back")))
        except (httpx2.HTTPError, AuthlibBaseError, RuntimeError, ValueError) as error:
            return _failed(request, error)
        return found

    async def back(request: HttpRequest) -> Response:
        try:
            token = await client.authorize_access_token(request)
        except (httpx2.HTTPError, AuthlibBaseError, JoseError, RuntimeError, ValueError) as error:
            return _failed(request, error)
        name = name_of(token.get("userinfo") or {}, provider.issuer)
        cookie = None if name is None else await access.vouched(name, provider.issuer)
        if cookie is None:
            told = f"{name or 'You'}: known to {urlsplit(provider.issuer).netloc}, and not here. Ask the pipeline's owner."
            return refuse(request, told, 403)
        request.session.clear()
        return await let_in(access, request, cookie)

    return [
        Mount(
            "/oidc",
            routes=[Route("/start", start, name="start"), Route("/back", back, name="back")],
            middleware=[
                Middleware(
                    SessionMiddleware,
                    secret_key=secret.hex(),
                    session_cookie="stream_al_oidc",
                    max_age=_SECONDS,
                    path="/oidc",
                    https_only=secure,
                )
            ],
            name="oidc",
        )
    ]


def name_of(claims: dict[str, Any], issuer: str) -> str | None:
    """Return under which name somebody is known here, from the claims of a checked identity token of this issuer.

    An e-mail address that the provider does not vouch for is anybody's.

    Examples
    --------
    >>> name_of(
    ...     {"iss": "https://a", "sub": "7", "email": "Ann@Example.org", "email_verified": True}, "https://a"
    ... )
    'ann@example.org'
    >>> name_of({"iss": "https://a", "sub": "7", "email": "ann@example.org"}, "https://a")
    '7'
    >>> name_of({"iss": "https://b", "sub": "7"}, "https://a") is None
    True
    """
    if claims.get("iss") != issuer or not isinstance(claims.get("sub"), str):
        return None
    email = claims.get("email")
    if isinstance(email, str) and claims.get("email_verified") is True:
        return email.strip().lower()
    return str(claims["sub"])


def _failed(request: HttpRequest, error: Exception) -> Response:
    _log.warning("a login by the provider failed: %s: %s", type(error).__name__, error)
    away = isinstance(error, httpx2.HTTPError)
    told = "The provider cannot be reached." if away else "The provider did not let you in."
    return refuse(request, f"{told} Try again, or log in with a token.", 502 if away else 403)
