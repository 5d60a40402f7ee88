"""Readings become regular traffic: sums are kept, gaps stay gaps, and what does not fit is refused by row."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lecdiff_core.city.importers.readings import Readings, finder
from lecdiff_core.city.importers.resample import resample
from lecdiff_core.errors import UserError

TEN = [f"2024-03-01 {hour:02}:{minute:02}" for hour in range(3) for minute in range(0, 60, 10)]


def readings(times: list[str], values: list[float], stations: list[int] | None = None, **more: object) -> Readings:
    stamps = pd.DatetimeIndex(times).tz_localize("UTC").as_unit("us").asi8
    codes = np.array(stations or [0] * len(times), dtype=np.int32)
    ids = [chr(ord("a") + code) for code in range(int(codes.max()) + 1)]
    file = [(Path("file.csv"), len(times), 1)]
    return Readings(ids, codes, stamps, np.array(values, float), finder(file), len(times), **more)


def test_ten_minutes_become_half_hours_by_sum() -> None:
    result = resample(readings(TEN, list(range(18))), "30min", "UTC", "error")
    assert result.traffic["a"].tolist() == [3, 12, 21, 30, 39, 48]
    assert (result.source_interval, result.incomplete, result.duplicates) == ("10min", 0, 0)
    assert result.traffic.index[0] == pd.Timestamp("2024-03-01", tz="UTC")


def test_an_interval_without_all_its_readings_is_missing_not_zero() -> None:
    times = TEN[:4] + TEN[5:6] + TEN[9:]
    result = resample(readings(times, [1.0] * len(times)), "30min", "UTC", "error")
    np.testing.assert_array_equal(result.traffic["a"], [3, np.nan, np.nan, 3, 3, 3])
    assert result.incomplete == 1
    assert "1 intervals of 30min lack some of their readings of 10min" in result.notices[0]


def test_a_missing_value_is_a_gap_and_the_edges_are_cut() -> None:
    values = [1.0] * 18
    values[0], values[7], values[17] = np.nan, np.nan, np.nan
    result = resample(readings(TEN, values), "30min", "UTC", "error")
    np.testing.assert_array_equal(result.traffic["a"], [3, np.nan, 3, 3])
    assert result.traffic.index[0] == pd.Timestamp("2024-03-01 00:30", tz="UTC")


def test_intervals_count_from_local_midnight() -> None:
    result = resample(readings(["2024-03-01 18:30", "2024-03-01 19:30"], [1, 2]), "1h", "Asia/Kolkata", "error")
    assert [stamp.strftime("%d %H:%M") for stamp in result.traffic.index] == ["02 00:00", "02 01:00"]


@pytest.mark.parametrize("zone", ["Europe/Rome", "America/Sao_Paulo", "Asia/Beirut", "Australia/Lord_Howe"])
def test_a_day_of_any_length_keeps_its_sum(zone: str) -> None:
    for day in ("2018-03-25", "2018-10-28", "2018-11-04", "2018-04-01"):
        hours = pd.date_range(pd.Timestamp(day) - pd.Timedelta("1D"), periods=72, freq="1h")
        result = resample(readings([str(hour) for hour in hours], [1.0] * 72), "1h", zone, "error")
        assert result.traffic["a"].sum() == 72
        assert len(result.traffic) == 72


@given(st.data())
def test_sums_are_kept_for_any_order_of_rows(data: st.DataObject) -> None:
    stations = data.draw(st.integers(1, 4))
    cells = [(station, time) for station in range(stations) for time in TEN]
    order = data.draw(st.permutations(cells))
    values = data.draw(st.lists(st.floats(0, 1e6), min_size=len(cells), max_size=len(cells)))
    result = resample(readings([t for _, t in order], values, [s for s, _ in order]), "30min", "UTC", "error")
    by_station = np.bincount([s for s, _ in order], weights=values)
    np.testing.assert_allclose(result.traffic.to_numpy(float).sum(axis=0), by_station, rtol=1e-5, atol=1e-3)
    assert not result.traffic.isna().any().any()


def test_duplicates_are_refused_summed_or_the_last_kept() -> None:
    double = readings([*TEN[:3], TEN[1], TEN[1]], [1, 2, 3, 10, 100])
    message = r"file\.csv, row 4: station a already has a reading for 2024-03-01T00:10:00\+00:00 in file\.csv, row 2; 2 readings"
    with pytest.raises(UserError, match=message):
        resample(double, "30min", "UTC", "error")
    for how, total in (("sum", 116), ("last", 104)):
        result = resample(double, "30min", "UTC", how)
        assert (result.traffic["a"].tolist(), result.duplicates) == ([total], 2)


def test_a_missing_value_does_not_make_a_duplicate() -> None:
    double = readings([*TEN[:3], TEN[1]], [1, np.nan, 3, 2])
    assert resample(double, "30min", "UTC", "error").traffic["a"].tolist() == [6]


@pytest.mark.parametrize(
    ("times", "interval", "problem"),
    [
        ([*TEN, "2024-03-01 03:03"], "30min", r"row 19: 2024-03-01T03:03.* is irregular: most times are 10min apart"),
        (["2024-03-01 00:07", "2024-03-01 00:17"], "30min", "row 1: 2024-03-01T00:07.* is irregular"),
        (["2024-03-01 00:00", "2024-03-01 02:00"], "30min", "2h apart, longer than .* use --interval 2h"),
        (["2024-03-01 00:00", "2024-03-01 00:20"], "30min", "20min apart, which does not divide"),
        ([*TEN[:2], *TEN[6:8]], "1h", "no interval of 1h has all its readings of 10min"),
    ],
)
def test_times_that_do_not_fit_are_refused_by_row(times: list[str], interval: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        resample(readings(times, [1.0] * len(times)), interval, "UTC", "error")


def test_a_stray_date_does_not_fill_the_memory() -> None:
    times = ["1970-01-01 00:00", *[f"2024-03-01 00:00:{second:02}" for second in range(60)]]
    with pytest.raises(UserError, match=r"are too many: times go from file\.csv, row 1 \(1970-01-01T00:00"):
        resample(readings(times, [1.0] * 61), "1s", "UTC", "error")


def test_no_traffic_at_all_is_refused() -> None:
    with pytest.raises(UserError, match="every value is missing"):
        resample(readings(TEN, [np.nan] * 18), "30min", "UTC", "error")


def test_sessions_sum_to_intervals_where_silence_is_zero_and_network_silence_is_missing() -> None:
    times = ["2024-03-01 00:05", "2024-03-01 00:20", "2024-03-01 00:40", "2024-03-01 02:10"]
    result = resample(readings(times, [1, 2, 4, 8], [0, 0, 1, 0], events=True), "30min", "UTC", "error")
    np.testing.assert_array_equal(result.traffic["a"], [3, 0, np.nan, np.nan, 8])
    np.testing.assert_array_equal(result.traffic["b"], [0, 4, np.nan, np.nan, 0])
    assert "in 2 of 5 intervals no session starts anywhere" in result.notices[0]


def test_a_session_is_spread_over_its_length() -> None:
    times = ["2024-03-01 00:15", "2024-03-01 00:30", "2024-03-01 01:00", "2024-03-01 01:00"]
    ends = ["2024-03-01 01:15", "2024-03-01 00:30", "2024-03-01 01:30", "2024-03-01 03:00"]
    stamps = pd.DatetimeIndex(ends).tz_localize("UTC").as_unit("us").asi8
    result = resample(readings(times, [60, 5, 7, 40], events=True, end=stamps), "30min", "UTC", "error")
    np.testing.assert_allclose(result.traffic["a"], [15, 35, 32])
    assert result.notices == ["30 of the traffic falls after the last session started and is left out"]
