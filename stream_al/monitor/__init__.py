"""What is known of the running model: how accurate and calibrated it is, whether that is enough, and whether all changes."""

from stream_al.monitor.accuracy import Accuracy, Report
from stream_al.monitor.calibration import Bin, Calibration
from stream_al.monitor.confusion import ClassEstimate
from stream_al.monitor.drift import Alarm, Drift, DriftRules
from stream_al.monitor.enough import ConfidentEnough
from stream_al.monitor.logged import LogMonitors
from stream_al.monitor.stretch import Estimate

__all__ = [
    "Accuracy",
    "Alarm",
    "Bin",
    "Calibration",
    "ClassEstimate",
    "ConfidentEnough",
    "Drift",
    "DriftRules",
    "Estimate",
    "LogMonitors",
    "Report",
]
