"""Writes a town's aerial imagery: map tiles of zooms 12 to 17, and one chip for every station, from the same pixels."""

import math
from collections import OrderedDict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lecdiff_core.city.layout import CHIPS_FOLDER, TILES_FOLDER
from lecdiff_core.demo.painting import FINE_ZOOM, Painter, metres_per_pixel
from lecdiff_core.demo.plan import Array, Plan
from lecdiff_core.progress import Report, silent

TILE = 256
BLOCK_ZOOM = 15  # the town is painted in squares of one tile of this zoom
BLOCK = TILE * 2 ** (FINE_ZOOM - BLOCK_ZOOM)
COARSE_ZOOM = 14  # the country around the town is painted at this zoom
FIRST_ZOOM = 12
MOST_BLOCKS = 72
CHIP_METRES, CHIP_SIZE = 640.0, 256
TILE_QUALITY, CHIP_QUALITY = 70, 88
MARGIN_M = 330.0  # imagery beyond the outermost station: half a chip and a little more

Pixels = NDArray[np.uint8]


class Aerial:
    """The painted town, block by block; blocks asked for lately are kept."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.painter = Painter(plan)
        self.blocks: OrderedDict[tuple[int, int], Pixels] = OrderedDict()
        side = metres_per_pixel(BLOCK_ZOOM) * TILE
        self.reach = math.ceil((plan.half + MARGIN_M) / side)  # blocks from the middle to the edge

    def block(self, column: int, row: int) -> Pixels:
        """Block `(BLOCK, BLOCK, 3)`, counted east and south from (0°, 0°)."""
        key = (column, row)
        if key not in self.blocks:
            self.blocks[key] = self.painter.paint(column * BLOCK, row * BLOCK, BLOCK, BLOCK)
            if len(self.blocks) > MOST_BLOCKS:
                self.blocks.popitem(last=False)
        self.blocks.move_to_end(key)
        return self.blocks[key]

    def window(self, px: int, py: int, width: int, height: int) -> Pixels:
        """Any window of zoom-17 pixels, `(height, width, 3)`."""
        image = np.empty((height, width, 3), dtype=np.uint8)
        for row in range(py // BLOCK, (py + height - 1) // BLOCK + 1):
            for column in range(px // BLOCK, (px + width - 1) // BLOCK + 1):
                x0, y0 = max(px, column * BLOCK), max(py, row * BLOCK)
                x1, y1 = min(px + width, (column + 1) * BLOCK), min(py + height, (row + 1) * BLOCK)
                inside = self.block(column, row)[
                    y0 - row * BLOCK : y1 - row * BLOCK, x0 - column * BLOCK : x1 - column * BLOCK
                ]
                image[y0 - py : y1 - py, x0 - px : x1 - px] = inside
        return image

    def chip(self, x: float, y: float) -> Image.Image:
        """The chip centred on a ground point: 256 px over 640 m."""
        metres = self.painter.metres
        left, top, size = (x - CHIP_METRES / 2) / metres, (-y - CHIP_METRES / 2) / metres, CHIP_METRES / metres
        px, py = math.floor(left) - 2, math.floor(top) - 2
        reach = math.ceil(size) + 5
        image = Image.fromarray(self.window(px, py, reach, reach))
        box = (left - px, top - py, left - px + size, top - py + size)
        return image.resize((CHIP_SIZE, CHIP_SIZE), Image.Resampling.BOX, box=box)


def write_chips(path: Path, aerial: Aerial, ids: tuple[str, ...], sites: Array, report: Report = silent) -> None:
    """Write `imagery/chips/ID.jpg` for every station, north-west to south-east."""
    side = BLOCK * aerial.painter.metres
    order = np.lexsort((sites[:, 0], -np.floor(sites[:, 1] / side)))
    for done, i in enumerate(order.tolist(), start=1):
        _save(path / CHIPS_FOLDER / f"{ids[i]}.jpg", aerial.chip(*sites[i]), CHIP_QUALITY)
        report(done, len(ids), "chips")


def write_tiles(path: Path, aerial: Aerial, report: Report = silent) -> None:
    """Write `imagery/tiles/Z/X/Y.jpg`: the town at zooms 12 to 17, the country around it at zooms 12 to 14."""
    folder = path / TILES_FOLDER
    reach = aerial.reach
    overview = _country(aerial, report)
    middle = overview.size[0] // 2
    half = TILE // 2 ** (BLOCK_ZOOM - COARSE_ZOOM)
    total = (2 * reach) ** 2
    for done, (row, column) in enumerate(((r, c) for r in range(-reach, reach) for c in range(-reach, reach)), start=1):
        image = Image.fromarray(aerial.block(column, row))
        for zoom in range(FINE_ZOOM, BLOCK_ZOOM - 1, -1):
            _cut(folder, image, zoom, column * (image.size[0] // TILE), row * (image.size[1] // TILE))
            image = image.reduce(2)
        overview.paste(image.resize((half, half), Image.Resampling.BOX), (middle + column * half, middle + row * half))
        report(done, total, "tiles")
    for zoom in range(COARSE_ZOOM, FIRST_ZOOM - 1, -1):
        first = -(overview.size[0] // TILE) // 2
        _cut(folder, overview, zoom, first, first)
        overview = overview.reduce(2)


def _country(aerial: Aerial, report: Report) -> Image.Image:
    """The surroundings, out to whole tiles of the first zoom, painted coarsely; the town in the middle is left black."""
    painter = Painter(aerial.plan, COARSE_ZOOM)
    side = metres_per_pixel(FIRST_ZOOM) * TILE
    half = math.ceil((aerial.plan.half + MARGIN_M) / side) * TILE * 2 ** (COARSE_ZOOM - FIRST_ZOOM)
    image = Image.new("RGB", (2 * half, 2 * half))
    step = TILE // 2 ** (BLOCK_ZOOM - COARSE_ZOOM)
    blocks = [
        (column, row) for row in range(-half // step, half // step) for column in range(-half // step, half // step)
    ]
    around = [b for b in blocks if not all(-aerial.reach <= at < aerial.reach for at in b)]
    for done, (column, row) in enumerate(around, start=1):
        painted = Image.fromarray(painter.paint(column * step, row * step, step, step))
        image.paste(painted, (half + column * step, half + row * step))
        report(done, len(around), "surroundings")
    return image


def _cut(folder: Path, image: Image.Image, zoom: int, column: int, row: int) -> None:
    """Write an image as tiles; `column` and `row` of its first tile count from (0°, 0°)."""
    origin = 2 ** (zoom - 1)
    for j in range(image.size[1] // TILE):
        for i in range(image.size[0] // TILE):
            tile = image.crop((i * TILE, j * TILE, (i + 1) * TILE, (j + 1) * TILE))
            _save(folder / str(zoom) / str(origin + column + i) / f"{origin + row + j}.jpg", tile, TILE_QUALITY)


def _save(path: Path, image: Image.Image, quality: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, format="JPEG", quality=quality, optimize=True)
