"""Timestamps of imported rows: gathered from a file, and put on UTC across the clock changes of the city's time zone.

A time is held as int64 microseconds since 1970-01-01T00:00, of UTC where the file gives an offset or an epoch number,
else of the local clock.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute

from lecdiff_core.city.importers import timestamps
from lecdiff_core.city.importers.amounts import MISSING
from lecdiff_core.city.importers.forms import Table
from lecdiff_core.city.importers.tables import Batch
from lecdiff_core.city.importers.timestamps import NONE
from lecdiff_core.city.timeline import DAY, localised
from lecdiff_core.errors import UserError

TIMELY = (  # types of columns that may hold times
    pa.types.is_timestamp,
    pa.types.is_date,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_null,
)
UNITS = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": -1_000}  # microseconds in one; negative: how many make one


@dataclass
class Times:
    """The timestamps of one file, gathered a batch at a time and read together.

    A file must give all its times with an offset (or as epoch numbers), or none. date_format: how they are written (strptime);
    by their looks where it is None.
    """

    file: Table
    date_format: str | None = None
    column: str = "timestamp"
    codes: list[np.ndarray] = field(default_factory=list)  # of each row, the number of its stamp
    texts: list[str] = field(default_factory=list)  # of each stamp
    values: list[np.ndarray] = field(default_factory=list)  # of each stamp, where the column is typed; else NONE
    zoned: bool = False  # a typed column that counts from UTC
    may_be_empty: bool = False

    def add(self, batch: Batch, role: str, may_be_empty: bool = False) -> None:
        """Gather a column. Raises UserError at an empty cell (unless it may be), and for a column that holds no times."""
        self.column, self.may_be_empty = batch.names[role], may_be_empty
        if not may_be_empty:
            batch.refuse_empty(role)
        column = batch.data.column(role)
        if not pa.types.is_dictionary(column.type):
            self._refuse_untimely(batch, role, column.type)
            column = column.dictionary_encode()
        values, texts = self._distinct(batch, role, column.dictionary)
        first = len(self.texts)
        codes = pyarrow.compute.fill_null(column.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
        empty = np.isin([text.lower() for text in texts], MISSING) if may_be_empty else np.zeros(len(texts), bool)
        codes = np.where((codes >= 0) & ~np.append(empty, True)[codes], codes + first, -1)
        self.codes.append(codes)
        self.texts += texts
        self.values.append(values)

    def _distinct(self, batch: Batch, role: str, distinct: pa.Array) -> tuple[np.ndarray, list[str]]:
        """Values of a typed column's stamps, or NONE for those to be read from their texts; and texts of all."""
        kind = distinct.type
        self._refuse_untimely(batch, role, kind)
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            self.zoned = pa.types.is_timestamp(kind) and kind.tz is not None
            values = _typed(distinct)
            return values, [_written(value) for value in values.tolist()]
        texts = [str(text).strip() for text in distinct.cast(pa.string()).to_pylist()]
        return np.full(len(texts), NONE, np.int64), texts

    def _refuse_untimely(self, batch: Batch, role: str, kind: pa.DataType) -> None:
        if not any(is_kind(kind) for is_kind in TIMELY):
            raise UserError(f"{batch.file}, column {batch.names[role]}: it holds {kind}, not times")

    def on_utc(
        self, group: np.ndarray | None, timezone: str, not_before: np.ndarray | None = None
    ) -> tuple[np.ndarray, list[str]]:
        """All times of the file on UTC, (R,) int64 microseconds, NONE for empty cells, and notices.

        group: (R,) what each row belongs to (its station), or None where all rows are of one series. Local times of the
        hour that comes twice when clocks go back belong to its first pass where a group has them once. Where it has them twice,
        the order of its rows says which is the first, be the oldest row first or the newest; to the second pass belongs also
        what would lie before `not_before`, (R,) UTC.

        Raises UserError, by row: a stamp that cannot be read, times with and without offset, a local time that the clocks skip,
        or one that occurs twice in rows without order.
        """
        codes = np.concatenate(self.codes) if self.codes else np.empty(0, np.int64)
        values, absolute, notices = self._read(codes)
        filled = codes >= 0
        if absolute or not filled.any():
            return np.where(filled, np.append(values, NONE)[codes], NONE), notices
        order = None if group is None else group[filled]
        limit = None if not_before is None else not_before[filled]
        utc = np.full(len(codes), NONE, np.int64)
        rows = np.flatnonzero(filled)
        utc[rows], remarks = self._localised(values[codes[filled]], rows, order, timezone, limit)
        return utc, notices + remarks

    def _read(self, codes: np.ndarray) -> tuple[np.ndarray, bool, list[str]]:
        """Values of the stamps that rows have, whether they count from UTC, and notices."""
        used = np.unique(codes[codes >= 0])
        values = np.concatenate(self.values) if self.values else np.empty(0, np.int64)
        if not len(used):
            return values, False, []
        typed = values[used] != NONE
        absolute = np.full(len(used), self.zoned)
        parsed = timestamps.read([self.texts[code] for code in used[~typed].tolist()], self.date_format)
        values[used[~typed]], absolute[~typed] = parsed.values, parsed.absolute
        outside = typed & ((values[used] < timestamps.EARLIEST) | (values[used] > timestamps.latest()))
        wrong = outside | (values[used] == NONE)
        if wrong.any():
            row = int(np.argmax(np.isin(codes, used[wrong])))
            at = int(np.searchsorted(used, codes[row]))
            text, value = self.texts[codes[row]], int(values[codes[row]])
            why = timestamps.implausible(text, value) if typed[at] else parsed.problem(int((~typed[:at]).sum()))
            or_empty = ", or leave the cell empty where the time is not known" if self.may_be_empty else ""
            raise UserError(f"{self._row(row)}: {why}{or_empty}")
        if absolute.any() and not absolute.all():
            row = int(
                np.argmax(np.isin(codes, used[absolute != absolute[np.searchsorted(used, codes[codes >= 0][0])]]))
            )
            raise UserError(f"{self._row(row)}: some times have an offset from UTC and some not; give all or none")
        return values, bool(absolute[0]), [f"{self.file}, column {self.column}: {notice}" for notice in parsed.notices]

    def _localised(
        self, wall: np.ndarray, rows: np.ndarray, group: np.ndarray | None, timezone: str, not_before: np.ndarray | None
    ) -> tuple[np.ndarray, list[str]]:
        """Local times `wall` of `rows` on UTC, and notices."""
        codes, distinct = pd.factorize(wall)
        first, second = self._passes(distinct, codes, rows, timezone)
        utc = first[codes]
        twice = np.flatnonzero((first != second)[codes])
        if not len(twice):
            return utc, []
        later = self._later(wall, rows, twice, np.zeros(len(wall), np.int64) if group is None else group, timezone)
        if not_before is not None:
            later |= utc[twice] < not_before[twice]
        moved = twice[later]
        utc[moved] = second[codes[moved]]
        return utc, [
            f"{self._row(rows[twice[0]])}: clocks went back in {timezone}, and {len(twice)} rows have a time that occurs "
            f"twice; {len(twice) - len(moved)} were taken for its first pass and {len(moved)} for its second"
        ]

    def _passes(
        self, distinct: np.ndarray, codes: np.ndarray, rows: np.ndarray, timezone: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """First and second instant of local times; both are one but where clocks go back.

        What starts within a gap that is shorter than the distance of all times, such as a day that starts at a midnight which the
        clocks skip, starts where the gap ends.
        """
        first, last, gap = localised(distinct, timezone)
        spacing = np.gcd.reduce(np.append(distinct % DAY, DAY)) if len(distinct) > 1 else 1
        if gap.max() >= spacing:
            row = int(np.argmax((gap > 0)[codes]))
            time = _written(int(distinct[codes[row]])).replace("T", " ").removesuffix(".000000")
            raise UserError(
                f"{self._row(rows[row])}: {time} does not exist in {timezone}, where the clocks went forward; "
                "give times with their offset, or the --timezone in which they were written"
            )
        return first, last

    def _later(
        self, wall: np.ndarray, rows: np.ndarray, twice: np.ndarray, group: np.ndarray, timezone: str
    ) -> np.ndarray:
        """Which of the rows `twice`, (R,), belong to the second pass, by the order of each group's rows on that day."""
        day = np.flatnonzero(np.isin(wall // DAY, np.unique(wall[twice] // DAY)))
        day = day[np.argsort(group[day], kind="stable")]
        codes, _ = pd.factorize(group[day])
        direction = _directions(wall[day], codes, np.isin(day, twice))[codes]
        chosen = np.isin(day, twice)
        frame = pd.DataFrame({"row": day, "group": codes, "wall": wall[day], "direction": direction})[chosen]
        unclear = frame[(frame["direction"] == 0) & frame.duplicated(["group", "wall"], keep=False)]
        if len(unclear):
            row = int(unclear["row"].min())
            raise UserError(
                f"{self._row(rows[row])}: clocks went back in {timezone}, this time occurs twice, and as the rows are in no "
                "order nothing says which of them was first; sort them by time, or give times with their offset"
            )
        frame = frame.iloc[np.lexsort((frame["row"] * np.where(frame["direction"] < 0, -1, 1), frame["group"]))]
        step = frame["wall"].diff().where(frame["group"].diff() == 0, DAY)
        stretch = (step >= DAY // 2).cumsum()
        later = (step <= 0).groupby(stretch).cummax().to_numpy()
        return later[np.argsort(frame["row"].to_numpy())]

    def _row(self, row: int) -> str:
        return f"{self.file}, row {int(row) + 1}, column {self.column}"


def _directions(wall: np.ndarray, codes: np.ndarray, twice: np.ndarray) -> np.ndarray:
    """(G,) whether the rows of each group go forward in time (1), backward (-1), or neither (0); codes are in order.

    Steps within the time that comes twice say it only where there are no others.
    """
    same = np.diff(codes) == 0
    step = np.where(same, np.sign(np.diff(wall)), 0)
    inside = twice[1:] & twice[:-1]
    count = int(codes[-1]) + 1
    forward, backward, among = (
        np.bincount(codes[1:], weights=weights, minlength=count)
        for weights in ((step > 0) & ~inside, (step < 0) & ~inside, np.where(inside, step, 0))
    )
    clear = np.sign(forward) - np.sign(backward)
    return np.where((forward == 0) & (backward == 0), np.sign(among), clear)


def _typed(distinct: pa.Array) -> np.ndarray:
    """Microseconds since 1970 of typed times; what lies beyond all calendars as far away as can be represented."""
    if pa.types.is_date32(distinct.type):
        size, numbers = DAY, distinct.cast(pa.int32())
    else:
        unit = "ms" if pa.types.is_date64(distinct.type) else distinct.type.unit
        size, numbers = UNITS[unit], distinct.cast(pa.int64())
    values = numbers.to_numpy(zero_copy_only=False).astype(np.int64)
    if size < 0:
        return values // -size
    farthest = np.iinfo(np.int64).max // size
    return np.clip(values, -farthest, farthest) * size


def _written(microseconds: int) -> str:
    return str(np.datetime64(microseconds, "us"))
