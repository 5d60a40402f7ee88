"""Does a sentence claim anything of this place? A small trained classifier, for what no pattern can list.

A multinomial logistic regression over hashed words, pairs of words and letter groups, and over how many words are of each group
of `rules/words.toml`. It was taught by `benchmarks/surroundings/sentence_classes.py`; its weights lie in `assets/sentences`.
"""

import json
import re
import tomllib
import zlib
from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from lecdiff_core.assets import assets_folder
from lecdiff_core.city.layout import CONFIG_FILE, WEIGHTS_FILE

CLAIM = "claim"
REASONS = {
    "boilerplate": "praise or a generality that would fit any place",
    "meta": "speaks of the image or the answer, not of the place",
    "speculation": "a guess that nothing in the image supports",
    "history": "a matter of time or fame, which no image shows",
}
CLASSES = (CLAIM, *REASONS)
BUCKETS = 1 << 15
LETTERS = (3, 4, 5)  # lengths of the groups of letters
LONGEST = 400  # characters that are read
_WORD = re.compile(r"[a-z]+(?:[-'’][a-z]+)*|\d+|[?!%€$]")


@dataclass(frozen=True)
class SentenceClassifier:
    """weights: (BUCKETS + groups + 1, classes) float32, the last row the bias. least: P(claim) under which a sentence goes."""

    weights: np.ndarray
    least: float
    least_of_part: float  # of a part that can be taken off

    def probabilities(self, text: str) -> np.ndarray:
        """(classes,) how likely a sentence is of each of `CLASSES`; they add up to 1."""
        rows, values = features(text)
        scores = values @ self.weights[rows] + self.weights[-1]
        scores = np.exp(scores - scores.max())
        return np.asarray(scores / scores.sum())

    def fault(self, text: str, part: bool = False) -> str | None:
        """Why a sentence, or a part of one, claims nothing of the place; None where it does."""
        probabilities = self.probabilities(text)
        if probabilities[0] >= (self.least_of_part if part else self.least):
            return None
        return REASONS[CLASSES[1 + int(probabilities[1:].argmax())]]


@cache
def sentence_classifier(folder: Path | None = None) -> SentenceClassifier:
    """The shipped classifier, or the one of a folder; read once."""
    folder = folder or assets_folder() / "sentences"
    config = json.loads((folder / CONFIG_FILE).read_text("utf-8"))
    weights = load_file(folder / WEIGHTS_FILE)["weights"].astype(np.float32)
    return SentenceClassifier(weights, config["least"], config["least_of_part"])


def features(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the weights that a text has, and their values: each kind of feature has length 1, whatever the text's length."""
    words = _WORD.findall(text[:LONGEST].lower())
    plain = " ".join(words)
    pairs = [f"{one} {two}" for one, two in zip(["^", *words], [*words, "$"], strict=True)]
    padded = f" {plain} "
    groups = [padded[i : i + n] for n in LETTERS for i in range(len(padded) - n + 1)]
    rows: list[int] = []
    values: list[float] = []
    for mark, terms in (("w", words), ("p", pairs), ("c", groups)):
        counts = Counter(zlib.crc32(f"{mark}{term}".encode()) % BUCKETS for term in terms)
        norm = sum(count * count for count in counts.values()) ** 0.5 or 1.0
        rows += counts.keys()
        values += [count / norm for count in counts.values()]
    shares = _shares(words)
    return np.array([*rows, *range(BUCKETS, BUCKETS + len(shares))]), np.array([*values, *shares], np.float32)


def _shares(words: list[str]) -> list[float]:
    """Of each group of words: its share of the words, and whether there is any; then how long the text is."""
    count = max(len(words), 1)
    matched = [sum(word in group or word.removesuffix("s") in group for word in words) for group in _groups()]
    return [part for hits in matched for part in (2 * hits / count, float(hits > 0))] + [min(count, 40) / 40]


@cache
def _groups() -> tuple[frozenset[str], ...]:
    text = (files("lecdiff_core.environment.refinement") / "rules" / "words.toml").read_text("utf-8")
    return tuple(frozenset(words.split()) for words in tomllib.loads(text).values())
