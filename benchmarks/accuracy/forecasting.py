"""The tables of accuracy: every city by the measurement protocol, into benchmarks/results/CITY.json.

    python -m benchmarks.accuracy.forecasting [milan nanjing demo lte-year town-300] [--models lec-diff,climatology]
    python -m benchmarks.accuracy.forecasting --part zero-shot [nanchang beijing-5g …]      into CITY-zero-shot.json
    python -m benchmarks.accuracy.forecasting --models lec-diff,seasonal-naive --hold-out-stations 0.2 [--history-hours 24]

Real cities are imported from LECDIFF_REAL_DATA (default ../shared/data) into a temporary folder; the demo city is the shipped one,
the town a generated one. What has no known places is measured without. Results that are there already are not computed again. A
city that the base model was fitted on is measured by the base that saw nothing of its network.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Literal

import pandas as pd

from benchmarks.machine import describe_machine
from lecdiff_core.city.folder import City
from lecdiff_core.city.importers.importing import import_city
from lecdiff_core.demo import DEMO_CITY, generate_town
from lecdiff_core.evaluation.backtest import PARTS, benchmark
from lecdiff_core.models.base import network_of

SHOWN = ("step", "day_peak", "day_total", "area_20", "area_all")
ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"


def milan(folder: Path, data: Path) -> City:
    """Telecom Italia's ten-minute internet activity, summed to half-hours. 1 November 2013 is a holiday."""
    import_city(
        folder,
        data / "milan" / "traffic_10min.parquet",
        data / "milan" / "stations.csv",
        interval="30min",
        timezone="Europe/Rome",
        unit="CDR activity",
        name="Milan",
        holidays=[date(2013, 11, 1)],
    )
    return City.open(folder)


def nanjing(folder: Path, data: Path) -> City:
    """Hourly traffic of a grid over Nanjing; the places are nominal. Lunar New Year's holidays are 11-17 February 2021."""
    import_city(
        folder,
        data / "nanjing-grid" / "traffic.parquet",
        data / "nanjing-grid" / "stations.csv",
        interval="1h",
        timezone="Asia/Shanghai",
        unit="scaled",
        coordinates="nominal",
        name="Nanjing",
        holidays=[date(2021, 2, day) for day in range(11, 18)],
    )
    return City.open(folder)


def demo(folder: Path, data: Path) -> City:  # noqa: ARG001 (all cities are made alike)
    """The shipped demo city."""
    return City.open(DEMO_CITY)


def town(folder: Path, data: Path) -> City:  # noqa: ARG001
    """A generated town without imagery: what `lecdiff demo CITY --stations 300 --seed 12` makes of traffic."""
    return generate_town(folder, stations=300, seed=12, imagery=False)


def lte_year(folder: Path, data: Path) -> City:
    """The last 120 days of nine cells of an LTE network; in which zone they stand is not known."""
    first = pd.Timestamp("2018-10-23", tz="UTC") - pd.Timedelta(days=120)
    return _piece(folder, data / "lte-year", first, days=120, name="LTE, 120 days", timezone="UTC", unit="MB")


def nanchang(folder: Path, data: Path) -> City:
    """Cells in Nanchang, half-hourly; the weekday of its clock is made up, and who is next to whom is known in patches only."""
    file = data / "nanchang" / "traffic.parquet"
    return _without_places(folder, file, interval="30min", timezone="Asia/Shanghai", unit="MB", name="Nanchang")


def beijing(folder: Path, data: Path) -> City:
    """Beijing's 5G stations, hourly; the weekday of their clock is made up."""
    file = data / "beijing-5g" / "traffic.parquet"
    return _without_places(folder, file, interval="1h", timezone="Asia/Shanghai", unit="MB", name="Beijing 5G")


def milan_grid(folder: Path, data: Path, first: str, days: int, name: str) -> City:
    """400 larger squares of Milan, hourly, in one of two pieces that are far apart."""
    start = pd.Timestamp(first, tz="Europe/Rome")
    stations = data / "milan-grid400" / "stations.csv"
    about = {"name": name, "timezone": "Europe/Rome", "unit": "CDR activity", "coordinates": "true"}
    return _piece(folder, data / "milan-grid400", start, days, stations, **about)


def hangzhou(folder: Path, data: Path) -> City:
    """The eight whole days of Hangzhou's clusters of base stations, hourly."""
    first = pd.Timestamp("2012-08-19", tz="Asia/Shanghai")
    return _piece(folder, data / "hangzhou", first, days=8, name="Hangzhou", timezone="Asia/Shanghai", unit="bytes")


def _piece(
    folder: Path,
    source: Path,
    first: pd.Timestamp,
    days: int,
    stations: Path | None = None,
    coordinates: Literal["true", "none"] = "none",
    **about: str,
) -> City:
    """Some days of hourly traffic."""
    traffic = pd.read_parquet(source / "traffic.parquet", columns=["timestamp", "station_id", "traffic"])
    inside = (traffic["timestamp"] >= first) & (traffic["timestamp"] < first + pd.Timedelta(days=days))
    file = folder.parent / f"{folder.name}.parquet"
    traffic[inside].to_parquet(file)
    import_city(folder, file, stations, interval="1h", coordinates=coordinates, **about)
    return City.open(folder)


def _without_places(folder: Path, file: Path, **about: str) -> City:
    import_city(folder, file, coordinates="none", **about)
    return City.open(folder)


TRAINED: dict[str, Callable[[Path, Path], City]] = {
    "milan": milan,
    "nanjing": nanjing,
    "demo": demo,
    "lte-year": lte_year,
    "town-300": town,
}
TOO_SHORT_TO_TRAIN: dict[str, Callable[[Path, Path], City]] = {
    "nanchang": nanchang,
    "beijing-5g": beijing,
    "milan-grid400-a": partial(milan_grid, first="2013-11-08", days=6, name="Milan grid, November"),
    "milan-grid400-b": partial(milan_grid, first="2013-12-08", days=7, name="Milan grid, December"),
    "hangzhou": hangzhou,
}
CITIES = TRAINED | TOO_SHORT_TO_TRAIN


def main() -> None:
    """Measure the cities named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cities", nargs="*", choices=[*CITIES, []])
    parser.add_argument("--models", default=None)
    parser.add_argument("--part", default="test", choices=PARTS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--hold-out-stations", type=float, default=0.0)
    parser.add_argument("--history-hours", type=int, default=None)
    parser.add_argument("--device", default="auto")
    chosen = parser.parse_args()
    data = Path(os.environ.get("LECDIFF_REAL_DATA", ROOT.parent / "shared" / "data"))
    models = tuple(chosen.models.split(",")) if chosen.models else None
    for name in chosen.cities or (CITIES if chosen.part == "zero-shot" else TRAINED):
        with tempfile.TemporaryDirectory() as folder:
            city = CITIES[name](Path(folder) / name, data)
            out = RESULTS / (f"{name}.json" if chosen.part == "test" else f"{name}-{chosen.part}.json")
            document = benchmark(
                city,
                out,
                chosen.part,
                models,
                chosen.seeds,
                chosen.hold_out_stations,
                chosen.history_hours,
                chosen.device,
                report=_say,
                base_without=network_of(city.station_ids) if chosen.part == "zero-shot" else None,
            )
        for result in document["results"]:
            scores = (f"{score} {result[score]['ncrps']:.4f}" for score in SHOWN if score in result)
            print(f"{name}: {result['model']:22} {result.get('dependence', 'own'):9} seed {result['seed']}", *scores)
    print(describe_machine())


def _say(done: float, total: float, message: str) -> None:
    if done == int(done):
        print(f"{done:.0f} of {total:.0f}: {message}", flush=True)


if __name__ == "__main__":
    main()
