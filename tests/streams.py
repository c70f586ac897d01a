"""Small labelled streams, and learners that snapshot often, so that crashes meet every way of recovering."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path

from river import compose, linear_model, preprocessing

from stream_al import ActiveLearner, Budgeted, ColdStart, DeskRules, Model
from stream_al.amendments import ListedLog, Rewritten
from stream_al.groups import GroupRules
from stream_al.ports import LabelledRow
from stream_al.records import LogRecord


def rows(count: int, seed: int = 1, *, twice: int = 0) -> list[LabelledRow]:
    """Two classes divided by a noisy line; with ``twice`` some events repeat an earlier id."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        x, y = rng.gauss(0, 1), rng.gauss(0, 1)
        name = f"e{number - twice}" if twice and number % (2 * twice) == twice else f"e{number}"
        features = {"x": round(x, 4), "y": round(y, 4), "n": number % 5}
        made.append(LabelledRow(features, name, truth="in" if x + y + rng.gauss(0, 0.3) > 0 else "out"))
    return made


def write_jsonl(path: Path, events: Iterable[LabelledRow]) -> None:
    lines = (json.dumps({"id": e.id, "features": e.features, "label": e.truth}) for e in events)
    path.write_text("".join(line + "\n" for line in lines))


def estimator() -> compose.Pipeline:
    return compose.Pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression())


def learner(
    rules: DeskRules | None = None,
    *,
    checkpoint_every: int = 7,
    budget: float = 0.3,
    groups: GroupRules | None = None,
) -> ActiveLearner:
    return ActiveLearner(
        Model(estimator(), checkpoint_every=checkpoint_every),
        ColdStart(Budgeted(budget), examples=5),
        rules=rules,
        groups=groups,
    )


def offline_digest(records: Iterable[LogRecord | None], fresh: Model) -> str:
    """Fold a log in one go, as its amendments leave it."""
    log = ListedLog(records)
    for example in Rewritten(log, 0, len(log)):
        fresh.fold(example, log)
    return fresh.digest()
