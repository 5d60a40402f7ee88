"""Every kind of ground is furnished whatever its shape: narrow waists, spikes, slivers, holes."""

import math

import numpy as np
import pytest
import shapely
from shapely import Polygon

from lecdiff_core.demo.objects.furnisher import Furnisher
from lecdiff_core.demo.style import make_style

FURNISHED = ("centre", "dense", "suburb", "offices", "industry", "campus", "stadium", "shopping", "hospital", "park")
WITH_FIRST = ("centre", "campus", "stadium", "hospital", "park")


def dumbbell(waist: float, side: float = 90.0) -> Polygon:
    """Two squares joined by a strip so wide."""
    return shapely.union_all(
        [
            shapely.box(0, 0, side, side),
            shapely.box(side - 1, side / 2, side + 60, side / 2 + waist),
            shapely.box(side + 59, 0, 2 * side + 60, side),
        ]
    )


def star(points: int, inner: float, outer: float) -> Polygon:
    """A star, whose rays are spikes where `inner` is small."""
    turn = np.arange(2 * points) * math.pi / points
    radius = np.where(np.arange(2 * points) % 2, inner, outer)
    return Polygon(np.column_stack([radius * np.cos(turn), radius * np.sin(turn)]))


GROUNDS = {
    **{f"waist {waist} m": dumbbell(waist) for waist in (2.5, 4.5, 6.5, 9.0, 11.5)},
    **{f"star {inner} m": star(5, inner, 160) for inner in (4.0, 12.0, 40.0)},
    "sliver": shapely.box(0, 0, 220, 4),
    "small": shapely.box(0, 0, 23, 22),
    "ring": shapely.box(0, 0, 200, 200) - shapely.box(12, 12, 188, 190),
}


@pytest.mark.parametrize("name", FURNISHED)
@pytest.mark.parametrize("shape", GROUNDS)
def test_every_ground_is_furnished(name: str, shape: str) -> None:
    for seed in range(6):
        for first in (True, False) if name in WITH_FIRST else (None,):
            filler = Furnisher(np.random.default_rng(seed), make_style(seed))
            getattr(filler, name)(GROUNDS[shape], *(() if first is None else (first,)))
            assert filler.scene.fills or filler.scene.trees or filler.scene.lines or shape == "sliver"
