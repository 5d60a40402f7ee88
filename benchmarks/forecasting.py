"""The test tables: every city by the measurement protocol, into benchmarks/results/CITY.json.

    python benchmarks/forecasting.py [milan nanjing demo] [--models lec-diff,climatology]
    python benchmarks/forecasting.py --models lec-diff,seasonal-naive --hold-out-stations 0.2 [--history-hours 24]

Milan and Nanjing are imported from LECDIFF_REAL_DATA (default ../shared/data) into a temporary folder; the demo city is the
shipped one. Results that are there already are not computed again.
"""

import argparse
import os
import tempfile
from datetime import date
from pathlib import Path

from machine import describe_machine

from lecdiff_core.backtest import benchmark
from lecdiff_core.city.folder import City
from lecdiff_core.city.importers.importing import import_city
from lecdiff_core.demo import DEMO_CITY

ROOT = Path(__file__).resolve().parents[1]
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


CITIES = {"milan": milan, "nanjing": nanjing, "demo": demo}


def main() -> None:
    """Measure the cities named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cities", nargs="*", default=list(CITIES), choices=[*CITIES, []])
    parser.add_argument("--models", default=None)
    parser.add_argument("--part", default="test", choices=["validation", "test"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--hold-out-stations", type=float, default=0.0)
    parser.add_argument("--history-hours", type=int, default=None)
    parser.add_argument("--device", default="auto")
    chosen = parser.parse_args()
    data = Path(os.environ.get("LECDIFF_REAL_DATA", ROOT.parent / "shared" / "data"))
    models = tuple(chosen.models.split(",")) if chosen.models else None
    for name in chosen.cities:
        with tempfile.TemporaryDirectory() as folder:
            city = CITIES[name](Path(folder) / name, data)
            out = RESULTS / (f"{name}.json" if chosen.part == "test" else f"{name}-validation.json")
            held_out = (chosen.hold_out_stations, chosen.history_hours)
            document = benchmark(city, out, chosen.part, models, chosen.seeds, *held_out, chosen.device, report=_say)
        for result in document["results"]:
            print(f"{name}: {result['model']:22} seed {result['seed']}  ncrps {result['ncrps']:.4f}")
    print(describe_machine())


def _say(done: float, total: float, message: str) -> None:
    if done == int(done):
        print(f"{done:.0f} of {total:.0f}: {message}", flush=True)


if __name__ == "__main__":
    main()
