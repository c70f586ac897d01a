"""The page's server: who asks is known, what is asked is done in the board's thread, nothing else is served.

Every response carries a content security policy that allows only this server's own files: no script, style or frame of
anybody else's, and no text that becomes a script (trusted types).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stream_al.annotate.access import Access, Visitor
from stream_al.annotate.board import Board, Reply, Request
from stream_al.annotate.cards import ShowPrediction, buttons, card
from stream_al.annotate.requests import Requests
from stream_al.annotate.words import why_empty
from stream_al.errors import RecordError, StreamALError

HERE: Final = Path(__file__).parent
COOKIE: Final = "stream_al_session"
_LARGEST: Final = 2_000_000
_TICK: Final = 1.0
_log = logging.getLogger(__name__)
_decode: Final = msgspec.json.Decoder(Request).decode
templates: Final = Jinja2Templates(HERE / "pages")


@dataclass(frozen=True, slots=True)
class Settings:
    """How a page is to be."""

    store: str
    """What tells this pipeline from others, for what the browser keeps."""
    title: str = "stream-al"
    show_prediction: ShowPrediction = "after"
    guideline: str = ""
    images: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ("*",)
    """The names under which the page may be called; where nobody logs in this keeps out pages that rebind theirs."""


class Page:
    """The annotator's side: the page, and what it asks for.

    Parameters
    ----------
    board
        The store as the server sees it.
    access
        Who may do what.
    settings
        How the page is to be.
    closing
        What is to be called when the server ends.
    """

    def __init__(
        self, board: Board, access: Access, settings: Settings, closing: Sequence[Callable[[], None]] = ()
    ) -> None:
        self._closing = closing
        self.requests = Requests(board)
        self.access = access
        self.settings = settings
        self._budget: float | None = None

    @asynccontextmanager
    async def running(self, _: Starlette) -> AsyncIterator[None]:
        """Do what is due every second, for as long as the server runs."""
        self._budget = await self.requests.call(self.requests.board.budget)
        await self.requests.tick()
        ticking = asyncio.create_task(self._tick())
        try:
            yield
        finally:
            ticking.cancel()
            await asyncio.to_thread(self.requests.close)
            for close in self._closing:
                close()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            try:
                await self.requests.tick()
            except StreamALError as error:  # the next second tries again
                _log.warning("%s", error)
            except Exception:  # a second that failed must not be the last: drafts would never be sent
                _log.exception("what is due every second failed")

    async def page(self, request: HttpRequest, visitor: Visitor) -> Response:
        """Return the page."""
        context = {
            "visitor": visitor,
            "settings": self.settings,
            "alone": self.access.alone is not None,
        }
        return templates.TemplateResponse(request, "annotate.html", context)

    async def sync(self, request: HttpRequest, visitor: Visitor) -> Response:
        """Take what was said, and return what became of it, and cards."""
        body = await request.body()
        try:
            asked = _decode(body)
        except msgspec.MsgspecError as error:
            return JSONResponse({"error": f"not understood: {error}"}, 400)
        try:
            reply = await self.requests.do(visitor.name, asked)
        except (RecordError, ValueError) as error:
            return JSONResponse({"error": str(error)}, 400)
        except StreamALError as error:  # the page keeps what was said, and asks again
            return JSONResponse({"error": str(error)}, 503, {"Retry-After": "2"})
        return Response(
            json.dumps(await self._shown(reply), ensure_ascii=False), media_type="application/json"
        )

    async def _shown(self, reply: Reply) -> dict[str, Any]:
        settings = self.settings
        classes = await self.requests.call(self.requests.board.classes)
        return {
            "done": [asdict(done) for done in reply.done],
            "cards": [
                card(
                    query,
                    self.requests.usual,
                    settings.show_prediction,
                    settings.images,
                    self._budget,
                    reply.waiting.get(query.event_id, 0),
                )
                for query in reply.cards
            ],
            "gone": reply.gone,
            "open": reply.open,
            "undoable": reply.undoable,
            "undelivered": reply.undelivered,
            "away": reply.away,
            "empty": why_empty(reply.empty) if reply.empty else None,
            "classes": buttons(classes.known),
            "closed": classes.closed,
        }


Handler = Callable[[HttpRequest, Visitor], Awaitable[Response]]


def guarded(access: Access, what: str, handler: Handler) -> Callable[[HttpRequest], Awaitable[Response]]:
    """Return a handler that is called only for who may do something, and, where it changes anything, by our own page.

    What changes something must carry a token that only our page can read (CSRF).
    """

    async def checked(request: HttpRequest) -> Response:
        visitor = await access.visitor(request.cookies.get(COOKIE))
        if visitor is None:
            if request.method == "POST" or request.url.path.endswith("/live"):
                return JSONResponse({"error": "your session has ended: log in again"}, 401)
            return Response(status_code=303, headers={"Location": "/login"})
        if not visitor.may(what):
            return Response(f"a {visitor.role} may not do this\n", 403, media_type="text/plain")
        if request.method == "POST" and not visitor.sent(request.headers.get("x-csrf-token", "")):
            return JSONResponse({"error": "this page is of an earlier session: load it again"}, 403)
        return await handler(request, visitor)

    return checked


def application(page: Page, routes: list[BaseRoute]) -> Starlette:
    """Return the server.

    Parameters
    ----------
    page
        The annotator's side.
    routes
        What else is served: the login and the dashboard.
    """
    access = page.access
    return Starlette(
        routes=[
            Route("/", guarded(access, "answer", page.page)),
            Route("/sync", guarded(access, "answer", page.sync), methods=["POST"]),
            Mount("/static", StaticFiles(directory=HERE / "static")),
            *routes,
        ],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=list(page.settings.hosts), www_redirect=False),
            Middleware(Shield, images=page.settings.images),
        ],
        lifespan=page.running,
    )


class Shield:
    """Puts the headers on every response that keep others' scripts, frames and types out; refuses huge bodies.

    Parameters
    ----------
    app
        What answers.
    images
        From where images may be loaded besides.
    """

    def __init__(self, app: ASGIApp, images: tuple[str, ...] = ()) -> None:
        self._app = app
        pictures = " ".join(("'self'", "data:", *images))
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; "
            f"img-src {pictures}; base-uri 'none'; frame-ancestors 'none'; "
            "require-trusted-types-for 'script'; trusted-types 'none'"
        )
        self._headers = [
            (b"content-security-policy", policy.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"same-origin"),
            (b"cross-origin-opener-policy", b"same-origin"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if b"transfer-encoding" in headers or not length.isdigit() or int(length) > _LARGEST:
            told = f"a request has a length of at most {_LARGEST:,} bytes\n"
            await Response(told, 413, media_type="text/plain")(scope, receive, send)
            return

        async def shielded(message: Message) -> None:
            if message["type"] == "http.response.start":
                found = [*message.get("headers", []), *self._headers]
                if not any(name == b"cache-control" for name, _ in found):
                    fixed = scope["path"].startswith("/static/")
                    found.append((b"cache-control", b"no-cache" if fixed else b"no-store"))
                message = {**message, "headers": found}
            await send(message)

        await self._app(scope, receive, shielded)
