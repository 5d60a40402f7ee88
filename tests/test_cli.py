"""The command line end to end: status, stdout, stderr, and what lies in the folder afterwards."""

import csv
import json
import os
import pty
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest

from lecdiff_core import __version__, cli
from lecdiff_core.city.folder import City, write_city
from lecdiff_core.errors import UserError

LECDIFF = [sys.executable, "-c", "from lecdiff_core.cli import main; main()"]
Finished = subprocess.CompletedProcess[str]
Lecdiff = Callable[..., Finished]


def in_a_process(*words: object, cwd: Path) -> Finished:
    """Run the command line as a user does."""
    return subprocess.run(
        [*LECDIFF, *map(str, words)], capture_output=True, text=True, cwd=cwd, check=False, timeout=250
    )


@pytest.fixture
def lecdiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Lecdiff:
    """A function that runs the command line in this process, in an empty folder; heavy libraries load only once."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> Finished:
        argv = ["lecdiff", *map(str, words)]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as left:
            cli.main()
        shown = capsys.readouterr()
        return subprocess.CompletedProcess(argv, left.value.code, shown.out, shown.err)

    return run


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Options of an import: 21 days of two stations, and one station without traffic."""
    times = pd.date_range("2024-03-04", periods=21 * 48, freq="30min", tz="Europe/Rome")
    level = 10 + 5 * np.sin(np.arange(len(times)) / 48 * 2 * np.pi)
    noise = np.random.default_rng(0).gamma(4, 0.25, (2, len(times)))
    table = pd.concat(
        pd.DataFrame({"site": name, "time": times, "traffic": level * row})
        for name, row in zip("ab", noise, strict=True)
    )
    table.to_parquet(tmp_path / "traffic.parquet", index=False)
    (tmp_path / "sites.csv").write_text("station_id,lon,lat\na,9.1,45.4\nb,9.12,45.41\nc,9.13,45.42\n")
    return [
        *("--traffic", "traffic.parquet", "--stations", "sites.csv", "--column", "station_id=site"),
        *("--column", "timestamp=time", "--timezone", "Europe/Rome", "--unit", "MB"),
    ]


def test_help_and_version_are_light(lecdiff: Lecdiff) -> None:
    """No heavy library is loaded to answer."""
    program = "import sys; sys.argv[1:] = ['--help']\ntry:\n from lecdiff_core.cli import main; main()\n"
    program += "finally: print(sorted({'torch', 'pandas', 'numpy', 'pyarrow', 'geopandas'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    for command in ("demo", "import", "train", "forecast", "benchmark", "info", "app"):
        assert f"\n  {command} " in shown
    assert shown.endswith("[]\n")
    assert lecdiff("--version").stdout == f"lecdiff {__version__}\n"
    assert lecdiff().stdout == shown.removesuffix("[]\n")


def test_import_and_info(lecdiff: Lecdiff, files: list[str], tmp_path: Path) -> None:
    refused = lecdiff("import", "city", *files)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (
        "lecdiff: traffic.parquet: 1 stations have no traffic: c; "
        "complete the files, or leave these out with --on-unknown drop\n"
    )
    assert not (tmp_path / "city").exists()
    done = lecdiff("import", "city", *files, "--on-unknown", "drop")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:2] == [
        "city: 2 stations × 1008 intervals of 30min from readings of 30min",
        "period: 2024-03-04T00:00:00+01:00 to 2024-03-25T00:00:00+01:00 (Europe/Rome)",
    ]
    again = lecdiff("import", "city", *files, "--on-unknown", "drop", "--interval", "1h", "--json")
    report = json.loads(again.stdout)
    assert (report["steps"], report["stations_without_traffic"]) == (504, {"count": 1, "first": ["c"]})
    assert City.open(tmp_path / "city").steps_per_day == 24
    text, data = lecdiff("info", "city"), json.loads(lecdiff("info", "city", "--json").stdout)
    assert "models: none" in text.stdout.splitlines()
    assert "missing: a trained model; make one with: lecdiff train" in text.stdout.splitlines()
    assert (data["stations"], data["models"], data["missing_share"]) == (2, [], 0.0)


def test_train_and_forecast(lecdiff: Lecdiff, files: list[str], tmp_path: Path) -> None:
    assert lecdiff("import", "city", *files, "--on-unknown", "drop").returncode == 0
    untrained = lecdiff("forecast", "city", "--out", "base.csv")
    assert untrained.returncode == 0
    assert "made with the base model" in untrained.stderr
    missing = lecdiff("forecast", "city", "--model", "lstm", "--out", "f.csv")
    assert missing.returncode == 2
    assert "lecdiff train" in missing.stderr
    trained = lecdiff("train", "city", "--model", "climatology", "--json")
    assert trained.returncode == 0, trained.stderr
    assert isinstance(json.loads(trained.stdout), dict)
    words = ("forecast", "city", "--model", "climatology", "--samples", 20, "--stations", "b", "--out")
    first = lecdiff(*words, "new/f.csv", "--start", "2024-03-24 06:00", "--steps", 6)
    assert first.returncode == 0, first.stderr
    assert first.stdout == "1 station × 6 steps from 2024-03-24T06:00:00+01:00 written to new/f.csv\n"
    table = pd.read_csv(tmp_path / "new" / "f.csv")
    assert list(table.columns) == ["station_id", "timestamp", "mean", "q05", "q25", "q50", "q75", "q95"]
    second = json.loads(lecdiff(*words, "f.parquet", "--keep-samples", "--json").stdout)
    assert (second["stations"], second["steps"], second["start"]) == (1, 48, "2024-03-25T00:00:00+01:00")
    assert "sample_19" in pd.read_parquet(tmp_path / "f.parquet").columns
    for wrong, message in (
        (("f.txt",), "--out f.txt: the name must end in .parquet or .csv"),
        (("f.csv", "--start", "soon"), "--start soon: this is no time in Europe/Rome"),
        (("f.csv", "--start", "2024-03-31 02:30"), "the clocks of Europe/Rome skip this time"),
    ):
        refused = lecdiff(*words, *wrong)
        assert refused.returncode == 2
        assert message in refused.stderr
    assert lecdiff("info", "city", "--json").stdout.count("climatology") == 1


HOSTILE = {
    "A,1": "A,1",
    "=1+1": "'=1+1",
    "-2": "'-2",
    '"q"': '"q"',
    "A": "A",
}  # ids, and how a spreadsheet gets to see them


@pytest.fixture
def hostile(little_city: City) -> City:
    """A city with ids that mean something to a list or a spreadsheet, the last of them hardly observed."""
    names = [*HOSTILE, *little_city.station_ids[len(HOSTILE) :]]
    traffic = little_city.traffic.set_axis(names, axis=1)
    traffic.loc[traffic.index[:-6], names[-1]] = np.nan
    stations = little_city.stations.assign(station_id=names)
    return write_city(little_city.path, little_city.meta, stations, traffic)


def test_stations_are_asked_for_by_whatever_they_are_called(lecdiff: Lecdiff, hostile: City) -> None:
    words = ("forecast", hostile.path, "--model", "climatology", "--samples", 4, "--out")
    assert lecdiff("train", hostile.path, "--model", "climatology").returncode == 0
    for asked, ids in (
        (("A,1",), ["A,1"]),
        (('"A,1"', "A"), ["A,1", "A"]),
        (('"A,1", A',), ["A,1", "A"]),
        (("A , -2",), ["A", "-2"]),
        (("=1+1", '"q"'), ["=1+1", '"q"']),
    ):
        options = [f"--stations={value}" for value in asked]
        done = lecdiff(*words, "f.csv", *options)
        assert done.returncode == 0, done.stderr
        with Path("f.csv").open(newline="") as file:
            assert {row["station_id"] for row in csv.DictReader(file)} == {HOSTILE[name] for name in ids}
        assert lecdiff(*words, "f.parquet", *options).returncode == 0
        assert set(pd.read_parquet("f.parquet")["station_id"]) == set(ids)
    refused = lecdiff(*words, "f.csv", "--stations", 'A,"B')
    assert refused.returncode == 2 and "a name with a comma in double quotes" in refused.stderr
    refused = lecdiff(*words, "f.csv", "--stations", "A,2")
    assert refused.returncode == 2 and "no station '2'" in refused.stderr


def test_who_is_not_forecast_is_said_last(lecdiff: Lecdiff, hostile: City) -> None:
    last = hostile.station_ids[-1]
    assert lecdiff("train", hostile.path, "--model", "climatology").returncode == 0
    words = ("forecast", hostile.path, "--model", "climatology", "--samples", 4, "--out", "f.csv")
    assert lecdiff(*words).stdout.rstrip().endswith(f"written to f.csv; not forecast, for too little history: {last}")
    told = json.loads(lecdiff(*words, "--json").stdout)
    assert told["left_out"] == [last] and told["stations"] == 11
    assert any(f"left out ({last})" in notice for notice in told["notices"])
    alone = lecdiff(*words, "--stations", last)
    assert alone.returncode == 3 and f"station {last!r} has too little history" in alone.stderr
    info = lecdiff("info", hostile.path)
    assert f"1 station is young, first observed less than 7 days before: {last}" in info.stdout


@pytest.mark.slow
def test_a_forecast_from_files_a_process_each(files: list[str], tmp_path: Path) -> None:
    for words in (
        ("import", "city", *files, "--on-unknown", "drop"),
        ("train", "city", "--model", "climatology"),
        ("forecast", "city", "--model", "climatology", "--out", "f.csv"),
        ("info", "city"),
    ):
        done = in_a_process(*words, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout
    assert len(pd.read_csv(tmp_path / "f.csv")) == 2 * 48


def test_benchmark(lecdiff: Lecdiff, files: list[str], tmp_path: Path) -> None:
    assert lecdiff("import", "city", *files, "--on-unknown", "drop").returncode == 0
    words = ("benchmark", "city", "--models", "climatology,seasonal-naive", "--seeds", 1, "--out", "b.json")
    table = lecdiff(*words)
    assert table.returncode == 0, table.stderr
    header = "model seed mae rmse crps ncrps coverage_50 coverage_90 day_peak day_total area_20 area_all dependence"
    assert table.stdout.split("\n")[0].split() == header.split()
    written = json.loads((tmp_path / "b.json").read_text())
    assert [row["model"] for row in written["results"] if row["dependence"] == "own"] == [
        "climatology",
        "seasonal-naive",
    ]
    assert [line.split()[-1] for line in table.stdout.splitlines()[1:]] == [
        row["dependence"] for row in written["results"]
    ]
    assert json.loads(lecdiff(*words, "--json").stdout) == written | {"left_out": [], "notices": []}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["info", "nowhere"], "nowhere is not a folder; make a city with `lecdiff demo` or `lecdiff import`"),
        (["info", "."], ". is not a city folder: it has no city.toml; make one with `lecdiff import`"),
        (["import", "city"], "Missing option '--traffic'. See: lecdiff import --help"),
        (["import", "city", "--traffic", "x", "--layout", "tall"], "--layout tall: it must be one of long, wide"),
        (["import", "city", "--traffic", "x", "--column", "lon"], "--column lon: write it as ROLE=NAME"),
        (["import", "city", "--traffic", "x.csv", "--stations", "y"], "x.csv cannot be read: there is no such file"),
        (["fly"], "No such command 'fly'. See: lecdiff --help"),
        (["train", "city", "--seed", "x"], "Invalid value for '--seed'"),
        (["app", "nowhere"], "nowhere is not a folder"),
    ],
)
def test_a_users_mistake_is_one_line_and_status_2(lecdiff: Lecdiff, words: list[str], message: str) -> None:
    refused = lecdiff(*words)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("lecdiff: ")
    assert refused.stderr.count("\n") == 1
    assert message in refused.stderr


def test_a_process_ends_with_status_2(tmp_path: Path) -> None:
    refused = in_a_process("info", "nowhere", cwd=tmp_path)
    message = "lecdiff: nowhere is not a folder; make a city with `lecdiff demo` or `lecdiff import`\n"
    assert (refused.returncode, refused.stdout, refused.stderr) == (2, "", message)


STOPPED = """
import os, signal
from lecdiff_core.city.importers import importing
importing.write_city = lambda *_: os.kill(os.getpid(), signal.SIGINT)
from lecdiff_core.cli import main
main()
"""


def test_ctrl_c_says_how_to_go_on(files: list[str], tmp_path: Path) -> None:
    words = ["import", "my city", *files, "--on-unknown", "drop"]
    stopped = subprocess.run(
        [sys.executable, "-c", STOPPED, *words], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert stopped.returncode == 128 + signal.SIGINT
    assert stopped.stderr == (
        f"lecdiff: stopped; what was finished is kept, go on with: lecdiff import 'my city' {shlex.join(words[2:])}\n"
    )
    assert not (tmp_path / "my city").exists()


def test_a_bug_is_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_progress_is_a_bar_on_a_terminal(files: list[str], tmp_path: Path) -> None:
    reading, writing = pty.openpty()
    done = subprocess.run(
        [*LECDIFF, "import", "city", *files, "--on-unknown", "drop", "--json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=writing,
        check=True,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(writing)
    assert json.loads(done.stdout)["rows"] == 2016
    assert b"writing the city folder" in os.read(reading, 100_000)
    os.close(reading)


def test_progress_is_a_line_now_and_then_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 10.0, 60.0, 70.0, 120.0])
    monkeypatch.setattr(cli.time, "monotonic", lambda: next(clock))
    report = cli._report_lines()
    for done in (1, 25, 30, 75):
        report(done, 100, "training")
    assert capsys.readouterr().err == "training: 25%, about 3.0 min left\ntraining: 75%, about 0.7 min left\n"


def test_json_knows_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    cli._print({"a": float("nan"), "b": [1.5, (float("inf"),)], "c": Path("x")}, [], as_json=True)
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [1.5, [None]], "c": "x"}


def test_app_is_started_with_its_options(lecdiff: Lecdiff, monkeypatch: pytest.MonkeyPatch) -> None:
    from lecdiff_core import serve

    started: list[tuple[object, ...]] = []
    monkeypatch.setattr(serve, "run", lambda *options: started.append(options))
    assert lecdiff("app", "towns/a", "--port", 8600, "--headless").returncode == 0
    assert started == [(Path("towns/a"), 8600, True)]


def test_demo_copies_or_generates(lecdiff: Lecdiff, monkeypatch: pytest.MonkeyPatch) -> None:
    from lecdiff_core import demo

    calls: list[object] = []

    def refuse(*args: object, **options: object) -> None:
        calls.append((args, options.get("stations"), options.get("seed")))
        raise UserError("enough")

    monkeypatch.setattr(demo, "copy_demo_city", refuse)
    monkeypatch.setattr(demo, "generate_town", refuse)
    for options in ((), ("--stations", 30), ("--seed", 7)):
        assert lecdiff("demo", "town", *options).stderr == "lecdiff: enough\n"
    assert calls == [((Path("town"),), None, None), ((Path("town"),), 30, 0), ((Path("town"),), 150, 7)]


def test_a_generated_town_is_a_city(lecdiff: Lecdiff, tmp_path: Path) -> None:
    """The importer's and the generator's folders are of one form."""
    from lecdiff_core.demo import generate_town

    generate_town(tmp_path / "town", stations=5, days=14, imagery=False)
    summary = json.loads(lecdiff("info", "town", "--json").stdout)
    assert (summary["stations"], summary["steps"]) == (5, 14 * 48)
    assert summary["generator"]


def test_a_german_export_is_imported_without_a_word_of_its_columns(lecdiff: Lecdiff, tmp_path: Path) -> None:
    rows = [
        f"{cell};{day:02}.03.2024 {hour:02}:00;1.{hour:03},5" for cell in "AB" for day in (30, 31) for hour in range(24)
    ]
    kept = [row for row in rows if "31.03.2024 02:00" not in row]  # which the clocks skip
    (tmp_path / "Verkehr.csv").write_text("\n".join(["Zelle;Zeit;Verkehr (MB)", *kept]), encoding="cp1252")
    sites = "Zelle;Standort;Länge;Breite;Kapazität\nA;Süd;11,57;48,13;1.500,5\nB;Nord;11,58;48,14;\n"
    (tmp_path / "Standorte.csv").write_text(sites, encoding="utf-16")
    done = lecdiff(
        *("import", "city", "--traffic", "Verkehr.csv", "--stations", "Standorte.csv"),
        *("--interval", "1h", "--timezone", "Europe/Berlin", "--unit", "MB"),
    )
    assert done.returncode == 0, done.stderr
    assert (
        "columns of the traffic: station_id is 'Zelle', timestamp is 'Zeit', traffic is 'Verkehr (MB)'" in done.stdout
    )
    stations = geopandas.read_parquet(tmp_path / "city" / "stations.parquet")
    assert stations[["station_id", "name"]].to_numpy().tolist() == [["A", "Süd"], ["B", "Nord"]]
    assert stations["capacity"].iloc[0] == 1500.5 and stations.geometry.x.tolist() == [11.57, 11.58]
    assert pd.read_parquet(tmp_path / "city" / "traffic.parquet")["A"].iloc[1] == 1001.5


def test_columns_of_both_files_missing_values_and_decimals_are_options(lecdiff: Lecdiff, tmp_path: Path) -> None:
    hours = [f"2024-03-01 {hour:02}:00" for hour in range(6)]
    values = ["1.662", "off", "-1", "987", "12", "13"]
    rows = "".join(f"x;{hour};{value}\n" for hour, value in zip(hours, values, strict=True))
    (tmp_path / "t.csv").write_text(f"this;timestamp;that\n{rows}")
    (tmp_path / "s.csv").write_text("here,lon,lat\nx,9,45\n")
    done = lecdiff(
        *("import", "city", "--traffic", "t.csv", "--stations", "s.csv", "--interval", "1h", "--decimal", ","),
        *("--column", "traffic:station_id=this", "--column", "stations:station_id=here", "--column", "traffic=that"),
        *("--na", "off", "--na", "-1"),
    )
    assert done.returncode == 0, done.stderr
    column = pd.read_parquet(tmp_path / "city" / "traffic.parquet")["x"]
    assert column.dropna().tolist() == [1662, 987, 12, 13] and column.isna().sum() == 2
