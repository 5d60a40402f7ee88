"""From readings, as a file gives them, to traffic on the city's regular time grid, by sum.

Two kinds of source are distinguished. *Counters* give one reading a station and source interval: an interval that is not
there is missing, and a target interval counts as observed only if every source interval in it is. *Events* (data
sessions) are there only when something happened: an interval without any is zero traffic, as long as the network was
being recorded, which is known from sessions elsewhere starting in it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import lcm

import numpy as np
import pandas as pd

from lecdiff_core.city.folder import duration_text, named
from lecdiff_core.city.importers import cadence
from lecdiff_core.city.importers.cadence import Cadence, Lengths
from lecdiff_core.city.importers.readings import OnDuplicate, Readings
from lecdiff_core.city.timeline import DAY, LONGEST_CHANGE, MINUTE, Timeline, in_zone, localised
from lecdiff_core.errors import UserError

MOST_CELLS = 600_000_000  # stations × steps that are held densely: 50,000 stations for 8 months of half-hours
CHANGES = 15 * MINUTE  # what all clock changes are a multiple of
STRAY_DAYS = 7  # how far away, at least, what is no part of the data
STRAY_TIMES = 24  # different times, at most
STRAY_SHARE = 0.02  # of all readings, at most, where they have more than one time


@dataclass(frozen=True)
class Resampled:
    """Traffic on the regular grid, (T, N) float32 with a tz-aware index, and what was done to get there."""

    traffic: pd.DataFrame
    cadences: list[Cadence]  # none for events
    duplicates: int
    incomplete: int  # target intervals of a station that lacked some of their source intervals
    notices: list[str]
    emptied: list[str] = field(default_factory=list)  # stations that have readings, but no interval with all of them


@dataclass(frozen=True)
class Grid:
    """The intervals of a city over some time: T of them, each from `edges[t]` to `edges[t + 1]`, microseconds UTC.

    step: their usual length.  midnight: a local one before the first, from which they count.
    """

    edges: np.ndarray
    step: int
    midnight: int
    timezone: str

    @classmethod
    def over(cls, readings: Readings, step: int, timezone: str) -> "Grid":
        """The grid, counted from local midnight, that all readings start in. Raises UserError where it is too long."""
        earliest, latest = int(np.argmin(readings.time)), int(np.argmax(readings.time))
        start, end = int(readings.time[earliest]), int(readings.time[latest])
        if ((end - start) // step + 1) * len(readings.station_ids) > MOST_CELLS:
            span = [f"{readings.where(row)} ({_iso(readings.time[row])})" for row in (earliest, latest)]
            raise UserError(
                f"{(end - start) // step + 1} intervals of {_text(step)} for {len(readings.station_ids)} stations are too "
                f"many: times go from {span[0]} to {span[1]}; correct a wrong time, or import a shorter period"
            )
        midnight = _midnight_before(start, timezone)
        edges = _edges(step, midnight, end, timezone)
        first, last = np.searchsorted(edges, [start, end], side="right") - 1
        return cls(edges[first : last + 2], step, midnight, timezone)

    def even(self) -> "Grid":
        """The same time in intervals of equal real length, which start at other local times after a clock change."""
        count = -(-int(self.edges[-1] - self.edges[0]) // self.step)
        first = self.midnight + int(self.edges[0] - self.midnight) // self.step * self.step
        return replace(self, edges=first + np.arange(count + 2) * self.step)

    @property
    def steps(self) -> int:
        """T, the number of intervals."""
        return len(self.edges) - 1

    def slots(self, times: np.ndarray) -> np.ndarray:
        """The interval that each time lies in."""
        if self.edges[-1] - self.edges[0] == self.steps * self.step:
            return (times - self.edges[0]) // self.step
        return np.searchsorted(self.edges, times, side="right") - 1

    def table(self, traffic: np.ndarray, station_ids: list[str]) -> pd.DataFrame:
        """(T, N) traffic with its index in the city's zone."""
        index = in_zone(self.edges[:-1], self.timezone).rename("timestamp")
        values = traffic.reshape(self.steps, len(station_ids)).astype(np.float32, copy=False)
        return pd.DataFrame(values, index=index, columns=station_ids, copy=False)


def _edges(step: int, midnight: int, end: int, timezone: str) -> np.ndarray:
    """Starts of intervals from a local midnight to beyond `end`."""
    count = (end - midnight) // step + LONGEST_CHANGE // step + 3
    return Timeline(timezone, step, midnight).starts(midnight, count)


def resample(readings: Readings, interval: str, timezone: str, on_duplicate: OnDuplicate) -> Resampled:
    """Sum readings into intervals of the city, which count from local midnight. Raises UserError.

    Errors: no reading at all, times off the regular grid, intervals that do not divide the target, duplicates (unless
    summed or the last kept), a time so far from all others that it must be wrong, or that the grid would not fit into memory.
    """
    readings = readings.keep(~np.isnan(readings.value))
    if not len(readings.value):
        raise UserError("there is no traffic: every value is missing")
    _refuse_strays(readings)
    grid = Grid.over(readings, pd.Timedelta(interval) // pd.Timedelta(microseconds=1), timezone)
    return _sum_events(readings, grid) if readings.events else _sum_counters(readings, grid, on_duplicate)


def _refuse_strays(readings: Readings) -> None:
    """Raise UserError where the first or last few times lie farther from the others than all others from each other."""
    days = readings.time // DAY
    first = int(days.min())
    count = np.bincount(days - first)
    held = np.flatnonzero(count)
    pieces = np.split(held, np.flatnonzero(np.diff(held) > STRAY_DAYS) + 1)
    sizes = [int(count[piece].sum()) for piece in pieces]
    main = int(np.argmax(sizes))
    span = pieces[main][-1] - pieces[main][0]
    for at, inner in ((0, 1), (-1, -2)):
        if main in (at, len(pieces) + at):
            continue
        piece = pieces[at]
        gap = pieces[inner][0] - piece[-1] if at == 0 else piece[0] - pieces[inner][-1]
        rows = np.flatnonzero(np.isin(days - first, piece))
        times = len(np.unique(readings.time[rows]))
        few = times == 1 or (times <= STRAY_TIMES and sizes[at] <= STRAY_SHARE * sizes[main])
        if gap > span and few and sizes[at] * 10 <= sizes[main]:
            where = "before" if at == 0 else "after"
            more = f"; {len(rows)} readings lie there" if len(rows) > 1 else ""
            raise UserError(
                f"{readings.where(int(rows[0]))}: {_iso(readings.time[rows[0]])} lies {gap} days {where} all other times"
                f"{more}; correct or remove the row"
            )


def _sum_counters(readings: Readings, grid: Grid, on_duplicate: OnDuplicate) -> Resampled:
    readings, lengths, duplicates = _with_lengths(readings, grid, on_duplicate)
    groups = cadence.cadences(lengths, readings.station, readings.time, readings.station_ids)
    _refuse_lengths(readings, lengths, groups, grid)
    grid, covers = _on_grid(readings, lengths, grid)
    cell = grid.slots(readings.time) * len(readings.station_ids) + readings.station
    size = grid.steps * len(readings.station_ids)
    covered = np.bincount(cell, weights=covers, minlength=size)
    traffic = np.bincount(cell, weights=readings.value, minlength=size).astype(np.float32)
    whole = covered >= np.repeat(np.diff(grid.edges), len(readings.station_ids))
    traffic[~whole] = np.nan
    incomplete = int(np.count_nonzero((covered > 0) & ~whole))
    source = " or ".join(one.interval for one in groups)
    if not whole.any():
        raise UserError(
            f"no interval of {_text(grid.step)} has all its readings of {source}; choose a shorter --interval"
        )
    notice = f"{incomplete} intervals of {_text(grid.step)} lack some of their readings of {source} and are missing"
    by_station = (covered.reshape(grid.steps, -1) > 0).any(axis=0) & ~whole.reshape(grid.steps, -1).any(axis=0)
    emptied = [readings.station_ids[index] for index in np.flatnonzero(by_station)]
    table = _trimmed(grid.table(traffic, readings.station_ids))
    return Resampled(table, groups, duplicates, incomplete, [notice] if incomplete else [], emptied)


def _with_lengths(readings: Readings, grid: Grid, on_duplicate: OnDuplicate) -> tuple[Readings, Lengths, int]:
    """Readings, one a station and time, how long they are, and how many there were too many."""
    key, times = _keys(readings)
    ordered = np.sort(key)
    duplicates = int(np.count_nonzero(np.diff(ordered) == 0))
    if duplicates:
        rows = _last_of_each(readings, key, on_duplicate, duplicates)
        value = readings.value if on_duplicate == "last" else _added(readings.value, key)
        readings, key, ordered = replace(readings, value=value).take(rows), key[rows], np.unique(ordered)
    if readings.interval is not None:
        return readings, Lengths(np.array([readings.interval // pd.Timedelta(microseconds=1)])), duplicates
    station, time = ordered // len(times), times[ordered % len(times)]
    lengths = cadence.lengths(station, time, len(readings.station_ids), grid.midnight, grid.step)
    if lengths.code is not None:
        lengths = Lengths(lengths.kinds, lengths.code[np.searchsorted(ordered, key)])
    return readings, lengths, duplicates


def _keys(readings: Readings) -> tuple[np.ndarray, np.ndarray]:
    """(R,) a number that orders readings by station and time, station × times + time; and the times that it counts."""
    start = int(readings.time.min())
    since = readings.time - start
    tick = max(1, int(np.gcd.reduce(since)))
    if since.max() // tick > 4 * len(since):
        times, code = np.unique(readings.time, return_inverse=True)
    else:
        times, code = start + np.arange(since.max() // tick + 1) * tick, since // tick
    return readings.station * np.int64(len(times)) + code, times


def _last_of_each(readings: Readings, key: np.ndarray, on_duplicate: OnDuplicate, duplicates: int) -> np.ndarray:
    """The last reading of each station and time, by number. Raises UserError unless duplicates may be."""
    order = np.argsort(key, kind="stable")
    closes = np.append(np.flatnonzero(np.diff(key[order])), len(order) - 1)
    if on_duplicate == "error":
        opens = np.append(0, closes[:-1] + 1)
        again = int(np.delete(order, opens).min())
        before = int(order[opens[np.searchsorted(key[order[opens]], key[again])]])
        raise UserError(
            f"{readings.where(again)}: station {readings.station_ids[readings.station[again]]} already has a reading for "
            f"{_iso(readings.time[again])} in {readings.where(before)}; {duplicates} readings are such duplicates; "
            "remove them, or use --on-duplicate sum or last"
        )
    return np.sort(order[closes])


def _added(values: np.ndarray, key: np.ndarray) -> np.ndarray:
    """(R,) for each reading the sum of all that have its key."""
    _, code = np.unique(key, return_inverse=True)
    return np.bincount(code, weights=values)[code]


def _refuse_lengths(readings: Readings, lengths: Lengths, groups: list[Cadence], grid: Grid) -> None:
    """Raise UserError where readings are longer than an interval, or do not divide it."""
    wrong = [one for one in groups if grid.step % one.length]
    if not wrong:
        return
    worst = wrong[-1]
    place = readings.where(int(np.arange(len(readings.time))[lengths.rows(groups.index(worst))][0]))
    everyone = len(worst.stations) == len(readings.station_ids)
    whose = "readings" if everyone else f"readings of {len(worst.stations)} stations ({named(worst.stations)})"
    common = lcm(*(one.length for one in groups))
    advice = f"use --interval {_text(common)}" if DAY % common == 0 else "no interval up to 24h fits all readings"
    if worst.length > grid.step:
        problem = f"longer than the interval of {_text(grid.step)}"
    else:
        problem = f"which does not divide the interval of {_text(grid.step)}"
        advice += ", or --layout sessions for single events"
    raise UserError(f"{place}: {whose} are {worst.interval} apart, {problem}; {advice}")


def _on_grid(readings: Readings, lengths: Lengths, grid: Grid) -> tuple[Grid, np.ndarray]:
    """The grid that readings lie on, on the local clock or else even in real time, and (R,) the time that each covers.

    Raises UserError for a reading that is on neither.
    """
    covered, off = _covered(readings, lengths, grid)
    if not off.any():
        return grid, covered
    nominal = np.empty_like(covered)
    for kind, length in enumerate(lengths.kinds.tolist()):
        nominal[lengths.rows(kind)] = length
    if ((readings.time - grid.midnight) % nominal).any():
        _refuse_irregular(readings, lengths, off, grid)
    return grid.even(), nominal


def _covered(readings: Readings, lengths: Lengths, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """(R,) the real time that each reading covers on the local clock, and whether it starts where no such reading does."""
    covered, off = np.empty(len(readings.time), np.int64), np.empty(len(readings.time), bool)
    for kind, length in enumerate(lengths.kinds.tolist()):
        rows = lengths.rows(kind)
        times = readings.time[rows]
        edges = _edges(length, grid.midnight, int(grid.edges[-1]), grid.timezone) if CHANGES % length else None
        if edges is None or (np.diff(edges) == length).all():
            off[rows], covered[rows] = (times - grid.midnight) % length != 0, length
            continue
        at = np.searchsorted(edges, times, side="right") - 1
        off[rows], covered[rows] = edges[at] != times, edges[at + 1] - edges[at]
    return covered, off


def _refuse_irregular(readings: Readings, lengths: Lengths, off: np.ndarray, grid: Grid) -> None:
    """Raise UserError for the first reading that is off the grid of the others."""
    row = int(np.argmax(off))
    length = lengths.at(row)
    long = length >= 60 * MINUTE
    zone = f" in {grid.timezone}" if long else ""
    advice = ", use the --timezone in which they are counted" if long else ""
    raise UserError(
        f"{readings.where(row)}: {_iso(readings.time[row])} is irregular: most times of station "
        f"{readings.station_ids[readings.station[row]]} are {_text(length)} apart, counted from midnight{zone}, and "
        f"{int(off.sum())} readings are not; correct them{advice}, or use --layout sessions for single events"
    )


def _sum_events(readings: Readings, grid: Grid) -> Resampled:
    slot = grid.slots(readings.time)
    stations = len(readings.station_ids)
    traffic = np.zeros(grid.steps * stations)
    for session, piece, amount in _pieces(readings, slot, grid):
        np.add.at(traffic, piece * stations + readings.station[session], amount)
    left_out = float(readings.value.sum() - traffic.sum())
    silent = np.bincount(slot, minlength=grid.steps) == 0
    table = grid.table(traffic, readings.station_ids)
    table.iloc[silent] = np.nan
    notices = []
    if silent.any():
        notices.append(
            f"in {int(silent.sum())} of {grid.steps} intervals no session starts anywhere; they count as not recorded"
        )
    if readings.end is not None and (readings.end > grid.edges[-1]).any():
        notices.append(f"{left_out:g} of the traffic falls after the last session started and is left out")
    return Resampled(table, [], 0, 0, notices)


def _pieces(readings: Readings, slot: np.ndarray, grid: Grid) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Sessions cut at the intervals of the grid: indices of sessions, interval of each piece, traffic of each piece.

    A session's traffic is spread evenly over its length, or lies at its start where no end is known. What lies after the grid is
    left out.
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
        opens, closes = grid.edges[piece], grid.edges[piece + 1]
        covered = np.minimum(readings.end[session], closes) - np.maximum(readings.time[session], opens)
        yield session, piece, readings.value[session] * (covered / length[session])
        goes_on = (readings.end[session] > closes) & (piece + 1 < grid.steps)
        session, piece = session[goes_on], piece[goes_on] + 1


def _midnight_before(time: int, timezone: str) -> int:
    """The start of the local day of `time`, both microseconds UTC."""
    day = in_zone(np.array([time]), timezone).tz_localize(None).normalize()
    return int(localised(day.asi8, timezone)[0][0])


def _trimmed(table: pd.DataFrame) -> pd.DataFrame:
    """Without the rows at either end in which nothing was observed."""
    observed = np.flatnonzero(table.notna().to_numpy().any(axis=1))
    return table.iloc[observed[0] : observed[-1] + 1]


def _iso(time: int) -> str:
    return in_zone(np.array([time]), "UTC")[0].isoformat()


def _text(microseconds: int) -> str:
    return duration_text(pd.Timedelta(microseconds, unit="us"))
