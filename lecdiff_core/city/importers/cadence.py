"""How long readings are: each station's own, and it may change.

A reading lasts until the next one, but where readings are missing. So the distances of a station's times are looked at in runs of
equal ones. A run says how long its readings are if it cannot be a gap in finer readings: it must be at least three long, and
cover as much time as two dozen of the finer readings. One missing reading, or every second one for a while, stays a gap.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lecdiff_core.city.folder import duration_text
from lecdiff_core.city.timeline import DAY

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


def lengths(station: np.ndarray, time: np.ndarray, stations: int, anchor: int, default: int) -> np.ndarray:
    """(R,) int64 length of each reading in microseconds.

    station, time: (R,), sorted by station and time, no time of a station twice.  anchor: a midnight that times are counted from.
    default: where there is nothing to go by.
    """
    runs = Runs.of(station, time)
    base = _base(runs, station, time - anchor, stations, _usual(runs, time, default))
    settled = _settled(runs, base, np.bincount(station, minlength=stations) - 1)
    runs = Runs(runs.station[settled], runs.distance[settled], runs.count[settled], runs.first[settled])
    shortest, longest = base.copy(), np.zeros(stations, np.int64)
    shortest[runs.station] = np.iinfo(np.int64).max
    np.minimum.at(shortest, runs.station, runs.distance)
    np.maximum.at(longest, runs.station, runs.distance)
    length = shortest[station]
    changing = np.flatnonzero((longest > shortest)[station])
    if len(changing):
        length[changing] = _by_run(runs, station, len(time))[changing]
    return length


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


def _base(runs: Runs, station: np.ndarray, since: np.ndarray, stations: int, usual: int) -> np.ndarray:
    """(N,) the shortest length that readings of a station may have, of which longer distances may be gaps.

    With many readings it is their shortest distance, if all times fit it. With few, or times that do not fit, it may as well be the
    length that is usual in the network, if all times fit that.
    """
    none = np.iinfo(np.int64).max
    shortest, kept = np.full(stations, none), np.full(stations, none)
    np.minimum.at(shortest, runs.station, runs.distance)
    long = runs.count >= LEAST_RUN
    np.minimum.at(kept, runs.station[long], runs.distance[long])
    many = np.bincount(station, minlength=stations) > LEAST_SPAN
    own = many & (shortest < none) & _fits(station, since, np.minimum(shortest, DAY), stations)
    as_usual = _fits(station, since, np.full(stations, usual), stations)
    other = np.where(as_usual, np.minimum(kept, usual), kept)
    return np.where(own, shortest, np.where(other == none, usual, other))


def _fits(station: np.ndarray, since: np.ndarray, length: np.ndarray, stations: int) -> np.ndarray:
    """(N,) whether all times of a station are multiples of its length."""
    fits = np.ones(stations, bool)
    fits[station[since % length[station] != 0]] = False
    return fits


def _settled(runs: Runs, base: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """(K,) whether a run says how long its readings are. base, distances: (N,) shortest length, and number of distances."""
    shortest = base[runs.station]
    long = (runs.distance <= shortest) | (runs.count * runs.distance >= LEAST_SPAN * shortest)
    return (runs.count >= LEAST_RUN) & (long | (runs.count == distances[runs.station]))


def _by_run(runs: Runs, station: np.ndarray, readings: int) -> np.ndarray:
    """(R,) the distance of the run that a reading begins or is within; else of the run before it, or else after it."""
    found = np.zeros(readings, np.int64)
    number = np.arange(runs.count.sum()) - np.repeat(np.cumsum(runs.count) - runs.count, runs.count)
    found[np.repeat(runs.first, runs.count) + number] = np.repeat(runs.distance, runs.count)
    by_station = pd.Series(found).where(found > 0).groupby(station, sort=False)
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


def cadences(length: np.ndarray, station: np.ndarray, time: np.ndarray, station_ids: list[str]) -> list[Cadence]:
    """What lengths there are, the shortest first."""
    found = []
    for kind in np.unique(length).tolist():
        of_kind = np.broadcast_to(length, time.shape) == kind
        names = [station_ids[index] for index in np.unique(station[of_kind]).tolist()]
        times = time[of_kind]
        found.append(Cadence(kind, names, int(times.min()), int(times.max()) + kind))
    return found
