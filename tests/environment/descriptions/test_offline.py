"""Descriptions made of measured evidence: their length, their honesty and that they differ with the ground."""

import numpy as np
import pytest
from PIL import Image

from lecdiff_core.environment.descriptions.offline import FEWEST_WORDS, MOST_WORDS, describe_offline
from lecdiff_core.environment.refinement.refiner import refine
from tests.environment.refinement.test_evidence import GRASS, SOIL, WATER, ground, town


def scenes() -> dict[str, np.ndarray]:
    half_water = town()
    half_water[:, :100] = ground(WATER)[:, :100]
    edge_of_town = ground(GRASS)
    edge_of_town[128:] = town()[128:]
    fields = ground(GRASS)
    fields[:, 140:] = ground(SOIL)[:, 140:]
    return {"town": town(), "river": half_water, "edge": edge_of_town, "fields": fields, "lake": ground(WATER)}


@pytest.mark.parametrize("name", list(scenes()))
@pytest.mark.parametrize("seed", range(4))
def test_length_and_refinement(name: str, seed: int) -> None:
    image = Image.fromarray(scenes()[name])
    sentences = describe_offline(image, 2.5, seed)
    text = " ".join(sentences)
    assert FEWEST_WORDS - 15 <= len(text.split()) <= MOST_WORDS
    assert refine(text, image, 2.5).text == text


def test_same_seed_same_text_other_seed_other_words() -> None:
    image = Image.fromarray(scenes()["edge"])
    assert describe_offline(image, 2.5, 1) == describe_offline(image, 2.5, 1)
    assert len({" ".join(describe_offline(image, 2.5, seed)) for seed in range(8)}) > 3


def test_different_grounds_are_described_differently() -> None:
    texts = {name: " ".join(describe_offline(Image.fromarray(pixels), 2.5)) for name, pixels in scenes().items()}
    assert len(set(texts.values())) == len(texts)
    assert "water" in texts["river"].lower() and "left half" in texts["river"]
    assert "water" not in texts["town"].lower()
    assert "open land" in texts["fields"].lower()
