"""What each part of the recipe gives: LEC-Diff with one thing changed, by the validation folds, into results/trials.json.

    python -m benchmarks.accuracy.trials [milan nanjing] [--trials recipe,no-track-record] [--seeds 1]

Each trial is the recipe (the defaults of `LecDiffConfig`, `RECIPES["default"]`) with one change, scored on the reported parts of
the four validation folds; the test part is never read. All trainings are
shortened alike, to EPOCHS. docs/experiments.md is written around these figures.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.accuracy.forecasting import CITIES, RESULTS, ROOT
from benchmarks.machine import describe_machine
from lecdiff_core.city.panel import Panel
from lecdiff_core.city.splits import Split
from lecdiff_core.environment.embedding.table import read_panel
from lecdiff_core.evaluation.backtest import Fitted, Run, measure
from lecdiff_core.models.catalogue import build
from lecdiff_core.models.lecdiff import LecDiff
from lecdiff_core.progress import Report
from lecdiff_core.training import RECIPES, Recipe, train

Change = Callable[[LecDiff], LecDiff]
OUT = RESULTS / "trials.json"
EPOCHS = 6


def with_config(**form: Any) -> Change:
    """The same model with another config."""
    return lambda model: LecDiff(replace(model.config, **form))


def frozen(model: LecDiff, name: str, value: float) -> LecDiff:
    """A parameter set to a value and left there."""
    parameter = model.get_parameter(name)
    parameter.data.fill_(value)
    parameter.requires_grad_(False)
    return model


def short_level(model: LecDiff) -> LecDiff:
    """No level of the whole last day."""
    model.season.level_exponent.data[:, 0] = 0.0
    model.season.level_exponent.requires_grad_(False)
    return model


def without_learning(model: LecDiff) -> LecDiff:
    """Everything but the denoiser as it starts: the fixed formula and its usual errors."""
    for name, parameter in model.named_parameters():
        if not name.startswith("denoiser."):
            parameter.requires_grad_(False)
    return model


TRIALS: dict[str, tuple[str, Change]] = {
    "recipe": ("the recipe", lambda model: model),
    "no-track-record": (
        "kernels mixed alike whatever they were worth yesterday",
        lambda model: frozen(model, "season.log_reliance", -20.0),
    ),
    "no-surprise": (
        "yesterday's surprise does not widen the spread",
        lambda model: frozen(model, "moments.from_surprise", 0.0),
    ),
    "no-graph": ("no graph at all (Drop SGF)", with_config(graph_layers=0)),
    "no-borrowing": (
        "nothing borrowed from the stations around",
        lambda model: frozen(model, "season.log_borrowed", -20.0),
    ),
    "keep-anomalies": ("anomalies of the past count like all else", with_config(forget_anomalies=False)),
    "no-day-level": ("levels of the last 6 h and 1 h only", short_level),
    "no-smoothing": ("past days as they are", with_config(smoothing_hours=0.01)),
    "no-usual-error": ("spread without the usual errors", with_config(error_days=0)),
    "one-memory": ("one seasonal kernel, seven days", with_config(memory_days=(7.0,))),
    "no-learned-mean": ("only the denoiser is trained", without_learning),
    "noise-prediction": ("noise predicted instead of velocity", with_config(prediction="noise")),
    "wider": ("denoiser twice as wide", with_config(denoiser_width=256)),
    "deeper": ("denoiser of four layers", with_config(denoiser_layers=4)),
    "hidden-64": ("recurrent encoder twice as wide", with_config(hidden=64)),
    "no-dropout": ("no dropout", with_config(dropout=0.0)),
    "no-short-histories": ("no stations shown with a short history", with_config(short_history=0.0)),
}
TRAININGS: dict[str, tuple[str, Recipe]] = {
    "slower": (
        "a third to a fifth of the learning rates",
        replace(RECIPES["default"], learning_rate=2e-4, denoiser_learning_rate=3e-4, prior_learning_rate=2e-3),
    ),
    "no-averaging": ("weights not averaged", replace(RECIPES["default"], averaging=0.0)),
}


def fit_of(trial: str) -> Callable[[Run, Panel, Split, torch.device, Report], Fitted]:
    """How `measure` is to train a trial's model."""
    change = TRIALS[trial][1] if trial in TRIALS else TRIALS["recipe"][1]
    recipe = TRAININGS[trial][1] if trial in TRAININGS else RECIPES["default"]

    def fit(run: Run, panel: Panel, split: Split, device: torch.device, report: Report) -> Fitted:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run.seed)
            plain = build("lec-diff", panel, run.seed)
            assert isinstance(plain, LecDiff)
            model = change(plain)
        train(model, panel, split, replace(recipe, epochs=EPOCHS), run.seed, device, report=report)
        return Fitted(model, np.arange(len(panel.station_ids)), seconds=0.0)

    return fit


def main() -> None:
    """Run the trials that have no figure yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cities", nargs="*", default=["milan", "nanjing"], choices=[*CITIES, []])
    parser.add_argument("--trials", default=",".join([*TRIALS, *TRAININGS]))
    parser.add_argument("--seeds", type=int, default=1)
    chosen = parser.parse_args()
    data = Path(os.environ.get("LECDIFF_REAL_DATA", ROOT.parent / "shared" / "data"))
    results = json.loads(OUT.read_text())["trials"] if OUT.is_file() else []
    # Those of an older recipe tell nothing of this one.
    results = [result for result in results if result["recipe"] == LecDiff.recipe]
    for city_name in chosen.cities:
        with tempfile.TemporaryDirectory() as folder:
            panel, _ = read_panel(CITIES[city_name](Path(folder) / city_name, data))
        for trial in chosen.trials.split(","):
            for seed in range(chosen.seeds):
                name = {"city": city_name, "trial": trial, "seed": seed, "recipe": LecDiff.recipe, "epochs": EPOCHS}
                if any(name.items() <= result.items() for result in results):
                    continue
                run = Run("lec-diff", seed, "validation", 0.0, False)
                scores = measure(run, panel, torch.device("cpu"), fit=fit_of(trial))["own"]
                said = (TRIALS.get(trial) or TRAININGS[trial])[0]
                summary = {key: scores[key] for key in ("ncrps", "mae", "coverage_50", "coverage_90")}
                results.append(name | {"what": said} | summary)
                print(name, summary, flush=True)
                OUT.write_text(json.dumps({"machine": describe_machine(), "trials": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
