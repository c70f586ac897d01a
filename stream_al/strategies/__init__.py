"""Query strategies: from a model's answer to the decision whether to ask."""

from stream_al.strategies.apart import Apart
from stream_al.strategies.balanced import Balanced
from stream_al.strategies.base import Decision, QueryStrategy, State, Weigher
from stream_al.strategies.budgeted import Budgeted
from stream_al.strategies.cold_start import ColdStart, while_late
from stream_al.strategies.guard import QUARANTINED, Guard
from stream_al.strategies.importance import Importance
from stream_al.strategies.limits import HELD_BACK, Limited
from stream_al.strategies.quotas import Quota
from stream_al.strategies.random import Random
from stream_al.strategies.reserve import Reserve
from stream_al.strategies.selective import Selective
from stream_al.strategies.threshold import AnyOf, Entropy, LeastConfidence, Margin
from stream_al.strategies.variable import VariableUncertainty

NOT_ASKABLE = {**HELD_BACK, **QUARANTINED}
"""Why a strategy could not ask about an event whatever its draw, by the reason that its prediction gives."""

__all__ = [
    "NOT_ASKABLE",
    "AnyOf",
    "Apart",
    "Balanced",
    "Budgeted",
    "ColdStart",
    "Decision",
    "Entropy",
    "Guard",
    "Importance",
    "LeastConfidence",
    "Limited",
    "Margin",
    "QueryStrategy",
    "Quota",
    "Random",
    "Reserve",
    "Selective",
    "State",
    "VariableUncertainty",
    "Weigher",
    "while_late",
]
