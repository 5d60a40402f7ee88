"""Which embedding feeds the forecaster, chosen on the demo city's validation part: into results/embedding_choice.json.

    python -m benchmarks.surroundings.embedding_choice [--seeds 3] [--epochs 6]

LEC-Diff is trained with the image, the text and the unified embedding of each station's surroundings, and without any; what is
compared is the validation CRPS at which each training stopped. The reported part is not looked at. What the file holds is not
computed again.
"""

import argparse
import json
from dataclasses import replace

import torch

from benchmarks.record import RESULTS, record
from lecdiff_core.city.folder import City
from lecdiff_core.city.splits import protocol_split
from lecdiff_core.demo import DEMO_CITY
from lecdiff_core.environment.embedding.table import FORECASTER_INPUT, read_panel
from lecdiff_core.models.catalogue import build, entry, seen
from lecdiff_core.training import RECIPES, train

NAME = "embedding_choice"
MODELS = ("lec-diff-image", "lec-diff-text", "lec-diff-unified", "drop-gei")


def main() -> None:
    """Train what is missing, and write the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=6)
    chosen = parser.parse_args()
    city = City.open(DEMO_CITY)
    file = RESULTS / f"{NAME}.json"
    trainings = json.loads(file.read_text())["trainings"] if file.is_file() else []
    for seed in range(chosen.seeds):
        for model in MODELS:
            key = {"model": model, "seed": seed, "epochs": chosen.epochs, "recipe": build_recipe(city, model)}
            if not any(key.items() <= training.items() for training in trainings):
                trainings.append(key | {"validation_crps": validation_crps(city, model, seed, chosen.epochs)})
                write(trainings)


def build_recipe(city: City, model: str) -> int:
    """The model's own recipe number, raised when its results can change."""
    return build(model, seen(model, read_panel(city, entry(model).embedding)[0]), 0).recipe


def validation_crps(city: City, model: str, seed: int, epochs: int) -> float:
    """CRPS over total traffic on the validation part, at the epoch that training kept."""
    torch.set_num_threads(1)
    panel = seen(model, read_panel(city, entry(model).embedding)[0])
    recipe = replace(RECIPES[entry(model).recipe], epochs=epochs)
    log = train(build(model, panel, seed), panel, protocol_split(panel.steps), recipe, seed)
    return round(min(log["validation_crps"]), 5)


def write(trainings: list[dict[str, object]]) -> None:
    """The trainings by the newest recipe, their means, and which embedding is the forecaster's."""
    newest = max(int(str(one["recipe"])) for one in trainings)
    trainings = [one for one in trainings if one["recipe"] == newest]
    means = {}
    for model in MODELS:
        scores = [float(str(one["validation_crps"])) for one in trainings if one["model"] == model]
        if scores:
            means[model] = round(sum(scores) / len(scores), 5)
    record(NAME, {"part": "validation", "chosen": FORECASTER_INPUT, "mean": means, "trainings": trainings})


if __name__ == "__main__":
    main()
