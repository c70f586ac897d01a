"""Random numbers that belong to an event instead of to a generator.

The draw of an event is a keyed hash of its id. The same event gets the same draw in every process, on every
replay and in any order, and without the key nobody can tell which events will be explored.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

_SCALE = 2.0**-53


def draws(key: str, purpose: str = "decide") -> Callable[[str], float]:
    """Return a function from event id to a uniform number in [0, 1).

    Parameters
    ----------
    key
        The pipeline's key; different keys give independent draws.
    purpose
        Separates the draws of different users of the same key (at most 16 bytes).

    Examples
    --------
    >>> draw = draws("a key")
    >>> draw("tx-1") == draws("a key")("tx-1"), draw("tx-1") == draw("tx-2")
    (True, False)
    """
    keyed = blake2b(
        digest_size=8, key=blake2b(key.encode("utf-8", "surrogatepass")).digest(), person=purpose.encode()
    )

    begun, from_bytes = keyed.copy, int.from_bytes

    def draw(event_id: str) -> float:
        digest = begun()
        digest.update(event_id.encode())
        return (from_bytes(digest.digest(), "big") >> 11) * _SCALE

    return draw
