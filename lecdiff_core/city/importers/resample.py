"""From readings, as a file gives them, to traffic on the city's regular time grid, by sum.

Two kinds of source are told apart. *Counters* give one reading a station and source interval: an interval that is not
there is missing, and a target interval counts as observed only if every source interval in it is. *Events* (data
sessions) are there only when something happened: an interval without any is zero traffic, as long as the network was
being recorded, which is known from sessions elsewhere starting in it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from lecdiff_core.city.folder import duration_text
from lecdiff_core.city.importers.readings import OnDuplicate, Readings
from lecdiff_core.errors import UserError

MOST_CELLS = 600_000_000  # stations × steps that are held densely: 50,000 stations for 8 months of half-hours


@dataclass(frozen=True)
class Resampled:
    """Traffic on the regular grid, (T, N) float32 with a tz-aware index, and what was done to get there."""

    traffic: pd.DataFrame
    source_interval: str | None  # None for events
    duplicates: int
    incomplete: int  # target intervals of a station that lacked some of their source intervals
    notices: list[str]


@dataclass(frozen=True)
class Grid:
    """A regular time grid: `steps` intervals of `step` microseconds, the first being number `first` after `anchor`."""

    anchor: int
    step: int
    first: int
    steps: int
    timezone: str

    @classmethod
    def over(cls, readings: Readings, step: int, timezone: str) -> "Grid":
        """The grid, counted from local midnight, that all readings start in. Raises UserError where it is too long."""
        earliest, latest = int(np.argmin(readings.time)), int(np.argmax(readings.time))
        anchor = _midnight_before(int(readings.time[earliest]), timezone)
        first = (int(readings.time[earliest]) - anchor) // step
        steps = (int(readings.time[latest]) - anchor) // step - first + 1
        if steps * len(readings.station_ids) > MOST_CELLS:
            span = [f"{readings.where(row)} ({_iso(readings.time[row])})" for row in (earliest, latest)]
            raise UserError(
                f"{steps} intervals of {_text(step)} for {len(readings.station_ids)} stations are too many: times go "
                f"from {span[0]} to {span[1]}; correct a wrong time, or import a shorter period"
            )
        return cls(anchor, step, first, steps, timezone)

    def table(self, traffic: np.ndarray, station_ids: list[str]) -> pd.DataFrame:
        """(T, N) traffic with its index in the city's zone."""
        starts = self.anchor + (self.first + np.arange(self.steps)) * self.step
        index = pd.DatetimeIndex(starts.astype("datetime64[us]"), name="timestamp").tz_localize("UTC")
        values = traffic.reshape(self.steps, len(station_ids)).astype(np.float32, copy=False)
        return pd.DataFrame(values, index=index.tz_convert(self.timezone), columns=station_ids, copy=False)


def resample(readings: Readings, interval: str, timezone: str, on_duplicate: OnDuplicate) -> Resampled:
    """Sum readings into intervals of the city, which count from local midnight. Raises UserError.

    Errors: no reading at all, times off the regular grid, intervals that do not divide the target, duplicates (unless
    summed or the last kept), a time so far from the others that the grid would not fit into memory.
    """
    readings = readings.keep(~np.isnan(readings.value))
    if not len(readings.value):
        raise UserError("there is no traffic: every value is missing")
    grid = Grid.over(readings, pd.Timedelta(interval).value // 1000, timezone)
    return _sum_events(readings, grid) if readings.events else _sum_counters(readings, grid, on_duplicate)


def _sum_counters(readings: Readings, grid: Grid, on_duplicate: OnDuplicate) -> Resampled:
    source = _source_interval(readings, grid.step)
    _refuse_off_grid(readings, source, grid.anchor)
    readings, duplicates = _without_duplicates(readings, source, on_duplicate)
    slot = (readings.time - grid.anchor) // grid.step - grid.first
    cell = slot * len(readings.station_ids) + readings.station
    size, whole = grid.steps * len(readings.station_ids), grid.step // source
    observed = np.bincount(cell, minlength=size)
    traffic = np.bincount(cell, weights=readings.value, minlength=size).astype(np.float32)
    traffic[observed < whole] = np.nan
    incomplete = int(np.count_nonzero((observed > 0) & (observed < whole)))
    if np.isnan(traffic).all():
        raise UserError(
            f"no interval of {_text(grid.step)} has all its readings of {_text(source)}; choose a shorter --interval"
        )
    notice = (
        f"{incomplete} intervals of {_text(grid.step)} lack some of their readings of {_text(source)} and are missing"
    )
    table = _trimmed(grid.table(traffic, readings.station_ids))
    return Resampled(table, _text(source), duplicates, incomplete, [notice] if incomplete else [])


def _source_interval(readings: Readings, step: int) -> int:
    """Length of a reading in microseconds: the layout's, else the most frequent distance between successive times."""
    if readings.interval is not None:
        source = readings.interval.value // 1000
    else:
        gaps = np.diff(np.sort(pd.unique(readings.time)))
        lengths, counts = np.unique(gaps, return_counts=True)
        source = int(lengths[np.argmax(counts)]) if len(lengths) else step
    if source > step:
        raise UserError(
            f"{readings.where(0)}: readings are {_text(source)} apart, longer than the interval of {_text(step)}; "
            f"use --interval {_text(source)}"
        )
    if step % source:
        raise UserError(
            f"{readings.where(0)}: readings are {_text(source)} apart, which does not divide the interval of "
            f"{_text(step)}; use a multiple as --interval, or --layout sessions for single events"
        )
    return source


def _refuse_off_grid(readings: Readings, source: int, anchor: int) -> None:
    off = (readings.time - anchor) % source != 0
    if off.any():
        row = int(np.argmax(off))
        raise UserError(
            f"{readings.where(row)}: {_iso(readings.time[row])} is irregular: most times are {_text(source)} apart, "
            f"counted from midnight, {int(off.sum())} are not; correct them, or use --layout sessions for single events"
        )


def _without_duplicates(readings: Readings, source: int, on_duplicate: OnDuplicate) -> tuple[Readings, int]:
    """Readings with one a station and time, and how many there were too many."""
    tick = (readings.time - readings.time.min()) // source
    key = readings.station.astype(np.int64) * (int(tick.max()) + 1) + tick
    ordered = np.sort(key)
    duplicates = int(np.count_nonzero(ordered[1:] == ordered[:-1]))
    if not duplicates:
        return readings, 0
    order = np.argsort(key, kind="stable")
    opens = np.flatnonzero(np.diff(key[order], prepend=-1))
    if on_duplicate == "error":
        again = int(np.delete(order, opens).min())
        before = int(order[np.searchsorted(ordered, key[again])])
        station = readings.station_ids[readings.station[again]]
        raise UserError(
            f"{readings.where(again)}: station {station} already has a reading for "
            f"{_iso(readings.time[again])} in {readings.where(before)}; {duplicates} readings are such duplicates; "
            "remove them, or use --on-duplicate sum or last"
        )
    last = order[np.append(opens[1:], len(order)) - 1]
    value = readings.value[last] if on_duplicate == "last" else np.add.reduceat(readings.value[order], opens)
    return replace(readings, station=readings.station[last], time=readings.time[last], value=value), duplicates


def _sum_events(readings: Readings, grid: Grid) -> Resampled:
    slot = (readings.time - grid.anchor) // grid.step - grid.first
    stations, left_out = len(readings.station_ids), 0.0
    traffic = np.zeros(grid.steps * stations)
    for session, piece, amount in _pieces(readings, slot, grid):
        inside = piece < grid.steps
        np.add.at(traffic, piece[inside] * stations + readings.station[session[inside]], amount[inside])
        left_out += float(amount[~inside].sum())
    silent = np.bincount(slot, minlength=grid.steps) == 0
    table = grid.table(traffic, readings.station_ids)
    table.iloc[silent] = np.nan
    notices = []
    if silent.any():
        notices.append(
            f"in {int(silent.sum())} of {grid.steps} intervals no session starts anywhere; they count as not recorded"
        )
    if left_out:
        notices.append(f"{left_out:g} of the traffic falls after the last session started and is left out")
    return Resampled(table, None, 0, 0, notices)


def _pieces(readings: Readings, slot: np.ndarray, grid: Grid) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Sessions cut at the intervals: indices of sessions, interval of each piece, traffic of each piece.

    A session's traffic is spread evenly over its length, or lies at its start where no end is known.
    """
    everyone = np.arange(len(slot))
    if readings.end is None:
        yield everyone, slot, readings.value
        return
    length = readings.end - readings.time
    instant = length == 0
    yield everyone[instant], slot[instant], readings.value[instant]
    session, piece = everyone[~instant], slot[~instant]
    while len(session):
        opens = grid.anchor + (grid.first + piece) * grid.step
        covered = np.minimum(readings.end[session], opens + grid.step) - np.maximum(readings.time[session], opens)
        yield session, piece, readings.value[session] * covered / length[session]
        goes_on = readings.end[session] > opens + grid.step
        session, piece = session[goes_on], piece[goes_on] + 1


def _midnight_before(time: int, timezone: str) -> int:
    """The start of the local day of `time`, both microseconds UTC."""
    day = pd.Timestamp(time, unit="us", tz="UTC").tz_convert(timezone).tz_localize(None).normalize()
    start = day.tz_localize(timezone, ambiguous=True, nonexistent="shift_forward")
    return start.as_unit("us").value // 1000


def _trimmed(table: pd.DataFrame) -> pd.DataFrame:
    """Without the rows at either end in which nothing was observed."""
    observed = np.flatnonzero(table.notna().to_numpy().any(axis=1))
    return table.iloc[observed[0] : observed[-1] + 1]


def _iso(time: int) -> str:
    return pd.Timestamp(int(time), unit="us", tz="UTC").isoformat()


def _text(microseconds: int) -> str:
    return duration_text(pd.Timedelta(microseconds, unit="us"))
