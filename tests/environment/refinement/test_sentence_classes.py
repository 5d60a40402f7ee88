"""What claims nothing of a place is told from what does, in words that no rule lists."""

import numpy as np
import pytest
from PIL import Image

from lecdiff_core.environment.refinement import refine
from lecdiff_core.environment.refinement.sentence_classes import BUCKETS, CLASSES, features, sentence_classifier

EMPTY = {
    "praise": "All of this lends the quarter an unmistakable sense of belonging and delight.",
    "image": "The photograph in question has clearly been taken with a very good camera.",
    "guess": "One might suspect that a wealthy family owns the property behind the trees.",
    "time": "The brewery was founded by monks and closed its doors many decades ago.",
}
CLAIMS = [
    "Long sheds with pale roofs stand in pairs along the road.",
    "Commuters come home in the evening, so activity is likely highest then.",
    "No water is seen.",
    "many buildings and some green trees are around a square .",
    "Probably workshops line the yard behind the houses.",
]


@pytest.fixture
def lawn() -> Image.Image:
    noise = np.random.default_rng(0).integers(-6, 7, (256, 256, 3))
    return Image.fromarray((np.array([80, 130, 60]) + noise).astype(np.uint8))


@pytest.mark.parametrize("text", EMPTY.values(), ids=EMPTY)
def test_a_sentence_without_a_claim_goes_and_says_why(lawn: Image.Image, text: str) -> None:
    refined = refine(f"Grass covers everything. {text}", lawn, 2.5)
    assert refined.text == "Grass covers everything."
    (gone,) = [sentence for sentence in refined.sentences if not sentence.kept]
    assert gone.text == text and gone.reason


@pytest.mark.parametrize("text", CLAIMS)
def test_a_claim_stays_whether_it_is_hedged_denied_or_rough(text: str) -> None:
    assert sentence_classifier().fault(text) is None


def test_an_empty_tail_is_cut_and_the_claim_stands(lawn: Image.Image) -> None:
    text = "Grass covers the whole area, creating a wonderful atmosphere of peace and harmony."
    refined = refine(text, lawn, 2.5)
    assert refined.text == "Grass covers the whole area." and len(refined.sentences) == 2


def test_a_sentence_that_names_several_parts_of_the_chip_is_not_judged(lawn: Image.Image) -> None:
    text = "Three kinds of charming fabric meet: old in the west, green in the north-east and grass in the south-east."
    assert refine(text, lawn, 2.5).text == text


@pytest.mark.parametrize("text", ["", " ", "???", "日本語のテキスト", "x" * 5000, "<b>" * 400, "\0\n\t", "a " * 3000])
def test_any_text_has_probabilities(text: str) -> None:
    probabilities = sentence_classifier().probabilities(text)
    assert probabilities.shape == (len(CLASSES),) and np.isclose(probabilities.sum(), 1, atol=1e-5)
    rows, values = features(text)
    assert (
        len(rows) == len(values) and np.isfinite(values).all() and rows.max() < len(sentence_classifier().weights) - 1
    )
    assert (rows[rows < BUCKETS] >= 0).all()


def test_letter_case_and_spaces_decide_nothing() -> None:
    one = sentence_classifier().probabilities("Perhaps the hall is a theatre.")
    other = sentence_classifier().probabilities("  PERHAPS the   hall is a THEATRE.\n")
    assert np.array_equal(one, other)
