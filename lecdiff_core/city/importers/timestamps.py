"""What people write for a time, read: texts and numbers become microseconds since 1970, or a reason why not.

A column is judged as a whole where one cell alone says too little: whether 04/05/2024 is the fourth of May or the fifth of April,
whether a number is a calendar (202403040000) or counts from 1970.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import polars as pl

from lecdiff_core.errors import UserError

NONE = np.iinfo(np.int64).min  # no time
SECOND = 1_000_000  # microseconds
EARLIEST = int(np.datetime64("1990-01-01", "us").astype(np.int64))
EXAMPLE = (
    "write it like 2013-11-01T00:10:00+01:00, without the offset for local time, or as seconds since 1970, "
    "or say how it is written with --date-format, such as '%d/%m/%Y %H:%M'"
)
# How far numbers may count from 1970, in UTC, by what they count.
EPOCHS = {"seconds": 1e6, "milliseconds": 1e3, "microseconds": 1.0, "nanoseconds": 1e-3}
# How calendars are written without separators, by their digits.
CALENDARS = {8: "YYYYMMDD", 10: "YYYYMMDDHH", 12: "YYYYMMDDHHMM", 14: "YYYYMMDDHHMMSS", 17: "YYYYMMDDHHMMSSmmm"}
EXCEL = (32_874, 60_000)  # days since 1900, as spreadsheets count them, from 1990 on
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
MONTH_NAMES = "|".join(
    ("january|february|march|april|may|june|july|august|september|october|november|december", *MONTHS, "sept")
)

NUMBER = r"^[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?$"
OFFSET = r"(?:\s*(?P<offset>[Zz]|(?:UTC|GMT)|[+-][0-9]{2}(?::?[0-9]{2})?))"
FRACTION = r"(?:[.,](?P<fraction>[0-9]{1,9}))"
CLOCK = (
    rf"(?P<hour>[0-9]{{1,2}})(?::(?P<minute>[0-9]{{2}})(?::(?P<second>[0-9]{{2}}){FRACTION}?)?)?"
    r"(?:\s*(?P<half>[AaPp])\.?[Mm]\.?)?"
)
COMPACT_CLOCK = rf"(?P<hour>[0-9]{{2}})(?:(?P<minute>[0-9]{{2}})(?:(?P<second>[0-9]{{2}}){FRACTION}?)?)?"
LATER = rf"(?:(?:[Tt]|,?\s+){CLOCK}{OFFSET}?)?$"
COMPACT_DATE = r"^(?P<year>[0-9]{4})(?P<month>[0-9]{2})(?P<day>[0-9]{2})"
WEEKDAY = r"(?i)^(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?,?\s+)?"
NAME = rf"(?P<name>{MONTH_NAMES})\.?"
# What most files have, which pandas reads ten times as fast.
ISO = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)?$"
# Year, month and day in an order that leaves no doubt.
PLAIN_FORMS = (
    rf"^(?P<year>[0-9]{{4}})(?P<mark>[-/.])(?P<month>[0-9]{{1,2}})(?P<same>[-/.])(?P<day>[0-9]{{1,2}}){LATER}",
    rf"^(?P<day>[0-9]{{1,2}})\.(?P<month>[0-9]{{1,2}})\.(?P<year>[0-9]{{4}}){LATER}",
    rf"{COMPACT_DATE}(?:[Tt]|\s+){COMPACT_CLOCK}{OFFSET}?$",
    rf"{COMPACT_DATE}{COMPACT_CLOCK}{OFFSET}$",
    rf"{COMPACT_DATE}(?:[Tt]|\s+){CLOCK}{OFFSET}?$",
    rf"{WEEKDAY}(?P<day>[0-9]{{1,2}})[-/ ]\s*{NAME}[-/ ,]\s*(?P<year>[0-9]{{4}})(?:(?:[Tt:]|,?\s+){CLOCK}{OFFSET}?)?$",
    rf"{WEEKDAY}{NAME}\s+(?P<day>[0-9]{{1,2}}),?\s+(?P<year>[0-9]{{4}}){LATER}",
)
SLASHED = rf"^(?P<month>[0-9]{{1,2}})(?P<mark>[-/])(?P<day>[0-9]{{1,2}})(?P<same>[-/])(?P<year>[0-9]{{4}}){LATER}"
PARTS = ("year", "month", "day", "hour", "minute", "second")


@dataclass
class Stamps:
    """M distinct stamps of a column, read.

    values: (M,) int64 microseconds since 1970, of UTC or of the local clock; NONE where a stamp cannot be taken.
    absolute: (M,) whether it counts from UTC.  notices: what was decided for the column.
    """

    values: np.ndarray
    absolute: np.ndarray
    notices: list[str] = field(default_factory=list)
    _refusals: list[tuple[np.ndarray, Callable[[int], str]]] = field(default_factory=list)

    def refuse(self, rows: np.ndarray, why: Callable[[int], str]) -> None:
        """Take none of these stamps; `why` says the reason for the n-th of `rows`, which are in order."""
        self.values[rows] = NONE
        self._refusals.append((rows, why))

    def refused(self) -> np.ndarray:
        """(M,) whether a stamp has been refused."""
        refused = np.zeros(len(self.values), bool)
        for rows, _ in self._refusals:
            refused[rows] = True
        return refused

    def problem(self, row: int) -> str:
        """Why a stamp is refused."""
        rows, why = next(refusal for refusal in self._refusals if row in refusal[0])
        return why(int(np.searchsorted(rows, row)))


def latest() -> int:
    """The last time that traffic may be of: a year from now, so that a wrong clock or a typing mistake is found."""
    return int((pd.Timestamp.now("UTC") + pd.Timedelta(days=366)).timestamp()) * SECOND


def read(texts: Sequence[str], date_format: str | None = None) -> Stamps:
    """Read the distinct stamps of a column, by `date_format` (strptime) or by their looks. Raises UserError for a bad format."""
    column = pl.Series("text", texts, dtype=pl.String).str.strip_chars()
    stamps = Stamps(np.full(len(column), NONE, np.int64), np.zeros(len(column), bool))
    if date_format is not None:
        _by_format(column, date_format, stamps)
    else:
        numeric = column.str.contains(NUMBER).to_numpy()
        _numbers(column.filter(pl.Series(numeric)), np.flatnonzero(numeric), stamps)
        _iso(column, stamps)
        for form in PLAIN_FORMS:
            _plain(column, form, stamps)
        _slashed(column, stamps)
    unread = np.flatnonzero((stamps.values == NONE) & ~stamps.refused())
    stamps.refuse(unread, lambda at: f"{column[int(unread[at])][:40]!r} is not a time; {EXAMPLE}")
    _refuse_implausible(column, stamps)
    return stamps


def check_format(date_format: str) -> None:
    """Raise UserError unless a strptime format says year, month and day."""
    sample = datetime(2024, 3, 14, 17, 25, 36, tzinfo=UTC)
    try:
        back = datetime.strptime(sample.strftime(date_format), date_format)
    except ValueError as error:
        raise UserError(
            f"--date-format {date_format}: it cannot be used: {error}; write it like %d/%m/%Y %H:%M"
        ) from error
    if "%Z" in date_format:
        raise UserError(
            f"--date-format {date_format}: names of zones are ambiguous; take %z for an offset such as +0100"
        )
    if back.date() != sample.date():
        raise UserError(f"--date-format {date_format}: it must say year, month and day, such as %d/%m/%Y %H:%M")


def _by_format(column: pl.Series, date_format: str, stamps: Stamps) -> None:
    check_format(date_format)
    offset = "%z" in date_format
    try:
        parsed = pd.to_datetime(pd.Series(column.to_list(), dtype=str), format=date_format, errors="coerce", utc=offset)
    except ValueError as error:
        raise UserError(f"--date-format {date_format}: it cannot be used: {error}") from error
    times = parsed.dt.tz_localize(None) if offset else parsed
    stamps.values = times.to_numpy().astype("datetime64[us]").astype(np.int64)
    stamps.absolute[:] = offset
    other = np.flatnonzero(stamps.values == NONE)
    stamps.refuse(other, lambda at: f"{column[int(other[at])][:40]!r} is not written like --date-format {date_format}")


def _iso(column: pl.Series, stamps: Stamps) -> None:
    rows = _unread(column, ISO, stamps)
    texts = pd.Series(column.gather(rows).to_numpy(), dtype=str)
    times = pd.to_datetime(texts, format="ISO8601", errors="coerce")
    stamps.values[rows] = times.to_numpy().astype("datetime64[us]").astype(np.int64)


def _plain(column: pl.Series, form: str, stamps: Stamps) -> None:
    """Read what has a form whose order of year, month and day leaves no doubt."""
    rows = _unread(column, form, stamps)
    if len(rows):
        fields = _fields(column.gather(rows), form)
        stamps.values[rows], stamps.absolute[rows] = _instants(fields), fields["offset"].is_not_null().to_numpy()


def _slashed(column: pl.Series, stamps: Stamps) -> None:
    """Read 04/05/2024: the day comes first, or the month, as all rows together tell, or it is refused."""
    rows = _unread(column, SLASHED, stamps)
    if not len(rows):
        return
    fields = _fields(column.gather(rows), SLASHED)
    month_first = _instants(fields)
    day_first = _instants(fields.rename({"month": "day", "day": "month"}))
    stamps.absolute[rows] = fields["offset"].is_not_null().to_numpy()
    fits = {"day": bool((day_first != NONE).all()), "month": bool((month_first != NONE).all())}
    if (day_first == month_first).all() or fits["day"] != fits["month"]:
        stamps.values[rows] = day_first if fits["day"] else month_first
        if fits["day"] != fits["month"]:
            which, proof = ("day", month_first) if fits["day"] else ("month", day_first)
            shown = column[int(rows[np.argmax(proof == NONE)])]
            stamps.notices.append(f"dates such as {shown} are read with the {which} first, as only that fits all rows")
        return
    both = (day_first != NONE) & (month_first != NONE) & (day_first != month_first)
    stamps.values[rows] = np.where(day_first != NONE, day_first, month_first)

    def why(at: int) -> str:
        text, first, second = column[int(rows[both][at])][:40], day_first[both][at], month_first[both][at]
        return (
            f"{text!r} may be {_date(first)} or {_date(second)}; say which with --date-format, "
            f"such as {_format_of(text, 'd')!r} or {_format_of(text, 'm')!r}"
        )

    stamps.refuse(rows[both], why)


def _format_of(text: str, first: str) -> str:
    """The strptime form of a slashed date with its clock."""
    mark, second = ("/" if "/" in text else "-"), ("m" if first == "d" else "d")
    clock = ["%H", "%M", "%S"][: text.count(":") + 1] if ":" in text else []
    half = text.strip().lower().endswith("m")
    if half and clock:
        clock[0] = "%I"
    return f"%{first}{mark}%{second}{mark}%Y" + (" " + ":".join(clock) if clock else "") + (" %p" if half else "")


def _unread(column: pl.Series, form: str, stamps: Stamps) -> np.ndarray:
    """Rows without a value so far that have a form."""
    open_rows = np.flatnonzero((stamps.values == NONE) & ~stamps.refused())
    return open_rows[column.gather(open_rows).str.contains(form).to_numpy()]


def _fields(texts: pl.Series, form: str) -> pl.DataFrame:
    """The named parts of texts that have a form: texts, null where a part is absent."""
    fields = texts.str.extract_groups(form).struct.unnest()
    absent = [
        name for name in (*PARTS, "fraction", "half", "offset", "mark", "same", "name") if name not in fields.columns
    ]
    return fields.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in absent)


def _instants(fields: pl.DataFrame) -> np.ndarray:
    """(M,) microseconds of the parts, on UTC where there is an offset; NONE where there is no such day or time."""
    named = fields["name"].str.to_lowercase().str.slice(0, 3)
    month = fields["month"].fill_null(
        named.replace_strict({name: str(number) for number, name in enumerate(MONTHS, start=1)}, default=None)
    )
    fields = fields.with_columns(month.alias("month"))
    year, month_number, day, hour, minute, second = (
        fields[name].cast(pl.Int64).fill_null(0).to_numpy() for name in PARTS
    )
    half = fields["half"].str.to_lowercase().fill_null("").to_numpy()
    wrong = (half != "") & ((hour < 1) | (hour > 12))
    hour = np.where(half == "", hour, hour % 12 + 12 * (half == "p"))
    fraction = (fields["fraction"].fill_null("") + "000000").str.slice(0, 6).cast(pl.Int64).to_numpy()
    offset, badly = _offsets(fields["offset"])
    values = _from_civil(year, month_number, day, hour, minute, second)
    wrong |= badly | (values == NONE) | (fields["mark"] != fields["same"]).fill_null(False).to_numpy()
    return np.where(wrong, NONE, values + fraction - offset * 60 * SECOND)


def _from_civil(
    year: np.ndarray, month: np.ndarray, day: np.ndarray, hour: np.ndarray, minute: np.ndarray, second: np.ndarray
) -> np.ndarray:
    """Microseconds since 1970 of calendar times; NONE where there is no such day or time."""
    exists = (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (hour < 24) & (minute < 60) & (second < 60)
    months = np.where(exists, (year - 1970) * 12 + month - 1, 0).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (np.where(exists, day, 1) - 1)
    exists &= days.astype("datetime64[M]") == months
    clock = (hour * 60 + minute) * 60 + second
    return np.where(exists, days.astype(np.int64) * 86_400 * SECOND + clock * SECOND, NONE)


def _offsets(texts: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """Minutes ahead of UTC, and where they are none."""
    digits = texts.str.replace(":", "").str.extract(r"([0-9]+)$").fill_null("0000").str.pad_end(4, "0").cast(pl.Int64)
    hours, minutes = (digits // 100).to_numpy(), (digits % 100).to_numpy()
    sign = np.where(texts.str.starts_with("-").fill_null(False).to_numpy(), -1, 1)
    return sign * (hours * 60 + minutes), (hours > 15) | (minutes > 59)


def _numbers(texts: pl.Series, rows: np.ndarray, stamps: Stamps) -> None:
    """Read numbers: counted from 1970, or a calendar without separators, whichever is a plausible time."""
    if not len(rows):
        return
    readings = _readings(texts)
    plausible = np.stack([(values >= EARLIEST) & (values <= latest()) for values in readings.values()])
    names, values, count = list(readings), np.stack(list(readings.values())), plausible.sum(axis=0)
    if (count > 1).any():
        common = np.flatnonzero(plausible.all(axis=1))
        if len(common) == 1:
            plausible[np.arange(len(names)) != common[0]] = False
            count = plausible.sum(axis=0)
    chosen = plausible.argmax(axis=0)
    taken = count == 1
    stamps.values[rows[taken]] = values[chosen, np.arange(len(rows))][taken]
    stamps.absolute[rows] = np.isin(chosen, [names.index(name) for name in EPOCHS])
    unclear, wrong = np.flatnonzero(count > 1), np.flatnonzero(count == 0)

    def either(number: int) -> str:
        at = unclear[number]
        may = " or ".join(f"{names[form]} ({_date(values[form, at])})" for form in np.flatnonzero(plausible[:, at]))
        return f"{texts[int(at)]} may be {may}; say which with --date-format, or write it in ISO 8601"

    stamps.refuse(rows[unclear], either)
    stamps.refuse(rows[wrong], lambda number: _no_time(texts, int(wrong[number]), len(wrong) == len(rows)))


def _readings(texts: pl.Series) -> dict[str, np.ndarray]:
    """What numbers would be, in microseconds, by what they may count or write; NONE where they cannot."""
    real = texts.cast(pl.Float64, strict=False).fill_null(np.inf).to_numpy()
    whole = texts.cast(pl.Int64, strict=False)
    rounded = np.where(np.abs(real) < 9e18, real, -1)
    integer = whole.fill_null(pl.Series(rounded.astype(np.int64))).to_numpy()
    readings = {name: _scaled(real, whole, scale) for name, scale in EPOCHS.items()}
    for digits, name in CALENDARS.items():
        fits = (
            (integer >= 10 ** (digits - 1))
            & (integer < 10**digits)
            & (whole.is_not_null().to_numpy() | (real % 1 == 0))
        )
        readings[name] = np.where(fits, _from_digits(np.where(fits, integer, 10 ** (digits - 1)), digits), NONE)
    return readings


def _scaled(real: np.ndarray, whole: pl.Series, scale: float) -> np.ndarray:
    """Numbers times a scale as microseconds, to the last digit where they are whole; NONE beyond all calendars."""
    near = np.abs(real * scale) < 2e17
    rounded = np.round(np.where(near, real, 0) * scale).astype(np.int64)
    exact = np.where(near, whole.fill_null(0).to_numpy(), 0)
    exact = exact * int(scale) if scale >= 1 else exact // round(1 / scale)
    return np.where(near, np.where(whole.is_null().to_numpy(), rounded, exact), NONE)


def _from_digits(numbers: np.ndarray, digits: int) -> np.ndarray:
    """YYYYMMDD[HH[MM[SS[mmm]]]] as microseconds."""
    full = numbers * 10 ** (14 - digits) if digits <= 14 else numbers // 1000
    milliseconds = numbers % 1000 if digits == 17 else np.zeros(len(numbers), np.int64)
    parts = [full // 10**power % 100 for power in (8, 6, 4, 2, 0)]
    values = _from_civil(full // 10**10, *parts)
    return np.where(values == NONE, NONE, values + milliseconds * 1000)


def _no_time(texts: pl.Series, at: int, everywhere: bool) -> str:
    if not everywhere:
        return f"{texts[at]} is no time between 1990 and {_year(latest())}; correct or remove the row"
    shown = ", ".join(texts.head(3).to_list()) + (", …" if len(texts) > 3 else "")
    numbers = texts.cast(pl.Float64, strict=False).fill_null(0).to_numpy()
    advice = (
        "if a spreadsheet counted days here, format the column as date and time there and save it again"
        if ((numbers >= EXCEL[0]) & (numbers < EXCEL[1])).all()
        else f"numbers must count seconds, milliseconds, microseconds or nanoseconds since 1970 in UTC, or be written like "
        f"202403041830, and lie between 1990 and {_year(latest())}; a running number says nothing of the time"
    )
    return f"these are no times ({shown}): {advice}"


def _refuse_implausible(column: pl.Series, stamps: Stamps) -> None:
    known, end = stamps.values != NONE, latest()
    rows = np.flatnonzero(known & ((stamps.values < EARLIEST) | (stamps.values > end)))
    values = stamps.values[rows]
    stamps.refuse(rows, lambda at: implausible(column[int(rows[at])][:40], int(values[at])))


def implausible(text: str, value: int) -> str:
    """Why a time cannot be one of mobile traffic."""
    if value < EARLIEST:
        return f"{text} lies before 1990, as a clock that was not set says; correct or remove the row"
    return f"{text} lies more than a year ahead; correct or remove the row"


def _date(value: int) -> str:
    return str(np.datetime64(int(value), "us").astype("datetime64[m]")).replace("T", " ")


def _year(value: int) -> str:
    return _date(value)[:4]
