"""Dependence lent to samples that were drawn apart: the ranks of past days, or of a fitted Gaussian field.

What a forecast says of each station and step stays as it is, its samples are only put into another order, so that they belong
together (measurement protocol, version 2). *Schaake* (Clark et al. 2004): sample s gets the rank that past window s had.
*Gaussian*: the ranks of a Gaussian field, one correlation over the day shared by all stations, times a share of the whole network,
one that falls off with distance, and the station's own; all fitted to past windows by moments.

Both are what a joint model has to beat. Letters: W past windows, S samples, N stations, H steps.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import nnls
from scipy.special import ndtri

from lecdiff_core.city.graph import distance_graph
from lecdiff_core.city.panel import Panel, usual_distance
from lecdiff_core.city.windows import Windows
from lecdiff_core.evaluation.metrics import ranks_of
from lecdiff_core.evaluation.scores import Dependence
from lecdiff_core.models.yardsticks import AdaptiveClimatology

LENT: tuple[Dependence, ...] = ("schaake", "gaussian")
LEAST_WINDOWS = 20  # whole past windows, for ranks to be taken from
MOST_WINDOWS = 100
CLOCK_HOURS = 1.0  # by which the clock time of a past window may differ from the forecast's
FIRST_DAY = 3  # of the data from which past windows are compared with their climatology
WINDOWS_AT_ONCE = 8
LENGTHS = (
    0.25,
    0.5,
    1.0,
    2.0,
    4.0,
    8.0,
    16.0,
)  # of the fall with distance that are tried, in usual distances of nearest


@dataclass(frozen=True)
class PastWindows:
    """Whole windows of the past: origins (W,), and (observed - adaptive climatology) / its root, (W, N, H)."""

    origins: np.ndarray
    departures: np.ndarray
    steps_per_day: int

    @classmethod
    def of(cls, panel: Panel, stop: int) -> "PastWindows":
        """All whole windows that end before step `stop`, one an hour of clock time or one a step where steps are longer."""
        model = AdaptiveClimatology(panel.steps_per_day)
        graph = distance_graph(panel.positions)
        windows = Windows(panel, graph, model.context, model.horizon)
        every = max(1, panel.steps_per_day // 24)
        missing = ~np.isfinite(panel.values).all(0)
        origins = np.array(
            [
                origin
                for origin in range(FIRST_DAY * panel.steps_per_day, stop - model.horizon + 1, every)
                if not missing[origin : origin + model.horizon].any()
            ],
            int,
        )
        departures = [np.empty((0, len(panel.station_ids), model.horizon), np.float32)]
        for batch in windows.batches(origins, WINDOWS_AT_ONCE):
            assert batch.future is not None
            with torch.no_grad():
                point = model.point(batch)
            floor = 1e-6 * point.mean(dim=(1, 2), keepdim=True) + 1e-12
            departures.append(((batch.future - point) / point.maximum(floor).sqrt()).numpy())
        return cls(origins, np.concatenate(departures), panel.steps_per_day)

    def before(self, stop: int) -> "PastWindows":
        """Those that end before step `stop`."""
        count = int(np.searchsorted(self.origins + self.departures.shape[2], stop, side="right"))
        return PastWindows(self.origins[:count], self.departures[:count], self.steps_per_day)

    def alike(self, origin: int) -> np.ndarray | None:
        """Indices of windows at the clock time of an origin, the nearest in time first; None where there are fewer than 20."""
        apart = (self.origins - origin) % self.steps_per_day
        apart = np.minimum(apart, self.steps_per_day - apart) * 24 / self.steps_per_day
        chosen = np.flatnonzero(apart <= CLOCK_HOURS + 1e-9)
        if len(chosen) < LEAST_WINDOWS:
            return None
        return chosen[np.argsort(np.abs(self.origins[chosen] - origin), kind="stable")][:MOST_WINDOWS]

    def ranks(self, origin: int, samples: int, seed: int) -> np.ndarray | None:
        """Ranks (N, H, S) of the windows alike, repeated in order; ties are broken by the seed. None where there are too few."""
        alike = self.alike(origin)
        if alike is None:
            return None
        shuffled = np.random.default_rng([seed, origin]).permutation(samples)
        template = self.departures[np.resize(alike, samples)[shuffled]]
        ranks = ranks_of(np.ascontiguousarray(np.moveaxis(template, 0, -1)))
        return ranks[..., shuffled.argsort()]


@dataclass(frozen=True)
class GaussianField:
    """Standard normal noise correlated over steps and stations: square roots of both correlations."""

    over_steps: np.ndarray  # (H, H)
    over_stations: np.ndarray  # (N, N)

    @classmethod
    def fit(cls, past: PastWindows, positions: np.ndarray) -> "GaussianField | None":
        """By moments of the past windows' ranks as normal scores; None where there are fewer than 20.

        positions: (N, 2) in metres, NaN where no place is known.
        """
        count, stations, steps = past.departures.shape
        if count < LEAST_WINDOWS:
            return None
        ranks = ranks_of(np.ascontiguousarray(np.moveaxis(past.departures, 0, -1)))
        scores = ndtri((ranks + 0.5) / count).astype(np.float32)  # (N, H, W)
        scores /= scores.std()
        by_step, by_station = scores.swapaxes(0, 1).reshape(steps, -1), scores.reshape(stations, -1)
        over_steps = by_step @ by_step.T / (count * stations)
        over_stations = _of_distance(by_station @ by_station.T / (count * steps), positions)
        return cls(_root(over_steps), _root(over_stations))

    def ranks(self, origin: int, samples: int, seed: int) -> np.ndarray:
        """Ranks (N, H, S) of one draw."""
        stations, steps = len(self.over_stations), len(self.over_steps)
        white = np.random.default_rng([seed, origin]).standard_normal((stations, samples, steps), np.float32)
        along_the_day = white @ self.over_steps
        tied = (self.over_stations @ along_the_day.reshape(stations, -1)).reshape(stations, samples, steps)
        return ranks_of(np.ascontiguousarray(tied.swapaxes(1, 2)))


def _of_distance(observed: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """(N, N) the network's share, one that falls exponentially with distance, and one's own, nearest to what was observed."""
    count = len(observed)
    pairs = np.triu_indices(count, 1)
    if not len(pairs[0]):
        return np.eye(count)
    known = not np.isnan(positions).any()
    unit = usual_distance(positions) if known else 1.0
    distance = np.linalg.norm(positions[:, None] - positions, axis=2) if known else np.zeros((count, count))
    best, chosen = np.inf, np.eye(count)
    for length in LENGTHS if known else (0.0,):
        falling = np.exp(-distance / (length * unit)) if known else np.zeros((count, count))
        columns = np.stack([np.ones(len(pairs[0])), falling[pairs]], axis=1)
        shares, miss = nnls(columns, observed[pairs])
        shares /= max(1.0, shares.sum())
        if miss < best:
            best = miss
            chosen = shares[0] + shares[1] * falling + (1 - shares.sum()) * np.eye(count)
            np.fill_diagonal(chosen, 1.0)
    return chosen


def _root(correlation: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(correlation)
    return (vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T).astype(np.float32)


@dataclass(frozen=True)
class Lender:
    """Lends dependence to the forecasts of a city: from whole windows before a step, and from the field fitted to them.

    names: what it lends.
    """

    past: PastWindows
    field: GaussianField | None
    names: frozenset[Dependence] = frozenset(LENT)

    @classmethod
    def before(cls, past: PastWindows, stop: int, positions: np.ndarray) -> "Lender":
        """From the past windows that end before step `stop`. positions: (N, 2), NaN where no place is known."""
        known = past.before(stop)
        return cls(known, GaussianField.fit(known, positions))

    def able(self, origins: np.ndarray) -> frozenset[Dependence]:
        """What it can lend to the forecasts at all of these origins."""
        alike = all(self.past.alike(int(origin)) is not None for origin in origins)
        can: dict[Dependence, bool] = {"schaake": alike, "gaussian": self.field is not None}
        return frozenset(name for name in LENT if can[name])

    def ranks(self, origin: int, samples: int, seed: int) -> dict[Dependence, np.ndarray]:
        """Ranks (N, H, S) under each dependence that it lends."""
        lenders: dict[Dependence, PastWindows | GaussianField | None] = {"schaake": self.past, "gaussian": self.field}
        asked = {name: lender for name, lender in lenders.items() if name in self.names and lender is not None}
        ranks_by_name = {name: lender.ranks(origin, samples, seed) for name, lender in asked.items()}
        return {name: ranks for name, ranks in ranks_by_name.items() if ranks is not None}
