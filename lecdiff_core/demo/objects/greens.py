"""Parks, sports grounds and farmsteads."""

import math

import numpy as np
import shapely
from shapely import LineString, Point, Polygon
from shapely.geometry.base import BaseGeometry

from lecdiff_core.demo.objects.shapes import FLAT, GABLE, SHED, frame, pick, rectangle, rectangle_at, scatter, vary
from lecdiff_core.demo.objects.shared import SharedParts
from lecdiff_core.demo.plan import Array
from lecdiff_core.demo.style import CONTAINERS, SHED_ROOFS


class Greens(SharedParts):
    """What is mostly green."""

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

    def pocket_park(self, block: Polygon) -> None:
        """A small park."""
        ground = self.kerb(block, self.grass())
        if ground is None:
            return
        self.paths(ground, 2)
        self.plant(ground, 75, (2.6, 5.0), [])

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
