"""What lying annotators do to a model, and what weighing them by trust mends.

    python benchmarks/poison.py [--seeds 5]

Ten annotators; every event of the stream is a question to three of them, drawn anew each time. Honest ones are wrong in
5 % of their answers. Liars know the truth and always say the next class, all the same one. *one answer*: the first is
learned; *majority*: what more than half say; *weighed*: what `stream_al.robustness.Trust` makes more likely than not; *and
5 % gold*: and in so many questions the truth is known, and learned instead. Accuracy is prequential, over all events; cells
are means and 95 % intervals over seeds. The last column says how many of the liars were named at the end, and how many of
the honest.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from river import datasets, linear_model, multiclass, preprocessing

from stream_al.desk_rules import DeskRules
from stream_al.draws import Draws
from stream_al.model import Model
from stream_al.records import ClassLabel, Example
from stream_al.replay.group import Estimate
from stream_al.replay.report.numbers import estimate
from stream_al.robustness import Trust

WAYS = ("one answer", "majority", "weighed", "and 5 % gold")
PEOPLE, ASKED, HONEST_WRONG, GOLD, NAMED = 10, 3, 0.05, 0.05, 0.5
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
) -> tuple[float, Trust]:
    """Return the accuracy, and what was known of the annotators at the end."""
    classes = tuple(sorted({label for _, label in events}))
    model, rules, draw = Model(estimator), DeskRules(quorum=ASKED), Draws(f"poison/{seed}")
    trust, right = Trust(classes), 0
    for number, (features, truth) in enumerate(events):
        right += model.score(features).label == truth
        votes = answers(truth, classes, liars, draw, str(number))
        gold = way == WAYS[3] and draw(f"gold/{number}") < GOLD
        label: ClassLabel | None
        if way == WAYS[0]:
            label = next(iter(votes.values()))
        elif way == WAYS[1]:
            label = rules.agreed([*votes.values()])
        else:
            label = truth if gold else trust.agreed(votes)
            trust = trust.after(votes, truth if gold else None)
        if label is not None:
            model.learn(Example(event_id=str(number), features=features, label=label))
    return right / len(events), trust


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
        for liars in (0, 1, 2, 3):
            cells = []
            for way in WAYS:
                runs = [run(events, make(), way, liars, seed) for seed in seeds]
                cells.append(estimate(Estimate.of([accuracy for accuracy, _ in runs]), percent=True))
            named = [trust.distrusted(NAMED) for _, trust in runs]
            lying = sum(int(person[1:]) < liars for one in named for person in one) / len(named)
            honest = sum(int(person[1:]) >= liars for one in named for person in one) / len(named)
            table.add_row(name, f"{liars / PEOPLE:.0%}", *cells, f"{lying:.1f} ({honest:.1f})")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
