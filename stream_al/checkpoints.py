"""A few dumps of a model at spaced versions: the last one undoes, those before it let an amendment go back."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

KEPT: Final = 6


class Checkpoints:
    """The dumps kept of one model, oldest first. Frozen: every change gives new ones, so that it can be taken back.

    The first is of the empty model, and stays. Of the others so many are kept that memory is bounded, close
    together where they are recent: what is amended is mostly recent.

    Parameters
    ----------
    empty
        The dump of the model before its first example.

    Examples
    --------
    >>> kept = Checkpoints(b"")
    >>> for version in range(10, 210, 10):
    ...     kept = kept.plus(version, b"...")
    >>> kept.versions
    (0, 100, 130, 160, 180, 190, 200)
    >>> kept.before(185)[0], kept.before(70)[0]
    (180, 0)
    """

    __slots__ = ("_dumps",)

    def __init__(self, empty: bytes) -> None:
        self._dumps: tuple[tuple[int, bytes], ...] = ((0, empty),)

    @property
    def versions(self) -> tuple[int, ...]:
        """The versions there are dumps of."""
        return tuple(version for version, _ in self._dumps)

    @property
    def last(self) -> tuple[int, bytes]:
        """The newest: its version, and the dump."""
        return self._dumps[-1]

    def plus(self, version: int, dump: bytes) -> Checkpoints:
        """Return these and a newer one; without the one that is missed least, when they are too many."""
        dumps = [*self._dumps, (version, dump)]
        if len(dumps) > KEPT + 1:
            versions = [kept for kept, _ in dumps]
            # Without it so much has to be folded more, against what has to be folded anyway.
            least = min(
                range(1, len(dumps) - 1),
                key=lambda at: (
                    (versions[at + 1] - versions[at - 1]) / (version - versions[at - 1]),
                    at,
                ),
            )
            del dumps[least]
        return self._of(dumps)

    def only(self, version: int, dump: bytes) -> Checkpoints:
        """Return the empty model and this dump, of a state that did not come about here."""
        return self._of([self._dumps[0], (version, dump)])

    def before(self, number: int) -> tuple[int, bytes, Checkpoints]:
        """Return the last dump that has not folded a record, by its number; and the dumps up to that one."""
        at = bisect_right(self.versions, number)
        version, dump = self._dumps[at - 1]
        return version, dump, self._of(list(self._dumps[:at]))

    def _of(self, dumps: list[tuple[int, bytes]]) -> Checkpoints:
        made = Checkpoints.__new__(Checkpoints)
        made._dumps = tuple(dumps)
        return made
