"""The box that finds a station by its id or name, the same on every page."""

import streamlit as st

from lecdiff_core.city.folder import City
from pages.parts import session


def station_box(city: City) -> None:
    """Show the box; what is found there becomes the chosen station."""
    st.session_state[session.SEARCH_BOX] = session.station()
    names = (
        dict(zip(city.station_ids, city.stations["name"].fillna(""), strict=True)) if "name" in city.stations else {}
    )

    def found() -> None:
        session.select(st.session_state[session.SEARCH_BOX], city)

    st.selectbox(
        "Station",
        city.station_ids,
        index=None,
        key=session.SEARCH_BOX,
        on_change=found,
        placeholder="Search a station by id or name, or click one on the map",
        format_func=lambda station_id: f"{station_id} · {names[station_id]}" if names.get(station_id) else station_id,
        label_visibility="collapsed",
    )
