"""What the surroundings of a station add to its forecast: into results/environment_effect.json.

    python benchmarks/environment_effect.py [--models A,B] [--seeds 0,1] [--processes N] [--merge FILE...]

The demo city, which is synthetic (no real data set at hand has traffic, true coordinates and imagery together), its generator
frozen before the first run. `lec-diff` knows the embedding of each station's surroundings, `shuffled-gei` another station's,
`drop-gei` none; `seasonal-naive` is the yardstick. All by the measurement protocol, with all stations in training or a fifth of
them held out of it and measured alone, and with all of each station's history or only its last 24 hours. A training serves both
histories. The file is written after every training; what is in it, or in the files to merge, is not computed again, so
a study can be stopped, resumed, and split over machines.
"""

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import RESULTS, record

from lecdiff_core.backtest import PROTOCOL, Run, fitted, measure, result_key
from lecdiff_core.city.folder import City
from lecdiff_core.city.windows import Panel, protocol_split
from lecdiff_core.demo import DEMO_CITY
from lecdiff_core.devices import device_label
from lecdiff_core.environment.table import read_panel
from lecdiff_core.results import paired_difference

NAME = "environment_effect"
MODELS = ("lec-diff", "shuffled-gei", "drop-gei", "seasonal-naive")
SEEDS = (0, 1, 2)
HELD_OUT = (0.0, 0.2)  # share of stations
HISTORIES = (None, 24)  # hours
KEPT = ("ncrps", "mae", "rmse", "coverage_50", "coverage_90", "conformal", "ncrps_by_day", "train_seconds")
Result = dict[str, Any]


def main() -> None:
    """Measure what is missing, and write all there is with its comparison."""
    chosen = read_arguments()
    runs = [
        Run(model, seed, "test", share, subset=False)
        for model in chosen.models.split(",")
        for seed in map(int, chosen.seeds.split(","))
        for share in HELD_OUT
    ]
    results = known_results([RESULTS / f"{NAME}.json", *chosen.merge])
    missing = [run for run in runs if not all(key in results for key in keys(run))]
    print(f"{len(runs) - len(missing)} trainings are there, {len(missing)} to do", file=sys.stderr, flush=True)
    write(results)
    with ProcessPoolExecutor(chosen.processes, mp_context=get_context("spawn")) as pool:
        for done, future in enumerate(as_completed(pool.submit(measured, run) for run in missing), start=1):
            for result in future.result():
                results[result["key"]] = result
            write(results)
            print(f"{done} of {len(missing)} trainings done", file=sys.stderr, flush=True)


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    parser.add_argument("--processes", type=int, default=1, help="trainings at a time, each on one thread")
    parser.add_argument("--merge", nargs="*", type=Path, default=[], help="result files of other machines")
    return parser.parse_args()


@cache
def demo() -> tuple[City, Panel, str | None]:
    """The demo city, its panel with embeddings, and their encoder's hash."""
    city = City.open(DEMO_CITY)
    return city, *read_panel(city)


def keys(run: Run) -> list[str]:
    """Keys of a training's results, one a history."""
    city, panel, encoder = demo()
    return [result_key(replace(run, history_hours=hours), panel, city, encoder) for hours in HISTORIES]


def measured(run: Run) -> list[Result]:
    """Train once and measure with each history."""
    torch.set_num_threads(1)
    device = torch.device("cpu")
    _, panel, _ = demo()
    trained = fitted(run, panel, protocol_split(panel.steps), device)
    results = []
    for hours, key in zip(HISTORIES, keys(run), strict=True):
        scores = measure(replace(run, history_hours=hours), panel, device, fit=lambda *_: trained)
        name = {"model": run.model, "seed": run.seed, "hold_out_stations": run.hold_out, "history_hours": hours}
        scores["train_seconds"] = round(trained.seconds, 1)
        results.append(name | {field: scores[field] for field in KEPT} | {"key": key})
    return results


def known_results(files: list[Path]) -> dict[str, Result]:
    """Results of earlier runs by their key; of a run under several keys, the last file's."""
    found: dict[tuple[Any, ...], Result] = {}
    for file in files:
        if file.is_file():
            for result in json.loads(file.read_text())["results"]:
                found[order(result)] = result
    return {result["key"]: result for result in found.values()}


def order(result: Result) -> tuple[Any, ...]:
    """What a result is of, and where it stands in the file."""
    setting = (result["hold_out_stations"], result["history_hours"] or 0)
    return (*setting, MODELS.index(result["model"]), result["seed"])


def write(results: dict[str, Result]) -> None:
    """Write the results, those that a newer one replaces left out, and their comparison."""
    latest = {order(result): result for result in results.values()}
    rows = [latest[place] for place in sorted(latest)]
    document = {
        "city": demo()[0].meta.name,
        "synthetic": True,
        "protocol": PROTOCOL,
        "part": "test",
        "device": device_label(torch.device("cpu")),
        "comparison": [line for share in HELD_OUT for hours in HISTORIES for line in compared(rows, share, hours)],
        "results": rows,
    }
    record(NAME, document)


def compared(rows: list[Result], share: float, hours: int | None) -> list[Result]:
    """Each model under one setting: its mean over seeds, and how `lec-diff` differs from it, paired by day."""
    inside = [row for row in rows if (row["hold_out_stations"], row["history_hours"]) == (share, hours)]
    by_model = {model: [row for row in inside if row["model"] == model] for model in MODELS}
    lines = []
    for model, runs in by_model.items():
        if not runs:
            continue
        scores = [run["ncrps"] for run in runs]
        line = {"hold_out_stations": share, "history_hours": hours, "model": model, "seeds": len(runs)}
        line["ncrps"] = round(float(np.mean(scores)), 4)
        line["standard_deviation"] = round(float(np.std(scores, ddof=1)), 4) if len(runs) > 1 else None
        if model != "lec-diff" and by_model["lec-diff"]:
            difference, error = paired_difference(days(by_model["lec-diff"]), days(runs))
            won = "tie" if abs(difference) <= 2 * error else "lec-diff wins" if difference < 0 else "lec-diff loses"
            line |= {"lec_diff_less_this": round(difference, 5), "standard_error": round(error, 5), "verdict": won}
        lines.append(line)
    return lines


def days(runs: list[Result]) -> dict[str, float]:
    """nCRPS of each day, averaged over seeds."""
    return {day: float(np.mean([run["ncrps_by_day"][day] for run in runs])) for day in runs[0]["ncrps_by_day"]}


if __name__ == "__main__":
    main()
