"""Columns are recognised by what people call them; what is not is told once, with an option that works."""

import re
from pathlib import Path

import pytest

from lecdiff_core.city.folder import City
from lecdiff_core.city.importers.columns import ColumnRole, find_columns, fold, unit_in
from lecdiff_core.city.importers.importing import import_city
from lecdiff_core.errors import UserError

ROWS = "".join(f"{station},2024-03-01 0{hour}:00,{hour + 1.5}\n" for station in "AB" for hour in (0, 1, 2))
PLACES = "A,9.1,45.4,100\nB,9.2,45.5,\n"


@pytest.fixture
def read(tmp_path: Path):
    """A function that imports two texts and returns the report."""

    def run(traffic: str, stations: str, **options: object):
        for name, text in {"t.csv": traffic, "s.csv": stations}.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        return import_city(tmp_path / "city", tmp_path / "t.csv", tmp_path / "s.csv", interval="1h", **options)

    return run


@pytest.mark.parametrize(
    ("traffic", "stations"),
    [
        ("eNodeB_ID,Date Time,Total Volume [GB]", "Site ID,lng,Latitude,Max. capacity"),
        ("ECGI,datetime,Data Volume (MB)", "cellname,bs_long,bs_lat,cell_capacity"),
        ("Zelle,Zeitstempel,Verkehr", "Standort,Länge,Breite,Kapazität"),
        ("cellule,Date et heure,Trafic (Mo)", "Site,Longitude,Latitude,Capacité"),
        ("Celda,Fecha,Tráfico", "Emplazamiento,Longitud,Latitud,Capacidad"),
        ("cella,Data Ora,traffico", "sito,longitudine,latitudine,capacità"),
        ("Célula,Data/Hora,Tráfego", "Estação,Longitude,Latitude,Capacidade"),
        ("Cel,Tijdstip,Verkeer", "Locatie,Lengtegraad,Breedtegraad,Capaciteit"),
        ("Komórka,Czas,Ruch", "Stacja,Długość geograficzna,Szerokość geograficzna,Pojemność"),
        ("Сота,Время,Трафик", "Станция,Долгота,Широта,Ёмкость"),
        ("Hücre,Zaman,Trafik", "İSTASYON,Boylam,Enlem,Kapasite"),
        ("小区,时间,流量", "基站,经度,纬度,容量"),
        ("ＣＥＬＬ　ＩＤ,time,traffic", "Cell-Id,LON,LAT,CAPACITY"),
    ],
)
def test_names_of_many_languages(read, tmp_path: Path, traffic: str, stations: str) -> None:
    report = read(f"{traffic}\n{ROWS}", f"{stations}\n{PLACES}")
    city = City.open(tmp_path / "city")
    assert city.traffic.sum().tolist() == [7.5, 7.5] and city.stations["capacity"].iloc[0] == 100
    assert list(report.columns["traffic"]) == ["station_id", "timestamp", "traffic"]
    assert f"station_id is {traffic.split(',')[0]!r}" in "\n".join(report.lines())


def test_both_ids_can_be_named(read) -> None:
    traffic, stations = f"here,timestamp,traffic\n{ROWS}", f"there,lon,lat,capacity\n{PLACES}"
    with pytest.raises(UserError) as error:
        read(traffic, stations)
    message = str(error.value)
    assert "t.csv: there is no column 'station_id'; it has here" in message and "s.csv: there is no column" in message
    asked = re.findall(r"--column (\w+:station_id)=", message)
    assert asked == ["traffic:station_id", "stations:station_id"]
    assert read(traffic, stations, columns=dict(zip(asked, ["here", "there"], strict=True))).stations == 2
    assert read(traffic, stations, columns={"station_id": ["here", "there"]}).stations == 2


def test_the_id_is_the_column_that_both_files_have(read) -> None:
    traffic = f"Site,Cell,timestamp,traffic\n{ROWS.replace('A,', 'x,A,').replace('B,', 'x,B,')}"
    stations = f"Site,Cell,lon,lat,capacity\n{PLACES.replace('A,', 'x,A,').replace('B,', 'x,B,')}"
    report = read(traffic, stations)
    assert report.columns["stations"]["station_id"] == "Cell" and report.columns["stations"]["name"] == "Site"
    traffic = f"Site,Cell,timestamp,traffic\n{ROWS.replace('A,', 'A,1,').replace('B,', 'B,1,')}"
    assert read(traffic, f"Site,lon,lat,c\n{PLACES}").columns["traffic"]["station_id"] == "Site"


def test_several_candidates_are_left_to_the_user(read) -> None:
    traffic = f"cell,timestamp,DL Volume,UL Volume\n{ROWS.replace(':00,', ':00,1,')}"
    told = "the columns DL Volume, UL Volume may each be traffic; say which with --column traffic:traffic='DL Volume'"
    with pytest.raises(UserError, match=told):
        read(traffic, f"cell,lon,lat,capacity\n{PLACES}")


def test_a_day_and_a_time_of_day_are_one_time() -> None:
    cells = {"Datum": ["01.03.2024"], "Uhrzeit": ["00:15"], "Time": ["2024-03-01 00:15"]}.__getitem__
    together = find_columns(["Datum", "Uhrzeit"], [ColumnRole("timestamp")], cells)
    assert together.columns == {"timestamp": ("Datum", "Uhrzeit")}
    assert find_columns(["Datum", "Time"], [ColumnRole("timestamp")], cells).columns == {"timestamp": ("Time",)}


def test_names_are_compared_without_what_does_not_matter() -> None:
    assert fold("Traffic (MB)") == fold("TRAFFIC_mb") == fold(" traffic") == "traffic"
    assert fold("Länge") == fold("LA\u0308NGE") == "lange"
    headings = ("Volume [GB]", "Rate (Mbit/s)", "traffic_kb", "Traffic (all)", "MB")
    assert [unit_in(heading) for heading in headings] == ["GB", "Mbit/s", "kb", None, "MB"]


def test_all_that_is_wrong_is_said_at_once(read) -> None:
    rows = ROWS.replace("1.5\n", "-2\n", 1).replace("2.5\n", "many\n", 1).replace("B,2024-03-01 02:00", "B,soon")
    stations = f"station_id,x,lat,capacity\n{PLACES.replace('100', 'big')}"
    with pytest.raises(UserError) as error:
        read(f"station_id,timestamp,traffic\n{rows}", stations, timezone="Rome", decimal="x")
    message = str(error.value)
    for told in (
        "timezone: 'Rome' is not",
        "--decimal x: it must be",
        "s.csv: there is no column 'lon'",
        "row 1, column traffic: the value is negative (-2)",
        "row 2, column traffic: 'many' is not a number",
        "row 6, column timestamp: 'soon' is not a time",
    ):
        assert told in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("written", "known", "told"),
    [("7.0", "7", "7.0 is 7"), ("7", "007", "7 is 007"), ("０７", "7", "０７ is 7"), ("Zu\u0308rich", "Zürich", None)],
)
def test_ids_that_programs_write_differently_meet(
    read, tmp_path: Path, written: str, known: str, told: str | None
) -> None:
    report = read(
        f"station_id,timestamp,traffic\n{ROWS.replace('A,', f'{written},')}",
        f"name, station_id, lon, lat\n,{known},9,45\n,B,9,45\n",
    )
    assert City.open(tmp_path / "city").station_ids == (known, "B")
    assert [told in notice for notice in report.notices if "written differently" in notice] == ([True] if told else [])


def test_ids_that_would_become_one_are_refused(read) -> None:
    with pytest.raises(UserError, match=r"has 7 and 07, which would become one"):
        read(
            f"station_id,timestamp,traffic\n{ROWS.replace('A,', '7,').replace('B,', '07,')}",
            "station_id,lon,lat\n007,9,45\n8,9,45\n",
        )


def test_rows_of_one_site_are_one_station_where_the_place_is_one(read, tmp_path: Path) -> None:
    traffic, header = f"station_id,timestamp,traffic\n{ROWS}", "station_id,lon,lat,technology\n"
    report = read(traffic, header + "A,9,45,2G\nA,9,45,4G\nB,9.1,45,4G\n")
    assert "1 stations have several rows at one place; the first of each is taken, 1 left out" in report.notices[0]
    assert City.open(tmp_path / "city").stations["technology"].tolist() == ["2G", "4G"]
    with pytest.raises(UserError, match="rows 1, 2, column station_id: 'A' is there more than once"):
        read(traffic, header + "A,9,45,2G\nA,9.5,45,4G\nB,9.1,45,4G\n")


@pytest.mark.parametrize(("cell", "told"), [("-4", "the value is negative"), ("big", "'big' is not a number")])
def test_a_capacity_is_a_number(read, cell: str, told: str) -> None:
    with pytest.raises(UserError, match=f"s.csv, row 1, column Capacity: {told}"):
        read(f"station_id,timestamp,traffic\n{ROWS}", f"station_id,lon,lat,Capacity\n{PLACES.replace('100', cell)}")
