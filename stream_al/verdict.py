"""What a verification found, of whatever kind of pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

_MOST_DIFFERENCES: Final = 100


@dataclass(slots=True)
class Verdict:
    """What a verification found: how much was compared, and each difference as a sentence."""

    events: int = 0
    labels: int = 0
    examples: int = 0
    digest: str = ""
    differences: list[str] = field(default_factory=list)
    more: int = 0
    """Differences beyond the first hundred."""

    def add(self, difference: str) -> None:
        """Note a difference."""
        if len(self.differences) < _MOST_DIFFERENCES:
            self.differences.append(difference)
        else:
            self.more += 1


def differing(left: Any, right: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield the places where two contents differ: keys of objects, or the whole."""
    if isinstance(left, dict) and isinstance(right, dict) and left != right:
        for key in sorted({*left, *right}):
            if left.get(key) != right.get(key):
                yield f" {key}", left.get(key), right.get(key)
    else:
        yield "", left, right


def short(value: object) -> str:
    """Return a value as text for a sentence."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
