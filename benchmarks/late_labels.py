"""What might help where labels are late, tried on the tuning half of the streams: none of it is in the default.

    python benchmarks/late_labels.py --data DIR [--delays 100,500,2000] [--seeds 2] [--learner linear] [--half confirm]

Points of accuracy over the default (`label_efficiency.py`, which says how they are measured), in the mean and on each
stream. What is tried:

- *explore*, *burst*, *cold start*, *selective*, *apart*, *balanced*: other settings and strategies of ours.
- *spread*: for so many events after a query, no event is asked about for being doubtful.
- *open queries*: while as many are open as the budget earns in the time an answer takes, likewise.
- *pending as predicted*, *as probable*: doubts are those of a second model, which has learned the open queries too, each
  with the class predicted when it was asked, or with every class by its probability. That is the simulation of Pham,
  Kottke, Krempl & Sick (2022), "Stream-based active learning for sliding windows under the influence of verification
  latency", Machine Learning 111, doi 10.1007/s10994-021-06099-z; what they forget, with a sliding window, our learners
  do not keep.
"""

from __future__ import annotations

import argparse
import copy
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from statistics import fmean
from typing import Final, NamedTuple

import msgspec
from efficiency_streams import LEARNERS, Row, Stream, streams
from efficiency_tables import markdown
from label_efficiency import words
from rich.console import Console
from rich.progress import track

from stream_al import Apart, Balanced, Budgeted, ColdStart, Model, QueryStrategy, Scores, Selective
from stream_al.draws import Draws
from stream_al.errors import RecordError
from stream_al.records import Example
from stream_al.replay.contenders import default_cold_start, most_while_late

Make = Callable[[float, int], QueryStrategy]
"""From budget and delay to what follows the cold start."""
DEFAULT: Final = "default"


@dataclass(frozen=True)
class Tried:
    """One thing to try; the defaults are the default."""

    make: Make = lambda budget, delay: Budgeted(budget)
    cold_start: int = 50
    asks: int | None = None
    """How many queries a cold start asks at most, where not as many as may be."""
    gap: int = 0
    open_most: float = inf
    """As a share of what the budget earns in the time an answer takes."""
    pending: str = ""


TRIED: Final = {
    DEFAULT: Tried(),
    "explore 0": Tried(lambda budget, delay: Budgeted(budget, explore=0.0)),
    "explore 25 %": Tried(lambda budget, delay: Budgeted(budget, explore=budget / 4)),
    "explore 50 %": Tried(lambda budget, delay: Budgeted(budget, explore=budget / 2)),
    "burst 5": Tried(lambda budget, delay: Budgeted(budget, burst=5)),
    "burst 60": Tried(lambda budget, delay: Budgeted(budget, burst=60)),
    "cold start 10": Tried(cold_start=10),
    "cold start 10 only": Tried(cold_start=10, asks=10),
    "selective": Tried(lambda budget, delay: Selective(budget)),
    "balanced": Tried(lambda budget, delay: Balanced(budget)),
    "apart": Tried(lambda budget, delay: Apart(Budgeted(budget), max(1, delay))),
    "spread over 3": Tried(gap=3),
    "spread over 9": Tried(gap=9),
    "open queries": Tried(open_most=1.0),
    "pending as predicted": Tried(pending="predicted"),
    "pending as probable": Tried(pending="probable"),
}


class Open(NamedTuple):
    """A query on its way."""

    arrives: int
    row: Row
    predicted: Sequence[tuple[str, float]]
    """Classes, and how much each counts until the answer is there."""


def learned(model: Model, features: dict[str, float], label: str, weight: float = 1.0) -> None:
    model.learn(Example.model_construct(event_id="", features=dict(features), label=label, weight=weight))


def with_pending(model: Model, waiting: deque[Open]) -> Model:
    """Return the model as it would be if the open queries were answered as expected."""
    model._tail = []  # what it would undo with: nothing is undone here, and a copy of it would take most of the time
    made = copy.deepcopy(model)
    for query in waiting:
        for label, weight in query.predicted:
            learned(made, query.row[0], label, weight)
    return made


def expected(scores: Scores, pending: str) -> list[tuple[str, float]]:
    """Return the classes that an open query is learned with; none while the model knows fewer than two."""
    if not pending or scores.classes < 2:
        return []
    if pending == "predicted":
        return [(str(scores.label), 1.0)]
    return [(label, share) for label, share in scores.probabilities.items() if share > 0.02]


def accuracy(tried: Tried, learner: str, stream: Stream, seed: int, delay: int, budget: float) -> float:
    """Return the accuracy of one run in percent."""
    rows = stream.rows(seed if stream.seeded else 0)[: LEARNERS[learner].events]
    examples = min(tried.cold_start, default_cold_start(len(rows), budget))
    asks = most_while_late(examples, budget, len(rows)) if tried.asks is None else tried.asks
    strategy = ColdStart(tried.make(budget, delay), examples, asks=asks)
    model = Model(LEARNERS[learner].make(stream), checkpoint_every=10**9)
    draws = Draws(f"{stream.name} {seed}").all([str(number) for number in range(len(rows))])
    state, wants = strategy.start(), strategy.wants()
    waiting: deque[Open] = deque()
    imagined: Model | None = None
    right, last = 0, -(10**9)
    for number, row in enumerate(rows):
        answered = False
        while waiting and waiting[0].arrives < number:
            learned(model, *waiting.popleft().row)
            answered = True
        if tried.pending and answered:
            imagined = with_pending(model, waiting)
        (scores,) = model.score_all([row[0]], wants)
        assert not isinstance(scores, RecordError)
        right += scores.label == row[1]
        shown = scores
        if imagined is not None:
            (doubts,) = imagined.score_all([row[0]])
            assert not isinstance(doubts, RecordError)
            shown = msgspec.structs.replace(doubts, version=scores.version, classes=scores.classes)
        full = len(waiting) >= tried.open_most * budget * delay
        if scores.classes > 1 and (full or number - last <= tried.gap):
            shown = scores.as_if_sure()
        decision, state = strategy.decide(shown, state, draws[number])
        if decision.ask:
            last = number
            waiting.append(Open(number + delay, row, expected(scores, tried.pending)))
            if imagined is not None:
                for label, weight in waiting[-1].predicted:
                    learned(imagined, row[0], label, weight)
    return 100.0 * right / len(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of electricity.csv.gz")
    parser.add_argument("--delays", type=lambda text: [int(d) for d in words(text)], default=[100, 500, 2000])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--learner", choices=[*LEARNERS], default="linear")
    parser.add_argument("--budget", type=float, default=0.1)
    parser.add_argument("--half", choices=["tune", "confirm"], default="tune", help="of the streams")
    parser.add_argument("--tried", type=words, default=[*TRIED], help="all, unless told")
    options = parser.parse_args()
    found = [
        stream
        for stream in streams(options.data).values()
        if stream.half == options.half and stream.name in LEARNERS[options.learner].streams
    ]
    found.sort(key=lambda stream: stream.name)
    names = [DEFAULT, *(name for name in options.tried if name != DEFAULT)]
    jobs = [(name, delay) for name in names for delay in options.delays]
    reached: dict[tuple[str, int], list[float]] = {}
    for name, delay in track(jobs, console=Console(stderr=True), description=""):
        reached[name, delay] = [
            fmean(
                accuracy(TRIED[name], options.learner, stream, seed, delay, options.budget)
                for seed in range(options.seeds)
            )
            for stream in found
        ]
    rows = []
    for name in names[1:]:
        cells = []
        for delay in options.delays:
            gains = [
                mine - its for mine, its in zip(reached[name, delay], reached[DEFAULT, delay], strict=True)
            ]
            cells.append(f"{fmean(gains):+.2f} ({', '.join(f'{gain:+.1f}' for gain in gains)})")
        rows.append([name, *cells])
    over = f"{options.seeds} {'seed' if options.seeds == 1 else 'seeds'}"
    names_of = ", ".join(stream.name for stream in found)
    title = f"Points over the default, budget {options.budget:.0%}, {over}: mean ({names_of})"
    print(markdown(title, ["tried", *(f"{delay:,} events late" for delay in options.delays)], rows))


if __name__ == "__main__":
    main()
