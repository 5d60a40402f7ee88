"""Draws windows of a plan as an aerial photograph.

A window is given in pixels of the web-mercator grid (zoom 17 unless said otherwise), counted east and south from (0°, 0°).
A pixel gets the same colour whatever the window, but for the rounding of an edge that a window cuts. Everything is drawn
twice as fine and averaged; ground first, then shadows and roofs, trees, and at last what is tall.
"""

import math
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from lecdiff_core.demo.country import Country, Parcel
from lecdiff_core.demo.objects.ground import Ground, lake_ring
from lecdiff_core.demo.objects.shapes import (
    FLAT,
    GABLE,
    HIP,
    ROUND,
    SHED,
    Arena,
    Building,
    Scene,
    along_line,
    rectangle_at,
    vary,
)
from lecdiff_core.demo.plan import EARTH_RADIUS_M, MOTORWAY, RAIL, RIVER, Array, Curve, Plan, Town, Waves
from lecdiff_core.demo.style import CARS, FLAT_ROOFS, Colour, make_style

FINE_ZOOM = 17
OVERSAMPLING = 2
PAD = 6  # pixels drawn around a window, so that averaging has neighbours
TALL_M = 20.0


def metres_per_pixel(zoom: int) -> float:
    """Ground size of a web-mercator pixel at the equator."""
    return 2 * math.pi * EARTH_RADIUS_M / (256 * 2**zoom)


def shade(colour: Colour, factor: float) -> Colour:
    """A colour, lighter or darker."""
    r, g, b = (max(0, min(255, int(c * factor))) for c in colour)
    return r, g, b


def aside(points: Array, offset: float) -> Array:
    """A line moved to its left by some metres."""
    step = np.gradient(points, axis=0)
    step /= np.maximum(np.hypot(step[:, 0], step[:, 1])[:, None], 1e-9)
    return points + offset * np.column_stack([-step[:, 1], step[:, 0]])


class Canvas:
    """A fine image of one window, with drawing in ground metres."""

    def __init__(self, x0: float, y1: float, metres: float, width: int, height: int, colour: Colour) -> None:
        self.x0, self.y1, self.metres = x0, y1, metres
        self.image = Image.new("RGB", (width, height), colour)
        self.draw = ImageDraw.Draw(self.image)
        self.x1, self.y0 = x0 + width * metres, y1 - height * metres

    def pixels(self, points: Array) -> list[float]:
        """Flat pixel coordinates of ground points `(n, 2)`."""
        flat = np.empty(2 * len(points))
        flat[0::2] = (points[:, 0] - self.x0) / self.metres
        flat[1::2] = (self.y1 - points[:, 1]) / self.metres
        return flat.tolist()

    def sees(self, points: Array, margin: float = 0.0) -> bool:
        """Whether a shape may touch the window."""
        (ax, ay), (bx, by) = points.min(axis=0), points.max(axis=0)
        return bool(bx > self.x0 - margin and ax < self.x1 + margin and by > self.y0 - margin and ay < self.y1 + margin)

    def within(self, points: Array, margin: float) -> NDArray[np.bool_]:
        """Which points lie in the window, widened by a margin."""
        x, y = points[:, 0], points[:, 1]
        return (x > self.x0 - margin) & (x < self.x1 + margin) & (y > self.y0 - margin) & (y < self.y1 + margin)

    def polygon(self, points: Array, colour: Colour) -> None:
        """Fill a polygon."""
        if self.sees(points):
            self.draw.polygon(self.pixels(points), fill=colour)

    def line(self, points: Array, width: float, colour: Colour, dash: float = 0.0) -> None:
        """Draw a line of a width in metres."""
        if len(points) < 2 or not self.sees(points, width):
            return
        pixels = max(1, round(width / self.metres))
        if dash:
            spots, angle = along_line(points, 2 * dash)
            seen = self.within(spots, dash)
            half = 0.5 * dash * np.column_stack([np.cos(angle), np.sin(angle)])
            for spot, reach in zip(spots[seen], half[seen], strict=True):
                self.draw.line(self.pixels(np.array([spot - reach, spot + reach])), fill=colour, width=pixels)
            return
        flat = self.pixels(points)
        self.draw.line(flat, fill=colour, width=pixels, joint="curve" if pixels > 3 else None)

    def band(self, points: Array, width: float, colour: Colour) -> None:
        """Draw a wide, smoothly bending strip without gaps at its joints."""
        if len(points) < 2 or not self.sees(points, width):
            return
        if width / self.metres < 4:
            self.line(points, width, colour)
            return
        left, right = aside(points, width / 2), aside(points, -width / 2)
        self.draw.polygon(self.pixels(np.vstack([left, right[::-1]])), fill=colour)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Fill a circle."""
        px, py, r = (x - self.x0) / self.metres, (self.y1 - y) / self.metres, radius / self.metres
        self.draw.ellipse((px - r, py - r, px + r, py + r), fill=colour)

    def darken(self, mask: Image.Image) -> None:
        """Lay a shadow where the mask is set: darker and bluer."""
        tables = [[int(v * f) for v in range(256)] for f in (0.43, 0.47, 0.56)]
        dark = self.image.point(tables[0] + tables[1] + tables[2])
        self.image.paste(dark, mask=mask)
        self.draw = ImageDraw.Draw(self.image)


class Painter:
    """Paints windows of one plan."""

    def __init__(self, plan: Plan, zoom: int = FINE_ZOOM) -> None:
        self.plan = plan
        self.style = make_style(plan.seed)
        self.ground = Ground(plan, self.style)
        self.country = Country(plan, self.style)
        self.metres = metres_per_pixel(zoom)
        self.coarse = zoom < FINE_ZOOM - 1
        rng = np.random.default_rng([plan.seed, 40])
        self.grain = self._noise(rng, 512, 0.65)
        self.mottle = self._noise(rng, 640, 2.6)
        self.patches = self._noise(rng, 896, 13.0)
        self.light = Waves(rng, 8, 900, 5000)
        self.stands = Waves(rng, 12, 130, 700)

    @staticmethod
    def _noise(rng: np.random.Generator, size: int, blur: float) -> NDArray[np.float32]:
        noise = gaussian_filter(rng.standard_normal((size, size)), blur, mode="wrap")
        return (noise / noise.std()).astype(np.float32)

    @staticmethod
    def _lookup(noise: NDArray[np.float32], px: int, py: int, width: int, height: int) -> NDArray[np.float32]:
        size = len(noise)
        rows, columns = (py + np.arange(height)) % size, (px + np.arange(width)) % size
        return noise[rows[:, None], columns]

    def paint(self, px: int, py: int, width: int, height: int) -> NDArray[np.uint8]:
        """The window of `width` × `height` pixels whose north-west corner is pixel (px, py): `(height, width, 3)`."""
        px, py, full_width, full_height = px - PAD, py - PAD, width + 2 * PAD, height + 2 * PAD
        over = 1 if self.coarse else OVERSAMPLING
        canvas = Canvas(
            px * self.metres, -py * self.metres, self.metres / over, full_width * over, full_height * over,
            shade(self.style.grass[0], 1.02),
        )  # fmt: skip
        self._fields(canvas)
        self._woods(canvas)
        scenes = self._scenes(canvas)
        for scene in scenes:
            self._flat(canvas, scene)
        self._water(canvas)
        self._roads(canvas)
        self._rails(canvas)
        self._motorways(canvas)
        if not self.coarse:
            for scene in scenes:
                self._cars(canvas, scene.cars)
        self._upright(canvas, scenes)
        image = canvas.image.resize((full_width, full_height), Image.Resampling.BOX) if over > 1 else canvas.image
        finished = self._develop(np.asarray(image, dtype=np.float32), px, py)
        return finished[PAD:-PAD, PAD:-PAD]

    # The ground

    def _fields(self, canvas: Canvas) -> None:
        for i, j in self.country.meshes(canvas.x0, canvas.y0, canvas.x1, canvas.y1):
            outline = self.country.outline(i, j)
            if not canvas.sees(outline) or self._all_town(outline):
                continue
            parcels, _ = self.country.mesh(i, j)
            canvas.line(np.vstack([outline, outline[:1]]), 5.0, shade(self.style.soil, 1.04))
            for parcel in parcels:
                if canvas.sees(parcel.ring):
                    self._parcel(canvas, parcel)

    def _all_town(self, outline: Array) -> bool:
        plan = self.plan.fields.distortion.to_plan(outline)
        town = self.plan.towns[int(self.plan.town_of(plan[:1])[0])]
        radius, angle = town.polar(plan)
        return bool((radius < 0.8 * town.edge_radius(angle)).all())

    def _parcel(self, canvas: Canvas, parcel: Parcel) -> None:
        pixels = np.array(canvas.pixels(parcel.ring)).reshape(-1, 2)
        width, height = canvas.image.size
        left, top = np.maximum(np.floor(pixels.min(axis=0)).astype(int), 0)
        right, bottom = np.minimum(np.ceil(pixels.max(axis=0)).astype(int) + 1, (width, height))
        if right <= left or bottom <= top:
            return
        if canvas.metres > 2:
            canvas.polygon(parcel.ring, parcel.colour)
            return
        mask = Image.new("L", (int(right - left), int(bottom - top)))
        ImageDraw.Draw(mask).polygon((pixels - (left, top)).ravel().tolist(), fill=255)
        x = canvas.x0 + (left + np.arange(right - left, dtype=np.float32) + 0.5) * canvas.metres
        y = canvas.y1 - (top + np.arange(bottom - top, dtype=np.float32) + 0.5) * canvas.metres
        across = y[:, None] * np.float32(math.cos(parcel.angle)) - x[None] * np.float32(math.sin(parcel.angle))
        tone = 1 + parcel.strength * np.sin(across * np.float32(2 * math.pi / parcel.period))
        if parcel.tramlines:
            tone -= 0.09 * ((across % 21.0 < 0.9) | ((across + 2.2) % 21.0 < 0.9))
        gx, gy = math.floor(canvas.x0 / canvas.metres + 0.5) + left, math.floor(-canvas.y1 / canvas.metres + 0.5) + top
        size = (int(right - left), int(bottom - top))
        patches = self._lookup(self.patches, int(gx) // 4, int(gy) // 4, size[0] // 4 + 2, size[1] // 4 + 2)
        smooth = Image.fromarray(patches).resize(
            (patches.shape[1] * 4, patches.shape[0] * 4), Image.Resampling.BILINEAR
        )
        offset_x, offset_y = int(gx) % 4, int(gy) % 4
        tone += parcel.mottle * np.asarray(smooth)[offset_y : offset_y + size[1], offset_x : offset_x + size[0]]
        colour = np.clip(tone[..., None] * np.array(parcel.colour, dtype=np.float32), 0, 255).astype(np.uint8)
        canvas.image.paste(Image.fromarray(colour), (int(left), int(top)), mask)

    def _woods(self, canvas: Canvas) -> None:
        step = max(8.0, canvas.metres * 2)
        first_x, first_y = math.floor(canvas.x0 / step) - 1, math.floor(canvas.y0 / step) - 1
        nx, ny = math.ceil(canvas.x1 / step) + 2 - first_x, math.ceil(canvas.y1 / step) + 2 - first_y
        x, y = (first_x + np.arange(nx)) * step, (first_y + np.arange(ny)) * step
        grid = np.stack(np.meshgrid(x, y[::-1]), axis=-1).reshape(-1, 2)
        field = self.plan.wooded(grid).reshape(ny, nx).astype(np.float32)
        if field.max() < -0.1:
            return
        # Pixel centres of the canvas in units of grid steps.
        scale = canvas.metres / step
        matrix = (scale, 0, (canvas.x0 - x[0]) / step + 0.5, 0, scale, (y[-1] - canvas.y1) / step + 0.5)
        fine = Image.fromarray(field).transform(
            canvas.image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
        )
        mask = Image.fromarray(np.where(np.asarray(fine) > 0, 255, 0).astype(np.uint8))
        colour = shade(self.style.trees[0], 0.82 if not self.coarse else 0.97)
        canvas.image.paste(colour, (0, 0, *canvas.image.size), mask)
        canvas.draw = ImageDraw.Draw(canvas.image)

    def _scenes(self, canvas: Canvas) -> list[Scene]:
        """Scenes of all cells and meshes that may show in the window."""
        margin = 90.0
        scenes = []
        for t, town in enumerate(self.plan.towns):
            reach = town.radius * 1.6
            centre = self.plan.fields.distortion.to_ground(town.centre[None])
            if not canvas.within(centre, reach)[0]:
                continue
            for cell in np.flatnonzero(town.cell_class >= 0).tolist():
                if canvas.sees(np.asarray(self.ground.cell_shape(t, cell).exterior.coords), margin):
                    scenes.append(self.ground.scene_of_cell(t, cell))
        if not self.coarse:
            for i, j in self.country.meshes(canvas.x0, canvas.y0, canvas.x1, canvas.y1):
                if not self._all_town(self.country.outline(i, j)):
                    scenes.append(self.country.mesh(i, j)[1])
        return scenes

    @staticmethod
    def _flat(canvas: Canvas, scene: Scene) -> None:
        for ring, colour in scene.fills:
            canvas.polygon(ring, colour)
        for points, width, colour, dash in scene.lines:
            canvas.line(points, width, colour, dash)

    def _water(self, canvas: Canvas) -> None:
        style = self.style
        bank = shade(style.soil, 0.98)
        for curve in self.plan.fields.curves:
            if curve.kind == RIVER:
                points = self._near(canvas, curve.points, 300)
                canvas.band(points, 2 * curve.half_width + 7, bank)
                canvas.band(points, 2 * curve.half_width + 3.5, shade(style.river, 0.82))
                canvas.band(points, 2 * curve.half_width, style.river)
                canvas.band(points, 1.2 * curve.half_width, shade(style.river, 1.05))
        for lake in self.plan.fields.lakes:
            ring = lake_ring(lake)
            if canvas.sees(ring, 20):
                for grow, colour in (
                    (1.03, bank),
                    (1.015, shade(style.water, 1.25)),
                    (1.0, style.water),
                    (0.9, shade(style.water, 0.94)),
                ):
                    canvas.polygon(lake.centre + grow * (ring - lake.centre), colour)

    @staticmethod
    def _near(canvas: Canvas, points: Array, margin: float) -> Array:
        """The part of a long line that may show, one point more at either end."""
        seen = np.flatnonzero(canvas.within(points, margin))
        return points[max(0, seen[0] - 1) : seen[-1] + 2] if len(seen) else points[:0]

    @cached_property
    def _net(self) -> list[tuple[Array, float, bool]]:
        """Main roads: points, width in metres, and whether they bridge the water."""
        roads: list[tuple[Array, float, bool]] = []
        for town in self.plan.towns:
            roads += self._streets(town)
        for road in self.country.roads:
            roads.append((road, 9.0, True))
        return roads

    def _streets(self, town: Town) -> list[tuple[Array, float, bool]]:
        streets = []
        for cell in np.flatnonzero(town.cell_class >= 0).tolist():
            inner, outer, start, stop = town.cell_bounds(cell)
            steps = max(3, int((stop - start) * outer / 15))
            angle = np.linspace(start, stop, steps)
            ring = int(np.searchsorted(town.first_cell, cell, side="right") - 1)
            arc = self.ground.to_ground(town, np.column_stack([np.full(steps, outer), angle]))
            streets.append((arc, 12.0 if ring % 2 == 0 else 9.5, ring % 3 == 0))
            for side in (start, stop) if inner else ():
                spoke = bool(
                    np.isclose(np.abs((town.spokes - side + math.pi) % (2 * math.pi) - math.pi), 0, atol=1e-6).any()
                )
                rise = np.linspace(inner, outer, max(3, int((outer - inner) / 15)))
                line = self.ground.to_ground(town, np.column_stack([rise, np.full(len(rise), side)]))
                streets.append((line, 13.5 if spoke else 9.0, spoke))
        return streets

    def _roads(self, canvas: Canvas) -> None:
        asphalt = self.style.asphalt
        rivers = [c for c in self.plan.fields.curves if c.kind == RIVER]
        visible = []
        for points, width, bridge in self._net:
            if not canvas.sees(points, 20):
                continue
            wet = np.zeros(len(points), dtype=bool)
            for river in rivers:
                wet |= river.distance(points, river.half_width + 12) <= river.half_width + 12
            for lake in self.plan.fields.lakes:
                wet |= lake.contains(lake.centre + (points - lake.centre) / 1.03)
            dry = ~wet | (bridge & ~np.any([lake.contains(points) for lake in self.plan.fields.lakes], axis=0))
            edges = np.flatnonzero(np.diff(np.concatenate([[False], dry, [False]]).astype(int)))
            visible += [
                (points[a:b], width, wet[a:b]) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 1
            ]
        for points, width, wet in visible:
            if wet.any():
                crossing = self._near_mask(points, wet)
                canvas.line(crossing + self._shadow(6.0), width + 3, shade(self.style.river, 0.6))
                canvas.line(crossing, width + 3.5, self.style.concrete)
        for points, width, _ in visible:
            canvas.band(points, width, asphalt)
        if not self.coarse:
            for points, width, _ in visible:
                canvas.line(points, 0.45, (206, 206, 200), 4.0)
                if width > 11:
                    for points_ in (aside(points, width / 2 - 0.6), aside(points, 0.6 - width / 2)):
                        canvas.line(points_, 0.4, (190, 190, 186))
                self._drive(canvas, points, 38 if width > 11 else 70, (-2.4, 2.4))

    @staticmethod
    def _near_mask(points: Array, mask: NDArray[np.bool_]) -> Array:
        at = np.flatnonzero(mask)
        return points[max(0, at[0] - 1) : at[-1] + 2]

    def _shadow(self, height: float) -> Array:
        return -np.array(self.style.sun) * height * self.style.shadow

    def _drive(self, canvas: Canvas, points: Array, spacing: float, lanes: tuple[float, ...]) -> None:
        """Cars on the move, at places that depend on the road alone."""
        rng = np.random.default_rng([int(abs(points[0, 0]) * 10), int(abs(points[0, 1]) * 10), len(points)])
        for lane in lanes:
            spots, angle = along_line(aside(points, lane), 9.0)
            chosen = rng.random(len(spots)) < 9.0 / spacing
            kinds = rng.integers(len(CARS), size=len(spots))
            length = np.where(rng.random(len(spots)) < 0.08, 11.0, 4.5)
            cars = np.column_stack([spots, angle, length, kinds])[chosen]
            self._cars(canvas, [cars])

    def _motorways(self, canvas: Canvas) -> None:
        style = self.style
        for curve in self.plan.fields.curves:
            if curve.kind != MOTORWAY:
                continue
            points = self._near(canvas, curve.points, 400)
            if len(points) < 2:
                continue
            canvas.band(points, 46, shade(style.grass[1], 0.97))
            canvas.band(points + self._shadow(4.0), 33, shade(style.grass[1], 0.6)) if not self.coarse else None
            canvas.band(points, 31, shade(style.asphalt, 1.08))
            canvas.band(points, 3.4, shade(style.grass[2], 0.98))
            if self.coarse:
                continue
            for side in (-1, 1):
                for at in (2.3, 14.4):
                    canvas.line(aside(points, side * at), 0.45, (214, 214, 210))
                for at in (5.7, 9.3):
                    canvas.line(aside(curve.points, side * at), 0.45, (206, 206, 202), 5.0)
                self._drive(canvas, curve.points, 62, (side * 4.0, side * 7.5, side * 11.2))
            canvas.line(points, 0.6, (196, 196, 192))

    def _rails(self, canvas: Canvas) -> None:
        ballast = (138, 126, 114)
        for curve in self.plan.fields.curves:
            if curve.kind != RAIL:
                continue
            points = self._near(canvas, curve.points, 400)
            if len(points) < 2:
                continue
            canvas.band(points, 21, shade(self.style.grass[1], 0.93))
            canvas.band(points, 13, ballast)
            for stop in self.plan.rail_stops:
                self._station_ground(canvas, curve, stop)
            if self.coarse:
                continue
            for track in (-2.3, 2.3):
                self._track(canvas, aside(points, track))

    @staticmethod
    def _track(canvas: Canvas, points: Array) -> None:
        canvas.line(points, 2.6, (112, 100, 90))
        for rail in (-0.75, 0.75):
            canvas.line(aside(points, rail), 0.3, (172, 166, 160))

    def _around_stop(self, curve: Curve, stop: Array, reach: float) -> Array:
        return curve.points[np.hypot(*(curve.points - stop).T) < reach]

    def _station_ground(self, canvas: Canvas, curve: Curve, stop: Array) -> None:
        yard = self._around_stop(curve, stop, 190)
        if len(yard) < 4 or not canvas.sees(yard, 120):
            return
        canvas.band(yard, 62, (146, 134, 122))
        square = self._around_stop(curve, stop, 62)
        canvas.band(aside(square, 46), 34, self.style.pavement)
        if self.coarse:
            return
        for track in (-24, -19.4, -10.6, -6, 7, 11.6, 20.4, 25):
            self._track(canvas, aside(yard, track))
        long = self._around_stop(curve, stop, 130)
        for platform in (-15.0, 1.0 + 15.0):
            canvas.line(aside(long, platform), 6.2, (178, 174, 168))

    def _station_buildings(self) -> list[Building]:
        buildings = []
        for stop in self.plan.rail_stops:
            for curve in self.plan.fields.curves:
                near = self._around_stop(curve, stop, 90) if curve.kind == RAIL else np.empty((0, 2))
                if len(near) < 5:
                    continue
                step = near[-1] - near[0]
                angle = math.atan2(step[1], step[0])
                across = np.array([-math.sin(angle), math.cos(angle)])
                middle = near[len(near) // 2]
                for at in (-15.0, 16.0):
                    spot = middle + at * across
                    buildings.append(Building(rectangle_at(spot, 120, 7.5, angle), 6, SHED, (186, 186, 184)))
                spot = middle + 42 * across
                buildings.append(Building(rectangle_at(spot, 84, 15, angle), 13, GABLE, self.style.roofs[0]))
                buildings.append(Building(rectangle_at(spot, 20, 21, angle), 17, HIP, self.style.roofs[1]))
                for track, start in ((-10.6, -40), (7.0, 10)):
                    for k in range(6):
                        car = (
                            middle
                            + track * across
                            + (start + 20.5 * k - 40) * np.array([math.cos(angle), math.sin(angle)])
                        )
                        buildings.append(
                            Building(
                                rectangle_at(car, 19.6, 3.0, angle),
                                4,
                                FLAT,
                                (188, 60, 54) if start > 0 else (202, 204, 206),
                            )
                        )
        return buildings

    def _cars(self, canvas: Canvas, groups: list[Array]) -> None:
        groups = [g for g in groups if len(g)]
        if not groups:
            return
        cars = np.concatenate(groups)
        cars = cars[canvas.within(cars[:, :2], 6)]
        along = np.column_stack([np.cos(cars[:, 2]), np.sin(cars[:, 2])])
        across = np.column_stack([-along[:, 1], along[:, 0]])
        wide = np.where(cars[:, 3] > 8, 2.4, 1.85)
        shadow = self._shadow(1.3)
        for spot, u, v, length, w, kind in zip(
            cars[:, :2], along, across, cars[:, 3], wide, cars[:, 4].astype(int), strict=True
        ):
            a, b = u * length / 2, v * w / 2
            body = np.array([-a - b, a - b, a + b, -a + b]) + spot
            canvas.draw.polygon(canvas.pixels(body + shadow), fill=(62, 62, 66))
            canvas.draw.polygon(canvas.pixels(body), fill=CARS[kind])
            if length < 8:
                c = u * length
                glass = np.array([spot + 0.18 * c - 0.8 * b, spot + 0.18 * c + 0.8 * b])
                canvas.draw.line(canvas.pixels(glass), fill=(58, 62, 70), width=1)

    # What stands up: shadows, roofs, trees

    @cached_property
    def _stations_of_rail(self) -> list[Building]:
        return self._station_buildings()

    def _upright(self, canvas: Canvas, scenes: list[Scene]) -> None:
        every = [b for scene in scenes for b in scene.buildings] + self._stations_of_rail
        reach = 90.0
        seen = [b for b in every if canvas.sees(b.ring, reach)]
        low = [b for b in seen if b.height < TALL_M]
        tall = sorted((b for b in seen if b.height >= TALL_M), key=lambda b: b.height)
        self._shadows(canvas, low)
        for building in low:
            self._roof(canvas, building)
        if not self.coarse:
            self._trees(canvas, scenes)
        arenas = [scene.arena for scene in scenes if scene.arena is not None]
        for arena in arenas:
            self._arena(canvas, arena)
        self._shadows(canvas, tall)
        for building in tall:
            self._roof(canvas, building)

    def _shadows(self, canvas: Canvas, buildings: list[Building]) -> None:
        mask = Image.new("L", canvas.image.size)
        draw = ImageDraw.Draw(mask)
        for b in buildings:
            shift = self._shadow(b.height if b.roof in (FLAT, ROUND, SHED) else 0.8 * b.height)
            for ring in self._swept(b.ring, shift):
                draw.polygon(canvas.pixels(ring), fill=255)
        canvas.darken(mask)

    @staticmethod
    def _swept(ring: Array, shift: Array) -> list[Array]:
        """Polygons that a ring covers while it moves by a vector."""
        following = np.roll(ring, -1, axis=0)
        sides = [np.array([a, b, b + shift, a + shift]) for a, b in zip(ring, following, strict=True)]
        return [ring, ring + shift, *sides]

    def _roof(self, canvas: Canvas, b: Building) -> None:
        ring = b.ring
        if b.height >= 9:
            lean = np.array(self.style.lean) * b.height
            wall = shade(b.colour, 0.62)
            lit = float(np.dot(lean, self.style.sun)) < 0
            for part in self._swept(ring, lean):
                canvas.polygon(part, shade(wall, 1.18 if lit else 0.8))
            ring = ring + lean
        if not canvas.sees(ring):
            return
        if b.roof == GABLE or b.roof == HIP:
            self._pitched(canvas, ring, b)
        elif b.roof == SHED:
            self._hall(canvas, ring, b)
        else:
            canvas.polygon(ring, b.colour)
            if b.roof == ROUND:
                middle = ring.mean(axis=0)
                canvas.polygon(middle + 0.86 * (ring - middle) + 0.3 * np.array(self.style.sun), shade(b.colour, 1.07))
            elif not self.coarse:
                self._flat_details(canvas, ring, b)

    def _light(self, direction: Array) -> float:
        """How bright a slope is that faces a direction."""
        size = float(np.hypot(*direction)) or 1.0
        return 1.0 + 0.17 * float(np.dot(direction / size, self.style.sun))

    def _pitched(self, canvas: Canvas, ring: Array, b: Building) -> None:
        if not b.ridge_along_front:
            ring = np.roll(ring, -1, axis=0)
        a, c, d, e = ring  # ridge runs parallel to a–c
        left, right = (a + e) / 2, (c + d) / 2
        run = right - left
        inset = 0.0 if b.roof == GABLE else min(0.5, 0.5 * float(np.hypot(*(e - a))) / max(float(np.hypot(*run)), 1e-6))
        top = (left + inset * run, right - inset * run)
        front, back = (a - e), (e - a)
        canvas.polygon(np.array([a, c, top[1], top[0]]), shade(b.colour, self._light(front)))
        canvas.polygon(np.array([e, d, top[1], top[0]]), shade(b.colour, self._light(back)))
        if b.roof == HIP:
            canvas.polygon(np.array([a, e, top[0]]), shade(b.colour, self._light(-run)))
            canvas.polygon(np.array([c, d, top[1]]), shade(b.colour, self._light(run)))
        if not self.coarse:
            canvas.line(np.array(top), 0.35, shade(b.colour, 1.22))

    def _hall(self, canvas: Canvas, ring: Array, b: Building) -> None:
        a, c, _, e = ring
        canvas.polygon(ring, b.colour)
        if self.coarse:
            return
        across = e - a
        bays = max(1, round(float(np.hypot(*across)) / 22))
        for k in range(bays):
            low, mid, high = k / bays, (k + 0.5) / bays, (k + 1) / bays
            canvas.polygon(
                np.array([a + low * across, c + low * across, c + mid * across, a + mid * across]),
                shade(b.colour, self._light(-across) * 0.5 + 0.5),
            )
            canvas.polygon(
                np.array([a + mid * across, c + mid * across, c + high * across, a + high * across]),
                shade(b.colour, self._light(across) * 0.5 + 0.5),
            )
            canvas.line(np.array([a + mid * across, c + mid * across]), 0.5, shade(b.colour, 1.12))
        rng = self._own(ring)
        kind = rng.random()
        along = c - a
        count = int(float(np.hypot(*along)) / 9)
        if kind < 0.6 and count > 2:
            for k in range(1, count):
                start = a + along * k / count
                for bay in range(bays):
                    for lo, hi in ((0.12, 0.4), (0.6, 0.88)):
                        part = np.array([start + across * (bay + lo) / bays, start + across * (bay + hi) / bays])
                        canvas.line(part, 1.1, shade(b.colour, 1.16 if kind < 0.35 else 0.86))
        elif kind < 0.75:
            self._panels(canvas, ring, rng)
        canvas.line(np.vstack([ring, ring[:1]]), 0.5, shade(b.colour, 0.84))

    @staticmethod
    def _own(ring: Array) -> np.random.Generator:
        """Random numbers that belong to a building: the same in every window."""
        middle = ring.mean(axis=0)
        return np.random.default_rng([int(abs(middle[0]) * 20), int(abs(middle[1]) * 20), 7])

    def _flat_details(self, canvas: Canvas, ring: Array, b: Building) -> None:
        canvas.line(np.vstack([ring, ring[:1]]), 0.6, shade(b.colour, 1.12))
        if len(ring) != 4 or b.height < 3.5:
            return
        a, c, e = ring[0], ring[1] - ring[0], ring[3] - ring[0]
        area = float(np.hypot(*c) * np.hypot(*e))
        if area < 110:
            return
        rng = self._own(ring)
        if rng.random() < 0.35:
            lo, hi = rng.uniform(0.06, 0.3), rng.uniform(0.55, 0.94)
            patch = np.array([a + lo * c + 0.1 * e, a + hi * c + 0.1 * e, a + hi * c + 0.9 * e, a + lo * c + 0.9 * e])
            canvas.polygon(patch, vary(rng, FLAT_ROOFS[int(rng.integers(len(FLAT_ROOFS)))], 4))
        if rng.random() < 0.14:
            self._panels(canvas, ring, rng)
        drop = self._shadow(2.0)
        for _ in range(min(12, 1 + int(area / 240))):
            s, t = rng.uniform(0.12, 0.88, 2)
            size = rng.uniform(1.5, 4.5, 2)
            angle = math.atan2(c[1], c[0])
            box = rectangle_at((a + s * c + t * e), float(size[0]), float(size[1]), angle)
            canvas.polygon(box + drop, shade(b.colour, 0.6))
            canvas.polygon(box, vary(rng, (190, 190, 188), 14))

    def _panels(self, canvas: Canvas, ring: Array, rng: np.random.Generator) -> None:
        """Rows of solar panels."""
        a, c, e = ring[0], ring[1] - ring[0], ring[3] - ring[0]
        rows = max(1, int(float(np.hypot(*e)) / 4.2))
        start, stop = rng.uniform(0.08, 0.3), rng.uniform(0.6, 0.92)
        for k in range(rows):
            t = (k + 0.5) / rows
            if 0.1 < t < 0.9:
                canvas.line(np.array([a + start * c + t * e, a + stop * c + t * e]), 2.2, (58, 66, 88))

    def _arena(self, canvas: Canvas, arena: Arena) -> None:
        if not canvas.sees(arena.roof, 60):
            return
        mask = Image.new("L", canvas.image.size)
        draw = ImageDraw.Draw(mask)
        for ring in self._swept(arena.roof, self._shadow(20.0)):
            draw.polygon(canvas.pixels(ring), fill=255)
        canvas.darken(mask)
        middle = arena.roof.mean(axis=0)
        canvas.polygon(arena.roof, (186, 188, 190))
        normals = arena.roof - middle
        following = np.roll(arena.roof, -1, axis=0)
        inner, inner_next = arena.stands, np.roll(arena.stands, -1, axis=0)
        for a, b, c, d, n in zip(arena.roof, following, inner_next, inner, normals, strict=True):
            canvas.polygon(np.array([a, b, c, d]), shade((202, 204, 206), 0.55 + 0.45 * self._light(n)))
            canvas.line(np.array([a, d]), 0.4, (168, 170, 172))
        canvas.polygon(arena.stands, shade(arena.seats, 0.62))
        lit = arena.stands + self._shadow(9.0)
        canvas.polygon(middle + 0.93 * (lit - middle), arena.seats)
        for grow in (0.96, 0.9, 0.84, 0.78):
            ring = middle + grow * (arena.stands - middle)
            canvas.line(np.vstack([ring, ring[:1]]), 0.5, shade(arena.seats, 1.16))
        canvas.polygon(arena.field, shade(self.style.grass[0], 0.8))
        self._flat(canvas, arena.pitch)

    def _trees(self, canvas: Canvas, scenes: list[Scene]) -> None:
        groups = [t for scene in scenes for t in scene.trees] + self.country.trees(
            canvas.x0 - 12, canvas.y0 - 12, canvas.x1 + 12, canvas.y1 + 12
        )
        if not groups:
            return
        trees = np.concatenate(groups)
        trees = trees[canvas.within(trees[:, :2], 14)]
        if not len(trees):
            return
        tone = np.abs(np.sin(trees[:, 0] * 12.9898 + trees[:, 1] * 78.233) * 43758.5453) % 1.0
        stand = 0.5 + 0.24 * self.stands(trees[:, :2]) + 0.55 * ((tone * 997) % 1.0 - 0.5)
        kind = (np.clip(stand, 0, 0.999) * len(self.style.trees)).astype(int)
        light = 0.84 + 0.32 * ((tone * 7919) % 1.0)
        order = np.argsort(trees[:, 1] * self.style.sun[1] + trees[:, 0] * self.style.sun[0], kind="stable")
        px = (trees[:, 0] - canvas.x0) / canvas.metres
        py = (canvas.y1 - trees[:, 1]) / canvas.metres
        r = trees[:, 2] / canvas.metres
        mask = Image.new("L", canvas.image.size)
        draw = ImageDraw.Draw(mask)
        shift = self._shadow(1.0) / canvas.metres
        for x, y, radius in zip(px, py, r, strict=True):
            sx, sy = x + 1.5 * radius * shift[0] * canvas.metres, y - 1.5 * radius * shift[1] * canvas.metres
            draw.ellipse((sx - radius, sy - radius, sx + radius, sy + radius), fill=225)
        canvas.darken(mask)
        sun_x, sun_y = self.style.sun[0], -self.style.sun[1]
        for i in order.tolist():
            x, y, radius = px[i], py[i], r[i]
            base = shade(self.style.trees[kind[i]], float(light[i]))
            canvas.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=shade(base, 0.82))
            x, y, radius = x + 0.22 * radius * sun_x, y + 0.22 * radius * sun_y, 0.76 * radius
            canvas.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=base)
            x, y, radius = x + 0.3 * radius * sun_x, y + 0.3 * radius * sun_y, 0.52 * radius
            canvas.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=shade(base, 1.15))

    # The photograph

    def _develop(self, image: NDArray[np.float32], px: int, py: int) -> NDArray[np.uint8]:
        """Texture, light and tone of a camera on the drawn colours."""
        height, width = image.shape[:2]
        green = np.clip((image[..., 1] - 0.5 * (image[..., 0] + image[..., 2])) / 26, 0, 1)
        wet = np.clip((image[..., 2] + image[..., 1] - 2 * image[..., 0]) / 60 - 0.15, 0, 1)
        fine = self._lookup(self.grain, px, py, width, height)
        rough = self._lookup(self.mottle, px, py, width, height)
        broad = self._lookup(self.patches, px, py, width, height)
        tone = 1 + (0.028 * fine + 0.022 * rough * (1 + 1.6 * green) + 0.018 * broad * (1 + 1.2 * green)) * (
            1 - 0.7 * wet
        )
        tone += 0.03 * self._illumination(px, py, width, height)
        style = self.style
        toned: NDArray[np.floating] = image * tone[..., None]
        grey = toned.mean(axis=2, keepdims=True)
        toned = 112 + style.contrast * (grey + style.saturation * (toned - grey) - 112)
        toned = (1 - style.haze) * toned + style.haze * np.array([196, 202, 210], dtype=np.float32)
        toned = toned * np.array(style.gain, dtype=np.float32)
        return np.clip(toned + 0.5, 0, 255).astype(np.uint8)

    def _illumination(self, px: int, py: int, width: int, height: int) -> NDArray[np.float32]:
        step = 32
        x = (np.arange(px // step, (px + width) // step + 2)) * step
        y = (np.arange(py // step, (py + height) // step + 2)) * step
        grid = np.stack(np.meshgrid(x * self.metres, -y * self.metres), axis=-1).reshape(-1, 2)
        coarse = self.light(grid).reshape(len(y), len(x)).astype(np.float32)
        matrix = (1 / step, 0, (px - x[0]) / step + 0.5, 0, 1 / step, (py - y[0]) / step + 0.5)
        fine = Image.fromarray(coarse).transform(
            (width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
        )
        return np.asarray(fine)
