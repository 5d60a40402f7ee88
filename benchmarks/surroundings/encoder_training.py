"""Train the image–text encoder that is shipped, or fine-tune another.

    python -m benchmarks.surroundings.encoder_training TOWN... --out FOLDER

TOWN: city folders with chips and refined descriptions. Of each description the kept sentences are read; nothing else of such a
town is (no traffic, no land use). Descriptions by a language model count together as much as the offline ones of the same chip.
With `--painted N`, chips of up to N further towns, generated for training alone and captioned from their plans
(`painted_chips.py`, `town_captions.py`), are added, as many as can be painted in `--paint-seconds`. With `--base` (a folder, or an
open_clip model with its weights) that encoder is fine-tuned, else a small one is trained from scratch. `--seconds` shortens the
training to what the device can do in that time. A run that was stopped goes on from its last checkpoint.
"""

import argparse
import copy
import hashlib
import time
import tomllib
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.machine import describe_machine
from benchmarks.surroundings.painted_chips import painted_pairs
from lecdiff_core.city.layout import DESCRIPTIONS_FILE
from lecdiff_core.demo.imagery import CHIP_SIZE
from lecdiff_core.devices import choose_device, device_label
from lecdiff_core.environment.descriptions.offline import OFFLINE_MODEL
from lecdiff_core.environment.descriptions.record import Description, read_descriptions
from lecdiff_core.environment.embedding.contrastive import Pair, Recipe, small_encoder, train_encoder
from lecdiff_core.environment.embedding.encoder import Encoder, find_encoder, from_open_clip
from lecdiff_core.images import read_image

SIZE = 96  # pixels of a painted chip: the small encoder's
TRIAL_STEPS = 30


def main() -> None:
    """Train, save, and say what it took."""
    arguments = read_arguments()
    torch.set_num_threads(arguments.threads)
    torch.set_float32_matmul_precision("high")
    device = choose_device(arguments.device)
    described = [pair for town in arguments.towns for pair in town_pairs(town)]
    painted = painted_towns(arguments)
    pairs = described * (arguments.repeat if painted else 1) + [pair for town in painted for pair in town]
    encoder = base_encoder(arguments.base, pairs, device)
    recipe = Recipe(
        steps=arguments.steps,
        rows=arguments.rows,
        learning_rate=arguments.learning_rate,
        warm_up=min(Recipe.warm_up, arguments.steps // 8),
        caption_rows=arguments.caption_rows,
        zoom=arguments.zoom,
        seed=arguments.seed,
    )
    size = sum(weight.numel() for weight in encoder.model.parameters()) / 1e6
    print(f"{len(pairs)} chips, {size:.1f} million parameters, {len(encoder.config.merges or ())} merges", flush=True)
    if arguments.seconds:
        recipe = replace(recipe, steps=steps_in(arguments.seconds, encoder, pairs, recipe, arguments.processes))
    wall, cpu = time.monotonic(), time.process_time()
    train_encoder(encoder, pairs, recipe, arguments.out / "checkpoint.safetensors", tell, arguments.processes)
    trained_on = {
        "towns": [town_name(town) for town in arguments.towns],
        "folders": [town.name for town in arguments.towns],
        "chips": len(described),
        "descriptions": len({text for pair in described for text in pair.descriptions}),
        "painted_towns": len(painted),
        "painted_chips": sum(map(len, painted)),
        "steps": recipe.steps,
        "rows": recipe.rows,
        "seconds": round(time.monotonic() - wall),
        "processor_seconds": round(time.process_time() - cpu),
        "threads": arguments.threads,
        "device": device_label(device),
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
    parser.add_argument("--seconds", type=float, help="as many steps as take so long, instead of --steps")
    parser.add_argument("--rows", type=int, default=96, help="pairs a step")
    parser.add_argument("--caption-rows", type=int, default=Recipe.caption_rows)
    parser.add_argument("--learning-rate", type=float, default=1.5e-3)
    parser.add_argument("--zoom", type=float, default=Recipe.zoom)
    parser.add_argument("--painted", type=int, default=0, metavar="N", help="towns to paint for training")
    parser.add_argument("--paint-seconds", type=float, default=600)
    parser.add_argument("--repeat", type=int, default=4, help="how often described chips count beside painted ones")
    parser.add_argument("--processes", type=int, default=0, help="that paint towns, and prepare texts")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def painted_towns(arguments: argparse.Namespace) -> list[list[Pair]]:
    """The chips of each town painted for training."""
    if not arguments.painted:
        return []
    began, towns = time.monotonic(), []
    size = SIZE if arguments.base is None else CHIP_SIZE
    for town in painted_pairs(arguments.painted, size, arguments.paint_seconds, max(1, arguments.processes)):
        towns.append(town)
        print(f"{time.monotonic() - began:.0f} s: {len(towns)} towns, {sum(map(len, towns))} chips", flush=True)
    return towns


def steps_in(seconds: float, encoder: Encoder, pairs: list[Pair], recipe: Recipe, processes: int) -> int:
    """How many steps take so many seconds, from a short trial on a copy."""
    marks: list[float] = []
    trial = copy.deepcopy(encoder)
    train_encoder(
        trial, pairs, replace(recipe, steps=TRIAL_STEPS), None, lambda *_: marks.append(time.monotonic()), processes
    )
    each = (marks[-1] - marks[TRIAL_STEPS // 3]) / (len(marks) - 1 - TRIAL_STEPS // 3)
    print(f"{1e3 * each:.0f} ms a step", flush=True)
    return max(TRIAL_STEPS, int(seconds / each))


def town_name(town: Path) -> str:
    """The name that a city folder gives itself."""
    return str(tomllib.loads((town / "city.toml").read_text("utf-8"))["name"])


def town_pairs(town: Path) -> list[Pair]:
    """The chips of a city folder with what was said of them; chips without a description are left out."""
    described: dict[str, list[Description]] = {}
    for description in read_descriptions(town / DESCRIPTIONS_FILE):
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
        if sentences := tuple(sentence.text for sentence in one.sentences if sentence.kept):
            texts[one.model == OFFLINE_MODEL].append(sentences)
    written, offline = texts[False], texts[True]
    return written * max(1, len(offline) // max(1, len(written))) + offline


def base_encoder(base: str | None, pairs: list[Pair], device: torch.device) -> Encoder:
    """The encoder to start from."""
    if base is None:
        return small_encoder([" ".join(text) for pair in pairs for text in pair.descriptions], device=device)
    folder = find_encoder(base)
    return Encoder.open(folder, device) if folder else from_open_clip(base)


def tell(done: float, total: float, message: str) -> None:
    """A line every 20 steps."""
    if done % 20 == 0:
        print(f"{time.strftime('%H:%M:%S')} step {done:.0f} of {total:.0f}: {message}", flush=True)


if __name__ == "__main__":
    main()
