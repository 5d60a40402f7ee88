"""The form for what a city folder says of itself: its name, the unit of its traffic, its holidays."""

import re
from datetime import date

import streamlit as st

from lecdiff_core.city.folder import City, make_meta, write_meta
from lecdiff_core.city.layout import META_FILE
from lecdiff_core.errors import UserError
from lecdiff_core.jobs import background
from pages.parts.data import cities
from pages.parts.data.reading import stamp
from pages.parts.look.formats import literal


def form(city: City) -> None:
    """Name, unit and holidays, and the button that writes them into the folder."""
    busy = any(job.state == "running" for job in background.jobs(city.path))
    turn = f"{city.path}-{stamp(city.path / META_FILE)}"  # what was saved, or changed by hand, is shown again
    with st.form(f"settings-{turn}", border=False):
        name_side, unit_side = st.columns([5, 2], gap="small")
        name = name_side.text_input("Name", city.meta.name, max_chars=80, key=f"name-{turn}")
        unit = unit_side.text_input("Unit", city.meta.unit, max_chars=20, placeholder="MB", key=f"unit-{turn}")
        days = st.text_area(
            "Holidays, a date a line",
            "\n".join(map(str, city.meta.holidays)),
            height=140,
            placeholder="2025-12-25\n2025-12-26",
            help="Days on which people live as on a Sunday. Models treat them so.",
            key=f"holidays-{turn}",
        )
        st.caption(
            "Another unit or other holidays make it other data: train again afterwards. The name changes nothing."
        )
        saved = st.form_submit_button(
            "Save",
            icon=":material/save:",
            type="primary",
            disabled=busy,
            help="Wait until the jobs of this city have ended." if busy else None,
        )
    if saved:
        _save(city, name, unit, days)


def _save(city: City, name: str, unit: str, days: str) -> None:
    try:
        if not name.strip():
            raise UserError("a city needs a name")
        changes = {"name": name.strip(), "unit": unit.strip(), "holidays": dates(days)}
        write_meta(city.path, make_meta(**city.meta.model_dump() | changes))
    except UserError as error:
        st.error(literal(f"Nothing was saved: {error}."), icon=":material/error:")
        return
    cities.refresh()
    st.rerun()


def dates(text: str) -> list[date]:
    """The dates in a text, each once and in order. Raises UserError for a word that is none."""
    days = set()
    for word in filter(None, re.split(r"[\s,;]+", text)):
        try:
            days.add(date.fromisoformat(word))
        except ValueError as error:
            raise UserError(f"“{word}” is not a date; write it like 2025-12-25") from error
    return sorted(days)
