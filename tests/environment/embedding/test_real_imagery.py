"""The shipped encoders on real aerial chips, from LECDIFF_REAL_DATA."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lecdiff_core.environment.embedding.encoder import Encoder, find_encoder
from tests.environment.little_encoder import one_thread  # noqa: F401

pytestmark = pytest.mark.real
EVERY = 8  # of the test chips one is looked at
FIRST = 3  # chips that a search shows first
PHRASES = {
    "Stadium": "a stadium",
    "River": "a river",
    "Farmland": "farmland",
    "RailwayStation": "a railway station",
    "Forest": "woods",
}


@pytest.fixture(scope="module")
def scenes(request) -> tuple[list[Image.Image], np.ndarray]:
    table = pd.read_parquet(request.getfixturevalue("real_data") / "aerial-captions" / "test.parquet").iloc[::EVERY]
    return [Image.open(io.BytesIO(content)).convert("RGB") for content in table["webp"]], table["scene"].to_numpy(str)


def shipped(name: str) -> Encoder:
    folder = find_encoder(name)
    assert folder is not None
    return Encoder.open(folder)


def test_the_default_finds_real_places_by_words_and_better_than_clean(scenes):
    chips, kinds = scenes
    right = {}
    for name in ("default", "clean"):
        encoder = shipped(name)
        similarity = encoder.embed_texts(list(PHRASES.values())) @ encoder.embed_images(chips).T
        first = kinds[(-similarity).argsort(1)[:, :FIRST]]
        right[name] = (first == np.array(list(PHRASES))[:, None]).mean()
    assert right["default"] >= 0.5 and right["default"] > right["clean"]


def test_a_coarser_softer_file_of_a_chip_stays_most_like_it(scenes):
    chips, _ = scenes
    encoder = shipped("default")
    coarse = []
    for chip in chips:
        file = io.BytesIO()
        chip.resize((75, 75), Image.Resampling.BOX).resize(chip.size, Image.Resampling.BICUBIC).save(
            file, "JPEG", quality=60
        )
        coarse.append(Image.open(file).convert("RGB"))
    latent = encoder.config.model["embed_dim"]
    rows, coarse_rows = (encoder.embed_images(given)[:, :latent] for given in (chips, coarse))
    assert ((coarse_rows @ rows.T).argmax(1) == np.arange(len(chips))).mean() > 0.7
