"""stream_al: online active learning on streams.

A model answers every event at once and asks people for the few labels that teach it most; their answers
come back later, and each is learned exactly once.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from stream_al.learner import ActiveLearner, Processed, Taught
    from stream_al.model import Model
    from stream_al.monitor import Accuracy, Calibration, ConfidentEnough, Drift, DriftRules, LogMonitors
    from stream_al.records import Amendment, DeadLetter, Event, Example, Label, Prediction, Query
    from stream_al.strategies import (
        AnyOf,
        Apart,
        Balanced,
        Budgeted,
        ColdStart,
        Decision,
        Entropy,
        Guard,
        Importance,
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
else:
    _HOMES = {
        "amendments": "ListedLog",
        "desk_rules": "DeskRules",
        "errors": "BrokerError ConfigError ModelError RecordError ServiceError SnapshotError "
        "SourceError StoreBusyError StoreError StreamALError",
        "groups": "GroupRules",
        "labels": "LabelDesk",
        "learner": "ActiveLearner Processed Taught",
        "model": "Model",
        "monitor": "Accuracy Calibration ConfidentEnough Drift DriftRules LogMonitors",
        "records": "Amendment DeadLetter Event Example Label Prediction Query",
        "strategies": "AnyOf Apart Balanced Budgeted ColdStart Decision Entropy Guard Importance LeastConfidence Limited "
        "Margin QueryStrategy Quota Random Reserve Selective VariableUncertainty",
        "uncertainty": "Scores",
    }
    _HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

    def __getattr__(name: str) -> Any:
        """Import a name when it is asked for (PEP 562): the core takes a sixth of a second, with River one and 70 MB."""
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
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
    "Guard",
    "Importance",
    "Label",
    "LabelDesk",
    "LeastConfidence",
    "Limited",
    "ListedLog",
    "LogMonitors",
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
