"""How long readings are: each station's own, and it may change.

A reading lasts until the next one, but where readings are missing. So the distances of a station's times are looked at in runs of
equal ones. A run says how long its readings are if it cannot be a gap in finer readings: it must be at least three long, and
cover as much time as two dozen of the finer readings. One missing reading, or every second one for a while, stays a gap.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lecdiff_core.city.folder import duration_text

NONE = np.iinfo(np.int64).max
LEAST_RUN = 3  # equal distances in a row
LEAST_SPAN = 24  # readings of the finer length that a run of longer ones must replace


@dataclass(frozen=True)
class Runs:
    """Runs of equal distances between successive times of a station, K in all.

    station, distance, count: (K,).  first: (K,) index of the reading that the first distance follows.
    """

    station: np.ndarray
    distance: np.ndarray
    count: np.ndarray
    first: np.ndarray

    @classmethod
    def of(cls, station: np.ndarray, time: np.ndarray) -> "Runs":
        """The runs of R readings, sorted by station and time, no time of a station twice."""
        distance = np.where(station[1:] == station[:-1], np.diff(time), 0)
        opens = np.flatnonzero(np.diff(distance, prepend=-1))
        count = np.diff(np.append(opens, len(distance)))
        inside = distance[opens] > 0
        opens, count = opens[inside], count[inside]
        return cls(station[opens], distance[opens], count, opens)


@dataclass(frozen=True)
class Lengths:
    """How long each of R readings is: `kinds[code]`, microseconds. code: (R,), or None where all are of the only kind."""

    kinds: np.ndarray
    code: np.ndarray | None = None

    @classmethod
    def of(cls, lengths: np.ndarray) -> "Lengths":
        """The lengths of R readings."""
        kinds, code = np.unique(lengths, return_inverse=True)
        return cls(kinds, code.astype(np.int32))

    def rows(self, kind: int) -> np.ndarray | slice:
        """The readings of a kind, by its number."""
        return slice(None) if self.code is None else np.flatnonzero(self.code == kind)

    def at(self, row: int) -> int:
        """The length of one reading."""
        return int(self.kinds[0 if self.code is None else self.code[row]])


def lengths(station: np.ndarray, time: np.ndarray, stations: int, anchor: int, default: int) -> Lengths:
    """The length of each of R readings.

    station, time: (R,), sorted by station and time, no time of a station twice; every one of N stations has readings.  anchor: a
    midnight that times are counted from.  default: where there is nothing to go by.
    """
    runs = Runs.of(station, time)
    opens = np.flatnonzero(np.diff(station, prepend=-1))
    count = np.zeros(stations, np.int64)
    count[station[opens]] = np.diff(np.append(opens, len(station)))
    begin = np.zeros(stations, np.int64)
    begin[station[opens]] = time[opens] - anchor
    base = _base(runs, begin, count, _usual(runs, time, default))
    settled = _settled(runs, base, count - 1)
    runs = Runs(runs.station[settled], runs.distance[settled], runs.count[settled], runs.first[settled])
    shortest, longest = base.copy(), np.zeros(stations, np.int64)
    shortest[runs.station] = NONE
    np.minimum.at(shortest, runs.station, runs.distance)
    np.maximum.at(longest, runs.station, runs.distance)
    changing = longest > shortest
    kinds = np.unique(shortest[count > 0])
    if len(kinds) == 1 and not changing.any():
        return Lengths(kinds)
    length = shortest[station]
    rows = np.flatnonzero(changing[station])
    if len(rows):
        length[rows] = _by_run(runs, station, len(time))[rows]
    return Lengths.of(length)


def _usual(runs: Runs, time: np.ndarray, default: int) -> int:
    """The length of most readings of the whole network."""
    long = runs.count >= LEAST_RUN
    if long.any():
        distance, count = runs.distance[long], runs.count[long]
    else:
        distance = np.diff(np.unique(time))
        count = np.ones(len(distance), np.int64)
    if not len(distance):
        return default
    kinds, codes = np.unique(distance, return_inverse=True)
    return int(kinds[np.argmax(np.bincount(codes, weights=count))])


def _base(runs: Runs, begin: np.ndarray, count: np.ndarray, usual: int) -> np.ndarray:
    """(N,) the shortest length that readings of a station may have, of which longer distances may be gaps.

    With many readings it is their shortest distance, if all times fit it. With few, or times that do not fit, it may as well be the
    length that is usual in the network, if all times fit that.  begin, count: (N,) first time, from a midnight on, and readings.
    """
    shortest, long_enough = np.full(len(begin), NONE), np.full(len(begin), NONE)
    np.minimum.at(shortest, runs.station, runs.distance)
    long = runs.count >= LEAST_RUN
    np.minimum.at(long_enough, runs.station[long], runs.distance[long])
    own = (count > LEAST_SPAN) & _fits(runs, begin, shortest)
    as_usual = _fits(runs, begin, np.full(len(begin), usual))
    other = np.where(as_usual, np.minimum(long_enough, usual), long_enough)
    return np.where(own, shortest, np.where(other == NONE, usual, other))


def _fits(runs: Runs, begin: np.ndarray, length: np.ndarray) -> np.ndarray:
    """(N,) whether all times of a station are multiples of its length."""
    fits = begin % length == 0
    fits[runs.station[runs.distance % length[runs.station] != 0]] = False
    return fits


def _settled(runs: Runs, base: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """(K,) whether a run says how long its readings are. base, distances: (N,) shortest length, and number of distances."""
    shortest = base[runs.station]
    long = (runs.distance <= shortest) | (runs.count * runs.distance >= LEAST_SPAN * shortest)
    return (runs.count >= LEAST_RUN) & (long | (runs.count == distances[runs.station]))


def _by_run(runs: Runs, station: np.ndarray, readings: int) -> np.ndarray:
    """(R,) the distance of the run that a reading begins or is within; else of the run before it, or else after it."""
    distances = np.zeros(readings, np.int64)
    number = np.arange(runs.count.sum()) - np.repeat(np.cumsum(runs.count) - runs.count, runs.count)
    distances[np.repeat(runs.first, runs.count) + number] = np.repeat(runs.distance, runs.count)
    by_station = pd.Series(distances).where(distances > 0).groupby(station, sort=False)
    return by_station.ffill().fillna(by_station.bfill()).fillna(0).to_numpy(np.int64)


@dataclass(frozen=True)
class Cadence:
    """Readings of one length: the stations that have such, and from when to when."""

    length: int  # microseconds; start and end since 1970 in UTC
    stations: list[str]
    start: int
    end: int  # of the last reading

    @property
    def interval(self) -> str:
        """The length as text, such as 15min."""
        return duration_text(pd.Timedelta(self.length, unit="us"))


def cadences(lengths: Lengths, station: np.ndarray, time: np.ndarray, station_ids: list[str]) -> list[Cadence]:
    """What lengths there are, the shortest first."""
    groups = []
    for kind, length in enumerate(lengths.kinds.tolist()):
        rows = lengths.rows(kind)
        names = [station_ids[index] for index in np.flatnonzero(np.bincount(station[rows])).tolist()]
        groups.append(Cadence(length, names, int(time[rows].min()), int(time[rows].max()) + length))
    return groups
