"""What is wrong in a file is said in one line that names file, row and column and what to do; the old city stays."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lecdiff_core.city.folder import City
from lecdiff_core.city.importers.importing import import_city
from lecdiff_core.errors import UserError

Write = Callable[[str, str], Path]

STATIONS = "station_id,lon,lat\na,9.10,45.40\nb,9.20,45.50\n"
HEADER = "station_id,timestamp,traffic\n"
LONG = HEADER + "a,2024-03-01 00:00,1\nb,2024-03-01 00:00,2\na,2024-03-01 00:30,3\nb,2024-03-01 00:30,4\n"


@pytest.fixture
def refused(tmp_path: Path, write: Write) -> Callable[..., str]:
    """A function that imports into a city that exists, expects a refusal, and returns the message."""
    city = tmp_path / "city"
    import_city(city, write("good.csv", LONG), write("stations.csv", STATIONS))
    before = City.open(city).data_hash

    def run(traffic: str = LONG, stations: str = STATIONS, **options: object) -> str:
        files = write("t.csv", traffic), write("s.csv", stations)
        with pytest.raises(UserError) as error:
            import_city(city, options.pop("traffic_file", files[0]), options.pop("stations_file", files[1]), **options)
        assert City.open(city).data_hash == before
        assert not [file for file in city.iterdir() if file.name.startswith(".")]
        message = str(error.value)
        assert "\n" not in message
        return message.replace(str(tmp_path) + "/", "")

    return run


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LONG + "a,2024-03-01 01:00,-5\n", "t.csv, row 5, column traffic: the value is negative (-5)"),
        (LONG + "a,2024-03-01 01:00,inf\n", "t.csv, row 5, column traffic: the value is infinite"),
        (LONG + "a,2024-03-01 01:00,many\n", "t.csv, row 5, column traffic: 'many' is not a number"),
        (LONG + "a,2024-03-01 01:00,12 MB\n", "t.csv, row 5, column traffic: '12 MB' has a unit in the cell"),
        (LONG + "a,2024-03-01 01:00,5 %\n", "t.csv, row 5, column traffic: '5 %' has a percent sign in the cell"),
        (LONG + "a,soon,5\n", "t.csv, row 5, column timestamp: 'soon' is not a time; write it like"),
        (LONG + "a,,5\n", "t.csv, row 5, column timestamp: the cell is empty"),
        (LONG + ",2024-03-01 01:00,5\n", "t.csv, row 5, column station_id: the cell is empty"),
        (LONG + "a,2024-03-01 01:00\n", "t.csv, row 5: it has 2 cells, but there are 3 columns"),
        (LONG + "a,2024-03-01 00:30,5\n", "t.csv, row 5: station a already has a reading for 2024-03-01T00:30:00"),
        (LONG + "a,2024-03-01 01:00,5\na,2024-03-01 01:01,5\n", "t.csv, row 6: 2024-03-01T01:01:00+00:00 is irregular"),
        (LONG + "a,2024-03-01 01:00+01:00,5\n", "t.csv, row 5, column timestamp: some times have an offset"),
        (LONG.replace("traffic", "load"), "t.csv: there is no column 'traffic'; it has station_id, timestamp, load; say"),
        (LONG.replace("timestamp", "traffic"), "t.csv: there is no column 'timestamp'"),
        (HEADER.replace("timestamp", "traffic").replace("station_id", "timestamp"), "t.csv: there is no column 'station_id'"),
        ("station_id,timestamp,traffic,traffic\na,2024-03-01,1,1\n", "t.csv: there are 2 columns named 'traffic'"),
        (HEADER, "t.csv holds no traffic: it is empty"),
        (HEADER + "a,2024-03-01,\nb,2024-03-01,NA\n", "t.csv holds no traffic: every value is missing"),
        ("", "t.csv is empty; it needs a header and rows"),
        ("\n\n", "t.csv is empty; it needs a header and rows"),
        (LONG.replace("a,", "A,").replace("b,", "B,"), "it names stations like A and 1 more, they are called like a"),
    ],
)  # fmt: skip
def test_wrong_traffic(refused: Callable[..., str], text: str, message: str) -> None:
    assert message in refused(traffic=text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("station_id,lon,lat\na,9,45\na,9,46\n", "s.csv, rows 1, 2, column station_id: 'a' is there more than once"),
        ("station_id,lon,lat\na,9,95\nb,9,46\n", "s.csv, row 1, columns lon and lat: (9, 95) is not on Earth; give degrees"),
        ("station_id,lon,lat\na,31,121\nb,32,121\n", "(31, 121) is not on Earth; lon and lat look swapped"),
        ("station_id,lon,lat\na,9,45\nb,900,46\n", "s.csv, row 2, columns lon and lat: (900, 46) is not on Earth; give"),
        ("station_id,lon,lat\na,9,45\nb,east,46\n", "s.csv, row 2, column lon: 'east' is not a number"),
        ("station_id,lon,lat\na,9,45\nb,,46\n", "s.csv, row 2, column lon: the cell is empty"),
        ("station_id,lon,lat\na,9,45\n,9,46\n", "s.csv, row 2, column station_id: the cell is empty"),
        ("station_id,x,y\na,9,45\n", "s.csv: there are no columns 'lon' and 'lat'; it has station_id, x, y; say which"),
        ("station_id,lon,lat\n", "s.csv: there are no stations"),
        ("", "s.csv"),
        ("station_id,lon,lat\na/b,9,45\n", "s.csv, row 1, column station_id: 'a/b' cannot be a station id"),
    ],
)  # fmt: skip
def test_wrong_stations(refused: Callable[..., str], text: str, message: str) -> None:
    assert message in refused(stations=text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"traffic_file": "nowhere.csv"}, "nowhere.csv cannot be read: there is no such file"),
        ({"traffic_file": "no*where.csv"}, "there is no such file"),
        ({"stations_file": Path("nowhere.csv")}, "nowhere.csv cannot be read: there is no such file"),
        ({"stations_file": None}, "layout long says nothing of where stations are; give their places with --stations FILE"),
        ({"layout": "tall"}, "--layout tall: it must be one of long, wide"),
        ({"columns": {"place": "x"}}, "--column place=x: layout long has the roles station_id, timestamp, traffic, lon, lat"),
        ({"columns": {"traffic": "load"}}, "t.csv: there is no column 'load'"),
        ({"columns": {"station_id": "site"}}, "s.csv: there is no column 'site'"),
        ({"interval": "7min"}, "interval: '7min' must be"),
        ({"interval": "10min"}, "readings are 30min apart, longer than the interval of 10min; use --interval 30min"),
        ({"timezone": "Rome"}, "timezone: 'Rome' is not a time zone"),
        ({"crs": "EPSG:0"}, "--crs EPSG:0 is not a coordinate system"),
        ({"coordinates": "rough"}, "coordinates: "),
    ],
)  # fmt: skip
def test_wrong_options(refused: Callable[..., str], options: dict[str, object], message: str) -> None:
    assert message in refused(**options)


def test_an_empty_folder_is_said(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "empty cannot be read: it holds no .csv, .gz, .ods, .parquet" in refused(traffic_file=tmp_path / "empty")


def test_damaged_files_are_named(refused: Callable[..., str], tmp_path: Path) -> None:
    whole = tmp_path / "whole.parquet"
    pd.DataFrame({"station_id": ["a"] * 1000, "timestamp": range(1000), "traffic": 1.0}).to_parquet(whole)
    cases = {
        "half.parquet": whole.read_bytes()[:2000],
        "text.parquet": LONG.encode(),
        "zeros.csv": LONG.encode() + b"\0\0",
        "torn.csv.gz": b"\x1f\x8b\x08\x00torn",
    }
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
        assert f"{name} cannot be read: " in refused(traffic_file=tmp_path / name)
    for name in ("half.parquet", "text.parquet", "zeros.csv"):
        assert f"{name} cannot be read: " in refused(stations_file=tmp_path / name)
    (tmp_path / "torn.geojson").write_text('{"type": "FeatureCollection", "features": [')
    assert "torn.geojson cannot be read: " in refused(stations_file=tmp_path / "torn.geojson")


def test_parquet_columns_of_the_wrong_kind(refused: Callable[..., str], tmp_path: Path) -> None:
    file = tmp_path / "t.parquet"
    table = pd.DataFrame(
        {"station_id": ["a", "b"], "timestamp": pd.to_datetime(["2024-03-01"] * 2), "traffic": [1.0, 2.0]}
    )
    table.assign(traffic=[True, False]).to_parquet(file)
    assert "t.parquet, column traffic: it holds bool, not numbers" in refused(traffic_file=file)
    table.assign(traffic=["1", "two"]).to_parquet(file)
    assert "t.parquet, row 2, column traffic: 'two' is not a number" in refused(traffic_file=file)
    table.assign(timestamp=[pd.NaT, pd.NaT]).to_parquet(file)
    assert "t.parquet, row 1, column timestamp: the cell is empty" in refused(traffic_file=file)
    table.assign(traffic=[1.0, -np.inf]).to_parquet(file)
    assert "t.parquet, row 2, column traffic: the value is infinite" in refused(traffic_file=file)


def test_wide_files_name_the_column(refused: Callable[..., str]) -> None:
    text = "timestamp,a,b\n2024-03-01 00:00,1,2\n2024-03-01 00:30,1,-2\n"
    assert "t.csv, row 2, column b: the value is negative (-2)" in refused(traffic=text, layout="wide")
    text = text.replace("-2", "2") + "2024-03-01 00:00,1,2\n"
    assert "t.csv, row 3: station a already has a reading for 2024-03-01T00:00" in refused(traffic=text, layout="wide")
    assert "t.csv: there is no column beside the time" in refused(traffic="timestamp\n2024-03-01\n", layout="wide")
    assert "t.csv: there is no column 'timestamp'" in refused(traffic="when,a\n2024-03-01,1\n", layout="wide")


SESSIONS = "start,end,lon,lat,bytes\n2024-03-01 00:00,2024-03-01 00:10,9.1,45.4,1\n2024-03-01 00:05,2024-03-01 00:10,9.2,45.5,1\n"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("9.2,45.5", "9.2,95.5", "t.csv, row 2, columns lon and lat: (9.2, 95.5) is not on Earth"),
        ("9.2,45.5", ",45.5", "t.csv, row 2, column lon: the cell is empty"),
        ("00:05,2024-03-01 00:10", "00:05,2024-03-01 00:01", "t.csv, row 2: the session ends before it starts"),
        ("9.2,45.5,1", "9.2,45.5,-1", "t.csv, row 2, column bytes: the value is negative (-1)"),
        ("start,end,lon", "start,end,x", "t.csv: there is no column 'lon'"),
        ("9.2,45.5", "9.3,45.5", "1 stations have no traffic: b; traffic of 1 ids has no station: 45.500000_9.300000"),
    ],
)
def test_wrong_sessions(refused: Callable[..., str], old: str, new: str, message: str) -> None:
    assert message in refused(traffic=SESSIONS.replace(old, new), layout="sessions")


def test_sessions_cannot_be_told_apart_at_a_shared_place(refused: Callable[..., str]) -> None:
    shared = "station_id,lon,lat\na,9.1,45.4\nb,9.1,45.4\n"
    assert "stations a, b stand at one place" in refused(traffic=SESSIONS, stations=shared, layout="sessions")


def test_sessions_without_any_place(refused: Callable[..., str]) -> None:
    text = "start,station_id,bytes\n2024-03-01 00:00,a,1\n"
    message = refused(traffic=text, stations_file=None, layout="sessions")
    assert "there are no columns lon and lat; add them, or give the places with --stations FILE" in message


def test_local_times_that_the_clocks_skip(refused: Callable[..., str]) -> None:
    text = HEADER + "a,2024-03-31 02:00,1\nb,2024-03-31 02:00,1\n"
    message = refused(traffic=text, timezone="Europe/Rome")
    assert "t.csv, row 1, column timestamp: 2024-03-31 02:00:00 does not exist in Europe/Rome" in message


cells = st.one_of(
    st.text(alphabet=st.characters(codec="utf-8", exclude_characters='\r\n,"\0'), max_size=12),
    st.floats().map(str),
    st.sampled_from(["a", "b", "2024-03-01 00:00", "2024-03-01 00:30", "1", ""]),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(cells, cells, cells), max_size=4))
def test_any_rows_are_imported_or_refused_in_one_line(tmp_path: Path, rows: list[tuple[str, str, str]]) -> None:
    traffic, stations = tmp_path / "t.csv", tmp_path / "s.csv"
    traffic.write_text(HEADER + "".join(",".join(row) + "\n" for row in rows), encoding="utf-8")
    stations.write_text(STATIONS)
    try:
        report = import_city(tmp_path / "city", traffic, stations, on_unknown="drop", on_duplicate="sum")
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert report.rows == len([row for row in rows if any(row)])
