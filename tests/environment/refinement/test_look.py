"""What an encoder sees in a chip, against reference chips: sentences go only where it is sure and they fit badly."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from lecdiff_core.environment.refinement.evidence import measure
from lecdiff_core.environment.refinement.look import Look, Looked, default_look, is_judged, open_look
from lecdiff_core.environment.refinement.refiner import refine_with
from tests.environment.little_encoder import one_thread, tiny_encoder  # noqa: F401

WIDTH = 8


class Eye:
    """Stands for an encoder: a text is its first letter's direction, an image its mean red, as a direction."""

    def embed_texts(self, texts):
        return np.eye(WIDTH, dtype=np.float32)[[ord(text[0].lower()) % WIDTH for text in texts]]

    def embed_images(self, images):
        return np.eye(WIDTH, dtype=np.float32)[[int(np.asarray(image)[..., 0].mean()) % WIDTH for image in images]]


@pytest.fixture
def look() -> Look:
    images = np.repeat(np.eye(WIDTH, dtype=np.float32), 4, axis=0)
    return Look(Eye(), images, np.eye(WIDTH, dtype=np.float32), sure=1.0, least=0.0)


def chip_of(letter: str, side: int = 64) -> Image.Image:
    return Image.new("RGB", (side, side), (ord(letter) % WIDTH + 8 * 10, 120, 60))


def test_a_sentence_that_fits_other_chips_better_is_doubted_with_how_many(look: Look) -> None:
    looked = look.at(chip_of("g"))
    assert looked.doubt("Grass covers all of it.") is None
    reason = looked.doubt("Houses cover all of it.")
    assert reason is not None and "12%" in reason


def test_z_is_in_deviations_of_the_references(look: Look) -> None:
    texts, image = np.eye(WIDTH, dtype=np.float32)[:2], np.eye(WIDTH, dtype=np.float32)[0]
    others = texts @ look.images.T
    expected = (texts @ image - others.mean(1)) / others.std(1)
    assert np.allclose(look.fit(texts, image), expected)


def test_an_encoder_that_is_not_sure_of_a_chip_doubts_nothing(look: Look) -> None:
    looked = replace(look, sure=99.0).at(chip_of("g"))
    assert looked.doubt("Houses cover all of it.") is None


@pytest.mark.parametrize(
    "sentence",
    [
        "No houses are seen.",
        "Housing is likely here.",
        "Few trees stand here.",
        "Houses cover 40 percent.",
        "People live here.",
    ],
)
def test_what_no_encoder_of_captions_can_tell_is_not_judged(look: Look, sentence: str) -> None:
    assert not is_judged(sentence) and look.at(chip_of("g")).doubt(sentence) is None


def test_refinement_drops_what_is_doubted_and_keeps_it_in_the_record(look: Look) -> None:
    image = chip_of("g")
    evidence = measure(image, 10.0)
    text = "Greenery prevails. Hedges line the paths."
    refined = refine_with(text, evidence, looked=look.at(image))
    alone = refine_with(text, evidence)
    assert alone.text == text and refined.text == "Greenery prevails."
    assert refined.sentences[1].reason and "other images" in refined.sentences[1].reason


def test_references_of_another_encoder_give_no_look(tmp_path: Path) -> None:
    encoder = tiny_encoder(tmp_path / "encoder")
    rows = np.eye(4, dtype=np.float16)
    file = tmp_path / "references.safetensors"
    assert open_look(tmp_path / "encoder", file) is None
    save_file({"images": rows, "texts": rows}, file, {"encoder": "another", "sure": "1", "least": "0"})
    assert open_look(tmp_path / "encoder", file) is None
    save_file({"images": rows, "texts": rows}, file, {"encoder": encoder.identity, "sure": "1", "least": "0.5"})
    look = open_look(tmp_path / "encoder", file)
    assert look is not None and (look.sure, look.least) == (1.0, 0.5) and look.images.dtype == np.float32


def test_the_shipped_references_are_of_the_shipped_encoder() -> None:
    look = default_look()
    assert look is not None, "calibrate again: python -m benchmarks.surroundings.looking calibrate"
    looked = look.at(chip_of("g", 150))
    assert isinstance(looked, Looked) and np.isfinite(looked.sureness)
