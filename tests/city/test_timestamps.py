"""Stamps of every form in use are read, or refused with a reason and a way on."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lecdiff_core.city.importers.timestamps import NONE, check_format, read
from lecdiff_core.errors import UserError


def utc(text: str) -> int:
    return int(np.datetime64(text, "us").astype(np.int64))


@pytest.mark.parametrize(
    ("text", "expected", "absolute"),
    [
        ("2013-11-01", "2013-11-01", False),
        ("2013-11-01 00:10", "2013-11-01 00:10", False),
        ("2013-11-01T00:10:00.5", "2013-11-01 00:10:00.5", False),
        ("2013-11-01 00:10:00,250", "2013-11-01 00:10:00.25", False),
        ("2014/6/1 0:05", "2014-06-01 00:05", False),
        ("2014.06.01 5:07", "2014-06-01 05:07", False),
        ("2013-11-01 00:10+01", "2013-10-31 23:10", True),
        ("2013-11-01T00:10:00+0100", "2013-10-31 23:10", True),
        ("2013-11-01T00:10:00-05:30", "2013-11-01 05:40", True),
        ("2013-11-01T00:10:00Z", "2013-11-01 00:10", True),
        ("2013-11-01 00:10 UTC", "2013-11-01 00:10", True),
        ("20220506T070000Z", "2022-05-06 07:00", True),
        ("20220506T0700+0200", "2022-05-06 05:00", True),
        ("20220506T07", "2022-05-06 07:00", False),
        ("20220506 0700", "2022-05-06 07:00", False),
        ("20220506 07:00:00", "2022-05-06 07:00", False),
        ("20220506070000Z", "2022-05-06 07:00", True),
        ("20220506", "2022-05-06", False),
        ("2022050607", "2022-05-06 07:00", False),
        ("202205060730", "2022-05-06 07:30", False),
        ("20220506073015", "2022-05-06 07:30:15", False),
        ("20220506073015250", "2022-05-06 07:30:15.25", False),
        ("1651820400", "2022-05-06 07:00", True),
        ("1651820400.0", "2022-05-06 07:00", True),
        ("1.6518204e9", "2022-05-06 07:00", True),
        ("1651820400000", "2022-05-06 07:00", True),
        ("1651820400000000", "2022-05-06 07:00", True),
        ("1651820400000000000", "2022-05-06 07:00", True),
        ("6.5.2022", "2022-05-06", False),
        ("06.05.2022 07:30", "2022-05-06 07:30", False),
        ("06.05.2022, 07:30:15", "2022-05-06 07:30:15", False),
        ("05/31/2022 1:05 PM", "2022-05-31 13:05", False),
        ("31-05-2022 12:05 a.m.", "2022-05-31 00:05", False),
        ("6-May-2022 07:30", "2022-05-06 07:30", False),
        ("6 May 2022", "2022-05-06", False),
        ("May 6, 2022 7:30 pm", "2022-05-06 19:30", False),
        ("Fri, 06 May 2022 07:30:00 +0200", "2022-05-06 05:30", True),
        ("06/May/2022:07:30:00 +0000", "2022-05-06 07:30", True),
    ],
)
def test_forms_in_use(text: str, expected: str, absolute: bool) -> None:
    stamps = read([f" {text} "])
    assert stamps.values[0] == utc(expected)
    assert bool(stamps.absolute[0]) is absolute


NO_TIMES = (
    "2013-13-01, 2023-02-29, 31.4.2022, 2024-03-04 24:00, 2024-03-04 13:00 pm, 2024-03-04T05:00+99:00, 2022-05/06, 06.05.22, "
    "2022-W18-5, 2022-05-06 07:00 CEST, ٢٠٢٤-٠٣-٠٤, soon, inf, nan, "
)


@pytest.mark.parametrize("text", NO_TIMES.split(", "))
def test_what_is_no_time_or_may_be_several_is_refused(text: str) -> None:
    stamps = read([text])
    assert stamps.values[0] == NONE
    assert "is not a time; write it like 2013-11-01T00:10:00+01:00" in stamps.problem(0)
    assert "--date-format" in stamps.problem(0)


@pytest.mark.parametrize(
    ("column", "problem"),
    [
        (["1000", "1001", "1002"], r"these are no times \(1000, 1001, 1002\): numbers must count seconds"),
        (["2021", "2022"], "these are no times"),
        (["-7"], "these are no times"),
        (["1e300", "99999999999999999999999999"], "these are no times"),
        (["0", "0.5"], "these are no times"),
        (["44687.0", "44687.0417"], "if a spreadsheet counted days here, format the column as date and time"),
        (["0", "1651820400"], "0 is no time between 1990 and"),
        (["1970-01-01"], "1970-01-01 lies before 1990, as a clock that was not set says"),
        (["2999-12-31"], "2999-12-31 lies more than a year ahead"),
        (["06/05/2022"], r"'06/05/2022' may be 2022-05-06 00:00 or 2022-06-05 00:00; say .* '%d/%m/%Y' or '%m/%d/%Y'"),
        (["6-5-2022 7:00 am"], r"such as '%d-%m-%Y %I:%M %p' or '%m-%d-%Y %I:%M %p'"),
        (["06/05/2022", "31/05/2022", "05/31/2022"], "'06/05/2022' may be"),
    ],
)
def test_the_reason_names_the_way_on(column: list[str], problem: str) -> None:
    stamps = read(column)
    assert stamps.values[0] == NONE
    with pytest.raises(UserError, match=problem):
        raise UserError(stamps.problem(0))


def test_one_row_that_proves_the_order_of_day_and_month_decides_for_all() -> None:
    for column, expected in (
        (["06/05/2022", "31/05/2022"], ["2022-05-06", "2022-05-31"]),
        (["06/05/2022", "05/31/2022"], ["2022-06-05", "2022-05-31"]),
    ):
        stamps = read(column)
        assert stamps.values.tolist() == [utc(day) for day in expected]
        assert f"dates such as {column[1]} are read with the" in stamps.notices[0]
    assert read(["05/05/2022"]).values.tolist() == [utc("2022-05-05")]
    assert read(["05/05/2022"]).notices == []


@pytest.mark.parametrize("form", ["%d/%m/%Y %H:%M", "%m/%d/%y", "%Y-%j", "%d %B %Y %I %p", "%Y%m%d%H%M%z", "%G-%V-%u"])
def test_a_format_says_what_the_looks_do_not(form: str) -> None:
    moment = datetime(2022, 5, 6, 7, 0, tzinfo=timezone(timedelta(hours=2)))
    stamps = read([moment.strftime(form), "nonsense"], form)
    assert "is not written like --date-format" in stamps.problem(1)
    assert bool(stamps.absolute[0]) is ("%z" in form)
    assert abs(stamps.values[0] - utc("2022-05-06 05:00")) <= 7 * 3_600_000_000


@pytest.mark.parametrize("form", ["%H:%M", "%d/%m", "soon", "", "%Q", "%Y-%m-%d %Z", "%y"])
def test_a_format_must_say_the_day(form: str) -> None:
    with pytest.raises(UserError, match="--date-format"):
        check_format(form)


FORMS = [
    "%Y-%m-%d %H:%M:%S",
    "%Y/%m/%dT%H:%M:%S",
    "%Y%m%dT%H%M%S",
    "%Y%m%d%H%M%S",
    "%d.%m.%Y %H:%M:%S",
    "%d %b %Y %I:%M:%S %p",
]


@given(st.datetimes(datetime(1990, 1, 1), datetime(2026, 11, 1)), st.sampled_from(FORMS))
def test_a_time_comes_back_from_every_form(moment: datetime, form: str) -> None:
    moment = moment.replace(microsecond=0)
    stamps = read([moment.strftime(form)])
    assert stamps.values[0] == utc(moment.isoformat())
    assert read([moment.strftime(form)], form).values[0] == stamps.values[0]


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2026, 11, 1), timezones=st.just(UTC)),
    st.integers(-56, 56),
    st.sampled_from(["seconds", "milliseconds", "microseconds", "nanoseconds"]),
)
def test_instants_come_back_from_offsets_and_from_numbers(moment: datetime, quarters: int, unit: str) -> None:
    moment = moment.replace(microsecond=0)
    expected = round(moment.timestamp()) * 1_000_000
    there = moment.astimezone(timezone(timedelta(minutes=15 * quarters)))
    factor = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}[unit]
    stamps = read([there.isoformat(), str(round(moment.timestamp()) * factor)])
    assert stamps.values.tolist() == [expected, expected]
    assert stamps.absolute.all()


@given(st.lists(st.floats() | st.integers(), min_size=1, max_size=5))
def test_any_number_is_a_time_or_refused(numbers: list[float]) -> None:
    stamps = read([str(number) for number in numbers])
    for row, value in enumerate(stamps.values.tolist()):
        assert value != NONE or stamps.problem(row)
        assert value == NONE or utc("1990-01-01") <= value <= utc(str(pd.Timestamp.now() + pd.Timedelta("367D")))
