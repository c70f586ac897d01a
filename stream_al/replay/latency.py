"""Verification latency: how long people take, in events of the stream or by its clock."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, log
from statistics import NormalDist
from typing import Final

from stream_al.codec import EventRow
from stream_al.errors import ConfigError

_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DAY: Final = 86_400.0
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_KINDS: Final = {"constant": (1, 1), "uniform": (2, 2), "exponential": (1, 1), "lognormal": (1, 2)}
_HELP: Final = (
    "write 200, constant:200, uniform:50:150, exponential:200 (mean) or lognormal:200:1.0 (median, sigma); "
    "a plain number counts events, 30s, 5m, 2h, 1d are times"
)


@dataclass(frozen=True, slots=True)
class Latency:
    """A distribution of waiting times.

    Parameters
    ----------
    kind
        ``"constant"``, ``"uniform"``, ``"exponential"``, ``"lognormal"`` or ``"recorded"``.
    values
        Its parameters: the value; least and most; the mean; median and sigma (of the logarithm); all that was
        recorded, sorted.
    timed
        Whether the values are seconds; else they count events.

    Examples
    --------
    >>> Latency.parse("uniform:50:150").draw(0.5)
    100.0
    >>> Latency.parse("exponential:2h").timed
    True
    """

    kind: str = "constant"
    values: tuple[float, ...] = (0.0,)
    timed: bool = False

    @classmethod
    def parse(cls, text: str) -> Latency:
        """Read what ``--latency`` takes.

        Raises
        ------
        ConfigError
            When it is something else.
        """
        kind, _, rest = text.partition(":") if text[:1].isalpha() else ("constant", "", text)
        parts = rest.split(":") if rest else []
        if kind not in _KINDS or not _KINDS[kind][0] <= len(parts) <= _KINDS[kind][1]:
            raise ConfigError(f"latency {text!r}: no such latency; {_HELP}")
        sigma = parts.pop() if kind == "lognormal" and len(parts) == 2 else "1"
        read = [_number(part, text) for part in parts]
        timed = {is_time for _, is_time in read}
        values = [value for value, _ in read]
        if kind == "lognormal":
            values.append(_number(sigma, text)[0])
        if len(timed) > 1 or (kind == "uniform" and values != sorted(values)):
            raise ConfigError(f"latency {text!r}: give two numbers of one kind, the lower first; {_HELP}")
        return cls(kind, tuple(values), timed.pop())

    @classmethod
    def recorded(cls, values: Sequence[float], *, timed: bool = False) -> Latency:
        """Return the distribution of waiting times that were seen."""
        if not values:
            raise ConfigError("latency: no waiting time was recorded, as no label was answered; name another")
        return cls("recorded", tuple(sorted(values)), timed)

    @property
    def least(self) -> float:
        """Return the shortest there is."""
        return self.values[0] if self.kind in ("constant", "uniform", "recorded") else 0.0

    def draw(self, u: float) -> float:
        """Return the waiting time that a share ``u`` of all do not exceed."""
        values = self.values
        if self.kind == "constant":
            return values[0]
        if self.kind == "recorded":
            return values[int(u * len(values))]
        if self.kind == "uniform":
            low, high = values
            return low + (u * (high - low) if self.timed else int(u * (high - low + 1)))
        if self.kind == "exponential":
            return -values[0] * log(1.0 - u)
        median, sigma = values
        return median * exp(sigma * NormalDist().inv_cdf(min(max(u, 1e-12), 1.0 - 1e-12)))

    def __str__(self) -> str:
        if self.kind == "recorded":
            return f"as recorded ({len(self.values):,} answers)"
        sizes = self.values[: 1 if self.kind == "lognormal" else 2]
        texts = [_told(size) if self.timed else f"{size:,g} events" for size in sizes]
        if self.kind == "constant":
            return texts[0]
        if self.kind == "uniform":
            return f"{texts[0]} to {texts[1]}"
        what = "mean" if self.kind == "exponential" else "median"
        sigma = f", sigma {self.values[1]:g}" if self.kind == "lognormal" else ""
        return f"{self.kind}, {what} {texts[0]}{sigma}"


@dataclass(frozen=True, slots=True)
class WorkingHours:
    """When people answer: on some days of the week (0: Monday), from one second of the day to another, UTC.

    Examples
    --------
    >>> hours = WorkingHours.parse("mon-fri 9-17")
    >>> thursday = 0.0  # 1 January 1970, 00:00
    >>> hours.after(thursday, 9 * 3600.0) / 3600  # 8 hours of Thursday, 1 of Friday
    34.0
    """

    days: tuple[int, ...]
    start: float
    end: float

    @classmethod
    def parse(cls, text: str) -> WorkingHours:
        """Read ``"mon-fri 9-17"`` or ``"sat,sun 10-12.5"``.

        Raises
        ------
        ConfigError
            When it is something else.
        """
        match = re.fullmatch(r"([a-z,\-]+)\s+(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)", text.strip().lower())
        days: list[int] = []
        for part in match[1].split(",") if match else []:
            first, _, last = part.partition("-")
            if first not in _DAYS or (last and last not in _DAYS):
                match = None
                break
            begin, end = _DAYS.index(first), _DAYS.index(last or first)
            days += [(begin + n) % 7 for n in range((end - begin) % 7 + 1)]
        if match is None or not 0 <= float(match[2]) < float(match[3]) <= 24:
            raise ConfigError(f"working hours {text!r}: write days and hours (UTC), such as 'mon-fri 9-17'")
        return cls(tuple(sorted(set(days))), float(match[2]) * 3600.0, float(match[3]) * 3600.0)

    def after(self, time: float, seconds: float) -> float:
        """Return when so many working seconds have passed since a time (seconds since 1970)."""
        day = time // _DAY
        at = time - day * _DAY
        while True:
            if (day + 3) % 7 in self.days and at < self.end:
                at = max(at, self.start)
                if seconds <= self.end - at:
                    return day * _DAY + at + seconds
                seconds -= self.end - at
            day, at = day + 1, 0.0


@dataclass(frozen=True, slots=True)
class Clock:
    """The time of a stream: when each of its events was, in seconds; without ``times``, the events are the clock."""

    times: tuple[float, ...] = ()

    @classmethod
    def of(cls, rows: Sequence[EventRow], *, per_hour: float | None = None, needed: str = "") -> Clock:
        """Return the clock of a stream.

        Parameters
        ----------
        rows
            The events.
        per_hour
            How many there are in an hour; by their timestamps when not given.
        needed
            What needs a time; when nothing does, the events themselves are the clock.

        Raises
        ------
        ConfigError
            When a time is needed, and the events have none, or go back in time.
        """
        if not needed:
            return cls()
        if per_hour is not None:
            return cls(tuple(number * 3600.0 / per_hour for number in range(1, len(rows) + 1)))
        times = [None if row.timestamp is None else row.timestamp.timestamp() for row in rows]
        for number, time in enumerate(times, 1):
            if time is None:
                raise ConfigError(
                    f"{needed} counts time, and event {number} has no timestamp; "
                    "name its column with --timestamp-column, or give --events-per-hour"
                )
        known = [time for time in times if time is not None]
        for number, (before, time) in enumerate(pairwise(known), 2):
            if time < before:
                raise ConfigError(
                    f"{needed} counts time, and event {number} is earlier than the one before; "
                    "sort the stream by time, or give --events-per-hour"
                )
        return cls(tuple(known))

    def time(self, number: int) -> float:
        """Return the time when so many events were answered."""
        return self.times[number - 1] if self.times else float(number)

    def number(self, time: float) -> int:
        """Return how many events are answered before something that happens at a time."""
        return bisect_left(self.times, time) if self.times else int(time)


def parse_rate(text: str) -> tuple[float, bool]:
    """Read ``"30/h"``, ``"200/d"`` or ``"20/1000"``: answers in a time, or in so many events.

    Returns
    -------
    tuple
        Seconds, or events, from one answer to the next; and whether they are seconds.

    Raises
    ------
    ConfigError
        When it is something else.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)/(?:([mhd])|(\d+))", text.strip())
    if match is None or not float(match[1]) or (match[3] and not int(match[3])):
        raise ConfigError(
            f"rate {text!r}: write answers per time, such as 30/h or 200/d, or per events, such as 20/1000"
        )
    return (_SECONDS[match[2]] if match[2] else float(match[3])) / float(match[1]), bool(match[2])


def _number(part: str, text: str) -> tuple[float, bool]:
    unit = part[-1:] if part[-1:] in _SECONDS else ""
    digits = part.removesuffix(unit)
    if not re.fullmatch(r"\d+(\.\d+)?|\.\d+", digits):
        raise ConfigError(f"latency {text!r}: {part!r} is no number; {_HELP}")
    return float(digits) * (_SECONDS[unit] if unit else 1.0), bool(unit)


def _told(seconds: float) -> str:
    for unit in ("d", "h", "m"):
        if seconds and seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:g} {unit}"
    return f"{seconds:g} s"
