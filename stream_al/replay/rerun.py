"""Running a recording again: with its own strategy it comes out as it was, with another one as it would have been."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from stream_al.amendments import ListedLog, Rewritten
from stream_al.codec import PredictionRow, encode_predictions
from stream_al.errors import RecordError
from stream_al.learner import ActiveLearner
from stream_al.monitor import LogMonitors
from stream_al.recording import Recording
from stream_al.records import Amendment, Label, LogRecord, parse_answer
from stream_al.runtime.worker import RUN
from stream_al.stand_ins import AskedElsewhere
from stream_al.strategies import QueryStrategy
from stream_al.verdict import Verdict, differing, short


@dataclass(slots=True)
class Rerun:
    """What came of running a recording again."""

    predictions: list[PredictionRow] = field(default_factory=list)
    undetermined: int | None = None
    """The place of the event with which the run ended, as what comes of it was not recorded; None: it went through."""
    digest: str = ""
    """Of the model at the end."""


def reproduce(recording: Recording) -> Verdict:
    """Run a recording again with its own strategy, and compare every prediction and decision, and the model.

    It is `stream_al.replay` turned on its own record: what it does not reproduce it cannot tell the
    alternatives of. `connectors.sqlite.verify` and `connectors.kafka.verify` look further: at checksums,
    dead letters, snapshots, and whether the log follows from the labels.
    """
    verdict = Verdict(len(recording.predictions), len(recording.labels), len(recording.examples))
    again = _run(recording, recording.make_learner().strategy, lambda place: True)
    if again.undetermined is not None:
        verdict.add(f"event {again.undetermined}: could be scored, and cannot be again")
    for place, (before, after) in enumerate(zip(recording.predictions, again.predictions, strict=False)):
        if encode_predictions([before]) == encode_predictions([after]):
            continue
        names = PredictionRow.__struct_fields__
        one, other = ({name: getattr(row, name) for name in names} for row in (before, after))
        for field_name, left, right in differing(one, other):
            verdict.add(
                f"event {place} ({before.event_id!r}):{field_name} was {short(left)}, and is {short(right)} again"
            )
    verdict.digest = again.digest
    folded = _fold(recording)
    if again.digest != folded:
        verdict.add(f"the model's digest is {again.digest}, that of the recorded log {folded}")
    return verdict


def run_otherwise(recording: Recording, strategy: QueryStrategy) -> Rerun:
    """Run the recorded events with another strategy, as far as the record determines what happens.

    An event it asks about gets the answers that people gave, as many events later as they gave them. The labels
    of events that it does not ask about go nowhere. Once it asks about an event that nobody was asked about, or
    whose query was taken back, what people would have said is unknown: there the run ends.

    Everything else is as it was: model, rules for labels, key, and that people answer as fast as they did.

    Parameters
    ----------
    recording
        What to run.
    strategy
        Undivided; each partition of a Kafka pipeline gets its part.
    """
    known = [row.queried and row.event_id not in recording.withdrawn for row in recording.predictions]
    return _run(recording, strategy, known.__getitem__)


def _run(recording: Recording, strategy: QueryStrategy, answers_known: Callable[[int], bool]) -> Rerun:
    monitors = _monitors(recording)
    learners = _learners(recording, strategy, monitors)
    rerun = Rerun()
    asked: set[str] = set()
    answered = 0
    arrivals = (
        _labels(recording, learners[0])
        if recording.partitions is None
        else _log(recording, learners, asked, monitors)
    )
    for until, arrive in arrivals:
        while answered < until:
            end = _same_part(recording, answered, until)
            part = recording.parts[answered] if recording.parts else 0
            predictions, incidents = learners[part].answer(recording.events[answered:end])
            rerun.predictions += predictions
            for incident in incidents:
                place = answered + incident.place
                if incident.query is not None:
                    asked.add(incident.query.event_id)
                    unknown = incident.event is None and not answers_known(place)
                else:
                    unknown = incident.error is not None  # the recorded model could score it, this one cannot
                if unknown:
                    del rerun.predictions[place:]
                    rerun.undetermined = place
                    return rerun
            answered = end
        arrive()
    rerun.digest = learners[0].model.digest()
    return rerun


def _monitors(recording: Recording) -> LogMonitors:
    """Return what is watched of the log, where the events are in partitions."""
    learner = recording.make_learner()
    if recording.partitions is None:
        return LogMonitors()
    return LogMonitors(
        calibrated=learner.calibrated, drift=None if learner.drift is None else learner.drift.rules
    )


def _learners(recording: Recording, strategy: QueryStrategy, monitors: LogMonitors) -> list[ActiveLearner]:
    """Return the learner; of a pipeline on Kafka one a partition, which share the model and what is watched of the log."""
    count = recording.partitions
    learners = [recording.make_learner() for _ in range(count or 1)]
    for learner in learners:
        if count is not None:
            learner.drift = None
            learner.calibrate_by(monitors.rescaled)
        learner.model = learners[0].model
        learner.strategy = strategy if count is None else strategy.divided(count)
        learner.state = learner.strategy.start()
        if count is not None:
            learner.desk = AskedElsewhere()
    return learners


def _same_part(recording: Recording, start: int, until: int) -> int:
    """Return where the run of events ends that one learner can answer together."""
    end = min(until, start + RUN)
    if recording.parts:
        part = recording.parts[start]
        end = next((at for at in range(start, end) if recording.parts[at] != part), end)
    return end


_Arrivals = Iterator[tuple[int, Callable[[], object]]]


def _labels(recording: Recording, learner: ActiveLearner) -> _Arrivals:
    """Yield after how many events each label comes, and what takes it to the desk; then the end."""
    learner.log = log = ListedLog()
    for recorded in recording.labels:
        try:
            answer = parse_answer(recorded.record)
        except RecordError:
            continue  # it was no label then, and is none now
        if recorded.outcome != "oversized" and recorded.at_event is not None:
            yield (
                recorded.at_event,
                lambda answer=answer, at=recorded.position: _take(learner, log, answer, at),  # type: ignore[misc]
            )
    yield len(recording.events), lambda: None


def _take(learner: ActiveLearner, log: ListedLog, answer: Label | Amendment, position: str) -> None:
    taught = (
        learner.amend(answer, position) if isinstance(answer, Amendment) else learner.teach(answer, position)
    )
    log += taught.records


def _log(
    recording: Recording, learners: Sequence[ActiveLearner], asked: set[str], monitors: LogMonitors
) -> _Arrivals:
    """Yield after how many events each record of the log comes, and what folds it if its event was asked about."""
    log = ListedLog()
    numbers: dict[int, int] = {}  # of the recorded log, in this one

    def fold(number: int, record: LogRecord | None) -> None:
        if record is not None and record.event_id not in asked:
            return
        if isinstance(record, Amendment) and record.amends is not None:
            if record.amends not in numbers:
                return
            record = record.model_copy(update={"amends": numbers[record.amends]})
        numbers[number] = len(log)
        model = learners[0].model
        if monitors.learned(len(log), record, model):
            for learner in learners:
                learner.state = learner.strategy.alarmed(learner.state)
        model.fold(record, log)
        log.append(record)

    for number, record in enumerate(recording.examples):
        yield recording.learned_at(number), lambda number=number, record=record: fold(number, record)  # type: ignore[misc]
    yield len(recording.events), lambda: None


def _fold(recording: Recording) -> str:
    """Return the digest of the log as amended, folded by itself in one go."""
    model, log = recording.make_learner().model, ListedLog(recording.examples)
    model.fold_all(Rewritten(log, 0, len(log)), log)
    return model.digest()
