"""Places in coordinate systems: read in the right one, and refused where they cannot be what they are said to be."""

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import shapely

from lecdiff_core.city.folder import City
from lecdiff_core.city.importers.importing import import_city
from lecdiff_core.errors import UserError

Write = Callable[[str, str], Path]

HEAD = "station_id,lon,lat\n"
STATIONS = HEAD + "a,9.10,45.40\nb,9.20,45.50\n"
LONG = "station_id,timestamp,traffic\n" + "".join(
    f"{name},2024-03-01 0{hour}:00,1\n" for hour in range(3) for name in "ab"
)


@pytest.fixture
def city(tmp_path: Path) -> Path:
    return tmp_path / "city"


UTM = [(514854.6, 5034070.19), (522600.0, 5040100.0)]  # of a and b, in EPSG:32632


def geojson(places: list[tuple[float, float]], system: str | None = None, areas: bool = False) -> str:
    shapes = [shapely.Point(place).buffer(50) if areas else shapely.Point(place) for place in places]
    features = [
        {"type": "Feature", "properties": {"id": name}, "geometry": shapely.geometry.mapping(shape)}
        for name, shape in zip("ab", shapes, strict=True)
    ]
    named = {"crs": {"type": "name", "properties": {"name": system}}} if system else {}
    return json.dumps({"type": "FeatureCollection", **named, "features": features})


@pytest.mark.parametrize("areas", [False, True])
@pytest.mark.parametrize("system", [None, "urn:ogc:def:crs:EPSG::32632"])
def test_geojson_in_metres_is_read_in_the_system_that_is_given(
    city: Path, write: Write, system: str | None, areas: bool
) -> None:
    stations = write("s.geojson", geojson(UTM, system, areas))
    import_city(city, write("t.csv", LONG), stations, interval="1h", crs="EPSG:32632")
    point = City.open(city).stations.geometry[0]
    assert (point.x, point.y) == (pytest.approx(9.19, abs=1e-6), pytest.approx(45.46, abs=1e-6))


@pytest.mark.parametrize(
    ("name", "text", "crs", "message"),
    [
        ("s.geojson", geojson(UTM, "urn:ogc:def:crs:EPSG::32633"), "EPSG:32632", "in WGS 84 / UTM zone 33N, --crs says EPSG:32632"),
        ("s.geojson", geojson(UTM, "urn:ogc:def:crs:EPSG::32633"), "gcj02", "in WGS 84 / UTM zone 33N, --crs says gcj02"),
        ("s.geojson", geojson(UTM), "EPSG:4326", "(514855, 5.03407e+06) is not on Earth; they look like metres"),
        ("s.geojson", geojson(UTM, areas=True), "EPSG:4326", "is not on Earth; they look like metres"),
        ("s.geojson", geojson([(9.1, 45.4), (9.2, 45.5)]), "EPSG:32632", "in metres, but all coordinates lie within ±180"),
        ("s.csv", STATIONS, "EPSG:32632", "in metres, but all coordinates lie within ±180"),
        ("s.csv", HEAD + "a,514854.6,5034070\nb,522600,5040100\n", "EPSG:4326", "they look like metres: say with --crs"),
        ("s.csv", HEAD + "a,91000000,454000000\nb,92000000,455000000\n", "EPSG:4326", "times 10,000,000: divide"),
        ("s.csv", HEAD + "a,9100000,45400000\nb,9200000,45500000\n", "EPSG:4326", "times 1,000,000 or 10,000,000"),
        ("s.csv", HEAD + "a,910000,4540000\nb,920000,4550000\n", "EPSG:4326", "look like metres: .*; or like degrees times"),
        ("s.csv", HEAD + "a,514854.6,5034070\nb,1e9,1e9\n", "EPSG:32632", "row 2: (1e+09, 1e+09) is no place in"),
        ("s.csv", HEAD + "a,9.1,45.4\nb,9.2,455\n", "EPSG:4326", "row 2, columns lon and lat: (9.2, 455) is not on Earth; give"),
    ],
)  # fmt: skip
def test_coordinates_that_are_not_what_they_are_said_to_be_are_refused(
    city: Path, write: Write, name: str, text: str, crs: str, message: str
) -> None:
    pattern = re.escape(message).replace(r"\.\*", ".*")
    with pytest.raises(UserError, match=pattern):
        import_city(city, write("t.csv", LONG), write(name, text), interval="1h", crs=crs)


def test_degrees_in_the_forms_that_people_write_are_read(city: Path, write: Write) -> None:
    stations = write("s.csv", "Zelle;Länge;Breite\na;9°11'24\"E;45°27'36\"N\nb;9,20E;45,50 N\n")
    import_city(city, write("t.csv", LONG), stations, interval="1h")
    assert [(round(point.x, 9), round(point.y, 9)) for point in City.open(city).stations.geometry] == [
        (9.19, 45.46),
        (9.2, 45.5),
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,9°E,45°N\nb,45°N,45°N\n", "row 2, column lon: '45°N' is no longitude; lon and lat look swapped"),
        ("a,9°E,45°N\nb,9°E,45°72'N\n", 'row 2, column lat: "45°72\'N" is not a number'),
    ],
)
def test_degrees_that_cannot_be_are_refused_by_row(city: Path, write: Write, rows: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        import_city(city, write("t.csv", LONG), write("s.csv", HEAD + rows), interval="1h")


@pytest.mark.parametrize(
    ("crs", "one", "other"),
    [
        ("EPSG:32632", "514854.6,5034070.19", "522600,5040100"),
        ("EPSG:4326", "9°11'24\"E,45°27'36\"N", "9.2°,45.5°"),
    ],
)
def test_sessions_may_carry_places_in_any_form(city: Path, write: Write, crs: str, one: str, other: str) -> None:
    rows = f"2024-03-01 00:00,{one},5\n2024-03-01 00:40,{other},7\n2024-03-01 01:40,{one},7\n".replace('"', "″")
    import_city(city, write("t.csv", "start,lon,lat,bytes\n" + rows), layout="sessions", interval="1h", crs=crs)
    places = City.open(city).stations.geometry
    assert len(places) == 2
    assert (places[0].x, places[0].y) == (pytest.approx(9.19, abs=2e-6), pytest.approx(45.46, abs=2e-6))


def test_sessions_whose_places_are_not_known_do_without_their_columns(city: Path, write: Write) -> None:
    rows = "2024-03-01 00:00,a,?,?,5\n2024-03-01 00:40,b,9,500,7\n"
    import_city(city, write("t.csv", "start,station_id,lon,lat,bytes\n" + rows), layout="sessions", coordinates="none")
    assert City.open(city).station_ids == ("a", "b")


@pytest.mark.parametrize("system", [None, "urn:ogc:def:crs:EPSG::32633"])
def test_geojson_in_a_zip_is_no_exception(city: Path, write: Write, tmp_path: Path, system: str | None) -> None:
    packed = tmp_path / "s.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("s.geojson", geojson(UTM, system))
    if system:
        with pytest.raises(UserError, match="--crs says EPSG:32632"):
            import_city(city, write("t.csv", LONG), packed, interval="1h", crs="EPSG:32632")
    else:
        import_city(city, write("t.csv", LONG), packed, interval="1h", crs="EPSG:32632")
        assert City.open(city).stations.geometry[0].x == pytest.approx(9.19, abs=1e-6)
