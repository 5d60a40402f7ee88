"""The country around the towns: parcels of crops, hedges, orchards and farms, and the trees of the woods."""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import shapely
from scipy.spatial import cKDTree
from shapely import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from lecdiff_core.demo.objects.furnisher import Furnisher
from lecdiff_core.demo.objects.shapes import Scene, frame, pick, polygons, split, vary
from lecdiff_core.demo.plan import CODE, Array, Plan
from lecdiff_core.demo.style import Colour, Style

MESH_M = 820.0  # side of a mesh of farm lanes, in plan metres
TREE_BLOCK_M = 208.0
TREE_STEP_M = 6.5


@dataclass(frozen=True)
class Parcel:
    """A field: outline, colour, direction of the rows (angle), their distance (m), how much they show, and tramlines."""

    ring: Array
    colour: Colour
    angle: float
    period: float
    strength: float
    mottle: float
    tramlines: bool


class Country:
    """Parcels and trees of a plan's open land, made mesh by mesh as they are asked for."""

    def __init__(self, plan: Plan, style: Style) -> None:
        self.plan, self.style = plan, style
        self.mesh = lru_cache(maxsize=600)(self._mesh)
        self.wood_trees = lru_cache(maxsize=3000)(self._wood_trees)

    def _corner(self, i: int, j: int) -> Array:
        rng = np.random.default_rng([self.plan.seed, 30, i + 100_000, j + 100_000])
        return (np.array([i, j]) + rng.uniform(-0.27, 0.27, 2)) * MESH_M

    def outline(self, i: int, j: int) -> Array:
        """Ring of a mesh on the ground, `(n, 2)`."""
        corners = [self._corner(i + a, j + b) for a, b in ((0, 0), (1, 0), (1, 1), (0, 1), (0, 0))]
        t = np.linspace(0, 1, 14)[:-1, None]
        ring = np.vstack([a + t * (b - a) for a, b in zip(corners[:-1], corners[1:], strict=True)])
        return self.plan.fields.distortion.to_ground(ring)

    def _mesh(self, i: int, j: int) -> tuple[list[Parcel], Scene]:
        rng = np.random.default_rng([self.plan.seed, 31, i + 100_000, j + 100_000])
        filler = Furnisher(rng, self.style)
        parcels: list[Parcel] = []
        shape = Polygon(self.outline(i, j)).buffer(-4.5)
        for piece in self._strips(shape, rng):
            parcels.append(self._parcel(rng, piece))
            kind = rng.random()
            if kind < 0.05:
                self._orchard(filler, piece)
            elif kind < 0.26:
                edge = np.asarray(piece.exterior.coords)
                start = int(rng.integers(len(edge)))
                part = np.roll(edge[:-1], -start, axis=0)[: max(2, len(edge) // 3)]
                filler.tree_row(part, 6.0, (2.0, 4.4), 0.8)
            elif kind < 0.36:
                filler.plant(piece, 2.0, (3.0, 5.2), [])
        if rng.random() < 0.4:
            self._farm(filler, shape, rng)
        trees = [t for t in filler.scene.trees if len(t)]
        if trees:
            every = np.concatenate(trees)
            filler.scene.trees = [every[self.open_land(every[:, :2]) & self.off_road(every[:, :2], 7)]]
        return parcels, filler.scene

    @staticmethod
    def _strips(shape: BaseGeometry, rng: np.random.Generator) -> list[Polygon]:
        """Long fields side by side: large pieces, each sliced along its length."""
        fields: list[Polygon] = []
        for piece in split(shape, rng, rng.uniform(60_000, 150_000), 1.5):
            x, y, length, width, angle = frame(piece)
            if rng.random() < 0.3:
                angle, length, width = angle + math.pi / 2, width, length
            u, v = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
            breadth = float(np.exp(rng.uniform(math.log(38), math.log(170))))
            cuts, at = [], -width / 2
            while at < width / 2:
                at += breadth * rng.uniform(0.6, 1.5)
                middle = np.array([x, y]) + at * v
                cuts.append(LineString([middle - length * u, middle + length * u]).buffer(0.5, cap_style="flat"))
            fields += polygons(piece.difference(shapely.union_all(cuts)), 900)
        return fields

    @cached_property
    def roads(self) -> list[Array]:
        """Roads between the towns and into the fields, points every 25 m on the ground."""
        plan, roads = self.plan, []
        for t, town in enumerate(plan.towns):
            far = (3.6 * town.radius) if town.village else 10_500.0 if plan.one_town else plan.spacing / 2
            for k, side in enumerate(town.spokes[:: 3 if town.village else 1]):
                rise = np.arange(0.5 * town.radius, far, 25.0)
                out = np.maximum(rise - 1.3 * town.radius, 0)
                bend = 0.00007 * out * np.sin(out / (1100 + 160 * (k % 3)))
                line = plan.fields.distortion.to_ground(town.from_polar(rise, side + bend))
                where = plan.fields.distortion.to_plan(line)
                cell = town.cell(where)
                built = (cell >= 0) & (town.cell_class[cell] >= 0)
                start = int(np.max(np.flatnonzero(built), initial=0))
                end = len(line)
                others = plan.town_of(where[start:]) != t
                if not town.village and others.any():
                    end = start + int(np.argmax(others))
                    other = plan.towns[int(plan.town_of(where[end : end + 1])[0])]
                    inside = other.cell(where[end:])
                    met = (inside >= 0) & (other.cell_class[inside] >= 0)
                    end += int(np.argmax(met)) if met.any() else len(where) - end
                roads.append(line[start:end])
        return [road for road in roads if len(road) > 3]

    @cached_property
    def _road_tree(self) -> cKDTree:
        return cKDTree(np.concatenate(self.roads)) if self.roads else cKDTree(np.array([[1e9, 1e9]]))

    def off_road(self, points: Array, margin: float) -> np.ndarray:
        """Whether points keep a distance from the country roads."""
        reach = math.hypot(margin, 12.5)
        return np.isinf(self._road_tree.query(points, distance_upper_bound=reach)[0])

    def _farm(self, filler: Furnisher, shape: Polygon, rng: np.random.Generator) -> None:
        edge = np.asarray(polygons(shape.buffer(-48))[0].exterior.coords) if polygons(shape.buffer(-48)) else None
        if edge is None:
            return
        x, y = edge[int(rng.integers(len(edge)))]
        around = np.array([x, y]) + 75 * np.column_stack([np.cos(np.arange(12)), np.sin(np.arange(12))])
        if (self.plan.classify(around) == CODE["farmland"]).all() and self.off_road(np.array([[x, y]]), 62).all():
            filler.farmstead(x, y)

    def _parcel(self, rng: np.random.Generator, piece: Polygon) -> Parcel:
        angle = frame(piece)[4] + (math.pi / 2 if rng.random() < 0.12 else 0.0)
        ring = np.asarray(piece.exterior.coords)
        kind = rng.random()
        if kind < 0.3:
            return Parcel(ring, pick(rng, self.style.grass, 6), angle, 6.0, 0.012, 0.04, False)
        if kind < 0.41:
            return Parcel(ring, vary(rng, self.style.soil, 9), angle, rng.uniform(3.2, 5.0), 0.045, 0.04, False)
        colour = pick(rng, self.style.crops, 7)
        return Parcel(ring, colour, angle, rng.uniform(4, 9), rng.uniform(0.015, 0.04), 0.032, rng.random() < 0.6)

    def _orchard(self, filler: Furnisher, piece: Polygon) -> None:
        x, y, length, width, angle = frame(piece)
        u, v = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
        grid = np.stack(
            np.meshgrid(np.arange(-length / 2, length / 2, 6.0), np.arange(-width / 2, width / 2, 8.0)), axis=-1
        ).reshape(-1, 2)
        spots = np.array([x, y]) + grid[:, :1] * u + grid[:, 1:] * v
        inner = piece.buffer(-6)
        spots = spots[shapely.contains_xy(inner, spots[:, 0], spots[:, 1])]
        filler.scene.trees.append(np.column_stack([spots, filler.rng.uniform(1.7, 2.3, len(spots))]))

    def open_land(self, points: Array) -> np.ndarray:
        """Whether points are neither built-up, water, road nor rail."""
        return np.isin(self.plan.classify(points), [CODE["farmland"], CODE["forest"]])

    def _wood_trees(self, i: int, j: int) -> Array:
        rng = np.random.default_rng([self.plan.seed, 32, i + 100_000, j + 100_000])
        n = int(TREE_BLOCK_M / TREE_STEP_M)
        grid = np.stack(np.meshgrid(np.arange(n), np.arange(n)), axis=-1).reshape(-1, 2) * TREE_STEP_M
        points = grid + np.array([i, j]) * TREE_BLOCK_M + rng.uniform(-2.6, 2.6, grid.shape)
        radius = rng.uniform(2.8, 5.4, len(points))
        wooded = self.plan.woods(points)
        points, radius = points[wooded], radius[wooded]
        keep = np.zeros(0, dtype=bool)
        if len(points):
            keep = (self.plan.classify(points) == CODE["forest"]) & self.off_road(points, 8)
        return np.column_stack([points[keep], radius[keep]])

    def meshes(self, x0: float, y0: float, x1: float, y1: float) -> list[tuple[int, int]]:
        """Meshes that may touch a window on the ground."""
        corners = self.plan.fields.distortion.to_plan(np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]]))
        low, high = corners.min(axis=0) - 330, corners.max(axis=0) + 330
        i0, j0 = np.floor(low / MESH_M).astype(int).tolist()
        i1, j1 = np.floor(high / MESH_M).astype(int).tolist()
        return [(i, j) for i in range(i0, i1 + 1) for j in range(j0, j1 + 1)]

    def trees(self, x0: float, y0: float, x1: float, y1: float) -> list[Array]:
        """Trees of the woods in a window, `(n, 3)` each."""
        trees = [
            self.wood_trees(i, j)
            for i in range(math.floor(x0 / TREE_BLOCK_M), math.floor(x1 / TREE_BLOCK_M) + 1)
            for j in range(math.floor(y0 / TREE_BLOCK_M), math.floor(y1 / TREE_BLOCK_M) + 1)
        ]
        return [t for t in trees if len(t)]
