"""Areas that can be forecast as one: a station with those nearest to it, or with all within some distance."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lecdiff_core.city.folder import City
from pages.parts.data.traffic_levels import metres_from
from pages.parts.look import formats

COUNTS = (5, 20, 50)  # stations, the one in the middle included
RADII_M = (500, 1000, 2000, 5000)
MOST_STATIONS = 300  # that a page forecasts while one waits


@dataclass(frozen=True)
class Area:
    """Stations forecast as one. `key` names it in links, `label` in boxes, `name` in charts and files."""

    key: str
    label: str
    name: str
    stations: tuple[str, ...]


def alone(station_id: str) -> Area:
    """A station by itself."""
    return Area("", "This station alone", station_id, (station_id,))


@lru_cache(maxsize=64)
def around(city: City, station_id: str) -> dict[str, Area]:
    """The areas around a station by key, itself alone first; distances only where places are true."""
    areas = [alone(station_id)]
    if city.has_places:
        metres = metres_from(city, station_id)
        order = np.argsort(metres, kind="stable")
        areas += [
            _area(city, f"{count}", f"It and its {count - 1} nearest", f"and {count - 1} nearest", order[:count])
            for count in COUNTS
            if count <= len(order)
        ]
        if city.has_true_places:
            for radius in RADII_M:
                inside, far = order[metres[order] <= radius], formats.distance(radius)
                if 1 < len(inside) <= MOST_STATIONS:
                    areas.append(_area(city, f"{radius}m", f"All within {far}", f"within {far}", inside))
    return {area.key: area for area in areas}


def _area(city: City, key: str, label: str, suffix: str, rows: np.ndarray) -> Area:
    stations = tuple(city.station_ids[row] for row in rows)
    return Area(
        key, f"{label} ({len(stations)} stations)" if key.endswith("m") else label, f"{stations[0]} {suffix}", stations
    )
