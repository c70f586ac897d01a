"""From the labels of a few to examples of many: a label is good for records near the one it was given to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from stream_al.codec import EventRow
from stream_al.pool.groups import Group
from stream_al.pool.vectors import Vectors
from stream_al.records import ClassLabel, Example


class Propagated(NamedTuple):
    """A label that nobody gave: taken over from a record of the same group."""

    place: int
    label: ClassLabel
    source: int
    """The place of the record that people labelled."""


def propagated(
    groups: Sequence[Group], found: Vectors, labels: Mapping[int, ClassLabel], reach: float = 0.25
) -> list[Propagated]:
    """Return the labels that others of a group may take over.

    In each group the members nearest to a labelled one take over its label: the ``reach`` share of those without one.
    A group in which people's labels differ takes over nothing, so a label that disagrees withdraws what was propagated.

    Parameters
    ----------
    groups, found
        As `grouped` made them, and the vectors it was given.
    labels
        By the place of the record; of representatives, and of any others that people labelled.
    reach
        A share from 0 to 1.

    Returns
    -------
    list of Propagated
        In the order of the pool.

    Examples
    --------
    >>> import numpy as np
    >>> from stream_al.pool.groups import grouped
    >>> pool = np.array([[0.0], [0.1], [0.5], [9.0], [9.1]])
    >>> groups = grouped(pool, 2)
    >>> propagated(groups, pool, {1: "a", 3: "b"}, reach=0.5)
    [Propagated(place=0, label='a', source=1), Propagated(place=4, label='b', source=3)]
    >>> propagated(groups, pool, {1: "a", 0: "b", 3: "b"}, reach=0.5)  # two answers in the first group
    [Propagated(place=4, label='b', source=3)]
    """
    if not 0.0 <= reach <= 1.0:
        raise ValueError(f"reach = {reach!r}: must be from 0 to 1")
    taken: list[Propagated] = []
    for group in groups:
        known = [place for place in group.members if place in labels]
        rest = np.array([place for place in group.members if place not in labels], dtype=int)
        if not known or not len(rest) or len({(type(labels[p]), labels[p]) for p in known}) > 1:
            continue
        squares = ((found[rest][:, None, :] - found[known][None, :, :]) ** 2).sum(axis=2)
        nearest = squares.argmin(axis=1)
        order = np.lexsort((rest, squares.min(axis=1)))[: int(np.ceil(reach * len(rest)))]
        taken += [Propagated(int(rest[at]), labels[known[nearest[at]]], known[nearest[at]]) for at in order]
    return sorted(taken)


def examples(
    rows: Sequence[EventRow],
    labels: Mapping[int, ClassLabel],
    taken: Sequence[Propagated],
    *,
    weight: float = 0.5,
    annotators: Mapping[int, tuple[str, ...]] | None = None,
) -> list[Example]:
    """Return what a model may learn from: what people said, then what was propagated, both in the order of the pool.

    A propagated example names no annotator and has ``propagated_from``, the id of the record whose label it has.

    Parameters
    ----------
    rows
        The pool.
    labels, taken
        What people said, and what was propagated.
    weight
        Of a propagated example, above 0; a label that people gave weighs 1.
    annotators
        Who gave the labels, by place.
    """
    names = annotators or {}
    said = [
        Example(
            event_id=str(rows[place].id),
            features=rows[place].features,
            label=labels[place],
            annotators=names.get(place, ()),
        )
        for place in sorted(labels)
    ]
    return said + [
        Example(
            event_id=str(rows[place].id),
            features=rows[place].features,
            label=label,
            weight=weight,
            propagated_from=str(rows[source].id),
        )
        for place, label, source in taken
    ]
