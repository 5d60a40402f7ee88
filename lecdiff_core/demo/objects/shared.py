"""Parts that several land uses share: trees, kerbs, car parks, pitches."""

import math

import numpy as np
import shapely
from shapely import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from lecdiff_core.demo.objects.shapes import (
    FLAT,
    WHITE,
    Building,
    Scene,
    along_line,
    cars_at,
    frame,
    pick,
    polygons,
    rectangle,
    scatter,
    vary,
)
from lecdiff_core.demo.plan import Array
from lecdiff_core.demo.style import FLAT_ROOFS, Colour, Style


class SharedParts:
    """A scene that is being filled, and what fills it anywhere."""

    def __init__(self, rng: np.random.Generator, style: Style) -> None:
        self.rng, self.style, self.scene = rng, style, Scene()
        self.roofs = style.roofs

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
