"""The same table in every form that people keep it in is the same city; what cannot be read is told by name."""

import gzip
import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from lecdiff_core.city.folder import City
from lecdiff_core.city.importers.importing import ImportReport, import_city
from lecdiff_core.errors import UserError
from tests.city.workbooks import workbook

PLACES = "station_id,lon,lat\nÄ1,9.1,45.4\nB,9.2,45.5\n"
ROWS = [
    (station, f"2024-03-01 0{hour}:00", amount + hour)
    for station, amount in (("Ä1", 1.25), ("B", 20.0))
    for hour in (0, 1, 2)
]
LONG = "station_id,timestamp,traffic\n" + "".join(f"{s},{t},{v}\n" for s, t, v in ROWS)
SEMICOLONS = LONG.replace(",", ";").replace(".", ",")
EXPECTED = {"Ä1": [1.25, 2.25, 3.25], "B": [20, 21, 22]}

Read = Callable[..., ImportReport]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """A function that imports some bytes under a name (or a path that is there) and returns the report."""
    (tmp_path / "places.csv").write_text(PLACES, encoding="utf-8")

    def run(content: bytes | None, name: str = "t.csv", **options: object) -> ImportReport:
        if content is not None:
            (tmp_path / name).write_bytes(content)
        path = options.pop("traffic_file", tmp_path / name)
        return import_city(tmp_path / "city", path, tmp_path / "places.csv", interval="1h", **options)

    return run


def traffic_of(folder: Path) -> dict[str, list[float]]:
    return {name: column.tolist() for name, column in City.open(folder / "city").traffic.items()}


def zipped(parts: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def parquet(stations: bool = True) -> bytes:
    table = pd.DataFrame(ROWS, columns=["station_id", "timestamp", "traffic"])
    file = io.BytesIO()
    (table if stations else table.drop(columns="station_id")).to_parquet(file)
    return file.getvalue()


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("text", [LONG, SEMICOLONS], ids=["commas", "semicolons"])
def test_encodings_by_their_marks(read: Read, tmp_path: Path, codec: str, text: str) -> None:
    report = read(text.encode(codec))
    assert traffic_of(tmp_path) == EXPECTED and not report.notices


@pytest.mark.parametrize(
    ("codec", "station", "told"),
    [("cp1252", "Ä1", "Western"), ("gb18030", "中山北路", "Chinese"), ("cp1251", "Москва", "Cyrillic")],
)
def test_an_encoding_that_is_guessed_is_told(read: Read, tmp_path: Path, codec: str, station: str, told: str) -> None:
    (tmp_path / "places.csv").write_text(PLACES.replace("Ä1", station), encoding="utf-8")
    report = read(LONG.replace("Ä1", station).encode(codec))
    assert traffic_of(tmp_path)[station] == EXPECTED["Ä1"]
    assert f"is not UTF-8; its letters are read as {told}" in report.notices[0] and station in report.notices[0]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("blank lines", "\n\n" + LONG.replace("\n", "\n\n")),
        ("named separator", "sep=;\n" + SEMICOLONS),
        ("titles", "Report of March, all cells\nMade by: X; Y\n\n" + LONG),
        ("padded titles", "Report;;\nfrom;01.03.2024;\n;;\n" + SEMICOLONS),
        ("title as wide as the table", "Cell;01.03.2024;02.03.2024\n" + SEMICOLONS),
        ("comments", "# made by X, Y, Z\n#" + LONG),
        ("delimiters at the end", SEMICOLONS.replace("\n", ";\n")),
        ("delimiters at the end of rows", SEMICOLONS.replace("\n", ";\n").replace(";\n", "\n", 1)),
        ("rows of empty cells", LONG + ",,\n,,\n"),
        ("commas in the header", SEMICOLONS.replace("traffic", "Traffic (DL,UL,all)")),
        ("a header of two lines", LONG.replace("traffic", '"Traffic\n(MB)"')),
        ("spaces behind commas", LONG.replace(",", ", ")),
        ("tabs and decimal commas", SEMICOLONS.replace(";", "\t")),
        ("carriage returns", LONG.replace("\n", "\r")),
    ],
)
def test_texts_of_other_shapes(read: Read, tmp_path: Path, name: str, text: str) -> None:
    assert read(text.encode()).rows == len(ROWS), name
    assert traffic_of(tmp_path) == EXPECTED


HALVES = {
    f"x/{station}.csv": "\n".join(
        line for line in LONG.splitlines() if line.startswith((station, "station_id"))
    ).encode()
    for station in ("Ä1", "B")
}
SHEET = [["station_id", "timestamp", "traffic"], *ROWS]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.zip", zipped({**HALVES, "readme.md": b"hello", "__MACOSX/x/._a.csv": b"\0"})),
        ("t.zip", zipped({"t.parquet": parquet()})),
        ("t.csv.gz", gzip.compress(LONG.encode("utf-16"), mtime=0)),
        ("t.csv", gzip.compress(LONG.encode(), mtime=0)),
        ("t.parquet.gz", gzip.compress(parquet(), mtime=0)),
        ("t.pq", parquet()),
        ("t.xlsx", workbook({"About": [["made by X"]], "Data": [["Report"], [], *SHEET]})),
        ("t.xlsx", workbook({"March": SHEET[:4], "April": [SHEET[0], *SHEET[4:]]})),
        ("t.xlsx", workbook({"Sites": [["Site", "Longitude"], ["B", 9]], "Traffic": SHEET})),
    ],
    ids=lambda value: "file" if isinstance(value, bytes) else value,
)
def test_packed_tables_and_workbooks(read: Read, tmp_path: Path, name: str, content: bytes) -> None:
    read(content, name)
    assert traffic_of(tmp_path) == EXPECTED


def test_one_workbook_for_traffic_and_stations(tmp_path: Path) -> None:
    sites = [
        ["Site ID", "Site Name", "Longitude", "Latitude", "Capacity"],
        [7, "Zoo", 9.1, 45.4, 100],
        [8, "Bar", 9.2, 45.5, 50.5],
    ]
    traffic = [["eNodeB", "Date Time", "Volume (GB)"], *([7 if s == "B" else 8, t, v] for s, t, v in ROWS)]
    (tmp_path / "book.xlsx").write_bytes(workbook({"Sites": sites, "Counters": traffic}))
    report = import_city(tmp_path / "city", tmp_path / "book.xlsx", tmp_path / "book.xlsx", interval="1h")
    city = City.open(tmp_path / "city")
    assert city.traffic.to_dict("list") == {"7": [20, 21, 22], "8": [1.25, 2.25, 3.25]}
    assert city.stations[["name", "capacity"]].to_numpy().tolist() == [["Zoo", 100], ["Bar", 50.5]]
    assert "says GB, no --unit was given" in report.notices[0]


def partitioned(folder: Path) -> None:
    table = pd.DataFrame(ROWS, columns=["station_id", "timestamp", "traffic"])
    times = pd.to_datetime(table["timestamp"])
    for (station, day), part in table.assign(hour=times.dt.hour).groupby(["station_id", times.dt.date]):
        below = folder / f"station_id={station.replace('Ä', '%C3%84')}" / f"date={day}"
        below.mkdir(parents=True)
        part[["hour", "traffic"]].to_parquet(below / "part-0.parquet")
    (folder / "_SUCCESS").touch()


def test_folders_named_key_value(read: Read, tmp_path: Path) -> None:
    partitioned(tmp_path / "traffic")
    for path in (tmp_path / "traffic", f"{tmp_path}/traffic/*/*/*.parquet"):
        report = read(None, traffic_file=path)
        assert traffic_of(tmp_path) == EXPECTED and report.columns["traffic"]["timestamp"] == "date and hour"
        shutil.rmtree(tmp_path / "city")
    packed = {f.relative_to(tmp_path).as_posix(): f.read_bytes() for f in (tmp_path / "traffic").rglob("*.parquet")}
    read(zipped(packed), "t.zip")
    assert traffic_of(tmp_path) == EXPECTED


def test_one_file_a_station(read: Read, tmp_path: Path) -> None:
    for station, part in pd.DataFrame(ROWS, columns=["id", "timestamp", "traffic"]).groupby("id"):
        (tmp_path / "traffic").mkdir(exist_ok=True)
        part.drop(columns="id").to_csv(tmp_path / "traffic" / f"{station}.csv", index=False)
    report = read(None, traffic_file=tmp_path / "traffic")
    assert (
        traffic_of(tmp_path) == EXPECTED and "each is taken for the station that it is named after" in report.notices[0]
    )


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("t.pdf", b"%PDF-1.7\0\1\2" * 99, "t.pdf cannot be read: it is not text; give a table as CSV, Parquet or Excel"),
        ("t.zip", zipped({"a.txt.zip": zipped({"a.csv": LONG.encode()})}), "is an archive within an archive"),
        ("t.zip", zipped({"readme.md": b"x"}), "t.zip holds no .csv"),
        ("t.zip", zipped(HALVES)[:-40], "t.zip is not an archive that can be unpacked, or damaged"),
        ("t.zip", zipped({"../t.csv": LONG.encode()}), "leads out of the archive"),
        ("t.zip", zipped({"t.csv": b"0,\n" * (24 << 20)}), "unpacks to over 200 times its size"),
        ("t.csv.gz", gzip.compress(b"0,\n" * (24 << 20), mtime=0), "unpacks to over 200 times its size"),
        ("t.csv.gz", gzip.compress(LONG.encode(), mtime=0)[:-9], "t.csv.gz cannot be read: it is damaged"),
        ("t.csv.gz", LONG.encode(), "t.csv.gz cannot be read: it is no .gz file, or damaged"),
        ("t.xlsx", LONG.encode(), "t.xlsx cannot be read: it is no .xlsx file, or damaged"),
        ("t.xlsx", zipped({"xl/workbook.xml": b"<"}), "t.xlsx is not a workbook, or damaged"),
        ("t.xlsx", workbook({"A": [["x"]]}), "t.xlsx has no sheet with a table"),
        ("t.xlsx", workbook({"A": SHEET, "B": [["cell", *SHEET[0][1:]], *SHEET[1:]]}), "several sheets with a table: 'A', 'B'"),
        ("t.parquet", parquet()[:-20], "t.parquet cannot be read: it is damaged"),
        ("t.csv", LONG.replace("B,", '"B,', 1).encode(), "t.csv, row 4: it has 1 cells"),
    ],
    ids=lambda value: "file" if isinstance(value, bytes) else value,
)  # fmt: skip
def test_what_cannot_be_read_is_told_by_name(read: Read, name: str, content: bytes, told: str) -> None:
    with pytest.raises(UserError) as error:
        read(content, name)
    assert told in str(error.value) and "\n" not in str(error.value)


def test_tables_further_below_are_pointed_at(read: Read, tmp_path: Path) -> None:
    (tmp_path / "traffic" / "march").mkdir(parents=True)
    (tmp_path / "traffic" / "march" / "t.csv").write_text(LONG)
    with pytest.raises(UserError, match=r"tables lie below, in march: give a pattern such as '.*/traffic/\*/\*'"):
        read(None, traffic_file=tmp_path / "traffic")
