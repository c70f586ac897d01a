"""Running a pipeline: the worker loop, and verifying what it did."""

from stream_al.runtime.worker import Worker, tune_collector

__all__ = ["Worker", "tune_collector"]
