"""The land-use plan of a fictional town: where centre, housing, industry, river, rail and fields lie.

Everything is a closed formula of the seed, so a point of the ground is classified without drawing anything and a region of
50,000 stations costs no more memory than its stations. Ground coordinates are metres east and north of (0°, 0°) in web
mercator, which are true metres there. A town is a polar net of main roads (spokes and rings) seen through a smooth
distortion, so that its streets curve; each cell of the net has one land use. River, motorway and rail are curves through it.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Array = NDArray[np.float64]

CLASSES: tuple[str, ...] = (
    "centre",
    "dense housing",
    "suburban housing",
    "offices",
    "industry",
    "campus",
    "stadium",
    "shopping",
    "hospital",
    "park",
    "water",
    "farmland",
    "forest",
    "motorway",
    "rail",
)
CODE: dict[str, int] = {name: code for code, name in enumerate(CLASSES)}

EARTH_RADIUS_M = 6378137.0
STATIONS_PER_TOWN = 400  # above this a plan is a region of several towns
VILLAGE_BELOW_M = 600.0  # a smaller town is a village: houses only
RIVER, MOTORWAY, RAIL = "river", "motorway", "rail"
MOTORWAY_HALF_WIDTH_M = 17.0
RAIL_HALF_WIDTH_M = 13.0


def to_lonlat(xy: Array) -> Array:
    """Web-mercator metres `(n, 2)` to degrees `(n, 2)` of longitude and latitude."""
    lon = np.degrees(xy[:, 0] / EARTH_RADIUS_M)
    lat = np.degrees(np.arctan(np.sinh(xy[:, 1] / EARTH_RADIUS_M)))
    return np.column_stack([lon, lat])


class Waves:
    """A smooth random field: a sum of plane sine waves with unit variance, defined everywhere."""

    def __init__(self, rng: np.random.Generator, terms: int, shortest_m: float, longest_m: float) -> None:
        length = np.exp(rng.uniform(math.log(shortest_m), math.log(longest_m), terms))
        angle = rng.uniform(0, 2 * math.pi, terms)
        self.k = 2 * math.pi / length * np.stack([np.cos(angle), np.sin(angle)])
        self.phase = rng.uniform(0, 2 * math.pi, terms)
        self.gain = math.sqrt(2.0 / terms)

    def __call__(self, xy: Array) -> Array:
        """Values `(n,)` at points `(n, 2)`."""
        return self.gain * np.sin(xy @ self.k + self.phase).sum(axis=1)


class Distortion:
    """A smooth one-to-one map of the ground (metres) onto the undistorted plan (metres)."""

    def __init__(self, rng: np.random.Generator) -> None:
        terms = 6
        length = np.exp(rng.uniform(math.log(800), math.log(3200), terms))
        angle = rng.uniform(0, 2 * math.pi, terms)
        push = rng.uniform(0, 2 * math.pi, terms)
        self.k = 2 * math.pi / length * np.stack([np.cos(angle), np.sin(angle)])
        self.phase = rng.uniform(0, 2 * math.pi, terms)
        self.push = (0.022 * length) * np.stack([np.cos(push), np.sin(push)])

    def to_plan(self, ground: Array) -> Array:
        """Plan points of ground points, `(n, 2)`."""
        return ground + np.sin(ground @ self.k + self.phase) @ self.push.T

    def to_ground(self, plan: Array) -> Array:
        """Ground points of plan points, `(n, 2)`, by fixed-point iteration (to a few centimetres)."""
        ground = plan.copy()
        for _ in range(20):
            ground = plan - np.sin(ground @ self.k + self.phase) @ self.push.T
        return ground


@dataclass(frozen=True)
class Curve:
    """A river, motorway or railway: points `(n, 2)` every 10 m on the ground, and its half width in metres."""

    kind: str
    points: Array
    half_width: float

    @cached_property
    def tree(self) -> cKDTree:
        """Search tree over the points."""
        return cKDTree(self.points)

    def distance(self, ground: Array, limit: float) -> Array:
        """Distance of ground points `(n, 2)` to the centre line in metres; infinity beyond `limit`."""
        return self.tree.query(ground, distance_upper_bound=limit)[0]


@dataclass(frozen=True)
class Lake:
    """A lake: a circle with a wavy shore, on the ground."""

    centre: Array
    radius: float
    waves: Array  # (harmonics, 2): amplitude, phase

    def shore(self, angle: Array) -> Array:
        """Radius in metres at angles."""
        n = np.arange(2, 2 + len(self.waves))
        return self.radius * (1 + (self.waves[:, 0] * np.sin(angle[..., None] * n + self.waves[:, 1])).sum(axis=-1))

    def contains(self, ground: Array) -> NDArray[np.bool_]:
        """Whether ground points lie in it."""
        d = ground - self.centre
        return np.hypot(d[:, 0], d[:, 1]) < self.shore(np.arctan2(d[:, 1], d[:, 0]))


class Town:
    """One town's polar net in plan coordinates: rings of cells between main roads, each cell with a land use."""

    def __init__(self, rng: np.random.Generator, centre: Array, radius: float, fields: "Fields") -> None:
        self.centre = centre
        self.radius = radius
        self.village = radius < VILLAGE_BELOW_M
        angle, stretch = rng.uniform(0, math.pi), rng.uniform(1.0, 1.22)
        turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        self.squash = turn.T @ np.diag([stretch, 1 / stretch]) @ turn
        self.edge = rng.uniform(-0.11, 0.11, 4), rng.uniform(0, 2 * math.pi, 4)
        self.centre_share = rng.uniform(0.15, 0.21)
        self.dense_share = rng.uniform(0.38, 0.56)
        self._draw_net(rng)
        self.cell_class = self._assign(rng, fields)

    def _draw_net(self, rng: np.random.Generator) -> None:
        limits = [0.0, rng.uniform(120, 170)]
        while limits[-1] < self.radius * 1.25:
            share = min(limits[-1] / self.radius, 1.0)
            limits.append(limits[-1] + (200 + 190 * share) * rng.uniform(0.85, 1.2))
        self.rings = np.array(limits)
        count = int(rng.integers(6, 9))
        gaps = rng.uniform(0.7, 1.3, count)
        self.spokes = (np.cumsum(gaps) / gaps.sum() * 2 * math.pi + rng.uniform(0, 2 * math.pi)) % (2 * math.pi)
        self.spokes.sort()
        self.sectors: list[Array] = [np.array([self.spokes[0]])]
        for inner, outer in zip(self.rings[1:-1], self.rings[2:], strict=True):
            self.sectors.append(self._divide(rng, (inner + outer) / 2, target=1.15 * (outer - inner)))
        self.first_cell = np.concatenate([[0], np.cumsum([len(s) for s in self.sectors])])

    def _divide(self, rng: np.random.Generator, radius: float, target: float) -> Array:
        """Sector boundaries of one ring, the spokes among them."""
        bounds: list[float] = []
        for start, stop in zip(self.spokes, np.append(self.spokes[1:], self.spokes[0] + 2 * math.pi), strict=True):
            parts = max(1, round((stop - start) * radius / target))
            inner = (np.arange(1, parts) + rng.uniform(-0.17, 0.17, parts - 1)) / parts
            bounds += [start, *(start + inner * (stop - start))]
        return np.sort(np.array(bounds) % (2 * math.pi))

    def polar(self, plan: Array) -> tuple[Array, Array]:
        """Radius (m) and angle of plan points in the town's own stretched frame."""
        d = (plan - self.centre) @ self.squash.T
        return np.hypot(d[:, 0], d[:, 1]), np.arctan2(d[:, 1], d[:, 0]) % (2 * math.pi)

    def from_polar(self, radius: Array, angle: Array) -> Array:
        """Plan points `(n, 2)` of radii and angles."""
        d = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
        return self.centre + d @ np.linalg.inv(self.squash).T

    def edge_radius(self, angle: Array) -> Array:
        """Radius of the built-up area at angles."""
        amplitude, phase = self.edge
        waves = amplitude * np.sin(angle[..., None] * np.arange(1, 5) + phase)
        return self.radius * (1 + waves.sum(axis=-1))

    def cell(self, plan: Array) -> NDArray[np.int64]:
        """Cell index of plan points; −1 outside the net."""
        radius, angle = self.polar(plan)
        ring = np.searchsorted(self.rings, radius, side="right") - 1
        cell = np.full(len(plan), -1)
        for j, bounds in enumerate(self.sectors):
            at = np.flatnonzero(ring == j)
            sector = (np.searchsorted(bounds, angle[at], side="right") - 1) % len(bounds)
            cell[at] = self.first_cell[j] + sector
        return cell

    def cell_bounds(self, cell: int) -> tuple[float, float, float, float]:
        """Inner and outer radius, first and last angle of a cell."""
        ring = int(np.searchsorted(self.first_cell, cell, side="right") - 1)
        bounds, sector = self.sectors[ring], cell - self.first_cell[ring]
        start = float(bounds[sector])
        stop = float(bounds[sector + 1]) if sector + 1 < len(bounds) else float(bounds[0]) + 2 * math.pi
        return float(self.rings[ring]), float(self.rings[ring + 1]), start, stop

    @cached_property
    def cell_middles(self) -> tuple[Array, Array]:
        """Middle radius and angle of every cell."""
        bounds = np.array([self.cell_bounds(c) for c in range(int(self.first_cell[-1]))])
        radius, angle = bounds[:, :2].mean(axis=1), bounds[:, 2:].mean(axis=1)
        radius[0] = 0.0
        return radius, angle

    def _assign(self, rng: np.random.Generator, fields: "Fields") -> NDArray[np.int64]:
        radius, angle = self.cell_middles
        place = self.from_polar(radius, angle)
        ground = fields.distortion.to_ground(place)
        share = radius / self.edge_radius(angle)
        ragged = share + 0.07 * fields.mix(place)
        use = np.full(len(radius), CODE["suburban housing"])
        use[ragged < self.dense_share] = CODE["dense housing"]
        use[share < self.centre_share] = CODE["centre"]
        use[share + 0.13 * fields.fringe(place) > 1] = -1
        if self.village:
            use[(use >= 0) & (radius > 0)] = CODE["suburban housing"]
            use[0] = CODE["dense housing"]
            return use
        free = (use >= 0) & (share >= self.centre_share * 0.8)
        scale = max(1.0, (self.radius / 2600) ** 2)
        to_motorway = fields.nearest(MOTORWAY, ground)
        to_rail = fields.nearest(RAIL, ground)
        to_river = fields.nearest(RIVER, ground)
        directions = rng.uniform(0, 2 * math.pi) + rng.permutation(6) * math.pi / 3 + rng.uniform(-0.2, 0.2, 6)

        def away(direction: float) -> Array:
            return np.abs((angle - direction + math.pi) % (2 * math.pi) - math.pi)

        def take(score: Array, count: int, name: str) -> None:
            """Give the best free cell, and the free cells nearest to it, a land use."""
            best = int(np.argmin(np.where(free, score, np.inf)))
            gap = np.hypot(*(place - place[best]).T)
            chosen = np.argsort(np.where(free, gap, np.inf))[: max(1, count)]
            use[chosen] = CODE[name]
            free[chosen] = False

        crossed = np.minimum(np.minimum(to_motorway, to_rail), to_river) < 230
        lakeside = np.min([np.hypot(*(ground - lake.centre).T) - lake.radius for lake in fields.lakes], axis=0) < 250
        take(
            np.abs(share - rng.uniform(0.55, 0.8)) * 2 + away(directions[0]) + 9.0 * (crossed | lakeside), 1, "stadium"
        )
        take(
            np.abs(share - rng.uniform(0.35, 0.7)) * 2 + away(directions[1]), int(rng.integers(3, 6) * scale), "campus"
        )
        wedge = free & (away(directions[2]) < rng.uniform(0.3, 0.45)) & (share > rng.uniform(0.5, 0.62))
        use[wedge] = CODE["industry"]
        free[wedge] = False
        take(to_rail + 400 * np.abs(share - 0.75), int(3 * scale), "industry")
        offices = free & (away(directions[3]) < rng.uniform(0.45, 0.65)) & (share < 0.42)
        use[offices] = CODE["offices"]
        free[offices] = False
        take(to_motorway + 500 * np.abs(share - 0.8), 2, "shopping")
        take(to_motorway + 700 * away(directions[3]), int(2 * scale), "offices")
        take(np.abs(share - 0.5) * 2 + away(directions[4]), 2, "hospital")
        take(np.abs(share - rng.uniform(0.25, 0.5)) * 2 + away(directions[5]), int(rng.integers(3, 6) * scale), "park")
        green = free & (((rng.random(len(use)) < 0.3) & (to_river < 160)) | (rng.random(len(use)) < 0.035))
        use[green] = CODE["park"]
        return use


class Fields:
    """What the whole region shares: distortion, noise fields, curves and lakes."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.distortion = Distortion(rng)
        self.mix, self.woods = Waves(rng, 10, 500, 2500), Waves(rng, 14, 600, 4000)
        self.thicket, self.fringe = Waves(rng, 14, 90, 400), Waves(rng, 12, 500, 1600)
        self.curves: list[Curve] = []
        self.lakes: list[Lake] = []

    @cached_property
    def _lines(self) -> dict[str, tuple[cKDTree, Array]]:
        """By kind: a search tree over the points of all its curves, and the half width at each point."""
        lines = {}
        for kind in (RIVER, MOTORWAY, RAIL):
            same = [c for c in self.curves if c.kind == kind]
            widths = np.concatenate([np.full(len(c.points), c.half_width) for c in same])
            lines[kind] = cKDTree(np.concatenate([c.points for c in same])), widths
        return lines

    def nearest(self, kind: str, ground: Array) -> Array:
        """Distance of ground points to the nearest curve of a kind, in metres."""
        return self._lines[kind][0].query(ground)[0]

    def in_river(self, ground: Array) -> NDArray[np.bool_]:
        """Whether ground points lie in a river."""
        tree, widths = self._lines[RIVER]
        distance, point = tree.query(ground, distance_upper_bound=float(widths.max()))
        return distance <= np.append(widths, -1.0)[point]

    def along(self, kind: str, ground: Array, width: float) -> NDArray[np.bool_]:
        """Whether ground points lie within `width` metres of the middle of a curve of a kind."""
        return self._lines[kind][0].query(ground, distance_upper_bound=width)[0] <= width

    @cached_property
    def _lake_tree(self) -> cKDTree:
        return cKDTree(np.array([lake.centre for lake in self.lakes]))

    def in_lake(self, ground: Array) -> NDArray[np.bool_]:
        """Whether ground points lie in the lake whose middle is nearest."""
        reach = 2 * max(lake.radius for lake in self.lakes)
        nearest = self._lake_tree.query(ground, distance_upper_bound=reach)[1]
        wet = np.zeros(len(ground), dtype=bool)
        for number in np.unique(nearest[nearest < len(self.lakes)]):
            at = np.flatnonzero(nearest == number)
            wet[at] = self.lakes[number].contains(ground[at])
        return wet


class Plan:
    """A town, or a region of towns, for some number of stations.

    `half` is half the side of the square (metres) in which stations stand; the plan itself goes on beyond it.
    """

    def __init__(self, stations: int, seed: int) -> None:
        self.seed = seed
        rng = np.random.default_rng([seed, 1])
        towns = 1 if stations <= STATIONS_PER_TOWN else round(stations / 160)
        self.one_town = towns == 1
        radius = 2550 * math.sqrt(max(stations, 20) / 150) if towns == 1 else 2650.0
        self.spacing = 2.9 * radius
        side = 1 if towns == 1 else math.ceil(math.sqrt(towns))
        self.half = 1.3 * radius if towns == 1 else side * self.spacing / 2
        self.fields = Fields(rng)
        centres, radii = self._centres(rng, side, towns, radius)
        self.fields.curves.extend(c for row in range(side) for c in self._curves(rng, row, side, radius))
        ground_centres = self.fields.distortion.to_ground(centres)
        self.fields.lakes.extend(self._lake(rng, c, r) for c, r in zip(ground_centres, radii, strict=True))
        self.woods_above = rng.uniform(0.55, 0.95)
        self.rail_stops = self._rail_stops(ground_centres)
        places, sizes = self._villages(rng, centres)
        self.centres, self.radii = np.vstack([centres, places]), np.concatenate([radii, sizes])
        self.towns = [
            Town(np.random.default_rng([seed, 2, t]), centre, r, self.fields)
            for t, (centre, r) in enumerate(zip(self.centres, self.radii, strict=True))
        ]
        self.town_tree = cKDTree(self.centres)

    def _villages(self, rng: np.random.Generator, centres: Array) -> tuple[Array, Array]:
        """Villages at the corners between towns (three of the four corners where there is one town)."""
        if len(centres) == 1:
            corners = 0.83 * self.half * np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]])[rng.permutation(4)[:3]]
        else:
            corners = centres + self.spacing / 2
        return corners + rng.uniform(-0.06, 0.06, corners.shape) * self.half, rng.uniform(260, 430, len(corners))

    def town_of(self, plan: Array) -> NDArray[np.int64]:
        """Index of the town whose land a plan point is: the nearest in units of its radius."""
        count = min(9, len(self.towns))
        distance, town = self.town_tree.query(plan, k=count)
        distance, town = distance.reshape(len(plan), count), town.reshape(len(plan), count)
        return town[np.arange(len(plan)), np.argmin(distance / self.radii[town], axis=1)]

    def _centres(self, rng: np.random.Generator, side: int, towns: int, radius: float) -> tuple[Array, Array]:
        if towns == 1:
            return np.zeros((1, 2)), np.array([radius])
        grid = (np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2) + 0.5) * self.spacing
        grid -= self.half
        centres = grid[np.argsort(np.hypot(*grid.T), kind="stable")[:towns]]
        centres = centres + rng.uniform(-0.06, 0.06, centres.shape) * self.spacing
        return centres, radius * rng.uniform(0.7, 1.12, towns)

    def _curves(self, rng: np.random.Generator, row: int, side: int, radius: float) -> list[Curve]:
        """River, motorway and rail through one row of towns (the whole plan where there is one town)."""
        turn = rng.uniform(0, 2 * math.pi) if side == 1 else 0.0
        base = 0.0 if side == 1 else (row + 0.5) * self.spacing - self.half
        reach = 11000.0 if side == 1 else self.half + 2500
        bend = rng.uniform(math.pi / 3, 2 * math.pi / 3) if side == 1 else 0.0

        def curve(kind: str, offset: float, angle: float, wiggle: float, half_width: float) -> Curve:
            along = np.arange(-reach * 1.5, reach * 1.5, 10.0)
            length = np.array([2100.0, 3900.0, 7300.0]) * rng.uniform(0.8, 1.25, 3)
            phase = rng.uniform(0, 2 * math.pi, 3)
            gain = wiggle * np.array([0.35, 0.6, 1.0])
            # No wiggle where the curve passes the town, so that the offset is kept there.
            across = (np.sin(2 * math.pi * along[:, None] / length + phase) * gain).sum(axis=1)
            across -= 0.8 * (np.sin(phase) * gain).sum() * np.exp(-((along / (2 * radius)) ** 2))
            frame = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
            points = np.column_stack([along, offset + across]) @ frame
            return Curve(kind, points + (np.array([0.0, base]) if side > 1 else 0.0), half_width)

        sign = rng.choice([-1.0, 1.0], 3)
        river_at, motorway_at, rail_at = rng.uniform([0.1, 0.72, 0.17], [0.5, 0.92, 0.32]) * radius * sign
        return [
            curve(RIVER, river_at, turn, rng.uniform(70, 150), rng.uniform(28, 55)),
            curve(MOTORWAY, motorway_at, turn + bend, rng.uniform(90, 170), MOTORWAY_HALF_WIDTH_M),
            curve(
                RAIL,
                rail_at,
                turn + bend + rng.uniform(0.7, 1.2) * (side == 1),
                rng.uniform(40, 110),
                RAIL_HALF_WIDTH_M,
            ),
        ]

    @staticmethod
    def _lake(rng: np.random.Generator, town: Array, radius: float) -> Lake:
        angle, away = rng.uniform(0, 2 * math.pi), rng.uniform(0.55, 1.05) * radius
        centre = town + away * np.array([math.cos(angle), math.sin(angle)])
        waves = np.column_stack([rng.uniform(0.06, 0.3, 5) / np.arange(2, 7), rng.uniform(0, 2 * math.pi, 5)])
        return Lake(centre, rng.uniform(150, 300), waves)

    def _rail_stops(self, centres: Array) -> Array:
        rails = np.concatenate([c.points for c in self.fields.curves if c.kind == RAIL])
        rails = rails[self.fields.nearest(RIVER, rails) > 170]
        return rails[cKDTree(rails).query(centres)[1]]

    def wooded(self, ground: Array) -> Array:
        """How far into the woods ground points lie: above 0 there are trees."""
        return self.fields.woods(ground) + 0.13 * self.fields.thicket(ground) - self.woods_above

    def woods(self, ground: Array) -> NDArray[np.bool_]:
        """Whether ground points outside the towns are wooded."""
        return self.wooded(ground) > 0

    def classify(self, ground: Array) -> NDArray[np.int64]:
        """Land-use code (index into CLASSES) of ground points `(n, 2)`."""
        plan = self.fields.distortion.to_plan(ground)
        use = np.where(self.woods(ground), CODE["forest"], CODE["farmland"])
        town = self.town_of(plan)
        for t in np.unique(town):
            at = np.flatnonzero(town == t)
            cell = self.towns[t].cell(plan[at])
            built = np.where(cell >= 0, self.towns[t].cell_class[cell], -1)
            use[at[built >= 0]] = built[built >= 0]
        use[self.fields.in_lake(ground) | self.fields.in_river(ground)] = CODE["water"]
        use[self.fields.along(MOTORWAY, ground, 32.0)] = CODE["motorway"]
        use[self.fields.along(RAIL, ground, 24.0)] = CODE["rail"]
        use[cKDTree(self.rail_stops).query(ground, distance_upper_bound=110.0)[0] <= 110.0] = CODE["rail"]
        return use

    def centrality(self, ground: Array) -> Array:
        """1 at a town's middle, falling smoothly to 0 in the country."""
        plan = self.fields.distortion.to_plan(ground)
        town = self.town_of(plan)
        distance, radius = np.hypot(*(plan - self.centres[town]).T), self.radii[town]
        return np.sqrt(np.minimum(radius / 2000, 1.0)) * np.exp(-((distance / (0.55 * radius)) ** 1.3))
