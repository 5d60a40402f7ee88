"""Square chips of the ground from Web Mercator tiles: which tiles, fetched once each, stitched and cut.

Placeholders ("map data not yet available") and broken images are distinguished from imagery and never become part of a chip.
"""

import hashlib
import math
import threading
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from mercantile import Tile
from PIL import Image

from lecdiff_core.addresses import tile_url
from lecdiff_core.images import ImageError, TruncatedImageError, read_image
from lecdiff_core.progress import Report, silent
from lecdiff_core.storage import replacing
from lecdiff_core.web import PassingError, Web, WebError

TILE_SIZE = 256
LATITUDE_LIMIT = 85.0511287798
EQUATOR = 2 * math.pi * 6378137.0  # metres, as Web Mercator has it
FAILURES_IN_A_ROW = 20
REPEATS = 3
NO_IMAGERY = "no imagery here (placeholder tile)"
# MD5 of Esri's "Map data not yet available" tile, as editors of OpenStreetMap list it for World Imagery.
ESRI_PLACEHOLDER = "f27d9de7f80c13501f470595e327aa6d"


@dataclass(frozen=True)
class Window:
    """A chip's place in the tiles of one zoom, in tile units from the north-west corner of the world."""

    zoom: int
    west: float
    north: float
    east: float
    south: float

    @property
    def tiles(self) -> dict[tuple[int, int], Tile]:
        """The tiles it touches by their (column, row) before wrapping at the antimeridian."""
        columns = range(math.floor(self.west), math.ceil(self.east))
        rows = range(math.floor(self.north), math.ceil(self.south))
        return {(column, row): Tile(column % 2**self.zoom, row, self.zoom) for row in rows for column in columns}


def choose_zoom(latitude: float, metres_per_pixel: float, largest: int) -> int:
    """Choose the coarsest zoom whose pixels are no larger than wanted at this latitude, up to `largest`."""
    at_zoom_0 = EQUATOR / TILE_SIZE * math.cos(math.radians(latitude))
    return min(largest, max(0, math.ceil(math.log2(at_zoom_0 / metres_per_pixel) - 1e-9)))


def window(longitude: float, latitude: float, metres: float, zoom: int) -> Window:
    """Place a square of `metres` a side centred on a point, north up.

    Edges are measured on the WGS 84 ellipsoid. Raises ValueError where the square leaves Web Mercator's ±85.05°.
    """
    from pyproj import Geod

    geod = Geod(ellps="WGS84")
    half = metres / 2
    east, _, _ = geod.fwd(longitude, latitude, 90, half)
    half_width = (east - longitude) % 360
    _, north, _ = geod.fwd(longitude, latitude, 0, half)
    _, south, _ = geod.fwd(longitude, latitude, 180, half)
    if max(abs(north), abs(south), abs(latitude)) > LATITUDE_LIMIT or half_width > 90:
        raise ValueError(f"latitude {latitude:g}° is beyond Web Mercator tiles, which end at ±85.05°")
    tiles = 2**zoom
    x = (longitude + 180) / 360 * tiles
    dx = half_width / 360 * tiles
    return Window(zoom, x - dx, _mercator_row(north, tiles), x + dx, _mercator_row(south, tiles))


def _mercator_row(latitude: float, tiles: int) -> float:
    return (1 - math.asinh(math.tan(math.radians(latitude))) / math.pi) / 2 * tiles


def read_tile(content: bytes) -> Image.Image:
    """Decode a tile as RGB. Raises ImageError where it is no whole, opaque image of 256×256 pixels."""
    image = read_image(content)
    if image.size != (TILE_SIZE, TILE_SIZE):
        raise ImageError(f"the tile is {image.width}×{image.height} pixels, not {TILE_SIZE}×{TILE_SIZE}")
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema()[0] == 0:
        raise ImageError("no imagery here (transparent tile)")
    return image.convert("RGB")


def is_placeholder(content: bytes, image: Image.Image) -> bool:
    """Tell a placeholder from imagery: one flat colour, or light grey almost all over with faint writing on it."""
    if hashlib.md5(content, usedforsecurity=False).hexdigest() == ESRI_PLACEHOLDER:
        return True
    pixels = np.asarray(image, dtype=np.int16)
    if pixels.std(axis=(0, 1)).max() < 1.0:
        return True
    brightness = pixels.mean(axis=2)
    background = np.bincount(brightness.astype(np.int64).ravel(), minlength=256).argmax()
    colourless = np.ptp(pixels, axis=2).max() <= 12
    return bool(colourless and background >= 128 and (np.abs(brightness - background) <= 4).mean() > 0.85)


class TileCache:
    """Tiles on the disk, `FOLDER/Z/X/Y.tile`: what was fetched once is not fetched again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, tile: Tile) -> Path:
        """Where the tile is or will be."""
        return self._folder / str(tile.z) / str(tile.x) / f"{tile.y}.tile"

    def read(self, tile: Tile) -> bytes | None:
        """Return a tile's bytes, or None where there is no file or it holds no whole tile."""
        try:
            content = self.path(tile).read_bytes()
            read_tile(content)
        except (OSError, ImageError):
            return None
        return content

    def write(self, tile: Tile, content: bytes) -> None:
        """Keep a tile."""
        with replacing(self.path(tile)) as unfinished:
            unfinished.write_bytes(content)


@dataclass
class Fetched:
    """What was observed of a set of tiles: every one of them is in `digests` (and in the cache) or in `failed`."""

    digests: dict[Tile, str] = field(default_factory=dict)  # SHA-256
    placeholders: set[Tile] = field(default_factory=set)
    failed: dict[Tile, str] = field(default_factory=dict)  # the reason
    requested: int = 0  # tiles that were not in the cache

    def reason(self, tile: Tile) -> str | None:
        """Why a tile cannot be used, or None."""
        return NO_IMAGERY if tile in self.placeholders else self.failed.get(tile)


def fetch_tiles(
    tiles: Iterable[Tile], template: str, cache: TileCache, web: Web, concurrency: int = 4, report: Report = silent
) -> Fetched:
    """Bring every tile into the cache, each asked for once at most, and tell placeholders and failures.

    A tile is a placeholder by its pixels, or because the server sent the same bytes for three different places. When 20 tiles
    in a row have failed for reasons that lie with the connection, the server is taken to be gone and the rest is not
    tried. `report` may raise to stop; what was fetched stays in the cache.
    """
    fetched = Fetched()
    wanted = list(dict.fromkeys(tiles))
    lock = threading.Lock()

    def bring(tile: Tile) -> None:
        content = cache.read(tile)
        if content is None:
            with lock:
                fetched.requested += 1
            content = web.get(tile_url(template, tile.z, tile.x, tile.y), _whole_tile)
            cache.write(tile, content)
        blank = is_placeholder(content, read_tile(content))
        with lock:
            fetched.digests[tile] = hashlib.sha256(content).hexdigest()
            if blank:
                fetched.placeholders.add(tile)

    executor = ThreadPoolExecutor(concurrency)
    try:
        pending = {executor.submit(bring, tile): tile for tile in wanted}
        in_a_row = 0
        for done, future in enumerate(as_completed(pending), start=1):
            try:
                future.result()
                in_a_row = 0
            except WebError as error:
                fetched.failed[pending[future]] = str(error)
                in_a_row = in_a_row + 1 if isinstance(error, PassingError) else 0
            if in_a_row == FAILURES_IN_A_ROW:
                break
            report(done, len(wanted), f"tile {done} of {len(wanted)}")
    finally:
        web.stop()
        executor.shutdown(wait=True, cancel_futures=True)
    for tile in wanted:
        if tile not in fetched.digests:
            fetched.failed.setdefault(tile, "not tried: the server had stopped answering")
    repeated = {digest for digest, times in Counter(fetched.digests.values()).items() if times >= REPEATS}
    fetched.placeholders.update(tile for tile, digest in fetched.digests.items() if digest in repeated)
    return fetched


def cut(place: Window, cache: TileCache, size: int) -> Image.Image:
    """Stitch the tiles under a window and resample it to `size` × `size` pixels. Raises ImageError."""
    tiles = place.tiles
    first_column, first_row = min(column for column, _ in tiles), min(row for _, row in tiles)
    columns, rows = len({column for column, _ in tiles}), len({row for _, row in tiles})
    canvas = Image.new("RGB", (columns * TILE_SIZE, rows * TILE_SIZE))
    for (column, row), tile in tiles.items():
        content = cache.read(tile)
        if content is None:
            raise ImageError("a tile vanished from the cache")
        canvas.paste(read_tile(content), ((column - first_column) * TILE_SIZE, (row - first_row) * TILE_SIZE))
    box = (
        (place.west - first_column) * TILE_SIZE,
        (place.north - first_row) * TILE_SIZE,
        (place.east - first_column) * TILE_SIZE,
        (place.south - first_row) * TILE_SIZE,
    )
    return canvas.resize((size, size), Image.Resampling.LANCZOS, box=box)


def _whole_tile(content: bytes) -> bytes:
    try:
        read_tile(content)
    except TruncatedImageError as error:
        raise PassingError(str(error)) from None
    except ImageError as error:
        raise WebError(str(error)) from None
    return content
