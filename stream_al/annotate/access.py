"""Who may use the page: tokens, roles, sessions, and the guards of a login.

A token is 192 random bits, shown once and kept only as an scrypt hash (RFC 7914; of the standard library, with the
parameters OWASP's Password Storage Cheat Sheet gives, N = 2^14, r = 8, p = 5). A session is a random cookie, of which
only the SHA-256 is kept; it ends after twelve hours, or two without use.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

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
_SCRYPT: Final = {"n": 2**14, "r": 8, "p": 5}


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


class People(Protocol):
    """Where people and sessions are kept."""

    def people(self) -> list[Person]:
        """Return all who have a token, by name."""

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


def hashed(token: str, salt: bytes | None = None) -> str:
    """Return what is kept of a token.

    Examples
    --------
    >>> kept = hashed("sal_secret")
    >>> matches("sal_secret", kept), matches("sal_Secret", kept)
    (True, False)
    """
    salt = salt or secrets.token_bytes(16)
    found = hashlib.scrypt(token.encode(), salt=salt, maxmem=2**26, **_SCRYPT)
    return f"scrypt${salt.hex()}${found.hex()}"


def matches(token: str, kept: str) -> bool:
    """Tell whether a token is the one a hash was kept of; takes as long whatever the answer."""
    _, salt, _ = kept.split("$")
    return hmac.compare_digest(hashed(token, bytes.fromhex(salt)), kept)


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
        Where people and sessions are kept.
    alone
        The name of the only annotator, the owner, where nobody needs to log in; None: everybody does.
    now
        The time in seconds since 1970.
    """

    def __init__(
        self, people: People, alone: str | None = None, now: Callable[[], float] = time.time
    ) -> None:
        self._people, self.alone, self._now = people, alone, now
        self._secret = secrets.token_bytes(32)
        self._throttle = Throttle()
        self._nobody = hashed("nobody")

    def log_in(self, name: str, token: str, source: str) -> str | float | None:
        """Return the cookie of a new session; or the seconds to wait; or None: name or token are wrong."""
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
        cookie = secrets.token_urlsafe(32)
        self._people.begin(Session(_digest(cookie), name, self._now(), self._now()))
        return cookie

    def visitor(self, cookie: str | None) -> Visitor | None:
        """Return who has this cookie; None: nobody is logged in with it."""
        if self.alone is not None:
            return Visitor(self.alone, "owner", self._csrf(self.alone))
        found = self._people.session(_digest(cookie)) if cookie else None
        if found is None or cookie is None:
            return None
        (session, role), now = found, self._now()
        if now - session.began > SESSION_SECONDS or now - session.seen > UNUSED_SECONDS:
            self._people.end(session.id, session.name, now)
            return None
        if now - session.seen > 60.0:
            self._people.seen(session.id, now)
        return Visitor(session.name, role, _digest(f"csrf {cookie}"))

    def log_out(self, cookie: str | None) -> None:
        """End a session."""
        if cookie and (found := self._people.session(_digest(cookie))):
            self._people.end(found[0].id, found[0].name, self._now())

    def _csrf(self, name: str) -> str:
        return hmac.new(self._secret, name.encode(), "sha256").hexdigest()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
