"""The box that finds a station by its id or name, the same on every page, and the one for several stations."""

from collections.abc import Callable

import streamlit as st

from lecdiff_core.city.folder import City
from pages.parts import session
from pages.parts.following import following

SEVERAL_BOX = "several_box"


def station_box(city: City) -> None:
    """Show the box; what is found there becomes the chosen station."""
    st.selectbox(
        "Station",
        city.station_ids,
        index=None,
        **following(session.SEARCH_BOX, session.station(), lambda found: session.select(found, city)),
        placeholder="Search a station by id or name, or click one on the map",
        format_func=_written(city),
        label_visibility="collapsed",
    )


def stations_box(city: City) -> None:
    """The same for several stations, which are then compared."""
    st.multiselect(
        "Stations to compare",
        city.station_ids,
        **following(SEVERAL_BOX, session.compared(), session.compare),
        max_selections=session.MOST_COMPARED,
        placeholder="Choose up to four stations, here or on the map",
        format_func=_written(city),
        label_visibility="collapsed",
    )


def _written(city: City) -> Callable[[str], str]:
    names = (
        dict(zip(city.station_ids, city.stations["name"].fillna(""), strict=True)) if "name" in city.stations else {}
    )
    return lambda station_id: f"{station_id} · {names[station_id]}" if names.get(station_id) else station_id
