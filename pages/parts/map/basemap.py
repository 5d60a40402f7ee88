"""The satellite tiles under the map: where they come from, the map style, whose they are, whether they come at all."""

import base64
import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

import mercantile
import numpy as np
import streamlit as st
import xyzservices.providers
from markupsafe import Markup
from PIL import Image

from lecdiff_core.addresses import AllowedHosts, refused, tile_url
from lecdiff_core.city.folder import City, CityMeta, read_meta
from lecdiff_core.city.layout import TILES_FOLDER
from lecdiff_core.environment.imagery.terms import ESRI_SOURCES, POWERED_BY_ESRI
from lecdiff_core.errors import UserError
from pages.parts.data import places
from pages.parts.data.cities import Place
from pages.parts.look.markup import blocks, maps

TILE_VARIABLE = "LECDIFF_TILE_URL"  # another address for ArcGIS World Imagery; empty = no remote tiles
BACKGROUND = "#1b2a33"
DEEPEST = 19
MEAN_TILES, SHADE = 16, 0.6  # tiles whose mean colour the ground around them has, and how dark it is beside theirs
ESRI_CREDIT = f"{POWERED_BY_ESRI} · Source: {ESRI_SOURCES}"

PROBED_ZOOM = 12
# Asked for in the browser, since that is where the tiles are fetched.
WATCH = """
export default function ({ data, parentElement }) {
  const notice = parentElement.querySelector("p")
  fetch(data.tile, { signal: AbortSignal.timeout(8000) })
    .then((answer) => { notice.hidden = answer.ok })
    .catch(() => { notice.hidden = false })
}
"""
_watch = st.components.v2.component(
    "tile_watch",
    html='<p role="status" hidden>Satellite tiles cannot be reached, showing a plain background.</p>',
    css="p { margin: 0; font-size: 0.87rem; padding: 0.45rem 0.8rem; border-radius: 8px; border: 1px solid #d58a00; }",
    js=WATCH,
)


@dataclass(frozen=True)
class Bundle:
    """Tiles in a city folder: zoom levels, the box (west, south, east, north) they cover, the colour of the ground around."""

    lowest: int
    highest: int
    bounds: tuple[float, float, float, float]
    ground: str


def remote(city: City) -> str | None:
    """Address template of the remote tiles, None where imagery is local, its host not allowed, places are made up, or off."""
    return _remote(city.meta)


def template_of(folder: Path) -> str | None:
    """The same of a city folder that was not opened; None, too, where it cannot be read."""
    try:
        return _remote(read_meta(folder))
    except UserError:
        return None


def _remote(meta: CityMeta) -> str | None:
    if meta.imagery == "local" or meta.coordinates == "none":
        return None
    if meta.imagery != "arcgis":
        return meta.imagery if AllowedHosts.here().in_browser(meta.imagery) else None
    return arcgis() if meta.coordinates == "true" else None  # not at places that are not real


def arcgis() -> str | None:
    """Address template of ArcGIS World Imagery, or of what stands in for it; None where that is switched off."""
    return os.environ.get(TILE_VARIABLE, xyzservices.providers.Esri.WorldImagery.build_url()) or None


def bundle(city: City) -> Bundle | None:
    """The tiles that the folder carries, None where it has none or no station has a place on them."""
    if not city.has_places:
        return None
    folder = city.path / TILES_FOLDER
    levels = sorted(int(level.name) for level in folder.glob("*") if level.name.isdigit() and any(level.iterdir()))
    if not levels:
        return None
    columns = _numbers(folder / str(levels[-1]))
    rows = _numbers(folder / str(levels[-1]) / str(columns[0]))
    first = mercantile.bounds(columns[0], rows[0], levels[-1])
    last = mercantile.bounds(columns[-1], rows[-1], levels[-1])
    bounds = (first.west, last.south, last.east, first.north)
    return Bundle(levels[0], levels[-1], bounds, _ground_around(folder / str(levels[0])))


@lru_cache(maxsize=16)
def _ground_around(level: Path) -> str:
    """The colour of the tiles of a zoom level in shadow, so that the land seems to go on where they end."""
    tiles = sorted(file for file in level.rglob("*") if file.is_file())[:MEAN_TILES]
    try:
        means = [np.asarray(Image.open(tile).convert("RGB")).mean((0, 1)) for tile in tiles]
        return "#{:02x}{:02x}{:02x}".format(*(SHADE * np.mean(means, axis=0)).astype(int))
    except OSError:  # a tile that is no picture
        return BACKGROUND


def _numbers(folder: Path) -> list[int]:
    return sorted(int(entry.stem) for entry in folder.iterdir() if entry.stem.isdigit())


def style(city: City, key: str, tiles: Bundle | None) -> str:
    """The map style as a `data:` URL: background, above it the folder's own tiles, above them the remote ones.

    What loads hides what lies below it, so that no tile source has to be asked for beforehand.
    """
    sources: dict[str, dict] = {}
    if tiles:
        sources["local"] = {
            "type": "raster",
            "tiles": [f"city/{quote(key)}/tiles/{{z}}/{{x}}/{{y}}"],
            "tileSize": 256,
            "minzoom": tiles.lowest,
            "maxzoom": tiles.highest,
            "bounds": tiles.bounds,
        }
    template = remote(city)
    if template:
        sources["remote"] = {"type": "raster", "tiles": [template], "tileSize": 256, "maxzoom": DEEPEST}
    return _style(sources, tiles.ground if tiles and not template else BACKGROUND)


def style_over(template: str | None) -> str:
    """The style of a map that is no city's yet: remote tiles, where there are such, above the background."""
    tiles = {"type": "raster", "tiles": [template], "tileSize": 256, "maxzoom": DEEPEST}
    return _style({"remote": tiles} if template else {}, BACKGROUND)


def _style(sources: dict[str, dict], ground: str) -> str:
    layers: list[dict] = [{"id": "background", "type": "background", "paint": {"background-color": ground}}]
    layers += [{"id": name, "type": "raster", "source": name} for name in sources]
    document = json.dumps({"version": 8, "sources": sources, "layers": layers})
    return f"data:application/json;base64,{base64.b64encode(document.encode()).decode()}"


def chip_address(place: Place, station_id: str) -> str:
    """Where the browser gets the chip of a station."""
    return f"city/{quote(place.key)}/chips/{quote(station_id, safe='')}"


def attribution(city: City) -> Markup:
    """Whose imagery is shown, as HTML, with the link that Esri asks for, and what must be said of places that are not real."""
    return _attribution(" ".join(part for part in (places.sentence(city), credit(city)) if part), _shows_esri(city))


def esri_attribution() -> Markup:
    """The same where tiles of ArcGIS World Imagery are shown and there is no city yet."""
    return _attribution(ESRI_CREDIT, True)


def _attribution(words: str, esri: bool) -> Markup:
    before, name, after = words.partition("Esri") if esri else (words, "", "")
    return maps.attribution(before, name, after)


def credit(city: City) -> str:
    """Whose imagery is shown, in words: as the service itself said when chips were fetched, else as it is known to say."""
    own = city.meta.attribution
    if _shows_esri(city) and POWERED_BY_ESRI not in own:
        own = ESRI_CREDIT + (f" · {own}" if own else "")
    return own


def _shows_esri(city: City) -> bool:
    return city.meta.imagery == "arcgis" and remote(city) is not None


def watch(city: City) -> None:
    """Say so, in the browser, when the remote tiles of this city cannot be reached from there."""
    template = remote(city)
    if template is None and city.has_places and city.meta.imagery not in ("arcgis", "local"):
        st.html(blocks.paragraph(f"No satellite tiles: {refused(city.meta.imagery)}.", "sub"))
    if template:
        west, south, east, north = places.bounds(city)
        tile = mercantile.tile((west + east) / 2, (south + north) / 2, PROBED_ZOOM)
        _watch(data={"tile": tile_url(template, tile.z, tile.x, tile.y)}, key="tile-watch")
