"""Latency of GluonTS DeepAR against network size, on the sizes of benchmarks/speed/latency.py; runs in the peers' own environment.

    python -m benchmarks.peers.latency [--stations 100,1000,…] [--repeats 5]

A day ahead for every station, 100 samples of 24 hours, on all cores: into results/peers/latency.json. The network is
trained for one epoch of one batch; time does not depend on the weights. Each size is measured in a process of its
own, loaded and warm: median over different origins, and the peak of its resident memory. The traffic is a made-up
panel of the towns' size, half-hourly, 30 days.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).resolve().parents[1] / "results" / "peers"
SIZES = (100, 500, 1000)  # larger ones are worked out from the largest of these
LARGER = (2000, 4000, 8000, 16_000)
DAYS, STEPS, SAMPLES = 30, 48, 100
FEW = 8  # stations that the network is trained on for a moment
START = date(2025, 9, 1)


def panel(stations: int) -> Any:
    """Traffic with a daily rhythm and noise."""
    from exchange import Known

    step = np.arange((DAYS + 1) * STEPS)
    days = [START + timedelta(days=int(day)) for day in step // STEPS]
    rng = np.random.default_rng(0)
    rhythm = 1.2 + np.sin((step[: DAYS * STEPS] - 16) * 2 * np.pi / STEPS)
    values = (rhythm * rng.uniform(50, 500, (stations, 1)) * rng.lognormal(0, 0.1, (stations, DAYS * STEPS))).astype(
        "f4"
    )
    weekday = np.array([day.weekday() for day in days])
    return Known(values, step % STEPS, weekday, np.clip(weekday - 4, 0, 2), STEPS, START.isoformat())


def measure(stations: int, repeats: int) -> dict[str, Any]:
    """Seconds and memory of one forecast of a network of this size."""
    import neural
    import torch

    network = panel(stations)

    class Wide(neural.DeepAR):
        """Trained on a few stations, its station table made for all of them."""

        trials = neural.DeepAR.trials[:1]

        def estimator(self, known: Any, settings: dict[str, Any], common: dict[str, Any]) -> Any:  # noqa: ARG002
            """DeepAR for the whole network."""
            return super().estimator(network, settings, common)

    neural.EPOCHS = neural.STEPS = 1
    peer = Wide()
    peer.fit(network.stations(np.arange(min(stations, FEW))), (DAYS - 2) * STEPS, seed=0)
    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    seconds = []
    for back in range(repeats + 1):
        before = network.before(network.steps - back)
        started = time.perf_counter()
        drawn = peer.sample(before, SAMPLES, seed=0)
        seconds.append(time.perf_counter() - started)
    assert drawn.shape == (SAMPLES, stations, STEPS)
    median = float(np.median(seconds[1:]))  # the first warms up
    return {
        "model": "deepar",
        "device": f"CPU, {threads} thread{'s' if threads > 1 else ''}",
        "stations": stations,
        "seconds": round(median, 4),
        "us_per_station_step": round(1e6 * median / (stations * STEPS), 3),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10),
        "fastest_seconds": round(min(seconds[1:]), 4),
        "whole": True,
    }


def worked_out(measured: dict[str, Any], stations: int) -> dict[str, Any]:
    """What a measured time a station and step comes to in a larger network."""
    seconds = measured["us_per_station_step"] * stations * STEPS / 1e6
    rest = {
        "stations": stations,
        "seconds": round(seconds, 1),
        "peak_mb": None,
        "fastest_seconds": None,
        "whole": False,
    }
    return measured | rest


def main() -> None:
    """Measure every size, or, inside a process of its own, one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stations", default=",".join(map(str, SIZES)))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(measure(chosen.one, chosen.repeats)))
        return
    results = []
    for size in map(int, chosen.stations.split(",")):
        words = [sys.executable, "-m", __spec__.name, "--one", str(size), "--repeats", str(chosen.repeats)]
        printed = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
        results.append(json.loads(printed.splitlines()[-1]))
        print(f"{size} stations in {results[-1]['seconds']:.1f} s", flush=True)
    results += [worked_out(results[-1], size) for size in LARGER]
    document = {
        "what": "GluonTS DeepAR, a day ahead for every station, loaded and warm, median over origins",
        "samples": SAMPLES,
        "steps": STEPS,
        "days": DAYS,
        "results": results,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "latency.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
