"""The annotator's page as a process of its own, as people start it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

ROOT = Path(__file__).parents[1]


class PageServer:
    """``stream-al annotate`` on a store; `start` again after `kill` takes the same port."""

    def __init__(self, store: Path, *options: str, name: str = "ann") -> None:
        self.store, self.options, self.name = store, options, name
        self.port = 0
        self.start()

    def start(self) -> PageServer:
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "stream_al", "annotate", str(self.store), "--as", self.name,
                "--port", str(self.port), *self.options,
            ],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert self.process.stderr is not None
        said = self.process.stderr.readline()
        found = re.search(r":(\d+)/", said)
        assert found, said + self.process.stderr.read()
        self.port = int(found[1])
        return self

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}/"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()

    def stop(self) -> str:
        """End it as Ctrl-C does; return what it had said, without the first line."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.stderr is not None
        said = self.process.stderr.read()
        self.process.wait(timeout=20)
        self.process.stderr.close()
        return said


class Client:
    """Speaks to a page's server as a browser would, one cookie and one token long."""

    def __init__(self, server: PageServer, ca: Path | None = None) -> None:
        self.server = server
        self._tls = None if ca is None else ssl.create_default_context(cafile=ca)
        self.cookie = ""
        self.csrf = ""

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, str]:
        """Return the status, the headers and the text of an answer."""
        connection = self._connection()
        try:
            if self.cookie:
                headers["Cookie"] = self.cookie
            connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
            answer = connection.getresponse()
            found = answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()
        if set_cookie := found[1].get("Set-Cookie"):
            self.cookie = set_cookie.partition(";")[0]
        return found

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection("localhost", self.server.port, timeout=20)
        return http.client.HTTPSConnection("localhost", self.server.port, timeout=20, context=self._tls)

    def log_in(self, name: str, token: str) -> int:
        form = urlencode({"name": name, "token": token})
        status, _, _ = self.call("POST", "/login", form)
        return status

    def open(self) -> Client:
        """Load the page, for its token."""
        _, _, text = self.call("GET", "/")
        self.csrf = re.search(r'data-csrf="(\w+)"', text)[1]
        return self

    def sync(
        self, *operations: dict[str, Any], have: tuple[str, ...] = (), want: int = 3, **more: Any
    ) -> Any:
        body = json.dumps({"operations": operations, "have": have, "want": want, **more})
        status, _, text = self.call("POST", "/sync", body, X_CSRF_Token=self.csrf)
        return status if status != 200 else json.loads(text)
