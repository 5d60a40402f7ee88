"""Split-conformal widening: intervals stretched around the median until they cover what they promise on validation.

Romano et al. 2019 (https://arxiv.org/abs/1905.03222), in its scaled form: the score of an observation is its distance from the
median over the distance of the interval's bound on that side.
"""

from dataclasses import dataclass

import numpy as np

from lecdiff_core.metrics import OrderedSamples

COVERAGES = (0.5, 0.9)


@dataclass
class ConformalScores:
    """Scores of validation windows, gathered one window after another."""

    scores: dict[float, list[np.ndarray]]

    @classmethod
    def empty(cls) -> "ConformalScores":
        """No window yet."""
        return cls({coverage: [] for coverage in COVERAGES})

    def add(self, observed: np.ndarray, samples: OrderedSamples) -> None:
        """Add a window: observed (N, H) with NaN = missing, samples (N, H, S)."""
        median = samples.median
        known = np.isfinite(observed)
        for coverage in COVERAGES:
            lower, upper = samples.quantiles([0.5 - coverage / 2, 0.5 + coverage / 2])
            reach = np.where(observed < median, median - lower, upper - median)
            floor = 1e-6 * max(float(np.abs(median).mean()), 1e-12)
            self.scores[coverage].append((np.abs(observed - median) / np.maximum(reach, floor))[known])

    def widening(self) -> "Widening":
        """The factors by which the 50 % and the 90 % interval are to be stretched."""
        factors = []
        for coverage in COVERAGES:
            scores = np.concatenate(self.scores[coverage]) if self.scores[coverage] else np.empty(0)
            level = min(1.0, coverage * (1 + 1 / max(len(scores), 1)))
            factors.append(float(np.quantile(scores, level)) if len(scores) else 1.0)
        return Widening(*factors)


@dataclass(frozen=True)
class Widening:
    """Factors for the 50 % and the 90 % interval; ranks between and beyond are stretched by interpolation."""

    factor_50: float
    factor_90: float

    def apply(self, samples: OrderedSamples) -> OrderedSamples:
        """Stretched samples (..., S), never negative."""
        count = samples.values.shape[-1]
        depth = np.abs((np.arange(count) + 0.5) / count - 0.5) * 2
        factor = np.interp(depth, COVERAGES, (self.factor_50, self.factor_90)).astype(samples.values.dtype)
        median = samples.median[..., None].astype(samples.values.dtype)
        return OrderedSamples.of(np.maximum(median + (samples.values - median) * factor, 0.0))
