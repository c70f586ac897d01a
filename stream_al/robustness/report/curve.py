"""How many events are fooled by how little: two lines, as numbers for an SVG that the page's style colours."""

from __future__ import annotations

from dataclasses import dataclass

from stream_al.robustness.probe import FGSM, Findings

WIDTH, HEIGHT = 640, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 132, 12, 44


@dataclass(frozen=True, slots=True)
class Line:
    """A line, and its name beside its end."""

    name: str
    kind: str
    path: str
    end: tuple[float, float]
    share: str


@dataclass(frozen=True, slots=True)
class Curve:
    """The chart, and the same as a table."""

    lines: tuple[Line, ...]
    across: tuple[tuple[float, str], ...]
    up: tuple[tuple[float, str], ...]
    table: tuple[tuple[str, str, str], ...]
    left: float = _LEFT
    right: float = WIDTH - _RIGHT
    bottom: float = HEIGHT - _BOTTOM


def curve(findings: Findings) -> Curve:
    """Return the share fooled against the size of the change, beside random changes."""
    (attack,) = (one for one in findings.attacks if one.name == FGSM)
    within, tried = findings.within, attack.tried
    steps = [(0.0, 0.0)]
    for number, size in enumerate(attack.sizes, 1):
        steps += [(size, steps[-1][1]), (size, number / tried)]
    steps.append((within, attack.share))
    noise = [(0.0, 0.0), *findings.noise]
    apart = abs(attack.share - noise[-1][1]) * (HEIGHT - _TOP - _BOTTOM) >= 34
    shift = 0.0 if apart else 17.0
    above = shift if attack.share >= noise[-1][1] else -shift
    return Curve(
        (
            _line("along the slope", "found", steps, within, -above),
            _line("at random", "noise", noise, within, above),
        ),
        tuple((_x(within * part / 4, within), f"{within * part / 4:.3g}") for part in range(5)),
        tuple((_y(part / 4), f"{part / 4:.0%}") for part in range(5)),
        tuple(
            (f"{size:.3g}", f"{sum(one <= size for one in attack.sizes) / tried:.0%}", f"{share:.0%}")
            for size, share in findings.noise
        ),
    )


def _line(name: str, kind: str, points: list[tuple[float, float]], within: float, shift: float) -> Line:
    path = "M" + " L".join(f"{_x(size, within):.1f} {_y(share):.1f}" for size, share in points)
    share = points[-1][1]
    at = min(max(_y(share) + shift / 2, _TOP + 4.0), HEIGHT - _BOTTOM - 14.0)
    return Line(name, kind, path, (WIDTH - _RIGHT + 10.0, round(at, 1)), f"{share:.0%}")


def _x(size: float, within: float) -> float:
    return round(_LEFT + (WIDTH - _LEFT - _RIGHT) * min(1.0, size / within), 1)


def _y(share: float) -> float:
    return round(_TOP + (HEIGHT - _TOP - _BOTTOM) * (1.0 - share), 1)
