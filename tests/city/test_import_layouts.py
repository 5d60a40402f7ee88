"""Every layout becomes the same city: small files in, folders out."""

import gzip
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely

from lecdiff_core.city.folder import City
from lecdiff_core.city.importers.coordinates import wgs84_to_gcj02
from lecdiff_core.city.importers.importing import import_city
from lecdiff_core.errors import UserError

Write = Callable[[str, str], Path]

STATIONS = "station_id,lon,lat,name\na,9.10,45.40,North\nb,9.20,45.50,South\n"
LONG = """station_id,timestamp,traffic
a,2024-03-01 00:00,1
b,2024-03-01 00:00,10
b,2024-03-01 00:30,20
a,2024-03-01 01:00,3
a,2024-03-01 00:30,2
b,2024-03-01 01:00,30
"""
HALF_HOURS = pd.date_range("2024-03-01", periods=3, freq="30min", tz="Europe/Rome")


@pytest.fixture
def city(tmp_path: Path) -> Path:
    return tmp_path / "city"


def traffic_of(city: Path) -> dict[str, list[float]]:
    return {name: column.tolist() for name, column in City.open(city).traffic.items()}


def test_long(city: Path, write: Write) -> None:
    report = import_city(city, write("t.csv", LONG), write("s.csv", STATIONS), timezone="Europe/Rome", unit="MB")
    opened = City.open(city)
    assert traffic_of(city) == {"a": [1, 2, 3], "b": [10, 20, 30]}
    assert opened.traffic.index.equals(HALF_HOURS.as_unit("us"))
    assert opened.meta.model_dump(include={"name", "unit", "interval", "timezone"}) == {
        "name": "city", "unit": "MB", "interval": "30min", "timezone": "Europe/Rome"
    }  # fmt: skip
    assert opened.stations["name"].tolist() == ["North", "South"]
    assert [(point.x, point.y) for point in opened.stations.geometry] == [(9.1, 45.4), (9.2, 45.5)]
    assert (report.rows, report.stations, report.steps, report.total, report.missing_share) == (6, 2, 3, 66, 0)
    assert (report.source_interval, report.end.isoformat()) == ("30min", "2024-03-01T01:30:00+01:00")
    assert report.lines()[0] == "city: 2 stations × 3 intervals of 30min from readings of 30min"


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_text_files_of_other_shapes(city: Path, tmp_path: Path, write: Write, mark: str) -> None:
    packed = tmp_path / "t.csv.gz"
    packed.write_bytes(gzip.compress(("\ufeff" + LONG.replace(",", mark) + "\n\n").encode()))
    import_city(city, packed, write("s.csv", "\ufeff" + STATIONS.replace(",", mark)), timezone="Europe/Rome")
    assert traffic_of(city) == {"a": [1, 2, 3], "b": [10, 20, 30]}


def test_parquet_with_numeric_ids_dictionaries_and_other_names(city: Path, tmp_path: Path) -> None:
    table = pd.DataFrame({"cell": [1, 1, 2, 2], "t": [*HALF_HOURS[:2], *HALF_HOURS[:2]], "mb": [1, 2, 3, np.nan]})
    table.astype({"cell": "category"}).to_parquet(tmp_path / "t.parquet")
    places = pd.DataFrame(
        {
            "cell": [
                2.0,
                1.0,
            ],
            "x": [9.0, 8.0],
            "y": [45.0, 44.0],
            "height": [30.5, None],
        }
    )
    places.to_parquet(tmp_path / "s.parquet")
    columns = {"station_id": "cell", "timestamp": "t", "traffic": "mb", "lon": "x", "lat": "y"}
    import_city(city, tmp_path / "t.parquet", tmp_path / "s.parquet", columns=columns, timezone="Europe/Rome")
    opened = City.open(city)
    assert opened.station_ids == ("2", "1")
    assert list(opened.stations.columns) == ["station_id", "geometry", "height"]
    np.testing.assert_array_equal(opened.traffic["2"], [3, np.nan])


def test_ids_may_have_different_names_in_the_two_files(city: Path, write: Write) -> None:
    stations = write("s.csv", STATIONS.replace("station_id", "site"))
    import_city(city, write("t.csv", LONG), stations, columns={"station_id": "site"})
    assert City.open(city).station_ids == ("a", "b")


def test_leading_zeros_of_ids_stay(city: Path, write: Write) -> None:
    text, places = (table.replace("a,", "007,") for table in (LONG, STATIONS))
    import_city(city, write("t.csv", text), write("s.csv", places))
    assert City.open(city).station_ids == ("007", "b")


def test_wide_text_and_parquet_and_several_files(city: Path, tmp_path: Path, write: Write) -> None:
    stations = write("s.csv", STATIONS)
    write("wide/1.csv", "timestamp,b,a\n2024-03-01 00:00,10,1\n2024-03-01 00:30,20,\n")
    write("wide/2.csv", "timestamp,a,b\n2024-03-01 01:00,3,30\n")
    report = import_city(city, tmp_path / "wide", stations, layout="wide", timezone="Europe/Rome")
    first = City.open(city).traffic
    np.testing.assert_array_equal(first["a"], [1, np.nan, 3])
    assert (first["b"].tolist(), report.rows, report.files) == ([10, 20, 30], 3, ["1.csv", "2.csv"])
    assert report.missing_share == pytest.approx(1 / 6)
    first.rename_axis(None).to_parquet(tmp_path / "wide.parquet")
    first.rename_axis(None).to_csv(tmp_path / "wide.csv")
    for name in ("wide.parquet", "wide.csv"):
        import_city(city, tmp_path / name, stations, layout="wide", timezone="Europe/Rome")
        pd.testing.assert_frame_equal(City.open(city).traffic, first)


SESSIONS = """device,start,lon,lat,bytes
d1,2014-08-01 00:03,121.470000,31.230000,100
d2,2014-08-01 00:10,121.480000,31.230000,7
d1,2014-08-01 00:31,121.470000,31.230000,50
d3,2014-08-01 01:01,121.470000,31.230000,1
"""


def test_sessions_without_stations_find_their_places(city: Path, write: Write) -> None:
    report = import_city(city, write("t.csv", SESSIONS), layout="sessions", timezone="Asia/Shanghai", unit="B")
    assert traffic_of(city) == {"31.230000_121.470000": [100, 50, 1], "31.230000_121.480000": [7, 0, 0]}
    assert [(p.x, p.y) for p in City.open(city).stations.geometry] == [(121.47, 31.23), (121.48, 31.23)]
    assert (report.rows, report.source_interval) == (4, None)
    for file in city.iterdir():
        assert b"d1" not in file.read_bytes()


def test_sessions_at_stations_by_place_by_id_and_in_chinese_coordinates(city: Path, write: Write) -> None:
    lon, lat = wgs84_to_gcj02(np.array([121.47, 121.48]), np.array([31.23, 31.23]))
    text = SESSIONS.replace("121.470000,31.230000", f"{lon[0]:.6f},{lat[0]:.6f}")
    text = text.replace("121.480000,31.230000", f"{lon[1]:.6f},{lat[1]:.6f}")
    stations = write("s.csv", f"station_id,lon,lat\nwest,{lon[0]},{lat[0]}\neast,{lon[1]},{lat[1]}\n")
    options = {"layout": "sessions", "timezone": "Asia/Shanghai", "crs": "gcj02"}
    import_city(city, write("t.csv", text), stations, **options)
    assert traffic_of(city) == {"west": [100, 50, 1], "east": [7, 0, 0]}
    place = City.open(city).stations.geometry[0]
    assert (place.x, place.y) == pytest.approx((121.47, 31.23), abs=1e-7)
    by_id = "station_id,start,bytes\nwest,2014-08-01 00:03,100\neast,2014-08-01 00:40,7\n"
    import_city(city, write("t.csv", by_id), stations, **options)
    assert traffic_of(city) == {"west": [100, 0], "east": [0, 7]}


def test_sessions_that_last_are_spread(city: Path, write: Write) -> None:
    text = "start,stop,lon,lat,bytes\n2014-08-01 00:15,2014-08-01 00:45,9,45,30\n2014-08-01 00:50,2014-08-01 00:50,9,45,5\n"
    import_city(city, write("t.csv", text), layout="sessions", columns={"end": "stop"})
    assert list(traffic_of(city).values()) == [[15, 20]]


def test_repeated_sessions(city: Path, write: Write) -> None:
    again = write("t.csv", SESSIONS + "d1,2014-08-01 00:03,121.47,31.23,9\n")
    with pytest.raises(
        UserError, match=r"t\.csv, row 5: a session of this device, place and start is there already; 1 "
    ):
        import_city(city, again, layout="sessions")
    for how, first in (("sum", 109), ("last", 9)):
        report = import_city(city, again, layout="sessions", on_duplicate=how)
        assert (next(iter(traffic_of(city).values()))[0], report.duplicates) == (first, 1)


def _telecom(day: int, rows: list[tuple[int, int, int, str]]) -> str:
    start = pd.Timestamp(f"2013-11-{day:02}", tz="Europe/Rome").value // 10**6
    return "".join(
        f"{cell}\t{start + 600_000 * step}\t{country}\t0.1\t\t\t\t{net}\n" for cell, step, country, net in rows
    )


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    """Three cells of 235 m, as polygons in a GeoJSON."""
    square = [shapely.box(9.0 + 0.003 * n, 45.3, 9.003 + 0.003 * n, 45.3021) for n in range(3)]
    cells = geopandas.GeoDataFrame({"cellId": [1, 2, 3]}, geometry=square, crs="EPSG:4326")
    file = tmp_path / "milano-grid.geojson"
    file.write_text(cells.to_json())
    return file


def test_telecom_italia_days_sum_over_countries(city: Path, tmp_path: Path, write: Write, grid: Path) -> None:
    rows = [(cell, step, country, "1.5") for cell in (1, 2) for step in range(6) for country in (0, 39)]
    rows[0] = (1, 0, 0, "")
    rows = [row for row in rows if row[:2] != (2, 4)]
    write("days/sms-call-internet-mi-2013-11-04.txt", _telecom(4, rows))
    write("days/sms-call-internet-mi-2013-11-05.txt", _telecom(5, rows))
    options = {"layout": "telecom-italia", "timezone": "Europe/Rome"}
    with pytest.raises(UserError, match=r"1 stations have no traffic: 3; .*--on-unknown drop"):
        import_city(city, tmp_path / "days", grid, **options)
    report = import_city(city, str(tmp_path / "days" / "*-mi-*.txt"), grid, on_unknown="drop", **options)
    traffic = City.open(city).traffic
    assert len(traffic) == 50
    np.testing.assert_allclose(traffic["1"].dropna(), [7.5, 9, 7.5, 9])
    np.testing.assert_allclose(traffic["2"].dropna(), [9, 9])
    assert traffic["1"].first_valid_index() == pd.Timestamp("2013-11-04", tz="Europe/Rome")
    assert (report.rows, report.incomplete, report.stations_without_traffic.first) == (44, 2, ["3"])
    assert "stations left out, without traffic: 1 (3)" in report.lines()
    place = City.open(city).stations.geometry[0]
    assert (place.x, place.y) == pytest.approx((9.0015, 45.30105), abs=1e-6)


def test_telecom_italia_fields_without_activity_are_zero_and_said(city: Path, write: Write, grid: Path) -> None:
    rows = [(cell, step, 39, "" if (cell, step) == (1, 1) else "2") for cell in (1, 2, 3) for step in range(3)]
    report = import_city(city, write("d.txt", _telecom(4, rows)), grid, layout="telecom-italia")
    assert traffic_of(city)["1"] == [4]
    assert report.notices[0].startswith("1 of 9 ten-minute intervals of a square have records but no such activity")


def test_telecom_italia_repeated_rows(city: Path, write: Write, grid: Path) -> None:
    rows = [(cell, step, 39, "2") for cell in (1, 2, 3) for step in range(3)]
    file = write("d.txt", _telecom(4, [*rows, (1, 0, 39, "5")]))
    with pytest.raises(UserError, match=r"d\.txt, row 10: this square, time and country is there already"):
        import_city(city, file, grid, layout="telecom-italia")
    for how, total in (("sum", 11), ("last", 9)):
        report = import_city(city, file, grid, layout="telecom-italia", on_duplicate=how)
        assert (traffic_of(city)["1"], report.duplicates) == ([total], 1)


def test_telecom_italia_takes_another_activity(city: Path, write: Write, grid: Path) -> None:
    rows = [(cell, step, 39, "2") for cell in (1, 2, 3) for step in range(3)]
    import_city(city, write("d.txt", _telecom(4, rows)), grid, layout="telecom-italia", columns={"traffic": "sms_in"})
    assert traffic_of(city)["1"] == [pytest.approx(0.3)]


def test_c2tm(city: Path, write: Write) -> None:
    hours = [1345305600 + 3600 * hour for hour in range(3)]
    rows = [
        f"{station},{hour},2,30,{400 * station}"
        for station in (1, 2)
        for hour in hours
        if hour != hours[1] or station == 1
    ]
    traffic = write("traffic.csv", "BS,Time_hour,Users,Packets,Bytes\n" + "\n".join(rows))
    stations = write("topology.csv", "BS,Lon,Lat\n1,111.06,13.18\n2,111.05,13.20\n")
    report = import_city(city, traffic, stations, layout="c2tm", interval="1h", timezone="Asia/Shanghai", unit="B")
    opened = City.open(city).traffic
    assert opened["1"].tolist() == [400, 400, 400]
    np.testing.assert_array_equal(opened["2"], [800, np.nan, 800])
    assert opened.index[0] == pd.Timestamp("2012-08-19 00:00", tz="Asia/Shanghai")
    assert report.missing_share == pytest.approx(1 / 6)
    import_city(city, traffic, stations, layout="c2tm", interval="1h", columns={"traffic": "Users"})
    assert traffic_of(city)["1"] == [2, 2, 2]


def test_baidu_coordinates_and_places_outside_china(city: Path, write: Write) -> None:
    places = STATIONS.replace("9.10,45.40", "116.41036949371029,39.92133699351021")
    report = import_city(city, write("t.csv", LONG), write("s.csv", places), crs="bd09")
    inside, outside = City.open(city).stations.geometry
    assert (outside.x, outside.y) == (9.2, 45.5)
    assert 0.003 < 116.41036949371029 - inside.x < 0.02
    assert "1 of 2 stations lie outside China, where bd09 equals WGS 84; left as they are" in report.notices[0]


def test_projected_coordinates_and_geoparquet(city: Path, tmp_path: Path, write: Write) -> None:
    points = geopandas.points_from_xy([9.1, 9.2], [45.4, 45.5], crs="EPSG:4326")
    metric = geopandas.GeoDataFrame({"id": ["a", "b"]}, geometry=points).to_crs(32632)
    x, y = metric.geometry.x, metric.geometry.y
    table = write("s.csv", f"station_id,lon,lat\na,{x[0]},{y[0]}\nb,{x[1]},{y[1]}\n")
    metric.to_parquet(tmp_path / "s.parquet")
    metric.to_file(tmp_path / "s.gpkg")
    for file, crs in ((table, "EPSG:32632"), (tmp_path / "s.parquet", "EPSG:4326"), (tmp_path / "s.gpkg", "EPSG:4326")):
        import_city(city, write("t.csv", LONG), file, crs=crs)
        places = City.open(city).stations.get_coordinates().to_numpy()
        np.testing.assert_allclose(places, [[9.1, 45.4], [9.2, 45.5]], atol=1e-8)


def test_null_island_and_shared_places_are_fine(city: Path, write: Write) -> None:
    report = import_city(city, write("t.csv", LONG), write("s.csv", "station_id,lon,lat\na,0,0\nb,0,0\n"))
    assert City.open(city).stations.geometry[0] == shapely.Point(0, 0)
    assert report.sharing_a_place.first == ["a", "b"]
    assert "stations that share their place with another: 2 (a, b)" in report.lines()


def test_clock_changes_in_local_time(city: Path, write: Write) -> None:
    walls = pd.date_range("2024-10-27 00:00", periods=10, freq="30min", tz="Europe/Rome").strftime("%Y-%m-%d %H:%M")
    rows = [f"{station},{wall},{step}" for step, wall in enumerate(walls) for station in ("a", "b")]
    text = "station_id,timestamp,traffic\n" + "\n".join(rows)
    report = import_city(city, write("t.csv", text), write("s.csv", STATIONS), timezone="Europe/Rome")
    assert traffic_of(city)["a"] == list(range(10))
    assert report.notices[0].startswith(f"{city.parent / 't.csv'}, row 9, column timestamp: clocks went back")


def test_unknown_stations_and_traffic_can_be_dropped(city: Path, write: Write) -> None:
    stations = write("s.csv", STATIONS.replace("b,", "z,") + "y,9.3,45.6,Far\n")
    with pytest.raises(
        UserError, match=r"2 stations have no traffic: z, y; traffic of 1 ids has no station: b; complete the files"
    ):
        import_city(city, write("t.csv", LONG), stations)
    report = import_city(city, write("t.csv", LONG), stations, on_unknown="drop")
    assert traffic_of(city) == {"a": [1, 2, 3]}
    assert (report.stations_without_traffic.count, report.traffic_without_station.count, report.rows_dropped) == (
        2,
        1,
        3,
    )
    assert "traffic left out, without a station: 1 (b), 3 rows" in report.lines()


def test_a_second_import_keeps_what_was_written_into_the_toml(city: Path, write: Write) -> None:
    files = write("t.csv", LONG), write("s.csv", STATIONS)
    import_city(city, *files, holidays=[date(2024, 3, 1)], name="Milano")
    import_city(city, *files, unit="GB")
    meta = City.open(city).meta
    assert (meta.name, meta.holidays, meta.unit) == ("Milano", [date(2024, 3, 1)], "GB")


def test_a_demo_city_is_not_overwritten(city: Path, write: Write) -> None:
    files = write("t.csv", LONG), write("s.csv", STATIONS)
    import_city(city, *files)
    toml = city / "city.toml"
    toml.write_text(toml.read_text() + 'generator = "1"\n')
    with pytest.raises(UserError, match="is a demo city; import into another folder"):
        import_city(city, *files)


def test_progress_comes_to_its_end(city: Path, write: Write) -> None:
    seen: list[tuple[float, float, str]] = []
    import_city(city, write("t.csv", LONG), write("s.csv", STATIONS), report=lambda *state: seen.append(state))
    assert [state[2] for state in seen] == ["reading t.csv", "writing the city folder"]
    assert all(0 <= done <= total for done, total, _ in seen)


def test_the_report_is_json(city: Path, write: Write) -> None:
    report = import_city(city, write("t.csv", LONG), write("s.csv", STATIONS))
    assert json.loads(report.model_dump_json())["stations"] == 2


def test_without_any_place_the_ids_of_the_traffic_are_the_stations(city: Path, write: Write) -> None:
    report = import_city(city, write("t.csv", LONG + "c,2024-03-01 00:00,\n"), coordinates="none")
    opened = City.open(city)
    assert opened.station_ids == ("a", "b") and opened.stations.geometry.isna().all()
    assert (report.coordinates, report.sharing_a_place.count) == ("none", 0)
    assert report.stations_without_traffic.first == ["c"]
    with pytest.raises(UserError, match="--stations FILE, or say with --coordinates none"):
        import_city(city, write("t.csv", LONG))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.csv", "station_id,name,capacity\na,North,5\nb,South,6\n"),
        ("s.csv", "station_id,lat,lon,name,capacity\na,somewhere,,North,5\nb,,200,South,6\n"),
        (
            "s.geojson",
            '{"type":"FeatureCollection","features":['
            '{"type":"Feature","properties":{"id":"a","name":"North","capacity":5},"geometry":null},'
            '{"type":"Feature","properties":{"id":"b","name":"South","capacity":6},'
            '"geometry":{"type":"Point","coordinates":[500,500]}}]}',
        ),
    ],
)
def test_a_list_of_stations_without_places_still_names_them(city: Path, write: Write, name: str, text: str) -> None:
    import_city(city, write("t.csv", LONG), write(name, text), coordinates="none")
    stations = City.open(city).stations
    assert stations.geometry.isna().all()
    assert stations[["station_id", "name", "capacity"]].to_numpy().tolist() == [["a", "North", 5], ["b", "South", 6]]


def test_sessions_without_places_need_names_of_stations(city: Path, write: Write) -> None:
    named = "start,station_id,bytes\n2024-03-01 00:00,a,5\n2024-03-01 00:40,b,7\n"
    import_city(city, write("t.csv", named), layout="sessions", coordinates="none")
    assert City.open(city).station_ids == ("a", "b")
    placed = "start,lon,lat,bytes\n2024-03-01 00:00,9,45,5\n2024-03-01 00:40,9.1,45,7\n"
    with pytest.raises(UserError, match="no column station_id"):
        import_city(city, write("t.csv", placed), layout="sessions", coordinates="none")
