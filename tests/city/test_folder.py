"""The city folder: written, read back, and refused by name where it is wrong."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from lecdiff_core.city.folder import City, CityMeta, check_coordinates, make_meta, read_meta, write_city, write_meta
from lecdiff_core.demo import demo_city
from lecdiff_core.errors import UserError

Stations = geopandas.GeoDataFrame
Change = Callable[[Stations], Stations]


@pytest.fixture
def city(tmp_path: Path, meta: CityMeta, stations: Stations, traffic: pd.DataFrame) -> City:
    return write_city(tmp_path / "city", meta, stations, traffic)


def test_what_is_written_is_read_back(city: City, stations: Stations, traffic: pd.DataFrame) -> None:
    again = City.open(city.path)
    assert again.meta == city.meta
    pd.testing.assert_frame_equal(again.traffic, traffic)
    pd.testing.assert_frame_equal(again.traffic, city.traffic)
    assert list(again.stations.columns) == ["station_id", "geometry", "capacity"]
    assert again.stations.crs.to_epsg() == 4326
    assert again.stations.geometry.tolist() == stations.geometry.tolist()
    assert again.station_ids == ("a", "b", "c")
    assert (again.interval, again.steps_per_day) == (pd.Timedelta("30min"), 48)
    assert again.traffic.to_numpy().dtype == np.float32


def test_files_are_readable_without_this_project(city: City) -> None:
    assert pd.read_parquet(city.path / "traffic.parquet").index.tz is not None
    assert geopandas.read_parquet(city.path / "stations.parquet")["station_id"].tolist() == ["a", "b", "c"]


def test_columns_follow_the_stations(tmp_path: Path, meta: CityMeta, stations: Stations, traffic: pd.DataFrame) -> None:
    city = write_city(tmp_path / "city", meta, stations, traffic[["c", "a", "b"]].astype(float))
    pd.testing.assert_frame_equal(city.traffic, traffic)


def test_other_zones_and_other_column_forms_are_taken(city: City, traffic: pd.DataFrame) -> None:
    traffic.tz_convert("Asia/Tokyo").reset_index().to_parquet(city.path / "traffic.parquet", index=False)
    pd.testing.assert_frame_equal(City.open(city.path).traffic, traffic)


def test_geometry_under_another_name_and_numeric_ids(tmp_path: Path, meta: CityMeta, traffic: pd.DataFrame) -> None:
    points = geopandas.points_from_xy([1.0, 2.0], [1.0, 2.0])
    stations = Stations({"station_id": [7, 8], "place": points}, geometry="place", crs="OGC:CRS84")
    city = write_city(tmp_path / "city", meta, stations, traffic[["a", "b"]].set_axis(["7", "8"], axis=1))
    assert city.station_ids == ("7", "8")
    assert City.open(city.path).stations.geometry.name == "geometry"


def test_the_hash_follows_meaning_and_data_only(city: City) -> None:
    before = city.data_hash
    assert City.open(city.path).data_hash == before
    toml = city.path / "city.toml"
    toml.write_text("# a remark\n" + toml.read_text().replace("Smallville", "Bigville"))
    assert City.open(city.path).data_hash == before
    toml.write_text(toml.read_text().replace("holidays = []", "holidays = [2024-03-01]"))
    opened = City.open(city.path)
    assert opened.meta.holidays == [date(2024, 3, 1)]
    assert opened.data_hash != before
    changed = opened.traffic.copy()
    changed.iloc[0, 0] += 1
    assert write_city(city.path, city.meta, city.stations, changed).data_hash not in (before, opened.data_hash)


def test_the_hash_is_of_what_was_read_whatever_lies_there_by_now(city: City) -> None:
    opened, before = City.open(city.path), city.data_hash
    changed = opened.traffic.copy()
    changed.iloc[0, 0] += 1
    written = write_city(city.path, city.meta, city.stations, changed)
    assert opened.data_hash == before != written.data_hash
    (city.path / "traffic.parquet").unlink()
    assert written.data_hash not in (before, "")


def test_the_hash_of_the_shipped_city_stands() -> None:
    """Its model and the keys of committed measurements rest on it."""
    shipped = City.open(demo_city())
    assert shipped.data_hash == "3eb5d87a73257444bccf0c2b93f639c3c1ae04cfbab79a4d5d40076d24f7dd71"


def test_chips_models_and_tiles(city: City) -> None:
    assert city.chip("a") is None
    assert not city.has_tiles
    assert city.models() == []
    for name in ("imagery/chips/a.webp", "imagery/tiles/1/0/0.png", "models/lec-diff/config.json", "models/half/x"):
        (city.path / name).parent.mkdir(parents=True, exist_ok=True)
        (city.path / name).write_bytes(b"")
    assert city.chip("a") == (city.path / "imagery" / "chips" / "a.webp").resolve()
    assert city.has_tiles
    assert city.models() == ["lec-diff"]
    assert city.model_folder("lec-diff").name == "lec-diff"
    for name in ("../x", "", ".", "a/b"):
        with pytest.raises(UserError):
            city.model_folder(name)
    (city.path.parent / "outside.jpg").write_bytes(b"")
    assert city.chip("../../../outside") is None


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("timezone", "Mars/Olympus", "timezone: 'Mars/Olympus' is not a time zone"),
        ("interval", "7min", "interval: .*divide 24 hours"),
        ("interval", "soon", "interval: 'soon' is not a duration"),
        ("interval", "-30min", "interval: .*at least one second"),
        ("interval", "48h", "interval: .*divide 24 hours"),
        ("imagery", "https://tiles/{z}/{x}", "imagery: .*template"),
        ("coordinates", "guessed", "coordinates: "),
        ("name", "", "name: "),
        ("holidays", ["soon"], "holidays.0: "),
        ("colour", "red", "unknown key 'colour'; known are name, timezone"),
    ],
)
def test_a_wrong_description_is_refused_by_key(key: str, value: object, problem: str) -> None:
    values = {"name": "x", "timezone": "UTC", "interval": "1h"}
    with pytest.raises(UserError, match=problem):
        make_meta(**values | {key: value})


@pytest.mark.parametrize(("written", "kept"), [("60min", "1h"), ("90s", "90s"), ("1800s", "30min"), ("1D", "24h")])
def test_intervals_have_one_spelling(written: str, kept: str) -> None:
    assert make_meta(name="x", timezone="UTC", interval=written).interval == kept


def test_missing_and_damaged_files_are_named(city: City, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere is not a folder"):
        City.open(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"has no city\.toml"):
        City.open(tmp_path)
    for name in ("traffic.parquet", "stations.parquet", "city.toml"):
        whole = (city.path / name).read_bytes()
        for damaged in (whole[: len(whole) // 2], b"", b"\xff\xfe" + whole):
            (city.path / name).write_bytes(damaged)
            with pytest.raises(UserError, match=name.replace(".", r"\.")) as error:
                City.open(city.path)
            assert "\n" not in str(error.value)
        (city.path / name).unlink()
        with pytest.raises(UserError, match=name.replace(".", r"\.")):
            City.open(city.path)
        (city.path / name).write_bytes(whole)
    assert City.open(city.path).station_ids == city.station_ids


def test_bytes_changed_inside_a_table_are_noticed(city: City) -> None:
    file = city.path / "traffic.parquet"
    whole = bytearray(file.read_bytes())
    whole[4:200] = bytes(196)
    file.write_bytes(whole)
    with pytest.raises(UserError, match=r"traffic\.parquet"):
        City.open(city.path)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda s: s.iloc[:0], "no stations"),
        (lambda s: s.drop(columns="station_id"), "no column station_id"),
        (lambda s: s.assign(station_id=["a", "b", "a"]), "rows 1, 3, column station_id: 'a' is there more than once"),
        (lambda s: s.assign(station_id=["a", None, "c"]), "row 2, column station_id: the id is empty"),
        (lambda s: s.assign(station_id=["a", "../b", "c"]), "row 2, column station_id: '../b' cannot be"),
        (lambda s: s.assign(station_id=["a", "b", " c"]), "row 3, column station_id"),
        (lambda s: s.assign(station_id=["timestamp", "b", "c"]), "row 1, column station_id"),
        (lambda s: s.to_crs(3857), "must be WGS 84"),
        (lambda s: s.set_crs(None, allow_override=True), "must be WGS 84"),
        (
            lambda s: s.set_geometry([shapely.box(0, 0, 1, 1)] * 3, crs=4326),
            "row 1, column geometry: station 'a' has no point",
        ),
        (lambda s: s.set_geometry([None, *s.geometry[1:]], crs=4326), "row 1, column geometry"),
        (lambda s: s.set_geometry(geopandas.points_from_xy([0, 0, 500], [0, 0, 0]), crs=4326), r"row 3.*\(500, 0\)"),
        (
            lambda s: s.set_geometry(geopandas.points_from_xy([31, 32, 33], [121, 122, 123]), crs=4326),
            "row 1.*lon and lat look swapped",
        ),
    ],
)
def test_wrong_stations_are_refused_by_row(
    city: City, change: Change, problem: str, meta: CityMeta, stations: Stations, traffic: pd.DataFrame
) -> None:
    with pytest.raises(UserError, match=problem):
        write_city(city.path, meta, change(stations), traffic)
    assert City.open(city.path).station_ids == ("a", "b", "c")


def _with(row: int, column: str, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(traffic: pd.DataFrame) -> pd.DataFrame:
        traffic = traffic.astype(object if isinstance(value, str) else float)
        traffic.iloc[row, traffic.columns.get_loc(column)] = value
        return traffic

    return change


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda t: t.iloc[:0], "no rows"),
        (lambda t: t * np.nan, "every value is missing"),
        (lambda t: t.drop(columns="b"), "1 stations have no column: b"),
        (lambda t: t.assign(z=1.0), "1 columns are no station: z"),
        (lambda t: t.reset_index(drop=True), "column timestamp: it must be a time with a time zone"),
        (lambda t: t.tz_localize(None), "column timestamp: it must be a time with a time zone"),
        (lambda t: t.iloc[[0, 2, 1, 3]], r"row 2, column timestamp: 2024-03-01T01:00.* is not 30min after"),
        (lambda t: t.iloc[[1, 0, 2, 3]], "row 2, column timestamp: .*out of order"),
        (lambda t: t.iloc[[0, 0, 1, 2]], "row 2, column timestamp: .*is there twice"),
        (lambda t: t.iloc[[0, 1, 3]], "row 3, column timestamp: .*every interval must be there once"),
        (_with(2, "b", -1.0), r"row 3 \(2024-03-01T01:00:00\+01:00\), column b: traffic is negative \(-1\)"),
        (_with(0, "c", np.inf), "row 1 .*column c: traffic is infinite"),
        (_with(0, "c", "much"), "column [ac]: traffic must be numbers"),
    ],
)
def test_wrong_traffic_is_refused_by_row_and_column(
    city: City, change: Callable[[pd.DataFrame], pd.DataFrame], problem: str, meta: CityMeta, stations: Stations
) -> None:
    traffic = city.traffic
    with pytest.raises(UserError, match=problem):
        write_city(city.path, meta, stations, change(traffic))
    pd.testing.assert_frame_equal(City.open(city.path).traffic, traffic)


def test_wrong_traffic_on_disk_names_the_file(city: City) -> None:
    city.traffic.iloc[::-1].to_parquet(city.path / "traffic.parquet")
    with pytest.raises(UserError, match=r"city/traffic\.parquet, row 2, column timestamp: .* out of order"):
        City.open(city.path)


def test_a_full_disk_changes_no_file(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = {file.name: file.read_bytes() for file in city.path.iterdir()}
    for where in (pd.DataFrame, geopandas.GeoDataFrame):
        with monkeypatch.context() as patch:
            patch.setattr(where, "to_parquet", full)
            with pytest.raises(UserError, match=r"city: the disk is full; the files that were there are unchanged"):
                write_city(city.path, city.meta, city.stations, city.traffic + 1)
        assert {file.name: file.read_bytes() for file in city.path.iterdir()} == before


KILLED = """
import os, signal, sys
import pandas as pd
from lecdiff_core.city.folder import City, write_city
city = City.open(sys.argv[1])
write = pd.DataFrame.to_parquet
def half(self, file, **options):
    write(self, file, **options)
    os.truncate(file, 100)
    os.kill(os.getpid(), signal.SIGKILL)
pd.DataFrame.to_parquet = half
write_city(city.path, city.meta, city.stations, city.traffic + 1)
"""


def test_a_kill_during_the_write_leaves_the_old_city(city: City) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(city.path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    again = City.open(city.path)
    pd.testing.assert_frame_equal(again.traffic, city.traffic)
    assert again.data_hash == city.data_hash


def test_read_meta_alone_needs_only_the_toml(city: City) -> None:
    (city.path / "traffic.parquet").unlink()
    assert read_meta(city.path) == city.meta


degrees = st.floats(allow_nan=True, allow_infinity=True, width=64)


@given(st.lists(st.tuples(degrees, degrees), min_size=1, max_size=5))
def test_coordinates_are_taken_exactly_where_they_are_on_earth(places: list[tuple[float, float]]) -> None:
    lon, lat = np.array(places).T
    on_earth = all(abs(x) <= 180 and abs(y) <= 90 for x, y in places)
    if on_earth:
        check_coordinates(lon, lat, "stations")
    else:
        with pytest.raises(UserError, match="not on Earth"):
            check_coordinates(lon, lat, "stations")


def test_where_no_place_is_known_points_are_neither_written_nor_read(
    tmp_path: Path, meta: CityMeta, stations: Stations, traffic: pd.DataFrame
) -> None:
    nowhere = meta.model_copy(update={"coordinates": "none"})
    city = City.open(write_city(tmp_path / "city", nowhere, stations, traffic).path)
    kept = geopandas.read_parquet(city.path / "stations.parquet")
    assert kept.geometry.isna().all() and kept.crs.to_epsg() == 4326 and kept["capacity"].tolist()[:2] == [10, 20]
    assert not city.has_places and city.stations.geometry.isna().all()
    write_meta(city.path, meta)
    with pytest.raises(UserError, match=r"row 1, column geometry: station 'a' has no point; .*coordinates = none"):
        City.open(city.path)
    placed = write_city(tmp_path / "placed", meta, stations, traffic)
    write_meta(placed.path, nowhere)
    assert City.open(placed.path).stations.geometry.isna().all()
