"""Events from CSV and JSONL files (plain or ``.gz``) and standard input; labels and outputs in JSONL files.

Guarantee: exactly once. A source's position is committed with the state that came of reading up to it. An
output line is written after the commit it belongs to; a process that dies in between is caught up by the next
one, which cuts the file back to its committed length and appends what the last commit held. (Standard input
cannot be read twice: lines that a killed process had read and not committed are lost.)
"""

from connectors.files.events import CsvEvents, JsonlEvents, event_lines
from connectors.files.jsonl import JsonlLabels, JsonlSink
from connectors.files.lines import FileLines, StdinLines
from stream_al.columns import Columns

__all__ = [
    "Columns",
    "CsvEvents",
    "FileLines",
    "JsonlEvents",
    "JsonlLabels",
    "JsonlSink",
    "StdinLines",
    "event_lines",
]
