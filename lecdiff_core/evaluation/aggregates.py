"""What people ask of a forecast beside a single step: a day's peak and total, and sums over areas, each scored as itself.

An aggregate turns paths of stations into values, and is applied to the samples and to the observation alike. Where the
observation lacks a part of it, it is missing. Names and rules are those of the measurement protocol, version 2.

Letters: S samples (last), N stations, H horizon steps of a day, A areas.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

LEAST_STATIONS = {5: 10, 20: 60}  # of a city, for areas of so many stations to be scored
WIDEST = "area_20"  # whose peak is scored, too
MOST_MISSING = 0.1  # of a day's steps, for its peak still to be scored
AROUND_PEAK_HOURS = 2.0  # that must be observed around the time at which the samples have their peak
WHOLE_NETWORK = 0.95  # share of the stations that must be observed at a step
BLOCK = 20  # stations of a disjoint block

Pair = tuple[np.ndarray, np.ndarray]  # observed (...) with NaN = missing, samples (..., S)


def day_total(observed: np.ndarray, paths: np.ndarray) -> Pair:
    """(N,) traffic of the day, only where every step was observed."""
    return observed.sum(1), paths.sum(1)


def day_peak(observed: np.ndarray, paths: np.ndarray) -> Pair:
    """(N,) highest step of the day, over the same observed steps in observation and samples.

    Missing where more than a tenth of the steps is missing, or one within two hours of the samples' median time of their peak.
    """
    known = np.isfinite(observed)
    if known.all():
        return observed.max(1), paths.max(1)
    steps = observed.shape[1]
    time = np.median(paths.argmax(1), axis=-1)
    near = np.abs(np.arange(steps) - time[:, None]) <= AROUND_PEAK_HOURS * steps / 24
    usable = (known.mean(1) >= 1 - MOST_MISSING) & ~(near & ~known).any(1)
    highest = np.where(known, observed, -np.inf).max(1)
    sampled = np.where(known[..., None], paths, -np.inf).max(1)
    return np.where(usable, highest, np.nan), np.where(usable[:, None], sampled, 0.0)


def whole_network(observed: np.ndarray, paths: np.ndarray) -> Pair:
    """(H,) traffic of all stations that were observed at a step, where these are at least 95 % of them."""
    known = np.isfinite(observed)
    total = np.where(known, observed, 0.0).sum(0, dtype=float)
    enough = known.mean(0) >= WHOLE_NETWORK
    sampled = paths if known.all() else np.where(known[..., None], paths, 0.0)
    return np.where(enough, total, np.nan), sampled.sum(0, dtype=float)


@dataclass(frozen=True)
class Areas:
    """Sums over areas, (A, H), missing where one of the stations is. members: (A, K) indices of stations."""

    members: np.ndarray

    @classmethod
    def around_each(cls, positions: np.ndarray, size: int) -> "Areas":
        """An area for each station: itself and its `size` - 1 nearest. positions: (N, 2 or 3), in metres."""
        return cls(cKDTree(positions).query(positions, k=size)[1])

    def __call__(self, observed: np.ndarray, paths: np.ndarray) -> Pair:
        """Sums of the members."""
        return self._sum(observed), self._sum(paths)

    def _sum(self, paths: np.ndarray) -> np.ndarray:
        areas, size = self.members.shape
        ones = np.ones(areas * size, paths.dtype)
        belongs = csr_array(
            (ones, self.members.ravel(), np.arange(0, areas * size + 1, size)), shape=(areas, len(paths))
        )
        return np.asarray(belongs @ paths.reshape(len(paths), -1)).reshape(areas, *paths.shape[1:])


def disjoint_blocks(positions: np.ndarray, size: int = BLOCK) -> np.ndarray:
    """(blocks, size) indices of stations: one and its nearest, then the same among those left, as often as there are enough."""
    left = np.arange(len(positions))
    blocks = []
    while len(left) >= size:
        nearest = np.linalg.norm(positions[left] - positions[left[0]], axis=1).argsort(kind="stable")[:size]
        blocks.append(left[nearest])
        left = np.delete(left, nearest)
    return np.array(blocks, int).reshape(-1, size)


@dataclass(frozen=True)
class Asked:
    """What a city is scored on beside its stations: areas by their names in a benchmark file, and disjoint blocks (B, K)."""

    areas: Mapping[str, Areas] = field(default_factory=dict)
    blocks: np.ndarray = field(default_factory=lambda: np.empty((0, BLOCK), int))

    @classmethod
    def of(cls, positions: np.ndarray | None) -> "Asked":
        """Of stations at `positions` (N, 2 or 3), None where nothing is known of them: then no area but the whole network."""
        if positions is None:
            return cls()
        sizes = [size for size, least in LEAST_STATIONS.items() if len(positions) >= least]
        areas = {f"area_{size}": Areas.around_each(positions, size) for size in sizes}
        return cls(areas, disjoint_blocks(positions))

    def values(self, observed: np.ndarray, paths: np.ndarray) -> dict[str, Pair]:
        """Every aggregate of a window by its name: observed (N, H), paths (N, H, S)."""
        values = {"day_peak": day_peak(observed, paths), "day_total": day_total(observed, paths)}
        values |= {name: area(observed, paths) for name, area in self.areas.items()}
        if WIDEST in values:
            values[f"{WIDEST}_peak"] = day_peak(*values[WIDEST])
        return values | {"area_all": whole_network(observed, paths)}

    def vectors(self, observed: np.ndarray, paths: np.ndarray) -> Pair:
        """A vector of each block's stations at each step: (B H, K) and (B H, K, S)."""
        size = self.blocks.shape[1]
        seen = observed[self.blocks].swapaxes(1, 2).reshape(-1, size)
        return seen, paths[self.blocks].swapaxes(1, 2).reshape(-1, size, paths.shape[-1])
