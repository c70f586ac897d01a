"""The cold-start window: the first events of a stream are grouped before anything is asked.

They are answered at once, as all events are, and kept. When there are enough of them, each group's medoid is asked
about, one after the other, and the nearest of its group wait for the answer (`stream_al.groups`): the model starts
with what a pool would give it (`stream_al.pool`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stream_al.codec import EventRow, decode_json, encode_json
from stream_al.errors import ConfigError
from stream_al.groups import MemberState
from stream_al.pool.groups import grouped
from stream_al.pool.propagation import propagated
from stream_al.pool.vectors import vectors

COLLECTED, PLANNED = "collected", "planned"


def collected(row: EventRow, number: int) -> MemberState:
    """Return an event of the window, whole, as it is kept until it is known who is asked about."""
    event_id = str(row.id)
    return MemberState(event_id, event_id, COLLECTED, number, encode_json(row).decode())


def event_of(member: MemberState) -> dict[str, Any]:
    """Return the event that is kept with a row of the window, by its fields."""
    found: dict[str, Any] = decode_json(member.features.encode())
    return found


def planned(window: Sequence[MemberState], count: int, key: str) -> list[MemberState]:
    """Return what is to become of the events of a window: who is asked about, who waits, and who is let go.

    Parameters
    ----------
    window
        What `collected` returned.
    count
        How many are to be asked about.
    key
        Seeds the clustering.

    Returns
    -------
    list of MemberState
        First those to be asked about, those of the largest groups first.

    Examples
    --------
    >>> values = [0.0, 0.1, 0.3, 9.0, 9.1, 9.3]
    >>> window = [collected(EventRow({"x": x}, f"e{n}"), n) for n, x in enumerate(values)]
    >>> [(row.event_id, row.representative, row.status) for row in planned(window, 2, "key")][:3]
    [('e1', 'e1', 'planned'), ('e4', 'e4', 'planned'), ('e0', 'e1', 'waiting')]
    """
    events = [event_of(member) for member in window]
    points = vectors([event["features"] for event in events])
    groups = grouped(points, min(count, len(window)), key=key)
    asked = [place for group in groups for place in group.representatives]
    waiting = {
        one.place: window[one.source].event_id
        for one in propagated(groups, points, {place: str(place) for place in asked})
    }
    found = [window[place]._replace(status=PLANNED) for place in asked]
    for place, member in enumerate(window):
        if place in waiting:
            features = encode_json(events[place]["features"]).decode()
            found.append(member._replace(representative=waiting[place], status="waiting", features=features))
        elif place not in asked:
            found.append(member._replace(status="dropped", features=""))
    return found


def require_clustering() -> None:
    """Raise ConfigError where scikit-learn is missing, before a stream comes to the end of its window."""
    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise ConfigError(
            "[strategy.cold_start] rule = 'representatives': needs scikit-learn: pip install 'stream-al[pool]'"
        ) from None
