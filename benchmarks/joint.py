"""Whether samples belong together: peaks, totals and areas of LEC-Diff's samples, into results/joint.json.

    python benchmarks/joint.py [milan nanjing demo] [--seeds 3] [--part test|validation]

Every model is trained on a city as the protocol says and scored on the same windows: `lec-diff`, whose stations draw apart, as it
is and with its samples reordered by past days (Schaake) and by a fitted Gaussian field (lecdiff_core/dependence.py), and
`lec-diff-joint`. What is measured already is kept. docs/experiments.md is written around these figures.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from forecasting import CITIES, RESULTS, ROOT
from machine import describe_machine

from lecdiff_core.aggregates import AggregateScores, aggregates
from lecdiff_core.backtest import SAMPLES, Run, fitted
from lecdiff_core.city.windows import (
    Panel,
    Split,
    Windows,
    origins_within,
    protocol_split,
    usual_distance,
    validation_folds,
)
from lecdiff_core.dependence import GaussianField, PastWindows, reorder
from lecdiff_core.environment.table import read_panel
from lecdiff_core.fusion.graph import distance_graph
from lecdiff_core.models.catalogue import entry, seen
from lecdiff_core.models.protocol import ForecastModel, RowNoise

OUT = RESULTS / "joint.json"
MODELS = {"lec-diff": ("own", "schaake", "gaussian"), "lec-diff-joint": ("own",)}
Reorder = Callable[[int, np.ndarray], np.ndarray | None]


def main() -> None:
    """Measure what has no figure yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cities", nargs="*", default=list(CITIES), choices=[*CITIES, []])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--part", default="test", choices=["validation", "test"])
    chosen = parser.parse_args()
    data = Path(os.environ.get("LECDIFF_REAL_DATA", ROOT.parent / "shared" / "data"))
    for name in chosen.cities:
        with tempfile.TemporaryDirectory() as folder:
            city = CITIES[name](Path(folder) / name, data)
            panels = {model: read_panel(city, entry(model).embedding)[0] for model in MODELS}
        for seed in range(chosen.seeds):
            for model in MODELS:
                measure(name, chosen.part, model, seed, panels[model])


def measure(city: str, part: str, model: str, seed: int, panel: Panel) -> None:
    """Train and score one model on one seed, under each of its dependences, unless that has been done."""
    run = Run(model, seed, part, 0.0, subset=False)
    recipe = entry(model).build(seen(model, panel)).recipe
    name = {"city": city, "part": part, "model": model, "recipe": recipe, "seed": seed}
    results = json.loads(OUT.read_text())["results"] if OUT.is_file() else []
    if any(name.items() <= result.items() for result in results):
        return
    scores: dict[str, dict[str, AggregateScores]] = {dependence: {} for dependence in MODELS[model]}
    for split in [protocol_split(panel.steps)] if part == "test" else validation_folds(panel.steps):
        trained = fitted(run, panel, split, torch.device("cpu")).model
        for dependence, aggregate, observed, samples, day in scored(run, trained, panel, split):
            scores[dependence].setdefault(aggregate, AggregateScores()).add(observed, samples, day)
    rows = [
        name | {"dependence": kind} | {key: one.summary() for key, one in parts.items()}
        for kind, parts in scores.items()
    ]
    results = [*(json.loads(OUT.read_text())["results"] if OUT.is_file() else []), *rows]
    OUT.write_text(json.dumps({"machine": describe_machine(), "results": results}, indent=1) + "\n")
    for row in rows:
        said: Any = {key: part for key, part in row.items() if isinstance(part, dict)}
        figures = "  ".join(f"{key} {value['ncrps']:.4f} ({value['coverage_90']:.0%})" for key, value in said.items())
        print(f"{city}: {model} {row['dependence']} seed {seed}: {figures}", flush=True)


def scored(
    run: Run, model: ForecastModel, panel: Panel, split: Split
) -> Iterator[tuple[str, str, np.ndarray, np.ndarray, str]]:
    """Dependence, aggregate, observed and sampled values, and day, of every window of the reported part."""
    shown = seen(run.model, panel)
    graph, station = distance_graph(shown.positions), np.arange(1, len(shown.station_ids) + 1)
    windows = Windows(shown, graph.edge_index, graph.edge_weight, model.context, model.horizon, station)
    asked = aggregates(None if panel.cells is None else panel.positions, len(station))
    orders = dict(zip(MODELS[run.model], reorders(run, panel, split), strict=False))
    for origin in map(int, origins_within(split.test, model.horizon, panel.steps_per_day // 4)):
        batch = windows.batch(np.array([origin]))
        noise = RowNoise.at([f"{origin}"] * len(station), shown.station_ids, shown.cells, run.seed)
        drawn = model.sample(batch, SAMPLES, noise)[0].numpy()
        observed, day = panel.values[:, origin : origin + model.horizon], str(panel.future_clock(origin, 1)[0].date())
        for dependence, order in orders.items():
            tied = order(origin, drawn)
            if tied is not None:
                for name, aggregate in asked.items():
                    yield dependence, name, *aggregate(observed, tied), day


def reorders(run: Run, panel: Panel, split: Split) -> Iterator[Reorder]:
    """As they are, by past days, by the Gaussian field; the past ends where the reported part begins."""
    yield lambda _, drawn: drawn
    past = PastWindows.of(panel, split.test.start)
    field = GaussianField.fit(past, panel.positions, usual_distance(panel.positions))

    def by_past_days(origin: int, drawn: np.ndarray) -> np.ndarray | None:
        like = past.like(origin, SAMPLES, run.seed)
        return None if like is None else reorder(drawn, like)

    yield by_past_days
    yield lambda origin, drawn: None if field is None else reorder(drawn, field.draw(origin, SAMPLES, run.seed))


if __name__ == "__main__":
    main()
