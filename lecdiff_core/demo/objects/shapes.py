"""What stands on the plan, as shapes in ground metres, and the geometry that places them.

A `Scene` is a list of shapes in the order in which they are painted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely
from shapely import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from lecdiff_core.demo.plan import Array
from lecdiff_core.demo.style import CARS, Colour

FLAT, GABLE, HIP, SHED, ROUND = "flat", "gable", "hip", "shed", "round"


WHITE = (226, 226, 222)


@dataclass(frozen=True)
class Building:
    """A building: ring `(k, 2)` (front left, front right, back right, back left), height in metres, roof and its colour."""

    ring: Array
    height: float
    roof: str
    colour: Colour
    ridge_along_front: bool = True


@dataclass(frozen=True)
class Arena:
    """A stadium seen from above: rings of roof, stands and field, colour of the seats, and the pitch."""

    roof: Array
    stands: Array
    field: Array
    seats: Colour
    pitch: "Scene"


@dataclass
class Scene:
    """Shapes of one cell, painted in this order: fills, lines, marks, buildings and trees by height, cars on the ground."""

    fills: list[tuple[Array, Colour]] = field(default_factory=list)
    lines: list[tuple[Array, float, Colour, float]] = field(
        default_factory=list
    )  # points, width, colour, dash (0: solid)
    buildings: list[Building] = field(default_factory=list)
    trees: list[Array] = field(default_factory=list)  # (n, 3): x, y, radius
    cars: list[Array] = field(default_factory=list)  # (n, 5): x, y, angle, length, colour index
    arena: "Arena | None" = None

    def fill(self, shape: BaseGeometry, colour: Colour) -> None:
        """Paint every polygon of a shape."""
        for part in polygons(shape):
            self.fills.append((np.asarray(part.exterior.coords), colour))

    def line(self, points: Array, width: float, colour: Colour, dash: float = 0.0) -> None:
        """Paint a line."""
        self.lines.append((np.asarray(points), width, colour, dash))


def polygons(shape: BaseGeometry, least_area: float = 1.0) -> list[Polygon]:
    """The polygons in a shape, slivers left out."""
    return [p for p in shapely.get_parts(shape) if isinstance(p, Polygon) and p.area > least_area]


def vary(rng: np.random.Generator, colour: Colour, spread: float = 5.0) -> Colour:
    """A colour near `colour`: one step of brightness, small ones of hue."""
    shift = rng.normal(0, spread) + rng.normal(0, spread / 3, 3)
    r, g, b = np.clip(np.array(colour) + shift, 0, 255).astype(int).tolist()
    return r, g, b


def pick(rng: np.random.Generator, colours: Sequence[Colour], spread: float = 5.0) -> Colour:
    """One of the colours, varied."""
    return vary(rng, colours[int(rng.integers(len(colours)))], spread)


def rectangle_at(middle: Array, width: float, depth: float, angle: float) -> Array:
    """Corners `(4, 2)` of a rectangle centred on a point; `width` lies along `angle`."""
    along = np.array([math.cos(angle), math.sin(angle)]) * width / 2
    across = np.array([-math.sin(angle), math.cos(angle)]) * depth / 2
    return middle + np.array([-along - across, along - across, along + across, -along + across])


def rectangle(x: float, y: float, width: float, depth: float, angle: float) -> Array:
    """The same, by coordinates."""
    return rectangle_at(np.array([x, y]), width, depth, angle)


def frame(shape: Polygon) -> tuple[float, float, float, float, float]:
    """Centre, length, width and angle (of the length) of the oriented envelope."""
    box = shapely.oriented_envelope(shape)
    if not isinstance(box, Polygon):
        x0, y0, x1, y1 = shape.bounds
        return (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0, 0.0
    corners = np.asarray(box.exterior.coords)[:4]
    first, second = corners[1] - corners[0], corners[2] - corners[1]
    long = first if np.hypot(*first) >= np.hypot(*second) else second
    short = second if long is first else first
    x, y = corners.mean(axis=0)
    return float(x), float(y), float(np.hypot(*long)), float(np.hypot(*short)), math.atan2(long[1], long[0])


def split(shape: BaseGeometry, rng: np.random.Generator, area: float, street: float) -> list[Polygon]:
    """Cut a shape across its length, again and again, into pieces of about `area` square metres with streets between."""
    waiting, done = polygons(shape, 60), []
    while waiting:
        piece = waiting.pop()
        x, y, length, width, angle = frame(piece)
        if piece.area < area * rng.uniform(0.9, 1.7) or length < 45:
            done.append(piece)
            continue
        if length < 1.25 * width and rng.random() < 0.4:
            angle, length = angle + math.pi / 2, width
        at = rng.uniform(-0.13, 0.13) * length
        across = angle + math.pi / 2 + rng.normal(0, 0.07)
        middle = np.array([x + at * math.cos(angle), y + at * math.sin(angle)])
        reach = 800 * np.array([math.cos(across), math.sin(across)])
        cut = LineString([middle - reach, middle + reach]).buffer(street / 2, cap_style="flat")
        waiting += polygons(piece.difference(cut), 60)
    return done


def frontages(
    block: BaseGeometry,
    rng: np.random.Generator,
    width: tuple[float, float],
    depth: tuple[float, float],
    setback: float,
    gap: tuple[float, float],
) -> list[Array]:
    """Rectangles side by side along the inside of a block's edges, none overlapping and all inside."""
    rings = [
        np.asarray(part.exterior.coords) for part in shapely.get_parts(shapely.orient_polygons(block.simplify(2.5)))
    ]
    plots: list[Array] = []
    for a, b in (edge for ring in rings for edge in zip(ring[:-1], ring[1:], strict=True)):
        length = float(np.hypot(*(b - a)))
        if length < width[0] + 2:
            continue
        along = (b - a) / length
        inward = np.array([-along[1], along[0]])
        at = rng.uniform(0.2, 1.0) * gap[0] + 0.5
        while at + width[0] < length:
            w = min(rng.uniform(*width), length - at - 0.3)
            d = rng.uniform(*depth)
            s = setback + rng.uniform(0, 0.35) * setback
            front, side, back = a + along * at + inward * s, along * w, inward * d
            plots.append(np.array([front, front + side, front + side + back, front + back]))
            at += w + rng.uniform(*gap)
    if not plots:
        return []
    shapes = shapely.polygons(np.array(plots))
    inside = shapely.covers(block.buffer(0.6), shapes)
    tree = shapely.STRtree(shapes)
    shrunk = shapely.buffer(shapes, -0.35, join_style="mitre")
    first, second = tree.query(shrunk, predicate="intersects")
    clash: dict[int, list[int]] = {}
    for i, j in zip(first.tolist(), second.tolist(), strict=True):
        if i != j:
            clash.setdefault(i, []).append(j)
            clash.setdefault(j, []).append(i)
    keep: set[int] = set()
    for i in range(len(plots)):
        if inside[i] and not any(j in keep for j in clash.get(i, ())):
            keep.add(i)
    return [plots[i] for i in sorted(keep)]


def scatter(shape: BaseGeometry, rng: np.random.Generator, per_hectare: float, radius: tuple[float, float]) -> Array:
    """Random trees `(n, 3)` in a shape."""
    if shape.is_empty:
        return np.empty((0, 3))
    x0, y0, x1, y1 = shape.bounds
    count = rng.poisson(max(0.0, (x1 - x0) * (y1 - y0)) / 1e4 * per_hectare)
    points = rng.uniform((x0, y0), (x1, y1), (count, 2))
    points = points[shapely.contains_xy(shape, points[:, 0], points[:, 1])]
    return np.column_stack([points, rng.uniform(*radius, len(points))])


def along_line(points: Array, step: float) -> tuple[Array, Array]:
    """Points `(n, 2)` every `step` metres along a line, and its direction (angle) there."""
    lengths = np.hypot(*np.diff(points, axis=0).T)
    at = np.concatenate([[0.0], np.cumsum(lengths)])
    if at[-1] < step:
        return np.empty((0, 2)), np.empty(0)
    wanted = np.arange(step / 2, at[-1], step)
    spots = np.column_stack([np.interp(wanted, at, points[:, 0]), np.interp(wanted, at, points[:, 1])])
    segment = np.clip(np.searchsorted(at, wanted) - 1, 0, len(lengths) - 1)
    step_by = np.diff(points, axis=0)[segment]
    return spots, np.arctan2(step_by[:, 1], step_by[:, 0])


def cars_at(rng: np.random.Generator, spots: Array, angle: Array | float, share: float) -> Array:
    """Cars on a share of the spots, `(n, 5)`."""
    spots = spots[rng.random(len(spots)) < share] if np.ndim(angle) == 0 else spots
    n = len(spots)
    length = np.where(rng.random(n) < 0.06, 6.6, rng.uniform(3.9, 4.9, n))
    return np.column_stack(
        [spots, np.broadcast_to(angle, n) + rng.normal(0, 0.02, n), length, rng.integers(len(CARS), size=n)]
    )
