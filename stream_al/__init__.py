"""stream_al: online active learning on streams.

A model answers every event at once and asks people for the few labels that teach it most; their answers
come back later, and each is learned exactly once.
"""

from stream_al.desk_rules import DeskRules
from stream_al.errors import (
    BrokerError,
    ConfigError,
    ModelError,
    RecordError,
    SnapshotError,
    SourceError,
    StoreBusyError,
    StoreError,
    StreamALError,
)
from stream_al.labels import LabelDesk
from stream_al.learner import ActiveLearner, Processed, Taught
from stream_al.model import Model
from stream_al.monitor import Accuracy, Calibration, ConfidentEnough
from stream_al.records import DeadLetter, Event, Example, Label, Prediction, Query
from stream_al.strategies import (
    AnyOf,
    Budgeted,
    ColdStart,
    Decision,
    Entropy,
    LeastConfidence,
    Margin,
    QueryStrategy,
    Random,
    Selective,
    VariableUncertainty,
)
from stream_al.uncertainty import Scores

__version__ = "0.1.0"

__all__ = [
    "Accuracy",
    "ActiveLearner",
    "AnyOf",
    "BrokerError",
    "Budgeted",
    "Calibration",
    "ColdStart",
    "ConfidentEnough",
    "ConfigError",
    "DeadLetter",
    "Decision",
    "DeskRules",
    "Entropy",
    "Event",
    "Example",
    "Label",
    "LabelDesk",
    "LeastConfidence",
    "Margin",
    "Model",
    "ModelError",
    "Prediction",
    "Processed",
    "Query",
    "QueryStrategy",
    "Random",
    "RecordError",
    "Scores",
    "Selective",
    "SnapshotError",
    "SourceError",
    "StoreBusyError",
    "StoreError",
    "StreamALError",
    "Taught",
    "VariableUncertainty",
]
