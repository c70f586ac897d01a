"""The dashboard: how much is open, who answers, how far they agree, how accurate the model is; live."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request as HttpRequest
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from stream_al.annotate.access import Access, Visitor
from stream_al.annotate.server import COOKIE, Settings, guarded, templates

_EVERY: Final = 2.0
"""Seconds between two looks; all who watch share them."""


class Dashboard:
    """The dashboard of a store.

    Parameters
    ----------
    read
        Returns what is shown; called in a thread of its own, and only while somebody watches.
    audit
        Yields the lines of the audit log; called in another thread.
    access
        Who may do what.
    settings
        How the page is.
    """

    def __init__(
        self,
        read: Callable[[], dict[str, Any]],
        audit: Callable[[], Iterable[dict[str, Any]]],
        access: Access,
        settings: Settings,
    ) -> None:
        self._read, self._audit, self._access, self._settings = read, audit, access, settings
        self._thread = ThreadPoolExecutor(1, "figures")
        self._lock = asyncio.Lock()
        self._last = ("", float("-inf"))

    def routes(self) -> list[BaseRoute]:
        """Return the routes of the dashboard."""
        return [
            Route("/dashboard", guarded(self._access, "look", self.page)),
            Route("/dashboard/live", guarded(self._access, "look", self.live)),
            Route("/audit.jsonl", guarded(self._access, "audit", self.audit)),
        ]

    async def page(self, request: HttpRequest, visitor: Visitor) -> Response:
        """Return the page."""
        context = {"visitor": visitor, "settings": self._settings}
        return templates.TemplateResponse(request, "dashboard.html", context)

    async def live(self, request: HttpRequest, visitor: Visitor) -> Response:
        """Send what is shown whenever it has changed, until the session ends."""

        async def changes() -> AsyncIterator[ServerSentEvent]:
            before = ""
            while await self._access.visitor(request.cookies.get(COOKIE)) is not None:
                found = await self._figures()
                if found != before:
                    before = found
                    yield ServerSentEvent(data=found)
                await asyncio.sleep(_EVERY)

        return EventSourceResponse(changes(), ping=15)

    async def _figures(self) -> str:
        async with self._lock:
            text, at = self._last
            if time.monotonic() - at >= _EVERY * 0.9:
                loop = asyncio.get_running_loop()
                text = json.dumps(await loop.run_in_executor(self._thread, self._read))
                self._last = (text, time.monotonic())
            return text

    async def audit(self, request: HttpRequest, visitor: Visitor) -> Response:
        """Return the audit log: who answered what, when, having seen what, changed by whom; a line of JSON each."""
        lines = (json.dumps(line, ensure_ascii=False) + "\n" for line in self._audit())
        return StreamingResponse(
            lines,
            media_type="application/jsonl",
            headers={"Content-Disposition": 'attachment; filename="audit.jsonl"'},
        )
