"""Replays: a labelled stream, several query strategies side by side, and what each would have achieved.

A replay runs the very worker that runs in production, with a simulated oracle in the place of people. Nothing
in it depends on a clock or a generator: the same input and options give the same results, to the last byte.
"""

from stream_al.replay.comparison import Comparison
from stream_al.replay.contenders import Contender, matched_random, parse_strategy
from stream_al.replay.counterfactual import Counterfactual, Evidence
from stream_al.replay.oracle import SimulatedOracle
from stream_al.replay.outcome import Outcome
from stream_al.replay.rerun import Rerun, reproduce, run_otherwise
from stream_al.replay.run import Trial, replay
from stream_al.replay.stream import LabelledStream

__all__ = [
    "Comparison",
    "Contender",
    "Counterfactual",
    "Evidence",
    "LabelledStream",
    "Outcome",
    "Rerun",
    "SimulatedOracle",
    "Trial",
    "matched_random",
    "parse_strategy",
    "replay",
    "reproduce",
    "run_otherwise",
]
