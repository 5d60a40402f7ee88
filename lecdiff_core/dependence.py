"""Dependence lent to samples that were drawn apart: the ranks of past days, or of a fitted Gaussian field.

What a forecast says of each station and step stays as it is, its samples are only put into another order, so that they belong
together (measurement protocol, version 2). *Schaake* (Clark et al. 2004): sample s gets the rank that past window s had.
*Gaussian*: the ranks of a Gaussian field, one correlation over the day shared by all stations, times a share of the whole network,
one that falls off with distance, and the station's own; all fitted to past windows by moments.

Both are what a joint model has to beat. Letters: W past windows, S samples, N stations, H steps.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.optimize import nnls
from scipy.special import ndtri

from lecdiff_core.city.windows import Panel, Windows
from lecdiff_core.fusion.graph import distance_graph
from lecdiff_core.models.yardsticks import AdaptiveClimatology

Dependence = Literal["own", "schaake", "gaussian"]
LEAST_WINDOWS = 20  # whole past windows, for ranks to be taken from
MOST_WINDOWS = 100
CLOCK_HOURS = 1.0  # by which the clock time of a past window may differ from the forecast's
FIRST_DAY = 3  # of the data from which past windows are compared with their climatology
LENGTHS = (
    0.25,
    0.5,
    1.0,
    2.0,
    4.0,
    8.0,
    16.0,
)  # tried for the fall with distance, in usual distances of nearest stations


def reorder(samples: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Samples (S, ...) in the order of `like` (S, ...), value by value."""
    ranks = like.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
    return np.take_along_axis(np.sort(samples, axis=0), ranks, axis=0)


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
        windows = Windows(panel, graph.edge_index, graph.edge_weight, model.context, model.horizon)
        every = max(1, panel.steps_per_day // 24)
        origins, departures = [], []
        for origin in range(FIRST_DAY * panel.steps_per_day, stop - model.horizon + 1, every):
            if not np.isfinite(panel.values[:, origin : origin + model.horizon]).all():
                continue
            batch = windows.batch(np.array([origin]))
            assert batch.future is not None
            with torch.no_grad():
                point = model.point(batch)
            root = point.clamp_min(1e-6 * float(point.mean()) + 1e-12).sqrt()
            origins.append(origin)
            departures.append(((batch.future - point) / root)[0].numpy())
        shape = (0, len(panel.station_ids), model.horizon)
        return cls(np.array(origins, int), np.stack(departures) if origins else np.empty(shape), panel.steps_per_day)

    def like(self, origin: int, samples: int, seed: int) -> np.ndarray | None:
        """(S, N, H) departures of the windows at the same clock time, the nearest in time first and repeated in order.

        Ties are broken by the seed. None where there are fewer than 20.
        """
        apart = (self.origins - origin) % self.steps_per_day
        apart = np.minimum(apart, self.steps_per_day - apart) * 24 / self.steps_per_day
        chosen = np.flatnonzero(apart <= CLOCK_HOURS + 1e-9)
        if len(chosen) < LEAST_WINDOWS:
            return None
        nearest = chosen[np.argsort(np.abs(self.origins[chosen] - origin), kind="stable")][:MOST_WINDOWS]
        template = self.departures[np.resize(nearest, samples)]
        ties = np.random.default_rng([seed, origin]).random(template.shape)
        return np.lexsort((ties, template), axis=0).argsort(axis=0).astype(float)


@dataclass(frozen=True)
class GaussianField:
    """Standard normal noise correlated over steps and stations: square roots of both correlations."""

    over_steps: np.ndarray  # (H, H)
    over_stations: np.ndarray  # (N, N)

    @classmethod
    def fit(cls, past: PastWindows, positions: np.ndarray, unit: float) -> "GaussianField | None":
        """By moments of the past windows' ranks as normal scores; None where there are fewer than 20.

        positions: (N, 2), NaN where no place is known.  unit: usual distance of nearest stations, in metres.
        """
        count = len(past.origins)
        if count < LEAST_WINDOWS:
            return None
        ranks = past.departures.argsort(axis=0).argsort(axis=0)
        scores = ndtri((ranks + 0.5) / count)
        scores /= scores.std()
        over_steps = np.einsum("wnh,wnj->hj", scores, scores) / (count * scores.shape[1])
        over_stations = _of_distance(
            np.einsum("wnh,wmh->nm", scores, scores) / (count * scores.shape[2]), positions, unit
        )
        return cls(_root(over_steps), _root(over_stations))

    def draw(self, origin: int, samples: int, seed: int) -> np.ndarray:
        """(S, N, H)."""
        white = np.random.default_rng([seed, origin]).standard_normal(
            (samples, len(self.over_stations), len(self.over_steps))
        )
        return np.einsum("nm,smj,hj->snh", self.over_stations, white, self.over_steps, optimize=True)


def _of_distance(observed: np.ndarray, positions: np.ndarray, unit: float) -> np.ndarray:
    """(N, N) the network's share, one that falls exponentially with distance, and one's own, nearest to what was observed."""
    count = len(observed)
    pairs = np.triu_indices(count, 1)
    if not len(pairs[0]):
        return np.eye(count)
    known = not np.isnan(positions).any()
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
    return vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
