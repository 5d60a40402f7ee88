"""Score the peers' samples as every other model's, into results/peers/CITY.json, a file like results/CITY.json.

    python -m benchmarks.peers.scores [milan nanjing demo] [--of FOLDER] [--to FOLDER] [--processes 1]

Reads what benchmarks/peers/windows.py and benchmarks/peers/forecast.py wrote. Every run is scored whole and, the first seed, on the
subset that the slow models are measured on; as it was drawn, and under the dependences that are lent to it. Results whose samples
lie here no more are kept as they are.
"""

import argparse
import hashlib
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.peers.exchange import ORIGINS_A_DAY, Known, read_city, read_samples
from lecdiff_core.city.panel import Panel
from lecdiff_core.evaluation.aggregates import Asked
from lecdiff_core.evaluation.backtest import SLOW_ORIGINS, SLOW_SAMPLES, lenders, threshold_of
from lecdiff_core.evaluation.conformal import Calibration
from lecdiff_core.evaluation.dependence import Lender
from lecdiff_core.evaluation.metrics import OrderedSamples, samples_last
from lecdiff_core.evaluation.scores import Scores, ValueScores
from lecdiff_core.storage import replacing

RESULTS = Path(__file__).resolve().parents[1] / "results"
FOLDER = RESULTS / "partial" / "peers"
COSTS = ("parameters", "train_seconds", "sample_seconds", "peak_mb")
NOTES = ("device", "settings", "trials", "budget_seconds", "libraries")


def score(
    city: Known, about: dict[str, Any], samples: dict[str, np.ndarray], seed: int, subset: bool, lender: Lender
) -> list[dict[str, Any]]:
    """Scores of samples (O, S, N, H) at the origins of the validation and the test part, a row a dependence; calibrated, too."""
    origins, count = (SLOW_ORIGINS, SLOW_SAMPLES) if subset else (None, None)
    validation, test = (about["origins"][part][:origins] for part in ("validation", "test"))
    calibration = Calibration.after(city.values[:, : validation[0]], city.steps_per_day, ORIGINS_A_DAY)
    for origin, drawn in zip(validation, samples["validation"], strict=False):
        calibration.add(origin, OrderedSamples.of(samples_last(drawn[:count])))
    panel = panel_of(city, about)
    places = None if about["positions"] is None else panel.positions
    scores = Scores(Asked.of(places), () if seed else tuple(about["stations"]))
    threshold = threshold_of(panel, np.arange(len(panel.station_ids)), about["test"][0])
    calibrated = ValueScores()
    for origin, drawn in zip(test, samples["test"], strict=False):
        observed = city.values[:, origin : origin + city.horizon]
        hours = city.slot[origin : origin + city.horizon] * 24 // city.steps_per_day
        day = (datetime.fromisoformat(city.start) + timedelta(days=1) * origin // city.steps_per_day).date().isoformat()
        lent = lender.ranks(origin, len(drawn[:count]), seed)
        ordered = scores.add(observed, drawn[:count], hours, day, threshold, lent)
        calibration.observe(city.values[:, :origin])
        move = calibration.map()
        calibrated.add(observed, move.of_ordered(ordered) if move else ordered, day)
        calibration.add(origin, ordered)
    conformal = calibrated.summary()
    about_all = {"conformal": {name: conformal[name] for name in ("coverage_50", "coverage_90", "ncrps")}}
    return [row | about_all for row in scores.rows().values()]


def panel_of(city: Known, about: dict[str, Any]) -> Panel:
    """The panel that a city was written from, but for its cells and embeddings."""
    stations = tuple(about["stations"])
    return Panel(
        values=city.values,
        clock=pd.date_range(city.start, periods=city.steps, freq=pd.Timedelta(days=1) / city.steps_per_day),
        timezone="UTC",
        steps_per_day=city.steps_per_day,
        station_ids=stations,
        positions=np.array(about["positions"] or np.full((len(stations), 2), np.nan)),
        holidays=tuple(date.fromisoformat(day) for day in about["holidays"]),
    )


@cache
def lender_of(folder: Path) -> Lender:
    """What lends dependence to the forecasts of a city's test part."""
    return lenders(panel_of(*read_city(folder)), "test")[0]


def results_of(file: Path) -> list[dict[str, Any]]:
    """Results of the samples that a log lies beside; none where they are of other data than the city's present ones."""
    city, about = read_city(file.parent)
    samples, log = read_samples(file.parent, file.stem)
    if log["data_hash"] != about["data_hash"]:
        return []
    results = []
    for subset in (False, True) if log["seed"] == 0 else (False,):
        run = {"model": log["model"], "seed": log["seed"], "subset": subset, "hold_out_stations": 0.0}
        parts = [run, log["recipe"], log["settings"], about["protocol"], about["data_hash"]]
        key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
        costs = {name: log[name] for name in (*COSTS, *NOTES) if name in log}
        rows = score(city, about, samples, log["seed"], subset, lender_of(file.parent))
        results += [run | row | costs | {"key": key} for row in rows]
    return results


def keep(out: Path, about: dict[str, Any], results: list[dict[str, Any]]) -> None:
    """Write results into a city's file; those of other runs that it holds stay."""
    name = ("model", "seed", "subset")
    new = {tuple(result[part] for part in name) for result in results}
    old = json.loads(out.read_text("utf-8"))["results"] if out.is_file() else []
    results = [result for result in old if tuple(result[part] for part in name) not in new] + results
    results.sort(key=lambda result: (result["subset"], result["model"], result["seed"], result.get("dependence", "")))
    document = {"city": about["city"], "protocol": about["protocol"], "part": "test", "device": "CPU, 1 thread"}
    with replacing(out) as unfinished:
        unfinished.write_text(json.dumps(document | {"results": results}, indent=1, ensure_ascii=False) + "\n", "utf-8")


def main() -> None:
    """Score the cities named on the command line, or all that are there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cities", nargs="*")
    parser.add_argument("--of", type=Path, default=FOLDER)
    parser.add_argument("--to", type=Path, default=RESULTS / "peers")
    parser.add_argument("--processes", type=int, default=1)
    chosen = parser.parse_args()
    cities = chosen.cities or [file.parent.name for file in chosen.of.glob("*/about.json")]
    files = sorted(file for city in cities for file in (chosen.of / city).glob("*-*.json"))
    with ProcessPoolExecutor(chosen.processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for file, results in zip(files, pool.map(results_of, files), strict=True):
            if results:
                about = json.loads((file.parent / "about.json").read_text("utf-8"))
                keep(chosen.to / f"{file.parent.name}.json", about, results)
                print(f"{file.parent.name}: {file.stem:16} ncrps {results[0]['ncrps']:.4f}", flush=True)


if __name__ == "__main__":
    main()
