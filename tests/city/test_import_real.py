"""The real data sets, imported: totals kept, shapes and times as their publishers say."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lecdiff_core.city.folder import City
from lecdiff_core.city.importers.importing import import_city

pytestmark = pytest.mark.real


@pytest.fixture
def milan(real_data: Path, tmp_path: Path) -> City:
    """November 2013, ten-minute rows summed to half-hours."""
    folder = real_data / "milan"
    import_city(
        tmp_path / "milan",
        folder / "traffic_10min.parquet",
        folder / "stations.csv",
        timezone="Europe/Rome",
        unit="CDR",
    )
    return City.open(tmp_path / "milan")


def test_milan_keeps_every_total(milan: City, real_data: Path) -> None:
    source = pd.read_parquet(real_data / "milan" / "traffic_10min.parquet")
    assert milan.traffic.shape == (1440, 25)
    assert milan.traffic.index[0] == pd.Timestamp("2013-11-01", tz="Europe/Rome")
    assert milan.traffic.index[-1] == pd.Timestamp("2013-11-30 23:30", tz="Europe/Rome")
    assert not milan.traffic.isna().any().any()
    totals = source.astype({"traffic": float, "station_id": str}).groupby("station_id")["traffic"].sum()
    np.testing.assert_allclose(milan.traffic.astype(float).sum()[totals.index], totals, rtol=1e-6)
    half_hours = (
        source.assign(slot=source["timestamp"].dt.floor("30min")).groupby(["slot", "station_id"])["traffic"].sum()
    )
    expected = half_hours.unstack().set_axis(totals.index.astype(str).sort_values(), axis=1)[list(milan.station_ids)]
    np.testing.assert_allclose(milan.traffic, expected, rtol=1e-5)


def test_one_day_of_milan_as_it_was_published(milan: City, real_data: Path, tmp_path: Path) -> None:
    day = real_data / "milan" / "sms-call-internet-mi-2013-11-04.txt"
    stations = real_data / "milan" / "stations.csv"
    report = import_city(tmp_path / "day", day, stations, layout="telecom-italia", timezone="Europe/Rome", unit="CDR")
    assert (report.rows, report.stations, report.steps, report.source_interval) == (3600, 25, 48, "10min")
    traffic = City.open(tmp_path / "day").traffic
    np.testing.assert_allclose(traffic, milan.traffic.loc[traffic.index], rtol=1e-5)
    assert traffic.index[0] == pd.Timestamp("2013-11-04", tz="Europe/Rome")


def test_nanjing_is_hourly_with_nominal_coordinates(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "nanjing-grid"
    report = import_city(
        tmp_path / "nanjing",
        folder / "traffic.parquet",
        folder / "stations.csv",
        interval="1h",
        timezone="Asia/Shanghai",
        coordinates="nominal",
    )
    city = City.open(tmp_path / "nanjing")
    assert city.traffic.shape == (504, 507)
    assert (city.meta.coordinates, city.steps_per_day, report.source_interval) == ("nominal", 24, "1h")
    assert city.traffic.index[0] == pd.Timestamp("2021-02-01", tz="Asia/Shanghai")
    total = pd.read_parquet(folder / "traffic.parquet")["traffic"].astype(float).sum()
    assert report.total == pytest.approx(total, rel=1e-6)
