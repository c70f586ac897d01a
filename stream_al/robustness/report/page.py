"""The page: how easily a model is fooled, for people who were not there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stream_al.replay.report.extra import require_extra
from stream_al.replay.versions import versions
from stream_al.robustness.pictures import Grid
from stream_al.robustness.probe import Attack, Findings
from stream_al.robustness.report.curve import HEIGHT, WIDTH, curve
from stream_al.robustness.report.pairs import shown
from stream_al.robustness.report.png import shades
from stream_al.robustness.setting import Setting, notes, sentences

_FEATURES = 8
"""Features listed of each attack."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What the changes of one attack did most by: the first features, and a picture of all where they are pixels."""

    name: str
    features: tuple[tuple[str, str, float], ...]
    picture: str | None


def render(findings: Findings, setting: Setting, grid: Grid | None = None) -> str:
    """Return the page, the same bytes for the same findings.

    Raises
    ------
    ConfigError
        When the ``plot`` extra is not installed.
    """
    require_extra()
    from jinja2 import Environment, PackageLoader, PrefixLoader, StrictUndefined

    environment = Environment(
        loader=PrefixLoader(
            {
                "probe": PackageLoader("stream_al.robustness.report", "."),
                "replay": PackageLoader("stream_al.replay.report", "."),
            }
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    first, *others = sentences(findings)
    return environment.get_template("probe/page.html.j2").render(
        setting=setting,
        findings=findings,
        summary=first,
        others=others,
        keys=_keys(findings, setting),
        shown=shown(findings, grid),
        pixels=grid is not None,
        curve=curve(findings),
        width=WIDTH,
        height=HEIGHT,
        weights=[_weights(attack, grid) for attack in findings.attacks if attack.fooled],
        notes=notes(findings),
        versions=versions(),
    )


def _keys(findings: Findings, setting: Setting) -> list[tuple[str, str, str]]:
    """Return name, value and what stands below of the key figures."""
    found = []
    for attack in findings.attacks:
        low, high = attack.interval
        found.append((f"Fooled, {attack.name}", f"{attack.share:.0%}", f"95 %: {low:.0%} to {high:.0%}"))
    first = findings.attacks[0]
    middle = "–" if first.median is None else f"{first.median:.2g}"
    found.append(("Median change", middle, "spreads, every feature"))
    if setting.accuracy is not None:
        found.append(("Accuracy", f"{setting.accuracy:.1%}", f"of {setting.answered:,} events, unchanged"))
    return found


def _weights(attack: Attack, grid: Grid | None) -> Weights:
    ranked = attack.features
    most = ranked[0][1]
    listed = tuple((name, f"{effect:.0%}", 100.0 * effect / most) for name, effect in ranked[:_FEATURES])
    picture = None
    if grid is not None:
        values = grid.values(dict(ranked))
        picture = shades(values, 0.0, float(np.max(values)))
    return Weights(attack.name, listed, picture)
