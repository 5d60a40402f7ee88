"""The forecast of all stations from one origin, for the colours of the map and for where it will be tight.

It takes a second for a town and minutes for a country, so that no page waits for it: one thread makes it, block by block, so that a
click on a station comes in between, and pages look in on it. What nobody looks at any more is given up.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from lecdiff_core.city.folder import City
from lecdiff_core.congestion import at_once, congestion
from lecdiff_core.errors import UserError
from lecdiff_core.forecast import Forecast
from pages.parts.data import forecasts, traffic_levels
from pages.parts.data.forecasts import Fan
from pages.parts.data.reading import read_once

BLOCK = 32  # stations that are forecast together
GIVEN_UP_SECONDS = 6.0
EVERYTHING = "All stations"
_threads = ThreadPoolExecutor(1, "network-forecast")


@dataclass(frozen=True)
class NetworkForecast:
    """(N, H) arrays over all stations and the steps from the origin on; NaN for stations that cannot be forecast."""

    timestamps: pd.DatetimeIndex
    median: np.ndarray
    low: np.ndarray  # of the 90 % interval
    high: np.ndarray
    exceeding: np.ndarray  # share of the samples above the station's capacity
    exceeding_once: np.ndarray  # (N,) share of the samples above it at any of the steps
    congestion: dict[str, pd.DataFrame]  # by rule of what a station can carry, as lecdiff_core.congestion tells it
    at_once: dict[str, np.ndarray]  # by rule, (S, H) stations above what they can carry at the same time
    together: Fan | None = None  # all of them as one
    notices: tuple[str, ...] = ()  # who is left out and whose forecast rests on little, in plain sentences


@dataclass
class Work:
    """A forecast of all stations, under way, done, refused or given up."""

    share: float = 0.0
    result: NetworkForecast | None = None
    trouble: str = ""
    given_up: bool = False
    looked_at: float = field(default_factory=time.monotonic)

    @property
    def waiting(self) -> bool:
        """Whether a result is still to come."""
        return self.result is None and not self.trouble


def look(city: City, model: str, origin: pd.Timestamp) -> Work:
    """How far the forecast from `origin` is; the first look starts it."""
    work = _work(city, model, origin.isoformat())
    work.looked_at = time.monotonic()
    if work.given_up:
        work.given_up = False
        _threads.submit(_make, work, city, model, origin)
    return work


@read_once(lambda city, model, *_: forecasts.files_of(city, model), entries=6)
def _work(city: City, model: str, origin: str) -> Work:
    work = Work()
    _threads.submit(_make, work, city, model, pd.Timestamp(origin).tz_convert(city.meta.timezone))
    return work


def _make(work: Work, city: City, model: str, origin: pd.Timestamp) -> None:
    try:
        work.result = _forecast_all(work, city, model, origin)
    except UserError as error:
        work.trouble = str(error)
    except Exception as error:  # it would be lost with the thread
        work.trouble = f"this forecast failed ({type(error).__name__})"
        raise


def _forecast_all(work: Work, city: City, model: str, origin: pd.Timestamp) -> NetworkForecast | None:
    forecaster = forecasts.forecaster(city, model)
    if origin not in forecaster.origins:
        raise UserError("the model needs more history before this time")
    able = set(forecaster.forecastable(origin))
    rows = [row for row in _by_place(city) if city.station_ids[row] in able]
    if not rows:
        raise UserError("no station has enough traffic before this time")
    blocks, total, begun = [], np.zeros(()), time.perf_counter()
    for start in range(0, len(rows), BLOCK):
        if time.monotonic() - work.looked_at > GIVEN_UP_SECONDS:
            work.given_up, work.share = True, 0.0
            return None
        block = np.sort(rows[start : start + BLOCK])
        names = [city.station_ids[row] for row in block]
        drawn = forecaster.forecast(origin, samples=forecasts.SAMPLES, stations=names)
        blocks.append((block, _read(drawn, traffic_levels.capacities(city, origin, block))))
        total = total + drawn.samples.sum(1)
        work.share = min(1.0, (start + BLOCK) / len(rows))
    whole, notices = _joined(blocks, len(city.station_ids)), tuple(forecaster.notices(origin))
    table = Forecast((EVERYTHING,), whole.timestamps, total[:, None]).to_frame()
    stations = tuple(city.station_ids[row] for row in sorted(rows))
    seconds = time.perf_counter() - begun
    fan = Fan(stations, table, total, notices, forecaster.device_name(len(stations)), seconds)
    return replace(whole, together=fan, notices=notices)


def _read(drawn: Forecast, capacities: dict[str, np.ndarray]) -> NetworkForecast:
    """What is kept of the samples of some stations."""
    limits = traffic_levels.given_or_usual(capacities)
    known, above = np.isfinite(limits), drawn.samples > limits[:, None]
    low, high = drawn.interval(0.9)
    return NetworkForecast(
        drawn.timestamps,
        drawn.quantile(0.5),
        low,
        high,
        exceeding=np.where(known[:, None], above.mean(0), np.nan).astype(np.float32),
        exceeding_once=np.where(known, above.any(2).mean(0), np.nan).astype(np.float32),
        congestion={
            rule: congestion(drawn, values).dropna(subset="probability") for rule, values in capacities.items()
        },
        at_once={rule: at_once(drawn, values) for rule, values in capacities.items()},
    )


def _joined(blocks: list[tuple[np.ndarray, NetworkForecast]], count: int) -> NetworkForecast:
    """The outlooks of blocks of rows as one of `count` stations."""

    def whole(name: str) -> np.ndarray:
        parts = [(block, getattr(block_forecast, name)) for block, block_forecast in blocks]
        values = np.full((count, *parts[0][1].shape[1:]), np.nan, np.float32)
        for block, part in parts:
            values[block] = part
        return values

    arrays: dict[str, Any] = {name: whole(name) for name in ("median", "low", "high", "exceeding", "exceeding_once")}
    tables = {
        rule: pd.concat([block_forecast.congestion[rule] for _, block_forecast in blocks]).sort_values(
            ["probability", "steps"], ascending=False, ignore_index=True
        )
        for rule in traffic_levels.CAPACITY_RULES
    }
    counts = {
        rule: np.sum([block_forecast.at_once[rule] for _, block_forecast in blocks], axis=0)
        for rule in traffic_levels.CAPACITY_RULES
    }
    return NetworkForecast(blocks[0][1].timestamps, **arrays, congestion=tables, at_once=counts)


def _by_place(city: City) -> list[int]:
    """Rows of the stations so that neighbours follow one another: a block then shares most of its surroundings."""
    if not city.has_places:
        return list(range(len(city.station_ids)))
    x, y = city.stations.geometry.x.to_numpy(), city.stations.geometry.y.to_numpy()
    bands = max(1, round((len(x) / BLOCK) ** 0.5))
    band = np.argsort(np.argsort(y, kind="stable"), kind="stable") * bands // len(y)
    return np.lexsort((np.where(band % 2, -x, x), band)).tolist()
