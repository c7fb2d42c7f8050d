"""When schedules tick: expressions, time zones, clocks that are changed, leap days, intervals."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta

import pytest
from cronsim import CronSim
from hypothesis import example, given, settings
from hypothesis import strategies as st

from meshhook.cron import Cron, Every, newest, ticks
from meshhook.errors import CronError


def at(text: str) -> datetime:
    return datetime.fromisoformat(text + "+00:00")


def next_of(expression: str, zone: str, after: str, count: int) -> list[str]:
    """The next ticks, in UTC, without year and seconds."""
    found = itertools.islice(ticks(Cron.parse(expression, zone), at(after)), count)
    return [tick.strftime("%m-%d %H:%M") for tick in found]


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        # A fixed time that the night does not have: once, right after the gap.
        ("30 2 * * *", "Europe/Zurich", "2026-03-28T12:00", ["03-29 01:00", "03-30 00:30"]),
        ("30 2 * * *", "America/New_York", "2026-03-07T12:00", ["03-08 07:00", "03-09 06:30"]),
        ("15,45 2 * * *", "Europe/Zurich", "2026-03-28T12:00", ["03-29 01:00", "03-30 00:15"]),
        # Midnight itself is left out in some zones.
        ("0 0 * * *", "America/Santiago", "2026-09-05T12:00", ["09-06 04:00", "09-07 03:00"]),
        # Clocks that change by half an hour.
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", ["10-03 15:30", "10-04 15:15"]),
        # A fixed time that the night has twice: once, at the first.
        ("30 2 * * *", "Europe/Zurich", "2026-10-24T12:00", ["10-25 00:30", "10-26 01:30"]),
        ("30 1 * * *", "America/New_York", "2026-10-31T12:00", ["11-01 05:30", "11-02 06:30"]),
        # Between the two of them it is over for the day.
        ("30 2 * * *", "Europe/Zurich", "2026-10-25T00:45", ["10-26 01:30"]),
        ("30 2 * * *", "Europe/Zurich", "2026-10-25T01:10", ["10-26 01:30"]),
        # A day that is left out whole: Samoa crossed the date line.
        ("0 12 * * *", "Pacific/Apia", "2011-12-29T12:00", ["12-29 22:00", "12-30 10:00", "12-30 22:00"]),
        # The 29th of February, and the last day of months.
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00", ["02-29 00:00", "02-29 00:00"]),
        ("0 0 L * *", "UTC", "2028-01-31T01:00", ["02-29 00:00", "03-31 00:00"]),
        # A zone without changes, and one with an odd offset.
        ("0 9 * * MON-FRI", "Asia/Kathmandu", "2026-11-20T12:00", ["11-23 03:15", "11-24 03:15"]),
    ],
)
def test_fixed_times_happen_once_a_day(expression: str, zone: str, after: str, expected: list[str]) -> None:
    assert next_of(expression, zone, after, len(expected)) == expected


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        ("*/30 * * * *", "Europe/Zurich", "2026-03-29T00:10", ["03-29 00:30", "03-29 01:00", "03-29 01:30"]),
        ("*/30 2 * * *", "Europe/Zurich", "2026-03-28T12:00", ["03-30 00:00", "03-30 00:30"]),
        ("*/30 2 * * *", "Europe/Zurich", "2026-10-24T12:00", ["10-25 00:00", "10-25 00:30", "10-25 01:00", "10-25 01:30"]),
        ("0 */2 * * *", "America/New_York", "2026-11-01T03:00", ["11-01 04:00", "11-01 07:00", "11-01 09:00"]),
        ("*/20 1 1 11 *", "America/New_York", "2026-11-01T05:50", ["11-01 06:00", "11-01 06:20", "11-01 06:40"]),
        ("*/20 1 1 11 *", "America/New_York", "2026-01-01T05:50", ["11-01 05:00", "11-01 05:20", "11-01 05:40", "11-01 06:00"]),
        ("*/20 3 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", ["10-03 16:00", "10-03 16:20", "10-03 16:40"]),
        ("*/20 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00",
         ["04-04 14:00", "04-04 14:20", "04-04 14:40", "04-04 15:10", "04-05 14:30"]),
    ],
)  # fmt: skip
def test_stars_go_as_the_clock_on_the_wall(expression: str, zone: str, after: str, expected: list[str]) -> None:
    assert next_of(expression, zone, after, len(expected)) == expected


ZONES = ["Europe/Zurich", "America/New_York", "America/Santiago", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]
minutes = st.sampled_from(["*", "*/7", "0", "30", "15,45", "5-9"])
hours = st.sampled_from(["*", "*/5", "0", "1", "2", "0-3", "23"])
days = st.sampled_from(["*", "1", "29", "L", "*/9"])
CHANGES = [
    "2026-03-29",
    "2026-10-25",
    "2026-03-08",
    "2026-11-01",
    "2026-09-06",
    "2026-04-05",
    "2026-10-04",
    "2028-02-29",
]
moments = st.builds(
    lambda day, seconds: at(f"{day}T00:00") + timedelta(seconds=seconds),
    st.sampled_from(CHANGES),
    st.integers(-2 * 86_400, 86_400),
)


@settings(max_examples=200, deadline=None)
@given(minutes, hours, days, st.sampled_from(ZONES), moments)
@example("30", "2", "*", "Europe/Zurich", at("2026-10-25T00:45"))
def test_ticks_are_what_the_wall_clock_shows_in_order_and_none_is_left_out(
    minute: str, hour: str, day: str, zone: str, moment: datetime
) -> None:
    """Held against the plainest way: look at the wall clock every minute of some days."""
    cron = Cron.parse(f"{minute} {hour} {day} * *", zone)
    end = moment + timedelta(days=3)
    found = list(itertools.takewhile(lambda tick: tick <= end, ticks(cron, moment)))
    assert found == sorted(set(found))
    assert all(tick > moment for tick in found)
    if not cron._goes_by_the_wall:
        return
    fields = CronSim(cron.expression, moment)
    looked_at = (moment.replace(second=0) + timedelta(minutes=n) for n in range(1, 3 * 1440 + 1))
    walls = ((look, cron._wall(look)) for look in looked_at if look <= end)
    assert found == [
        look
        for look, wall in walls
        if wall.minute in fields.minutes and wall.hour in fields.hours and fields.match_day(wall.date())
    ]


@settings(max_examples=50, deadline=None)
@given(minutes, hours, st.sampled_from(ZONES), moments, st.integers(1, 5))
def test_the_newest_ticks_are_the_last_of_all(minute: str, hour: str, zone: str, moment: datetime, limit: int) -> None:
    cron = Cron.parse(f"{minute} {hour} * * *", zone)
    end = moment + timedelta(days=1)
    every = list(itertools.takewhile(lambda tick: tick <= end, ticks(cron, moment)))
    assert newest(cron, moment, end, limit) == every[-limit:]


def test_years_without_a_look_cost_little() -> None:
    looked_at = []

    class Counted(Every):
        def after(self, moment: datetime) -> datetime | None:
            looked_at.append(moment)
            return Every.after(self, moment)

    found = newest(Counted(1), at("1990-01-01T00:00"), at("2026-01-01T00:00"), 100)
    assert (len(found), found[-1]) == (100, at("2026-01-01T00:00"))
    assert len(looked_at) < 1_000


def test_intervals_count_from_their_anchor() -> None:
    every = Every(90, anchor=at("2026-01-01T00:00:30"))
    assert every.after(at("2025-06-01T00:00")) == at("2026-01-01T00:00:30")
    assert every.after(at("2026-01-01T00:00:30")) == at("2026-01-01T00:02:00")
    assert every.after(at("2026-01-01T00:01:59")) == at("2026-01-01T00:02:00")
    assert Every(3600).after(at("2026-03-29T00:59:59.5")) == at("2026-03-29T01:00")


@pytest.mark.parametrize(
    ("expression", "zone", "reason"),
    [
        ("* * * *", "UTC", "wrong number of fields"),
        ("61 * * * *", "UTC", "bad minute"),
        ("", "UTC", "wrong number of fields"),
        ("0 0 30 2 *", "UTC", "bad day-of-month"),
        ("* * */20 * 1L", "UTC", "never ticks"),
        ("* * * * *", "Europe/Nowhere", "no time zone"),
        ("* * * * *", "../../etc/passwd", "no time zone"),
        ("* * * * *", "", "no time zone"),
        ("* * * * *", "\0", "no time zone"),
        ("0," * 200 + "0 * * * *", "UTC", "at most 200 characters"),
    ],
)
def test_what_is_no_schedule_says_why(expression: str, zone: str, reason: str) -> None:
    with pytest.raises(CronError, match=reason):
        Cron.parse(expression, zone)


def test_the_calendar_ends() -> None:
    for rule in (Cron.parse("0 0 1 1 *", "America/New_York"), Every(60)):
        assert rule.after(at("9999-12-31T23:59")) is None
        assert rule.after(at("0001-01-01T00:00")).year == 1970
