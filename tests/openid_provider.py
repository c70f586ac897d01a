"""A small OpenID provider: real HTTP, codes, PKCE and signatures. It lets everybody in, as whoever it is told to."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "the-page", "barley-and-rye"


class OpenIdProvider:
    """Runs while it is open; what it says of whoever logs in can be changed."""

    def __init__(self) -> None:
        self.key = self.signs_with = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
        self.claims: dict[str, Any] = {"sub": "7", "email": "ann@example.org", "email_verified": True}
        """Of identity tokens; those that the protocol asks for are added, unless they are here."""
        self.asked: list[dict[str, str]] = []
        self._codes: dict[str, dict[str, str]] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                if parts.path == "/.well-known/openid-configuration":
                    self._send(provider.description)
                elif parts.path == "/jwks":
                    self._send({"keys": [provider.key.as_dict(private=False)]})
                elif parts.path == "/authorize":
                    provider.asked.append(query)
                    code = secrets.token_urlsafe()
                    provider._codes[code] = query
                    back = urlencode({"code": code, "state": query["state"]})
                    self.send_response(302)
                    self.send_header("Location", f"{query['redirect_uri']}?{back}")
                    self.end_headers()
                else:
                    self.send_error(404)

            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                status, answer = provider.token(form, self.headers.get("Authorization", ""))
                self._send(answer, status)

            def _send(self, answer: dict[str, Any], status: int = 200) -> None:
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self.description = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "id_token_signing_alg_values_supported": ["RS256"],
        }
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def token(self, form: dict[str, list[str]], login: str) -> tuple[int, dict[str, Any]]:
        """Change a code for tokens, once, for whoever began with it and knows the client's secret."""
        asked = self._codes.pop(form["code"][0], None)
        known = base64.b64decode(login.removeprefix("Basic ")).decode() == f"{CLIENT}:{SECRET}"
        verifier = form.get("code_verifier", [""])[0]
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        if asked is None or not known or challenge != asked["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"], **self.claims,
        }  # fmt: skip
        signed = jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.signs_with)
        return 200, {"access_token": secrets.token_urlsafe(), "token_type": "Bearer", "id_token": signed}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
