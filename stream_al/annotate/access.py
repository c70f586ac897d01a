"""Who may use the page: tokens, roles, sessions, and the guards of a login.

A token is 192 random bits, shown once and kept only as an Argon2id hash (RFC 9106, with the parameters of OWASP's
Password Storage Cheat Sheet: 19 MiB, two passes). A session is a random cookie, of which only the SHA-256 is kept; it
ends after twelve hours, or two without use.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

T = TypeVar("T")

ROLES: Final = ("owner", "annotator", "viewer")
MAY: Final = {
    "owner": frozenset({"answer", "look", "audit"}),
    "annotator": frozenset({"answer", "look"}),
    "viewer": frozenset({"look"}),
}
"""What each role may do: answer queries, look at the dashboard, export the audit log."""
SESSION_SECONDS: Final = 12 * 3600.0
UNUSED_SECONDS: Final = 2 * 3600.0
FAILURES: Final = 5
FAILURE_SECONDS: Final = 300.0
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


class Person(NamedTuple):
    """Somebody who may use the page."""

    name: str
    role: str
    token: str
    """The hash of their token."""
    since: float


class Session(NamedTuple):
    """Somebody who is logged in."""

    id: str
    """The SHA-256 of the cookie."""
    name: str
    began: float
    seen: float


class Visitor(NamedTuple):
    """Who a request comes from."""

    name: str
    role: str
    csrf: str

    def may(self, what: str) -> bool:
        """Tell whether their role allows something."""
        return what in MAY.get(self.role, ())

    def sent(self, token: str) -> bool:
        """Tell whether a request carries the token that only their own page can read."""
        return hmac.compare_digest(token.encode(), self.csrf.encode())


class People(Protocol):
    """Where people and sessions are kept."""

    def people(self) -> list[Person]:
        """Return all who have a token, by name."""

    def secret(self) -> bytes:
        """Return 32 random bytes, the same at every start."""

    def begin(self, session: Session) -> None:
        """Keep a session."""

    def session(self, key: str) -> tuple[Session, str] | None:
        """Return a session and the role its annotator has now."""

    def seen(self, key: str, at: float) -> None:
        """Note that a session is in use."""

    def end(self, key: str, name: str, at: float) -> None:
        """Forget a session."""

    def note(self, at: float, who: str, what: str, content: dict[str, Any]) -> None:
        """Write a line of the audit log."""


def new_token() -> str:
    """Return a token for somebody; it is not kept anywhere, so show it to them."""
    return f"sal_{secrets.token_urlsafe(24)}"


def hashed(token: str) -> str:
    """Return what is kept of a token.

    Examples
    --------
    >>> kept = hashed("sal_secret")
    >>> matches("sal_secret", kept), matches("sal_Secret", kept)
    (True, False)
    """
    return _HASHER.hash(token)


def matches(token: str, kept: str) -> bool:
    """Tell whether a token is the one a hash was kept of."""
    try:
        return _HASHER.verify(kept, token)
    except VerificationError:
        return False


class Throttle:
    """Counts failed logins by where they come from, and asks to wait after a few.

    Parameters
    ----------
    most
        Failures that are allowed within ``seconds``.
    seconds
        The window.
    now
        The time in seconds.
    """

    def __init__(
        self,
        most: int = FAILURES,
        seconds: float = FAILURE_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most, self._seconds, self._now = most, seconds, now
        self._failures: dict[str, deque[float]] = {}

    def wait(self, source: str) -> float:
        """Return how many seconds this source must wait before it may try again; 0: it may try now."""
        times = self._failures.get(source)
        now = self._now()
        while times and now - times[0] >= self._seconds:
            times.popleft()
        if not times:
            self._failures.pop(source, None)
            return 0.0
        return times[0] + self._seconds - now if len(times) >= self._most else 0.0

    def failed(self, source: str) -> None:
        """Count a failure. Of sources in great number the oldest is forgotten."""
        while len(self._failures) >= 10_000:
            del self._failures[next(iter(self._failures))]
        self._failures.setdefault(source, deque()).append(self._now())


class Access:
    """Decides who a request comes from.

    Parameters
    ----------
    people
        Where people and sessions are kept; used in one thread of its own.
    alone
        The name of the only annotator, the owner, where nobody needs to log in; None: everybody does.
    now
        The time in seconds since 1970.
    """

    def __init__(
        self, people: People, alone: str | None = None, now: Callable[[], float] = time.time
    ) -> None:
        self._people, self.alone, self._now = people, alone, now
        self._throttle = Throttle()
        self._thread = ThreadPoolExecutor(1, "access")
        self._nobody = hashed(secrets.token_hex())
        secret = people.secret()
        self._alone = Visitor(
            alone or "", "owner", hmac.new(secret, (alone or "").encode(), "sha256").hexdigest()
        )

    async def call(self, what: Callable[[], T]) -> T:
        """Call something in the thread of the people."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, what)

    async def log_in(self, name: str, token: str, source: str) -> str | float | None:
        """Return the cookie of a new session; or the seconds to wait; or None: name or token are wrong."""
        return await self.call(lambda: self._log_in(name, token, source))

    def _log_in(self, name: str, token: str, source: str) -> str | float | None:
        waits = max(self._throttle.wait(f"from {source}"), self._throttle.wait(f"as {name}"))
        if waits > 0.0:
            return waits
        person = next((p for p in self._people.people() if p.name == name), None)
        # An unknown name takes as long as a wrong token, so that names cannot be found out.
        fits = matches(token, person.token if person else self._nobody)
        if person is None or not fits:
            self._throttle.failed(f"from {source}")
            self._throttle.failed(f"as {name}")
            self._people.note(self._now(), name[:256], "login-failed", {"from": source})
            return None
        return self._begin(name)

    async def vouched(self, name: str, by: str) -> str | None:
        """Return the cookie of a new session for somebody whom a provider vouches for; None: nobody here is called that."""
        return await self.call(lambda: self._vouched(name, by))

    def _vouched(self, name: str, by: str) -> str | None:
        if all(person.name != name for person in self._people.people()):
            self._people.note(self._now(), name[:256], "login-failed", {"by": by})
            return None
        return self._begin(name)

    def _begin(self, name: str) -> str:
        cookie = secrets.token_urlsafe(32)
        self._people.begin(Session(_digest(cookie), name, self._now(), self._now()))
        return cookie

    async def visitor(self, cookie: str | None) -> Visitor | None:
        """Return who has this cookie; None: nobody is logged in with it."""
        if self.alone is not None:
            return self._alone
        return await self.call(lambda: self._visitor(cookie)) if cookie else None

    def _visitor(self, cookie: str) -> Visitor | None:
        found = self._people.session(_digest(cookie))
        if found is None:
            return None
        (session, role), now = found, self._now()
        if now - session.began > SESSION_SECONDS or now - session.seen > UNUSED_SECONDS:
            self._people.end(session.id, session.name, now)
            return None
        if now - session.seen > 60.0:
            self._people.seen(session.id, now)
        return Visitor(session.name, role, _digest(f"csrf {cookie}"))

    async def log_out(self, cookie: str | None) -> None:
        """End a session."""
        if cookie:
            await self.call(lambda: self._log_out(cookie))

    def _log_out(self, cookie: str) -> None:
        if found := self._people.session(_digest(cookie)):
            self._people.end(found[0].id, found[0].name, self._now())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
