"""How a pipeline stands, in words and numbers: what `run` ends with and `status` shows."""

from __future__ import annotations

from typing import Any

from msgspec import convert
from rich.console import Console
from rich.table import Table

from stream_al.cli.accuracy import accuracy_summary, show_accuracy
from stream_al.codec import decode_json
from stream_al.labels import OUTCOMES
from stream_al.monitor import Alarm
from stream_al.ports import Progress
from stream_al.reliability import Standing, standings_of, told_of
from stream_al.strategies import NOT_ASKABLE


def summary(progress: Progress, open_queries: int, target: float | None = None) -> dict[str, Any]:
    """Return the numbers, for ``--json`` and for `show`; ``target`` is ``[strategy] stop_at``."""
    groups: dict[str, dict[str, int]] = {"asked": {}, "blocked": {}, "label": {}, "dead": {}}
    for name, count in progress.counts.items():
        group, _, detail = name.partition(":")
        if detail:
            groups[group][detail] = count
    asked = sum(groups["asked"].values())
    measured = progress.counts.get("measured", 0)
    return {
        "events": progress.events,
        "asked": asked,
        "asked_share": asked / progress.events if progress.events else 0.0,
        "asked_by_reason": groups["asked"],
        "blocked_by_reason": groups["blocked"],
        "open": open_queries,
        "labels": progress.labels,
        "labels_by_outcome": groups["label"],
        "examples": progress.examples,
        "propagated": progress.counts.get("propagated", 0),
        "dead_letters": sum(groups["dead"].values()),
        "dead_letters_by_reason": groups["dead"],
        "prequential_accuracy": progress.counts.get("correct", 0) / measured if measured else None,
        "accuracy": accuracy_summary(progress, target),
        "drift": _drift(progress),
        "annotators": [one._asdict() for one in standings_of(progress.desk)],
    }


def _drift(progress: Progress) -> dict[str, Any] | None:
    if progress.drift is None:
        return None
    kept = decode_json(progress.drift.encode())
    recent = [convert(alarm, Alarm) for alarm in kept["recent"]]
    alarms = [{**alarm, "text": told.text()} for alarm, told in zip(kept["recent"], recent, strict=True)]
    return {"alarms": sum(kept["counts"].values()), "by": kept["counts"], "recent": alarms}


def show(found: dict[str, Any], console: Console) -> None:
    """Print a summary as a table."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    table.add_row("events answered", f"{found['events']:,}", "one prediction each")
    share = f"{found['asked_share']:.2%} of the events: {_parts(found['asked_by_reason'])}"
    table.add_row("asked", f"{found['asked']:,}", share if found["asked"] else "")
    if found["blocked_by_reason"]:
        told = {
            "already-asked": "their id has a query",
            "queue-full": "max_open queries were open",
            "window": "collected, to choose representatives",
            "grouped": "like an open query, whose answer they wait for",
            **NOT_ASKABLE,
        }
        why = ", ".join(f"{count:,} {told[name]}" for name, count in found["blocked_by_reason"].items())
        table.add_row("not askable", f"{sum(found['blocked_by_reason'].values()):,}", why)
    table.add_row("open", f"{found['open']:,}", "queries waiting for people")
    table.add_row("labels received", f"{found['labels']:,}", _parts(found["labels_by_outcome"]))
    propagated = (
        f"; {found['propagated']:,} of them propagated to near-duplicates" if found["propagated"] else ""
    )
    table.add_row("examples learned", f"{found['examples']:,}", f"the model's version{propagated}")
    if found["dead_letters"]:
        table.add_row("dead letters", f"{found['dead_letters']:,}", _parts(found["dead_letters_by_reason"]))
    if found["prequential_accuracy"] is not None:
        table.add_row(
            "accuracy, true", f"{found['prequential_accuracy']:.2%}", "on all events, each before its label"
        )
    if found.get("digest"):
        table.add_row("digest", "", found["digest"])
    console.print(table)
    if found["accuracy"] is not None and found["events"]:
        show_accuracy(found["accuracy"], console)
    if found["drift"] is not None:
        by = f" ({_parts(found['drift']['by'])})" if found["drift"]["by"] else ""
        console.print(f"drift alarms since the start: {found['drift']['alarms']:,}{by}", highlight=False)
        for alarm in found["drift"]["recent"][-3:]:
            console.print(f"  {alarm['text']}", style="dim", highlight=False)
    for person in found["annotators"]:
        if person["distrusted"]:
            text = f"annotator: {told_of(Standing(**person))}"
            console.print(text, style="yellow", highlight=False, markup=False)
    if found.get("webhooks") is not None:
        _show_webhooks(found["webhooks"], console)
    for outcome, count in found["labels_by_outcome"].items():
        if outcome not in ("example", "waiting"):
            console.print(
                f"  {count:,} × {outcome}: {OUTCOMES.get(outcome, 'see the dead letters')}", style="dim"
            )


def _show_webhooks(found: dict[str, Any], console: Console) -> None:
    failing = found["failing"]
    told = f"webhooks: {found['waiting']:,} to be sent, {found['given_up']:,} given up"
    if failing is not None:
        told += (
            f"; the first failed {failing['attempts']:,} times ({failing['error']}) and is tried again in "
            f"{failing['seconds_to_next']:,.0f} s"
        )
    console.print(told, highlight=False, markup=False)
    for message in found["last_given_up"]:
        text = f"  given up: {message['id']} ({message['type']}), {message['attempts']:,} attempts: {message['error']}"
        console.print(text, style="dim", highlight=False, markup=False)


def _parts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())
