"""The encoder's look: its references and thresholds into assets/look, and how well it tells a chip from another.

    python -m benchmarks.surroundings.looking calibrate [ENCODER FOLDER]
    python -m benchmarks.surroundings.looking measure [ENCODER FOLDER]

References are embeddings of chips of `aerial-captions/train` and of their captions. Thresholds are chosen on chips that were held
out of the encoder's training, on Milan's labelled chips but `second_held_out`, and on the towns' but `held_out`: of the pairs of
sureness and z at which at most 1 % of the true sentences of each go, the one that removes most on chips of another scene. Measured
on `aerial-captions/test`, Milan's `second_held_out` and the towns' `held_out`.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from benchmarks.record import record
from benchmarks.surroundings.aerial_captions import Captioned, read_captioned, training_parts
from benchmarks.surroundings.refinement import (
    FALSEHOODS,
    REPOSITORY,
    Chips,
    milan_chips,
    read_rows,
    town_chip,
)
from benchmarks.surroundings.sentence_classes import counted
from lecdiff_core.environment.embedding.encoder import Encoder
from lecdiff_core.environment.refinement.look import FILE, Look, is_judged, open_look

FOLDER = REPOSITORY / "assets" / "look"
SHIPPED = REPOSITORY / "assets" / "encoder"
REFERENCES = 360
LOST = 0.01  # of the true sentences of each part
SURE = (-99.0, 2.2, 2.4, 2.6, 2.8, 3.0, 3.2, 3.4)
LEAST = tuple(np.round(np.arange(-2.0, 1.01, 0.1), 1))
SEED = 0


@dataclass(frozen=True)
class Pairs:
    """True sentences with their own chip, and each with one of another scene or another place."""

    name: str
    texts: list[str]
    own: list[Image.Image]
    other: list[Image.Image]


def main() -> None:
    """Calibrate, or measure what is shipped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("calibrate", "measure"))
    parser.add_argument("encoder", nargs="?", type=Path, default=SHIPPED)
    chosen = parser.parse_args()
    if chosen.what == "calibrate":
        calibrate(chosen.encoder)
    look = open_look(chosen.encoder, FOLDER / FILE)
    if look is None:
        raise SystemExit("the references are of another encoder; calibrate first")
    if chosen.what == "measure":
        record("looking", measure(look))


def calibrate(folder: Path) -> None:
    """Embed the references, choose both thresholds, and write all of it."""
    encoder = Encoder.open(folder)
    train, held, _ = training_parts()
    some = train.part(np.random.default_rng(SEED).choice(len(train.chips), REFERENCES, replace=False))
    images = encoder.embed_images(some.chips)
    texts = encoder.embed_texts([captions[0] for captions in some.captions])
    look = Look(encoder, images, texts, -99.0, max(LEAST))
    parts = [captioned_pairs("aerial-captions", held)]
    parts += [labelled_pairs(name, chip, held_out=False) for name, chip in labelled()]
    judged = [judge(look, pairs) for pairs in parts]
    best = max(product(SURE, LEAST), key=lambda pair: gain(judged, *pair))
    FOLDER.mkdir(parents=True, exist_ok=True)
    told = {"encoder": encoder.identity, "sure": str(best[0]), "least": str(best[1])}
    save_file({"images": images.astype(np.float16), "texts": texts.astype(np.float16)}, FOLDER / FILE, told)
    print(told, [(pairs.name, removed(one, *best)) for pairs, one in zip(parts, judged, strict=True)])


Judged = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # sureness and z, each at the own and at the other chip


def judge(look: Look, pairs: Pairs) -> Judged:
    """Sureness and z of every sentence at both chips; z is infinite where the encoder does not judge."""
    texts = look.encoder.embed_texts(pairs.texts)
    found = []
    for chips in (pairs.own, pairs.other):
        looked = {id(chip): look.at(chip) for chip in chips}
        sure = {name: one.sureness for name, one in looked.items()}
        found.append(np.array([sure[id(chip)] for chip in chips]))
        found.append(
            np.array(
                [
                    float(look.fit(row[None], looked[id(chip)].embedding)[0]) if is_judged(text) else np.inf
                    for chip, text, row in zip(chips, pairs.texts, texts, strict=True)
                ]
            )
        )
    return found[0], found[1], found[2], found[3]


def removed(judged: Judged, sure: float, least: float) -> tuple[float, float]:
    """Parts of the sentences that go at their own and at the other chip."""
    own_sure, own, other_sure, other = judged
    return round(float(((own_sure >= sure) & (own < least)).mean()), 4), round(
        float(((other_sure >= sure) & (other < least)).mean()), 4
    )


def gain(judged: Sequence[Judged], sure: float, least: float) -> float:
    """The mean part that goes at other chips; below 0 where more true sentences are lost than may be."""
    parts = [removed(one, sure, least) for one in judged]
    return float(np.mean([other for _, other in parts])) if max(own for own, _ in parts) <= LOST else -1.0


def captioned_pairs(name: str, part: Captioned) -> Pairs:
    """Captions with their chip, and with one of another scene."""
    draw = np.random.default_rng(SEED)
    rows = [(row, text) for row, captions in enumerate(part.captions) for text in captions]
    other = [int(draw.choice(np.flatnonzero(part.scenes != part.scenes[row]))) for row, _ in rows]
    chips = part.chips
    return Pairs(name, [text for _, text in rows], [chips[row] for row, _ in rows], [chips[row] for row in other])


def labelled() -> list[tuple[str, Chips]]:
    """The labelled sets whose images are here."""
    milan = milan_chips()
    return [("towns", town_chip), *([("milan", milan)] if milan else [])]


def labelled_pairs(name: str, chip: Chips, held_out: bool) -> Pairs:
    """Visible true sentences of a labelled set with their chip, and with another chip of it."""
    last = {"towns": "held_out", "milan": "second_held_out"}[name]
    rows = [
        row
        for row in read_rows(FALSEHOODS / f"{name}.jsonl")
        if row["kind"] == "visible" and (row["half"] == last) == held_out
    ]
    chips = {key: chip(key)[0].convert("RGB") for key in sorted({row["chip"] for row in rows})}
    draw = np.random.default_rng(SEED)
    other = [str(draw.choice([key for key in chips if key != row["chip"]])) for row in rows]
    return Pairs(
        name, [row["text"] for row in rows], [chips[row["chip"]] for row in rows], [chips[key] for key in other]
    )


def measure(look: Look) -> dict[str, Any]:
    """What goes at the own and at another chip, on parts that chose nothing."""
    parts = [captioned_pairs("aerial-captions test", read_captioned("test"))]
    parts += [labelled_pairs(name, chip, held_out=True) for name, chip in labelled()]
    result: dict[str, Any] = {"sure": look.sure, "least": look.least}
    for pairs in parts:
        own_sure, own, other_sure, other = judge(look, pairs)
        result[pairs.name] = {
            "own_chip": counted(((own_sure >= look.sure) & (own < look.least)).tolist()),
            "other_chip": counted(((other_sure >= look.sure) & (other < look.least)).tolist()),
        }
    return result


if __name__ == "__main__":
    main()
