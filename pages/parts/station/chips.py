"""Satellite chips to click, the same wherever stations are offered by what they look like."""

import math

import streamlit as st

from lecdiff_core.city.folder import City
from pages.parts.data.cities import Place
from pages.parts.look import formats
from pages.parts.look.formats import literal
from pages.parts.map import basemap
from pages.parts.state import session


def chips(place: Place, city: City, name: str, stations: list[str], notes: list[str], columns: int) -> None:
    """Chips to click, `columns` a row, each with its station and a note; a click chooses the station."""
    for start in range(0, len(stations), columns):
        with st.container(key=f"chips-{name}-{start}"):
            for side, station_id, note in zip(
                st.columns(columns, gap="small"), stations[start:], notes[start:], strict=False
            ):
                picture = f"![]({basemap.chip_address(place, station_id)}) " if city.chip(station_id) else ""
                side.button(
                    f"{picture}**{literal(station_id)}** {literal(note)}",
                    key=f"chip-{name}-{station_id}",
                    on_click=session.select,
                    args=(station_id, city),
                    width="stretch",
                )


def likeness_of(similarity: float, metres: float) -> str:
    """How like a station's surroundings are, and how far it is where that is known; a station without chip is like none."""
    likeness = "no chip" if math.isnan(similarity) else f"likeness {similarity:.2f}".replace("-", "−")
    return likeness if math.isnan(metres) else f"{likeness} · {formats.distance(metres)}"
