"""Whether stations stand beside one another and where their time zone is used."""

from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lecdiff_core.city.extent import extent_of
from lecdiff_core.city.folder import City, CityMeta, write_city
from lecdiff_core.city.importers.location_checks import remarks
from lecdiff_core.city.importers.zones import places_of

Place = tuple[float, float]


def city_at(folder: Path, places: list[Place], timezone: str = "UTC", coordinates: str = "true") -> City:
    names = [f"S{number}" for number in range(len(places))]
    points = geopandas.points_from_xy(*np.array(places, float).T)
    stations = geopandas.GeoDataFrame({"station_id": names}, geometry=points, crs="EPSG:4326")
    index = pd.date_range("2024-01-01", periods=2, freq="1h", tz="UTC", name="timestamp")
    meta = CityMeta.model_validate({"name": "c", "timezone": timezone, "interval": "1h", "coordinates": coordinates})
    return write_city(folder / "city", meta, stations, pd.DataFrame(1.0, index=index, columns=names))


def around(lon: float, lat: float, count: int = 5, step: float = 0.01) -> list[Place]:
    return [(lon + step * (number % 3), lat + step * (number // 3)) for number in range(count)]


# ---- extent


def test_the_extent_is_in_degrees_and_kilometres(tmp_path: Path) -> None:
    extent = extent_of(city_at(tmp_path, [(10.0, 60.0), (10.2, 60.0), (10.1, 60.1)]))
    assert extent is not None
    assert (extent.lon, extent.lat) == (10.1, 60.0)
    assert (extent.west, extent.south, extent.east, extent.north) == (10.0, 60.0, 10.2, 60.1)
    assert extent.width_km == pytest.approx(11.12, abs=0.01) and extent.height_km == pytest.approx(11.12, abs=0.01)
    assert "60.0000°N 10.1000°E" in str(extent) and "11.1 × 11.1 km" in str(extent)


def test_the_extent_crosses_the_antimeridian(tmp_path: Path) -> None:
    extent = extent_of(city_at(tmp_path, [(179.9, -17.0), (-179.9, -17.0), (180.0, -17.1)]))
    assert extent is not None
    assert (extent.west, extent.east) == (179.9, -179.9) and abs(extent.lon) == 180
    assert extent.width_km == pytest.approx(21.3, abs=0.1)


@pytest.mark.parametrize("coordinates", ["nominal", "none"])
def test_places_that_are_not_real_have_no_extent_and_no_remarks(tmp_path: Path, coordinates: str) -> None:
    city = city_at(tmp_path, [*around(45.46, 9.19), (0.0, 0.0)], "Europe/Rome", coordinates)
    assert extent_of(city) is None and remarks(city) == []


# ---- the time zone

SWAPPED = {
    "Europe/Rome": (9.19, 45.46),
    "Europe/Berlin": (13.40, 52.52),
    "Europe/Moscow": (37.62, 55.75),
    "Europe/Athens": (23.73, 37.98),
    "Europe/Istanbul": (28.95, 41.01),
    "Asia/Tehran": (51.42, 35.69),
    "Asia/Kolkata": (77.21, 28.61),
    "Africa/Nairobi": (36.82, -1.29),
    "America/Sao_Paulo": (-46.63, -23.55),
    "America/New_York": (-74.0, 40.71),
    "US/Eastern": (-74.0, 40.71),
}


@pytest.mark.parametrize("timezone", SWAPPED)
def test_lon_and_lat_exchanged_are_told_by_the_zone(tmp_path: Path, timezone: str) -> None:
    lon, lat = SWAPPED[timezone]
    assert remarks(city_at(tmp_path / "right", around(lon, lat), timezone)) == []
    told = remarks(city_at(tmp_path / "wrong", around(lat, lon), timezone))
    assert len(told) == 1 and timezone in told[0] and " km from " in told[0]
    assert "exchanging lon and lat would put them there" in told[0]


@pytest.mark.parametrize(
    ("timezone", "place"),
    [
        ("Asia/Shanghai", (75.99, 39.47)),  # Kashgar
        ("Asia/Shanghai", (98.49, 25.02)),  # Tengchong
        ("Asia/Shanghai", (132.97, 47.35)),  # Fuyuan
        ("Asia/Kolkata", (70.91, 26.91)),  # Jaisalmer
        ("Asia/Calcutta", (72.88, 19.08)),  # Mumbai
        ("Asia/Kolkata", (76.94, 8.52)),  # Thiruvananthapuram
        ("Africa/Algiers", (5.53, 22.79)),  # Tamanrasset
        ("America/New_York", (-157.86, 21.31)),  # Honolulu by its country's capital
        ("America/Chicago", (-106.5, 31.8)),  # El Paso
        ("Europe/Moscow", (131.89, 43.12)),  # Vladivostok
        ("Asia/Riyadh", (36.57, 28.38)),  # Tabuk
        ("Australia/Sydney", (115.86, -31.95)),  # Perth
        ("Africa/Abidjan", (-21.9, 64.15)),  # Reykjavik, whose zone is a link to Abidjan's
        ("Europe/Oslo", (15.63, 78.22)),  # Longyearbyen
        ("Europe/Madrid", (-16.25, 28.47)),  # Tenerife
        ("UTC", (45.46, 9.19)),
        ("Etc/GMT-1", (45.46, 9.19)),
        ("CET", (45.46, 9.19)),
    ],
)
def test_a_large_country_and_a_zone_without_a_place_are_not_doubted(
    tmp_path: Path, timezone: str, place: Place
) -> None:
    assert remarks(city_at(tmp_path, around(*place), timezone)) == []


def test_a_zone_of_another_part_of_the_world_is_doubted(tmp_path: Path) -> None:
    told = remarks(city_at(tmp_path, around(121.47, 31.23), "Europe/Rome"))
    assert len(told) == 1 and "check lon and lat, or --timezone" in told[0]


def test_zones_are_read_with_their_countries() -> None:
    assert set(places_of("Europe/Rome")) >= {"Rome", "Vatican"}
    assert places_of("Asia/Calcutta") == places_of("Asia/Kolkata")
    lon, lat = places_of("America/New_York")["New York"]
    assert (lon, lat) == (pytest.approx(-74.006, abs=0.001), pytest.approx(40.714, abs=0.001))
    assert places_of("UTC") == places_of("Etc/UTC") == {}


# ---- stations among themselves

CHANGED = {
    "changing the sign of lon": lambda lon, lat: (-lon, lat),
    "changing the sign of lat": lambda lon, lat: (lon, -lat),
    "exchanging lon and lat": lambda lon, lat: (lat, lon),
    "moving the decimal point of lat by 1 to the right": lambda lon, lat: (lon, lat / 10),
    "moving the decimal point of lon by 1 to the left": lambda lon, lat: (lon * 10, lat),
}


@pytest.mark.parametrize("count", [2, 3, 12, 100])
@pytest.mark.parametrize("remedy", CHANGED)
def test_a_station_far_from_the_others_is_named_with_what_would_bring_it_home(
    tmp_path: Path, remedy: str, count: int
) -> None:
    places = around(9.19, 45.46, count)
    places[1] = CHANGED[remedy](*places[1])
    told = remarks(city_at(tmp_path, places, "Europe/Rome"))
    assert len(told) == 1 and told[0].startswith("station S1 lies ") and f"; {remedy} would" in told[0]


def test_half_of_the_stations_without_their_sign_are_named(tmp_path: Path) -> None:
    places = [(-lon if number % 2 else lon, lat) for number, (lon, lat) in enumerate(around(9.19, 45.46, 20))]
    told = remarks(city_at(tmp_path, places, "Europe/Rome"))
    assert len(told) == 1 and told[0].startswith("10 stations lie far from all others: S1 (1,4")
    assert "and 7 more; changing the sign of lon would bring them among those" in told[0]


def test_a_station_that_nothing_explains_is_named(tmp_path: Path) -> None:
    told = remarks(city_at(tmp_path, [*around(9.19, 45.46, 10), (9.19, 47.46)], "Europe/Rome"))
    assert told == ["station S10 lies 219 km from all others; check its lon and lat"]


def test_stations_at_null_among_others_are_named(tmp_path: Path) -> None:
    told = remarks(city_at(tmp_path, [(0.0, 0.0)] * 4 + around(9.19, 45.46, 3), "Europe/Rome"))
    assert (
        len(told) == 1
        and told[0].startswith("4 stations stand at exactly (0°, 0°), 5,1")
        and "S0, S1, S2 and 1" in told[0]
    )


@pytest.mark.parametrize(
    "places",
    [
        [(0.0, 0.0)],
        [(0.0, 0.0), (0.01, 0.0), (0.0, 0.01)],  # (0, 0) is a place
        [(9.19, 45.46)] * 5,  # sectors of one site
        [*around(9.19, 45.46, 30), *around(7.68, 45.07, 20)],  # two cities of one operator
        [(6 + 0.5 * (number % 7), 44 + 0.5 * (number // 7)) for number in range(49)],  # a country, sparse
        [(2.35, 48.86), (13.4, 52.5), (-3.7, 40.4)],  # a station a country
        [(179.99, -17.0), (-179.99, -17.0), (179.95, -17.02)],
    ],
)
def test_what_may_well_be_is_not_remarked_on(tmp_path: Path, places: list[Place]) -> None:
    assert remarks(city_at(tmp_path, places)) == []


@given(st.lists(st.tuples(st.floats(-180, 180), st.floats(-90, 90)), min_size=1, max_size=30))
def test_any_places_have_an_extent_and_remarks(tmp_path_factory: pytest.TempPathFactory, places: list[Place]) -> None:
    city = city_at(tmp_path_factory.mktemp("any"), places, "Asia/Tokyo")
    extent = extent_of(city)
    assert extent is not None and all(np.isfinite([extent.width_km, extent.height_km, extent.lon]))
    assert all("\n" not in line for line in remarks(city))
