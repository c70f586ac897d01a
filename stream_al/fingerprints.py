"""Which ids may be among a million, in five bytes each: what is surely not there need not be looked up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_BUCKETS: Final = 1 << 16
_SIZE: Final = 3
"""The bytes of a fingerprint. With a million ids a bucket has fifteen, and one look in 400,000 finds one by chance."""


class Fingerprints:
    """The ids of a set, of each so much of its hash that nearly every other id is told from all of them.

    Ids are hashed as Python hashes strings: with a key of the process, so that nobody can choose ids that are alike.

    Examples
    --------
    >>> known = Fingerprints()
    >>> known.add("e1")
    >>> "e1" in known, "e2" in known
    (True, False)
    >>> known.discard("e1")
    >>> "e1" in known
    False
    """

    def __init__(self) -> None:
        self._buckets = [b""] * _BUCKETS

    def __contains__(self, event_id: str) -> bool:
        """Tell whether an id may be there; False is certain."""
        bits = hash(event_id)
        # Also found across two fingerprints, which only makes one look in vain.
        return (bits >> 16 & 0xFFFFFF).to_bytes(_SIZE, "little") in self._buckets[bits & 0xFFFF]

    def among(self, event_ids: Iterable[str]) -> set[str]:
        """Return those of these ids that may be there: all that are."""
        buckets = self._buckets
        return {
            event_id
            for event_id in event_ids
            if ((bits := hash(event_id)) >> 16 & 0xFFFFFF).to_bytes(_SIZE, "little") in buckets[bits & 0xFFFF]
        }

    def add(self, event_id: str) -> None:
        """Take an id in that is not there."""
        bits = hash(event_id)
        self._buckets[bits & 0xFFFF] += (bits >> 16 & 0xFFFFFF).to_bytes(_SIZE, "little")

    def discard(self, event_id: str) -> None:
        """Take an id out that is there."""
        bits = hash(event_id)
        bucket, mark = self._buckets[bits & 0xFFFF], (bits >> 16 & 0xFFFFFF).to_bytes(_SIZE, "little")
        at = next(at for at in range(0, len(bucket), _SIZE) if bucket.startswith(mark, at))
        self._buckets[bits & 0xFFFF] = bucket[:at] + bucket[at + _SIZE :]
