"""Training chips as the frozen stages of a tower see them, made once and kept in memory-mapped arrays.

The early stages cost two thirds of a pass through the tower and are never trained. So each chip is put through them once in each of
eight positions, every time degraded and recoloured anew (`degraded_views.py`), and training reads the maps. Positions are
made one after another: a training may begin when the first is whole. A run that was stopped goes on where it was.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.surroundings.degraded_views import POSITIONS, view
from lecdiff_core.environment.embedding.encoder import Encoder

ROWS = 64  # chips at once


@dataclass(frozen=True)
class Views:
    """Maps (POSITIONS, n, C, h, w) in half precision and raw statistics (POSITIONS, n, S); the first `positions` are made."""

    maps: np.memmap
    statistics: np.memmap
    positions: int


def open_views(folder: Path, encoder: Encoder, count: int, mode: Literal["r", "r+", "w+"] = "r") -> Views:
    """The arrays of `count` chips in a folder; with mode "w+" made empty."""
    maps, statistics = _seen(encoder, [np.zeros((encoder.config.image_size,) * 2 + (3,), np.uint8)])
    shape, numbers = (POSITIONS, count, *maps.shape[1:]), (POSITIONS, count, statistics.shape[1])
    done = folder / "done.json"
    return Views(
        np.memmap(folder / "maps.f16", np.float16, mode, shape=shape),
        np.memmap(folder / "statistics.f32", np.float32, mode, shape=numbers),
        json.loads(done.read_text())["positions"] if done.is_file() else 0,
    )


def make_views(
    folder: Path, encoder: Encoder, chips: Sequence[Image.Image], positions: int = POSITIONS, seed: int = 0
) -> None:
    """Put the chips through the frozen stages in the first `positions` positions; what is there already stays."""
    folder.mkdir(parents=True, exist_ok=True)
    views = open_views(folder, encoder, len(chips), "r+" if (folder / "maps.f16").is_file() else "w+")
    for position in range(views.positions, positions):
        for start in range(0, len(chips), ROWS):
            rows = range(start, min(start + ROWS, len(chips)))
            pictures = [
                view(chips[row], position, encoder.config.image_size, np.random.default_rng((seed, position, row)))
                for row in rows
            ]
            maps, statistics = _seen(encoder, pictures)
            views.maps[position, start : rows.stop] = maps.numpy()
            views.statistics[position, start : rows.stop] = statistics.numpy()
        (folder / "done.json").write_text(json.dumps({"positions": position + 1}))
        print(f"{time.strftime('%H:%M:%S')} {folder.name}: {position + 1} of {positions} positions", flush=True)


def _seen(encoder: Encoder, pictures: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    scaled = encoder.scaled(pixels).to(memory_format=torch.channels_last)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        maps, statistics = encoder.model.visual.early(scaled)
    return maps.half().contiguous(), statistics
