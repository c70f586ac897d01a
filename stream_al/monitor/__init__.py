"""What is known about the running model: how accurate it is on all events, how calibrated, and whether that is enough."""

from stream_al.monitor.accuracy import Accuracy, Report
from stream_al.monitor.calibration import Bin, Calibration
from stream_al.monitor.confusion import ClassEstimate
from stream_al.monitor.enough import ConfidentEnough
from stream_al.monitor.stretch import Estimate

__all__ = ["Accuracy", "Bin", "Calibration", "ClassEstimate", "ConfidentEnough", "Estimate", "Report"]
