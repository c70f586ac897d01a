"""Replaying a stream: the worker of production, in memory, with a simulated oracle in the place of people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from connectors.memory import MemoryEvents, MemorySink, MemoryStore
from stream_al.desk_rules import DeskRules
from stream_al.errors import ModelError
from stream_al.learner import ActiveLearner
from stream_al.model import Model
from stream_al.records import ClassLabel
from stream_al.replay.contenders import Contender
from stream_al.replay.oracle import SimulatedOracle
from stream_al.replay.outcome import Outcome
from stream_al.replay.stream import LabelledStream, truth_of
from stream_al.runtime.worker import Worker


@dataclass(frozen=True, slots=True)
class Trial:
    """What is the same for all contenders.

    Parameters
    ----------
    make_model
        Returns a fresh model.
    delay, jitter
        Of the oracle, in events.
    key
        The pipeline's key: decides which events are explored, and which answers are late.
    batch_size
        Events between two calls of ``on_progress``; results do not depend on it.
    """

    make_model: Callable[[], Model]
    delay: int = 0
    jitter: int = 0
    key: str = "stream_al"
    batch_size: int = 200


def lateness(delay: int, jitter: int) -> str:
    """Return in words when labels arrive."""
    if not delay + jitter:
        return "before the next event"
    return (
        f"{delay:,} to {delay + jitter:,} events later, out of order" if jitter else f"{delay:,} events later"
    )


def replay(
    stream: LabelledStream,
    contender: Contender,
    trial: Trial,
    on_progress: Callable[[int], None] = lambda events: None,
) -> Outcome:
    """Run one contender over a stream, from its beginning to its end.

    Parameters
    ----------
    stream
        The events.
    contender
        The strategy.
    trial
        What it shares with the others.
    on_progress
        Told, now and then, how many events were answered.

    Raises
    ------
    ModelError
        When the model could not score a single event, or learn a single label.
    """
    # All labels at once may be open when they come late; a limit would make the baseline ask less than all.
    rules = DeskRules(max_open=len(stream.rows) + 1)
    learner = ActiveLearner(trial.make_model(), contender.strategy, rules=rules, key=trial.key)
    truths: list[ClassLabel | None] = []
    sink, store = MemorySink(), MemoryStore()
    worker = Worker(
        learner,
        MemoryEvents(stream.rows),
        SimulatedOracle(trial.delay, trial.jitter, key=trial.key),
        sink,
        store,
        batch_size=trial.batch_size,
        on_answer=lambda row, label: truths.append(truth_of(row)),
    )
    worker.run(on_batch=lambda progress: on_progress(progress.events))
    lines = bytes(sink.streams["predictions"]).splitlines()
    answered = worker.progress.counts.get("label:example", 0)
    notes = _notes(contender, worker.progress.counts, store, answered)
    return Outcome.measure(contender.name, contender.title, lines, truths, answered, notes)


def _notes(
    contender: Contender, counts: dict[str, int], store: MemoryStore, answered: int
) -> tuple[str, ...]:
    """Return what the model refused; a model that refused everything is an error, not a result."""
    notes = []
    refused = [label.detail for label in store.received if label.outcome == "refused"]
    if refused and not answered:
        raise ModelError(
            f"the model learned none of the {len(refused):,} labels: {refused[0]}; name another --model"
        )
    if refused:
        notes.append(f"{contender.title}: {len(refused):,} labels could not be learned: {refused[0]}.")
    if unscored := counts.get("dead:cannot-score", 0):
        notes.append(f"{contender.title}: {unscored:,} events could not be scored, and are not measured.")
    return tuple(notes)
