"""Random numbers that belong to an event instead of to a generator.

The draw of an event is a keyed hash of its id. The same event gets the same draw in every process, on every
replay and in any order, and without the key nobody can tell which events will be explored.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np

_SCALE = 2.0**-53


class Draws:
    """From event ids to uniform numbers in [0, 1).

    Parameters
    ----------
    key
        The pipeline's key; different keys give independent draws.
    purpose
        Separates the draws of different users of the same key (at most 16 bytes).

    Examples
    --------
    >>> draw = Draws("a key")
    >>> draw("tx-1") == Draws("a key")("tx-1"), draw("tx-1") == draw("tx-2")
    (True, False)
    >>> draw.all(["tx-1", "tx-2"]) == [draw("tx-1"), draw("tx-2")]
    True
    """

    def __init__(self, key: str, purpose: str = "decide") -> None:
        secret = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=blake2b.SALT_SIZE).digest()
        # Keyed through the salt, which makes the state secret before it sees an id: half the cost of `key=`,
        # whose block is hashed again for every event.
        self._begun = blake2b(digest_size=8, salt=secret, person=purpose.encode()).copy

    def __call__(self, event_id: str) -> float:
        """Return the draw of one event."""
        digest = self._begun()
        digest.update(event_id.encode())
        return (int.from_bytes(digest.digest(), "big") >> 11) * _SCALE

    def all(self, event_ids: Iterable[str]) -> list[float]:
        """Return the draws of many events, in order: faster than one by one."""
        begun, digests = self._begun, []
        for event_id in event_ids:
            digest = begun()
            digest.update(event_id.encode())
            digests.append(digest.digest())
        found: list[float] = ((np.frombuffer(b"".join(digests), ">u8") >> 11) * _SCALE).tolist()
        return found
