"""Tokens for OAUTHBEARER: from a file that something else keeps fresh, or from an OIDC provider."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener

from kafka.net.sasl.oauth import AbstractTokenProvider

from stream_al.config import KafkaConfig
from stream_al.errors import BrokerError, ConfigError

_TIMEOUT = 5.0
"""Seconds. Asking holds up the connection's thread, and with it the heartbeats of the group."""

_USED_UP = 0.8
"""The share of a token's life after which the next login asks for a new one."""

_MOST_BYTES = 2**20


class _StayHere(HTTPRedirectHandler):
    """Follows no redirect: it would carry the client's secret to wherever an answer points."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = build_opener(_StayHere)


def token_provider(config: KafkaConfig) -> TokenFile | ClientCredentials:
    """Return what gives a client its tokens; it has given one already, so that a mistake is told now.

    Raises
    ------
    BrokerError
        When the OIDC provider cannot be reached.
    ConfigError
        When it gives no token, or the file has none.
    """
    if config.token_file is not None:
        provider: TokenFile | ClientCredentials = TokenFile(config.token_file)
    else:
        secret = config.client_secret
        provider = ClientCredentials(
            config.token_url or "",
            config.client_id or "",
            "" if secret is None else secret.get_secret_value(),
            config.scope,
        )
    provider.token()
    return provider


class TokenFile(AbstractTokenProvider):  # type: ignore[misc]  # kafka-python has no types
    """Reads the token anew for each login, as a projected token of Kubernetes wants it.

    Parameters
    ----------
    path
        A file with the token and nothing else but white space around it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def token(self) -> str:
        """Return the token of now."""
        try:
            found = self._path.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a token, which is ASCII"
            raise ConfigError(f"[kafka] token_file = '{self._path}': {reason}") from None
        if not found or len(found.split()) > 1:
            what = "is empty" if not found else "holds more than one token"
            raise ConfigError(f"[kafka] token_file = '{self._path}': {what}; it must hold one token")
        return found


class ClientCredentials(AbstractTokenProvider):  # type: ignore[misc]
    """Asks an OIDC provider, by the client credentials grant (RFC 6749, 4.4), and keeps the token a while.

    Parameters
    ----------
    url
        The provider's token endpoint.
    client_id, secret
        What this client is known as there.
    scope
        What to ask for, if anything.
    clock
        Seconds that only go forward.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        secret: str,
        scope: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._url, self._scope = url, scope
        self._place = f"[kafka] token_url = '{url}', client_id = '{client_id}'"
        login = f"{quote(client_id, '')}:{quote(secret, '')}".encode()
        self._headers = {
            "Authorization": f"Basic {base64.b64encode(login).decode()}",
            "Accept": "application/json",
        }
        self._clock = clock
        self._kept: tuple[str, float] | None = None
        self._lock = threading.Lock()  # the client's thread asks, and whoever made the client did

    def token(self) -> str:
        """Return a token that has a fifth of its life before it, at least."""
        with self._lock:
            now = self._clock()
            if self._kept is None or now >= self._kept[1]:
                self._kept = self._asked(now)
            return self._kept[0]

    def _asked(self, now: float) -> tuple[str, float]:
        answer = self._answer()
        token, life = answer.get("access_token"), answer.get("expires_in", 0)
        if not isinstance(token, str) or not token:
            raise ConfigError(
                f"{self._place}: the answer has no access_token; it must be an OAuth 2 token endpoint"
            )
        try:
            return token, now + _USED_UP * float(life)
        except (TypeError, ValueError):
            return token, now

    def _answer(self) -> dict[str, Any]:
        fields = {"grant_type": "client_credentials"} | ({"scope": self._scope} if self._scope else {})
        request = Request(self._url, urlencode(fields).encode(), self._headers, method="POST")
        try:
            with _OPENER.open(request, timeout=_TIMEOUT) as response:
                content = json.loads(response.read(_MOST_BYTES))
        except HTTPError as error:
            with error:
                raise self._refused(error) from None
        except (URLError, OSError) as error:
            reason = getattr(error, "reason", error)
            raise BrokerError(f"{self._place}: cannot be reached ({reason}); check that it runs") from None
        except ValueError:
            raise ConfigError(f"{self._place}: the answer is not JSON; it must be a token endpoint") from None
        return content if isinstance(content, dict) else {}

    def _refused(self, error: HTTPError) -> ConfigError | BrokerError:
        try:
            content = json.loads(error.read(_MOST_BYTES))
            said = " ".join(str(content[k]) for k in ("error", "error_description") if content.get(k))
        except (ValueError, OSError, AttributeError):
            said = ""
        what = f"{error.code} {error.reason}{': ' if said else ''}{said[:200]}"
        if error.code == 429 or error.code >= 500:
            return BrokerError(f"{self._place}: cannot give a token now ({what}); it may later")
        return ConfigError(
            f"{self._place}: gives no token ({what}); check client_id, client_secret and scope"
        )
