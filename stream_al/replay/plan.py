"""What is run side by side: strategies × models × budgets, each with several seeds."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from stream_al.build import build_estimator
from stream_al.config import ModelConfig
from stream_al.errors import ConfigError
from stream_al.model import Model
from stream_al.replay.contenders import ALL, NONE, RANDOM, Contender, contender, has_budget, parse_strategy
from stream_al.replay.default_model import default_model
from stream_al.replay.latency import Clock
from stream_al.replay.outcome import Outcome
from stream_al.replay.people import Crowd
from stream_al.replay.run import Trial, replay
from stream_al.replay.stream import LabelledStream
from stream_al.replay.versions import versions


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a comparison: a strategy with its budget, on a model.

    Parameters
    ----------
    strategy
        As on the command line: ``margin``, ``margin<0.2``, ``random``, ``all``, ``none``, …
    model
        Import path of a River classifier or a ``.py`` file; the stream's default model when empty.
    budget
        The share of events that may be asked; None for what has none.
    explore, cold_start
        See `parse_strategy`.
    """

    strategy: str
    model: str = ""
    budget: float | None = None
    explore: float | None = None
    cold_start: int = 50

    def contender(self, stream: LabelledStream, key: str) -> Contender:
        """Return the strategy, ready to run."""
        return contender(
            self.strategy,
            [str(row.id) for row in stream.rows],
            budget=1.0 if self.budget is None else self.budget,
            explore=self.explore,
            cold_start=self.cold_start,
            key=key,
        )


@dataclass(frozen=True, slots=True)
class Cell:
    """One run: an entry, and the number of its seed."""

    entry: Entry
    seed: int


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is run on one stream.

    Parameters
    ----------
    entries
        The lines of the comparison.
    seeds
        How often each is run, with draws and answers of its own. What differs between seeds is what is explored,
        which answers come when, and which are wrong; stream and model are the same.
    crowd
        Who answers.
    key
        What the seeds are derived from.
    clock
        See `Trial`.
    """

    entries: tuple[Entry, ...]
    seeds: int = 1
    crowd: Crowd = field(default_factory=Crowd)
    key: str = "stream_al"
    clock: Clock = field(default_factory=Clock)

    @property
    def cells(self) -> list[Cell]:
        """Every run, in the order of the results."""
        return [Cell(entry, seed) for entry in self.entries for seed in range(self.seeds)]

    def run(
        self, stream: LabelledStream, cell: Cell, on_progress: Callable[[int], None] = lambda events: None
    ) -> Outcome:
        """Run one cell; the same outcome in every process."""
        key = self.key if not cell.seed else f"{self.key}/{cell.seed}"
        trial = Trial(model_maker(cell.entry.model, stream)[0], self.crowd, key, self.clock)
        return replay(stream, cell.entry.contender(stream, key), trial, on_progress)

    def fingerprint(self, stream_digest: str, cell: Cell) -> str:
        """Return what tells the outcome of a cell from all others: its input, itself, and the versions at work."""
        model = cell.entry.model
        parts: list[Any] = [stream_digest, asdict(cell), asdict(self.crowd), self.key, versions()]
        parts.append(blake2b(repr(self.clock).encode(), digest_size=16).hexdigest())
        if model.endswith(".py"):
            parts.append(Path(model).read_text("utf-8"))
        return blake2b(json.dumps(parts, sort_keys=True, default=str).encode(), digest_size=16).hexdigest()


def entries(
    strategies: Sequence[str],
    *,
    models: Sequence[str] = ("",),
    budgets: Sequence[float] = (0.1,),
    explore: float | None = None,
    cold_starts: Sequence[int] = (50,),
    baselines: bool = True,
) -> tuple[Entry, ...]:
    """Return every combination, each once: those compared, then the baselines.

    Parameters
    ----------
    strategies, models, budgets
        What to combine.
    explore
        See `parse_strategy`.
    cold_starts
        For each budget, how many events are asked first.
    baselines
        Whether to add random with each budget, all labels, and no labels after the cold start.

    Raises
    ------
    ConfigError
        When a strategy is none, or a budget is no share.
    """
    for budget in budgets:
        if not 0.0 < budget < 1.0:
            more = "nothing could be asked" if budget <= 0.0 else "that is all labels, which take part anyway"
            raise ConfigError(f"--budget {budget:g}: {more}; give a share of the events, such as 0.05")
    names = list(dict.fromkeys(text.strip().lower() for text in strategies))
    for name in names:
        if name not in (RANDOM, ALL, NONE):
            parse_strategy(name, budget=budgets[0], explore=explore, cold_start=cold_starts[0])
    wanted = list(dict.fromkeys([*names, *((RANDOM, ALL, NONE) if baselines else ())]))
    wanted.sort(key=lambda name: (RANDOM, ALL, NONE).index(name) + 1 if name in (RANDOM, ALL, NONE) else 0)
    found = []
    for model in models:
        for name in wanted:
            entry = Entry(name, model, None, explore, cold_starts[0])
            if has_budget(name):
                found += [
                    replace(entry, budget=budget, cold_start=cold_start)
                    for budget, cold_start in zip(budgets, cold_starts, strict=True)
                ]
            else:
                found.append(entry)
    return tuple(found)


def model_maker(text: str, stream: LabelledStream) -> tuple[Callable[[], Model], str]:
    """Return what makes a fresh model, and its name; the classes are given, so that too many are refused."""
    estimator: Any
    if not text:
        estimator, name = default_model(stream)
    else:
        settings = ModelConfig.model_validate({"file" if text.endswith(".py") else "use": text})
        estimator, name = build_estimator(settings), text.rpartition(".")[2] if "/" not in text else text
        if text.endswith(".py"):
            name = Path(text).stem
    return lambda: Model(estimator, classes=stream.classes), name
