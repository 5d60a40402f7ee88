"""What the surroundings of a station add to its forecast: into results/environment_effect.json.

    python -m benchmarks.surroundings.environment_effect [--models A,B] [--seeds 0,1] [--processes N] [--epochs N]

The demo city, which is synthetic (no real data set at hand has traffic, true coordinates and imagery together), its generator
frozen before the first run. `lec-diff` knows the embedding of each station's surroundings, `shuffled-gei` another station's,
`drop-gei` none; `seasonal-naive` is the yardstick. All by the measurement protocol, with all stations in training or a fifth of
them held out of it and measured alone, and with all of each station's history or only its last 24 hours. A training serves both
histories. `--epochs` shortens all trainings alike, and is kept with the results. The file is written after every training; what is
in it, or in the files to merge, is not computed again, so a study can be stopped, resumed, and split over machines.
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

import torch

from benchmarks.record import RESULTS, record
from lecdiff_core.city.folder import City
from lecdiff_core.city.panel import Panel
from lecdiff_core.city.splits import protocol_split
from lecdiff_core.demo import DEMO_CITY
from lecdiff_core.devices import device_label
from lecdiff_core.environment.embedding.table import read_panel
from lecdiff_core.evaluation import results
from lecdiff_core.evaluation.backtest import PROTOCOL, Run, fitted, measure, result_key
from lecdiff_core.models.names import OURS, WITH_OTHERS_SURROUNDINGS, WITHOUT_SURROUNDINGS, YESTERDAY
from lecdiff_core.training import RECIPES

NAME = "environment_effect"
MODELS = (OURS, WITH_OTHERS_SURROUNDINGS, WITHOUT_SURROUNDINGS, YESTERDAY)
SEEDS = (0, 1, 2)
HELD_OUT = (0.0, 0.2)  # share of stations
HISTORIES = (None, 24)  # hours
KEPT = ("ncrps", "mae", "rmse", "coverage_50", "coverage_90", "conformal", "ncrps_by_day", "train_seconds")
Result = dict[str, Any]


def main() -> None:
    """Measure what is missing, and write all there is with its comparison."""
    chosen = read_arguments()
    shorten(chosen.epochs)
    runs = [
        Run(model, seed, "test", share, subset=False)
        for seed in map(int, chosen.seeds.split(","))
        for share in HELD_OUT
        for model in chosen.models.split(",")
    ]
    known = known_results([RESULTS / f"{NAME}.json", *chosen.merge])
    missing = [run for run in runs if not all(key in known for key in keys(run))]
    print(f"{len(runs) - len(missing)} trainings are there, {len(missing)} to do", file=sys.stderr, flush=True)
    write(known)
    with ProcessPoolExecutor(chosen.processes, get_context("spawn"), shorten, (chosen.epochs,)) as pool:
        for done, future in enumerate(as_completed(pool.submit(measured, run) for run in missing), start=1):
            known |= {result["key"]: result for result in future.result()}
            write(known)
            print(f"{done} of {len(missing)} trainings done", file=sys.stderr, flush=True)


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    parser.add_argument("--processes", type=int, default=1, help="trainings at a time, each on one thread")
    parser.add_argument("--epochs", type=int, default=RECIPES["default"].epochs, help="at most, of a training")
    parser.add_argument("--merge", nargs="*", type=Path, default=[], help="result files of other machines")
    return parser.parse_args()


def shorten(epochs: int) -> None:
    """Train for at most so many epochs, in this process."""
    RECIPES["default"] = replace(RECIPES["default"], epochs=epochs)


@cache
def demo() -> tuple[City, Panel, str | None]:
    """The demo city, its panel with embeddings, and their encoder's hash."""
    city = City.open(DEMO_CITY)
    return city, *read_panel(city)


def keys(run: Run) -> list[str]:
    """Keys of a training's results, one a history."""
    city, panel, encoder = demo()
    return [result_key(replace(run, history_hours=hours), panel, encoder, city) for hours in HISTORIES]


def measured(run: Run) -> list[Result]:
    """Train once and measure with each history."""
    torch.set_num_threads(1)
    device = torch.device("cpu")
    _, panel, _ = demo()
    trained = fitted(run, panel, protocol_split(panel.steps), device)
    rows = []
    for hours, key in zip(HISTORIES, keys(run), strict=True):
        scores = measure(replace(run, history_hours=hours), panel, device, fit=lambda *_: trained)["own"]
        name = {"model": run.model, "seed": run.seed, "hold_out_stations": run.hold_out, "history_hours": hours}
        scores["train_seconds"] = round(trained.seconds, 1)
        rows.append(
            name | {"epochs": RECIPES["default"].epochs} | {field: scores[field] for field in KEPT} | {"key": key}
        )
    return rows


def known_results(files: list[Path]) -> dict[str, Result]:
    """Results of earlier runs by their key; of a run under several keys, the last file's."""
    known: dict[tuple[Any, ...], Result] = {}
    for file in files:
        if file.is_file():
            for result in json.loads(file.read_text())["results"]:
                known[order(result)] = result
    return {result["key"]: result for result in known.values()}


def order(result: Result) -> tuple[Any, ...]:
    """What a result is of, and where it stands in the file."""
    setting = (result["hold_out_stations"], result["history_hours"] or 0)
    return (*setting, MODELS.index(result["model"]), result["seed"])


def write(known: dict[str, Result]) -> None:
    """Write the results, those that a newer one replaces left out, and their comparison."""
    latest = {order(result): result for result in known.values()}
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
    models = results.models(
        map(results.Result.model_validate, rows), results.Conditions(hold_out_stations=share, history_hours=hours)
    )
    lines = []
    for name in [name for name in MODELS if name in models]:
        model = models[name]
        line = {"hold_out_stations": share, "history_hours": hours, "model": name, "seeds": len(model.runs)}
        line |= {"ncrps": round(model.mean("ncrps"), 4), "standard_deviation": model.spread("ncrps")}
        if name != OURS and OURS in models:
            said = results.verdict(models[OURS], model)
            line[OURS] = said.outcome
            line |= {"difference": round(said.difference, 5), "standard_error": round(said.error, 5)}
            line["change"] = round(said.change, 4)
        lines.append(line)
    return lines


if __name__ == "__main__":
    main()
