"""Intervals on the local clock: whole days in every zone, nothing twice, nothing left out."""

from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lecdiff_core.city.timeline import Timeline, localised

ZONES = sorted(zone for zone in available_timezones() if "/" in zone)
MINUTES = [10, 15, 30, 45, 60, 120, 180, 480, 720, 1440]
INSTANTS = st.datetimes(pd.Timestamp("1995-01-01").to_pydatetime(), pd.Timestamp("2026-01-01").to_pydatetime())


def timeline(zone: str, minutes: int) -> Timeline:
    return Timeline(zone, minutes * 60_000_000, 0)


@given(st.sampled_from(ZONES), st.sampled_from(MINUTES), INSTANTS)
def test_intervals_follow_each_other_on_the_local_clock(zone: str, minutes: int, origin: object) -> None:
    line = timeline(zone, minutes)
    starts = line.starting(pd.Timestamp(origin, tz="UTC"), 300)
    assert starts[0] >= pd.Timestamp(origin, tz="UTC")
    lengths = np.diff(starts.asi8) // 60_000_000
    assert (lengths > 0).all()
    assert np.mean(lengths == minutes) > 0.8
    np.testing.assert_allclose(line.shares(starts[:-1]), lengths / minutes)
    again = line.starting(starts[7], 290)
    assert again.equals(starts[7:297])
    found = Timeline.of(starts, pd.Timedelta(minutes=minutes), zone)
    assert found is not None
    assert found.after(starts[-2]) == starts[-1]
    on_grid = (starts.tz_localize(None) - starts.tz_localize(None).normalize()) % pd.Timedelta(minutes=minutes)
    changed = np.diff([stamp.utcoffset().total_seconds() for stamp in starts], prepend=0) != 0
    assert (np.asarray(on_grid == pd.Timedelta(0)) | changed | (lengths.min() < minutes)).all()


@given(st.sampled_from(ZONES), st.sampled_from(MINUTES), INSTANTS)
def test_slots_are_local_clock_times(zone: str, minutes: int, origin: object) -> None:
    line = timeline(zone, minutes)
    starts = line.starting(pd.Timestamp(origin, tz="UTC"), 300)
    own = Timeline.of(starts, pd.Timedelta(minutes=minutes), zone)
    assert own is not None
    slots = own.steps(starts)
    clock = own.clock(int(slots.max()) + 1)
    behind = starts.tz_localize(None) - clock[slots]
    assert (behind >= pd.Timedelta(0)).all()
    assert (behind < pd.Timedelta(minutes=minutes)).all()


@pytest.mark.parametrize(
    ("zone", "interval", "day", "starts"),
    [
        ("Europe/Rome", "2h", "2024-03-31", ["00:00+01:00", "03:00+02:00", "04:00+02:00"]),
        ("Europe/Rome", "2h", "2024-10-27", ["00:00+02:00", "02:00+02:00", "04:00+01:00"]),
        ("Europe/Rome", "30min", "2024-10-27 02:00", ["02:00+02:00", "02:30+02:00", "02:00+01:00", "02:30+01:00"]),
        ("Australia/Lord_Howe", "1h", "2024-04-07 01:00", ["01:00+11:00", "02:00+10:30"]),
        ("Asia/Beirut", "24h", "2024-03-31", ["01:00+03:00", "00:00+03:00"]),
    ],
)
def test_intervals_over_a_clock_change(zone: str, interval: str, day: str, starts: list[str]) -> None:
    origin = pd.Timestamp(day).tz_localize(zone, ambiguous=True, nonexistent="shift_forward")
    found = timeline(zone, pd.Timedelta(interval) // pd.Timedelta("1min")).starting(origin, len(starts))
    assert [time.isoformat()[11:16] + time.isoformat()[19:] for time in found] == starts


def test_folders_whose_long_intervals_are_even_in_real_time_stay_readable() -> None:
    index = pd.date_range("2024-03-30", periods=48, freq="2h", tz="Europe/Rome")
    assert [time.hour for time in index[12:15]] == [0, 3, 5]
    old = Timeline.of(index, pd.Timedelta("2h"), "Europe/Rome")
    assert old is not None
    assert old.phase is None
    assert old.after(index[-1]) == index[-1] + pd.Timedelta("2h")
    assert len(set(old.steps(index))) == 48


def test_a_hole_is_no_timeline() -> None:
    index = pd.date_range("2024-03-30", periods=48, freq="1h", tz="Europe/Rome")
    assert Timeline.of(index.delete(20), pd.Timedelta("1h"), "Europe/Rome") is None


@given(st.sampled_from(ZONES), INSTANTS)
def test_local_times_are_told_as_the_standard_library_tells_them(zone: str, wall: object) -> None:
    time = pd.Timestamp(wall).floor("min").to_pydatetime()
    walls = np.array([pd.Timestamp(time)], "datetime64[us]").astype(np.int64)
    first, last, gap = localised(walls, zone)
    passes = [time.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1)]
    if passes[0].utcoffset() >= passes[1].utcoffset():
        assert [int(first[0]), int(last[0])] == [round(one.timestamp() * 1_000_000) for one in passes]
        assert gap[0] == 0
    else:
        assert gap[0] > 0
        assert first[0] == last[0]


def test_a_gap_of_half_an_hour_ends_half_an_hour_later() -> None:
    walls = pd.DatetimeIndex(["2024-10-06 02:10"]).as_unit("us").asi8
    first, _, gap = localised(walls, "Australia/Lord_Howe")
    assert pd.Timestamp(int(first[0]), unit="us", tz="UTC") == pd.Timestamp("2024-10-06 02:30+11:00")
    assert gap[0] == 20 * 60_000_000
