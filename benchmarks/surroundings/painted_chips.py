"""Chips of towns that are generated for training alone, with captions, painted in many processes until time is up."""

import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

import numpy as np
from PIL import Image

from benchmarks.surroundings.town_captions import Captioner, rare_places
from lecdiff_core.demo.imagery import BLOCK, CHIP_METRES, CHIP_SIZE, Aerial
from lecdiff_core.demo.plan import Plan
from lecdiff_core.environment.descriptions.offline import describe_offline
from lecdiff_core.environment.embedding.contrastive import Pair

WINDOW = 3  # blocks a side that are painted of a town
CHIPS = 130  # a town
CAPTIONS = 3  # from the plan, a chip; one more is written from the picture and one is a search phrase
FIRST_SEED = 20_000
STATIONS = (60, 220)  # a town is as large as for so many


def painted_pairs(towns: int, size: int, seconds: float, processes: int) -> Iterator[list[Pair]]:
    """A list of pairs a town, chips of `size` pixels; after `seconds` no further town is begun."""
    until = time.time() + seconds
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(paint_town, FIRST_SEED + number, size, until) for number in range(towns)]
        for job in as_completed(jobs):
            if made := job.result():
                yield made


def paint_town(seed: int, size: int, until: float) -> list[Pair]:
    """Paint the most varied part of a town and cut chips from it; nothing where it is later than `until`."""
    if time.time() > until:
        return []
    random = np.random.default_rng([seed, 77])
    plan = Plan(int(random.integers(*STATIONS)), seed)
    aerial = Aerial(plan)
    captioner = Captioner(aerial.painter)
    side = BLOCK * aerial.painter.metres
    places = rare_places(plan, random, 600)
    corner = most_places(places, side)
    low, high = corner + CHIP_METRES * 0.52, corner + WINDOW * side - CHIP_METRES * 0.52
    inside = places[((places >= low) & (places <= high)).all(axis=1)][:CHIPS]
    pairs = []
    for number, (x, y) in enumerate(inside):
        chip = aerial.chip(x, y)
        offline = tuple(describe_offline(chip, CHIP_METRES / CHIP_SIZE, seed + number))
        texts = (*captioner.captions(x, y, random, CAPTIONS), offline)
        pairs.append(Pair(chip.resize((size, size), Image.Resampling.BICUBIC), texts))
    return pairs


def most_places(places: np.ndarray, side: float) -> np.ndarray:
    """Corner (2,) of the square of WINDOW blocks that holds the most places; blocks are counted from (0, 0)."""
    first, last = np.floor(places.min(0) / side).astype(int), np.floor(places.max(0) / side).astype(int)
    corners = [
        np.array([x, y]) * side
        for x in range(first[0], max(first[0], last[0] - WINDOW + 1) + 1)
        for y in range(first[1], max(first[1], last[1] - WINDOW + 1) + 1)
    ]
    counts = [((places >= at) & (places < at + WINDOW * side)).all(axis=1).sum() for at in corners]
    return corners[int(np.argmax(counts))]
