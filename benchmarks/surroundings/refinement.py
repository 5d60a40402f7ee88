"""Measure the refinement of descriptions on planted falsehoods and true sentences.

    python -m benchmarks.surroundings.refinement [CITY …]

Writes `benchmarks/results/refinement.json`: recall by kind of falsehood, true sentences lost, the same true sentences judged
against other chips (the wrong-chip control), and what is removed from the real Milan descriptions. The labelled sentences lie
in `../data/falsehoods`: rules were chosen on `dev` and mended after `first_held_out` and `second_held_out` had been measured
(`results/refinement-first.json`, `refinement-second.json`; the rules alone: `refinement-version-2.json`); no rule was chosen on
`held_out`.

City folders named on the command line, with chips and a multimodal model's descriptions, are refined as well, beside the
demonstration city; what they lose is counted.

The towns' chips lie beside their sentences. The Milan chips are read from LECDIFF_REAL_DATA (default `../shared/data` beside
the repository); where they are absent that part is left out, and said to be.
"""

import json
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import rasterio
from PIL import Image

from lecdiff_core.city.folder import City
from lecdiff_core.city.layout import DESCRIPTIONS_FILE
from lecdiff_core.environment.descriptions.offline import describe_offline
from lecdiff_core.environment.descriptions.record import read_descriptions
from lecdiff_core.environment.refinement.evidence import Evidence, measure
from lecdiff_core.environment.refinement.look import Looked, default_look
from lecdiff_core.environment.refinement.refiner import Refinement, refine_with
from lecdiff_core.storage import replacing

REPOSITORY = Path(__file__).resolve().parents[2]
FALSEHOODS = REPOSITORY / "benchmarks" / "data" / "falsehoods"
RESULT = REPOSITORY / "benchmarks" / "results" / "refinement.json"
MILAN_METRES, TOWN_METRES = 10.0, 2.5
TOWN_SIDE = 640.0  # metres
SKIPPED = "skipped: the real data are not here"
HALVES = ("dev", "first_held_out", "second_held_out", "held_out")

Row = dict[str, Any]


def main() -> None:
    """Measure every set whose images are at hand and write the result."""
    result: dict[str, Any] = {"target": {"recall_settled_by_pixels": 0.90, "true_sentences_lost": 0.05}, "sets": {}}
    milan = milan_chips()
    result["sets"]["towns"] = measure_set(read_rows(FALSEHOODS / "towns.jsonl"), town_chip)
    result["sets"]["milan"] = measure_set(read_rows(FALSEHOODS / "milan.jsonl"), milan) if milan else SKIPPED
    result["milan_descriptions"] = measure_real(milan) if milan else SKIPPED
    cities = [REPOSITORY / "assets" / "demo", *map(Path, sys.argv[1:])]
    result["language_model_descriptions"] = {path.name: measure_city(City.open(path)) for path in cities}
    with replacing(RESULT) as unfinished:
        unfinished.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result, indent=1))


def read_rows(path: Path) -> list[Row]:
    """The labelled sentences of one set."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


Chips = Callable[[str], tuple[Image.Image, float]]


def milan_chips() -> Chips | None:
    """A chip of 64 × 64 px around a Milan cell, with its scale; None where the real data are absent."""
    folder = real_data() / "milan-imagery"
    if not folder.exists():
        print(f"skipped: no real data in {folder} (set LECDIFF_REAL_DATA)")
        return None
    cells = pd.read_csv(folder / "cells_in_image.csv", dtype={"cell_id": str}).set_index("cell_id")
    with rasterio.open(folder / "milan_sentinel2_rgb.tif") as source:
        pixels, transform = np.moveaxis(source.read(), 0, -1), source.transform

    def chip(key: str) -> tuple[Image.Image, float]:
        row, column = rasterio.transform.rowcol(transform, cells.lon[key], cells.lat[key])
        return Image.fromarray(pixels[row - 32 : row + 32, column - 32 : column + 32]), MILAN_METRES

    return chip


def town_chip(key: str) -> tuple[Image.Image, float]:
    """A chip of a generated town, with its scale."""
    return Image.open(FALSEHOODS / "towns" / f"{key}.webp"), TOWN_METRES


def real_data() -> Path:
    """Where the real data sets lie."""
    return Path(os.environ.get("LECDIFF_REAL_DATA", REPOSITORY.parent / "shared" / "data"))


Seen = tuple[Evidence, Looked | None]


def seen(image: Image.Image, metres_per_pixel: float) -> Seen:
    """What is measured in a chip, and what the encoder sees in it."""
    look = default_look()
    return measure(image, metres_per_pixel), look.at(image) if look else None


def refined_by(text: str, of_chip: Seen) -> Refinement:
    """A text refined by a chip that was measured and looked at."""
    evidence, looked = of_chip
    return refine_with(text, evidence, looked=looked)


def measure_set(rows: list[Row], chip: Chips) -> dict[str, Any]:
    """Recall, loss and the wrong-chip control of one labelled set, each half for itself."""
    evidence = {key: seen(*chip(key)) for key in sorted({row["chip"] for row in rows})}
    start = time.perf_counter()
    refined = [refined_by(row["text"], evidence[row["chip"]]) for row in rows]
    seconds = time.perf_counter() - start
    halves = {}
    for half in (name for name in HALVES if any(row["half"] == name for row in rows)):
        part = [(row, result) for row, result in zip(rows, refined, strict=True) if row["half"] == half]
        keys = sorted({row["chip"] for row, _ in part})
        halves[half] = {
            "chips": len(keys),
            "falsehoods": recall_by_kind(part),
            "true_sentences": loss(part),
            "wrong_chip": wrong_chip(
                [row for row, _ in part if row["kind"] == "visible"], {k: evidence[k] for k in keys}
            ),
        }
    offline = [describe_offline(*chip(key), seed=0) for key in evidence]
    refinements = [refined_by(" ".join(said), evidence[key]) for key, said in zip(evidence, offline, strict=True)]
    return {
        **halves,
        "milliseconds_a_sentence": round(1000 * seconds / len(rows), 2),
        "offline_describer": {
            "sentences": sum(map(len, offline)),
            "kept": sum(sentence.kept for result in refinements for sentence in result.sentences),
        },
    }


def caught(row: Row, result: Refinement) -> bool:
    """Whether a planted falsehood is gone: nothing of it is left, or only a part that its label calls true."""
    return not result.text or ("false_part" in row and row["false_part"] not in result.text)


def recall_by_kind(part: list[tuple[Row, Refinement]]) -> dict[str, Any]:
    """Falsehoods planted and caught, by kind and for the kinds that pixels settle and those they don't."""
    by_kind: dict[str, list[bool]] = defaultdict(list)
    settled: dict[bool, list[bool]] = defaultdict(list)
    for row, result in part:
        if not row["truth"]:
            by_kind[row["kind"]].append(caught(row, result))
            settled[row["settled_by_pixels"]].append(caught(row, result))
    return {
        "by_kind": {kind: share(hits) for kind, hits in sorted(by_kind.items())},
        "settled_by_pixels": share(settled[True]),
        "not_settled_by_pixels": share(settled[False]),
    }


def loss(part: list[tuple[Row, Refinement]]) -> dict[str, Any]:
    """True sentences of which anything at all was taken."""
    lost: dict[str, list[bool]] = defaultdict(list)
    for row, result in part:
        if row["truth"]:
            lost[row["kind"]].append(result.text != row["text"])
            lost["all"].append(result.text != row["text"])
    return {kind: share(hits, "lost") for kind, hits in sorted(lost.items())}


def wrong_chip(rows: list[Row], evidence: dict[str, Seen]) -> dict[str, Any]:
    """The true sentences against every other chip of their half, and how well `image_score` tells the right chip."""
    by_chip: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        by_chip[row["chip"]].append(row["text"])
    right, wrong, right_scores, wrong_scores = [], [], [], []
    for key, texts in by_chip.items():
        for other in by_chip:
            accepted = [refined_by(text, evidence[other]).text == text for text in texts]
            score = refined_by(" ".join(texts), evidence[other]).image_score
            (right if other == key else wrong).extend(accepted)
            (right_scores if other == key else wrong_scores).append(score)
    return {
        "accepted_on_right_chip": round(float(np.mean(right)), 4),
        "accepted_on_wrong_chip": round(float(np.mean(wrong)), 4),
        "image_score_auc": round(area_under_curve(right_scores, wrong_scores), 4),
        "pairs": len(wrong_scores),
    }


def area_under_curve(high: list[float], low: list[float]) -> float:
    """Chance that one of `high` is above one of `low`, ties counting half."""
    difference = np.subtract.outer(np.array(high), np.array(low))
    return float((difference > 0).mean() + (difference == 0).mean() / 2)


def measure_real(chip: Chips) -> dict[str, Any]:
    """What is removed from the real Milan descriptions and why: counts only."""
    lines = (real_data() / "milan-imagery" / "descriptions.jsonl").read_text("utf-8").splitlines()
    described = [json.loads(line) for line in lines]
    evidence = [seen(*chip(str(row["cell_id"]))) for row in described]
    refined = [refined_by(row["description"], of_chip) for row, of_chip in zip(described, evidence, strict=True)]
    turned = evidence[len(evidence) // 2 :] + evidence[: len(evidence) // 2]
    control = [refined_by(row["description"], of_chip) for row, of_chip in zip(described, turned, strict=True)]
    return {
        "descriptions": len(refined),
        "sentences_and_parts": sum(len(result.sentences) for result in refined),
        "removed": sum(reasons(refined).values()),
        "removed_by_reason": dict(reasons(refined).most_common()),
        "removed_on_wrong_chip": sum(reasons(control).values()),
        "dropped_whole": sum(not result.text for result in refined),
        "mean_image_score": round(float(np.mean([result.image_score for result in refined])), 4),
        "mean_image_score_on_wrong_chip": round(float(np.mean([result.image_score for result in control])), 4),
        "image_score_auc": round(area_under_curve(*([r.image_score for r in both] for both in (refined, control))), 4),
        "mean_text_score": round(float(np.mean([result.text_score for result in refined])), 4),
    }


def measure_city(city: City) -> dict[str, Any]:
    """What is removed from a city's descriptions: counts only. The sentences are not labelled; they are presumed to be true."""
    described = read_descriptions(city.path / DESCRIPTIONS_FILE)
    evidence = [seen(*city_chip(city, one.station_id)) for one in described]
    refined = [refined_by(one.text, of_chip) for one, of_chip in zip(described, evidence, strict=True)]
    turned = evidence[len(evidence) // 2 :] + evidence[: len(evidence) // 2]
    control = [refined_by(one.text, of_chip) for one, of_chip in zip(described, turned, strict=True)]
    parts = sum(len(result.sentences) for result in refined)
    return {
        "describer": sorted({one.model for one in described}),
        "descriptions": len(refined),
        "sentences_and_parts": parts,
        "removed": sum(reasons(refined).values()),
        "removed_share": round(sum(reasons(refined).values()) / parts, 4),
        "removed_by_reason": dict(reasons(refined).most_common()),
        "removed_on_wrong_chip": sum(reasons(control).values()),
        "dropped_whole": sum(not result.text for result in refined),
        "image_score_auc": round(area_under_curve(*([r.image_score for r in both] for both in (refined, control))), 4),
    }


def city_chip(city: City, station: str) -> tuple[Image.Image, float]:
    """A station's chip in a city folder, with its scale: generated towns' chips show 640 m."""
    path = city.chip(station)
    if path is None:
        raise SystemExit(f"{city.path}: no chip of {station}")
    image = Image.open(path)
    return image, TOWN_SIDE / image.width


def reasons(refined: Iterable[Refinement]) -> Counter[str]:
    """Removed parts by reason, without what each reason says of its own sentence."""
    return Counter(
        "contradicted by the image: " + reason.removeprefix("claims ").split(";")[0].split(" in the ")[0]
        if reason.startswith("claims ")
        else reason.split(" (")[0].split(":")[0]
        for result in refined
        for sentence in result.sentences
        if (reason := sentence.reason) and not sentence.kept
    )


def share(hits: list[bool], name: str = "caught") -> dict[str, float]:
    """Count, hits and their part."""
    return {"sentences": len(hits), name: sum(hits), "part": round(sum(hits) / len(hits), 4) if hits else float("nan")}


if __name__ == "__main__":
    main()
