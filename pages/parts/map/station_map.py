"""The satellite map of stations: pydeck over the city's tiles, arcs and rings on them, and whose imagery it is.

Where nothing is known of places it is a plain grid of stations, which is drawn and clicked alike.

The stations come by URL, so that a click sends the browser no more than the map's frame; a ring marks the chosen one.
"""

import math
from collections.abc import Sequence
from urllib.parse import quote, urlencode

import numpy as np
import pandas as pd
import pydeck
import streamlit as st
from scipy.spatial import cKDTree
from shapely import MultiPoint

from lecdiff_core.city.folder import City
from pages.parts.data import places
from pages.parts.data.cities import Place
from pages.parts.look import colours
from pages.parts.map import basemap, views
from pages.parts.map.views import View
from pages.parts.state import session, window

STATIONS = "stations"
FITTED = (360, 400, 1100)  # pixels of the window beside a map that style.css fits to it, least and most of such a map
SMALLEST_VIEW = (540, 400)  # pixels that show the whole city, where the size of the window is not known
WHOLE_MARGIN = 0.9  # share of the pixels that the whole city fills
NARROW_VIEW, MARGIN = (500, 380), 0.7  # pixels that show all of some stations, and the share of them that these fill
CLOSE_ZOOM, NEAR_ZOOM = 13.0, 16.0
TOOLTIP = {
    "backgroundColor": "#17242d",
    "color": "#ffffff",
    "padding": "6px 10px",
    "borderRadius": "6px",
    "fontSize": "13px",
    "lineHeight": "1.35",
}
BEND, BOW_PARTS = 0.4, 10  # of the middle of an arc to the side, as a share of its length; straight pieces
LEAST_MARGIN_DEGREES = 2e-4  # of latitude, about 20 m
WORLD = 512  # pixels around the Earth at zoom 0


def draw(
    place: Place,
    city: City,
    key: str = "map",
    below: Sequence[pydeck.Layer] = (),
    whole: bool = False,
    height: int | None = None,
    share: float = 1.0,
    view: View = views.LOAD,
    step: int = session.ALL_AHEAD,
    at: pd.Timestamp | None = None,
    around: Sequence[str] = (),
) -> None:
    """Draw the map; a click on a station picks it. `below`: layers under the stations.

    whole, around: look at the whole city, or at these stations, and not at what was chosen last.

    height: in pixels, None = as much as the window leaves.  share: of the page's width that the map has.
    view, step, at: what the stations are coloured by, and the time if not that of forecast. A forecast must be there.
    """
    key = f"{key}-{place.key}-{session.map_turn()}"

    def clicked() -> None:
        picked = st.session_state[key]["selection"]["objects"].get(STATIONS, [])
        if picked:
            session.pick(str(picked[0].get("station_id")), city)

    kind = "Satellite map" if city.has_places else "Grid"
    st.pydeck_chart(
        deck(place, city, below, None if whole else session.focus(), view, step, at, around, room(share, height)),
        height=height or FITTED[1],
        on_select=clicked,
        selection_mode="single-object",
        key=key,
        alt=f"{kind} of {len(city.station_ids)} stations in {city.meta.name}, coloured by {view.label.lower()}",
    )


def deck(
    place: Place,
    city: City,
    below: Sequence[pydeck.Layer],
    focus: tuple[float, float] | None,
    view: View = views.LOAD,
    step: int = session.ALL_AHEAD,
    at: pd.Timestamp | None = None,
    around: Sequence[str] = (),
    pixels: tuple[float, float] = SMALLEST_VIEW,
) -> pydeck.Deck:
    """The map's description for the browser."""
    asked = {"at": (at or session.origin()).isoformat(), "v": view.version(city)}
    if view is not views.LOAD:
        asked |= {"by": view.key}
    if view.is_forecast:
        asked |= {"step": str(step)}
    points = pydeck.Layer(
        "ScatterplotLayer",
        id=STATIONS,
        data=f"city/{quote(place.key)}/stations.json?{urlencode(asked)}",
        get_position="position",
        get_fill_color="colour",
        get_radius="size",
        radius_units="'pixels'",
        stroked=True,
        get_line_color="[255, 255, 255, 220]",  # an expression, which a click does not dim
        line_width_units="'pixels'",
        get_line_width=1.2,
        pickable=True,
        auto_highlight=True,
        highlight_color=[255, 255, 255, 120],
    )
    return pydeck.Deck(
        layers=[*below, points, *_rings(city)],
        initial_view_state=pydeck.ViewState(**(view_around(city, around) if around else view_of(city, focus, pixels))),
        map_provider="maplibre",
        map_style=basemap.style(city, place.key, basemap.bundle(city)),
        tooltip={"text": "{label}\n{value}", "style": TOOLTIP},
    )


def _rings(city: City) -> list[pydeck.Layer]:
    """A ring on a dark one around the chosen station, or around each of those compared, in its colour of the chart."""
    if session.comparing():
        marked = [(one, colours.rgb(colours.kind(number))) for number, one in enumerate(session.compared())]
    else:
        marked = [(one, [255, 255, 255]) for one in (session.station(),) if one]
    rings, stand = [], places.drawn(city).tolist()
    for number, (station_id, colour) in enumerate(marked):
        point = {"type": "Point", "coordinates": stand[city.station_ids.index(station_id)]}
        for width, shade in ((7, [10, 20, 28]), (3.5, colour)):
            rings.append(
                shapes(
                    f"ring-{number}-{width}",
                    [point],
                    filled=False,
                    get_point_radius=16,
                    point_radius_units="'pixels'",
                    get_line_color=[*shade, 255],
                    get_line_width=width,
                )
            )
    return rings


def shapes(key: str, geometries: list[dict], **looks: object) -> pydeck.Layer:
    """Shapes with lines of a width in pixels. As GeoJSON, since Streamlit dims the lines of other layers at a click."""
    features = [{"type": "Feature", "geometry": geometry, "properties": {}} for geometry in geometries]
    data = {"type": "FeatureCollection", "features": features}
    return pydeck.Layer("GeoJsonLayer", id=key, data=data, stroked=True, line_width_units="'pixels'", **looks)


def arcs(city: City, station_id: str, others: Sequence[str]) -> list[pydeck.Layer]:
    """A bow from a station to each of `others`, bright on dark, to lie under the stations; none where no place is known."""
    if not city.has_places:
        return []
    rows = pd.Index(city.station_ids).get_indexer([station_id, *others])
    here, *there = places.drawn(city)[rows].tolist()
    bows = [_bow(here, place) for place in there]
    dark, bright = [10, 20, 28, 170], [*colours.rgb(colours.ALIKE), 255]
    return [
        shapes("arcs-dark", bows, get_line_color=dark, get_line_width=5),
        shapes("arcs", bows, get_line_color=bright, get_line_width=2.5),
    ]


def outline(city: City, stations: Sequence[str]) -> pydeck.Layer:
    """A line around some stations, half a usual distance of neighbours away from the outermost."""
    points = places.drawn(city)
    rows = pd.Index(city.station_ids).get_indexer(list(stations))
    wide = math.cos(math.radians(float(points[rows, 1].mean())))  # of a degree of longitude, in degrees of latitude
    flat = points * [wide, 1]
    apart = cKDTree(flat).query(flat[rows], k=2)[0][:, 1]
    hull = MultiPoint(flat[rows]).convex_hull.buffer(max(float(np.median(apart)) / 2, LEAST_MARGIN_DEGREES))
    ring = [[round(x / wide, 6), round(y, 6)] for x, y in hull.exterior.coords]
    return shapes(
        "area",
        [{"type": "Polygon", "coordinates": [ring]}],
        filled=True,
        get_fill_color=[*colours.rgb(colours.ALIKE), 40],
        get_line_color=[*colours.rgb(colours.ALIKE), 255],
        get_line_width=2.5,
    )


def _bow(start: Sequence[float], end: Sequence[float]) -> dict:
    """A quadratic curve between two places, bent to the left by a fifth of its length."""
    (x0, y0), (x1, y1) = start, end
    x2, y2 = (x0 + x1) / 2 - (y1 - y0) * BEND, (y0 + y1) / 2 + (x1 - x0) * BEND
    points = []
    for part in (number / BOW_PARTS for number in range(BOW_PARTS + 1)):
        a, b, c = (1 - part) ** 2, 2 * part * (1 - part), part**2
        points.append([round(a * x0 + b * x2 + c * x1, 5), round(a * y0 + b * y2 + c * y1, 5)])
    return {"type": "LineString", "coordinates": points}


def room(share: float, height: int | None) -> tuple[float, float]:
    """Pixels that show the whole city: those of the map in the visitor's window, and a few while that is not known."""
    known = window.size()
    if known is None:
        return SMALLEST_VIEW
    beside, least, most = FITTED
    return window.column(known[0], share), height or min(max(known[1] - beside, least), most)


def view_of(
    city: City, focus: tuple[float, float] | None, pixels: tuple[float, float] = SMALLEST_VIEW
) -> dict[str, float]:
    """Where the map looks: at the whole city, or closely at `focus` (longitude, latitude)."""
    whole = view_over(places.bounds(city), pixels)
    if not focus:
        return whole
    zoom = min(max(whole["zoom"] + 0.8, CLOSE_ZOOM), NEAR_ZOOM)
    return whole | {"longitude": focus[0], "latitude": focus[1], "zoom": zoom}


def view_over(bounds: Sequence[float], pixels: tuple[float, float] = SMALLEST_VIEW) -> dict[str, float]:
    """Where the map looks to show all between west, south, east and north on so many pixels."""
    west, south, east, north = bounds
    wide = max((east - west) / 360, 1e-6)
    high = max(mercator(north) - mercator(south), 1e-6)
    whole = min(math.log2(WHOLE_MARGIN * size / WORLD / part) for size, part in zip(pixels, (wide, high), strict=True))
    middle = _latitude((mercator(north) + mercator(south)) / 2)
    zoom = min(max(whole, 1.0), NEAR_ZOOM)
    return {"longitude": (west + east) / 2, "latitude": middle, "zoom": zoom, "pitch": 0, "bearing": 0}


def view_around(city: City, stations: Sequence[str]) -> dict[str, float]:
    """Where the map looks to show all of some stations, with a margin, but no closer than streets."""
    west, south, east, north = places.bounds(city, stations if city.has_places else None)
    wide = max((east - west) / 360, 1e-6)
    high = max(mercator(north) - mercator(south), 1e-6)
    fitting = [math.log2(MARGIN * size / WORLD / part) for size, part in zip(NARROW_VIEW, (wide, high), strict=True)]
    whole = view_of(city, None)
    zoom = max(min(*fitting, NEAR_ZOOM - 1), whole["zoom"])
    return whole | {"longitude": (west + east) / 2, "latitude": (south + north) / 2, "zoom": zoom}


def mercator(latitude: float) -> float:
    """Height on the Web Mercator map, in circumferences of the Earth above the equator."""
    return math.asinh(math.tan(math.radians(latitude))) / (2 * math.pi)


def _latitude(height: float) -> float:
    return math.degrees(math.atan(math.sinh(2 * math.pi * height)))


def caption(city: City) -> None:
    """Whose imagery it is, and a word where the satellite tiles cannot be reached."""
    st.html(basemap.attribution(city))
    basemap.watch(city)
