"""The satellite map of stations: pydeck over the city's tiles, its legend, and whose imagery it is.

The stations come by URL, so that a click sends the browser no more than the map's frame; a ring marks the chosen one.
"""

import math
from collections.abc import Sequence
from urllib.parse import quote, urlencode

import pandas as pd
import pydeck
import streamlit as st

from lecdiff_core.city.folder import City
from pages.parts import colours, formats, imagery, loads, session
from pages.parts.cities import Place

STATIONS = "stations"
HEIGHT = 540  # where style.css does not fit it to the window
SMALLEST_VIEW = (540, 470)  # pixels that show the whole city
CLOSE_ZOOM, NEAR_ZOOM = 13.0, 16.0
TOOLTIP = {
    "backgroundColor": "#17242d",
    "color": "#ffffff",
    "padding": "6px 10px",
    "borderRadius": "6px",
    "fontSize": "13px",
    "lineHeight": "1.35",
}
WORLD = 512  # pixels around the Earth at zoom 0


def draw(
    place: Place,
    city: City,
    key: str = "map",
    below: Sequence[pydeck.Layer] = (),
    whole: bool = False,
    height: int = HEIGHT,
) -> None:
    """Draw the map; a click on a station chooses it. `below`: layers under the stations. `whole`: always the whole city."""
    key = f"{key}-{place.key}-{session.map_turn()}"

    def clicked() -> None:
        picked = st.session_state[key]["selection"]["objects"].get(STATIONS, [])
        if picked:
            session.select(str(picked[0].get("station_id")), city, from_map=True)

    st.pydeck_chart(
        deck(place, city, below, None if whole else session.focus()),
        height=height,
        on_select=clicked,
        selection_mode="single-object",
        key=key,
        alt=f"Satellite map of {len(city.station_ids)} stations in {city.meta.name}, coloured by load",
    )


def deck(place: Place, city: City, below: Sequence[pydeck.Layer], focus: tuple[float, float] | None) -> pydeck.Deck:
    """The map's description for the browser."""
    version = city.data_hash[:12]
    address = urlencode({"at": session.origin().isoformat(), "v": version})
    points = pydeck.Layer(
        "ScatterplotLayer",
        id=STATIONS,
        data=f"city/{quote(place.key)}/stations.json?{address}",
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
        initial_view_state=pydeck.ViewState(**view(city, focus)),
        map_provider="maplibre",
        map_style=imagery.style(city, place.key, imagery.bundle(city)),
        tooltip={"text": "{label}\n{load}", "style": TOOLTIP},
    )


def _rings(city: City) -> list[pydeck.Layer]:
    """A white ring on a dark one around the chosen station. As GeoJSON: Streamlit dims the lines of other layers."""
    chosen = session.station()
    if chosen is None:
        return []
    place = city.stations.geometry.iloc[city.station_ids.index(chosen)]
    ring = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [place.x, place.y]}, "properties": {}}
    return [
        pydeck.Layer(
            "GeoJsonLayer",
            id=f"ring-{width}",
            data={"type": "FeatureCollection", "features": [ring]},
            filled=False,
            stroked=True,
            get_point_radius=16,
            point_radius_units="'pixels'",
            get_line_color=colour,
            get_line_width=width,
            line_width_units="'pixels'",
        )
        for width, colour in ((6, [10, 20, 28, 255]), (3, [255, 255, 255, 255]))
    ]


def view(city: City, focus: tuple[float, float] | None) -> dict[str, float]:
    """Where the map looks: at the whole city, or closely at `focus` (longitude, latitude)."""
    west, south, east, north = city.stations.total_bounds
    wide = max((east - west) / 360, 1e-6)
    high = max(mercator(north) - mercator(south), 1e-6)
    whole = min(math.log2(SMALLEST_VIEW[0] / WORLD / wide), math.log2(SMALLEST_VIEW[1] / WORLD / high)) - 0.15
    zoom = min(max(whole, 1.0), NEAR_ZOOM)
    if focus:
        return {
            "longitude": focus[0],
            "latitude": focus[1],
            "zoom": min(max(zoom + 0.8, CLOSE_ZOOM), NEAR_ZOOM),
            "pitch": 0,
            "bearing": 0,
        }
    middle = _latitude((mercator(north) + mercator(south)) / 2)
    return {"longitude": (west + east) / 2, "latitude": middle, "zoom": zoom, "pitch": 0, "bearing": 0}


def mercator(latitude: float) -> float:
    """Height on the Web Mercator map, in circumferences of the Earth above the equator."""
    return math.asinh(math.tan(math.radians(latitude))) / (2 * math.pi)


def _latitude(height: float) -> float:
    return math.degrees(math.atan(math.sinh(2 * math.pi * height)))


def caption(city: City, origin: pd.Timestamp) -> None:
    """What stands under the map: legend, attribution, and a word where the satellite tiles cannot be reached."""
    st.html(f'<div class="lec-under">{legend(city, origin)}{imagery.attribution(city)}</div>')
    imagery.watch(city)


def legend(city: City, origin: pd.Timestamp) -> str:
    """What the colours of the stations mean, as HTML."""
    brightest = loads.top(city)
    ticks = [formats.amount(brightest * part**2, city.meta.unit) for part in (0, 0.5, 1)]
    ticks[-1] = f"≥{formats.THIN}{ticks[-1]}"
    start = origin - city.interval
    return (
        '<div class="lec-legend">'
        f"<span>Load {start:%H:%M}–{origin:%H:%M}</span>"
        f'<div class="lec-scale"><div style="background:{colours.gradient(colours.LOAD)}"></div>'
        f"<p>{''.join(f'<span>{formats.escaped(tick)}</span>' for tick in ticks)}</p></div>"
        '<span class="lec-none"><i></i>no data</span>'
        "</div>"
    )
