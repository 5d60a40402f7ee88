"""Fit the peers and write their samples at every origin; runs in the peers' own environment, on plain files.

    python -m benchmarks.peers.forecast FOLDER [--cities milan,demo] [--models lightgbm] [--seeds 3] [--processes 1]

FOLDER is what `benchmarks/peers/windows.py` wrote. Each run (model, city, seed) is a process of one thread; a run whose samples are
there already, from the same data and recipe, is not done again.
"""

import argparse
import importlib
import json
import multiprocessing
import os
import resource
import time
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.exchange import Peer, read_city, write_samples

# module and class of each peer, and the number to raise by hand when its results can change
MODELS = {
    "lightgbm": ("boosting", "LightGBM", 1),
    "statsforecast": ("statistical", "HarmonicRegression", 1),
    "deepar": ("neural", "DeepAR", 1),
    "patchtst": ("neural", "PatchTST", 1),
}
ONE_SEED = ("statsforecast",)  # nothing in its fit is random


def measure(peer: Peer, folder: Path, seed: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Fit a peer on a city and sample at all its origins: samples (O, S, N, H) of each part, and the log."""
    city, about = read_city(folder)
    train_stop, validation_stop = about["train"][1], about["validation"][1]
    started = time.perf_counter()
    log = peer.fit(city.before(validation_stop), train_stop, seed)
    log["train_seconds"] = round(time.perf_counter() - started, 2)
    samples, seconds = {}, []
    for part, origins in about["origins"].items():
        shape = (about["samples"], *city.values.shape[:1], city.horizon)
        samples[part] = np.empty((len(origins), *shape), dtype=np.float32)
        for index, origin in enumerate(origins):
            known = city.before(origin)
            started = time.perf_counter()
            drawn = peer.sample(known, about["samples"], seed)
            seconds.append(time.perf_counter() - started)
            if drawn.shape != shape or not np.isfinite(drawn).all():
                raise ValueError(f"samples at step {origin} must be finite numbers {shape}, not {drawn.shape}")
            samples[part][index] = np.maximum(drawn, 0.0)
    return samples, log | {"sample_seconds": round(float(np.median(seconds)), 4)}


def run(folder: Path, model: str, seed: int) -> str:
    """One run, written into the city's folder; returns what it was in a line."""
    module, name, recipe = MODELS[model]
    np.random.seed(seed)  # GluonTS's window sampler draws from it
    peer: Peer = getattr(importlib.import_module(f"benchmarks.peers.{module}"), name)()
    samples, log = measure(peer, folder, seed)
    about = json.loads((folder / "about.json").read_text("utf-8"))
    log = {"device": "CPU, 1 thread"} | log
    log |= {
        "model": model,
        "seed": seed,
        "recipe": recipe,
        "data_hash": about["data_hash"],
        "libraries": {library: version(library) for library in peer.libraries},
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10, 1),
    }
    write_samples(folder, f"{model}-{seed}", samples, log)
    return f"{folder.name}: {model}, seed {seed}, {log['train_seconds']:.0f} s to train, trials {log['trials']}"


def is_done(folder: Path, model: str, seed: int) -> bool:
    """Whether the samples of a run lie there, made from the city's present data by the present recipe."""
    log = folder / f"{model}-{seed}.json"
    if not log.is_file():
        return False
    logged = json.loads(log.read_text("utf-8"))
    about = json.loads((folder / "about.json").read_text("utf-8"))
    return (logged["data_hash"], logged["recipe"]) == (about["data_hash"], MODELS[model][2])


def main() -> None:
    """Do what is missing, one process a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cities", default=None)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=1)
    chosen = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    cities = (
        chosen.cities.split(",")
        if chosen.cities
        else sorted(file.parent.name for file in chosen.folder.glob("*/about.json"))
    )
    runs = [
        (chosen.folder / city, model, seed)
        for seed in range(chosen.seeds)
        for model in chosen.models.split(",")
        for city in cities
        if seed == 0 or model not in ONE_SEED
    ]
    missing = [one for one in runs if not is_done(*one)]
    print(f"{len(runs)} runs, {len(missing)} to do", flush=True)
    spawn = multiprocessing.get_context("spawn")
    failed = 0
    with ProcessPoolExecutor(chosen.processes, mp_context=spawn, max_tasks_per_child=1) as pool:
        for future in as_completed([pool.submit(run, *one) for one in missing]):
            try:
                print(future.result(), flush=True)
            except Exception:
                failed += 1
                traceback.print_exc()
    raise SystemExit(f"{failed} runs failed" if failed else 0)


if __name__ == "__main__":
    main()
