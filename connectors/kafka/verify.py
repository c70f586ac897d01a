"""Verifying a pipeline on Kafka: run everything again from the topics, and compare.

Events, labels and the log of examples are input here; predictions, decisions, queries and the strategies' states
must follow from them, and every label must have exactly one outcome. All is held in memory.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from kafka.structs import TopicPartition

from connectors.kafka.fold import read_logged
from connectors.kafka.history import History, by_header
from connectors.kafka.scoring import EventLane, read_state
from connectors.kafka.wire import EVENT, FORWARDED, LABELS, PLACE, VOTES, header, place
from stream_al.amendments import ListedLog, Rewritten
from stream_al.build import build_learner, log_monitors
from stream_al.codec import EventRow, encode_predictions
from stream_al.config import Config
from stream_al.errors import RecordError
from stream_al.model import Model
from stream_al.records import Amendment, LogRecord
from stream_al.stand_ins import KnownMonitors, KnownScores
from stream_al.strategies import QueryStrategy
from stream_al.uncertainty import ABOUT, Scores
from stream_al.verdict import Verdict, differing, short


def verify(
    config: Config,
    name: str = "the configuration",
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> Verdict:
    """Recompute all that a pipeline's topics hold, as far as its group has committed, and compare.

    Parameters
    ----------
    config
        The pipeline.
    name
        What errors call it.
    on_step
        Told (steps done, steps in all).

    Raises
    ------
    SourceError
        When topics are missing, or events that are needed were deleted.
    """
    return _Verification(config, History(config, name), name).run(on_step)


class _Verification:
    def __init__(self, config: Config, history: History, name: str) -> None:
        self.verdict = Verdict()
        learner = build_learner(config, name)
        self._config, self._name = config, name
        self._model: Model = learner.model
        self._history, self._topics = history, history.topics
        self._strategy: QueryStrategy = learner.strategy.divided(self._topics.event_partitions)
        self._key = config.run.key
        self._rows: dict[str, EventRow] = {}
        """Every event that was answered, by its place."""
        self._rescaled: dict[str, Scores] = {}
        """What the strategy saw of each, where it sees calibrated scores."""
        self._alarms: dict[str, int] = {}
        """How many drift alarms there were when it was answered."""

    def run(self, on_step: Callable[[int, int], None]) -> Verdict:
        steps = 5
        on_step(0, steps)
        topics, read = self._topics, self._history.read
        events = self._history.events()
        predictions = by_header(EVENT, read(topics.predictions, topics.prediction_partitions))
        letters = by_header(PLACE, read(topics.dead_letters))
        on_step(1, steps)
        rows = self._events(events, predictions, letters)
        on_step(2, steps)
        examples = read(topics.examples, 1)
        scored = self._score(examples, rows, predictions)
        on_step(3, steps)
        queries = read(topics.queries, topics.query_partitions)
        self._decide(rows, scored, predictions, queries)
        on_step(4, steps)
        self._labels(examples, letters, queries)
        on_step(5, steps)
        return self.verdict

    # ── predictions and decisions ────────────────────────────────────────────────────────────────

    def _events(
        self, events: Sequence[Any], predictions: dict[str, list[Any]], letters: dict[str, list[Any]]
    ) -> dict[int, list[tuple[str, EventRow]]]:
        """Return each partition's events that were answered; note those that were not, or twice."""
        rows: dict[int, list[tuple[str, EventRow]]] = defaultdict(list)
        self.verdict.events = len(events)
        known = set()
        for record in events:
            where = place(record)
            known.add(where)
            answers, buried = len(predictions.get(where, ())), len(letters.get(where, ()))
            (row,) = EventLane.read_all([record], self._topics.max_record_bytes)
            if answers + buried != 1:
                self.verdict.add(f"event {where}: has {answers} predictions and {buried} dead letters")
            elif isinstance(row, RecordError):
                if answers:
                    self.verdict.add(f"event {where}: has a prediction, but cannot be read ({row})")
            elif answers:
                rows[record.partition].append((where, row))
                self._rows[where] = row
            elif json.loads(letters[where][0].value)["reason"] != "cannot-score":
                self.verdict.add(f"event {where}: has a dead letter, but can be read")
        for where in predictions.keys() - known:
            self.verdict.add(f"prediction of {where}: there is no such event, or it is not committed")
        return rows

    def _score(
        self,
        examples: Sequence[Any],
        rows: dict[int, list[tuple[str, EventRow]]],
        predictions: dict[str, list[Any]],
    ) -> dict[str, Scores | RecordError]:
        """Fold the log, and score each event with the model of the version its prediction names."""
        by_version: dict[int, list[str]] = defaultdict(list)
        for answered in rows.values():
            for where, _ in answered:
                by_version[int(json.loads(predictions[where][0].value)["model_version"])].append(where)
        told = self._strategy.wants() | self._strategy.looks()
        scored: dict[str, Scores | RecordError] = {}
        monitors = log_monitors(self._config, self._name)
        log = ListedLog(read_logged(record) for record in examples)
        ends = {version for version in by_version if version <= len(log)} | {len(log)}
        for version in sorted(ends):
            monitors.fold(log[self._model.version : version], self._model, log)
            wanted = by_version.pop(version, [])
            features = [self._rows[where].features for where in wanted]
            found = self._model.score_all(features, told - {ABOUT})
            scored.update(zip(wanted, found, strict=True))
            for where, scores in zip(wanted, found, strict=True):
                self._alarms[where] = monitors.alarms
                if monitors.calibration is not None and isinstance(scores, Scores):
                    self._rescaled[where] = monitors.rescaled(scores)
        for version, places in by_version.items():
            self.verdict.add(
                f"prediction of {places[0]}: names version {version}, which the log does not have"
            )
        self.verdict.examples, self.verdict.digest = len(examples), self._model.digest()
        if any(
            isinstance(record, Amendment) for record in log
        ):  # then once more in one go: of the log as amended
            fresh = build_learner(self._config, self._name).model
            fresh.fold_all(Rewritten(log, 0, len(log)), log)
            if fresh.digest() != self.verdict.digest:
                self.verdict.add(
                    f"the log as amended has digest {fresh.digest()}, amended by and by {self.verdict.digest}"
                )
        return scored

    def _decide(
        self,
        rows: dict[int, list[tuple[str, EventRow]]],
        scored: dict[str, Scores | RecordError],
        predictions: dict[str, list[Any]],
        queries: Sequence[Any],
    ) -> None:
        """Run each partition's strategy again, and compare predictions, queries and the committed state."""
        asked: dict[str, bytes] = {}
        for number in range(self._topics.event_partitions):
            partition = TopicPartition(self._topics.events, number)
            known = [(where, row) for where, row in rows[number] if where in scored]
            monitors = KnownMonitors([self._rescaled[where] for where, _ in known if where in self._rescaled])
            lane = EventLane(partition, self._model, monitors, self._strategy, self._key, self._topics)
            lane.learner.model = KnownScores([scored[where] for where, _ in known])  # type: ignore[assignment]
            for alarms, part in groupby(known, lambda found: self._alarms[found[0]]):
                lane.hear(alarms)
                self._decide_run(lane, list(part), predictions, asked)
            committed = self._history.committed.get(partition)
            if committed is not None:
                found = read_state(committed, partition, self._strategy, self._topics.fingerprint)
                again = lane.standing
                if found != again:
                    self.verdict.add(
                        f"{partition.topic}:{number}: the committed state is {found}, recomputed {again}"
                    )
        for record in queries:
            source = header(record, EVENT)
            if record.value is not None and source is not None and header(record, VOTES) is None:
                if source in asked:
                    self._compare("query", source, record.value, asked[source])
                elif source in self._rows:
                    self.verdict.add(f"query of {source}: is there, but does not follow")

    def _decide_run(
        self,
        lane: EventLane,
        known: Sequence[tuple[str, EventRow]],
        predictions: dict[str, list[Any]],
        asked: dict[str, bytes],
    ) -> None:
        answers, incidents = lane.learner.answer([row for _, row in known])
        for incident in incidents:
            if incident.line:
                asked[known[incident.place][0]] = incident.line
        for (where, _), answer in zip(known, answers, strict=True):
            self._compare("prediction", where, predictions[where][0].value, encode_predictions([answer])[:-1])

    def _compare(self, what: str, where: str, stored: bytes, again: bytes) -> None:
        if bytes(stored) == again:
            return
        for key, one, other in differing(json.loads(stored), json.loads(again)):
            self.verdict.add(
                f"{what} of {where}:{key} is {short(one)} on the topic, recomputed {short(other)}"
            )

    # ── labels ───────────────────────────────────────────────────────────────────────────────────

    def _labels(self, examples: Sequence[Any], letters: dict[str, list[Any]], queries: Sequence[Any]) -> None:
        """See that every label has one outcome, and every example follows from its query and its labels."""
        topics = self._topics
        everything = self._history.read(topics.labels, topics.query_partitions)
        records = self._history.below_committed(everything)
        originals = {place(record): record for record in records if header(record, FORWARDED) is None}
        passed_on = Counter(header(record, FORWARDED) for record in everything)
        arrived = {header(record, FORWARDED) for record in records}
        outcomes: Counter[str] = Counter()
        for where, buried in letters.items():
            outcomes[where] += len(buried)
        waiting: dict[bytes, list[str]] = {}
        for record in queries:
            votes = json.loads(header(record, VOTES) or "[]") if record.value is not None else []
            waiting[bytes(record.key or b"")] = [position for _, _, position in votes]
        for places in waiting.values():
            outcomes.update(places)
        asked = {row.id: row for row in self._rows.values()}
        answered: Counter[str] = Counter()
        for number, record in enumerate(examples):
            example = read_logged(record)
            if example is None:
                continue
            answered[example.event_id] += not isinstance(example, Amendment)
            places = json.loads(header(record, LABELS) or "[]")
            outcomes.update(places)
            self._follows(number, example, asked.get(example.event_id), [originals.get(p) for p in places])
        for event_id, count in answered.items():
            if count > 1:
                self.verdict.add(f"event {event_id!r}: was learned {count} times")
        for where in originals:
            moved = passed_on[where]
            if moved > 1 or (moved and where in outcomes and where not in arrived):
                self.verdict.add(
                    f"label {where}: was passed on {moved} times, with {outcomes[where]} outcomes"
                )
            elif outcomes[where] != 1 and not (moved and where not in arrived):
                self.verdict.add(f"label {where}: has {outcomes[where]} outcomes, and must have one")
        self.verdict.labels = len(originals)

    def _follows(
        self, number: int, example: LogRecord, event: EventRow | None, labels: Sequence[Any]
    ) -> None:
        if isinstance(example, Amendment):
            self._amends(number, example, labels)
            return
        if not labels:
            self.verdict.add(f"example {number} (of event {example.event_id!r}): names no label")
        for label in labels:
            said = None if label is None else json.loads(label.value)
            if said is None or (said.get("event_id"), said.get("label")) != (example.event_id, example.label):
                self.verdict.add(
                    f"example {number} (of event {example.event_id!r}): does not follow from {short(said)}"
                )
        if event is not None and dict(event.features) != dict(example.features):
            self.verdict.add(
                f"example {number} (of event {example.event_id!r}): has other features than its event"
            )

    def _amends(self, number: int, amendment: Amendment, labels: Sequence[Any]) -> None:
        """See that an amendment is what was sent; or that somebody sent another answer to the same query."""
        named = f"amendment {number} (of event {amendment.event_id!r})"
        if len(labels) != 1:
            self.verdict.add(f"{named}: names {len(labels)} labels, and must name one")
        for label in labels:
            said = None if label is None else json.loads(label.value)
            if said is None or said.get("event_id") != amendment.event_id:
                self.verdict.add(f"{named}: does not follow from {short(said)}")
            elif "amends" in said and (said.get("label"), said.get("why")) != (
                amendment.label,
                amendment.why,
            ):
                self.verdict.add(f"{named}: is not what was sent, {short(said)}")
