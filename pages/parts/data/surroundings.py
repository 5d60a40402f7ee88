"""What is known of the surroundings of a city's stations: descriptions, lookalikes, kinds, and search by words.

Everything is read once and again only when its file changes. The text encoder is loaded by the first search, not before.
"""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from lecdiff_core.city.folder import City
from lecdiff_core.city.layout import CONFIG_FILE, DESCRIPTIONS_FILE, ENCODER_FOLDER, ENVIRONMENT_FILE, WEIGHTS_FILE
from lecdiff_core.environment.descriptions.record import Description, current_descriptions, read_descriptions
from lecdiff_core.environment.search import neighbours
from lecdiff_core.environment.search.clusters import Clusters
from lecdiff_core.errors import UserError
from pages.parts.data import cities
from pages.parts.data.cities import Stamp

LOOKALIKES = 6
FOUND = 8
LONGEST_SEARCH = 400


def descriptions(city: City) -> dict[str, list[Description]]:
    """What was said of each station's chip; stations without a word are left out. Raises UserError for a damaged file."""
    file = city.path / DESCRIPTIONS_FILE
    return _descriptions(file, cities.stamp(file))


@st.cache_resource(max_entries=4, show_spinner=False)
def _descriptions(file: Path, changed: Stamp) -> dict[str, list[Description]]:  # noqa: ARG001 (part of the key)
    return current_descriptions(read_descriptions(file))


def is_of_this_chip(city: City, description: Description) -> bool:
    """Whether the chip that was described is the one in the folder."""
    chip = city.chip(description.station_id)
    return chip is not None and hashlib.sha256(chip.read_bytes()).hexdigest() == description.image_sha256


def embedded(city: City) -> bool:
    """Whether the city has embeddings."""
    return (city.path / ENVIRONMENT_FILE).is_file()


def lookalikes(city: City, station_id: str) -> pd.DataFrame:
    """The stations most alike: station_id, similarity, distance_m. Raises UserError where the station has no chip."""
    return neighbours.neighbours(city, station_id, LOOKALIKES)


def alike_or_none(city: City, station_id: str) -> pd.DataFrame | None:
    """The same, or None where the station cannot be compared."""
    if not embedded(city):
        return None
    try:
        return lookalikes(city, station_id)
    except UserError:
        return None


def nearest(city: City, station_id: str) -> pd.DataFrame:
    """The stations nearest on the ground, with the same columns; similarity is NaN where a chip is missing."""
    return neighbours.nearest_on_ground(city, station_id, LOOKALIKES)


def find(city: City, words: str) -> list[tuple[str, float]]:
    """Stations whose surroundings fit the words best, with their fit. Raises UserError."""
    encoder = city.path / ENCODER_FOLDER
    files = [city.path / ENVIRONMENT_FILE, city.path / DESCRIPTIONS_FILE, encoder / CONFIG_FILE, encoder / WEIGHTS_FILE]
    return _find(city.path, cities.stamp(*files), words[:LONGEST_SEARCH], city)


@st.cache_resource(max_entries=256, show_spinner=False)
def _find(folder: Path, changed: Stamp, words: str, _city: City) -> list[tuple[str, float]]:  # noqa: ARG001
    return neighbours.search(_city, words, FOUND)


def kinds(city: City) -> tuple[Clusters, np.ndarray]:
    """Clusters of the stations by their surroundings, and their (N, 2) places in the flat view. Raises UserError."""
    return _kinds(city.path, version(city), city)


def version(city: City) -> Stamp:
    """What is known of the surroundings changes with this."""
    return cities.stamp(city.path / ENVIRONMENT_FILE, city.path / DESCRIPTIONS_FILE)


@st.cache_resource(max_entries=4, show_spinner=False)
def _kinds(folder: Path, changed: Stamp, _city: City) -> tuple[Clusters, np.ndarray]:  # noqa: ARG001
    from lecdiff_core.environment.search.clusters import clusters, projection

    return clusters(_city), projection(_city)
