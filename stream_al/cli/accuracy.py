"""How accurate the answers are, in words and numbers: the part of `run` and `status` that is an estimate."""

from __future__ import annotations

from typing import Any, Final

from rich.console import Console
from rich.table import Table

from stream_al.monitor import Accuracy
from stream_al.ports import Progress

_CLASSES_SHOWN: Final = 12


def accuracy_summary(progress: Progress, target: float | None) -> dict[str, Any] | None:
    """Return what is known of the accuracy, for ``--json`` and for `show_accuracy`; None where it is not watched.

    Parameters
    ----------
    progress
        Where the pipeline stands.
    target
        ``[strategy] stop_at``, if it is set.
    """
    if progress.accuracy is None:
        return None
    watch = Accuracy.load(progress.accuracy)
    report = watch.report(progress.events)
    errors = watch.calibration.errors()
    found: dict[str, Any] = {
        "whole": report.whole._asdict(),
        "recent": report.recent._asdict(),
        "classes": [found._asdict() for found in report.classes],
        "confusion": [
            {"predicted": predicted, "true": true, "events": events}
            for predicted, true, events in report.matrix
        ],
        "curve": [found._asdict() for found in report.curve],
        "calibration": {
            "error": None if errors is None else errors[0],
            "error_calibrated": None if errors is None else errors[1],
            "bins": [found._asdict() for found in watch.calibration.table()],
        },
    }
    if target is not None:
        since = watch.since(progress.events).estimate()
        found["enough"] = {
            "target": target,
            "confident": bool(progress.state[0]),
            "low": since.low,
            "high": since.high,
            "events": since.events,
        }
    return found


def show_accuracy(found: dict[str, Any], console: Console) -> None:
    """Print it below the summary."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    whole, recent = found["whole"], found["recent"]
    if whole["why_not"]:
        table.add_row("accuracy", "unknown", whole["why_not"])
    else:
        table.add_row("accuracy, estimated", *_estimate(whole))
        if recent["events"] < whole["events"] and not recent["why_not"]:
            table.add_row("lately", *_estimate(recent))
    error = found["calibration"]["error"]
    if error is not None:
        told = (
            f"is how far a confidence is off; {found['calibration']['error_calibrated']:.1%} when calibrated"
        )
        table.add_row("calibration", f"{error:.1%}", told)
    if "enough" in found:
        table.add_row("confident enough", *_enough(found["enough"]))
    console.print(table, highlight=False)
    if whole["unanswered"]:
        console.print(
            f"  {whole['unanswered']:,} queries were closed without an answer; the interval allows for all of them "
            "being wrong, or right",
            style="dim",
            highlight=False,
        )
    if found["classes"]:
        _show_classes(found["classes"][:_CLASSES_SHOWN], console)
    if len(found["classes"]) > _CLASSES_SHOWN:
        console.print(
            f"  … and {len(found['classes']) - _CLASSES_SHOWN:,} more classes (--json)", style="dim"
        )


def _estimate(estimate: dict[str, Any]) -> tuple[str, str]:
    return (
        f"{estimate['accuracy']:.1%}",
        f"{_between(estimate['low'], estimate['high'])} (95 %, at all times) of {estimate['events']:,} events, from "
        f"{estimate['labels']:,} labels worth {estimate['effective']:,.0f} drawn evenly",
    )


def _enough(enough: dict[str, Any]) -> tuple[str, str]:
    if not enough["events"]:
        return (
            "not yet",
            "the answers were worse than the target lately: asking goes on, and evidence is gathered anew",
        )
    since = f"of the last {enough['events']:,} events at least {enough['low']:.1%} are right for certain"
    if enough["confident"]:
        return "yes", f"{since}, the target is {enough['target']:.1%}: only exploration asks"
    return "not yet", f"{since}, the target is {enough['target']:.1%}: asking goes on"


def _show_classes(classes: list[dict[str, Any]], console: Console) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("class", "precision", "", "recall", "", "labels"):
        table.add_column(name, justify="left" if name == "class" else "right")
    for found in classes:
        cells = [str(found["label"])]
        for name in ("precision", "recall"):
            value = found[name]
            cells += [
                "?" if value is None else f"{value:.1%}",
                _between(found[f"{name}_low"], found[f"{name}_high"]),
            ]
        table.add_row(*cells, f"{found['labels']:,}")
    console.print(table, highlight=False)


def _between(low: float, high: float) -> str:
    return f"{low:.1%} to {high:.1%}"
