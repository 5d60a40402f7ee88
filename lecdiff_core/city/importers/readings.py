"""What every layout reads, and what it reads from: a `Source` of files becomes `Readings`."""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import polars as pl

from lecdiff_core.city.importers.tables import Batch
from lecdiff_core.errors import UserError
from lecdiff_core.progress import Report, silent

OnDuplicate = Literal["error", "sum", "last"]
Finder = Callable[[int], str]


@dataclass(frozen=True)
class Source:
    """Files of one layout and how to read them.

    columns: role → name of a column, where it is not the layout's own.  timezone: of times without an offset.
    date_format: how times are written (strptime), where their looks do not say it.
    """

    files: Sequence[Path]
    columns: Mapping[str, str] = field(default_factory=dict)
    timezone: str = "UTC"
    on_duplicate: OnDuplicate = "error"
    report: Report = silent
    date_format: str | None = None

    def progress(self, number: int, batch: Batch) -> None:
        """Report that file `number` has been read up to the end of `batch`."""
        self.report(number + batch.share, len(self.files), f"reading {batch.file.name}")


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


def finder(parts: Sequence[tuple[Path, int, int]]) -> Finder:
    """A function that names file and row of a reading.

    parts: for each file in order, its path, its number of readings, and how many come from one row (0: unknown).
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
