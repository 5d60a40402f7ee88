"""Times are parsed from what people write, and put on UTC across clock changes."""

from pathlib import Path
from zoneinfo import available_timezones

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lecdiff_core.city.importers.tables import Batch
from lecdiff_core.city.importers.times import Times
from lecdiff_core.city.importers.timestamps import NONE
from lecdiff_core.errors import UserError

ZONES = sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith(("posix", "right")))


def times_of(column: pa.Array) -> Times:
    times = Times(Path("file.csv"))
    batch = pa.RecordBatch.from_arrays([column], names=["timestamp"])
    times.add(Batch(Path("file.csv"), 0, {"timestamp": "when"}, batch, 1.0), "timestamp")
    return times


def on_utc(column: list[str] | pa.Array, timezone: str, group: list[int] | None = None) -> tuple[list[str], list[str]]:
    array = pa.array(column) if isinstance(column, list) else column
    values, notices = times_of(array).on_utc(None if group is None else np.array(group), timezone)
    return [stamp.strftime("%m-%d %H:%M") for stamp in pd.DatetimeIndex(values.astype("datetime64[us]"))], notices


@given(
    st.datetimes(
        min_value=pd.Timestamp("1990-01-02").to_pydatetime(), max_value=pd.Timestamp("2026-01-01").to_pydatetime()
    ),
    st.sampled_from(ZONES),
)
def test_local_times_come_back_as_they_were_written_or_are_refused(moment: object, zone: str) -> None:
    wall = pd.Timestamp(moment).floor("s")
    times = times_of(pa.array([wall.isoformat()]))
    try:
        utc, _ = times.on_utc(None, zone)
    except UserError as error:
        assert f"does not exist in {zone}" in str(error)
        with pytest.raises(ValueError, match="nonexistent"):
            wall.tz_localize(zone, ambiguous=True)
        return
    back = pd.Timestamp(int(utc[0]), unit="us", tz="UTC").tz_convert(zone).tz_localize(None)
    assert back == wall


@given(st.text(max_size=30))
def test_any_text_is_a_time_or_refused_by_row(text: str) -> None:
    try:
        values, _ = times_of(pa.array(["2024-01-01", text])).on_utc(None, "UTC")
    except UserError as error:
        assert "file.csv, row 2, column when" in str(error)
        return
    assert len(values) == 2


def test_numbers_are_seconds_milliseconds_or_microseconds_since_1970() -> None:
    for values in ([1383519600, 1383523200], [1383519600000, 1383523200000], [1383519600.0, 1383523200.0]):
        assert on_utc(pa.array(values), "Europe/Rome")[0] == ["11-03 23:00", "11-04 00:00"]


def test_typed_columns_are_taken_as_they_are() -> None:
    stamps = pd.DatetimeIndex(["2024-01-01 00:00", "2024-01-01 01:00"])
    assert on_utc(pa.array(stamps), "Europe/Rome")[0] == ["12-31 23:00", "01-01 00:00"]
    assert on_utc(pa.array(stamps.tz_localize("Asia/Tokyo").as_unit("ns")), "Europe/Rome")[0][0] == "12-31 15:00"
    assert on_utc(pa.array([stamps[0].date()]), "UTC")[0] == ["01-01 00:00"]
    assert on_utc(pa.array(["2024-01-01"] * 2).dictionary_encode(), "UTC")[0] == ["01-01 00:00"] * 2


def test_a_time_that_the_clocks_skip_is_refused_by_row() -> None:
    with pytest.raises(UserError, match=r"file\.csv, row 2, column when: 2024-03-31 02:30:00 does not exist in Europe"):
        on_utc(["2024-03-31 01:30", "2024-03-31 02:30", "2024-03-31 03:30"], "Europe/Rome")


def test_an_hour_that_comes_twice_is_told_apart_by_the_order_of_a_station() -> None:
    walls = ["2024-10-27 01:30", "2024-10-27 02:00", "2024-10-27 02:30", "2024-10-27 02:00", "2024-10-27 02:30"]
    expected = ["10-26 23:30", "10-27 00:00", "10-27 00:30", "10-27 01:00", "10-27 01:30"]
    assert on_utc(walls, "Europe/Rome")[0] == expected
    group = [station for _ in walls for station in (0, 1)]
    utc, notices = on_utc([wall for wall in walls for _ in (0, 1)], "Europe/Rome", group)
    assert utc == [time for time in expected for _ in (0, 1)]
    assert notices == [
        "file.csv, row 3, column when: clocks went back in Europe/Rome, and 8 rows have a time that occurs twice; "
        "4 were taken for its first pass and 4 for its second"
    ]


def test_an_hour_that_is_there_once_is_its_first_pass() -> None:
    assert on_utc(["2024-10-27 01:30", "2024-10-27 02:30"], "Europe/Rome", [0, 1])[0] == ["10-26 23:30", "10-27 00:30"]


def test_an_end_is_never_before_its_start() -> None:
    times = times_of(pa.array(["2024-10-27 02:10"]))
    start = pd.Timestamp("2024-10-27 00:50", tz="UTC").as_unit("us").value // 1000
    utc, _ = times.on_utc(None, "Europe/Rome", not_before=np.array([start]))
    assert pd.Timestamp(int(utc[0]), unit="us") == pd.Timestamp("2024-10-27 01:10")


@pytest.mark.parametrize(
    ("column", "problem"),
    [
        (["2024-01-01", "soon"], "row 2, column when: 'soon' is not a time; write it like 2013-11-01T00:10"),
        (["2024-01-01", None], "row 2, column when: the cell is empty"),
        (["2024-01-01 00:00", "2024-01-01 01:00+01:00"], "row 2, column when: some times have an offset"),
        ([19, 20, 21], "row 1, column when: these are no times \\(19, 20, 21\\)"),
        (
            ["2024-01-01", "1970-01-01 00:00"],
            "row 2, column when: 1970-01-01 00:00 lies before 1990, as a clock that was not",
        ),
        (pa.array([19_000, 2**31 - 1], pa.date32()), r"row 2, column when: \S+ lies more than a year ahead"),
        (pa.array([19_000, -(2**31)], pa.date32()), "row 2, column when: .* lies before 1990"),
        (pa.array([1_700_000_000, 2**62], pa.timestamp("s")), r"row 2, column when: \S+ lies more than a year ahead"),
        (pa.array([[1], [2]]), r"file\.csv, column when: it holds list<item: int64>, not times"),
        (pa.array([True, False]), r"column when: it holds bool, not times"),
    ],
)
def test_unreadable_times_are_refused_by_row(column: list[str] | pa.Array, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        times_of(pa.array(column) if isinstance(column, list) else column).on_utc(None, "Europe/Rome")


NEWEST_LAST = [f"2024-10-27 0{hour}:{minute:02}" for hour in (1, 2, 2, 3) for minute in (0, 15, 30, 45)]
PASSES = list(pd.date_range("2024-10-26 23:00", periods=16, freq="15min").strftime("%m-%d %H:%M"))


def test_rows_from_the_newest_to_the_oldest_have_the_second_pass_first() -> None:
    assert on_utc(NEWEST_LAST[::-1], "Europe/Rome")[0] == PASSES[::-1]
    walls = [*NEWEST_LAST[::-1], *NEWEST_LAST]
    assert on_utc(walls, "Europe/Rome", [0] * 16 + [1] * 16)[0] == [*PASSES[::-1], *PASSES]
    only = NEWEST_LAST[4:12]
    assert on_utc(only[::-1], "Europe/Rome")[0] == PASSES[4:12][::-1]


@given(st.sets(st.integers(4, 11), min_size=2), st.booleans())
def test_what_is_missing_of_an_hour_that_comes_twice_moves_nothing(missing: set[int], newest_first: bool) -> None:
    """As long as a time comes again, or an earlier one after a later one, the passes are told apart."""
    kept = [index for index in range(16) if index not in missing]
    first, second = (set(range(start, start + 4)) - missing for start in (4, 8))
    if not first or not second or min(second) - 4 > max(first):
        return
    walls, expected = [NEWEST_LAST[index] for index in kept], [PASSES[index] for index in kept]
    direction = -1 if newest_first else 1
    assert on_utc(walls[::direction], "Europe/Rome")[0] == expected[::direction]


def test_in_rows_without_order_nobody_knows_which_pass_was_first() -> None:
    shuffled = ["2024-10-27 03:00", "2024-10-27 02:00", "2024-10-27 01:00", "2024-10-27 02:00", "2024-10-27 04:00"]
    with pytest.raises(
        UserError, match=r"row 2, column when: clocks went back in Europe/Rome, this time occurs twice, and as"
    ):
        on_utc(shuffled, "Europe/Rome")
    once = ["2024-10-27 03:00", "2024-10-27 02:00", "2024-10-27 01:00"]
    assert on_utc(once, "Europe/Rome")[0] == ["10-27 02:00", "10-27 00:00", "10-26 23:00"]


@pytest.mark.parametrize(
    ("walls", "zone", "utc"),
    [
        (["2024-03-30", "2024-03-31", "2024-04-01"], "Asia/Beirut", ["03-29 22:00", "03-30 22:00", "03-31 21:00"]),
        (
            ["2024-03-31 00:00", "2024-03-31 02:00", "2024-03-31 04:00"],
            "Europe/Rome",
            ["03-30 23:00", "03-31 01:00", "03-31 02:00"],
        ),
        (["2024-10-06 01:00", "2024-10-06 02:00"], "Australia/Lord_Howe", ["10-05 14:30", "10-05 15:30"]),
    ],
)
def test_what_starts_in_a_gap_and_ends_after_it_starts_where_the_gap_ends(
    walls: list[str], zone: str, utc: list[str]
) -> None:
    assert on_utc(walls, zone)[0] == utc


def test_an_empty_cell_may_be_no_time() -> None:
    times = Times(Path("file.csv"))
    batch = pa.RecordBatch.from_arrays([pa.array(["2024-01-01", None, "NULL"])], names=["end"])
    times.add(Batch(Path("file.csv"), 0, {"end": "end"}, batch, 1.0), "end", may_be_empty=True)
    values, _ = times.on_utc(None, "UTC")
    assert (values == NONE).tolist() == [False, True, True]


def test_a_format_is_followed() -> None:
    times = Times(Path("file.csv"), "%d/%m/%y %H.%M")
    batch = pa.RecordBatch.from_arrays([pa.array(["04/05/24 13.30", "5/4/24 0.00", "04.05.2024"])], names=["timestamp"])
    times.add(Batch(Path("file.csv"), 0, {"timestamp": "when"}, batch, 1.0), "timestamp")
    with pytest.raises(
        UserError, match=r"row 3, column when: '04\.05\.2024' is not written like --date-format %d/%m/%y %H\.%M"
    ):
        times.on_utc(None, "UTC")
