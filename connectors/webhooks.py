"""Messages to somebody else's server, over HTTP, signed by Standard Webhooks.

Guarantee: at least once, in order, each with an id that stays the same, so that its receiver can drop repeats. A message
is forgotten only after the receiver has answered with 2xx; one that it does not take is tried again for days, holding
back those behind it, and is then left aside for people to see. The worker never waits for any of this.

From the standard library: `urllib.request` does what is needed here (one POST, a timeout, TLS, the environment's
proxies), and nobody who sends a few messages an hour should have to install a client.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from email.message import Message as EmailMessage
from email.utils import parsedate_to_datetime
from http.client import HTTPException, responses
from math import inf
from typing import Final, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from stream_al.draws import Draws
from stream_al.errors import StreamALError
from stream_al.webhooks import DELAYS, Message, Outbox, delay_after, signature

TIMEOUT: Final = 15.0
"""Seconds that a receiver has; the standard recommends 15 to 30."""
_LOOK: Final = 0.25
"""Seconds between looks for what was committed. A look when nothing was costs some microseconds."""
_AT_ONCE: Final = 100
"""Messages read from the outbox at a time: what bounds the memory, and how many a kill can make repeat."""
_NOTED_AFTER: Final = 1.0
"""Seconds after which what was sent is noted, if there is more to send: a commit a message would be waste."""
_FAREWELL: Final = 5.0
"""Seconds that a worker that ends waits for what is still to be sent; the rest is sent by the next one."""
_TROUBLE: Final = 5.0
"""Seconds to leave a store alone that could not be used."""


class Reply(NamedTuple):
    """What became of one attempt."""

    status: int | None
    """The response's; None when none came."""
    error: str
    """Why it failed; empty when it did not."""
    wait: float = 0.0
    """Seconds that the receiver asks to be left alone (``Retry-After``)."""


class _NoRedirects(HTTPRedirectHandler):
    """The standard takes a redirect for a failure: the configuration is what names the address."""

    def redirect_request(self, *_: object) -> None:
        return None


class Endpoint:
    """The address that messages go to.

    Parameters
    ----------
    url
        Of http or https.
    keys
        What each message is signed with (`stream_al.webhooks.keys_of`).
    timeout
        Seconds that it has for each step of an answer.
    """

    def __init__(self, url: str, keys: Sequence[bytes], timeout: float = TIMEOUT) -> None:
        self.url = url
        self._keys = keys
        self._timeout = timeout
        self._open = build_opener(_NoRedirects).open

    def post(self, message_id: str, body: bytes) -> Reply:
        """Send one message, once."""
        now = int(time.time())
        headers = {
            "content-type": "application/json",
            "user-agent": "stream_al",
            "webhook-id": message_id,
            "webhook-timestamp": str(now),
            "webhook-signature": signature(self._keys, message_id, now, body),
        }
        try:
            with self._open(Request(self.url, body, headers), timeout=self._timeout) as response:
                return Reply(response.status, "")
        except HTTPError as error:
            with error:
                told = (
                    f"HTTP {error.code} {responses.get(error.code, '')}".strip()
                )  # not what it calls it itself
                return Reply(error.code, told, _asked_wait(error.headers))
        except URLError as error:
            return Reply(None, f"no answer: {error.reason}")
        except (OSError, HTTPException, ValueError) as error:
            return Reply(None, f"no answer: {error or type(error).__name__}")


def _asked_wait(headers: EmailMessage[str, str]) -> float:
    """Return what ``Retry-After`` says, in seconds, but not more than the schedule would wait itself."""
    told = (headers.get("retry-after") or "").strip()
    try:
        wait = float(told) if told.isdecimal() else parsedate_to_datetime(told).timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0.0
    return min(max(wait, 0.0), DELAYS[-1])


class Sender:
    """Sends what an outbox holds, in a thread of its own, from entering the context until leaving it.

    Parameters
    ----------
    make_outbox
        Opens the outbox. Called when the context is entered, so that what the worker commits from then on is sent.
    endpoint
        Where to.
    give_up_after
        Seconds for which a message is tried.
    tell
        Called with a sentence when a message fails for the first time, or is given up.
    delays
        The schedule of further attempts.
    """

    def __init__(
        self,
        make_outbox: Callable[[], Outbox],
        endpoint: Endpoint,
        give_up_after: float,
        tell: Callable[[str], None],
        delays: Sequence[float] = DELAYS,
    ) -> None:
        self._make_outbox = make_outbox
        self._endpoint = endpoint
        self._give_up_after = give_up_after
        self._tell = tell
        self._delays = delays
        self._jitter = Draws("webhooks", "jitter")
        self._stopping = threading.Event()
        self._deadline = inf
        self._gone = False
        self._trouble = ""
        # A daemon, so that a receiver that does not answer cannot keep a worker from ending.
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def __enter__(self) -> Sender:
        self._outbox = self._make_outbox()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._deadline = time.monotonic() + _FAREWELL
        self._stopping.set()
        self._thread.join(_FAREWELL + 1.0)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set() and not self._gone:
                self._stopping.wait(self._guarded(self._round))
            while not self._gone and time.monotonic() < self._deadline:
                if self._guarded(self._round):
                    break
        finally:
            self._outbox.close()

    def _guarded(self, work: Callable[[], float]) -> float:
        try:
            wait = work()
        except StreamALError as error:
            if str(error) != self._trouble:  # once, not every few seconds
                self._trouble = str(error)
                self._tell(f"webhooks: {error}; tried again every {_TROUBLE:.0f} s")
            return _TROUBLE
        self._trouble = ""
        return wait

    def _round(self) -> float:
        """Collect and send; return how many seconds nothing more is to be done for."""
        more = self._outbox.collect()
        messages = self._outbox.waiting(_AT_ONCE)
        sent: list[int] = []
        noted = time.monotonic()
        try:
            for message in messages:
                again = message.attempts > 0
                if (
                    message.due > time.time()
                    or time.monotonic() > self._deadline
                    or (again and self._stopping.is_set())
                ):
                    return _LOOK
                reply = self._endpoint.post(message.id, message.body)
                if reply.error:
                    self._fail(message, reply)
                    return _LOOK
                sent.append(message.number)
                if time.monotonic() - noted > _NOTED_AFTER:
                    self._outbox.sent(sent)
                    sent, noted = [], time.monotonic()
        finally:
            self._outbox.sent(sent)
        return 0.0 if more or messages else _LOOK

    def _fail(self, message: Message, reply: Reply) -> None:
        now = time.time()
        since = now if message.since is None else message.since
        attempts = message.attempts + 1
        wait = max(delay_after(attempts, self._jitter(f"{message.id} {attempts}"), self._delays), reply.wait)
        named = f"webhooks: {self._endpoint.url}: {reply.error}"
        if reply.status == 410:  # the standard's word for "never again"
            self._gone = True
            self._outbox.failed(message.number, since, now, reply.error)
            self._tell(f"{named}; nothing more is sent until the next start")
        elif now + wait > since + self._give_up_after:
            self._outbox.give_up(message.number, reply.error)
            self._tell(f"{named}; given up after {attempts:,} attempts: {message.id} ({message.type})")
        else:
            self._outbox.failed(message.number, since, now + wait, reply.error)
            if not message.attempts:
                self._tell(f"{named}; tried again in {wait:,.0f} s, and so on")
