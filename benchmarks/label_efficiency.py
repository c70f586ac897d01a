"""How much accuracy a label buys: our strategies and others', on the same streams, learners and budgets.

    python benchmarks/label_efficiency.py --data DIR [--learners linear,hat] [--seeds 5] [--results rows.jsonl]

Every event is answered before its label is known (prequential accuracy). Labels are learned in the order asked, at
once or ``--delay`` events later, and ``--unanswered`` of them never; nothing else is known of a label before it is
learned. The budget is counted over the whole stream, the cold start and what was never answered included. A gap is the
accuracy minus that of the same learner with all labels (equally late, equally often missing), in points. Beside ours:
every stream strategy of scikit-activeml with its own budget manager, on the same learner, and Vowpal Wabbit's
``--active`` (`efficiency_vw.py`), which brings its own; both are of the extra ``bench``. What was measured is kept in
``--results`` and not measured again, unless our code has changed since (delete its lines); seeds come one after the
other, so the tables can be printed at any time (``--tables-only``), as Markdown; ``--write FILE`` puts them in a document.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from math import log
from pathlib import Path
from typing import Final

from efficiency_streams import LEARNERS, VW, Row, Stream, streams
from efficiency_tables import markdown, tables, written_into
from rich.console import Console
from rich.progress import Progress

from stream_al import (
    Apart,
    Balanced,
    Budgeted,
    ColdStart,
    Importance,
    Model,
    QueryStrategy,
    Random,
    Scores,
    Selective,
    VariableUncertainty,
)
from stream_al.draws import Draws
from stream_al.errors import RecordError
from stream_al.records import Example
from stream_al.replay.contenders import default_cold_start, most_while_late

Decide = Callable[[Scores, Mapping[str, float], float], float]
"""From the answer, the features and a draw to the weight that the label is learned with; 0 does not ask."""
BUDGETS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
_LEAST: Final = 1e-4
"""The least probability that the logarithmic loss is taken of."""
VW_ACTIVE: Final = "VW --active"
ABLE: Final = {
    "expected change": ("linear",),
    "fragility": ("linear",),
    "committee": ("arf",),
    "importance": ("linear", "hat", "ht"),
}
"""Which learners a strategy is for, where not for all."""
PEERS: Final = (
    "PeriodicSampling",
    "FixedUncertainty",
    "VariableUncertainty",
    "RandomVariableUncertainty",
    "Split",
    "StreamRandomSampling",
    "StreamProbabilisticAL",
    "StreamDensityBasedAL",
    "CognitiveDualQueryStrategyRan",
    "CognitiveDualQueryStrategyFixUn",
    "CognitiveDualQueryStrategyVarUn",
    "CognitiveDualQueryStrategyRanVarUn",
)
"""Every query strategy of `skactiveml.stream`, the quick ones first."""


@dataclass(frozen=True)
class Job:
    """One run: everything that decides its result."""

    stream: str
    learner: str
    strategy: str
    budget: float
    seed: int
    delay: int = 0
    unanswered: float = 0.0


def ours(budget: float, events: int) -> dict[str, QueryStrategy]:
    """Return our strategies by name, at this budget; the cold start is that of `stream-al replay`."""
    examples = default_cold_start(events, budget)
    asks = most_while_late(examples, budget, events)

    def started(strategy: QueryStrategy) -> QueryStrategy:
        return ColdStart(strategy, examples, asks=asks)

    return {
        "default": started(Budgeted(budget)),
        "least confidence": started(Budgeted(budget, "least-confidence")),
        "variable": started(VariableUncertainty(budget)),
        "randomised variable": started(VariableUncertainty(budget, spread=1.0)),
        "selective": started(Selective(budget)),
        "importance": started(Importance(budget)),
        "balanced": started(Balanced(budget)),
        "apart": started(Apart(Budgeted(budget))),
        "expected change": started(Budgeted(budget, "expected-change")),
        "fragility": started(Budgeted(budget, "fragility")),
        "committee": started(Budgeted(budget, "committee")),
        "random": Random(budget),
    }


def decider(job: Job, stream: Stream, rows: list[Row]) -> Decide:
    """Return what decides in this job."""
    if job.strategy == "all":
        return lambda scores, features, draw: 1.0
    strategy = ours(job.budget, len(rows)).get(job.strategy)
    if strategy is None:
        from efficiency_peers import Peer

        columns = [] if stream.name == "spam" else list(rows[0][0])
        return Peer(job.strategy, job.budget, stream.classes, job.seed, columns).decide
    state, decide, weigh = strategy.start(), strategy.decide, strategy.weigher()

    def ask(scores: Scores, features: Mapping[str, float], draw: float) -> float:
        nonlocal state
        decision, state = decide(scores, state, draw)
        if weigh is None or not decision.ask:
            return decision.ask
        return weigh(decision.propensity, decision.reason)

    return ask


def measure(job: Job, stream: Stream, rows: list[Row]) -> dict[str, float]:
    """Run one job; return what came of it.

    The accuracy and the mean recall in percent, how many points the mean confidence is above the accuracy, the mean
    logarithmic loss (of probabilities of 0.0001 and more), and the share of events asked.
    """
    if job.learner == VW:
        from efficiency_vw import lines, once, within

        accuracy, share = once(lines(rows), None) if job.strategy == "all" else within(rows, job.budget)
        return {"accuracy": accuracy, "asked": share, "events": len(rows)}
    model = Model(LEARNERS[job.learner].make(stream), checkpoint_every=10**9)
    draws = Draws(f"{job.stream} {job.seed}").all([str(number) for number in range(len(rows))])
    silent = Draws(f"unanswered {job.stream} {job.seed}")
    decide = decider(job, stream, rows)
    chosen = ours(job.budget, len(rows)).get(job.strategy)
    wants = chosen.wants() if chosen else frozenset[str]()
    waiting: deque[tuple[int, Row, float]] = deque()
    seen, right = Counter[str](), Counter[str]()
    asked, sure, loss = 0, 0.0, 0.0
    for number, row in enumerate(rows):
        while waiting and waiting[0][0] < number:
            _, (features, label), weight = waiting.popleft()
            model.learn(Example.model_construct(event_id="", features=features, label=label, weight=weight))
        (scores,) = model.score_all([row[0]], wants)
        if isinstance(scores, RecordError):
            raise scores
        seen[row[1]] += 1
        right[row[1]] += scores.label == row[1]
        sure += scores.confidence
        loss -= log(max(_LEAST, scores.probabilities.get(row[1], 0.0)))
        if weight := decide(scores, row[0], draws[number]):
            asked += 1
            if not job.unanswered or silent(str(number)) >= job.unanswered:
                waiting.append((number + job.delay, row, weight))
    recall = 100.0 * sum(right[label] / seen[label] for label in seen) / len(seen)
    accuracy = 100.0 * right.total() / len(rows)
    return {
        "accuracy": accuracy,
        "recall": recall,
        "overconfident": 100.0 * sure / len(rows) - accuracy,
        "loss": loss / len(rows),
        "asked": asked / len(rows),
        "events": len(rows),
    }


def plan(options: argparse.Namespace, found: Mapping[str, Stream]) -> Iterator[Job]:
    """Yield the jobs, so that what is done at any time is useful: seed by seed, the quick strategies first."""
    strategies = options.strategies or [*ours(0.1, 10_000), *PEERS, VW_ACTIVE]
    late = options.delay, options.unanswered
    for seed in range(options.seeds):
        for learner in options.learners:
            for stream in options.streams or LEARNERS[learner].streams:
                if stream in found and (seed == 0 or found[stream].seeded):
                    yield Job(stream, learner, "all", 1.0, seed, *late)
        for strategy in strategies:
            for learner in options.learners:
                if (learner == VW) != (strategy == VW_ACTIVE) or learner not in ABLE.get(
                    strategy, (learner,)
                ):
                    continue
                for stream in options.streams or LEARNERS[learner].streams:
                    for budget in options.budgets if stream in found else ():
                        yield Job(stream, learner, strategy, budget, seed, *late)


def run(options: argparse.Namespace, console: Console) -> None:
    """Measure what is not measured yet, and write each result down at once."""
    found = streams(options.data)
    done = {key(row) for row in results(options.results)}
    jobs = [job for job in plan(options, found) if key(asdict(job)) not in done]
    held: dict[tuple[str, int], list[Row]] = {}
    with Progress(console=console) as progress, options.results.open("a", encoding="utf-8") as file:
        task = progress.add_task("", total=len(jobs))
        for job in jobs:
            stream = found[job.stream]
            progress.update(task, description=f"seed {job.seed} {job.strategy} {job.learner} {job.stream}")
            place = (job.stream, job.seed if stream.seeded else 0)
            if place not in held:
                held = {kept: rows for kept, rows in held.items() if kept[1] in (0, job.seed)}
                held[place] = stream.rows(place[1])
            begun = time.perf_counter()
            row = asdict(job) | measure(job, stream, held[place][: LEARNERS[job.learner].events])
            file.write(json.dumps(row | {"seconds": round(time.perf_counter() - begun, 2)}) + "\n")
            file.flush()
            progress.advance(task)


def speeds(decisions: int = 2_000) -> str:
    """Return what a decision takes, over the same answers: ours, and theirs as their users have them."""
    from efficiency_peers import microseconds

    stream = streams(None)["rbf"]
    rows = stream.rows(0)[:decisions]
    model = Model(LEARNERS["linear"].make(stream), checkpoint_every=10**9)
    answers = []
    for features, label in rows:
        answers.append(model.score(features))
        model.learn(Example.model_construct(event_id="", features=features, label=label, weight=1.0))
    found = []
    for name, strategy in ours(0.1, 20_000).items():
        if strategy.wants():  # most of what it takes is the model's work
            continue
        best = float("inf")
        for _ in range(5):
            state, decide = strategy.start(), strategy.decide
            begun = time.perf_counter()
            for scores in answers:
                _, state = decide(scores, state, 0.5)
            best = min(best, (time.perf_counter() - begun) / len(answers) * 1e6)
        found.append([name, f"{best:.1f}"])
    for name in PEERS:
        found.append([name, f"{microseconds(name, answers, [x for x, _ in rows], stream.classes):,.0f}"])
    title = f"What a decision takes: RandomRBF, {decisions:,} decisions, budget 10 %"
    return markdown(title, ["strategy", "µs a decision"], found)


def key(row: Mapping[str, object]) -> tuple[object, ...]:
    """Return what makes a result the same as another one."""
    names = ("stream", "learner", "strategy", "budget", "seed", "delay", "unanswered")
    return tuple(row[name] for name in names)


def results(path: Path) -> list[dict[str, object]]:
    """Return what was measured before."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def words(text: str) -> list[str]:
    return text.split(",")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of electricity.csv.gz, weather.csv.gz, …")
    parser.add_argument(
        "--learners", type=words, default=["linear", "hat", "vw"], help=f"of {', '.join(LEARNERS)}"
    )
    parser.add_argument("--streams", type=words, help="all that the learner can do, unless told")
    parser.add_argument("--strategies", type=words, help="all, unless told")
    parser.add_argument("--budgets", type=lambda text: [float(b) for b in words(text)], default=list(BUDGETS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--delay", type=int, default=0, help="how many events later a label is learned")
    parser.add_argument(
        "--unanswered", type=float, default=0.0, help="the share of questions without an answer"
    )
    parser.add_argument("--results", type=Path, default=Path("label-efficiency.jsonl"))
    parser.add_argument("--tables-only", action="store_true", help="measure nothing")
    parser.add_argument("--speed", action="store_true", help="print what a decision takes, too")
    parser.add_argument(
        "--write", type=Path, help="a Markdown document to put the tables in, where its marks are"
    )
    options = parser.parse_args(arguments)
    if not options.tables_only:
        run(options, Console(stderr=True))
    text = tables(results(options.results), list(ours(0.1, 10_000)))
    if options.speed:
        text += speeds()
    if options.write:
        options.write.write_text(written_into(options.write.read_text("utf-8"), text), "utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
