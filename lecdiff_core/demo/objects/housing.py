"""Where people live: the old centre, dense and suburban housing, with their schools and squares."""

import math

import numpy as np
import shapely
from shapely import LineString, Polygon

from lecdiff_core.demo.objects.greens import Greens
from lecdiff_core.demo.objects.shapes import (
    FLAT,
    GABLE,
    HIP,
    cars_at,
    frame,
    frontages,
    pick,
    polygons,
    rectangle,
    rectangle_at,
    scatter,
    split,
    vary,
)
from lecdiff_core.demo.plan import Array
from lecdiff_core.demo.style import FLAT_ROOFS


class Housing(Greens):
    """Centre, dense and suburban housing."""

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
