"""Joint against autoregressive decoder on validation folds, everything else equal: into results/decoders.json.

    python -m benchmarks.accuracy.decoders

Milan (LECDIFF_REAL_DATA), one seed, the four expanding folds inside the first 80 %, the first four origins of each and 20 samples:
the autoregressive decoder needs the network once for each step ahead and noise level, one after another. Both are trained alike,
shorter than by default (8 epochs of 15 batches).
"""

import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.accuracy.forecasting import milan
from benchmarks.record import record
from lecdiff_core.city.graph import distance_graph
from lecdiff_core.city.panel import Panel
from lecdiff_core.city.splits import Split, origins_within, validation_folds
from lecdiff_core.city.windows import Windows
from lecdiff_core.evaluation.backtest import SLOW_ORIGINS, SLOW_SAMPLES
from lecdiff_core.evaluation.scores import Scores
from lecdiff_core.models.autoregressive import AutoregressiveDiffusion
from lecdiff_core.models.conditional import LecDiffConfig
from lecdiff_core.models.lecdiff import LecDiff
from lecdiff_core.models.protocol import RowNoise
from lecdiff_core.training import ORIGINS_A_DAY, RECIPES, train

ROOT = Path(__file__).resolve().parents[2]


DECODERS = {form.decoder: form for form in (LecDiff, AutoregressiveDiffusion)}


def measure(decoder: str, panel: Panel, splits: list[Split]) -> dict[str, Any]:
    """Scores of one decoder over all folds, and the seconds a forecast took."""
    scores, seconds = Scores(), []
    for split in splits:
        torch.manual_seed(0)
        model = DECODERS[decoder](LecDiffConfig(panel.steps_per_day, decoder=decoder))
        recipe = replace(RECIPES["default"], rows=100, steps=15, epochs=8, validation_samples=10)
        train(model, panel, split, recipe)
        graph = distance_graph(panel.positions)
        station = np.arange(1, len(panel.station_ids) + 1)
        windows = Windows(panel, graph, model.context, model.horizon, station)
        every = panel.steps_per_day // ORIGINS_A_DAY
        for origin in origins_within(split.test, model.horizon, every)[:SLOW_ORIGINS]:
            noise = RowNoise.of((f"{origin}|{name}" for name in panel.station_ids), 0)
            started = time.perf_counter()
            drawn = model.sample(windows.batch(np.array([origin])), SLOW_SAMPLES, noise)[0].numpy()
            seconds.append(time.perf_counter() - started)
            clock = panel.future_clock(int(origin), model.horizon)
            observed = panel.values[:, origin : origin + model.horizon]
            scores.add(observed, drawn, np.asarray(clock.hour), str(clock[0].date()))
    summary = scores.summary()
    names = ("ncrps", "nmae", "coverage_50", "coverage_90", "energy_score", "ncrps_by_day")
    return {"decoder": decoder, **{name: summary[name] for name in names}, "sample_seconds": float(np.median(seconds))}


def main() -> None:
    """Measure both decoders and write the result."""
    data = Path(os.environ.get("LECDIFF_REAL_DATA", ROOT.parent / "shared" / "data"))
    with tempfile.TemporaryDirectory() as folder:
        panel = Panel.of(milan(Path(folder) / "milan", data))
    results = [measure(decoder, panel, validation_folds(panel.steps)) for decoder in DECODERS]
    record("decoders", {"city": "Milan", "part": "validation", "results": results})


if __name__ == "__main__":
    main()
