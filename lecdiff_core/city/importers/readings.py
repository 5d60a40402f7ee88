"""What every layout reads, and what it reads from: a `Source` of files becomes `Readings`."""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Literal

import numpy as np
import pandas as pd
import polars as pl

from lecdiff_core.city.importers.amounts import Amounts
from lecdiff_core.city.importers.forms import Table
from lecdiff_core.city.importers.problems import Problems
from lecdiff_core.city.importers.tables import Batch, Columns
from lecdiff_core.city.importers.times import Times
from lecdiff_core.errors import UserError
from lecdiff_core.progress import Report, silent

OnDuplicate = Literal["error", "sum", "last"]
Finder = Callable[[int], str]


@dataclass(frozen=True)
class Source:
    """Tables of one layout and how to read them.

    columns: of each table, the columns by role.  timezone: of times without an offset.  date_format: how times are written
    (strptime), where their looks do not say it.  decimal: the mark of decimals, where it is given.  missing: texts that mean a
    missing value, beside the usual ones.  problems: what is wrong in the rows, which every layout raises once it has read
    them.  by_file: whether a table holds the one station that it is named after.  metres: whether places are in metres, else in
    degrees.
    """

    files: Sequence[Table]
    columns: Sequence[Columns]
    timezone: str = "UTC"
    on_duplicate: OnDuplicate = "error"
    report: Report = silent
    date_format: str | None = None
    decimal: str | None = None
    missing: Sequence[str] = ()
    problems: Problems = field(default_factory=Problems)
    by_file: bool = False
    metres: bool = False

    def progress(self, number: int, batch: Batch) -> None:
        """Report that file `number` has been read up to the end of `batch`."""
        self.report(number + batch.share, len(self.files), f"reading {batch.file.name}")

    def on_utc(self, clock: Times, group: np.ndarray | None) -> tuple[np.ndarray, list[str]]:
        """The times of one table on UTC, and notices; see `Times.on_utc`. What is wrong with them goes to `problems`."""
        group = None if self.problems.messages else group  # else it may be shorter than the times
        with self.problems.collect(clock.file, "timestamp"):
            return clock.on_utc(group, self.timezone)
        return np.empty(0, np.int64), []

    def amounts(self, roles: Sequence[str], degrees: bool = False) -> Amounts:
        """A reader of the numbers of some roles over all tables."""
        chosen = [{role: columns[role] for role in roles if role in columns} for columns in self.columns]
        return Amounts(list(zip(self.files, chosen, strict=True)), self.decimal, self.missing, degrees)


@dataclass(frozen=True)
class Readings:
    """R traffic readings of N stations, in the order of the files.

    station_ids: N ids.  station: (R,) int32 index into them.  time: (R,) int64 start, microseconds UTC.
    value: (R,) float64, NaN = missing.  where(r): file and row of a reading.  rows: rows read.
    interval: length of a reading where the layout fixes it, else None.
    events: whether readings are sessions.  end: (R,) int64 end of each session, where known.
    places: (N, 2) lon and lat of the stations, where the readings themselves carry them.
    by_place: whether the ids were made from places, so that only the place says which station it is.
    duplicates: rows that repeated another and were summed or dropped while reading.
    """

    station_ids: list[str]
    station: np.ndarray
    time: np.ndarray
    value: np.ndarray
    where: Finder
    rows: int
    interval: pd.Timedelta | None = None
    events: bool = False
    end: np.ndarray | None = None
    places: np.ndarray | None = None
    by_place: bool = False
    duplicates: int = 0
    notices: list[str] = field(default_factory=list)

    def keep(self, chosen: np.ndarray) -> "Readings":
        """The readings where `chosen`, (R,) bool, is true."""
        return self if chosen.all() else self.take(np.flatnonzero(chosen))

    def take(self, rows: np.ndarray) -> "Readings":
        """The readings of these numbers, in this order."""
        where = self.where
        return replace(
            self,
            station=self.station[rows],
            time=self.time[rows],
            value=self.value[rows],
            end=None if self.end is None else self.end[rows],
            where=lambda index: where(int(rows[index])),
        )


def finder(parts: Sequence[tuple[Table, int, int]]) -> Finder:
    """A function that names file and row of a reading.

    parts: for each file in order, the table, its number of readings, and how many come from one row (0: unknown).
    """
    ends = list(accumulate(readings for _, readings, _ in parts))

    def where(index: int) -> str:
        number = bisect_right(ends, index)
        file, readings, width = parts[number]
        return f"{file}, row {(index - ends[number] + readings) // width + 1}" if width else str(file)

    return where


def repeats(
    keys: Mapping[str, np.ndarray], on_duplicate: OnDuplicate, where: Finder, what: str
) -> tuple[np.ndarray, int]:
    """Which of R rows to keep, (R,) bool, and how many repeat an earlier row in all `keys`, each (R,).

    `sum` keeps all rows, `last` the last of equal ones, `error` raises UserError at the first repetition.
    """
    frame = pl.DataFrame(dict(keys))
    suspects = np.flatnonzero(frame.hash_rows(seed=0).is_duplicated().to_numpy())  # few, so that little is compared
    rows = frame[suspects].to_struct("key")
    again = np.zeros(len(frame), bool)
    again[suspects] = ~rows.is_first_distinct().to_numpy()
    count = int(again.sum())
    if count and on_duplicate == "error":
        raise UserError(
            f"{where(int(np.argmax(again)))}: {what} is there already; {count} rows are such duplicates; "
            "remove them, or use --on-duplicate sum or last"
        )
    keep = np.ones(len(frame), bool)
    if on_duplicate == "last":
        keep[suspects] = rows.is_last_distinct().to_numpy()
    return keep, count
