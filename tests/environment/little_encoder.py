"""A tiny image–text encoder, and a city of plainly coloured chips, for tests."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lecdiff_core.city.folder import City
from lecdiff_core.environment.descriptions.record import Description, write_descriptions
from lecdiff_core.environment.embedding.contrastive import Pair
from lecdiff_core.environment.embedding.encoder import Encoder, EncoderConfig
from lecdiff_core.environment.embedding.vocabulary import domain_merges
from lecdiff_core.environment.refinement.sentences import Sentence, split_sentences

COLOURS = {
    "red": (200, 40, 30),
    "green": (40, 160, 50),
    "blue": (40, 60, 200),
    "yellow": (220, 210, 40),
    "black": (15, 15, 15),
    "white": (240, 240, 240),
}
TEXTS = {name: f"The whole ground is {name}. Nothing stands on the {name} field." for name in COLOURS}
WIDTH = 32


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """So small a model is slowed down by threads, badly so on a machine that is busy."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny_config(**changes) -> EncoderConfig:
    text = {"context_length": 48, "width": WIDTH, "heads": 2}
    merges = domain_merges(TEXTS.values(), at_least=1)
    text["vocab_size"] = 2 * 256 + len(merges) + 2
    vision = {"image_size": 16, "patch_size": 8, "width": WIDTH, "head_width": 16, "layers": 1, "output_tokens": True}
    values = {
        "name": "tiny",
        "model": {
            "embed_dim": WIDTH,
            "vision_cfg": vision,
            "text_cfg": {**text, "layers": 1, "embed_cls": True, "output_tokens": True},
            "multimodal_cfg": {**text, "layers": 1},
        },
        "stem": (8, 8, 16),
        "image_size": 16,
        "mean": (0.5, 0.5, 0.5),
        "std": (0.25, 0.25, 0.25),
        "merges": merges,
        "paddings": (16, 32, 48),
    }
    return EncoderConfig.model_validate(values | changes)


def tiny_encoder(folder: Path, seed: int = 0) -> Encoder:
    """An untrained one, saved in `folder`."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = Encoder(tiny_config())
    encoder.save(folder)
    return Encoder.open(folder)


def coloured(name: str, size: int = 32) -> Image.Image:
    noise = np.random.default_rng(len(name)).integers(-12, 13, (size, size, 3))
    return Image.fromarray((np.array(COLOURS[name]) + noise).clip(0, 255).astype(np.uint8))


def coloured_pairs() -> list[Pair]:
    return [Pair(coloured(name), (tuple(split_sentences(TEXTS[name])),)) for name in COLOURS]


def colour_of(index: int) -> str:
    return list(COLOURS)[index % len(COLOURS)]


def write_chip(city: City, station: str, image: Image.Image) -> str:
    """Write a station's chip and return its SHA-256."""
    file = city.path / "imagery" / "chips" / f"{station}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    image.save(file)
    return hashlib.sha256(file.read_bytes()).hexdigest()


def said(station: str, text: str, digest: str, n: int = 1, dropped: str = "") -> Description:
    sentences = [Sentence(text=sentence) for sentence in split_sentences(text)]
    if dropped:
        sentences.append(Sentence(text=dropped, kept=False, reason="a reason"))
    return Description(
        station_id=station, n=n, text=text, sentences=sentences, model="m", prompt_version="p", image_sha256=digest
    )


def furnish(city: City) -> None:
    """Give every station a chip of one colour and a description of it."""
    descriptions = []
    for index, station in enumerate(city.station_ids):
        digest = write_chip(city, station, coloured(colour_of(index)))
        descriptions.append(said(station, TEXTS[colour_of(index)], digest))
    write_descriptions(city.path / "descriptions.jsonl", descriptions)
