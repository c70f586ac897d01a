"""Colours and strokes of the lines: one for each strategy, the same in every figure of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stream_al.replay.contenders import ALL, NONE, RANDOM

_STROKES: Final = ("-", (0, (7, 2)), (0, (7, 2, 1.5, 2)), (0, (3, 1.5)), (0, (10, 2, 1.5, 2, 1.5, 2)))
"""As many as there are colours plus one, so that strategies of one colour differ in stroke."""
_BASELINES: Final[Mapping[str, dict[str, Any]]] = {
    RANDOM: {"linestyle": (0, (4, 2)), "linewidth": 1.8},
    ALL: {"linestyle": (0, (1.2, 1.6)), "linewidth": 1.8},
    NONE: {"linestyle": (0, (1.2, 4)), "linewidth": 1.8},
}


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours that colour-blind readers can tell apart (after Okabe & Ito 2008); strokes differ, too.

    Lines and their names have a contrast of at least 4.5 to 1 against ``ground`` (WCAG 2.2, AA).
    """

    ground: str
    ink: str
    faint: str
    grid: str
    compared: Sequence[str]
    random: str
    all: str
    none: str

    def style(self, name: str, place: int) -> dict[str, Any]:
        """Return colour and stroke of the line of a strategy, the ``place``-th of those compared."""
        if name in _BASELINES:
            return {"color": getattr(self, name), **_BASELINES[name]}
        return {
            "color": self.compared[place % len(self.compared)],
            "linestyle": _STROKES[place % len(_STROKES)],
            "linewidth": 2.2,
        }


LIGHT: Final = Palette(
    ground="#ffffff",
    ink="#1c2430",
    faint="#5b6675",
    grid="#e3e7ec",
    compared=("#0072b2", "#00795a", "#a8458f", "#7a5c00"),
    random="#c2500a",
    all="#1c2430",
    none="#5b6675",
)
DARK: Final = Palette(
    ground="#1a2029",
    ink="#eef1f5",
    faint="#a3adba",
    grid="#323b47",
    compared=("#5cb8f2", "#33cf9f", "#e89bd0", "#e3c65b"),
    random="#f5a04a",
    all="#eef1f5",
    none="#a3adba",
)
