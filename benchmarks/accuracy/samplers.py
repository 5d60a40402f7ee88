"""nCRPS against denoising steps for every sampler, on validation data: into results/samplers.json.

    python -m benchmarks.accuracy.samplers [milan demo] [--steps 1,2,4,8,100] [--device auto]

One model a city, trained by the default recipe on the first 70 % (the demo city's is the shipped one); the same
weights and the same noise with every sampler and number of steps. Scored on the validation part, one origin a day,
100 samples. `evaluations` counts the calls of the network: one a step, for Heun two a step and one at the last.
"""

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.accuracy.forecasting import CITIES
from benchmarks.record import record
from lecdiff_core.city.folder import City
from lecdiff_core.city.graph import distance_graph
from lecdiff_core.city.panel import Panel
from lecdiff_core.city.splits import origins_within, protocol_split
from lecdiff_core.city.windows import Windows
from lecdiff_core.devices import choose_device, device_label
from lecdiff_core.diffusion.samplers import SAMPLERS
from lecdiff_core.environment.embedding.table import read_panel
from lecdiff_core.evaluation.scores import Scores
from lecdiff_core.models.catalogue import build
from lecdiff_core.models.checkpoint import load_model
from lecdiff_core.models.lecdiff import LecDiff
from lecdiff_core.models.protocol import RowNoise
from lecdiff_core.training import RECIPES, train

ROOT = Path(__file__).resolve().parents[2]
STEPS = (1, 2, 3, 4, 6, 8, 16, 32, 100)
ORIGINS_A_DAY, SAMPLES = 1, 100
ENOUGH = 0.01  # share by which the default's nCRPS may lie above that of the most steps
Run = dict[str, Any]


def trained(name: str, city: City, panel: Panel, device: torch.device) -> LecDiff:
    """The shipped model of the demo city, or one trained now."""
    if name == "demo":
        model, _ = load_model(city.model_folder("lec-diff"))
    else:
        model = build("lec-diff", panel, seed=0)
        train(model, panel, protocol_split(panel.steps), RECIPES["default"], 0, device)
    assert isinstance(model, LecDiff)
    return model.to(device).eval()


def score(model: LecDiff, panel: Panel, device: torch.device) -> tuple[float, float]:
    """nCRPS on the validation part, and the median seconds a forecast took."""
    graph = distance_graph(panel.positions)
    station = np.arange(1, len(panel.station_ids) + 1)
    windows = Windows(panel, graph, model.context, model.horizon, station)
    scores, seconds = Scores(), []
    for origin in origins_within(
        protocol_split(panel.steps).validation, model.horizon, panel.steps_per_day // ORIGINS_A_DAY
    ):
        noise = RowNoise.of((f"{origin}|{name}" for name in panel.station_ids), 0, device)
        batch = windows.batch(np.array([origin])).to(device)
        started = time.perf_counter()
        drawn = model.sample(batch, SAMPLES, noise)[0].cpu().numpy()
        seconds.append(time.perf_counter() - started)
        clock = panel.future_clock(int(origin), model.horizon)
        observed = panel.values[:, origin : origin + model.horizon]
        scores.add(observed, drawn, np.asarray(clock.hour), str(clock[0].date()))
    return scores.summary()["ncrps"], float(np.median(seconds))


def study(name: str, city: City, steps: list[int], device: torch.device) -> tuple[list[Run], tuple[str, int]]:
    """Every sampler with every number of steps on one city; and the default sampler and steps."""
    panel, _ = read_panel(city)
    model = trained(name, city, panel, device)
    default = model.config
    runs = []
    for sampler in SAMPLERS:
        for count in sorted({*steps, default.denoising_steps}):
            model.config = replace(default, sampler=sampler, denoising_steps=count)
            ncrps, seconds = score(model, panel, device)
            evaluations = 2 * count - 1 if sampler == "heun" else count
            runs.append({"city": city.meta.name, "sampler": sampler, "steps": count, "evaluations": evaluations})
            runs[-1] |= {"ncrps": round(ncrps, 6), "sample_seconds": round(seconds, 4)}
            print(runs[-1], flush=True)
    return runs, (default.sampler, default.denoising_steps)


def conclusion(runs: list[Run], sampler: str, steps: int) -> list[Run]:
    """For each city, how far the default lies above the most steps of its sampler."""
    sentences = []
    for city in dict.fromkeys(run["city"] for run in runs):
        same = [run for run in runs if (run["city"], run["sampler"]) == (city, sampler)]
        default = next(run for run in same if run["steps"] == steps)
        most = max(same, key=lambda run: run["steps"])
        above = default["ncrps"] / most["ncrps"] - 1
        sentences.append(
            {
                "city": city,
                "evaluations": default["evaluations"],
                "ncrps": default["ncrps"],
                "most_steps": most["steps"],
                "ncrps_at_most_steps": most["ncrps"],
                "above": round(above, 5),
                "within_one_percent": bool(above <= ENOUGH),
            }
        )
    return sentences


def main() -> None:
    """Study the cities named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cities", nargs="*", default=["milan", "demo"])
    parser.add_argument("--steps", default=",".join(map(str, STEPS)))
    parser.add_argument("--device", default="auto")
    chosen = parser.parse_args()
    data = Path(os.environ.get("LECDIFF_REAL_DATA", ROOT.parent / "shared" / "data"))
    device = choose_device(chosen.device)
    steps = [int(count) for count in chosen.steps.split(",")]
    runs: list[Run] = []
    for name in chosen.cities:
        with tempfile.TemporaryDirectory() as folder:
            measured, (sampler, default_steps) = study(name, CITIES[name](Path(folder) / name, data), steps, device)
        runs += measured
        document = {
            "what": "nCRPS against denoising steps, the same weights and noise, validation part",
            "part": "validation",
            "device": device_label(device),
            "samples": SAMPLES,
            "sampler": sampler,
            "steps": default_steps,
            "default": conclusion(runs, sampler, default_steps),
            "results": runs,
        }
        record("samplers", document)  # after each city, so that a study cut short is not lost


if __name__ == "__main__":
    main()
