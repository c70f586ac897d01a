"""Conformance suites: what `stream_al` promises of a plug-in, checked on yours.

Each is a function that returns nothing when all is well, and raises AssertionError with a sentence when a
promise is broken. They are deterministic, and need no test framework.
"""

from stream_al.checks.connector import check_event_source, check_label_source, check_sink
from stream_al.checks.store import check_store
from stream_al.checks.strategy import check_strategy

__all__ = ["check_event_source", "check_label_source", "check_sink", "check_store", "check_strategy"]
