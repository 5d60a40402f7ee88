"""What is known of stations' traffic without any model: load at a time, its level on the map's scale, facts of a station."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from pyproj import Geod

from lecdiff_core.city.folder import City
from lecdiff_core.congestion import given_capacities, usual_capacities

SMALLEST, LARGEST = 5.0, 11.0  # radius of a station on the map, pixels
BRIGHTEST = 0.995  # quantile of all loads at which the colours end
NEAREST = 3
GIVEN = "given"  # the rule that takes a station's capacity from the city folder; other rules are quantiles of its past values
USUAL = "0.99"  # the rule for a station without a capacity
CAPACITY_RULES = {
    GIVEN: "Given capacity",
    USUAL: "99 % of past values",
    "0.999": "99.9 % of past values",
    "0.95": "95 % of past values",
}
LEAST_REPORTING = 0.95  # share of several stations, for their sum to be known
EARTH = Geod(ellps="WGS84")


@dataclass(frozen=True)
class Facts:
    """What the panel says of a station. Loads in the city's unit per interval; NaN or None where there is nothing."""

    place: tuple[float, float] | None  # longitude and latitude, None where they are not known
    mean: float
    peak: float
    peak_time: pd.Timestamp | None
    busiest_hour: int | None
    missing: float
    capacity: float | None
    nearest: tuple[tuple[str, float], ...]  # station ids and metres, NaN where places are not real


def origins(city: City) -> pd.DatetimeIndex:
    """Every time at which a forecast could start: each interval's start after the first, and the end of the data."""
    return city.traffic.index[1:].append(pd.DatetimeIndex([city.end]))


def opening_time(city: City, now: pd.Timestamp) -> pd.Timestamp:
    """The time the page opens at.

    Data that reach to the present open at their end. An archive opens at the city's busiest time of the last day that
    has a whole day after it, so that a forecast can be compared with observations; where nothing was observed on that day, at the
    last time before it at which something was.
    """
    times, day = origins(city), city.steps_per_day
    if now - times[-1] < pd.Timedelta("2D") or len(times) < 2 * day + 1:
        return times[-1]
    past = city.traffic.iloc[:-day].sum(axis=1, min_count=1).to_numpy()
    if np.isfinite(past[-day:]).any():
        return times[-2 * day : -day][int(np.nanargmax(past[-day:]))]
    observed = np.flatnonzero(np.isfinite(past))
    return times[observed[-1]] if len(observed) else times[-1]


@lru_cache(maxsize=4)
def top(city: City) -> float:
    """The load at which the colours end, fixed for the city so that one colour means one load at any time."""
    loads = city.traffic.to_numpy()
    step = max(1, loads.size // 2_000_000)
    return float(np.nanquantile(loads.ravel()[::step], BRIGHTEST)) or 1.0


def at(city: City, origin: pd.Timestamp) -> np.ndarray:
    """(N,) load in the last interval before `origin`, NaN where it is missing."""
    return city.traffic.loc[city.last_before(origin)].to_numpy()


def level(loads: np.ndarray, brightest: float) -> np.ndarray:
    """(N,) loads on the scale of the colours, 0 to 1: the square root, as traffic is heavy-tailed."""
    return np.sqrt(np.clip(loads / brightest, 0, 1))


def sizes(levels: np.ndarray) -> np.ndarray:
    """(N,) radius of each station on the map in pixels: the load again, for eyes that do not tell the colours apart."""
    return SMALLEST + (LARGEST - SMALLEST) * np.nan_to_num(levels)


@lru_cache(maxsize=512)
def facts(city: City, station_id: str) -> Facts:
    """The facts of one station."""
    row = city.station_ids.index(station_id)
    point, loads = city.stations.geometry.iloc[row], city.traffic[station_id]
    observed = loads.dropna()
    by_hour = observed.groupby(observed.index.hour).mean()
    return Facts(
        place=(point.x, point.y) if city.has_places else None,
        mean=float(observed.mean()),
        peak=float(observed.max()),
        peak_time=observed.idxmax() if len(observed) else None,
        busiest_hour=int(by_hour.idxmax()) if len(observed) else None,
        missing=float(loads.isna().mean()),
        capacity=capacity(city, station_id),
        nearest=_nearest(city, row),
    )


def capacity(city: City, station_id: str) -> float | None:
    """Capacity of a station in the city's unit per interval, where the folder gives one."""
    value = float(given_capacities(city)[city.station_ids.index(station_id)])
    return value if np.isfinite(value) else None


def capacities(city: City, origin: pd.Timestamp, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Capacity of the stations in `rows` at the time `origin`, by each of the rules; NaN where a rule gives none."""
    quantiles = [rule for rule in CAPACITY_RULES if rule != GIVEN]
    stations = [city.station_ids[row] for row in rows]
    usual = usual_capacities(city, origin, [float(quantile) for quantile in quantiles], stations)
    return {GIVEN: given_capacities(city)[rows], **dict(zip(quantiles, usual, strict=True))}


def given_or_usual(by_rule: dict[str, np.ndarray]) -> np.ndarray:
    """The given capacity of each station; where there is none, what 99 % of its past values stayed below."""
    return np.where(np.isfinite(by_rule[GIVEN]), by_rule[GIVEN], by_rule[USUAL])


def total_capacity(city: City, stations: Sequence[str]) -> float | None:
    """What stations can carry together; None where one of them has no capacity."""
    given = given_capacities(city)[pd.Index(city.station_ids).get_indexer(list(stations))]
    return float(given.sum()) if np.isfinite(given).all() else None


def carried(
    city: City, stations: Sequence[str], start: pd.Timestamp | None = None, end: pd.Timestamp | None = None
) -> pd.Series:
    """What stations carried together in each interval from `start` to `end`; of several, NaN where fewer than 95 % reported."""
    if len(stations) == 1:
        return city.traffic.loc[start:end, stations[0]]
    loads = city.traffic.loc[start:end, list(stations)]
    return loads.sum(axis=1).where(loads.notna().mean(axis=1) >= LEAST_REPORTING)


def metres_from(city: City, station_id: str) -> np.ndarray:
    """(N,) distance of every station from one, on the ground; where places are nominal, in their own measure."""
    row = city.station_ids.index(station_id)
    lon, lat = city.stations.geometry.x.to_numpy(), city.stations.geometry.y.to_numpy()
    return EARTH.inv(np.full(len(lon), lon[row]), np.full(len(lat), lat[row]), lon, lat)[2]


def _nearest(city: City, row: int) -> tuple[tuple[str, float], ...]:
    if not city.has_places:
        return ()
    metres = metres_from(city, city.station_ids[row])
    order = [other for other in np.argsort(metres, kind="stable")[: NEAREST + 1] if other != row][:NEAREST]
    if not city.has_true_places:
        metres = np.full_like(metres, np.nan)
    return tuple((city.station_ids[other], float(metres[other])) for other in order)


def busiest(city: City, origin: pd.Timestamp, count: int) -> list[tuple[str, float]]:
    """Stations with the most load before `origin`, and that load."""
    loads = np.nan_to_num(at(city, origin), nan=-1)
    return [
        (city.station_ids[row], float(loads[row]))
        for row in np.argsort(-loads, kind="stable")[:count]
        if loads[row] >= 0
    ]
