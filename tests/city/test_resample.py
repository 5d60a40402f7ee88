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
    assert ([one.interval for one in result.cadences], result.incomplete, result.duplicates) == (["10min"], 0, 0)
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
        (
            [*TEN, "2024-03-01 03:03"],
            "30min",
            r"row 19: 2024-03-01T03:03.* is irregular: most times of station a are 10min apart",
        ),
        (["2024-03-01 00:07", "2024-03-01 00:17"], "30min", "row 1: 2024-03-01T00:07.* is irregular"),
        (["2024-03-01 00:00", "2024-03-01 02:00"], "30min", "2h apart, longer than .* use --interval 2h"),
        (["2024-03-01 00:00", "2024-03-01 00:20"], "30min", "20min apart, which does not divide"),
        ([*TEN[:2], *TEN[6:8]], "1h", "no interval of 1h has all its readings of 10min"),
    ],
)
def test_times_that_do_not_fit_are_refused_by_row(times: list[str], interval: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        resample(readings(times, [1.0] * len(times)), interval, "UTC", "error")


def test_a_stray_date_does_not_stretch_the_city() -> None:
    hours = [str(hour) for hour in pd.date_range("2024-03-01", periods=100, freq="1h")]
    for stray, message in (
        (["2004-03-01 05:00"], r"row 1: 2004-03-01T05:00:00\+00:00 lies 7305 days before all other times; correct or"),
        (
            ["2026-03-02", "2026-03-02"],
            r"row 1: 2026-03-02T.* lies 727 days after all other times; 2 readings lie there",
        ),
    ):
        codes = [*range(len(stray)), *[0] * 100]
        with pytest.raises(UserError, match=message):
            resample(readings([*stray, *hours], [1.0] * len(codes), codes), "1h", "UTC", "error")


def test_pieces_with_a_long_gap_are_no_strays() -> None:
    first = pd.date_range("2024-03-01", periods=48, freq="1h")
    times = [str(hour) for hour in first.append(first + pd.Timedelta("60D"))]
    assert len(resample(readings(times, [1.0] * 96), "1h", "UTC", "error").traffic) == 62 * 24


def test_too_long_a_time_does_not_fill_the_memory() -> None:
    times = [f"{year}-03-01 00:00:{second:02}" for year in (1995, 2024) for second in range(60)]
    with pytest.raises(UserError, match=r"are too many: times go from file\.csv, row 1 \(1995-03-01T00:00"):
        resample(readings(times, [1.0] * 120), "1s", "UTC", "error")


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


def at(start: str, periods: int, freq: str, zone: str | None = None) -> list[str]:
    times = pd.date_range(start, periods=periods, freq=freq, tz=zone)
    return [str(time) for time in (times if zone is None else times.tz_convert("UTC").tz_localize(None))]


def test_every_station_has_its_own_length_of_readings() -> None:
    times = [*at("2024-03-01", 96, "15min"), *at("2024-03-01", 24, "1h"), *at("2024-03-01", 12, "2h")]
    source = readings(times, [1.0] * 132, [0] * 96 + [1] * 24 + [2] * 12)
    result = resample(source, "2h", "UTC", "error")
    assert result.traffic.to_numpy().tolist() == [[8, 2, 1]] * 12
    assert [(one.interval, one.stations) for one in result.cadences] == [("15min", ["a"]), ("1h", ["b"]), ("2h", ["c"])]
    with pytest.raises(
        UserError, match=r"readings of 1 stations \(c\) are 2h apart, longer than the .* of 1h; use --interval 2h"
    ):
        resample(source, "1h", "UTC", "error")


@pytest.mark.parametrize(("first", "second"), [("15min", "1h"), ("1h", "15min"), ("5min", "30min"), ("10min", "15min")])
def test_the_length_of_readings_may_change(first: str, second: str) -> None:
    day = pd.Timedelta("1D")
    times = [
        *at("2024-03-01", 2 * day // pd.Timedelta(first), first),
        *at("2024-03-03", 2 * day // pd.Timedelta(second), second),
    ]
    result = resample(readings(times, np.arange(len(times), dtype=float).tolist()), "1h", "UTC", "error")
    assert len(result.traffic) == 96
    assert result.traffic["a"].sum() == np.arange(len(times)).sum()
    spans = {one.interval: (one.start, one.end) for one in result.cadences}
    change = pd.Timestamp("2024-03-03", tz="UTC").as_unit("us").asm8.astype(int)
    assert spans[first][1] == spans[second][0] == change


def test_gaps_are_no_longer_readings() -> None:
    quarters = at("2024-03-01", 4 * 48, "15min")
    lone, every_second, outage = 50, range(61, 69, 2), range(100, 120)
    times = [time for number, time in enumerate(quarters) if number not in {lone, *every_second, *outage}]
    result = resample(readings(times, [1.0] * len(times)), "1h", "UTC", "error")
    assert [one.interval for one in result.cadences] == ["15min"]
    assert np.flatnonzero(result.traffic["a"].isna()).tolist() == [12, 15, 16, *range(25, 30)]
    assert set(result.traffic["a"].dropna()) == {4}


@given(st.data())
def test_random_gaps_make_intervals_missing_and_nothing_else(data: st.DataObject) -> None:
    stations = data.draw(st.integers(1, 3))
    lengths = [data.draw(st.sampled_from([15, 30, 60])) for _ in range(stations)]
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    lost = data.draw(st.floats(0, 0.3))
    rows = [
        (str(time), station)
        for station, minutes in enumerate(lengths)
        for time in pd.date_range("2024-03-01", periods=72 * 60 // minutes, freq=f"{minutes}min")
    ]
    rows = [row for row in rows if rng.random() >= lost]
    rows = [rows[index] for index in rng.permutation(len(rows))]
    codes = [station for _, station in rows]
    result = resample(readings([time for time, _ in rows], [1.0] * len(rows), codes), "1h", "UTC", "error")
    for station, minutes in enumerate(lengths):
        hours = pd.Series(1, pd.DatetimeIndex([time for time, own in rows if own == station])).resample("1h").sum()
        whole = hours.index[hours == 60 // minutes].tz_localize("UTC")
        known = result.traffic.iloc[:, station].dropna()
        assert known.index.equals(whole)
        assert set(known) <= {60 / minutes}


def test_a_station_without_a_whole_interval_is_named() -> None:
    times = [*at("2024-03-01", 96, "15min"), *[time for time in at("2024-03-01", 96, "15min") if ":15:" not in time]]
    result = resample(readings(times, [1.0] * len(times), [0] * 96 + [1] * (len(times) - 96)), "1h", "UTC", "error")
    assert result.emptied == ["b"]


@pytest.mark.parametrize("interval", ["2h", "3h", "6h", "8h", "12h", "24h"])
@pytest.mark.parametrize("day", ["2024-03-29", "2024-10-25"])
def test_long_intervals_are_counted_on_the_local_clock(interval: str, day: str) -> None:
    result = resample(readings(at(day, 6 * 24, "1h", "Europe/Rome"), [1.0] * 144), interval, "Europe/Rome", "error")
    hours = pd.Timedelta(interval) // pd.Timedelta("1h")
    starts = result.traffic.index
    assert (starts.hour % hours == 0).sum() >= len(starts) - 1
    lengths = np.diff(starts) / pd.Timedelta("1h")
    np.testing.assert_array_equal(result.traffic["a"].to_numpy()[:-1], lengths)
    assert sorted(set(lengths.tolist()) - {hours}) == [hours + (1 if day > "2024-06" else -1)]


def test_days_of_23_and_25_hours_are_one_reading() -> None:
    for zone, first in (("Europe/Rome", "2024-03-29"), ("Europe/Rome", "2024-10-25"), ("Asia/Beirut", "2024-03-29")):
        dates = [str(date) for date in pd.date_range(first, periods=6)]
        starts = [pd.Timestamp(date).tz_localize(zone, nonexistent="shift_forward") for date in dates]
        utc = [str(start.tz_convert("UTC").tz_localize(None)) for start in starts]
        result = resample(readings(utc, [1.0, 2, 3, 4, 5, 6]), "24h", zone, "error")
        assert result.traffic["a"].tolist() == [1, 2, 3, 4, 5, 6]
        assert [str(time.date()) for time in result.traffic.index] == [date[:10] for date in dates]


def test_readings_that_are_even_in_real_time_stay_so() -> None:
    times = at("2024-03-30 23:00", 24, "2h")
    result = resample(readings(times, [1.0] * 24), "2h", "Europe/Rome", "error")
    assert result.traffic["a"].tolist() == [1.0] * 24
    assert set(np.diff(result.traffic.index)) == {pd.Timedelta("2h")}


def test_a_session_may_last_for_ever() -> None:
    times = at("2024-03-01", 48, "30min")
    ends = pd.DatetimeIndex(times).tz_localize("UTC").as_unit("us").asi8.copy()
    ends[3] = np.datetime64("9000-01-01", "us").astype(np.int64)
    result = resample(readings(times, [1.0] * 48, events=True, end=ends), "30min", "UTC", "error")
    assert result.traffic["a"].sum() == pytest.approx(47, abs=0.01)
    assert "falls after the last session started" in result.notices[0]
