"""What is propagated follows what people say: to whom a label goes, and how it is withdrawn.

It is all in the log: an example that is propagated names the event whose label it has, and what people said of a group
are the other examples of its events. So nothing need be remembered of a group but which events are in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from stream_al.amendments import Continued, ExampleLog
from stream_al.groups import Groups, MemberState, features_of
from stream_al.model import Model
from stream_al.records import Amendment, ClassLabel, Example, LoggedExample, LogRecord


def follow(
    groups: Groups,
    event_id: str,
    record: LogRecord | None,
    model: Model,
    log: ExampleLog | None,
) -> list[LogRecord]:
    """Let a group follow what was just said of one of its events; return the records that the log grows by.

    Parameters
    ----------
    groups
        Who is in which group.
    event_id
        The event.
    record
        What was said, which the model has folded already; None when somebody only split the group.
    model
        It folds what is returned.
    log
        The log, without ``record``. None where none is kept: what was propagated then stays as it is.
    """
    made: list[LogRecord] = [] if record is None else [record]
    view = None if log is None else Continued(log, model.version - len(made), made)
    representative, rows = groups.of(event_id)
    taught = any(row.status == "taught" for row in rows)
    answer = None if isinstance(record, Amendment) else record
    if answer is not None and (waiting := groups.answered(event_id)):
        checked = any(row.status == "check" for row in rows)
        agree = view is None or not checked or _said(representative, rows, view).label is not None
        groups.settle(waiting, "taught" if agree else "dropped")
        for member in waiting if agree else ():
            example = _propagated(member, answer, groups.rules.weight)
            model.learn(example)
            made.append(example)
    if taught and view is not None:
        for amendment in withdrawals(representative, rows, view, record):
            model.amend(amendment, view)
            made.append(amendment)
    return made if record is None else made[1:]


def _propagated(member: MemberState, source: LoggedExample, weight: float) -> Example:
    return Example(
        event_id=member.event_id,
        features=features_of(member),
        label=source.label,
        weight=weight,
        labelled_at=source.labelled_at,
        propagated_from=source.event_id,
    )


class _Said(NamedTuple):
    """What people say of a group, and what was propagated in it."""

    label: ClassLabel | None
    """The label that all agree on; None when they do not, or the one asked about has none."""
    alone: frozenset[str]
    """Events that have a label of their own, or had."""
    taken: list[tuple[int, str, ClassLabel | None]]
    """Number, event and label of the examples that were propagated, but for those that somebody decided about."""


def _said(representative: str, rows: Iterable[MemberState], log: ExampleLog) -> _Said:
    events = {representative, *(row.event_id for row in rows)}
    own: dict[str, tuple[int, ClassLabel | None]] = {}
    taken: dict[int, tuple[str, ClassLabel | None]] = {}
    for number, record in enumerate(log.examples()):
        if record is None or record.event_id not in events:
            continue
        event_id = record.event_id
        if not isinstance(record, Amendment):
            if record.propagated_from is None:
                own[event_id] = (number, record.label)
            elif record.propagated_from == representative:
                taken[number] = (event_id, record.label)
        elif event_id in own and record.amends in (None, own[event_id][0]):
            own[event_id] = (own[event_id][0], record.label)
        elif record.amends in taken:
            if record.propagated_from is None:
                del taken[record.amends]  # somebody decided about this one itself
            else:
                taken[record.amends] = (event_id, record.label)
    labels = [label for _, label in own.values() if label is not None]
    first = own.get(representative, (0, None))[1]
    agree = first is not None and all(type(label) is type(first) and label == first for label in labels)
    return _Said(
        first if agree else None,
        frozenset(own),
        [(number, event_id, label) for number, (event_id, label) in taken.items()],
    )


def withdrawals(
    representative: str, rows: Iterable[MemberState], log: ExampleLog, cause: LogRecord | None = None
) -> list[Amendment]:
    """Return the amendments by which what was propagated in a group is what people say of it now.

    All propagated examples of the group get the label that people agree on; where they do not, or the group was split,
    they are erased. An example that somebody amended or erased himself stays as he left it.

    Parameters
    ----------
    representative, rows
        The group, as `Groups.of` returns it.
    log
        All that was folded.
    cause
        The record because of which this is done; names who and when.

    Examples
    --------
    >>> from stream_al.amendments import ListedLog
    >>> log = ListedLog(
    ...     [
    ...         Example(event_id="e1", features={"x": 1.0}, label="ham"),
    ...         Example(event_id="e2", features={"x": 1.0}, label="ham", weight=0.5, propagated_from="e1"),
    ...         Example(event_id="e3", features={"x": 1.0}, label="spam"),
    ...     ]
    ... )
    >>> rows = [MemberState("e2", "e1", "taught", 1, ""), MemberState("e3", "e1", "check", 2, "")]
    >>> [(made.event_id, made.amends, made.erases, made.why) for made in withdrawals("e1", rows, log)]
    [('e2', 1, True, "people's labels in the group of e1 differ")]
    """
    rows = list(rows)
    said = _said(representative, rows, log)
    split = any(row.status == "split" for row in rows)
    made = []
    for number, event_id, label in said.taken:
        wanted = None if split or event_id in said.alone else said.label
        if type(wanted) is type(label) and wanted == label:
            continue
        why = f"people's labels in the group of {representative} differ"
        if event_id in said.alone:
            why = "it was labelled itself"
        elif split:
            why = f"the label of {representative} is of that event alone"
        elif wanted is not None:
            why = f"follows the label of {representative}"
        who = cause.by if isinstance(cause, Amendment) else next(iter(cause.annotators), "") if cause else ""
        made.append(
            Amendment(
                event_id=event_id,
                amends=number,
                label=wanted,
                why=why,
                by=who or "anonymous",
                timestamp=None if cause is None else _when(cause),
                propagated_from=representative,
            )
        )
    return made


def _when(cause: LogRecord) -> datetime | None:
    return cause.timestamp if isinstance(cause, Amendment) else cause.labelled_at
