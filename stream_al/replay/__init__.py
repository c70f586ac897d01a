"""Replays: a labelled stream, query strategies side by side, and what each would have achieved.

A replay runs the very learner that runs in production, with a simulated oracle in the place of people. Nothing
in it depends on a clock or a generator: the same input and options give the same results, to the last byte, in
whatever number of processes.
"""

from stream_al.replay.compare import compare
from stream_al.replay.comparison import Comparison
from stream_al.replay.contenders import Contender, contender, matched_random, parse_strategy
from stream_al.replay.counterfactual import Counterfactual, Evidence
from stream_al.replay.group import Estimate, Group
from stream_al.replay.latency import Clock, Latency, WorkingHours
from stream_al.replay.measures import MEASURES, by_class, measures
from stream_al.replay.oracle import SimulatedOracle
from stream_al.replay.outcome import Outcome
from stream_al.replay.people import Annotator, Crowd
from stream_al.replay.plan import Cell, Entry, Plan, entries
from stream_al.replay.pool import run_plan
from stream_al.replay.rerun import Rerun, reproduce, run_otherwise
from stream_al.replay.rounds import Rounds, RoundsOutcome, run_rounds
from stream_al.replay.run import Trial, replay
from stream_al.replay.stream import LabelledStream
from stream_al.replay.tune import Tuned, tune

__all__ = [
    "MEASURES",
    "Annotator",
    "Cell",
    "Clock",
    "Comparison",
    "Contender",
    "Counterfactual",
    "Crowd",
    "Entry",
    "Estimate",
    "Evidence",
    "Group",
    "LabelledStream",
    "Latency",
    "Outcome",
    "Plan",
    "Rerun",
    "Rounds",
    "RoundsOutcome",
    "SimulatedOracle",
    "Trial",
    "Tuned",
    "WorkingHours",
    "by_class",
    "compare",
    "contender",
    "entries",
    "matched_random",
    "measures",
    "parse_strategy",
    "replay",
    "reproduce",
    "run_otherwise",
    "run_plan",
    "run_rounds",
    "tune",
]
