"""The map on which any place can be picked: a net of cells over the network and around it, and the sites picked so far."""

import math
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
import pydeck
import streamlit as st
from scipy.spatial import cKDTree

from lecdiff_core.city.folder import City
from pages.parts.data import places
from pages.parts.data.cities import Place
from pages.parts.data.new_sites import Site
from pages.parts.look import colours
from pages.parts.map import station_map
from pages.parts.state import session

CELLS = "cells"
ACROSS = 56  # cells along the longer side
BEYOND = 0.08  # of the network's extent, on each side
METRES_A_DEGREE = 111_320  # of latitude


def cells(city: City) -> list[dict[str, Any]]:
    """The net: the middle of each of the cells, about square on the ground, and the radius that covers its corners."""
    west, south, east, north = places.bounds(city)
    wide = math.cos(math.radians((south + north) / 2))
    side = max((east - west) * wide, north - south, 1e-4) * (1 + 2 * BEYOND) / ACROSS  # degrees of latitude
    columns = math.ceil((east - west) * wide * (1 + 2 * BEYOND) / side) or 1
    rows = math.ceil((north - south) * (1 + 2 * BEYOND) / side) or 1
    left, bottom = (west + east - columns * side / wide) / 2, (south + north - rows * side) / 2
    radius = round(side * METRES_A_DEGREE / math.sqrt(2), 1)
    middles = [
        (round(left + (column + 0.5) * side / wide, 6), round(bottom + (row + 0.5) * side, 6))
        for row in range(rows)
        for column in range(columns)
    ]
    return [
        {"position": [lon, lat], "radius": radius, "label": "Put a site here", "value": f"{lat:.5f}°, {lon:.5f}°"}
        for lon, lat in middles
    ]


def widest_gap(city: City) -> tuple[float, float]:
    """Longitude and latitude of the cell farthest from every station, of those in the middle half of the network."""
    stand = places.drawn(city)
    west, south = np.quantile(stand, 0.25, axis=0)
    east, north = np.quantile(stand, 0.75, axis=0)
    wide = [math.cos(math.radians(float(stand[:, 1].mean()))), 1.0]
    middles = np.array([cell["position"] for cell in cells(city)])
    inside = middles[((middles >= (west, south)) & (middles <= (east, north))).all(1)]
    lon, lat = inside[cKDTree(stand * wide).query(inside * wide)[0].argmax()].tolist()
    return lon, lat


def draw(
    place: Place, city: City, sites: Sequence[Site], chosen: str, turn: int, picked: Callable[[float, float], None]
) -> None:
    """The map; a click on a cell calls `picked` with its middle. `turn`: another one makes the map forget what was clicked."""
    key = f"map-site-{place.key}-{turn}"

    def clicked() -> None:
        cells = st.session_state[key]["selection"]["objects"].get(CELLS, [])
        if cells:
            lon, lat = cells[0]["position"]
            picked(float(lon), float(lat))

    deck = station_map.deck(place, city, [_net(place)], None, pixels=station_map.room(0.58, None))
    deck.layers += [layer for number, site in enumerate(sites) for layer in _marked(number, site, site.name == chosen)]
    st.pydeck_chart(
        deck,
        height=station_map.FITTED[1],
        on_select=clicked,
        selection_mode="single-object",
        key=key,
        alt=f"Map of {city.meta.name} on which a place for a new site can be picked",
    )


def _net(place: Place) -> pydeck.Layer:
    return pydeck.Layer(
        "ScatterplotLayer",
        id=CELLS,
        data=f"city/{quote(place.key)}/cells.json?v={quote(str(session.city().data_hash)[:12])}",
        get_position="position",
        get_radius="radius",
        get_fill_color=[255, 255, 255, 14],
        pickable=True,
        auto_highlight=True,
        highlight_color=[255, 255, 255, 90],
    )


def _marked(number: int, site: Site, chosen: bool) -> list[pydeck.Layer]:
    """A disc for a site, larger where it is the chosen one, and its letter."""
    point = {"type": "Point", "coordinates": [site.lon, site.lat]}
    shade = colours.rgb(colours.kind(number))
    radius = 13 if chosen else 10
    return [
        station_map.shapes(
            f"site-{site.name}",
            [point],
            filled=True,
            get_point_radius=radius,
            point_radius_units="'pixels'",
            get_fill_color=[*shade, 235],
            get_line_color=[255, 255, 255, 255],
            get_line_width=3.5 if chosen else 1.5,
        ),
        pydeck.Layer(
            "TextLayer",
            id=f"site-name-{site.name}",
            data=[{"position": [site.lon, site.lat], "text": site.name}],
            get_position="position",
            get_text="text",
            get_size=14,
            get_color=[255, 255, 255, 255],
            font_weight=700,
        ),
    ]
