"""stream_al: online active learning on streams.

A model answers every event at once and asks people for the few labels that teach it most; their answers
come back later, and each is learned exactly once.
"""

import importlib
from typing import TYPE_CHECKING, Any

from stream_al.amendments import ListedLog
from stream_al.desk_rules import DeskRules
from stream_al.errors import (
    BrokerError,
    ConfigError,
    ModelError,
    RecordError,
    ServiceError,
    SnapshotError,
    SourceError,
    StoreBusyError,
    StoreError,
    StreamALError,
)
from stream_al.groups import GroupRules
from stream_al.labels import LabelDesk
from stream_al.monitor import Accuracy, Calibration, ConfidentEnough, Drift, DriftRules
from stream_al.records import Amendment, DeadLetter, Event, Example, Label, Prediction, Query
from stream_al.strategies import (
    AnyOf,
    Apart,
    Balanced,
    Budgeted,
    ColdStart,
    Decision,
    Entropy,
    LeastConfidence,
    Limited,
    Margin,
    QueryStrategy,
    Quota,
    Random,
    Reserve,
    Selective,
    VariableUncertainty,
)
from stream_al.uncertainty import Scores

if TYPE_CHECKING:
    from stream_al.learner import ActiveLearner, Processed, Taught
    from stream_al.model import Model
else:
    _WITH_RIVER = {"ActiveLearner": "learner", "Processed": "learner", "Taught": "learner", "Model": "model"}

    def __getattr__(name: str) -> Any:
        """Import what needs River when it is asked for: 70 MB that no annotator's page wants to carry."""
        if name not in _WITH_RIVER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(f"{__name__}.{_WITH_RIVER[name]}"), name)
        globals()[name] = found
        return found


__version__ = "0.1.0"

__all__ = [
    "Accuracy",
    "ActiveLearner",
    "Amendment",
    "AnyOf",
    "Apart",
    "Balanced",
    "BrokerError",
    "Budgeted",
    "Calibration",
    "ColdStart",
    "ConfidentEnough",
    "ConfigError",
    "DeadLetter",
    "Decision",
    "DeskRules",
    "Drift",
    "DriftRules",
    "Entropy",
    "Event",
    "Example",
    "GroupRules",
    "Label",
    "LabelDesk",
    "LeastConfidence",
    "Limited",
    "ListedLog",
    "Margin",
    "Model",
    "ModelError",
    "Prediction",
    "Processed",
    "Query",
    "QueryStrategy",
    "Quota",
    "Random",
    "RecordError",
    "Reserve",
    "Scores",
    "Selective",
    "ServiceError",
    "SnapshotError",
    "SourceError",
    "StoreBusyError",
    "StoreError",
    "StreamALError",
    "Taught",
    "VariableUncertainty",
]
