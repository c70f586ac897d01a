"""Groups of similar records, and the few of each that stand for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from river import base

from stream_al.draws import Draws
from stream_al.errors import ConfigError
from stream_al.pool.vectors import Vectors


@dataclass(frozen=True, slots=True)
class Group:
    """Records that are like each other, by their places in the pool.

    ``representatives`` are to be labelled: first the medoid, then those farthest from the ones before.
    """

    representatives: tuple[int, ...]
    members: tuple[int, ...]


def grouped(
    found: Vectors, count: int, *, clusterer: base.Clusterer | None = None, key: str = "stream_al"
) -> list[Group]:
    """Group a pool, and choose so many representatives in all.

    By default there are as many groups as representatives: scikit-learn's ``MiniBatchKMeans`` (Sculley 2010) over
    the vectors. The representative is the medoid for squared distances, which is the member nearest to the mean. Where
    a clusterer makes fewer groups, the larger ones get more representatives, by farthest-first traversal (Gonzalez 1985),
    so that they show how far the group reaches.

    Parameters
    ----------
    found
        The pool; see `vectors`.
    count
        How many records people are to label.
    clusterer
        A River clusterer to use instead. It learns the records one by one, and then says which are alike.
    key
        Seeds the clustering.

    Returns
    -------
    list of Group
        The largest first.

    Raises
    ------
    ConfigError
        When ``count`` is none that can be chosen, or scikit-learn is missing.

    Examples
    --------
    >>> import numpy as np
    >>> pool = np.array([[0.0], [0.1], [0.2], [9.0], [9.0]])
    >>> [(group.representatives, group.members) for group in grouped(pool, 2)]
    [((1,), (0, 1, 2)), ((3,), (3, 4))]
    """
    if not 1 <= count <= len(found):
        raise ConfigError(f"--count {count}: give a number from 1 to {len(found):,}, the number of records")
    told = _by_river(found, clusterer) if clusterer is not None else _by_k_means(found, count, key)
    places: dict[Any, list[int]] = defaultdict(list)
    for place, name in enumerate(told):
        places[name].append(place)
    members = sorted(places.values(), key=lambda group: (-len(group), group[0]))[:count]
    shares = _shares([len(group) for group in members], count)
    return [
        Group(_representatives(found, group, share), tuple(group))
        for group, share in zip(members, shares, strict=True)
    ]


def _by_k_means(found: Vectors, count: int, key: str) -> list[int]:
    try:
        from sklearn.cluster import MiniBatchKMeans
    except ImportError:
        raise ConfigError(
            "grouping needs scikit-learn: pip install 'stream-al[pool]'; or give a River clusterer"
        ) from None
    seed = int(Draws(key, "groups")("seed") * 2**31)
    made = MiniBatchKMeans(n_clusters=count, n_init=3, random_state=seed)
    return [int(label) for label in made.fit_predict(found)]


def _by_river(found: Vectors, clusterer: base.Clusterer) -> list[int]:
    made: Any = clusterer.clone()
    rows = [dict(enumerate(row.tolist())) for row in found]
    for row in rows:
        made.learn_one(row)
    return [made.predict_one(row) for row in rows]


def _shares(sizes: Sequence[int], count: int) -> list[int]:
    """Divide representatives: one each, then one by one to the group with most members for each."""
    shares = [1] * len(sizes)
    for _ in range(count - len(sizes)):
        free = [place for place, size in enumerate(sizes) if shares[place] < size]
        if not free:  # records of groups that were left out, and there is no more to choose from
            break
        shares[max(free, key=lambda place: (sizes[place] / shares[place], -place))] += 1
    return shares


def _representatives(found: Vectors, members: Sequence[int], count: int) -> tuple[int, ...]:
    rows = found[np.asarray(members)]
    nearest = int(np.argmin(_squares(rows, rows.mean(axis=0))))
    chosen, distance = [nearest], _squares(rows, rows[nearest])
    while len(chosen) < count:
        distance[chosen] = -1.0  # of equals none twice
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, _squares(rows, rows[chosen[-1]]))
    return tuple(members[place] for place in chosen)


def _squares(rows: Vectors, point: Vectors) -> npt.NDArray[np.float64]:
    return np.asarray(((rows - point) ** 2).sum(axis=1))
