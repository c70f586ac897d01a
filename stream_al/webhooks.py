"""What is told to somebody else's server, and how it is signed and tried again: Standard Webhooks, without I/O.

The scheme, the headers and the schedule are those of *Standard Webhooks* 1.0.0
(https://www.standardwebhooks.com; github.com/standard-webhooks/standard-webhooks, ``spec/standard-webhooks.md``).
That messages are written to a table of the same store, and sent from there, is the *transactional outbox*
(Richardson, *Microservices Patterns*, 2018, ch. 3).
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

KINDS: Final = ("label", "drift", "budget-spent", "quarantine", "distrust")
"""What ``[webhooks] events`` can name."""
DELAYS: Final = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""Seconds from each attempt to the next, as the standard's example has them; the last one repeats."""
PREFIX: Final = "whsec_"
_KEY_BYTES: Final = (24, 64)
"""The shortest and the longest key that the standard allows."""


class Message(NamedTuple):
    """One message, as it is kept until its receiver has it."""

    number: int
    """Its place in the outbox."""
    id: str
    """The same at every attempt, so that a receiver can drop repeats."""
    type: str
    body: bytes
    attempts: int
    """How often it was sent in vain."""
    since: float | None
    """When it was first sent in vain, in seconds since 1970; not counting what was before the last start."""
    due: float
    """When to send it next."""


class Outbox(Protocol):
    """Keeps what is to be sent."""

    def collect(self) -> bool:
        """Write messages about what has been committed since; return whether there may be more at once."""

    def waiting(self, limit: int) -> list[Message]:
        """Return what is to be sent next, in order."""

    def sent(self, numbers: Sequence[int]) -> None:
        """Forget messages that their receiver has."""

    def failed(self, number: int, since: float, due: float, error: str) -> None:
        """Note that a message was sent in vain, and when to send it again."""

    def give_up(self, number: int, error: str) -> None:
        """Leave a message aside, for people to see."""

    def close(self) -> None:
        """Release what is open."""


def keys_of(secret: str) -> tuple[bytes, ...]:
    """Return the keys that a secret stands for: one, or several with spaces between while an old one is replaced.

    Raises
    ------
    ValueError
        When it is no secret of the standard. The message does not show it.

    Examples
    --------
    >>> keys_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")[0].hex()
    '31f290f6bf06298aab4f08d43c3f082cf648a362da2da4b0'
    """
    keys = []
    for part in secret.split():
        try:
            key = b64decode(part.removeprefix(PREFIX), validate=True)
        except ValueError:
            key = b""
        if not part.startswith(PREFIX) or not _KEY_BYTES[0] <= len(key) <= _KEY_BYTES[1]:
            raise ValueError(
                f"secret: is not {PREFIX} and {_KEY_BYTES[0]} to {_KEY_BYTES[1]} bytes in base64; make one with "
                f"echo {PREFIX}$(openssl rand -base64 32)"
            )
        keys.append(key)
    return tuple(keys)


def signature(keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the header ``webhook-signature``: a signature by each key.

    Examples
    --------
    >>> keys = keys_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    >>> signature(keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    return " ".join("v1," + b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys)


def delay_after(attempts: int, jitter: float, delays: Sequence[float] = DELAYS) -> float:
    """Return how many seconds after the last of some failed attempts comes the next.

    Parameters
    ----------
    attempts
        How many failed, at least 1.
    jitter
        From 0 to 1; makes it up to a tenth longer, so that not all senders come back to a server at once.
    delays
        The schedule.

    Examples
    --------
    >>> delay_after(1, 0.0), delay_after(3, 0.5), delay_after(50, 0.0)
    (5.0, 1890.0, 86400.0)
    """
    return delays[min(attempts, len(delays)) - 1] * (1.0 + jitter / 10.0)
