"""All objects of a plan, made cell by cell."""

import math
from functools import lru_cache

import numpy as np
import shapely
from shapely import LineString, Point, Polygon
from shapely.geometry.base import BaseGeometry

from lecdiff_core.demo.objects.furnisher import Furnisher
from lecdiff_core.demo.objects.shapes import Scene, polygons, vary
from lecdiff_core.demo.plan import CLASSES, CODE, MOTORWAY, RAIL, RIVER, Array, Lake, Plan, Town
from lecdiff_core.demo.style import Style

WET_OR_ROAD = [CODE["water"], CODE["motorway"], CODE["rail"]]


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
