"""Monitors that the log of examples alone decides: wherever it is folded they are the same.

Where many workers share a log, no one of them has seen every event, and all have seen every example. So calibration and the
detectors on the error belong to the fold there, as the model does: at each version they are in one state.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stream_al.errors import SnapshotError
from stream_al.monitor.calibration import Calibration
from stream_al.monitor.drift import Drift, DriftRules
from stream_al.records import Amendment, LoggedExample, LogRecord
from stream_al.uncertainty import Scores

if TYPE_CHECKING:  # with them comes River
    from stream_al.amendments import ExampleLog
    from stream_al.model import Model

OF_THE_ERROR = ("error", "surprise")
"""What detectors can watch that see examples only."""


def tested(model: Model, example: LoggedExample) -> tuple[bool, float] | None:
    """Test, then train: return whether the model is wrong about an example before it learns it, and its confidence.

    None where it has no answer.
    """
    (scores,) = model.score_all([example.features])
    if not isinstance(scores, Scores) or scores.label is None:
        return None
    return scores.label != example.label, scores.confidence  # of one type, as a pipeline has one


class LogMonitors:
    """What is watched of a log.

    Parameters
    ----------
    calibrated
        Whether confidences are calibrated, by what the model had answered when it asked (`Example.predicted`).
    drift
        What is watched of the error; None watches nothing.

    Raises
    ------
    ValueError
        When something else than the error is to be watched.

    Examples
    --------
    >>> from stream_al.records import Example
    >>> monitors = LogMonitors(calibrated=True)
    >>> told = {"predicted": "a", "confidence": 0.9, "propensity": 1.0}
    >>> for number in range(200):
    ...     example = Example(event_id=f"e{number}", features={"x": 1.0}, label="ab"[number % 2], **told)
    ...     _ = monitors.learned(number, example, None)
    >>> scores = Scores({"a": 0.9, "b": 0.1}, "a", 0.9, 0.8, 200, 2)
    >>> 0.5 < monitors.rescaled(scores).confidence < 0.55
    True
    """

    def __init__(self, *, calibrated: bool = False, drift: DriftRules | None = None) -> None:
        if drift is not None:
            for what in drift.watch:
                if what not in OF_THE_ERROR:
                    raise ValueError(
                        f"watch: {what!r}: the events are in partitions, and nobody sees all of them; "
                        f"watch one or more of {', '.join(OF_THE_ERROR)}, or run on a store"
                    )
        self.calibration = Calibration() if calibrated else None
        self.drift = None if drift is None else Drift(drift, "example")

    @property
    def alarms(self) -> int:
        """How many drift alarms there were."""
        return 0 if self.drift is None else self.drift.alarms

    def rescaled(self, scores: Scores) -> Scores:
        """Return scores with the calibrated confidence, if it is calibrated."""
        return scores if self.calibration is None else self.calibration.rescaled(scores)

    def learned(self, number: int, example: LogRecord | None, model: Model | None) -> bool:
        """Hear of a record of the log, before the model folds it; return whether that is an alarm.

        Only examples that somebody labelled are heard; amendments change nothing here (docs/corrections.md).

        Parameters
        ----------
        number
            Its number in the log.
        example
            What is folded.
        model
            The model before it; only asked where the error is watched.
        """
        if example is None or isinstance(example, Amendment) or example.propagated_from is not None:
            return False
        if self.calibration is not None and example.confidence is not None:
            right = example.predicted == example.label
            self.calibration.learn(example.confidence, right, example.propensity)
        if self.drift is None or model is None:
            return False
        found = tested(model, example)
        return found is not None and self.drift.learned(number, *found)

    def fold(self, records: Sequence[LogRecord | None], model: Model, log: ExampleLog) -> None:
        """Hear of what follows in the log, and let the model fold it; see `stream_al.model.Model.fold_all`."""
        together = len(records) if self.drift is None else 1  # a detector asks the model before each
        for at in range(0, len(records), max(1, together)):
            few = records[at : at + together]
            for number, record in enumerate(few, model.version):
                self.learned(number, record, model)
            model.fold_all(few, log)

    def dump(self) -> str:
        """Return the state, as JSON."""
        drift = self.drift
        return json.dumps(
            {
                "calibration": None if self.calibration is None else self.calibration.dump(),
                "rules": None if drift is None else str(drift.rules),
                "drift": None if drift is None else drift.dump(),
            }
        )

    def load(self, state: str) -> None:
        """Take over what `dump` gave.

        Raises
        ------
        SnapshotError
            When it is corrupt, or of monitors of other rules.
        """
        try:
            found = json.loads(state)
            same = (found["calibration"] is None) == (self.calibration is None)
            if not same or found["rules"] != (None if self.drift is None else str(self.drift.rules)):
                raise SnapshotError("it is of another [drift] or calibration")
            drift = None if self.drift is None else Drift.load(self.drift.rules, found["drift"], "example")
            if self.calibration is not None:
                self.calibration = Calibration.load(found["calibration"])
            self.drift = drift
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise SnapshotError(f"the state of the monitors is corrupt: {error!r}") from None
