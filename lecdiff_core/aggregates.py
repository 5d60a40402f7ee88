"""What people ask of a forecast beside a single step: a day's peak and total, and sums over areas, each scored as itself.

An aggregate turns paths of stations, (..., N, H), into values, and is applied to the samples and to the observation alike. Where
the observation lacks a part of it, it is missing. Names and rules are those of the measurement protocol, version 2.

Letters: S samples, N stations, H horizon steps of a day, A areas.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import cKDTree

from lecdiff_core.metrics import crps, sample_quantiles

LEAST_STATIONS = {5: 10, 20: 60}  # of a city, for areas of so many stations to be scored
MOST_MISSING = 0.1  # of a day's steps, for its peak still to be scored
AROUND_PEAK_HOURS = 2.0  # that must be observed around the time at which the samples have their peak
WHOLE_NETWORK = 0.95  # share of the stations that must be observed at a step
BLOCK = 20  # stations of a disjoint block

Pair = tuple[np.ndarray, np.ndarray]  # observed with NaN = missing, samples with S in front
Aggregate = Callable[[np.ndarray, np.ndarray], Pair]


def step(observed: np.ndarray, samples: np.ndarray) -> Pair:
    """A station, a step: as they are."""
    return observed, samples


def day_total(observed: np.ndarray, samples: np.ndarray) -> Pair:
    """(N,) traffic of the day, only where every step was observed."""
    return observed.sum(-1), samples.sum(-1)


def day_peak(observed: np.ndarray, samples: np.ndarray) -> Pair:
    """(N,) highest step of the day, over the same observed steps in observation and samples.

    Missing where more than a tenth of the steps is missing, or one within two hours of the samples' median time of their peak.
    """
    known = np.isfinite(observed)
    steps = observed.shape[-1]
    time = np.median(samples.argmax(-1), axis=0)
    near = np.abs(np.arange(steps) - time[..., None]) <= AROUND_PEAK_HOURS * steps / 24
    usable = (known.mean(-1) >= 1 - MOST_MISSING) & ~(near & ~known).any(-1)
    highest = np.where(known, observed, -np.inf).max(-1)
    sampled = np.where(known, samples, -np.inf).max(-1)
    return np.where(usable, highest, np.nan), np.where(usable, sampled, 0.0)


def whole_network(observed: np.ndarray, samples: np.ndarray) -> Pair:
    """(H,) traffic of all stations that were observed at a step, where these are at least 95 % of them."""
    known = np.isfinite(observed)
    total = np.where(known, observed, 0.0).sum(-2)
    enough = known.mean(-2) >= WHOLE_NETWORK
    return np.where(enough, total, np.nan), np.where(known, samples, 0.0).sum(-2)


@dataclass(frozen=True)
class Areas:
    """Sums over areas, (A, H), missing where one of the stations is. members: (A, K) indices of stations."""

    members: np.ndarray

    @classmethod
    def around_each(cls, positions: np.ndarray, size: int) -> "Areas":
        """An area for each station: itself and its `size` - 1 nearest. positions: (N, 2 or 3), in metres."""
        return cls(cKDTree(positions).query(positions, k=size)[1])

    def __call__(self, observed: np.ndarray, samples: np.ndarray) -> Pair:
        """Sums of the members."""
        return self._sum(observed), self._sum(samples)

    def _sum(self, paths: np.ndarray) -> np.ndarray:
        total = np.zeros((*paths.shape[:-2], len(self.members), paths.shape[-1]), paths.dtype)
        for member in self.members.T:
            total += paths[..., member, :]
        return total

    def peak(self, observed: np.ndarray, samples: np.ndarray) -> Pair:
        """(A,) highest step of each area."""
        return day_peak(*self(observed, samples))


def aggregates(positions: np.ndarray | None, count: int) -> dict[str, Aggregate]:
    """The aggregates that a city of `count` stations is scored on, by their names in a benchmark file.

    positions: (N, 2 or 3), None where nothing is known of places: then of areas only the whole network is scored.
    """
    chosen: dict[str, Aggregate] = {"step": step, "day_peak": day_peak, "day_total": day_total}
    if positions is not None:
        for size, least in LEAST_STATIONS.items():
            if count >= least:
                areas = Areas.around_each(positions, size)
                chosen[f"area_{size}"] = areas
                if size == max(LEAST_STATIONS):
                    chosen[f"area_{size}_peak"] = areas.peak
    chosen["area_all"] = whole_network
    return chosen


@dataclass
class AggregateScores:
    """Sums of what one aggregate scored over windows; those of two parts of the windows add up."""

    crps: float = 0.0
    volume: float = 0.0
    inside_50: int = 0
    inside_90: int = 0
    scored: int = 0
    by_day: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, observed: np.ndarray, samples: np.ndarray, day: str) -> None:
        """Add one window: observed (...), NaN = missing, samples (S, ...), the day it is counted to."""
        known = np.isfinite(observed)
        if not known.any():
            return
        observed, samples = observed[known], samples[:, known]
        low_90, low_50, high_50, high_90 = sample_quantiles(samples, [0.05, 0.25, 0.75, 0.95])
        score, volume = float(crps(observed, samples).sum()), float(np.abs(observed).sum())
        self.crps += score
        self.volume += volume
        self.inside_50 += int(((low_50 <= observed) & (observed <= high_50)).sum())
        self.inside_90 += int(((low_90 <= observed) & (observed <= high_90)).sum())
        self.scored += len(observed)
        self.by_day[day] = self.by_day.get(day, np.zeros(2)) + np.array([score, volume])

    def summary(self) -> dict[str, object]:
        """`ncrps`, the coverages and how many values were scored, as plain numbers."""
        count, volume = max(self.scored, 1), max(self.volume, 1e-12)
        return {
            "ncrps": self.crps / volume,
            "coverage_50": self.inside_50 / count,
            "coverage_90": self.inside_90 / count,
            "scored": self.scored,
            "ncrps_by_day": {day: float(part[0] / max(part[1], 1e-12)) for day, part in sorted(self.by_day.items())},
        }
