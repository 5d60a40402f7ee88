"""Compare the shipped encoders: `python -m benchmarks.surroundings.encoders TOWN... [--encoder NAME]...`.

Writes `benchmarks/results/encoders.json`. Real data are read from LECDIFF_REAL_DATA (default `../shared/data` beside the
repository); nothing of them is kept but these figures:

- **captions**: retrieval among the test images of RSICD that `aerial-captions/test` has, image → text and text → image: recall
  at 1, 5 and 10, their mean, and the size of the gallery;
- **scenes**: a linear probe of the image's row to one of 30 scenes, fitted on a part of the training part, and colour statistics;
- **Milan**: two months of traffic of the squares that `milan-totals` has, its log predicted from the Sentinel-2 chip by a ridge on
  standardised rows. Folds are 4 × 4 tiles of the city, permuted; R² for each of five permutations, and the difference between
  inputs by a paired bootstrap over tiles. Chips are of 640 m, descriptions offline and refined, embeddings those of
  `lecdiff embed`. No traffic trains or chooses an encoder.
- **towns**: generated towns that no encoder was trained on, with chips and descriptions: retrieval and probes as in `encoder.py`.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import RidgeClassifierCV, RidgeCV
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.record import record
from benchmarks.surroundings.aerial_captions import DATA, Captioned, read_captioned
from benchmarks.surroundings.encoder import milan_city, probes, town_retrieval
from benchmarks.surroundings.real_imagery_training import sentence
from benchmarks.surroundings.retrieval import mean_recall, retrieval
from lecdiff_core.city.folder import City
from lecdiff_core.environment.descriptions.describe import describe_city
from lecdiff_core.environment.embedding.embed import embed_city
from lecdiff_core.environment.embedding.encoder import Encoder, find_encoder
from lecdiff_core.environment.embedding.table import read_environment
from lecdiff_core.environment.imagery.chips import fetch_imagery
from lecdiff_core.images import read_image

PENALTIES = np.logspace(-1, 5, 25)
SIDE, FOLDS, SEEDS = 4, 5, range(5)
DRAWS = 2000  # of the bootstrap
SCENE_CHIPS = 1500  # of the training part, to fit the scene probe on
QUANTILES = (0.1, 0.5, 0.9)
Result = dict[str, Any]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("towns", nargs="*", type=Path, metavar="TOWN")
    parser.add_argument("--encoder", action="append", help="default: `default` and `clean`")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    towns = {path.name: City.open(path) for path in arguments.towns}
    test, train = read_captioned("test"), read_captioned("train")
    fit = train.part(np.random.default_rng(0).permutation(len(train.chips))[:SCENE_CHIPS])
    result: Result = {
        "colour statistics": {"scenes": scene_probe(colours(fit), colours(test), fit, test)},
    }
    with tempfile.TemporaryDirectory() as temporary:
        city = described_milan(Path(temporary) / "milan")
        for name in arguments.encoder or ["default", "clean"]:
            folder = find_encoder(name)
            assert folder is not None, "give `default`, `clean` or the folder of an encoder"
            encoder = Encoder.open(folder)
            began = time.process_time()
            images = encoder.embed_images(test.chips)
            milliseconds = 1e3 * (time.process_time() - began) / len(images)
            result[name] = {
                "identity": encoder.identity[:12],
                "width": encoder.width,
                "processor_milliseconds_an_image": round(milliseconds, 1),
                "captions": captions(encoder, test, images),
                "scenes": scene_probe(encoder.embed_images(fit.chips), images, fit, test),
                "milan": milan_level(city, name),
                "towns": {
                    "retrieval": {town: town_retrieval(encoder, one) for town, one in towns.items()},
                    "probes": probes(encoder, towns) if towns else "no towns were given",
                },
            }
    record("encoders", result)


# ---- captions and scenes


def captions(encoder: Encoder, test: Captioned, images: np.ndarray) -> Result:
    """Recalls among the test images, whose rows are given."""
    texts = [sentence(caption) for of_image in test.captions for caption in of_image]
    owner = np.repeat(np.arange(len(test.chips)), [len(of_image) for of_image in test.captions])
    recalls = retrieval(images, encoder.embed_texts(texts), owner)
    return {
        "images": len(images),
        "captions": len(texts),
        **{way: {depth: round(value, 2) for depth, value in of_way.items()} for way, of_way in recalls.items()},
        "mean_recall": round(mean_recall(recalls), 2),
    }


def scene_probe(fit_rows: np.ndarray, test_rows: np.ndarray, fit: Captioned, test: Captioned) -> Result:
    """Accuracy of a ridge classifier over the scenes; its penalty is chosen on the chips it is fitted on."""
    model = make_pipeline(StandardScaler(), RidgeClassifierCV(PENALTIES)).fit(fit_rows, fit.scenes)
    accuracy = float((model.predict(test_rows) == test.scenes).mean())
    return {"classes": len(np.unique(fit.scenes)), "fitted_on": len(fit.chips), "accuracy": round(accuracy, 3)}


def colours(part: Captioned) -> np.ndarray:
    """(n, 15) colour statistics of chips."""
    return np.stack([colour_numbers(np.asarray(chip)) for chip in part.chips])


def colour_numbers(pixels: np.ndarray) -> np.ndarray:
    """Mean, deviation, 10, 50 and 90 % of each channel."""
    flat = pixels.reshape(-1, 3).astype(float)
    return np.concatenate([flat.mean(0), flat.std(0), *np.quantile(flat, QUANTILES, axis=0)])


# ---- Milan


def described_milan(path: Path) -> City:
    """The squares with chips of 640 m and refined offline descriptions."""
    city = milan_city(DATA / "milan-imagery", path)
    fetch_imagery(city, source=str(DATA / "milan-imagery" / "milan_sentinel2_rgb.tif"), metres=640)
    describe_city(city, "offline", None, 1, "standard")
    return city


def milan_level(city: City, encoder: str) -> Result:
    """R² of each input, and by how much the united row is better than the others."""
    embed_city(city, encoder)
    table = read_environment(city)
    assert table is not None
    totals = pd.read_csv(DATA / "milan-totals" / "square_totals.csv", dtype={"cell_id": str}).set_index("cell_id")
    has = [station for station in city.station_ids if city.chip(station) and station in totals.index]
    level = np.log(totals.loc[has, "internet_total"].to_numpy(float))
    places = totals.loc[has, ["lon", "lat"]].to_numpy(float)
    tiles = quantile_tiles(places)
    chips = [np.asarray(read_image(file.read_bytes()).convert("RGB")) for name in has if (file := city.chip(name))]
    inputs = {kind: table.rows(tuple(has), kind) for kind in ("image", "text", "unified")}
    inputs["colour statistics"] = np.stack([colour_numbers(chip) for chip in chips])
    predicted = {name: np.stack([predict(rows, level, tiles, seed) for seed in SEEDS]) for name, rows in inputs.items()}
    return {
        "squares": len(has),
        "r2": {name: round(mean_r2(level, of, np.arange(len(level))), 3) for name, of in predicted.items()},
        "r2_by_seed": {name: [round(float(r2_score(level, one)), 3) for one in of] for name, of in predicted.items()},
        "unified_less": {
            other: difference(level, predicted["unified"], predicted[other], tiles)
            for other in ("image", "colour statistics")
        },
    }


def quantile_tiles(places: np.ndarray) -> np.ndarray:
    """The tile of each place: quarters by longitude, each in quarters by latitude of all places; numbers below 16."""
    across = [np.searchsorted(np.quantile(axis, np.arange(1, SIDE) / SIDE), axis, "right") for axis in places.T]
    return across[0] * SIDE + across[1]


def predict(rows: np.ndarray, level: np.ndarray, tiles: np.ndarray, seed: int) -> np.ndarray:
    """Each square's level by a ridge fitted on the folds that its tile is not in."""
    fold = (np.random.default_rng(seed).permutation(SIDE * SIDE) % FOLDS)[tiles]
    predicted = np.empty_like(level)
    for number in range(FOLDS):
        fit = fold != number
        model = make_pipeline(StandardScaler(), RidgeCV(PENALTIES)).fit(rows[fit], level[fit])
        predicted[~fit] = model.predict(rows[~fit])
    return predicted


def difference(level: np.ndarray, one: np.ndarray, other: np.ndarray, tiles: np.ndarray) -> Result:
    """R² of one input less that of another, its mean over seeds, with 2.5 and 97.5 % of a paired bootstrap over tiles."""
    random = np.random.default_rng(0)
    members = [np.flatnonzero(tiles == tile) for tile in np.unique(tiles)]
    drawn = []
    for _ in range(DRAWS):
        rows = np.concatenate([members[index] for index in random.integers(0, len(members), len(members))])
        drawn.append(mean_r2(level, one, rows) - mean_r2(level, other, rows))
    whole = np.arange(len(level))
    low, high = np.quantile(drawn, [0.025, 0.975])
    observed = mean_r2(level, one, whole) - mean_r2(level, other, whole)
    return {"difference": round(observed, 3), "low": round(float(low), 3), "high": round(float(high), 3)}


def mean_r2(level: np.ndarray, predicted: np.ndarray, rows: np.ndarray) -> float:
    """The mean over seeds of R² on some rows."""
    spread = np.square(level[rows] - level[rows].mean()).sum()
    return float(1 - np.square(predicted[:, rows] - level[rows]).sum(1).mean() / spread)


if __name__ == "__main__":
    main()
