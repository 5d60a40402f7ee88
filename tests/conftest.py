"""What all tests share: a small made-up city, and where the real data lie."""

import os
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pytest

from lecdiff_core.city.folder import City, CityMeta, write_city

STATIONS = 12
DAYS = 24


def made_up_traffic(stations: int, days: int, seed: int = 0) -> np.ndarray:
    """(T, N) hourly traffic with a daily rhythm of each station's own, a quieter weekend and noise."""
    rng = np.random.default_rng(seed)
    hour = np.arange(days * 24)
    level = rng.uniform(20, 200, stations)
    peak = rng.uniform(8, 20, stations)
    rhythm = 1.2 + np.cos((hour[:, None] - peak) * 2 * np.pi / 24)
    weekend = np.where((hour // 24 % 7 >= 5)[:, None], 0.7, 1.0)
    noise = np.exp(0.1 * rng.standard_normal((len(hour), stations)))
    return (level * rhythm * weekend * noise).astype(np.float32)


def make_city(path: Path, stations: int = STATIONS, days: int = DAYS, seed: int = 0, **meta: object) -> City:
    """A city of hourly traffic on a loose grid of about a kilometre, a few values missing."""
    rng = np.random.default_rng(seed + 1)
    names = [f"S{index:02d}" for index in range(stations)]
    lon = 0.01 * (np.arange(stations) % 4) + rng.uniform(0, 0.003, stations)
    lat = 0.01 * (np.arange(stations) // 4) + rng.uniform(0, 0.003, stations)
    points = geopandas.GeoDataFrame({"station_id": names}, geometry=geopandas.points_from_xy(lon, lat), crs="EPSG:4326")
    values = made_up_traffic(stations, days, seed)
    values[rng.random(values.shape) < 0.01] = np.nan
    index = pd.date_range("2024-01-01", periods=len(values), freq="1h", tz="UTC", name="timestamp")
    traffic = pd.DataFrame(values, index=index, columns=names)
    described = {"name": "Little Town", "timezone": "UTC", "interval": "1h", "unit": "MB", "imagery": "local"}
    return write_city(path, CityMeta.model_validate(described | meta), points, traffic)


def flat(part: Any, path: str = "") -> dict[str, Any]:
    """Numbers and words of a nested result by their path."""
    if isinstance(part, dict):
        return {key: number for name, inner in part.items() for key, number in flat(inner, f"{path}/{name}").items()}
    if isinstance(part, list):
        return {f"{path}/{index}": number for index, number in enumerate(part)}
    return {path: part}


@pytest.fixture
def little_city(tmp_path: Path) -> City:
    """A fresh small city that a test may write into."""
    return make_city(tmp_path / "little")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; skips where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("LECDIFF_REAL_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder} (set LECDIFF_REAL_DATA)")
    return folder
