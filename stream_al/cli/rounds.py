"""`stream-al replay --rounds`: active learning in rounds over a pool, as a table, a picture or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from stream_al.errors import ConfigError

if TYPE_CHECKING:
    from stream_al.replay.rounds import Rounds, RoundsOutcome
    from stream_al.replay.rounds_shown import RoundsComparison
    from stream_al.replay.stream import LabelledStream


def replay_rounds(
    stream: LabelledStream,
    strategies: Sequence[str],
    models: Sequence[str],
    parts: tuple[float, float, float, float, float],
    seeds: int,
    key: str,
    plot: Path | None,
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run every strategy, and random beside them, in rounds; show what came out."""
    from stream_al.replay.rounds import Rounds
    from stream_al.replay.rounds_shown import RoundsComparison, rounds_table, write_rounds_png

    if len(models) > 1:
        raise ConfigError("--model: in rounds one model at a time; give it once")
    rounds = Rounds(*parts)
    outcomes = _run(stream, strategies, models[0], rounds, seeds, key, quiet=quiet)
    comparison = RoundsComparison(Path(stream.name).name, rounds, outcomes)
    if plot is not None:
        write_rounds_png(comparison, plot)
    if as_json:
        sys.stdout.write(json.dumps(comparison.to_json(), indent=1) + "\n")
        return
    _show(comparison, rounds_table(comparison))
    if plot is not None:
        typer.echo(f"wrote {plot}")


def _run(
    stream: LabelledStream,
    strategies: Sequence[str],
    model: str,
    rounds: Rounds,
    seeds: int,
    key: str,
    *,
    quiet: bool,
) -> list[list[RoundsOutcome]]:
    from stream_al.replay.contenders import RANDOM
    from stream_al.replay.plan import model_maker
    from stream_al.replay.progress import watched
    from stream_al.replay.rounds import Round, run_rounds

    make_model, name = model_maker(model, stream)
    wanted = list(dict.fromkeys([*(text.strip().lower() for text in strategies), RANDOM]))
    each = int((rounds.stop - rounds.start) / rounds.step + 1.999)
    runs = [(strategy, seed) for strategy in wanted for seed in range(seeds)]
    found: list[list[RoundsOutcome]] = [[] for _ in wanted]
    with watched(each * len(runs), "runs", unit="rounds", quiet=quiet) as watch:
        for done, (strategy, seed) in enumerate(runs):

            def on_round(latest: Round, done: int = done) -> None:
                watch.update(done * each + latest.number, done, len(runs))

            seed_key = key if not seed else f"{key}/{seed}"
            outcome = run_rounds(
                stream, strategy, make_model, rounds, model=name, key=seed_key, on_round=on_round
            )
            found[wanted.index(strategy)].append(outcome)
            watch.update((done + 1) * each, done + 1, len(runs))
    return found


def _show(comparison: RoundsComparison, table: object) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    console.print(f"\n{comparison.heading}", style="bold", markup=False)
    console.print(table)
    console.print(comparison.sentence(), markup=False)
    for note in comparison.notes():
        console.print(f"note: {note}", style="dim", markup=False)
