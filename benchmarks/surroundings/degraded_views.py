"""Views of a chip for training: in one of eight positions, as another scale, season, sensor or file would have given it."""

import io

import numpy as np
from PIL import Image, ImageFilter

POSITIONS = 8  # four quarters, as it is and mirrored
SMALLEST_PART = 0.65  # of a chip's side that is shown
DEGRADED = 0.6  # share of views that lose detail; the others keep all they have
COARSEST = 6.0  # times the pixel's width


def view(chip: Image.Image, position: int, size: int, random: np.random.Generator) -> np.ndarray:
    """(size, size, 3) uint8: a part of a square chip, mirrored if position // 4, turned clockwise by position % 4 quarters."""
    side = chip.width
    part = side * random.uniform(SMALLEST_PART, 1.0)
    left, top = random.uniform(0, side - part, 2)
    shown = chip.resize((size, size), Image.Resampling.BICUBIC, (left, top, left + part, top + part))
    if position // 4:
        shown = shown.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if position % 4:
        shown = shown.rotate(-90 * (position % 4))
    if random.random() < DEGRADED:
        shown = degraded(shown, random)
    return recoloured(np.asarray(shown, np.float32), random)


def degraded(chip: Image.Image, random: np.random.Generator) -> Image.Image:
    """Coarser pixels, a soft lens, a lossy file: each with its own chance."""
    size = chip.width
    if random.random() < 0.5:
        coarse = max(8, round(size / np.exp(random.uniform(0, np.log(COARSEST)))))
        chip = chip.resize((coarse, coarse), Image.Resampling.BOX).resize((size, size), Image.Resampling.BICUBIC)
    if random.random() < 0.3:
        chip = chip.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 1.2)))
    if random.random() < 0.5:
        file = io.BytesIO()
        chip.save(file, "JPEG", quality=int(random.integers(25, 95)))
        chip = Image.open(file).convert("RGB")
    return chip


def recoloured(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Season and sensor: saturation, contrast, brightness, a cast, haze, noise; pixels from 0 to 255."""
    grey = pixels.mean(2, keepdims=True)
    pixels = grey + (pixels - grey) * random.uniform(0.6, 1.3)
    middle = pixels.mean()
    pixels = middle + (pixels - middle) * random.uniform(0.75, 1.25)
    pixels = pixels * random.uniform(0.8, 1.2) * random.uniform(0.92, 1.08, 3)
    if random.random() < 0.2:
        share = random.uniform(0, 0.3)
        pixels = pixels * (1 - share) + 200 * share
    if random.random() < 0.3:
        pixels = pixels + random.normal(0, random.uniform(1, 8), pixels.shape)
    return np.rint(pixels).clip(0, 255).astype(np.uint8)
