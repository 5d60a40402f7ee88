"""Congestion: how likely traffic goes above what a station can carry, read off the samples of a forecast."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lecdiff_core.city.folder import City
from lecdiff_core.errors import UserError
from lecdiff_core.forecast import Forecast


def given_capacities(city: City) -> np.ndarray:
    """(N,) `capacity` of `stations.parquet` in the city's unit per interval, NaN where it gives none."""
    if "capacity" not in city.stations:
        return np.full(len(city.station_ids), np.nan)
    return pd.to_numeric(city.stations["capacity"], errors="coerce").to_numpy(float)


def usual_capacities(
    city: City, before: pd.Timestamp, quantiles: Sequence[float], stations: Sequence[str] | None = None
) -> np.ndarray:
    """(Q, N) what a share of a station's values before a time stayed below, as a stand-in for a capacity.

    stations: ids of the N stations, by default all of the city. Raises UserError for a quantile outside 0 … 1.
    """
    for quantile in quantiles:
        if not 0 < quantile < 1:
            raise UserError(f"the quantile that stands in for a capacity must lie between 0 and 1, not {quantile}")
    past = city.traffic.iloc[: city.traffic.index.searchsorted(before)]
    past = past[list(city.station_ids if stations is None else stations)]
    return past.quantile(list(quantiles)).to_numpy(float)


def at_once(forecast: Forecast, capacities: np.ndarray) -> np.ndarray:
    """(S, H) how many stations each sample has above their capacity (N,) at each step; NaN capacities count for nothing.

    Samples of a model whose stations belong together say how many are congested at the same time; counts of blocks of stations
    add up, as a sample of one block is the same future as that of another.
    """
    return (forecast.samples > _of_stations(forecast, capacities)[:, None]).sum(1)


def congestion(forecast: Forecast, capacities: np.ndarray) -> pd.DataFrame:
    """How likely each station of a forecast goes above its capacity (N,), the most likely first.

    Columns: station_id, capacity; probability: share of the samples that are above it at any step; steps: mean number of steps
    above it; likeliest: the step that is above it most often (NaT where none ever is); peak, peak_high: median and 95 % quantile
    of the highest traffic of a sample. Stations without a capacity have no probability.
    """
    capacities = _of_stations(forecast, capacities)
    above = forecast.samples > capacities[:, None]
    by_step = above.mean(0)
    known, ever = np.isfinite(capacities), by_step.max(1) > 0
    likeliest = pd.Series(forecast.timestamps[by_step.argmax(1)]).where(ever)
    table = pd.DataFrame(
        {
            "station_id": forecast.station_ids,
            "capacity": capacities,
            "probability": np.where(known, above.any(2).mean(0), np.nan),
            "steps": np.where(known, by_step.sum(1), np.nan),
            "likeliest": likeliest,
            "peak": forecast.peak_quantile(0.5),
            "peak_high": forecast.peak_quantile(0.95),
        }
    )
    return table.sort_values(["probability", "steps"], ascending=False, ignore_index=True)


def _of_stations(forecast: Forecast, capacities: np.ndarray) -> np.ndarray:
    capacities = np.asarray(capacities, dtype=float)
    if capacities.shape != (len(forecast.station_ids),):
        raise UserError(f"{len(forecast.station_ids)} stations need as many capacities, not {capacities.shape}")
    return capacities
