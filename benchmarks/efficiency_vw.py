"""Vowpal Wabbit's ``--active`` (Beygelzimer, Hsu, Langford & Zhang 2010, agnostic active learning without constraints).

It asks and learns in one piece, with importance weights, so it is measured with its own learner (logistic loss, its
own rate and scaling) against that learner with all labels, on streams of two classes, without delay. It has no budget but
a ``--mellowness``: that which comes nearest to the budget from below is found by bisection over the whole stream, which is
hindsight that no other strategy here has.
"""

from __future__ import annotations

import re
from typing import Final

from efficiency_streams import Row
from vowpalwabbit import Workspace

_STEPS: Final = 9
_MELLOWNESS: Final = (1e-5, 10.0)


def lines(rows: list[Row]) -> list[tuple[str, bool]]:
    """Return the rows in VW's format, and whether each is of the second class."""
    second = max(label for _, label in rows)
    names = str.maketrans({":": "_", "|": "_", " ": "_"})
    return [
        (
            f"{1 if label == second else -1} | "
            + " ".join(f"{name.translate(names)}:{value:g}" for name, value in features.items()),
            label == second,
        )
        for features, label in rows
    ]


def once(texts: list[tuple[str, bool]], mellowness: float | None) -> tuple[float, float]:
    """Return the prequential accuracy in percent and the share of events asked; None learns all labels."""
    arguments = "--loss_function logistic --link logistic"
    if mellowness is not None:
        arguments += f" --active --simulation --mellowness {mellowness:.8f}"
    workspace = Workspace(arguments, enable_logging=True)
    correct = 0
    for text, truth in texts:
        example = workspace.parse(text)
        correct += (workspace.predict(example) > 0.5) == truth
        workspace.learn(example)
        workspace.finish_example(example)
    workspace.finish()
    found = re.search(r"total queries = (\d+)", "\n".join(map(str, workspace.get_log())))
    return 100.0 * correct / len(texts), int(found[1]) / len(texts) if found else 1.0


def within(rows: list[Row], budget: float) -> tuple[float, float]:
    """Return accuracy and share of the mellowness that asks most without exceeding the budget."""
    texts = lines(rows)
    low, high = _MELLOWNESS
    best = once(texts, low)
    for _ in range(_STEPS):
        middle = (low * high) ** 0.5
        accuracy, asked = once(texts, middle)
        if asked <= budget:
            low = middle
            best = (accuracy, asked) if asked >= best[1] else best
        else:
            high = middle
    return best
