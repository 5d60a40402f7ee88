"""One forecast, one set of numbers: on a page, from the command line and in Python."""

import ast
import sys
from pathlib import Path

import pandas as pd
import pytest

from lecdiff_core import api, cli
from lecdiff_core.city.folder import City
from lecdiff_core.evaluation.metrics import sample_quantiles
from lecdiff_core.forecaster import Forecaster
from lecdiff_core.tables import csv_text
from pages.parts.charts import exports
from pages.parts.data import forecasts
from tests.conftest import make_city

ROOT = Path(__file__).resolve().parents[1]
MODEL = "adaptive-climatology"
SHOWING = [ROOT / "lecdiff_core" / "congestion.py", *sorted((ROOT / "pages").rglob("*.py"))]
QUANTILES = {"quantile", "nanquantile", "percentile", "nanpercentile", "median", "nanmedian"}
OF_OTHER_THINGS = {  # functions that take quantiles of something else than samples of a forecast
    ("congestion.py", "usual_capacities"),  # of a station's past
    ("environment.py", "show_kinds"),  # of places
    ("findings.py", "stations"),  # of errors
    ("error.py", "_highest"),
    ("forecast.py", "highest"),  # of all stations' widths, for the colours
    ("traffic_levels.py", "top"),
    ("site_map.py", "widest_gap"),  # of places
    ("station_map.py", "outline"),  # of distances
    ("import_report.py", "_figures"),  # of the traffic of whole stations
}


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    city = make_city(tmp_path_factory.mktemp("truth") / "city")
    api.train(city, MODEL)
    return city


def test_page_command_line_and_python_tell_the_same_to_the_last_digit(
    city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    station, origin = "S07", city.traffic.index[300]
    python = Forecaster.load(city, MODEL, "cpu").forecast(origin, stations=[station]).to_frame()
    words = ["forecast", city.path, "--model", MODEL, "--stations", station, "--start", origin.isoformat()]
    for suffix in (".csv", ".parquet"):
        monkeypatch.setattr(sys, "argv", ["lecdiff", *map(str, words), "--out", str(tmp_path / f"f{suffix}")])
        with pytest.raises(SystemExit) as left:
            cli.main()
        assert left.value.code == 0
    command = (tmp_path / "f.csv").read_text()
    assert command == csv_text(python)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "f.parquet"), python)
    fan = forecasts.fan(city, MODEL, station, origin)
    page = exports.csv(city, {station: fan}).decode()
    assert [line.rpartition(",")[0] for line in page.splitlines()] == command.splitlines()
    assert page.splitlines()[0].endswith(",observed")
    for shown, column in (
        ("median", "q50"),
        ("low_50", "q25"),
        ("high_50", "q75"),
        ("low_90", "q05"),
        ("high_90", "q95"),
    ):
        assert getattr(fan, shown).tolist() == python[column].tolist()


def test_every_quantile_of_a_forecast_is_the_one_of_the_scores(city: City) -> None:
    drawn = Forecaster.load(city, MODEL, "cpu").forecast()
    for coverage, levels in ((0.9, [0.05, 0.95]), (0.5, [0.25, 0.75])):
        assert (drawn.interval(coverage) == sample_quantiles(drawn.samples, levels)).all()
    assert (drawn.peak_quantile(0.95) == sample_quantiles(drawn.samples.max(2), [0.95])[0]).all()


@pytest.mark.parametrize("file", SHOWING, ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_that_a_person_sees_takes_a_quantile_of_samples_of_its_own(file: Path) -> None:
    functions = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)]
    own = {
        (file.name, function.name)
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and node.attr in QUANTILES and not _of_a_forecast(node)
    }
    assert own <= OF_OTHER_THINGS


def _of_a_forecast(node: ast.Attribute) -> bool:
    """Whether it is `Forecast.quantile`, or the median that a fan or an outlook has from it."""
    return isinstance(node.value, ast.Name) and node.value.id in {"drawn", "forecast", "fan", "before", "after"}
