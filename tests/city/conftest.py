"""Small cities and files for the tests of city folders and importers."""

from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

from lecdiff_core.city.folder import CityMeta

# A loaded machine must not fail a property by the clock.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture
def meta() -> CityMeta:
    return CityMeta(name="Smallville", timezone="Europe/Rome", interval="30min", unit="MB")


@pytest.fixture
def stations() -> geopandas.GeoDataFrame:
    """Three stations; one stands at (0, 0), two share a place."""
    points = geopandas.points_from_xy([0.0, 9.1, 9.1], [0.0, 45.4, 45.4])
    return geopandas.GeoDataFrame(
        {"station_id": ["a", "b", "c"], "capacity": [10.0, 20.0, np.nan]}, geometry=points, crs="EPSG:4326"
    )


@pytest.fixture
def traffic() -> pd.DataFrame:
    """Four half-hours of three stations, one value missing."""
    index = pd.date_range("2024-03-01", periods=4, freq="30min", tz="Europe/Rome", name="timestamp").as_unit("us")
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    values[1, 2] = np.nan
    return pd.DataFrame(values, index=pd.DatetimeIndex(index, freq=None), columns=["a", "b", "c"])


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """A function that writes text to a named file and returns its path."""

    def to_file(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    return to_file
