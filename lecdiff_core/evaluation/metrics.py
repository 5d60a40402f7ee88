"""Scores of sampled forecasts, on the original scale; a missing observation counts nowhere.

Shapes: observed (..., ) with NaN = missing, samples (S, ...). What is added up over windows is in scores.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

ENERGY_ROWS = 32  # at a time, so that their pairwise distances stay in the processor's cache
BOOTSTRAP_DRAWS, BOOTSTRAP_SEED = 2000, 0


@dataclass(frozen=True)
class OrderedSamples:
    """The samples of each value in ascending order, (..., S): sorted once, scored in many ways."""

    values: np.ndarray

    @classmethod
    def of(cls, paths: np.ndarray) -> "OrderedSamples":
        """From samples in the last axis (..., S), in any order."""
        return cls(np.sort(paths, axis=-1))

    def quantiles(self, levels: Sequence[float]) -> np.ndarray:
        """(levels, ...), see `sample_quantiles`."""
        count = self.values.shape[-1]
        place = np.clip(np.asarray(levels) * (count + 1) - 1, 0, count - 1)
        below = place.astype(int)
        above = np.minimum(below + 1, count - 1)
        low, high = (np.moveaxis(self.values[..., index], -1, 0).astype(float) for index in (below, above))
        share = (place - below).reshape(-1, *[1] * (self.values.ndim - 1))
        return low + share * (high - low)

    @cached_property
    def mean(self) -> np.ndarray:
        """(...)."""
        return self.values.mean(-1)

    @property
    def median(self) -> np.ndarray:
        """(...)."""
        return np.asarray(self.quantiles([0.5])[0])

    def crps(self, observed: np.ndarray) -> np.ndarray:
        """See `crps`; NaN where nothing was observed."""
        import scoringrules

        return np.asarray(
            scoringrules.crps_ensemble(observed, self.values, sorted_ensemble=True, estimator="pwm", backend="numpy")
        )

    def above(self, threshold: np.ndarray) -> "OrderedSamples":
        """What is below a threshold (...) raised to it."""
        return OrderedSamples(np.maximum(self.values, threshold[..., None]))

    def at(self, index: np.ndarray | slice) -> "OrderedSamples":
        """Some of the values, by a mask, by indices or by a slice."""
        return OrderedSamples(self.values[index])

    def in_order(self, ranks: np.ndarray) -> np.ndarray:
        """The same samples in an order lent by ranks (..., S), from 0 to S - 1."""
        return np.take_along_axis(self.values, ranks, axis=-1)


def sample_quantiles(samples: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Quantiles over the first axis, (levels, …), unbiased in rank: a new draw lies below the q-quantile with probability q.

    (Weibull's plotting position. The usual interpolation gives intervals from 100 samples that cover 88 % instead of 90 %.)
    """
    return OrderedSamples.of(samples_last(samples)).quantiles(levels)


def half_widths(low: np.ndarray, middle: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far an interval reaches below and above its median, each at least a thousandth of the mean median."""
    floor = 1e-3 * max(float(middle.mean()), 1e-9)
    return np.maximum(middle - low, floor), np.maximum(high - middle, floor)


def samples_last(samples: np.ndarray) -> np.ndarray:
    """(S, ...) as (..., S), one after another in memory."""
    return np.ascontiguousarray(np.moveaxis(samples, 0, -1))


def ranks_of(paths: np.ndarray) -> np.ndarray:
    """Rank of each sample among the others of its value, (..., S), from 0; equal ones in the order they come."""
    order = paths.argsort(axis=-1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(paths.shape[-1]), axis=-1)
    return ranks


def crps(observed: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Continuous ranked probability score from samples, fair estimator (Ferro 2014); NaN where nothing was observed.

    Computed by probability-weighted moments, which is the same number in S log S instead of S².
    """
    return OrderedSamples.of(samples_last(samples)).crps(observed)


def threshold_crps(observed: np.ndarray, ordered: OrderedSamples, threshold: np.ndarray) -> np.ndarray:
    """Threshold-weighted CRPS, which counts only what lies above a threshold (Allen, Ginsbourger & Ziegel 2023).

    observed, threshold: (...), NaN = missing.  Zero where neither observation nor samples reach the threshold.
    """
    reached = np.maximum(observed, ordered.values[..., -1]) > threshold
    scores = np.where(np.isfinite(observed + threshold), 0.0, np.nan)
    scores[reached] = ordered.at(reached).above(threshold[reached]).crps(np.maximum(observed, threshold)[reached])
    return scores


def energy_score(observed: np.ndarray, paths: np.ndarray) -> np.ndarray:
    """Energy score of vectors, fair estimator: observed (M, H), samples last (M, H, S) → (M,). Missing parts are left out."""
    return np.concatenate(
        [
            _energy_score(observed[start : start + ENERGY_ROWS], paths[start : start + ENERGY_ROWS])
            for start in range(0, len(observed), ENERGY_ROWS)
        ]
        or [np.empty(0)]
    )


def _energy_score(observed: np.ndarray, paths: np.ndarray) -> np.ndarray:
    known = np.isfinite(observed)[..., None]
    count = paths.shape[-1]
    centre = paths.mean(-1, keepdims=True)  # distances are small beside the level, which would eat their digits
    spread = np.where(known, paths - centre, 0.0)
    to_observed = np.where(known, observed[..., None] - centre, 0.0) - spread
    accuracy = np.sqrt(np.einsum("mhs,mhs->ms", to_observed, to_observed)).mean(-1)
    squares = np.einsum("mhs,mhs->ms", spread, spread)
    distances = spread.swapaxes(-1, -2) @ spread
    distances *= -2
    distances += squares[:, :, None]
    distances += squares[:, None, :]
    np.maximum(distances, 0.0, out=distances)
    np.sqrt(distances, out=distances)
    distances[:, range(count), range(count)] = 0.0
    return accuracy - distances.sum((1, 2), dtype=float) / (2 * count * (count - 1))


def interval_score(observed: np.ndarray, lower: np.ndarray, upper: np.ndarray, coverage: float) -> np.ndarray:
    """Width plus penalty for observations outside (Gneiting & Raftery 2007, eq. 43)."""
    miss = np.maximum(lower - observed, 0) + np.maximum(observed - upper, 0)
    return upper - lower + 2 / (1 - coverage) * miss


def bootstrap_interval(inside: np.ndarray, count: np.ndarray, confidence: float = 0.95) -> tuple[float, float] | None:
    """Interval of a coverage Σ inside / Σ count by a bootstrap of blocks, here days with all stations together.

    inside, count: (D,) of each block.  Percentiles of the resampled coverage, expanded for few blocks as Student's interval is
    beside the normal one (Hesterberg 2015, "What teachers should know about the bootstrap"). None with less than two blocks.
    """
    from scipy.special import ndtr, stdtrit

    blocks = len(count)
    if blocks < 2:
        return None
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    times = rng.multinomial(blocks, np.full(blocks, 1 / blocks), size=BOOTSTRAP_DRAWS)
    covered = (times @ inside) / np.maximum(times @ count, 1e-12)
    tail = (1 - confidence) / 2
    expanded = float(ndtr(stdtrit(blocks - 1, tail) * np.sqrt(blocks / (blocks - 1))))
    low, high = np.quantile(covered, [expanded, 1 - expanded])
    return float(low), float(high)
