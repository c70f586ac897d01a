"""The people that a simulated oracle plays: how fast, how reliable, how many."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from stream_al.desk_rules import DeskRules
from stream_al.draws import Draws
from stream_al.errors import ConfigError
from stream_al.records import ClassLabel
from stream_al.replay.latency import Latency, WorkingHours, parse_rate
from stream_al.strategies.base import require_share

_SHARES: Final = ("wrong", "abstain", "silent")
_HELP: Final = (
    "write name:key=value,… with wrong, wrong.CLASS, abstain, silent (shares), latency, rate; "
    "for example ann:wrong=0.1,latency=exponential:200"
)


@dataclass(frozen=True, slots=True)
class Annotator:
    """One simulated person.

    Parameters
    ----------
    name
        The name the answers bear.
    wrong
        The share of answers that are wrong: another class, each equally likely.
    wrong_for
        The same for single classes, named as text; ``wrong`` for the others.
    abstain
        The share of questions answered with "unsure".
    silent
        The share of questions never answered.
    latency
        How long an answer takes.
    pause
        Time, at least, from taking up one question to taking up the next, in seconds or events.
    paused_by_time
        Whether ``pause`` is in seconds.
    """

    name: str = "oracle"
    wrong: float = 0.0
    wrong_for: Mapping[str, float] = field(default_factory=dict)
    abstain: float = 0.0
    silent: float = 0.0
    latency: Latency = field(default_factory=Latency)
    pause: float = 0.0
    paused_by_time: bool = False

    def __post_init__(self) -> None:
        for name in _SHARES:
            require_share(name, getattr(self, name))
        for label, share in self.wrong_for.items():
            require_share(f"wrong.{label}", share)

    @classmethod
    def parse(cls, text: str, default: Annotator) -> Annotator:
        """Read what ``--annotator`` takes; what it does not say is as with ``default``.

        Raises
        ------
        ConfigError
            When it says something else.
        """
        name, _, rest = text.partition(":")
        if not name:
            raise ConfigError(f"annotator {text!r}: has no name; {_HELP}")
        given: dict[str, Any] = {"name": name}
        wrong_for = dict(default.wrong_for)
        for part in re.split(r",(?=[a-z])", rest) if rest else []:
            key, _, value = part.partition("=")
            if key == "latency":
                given["latency"] = Latency.parse(value)
            elif key == "rate":
                given["pause"], given["paused_by_time"] = parse_rate(value)
            elif key in _SHARES or key.startswith("wrong."):
                try:
                    share = float(value)
                except ValueError:
                    raise ConfigError(
                        f"annotator {text!r}: {key} = {value!r} is no number; {_HELP}"
                    ) from None
                if key in _SHARES:
                    given[key] = share
                else:
                    wrong_for[key.removeprefix("wrong.")] = share
            else:
                raise ConfigError(f"annotator {text!r}: nothing is called {key!r}; {_HELP}")
        try:
            return replace(default, wrong_for=wrong_for, **given)
        except ValueError as error:
            raise ConfigError(f"annotator {text!r}: {error}") from None

    @property
    def timed(self) -> str:
        """Return what of this needs a clock; nothing, when nothing does."""
        if self.latency.timed:
            return f"the latency of {self.name}"
        return f"the rate of {self.name}" if self.paused_by_time else ""

    def answer(
        self, truth: ClassLabel, classes: Sequence[ClassLabel], draw: Draws, question: str
    ) -> tuple[ClassLabel | None, bool]:
        """Return what this person says to a question, None for "unsure"; and whether anything at all."""
        if self.silent and draw(f"silent/{question}") < self.silent:
            return None, False
        if self.abstain and draw(f"abstain/{question}") < self.abstain:
            return None, True
        wrong = self.wrong_for.get(str(truth), self.wrong)
        if wrong and draw(f"wrong/{question}") < wrong:
            others = [label for label in classes if label != truth]
            if others:
                return others[int(draw(f"which/{question}") * len(others))], True
        return truth, True


@dataclass(frozen=True, slots=True)
class Crowd:
    """Everybody who answers, and how a question goes round.

    A question goes to as many of them as the quorum says, in an order of its own; when their answers do not
    agree, or somebody is unsure, to the next one who has not had it. It is not asked again of who stays silent.
    (With ``agreement = "weighted"`` it goes round as if all weighed the same.)

    Parameters
    ----------
    people
        The annotators.
    rules
        Of the desk, for quorum and agreement.
    classes
        What a wrong answer may be.
    hours
        When they work; always, when not given.
    """

    people: tuple[Annotator, ...] = (Annotator(),)
    rules: DeskRules = field(default_factory=DeskRules)
    classes: tuple[ClassLabel, ...] = ()
    hours: WorkingHours | None = None

    def __post_init__(self) -> None:
        names = [person.name for person in self.people]
        if len(set(names)) < len(names):
            raise ConfigError(f"annotators {', '.join(names)}: each needs a name of its own")
        if len(self.people) < self.rules.quorum:
            raise ConfigError(
                f"a quorum of {self.rules.quorum} needs as many annotators, and there "
                f"{'is' if len(self.people) == 1 else 'are'} {len(self.people)}; give more --annotator"
            )

    @classmethod
    def one(cls, delay: int = 0, jitter: int = 0, name: str = "oracle") -> Crowd:
        """Return one person who is always right, ``delay`` to ``delay + jitter`` events after the question."""
        if delay < 0 or jitter < 0:
            raise ValueError(f"delay = {delay!r}, jitter = {jitter!r}: must not be negative")
        latency = Latency("uniform", (delay, delay + jitter)) if jitter else Latency("constant", (delay,))
        return cls((Annotator(name, latency=latency),))

    @property
    def timed(self) -> str:
        """Return what needs the stream to have a clock; nothing, when nothing does."""
        if self.hours is not None:
            return "--working-hours"
        return next((person.timed for person in self.people if person.timed), "")

    @property
    def least(self) -> float:
        """Return how many events lie between question and answer at least."""
        if self.timed:
            return 0.0
        return min(int(person.latency.least) for person in self.people)

    def sentence(self) -> str:
        """Return in words when and how labels come."""
        when = [person.latency for person in self.people]
        late = " and ".join(dict.fromkeys(_words(latency) for latency in when))
        parts = [late]
        if len(self.people) > 1:
            parts.append(f"from {len(self.people)} annotators, {self.rules.quorum} for each question")
        for name, word in (("wrong", "wrong"), ("abstain", "unsure"), ("silent", "never")):
            shares = [getattr(person, name) for person in self.people]
            if max(shares):
                low, high = min(shares), max(shares)
                parts.append(f"{low:.0%} {word}" if low == high else f"{low:.0%} to {high:.0%} {word}")
        if any(person.wrong_for for person in self.people):
            parts.append("some classes more often wrong")
        if any(person.pause for person in self.people):
            parts.append("at a limited rate")
        if self.hours is not None:
            parts.append("in working hours")
        return ", ".join(parts)


def _words(latency: Latency) -> str:
    if latency.kind == "constant" and not latency.values[0]:
        return "before the next event"
    if latency.kind == "uniform" and not latency.timed:
        low, high = latency.values
        return f"{low:,g} to {high:,g} events later, out of order"
    if latency.kind == "constant":
        return f"{latency} later"
    return f"{latency}"
