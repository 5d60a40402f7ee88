"""What surroundings are worth by the length of a station's history: into results/history_effect.json.

    python -m benchmarks.surroundings.history_effect [--seeds 1] [--epochs 6]

The demo city, a fifth of its stations held out of training and measured alone (test part), with none of their history, its last
24 hours, 7 days, and all of it. `lec-diff` has the image's embedding, others text and unified, another station's surroundings, or
none. Without any history a station is told by lecdiff_core/sites, with history by the trained model; one training serves all
histories. Tables stand at 0 hours in results/sites.json alone: with two weeks of traffic nothing can be trained on Nanchang. The
file is written after every training, and what is in it is not computed again.
"""

import argparse
import json
import sys
from dataclasses import replace
from typing import Any

import torch

from benchmarks.record import RESULTS, record
from lecdiff_core.city.folder import City
from lecdiff_core.city.splits import protocol_split
from lecdiff_core.demo import DEMO_CITY
from lecdiff_core.environment.embedding.table import read_panel
from lecdiff_core.evaluation import results
from lecdiff_core.evaluation.backtest import PROTOCOL, Run, fitted, measure
from lecdiff_core.evaluation.unseen import Unseen
from lecdiff_core.models.catalogue import entry
from lecdiff_core.models.names import (
    OURS,
    WITH_IMAGE,
    WITH_OTHERS_SURROUNDINGS,
    WITH_TEXT,
    WITH_UNIFIED,
    WITHOUT_SURROUNDINGS,
)
from lecdiff_core.training import RECIPES

NAME = "history_effect"
MODELS = (WITHOUT_SURROUNDINGS, OURS, WITH_OTHERS_SURROUNDINGS, WITH_TEXT, WITH_UNIFIED)
HELD_OUT = 0.2
HISTORIES = (0, 24, 168, None)  # hours; None = all
KEPT = ("mae", "rmse", "ncrps", "ncrps_by_day", "coverage_50", "coverage_90")
Result = dict[str, Any]


def main() -> None:
    """Measure what is missing, and write after every training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=6, help="at most, of a training")
    chosen = parser.parse_args()
    RECIPES["default"] = replace(RECIPES["default"], epochs=chosen.epochs)
    torch.set_num_threads(1)
    city = City.open(DEMO_CITY)
    file = RESULTS / f"{NAME}.json"
    rows: list[Result] = json.loads(file.read_text("utf-8"))["results"] if file.is_file() else []
    for seed in range(chosen.seeds):
        for model in MODELS:
            of_these = {"model": model, "seed": seed, "epochs": chosen.epochs, "data": city.data_hash}
            if not any(of_these.items() <= row.items() for row in rows):
                rows = [row for row in rows if (row["model"], row["seed"]) != (model, seed)]
                rows += [of_these | row for row in measured(city, model, seed)]
                write(rows)
            print(f"{model}, seed {seed} done", file=sys.stderr, flush=True)


def measured(city: City, model: str, seed: int) -> list[Result]:
    """One model with each history."""
    run = Run(model, seed, "test", HELD_OUT, subset=False)
    panel, _ = read_panel(city, entry(model).embedding)
    device = torch.device("cpu")
    trained = fitted(run, panel, protocol_split(panel.steps), device)
    rows = [unknown(city, model, seed)]
    for hours in HISTORIES[1:]:
        scores = measure(replace(run, history_hours=hours), panel, device, fit=lambda *_: trained)["own"]
        rows.append(row(hours, scores))
    return rows


def unknown(city: City, model: str, seed: int) -> Result:
    """One model without any history; `lec-diff` has the image alone, as with history."""
    run = Run(WITH_IMAGE if model == OURS else model, seed, "test", HELD_OUT, subset=False, history_hours=0)
    return row(0, Unseen(city).measure(run).rows()["own"])


def row(hours: int | None, scores: Result) -> Result:
    """What is kept of a measurement."""
    return {"hold_out_stations": HELD_OUT, "history_hours": hours} | {name: scores[name] for name in KEPT}


def write(rows: list[Result]) -> None:
    """The rows, and how each model differs from none of the surroundings, paired by day."""
    record(
        NAME,
        {
            "city": "demo",
            "synthetic": True,
            "protocol": PROTOCOL,
            "part": "test",
            "comparison": [line for hours in HISTORIES for line in compared(rows, hours)],
            "results": rows,
        },
    )


def compared(rows: list[Result], hours: int | None) -> list[Result]:
    """Each model with one length of history: its mean over seeds, and the change that surroundings bring."""
    conditions = results.Conditions(hold_out_stations=HELD_OUT, history_hours=hours)
    models = results.models(map(results.Result.model_validate, rows), conditions)
    lines = []
    for name in [name for name in MODELS if name in models]:
        line = {"history_hours": hours, "model": name, "seeds": len(models[name].runs)}
        line["ncrps"] = round(models[name].mean("ncrps"), 4)
        if name != WITHOUT_SURROUNDINGS and WITHOUT_SURROUNDINGS in models:
            said = results.verdict(models[name], models[WITHOUT_SURROUNDINGS])
            line |= {"against_none": said.outcome, "change": round(said.change, 4)}
            line |= {"difference": round(said.difference, 5), "standard_error": round(said.error, 5)}
        lines.append(line)
    return lines


if __name__ == "__main__":
    main()
