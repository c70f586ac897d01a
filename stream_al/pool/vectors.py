"""From features to vectors, in which near means similar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from river import base
from river.compose import Pipeline

from stream_al.errors import RecordError
from stream_al.records import Features

Vectors = npt.NDArray[np.float64]
Embed = Callable[[Features], "Features | Sequence[float]"]
"""Returns what a record is to be compared by: other features, or numbers in a fixed order."""


def embedded(transformer: base.Transformer | Pipeline, records: Sequence[Features]) -> Embed:
    """Return a River transformer (or pipeline of them) as an embedding, after it has learned all records."""
    learn: Any = transformer.learn_one
    transform: Any = transformer.transform_one
    for features in records:
        learn(dict(features))

    def embed(features: Features) -> Features:
        return transform(dict(features))  # type: ignore[no-any-return]

    return embed


def vectors(records: Sequence[Features], embed: Embed | None = None) -> Vectors:
    """Return one row for each record.

    Numbers and truth values are standardised; a number that a record lacks is 0 before that, which is what it is to
    River's linear models, and what it means in sparse features such as words. Each text becomes a column of its own, 1
    where a record has it. An embedding that returns numbers in a fixed order is taken as it is.

    Parameters
    ----------
    records
        The features of each.
    embed
        What they are compared by; the features themselves, when not given.

    Returns
    -------
    array of shape (records, columns)

    Raises
    ------
    RecordError
        When an embedding has no numbers, not the same number of them everywhere, or some that are not finite.

    Examples
    --------
    >>> vectors([{"x": 1.0, "kind": "a"}, {"x": 3.0, "kind": "b"}]).tolist()
    [[1.0, 0.0, -1.0], [0.0, 1.0, 1.0]]
    """
    told = [features if embed is None else embed(features) for features in records]
    if told and not hasattr(told[0], "items"):
        return _as_given(told)
    columns = sorted({column(name, value) for row in told for name, value in row.items()})  # type: ignore[union-attr]
    place = {column: number for number, column in enumerate(columns)}
    found = np.zeros((len(told), len(columns)))
    for row, features in zip(found, told, strict=True):
        for name, value in features.items():  # type: ignore[union-attr]
            row[place[column(name, value)]] = 1.0 if isinstance(value, str) else float(value)
    numbers = [text == "" for _, text in columns]
    spread = found[:, numbers].std(axis=0)
    found[:, numbers] = (found[:, numbers] - found[:, numbers].mean(axis=0)) / np.where(
        spread > 0.0, spread, 1.0
    )
    return found


def column(name: str, value: object) -> tuple[str, str]:
    """Return the column that a feature's value stands in: a text has one of its own."""
    return (name, f"={value}") if isinstance(value, str) else (name, "")


def _as_given(told: Sequence[Any]) -> Vectors:
    width = len(told[0])
    for number, row in enumerate(told):
        if len(row) != width or not width:
            raise RecordError(
                "unusable-embedding",
                f"record {number + 1}: its embedding has {len(row)} numbers, the first has {width}; return equally many",
            )
    found = np.asarray(told, dtype=np.float64)
    if not np.isfinite(found).all():
        number = int(np.flatnonzero(~np.isfinite(found).all(axis=1))[0])
        raise RecordError(
            "unusable-embedding",
            f"record {number + 1}: its embedding has numbers that are not finite; return finite ones",
        )
    return found
