"""Train the image–text encoder that is shipped, or fine-tune another: `python benchmarks/encoder_training.py TOWN... --out FOLDER`.

TOWN: city folders with chips and refined descriptions. Of each description the kept sentences are read; nothing else of a town
is (no traffic, no land use). Descriptions by a language model count together as much as the offline ones of the same chip. With
`--base` (a folder, or an open_clip model with its weights) that encoder is fine-tuned, else a small one is trained from
scratch. A run that was stopped goes on from its last checkpoint.
"""

import argparse
import hashlib
import time
from pathlib import Path

import torch
from machine import describe_machine

from lecdiff_core.city.folder import read_meta
from lecdiff_core.environment.contrastive import Pair, Recipe, small_encoder, train_encoder
from lecdiff_core.environment.description import FILE_NAME, Description, read_descriptions
from lecdiff_core.environment.encoder import Encoder, find_encoder, from_open_clip
from lecdiff_core.environment.images import read_image
from lecdiff_core.environment.offline import OFFLINE_MODEL


def main() -> None:
    """Train, save, and say what it took."""
    arguments = read_arguments()
    torch.set_num_threads(arguments.threads)
    pairs = [pair for town in arguments.towns for pair in town_pairs(town)]
    encoder = base_encoder(arguments.base, pairs)
    recipe = Recipe(
        steps=arguments.steps,
        rows=arguments.rows,
        learning_rate=arguments.learning_rate,
        warm_up=min(Recipe.warm_up, arguments.steps // 8),
        seed=arguments.seed,
    )
    size = sum(weight.numel() for weight in encoder.model.parameters()) / 1e6
    print(f"{len(pairs)} chips, {size:.1f} million parameters, {len(encoder.config.merges or ())} merges", flush=True)
    wall, cpu = time.monotonic(), time.process_time()
    train_encoder(encoder, pairs, recipe, arguments.out / "checkpoint.safetensors", tell)
    trained_on = {
        "towns": [read_meta(town).name for town in arguments.towns],
        "folders": [town.name for town in arguments.towns],
        "chips": len(pairs),
        "descriptions": len({text for pair in pairs for text in pair.descriptions}),
        "steps": recipe.steps,
        "rows": recipe.rows,
        "seconds": round(time.monotonic() - wall),
        "processor_seconds": round(time.process_time() - cpu),
        "threads": arguments.threads,
        **describe_machine(),
        "from": {"name": encoder.config.name, **encoder.config.trained_on} if arguments.base else None,
    }
    encoder.config = encoder.config.model_copy(update={"trained_on": trained_on})
    encoder.save(arguments.out)
    print(trained_on)


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("towns", nargs="+", type=Path, metavar="TOWN")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--base", help="encoder to fine-tune; none: a small one from scratch")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--rows", type=int, default=96, help="pairs a step")
    parser.add_argument("--learning-rate", type=float, default=1.5e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def town_pairs(town: Path) -> list[Pair]:
    """The chips of a city folder with what was said of them; chips without a description are left out."""
    described: dict[str, list[Description]] = {}
    for description in read_descriptions(town / FILE_NAME):
        described.setdefault(description.station_id, []).append(description)
    pairs = []
    for station, descriptions in described.items():
        content = (town / "imagery" / "chips" / f"{station}.jpg").read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if texts := weighed([one for one in descriptions if one.image_sha256 == digest]):
            pairs.append(Pair(read_image(content).convert("RGB"), tuple(texts)))
    return pairs


def weighed(descriptions: list[Description]) -> list[tuple[str, ...]]:
    """Kept sentences; a language model's descriptions repeated until they are as many as the offline ones."""
    texts: dict[bool, list[tuple[str, ...]]] = {True: [], False: []}
    for one in descriptions:
        if kept := tuple(sentence.text for sentence in one.sentences if sentence.kept):
            texts[one.model == OFFLINE_MODEL].append(kept)
    written, offline = texts[False], texts[True]
    return written * max(1, len(offline) // max(1, len(written))) + offline


def base_encoder(base: str | None, pairs: list[Pair]) -> Encoder:
    """The encoder to start from."""
    if base is None:
        return small_encoder([" ".join(text) for pair in pairs for text in pair.descriptions])
    folder = find_encoder(base)
    return Encoder.open(folder) if folder else from_open_clip(base)


def tell(done: float, total: float, message: str) -> None:
    """A line every 20 steps."""
    if done % 20 == 0:
        print(f"{time.strftime('%H:%M:%S')} step {done:.0f} of {total:.0f}: {message}", flush=True)


if __name__ == "__main__":
    main()
