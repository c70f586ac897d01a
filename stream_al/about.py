"""What a strategy may know of the event itself, besides the model's answer to it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from stream_al.records import FeatureValue

if TYPE_CHECKING:
    from stream_al.codec import EventRow
    from stream_al.uncertainty import Scores

Look = Callable[[Mapping[str, FeatureValue], "Scores", Collection[str]], "Scores"]
"""From features, their scores and what is wanted to the scores with it: `Model.look`."""


def _blind(features: Mapping[str, FeatureValue], scores: Scores, wants: Collection[str]) -> Scores:
    return scores


class About(NamedTuple):
    """One event, for strategies that decide about more than scores (`QueryStrategy.looks`)."""

    event: EventRow
    oldest: datetime | None = None
    """When the oldest open query was asked, by its event's timestamp."""
    look: Look = _blind
    """Tells what only the model knows of it; costs as much as an answer, so look where it matters only."""
