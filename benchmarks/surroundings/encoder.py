"""Measure the image–text encoder on places it never saw: `python -m benchmarks.surroundings.encoder TOWN... [--encoder FOLDER]`.

TOWN: city folders with chips, descriptions and traffic, none of which the encoder was trained on. Writes
`benchmarks/results/encoder.json`:

- retrieval within each town, image → text and text → image: recall at 1, 5 and 10 and the median rank, against chance;
- a cross-validated linear probe from the embedding to land use (of `truth/land_use.parquet`, which nothing else reads) and
  to log mean traffic, against the same probe on colour histograms, with all towns' stations pooled and a town left out at a time;
- seconds a chip;
- Milan: the whole chain from GeoTIFF to embedding in a temporary city, and retrieval on 20 held-out cells by the encoder as it is
  and after fine-tuning on the other 61. The real data are read from LECDIFF_REAL_DATA (default `../shared/data` beside the
  repository); where they are absent that part is left out, and said to be. Nothing of them is kept but these figures.
"""

import argparse
import hashlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import torch
from PIL import Image
from sklearn.linear_model import RidgeClassifierCV, RidgeCV
from sklearn.metrics import accuracy_score, f1_score, r2_score
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.record import record
from lecdiff_core.city.folder import City, CityMeta, write_city
from lecdiff_core.city.layout import DESCRIPTIONS_FILE, LAND_USE_FILE
from lecdiff_core.environment.descriptions.describe import refine_city
from lecdiff_core.environment.descriptions.offline import OFFLINE_MODEL
from lecdiff_core.environment.descriptions.record import Description, read_descriptions, write_descriptions
from lecdiff_core.environment.embedding.contrastive import Pair, Recipe, train_encoder
from lecdiff_core.environment.embedding.embed import embed_city
from lecdiff_core.environment.embedding.encoder import Encoder, find_encoder
from lecdiff_core.environment.embedding.table import read_environment
from lecdiff_core.environment.imagery.chips import fetch_imagery
from lecdiff_core.environment.refinement.sentences import Sentence, split_sentences
from lecdiff_core.environment.search.neighbours import search
from lecdiff_core.images import read_image

REPOSITORY = Path(__file__).resolve().parents[2]
QUERIES = ("stadium", "rail yard beside housing", "dense housing", "farmland", "industrial halls", "river")
HELD_OUT = 20  # Milan cells
FOLDS = 5
PENALTIES = np.logspace(-1, 5, 25)
FINE_TUNING = Recipe(steps=150, rows=48, learning_rate=3e-4, warm_up=10)
Result = dict[str, Any]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("towns", nargs="+", type=Path, metavar="TOWN")
    parser.add_argument("--encoder", default="default")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    folder = find_encoder(arguments.encoder)
    assert folder is not None, "give `default` or the folder of an encoder"
    encoder = Encoder.open(folder)
    towns = {path.name: City.open(path) for path in arguments.towns}
    result: Result = {
        "encoder": {"identity": encoder.identity[:12], "name": encoder.config.name, "width": encoder.width},
        "trained_on": encoder.config.trained_on,
        "retrieval": {name: town_retrieval(encoder, city) for name, city in towns.items()},
        "probes": probes(encoder, towns),
        "speed": speed(
            encoder, [chip_of(city, station) for city in towns.values() for station in city.station_ids][:200]
        ),
        "milan": milan(folder),
        "threads": arguments.threads,
    }
    record("encoder", result)


def chip_of(city: City, station: str) -> Image.Image:
    """A station's chip."""
    file = city.chip(station)
    assert file is not None, f"{city.path}: {station} has no chip"
    return read_image(file.read_bytes()).convert("RGB")


# ---- retrieval


def town_retrieval(encoder: Encoder, city: City) -> Result:
    """Retrieval within one town, by who wrote the descriptions."""
    groups: dict[str, dict[str, str]] = {}
    for one in read_descriptions(city.path / DESCRIPTIONS_FILE):
        if one.kept_text:
            groups.setdefault("offline" if one.model == OFFLINE_MODEL else "language model", {})[one.station_id] = (
                one.kept_text
            )
    return {
        writer: retrieval(encoder, [chip_of(city, station) for station in texts], list(texts.values()))
        for writer, texts in groups.items()
    }


def retrieval(encoder: Encoder, images: list[Image.Image], texts: list[str]) -> Result:
    """Ranks of the right partner among n, both ways, and what chance gives."""
    similarity = encoder.embed_images(images) @ encoder.embed_texts(texts).T
    count = len(images)
    return {
        "pairs": count,
        "image_to_text": ranks(similarity),
        "text_to_image": ranks(similarity.T),
        "chance": {
            **{f"recall@{k}": round(min(1.0, k / count), 3) for k in (1, 5, 10)},
            "median_rank": (count + 1) / 2,
        },
    }


def ranks(similarity: np.ndarray) -> Result:
    """Recall and median rank of the diagonal; ties count against the right partner."""
    rank = (similarity >= np.diag(similarity)[:, None]).sum(1)
    recall = {f"recall@{k}": round(float((rank <= k).mean()), 3) for k in (1, 5, 10)}
    return {**recall, "median_rank": float(np.median(rank))}


# ---- probes


def probes(encoder: Encoder, towns: dict[str, City]) -> Result:
    """What a linear model reads from the embedding, from colour histograms, and from nothing."""
    images = [chip_of(city, station) for city in towns.values() for station in city.station_ids]
    features = {
        "embedding": encoder.embed_images(images),
        "colour histogram": np.stack([histogram(image) for image in images]),
    }
    town = np.repeat(np.arange(len(towns)), [len(city.station_ids) for city in towns.values()])
    land_use = np.concatenate([land_use_of(city) for city in towns.values()])
    traffic = np.concatenate([np.log(city.traffic.mean().to_numpy() + 1e-3) for city in towns.values()])
    known = np.isfinite(traffic)
    result: Result = {"stations": len(images), "classes": len(np.unique(land_use))}
    for name, rows in features.items():
        result[name] = {
            "land_use": {split: classify(rows, land_use, town, split) for split in ("folds", "left-out town")},
            "log_mean_traffic": {
                split: regress(rows[known], traffic[known], town[known], split) for split in ("folds", "left-out town")
            },
        }
    majority = np.full(len(land_use), max(set(land_use), key=list(land_use).count))
    result["always the commonest class"] = {"accuracy": round(float(accuracy_score(land_use, majority)), 3)}
    return result


def land_use_of(city: City) -> np.ndarray:
    """The true land use at each station."""
    table = pd.read_parquet(city.path / LAND_USE_FILE).set_index("station_id")
    return table.loc[list(city.station_ids), "land_use"].to_numpy(str)


def histogram(image: Image.Image, bins: int = 6) -> np.ndarray:
    """Joint histogram of red, green and blue: 216 shares, their square roots."""
    pixels = np.asarray(image).reshape(-1, 3)
    counts, _ = np.histogramdd(pixels, bins=bins, range=[(0, 256)] * 3)
    return np.sqrt(counts.ravel() / len(pixels))


def classify(rows: np.ndarray, classes: np.ndarray, town: np.ndarray, split: str) -> Result:
    """Accuracy and macro F1 of ridge classification on parts it was not fitted on; the penalty is chosen on the others."""
    predicted = np.empty_like(classes)
    for fit, check in parts(StratifiedKFold(FOLDS, shuffle=True, random_state=0), rows, classes, town, split):
        model = make_pipeline(StandardScaler(), RidgeClassifierCV(PENALTIES))
        predicted[check] = model.fit(rows[fit], classes[fit]).predict(rows[check])
    return {
        "accuracy": round(float(accuracy_score(classes, predicted)), 3),
        "macro_f1": round(float(f1_score(classes, predicted, average="macro")), 3),
    }


def regress(rows: np.ndarray, values: np.ndarray, town: np.ndarray, split: str) -> Result:
    """R² of ridge regression on parts it was not fitted on."""
    predicted = np.empty_like(values)
    for fit, check in parts(KFold(FOLDS, shuffle=True, random_state=0), rows, values, town, split):
        model = make_pipeline(StandardScaler(), RidgeCV(PENALTIES))
        predicted[check] = model.fit(rows[fit], values[fit]).predict(rows[check])
    return {"r2": round(float(r2_score(values, predicted)), 3)}


def parts(folds: Any, rows: np.ndarray, values: np.ndarray, town: np.ndarray, split: str) -> Any:
    """Row numbers to fit on and to check on: in folds of all stations, or a town left out at a time."""
    return folds.split(rows, values) if split == "folds" else GroupKFold(len(set(town))).split(rows, values, town)


# ---- speed


def speed(encoder: Encoder, images: list[Image.Image]) -> Result:
    """Wall and processor time of image, text and unified embeddings, without reading the chips."""
    text = (
        "Dense housing fills the chip, with courtyards and narrow streets; a railway runs along the eastern edge. " * 5
    )
    encoder.embed_pairs(images[:8], [text] * 8)
    wall, cpu = time.perf_counter(), time.process_time()
    encoder.embed_pairs(images, [text] * len(images))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "chips": len(images),
        "milliseconds_a_chip": round(1e3 * wall / len(images), 1),
        "processor_milliseconds_a_chip": round(1e3 * cpu / len(images), 1),
        "minutes_for_8000_chips": round(8000 * wall / len(images) / 60, 1),
    }


# ---- Milan


def milan(folder: Path) -> Result | str:
    """The whole chain on the real image, and retrieval on cells held out of the fine-tuning."""
    data = Path(os.environ.get("LECDIFF_REAL_DATA", REPOSITORY.parent / "shared" / "data")) / "milan-imagery"
    if not data.is_dir():
        return "skipped: the real data are not here"
    with tempfile.TemporaryDirectory() as temporary:
        began = time.perf_counter()
        city = milan_city(data, Path(temporary) / "milan")
        imagery = fetch_imagery(city, source=str(data / "milan_sentinel2_rgb.tif"))
        texts = milan_descriptions(city, data)
        refine_city(city)
        described_chips = {
            one.station_id: one for one in read_descriptions(city.path / DESCRIPTIONS_FILE) if one.kept_text
        }
        report = embed_city(city, str(folder))
        again = embed_city(city, str(folder))
        table = read_environment(city)
        assert table is not None and not again.made
        chain = {
            "cells": len(city.station_ids),
            "chips": int(np.any(table.image, axis=1).sum()),
            "chips_failed": len(imagery.failed),
            "descriptions": len(texts),
            "descriptions_left_after_refinement": len(described_chips),
            "sentences_removed": sum(
                not s.kept for one in read_descriptions(city.path / DESCRIPTIONS_FILE) for s in one.sentences
            ),
            "embedded": len(report.made),
            "embedded_again_by_a_second_run": len(again.made),
            "seconds": round(time.perf_counter() - began, 1),
        }
        searches = {text: [round(similarity, 3) for _, similarity in search(city, text, top=3)] for text in QUERIES}
        described = sorted(described_chips)
        chosen = np.random.default_rng(0).permutation(len(described))
        held_out = [described[index] for index in chosen[:HELD_OUT]]
        others = [described[index] for index in chosen[HELD_OUT:]]
        encoder = Encoder.open(folder)
        images = [chip_of(city, station) for station in held_out]
        as_shipped = retrieval(encoder, images, [described_chips[station].kept_text for station in held_out])
        pairs = [Pair(chip_of(city, station), (kept_sentences(described_chips[station]),)) for station in others]
        train_encoder(encoder, pairs, FINE_TUNING)
        tuned = retrieval(encoder, images, [described_chips[station].kept_text for station in held_out])
        tuning = {"steps": FINE_TUNING.steps, "rows": min(FINE_TUNING.rows, len(pairs)), "cells": len(pairs)}
    return {
        "chain": chain,
        "similarities_of_searches": searches,
        "retrieval_as_shipped": as_shipped,
        "fine_tuning": tuning,
        "retrieval_fine_tuned": tuned,
    }


def milan_city(data: Path, path: Path) -> City:
    """A city whose stations are the cells; its traffic is a placeholder, for these cells have none."""
    cells = pd.read_csv(data / "cells_in_image.csv", dtype={"cell_id": str})
    points = geopandas.points_from_xy(cells["lon"], cells["lat"])
    stations = geopandas.GeoDataFrame({"station_id": cells["cell_id"]}, geometry=points, crs="EPSG:4326")
    index = pd.date_range("2016-12-28", periods=24, freq="1h", tz="Europe/Rome", name="timestamp")
    traffic = pd.DataFrame(0.0, index=index, columns=cells["cell_id"].tolist(), dtype=np.float32)
    meta = CityMeta(name="Milan", timezone="Europe/Rome", interval="1h", imagery="local")
    return write_city(path, meta, stations, traffic)


def milan_descriptions(city: City, data: Path) -> list[Description]:
    """The written descriptions as records of the city's chips."""
    descriptions = []
    for line in (data / "descriptions.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        station, text = str(row["cell_id"]), row["description"]
        chip = city.chip(station)
        if chip is None:
            continue
        descriptions.append(
            Description(
                station_id=station,
                n=1,
                text=text,
                sentences=[Sentence(text=sentence) for sentence in split_sentences(text)],
                model="a multimodal language model",
                prompt_version="as delivered",
                image_sha256=hashlib.sha256(chip.read_bytes()).hexdigest(),
            )
        )
    write_descriptions(city.path / DESCRIPTIONS_FILE, descriptions)
    return descriptions


def kept_sentences(description: Description) -> tuple[str, ...]:
    """The sentences that refinement kept."""
    return tuple(sentence.text for sentence in description.sentences if sentence.kept)


if __name__ == "__main__":
    main()
