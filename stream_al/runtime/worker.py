"""The worker loop, written once against the protocols of `stream_al.ports`.

Read a micro-batch, match labels and learn, score and decide, commit, emit. Nothing leaves the process before
the commit, and what was committed is emitted once even if the process dies in between: on recovery the sink
is brought to where the last committed batch leaves it. So a crash at any instruction changes nothing but the
time it takes.
"""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from stream_al.codec import EventRow, PredictionRow, QueryRow, encode_json, encode_predictions
from stream_al.errors import RecordError, SnapshotError
from stream_al.labels import USED, Settled
from stream_al.learner import ActiveLearner, Incident
from stream_al.ports import (
    Batch,
    EventSource,
    IncomingLabel,
    LabelledRow,
    LabelSource,
    Progress,
    Received,
    Sink,
    Store,
)
from stream_al.records import MAX_NAME, Amendment, DeadLetter, Example, Label, LogRecord, parse_answer
from stream_al.strategies.guard import QUARANTINED

UNTIL: Final = ("events-end", "answered", "stopped")
_WAIT: Final = 0.05
"""Seconds to wait for an event before looking for labels and the stop signal again."""
RUN: Final = 256
"""Events that go through each step together: many enough for the loops, few enough for the processor's cache."""
_decode: Final = msgspec.json.Decoder(LabelledRow).decode
_RECORD: Final = 20_000
"""Characters of a record that a dead letter keeps."""


def tune_collector() -> None:
    """Spare a process that only works on a stream most of the garbage collector's rounds. Process-wide.

    Every event makes and frees a few dictionaries, which are no cycles, but which Python counts: by default it
    looks for cycles after 700, and again and again through all that was imported.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


class Worker:
    """Runs one learner over one stream.

    Parameters
    ----------
    learner
        A fresh learner; `recover` brings it to where the store left off.
    events, labels, sink, store
        See `stream_al.ports`.
    batch_size
        The most events in one commit.
    batch_seconds
        How long events may wait for those after them in the same commit: a batch is no larger than what the last ones say is
        answered in this time. None does not look at the time. What comes out is the same, whatever the batches are.
    clock
        The time in seconds, from anywhere; only asked with ``batch_seconds``.
    on_answer
        Called with (event, its predicted label) for every event, for measuring; not called again for
        batches that were committed before a crash.
    """

    def __init__(
        self,
        learner: ActiveLearner,
        events: EventSource,
        labels: LabelSource,
        sink: Sink,
        store: Store,
        *,
        batch_size: int = 1000,
        batch_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_answer: Callable[[EventRow, object], None] | None = None,
    ) -> None:
        self.learner = learner
        learner.desk.keep_changes = True  # the store takes them, batch by batch
        if learner.groups is not None:
            learner.groups.keep_changes = True
        self.progress = Progress(state=learner.state)
        self._events = events
        self._labels = labels
        self._sink = sink
        self._store = store
        self._batch_size, self._batch_seconds, self._clock = batch_size, batch_seconds, clock
        self._most = batch_size if batch_seconds is None else min(batch_size, RUN)
        """Of the next batch."""
        self._on_answer = on_answer
        self._saved_snapshot = 0
        self._new: list[tuple[int, LogRecord]] = []
        learner.log = self
        self.quarantined: dict[str, EventRow] = {}
        """The last event that a guard kept in quarantine, by the reason (`stream_al.strategies.guard`)."""
        self.notices: list[str] = []
        """What recovery had to work around, in sentences."""

    # ── starting and stopping ────────────────────────────────────────────────────────────────────

    def recover(self) -> None:
        """Bring learner, sources and sink to where the store left off."""
        recovered = self._store.recover()
        if self._store.open_queries is not None:
            self.learner.desk.keep_in(self._store.open_queries)
        if recovered is None:
            self._sink.recover({}, {})
            self.progress.lengths = self._sink.lengths()
            return
        progress = self.progress = recovered.progress
        self._fold(progress.examples)
        self.learner.resume(
            state=progress.state,
            events=progress.events,
            labels=progress.labels,
            queries=recovered.queries,
            clock=progress.clock,
            accuracy=progress.accuracy,
            drift=progress.drift,
            desk=progress.desk,
            members=recovered.members,
        )
        self._events.seek(progress.event_position)
        self._labels.seek(progress.label_position)
        self._sink.recover(progress.lengths, recovered.last_outputs)

    def _fold(self, examples: int) -> None:
        model = self.learner.model
        for version, snapshot in self._store.snapshots():
            if version > examples:
                self.notices.append(
                    f"snapshot {version} is newer than the log ({examples}) and was left aside"
                )
                continue
            try:
                model.load(snapshot)
            except SnapshotError as error:
                self.notices.append(f"snapshot {version} was left aside: {error}")
                continue
            self._saved_snapshot = version
            break
        model.fold_all(self._store.examples(model.version), self._store)

    def examples(self, start: int = 0) -> Iterator[LogRecord]:
        """Yield the log from a number on, as far as the model has folded it; for amendments."""
        yield from self._store.examples(start)
        yield from (record for number, record in self._new if number >= start)

    def run(
        self,
        until: str = "events-end",
        stop: Callable[[], bool] = lambda: False,
        on_batch: Callable[[Progress], None] = lambda progress: None,
    ) -> Progress:
        """Work until told.

        Parameters
        ----------
        until
            ``"events-end"`` (and all labels at hand are read), ``"answered"`` (and no query is open), or
            ``"stopped"``.
        stop
            Asked between batches; True ends the run after what has been committed.
        on_batch
            Told how things stand after every batch.
        """
        while not stop():
            if self.step():
                on_batch(self.progress)
            elif self._events.exhausted and (
                until == "events-end" or (until == "answered" and not self.learner.desk)
            ):
                break
        self.save()
        return self.progress

    def save(self) -> None:
        """Keep a snapshot of the model as it is, so that the next start need not refold."""
        model = self.learner.model
        if model.version > self._saved_snapshot:
            self._store.save_snapshot(model.version, model.dump())
            self._saved_snapshot = model.version

    # ── one batch ────────────────────────────────────────────────────────────────────────────────

    def step(self) -> bool:
        """Work off one micro-batch; return False when there was nothing to do."""
        learner = self.learner
        rows = self._events.read(self._most, _WAIT)
        batch = Batch(first_event=learner.events, state=learner.state)
        self._new = batch.examples
        counts: Counter[str] = Counter()
        # After the last event nothing is left to wait for: a simulated oracle then answers all it still owes.
        now = float("inf") if not rows and self._events.exhausted else learner.events
        self._take(batch, counts, self._labels.poll(now))
        if self._batch_seconds is None:
            self._work(batch, counts, rows)
        else:
            began = self._clock()
            self._work(batch, counts, rows)
            self._pace(len(rows), self._clock() - began, self._batch_seconds)
        if not rows and not batch.received:
            return False
        self._commit(batch, counts)
        return True

    def _pace(self, events: int, seconds: float, most_seconds: float) -> None:
        """Let the next batch be no larger than what is answered in time, at the pace of this one."""
        if events and seconds > 0:
            self._most = max(1, min(self._batch_size, int(events * most_seconds / seconds)))

    def _work(self, batch: Batch, counts: Counter[str], rows: Sequence[EventRow | DeadLetter]) -> None:
        """Answer a batch's events, and learn from the labels that are due between them."""
        learner, at = self.learner, 0
        while at < len(rows):
            due = self._labels.due
            if learner.events >= due:
                self._take(batch, counts, self._labels.poll(learner.events))
                due = self._labels.due
            row = rows[at]
            if isinstance(row, DeadLetter):
                self._bury(batch, counts, row, learner.events)
                at += 1
                continue
            most = int(min(due - learner.events, RUN))  # before any label can come that was asked for already
            run = _events_at_the_start(rows[at : at + most])
            at += self._answer(batch, counts, run, until_asked=self._labels.lag < len(run))

    def _answer(self, batch: Batch, counts: Counter[str], rows: list[EventRow], *, until_asked: bool) -> int:
        """Answer events between which no label comes; return how many."""
        predictions, incidents = self.learner.answer(rows, until_asked=until_asked)
        if incidents and until_asked and incidents[-1].query is not None:
            rows = rows[: incidents[-1].place + 1]
        for incident in incidents:
            self._note(batch, counts, rows[incident.place], incident)
        failed = {incident.place for incident in incidents if incident.error is not None}
        answered = [row for place, row in enumerate(rows) if place not in failed] if failed else rows
        batch.events += answered
        batch.predictions.append(encode_predictions(predictions))
        if self._on_answer is not None or LabelledRow in set(map(type, answered)):
            self._measure(counts, answered, predictions)
        return len(rows)

    def _measure(
        self, counts: Counter[str], answered: Sequence[EventRow], predictions: Sequence[PredictionRow]
    ) -> None:
        """Count right answers, where the events bring the truth, and tell of each answer whoever listens."""
        for row, prediction in zip(answered, predictions, strict=True):
            if isinstance(row, LabelledRow) and row.truth is not None:
                counts["measured"] += 1
                counts["correct"] += prediction.label == row.truth
            if self._on_answer is not None:
                self._on_answer(row, prediction.label)

    def _note(self, batch: Batch, counts: Counter[str], row: EventRow, incident: Incident) -> None:
        """Write down what happened at an event besides its prediction."""
        if incident.error is not None:
            self._bury(batch, counts, _letter("events", str(row.id), incident.error, row), incident.events)
            return
        if incident.settled:
            self._settle(batch, counts, incident.settled, incident.events)
        if incident.query is not None:
            batch.queries.append(incident.line)
            counts[f"asked:{incident.query.reason}"] += 1
            about = row if incident.event is None else _decode(incident.event)
            self._labels.asked(incident.query, about, incident.events)
            if incident.gold is not None:
                self._mix_in(batch, counts, incident.gold, incident.events)
        elif incident.blocked:
            counts[f"blocked:{incident.blocked}"] += 1
            if incident.blocked in QUARANTINED:
                self.quarantined[incident.blocked] = row

    def _mix_in(self, batch: Batch, counts: Counter[str], gold: QueryRow, events: int) -> None:
        """Write down that a gold question was asked, and let the source of labels hear of it."""
        batch.queries.append(gold.to_json())
        counts["gold"] += 1
        truth = self.learner.desk.gold.truths[gold.event_id]
        self._labels.asked(gold, LabelledRow(gold.features, gold.event_id, truth=truth), events)

    def _bury(self, batch: Batch, counts: Counter[str], letter: DeadLetter, at_event: int) -> None:
        batch.dead_letters.append((at_event, letter))
        counts[f"dead:{letter.reason}"] += 1

    def _take(self, batch: Batch, counts: Counter[str], incoming: Iterable[IncomingLabel]) -> None:
        for record, position, problem in incoming:
            number = self.learner.labels
            at_event = self.learner.events
            try:
                if problem is not None:
                    raise problem
                answer = parse_answer(record)
            except RecordError as error:
                self.learner.labels += 1
                batch.received.append(
                    Received(number, at_event, position, record, error.event_id, error.reason, error.detail)
                )
                counts[f"label:{error.reason}"] += 1
                self._bury(batch, counts, _letter("labels", position, error, record), at_event)
                continue
            if isinstance(answer, Amendment):
                taught = self.learner.amend(answer, position)
            else:
                taught = self.learner.teach(answer, position)
            batch.received.append(
                Received(number, at_event, position, record, answer.event_id, taught.outcome, taught.detail)
            )
            records = taught.records
            batch.examples += enumerate(records, self.learner.model.version - len(records))
            counts["propagated"] += sum(isinstance(record, Example) for record in taught.followers)
            self._settle(batch, counts, taught.settled, at_event)

    def _settle(self, batch: Batch, counts: Counter[str], settled: Iterable[Settled], at_event: int) -> None:
        """Write down what became of labels, and a dead letter for each that was not used."""
        first = batch.received[0].number if batch.received else self.learner.labels
        for number, outcome, detail, label, position in settled:
            counts[f"label:{outcome}"] += 1
            at = number - first
            if at < 0:
                counts["label:waiting"] -= 1
                batch.settled.append((number, outcome, detail))
            elif batch.received[at].outcome == "waiting" and outcome != "waiting":
                counts["label:waiting"] -= 1
                batch.received[at] = batch.received[at]._replace(outcome=outcome, detail=detail)
            if outcome not in USED:
                error = RecordError(outcome, detail, label.event_id)
                self._bury(batch, counts, _letter("labels", position, error, label), at_event)

    def _commit(self, batch: Batch, counts: Counter[str]) -> None:
        learner, before = self.learner, self.progress
        totals = Counter(before.counts)
        totals.update(counts)
        batch.changed = learner.desk.take_changes()
        if learner.groups is not None:
            batch.members = learner.groups.take_changes()
        model = learner.model
        if model.checkpointed > self._saved_snapshot:
            batch.snapshot = (model.checkpointed, model.checkpoint)
            self._saved_snapshot = model.checkpointed
        self.progress = batch.progress = Progress(
            batch=before.batch + 1,
            events=learner.events,
            labels=learner.labels,
            examples=model.version,
            state=learner.state,
            clock=learner.desk.clock,
            desk=learner.desk.memory,
            accuracy=None if learner.accuracy is None else learner.accuracy.dump(),
            drift=None if learner.drift is None else learner.drift.dump(),
            event_position=self._events.position,
            label_position=self._labels.position,
            lengths=self._sink.lengths(),
            counts=dict(sorted((name, n) for name, n in totals.items() if n)),
        )
        self._store.commit(batch)
        learner.desk.committed()
        self._new = []
        self._sink.emit(batch.outputs())


def _events_at_the_start(rows: Sequence[EventRow | DeadLetter]) -> list[EventRow]:
    first = next((at for at, kind in enumerate(map(type, rows)) if kind is DeadLetter), len(rows))
    return list(rows[:first])  # type: ignore[arg-type]


def _letter(
    source: str, position: str, error: RecordError, record: bytes | EventRow | Label | Amendment
) -> DeadLetter:
    if isinstance(record, Label | Amendment):
        text = record.model_dump_json(exclude_none=True)
    elif isinstance(record, EventRow):
        text = record_text(encode_json(record))
    else:
        text = record_text(record)
    return DeadLetter(
        source="labels" if source == "labels" else "events",
        position=position,
        reason=error.reason,
        detail=error.detail,
        event_id=None if error.event_id is None else error.event_id[:MAX_NAME],
        record=text,
    )


def record_text(record: bytes) -> str:
    """Return a record as text for a dead letter: backslashes for what is not UTF-8, cut when oversized."""
    text = record.decode("utf-8", "backslashreplace")
    return text if len(text) <= _RECORD else f"{text[:_RECORD]}… ({len(record)} bytes)"
