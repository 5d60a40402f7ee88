"""Timestamps of imported rows: parsed, and put on UTC across the clock changes of the city's time zone.

A time is held as int64 microseconds since 1970-01-01T00:00, of UTC where the file gives an offset or an epoch number,
else of the local clock.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute

from lecdiff_core.city.importers.tables import Batch
from lecdiff_core.errors import UserError

HAS_OFFSET = r"\d:\d{2}.*(?:Z|[+-]\d{2}(?::?\d{2})?)$"
# Digits of a whole number → unit it counts since 1970 in UTC.
EPOCH_DIGITS = {9: "s", 10: "s", 12: "ms", 13: "ms", 15: "us", 16: "us", 18: "ns", 19: "ns"}
EXAMPLE = "write it like 2013-11-01T00:10:00+01:00, without the offset for local time, or as seconds since 1970"


@dataclass
class Times:
    """The timestamps of one file, gathered a batch at a time.

    A file must give all its times with an offset (or as epoch numbers), or none.
    """

    file: Path
    column: str = "timestamp"
    parts: list[np.ndarray] = field(default_factory=list)
    absolute: bool | None = None

    def add(self, batch: Batch, role: str) -> None:
        """Parse a column. Raises UserError at an empty or unreadable cell, and where only some have an offset."""
        batch.refuse_empty(role)
        self.column = batch.names[role]
        values, absolute = _microseconds(batch, role)
        if len(values) == 0:
            return
        self.absolute = bool(absolute[0]) if self.absolute is None else self.absolute
        if (absolute != self.absolute).any():
            row = int(np.argmax(absolute != self.absolute))
            raise UserError(
                f"{batch.where(row, role)}: some times have an offset from UTC and some not; give all or none"
            )
        self.parts.append(values)

    def on_utc(
        self, group: np.ndarray | None, timezone: str, not_before: np.ndarray | None = None
    ) -> tuple[np.ndarray, list[str]]:
        """All times of the file on UTC, (R,) int64 microseconds, and notices.

        group: (R,) what each row belongs to (its station), or None where all rows are of one series. Local times of the
        hour that comes twice when clocks go back belong to its first pass where a group has them once, and to both in
        the order of the file where it has them twice; to the second where they would lie before `not_before`, (R,) UTC.
        Raises UserError at a local time that the clocks skip.
        """
        values = np.concatenate(self.parts) if self.parts else np.empty(0, np.int64)
        if self.absolute or not len(values):
            return values, []
        return self._localised(values, group, timezone, not_before)

    def _localised(
        self, wall: np.ndarray, group: np.ndarray | None, timezone: str, not_before: np.ndarray | None
    ) -> tuple[np.ndarray, list[str]]:
        codes, distinct = pd.factorize(wall)
        clock = pd.DatetimeIndex(distinct.astype("datetime64[us]"))
        summer = clock.tz_localize(timezone, ambiguous=np.ones(len(clock), bool), nonexistent="NaT")
        winter = clock.tz_localize(timezone, ambiguous=np.zeros(len(clock), bool), nonexistent="NaT")
        if summer.hasnans:
            row = int(np.argmax(summer.isna()[codes]))
            raise UserError(
                f"{self._row(row)}: {clock[codes[row]]} does not exist in {timezone}, where the clocks went forward; "
                "give times with their offset, or the --timezone in which they were written"
            )
        utc = summer.asi8[codes]
        twice = np.flatnonzero((summer != winter)[codes])
        if not len(twice):
            return utc, []
        series = pd.DataFrame({"time": codes[twice], "group": 0 if group is None else group[twice]})
        later = (series.groupby(["time", "group"]).cumcount() > 0).to_numpy()
        if not_before is not None:
            later = later | (utc[twice] < not_before[twice])
        second = twice[later]
        utc[second] = winter.asi8[codes[second]]
        return utc, [
            f"{self._row(int(twice[0]))}: clocks went back in {timezone}, and {len(twice)} rows have a time that came "
            f"twice; {len(twice) - len(second)} were taken for its first pass and {len(second)} for its second"
        ]

    def _row(self, row: int) -> str:
        return f"{self.file}, row {row + 1}, column {self.column}"


def _microseconds(batch: Batch, role: str) -> tuple[np.ndarray, np.ndarray]:
    """(R,) int64 microseconds and (R,) bool: whether each counts from UTC."""
    column = batch.data.column(role)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        absolute = pa.types.is_timestamp(column.type) and column.type.tz is not None
        values = column.cast(pa.timestamp("us", "UTC" if absolute else None), safe=False)
        return values.cast(pa.int64()).to_numpy(), np.full(len(column), absolute)
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    distinct = encoded.dictionary
    if pa.types.is_floating(distinct.type):
        distinct = pa.compute.round(distinct).cast(pa.int64())
    texts = pd.Series(distinct.cast(pa.string()).to_pylist(), dtype=str).str.strip()
    codes = encoded.indices.to_numpy()
    values, absolute = parse(texts)
    if values.isna().any():
        row = int(np.argmax(values.isna().to_numpy()[codes]))
        raise UserError(f"{batch.where(row, role)}: {texts[codes[row]][:40]!r} is not a time; {EXAMPLE}")
    return values.to_numpy().astype("datetime64[us]").astype(np.int64)[codes], absolute[codes]


def parse(texts: pd.Series) -> tuple[pd.Series, np.ndarray]:
    """Times of texts, NaT where one cannot be read, and whether each counts from UTC: ISO 8601 and epoch numbers."""
    texts = texts.str.replace(r"\s*(?:UTC|GMT)$", "Z", regex=True)
    digits = texts.str.len().where(texts.str.fullmatch(r"\d+"), 0)
    values = pd.Series(pd.NaT, index=texts.index, dtype="datetime64[us]")
    epoch = digits.isin(list(EPOCH_DIGITS)).to_numpy()
    for count, unit in EPOCH_DIGITS.items():
        chosen = (digits == count).to_numpy()
        if chosen.any():
            values[chosen] = pd.to_datetime(texts[chosen].astype(np.int64), unit=unit).astype("datetime64[us]")
    offset = texts.str.contains(HAS_OFFSET).to_numpy() & ~epoch
    written = pd.to_datetime(texts[offset], format="ISO8601", utc=True, errors="coerce")
    values[offset] = written.dt.tz_localize(None).astype("datetime64[us]")
    local = ~offset & ~epoch
    values[local] = pd.to_datetime(texts[local], format="ISO8601", errors="coerce").astype("datetime64[us]")
    return values, epoch | offset
