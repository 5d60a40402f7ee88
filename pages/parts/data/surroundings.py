"""What is known of the surroundings of a city's stations: descriptions, lookalikes, kinds, and search by words.

Everything is read once and again only when its file changes. The text encoder is loaded by the first search, not before.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lecdiff_core.city.folder import City
from lecdiff_core.city.layout import CONFIG_FILE, DESCRIPTIONS_FILE, ENCODER_FOLDER, ENVIRONMENT_FILE, WEIGHTS_FILE
from lecdiff_core.environment.descriptions.record import Description, current_descriptions, read_descriptions
from lecdiff_core.environment.imagery.chips import chip_metres, read_chip_records
from lecdiff_core.environment.search import neighbours
from lecdiff_core.environment.search.clusters import Clusters
from lecdiff_core.errors import UserError
from lecdiff_core.images import read_image
from pages.parts.data.reading import Stamp, read_once, stamp

LOOKALIKES = 6
MATCHES = 8
LONGEST_SEARCH = 400


def descriptions(city: City) -> dict[str, list[Description]]:
    """What was said of each station's chip; stations without a word are left out. Raises UserError for a damaged file."""
    return _descriptions(city.path / DESCRIPTIONS_FILE)


@read_once(lambda file: [file])
def _descriptions(file: Path) -> dict[str, list[Description]]:
    return current_descriptions(read_descriptions(file))


def is_of_this_chip(city: City, description: Description) -> bool:
    """Whether the chip that was described is the one in the folder."""
    chip = city.chip(description.station_id)
    digest = "" if chip is None else hashlib.sha256(chip.read_bytes()).hexdigest()
    return digest == description.image_sha256


def refined_with(city: City, description: Description, sentences: Sequence[str]) -> Description:
    """A description with further sentences at its end, refined by what its chip measures; nothing is saved."""
    from lecdiff_core.environment.refinement.evidence import measure
    from lecdiff_core.environment.refinement.refiner import refine_with

    station_id = description.station_id
    metres = chip_metres(read_chip_records(city).get(station_id, []), description.image_sha256)
    chip = city.chip(station_id)
    assert chip is not None
    image = read_image(chip.read_bytes())
    text = " ".join([description.text, *sentences])
    refined = refine_with(text, measure(image, metres / image.width), [city.meta.name])
    scores = {"image_score": refined.image_score, "text_score": refined.text_score}
    return description.model_copy(update={"text": text, "sentences": list(refined.sentences), **scores})


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
    return _search(city, words[:LONGEST_SEARCH])


def _files(city: City) -> list[Path]:
    return [city.path / ENVIRONMENT_FILE, city.path / DESCRIPTIONS_FILE]


def _searched_files(city: City, words: str) -> list[Path]:  # noqa: ARG001
    encoder = city.path / ENCODER_FOLDER
    return [*_files(city), encoder / CONFIG_FILE, encoder / WEIGHTS_FILE]


@read_once(_searched_files, entries=256)
def _search(city: City, words: str) -> list[tuple[str, float]]:
    return neighbours.search(city, words, MATCHES)


def version(city: City) -> Stamp:
    """What is known of the surroundings changes with this."""
    return stamp(*_files(city))


@read_once(_files)
def kinds(city: City) -> tuple[Clusters, np.ndarray]:
    """Clusters of the stations by their surroundings, and their (N, 2) places in the flat view. Raises UserError."""
    from lecdiff_core.environment.search.clusters import clusters, projection

    return clusters(city), projection(city)
