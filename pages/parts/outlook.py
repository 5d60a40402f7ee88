"""The forecast of all stations from one origin, for the colours of the map.

It takes a second for a town and minutes for a country, so that no page waits for it: one thread makes it, block by block, so that a
click on a station comes in between, and pages look in on it. What nobody looks at any more is given up.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import streamlit as st

from lecdiff_core.city.folder import City
from lecdiff_core.errors import UserError
from pages.parts import forecasts, loads
from pages.parts.cities import Stamp

BLOCK = 32  # stations that are forecast together
GIVEN_UP_SECONDS = 6.0
LEVELS = (0.5, 0.05, 0.95)
_threads = ThreadPoolExecutor(1, "outlook")


@dataclass(frozen=True)
class Outlook:
    """(N, H) arrays over all stations and the steps from the origin on; NaN for stations that cannot be forecast."""

    timestamps: pd.DatetimeIndex
    median: np.ndarray
    low: np.ndarray  # of the 90 % interval
    high: np.ndarray
    exceeding: np.ndarray  # share of the samples above the station's capacity
    exceeding_once: np.ndarray  # (N,) share of the samples above it at any of the steps


@dataclass
class Work:
    """A forecast of all stations, under way, done, refused or given up."""

    share: float = 0.0
    result: Outlook | None = None
    trouble: str = ""
    given_up: bool = False
    looked_at: float = field(default_factory=time.monotonic)


def look(city: City, model: str, origin: pd.Timestamp) -> Work:
    """How far the forecast from `origin` is; the first look starts it."""
    work = _work(city, *forecasts.version(city, model), origin.isoformat())
    work.looked_at = time.monotonic()
    if work.given_up:
        work.given_up = False
        _threads.submit(_make, work, city, model, origin)
    return work


@st.cache_resource(max_entries=6, show_spinner=False)
def _work(_city: City, path: str, data_hash: str, model: str, changed: Stamp, origin: str) -> Work:  # noqa: ARG001
    work = Work()
    _threads.submit(_make, work, _city, model, pd.Timestamp(origin).tz_convert(_city.meta.timezone))
    return work


def _make(work: Work, city: City, model: str, origin: pd.Timestamp) -> None:
    try:
        work.result = _forecast_all(work, city, model, origin)
    except UserError as error:
        work.trouble = str(error)
    except Exception as error:  # it would be lost with the thread
        work.trouble = f"this forecast failed ({type(error).__name__})"
        raise


def _forecast_all(work: Work, city: City, model: str, origin: pd.Timestamp) -> Outlook | None:
    forecaster = forecasts.forecaster(city, model)
    if origin not in forecaster.origins:
        raise UserError("the model needs more history before this time")
    able = set(forecaster.forecastable(origin))
    rows = [row for row in _by_place(city) if city.station_ids[row] in able]
    if not rows:
        raise UserError("no station has enough traffic before this time")
    limits = loads.capacities(city, origin)
    timestamps = pd.DatetimeIndex([])
    tables: dict[str, np.ndarray] = {}
    once = np.full(len(city.station_ids), np.nan, np.float32)
    for start in range(0, len(rows), BLOCK):
        if time.monotonic() - work.looked_at > GIVEN_UP_SECONDS:
            work.given_up, work.share = True, 0.0
            return None
        block = np.sort(rows[start : start + BLOCK])
        names = [city.station_ids[row] for row in block]
        drawn = forecaster.forecast(origin, samples=forecasts.SAMPLES, stations=names)
        timestamps = drawn.timestamps
        above = drawn.samples > limits[block, None]
        once[block] = np.where(np.isnan(limits[block]), np.nan, above.any(2).mean(0))
        found = dict(zip(("median", "low", "high"), np.quantile(drawn.samples, LEVELS, axis=0), strict=True))
        found["exceeding"] = np.where(np.isnan(limits[block, None]), np.nan, above.mean(0))
        for name, values in found.items():
            whole = tables.setdefault(name, np.full((len(once), len(timestamps)), np.nan, np.float32))
            whole[block] = values
        work.share = min(1.0, (start + BLOCK) / len(rows))
    return Outlook(timestamps, **tables, exceeding_once=once)


def _by_place(city: City) -> list[int]:
    """Rows of the stations so that neighbours follow one another: a block then shares most of its surroundings."""
    x, y = city.stations.geometry.x.to_numpy(), city.stations.geometry.y.to_numpy()
    bands = max(1, round((len(x) / BLOCK) ** 0.5))
    band = np.argsort(np.argsort(y, kind="stable"), kind="stable") * bands // len(y)
    return np.lexsort((np.where(band % 2, -x, x), band)).tolist()
