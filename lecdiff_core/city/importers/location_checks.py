"""Whether stations stand where they can: beside one another, and where their time zone is used.

Nothing is refused or changed here; a notice says what looks wrong, and what would correct it where that can be seen.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from lecdiff_core.city.extent import EARTH_KM, directions, kilometres, position
from lecdiff_core.city.folder import City
from lecdiff_core.city.importers.zones import places_of

# Stations within a reach of one another are a group: so many times the usual distance to the next, within bounds (km).
REACH, LEAST_REACH, MOST_REACH = 8, 30.0, 200.0
# A station is far from a group where it is farther from its nearest than so many times the group's radius, and than LEAST_REACH.
RADII, OF_RADIUS = 4, 0.9
FEW = 1 / 3  # share of stations up to which those far from the others are taken for the ones that are wrong
# No place in a country lies farther from the places that the database names for it, km; two are Tengchong and Jaisalmer.
FARTHEST = 2400.0
# From here on a place is doubted, too, where exchanging lon and lat brings it so much nearer.
DOUBTED, MUCH_NEARER = 1000.0, 1 / 3
SHOWN = 3

Change = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def _times(east: float, north: float) -> Change:
    return lambda lon, lat: (lon * east, lat * north)


EXCHANGE = "exchanging lon and lat"
TURNED: dict[str, Change] = {
    EXCHANGE: lambda lon, lat: (lat, lon),
    "changing the sign of lon": _times(-1, 1),
    "changing the sign of lat": _times(1, -1),
    "changing the signs of lon and lat": _times(-1, -1),
}
SLIPPED: dict[str, Change] = {
    f"moving the decimal point of {which} by {places} to the {side}": _times(east**power, north**power)
    for places in (1, 2, 3)
    for side, power in (("right", places), ("left", -places))
    for which, east, north in (("lon", 10.0, 1.0), ("lat", 1.0, 10.0), ("lon and lat", 10.0, 10.0))
}


@dataclass(frozen=True)
class _Places:
    """Stations with their longitude, latitude and unit vector."""

    ids: np.ndarray
    lon: np.ndarray
    lat: np.ndarray

    @property
    def vectors(self) -> np.ndarray:
        return directions(self.lon, self.lat)

    def of(self, chosen: np.ndarray) -> "_Places":
        return _Places(self.ids[chosen], self.lon[chosen], self.lat[chosen])

    def changed(self, change: Change) -> "_Places":
        """The same elsewhere; what would lie off the globe is NaN."""
        lon, lat = change(self.lon, self.lat)
        on_earth = (np.abs(lon) <= 180) & (np.abs(lat) <= 90)
        return _Places(self.ids, np.where(on_earth, lon, np.nan), np.where(on_earth, lat, np.nan))


def remarks(city: City) -> list[str]:
    """What is odd about the places of a city's stations, a line each; nothing where they are not real."""
    if not city.has_true_places:
        return []
    points = city.stations.geometry
    stations = _Places(np.array(city.station_ids, object), points.x.to_numpy(), points.y.to_numpy())
    known = places_of(city.meta.timezone)
    group = _main_group(stations, known)
    main = stations.of(group)
    return [*_strays(stations, group), *_zone(main, city.meta.timezone, known)]


# ---- stations beside one another


def _main_group(stations: _Places, known: dict[str, tuple[float, float]]) -> np.ndarray:
    """(N,) bool: the largest group of stations, of equal ones that nearest to the zone; (0, 0) counts only where all stand."""
    null = _at_null(stations)
    label = np.full(len(null), -1)
    counted = ~null if not null.all() else null
    label[counted] = _groups(stations.of(counted).vectors)
    sizes = np.bincount(label[counted])
    largest = np.flatnonzero(sizes == sizes.max())
    apart = [_from_zone(stations.of(label == one), known)[0] for one in largest] if known else [0.0]
    return label == largest[int(np.argmin(apart))]


def _at_null(stations: _Places) -> np.ndarray:
    return (stations.lon == 0) & (stations.lat == 0)


def _groups(vectors: np.ndarray) -> np.ndarray:
    """(N,) number of each station's group: stations, or cells of a grid that hold some, that lie within a reach."""
    places, place = np.unique(vectors, axis=0, return_inverse=True)
    usual = 0.0
    if len(places) > 1:
        usual = float(np.median(kilometres(cKDTree(places).query(places, k=2)[0][:, 1])))
    reach = float(np.clip(REACH * usual, LEAST_REACH, MOST_REACH)) / EARTH_KM
    cells, cell = np.unique(np.floor(places / reach).astype(np.int64), axis=0, return_inverse=True)
    beside = cKDTree(cells).query_pairs(np.sqrt(3) + 1e-9, output_type="ndarray")
    ties = sparse.coo_matrix((np.ones(len(beside), bool), beside.T), shape=(len(cells), len(cells)))
    return connected_components(ties, directed=False)[1][cell.ravel()][place.ravel()]


def _strays(stations: _Places, group: np.ndarray) -> list[str]:
    main = stations.of(group)
    tree = cKDTree(main.vectors)
    apart = kilometres(tree.query(stations.vectors)[0])
    middle = np.median(main.vectors, axis=0)
    radius = kilometres(np.quantile(np.linalg.norm(main.vectors - middle, axis=1), OF_RADIUS))
    near = max(LEAST_REACH, RADII * float(radius))
    far = apart > near
    null = far & _at_null(stations)
    notices = []
    if null.any():
        verb = "station stands" if null.sum() == 1 else "stations stand"
        notices.append(
            f"{null.sum()} {verb} at exactly (0°, 0°), {apart[null][0]:,.0f} km from all others: "
            f"{_named(stations.ids[null])}; that is often written where a place is not known: correct it, or leave the row out"
        )
    far &= ~null
    remedy = np.full(len(far), "", object)
    for name, change in (TURNED | SLIPPED).items():
        open_ = np.flatnonzero(far & (remedy == ""))
        moved = stations.of(open_).changed(change)
        valid = np.isfinite(moved.lon)
        home = np.zeros(len(open_), bool)
        home[valid] = kilometres(tree.query(moved.of(valid).vectors)[0]) <= near
        remedy[open_[home]] = name
    few = far.sum() <= FEW * len(far)
    for name in dict.fromkeys(remedy[far]):
        if name or few:
            notices.append(_notice(stations.ids, apart, far & (remedy == name), name))
    return notices


def _notice(ids: np.ndarray, apart: np.ndarray, far: np.ndarray, remedy: str) -> str:
    if far.sum() == 1:
        row = int(np.argmax(far))
        right = f"{remedy} would bring it among them" if remedy else "check its lon and lat"
        return f"station {ids[row]} lies {apart[row]:,.0f} km from all others; {right}"
    right = f"{remedy} would bring them among those" if remedy else "check their lon and lat"
    which = _named([f"{ids[row]} ({apart[row]:,.0f} km)" for row in np.flatnonzero(far)])
    return f"{far.sum()} stations lie far from all others: {which}; {right}"


def _named(texts: Sequence[str] | np.ndarray) -> str:
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return ", ".join(map(str, texts[:SHOWN])) + more


# ---- stations and their time zone


def _from_zone(stations: _Places, known: dict[str, tuple[float, float]]) -> tuple[float, str]:
    """Kilometres from the middle of some stations to the nearest place where their zone is used, and its name."""
    middle = np.median(stations.vectors, axis=0)
    lon, lat = np.array(list(known.values())).T
    apart = kilometres(np.linalg.norm(directions(lon, lat) - middle, axis=1))
    nearest = int(np.argmin(apart))
    return float(apart[nearest]), list(known)[nearest]


def _zone(main: _Places, timezone: str, known: dict[str, tuple[float, float]]) -> list[str]:
    if not known:
        return []
    apart, place = _from_zone(main, known)
    fitting = []
    for name, change in TURNED.items():
        moved = main.changed(change)
        if np.isfinite(moved.lon).all() and _from_zone(moved, known)[0] < min(MUCH_NEARER * apart, FARTHEST):
            fitting.append(name)
    if apart <= DOUBTED or (apart <= FARTHEST and EXCHANGE not in fitting):
        return []
    centre = position(float(np.median(main.lon)), float(np.median(main.lat)))
    right = (
        f"{fitting[0]} would put them there, else check --timezone" if fitting else "check lon and lat, or --timezone"
    )
    return [
        f"the stations stand around {centre}, {apart:,.0f} km from {place}, the nearest place known of the countries that use "
        f"the time zone {timezone}; {right}"
    ]
