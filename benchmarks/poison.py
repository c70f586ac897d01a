"""What lying annotators do to a model, and what the desk's guard mends: weighing them by trust, and gold questions.

    python benchmarks/poison.py [--seeds 5]

Ten annotators; every event of the stream is a question to three of them, drawn anew each time, whose answers go to the
desk of an `ActiveLearner`. Honest ones are wrong in 5 % of their answers. Liars know the truth and always say the next
class, all the same one. *one answer*: the first is learned; *majority*: what more than half say; *weighed*: `agreement =
"weighted"`; *and 5 % gold*: and every twentieth question is one of 50 whose answer is known. Accuracy is prequential, over
all events but those 50; cells are means and 95 % intervals over seeds. The last column says how many of the liars were named
at the end, and how many of the honest.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from river import datasets, linear_model, multiclass, preprocessing

from stream_al import ActiveLearner, DeskRules, Event, Label, Model, Random
from stream_al.draws import Draws
from stream_al.gold import Gold, GoldQuestion
from stream_al.records import ClassLabel
from stream_al.reliability import standings_of
from stream_al.replay.group import Estimate
from stream_al.replay.report.numbers import estimate

WAYS = ("one answer", "majority", "weighed", "and 5 % gold")
PEOPLE, ASKED, HONEST_WRONG, GOLD, KNOWN = 10, 3, 0.05, 0.05, 50
RULES = {
    WAYS[0]: DeskRules(),
    WAYS[1]: DeskRules(quorum=ASKED, max_answers=ASKED),
    WAYS[2]: DeskRules(quorum=ASKED, max_answers=ASKED, agreement="weighted"),
    WAYS[3]: DeskRules(quorum=ASKED, max_answers=ASKED, agreement="weighted"),
}
STREAMS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "Phishing": (
        datasets.Phishing,
        lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    ),
    "ImageSegments": (
        datasets.ImageSegments,
        lambda: (
            preprocessing.StandardScaler() | multiclass.OneVsRestClassifier(linear_model.LogisticRegression())
        ),
    ),
}


def answers(
    truth: ClassLabel, classes: Sequence[ClassLabel], liars: int, draw: Draws, question: str
) -> dict[str, ClassLabel]:
    """Return what three of the annotators say, in the order they were asked; ``p0`` … are the liars."""
    people = sorted(range(PEOPLE), key=lambda person: draw(f"who/{person}/{question}"))[:ASKED]
    found = {}
    for person in people:
        wrong = person < liars or draw(f"wrong/{person}/{question}") < HONEST_WRONG
        found[f"p{person}"] = classes[(classes.index(truth) + wrong) % len(classes)]
    return found


def run(
    events: Sequence[tuple[Any, ClassLabel]], estimator: Any, way: str, liars: int, seed: int
) -> tuple[float, list[str]]:
    """Return the accuracy, and who was distrusted at the end."""
    classes = tuple(sorted({label for _, label in events}))
    draw = Draws(f"poison/{seed}")
    known = sorted(range(len(events)), key=lambda number: draw(f"known/{number}"))[:KNOWN]
    gold = [GoldQuestion(f"e{number}", *events[number]) for number in known]
    learner = ActiveLearner(
        Model(estimator, checkpoint_every=10**9),
        Random(1.0),
        rules=RULES[way],
        window=None,
        gold=Gold(gold, GOLD) if way == WAYS[3] else None,
    )
    right = 0
    stream = [(number, *pair) for number, pair in enumerate(events) if number not in set(known)]
    for number, features, truth in stream:
        prediction, query, _ = learner.process(Event(id=f"e{number}", features=features))
        check = learner.gold_asked
        right += prediction.label == truth
        for asked in (query, check):
            if asked is None:
                continue
            answer = truth if asked is query else learner.desk.gold.truths[asked.event_id]
            said = answers(answer, classes, liars, draw, f"{number}/{asked.event_id}")
            for name, label in [*said.items()][: learner.desk.rules.quorum]:
                learner.teach(Label(event_id=asked.event_id, label=label, annotator=name))
    distrusted = [one.name for one in standings_of(learner.desk.memory) if one.distrusted]
    return right / len(stream), distrusted


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    seeds = range(parser.parse_args().seeds)
    table = Table()
    table.add_column("stream")
    for name in ("liars", *WAYS, "named (of the honest)"):
        table.add_column(name, justify="right")
    for name, (dataset, make) in STREAMS.items():
        events = [(features, label) for features, label in dataset()]
        for liars in (0, 1, 2, 3, 6):
            cells = []
            for way in WAYS:
                runs = [run(events, make(), way, liars, seed) for seed in seeds]
                cells.append(estimate(Estimate.of([accuracy for accuracy, _ in runs]), percent=True))
            named = [names for _, names in runs]
            lying = sum(int(person[1:]) < liars for one in named for person in one) / len(named)
            honest = sum(int(person[1:]) >= liars for one in named for person in one) / len(named)
            table.add_row(name, f"{liars / PEOPLE:.0%}", *cells, f"{lying:.1f} ({honest:.1f})")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
