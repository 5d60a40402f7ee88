"""Districts: areas of stations that left the forecast together, each perhaps inside its own interval.

The samples of a forecast belong together, so that the mean deviation of an area's stations has a distribution of its own under
them; how far out the observed one lies says how unlikely it is that these stations together come so far out. Areas are a station
and its nearest, of a few sizes (a spatial scan, Kulldorff 1997, https://doi.org/10.1080/03610929708831995); of areas that overlap
in space and time the strongest names the district.

Letters: N stations, an area around each, K stations in an area, S samples, H steps, T steps looked at.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from lecdiff_core.evaluation.aggregates import Areas
from lecdiff_core.evaluation.metrics import half_widths, sample_quantiles
from lecdiff_core.surges.runs import Runs

AREA_SIZES = (5, 20)  # stations
LEAST_AREAS = 2  # of a size that a network must have room for
LEAST_KNOWN = 0.5  # share of an area's stations that must be observed


class District(NamedTuple):
    """Stations (indices) that left the forecast together from `start` to `stop`, exclusive; direction 1 above, −1 below."""

    stations: np.ndarray
    start: int
    stop: int
    direction: int
    strength: float


def areas_of(positions: np.ndarray) -> dict[int, np.ndarray]:
    """By size K, the stations (N, K) of the area around each station at positions (N, 2); none where no place is known."""
    if np.isnan(positions).any():
        return {}
    sizes = [size for size in AREA_SIZES if len(positions) >= LEAST_AREAS * size]
    return {size: Areas.around_each(positions, size).members for size in sizes}


def together(
    areas: Mapping[int, np.ndarray], rows: np.ndarray, observed: np.ndarray, samples: np.ndarray
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """By size, the mean deviation of each area: observed (N, H), NaN = too little is known, and in each sample (S, N, H).

    areas: as `areas_of` gives them.  rows: indices of the stations that were forecast.  observed: (rows, H), samples: (S, rows, H).
    A station's deviation is its distance from its median in half-widths of its 90 % interval on that side, so that every station
    counts alike.
    """
    if not areas:
        return
    low, middle, high = sample_quantiles(samples, [0.05, 0.5, 0.95])
    down, up = half_widths(low, middle, high)

    def deviation(values: np.ndarray) -> np.ndarray:
        off = values - middle
        return np.where(off > 0, off / up, off / down)

    shape = len(next(iter(areas.values()))), observed.shape[1]
    known, seen = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    known[rows] = np.isfinite(observed)
    seen[rows] = np.nan_to_num(deviation(observed))
    drawn = np.zeros((len(samples), *shape), np.float32)
    drawn[:, rows] = deviation(samples) * known[rows]
    for size, members in areas.items():
        count = np.maximum(_summed(known, members), LEAST_KNOWN)
        enough = count >= LEAST_KNOWN * size
        yield size, np.where(enough, _summed(seen, members) / count, np.nan), _summed(drawn, members) / count


def _summed(values: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Values (..., N, H) summed over the stations of each area."""
    total = np.zeros_like(values)
    for member in members.T:
        total += values[..., member, :]
    return total


def districts(
    runs: Mapping[int, Runs], members: Mapping[int, np.ndarray], least: int, calm: Mapping[int, Runs] | None = None
) -> list[District]:
    """The districts among the runs of areas, by size; of those that share stations and time the strongest.

    least: how many runs of a size may be as strong in quiet times, whose runs are `calm` (None = these), to be looked at.
    """
    every = [
        District(
            members[size][of.station[index]],
            int(of.start[index]),
            int(of.stop[index]),
            int(of.direction[index]),
            strength,
        )
        for size, of in runs.items()
        for index, strength in _strong(of, (calm or runs)[size], least)
    ]
    apart: list[District] = []
    for one in sorted(every, key=lambda district: -district.strength):
        if not any(_meet(one, other) for other in apart):
            apart.append(one)
    return apart


def _strong(runs: Runs, calm: Runs, least: int) -> list[tuple[int, float]]:
    """Index and strength of the runs as strong as only `least` of quiet times are."""
    strongest = np.sort(calm.strength)[::-1]
    bound = float(strongest[min(least, len(strongest) - 1)]) if len(strongest) else 0.0
    return [(int(index), float(runs.strength[index])) for index in np.flatnonzero(runs.strength >= bound)]


def _meet(one: District, other: District) -> bool:
    in_time = one.start < other.stop and other.start < one.stop and one.direction == other.direction
    return in_time and bool(np.isin(one.stations, other.stations).any())
