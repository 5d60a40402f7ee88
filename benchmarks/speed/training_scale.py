"""One training epoch on 8,000 stations and 58 days of half-hours: seconds and peak memory, into results/training_scale.json.

Runs in a process of its own, so that the peak is the training's.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.record import record


def one_epoch(folder: Path) -> None:
    """Train one epoch on the city in `folder` and print seconds and peak memory as JSON."""
    from lecdiff_core.city.folder import City
    from lecdiff_core.city.panel import Panel
    from lecdiff_core.city.splits import protocol_split
    from lecdiff_core.models.catalogue import build
    from lecdiff_core.training import RECIPES, train

    panel = Panel.of(City.open(folder))
    model = build("lec-diff", panel, seed=0)
    started = time.perf_counter()
    log = train(model, panel, protocol_split(panel.steps), replace(RECIPES["default"], epochs=1))
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        json.dumps(
            {"epoch_seconds": round(log["seconds"], 1), "seconds": round(seconds, 1), "peak_gib": round(peak, 2)}
        )
    )


def main() -> None:
    """Generate the town, train one epoch on it in a subprocess, write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stations", type=int, default=8000)
    parser.add_argument("--days", type=int, default=58)
    parser.add_argument("--folder", type=Path, default=None, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.folder is not None:
        one_epoch(chosen.folder)
        return
    from lecdiff_core.demo import generate_town

    with tempfile.TemporaryDirectory() as folder:
        town = Path(folder) / "town"
        generate_town(town, stations=chosen.stations, seed=7, days=chosen.days, imagery=False)
        printed = subprocess.run(
            [sys.executable, "-m", __spec__.name, "--folder", str(town)], check=True, capture_output=True, text=True
        ).stdout
    figures = json.loads(printed.splitlines()[-1])
    document = {
        "what": "one training epoch of lec-diff, then validation and calibration",
        "stations": chosen.stations,
        "days": chosen.days,
        **figures,
    }
    record("training_scale", document)


if __name__ == "__main__":
    main()
