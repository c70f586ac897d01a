"""How accurate the model's answers are, on all events, from the few that people have checked.

What is estimated is the share of right answers among all events answered up to the *horizon*: the last event before the
oldest query that is still open. It is a number about these very events, not about a distribution: nothing is
assumed of the stream, of its drift or of the model. What is random are the draws by which events are asked about.

- Queries that were closed without an answer are no random sample of all queries. The interval takes them for all wrong at
  one end, and for all right at the other; the point estimate takes them to be as right as calibration expects.
- A query that is still open when `PATIENCE` newer ones are waiting behind it counts as one of those, for good.
- Events with propensity 0 are treated like the unanswered; where they are many, there is no number but a sentence.
- Right is what people's answers say is right; and whoever knows the pipeline's key could choose what is asked about.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

import msgspec

from stream_al.monitor.calibration import Calibration
from stream_al.monitor.confusion import ClassEstimate, Confusion
from stream_al.monitor.curve import Curve, Point
from stream_al.monitor.stretch import Estimate, Span, Stretch
from stream_al.records import ClassLabel

PATIENCE: Final = 1000
"""So many queries may wait to be counted, because an older one is open."""
WINDOW: Final = 20_000
"""Events in the longest recent stretch; the shortest has half as many."""

_OPEN, _ANSWERED, _UNANSWERED = 0, 1, 2
_encoder: Final = msgspec.json.Encoder()


class _Asked(msgspec.Struct, array_like=True, gc=False):
    """A query that is not counted yet, and the events since the one before."""

    span: Span
    event_id: str
    predicted: ClassLabel | None
    confidence: float
    expected: float
    propensity: float
    status: int = _OPEN
    answer: ClassLabel | None = None

    def wrong(self) -> bool | None:
        """Return whether the model's answer was wrong; None when nobody can tell."""
        if self.predicted is None:
            return True  # no answer is not the right one
        if self.status != _ANSWERED:
            return None
        return self.answer != self.predicted  # of one type, as a pipeline has one


class Report(NamedTuple):
    """All there is to say of a model's accuracy."""

    answered: int
    """Events answered up to now; the estimates are of those up to the horizon."""
    whole: Estimate
    recent: Estimate
    """Of the last `WINDOW` / 2 to `WINDOW` events before the horizon."""
    classes: list[ClassEstimate]
    matrix: list[tuple[ClassLabel | None, ClassLabel, float]]
    """(predicted, true, estimated number of events)"""
    curve: list[Point]
    """Piece of the stream by piece, up to the horizon."""


class Accuracy:
    """Watches a stream of predictions, queries and answers. No clock, no generator: a function of its calls.

    Every `window` / 2 events (at the next event asked about) a stretch begins, and `recent` is the last that is full,
    with the one after it. It has a sequence of intervals of its own: that the intervals of *one* begin are all right,
    at all times, has probability 95 %; of twenty begins, one may have an interval that is wrong at some time.

    Parameters
    ----------
    window
        Events in the longest recent stretch.
    begun
        The number of events that had been answered before; they are not in the estimates.

    Examples
    --------
    A thousand events, each asked about with probability 0.2; every tenth answer is wrong:

    >>> from stream_al.draws import Draws
    >>> watch, draw = Accuracy(), Draws("key")
    >>> for number in range(1000):
    ...     name = f"e{number}"
    ...     if watch.pass_by(number, "a", 0.9, 0.2, name if draw(name) < 0.2 else None):
    ...         watch.settle(name, "a" if number % 10 else "b")
    >>> found = watch.report(1000).whole
    >>> found.low < 0.9 < found.high, found.events
    (True, 1000)
    """

    def __init__(self, window: int = WINDOW, begun: int = 0) -> None:
        if window < 2:
            raise ValueError(f"window = {window!r}: must be at least 2 events")
        self.window = window
        self.calibration = Calibration()
        # Stretches that end where `_newest` begins, so that a label is counted in one place.
        self._whole, self._before, self._newest = Stretch(), Stretch(), Stretch()
        self._since: Stretch | None = Stretch()
        self._confusion = Confusion()
        self.curve = Curve()
        """How the accuracy came to be what it is, up to the horizon."""
        self._asked: deque[_Asked] = deque()
        self._by_id: dict[str, _Asked] = {}
        self._at = begun
        """The number of the event after the last one asked about."""
        self.expected = 0.0
        """Of the events since then, the expected errors; the learner adds to it, event by event."""
        self._unseen, self._unseen_expected, self._first, self.least = 0, 0.0, 1.0, 1.0

    # ── the path of every event ──────────────────────────────────────────────────────────────────

    def pass_by(
        self,
        number: int,
        predicted: ClassLabel | None,
        confidence: float,
        propensity: float,
        asked: str | None,
    ) -> bool:
        """Hear of an answered event; ``asked`` is its id if it was asked about. Returns whether it was.

        `ActiveLearner` does the same in line, for speed.
        """
        expected = self.calibration.expected(confidence)
        if propensity < self.least:
            self.rarer(propensity, expected)
        if asked is None:
            self.expected += expected
            return False
        self.ask(number, asked, predicted, confidence, expected, propensity)
        return True

    def rarer(self, propensity: float, expected: float) -> float:
        """Hear of a propensity smaller than ``least``; return what ``least`` is now."""
        if propensity <= 0.0:
            self._unseen += 1
            self._unseen_expected += expected
        else:
            if self._first == 1.0:
                self._first = propensity
            self.least = propensity
        return self.least

    def ask(
        self,
        number: int,
        event_id: str,
        predicted: ClassLabel | None,
        confidence: float,
        expected: float,
        propensity: float,
    ) -> None:
        """Hear that an event is asked about; its expected errors are not among ``self.expected``."""
        asked = _Asked(self._tail(number), event_id, predicted, confidence, expected, propensity)
        self._wait(asked)
        self._at = number + 1
        self.expected, self._unseen, self._unseen_expected, self._first, self.least = 0.0, 0, 0.0, 1.0, 1.0
        if len(self._asked) > PATIENCE:
            self._asked[0].status = _UNANSWERED
            self._count_settled()

    def _wait(self, asked: _Asked) -> None:
        self._asked.append(asked)
        self._by_id[asked.event_id] = asked

    def _tail(self, number: int) -> Span:
        """Return the events since the last one asked about, up to this number."""
        return Span(
            number - self._at, self.expected, self._unseen, self._unseen_expected, self._first, self.least
        )

    # ── answers ──────────────────────────────────────────────────────────────────────────────────

    def settle(self, event_id: str, answer: ClassLabel | None) -> None:
        """Hear that a query is closed: with the label agreed on, or None without."""
        asked = self._by_id.get(event_id)
        if asked is None:
            return  # given up before
        asked.status, asked.answer = (_UNANSWERED, None) if answer is None else (_ANSWERED, answer)
        wrong = asked.wrong()
        if answer is not None and wrong is not None:
            self.calibration.learn(asked.confidence, not wrong, asked.propensity)
        self._count_settled()

    def _count_settled(self) -> None:
        """Count what is settled, in the order of the events, up to the oldest query that is open."""
        while self._asked and self._asked[0].status != _OPEN:
            asked = self._asked.popleft()
            if self._by_id.get(asked.event_id) is asked:  # else its event was asked about again meanwhile
                del self._by_id[asked.event_id]
            wrong = asked.wrong()
            self._newest.pass_over(asked.span)
            self._newest.count(asked.expected, asked.propensity, wrong)
            self._confusion.count(asked.predicted, asked.answer, asked.propensity)
            self.curve.count(asked.span, asked.expected, asked.propensity, wrong)
            if self._newest.events >= self.window // 2:
                self._begin_next()

    def _begin_next(self) -> None:
        newest = self._newest
        self._whole = self._whole.joined(newest)
        self._since = newest.next() if self._since is None else self._since.joined(newest)
        self._before, self._newest = newest, newest.next()

    def begin_anew(self) -> None:
        """Let `since` begin with the next stretch of half a window; until then it is empty."""
        self._since = None

    # ── what is known ────────────────────────────────────────────────────────────────────────────

    def whole(self, events: int) -> Stretch:
        """Return the whole stream up to the horizon, when so many events have been answered."""
        return self._with_newest(self._whole, events)

    def recent(self, events: int) -> Stretch:
        """Return the last `window` / 2 to `window` events before the horizon."""
        return self._with_newest(self._before, events)

    def since(self, events: int) -> Stretch:
        """Return the events up to the horizon, from the beginning or from after the last `begin_anew`."""
        return Stretch() if self._since is None else self._with_newest(self._since, events)

    def _with_newest(self, stretch: Stretch, events: int) -> Stretch:
        found = stretch.joined(self._newest)
        found.pass_over(self._asked[0].span if self._asked else self._tail(events))
        return found

    def report(self, events: int) -> Report:
        """Return all there is to say when so many events have been answered."""
        whole = self.whole(events)
        nothing = whole.why_not() is not None
        return Report(
            events,
            whole.estimate(),
            self.recent(events).estimate(),
            [] if nothing else self._confusion.classes(whole),
            [] if nothing else self._confusion.matrix(whole.events),
            [] if nothing else self.curve.points(),
        )

    # ── state ────────────────────────────────────────────────────────────────────────────────────

    def dump(self) -> str:
        """Return the state as JSON text."""
        state = {
            "window": self.window,
            "calibration": self.calibration.dump(),
            "whole": self._whole.dump(),
            "before": self._before.dump(),
            "since": None if self._since is None else self._since.dump(),
            "newest": self._newest.dump(),
            "confusion": self._confusion.dump(),
            "curve": self.curve.dump(),
            "tail": [self._at, self.expected, self._unseen, self._unseen_expected, self._first, self.least],
            "asked": list(self._asked),
        }
        return _encoder.encode(state).decode()

    @classmethod
    def load(cls, text: str) -> Accuracy:
        """Return the one whose `dump` this is.

        Raises
        ------
        ValueError, TypeError, KeyError, IndexError
            When it is none.
        """
        state = msgspec.json.decode(text)
        made = cls(state["window"])
        made.calibration = Calibration.load(state["calibration"])
        made._whole, made._before = Stretch.load(state["whole"]), Stretch.load(state["before"])
        made._newest = Stretch.load(state["newest"])
        made._since = None if state["since"] is None else Stretch.load(state["since"])
        made._confusion = Confusion.load(state["confusion"])
        made.curve = Curve.load(state["curve"])
        made._at, made.expected, made._unseen, made._unseen_expected, made._first, made.least = state["tail"]
        for content in state["asked"]:
            made._wait(msgspec.convert(content, _Asked))
        return made
