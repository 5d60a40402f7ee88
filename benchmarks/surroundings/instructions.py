"""What a description gains from a more detailed instruction, as in the paper's Fig. 3.

    python -m benchmarks.surroundings.instructions [--town FOLDER]

A language model saw 35 chips of a generated town that the shipped encoder never saw, and nothing else, and described each three
times, as the three shipped instructions ask (`instructions/town-9302.jsonl`). The town is generated again from its seed, or read
from FOLDER where it was before. Writes `results/instructions.json`, for each instruction: length, claims that can be checked, what
refinement removed, both scores, retrieval with the shipped encoder, and how much of the land use around a station a linear
model reads from the text's embedding.
"""

import argparse
import hashlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import LeaveOneOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.record import record
from benchmarks.surroundings.encoder import Result, chip_of, retrieval
from lecdiff_core.city.folder import City
from lecdiff_core.city.layout import LAND_USE_FILE
from lecdiff_core.demo import generate_town
from lecdiff_core.demo.imagery import CHIP_METRES, CHIP_SIZE
from lecdiff_core.environment.descriptions.instruction import load_instruction
from lecdiff_core.environment.descriptions.record import Description, read_descriptions
from lecdiff_core.environment.embedding.encoder import Encoder, find_encoder
from lecdiff_core.environment.embedding.vocabulary import SimpleTokenizer
from lecdiff_core.environment.refinement.claims import claim_rules, find_claims
from lecdiff_core.environment.refinement.refiner import Refinement, refine
from lecdiff_core.environment.refinement.sentences import split_sentences

TEXTS = Path(__file__).resolve().parents[1] / "data" / "instructions" / "town-9302.jsonl"
STATIONS, SEED, DAYS = 70, 9302, 10
INSTRUCTIONS = ("short", "standard", "infrastructure")
PENALTIES = np.logspace(-1, 5, 25)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--town", type=Path, help="the town, where it was generated before")
    given = parser.parse_args().town
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        if given is None:
            generate_town(Path(folder) / "town", STATIONS, SEED, DAYS, imagery="chips")
        city = City.open(given or Path(folder) / "town")
        described = by_instruction(city)
        encoder = Encoder.open(find_encoder("clean") or Path())
        result = {
            "chips": len(next(iter(described.values()))),
            "described_by": sorted({one.model for texts in described.values() for one in texts}),
            "encoder": encoder.identity[:12],
            "instructions": {name: measure(city, encoder, texts) for name, texts in described.items()},
            "land_use_from_image": land_use_read(
                encoder.embed_images([chip_of(city, one.station_id) for one in described["short"]]),
                shares(city, [one.station_id for one in described["short"]]),
            ),
        }
    record("instructions", result)


def by_instruction(city: City) -> dict[str, list[Description]]:
    """The descriptions by instruction, in the order of stations. Stops where a chip is not the one that was described."""
    read = read_descriptions(TEXTS)
    for one in read:
        chip = city.chip(one.station_id)
        if chip is None or hashlib.sha256(chip.read_bytes()).hexdigest() != one.image_sha256:
            raise SystemExit(f"{city.path}: the chip of {one.station_id} is not the one that was described")
    versions = {load_instruction(name).prompt_version: name for name in INSTRUCTIONS}
    groups: dict[str, list[Description]] = {name: [] for name in INSTRUCTIONS}
    for one in sorted(read, key=lambda description: description.station_id):
        groups[versions[one.prompt_version]].append(one)
    return groups


def measure(city: City, encoder: Encoder, described: list[Description]) -> Result:
    """All figures of one instruction."""
    images = [chip_of(city, one.station_id) for one in described]
    refined = [refine(one.text, image, CHIP_METRES / CHIP_SIZE) for one, image in zip(described, images, strict=True)]
    elsewhere = [
        refine(one.text, image, CHIP_METRES / CHIP_SIZE) for one, image in zip(described, shifted(images), strict=True)
    ]
    remaining = [one.text for one in refined]
    count = SimpleTokenizer()
    rules = claim_rules()
    return {
        "prompt_version": described[0].prompt_version,
        "words": mean([len(one.text.split()) for one in described]),
        "tokens": mean([len(count.encode(one.text)) for one in described]),
        "sentences": mean([len(split_sentences(one.text)) for one in described]),
        "claims": mean([claims(one.text, rules) for one in described]),
        "parts_removed": removed(refined),
        "parts_removed_on_another_chip": removed(elsewhere),
        "image_score": mean([one.image_score for one in refined]),
        "image_score_on_another_chip": mean([one.image_score for one in elsewhere]),
        "text_score": mean([one.text_score for one in refined]),
        "retrieval": retrieval(encoder, images, remaining),
        "land_use_from_text": land_use_read(
            encoder.embed_texts(remaining), shares(city, [one.station_id for one in described])
        ),
    }


def claims(text: str, rules: Any) -> int:
    """How many claims of a text can be checked against its image."""
    return sum(len(find_claims(sentence, rules)) for sentence in split_sentences(text))


def removed(refined: list[Refinement]) -> dict[str, float]:
    """How many parts refinement removed, and their share of all."""
    parts = [sentence for one in refined for sentence in one.sentences]
    count = sum(not part.kept for part in parts)
    return {"count": count, "share": round(count / len(parts), 3)}


def shifted(images: list[Image.Image]) -> list[Image.Image]:
    """Every chip replaced by one far from it in the list, as a control."""
    half = len(images) // 2
    return images[half:] + images[:half]


def shares(city: City, stations: list[str]) -> np.ndarray:
    """(n, classes) true shares of land use around the stations; only this probe reads them."""
    table = pd.read_parquet(city.path / LAND_USE_FILE).set_index("station_id")
    return table.loc[stations].filter(like="share of").to_numpy(float)


def land_use_read(rows: np.ndarray, wanted: np.ndarray) -> float:
    """R² over all shares together of ridge regression, each station predicted from the others."""
    predicted = np.empty_like(wanted)
    for fit, check in LeaveOneOut().split(rows):
        model = make_pipeline(StandardScaler(), RidgeCV(PENALTIES))
        predicted[check] = model.fit(rows[fit], wanted[fit]).predict(rows[check])
    return round(float(r2_score(wanted, predicted, multioutput="variance_weighted")), 3)


def mean(values: list[float] | list[int]) -> float:
    """Rounded for a person."""
    return round(float(np.mean(values)), 3)


if __name__ == "__main__":
    main()
