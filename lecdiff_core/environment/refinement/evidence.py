"""What can be measured in a satellite chip: surfaces and where they lie, brightness, texture and long straight corridors.

A chip is brought to one ground resolution first (`GRID_METRES`, by area averaging), so that a 64 px Sentinel-2 chip of 640 m
and a 256 px aerial chip of the same ground give maps of the same size and the same thresholds hold for both. North is up.
The thresholds were set by hand on the `dev` and `first_held_out` parts of `benchmarks/data/falsehoods`; what they are good for is
measured on its `held_out` part (`benchmarks/surroundings/refinement.py`, `docs/refinement.md`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import cos, pi, sin

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from lecdiff_core.errors import UserError

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

GRID_METRES = 10.0
ROOF_AREA = 20_000.0  # m²: a roof may be as even and as blue as water, but is not larger
MIN_CELLS, MAX_CELLS = 16, 512

SURFACES: tuple[str, ...] = ("shadow", "bright", "vegetation", "terracotta", "soil", "water", "paved")

# Further maps that have a share, by the names the rules use; a cell may belong to several.
LAND: Mapping[str, str] = {
    "open": "open_land",
    **{name: name for name in ("built", "inhabited", "countryside", "reddish", "yellow", "wooded", "pond")},
}


@dataclass(frozen=True)
class Line:
    """A straight corridor (road, railway, canal) across the chip: `contrast` is its difference to both sides in local noise."""

    length: float  # metres
    bearing: float  # degrees from north, 0 ≤ bearing < 180
    contrast: float
    paved: float  # part of the band that is grey, as roads are
    row: float  # of its middle, 0 = top edge, 1 = bottom edge
    column: float  # 0 = left edge, 1 = right edge


# Regions as (top, bottom, left, right) in parts of the chip.
REGIONS: Mapping[str, tuple[float, float, float, float]] = {
    "all": (0, 1, 0, 1),
    "north": (0, 0.5, 0, 1),
    "south": (0.5, 1, 0, 1),
    "west": (0, 1, 0, 0.5),
    "east": (0, 1, 0.5, 1),
    "north-west": (0, 0.5, 0, 0.5),
    "north-east": (0, 0.5, 0.5, 1),
    "south-west": (0.5, 1, 0, 0.5),
    "south-east": (0.5, 1, 0.5, 1),
    "centre": (0.25, 0.75, 0.25, 0.75),
    "north edge": (0, 0.3, 0, 1),
    "south edge": (0.7, 1, 0, 1),
    "west edge": (0, 1, 0, 0.3),
    "east edge": (0, 1, 0.7, 1),
    "middle": (0.3, 0.7, 0, 1),
}
_QUADRANTS = ("north-west", "north-east", "south-west", "south-east")
# What a side is compared with: a quadrant with the other three, a half or an edge with the one across.
RIVALS: Mapping[str, tuple[str, ...]] = {
    **{name: tuple(other for other in _QUADRANTS if other != name) for name in _QUADRANTS},
    **{name: (other,) for a, b in (("north", "south"), ("west", "east")) for name, other in ((a, b), (b, a))},
    **{
        f"{name} edge": (f"{other} edge",)
        for a, b in (("north", "south"), ("west", "east"))
        for name, other in ((a, b), (b, a))
    },
}


@dataclass(frozen=True)
class Evidence:
    """Measurements of one chip. `rgb` is `(rows, columns, 3)` in 0…1 at `cell` metres a cell; maps have `(rows, columns)`."""

    rgb: Floats
    cell: float

    @cached_property
    def luminance(self) -> Floats:
        """Perceived brightness of each cell, 0…1 (ITU-R BT.601)."""
        weights = np.array([0.299, 0.587, 0.114])
        return self.rgb @ weights

    @cached_property
    def saturation(self) -> Floats:
        """Colourfulness of each cell, 0 (grey) … 1, as in HSV."""
        high = self.rgb.max(axis=-1)
        return (high - self.rgb.min(axis=-1)) / np.maximum(high, 1e-3)

    @cached_property
    def texture(self) -> Floats:
        """Standard deviation of luminance within about 50 m: low on fields and water, high among buildings."""
        size = max(3, round(50 / self.cell) | 1)
        mean = ndimage.uniform_filter(self.luminance, size, mode="reflect")
        square = ndimage.uniform_filter(self.luminance**2, size, mode="reflect")
        return np.sqrt(np.maximum(square - mean**2, 0))

    @cached_property
    def surfaces(self) -> dict[str, Mask]:
        """One mask for each of `SURFACES`; every cell belongs to exactly one."""
        red, green, blue = (self.rgb[..., band] for band in range(3))
        rules: dict[str, Mask] = {
            "soil": (red >= 1.02 * green) & (green >= 1.02 * blue) & (self.saturation > 0.18),
            "terracotta": (red > 1.22 * green) & (red - blue > 0.13),
            "vegetation": (green >= red) & (green > 1.08 * blue) & (self.saturation > 0.12),
            "bright": (self.luminance > 0.62) & (self.saturation < 0.3),
            "shadow": self.luminance < 0.14,
            "water": self._water(),
        }
        surface = np.full(self.luminance.shape, "paved", dtype="<U10")
        for name, mask in rules.items():
            surface[mask] = name
        return {name: surface == name for name in SURFACES}

    @cached_property
    def pond(self) -> Mask:
        """Even cool patches of any size down to four cells: what may be a small pond, or as well a shadow."""
        return self._calm_patches(self._cool, 4 * self.cell**2, 0.06, 0.08)

    def _water(self) -> Mask:
        """Even patches of a cool colour: blue and teal ones as before, and grey-green ones that are evener still."""
        return self._blue_patches(self._blueish & (self.luminance < 0.42)) | self._calm_patches(self._cool)

    @cached_property
    def _blueish(self) -> Mask:
        red, green, blue = (self.rgb[..., band] for band in range(3))
        return (blue > 1.1 * red) & (blue >= 0.85 * green) & (self.saturation > 0.15)

    @cached_property
    def _cool(self) -> Mask:
        """Blue, teal and grey-green cells, none of them bright."""
        red, green, blue = (self.rgb[..., band] for band in range(3))
        murky = (green > 1.08 * red) & (blue > 0.82 * green) & (blue > 0.93 * red)
        return (self._blueish | murky) & (self.luminance < 0.45)

    def _calm_patches(self, cool: Mask, area: float = 800.0, light: float = 0.03, colour: float = 0.06) -> Mask:
        """Patches of at least `area` m² without texture inside their rim, as rivers and ponds of any cool tone are."""
        labels, count = ndimage.label(ndimage.binary_opening(cool, np.ones((2, 2))))
        mask = np.zeros_like(cool)
        for index, box in enumerate(ndimage.find_objects(labels, count), start=1):
            patch = labels[box] == index
            inside = ndimage.binary_erosion(patch)
            core = inside if inside.sum() >= 4 else patch
            calm = self.luminance[box][core].std() < light and self.saturation[box][core].std() < colour
            size = patch.sum() * self.cell**2
            if calm and size >= area and (size > ROOF_AREA or self._has_banks(labels, index, box)):
                mask[box] |= patch
        return mask

    def _has_banks(self, labels: NDArray, index: int, box: tuple[slice, slice]) -> bool:
        """Whether green or brown ground, not a roof's rim or asphalt, is around a third of a patch or more."""
        around = tuple(slice(max(side.start - 2, 0), side.stop + 2) for side in box)
        patch = labels[around] == index
        rim = ndimage.binary_dilation(patch, np.ones((3, 3)), iterations=2) & ~ndimage.binary_dilation(patch)
        red, green, blue = (self.rgb[around][..., band] for band in range(3))
        natural = (np.maximum(red, green) > 1.08 * blue) & (self.saturation[around] > 0.12)
        return not rim.any() or bool(natural[rim].mean() >= 0.33)

    def _blue_patches(self, cool: Mask) -> Mask:
        """Blue patches. A shadow may be as blue, but varies over roofs and ground; a small one is darker too."""
        labels, count = ndimage.label(ndimage.uniform_filter(cool.astype(float), 3) > 0.6)
        blue = np.zeros_like(cool)
        for index, box in enumerate(ndimage.find_objects(labels, count), start=1):
            patch = labels[box] == index
            seen = patch & cool[box]
            area = patch.sum() * self.cell**2
            if area < 1200:
                continue
            even = self.saturation[box][seen].std() < 0.08 and self.luminance[box][seen].std() < 0.05
            if even and (area >= 4000 or 0.16 < self.luminance[box][seen].mean() < 0.34):
                blue[box] |= patch
        return blue

    @cached_property
    def open_land(self) -> Mask:
        """Fields, lawns, woods, bare ground and water: mostly green or brown within 70 m and smoother than roofs."""
        natural = self.surfaces["vegetation"] | self.surfaces["soil"] | self.surfaces["water"]
        size = max(3, round(70 / self.cell) | 1)
        around = ndimage.uniform_filter(natural.astype(float), size, mode="reflect")
        smooth = ndimage.uniform_filter(self.texture, size, mode="reflect")
        return around > 0.68 + 2.5 * np.maximum(smooth - 0.09, 0)

    @cached_property
    def built(self) -> Mask:
        """Buildings with their yards and streets: what is not open land."""
        return ~self.open_land

    @cached_property
    def inhabited(self) -> Mask:
        """Built land with its gardens, lawns and yards: `built`, or colours and brightness that change from cell to cell."""
        size = max(3, round(90 / self.cell) | 1)
        busy = (_range(self.luminance) > 0.16) | (_range(self.rgb[..., 0] - self.rgb[..., 1]) > 0.09)
        settled = ndimage.uniform_filter(busy.astype(float), size, mode="reflect") > 0.62
        return (self.built | settled) & ~self.surfaces["water"]

    @cached_property
    def countryside(self) -> Mask:
        """Open land that is not the gardens and lawns of a settlement."""
        return self.open_land & ~self.inhabited

    @cached_property
    def reddish(self) -> Mask:
        """Cells redder than soil or grass, as tiled roofs are that a cell mixes with their gardens."""
        red, green, blue = (self.rgb[..., band] for band in range(3))
        return (red > 1.06 * green) & (red > 1.2 * blue) & self.inhabited

    @cached_property
    def yellow(self) -> Mask:
        """Cells as yellow as sand, straw or ripe crops; they also belong to one of `SURFACES`."""
        red, green, blue = (self.rgb[..., band] for band in range(3))
        return (self.luminance > 0.35) & (green > 0.72 * red) & (green < 1.05 * red) & (blue < 0.68 * red)

    @cached_property
    def wooded(self) -> Mask:
        """Green or brown cells darker than lawns and fields, with little else around: tree crowns and their shade."""
        natural = self.surfaces["vegetation"] | self.surfaces["soil"]
        around = ndimage.uniform_filter(natural.astype(float), max(3, round(50 / self.cell) | 1), mode="reflect")
        return natural & (ndimage.uniform_filter(self.luminance, 3) < 0.37) & (around > 0.5)

    def share(self, surface: str, region: str = "all") -> float:
        """Part (0…1) of a region of `REGIONS` covered by one of `SURFACES` or of `LAND`."""
        mask = getattr(self, LAND[surface]) if surface in LAND else self.surfaces[surface]
        return float(self.window(mask, region).mean())

    def window(self, values: NDArray, region: str) -> NDArray:
        """The part of a map that lies in a region."""
        top, bottom, left, right = REGIONS[region]
        rows, columns = values.shape[:2]
        return values[
            round(top * rows) : max(round(bottom * rows), 1), round(left * columns) : max(round(right * columns), 1)
        ]

    @cached_property
    def brightness(self) -> float:
        """Mean luminance, 0…1."""
        return float(self.luminance.mean())

    @cached_property
    def contrast(self) -> float:
        """Standard deviation of luminance."""
        return float(self.luminance.std())

    @cached_property
    def edge_density(self) -> float:
        """Part of the cells on a luminance step of more than 0.1 a cell."""
        rows, columns = np.gradient(self.luminance)
        return float((np.hypot(rows, columns) > 0.1).mean())

    @cached_property
    def grain(self) -> float:
        """Distance in metres over which luminance loses half its likeness to itself: small for small roofs, large for fields."""
        values = self.luminance - self.luminance.mean()
        variance = float((values**2).mean())
        if variance < 1e-9:
            return float(min(values.shape) * self.cell)
        for step in range(1, min(values.shape) // 2):
            down = (values[step:] * values[:-step]).mean()
            across = (values[:, step:] * values[:, :-step]).mean()
            if (down + across) / 2 < variance / 2:
                return step * self.cell
        return min(values.shape) / 2 * self.cell

    @cached_property
    def has_pitch(self) -> bool:
        """Whether there is a compact even lawn of 0.3 to 2.5 ha, as a sports ground has."""
        lawn = self.surfaces["vegetation"] & (self.texture < 0.1)
        labels, count = ndimage.label(ndimage.binary_opening(lawn, np.ones((3, 3))))
        for index, box in enumerate(ndimage.find_objects(labels, count), start=1):
            part = labels[box] == index
            hectares = part.sum() * self.cell**2 / 1e4
            long, short = max(part.shape), min(part.shape)
            if 0.3 <= hectares <= 2.5 and part.mean() > 0.6 and long < 2.5 * short:
                return True
        return False

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """The straight corridors at least 250 m long, strongest first (at most eight)."""
        return _corridors(self.rgb, self.surfaces["paved"], self.cell)


def measure(image: Image.Image, metres_per_pixel: float) -> Evidence:
    """Evidence of a chip whose pixels are `metres_per_pixel` wide on the ground.

    Raises UserError for a scale that is not positive, or an image too small to say anything (under 160 m or 16 px).
    """
    if not metres_per_pixel > 0:
        raise UserError(f"metres per pixel must be above 0, not {metres_per_pixel}")
    width, height = image.size
    cell = max(GRID_METRES, metres_per_pixel)
    columns, rows = round(width * metres_per_pixel / cell), round(height * metres_per_pixel / cell)
    if min(columns, rows) < MIN_CELLS:
        raise UserError(
            f"a chip of {width} × {height} px at {metres_per_pixel:g} m shows too little ground; give at least "
            f"{MIN_CELLS * GRID_METRES:.0f} m and {MIN_CELLS} px each way"
        )
    if max(columns, rows) > MAX_CELLS:
        cell *= max(columns, rows) / MAX_CELLS
        columns, rows = round(width * metres_per_pixel / cell), round(height * metres_per_pixel / cell)
    small = image.convert("RGB")
    if (columns, rows) != image.size:
        small = small.resize((columns, rows), Image.Resampling.BOX)
    return Evidence(np.asarray(small, dtype=np.float64) / 255, cell)


def _range(values: Floats) -> Floats:
    """Difference between the highest and the lowest value within one cell's distance."""
    return ndimage.maximum_filter(values, 3) - ndimage.minimum_filter(values, 3)


def _corridors(rgb: Floats, paved: Mask, cell: float) -> tuple[Line, ...]:
    """Search bands 30 m wide that are even along 250 m and unlike the ground on both sides, in 24 directions."""
    along = max(9, round(250 / cell) | 1)
    rows, columns = rgb.shape[:2]
    corridors: list[Line] = []
    valid_map = np.ones((rows, columns))
    for step in range(24):
        angle = step * 7.5
        turned = ndimage.rotate(rgb, angle, reshape=True, order=1, mode="constant")
        valid = ndimage.rotate(valid_map, angle, reshape=True, order=1, mode="constant") > 0.99
        band = ndimage.uniform_filter1d(turned, 3, axis=0)
        mean = ndimage.uniform_filter1d(band, along, axis=1)
        spread = np.sqrt(np.maximum(ndimage.uniform_filter1d(band**2, along, axis=1) - mean**2, 0)).mean(axis=-1)
        gap = 4
        up, down = np.roll(mean, gap, axis=0), np.roll(mean, -gap, axis=0)
        unlike = np.minimum(np.linalg.norm(mean - up, axis=-1), np.linalg.norm(mean - down, axis=-1))
        score = unlike / (spread + 0.02)
        whole = np.ones((2 * gap + 3, along))
        score[~ndimage.binary_erosion(valid, whole, border_value=0)] = 0
        row, column = np.unravel_index(int(score.argmax()), score.shape)
        if score[row, column] <= 0:
            continue
        centre_row, centre_column = (turned.shape[0] - 1) / 2, (turned.shape[1] - 1) / 2
        turn = angle * pi / 180
        dy, dx = row - centre_row, column - centre_column
        y = cos(turn) * dy + sin(turn) * dx + (rows - 1) / 2
        x = -sin(turn) * dy + cos(turn) * dx + (columns - 1) / 2
        corridors.append(
            Line(
                length=along * cell,
                bearing=(90 + angle) % 180,
                contrast=float(score[row, column]),
                paved=_along(paved, y, x, turn, along),
                row=float(y / rows),
                column=float(x / columns),
            )
        )
    return tuple(sorted(corridors, key=lambda line: -line.contrast)[:8])


def _along(mask: Mask, row: float, column: float, turn: float, cells: int) -> float:
    """Part of a straight stretch of cells around a point that lies in a mask."""
    steps = np.arange(cells) - cells // 2
    rows = np.clip(np.round(row + steps * sin(turn)).astype(int), 0, mask.shape[0] - 1)
    columns = np.clip(np.round(column + steps * cos(turn)).astype(int), 0, mask.shape[1] - 1)
    return float(mask[rows, columns].mean())
