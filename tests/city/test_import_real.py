"""The real data sets, imported: totals kept, shapes and times as their publishers say."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lecdiff_core import api
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


@pytest.mark.parametrize(
    ("name", "interval", "timezone", "stations"),
    [
        ("hangzhou", "1h", "Asia/Shanghai", 127),
        ("nanchang", "30min", "Asia/Shanghai", 307),
        ("beijing-5g", "1h", "Asia/Shanghai", 960),
        ("lte-year", "1h", "UTC", 9),
        ("rangpur", "24h", "Asia/Dhaka", 636),
        ("milan-grid400", "1h", "Europe/Rome", 400),
    ],
)
def test_sets_without_places(
    real_data: Path, tmp_path: Path, name: str, interval: str, timezone: str, stations: int
) -> None:
    source = real_data / name / "traffic.parquet"
    options = {"interval": interval, "timezone": timezone, "unit": "MB", "coordinates": "none"}
    report = import_city(tmp_path / "city", source, dry_run=True, **options)
    assert report.stations == stations and not report.notices
    total = pd.read_parquet(source)["traffic"].astype(float).sum()
    assert report.total == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "identity", "told"),
    [("ireland_base_stations_2g3g", "bs_id", None), ("milan_lte_sites", "station_id", "28 stations have several rows")],
)
def test_site_lists_are_read_without_an_option(
    real_data: Path, tmp_path: Path, name: str, identity: str, told: str | None
) -> None:
    sites = pd.read_csv(real_data / "sites" / f"{name}.csv", dtype=str)
    rows = [(site, hour, 1.5) for site in sites[identity].unique() for hour in ("2024-03-04 00:00", "2024-03-04 01:00")]
    pd.DataFrame(rows, columns=["site", "time", "volume"]).to_csv(tmp_path / "traffic.csv", index=False)
    list_of_sites = real_data / "sites" / f"{name}.csv"
    report = import_city(tmp_path / "city", tmp_path / "traffic.csv", list_of_sites, interval="1h", dry_run=True)
    assert report.stations == sites[identity].nunique()
    assert any(told in notice for notice in report.notices) if told else True


@pytest.mark.parametrize(
    ("name", "interval", "timezone", "shape"),
    [
        ("hangzhou", "1h", "Asia/Shanghai", (127, 1406)),
        ("nanchang", "30min", "Asia/Shanghai", (307, 735)),
        ("beijing-5g", "1h", "Asia/Shanghai", (960, 168)),
        ("lte-year", "1h", "UTC", (9, 8760)),
        ("rangpur", "24h", "Asia/Dhaka", (636, 137)),
    ],
)
def test_sets_without_places_are_imported_and_forecast(
    real_data: Path, tmp_path: Path, name: str, interval: str, timezone: str, shape: tuple[int, int]
) -> None:
    file = real_data / name / "traffic.parquet"
    report = import_city(tmp_path / name, file, interval=interval, timezone=timezone, unit="MB", coordinates="none")
    assert (report.stations, report.steps, report.extent) == (*shape, None)
    assert report.total == pytest.approx(pd.read_parquet(file)["traffic"].sum(), rel=1e-4)
    city = City.open(tmp_path / name)
    api.train(city, "adaptive-climatology", device="cpu")
    chosen = [city.station_ids[0], city.station_ids[-1]]
    forecast = api.forecast(city, "adaptive-climatology", stations=chosen, device="cpu")
    assert forecast.samples.shape == (100, len(forecast.station_ids), city.steps_per_day)
    assert len(forecast.station_ids) and np.isfinite(forecast.samples).all()


@pytest.mark.parametrize(
    ("name", "timezone", "stations", "box"),
    [
        ("ireland_base_stations_2g3g", "Europe/Dublin", 5274, (-10.462, 51.455, -6.0255, 55.325)),
        ("milan_lte_sites", "Europe/Rome", 5812, (9.0116, 45.3564, 9.3125, 45.5679)),
    ],
)
def test_lists_of_sites_are_read_without_an_option(
    real_data: Path, tmp_path: Path, name: str, timezone: str, stations: int, box: tuple[float, ...]
) -> None:
    file = real_data / "sites" / f"{name}.csv"
    ids = pd.read_csv(file, dtype=str).iloc[:, 0].unique()
    hours = pd.date_range("2024-03-01", periods=3, freq="1h").strftime("%Y-%m-%d %H:%M")
    traffic = pd.DataFrame({"station_id": np.repeat(ids, 3), "timestamp": np.tile(hours, len(ids)), "traffic": 1.0})
    traffic.to_csv(tmp_path / "traffic.csv", index=False)
    report = import_city(tmp_path / name, tmp_path / "traffic.csv", file, interval="1h", timezone=timezone)
    assert report.stations == stations and report.extent is not None
    extent = report.extent
    assert (extent.west, extent.south, extent.east, extent.north) == pytest.approx(box, abs=1e-3)
    assert not any("far from all others" in notice or "time zone" in notice for notice in report.notices)
