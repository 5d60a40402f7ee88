"""The intervals of a city on its local clock: between real time, which a table holds, and local time, which a panel holds.

Intervals start at equal steps of the *local clock*, counted from midnight, so that a day starts at midnight in winter and
in summer. Where the clocks change by a multiple of the interval (an hour, with intervals of 1 h or 30 min), this is the same as
equal steps of real time: in spring an interval is not there, in autumn one comes twice. Longer intervals hold less or more real
time over a change: the day of 23 hours, the 2 hours from 02:00 that are only one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lecdiff_core.errors import UserError

MINUTE = 60_000_000  # microseconds
DAY = 24 * 60 * MINUTE
LONGEST_CHANGE = DAY  # Samoa left out a whole day in 2011
OFFSET = r"\s?(Z|[+-]\d{2}(:?\d{2})?)?"
ISO = re.compile(
    rf"\d{{4}}-\d{{2}}-\d{{2}}([T ]\d{{2}}(:\d{{2}}(:\d{{2}}(\.\d{{1,6}})?)?)?{OFFSET})?"
    rf"|\d{{8}}(T\d{{2}}(\d{{2}}(\d{{2}})?)?{OFFSET})?"
)


@dataclass(frozen=True)
class Timeline:
    """Where the intervals of a city start.

    phase: local clock time modulo the interval at which they start; None where they are even in real time from `first` on
    instead, as folders of earlier versions may be.  first: start of any interval.  Both in microseconds, as `interval` is.
    """

    timezone: str
    interval: int
    first: int
    phase: int | None = 0

    @classmethod
    def of(cls, index: pd.DatetimeIndex, interval: pd.Timedelta, timezone: str) -> "Timeline | None":
        """The timeline that a tz-aware index follows from its first entry to its last; None where it follows none."""
        times, step = index.as_unit("us").asi8, interval // pd.Timedelta(microseconds=1)
        walls = _walls(times[[0, -1]], timezone)
        for phase in dict.fromkeys([0, *(int(wall) % step for wall in walls)]):
            local = cls(timezone, step, int(times[0]), phase)
            if np.array_equal(local.starts(int(times[0]), len(times)), times):
                return local
        return cls(timezone, step, int(times[0]), None) if (np.diff(times) == step).all() else None

    def starts(self, origin: int, count: int) -> np.ndarray:
        """(count,) starts of the intervals from the first at or after `origin` on: int64 microseconds UTC."""
        if self.phase is None:
            skipped = -((self.first - origin) // self.interval)
            return self.first + (skipped + np.arange(count)) * self.interval
        before = int(_walls(np.array([origin]), self.timezone)[0]) - LONGEST_CHANGE
        before -= (before - self.phase) % self.interval
        walls = before + np.arange(count + 2 * (LONGEST_CHANGE // self.interval) + 4) * self.interval
        starts = _instants(walls, self.interval, self.timezone)
        return starts[np.searchsorted(starts, origin) :][:count]

    def starting(self, origin: pd.Timestamp, count: int) -> pd.DatetimeIndex:
        """The same in the city's time zone."""
        return in_zone(self.starts(_microseconds(origin), count), self.timezone)

    def after(self, start: pd.Timestamp) -> pd.Timestamp:
        """The end of the interval that starts at `start`, which is the start of the next one."""
        return self.starting(start, 2)[1]

    def steps(self, times: pd.DatetimeIndex) -> np.ndarray:
        """(T,) which slot of regular local clock time each interval falls into, counted from that of `first`.

        Both passes of an hour that comes twice fall into one slot; the slot of an hour that is skipped stays empty.
        """
        walls = _walls(times.as_unit("us").asi8, self.timezone)
        return (walls - self._clock_start()) // self.interval

    def clock(self, count: int) -> pd.DatetimeIndex:
        """Naive local times of the first `count` slots."""
        walls = self._clock_start() + np.arange(count) * self.interval
        freq = pd.Timedelta(microseconds=self.interval)
        return pd.DatetimeIndex(walls.astype("datetime64[us]"), freq=freq)

    def shares(self, times: pd.DatetimeIndex) -> np.ndarray:
        """(T,) real length of each interval by the usual one: 1, but over a clock change that intervals are longer than."""
        if len(times) == 0 or self.phase is None:
            return np.ones(len(times))
        starts = times.as_unit("us").asi8
        count = int(starts[-1] - starts[0]) // self.interval + 2
        edges = self.starts(int(starts[0]), count + LONGEST_CHANGE // self.interval + 1)
        return (edges[np.searchsorted(edges, starts, side="right")] - starts) / self.interval

    def _clock_start(self) -> int:
        wall = int(_walls(np.array([self.first]), self.timezone)[0])
        return wall if self.phase is None else wall - (wall - self.phase) % self.interval


def in_zone(microseconds: "np.ndarray | Sequence[int]", timezone: str) -> pd.DatetimeIndex:
    """Microseconds UTC as times in a zone."""
    utc = pd.DatetimeIndex(np.asarray(microseconds, np.int64).astype("datetime64[us]"))
    return utc.tz_localize("UTC").tz_convert(timezone)


def _microseconds(time: pd.Timestamp) -> int:
    return int(pd.DatetimeIndex([time]).as_unit("us").asi8[0])


def _walls(times: np.ndarray, timezone: str) -> np.ndarray:
    """Local clock times of microseconds UTC, as microseconds."""
    return in_zone(times, timezone).tz_localize(None).asi8


def _instants(walls: np.ndarray, interval: int, timezone: str) -> np.ndarray:
    """Sorted instants at which the local clock shows `walls`, each an interval after the other.

    A time that is skipped starts where the gap ends. A time that comes twice starts an interval at its first pass, and at
    its second one too where the clocks go back by a multiple of the interval.
    """
    early, late, _ = localised(walls, timezone)
    back = late - early
    return np.unique(np.concatenate([early, late[(back > 0) & (back % interval == 0)]]))


def localised(walls: np.ndarray, timezone: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First and last instant at which the local clock shows times, and (T,) how much of a gap is left at those that it skips.

    All in microseconds. Both instants are one, but where the clocks go back; a time that is skipped becomes the end of the gap.
    """
    clock = pd.DatetimeIndex(np.asarray(walls, np.int64).astype("datetime64[us]"))
    early, late = (
        clock.tz_localize(timezone, ambiguous=np.full(len(clock), first), nonexistent="NaT") for first in (True, False)
    )
    first, last, gap = early.asi8.copy(), late.asi8.copy(), np.zeros(len(clock), np.int64)
    skipped = np.flatnonzero(early.isna())
    if len(skipped):
        first[skipped] = last[skipped] = _gap_ends(clock.asi8[skipped], timezone)
        gap[skipped] = _walls(first[skipped], timezone) - clock.asi8[skipped]
    return first, last, gap


def _gap_ends(walls: np.ndarray, timezone: str) -> np.ndarray:
    """The first instants at which the local clock shows more than times that it skips (pandas errs at changes of 30 minutes)."""
    before, after = walls - 2 * LONGEST_CHANGE, walls + 2 * LONGEST_CHANGE
    while (after - before > 1).any():
        middle = (before + after) // 2
        later = _walls(middle, timezone) > walls
        before, after = np.where(later, before, middle), np.where(later, middle, after)
    return after


def moment(time: "str | pd.Timestamp", timezone: str, option: str) -> pd.Timestamp:
    """A time that a user gave for `option`, in the city's zone unless it has an offset.

    Text must be ISO 8601, with year, month and day in this order; a date alone is the start of its day. Raises UserError, also at
    a local time that the clocks skip, or that comes twice, which needs its offset.
    """
    written = ISO.fullmatch(time.strip()) if isinstance(time, str) else None
    if isinstance(time, str) and written is None:
        raise _no_time(time, timezone, option)
    try:
        stamp = pd.Timestamp(time)
    except (ValueError, OverflowError) as error:
        raise _no_time(time, timezone, option) from error
    if pd.isna(stamp):
        raise _no_time(time, timezone, option)
    if stamp.tzinfo is not None:
        return stamp.tz_convert(timezone)
    first, last, gap = localised(np.array([_microseconds(stamp)]), timezone)
    passes = in_zone(np.append(first, last), timezone)
    if written is not None and not any(written.groups()):
        return passes[0]
    if gap[0]:
        raise UserError(f"{option} {time}: the clocks of {timezone} skip this time; give the hour before or after it")
    if first[0] != last[0]:
        raise UserError(
            f"{option} {time}: this time comes twice in {timezone}, where the clocks go back; write "
            f"{_iso(passes[0])} or {_iso(passes[1])}"
        )
    return passes[0]


def _iso(time: pd.Timestamp) -> str:
    return time.isoformat(timespec="minutes")


def _no_time(time: object, timezone: str, option: str) -> UserError:
    return UserError(f"{option} {time}: this is no time in {timezone}; write it like 2013-11-25T06:00+01:00 (ISO 8601)")
