"""Where a city's stations stand as a whole: their centre, the box around them, how far it reaches."""

import numpy as np
from pydantic import BaseModel

from lecdiff_core.city.folder import City

EARTH_KM = (
    6371.0088  # mean radius; a few tenths of a per cent off the ellipsoid, which is enough to tell where something is
)
KM_A_DEGREE = EARTH_KM * np.pi / 180


class Extent(BaseModel):
    """Degrees of WGS 84, and kilometres. Across the antimeridian `west` is greater than `east`, as in GeoJSON."""

    lon: float  # centre: the median of the stations
    lat: float
    west: float
    south: float
    east: float
    north: float
    width_km: float
    height_km: float

    def __str__(self) -> str:
        centre = f"centre {position(self.lon, self.lat)}"
        size = f"extent {_length(self.width_km)} × {_length(self.height_km)} km"
        return f"{centre}; {size}, from {position(self.west, self.south)} to {position(self.east, self.north)}"


def extent_of(city: City) -> Extent | None:
    """The extent of a city's stations, None where their places are not real or not known."""
    if not city.has_true_places:
        return None
    lon, lat = city.stations.geometry.x.to_numpy(), city.stations.geometry.y.to_numpy()
    east, north, _ = directions(lon, lat).mean(0)
    middle = np.degrees(np.arctan2(north, east))
    beside = wrapped(lon - middle)
    centre = float(np.median(lat))
    return Extent(
        lon=_rounded(wrapped(middle + np.median(beside))),
        lat=_rounded(centre),
        west=_rounded(wrapped(middle + beside.min())),
        south=_rounded(lat.min()),
        east=_rounded(wrapped(middle + beside.max())),
        north=_rounded(lat.max()),
        width_km=round(float(np.ptp(beside) * KM_A_DEGREE * np.cos(np.radians(centre))), 3),
        height_km=round(float(np.ptp(lat) * KM_A_DEGREE), 3),
    )


def directions(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """(N, 3) unit vectors from the middle of the Earth to places in degrees."""
    turn, height = np.radians(lon), np.radians(lat)
    return np.stack([np.cos(turn) * np.cos(height), np.sin(turn) * np.cos(height), np.sin(height)], axis=-1)


def kilometres(chord: np.ndarray) -> np.ndarray:
    """Distances on the ground of places whose unit vectors are `chord` apart."""
    return 2 * EARTH_KM * np.arcsin(np.clip(np.asarray(chord) / 2, 0, 1))


def wrapped(degrees: np.ndarray) -> np.ndarray:
    """Longitudes within ±180."""
    return (np.asarray(degrees) + 180) % 360 - 180


def position(lon: float, lat: float) -> str:
    """A place in degrees with its half of the globe."""
    return f"{abs(lat):.4f}°{'N' if lat >= 0 else 'S'} {abs(lon):.4f}°{'E' if lon >= 0 else 'W'}"


def _length(km: float) -> str:
    return f"{km:,.0f}" if km >= 100 else f"{km:.3g}"


def _rounded(degrees: np.ndarray | float) -> float:
    return round(float(degrees), 6) + 0.0  # no negative zero
