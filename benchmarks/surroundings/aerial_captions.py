"""Real chips with human captions (`aerial-captions`): near-duplicates of the test part left out, a part held out.

What is held out, to choose by, is whole groups of near-duplicates, so that none of it was seen in training.
"""

import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

DATA = Path(os.environ.get("LECDIFF_REAL_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
HASH_SIDE, SHRUNK = 8, 32
NEAR = 14  # differing bits of 64, at most, between near-duplicates
HELD_OUT = 600  # chips, for choosing and for stopping


@dataclass(frozen=True)
class Captioned:
    """Chips (square, RGB) with their captions and their scene, one of 30."""

    chips: list[Image.Image]
    captions: list[tuple[str, ...]]
    scenes: np.ndarray

    def part(self, rows: np.ndarray) -> "Captioned":
        """Some of them."""
        return Captioned([self.chips[row] for row in rows], [self.captions[row] for row in rows], self.scenes[rows])


def read_captioned(part: str) -> Captioned:
    """`train` or `test`, as it lies there."""
    table = pd.read_parquet(DATA / "aerial-captions" / f"{part}.parquet")
    chips = [Image.open(io.BytesIO(content)).convert("RGB") for content in table["webp"]]
    return Captioned(chips, [tuple(captions) for captions in table["captions"]], table["scene"].to_numpy(str))


def training_parts(seed: int = 0) -> tuple[Captioned, Captioned, int]:
    """What is trained on, what is held out of it, and how many near-duplicates of the test part were left out."""
    train, test = read_captioned("train"), read_captioned("test")
    hashes, test_hashes = perceptual_hashes(train.chips), perceptual_hashes(test.chips)
    apart = np.flatnonzero(~near(hashes, test_hashes).any(1))
    pairs = coo_array(near(hashes[apart], hashes[apart]))
    _, group = connected_components(pairs, directed=False)
    order = np.random.default_rng(seed).permutation(group.max() + 1)
    held = np.cumsum(np.bincount(group)[order]) <= HELD_OUT
    out = np.isin(group, order[held])
    return train.part(apart[~out]), train.part(apart[out]), len(hashes) - len(apart)


def perceptual_hashes(chips: list[Image.Image]) -> np.ndarray:
    """(n, 64) ± 1: signs of a chip's lowest cosine coefficients about their median (pHash)."""
    hashes = []
    for chip in chips:
        grey = np.asarray(chip.convert("L").resize((SHRUNK, SHRUNK), Image.Resampling.BOX), float)
        low = dctn(grey, norm="ortho")[:HASH_SIDE, :HASH_SIDE].ravel()
        hashes.append(np.where(low > np.median(low[1:]), 1.0, -1.0))
    return np.array(hashes, np.float32)


def near(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n, m) whether hashes differ in at most `NEAR` bits."""
    return one @ other.T >= one.shape[1] - 2 * NEAR
