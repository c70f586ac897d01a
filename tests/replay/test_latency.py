from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_al import ConfigError
from stream_al.ports import LabelledRow
from stream_al.replay.latency import Clock, Latency, WorkingHours, parse_rate

HOUR = 3600.0


@pytest.mark.parametrize(
    ("text", "at_0", "at_half", "words"),
    [
        ("200", 200, 200, "200 events"),
        ("constant:30m", 1800, 1800, "30 m"),
        ("uniform:50:150", 50, 100, "50 events to 150 events"),
        ("exponential:100", 0, 69.3147, "exponential, mean 100 events"),
        ("lognormal:2h", None, 7200, "lognormal, median 2 h, sigma 1"),
        ("lognormal:200:0.5", None, 200, "lognormal, median 200 events, sigma 0.5"),
    ],
)
def test_a_latency_is_what_its_text_says(text, at_0, at_half, words):
    latency = Latency.parse(text)
    if at_0 is not None:
        assert latency.draw(0.0) == at_0
    assert latency.draw(0.5) == pytest.approx(at_half, rel=1e-5)
    assert str(latency) == words
    assert latency.least == (at_0 or 0)


@given(
    st.sampled_from(["7", "uniform:3:9", "exponential:50", "lognormal:50:2", "exponential:2h"]),
    st.lists(st.floats(0, 1, exclude_max=True), min_size=2, max_size=2),
)
def test_a_higher_draw_is_never_a_shorter_wait(text, draws):
    latency = Latency.parse(text)
    low, high = sorted(draws)
    assert latency.least <= latency.draw(low) <= latency.draw(high) < float("inf")


def test_means_are_what_they_are_called():
    latency = Latency.parse("exponential:100")
    waits = [latency.draw((n + 0.5) / 10_000) for n in range(10_000)]
    assert sum(waits) / len(waits) == pytest.approx(100, rel=0.01)


def test_what_was_recorded_comes_back_in_its_frequencies():
    latency = Latency.recorded([5, 1, 1, 3])
    assert [latency.draw(u) for u in (0.0, 0.3, 0.5, 0.99)] == [1, 1, 3, 5]
    with pytest.raises(ConfigError, match="no waiting time was recorded"):
        Latency.recorded([])


@pytest.mark.parametrize(
    "text", ["", "x", "gamma:3", "uniform:5", "uniform:9:3", "uniform:1:2h", "exponential:-1", "constant:3y"]
)
def test_another_text_is_refused_with_what_may_be_written(text):
    with pytest.raises(ConfigError, match=r"latency .*exponential:200"):
        Latency.parse(text)


# ── working hours ────────────────────────────────────────────────────────────────────────────────────


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("start", "hours", "end"),
    [
        ("2026-11-25T10:00", 1, "2026-11-25T11:00"),  # a Wednesday
        ("2026-11-25T16:30", 1, "2026-11-26T09:30"),
        ("2026-11-25T03:00", 1, "2026-11-25T10:00"),
        ("2026-11-27T16:00", 2, "2026-11-30T10:00"),  # over the weekend
        ("2026-11-28T12:00", 0, "2026-11-30T09:00"),
        ("2026-11-25T09:00", 40, "2026-12-01T17:00"),
    ],
)
def test_work_is_done_in_working_hours(start, hours, end):
    assert WorkingHours.parse("mon-fri 9-17").after(at(start), hours * HOUR) == at(end)


@given(st.floats(0, 4e9), st.floats(0, 1e6), st.floats(0, 1e6))
def test_more_work_ends_later_and_always_in_working_hours(start, less, more):
    hours = WorkingHours.parse("sat-mon,wed 8-12.5")
    low, high = (hours.after(start, seconds) for seconds in sorted((less, less + more)))
    assert start <= low <= high
    for end in (low, high):
        time = datetime.fromtimestamp(end, UTC)
        assert time.weekday() in (5, 6, 0, 2)
        of_day = (time - time.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()
        assert 8 * HOUR - 1e-3 <= of_day <= 12.5 * HOUR + 1e-3


@pytest.mark.parametrize("text", ["9-17", "mon-fri", "mon-fri 17-9", "mon-xyz 9-17", "mon-fri 9-25"])
def test_hours_that_are_none_are_refused(text):
    with pytest.raises(ConfigError, match="mon-fri 9-17"):
        WorkingHours.parse(text)


# ── the clock ────────────────────────────────────────────────────────────────────────────────────────


def stamped(*minutes):
    begin = datetime(2026, 11, 25, tzinfo=UTC)
    return [
        LabelledRow({"x": 1.0}, f"e{n}", None if m is None else begin + timedelta(minutes=m))
        for n, m in enumerate(minutes)
    ]


def test_without_a_need_for_time_the_events_are_the_clock():
    clock = Clock.of(stamped(None, None))
    assert clock.time(7) == 7.0
    assert clock.number(9.7) == 9


def test_a_label_comes_before_the_first_event_that_is_not_earlier():
    rows = stamped(0, 10, 10, 30)
    clock = Clock.of(rows, needed="--latency")
    asked = clock.time(1)
    assert [clock.number(asked + 60 * m) for m in (0, 1, 10, 11, 30, 31)] == [0, 1, 1, 3, 3, 4]


def test_a_pace_stands_in_for_timestamps():
    clock = Clock.of(stamped(None, None, None), per_hour=60, needed="--latency")
    assert clock.times == (60.0, 120.0, 180.0)


@pytest.mark.parametrize(
    ("minutes", "message"),
    [((0, None, 5), "event 2 has no timestamp"), ((0, 9, 5), "event 3 is earlier than the one before")],
)
def test_a_clock_that_cannot_be_read_says_what_to_do(minutes, message):
    with pytest.raises(ConfigError, match=rf"--latency counts time, and {message}.*--events-per-hour"):
        Clock.of(stamped(*minutes), needed="--latency")


@pytest.mark.parametrize(
    ("text", "found"), [("30/h", (120.0, True)), ("24/d", (3600.0, True)), ("20/1000", (50.0, False))]
)
def test_a_rate_is_a_pause_between_answers(text, found):
    assert parse_rate(text) == found


@pytest.mark.parametrize("text", ["30", "0/h", "5/0", "x/h", "30/y"])
def test_a_rate_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="30/h"):
        parse_rate(text)
