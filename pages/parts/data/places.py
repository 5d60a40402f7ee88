"""Where stations are drawn: at their places, or on a plain grid where nothing is known of places."""

import math
from collections.abc import Sequence

import numpy as np

from lecdiff_core.city.folder import City

SPACING = 0.001  # degrees between two stations of the grid; they only say how large it is drawn
WIDER = 1.5  # columns of the grid for each of its rows
COLUMNS_OF_WHOLE_DOTS = 28  # of the grid on a map of usual width
SENTENCES = {
    "nominal": "Places are nominal: who is next to whom is real, positions and distances are not.",
    "none": "Nothing is known of places: stations stand in the order of their list, row by row.",
}


def drawn(city: City) -> np.ndarray:
    """(N, 2) longitude and latitude at which the stations are drawn."""
    if city.has_places:
        return np.stack([city.stations.geometry.x, city.stations.geometry.y], axis=1)
    count = len(city.station_ids)
    columns = math.ceil(math.sqrt(WIDER * count))
    row, column = np.divmod(np.arange(count), columns)
    return SPACING * np.stack([column - (columns - 1) / 2, row.max() / 2 - row], axis=1)


def dot(city: City) -> float:
    """Size of a station's dot beside its usual one: smaller where many stand in the grid, so that they do not cover each other."""
    columns = math.sqrt(WIDER * len(city.station_ids))
    return 1.0 if city.has_places else min(1.0, COLUMNS_OF_WHOLE_DOTS / columns)


def bounds(city: City, stations: Sequence[str] | None = None) -> tuple[float, float, float, float]:
    """West, south, east and north of what is drawn of some stations, or of all."""
    places = drawn(city)
    if stations is not None:
        chosen = set(stations)
        places = places[[station_id in chosen for station_id in city.station_ids]]
    (west, south), (east, north) = places.min(0).tolist(), places.max(0).tolist()
    return west, south, east, north


def sentence(city: City) -> str:
    """What must be said of places that are not real; empty where they are."""
    return SENTENCES.get(city.meta.coordinates, "")
