"""What if: a station's next day if other things stood around it, a neighbour were switched off, or demand were another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from lecdiff_core.city.folder import City
from lecdiff_core.errors import UserError
from pages.parts.charts import exports
from pages.parts.data import new_sites, surroundings
from pages.parts.data.cities import Place
from pages.parts.data.new_sites import LONGEST_TEXT
from pages.parts.look import formats
from pages.parts.look.columns import SIDES
from pages.parts.look.formats import literal
from pages.parts.look.markup import blocks
from pages.parts.state import session
from pages.parts.station import estimates, panel
from pages.parts.station.chips import chips
from pages.parts.station.search import station_box

if TYPE_CHECKING:
    from lecdiff_core.sites.what_if import WhatIf

MOST_OFF, LOOKALIKES = 8, 4
DEMANDS = [0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0]


def main() -> None:
    """The page, from top to bottom."""
    place, city = session.begin()
    question_side, answer_side = st.columns(SIDES[::-1], gap="medium")
    with question_side:
        station_box(city)
        chosen = session.station()
        if chosen is None:
            begin()
        else:
            panel.heading(city, chosen)
            text, off, demand = ask(place, city, chosen)
    if chosen is not None:
        with answer_side:
            answer(place, city, chosen, text, off, demand)
    session.write_link(place)


def begin() -> None:
    """How to begin."""
    st.html(
        blocks.heading("What if …?")
        + blocks.paragraph(
            "Choose a station. Write what would stand around it, switch neighbours off, or scale its demand: its forecast, and the "
            "stations that it then resembles, are shown beside those of today. It is an estimate, and nothing of it is saved."
        )
    )


def ask(place: Place, city: City, station_id: str) -> tuple[str | None, tuple[str, ...], float]:
    """What is changed: words (None: as they are), the neighbours that are switched off, and how many times today's demand."""
    st.html(blocks.within("card", [panel.chip(place, city, station_id)]))
    today = today_of(city, station_id)
    written = st.text_area(
        "What stands around it",
        today,
        key=f"what-if-{place.key}-{station_id}",
        height=190,
        max_chars=LONGEST_TEXT,
        disabled=not surroundings.embedded(city),
        help="In English. Compared with the descriptions of all stations; the satellite image stays as it is.",
    )
    near = surroundings.nearest(city, station_id)["station_id"].tolist() if city.has_places else []
    off = st.multiselect(
        "Neighbours switched off",
        near,
        key=f"off-{place.key}-{station_id}",
        max_selections=MOST_OFF,
        placeholder="None" if near else "Nothing is known of its neighbours",
        disabled=not near,
    )
    demand = st.select_slider(
        "Demand", DEMANDS, 1.0, key=f"demand-{place.key}-{station_id}", format_func=lambda times: f"× {times:g}"
    )
    return (written if written.strip() != today.strip() else None), tuple(off), demand


def today_of(city: City, station_id: str) -> str:
    """What is said of the station now; empty where nothing is."""
    try:
        described = surroundings.descriptions(city).get(station_id)
    except UserError:
        return ""  # the Environment page says so
    return described[0].kept_text if described else ""


def answer(place: Place, city: City, station_id: str, text: str | None, off: tuple[str, ...], demand: float) -> None:
    """The forecast as it is and as it would be, and whom the station resembles then."""
    try:
        with st.spinner("Estimating", show_time=False):
            answered = new_sites.changed(city, station_id, text, off, demand, session.origin())
    except UserError as error:
        st.warning(f"No estimate: {literal(str(error))}", icon=":material/error:")
        return
    before, after = estimates.changed(city, station_id, answered)
    show_lookalikes(place, city, answered)
    for notice in answered.notices:
        st.caption(f":material/info: {formats.sentence(notice)}")
    file = exports.file_name(city, [station_id, "what-if"], session.origin(), ".csv")
    st.download_button(
        "CSV",
        lambda: exports.changed_csv(before, after),
        file,
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
        key="what_if_csv",
    )


def show_lookalikes(place: Place, city: City, answered: WhatIf) -> None:
    """The stations that it resembles as it is, and with the new words."""
    for title, key, alike in (
        ("Resembles today", "today", answered.lookalikes_before),
        ("Would resemble", "then", answered.lookalikes_after),
    ):
        if alike:
            st.html(blocks.part(title))
            names, notes = [name for name, _ in alike[:LOOKALIKES]], [f"likeness {fit:.2f}" for _, fit in alike]
            chips(place, city, f"what-if-{key}", names, notes, LOOKALIKES)


main()
