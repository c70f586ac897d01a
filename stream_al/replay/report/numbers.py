"""How numbers are written in a report."""

from __future__ import annotations

from stream_al.replay.group import Estimate

NOTHING = "–"
"""Where there is no number."""


def count(value: float) -> str:
    """Return a number of things, such as labels; a mean over runs is rounded.

    Examples
    --------
    >>> count(1815.6667)
    '1,816'
    """
    return f"{value:,.0f}"


def share(value: float, digits: int = 1) -> str:
    """Return a share in percent.

    Examples
    --------
    >>> share(0.7913), share(0.05, 0)
    ('79.1%', '5%')
    """
    return f"{value:.{digits}%}"


def budget(value: float) -> str:
    """Return the share of a budget, as short as it can be.

    Examples
    --------
    >>> budget(0.05), budget(0.125), budget(0.0005)
    ('5%', '12.5%', '0.05%')
    """
    return f"{100.0 * value:.3g}%"


def price(value: float) -> str:
    """Return the price of a label, in whatever money.

    Examples
    --------
    >>> price(0.8), price(1250.0), price(0.0125)
    ('0.80', '1,250.00', '0.0125')
    """
    return f"{value:,.2f}" if round(value, 2) == value else f"{value:,.4g}"


def signed(value: float, digits: int = 1) -> str:
    """Return a difference, with its sign.

    Examples
    --------
    >>> signed(1.26), signed(-0.04), signed(-2)
    ('+1.3', '0.0', '−2.0')
    """
    rounded = round(value, digits)
    return f"{rounded:+.{digits}f}".replace("-", "−") if rounded else f"{0.0:.{digits}f}"


def estimate(found: Estimate, *, percent: bool) -> str:
    """Return a mean, with half the width of its interval if it has one.

    Examples
    --------
    >>> estimate(Estimate(0.791, 0.789, 0.793), percent=True)
    '79.1% ± 0.2'
    >>> estimate(Estimate(0.512), percent=False)
    '0.512'
    """
    mean = share(found.mean) if percent else f"{found.mean:.3f}".replace("-", "−")
    if found.high is None:
        return mean
    half = found.high - found.mean
    return f"{mean} ± {100.0 * half:.1f}" if percent else f"{mean} ± {half:.3f}"
