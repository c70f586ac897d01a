"""The requests to Label Studio's REST API, with patience.

Written against Label Studio 1.23 (https://api.labelstud.io, and its sources `data_manager/api.py`, `data_import/api.py`,
`tasks/serializers.py`). Tasks are read by id, not by page number: a task that is deleted while pages are turned would
push another one out of sight, and it would be imported a second time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Final, Self

import httpx

from stream_al.errors import ConfigError, ServiceError, SourceError

PAGE: Final = 100
"""Tasks in a request; the server reads each with its annotations."""
TIMEOUT: Final = httpx.Timeout(60.0, connect=10.0)
"""Importing a batch is one transaction of the server's; giving it up early would mean to do it again."""
ATTEMPTS: Final = 5
LONGEST_WAIT: Final = 60.0
"""Seconds between attempts at most, whatever the server asks for; the next round tries again anyway."""


class LabelStudio:
    """One project of a Label Studio.

    Parameters
    ----------
    url
        Where it is, as in the browser.
    project
        The number of the project.
    token
        A personal access token, or a legacy token (https://labelstud.io/guide/access_tokens).
    sleep
        What waits between attempts, in seconds.
    """

    def __init__(
        self, url: str, project: int, token: str, *, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self.url, self.project = url.rstrip("/"), project
        self._token, self._sleep = token, sleep
        self._refreshes = token.count(".") == 2  # a personal access token is a JWT that buys short-lived ones
        try:
            self._client = httpx.Client(base_url=self.url, timeout=TIMEOUT)
        except (httpx.InvalidURL, ValueError) as error:
            raise ConfigError(f"--url {url}: is no address ({error})") from error
        if self._client.base_url.scheme not in ("http", "https") or not self._client.base_url.host:
            raise ConfigError(f"--url {url}: must be like https://labels.example.org")
        if not self._refreshes:
            self._authorize(f"Token {token}")

    # ── what there is to ask ─────────────────────────────────────────────────────────────────────

    def settings(self) -> dict[str, Any]:
        """Return the project's settings, with its ``label_config``.

        Raises
        ------
        ConfigError
            When there is no such project, or the token opens nothing.
        """
        found: dict[str, Any] = self._ask("GET", f"/api/projects/{self.project}/")
        return found

    def tasks(self) -> Iterator[dict[str, Any]]:
        """Yield every task of the project with its annotations, by id."""
        last = 0
        while True:
            query = {
                "filters": {
                    "conjunction": "and",
                    "items": [
                        {
                            "filter": "filter:tasks:id",
                            "operator": "greater",
                            "type": "Number",
                            "value": last,
                        }
                    ],
                },
                "ordering": ["tasks:id"],
            }
            asked = {
                "project": self.project,
                "page": 1,
                "page_size": PAGE,
                "fields": "all",
                "resolve_uri": "false",
                "query": json.dumps(query),
            }
            found = self._ask("GET", "/api/tasks/", params=asked)
            page: list[dict[str, Any]] = found["tasks"]
            yield from page
            if len(page) >= found["total"]:  # of those with greater ids
                return
            last = max(task["id"] for task in page)

    def task(self, number: int) -> dict[str, Any] | None:
        """Return a task with its annotations; None when it is gone."""
        found: dict[str, Any] | None = self._ask("GET", f"/api/tasks/{number}/", gone=True)
        return found

    def import_tasks(self, tasks: Sequence[dict[str, Any]]) -> None:
        """Add tasks. Tried once only: who does not know whether it was done must look first."""
        path = f"/api/projects/{self.project}/import"
        self._ask("POST", path, content=list(tasks), params={"return_task_ids": "true"}, again=False)

    def delete_task(self, number: int) -> None:
        """Delete a task, if it is there."""
        self._ask("DELETE", f"/api/tasks/{number}/", gone=True)

    # ── asking ───────────────────────────────────────────────────────────────────────────────────

    def _ask(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, Any] | None = None,
        content: Any = None,
        again: bool = True,
        gone: bool = False,
    ) -> Any:
        """Return the answer as JSON; with ``gone`` None where the thing is not there."""
        renewed = False
        for attempt in range(1, ATTEMPTS + 1):
            if self._refreshes and "Authorization" not in self._client.headers:
                self._refresh()
            problem, wait = "", min(2.0 ** (attempt - 1), LONGEST_WAIT)
            try:
                reply = self._client.request(method, path, params=params, json=content)
            except httpx.TransportError as error:
                problem, reply = f"{type(error).__name__}: {error}", None
            if reply is not None:
                if reply.is_success:
                    return _json(reply) if reply.content else None
                if reply.status_code == 404 and gone:
                    return None
                if reply.status_code == 401 and self._refreshes and not renewed:
                    del self._client.headers["Authorization"]  # it lives for minutes only
                    renewed, problem = True, "HTTP 401"
                    continue
                if reply.status_code != 429 and reply.status_code < 500:
                    raise self._refused(reply, path)
                problem = f"HTTP {reply.status_code}"
                wait = _asked_to_wait(reply, wait)
            # 429 says that nothing was done.
            if attempt == ATTEMPTS or not (again or (reply is not None and reply.status_code == 429)):
                break
            self._sleep(wait)
        raise ServiceError(
            f"{self.url}{path}: no usable answer ({problem}); nothing is lost, try again later"
        )

    def _refused(self, reply: httpx.Response, path: str) -> Exception:
        said = " ".join(reply.text.split())[:500]
        if reply.is_redirect:  # an import would arrive there as a GET
            return ConfigError(
                f"--url {self.url}: leads on to {reply.headers['Location']}; give the address it has there"
            )
        if reply.status_code == 401:
            return ConfigError(
                f"{self.url}: does not take this token ({said}); copy one from Account & Settings, and see that the "
                "organization allows its kind"
            )
        if reply.status_code == 403:
            return ConfigError(
                f"{self.url}{path}: this token's user may not do that ({said}); it must be able to see the "
                "project, import tasks and delete them"
            )
        if reply.status_code == 404 and path.startswith(f"/api/projects/{self.project}/"):
            return ConfigError(
                f"--project {self.project}: {self.url} has no such project that this token's user can see; the number "
                "is in the address of its page"
            )
        return SourceError(f"{self.url}{path}: refused with HTTP {reply.status_code}: {said}")

    def _refresh(self) -> None:
        try:
            reply = self._client.post("/api/token/refresh/", json={"refresh": self._token})
        except httpx.TransportError as error:
            raise ServiceError(f"{self.url}: cannot be reached ({error}); try again later") from error
        if reply.status_code == 429 or reply.status_code >= 500:
            raise ServiceError(f"{self.url}/api/token/refresh/: HTTP {reply.status_code}; try again later")
        if not reply.is_success:
            raise self._refused(reply, "/api/token/refresh/")
        self._authorize(f"Bearer {_json(reply)['access']}")

    def _authorize(self, header: str) -> None:
        if not header.isascii() or not header.isprintable():
            raise ConfigError("the token has characters that no token has; copy it again")
        self._client.headers["Authorization"] = header

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _json(reply: httpx.Response) -> Any:
    try:
        return reply.json()
    except ValueError:
        raise SourceError(
            f"{reply.url.copy_with(query=None)}: answers with something else than JSON; is --url that of a Label Studio?"
        ) from None


def _asked_to_wait(reply: httpx.Response, otherwise: float) -> float:
    """Return the seconds a server asks to wait (``Retry-After``; its other form, a date, is rare)."""
    asked = reply.headers.get("Retry-After", "")
    return min(float(asked), LONGEST_WAIT) if asked.isdigit() else otherwise
