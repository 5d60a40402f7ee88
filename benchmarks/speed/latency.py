"""Latency against network size: a day ahead for every station of generated towns, as the app asks for it; results/latency.json.

    python -m benchmarks.speed.latency [--device cpu] [--stations 100,1000,…] [--models lec-diff,timegrad] [--repeats 5] [--compile]

Towns without imagery, half-hourly, 30 days of history; 100 samples of 24 hours. Each size is measured in a process of
its own, loaded and warm: median over different origins, and the peak of its resident memory (on a GPU, of the GPU's).
TimeGrad's sampler, 100 ancestral steps for each step ahead one after another, is measured on a small town, and larger
ones are worked out from its time a station and step, which is said. One station with its neighbourhood, on one
thread, is measured in a town of 8,000. With a GPU the file is latency-gpu.json. Weights are random: time does not
depend on them.

Timings mean something on a quiet machine only. Where the host of a virtual machine takes the processors away, the fastest forecast
tells more than the median; `stolen` is the share that it took of them meanwhile.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.machine import stolen_since
from benchmarks.record import RESULTS, record

SIZES = (100, 500, 1000, 2000, 4000, 8000, 16_000)
SINGLE_OF = 8000  # stations of the town in which a single one is asked for
TIMEGRAD_OF = 20  # stations that TimeGrad's sampler is measured on
DAYS, STEPS, SAMPLES = 30, 48, 100
SEED = 7
Run = dict[str, Any]


def measure(town: Path, model: str, device: str, single: bool, repeats: int, compiled: bool) -> Run:
    """Seconds and memory of one forecast of a town, or of one of its stations."""
    import torch

    from lecdiff_core.city.folder import City
    from lecdiff_core.forecaster import Forecaster

    torch.set_num_threads(
        1 if single else len(os.sched_getaffinity(0))
    )  # a single one is too small to share, as in the app
    city = City.open(town)
    save(city, model)
    forecaster = Forecaster.load(city, model, device)
    if compiled:
        forecaster.model.denoiser.compile()
    stations = [city.station_ids[len(city.station_ids) // 2]] if single else None
    seconds, before = [], psutil.cpu_times()
    for origin in forecaster.origins[-repeats - 1 :]:
        started = time.perf_counter()
        forecast = forecaster.forecast(origin, samples=SAMPLES, stations=stations)
        seconds.append(time.perf_counter() - started)
    assert forecast.samples.shape == (SAMPLES, 1 if single else len(city.station_ids), STEPS)
    asked = 1 if single else len(city.station_ids)
    median = float(np.median(seconds[1:]))  # the first warms up
    on_gpu = forecaster.device.type == "cuda"
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {
        "model": model,
        "device": forecaster.device_name(asked) + (", compiled" if compiled else ""),
        "stations": asked,
        "network": len(city.station_ids),
        "seconds": round(median, 4),
        "us_per_station_step": round(1e6 * median / (asked * STEPS), 3),
        "peak_mb": round(torch.cuda.max_memory_allocated() / 2**20 if on_gpu else resident),
        "fastest_seconds": round(min(seconds[1:]), 4),
        "stolen": stolen_since(before),
        "whole": True,
    }


def save(city: Any, model: str) -> None:
    """Put an untrained model into the city folder, as if it had been trained."""
    from lecdiff_core.city.panel import Panel
    from lecdiff_core.models.catalogue import build
    from lecdiff_core.models.checkpoint import config_for, save_model

    untrained = build(model, Panel.of(city), seed=0)
    field = getattr(untrained, "field", None)
    if field is not None:
        field.set_shares(np.ones_like(field.shares))  # noise of every level is drawn
    config = config_for(city, model, untrained.recipe, untrained.settings())
    save_model(city.model_folder(model), untrained, config, {})


def measured_apart(town: Path, model: str, chosen: argparse.Namespace, single: bool = False) -> Run:
    """`measure` in a process of its own, so that the peak of memory is the forecast's."""
    words = [sys.executable, "-m", __spec__.name, "--town", str(town), "--models", model, "--device", chosen.device]
    words += [
        "--repeats",
        str(chosen.repeats),
        *(["--single"] if single else []),
        *(["--compile"] if chosen.compile else []),
    ]
    printed = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    run = json.loads(printed.splitlines()[-1])
    print(
        f"{run['model']} on {run['device']}: {run['stations']} of {run['network']} stations in {run['seconds']:.3f} s",
        flush=True,
    )
    return run


def worked_out(measured: Run, stations: int) -> Run:
    """What a measured time a station and step comes to in a larger town."""
    seconds = measured["us_per_station_step"] * stations * STEPS / 1e6
    whole = {"stations": stations, "network": stations, "seconds": round(seconds, 1), "whole": False}
    return measured | whole | {"peak_mb": None, "fastest_seconds": None, "stolen": None}


def town_of(folder: Path, stations: int) -> Path:
    """A generated town of this size."""
    from lecdiff_core.demo import generate_town

    town = folder / str(stations)
    if not town.is_dir():
        generate_town(town, stations=stations, seed=SEED, days=DAYS, imagery=False)
    return town


def main() -> None:
    """Measure every size and model, or, inside a process of its own, one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--stations", default=",".join(map(str, SIZES)))
    parser.add_argument("--models", default="lec-diff,timegrad")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--compile", action="store_true", help="also measure with the denoiser compiled by torch.compile"
    )
    parser.add_argument("--town", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--single", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.town is not None:
        print(
            json.dumps(
                measure(chosen.town, chosen.models, chosen.device, chosen.single, chosen.repeats, chosen.compile)
            )
        )
        return
    sizes = [int(size) for size in chosen.stations.split(",")]
    models, compiled = chosen.models.split(","), chosen.compile
    name = "latency" if chosen.device == "cpu" else "latency-gpu"
    results = {which(run): run for run in known(name)}

    def keep(*runs: Run) -> None:
        results.update({which(run): run for run in runs})
        what = "a day ahead for every station, loaded and warm, median over origins; random weights"
        record(
            name, {"what": what, "samples": SAMPLES, "steps": STEPS, "days": DAYS, "results": list(results.values())}
        )

    with tempfile.TemporaryDirectory() as folder:
        towns = Path(folder)
        for chosen.compile in (False, True) if compiled else (False,):
            if "lec-diff" in models:
                for size in sizes:
                    keep(measured_apart(town_of(towns, size), "lec-diff", chosen))
                if SINGLE_OF in sizes:
                    keep(measured_apart(town_of(towns, SINGLE_OF), "lec-diff", chosen, single=True))
        chosen.compile = False
        if "timegrad" in models:
            small = measured_apart(town_of(towns, TIMEGRAD_OF), "timegrad", chosen)
            keep(small, *(worked_out(small, size) for size in sizes))


def which(run: Run) -> tuple[Any, ...]:
    """What is measured: of each there is one run in the file, the latest."""
    return tuple(run[key] for key in ("model", "device", "stations", "network"))


def known(name: str) -> list[Run]:
    """The runs of the file as it is."""
    file = RESULTS / f"{name}.json"
    return json.loads(file.read_text("utf-8"))["results"] if file.is_file() else []


if __name__ == "__main__":
    main()
