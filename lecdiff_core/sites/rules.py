"""How the known stations speak of a place: as weights of their levels and of the shapes of their days.

`regressed` weighs them by likeness of surroundings and nearness (regression.py); the yardsticks beside it are what one would do
without: the mean of the city, the nearest station, the stations that look most alike. All of them go through the same samples.

Letters: N known places, M places asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lecdiff_core.sites.regression import Kernel, Places, Regression, Scale, distances_between, fitted_kernel

LOOKALIKES = 8  # that speak for a place by their likeness alone
SHAPES = 6  # principal components of the known days' shapes that their kernel is fitted on


@dataclass(frozen=True)
class Weights:
    """What each known place counts for M others, as departures from the mean of all.

    level, shape: (M, N).  spread: (M,) of the log of the level, in a unit that the errors at the known places are taken in, too.
    """

    level: np.ndarray
    spread: np.ndarray
    shape: np.ndarray


# Weights for places; for None, those by which the others speak of each known place.
Rule = Callable[[Places | None], Weights]


@dataclass(frozen=True)
class Kernels:
    """What was fitted: a kernel for the level, one for the shape of the day, and the units of distance."""

    level: Kernel
    shape: Kernel
    scale: Scale


def fitted_kernels(known: Places, scale: Scale, log_level: np.ndarray, shape: np.ndarray) -> Kernels:
    """Kernels for the level (N,) and the shape (N, H) of known places, by marginal likelihood."""
    distances = distances_between(known, known, scale)
    centred = shape - shape.mean(0)
    components = np.linalg.eigh(centred.T @ centred)[1][:, -SHAPES:]
    level = fitted_kernel(distances, (log_level - log_level.mean())[:, None])
    return Kernels(level, fitted_kernel(distances, centred @ components), scale)


@dataclass(frozen=True)
class Regressed:
    """The known places, weighed by kernels.  variance: of their log levels."""

    kernels: Kernels
    known: Places
    variance: float

    def __call__(self, asked: Places | None) -> Weights:
        """See `Rule`."""
        if asked is None:
            spread = np.sqrt(self.variance * self._level.others_variance)
            return Weights(self._level.others, spread, self._shape.others)
        distances = distances_between(asked, self.known, self.kernels.scale)
        level, shape = (
            part.kernel.covariance(distances, asked.count, self.known.count) for part in (self._level, self._shape)
        )
        spread = np.sqrt(self.variance * self._level.variance(level))
        return Weights(self._level.weights(level), spread, self._shape.weights(shape))

    def spread_of_change(self, both: Places) -> float:
        """Of the log of the level from the second of two places to the first: how unsure the difference is."""
        kernel = self.kernels.level
        among = kernel.covariance(distances_between(both, both, self.kernels.scale), 2, 2)
        between = kernel.covariance(distances_between(both, self.known, self.kernels.scale), 2, self.known.count)
        left = among - self._level.weights(between) @ between.T
        return float(np.sqrt(self.variance * max(left[0, 0] + left[1, 1] - left[0, 1] - left[1, 0], 0.0)))

    @cached_property
    def _distances(self) -> dict[str, np.ndarray]:
        return distances_between(self.known, self.known, self.kernels.scale)

    @cached_property
    def _level(self) -> Regression:
        return Regression(self.kernels.level, self._distances, self.known.count)

    @cached_property
    def _shape(self) -> Regression:
        return Regression(self.kernels.shape, self._distances, self.known.count)


@dataclass(frozen=True)
class MeanOfAll:
    """Every place is like the mean of the known ones."""

    known: Places

    def __call__(self, asked: Places | None) -> Weights:
        """See `Rule`."""
        count = self.known.count if asked is None else asked.count
        nothing = np.zeros((count, self.known.count))
        return Weights(nothing, np.ones(count), nothing)


@dataclass(frozen=True)
class Closest:
    """Every place is like the mean of the few known ones closest to it. kind: "alike" in surroundings, "near" on the ground."""

    known: Places
    kind: str
    few: int

    def __call__(self, asked: Places | None) -> Weights:
        """See `Rule`."""
        distances = distances_between(asked or self.known, self.known, Scale(1.0, 1.0))[self.kind]
        if asked is None:
            np.fill_diagonal(distances, np.inf)
        few = min(self.few, self.known.count - (asked is None))
        weights = np.zeros_like(distances)
        np.put_along_axis(weights, np.argsort(distances, axis=1, kind="stable")[:, :few], 1 / few, axis=1)
        return Weights(weights, np.ones(len(weights)), weights)
