"""Coming in and going out: the login, the link that only looks, the logout."""

from __future__ import annotations

from math import ceil
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from stream_al.annotate.access import Access, Visitor
from stream_al.annotate.server import COOKIE, guarded, templates

_WRONG = "Name or token are wrong."


def doors(access: Access, provider: str | None = None) -> list[BaseRoute]:
    """Return the routes by which people come in and go out; ``provider`` is the name of one who vouches for them, too."""

    async def login(request: HttpRequest) -> Response:
        if access.alone is not None:
            return _to("/")
        if request.method == "GET":
            return templates.TemplateResponse(request, "login.html", {"told": "", "provider": provider})
        if not _from_here(request):
            return templates.TemplateResponse(request, "login.html", {"told": "Log in on this page."}, 403)
        form = parse_qs((await request.body()).decode(errors="replace"))
        name, token = (form.get(field, [""])[0].strip() for field in ("name", "token"))
        return await _enter(request, name, token, "/")

    async def look(request: HttpRequest) -> Response:
        """Log a viewer in by a link; a link gets about, so it is good for no other role."""
        name, token = (request.query_params.get(field, "") for field in ("as", "token"))
        return await _enter(request, name, token, "/dashboard", {"viewer"})

    async def _enter(
        request: HttpRequest, name: str, token: str, then: str, roles: set[str] | None = None
    ) -> Response:
        source = request.client.host if request.client else "?"
        found = await access.log_in(name, token, source)
        if isinstance(found, float):
            told = f"Too many wrong tokens: wait {ceil(found / 60)} minutes."
            headers = {"Retry-After": str(ceil(found))}
            return templates.TemplateResponse(request, "login.html", {"told": told}, 429, headers)
        visitor = await access.visitor(found)
        if visitor is None or (roles is not None and visitor.role not in roles):
            await access.log_out(found)
            return templates.TemplateResponse(request, "login.html", {"told": _WRONG}, 403)
        return await let_in(access, request, found or "", then)

    async def logout(request: HttpRequest, visitor: Visitor) -> Response:
        await access.log_out(request.cookies.get(COOKIE))
        answer = Response(status_code=204)
        answer.delete_cookie(COOKIE)
        return answer

    return [
        Route("/login", login, methods=["GET", "POST"]),
        Route("/look", look),
        Route("/logout", guarded(access, "look", logout), methods=["POST"]),
    ]


async def let_in(access: Access, request: HttpRequest, cookie: str, then: str = "/") -> Response:
    """Return the answer that gives somebody their session, and leads them on."""
    visitor = await access.visitor(cookie)
    answer = _to(then if visitor is not None and visitor.may("answer") else "/dashboard")
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, cookie, httponly=True, samesite="lax", secure=secure)
    return answer


def refuse(request: HttpRequest, told: str, status: int) -> Response:
    """Return the login with a word why somebody did not come in."""
    return templates.TemplateResponse(request, "login.html", {"told": told}, status)


def _to(path: str) -> Response:
    return Response(status_code=303, headers={"Location": path})


def _from_here(request: HttpRequest) -> bool:
    """Tell whether a form was sent from a page of ours; browsers say so, and before a login nothing else can."""
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")
