"""What stands on the plan: blocks, houses, halls, car parks, pitches, trees and cars, as shapes in ground metres.

Each cell of a town is furnished on its own from its own seed, so that any window of any town can be drawn without the
rest. A `Scene` is a list of shapes in the order in which they are painted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import shapely
from shapely import LineString, Point, Polygon
from shapely.geometry.base import BaseGeometry

from lecdiff_core.demo.plan import CLASSES, CODE, MOTORWAY, RAIL, RIVER, Array, Lake, Plan, Town
from lecdiff_core.demo.style import CARS, CONTAINERS, FLAT_ROOFS, SHED_ROOFS, Colour, Style

FLAT, GABLE, HIP, SHED, ROUND = "flat", "gable", "hip", "shed", "round"
WHITE = (226, 226, 222)
WET_OR_ROAD = [CODE["water"], CODE["motorway"], CODE["rail"]]


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
    found: list[Array] = []
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
            found.append(np.array([front, front + side, front + side + back, front + back]))
            at += w + rng.uniform(*gap)
    if not found:
        return []
    shapes = shapely.polygons(np.array(found))
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
    for i in range(len(found)):
        if inside[i] and not any(j in keep for j in clash.get(i, ())):
            keep.add(i)
    return [found[i] for i in sorted(keep)]


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


class Furnisher:
    """Fills one cell (or one piece of country) with objects."""

    def __init__(self, rng: np.random.Generator, style: Style) -> None:
        self.rng, self.style, self.scene = rng, style, Scene()
        self.roofs = style.roofs

    # Parts that several land uses share

    def grass(self, spread: float = 5.0) -> Colour:
        """One of the season's greens."""
        return pick(self.rng, self.style.grass, spread)

    def add(self, ring: Array, height: float, roof: str, colour: Colour, ridge_along_front: bool = True) -> None:
        """A building."""
        self.scene.buildings.append(Building(ring, height, roof, colour, ridge_along_front))

    def plant(self, shape: BaseGeometry, per_hectare: float, radius: tuple[float, float], avoid: list[Array]) -> None:
        """Trees in a shape, not on the buildings."""
        trees = scatter(shape, self.rng, per_hectare, radius)
        if avoid and len(trees):
            tree = shapely.STRtree(shapely.buffer([Polygon(ring) for ring in avoid], 1.5))
            hit = tree.query(shapely.points(trees[:, :2]), predicate="within")[0]
            trees = np.delete(trees, hit, axis=0)
        self.scene.trees.append(trees)

    def tree_row(self, points: Array, step: float, radius: tuple[float, float], share: float = 0.85) -> None:
        """Trees along a line."""
        spots, _ = along_line(points, step)
        spots = spots[self.rng.random(len(spots)) < share]
        spots = spots + self.rng.normal(0, 0.7, spots.shape)
        self.scene.trees.append(np.column_stack([spots, self.rng.uniform(*radius, len(spots))]))

    def edge_trees(
        self, ground: Polygon, inset: float, step: float, radius: tuple[float, float], share: float = 0.85
    ) -> None:
        """Trees along the edge of a ground, so far inside; a narrow place may part it in two, or leave none."""
        for part in shapely.get_parts(ground.buffer(-inset)):
            self.tree_row(np.asarray(part.exterior.coords), step, radius, share)

    def kerb(self, block: Polygon, colour: Colour, pavement: float = 2.2) -> Polygon | None:
        """Paint pavement and ground of a block, park cars at the kerb; the ground inside the pavement."""
        self.scene.fill(block, vary(self.rng, self.style.pavement, 4))
        inner = polygons(block.buffer(-pavement, join_style="mitre"))
        if not inner:
            return None
        ground = max(inner, key=lambda p: p.area)
        self.scene.fill(ground, colour)
        return ground

    def kerb_cars(self, block: Polygon, share: float) -> None:
        """Cars parked in the street along a block."""
        outline = block.buffer(1.5, join_style="mitre")
        spots, angle = along_line(np.asarray(outline.exterior.coords), 6.2)
        chosen = self.rng.random(len(spots)) < share
        self.scene.cars.append(cars_at(self.rng, spots[chosen], angle[chosen], 1.0))

    def parking(self, shape: BaseGeometry, share: float, avoid: list[Array], angle: float | None = None) -> None:
        """A car park: asphalt, rows of bays with their lines, cars, here and there a tree."""
        for lot in polygons(shape, 150):
            self.scene.fill(lot, vary(self.rng, self.style.asphalt, 5))
            x, y, length, width, own = frame(lot)
            turn = own if angle is None else angle
            half = math.hypot(length, width) / 2
            rows = np.arange(-half, half, 16.5)
            bays = np.arange(-half, half, 2.6)
            u = np.array([math.cos(turn), math.sin(turn)])
            v = np.array([-u[1], u[0]])
            inner = lot.buffer(-3.2)
            if avoid:
                inner = inner.difference(shapely.union_all(shapely.buffer([Polygon(ring) for ring in avoid], 4.0)))
            if inner.is_empty:
                continue
            for side in (-2.6, 2.6):
                grid = np.stack(np.meshgrid(bays, rows + side), axis=-1).reshape(-1, 2)
                spots = np.array([x, y]) + grid[:, :1] * u + grid[:, 1:] * v
                spots = spots[shapely.contains_xy(inner, spots[:, 0], spots[:, 1])]
                busy = share * (0.75 + 0.5 * self.rng.random())
                self.scene.cars.append(cars_at(self.rng, spots, turn + math.pi / 2, min(busy, 0.97)))
            for row in rows:
                middle = np.array([x, y]) + row * v
                mark = LineString([middle - half * u, middle + half * u]).intersection(inner)
                for part in shapely.get_parts(mark):
                    if part.length > 8:
                        self.scene.line(np.asarray(part.coords), 0.5, (186, 186, 182))
                        if self.rng.random() < 0.4:
                            self.tree_row(np.asarray(part.coords), 15.0, (1.8, 2.8), 0.7)

    def pitch(self, x: float, y: float, angle: float, length: float = 100.0, width: float = 64.0) -> None:
        """A football pitch with mown stripes and white lines."""
        green = self.grass(3)
        stripes = 10
        for k in range(stripes):
            at = (k + 0.5) / stripes - 0.5
            mid = np.array([x, y]) + at * length * np.array([math.cos(angle), math.sin(angle)])
            tone = np.array([-18, 4, -16]) + (7 if k % 2 else -5)
            r, g, b = np.clip(np.array(green) + tone, 0, 255).tolist()
            self.scene.fills.append((rectangle(mid[0], mid[1], length / stripes + 0.3, width, angle), (r, g, b)))
        for inset, breadth in ((0.0, width), (length * 0.42, width * 0.55)):
            for sign in (-1, 1) if inset else (0,):
                mid = np.array([x, y]) + sign * inset * np.array([math.cos(angle), math.sin(angle)])
                size = (length - 6) if not inset else length * 0.12
                ring = rectangle(mid[0], mid[1], size, breadth - 6, angle)
                self.scene.line(np.vstack([ring, ring[:1]]), 0.5, WHITE)
        self.scene.line(rectangle(x, y, 0.1, width - 6, angle)[[0, 3]], 0.5, WHITE)
        ring = np.array([x, y]) + 9 * np.column_stack(
            [np.cos(np.linspace(0, 6.4, 24)), np.sin(np.linspace(0, 6.4, 24))]
        )
        self.scene.line(ring, 0.5, WHITE)

    def track(self, x: float, y: float, angle: float) -> None:
        """A running track with a pitch inside."""
        spine = rectangle(x, y, 84, 0.1, angle)[[0, 1]]
        self.scene.fill(LineString(spine).buffer(47), vary(self.rng, (152, 84, 66), 5))
        for r in (39.5, 42, 44.5):
            ring = np.asarray(LineString(spine).buffer(r).exterior.coords)
            self.scene.line(ring, 0.35, (204, 170, 158))
        self.scene.fill(LineString(spine).buffer(37), self.grass(3))
        self.pitch(x, y, angle, 98, 60)

    def courts(self, x: float, y: float, angle: float, count: int) -> None:
        """Tennis courts in a row."""
        colour = pick(self.rng, ((160, 96, 72), (78, 112, 92), (76, 104, 134)), 4)
        for k in range(count):
            cx, cy = np.array([x, y]) + (k - (count - 1) / 2) * 19 * np.array([math.cos(angle), math.sin(angle)])
            self.scene.fills.append((rectangle(cx, cy, 17, 34, angle), colour))
            ring = rectangle(cx, cy, 11, 24, angle)
            self.scene.line(np.vstack([ring, ring[:1]]), 0.4, WHITE)
            self.scene.line(rectangle(cx, cy, 11, 0.1, angle)[[0, 1]], 0.4, WHITE)

    def flat_roof_house(self, ring: Array, height: float) -> None:
        """A flat-roofed building."""
        self.add(ring, height, FLAT, pick(self.rng, FLAT_ROOFS, 6))

    # One method for each land use

    def centre(self, cell: Polygon, first: bool) -> None:
        """Old town: closed blocks, courtyards built over, some towers; a square with a church in the very middle."""
        if first:
            self.square(cell)
            return
        for block in split(cell, self.rng, 4600, 9.0):
            self.old_block(block)

    def old_block(self, block: Polygon) -> None:
        """A closed block of the old town, or a tower in its stead."""
        ground = self.kerb(block, vary(self.rng, self.style.concrete, 7))
        self.kerb_cars(block, 0.3)
        if ground is None:
            return
        if ground.area > 2500 and self.rng.random() < 0.14:
            self.tower(ground)
            return
        for ring in frontages(ground, self.rng, (10, 24), (11.0, 15.5), 0.3, (0.0, 0.3)):
            if self.rng.random() < 0.62:
                self.add(ring, self.rng.uniform(11, 19), GABLE, pick(self.rng, self.style.roofs, 7))
            else:
                self.flat_roof_house(ring, self.rng.uniform(12, 24))
        for part in polygons(ground.buffer(-17), 90):
            x, y, length, width, angle = frame(part)
            ring = rectangle(x, y, 0.7 * length, 0.6 * width, angle)
            if self.rng.random() < 0.65 and part.covers(Polygon(ring)):
                self.flat_roof_house(ring, 5.0)
            else:
                self.scene.fill(part, self.grass())
                self.plant(part, 70, (2.2, 4.0), [])

    def square(self, cell: Polygon) -> None:
        """The market square with church, stalls and plane trees, and the old town around it."""
        x, y = cell.centroid.coords[0]
        angle = self.rng.uniform(0, math.pi)
        u, v = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
        market = Polygon(rectangle(x, y, 118, 84, angle)).buffer(9).intersection(cell)
        self.scene.fill(market, vary(self.rng, (176, 166, 150), 3))
        for block in split(cell.difference(market.buffer(1)), self.rng, 4200, 7.0):
            self.old_block(block)
        roof = pick(self.rng, self.style.roofs, 4)
        church = np.array([x, y]) + 18 * v
        self.add(rectangle_at(church, 46, 17, angle), 19, GABLE, roof)
        self.add(rectangle_at((church + 6 * u), 13, 34, angle), 17, GABLE, roof, False)
        self.add(rectangle_at((church - 27 * u), 10, 10, angle), 42, HIP, vary(self.rng, (92, 118, 104), 5))
        for a in np.arange(-6, 7) * 6.2:
            for b in (-32.0, -25.5, -19.0):
                if self.rng.random() < 0.7:
                    colour = pick(
                        self.rng, ((206, 196, 180), (190, 96, 78), (86, 120, 150), (214, 214, 210), (200, 164, 90)), 6
                    )
                    self.add(rectangle_at((np.array([x, y]) + a * u + b * v), 3.6, 3.6, angle), 2.6, HIP, colour)
        self.edge_trees(market, 5, 8.5, (2.6, 3.8), 0.75)

    def tower(self, ground: Polygon) -> None:
        """A tower on a podium."""
        x, y, length, width, angle = frame(ground)
        podium = rectangle(x, y, 0.72 * length, 0.66 * width, angle)
        if ground.covers(Polygon(podium)):
            self.flat_roof_house(podium, 7)
        size = min(0.5 * width, 30.0)
        self.flat_roof_house(rectangle(x, y, size * self.rng.uniform(1.0, 1.5), size, angle), self.rng.uniform(38, 74))
        self.edge_trees(ground, 2, 10, (2, 3.2), 0.6)

    def dense(self, cell: Polygon) -> None:
        """Closed blocks with green courts, or slabs on lawns."""
        slabs = self.rng.random() < 0.38
        for block in split(cell, self.rng, 9500 if slabs else 6800, 9.5):
            kind = self.rng.random()
            if kind < 0.035:
                self.pocket_park(block)
                continue
            if kind < 0.075 and block.area > 6000:
                self.school(block)
                continue
            ground = self.kerb(block, self.grass())
            self.kerb_cars(block, 0.45)
            if ground is None:
                continue
            if slabs:
                self.slabs(ground)
            else:
                self.closed_block(ground)

    def closed_block(self, ground: Polygon) -> None:
        """Houses wall to wall around a green court."""
        front = self.rng.choice([0.4, 0.4, 3.5])
        rings = frontages(ground, self.rng, (13, 26), (10.5, 13), front, (0.0, 0.2))
        flat = self.rng.random() < 0.3
        base = pick(self.rng, self.style.roofs, 4)
        height = self.rng.uniform(10, 15)
        for ring in rings:
            tall = height + self.rng.normal(0, 1.2)
            if flat or self.rng.random() < 0.15:
                self.flat_roof_house(ring, tall)
            else:
                colour = vary(self.rng, base, 8) if self.rng.random() < 0.6 else pick(self.rng, self.style.roofs, 7)
                self.add(ring, tall, GABLE, colour)
        court = ground.buffer(-(front + 15.5))
        for part in polygons(court, 60):
            self.scene.fill(part, self.grass() if self.rng.random() < 0.7 else vary(self.rng, self.style.concrete, 8))
            self.plant(part, 85, (2.0, 4.2), [])
            if part.area > 500 and self.rng.random() < 0.6:
                x, y, length, width, angle = frame(part)
                ring = rectangle(x, y, 0.55 * length, min(7.0, 0.4 * width), angle)
                self.flat_roof_house(ring, 3.2)

    def slabs(self, ground: Polygon) -> None:
        """Parallel slabs on a lawn, with a car park and trees between."""
        x, y, length, width, angle = frame(ground)
        if self.rng.random() < 0.35:
            angle, length, width = angle + math.pi / 2, width, length
        u, v = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
        rings: list[Array] = []
        height = self.rng.choice([13.0, 16.0, 24.0, 34.0], p=[0.35, 0.35, 0.2, 0.1])
        for at in np.arange(-length / 2 + 14, length / 2 - 8, 28 + height * 0.45):
            centre = np.array([x, y]) + at * u
            for size in (0.84, 0.66, 0.48):
                ring = rectangle(centre[0], centre[1], size * width, 12.0, angle + math.pi / 2)
                if ground.buffer(-2.5).covers(Polygon(ring)):
                    rings.append(ring)
                    self.flat_roof_house(ring, height + self.rng.normal(0, 0.6))
                    break
            lot = Polygon(rectangle_at((centre + u * 14), width * 0.5, 13, angle + math.pi / 2)).intersection(
                ground.buffer(-3)
            )
            if self.rng.random() < 0.45:
                self.parking(lot, 0.7, rings, angle + math.pi / 2)
            path = LineString([centre + u * 9 - v * width / 2, centre + u * 9 + v * width / 2]).intersection(ground)
            for part in shapely.get_parts(path):
                if part.length > 10:
                    self.scene.line(np.asarray(part.coords), 2.2, vary(self.rng, self.style.pavement, 5))
        self.plant(ground, 26, (2.6, 4.8), rings)

    def pocket_park(self, block: Polygon) -> None:
        """A small park."""
        ground = self.kerb(block, self.grass())
        if ground is None:
            return
        self.paths(ground, 2)
        self.plant(ground, 75, (2.6, 5.0), [])

    def school(self, block: Polygon) -> None:
        """A school with its yard, and a small pitch."""
        ground = self.kerb(block, self.grass())
        if ground is None:
            return
        x, y, length, width, angle = frame(ground)
        u = np.array([math.cos(angle), math.sin(angle)])
        v = np.array([-u[1], u[0]])
        main = np.array([x, y]) - 0.22 * length * u
        ring = rectangle(main[0], main[1], 14, 0.66 * width, angle)
        wing = main + 0.16 * length * u + 0.2 * width * v
        rings = [ring, rectangle(wing[0], wing[1], 0.3 * length, 13, angle)]
        yard = Polygon(rectangle_at((main + 22 * u - 0.12 * width * v), 28, 0.4 * width, angle)).intersection(ground)
        self.scene.fill(yard, vary(self.rng, self.style.concrete, 6))
        for part in rings:
            if ground.covers(Polygon(part)):
                self.flat_roof_house(part, 10)
        spot = np.array([x, y]) + 0.26 * length * u
        size = min(0.34 * length, 60.0)
        field_ring = Polygon(rectangle(spot[0], spot[1], size, min(0.6 * width, 42), angle))
        if ground.covers(field_ring):
            self.pitch(spot[0], spot[1], angle, size, min(0.6 * width, 42))
        self.edge_trees(ground, 3, 11, (2.4, 4.2), 0.6)

    def suburb(self, cell: Polygon) -> None:
        """Detached, paired or terraced houses in gardens along quiet streets."""
        wealthy = self.rng.random() < 0.22
        loose = self.rng.uniform(1.35, 1.7) if wealthy else self.rng.uniform(0.8, 1.2)
        trees = self.rng.uniform(55, 95) if wealthy else self.rng.uniform(18, 50)
        some = self.rng.permutation(len(self.style.roofs))[: int(self.rng.integers(2, 5))]
        self.roofs = tuple(self.style.roofs[i] for i in some)
        terraces = 0.0 if wealthy else self.rng.choice([0.04, 0.12, 0.4])
        for block in split(cell, self.rng, 9000 * loose, self.rng.uniform(6.5, 8.5)):
            kind = self.rng.random()
            if kind < 0.03:
                self.pocket_park(block)
            elif kind < 0.055 and block.area > 7000:
                self.school(block)
            else:
                self.gardens(block, kind > 1 - terraces, loose, trees)

    def gardens(self, block: Polygon, terraced: bool, loose: float, trees: float) -> None:
        """Houses along the street, lots of different greens behind them."""
        base = self.grass()
        ground = self.kerb(block, base, 1.6)
        self.kerb_cars(block, 0.14)
        if ground is None:
            return
        x, y, length, width, angle = frame(ground)
        u, v = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
        lot = 17.0 * loose
        for at in np.arange(-length / 2, length / 2, lot):
            for side in (-1, 1):
                mid = np.array([x, y]) + (at + lot / 2) * u + side * width / 4 * v
                patch = Polygon(rectangle(mid[0], mid[1], lot, width / 2, angle)).intersection(ground)
                self.scene.fill(
                    patch, self.grass(8) if self.rng.random() < 0.95 else vary(self.rng, self.style.soil, 8)
                )
                if self.rng.random() < 0.5:
                    side_line = mid + lot / 2 * u + np.array([[-0.43], [0.43]]) * width / 2 * v
                    hedge = LineString(side_line).intersection(ground)
                    if isinstance(hedge, LineString) and hedge.length > 4:
                        self.scene.line(np.asarray(hedge.coords), 1.3, pick(self.rng, self.style.trees, 6))
        if terraced:
            rings = frontages(ground, self.rng, (7, 8.5), (9, 10.5), 5.0, (0.0, 0.1))
            colour = pick(self.rng, self.roofs, 6)
            for ring in rings:
                self.add(ring, 8.5, GABLE, vary(self.rng, colour, 5))
        else:
            rings = frontages(ground, self.rng, (9, 14.5), (8, 11.5), 5.0 * loose, (4.5 * loose, 11 * loose))
            for ring in rings:
                self.house(ring)
        sheds = frontages(ground.buffer(-(17 * loose)), self.rng, (3, 5), (3, 4), 0.5, (9, 30)) if width > 60 else []
        for ring in sheds:
            self.add(ring, 2.6, FLAT, pick(self.rng, self.style.roofs + FLAT_ROOFS, 8))
        self.plant(ground, trees, (1.6, 4.1), rings + sheds)
        pools = scatter(ground.buffer(-14 * loose), self.rng, 1.6, (2.0, 3.0))
        for px, py, r in pools:
            self.scene.fills.append((rectangle(px, py, 3.6 * r, 2.1 * r, angle), vary(self.rng, (198, 196, 188), 4)))
            self.scene.fills.append((rectangle(px, py, 3.0 * r, 1.5 * r, angle), vary(self.rng, (92, 168, 186), 6)))

    def house(self, ring: Array) -> None:
        """A detached house, its drive and sometimes a wing or a garage."""
        front = ring[1] - ring[0]
        wide, deep = float(np.hypot(*front)), float(np.hypot(*(ring[3] - ring[0])))
        along, inward = front / wide, (ring[3] - ring[0]) / deep
        colour = pick(self.rng, self.roofs, 9)
        turned = wide < deep * 1.05 if self.rng.random() < 0.8 else self.rng.random() < 0.5
        roof = HIP if self.rng.random() < 0.3 else GABLE
        if self.rng.random() < 0.1:
            roof, colour = FLAT, pick(self.rng, FLAT_ROOFS, 6)
        drive_at = ring[1] - along * 3.2 if self.rng.random() < 0.5 else ring[0] + along * 0.4
        drive = np.array([drive_at, drive_at + along * 2.8, drive_at + along * 2.8 - inward * 6, drive_at - inward * 6])
        self.scene.fills.append((drive, vary(self.rng, self.style.pavement, 9)))
        if self.rng.random() < 0.45:
            spot = drive.mean(axis=0)[None]
            self.scene.cars.append(cars_at(self.rng, spot, math.atan2(inward[1], inward[0]), 1.0))
        terrace = ring[3] + along * wide * 0.3
        patio = np.array([terrace, terrace + along * 4.5, terrace + along * 4.5 + inward * 3.4, terrace + inward * 3.4])
        self.scene.fills.append((patio, vary(self.rng, self.style.concrete, 8)))
        self.add(ring, self.rng.uniform(6, 9), roof, colour, not turned)
        if self.rng.random() < 0.35:
            corner = ring[2]
            wing = np.array([corner - along * 5, corner, corner + inward * 4.5, corner - along * 5 + inward * 4.5])
            self.add(wing, 5.0, roof, vary(self.rng, colour, 3), False)
        if self.rng.random() < 0.3:
            corner = ring[1] + along * 0.8 + inward * 1.5
            garage = np.array([corner, corner + along * 3.4, corner + along * 3.4 + inward * 6, corner + inward * 6])
            self.add(garage, 3.0, FLAT, pick(self.rng, FLAT_ROOFS, 8))

    def offices(self, cell: Polygon) -> None:
        """Office blocks and towers among plazas and car parks."""
        for block in split(cell, self.rng, 9500, 11.0):
            ground = self.kerb(
                block, vary(self.rng, self.style.concrete, 8) if self.rng.random() < 0.6 else self.grass(), 3.0
            )
            self.kerb_cars(block, 0.25)
            if ground is None:
                continue
            x, y, length, width, angle = frame(ground)
            u, v = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
            rings: list[Array] = []
            kind = self.rng.random()
            height = self.rng.uniform(16, 34) if kind > 0.3 else self.rng.uniform(38, 85)
            if kind <= 0.3:
                size = min(34.0, 0.5 * width)
                wanted = [rectangle(x - 0.2 * length * u[0], y - 0.2 * length * u[1], size * 1.1, size, angle)]
            elif kind < 0.55:
                a, b = np.array([x, y]) - 0.24 * width * v, np.array([x, y]) - 0.28 * length * u
                wanted = [rectangle_at(a, 0.72 * length, 17, angle), rectangle_at(b, 17, 0.68 * width, angle)]
            elif kind < 0.8:
                a, b = np.array([x, y]) - 0.27 * width * v, np.array([x, y]) + 0.27 * width * v
                wanted = [rectangle_at(a, 0.66 * length, 16, angle), rectangle_at(b, 0.66 * length, 16, angle)]
                wanted.append(rectangle(x, y, 15, 0.5 * width, angle))
            else:
                wanted = [
                    rectangle(x - 0.12 * length * u[0], y - 0.12 * length * u[1], 0.55 * length, 0.62 * width, angle)
                ]
            colour = pick(self.rng, FLAT_ROOFS, 6)
            here = np.array([x, y])
            for size in (1.0, 0.82, 0.64):
                fitting = [here + size * (ring - here) for ring in wanted]
                rings = [ring for ring in fitting if ground.buffer(-1).covers(Polygon(ring))]
                if rings:
                    break
            for ring in rings:
                self.add(ring, height, FLAT, vary(self.rng, colour, 2))
            lot = Polygon(rectangle_at((np.array([x, y]) + 0.33 * length * u), 0.27 * length, 0.84 * width, angle))
            if rings:
                lot = lot.difference(shapely.union_all(shapely.buffer([Polygon(ring) for ring in rings], 3)))
            if self.rng.random() < 0.75:
                self.parking(lot.intersection(ground.buffer(-2)), 0.75, rings, angle + math.pi / 2)
            self.plant(ground, 14, (2.0, 3.6), rings)
            self.edge_trees(ground, 1.5, 10.5, (2.0, 3.2), 0.65)

    def industry(self, cell: Polygon) -> None:
        """Halls, yards, tanks, containers and lorries."""
        for block in split(cell, self.rng, 20000, 12.0):
            yard = pick(self.rng, (self.style.asphalt, self.style.concrete, (158, 148, 134), self.style.street), 7)
            ground = self.kerb(block, yard, 2.0)
            if ground is None:
                continue
            angle = frame(ground)[4]
            inner = ground.buffer(-5)
            rings: list[Array] = []
            for lot in split(inner, self.rng, 11000, 13.0):
                lx, ly, ll, lw, la = frame(lot)
                for size in (0.9, 0.8, 0.68, 0.54):
                    ring = rectangle(lx, ly, size * ll, size * lw * self.rng.uniform(0.8, 1.0), la)
                    if lot.covers(Polygon(ring)):
                        break
                else:
                    continue
                kind = self.rng.random()
                if kind < 0.8:
                    rings.append(ring)
                    self.add(ring, self.rng.uniform(8, 14), SHED, pick(self.rng, SHED_ROOFS, 7))
                    annex = rectangle_at((ring[0] + 0.12 * (ring[1] - ring[0])), 16, 9, la)
                    if self.rng.random() < 0.5 and inner.covers(Polygon(annex)):
                        self.flat_roof_house(annex, 9)
                elif kind < 0.87:
                    self.tanks(lx, ly, ll, lw, la, lot)
                elif kind < 0.94:
                    self.containers(lot, la)
                else:
                    self.parking(lot, 0.6, [], la)
            free = (
                inner.difference(shapely.union_all(shapely.buffer([Polygon(ring) for ring in rings], 5)))
                if rings
                else inner
            )
            lorries = scatter(free, self.rng, 9, (1, 1))
            near = angle + self.rng.choice([0, math.pi / 2], len(lorries))
            for (tx, ty, _), turn in zip(lorries, near, strict=True):
                self.add(
                    rectangle(tx, ty, 13, 2.6, turn),
                    3.6,
                    FLAT,
                    pick(self.rng, ((224, 224, 222), (206, 206, 204), (96, 110, 140)), 6),
                )
            self.scene.cars.append(cars_at(self.rng, scatter(free, self.rng, 16, (1, 1))[:, :2], angle, 1.0))
            edge = ground.buffer(-2)
            if self.rng.random() < 0.6 and isinstance(edge, Polygon) and not edge.is_empty:
                self.scene.fill(ground.difference(ground.buffer(-4.5)).buffer(0), yard)
                self.tree_row(np.asarray(edge.exterior.coords), 9, (1.8, 3.4), 0.5)

    def tanks(self, x: float, y: float, length: float, width: float, angle: float, lot: Polygon) -> None:
        """Round tanks in a bund."""
        u, v = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
        r = self.rng.uniform(6, 11)
        for a in np.arange(-0.35 * length, 0.36 * length, 2.7 * r):
            for b in np.arange(-0.3 * width, 0.31 * width, 2.7 * r):
                spot = np.array([x, y]) + a * u + b * v
                disc = Point(*spot).buffer(r, quad_segs=8)
                if lot.covers(disc):
                    self.add(np.asarray(disc.exterior.coords)[:-1], 9, ROUND, vary(self.rng, (208, 208, 204), 5))

    def containers(self, lot: Polygon, angle: float) -> None:
        """Rows of stacked containers."""
        x, y, length, width, _ = frame(lot)
        u, v = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
        for b in np.arange(-0.4 * width, 0.4 * width, 9.0):
            for a in np.arange(-0.42 * length, 0.42 * length, 13.2):
                for k in range(2):
                    spot = np.array([x, y]) + a * u + (b + 2.7 * k) * v
                    ring = rectangle(spot[0], spot[1], 12.2, 2.5, angle)
                    if self.rng.random() < 0.75 and lot.covers(Polygon(ring)):
                        self.add(ring, self.rng.choice([2.6, 5.2, 7.8]), FLAT, pick(self.rng, CONTAINERS, 8))

    def campus(self, cell: Polygon, first: bool) -> None:
        """Institutes on lawns, joined by paths; a track where there is room."""
        self.scene.fill(cell, self.grass())
        avoid: list[Array] = []
        free: BaseGeometry = cell
        if first:
            x, y = shapely.maximum_inscribed_circle(cell).coords[0]
            turn = frame(cell)[4]
            oval = LineString(rectangle(x, y, 84, 0.1, turn)[[0, 1]]).buffer(49)
            if cell.covers(oval):
                self.track(x, y, turn)
                free = cell.difference(oval.buffer(4))
                avoid.append(np.asarray(oval.exterior.coords))
        for block in split(free, self.rng, 15000, 4.5):
            ground = block.buffer(-2)
            if not isinstance(ground, Polygon) or ground.is_empty:
                continue
            self.scene.line(np.asarray(block.exterior.coords), 3.2, vary(self.rng, self.style.pavement, 4))
            self.scene.fill(ground, self.grass())
            x, y, length, width, angle = frame(ground)
            u, v = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
            rings: list[Array] = []
            colour = pick(self.rng, (*FLAT_ROOFS, *self.style.roofs), 6)
            kind = self.rng.random()
            here = np.array([x, y])
            if kind < 0.4:
                wanted = [rectangle_at((here + s * 0.28 * width * v), 0.7 * length, 15, angle) for s in (-1, 1)]
                wanted.append(rectangle_at((here - 0.28 * length * u), 15, 0.56 * width, angle))
            elif kind < 0.7:
                wanted = [rectangle_at((here + s * 0.26 * length * u), 17, 0.7 * width, angle) for s in (-1, 0, 1)]
                wanted.append(rectangle_at(here, 0.62 * length, 12, angle))
            else:
                wanted = [rectangle_at(here, 0.5 * length, 0.42 * width, angle)]
            for ring in wanted:
                if ground.covers(Polygon(ring)):
                    rings.append(ring)
                    self.add(ring, self.rng.uniform(12, 19), FLAT, vary(self.rng, colour, 3))
            for _ in range(3):
                a, b = (here + self.rng.uniform(-0.5, 0.5, 2) @ np.array([length * u, width * v]) for _ in range(2))
                path = LineString([a, b]).intersection(ground)
                if isinstance(path, LineString) and path.length > 5:
                    self.scene.line(np.asarray(path.coords), 2.0, vary(self.rng, self.style.pavement, 5))
            if self.rng.random() < 0.3:
                lot = Polygon(rectangle_at((here + 0.36 * length * u), 0.2 * length, 0.7 * width, angle)).intersection(
                    ground
                )
                self.parking(lot, 0.8, rings, angle + math.pi / 2)
            avoid += rings
        self.plant(cell, 30, (2.4, 4.8), avoid)

    def stadium(self, cell: Polygon, first: bool) -> None:
        """The stadium: pitch, stands under a roof, floodlights, and car parks all around."""
        ground = self.kerb(cell, vary(self.rng, self.style.asphalt, 4), 3.0)
        if ground is None:
            return
        if not first:
            self.sports_ground(ground)
            return
        angle = frame(ground)[4]
        x, y = shapely.maximum_inscribed_circle(ground).coords[0]
        room = ground.exterior.distance(Point(x, y))
        size = min(1.0, room / 118)
        u, v = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])

        def oval(a: float, b: float) -> Array:
            t = np.linspace(0, 2 * math.pi, 72, endpoint=False)
            power = 0.62
            ca, sb = np.sign(np.cos(t)) * np.abs(np.cos(t)) ** power, np.sign(np.sin(t)) * np.abs(np.sin(t)) ** power
            return np.array([x, y]) + size * (a * ca[:, None] * u + b * sb[:, None] * v)

        self.scene.fills.append((oval(124, 104), vary(self.rng, self.style.concrete, 4)))
        seats = pick(self.rng, ((150, 58, 56), (66, 88, 140), (72, 116, 84), (178, 140, 70)), 5)
        inside = Furnisher(self.rng, self.style)
        inside.pitch(x, y, angle, 102 * size, 66 * size)
        self.scene.arena = Arena(oval(108, 88), oval(84, 64), oval(62, 43), seats, inside.scene)
        outside = ground.buffer(-4).difference(Polygon(oval(126, 106)))
        self.parking(outside, 0.4, [], angle)
        for s in np.linspace(0, 2 * math.pi, 28, endpoint=False):
            spot = np.array([x, y]) + size * (118 * math.cos(s) * u + 99 * math.sin(s) * v)
            self.scene.trees.append(np.array([[spot[0], spot[1], self.rng.uniform(2.2, 3.2)]]))

    def sports_ground(self, ground: Polygon) -> None:
        """Pitches, a track and courts."""
        self.scene.fill(ground, self.grass())
        x, y, length, width, angle = frame(ground)
        u, v = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
        used: list[Array] = []
        for a, b, kind in (
            (-0.24, 0.0, "track"),
            (0.26, 0.18, "pitch"),
            (0.26, -0.22, "pitch"),
            (0.02, 0.34, "courts"),
        ):
            spot = np.array([x, y]) + a * length * u + b * width * v
            box = rectangle(spot[0], spot[1], 186 if kind == "track" else 112, 98 if kind == "track" else 72, angle)
            shape = Polygon(box)
            if ground.covers(shape) and not any(shape.intersects(Polygon(other)) for other in used):
                used.append(box)
                if kind == "track":
                    self.track(spot[0], spot[1], angle)
                elif kind == "pitch":
                    self.pitch(spot[0], spot[1], angle)
                else:
                    self.courts(spot[0], spot[1], angle, 3)
        self.plant(ground, 26, (2.4, 4.4), used)
        self.edge_trees(ground, 3, 8.5, (2.6, 4.4), 0.8)

    def shopping(self, cell: Polygon) -> None:
        """One big box, smaller ones beside it, and a sea of cars."""
        for block in split(cell, self.rng, 60000, 10.0):
            ground = self.kerb(block, vary(self.rng, self.style.asphalt, 4), 2.5)
            if ground is None:
                continue
            x, y, length, width, angle = frame(ground)
            u, v = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
            rings: list[Array] = []
            for a, b, w, d in (
                (-0.18, 0.08, 0.46, 0.5),
                (0.3, 0.3, 0.2, 0.2),
                (0.3, -0.3, 0.2, 0.18),
                (-0.2, -0.34, 0.2, 0.14),
            ):
                spot = np.array([x, y]) + a * length * u + b * width * v
                ring = rectangle(spot[0], spot[1], w * length, d * width, angle)
                if ground.buffer(-4).covers(Polygon(ring)):
                    rings.append(ring)
                    self.add(
                        ring,
                        10 if w > 0.3 else 7,
                        FLAT,
                        pick(self.rng, ((206, 206, 204), (190, 190, 188), (214, 210, 202)), 4),
                    )
            lot = ground.buffer(-3)
            if rings:
                lot = lot.difference(shapely.union_all(shapely.buffer([Polygon(ring) for ring in rings], 7)))
            self.parking(lot, 0.66, rings, angle)
            self.edge_trees(ground, 1.5, 9, (2.0, 3.2), 0.7)

    def hospital(self, cell: Polygon, first: bool) -> None:
        """A cross of long wings with a helipad, in lawns and car parks."""
        for block in split(cell, self.rng, 50000, 9.0):
            ground = self.kerb(block, self.grass(), 2.5)
            if ground is None:
                continue
            x, y, length, width, angle = frame(ground)
            u, v = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
            here = np.array([x, y]) - 0.08 * length * u
            span = min(length, 190.0)
            wanted = [rectangle_at(here, 0.62 * span, 20, angle)]
            wanted += [rectangle_at((here + s * 0.22 * span * u), 17, min(0.62 * width, 96), angle) for s in (-1, 0, 1)]
            rings = []
            roof = pick(self.rng, ((212, 210, 206), (196, 194, 190), (178, 176, 172)), 4)
            for ring in wanted:
                if ground.covers(Polygon(ring)):
                    rings.append(ring)
                    self.add(ring, 24, FLAT, vary(self.rng, roof, 3))
            pad = here + 0.42 * length * u + 0.22 * width * v
            lot = Polygon(rectangle_at((np.array([x, y]) + 0.36 * length * u), 0.24 * length, 0.86 * width, angle))
            lot = lot.intersection(ground.buffer(-4)).difference(Point(*pad).buffer(20))
            self.parking(lot, 0.85, rings, angle + math.pi / 2)
            if first and ground.covers(Point(*pad).buffer(15)):
                self.scene.fill(Point(*pad).buffer(14), vary(self.rng, self.style.concrete, 3))
                self.scene.line(np.asarray(Point(*pad).buffer(11).exterior.coords), 1.2, (214, 190, 92))
                for part in (-3.0, 3.0):
                    self.scene.line(np.array([pad + part * u - 4 * v, pad + part * u + 4 * v]), 1.4, WHITE)
                self.scene.line(np.array([pad - 3 * u, pad + 3 * u]), 1.4, WHITE)
            ends = [np.array([x, y]) + s * 0.48 * length * u for s in (-1, 1)]
            self.scene.line(np.array(ends), 4.5, vary(self.rng, self.style.street, 4))
            self.plant(ground.difference(lot), 28, (2.2, 4.4), rings)

    def paths(self, ground: BaseGeometry, count: int) -> None:
        """Curved footpaths across a park."""
        x0, y0, x1, y1 = ground.bounds
        middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
        reach = np.hypot(x1 - x0, y1 - y0) / 2
        colour = vary(self.rng, (190, 178, 154), 5)
        for k in range(count):
            turn = k * math.pi / max(count, 1) + self.rng.uniform(-0.4, 0.4)
            t = np.linspace(-1, 1, 40)
            u = np.array([math.cos(turn), math.sin(turn)])
            wave = 0.12 * reach * np.sin(t * self.rng.uniform(2, 5) + self.rng.uniform(0, 6))
            points = middle + reach * t[:, None] * u + wave[:, None] * np.array([-u[1], u[0]])
            if ground.is_empty:
                continue
            for part in shapely.get_parts(LineString(points).intersection(ground)):
                if part.length > 15:
                    self.scene.line(np.asarray(part.coords), 2.6, colour)

    def park(self, cell: Polygon, first: bool) -> None:
        """Lawns, groves, paths and sometimes a pond or a playground; or a sports ground."""
        if frame(cell)[3] > 130 and self.rng.random() < 0.22:
            self.sports_ground(cell)
            return
        self.scene.fill(cell, self.grass())
        for tone in range(5):
            x0, y0, x1, y1 = cell.bounds
            blob = Point(self.rng.uniform(x0, x1), self.rng.uniform(y0, y1)).buffer(self.rng.uniform(25, 70))
            self.scene.fill(blob.intersection(cell), self.grass(4 + tone))
        x, y = cell.representative_point().coords[0]
        avoid: list[Array] = []
        kind = self.rng.random()
        if kind < 0.45:
            t = np.linspace(0, 2 * math.pi, 60, endpoint=False)
            r = self.rng.uniform(18, 36) * (
                1 + 0.25 * np.sin(2 * t + 1) + 0.12 * np.sin(3 * t + self.rng.uniform(0, 6))
            )
            pond = Polygon(np.column_stack([x + 1.35 * r * np.cos(t), y + r * np.sin(t)]))
            if cell.covers(pond):
                self.scene.fill(pond.buffer(2.5), vary(self.rng, self.style.soil, 4))
                self.scene.fill(pond, vary(self.rng, self.style.water, 4))
                avoid.append(np.asarray(pond.exterior.coords))
        elif kind < 0.75:
            self.scene.fill(Point(x, y).buffer(15), vary(self.rng, (200, 184, 148), 4))
            for _ in range(7):
                px, py = np.array([x, y]) + self.rng.uniform(-10, 10, 2)
                self.add(rectangle(px, py, 3, 2, self.rng.uniform(0, 3)), 2.2, FLAT, pick(self.rng, CONTAINERS, 9))
            avoid.append(rectangle(x, y, 30, 30, 0))
        elif frame(cell)[3] > 130:
            turn = self.rng.uniform(0, math.pi)
            ring = rectangle(x, y, 108, 70, turn)
            if cell.covers(Polygon(ring)):
                self.pitch(x, y, turn)
                avoid.append(ring)
        walks = (
            cell.difference(shapely.union_all(shapely.buffer([Polygon(ring) for ring in avoid], 3))) if avoid else cell
        )
        self.paths(walks, 4)
        groves = shapely.union_all(
            [Point(*spot).buffer(r) for *spot, r in scatter(cell, self.rng, 2.2, (18, 46)).tolist()]
            or [Point(x, y).buffer(20)]
        ).intersection(cell.buffer(-4))
        self.plant(groves, 150, (2.6, 5.2), avoid)
        self.plant(cell.buffer(-3), 16, (2.4, 5.2), avoid)
        if first:
            edge = cell.buffer(-5)
            if isinstance(edge, Polygon) and not edge.is_empty:
                self.tree_row(np.asarray(edge.exterior.coords), 8, (3, 4.6), 0.85)

    def farmstead(self, x: float, y: float) -> None:
        """A farm: house, barns, a yard and trees around."""
        angle = self.rng.uniform(0, math.pi)
        u, v = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
        here = np.array([x, y])
        self.scene.fill(Point(x, y).buffer(44), self.grass())
        self.scene.fills.append((rectangle(x, y, 46, 34, angle), vary(self.rng, self.style.soil, 5)))
        rings = [
            rectangle_at((here + 26 * v), 34, 14, angle),
            rectangle_at((here - 27 * u), 13, 30, angle),
            rectangle_at((here + 24 * u - 16 * v), 15, 11, angle),
        ]
        self.add(rings[0], 8, SHED, pick(self.rng, SHED_ROOFS, 6))
        self.add(rings[1], 8, GABLE, pick(self.rng, self.style.roofs, 6), False)
        self.add(rings[2], 8, GABLE, pick(self.rng, self.style.roofs, 6))
        self.plant(Point(x, y).buffer(52), 40, (2.4, 4.6), [*rings, rectangle(x, y, 46, 34, angle)])


class Ground:
    """All objects of a plan, made cell by cell as they are asked for."""

    def __init__(self, plan: Plan, style: Style) -> None:
        self.plan, self.style = plan, style
        self.scene_of_cell = lru_cache(maxsize=900)(self._scene_of_cell)
        self.cell_shape = lru_cache(maxsize=4000)(self._cell_shape)
        self.barriers = lru_cache(maxsize=400)(self._barriers)

    def _cell_shape(self, town: int, cell: int) -> Polygon:
        """A cell's outline on the ground."""
        net = self.plan.towns[town]
        inner, outer, start, stop = net.cell_bounds(cell)
        if inner == 0:
            angle = np.linspace(0, 2 * math.pi, 48, endpoint=False)
            polar = np.column_stack([np.full(48, outer), angle])
        else:
            steps = max(3, int((stop - start) * outer / 18))
            angle = np.linspace(start, stop, steps)
            rise = np.linspace(inner, outer, max(3, int((outer - inner) / 25)))[1:-1]
            polar = np.vstack(
                [
                    np.column_stack([np.full(steps, inner), angle])[::-1],
                    np.column_stack([rise, np.full(len(rise), start)]),
                    np.column_stack([np.full(steps, outer), angle]),
                    np.column_stack([rise[::-1], np.full(len(rise), stop)]),
                ]
            )
        return Polygon(self.to_ground(net, polar)).buffer(0)

    def to_ground(self, net: Town, polar: Array) -> Array:
        """Ground points of a town's radii and angles `(n, 2)`."""
        return self.plan.fields.distortion.to_ground(net.from_polar(polar[:, 0], polar[:, 1]))

    def _barriers(self, x: int, y: int) -> BaseGeometry:
        """River, motorway, rail and lakes with their margins, in and around one square kilometre."""
        box = shapely.box(x * 1000 - 600, y * 1000 - 600, x * 1000 + 1600, y * 1000 + 1600)
        shapes: list[BaseGeometry] = []
        for curve in self.plan.fields.curves:
            margin = {RIVER: curve.half_width + 15, MOTORWAY: 27.0, RAIL: 19.0}[curve.kind]
            inside = curve.points[shapely.contains_xy(box.buffer(200), curve.points[:, 0], curve.points[:, 1])]
            if len(inside) > 1:
                shapes.append(LineString(inside).buffer(margin))
        shapes += [Polygon(lake_ring(lake)).buffer(14) for lake in self.plan.fields.lakes]
        stops = [Point(*stop) for stop in self.plan.rail_stops if box.contains(Point(*stop))]
        return shapely.union_all([*shapes, *(stop.buffer(62) for stop in stops)])

    def _scene_of_cell(self, town: int, cell: int) -> Scene:
        net = self.plan.towns[town]
        code = int(net.cell_class[cell])
        rng = np.random.default_rng([self.plan.seed, 21, town, cell])
        filler = Furnisher(rng, self.style)
        shape = self.cell_shape(town, cell)
        name = CLASSES[code]
        filler.scene.fill(shape, vary(rng, self.style.street, 2))
        x, y = shape.centroid.coords[0]
        barrier = self.barriers(int(x // 1000), int(y // 1000))
        inner = shape.buffer(-7.5, join_style="mitre").difference(barrier)
        leftover = shape.intersection(barrier)
        filler.scene.fill(leftover, filler.grass())
        filler.plant(leftover, 30, (2.0, 4.0), [])
        filler.scene.trees = [
            t[~np.isin(self.plan.classify(t[:, :2]), WET_OR_ROAD)] for t in filler.scene.trees if len(t)
        ]
        same = np.flatnonzero(net.cell_class == code)
        parts = polygons(inner, 500)
        for part in parts:
            biggest = part is max(parts, key=lambda p: p.area)
            first = biggest and int(same[0]) == cell
            if name == "centre":
                filler.centre(part, cell == 0)
            elif name == "dense housing":
                filler.dense(part)
            elif name == "suburban housing":
                filler.suburb(part)
            elif name == "offices":
                filler.offices(part)
            elif name == "industry":
                filler.industry(part)
            elif name == "campus":
                filler.campus(part, first)
            elif name == "stadium":
                filler.stadium(part, first)
            elif name == "shopping":
                filler.shopping(part)
            elif name == "hospital":
                filler.hospital(part, first)
            else:
                filler.park(part, biggest)
        if name in ("centre", "dense housing", "offices", "campus", "hospital"):
            for part in parts:
                outline = part.buffer(1.5)
                if isinstance(outline, Polygon):
                    filler.tree_row(np.asarray(outline.exterior.coords), 11.5, (2.2, 3.6), 0.6)
        filler.scene.trees = [t for t in filler.scene.trees if len(t)]
        return filler.scene


def lake_ring(lake: Lake) -> Array:
    """Shore of a lake, `(n, 2)`."""
    angle = np.linspace(0, 2 * math.pi, 120, endpoint=False)
    radius = lake.shore(angle)
    return lake.centre + np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
