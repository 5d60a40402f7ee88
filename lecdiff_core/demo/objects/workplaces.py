"""Where people go: offices, industry, campus, stadium, shopping centre, hospital."""

import math

import numpy as np
import shapely
from shapely import LineString, Point, Polygon
from shapely.geometry.base import BaseGeometry

from lecdiff_core.demo.objects.greens import Greens
from lecdiff_core.demo.objects.shapes import (
    FLAT,
    ROUND,
    SHED,
    WHITE,
    Arena,
    cars_at,
    frame,
    pick,
    rectangle,
    rectangle_at,
    scatter,
    split,
    vary,
)
from lecdiff_core.demo.objects.shared import SharedParts
from lecdiff_core.demo.plan import Array
from lecdiff_core.demo.style import CONTAINERS, FLAT_ROOFS, SHED_ROOFS


class Workplaces(Greens):
    """Offices, industry, campus, stadium, shopping centre, hospital."""

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
        inside = SharedParts(self.rng, self.style)
        inside.pitch(x, y, angle, 102 * size, 66 * size)
        self.scene.arena = Arena(oval(108, 88), oval(84, 64), oval(62, 43), seats, inside.scene)
        outside = ground.buffer(-4).difference(Polygon(oval(126, 106)))
        self.parking(outside, 0.4, [], angle)
        for s in np.linspace(0, 2 * math.pi, 28, endpoint=False):
            spot = np.array([x, y]) + size * (118 * math.cos(s) * u + 99 * math.sin(s) * v)
            self.scene.trees.append(np.array([[spot[0], spot[1], self.rng.uniform(2.2, 3.2)]]))

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
