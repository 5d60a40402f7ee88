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
from lecdiff_core.city.importers.times import Times, parse
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


@pytest.mark.parametrize(
    ("text", "utc", "absolute"),
    [
        ("2013-11-01", "2013-11-01 00:00", False),
        ("2013-11-01 00:10", "2013-11-01 00:10", False),
        ("2013-11-01T00:10:00.5", "2013-11-01 00:10:00.5", False),
        ("2014/6/1 0:05", "2014-06-01 00:05", False),
        ("2013-11-01 00:10+01", "2013-10-31 23:10", True),
        ("2013-11-01T00:10:00+0100", "2013-10-31 23:10", True),
        ("2013-11-01T00:10:00-05:30", "2013-11-01 05:40", True),
        ("2013-11-01T00:10:00Z", "2013-11-01 00:10", True),
        ("2013-11-01 00:10 UTC", "2013-11-01 00:10", True),
        ("1383519600", "2013-11-03 23:00", True),
        ("1383519600000", "2013-11-03 23:00", True),
        ("01/11/2013", None, False),
        ("2013-13-01", None, False),
        ("soon", None, False),
        ("17", None, False),
    ],
)
def test_times_that_people_write(text: str, utc: str | None, absolute: bool) -> None:
    values, counts_from_utc = parse(pd.Series([text], dtype=str))
    assert values[0] is pd.NaT if utc is None else values[0] == pd.Timestamp(utc)
    assert bool(counts_from_utc[0]) is absolute


@given(
    st.datetimes(
        min_value=pd.Timestamp("1980-01-01").to_pydatetime(), max_value=pd.Timestamp("2037-01-01").to_pydatetime()
    ),
    st.sampled_from(ZONES),
)
def test_times_with_an_offset_keep_their_instant(moment: object, zone: str) -> None:
    utc = pd.Timestamp(moment).floor("s").tz_localize("UTC")
    written = utc.tz_convert(zone).isoformat()
    # Historic offsets may have seconds, which ISO 8601 cannot say.
    if utc.tz_convert(zone).utcoffset().total_seconds() % 60 == 0:
        values, absolute = parse(pd.Series([written], dtype=str))
        assert absolute[0]
        assert values[0] == utc.tz_localize(None)


@given(
    st.datetimes(
        min_value=pd.Timestamp("1990-01-01").to_pydatetime(), max_value=pd.Timestamp("2037-01-01").to_pydatetime()
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
        times = times_of(pa.array(["2024-01-01", text]))
    except UserError as error:
        assert "file.csv, row 2, column when" in str(error)
        return
    assert not pd.isna(parse(pd.Series([text.strip()], dtype=str))[0][0])
    assert len(np.concatenate(times.parts)) == 2


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
        "file.csv, row 3, column when: clocks went back in Europe/Rome, and 8 rows have a time that came twice; "
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
    ],
)
def test_unreadable_times_are_refused_by_row(column: list[str], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        times_of(pa.array(column))
