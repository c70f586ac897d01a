"""Why an event was asked about, in words for people."""

from __future__ import annotations


def reason_text(reason: str, utility: float, threshold: float | None) -> str:
    """Return a reason as the end of a sentence that begins with "asked because".

    Parameters
    ----------
    reason
        One of `stream_al.records.Reason`; another one is returned as it is.
    utility, threshold
        What a label was worth, and above which worth the strategy asked; None where it had no threshold.

    Examples
    --------
    >>> reason_text("uncertain", 0.93, 0.9)
    'the model is unsure (a label is worth 0.93, it asks above 0.90)'
    """
    worth = f"a label is worth {utility:.2f}"
    if threshold is not None:
        worth += f", it asks above {threshold:.2f}"
    return {
        "cold-start": "the model is only starting and needs its first examples",
        "uncertain": f"the model is unsure ({worth})",
        "explore": "picked by chance, to look where the model is sure of itself",
        "random": "picked by chance, for a fair sample of the stream",
        "drift": f"the stream seems to have changed ({worth})",
        "representative": f"many events are like this one ({worth})",
    }.get(reason, reason)
