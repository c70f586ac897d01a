"""What a pipeline recorded: each event with its prediction, each label with what became of it, and the log."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from stream_al.amendments import ListedLog, Rewritten
from stream_al.codec import EventRow, PredictionRow
from stream_al.monitor.accuracy import WINDOW, Accuracy
from stream_al.records import Amendment, ClassLabel, LogRecord

if TYPE_CHECKING:  # with it comes River, which the page's server does without
    from stream_al.learner import ActiveLearner


class RecordedLabel(NamedTuple):
    """A label as it came, and what became of it."""

    record: bytes
    position: str
    event_id: str | None
    outcome: str
    """One of `labels.OUTCOMES`, or the reason why it is no usable label."""
    at_event: int | None
    """How many events had been answered when it was taken; None where the record does not tell."""


@dataclass(frozen=True)
class Recording:
    """What a pipeline was given, what it did, and what decided that.

    The order of the events is total. A store's worker has one. On Kafka every worker folds the log at its own
    pace, so there the events are in the order of the model versions they were answered with, and within a
    partition in its order. Where a partition was handed to a worker whose model was behind, the two contradict
    each other; the partition's order stands then.

    Parameters
    ----------
    name
        What reports and errors call it.
    make_learner
        Returns a fresh learner of the recorded configuration: model, strategy, rules for labels, key.
    events, predictions
        Each event that was answered, and the answer, in order.
    labels
        Every label that came.
    examples
        The log; None for a record that is neither example nor amendment.
    partitions
        How many partitions decide for themselves, each with its own strategy's state, while others match the
        labels, as on Kafka. None: one worker does all, and what its desk holds decides with.
    parts
        The partition of each event.
    withdrawn
        The ids whose query was taken back before people could answer.
    unanswered
        The ids whose query was closed without an answer: those, and the expired, disputed and given up.
    """

    name: str
    make_learner: Callable[[], ActiveLearner]
    events: Sequence[EventRow]
    predictions: Sequence[PredictionRow]
    labels: Sequence[RecordedLabel]
    examples: Sequence[LogRecord | None]
    partitions: int | None = None
    parts: Sequence[int] = ()
    withdrawn: frozenset[str] = frozenset()
    unanswered: frozenset[str] = frozenset()

    @cached_property
    def _versions(self) -> list[int]:
        return list(accumulate((row.model_version for row in self.predictions), max))

    def learned_at(self, number: int) -> int:
        """Return after how many events an example of the log had been learned."""
        return bisect_right(self._versions, number)

    def version_at(self, at_event: int) -> int:
        """Return the version of the model that answered next after so many events; of the last, the log's length."""
        return self._versions[at_event] if at_event < len(self._versions) else len(self.examples)

    @property
    def waits(self) -> list[int]:
        """How many events lay between each question and the label that became its example, where that is known."""
        asked = {row.event_id: place + 1 for place, row in enumerate(self.predictions) if row.queried}
        return [
            label.at_event - asked[label.event_id]
            for label in self.labels
            if label.outcome == "example" and label.at_event is not None and label.event_id in asked
        ]

    @cached_property
    def agreed(self) -> Mapping[int, ClassLabel]:
        """The class that people agreed on in the end, by the place of the event in ``events``; of the log's examples."""
        log = ListedLog(self.examples)
        amended = list(Rewritten(log, 0, len(log)))
        found = {place: amended[number] for number, place, _ in self._answers}
        return {place: example.label for place, example in found.items() if example is not None}

    @cached_property
    def _answers(self) -> list[tuple[int, int, ClassLabel]]:
        """Of each example of an event that was asked about: its number, the event's place, and the class then learned."""
        asked: dict[str, deque[int]] = defaultdict(deque)
        for place, prediction in enumerate(self.predictions):
            if prediction.queried:
                asked[prediction.event_id].append(place)
        return [
            (number, asked[example.event_id].popleft(), example.label)
            for number, example in enumerate(self.examples)
            if example is not None and not isinstance(example, Amendment)
            if example.propagated_from is None and asked[example.event_id]
        ]

    def accuracy(self) -> Accuracy:
        """Return what is known of the accuracy of these answers, as if it had been watched all the time.

        In the order of the events above an answer's calibration rests on examples learned before it only, and its draw
        is its own; so the intervals of `stream_al.monitor` hold, however many workers answered. Amendments do not change
        what was counted; see docs/corrections.md.
        """
        watching = self.make_learner().accuracy
        watch = Accuracy(WINDOW if watching is None else watching.window)
        answered = {place for _, place, _ in self._answers}
        answers = deque(
            (self.learned_at(number), str(place), label) for number, place, label in self._answers
        )
        for place, row in enumerate(self.predictions):
            while answers and answers[0][0] <= place:
                watch.settle(*answers.popleft()[1:])
            name = str(place) if row.queried else None  # an id may have been asked about twice
            watch.pass_by(place, row.label, row.confidence, row.propensity, name)
            if name and place not in answered and row.event_id in self.unanswered:
                watch.settle(name, None)
        for _, name, label in answers:
            watch.settle(name, label)
        return watch
