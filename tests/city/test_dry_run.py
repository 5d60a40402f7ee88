"""A look before the import: the report of the import itself, and not a file, folder or lock more than before."""

import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lecdiff_core import cli
from lecdiff_core.city.folder import City
from lecdiff_core.city.importers.importing import import_city
from lecdiff_core.errors import USERS_MISTAKE, UserError
from tests.conftest import make_city

STATIONS = "station_id,lon,lat\na,9.10,45.40\nb,9.20,45.50\n"
LONG = "station_id,timestamp,traffic\n" + "".join(
    f"{station},2024-03-01 {hour:02d}:00,{hour + 1}\n" for station in "ab" for hour in range(4)
)
WIDE = "timestamp,a,b\n2024-03-01 00:00,1,2\n2024-03-01 01:00,3,\n"
SESSIONS = "device,start,lon,lat,bytes\nd1,2024-03-01 00:03,9.1,45.4,100\nd2,2024-03-01 01:10,9.2,45.5,7\n"
TELECOM = "".join(
    f"{square}\t{1383260400000 + 600000 * ten}\t39\t\t\t\t\t{ten}\n" for square in "ab" for ten in range(6)
)
C2TM = "BS,Time_hour,Users,Packets,Bytes\na,1345046400,1,2,3\nb,1345046400,1,2,30\na,1345050000,1,2,5\n"
LAYOUTS = {"long": LONG, "wide": WIDE, "sessions": SESSIONS, "telecom-italia": TELECOM, "c2tm": C2TM}
Lecdiff = Callable[..., tuple[int, str, str]]


@pytest.fixture
def lecdiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Lecdiff:
    """The command line run in an own folder with files of every layout: status, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stations.csv").write_text(STATIONS)
    for layout, text in LAYOUTS.items():
        (tmp_path / f"{layout}.csv").write_text(text)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["lecdiff", *words])
        with pytest.raises(SystemExit) as left:
            cli.main()
        return left.value.code, *capsys.readouterr()

    return run


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file and folder with its content and time of change."""
    return {
        str(path.relative_to(folder)): (path.read_bytes() if path.is_file() else b"", path.stat().st_mtime_ns)
        for path in (folder, *folder.rglob("*"))
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_looked_at_and_nothing_is_written(lecdiff: Lecdiff, tmp_path: Path, layout: str) -> None:
    places = [] if layout == "sessions" else ["--stations", "stations.csv"]
    words = ["import", "new/city", "--traffic", f"{layout}.csv", *places, "--layout", layout, "--interval", "1h"]
    before = tree(tmp_path)
    looked = lecdiff(*words, "--dry-run", "--json")
    assert tree(tmp_path) == before
    imported = lecdiff(*words, "--json")
    assert looked[0] == imported[0] == 0
    assert json.loads(looked[1]) == json.loads(imported[1]) | {"dry_run": True}
    assert (tmp_path / "new/city/city.toml").exists()


def test_the_text_says_what_is_in_the_files_and_that_nothing_was_written(lecdiff: Lecdiff) -> None:
    status, told, _ = lecdiff(
        "import", "city", "--traffic", "long.csv", "--stations", "stations.csv", "--interval", "1h", "--unit", "MB",
        "--dry-run",
    )  # fmt: skip
    lines = told.splitlines()
    assert status == 0
    assert lines[0] == "city: 2 stations × 4 intervals of 1h from readings of 1h"
    assert "traffic in all: 20 MB" in lines
    assert "a station's traffic: from 10 MB to 10 MB, median 10 MB" in lines
    assert lines[-1] == "nothing was written; the same command without --dry-run imports it"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--traffic", "long.csv"], "--coordinates none"),
        (["--traffic", "gone.csv"], "gone.csv cannot be read: there is no such file"),
        (["--traffic", "long.csv", "--stations", "stations.csv", "--interval", "30min"], "use --interval 1h"),
    ],
)
def test_what_would_not_be_imported_is_refused_alike(
    lecdiff: Lecdiff, tmp_path: Path, options: list[str], told: str
) -> None:
    before = tree(tmp_path)
    looked = lecdiff("import", "new/city", *options, "--dry-run")
    assert tree(tmp_path) == before
    assert looked[0] == USERS_MISTAKE and told in looked[2] and not looked[1]
    assert looked == lecdiff("import", "new/city", *options)
    assert tree(tmp_path).keys() == before.keys()


def test_what_was_unpacked_for_a_look_is_gone(
    lecdiff: Lecdiff, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = tmp_path_factory.mktemp("room")
    monkeypatch.setattr(tempfile, "tempdir", str(room))
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
        archive.write(tmp_path / "long.csv", "long.csv")
    before = tree(tmp_path)
    for interval, status in (("1h", 0), ("30min", USERS_MISTAKE)):
        words = ("--traffic", "packed.zip", "--stations", "stations.csv", "--interval", interval, "--dry-run")
        assert lecdiff("import", "city", *words)[0] == status
    assert tree(tmp_path) == before and not list(room.iterdir())


def test_a_city_that_is_there_is_looked_at_and_stays(tmp_path: Path, lecdiff: Lecdiff) -> None:
    city = make_city(tmp_path / "town")
    before = tree(tmp_path)
    report = import_city(city.path, "long.csv", Path("stations.csv"), interval="1h", dry_run=True)
    assert report.name == "Little Town" and report.stations == 2
    assert tree(tmp_path) == before and City.open(city.path).data_hash == city.data_hash


def test_a_folder_that_cannot_be_written_is_told_before_the_files_are_read(tmp_path: Path, lecdiff: Lecdiff) -> None:
    for dry_run in (True, False):
        with pytest.raises(UserError, match=r"cannot write long\.csv.a: a part of the path is a file"):
            import_city(Path("long.csv/a"), "gone.csv", interval="1h", dry_run=dry_run)


def test_stations_are_picked_evenly_for_a_map_where_there_are_many(
    tmp_path: Path, lecdiff: Lecdiff, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lecdiff_core.city.importers.importing.MOST_POINTS", 2)
    names = [f"s{number}" for number in range(5)]
    Path("many.csv").write_text("station_id,lon,lat\n" + "".join(f"{name},{i},45\n" for i, name in enumerate(names)))
    Path("wide5.csv").write_text(f"timestamp,{','.join(names)}\n2024-03-01 00:00,1,2,3,4,5\n")
    report = import_city(Path("new"), "wide5.csv", Path("many.csv"), "wide", interval="1h", dry_run=True)
    assert report.points == [("s0", 0, 45), ("s3", 3, 45)]
    assert (report.station_totals.least, report.station_totals.median, report.station_totals.most) == (1, 3, 5)
    report = import_city(Path("new"), "wide5.csv", None, "wide", interval="1h", coordinates="none", dry_run=True)
    assert report.points == []
