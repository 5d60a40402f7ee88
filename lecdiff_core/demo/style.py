"""How a town looks from above: season, roofs, soil, sun and the tone of the camera, all drawn from the seed."""

import math
from dataclasses import dataclass

import numpy as np

Colour = tuple[int, int, int]

SEASONS: dict[str, dict[str, tuple[Colour, ...]]] = {
    "early summer": {
        "grass": ((112, 130, 74), (104, 124, 70), (121, 137, 80), (98, 118, 68)),
        "tree": ((58, 82, 42), (66, 90, 48), (74, 96, 50), (52, 76, 44), (82, 102, 58)),
        "crop": ((118, 138, 74), (134, 148, 82), (172, 164, 104), (98, 122, 66), (150, 138, 104), (108, 130, 70), (190, 178, 110)),
    },
    "late summer": {
        "grass": ((126, 130, 82), (134, 134, 88), (116, 124, 76), (142, 138, 94)),
        "tree": ((62, 80, 44), (72, 88, 50), (80, 92, 52), (56, 74, 44), (92, 98, 58)),
        "crop": ((196, 178, 124), (206, 188, 136), (184, 164, 116), (124, 132, 78), (158, 136, 104), (104, 118, 66),
                 (176, 158, 114)),
    },
    "autumn": {
        "grass": ((118, 126, 74), (110, 120, 70), (128, 130, 82), (104, 114, 68)),
        "tree": ((62, 76, 44), (74, 82, 46), (86, 86, 48), (98, 90, 50), (110, 90, 50), (96, 78, 46)),
        "crop": ((142, 116, 88), (126, 104, 80), (110, 124, 70), (154, 128, 98), (98, 116, 64), (168, 146, 108), (132, 110, 84)),
    },
    "spring": {
        "grass": ((112, 130, 80), (106, 124, 76), (120, 136, 86), (100, 118, 74)),
        "tree": ((78, 98, 58), (90, 106, 64), (70, 90, 54), (98, 106, 74), (84, 102, 62)),
        "crop": ((112, 132, 78), (102, 124, 74), (190, 182, 96), (146, 124, 98), (120, 136, 82), (132, 114, 90), (98, 118, 70)),
    },
}  # fmt: skip

ROOFS: dict[str, tuple[Colour, ...]] = {
    "clay": ((158, 106, 84), (148, 98, 78), (168, 118, 96), (140, 94, 76), (154, 112, 92), (128, 102, 90), (148, 138, 130)),
    "slate": ((110, 110, 114), (98, 98, 102), (122, 120, 120), (88, 86, 88), (128, 118, 110), (140, 110, 96), (134, 134, 136)),
    "brown": ((128, 104, 88), (116, 92, 78), (142, 118, 100), (104, 88, 78), (150, 110, 88), (120, 112, 106), (136, 130, 124)),
    "pale": ((176, 168, 156), (188, 180, 168), (160, 150, 138), (146, 134, 122), (170, 146, 126), (132, 124, 118), (196, 192, 184)),
}  # fmt: skip

FLAT_ROOFS: tuple[Colour, ...] = (
    (168, 166, 162), (184, 182, 178), (150, 148, 146), (198, 197, 194), (134, 132, 130), (172, 164, 154), (158, 150, 142),
    (208, 206, 202), (142, 138, 132),
)  # fmt: skip
SHED_ROOFS: tuple[Colour, ...] = (
    (186, 188, 190), (172, 176, 180), (204, 206, 206), (150, 156, 162), (128, 140, 152), (164, 150, 138), (140, 126, 116),
    (214, 214, 212), (120, 132, 126),
)  # fmt: skip
CARS: tuple[Colour, ...] = (
    (236, 236, 236), (224, 224, 226), (60, 60, 64), (40, 42, 46), (150, 152, 156), (120, 122, 126), (150, 40, 36), (52, 74, 120),
    (196, 198, 200), (88, 90, 94),
)  # fmt: skip
CONTAINERS: tuple[Colour, ...] = (
    (152, 72, 54),
    (62, 92, 132),
    (70, 112, 92),
    (188, 186, 180),
    (184, 134, 62),
    (120, 58, 60),
)


@dataclass(frozen=True)
class Style:
    """Palettes, sun and tone of one town."""

    grass: tuple[Colour, ...]
    trees: tuple[Colour, ...]
    crops: tuple[Colour, ...]
    roofs: tuple[Colour, ...]
    asphalt: Colour
    street: Colour
    pavement: Colour
    concrete: Colour
    soil: Colour
    water: Colour
    river: Colour
    sun: tuple[float, float]  # unit vector towards the sun, east and north
    shadow: float  # length of a shadow per metre of height
    lean: tuple[float, float]  # displacement of a roof per metre of height: the camera was not straight above
    haze: float
    contrast: float
    saturation: float
    gain: tuple[float, float, float]


def make_style(seed: int) -> Style:
    """The look of the town of `seed`."""
    rng = np.random.default_rng([seed, 33])
    season = SEASONS[rng.choice(list(SEASONS))]
    roofs = ROOFS[rng.choice(list(ROOFS))]
    grey = int(rng.integers(96, 122))
    azimuth = rng.uniform(0, 2 * math.pi)
    lean = rng.uniform(0, 2 * math.pi)
    warm = rng.normal(0, 0.018)
    water = ((62, 84, 88), (54, 78, 92), (72, 92, 84), (50, 70, 78))[rng.integers(4)]
    river = ((78, 92, 84), (66, 84, 84), (88, 96, 80), (60, 78, 84))[rng.integers(4)]
    return Style(
        grass=season["grass"],
        trees=season["tree"],
        crops=season["crop"],
        roofs=roofs,
        asphalt=(grey, grey, grey + 2),
        street=(grey + 18, grey + 17, grey + 15),
        pavement=(grey + 48, grey + 45, grey + 40),
        concrete=(172, 168, 160),
        soil=((158, 136, 108), (146, 122, 94), (170, 148, 118), (140, 120, 98))[rng.integers(4)],
        water=water,
        river=river,
        sun=(math.cos(azimuth), math.sin(azimuth)),
        shadow=rng.uniform(0.6, 1.05),
        lean=(0.11 * math.cos(lean), 0.11 * math.sin(lean)),
        haze=rng.uniform(0.0, 0.06),
        contrast=rng.uniform(1.0, 1.14),
        saturation=rng.uniform(0.88, 1.08),
        gain=(1 + warm, 1.0, 1 - warm),
    )
