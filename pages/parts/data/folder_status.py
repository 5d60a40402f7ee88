"""What a city folder holds and what is made from what, looked up again only when a file of it changed."""

import streamlit as st

from lecdiff_core import status
from lecdiff_core.city.folder import City
from lecdiff_core.city.summary import CitySummary, summarise
from lecdiff_core.status import SavedModel, Step
from pages.parts.data import cities
from pages.parts.data.cities import Stamp


def _key(city: City) -> tuple[str, Stamp, str, str]:
    """What is looked up hangs on the folder as it is now and on the city as it was opened, which may be before that."""
    return str(city.path), cities.stamp(*status.sources(city.path)), city.data_hash, city.meta.model_dump_json()


def summary(city: City) -> CitySummary:
    """What `lecdiff info` says of the city."""
    return _summary(_key(city), city)


@st.cache_resource(max_entries=8, show_spinner="Looking through the city folder")
def _summary(key: tuple, _city: City) -> CitySummary:  # noqa: ARG001
    return summarise(_city)


def steps_and_models(city: City) -> tuple[dict[str, Step], list[SavedModel]]:
    """Every step with its state, and the saved models."""
    return _steps_and_models(_key(city), city)


@st.cache_resource(max_entries=8, show_spinner="Looking through the city folder")
def _steps_and_models(key: tuple, _city: City) -> tuple[dict[str, Step], list[SavedModel]]:  # noqa: ARG001
    return status.steps(_city), status.saved_models(_city)
