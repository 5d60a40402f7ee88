"""Surges for the pages: what the city folder holds of them, and what was measured of their detection; read again when changed."""

from pathlib import Path

import streamlit as st

from lecdiff_core import surges
from lecdiff_core.assets import results_folder
from lecdiff_core.bounded import read_json
from lecdiff_core.city.folder import City
from lecdiff_core.city.layout import SURGE_SCORES_FILE, SURGES_FILE
from lecdiff_core.errors import UserError
from lecdiff_core.surges import Surges
from pages.parts.data import cities
from pages.parts.data.cities import Stamp
from pages.parts.look import formats

QUALITY_FILE = "surges.json"
NEVER = 1000  # days: what is rarer is not told in figures


def stored_surges(city: City) -> Surges | None:
    """The surges in the city folder, None where there are none. Raises UserError."""
    files = city.path / SURGES_FILE, city.path / SURGE_SCORES_FILE
    return _stored_surges(city, str(city.path), cities.stamp(*files)) if all(file.is_file() for file in files) else None


@st.cache_resource(max_entries=4, show_spinner=False)
def _stored_surges(_city: City, path: str, changed: Stamp) -> Surges | None:  # noqa: ARG001 (the key)
    return surges.read_surges(_city)


def quality(city: City) -> dict | None:
    """How well the planted events of this city were found, None where that was not measured. Raises UserError."""
    file = results_folder() / QUALITY_FILE
    found = _quality(file, cities.stamp(file)) if file.is_file() else None
    return found if found and found["data"] == city.data_hash else None


@st.cache_resource(max_entries=2, show_spinner=False)
def _quality(file: Path, changed: Stamp) -> dict:  # noqa: ARG001
    try:
        found = read_json(file)
        if not {"data", "days", "planted", "results", "inside_intervals"} <= set(found):
            raise ValueError("parts of it are missing")
    except (OSError, ValueError) as error:
        raise UserError(f"{file.name}: cannot be read ({error}); measure again") from error
    return found


def rarity(false_alarms_per_day: float) -> str:
    """How often normal traffic gives an event as strong, in words."""
    if false_alarms_per_day >= 1:
        return f"{formats.number(round(false_alarms_per_day, 1))} a day"
    days = 1 / false_alarms_per_day
    if days > 0.99 * NEVER:
        return f"< once in {NEVER:,} days"
    return f"once in {days:.1f} days" if days < 2 else f"once in {days:.0f} days"
