"""Online conformal calibration: samples are moved so that intervals hold what they would have held in the city's last days.

Every observation gets a score: how far out it lay in the forecast made for it, in normal deviates, read between that forecast's
quantiles (`LEVELS`), and beyond the outer two on the scale of their distance from the median. Scores of past forecasts are counted
on a fixed grid by decile of load, older ones for less. Their quantiles say how far a coming forecast's quantiles have to go from
its median: those of a decile are drawn to the pooled ones, and these to a calibrated forecast's, the more the less is known.
The median stays. Samples between two quantiles follow linearly, those beyond keep the stretch of their tail, and all keep their
order, so that sums and peaks follow.

Scaled scores are those of conformalised quantile regression (Romano et al. 2019, https://arxiv.org/abs/1905.03222); following what
comes is Gibbs & Candès 2021 (https://arxiv.org/abs/2106.00170) with a memory in place of a rate.

Letters: N stations, H steps of a forecast, P steps a day, S samples (last), Q quantiles.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtri

from lecdiff_core.evaluation.metrics import OrderedSamples
from lecdiff_core.evaluation.scores import DECILES, LEVELS, Sums

DEVIATES = ndtri(np.array(LEVELS))  # what the quantiles of a calibrated forecast's scores are
MIDDLE = LEVELS.index(0.5)
GRID = np.linspace(-8.0, 8.0, 321)  # edges of the bins that scores are counted in
BINS = len(GRID) - 1
MEMORY_DAYS = 14.0
HALF_DAYS = 3.0  # of many stations, with which scores count half
HALF_SCORES = 1000  # with which they count half though they are of many days
MOST_STRETCH = 3.0
PARTS_OF_A_TIE = 8
ROWS = 32  # stations at a time, so that their samples stay in the processor's cache


@dataclass
class ScoreCounts(Sums):
    """How often scores fell into each bin, by decile of load, (10, BINS); those of parts of a network add up.

    a_day: what a whole day of all its forecasts would count.
    """

    by_decile: np.ndarray = field(default_factory=lambda: np.zeros((DECILES, BINS)))
    a_day: float = 0.0

    def add(self, scores: np.ndarray, weights: np.ndarray, deciles: np.ndarray) -> None:
        """Count scores (M,) by their weight (M,) and decile (M,)."""
        bins = np.clip(np.searchsorted(GRID, scores) - 1, 0, BINS - 1)
        self.by_decile += np.bincount(deciles * BINS + bins, weights, DECILES * BINS).reshape(DECILES, BINS)

    def forget(self, share: float) -> None:
        """Keep only a share of what was counted so far."""
        self.by_decile *= share

    def places(self) -> np.ndarray:
        """Deviates that the quantiles of a forecast have to go to, by decile: (10, Q)."""
        counted = self.by_decile.sum(0, keepdims=True)
        pooled = _quantiles(counted)
        apart = self._known(self.by_decile) * (_quantiles(self.by_decile) - pooled)
        return _bounded(DEVIATES + self._known(counted) * (pooled - DEVIATES) + apart)

    def _known(self, counts: np.ndarray) -> np.ndarray:
        """How far the quantiles of each group (G, BINS) count, (G, 1): wholly where there are many scores of many days."""
        total = np.maximum(counts.sum(1, keepdims=True), 1e-12)
        days = total * len(counts) / max(self.a_day, 1e-12)
        return np.asarray(1 / (1 + HALF_DAYS / days + HALF_SCORES / total))


def _quantiles(counts: np.ndarray) -> np.ndarray:
    """Quantiles of counted scores (G, BINS), (G, Q); those of a calibrated forecast where nothing was counted."""
    total = np.concatenate([np.zeros((len(counts), 1)), counts.cumsum(1)], axis=1)
    return np.stack([np.interp(LEVELS, row / row[-1], GRID) if row[-1] > 0 else DEVIATES for row in total])


def _bounded(places: np.ndarray) -> np.ndarray:
    """Deviates (..., Q) in ascending order around an unmoved median, no two of them stretched apart or pushed together too far."""
    places = places.copy()
    places[..., MIDDLE] = 0.0
    usual = np.diff(DEVIATES)
    gaps = np.clip(np.diff(places), usual / MOST_STRETCH, usual * MOST_STRETCH)
    below, above = gaps[..., :MIDDLE][..., ::-1].cumsum(-1)[..., ::-1], gaps[..., MIDDLE:].cumsum(-1)
    return np.concatenate([-below, places[..., MIDDLE, None], above], axis=-1)


@dataclass(frozen=True)
class CalibrationMap:
    """Where the quantiles of a forecast go. edges: (9,) traffic between deciles of load.  places: (10, Q) deviates."""

    edges: np.ndarray
    places: np.ndarray

    def apply(self, paths: np.ndarray) -> np.ndarray:
        """Samples (N, H, S) moved, in the same order and never negative."""
        moved = np.empty_like(paths)
        for rows in _blocks(len(paths)):
            moved[rows] = self._moved(paths[rows], OrderedSamples.of(paths[rows]))
        return moved

    def of_ordered(self, ordered: OrderedSamples) -> OrderedSamples:
        """The same of samples that have been put in order."""
        moved = np.empty_like(ordered.values)
        for rows in _blocks(len(moved)):
            moved[rows] = self._moved(ordered.values[rows], ordered.at(rows))
        return OrderedSamples(moved)

    def _moved(self, paths: np.ndarray, ordered: OrderedSamples) -> np.ndarray:
        quantiles = ordered.quantiles(LEVELS)
        places = self.places[np.searchsorted(self.edges, quantiles[MIDDLE])]
        target = _at_deviates(np.moveaxis(places, -1, 0), quantiles)
        return _moved(paths, quantiles.astype(paths.dtype), target.astype(paths.dtype))


def _blocks(stations: int) -> Iterator[slice]:
    return (slice(start, start + ROWS) for start in range(0, stations, ROWS))


def _tail(quantiles: np.ndarray, end: int) -> np.ndarray:
    """Traffic a deviate beyond the lowest (0) or the highest (-1) of the quantiles (Q, ...)."""
    return np.asarray((quantiles[end] - quantiles[MIDDLE]) / DEVIATES[end])


def _at_deviates(deviates: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """Traffic (..., N, H) at deviates of forecasts with these quantiles (Q, N, H)."""
    traffic = quantiles[0] + np.minimum(deviates - DEVIATES[0], 0.0) * _tail(quantiles, 0)
    for low in range(len(LEVELS) - 1):
        width = DEVIATES[low + 1] - DEVIATES[low]
        traffic = traffic + np.clip((deviates - DEVIATES[low]) / width, 0.0, 1.0) * (
            quantiles[low + 1] - quantiles[low]
        )
    return np.asarray(traffic + np.maximum(deviates - DEVIATES[-1], 0.0) * _tail(quantiles, -1))


def _moved(paths: np.ndarray, quantiles: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Samples (N, H, S) moved as their quantiles (Q, N, H) move to `target`, linearly between."""
    moved, part = np.empty_like(paths), np.empty_like(paths)
    for end, one_side in ((0, np.minimum), (-1, np.maximum)):
        reach, wanted = quantiles[end] - quantiles[MIDDLE], target[end] - target[MIDDLE]
        stretch = np.divide(wanted, reach, out=np.ones_like(reach), where=reach != 0)
        np.subtract(paths, quantiles[end][..., None], out=part)
        one_side(part, 0, out=part)
        part *= np.clip(stretch, 1 / MOST_STRETCH, MOST_STRETCH)[..., None]
        np.add(target[0][..., None] if end == 0 else moved, part, out=moved)
    for low in range(len(LEVELS) - 1):
        width = quantiles[low + 1] - quantiles[low]
        slope = np.divide(target[low + 1] - target[low], width, out=np.zeros_like(width), where=width > 0)
        np.maximum(paths, quantiles[low][..., None], out=part)
        np.minimum(part, quantiles[low + 1][..., None], out=part)
        part -= quantiles[low][..., None]
        part *= slope[..., None]
        moved += part
    return np.maximum(moved, 0, out=moved)


@dataclass
class _Waiting:
    """A forecast whose outcome is not all known: quantiles (Q, N, H); the first `seen` steps are counted."""

    origin: int
    quantiles: np.ndarray
    seen: int = 0


@dataclass
class Calibration:
    """Follows forecasts of the same N stations, one after another, and what was observed; gives the map for the next.

    edges: (9,) traffic between deciles of load.  steps_per_day: P.  origins_a_day: how many forecasts are made a day.
    """

    edges: np.ndarray
    steps_per_day: int
    origins_a_day: float
    counts: ScoreCounts = field(default_factory=ScoreCounts)
    now: int = 0
    waiting: list[_Waiting] = field(default_factory=list)

    @classmethod
    def after(cls, history: np.ndarray, steps_per_day: int, origins_a_day: float) -> "Calibration":
        """With deciles of load from the traffic (N, T) of the calibrated stations before their first forecast, NaN = missing."""
        known = history[np.isfinite(history)]
        edges = np.quantile(known, np.arange(1, DECILES) / DECILES) if len(known) else np.zeros(DECILES - 1)
        counts = ScoreCounts(a_day=len(history) * steps_per_day * origins_a_day)
        return cls(edges, steps_per_day, origins_a_day, counts)

    def add(self, origin: int, ordered: OrderedSamples) -> None:
        """Add a forecast from a step on: samples (N, H, S)."""
        self.waiting.append(_Waiting(origin, ordered.quantiles(LEVELS)))

    def observe(self, values: np.ndarray) -> None:
        """Count what was observed until now: traffic (N, t) before step t, NaN = missing."""
        now = values.shape[1]
        memory = MEMORY_DAYS * self.steps_per_day
        self.counts.forget(float(np.exp((self.now - now) / memory)))
        self.now = now
        for forecast in self.waiting:
            upto = min(now - forecast.origin, forecast.quantiles.shape[2])
            steps = slice(forecast.seen, max(upto, forecast.seen))
            observed = values[:, forecast.origin + steps.start : forecast.origin + steps.stop]
            weights = np.exp((forecast.origin + np.arange(steps.start, steps.stop) - now) / memory)
            self._count(observed, forecast.quantiles[:, :, steps], weights)
            forecast.seen = steps.stop
        self.waiting = [forecast for forecast in self.waiting if forecast.seen < forecast.quantiles.shape[2]]

    def map(self) -> CalibrationMap | None:
        """The map for a forecast made now; None where no outcome is known."""
        return CalibrationMap(self.edges, self.counts.places()) if self.counts.by_decile.any() else None

    def _count(self, observed: np.ndarray, quantiles: np.ndarray, weights: np.ndarray) -> None:
        """Count observations (N, h) of forecasts with quantiles (Q, N, h), at steps with weights (h,)."""
        deciles = np.searchsorted(self.edges, quantiles[MIDDLE])
        tied = np.isfinite(observed) & ((quantiles == observed).sum(0) > 1)
        single = np.isfinite(observed) & ~tied
        for known, score in ((single, _score), (tied, _scores_of_tie)):
            scores = score(observed[known], quantiles[:, known])
            weight = weights[np.nonzero(known)[1]] / len(scores)
            self.counts.add(scores.ravel(), np.tile(weight, len(scores)), np.tile(deciles[known], len(scores)))


def _score(observed: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """(1, M) deviates at which observations (M,) lay in forecasts with quantiles (Q, M)."""
    low, high = (_ratio(observed - quantiles[end], _tail(quantiles, end)) for end in (0, -1))
    deviates = DEVIATES[0] + np.minimum(low, 0.0) + np.maximum(high, 0.0)
    for lower in range(len(LEVELS) - 1):
        width = quantiles[lower + 1] - quantiles[lower]
        share = np.clip(_ratio(observed - quantiles[lower], width), 0.0, 1.0)
        deviates = deviates + share * (DEVIATES[lower + 1] - DEVIATES[lower])
    return np.asarray(np.clip(deviates, GRID[0], GRID[-1])[None])


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """A ratio; of nothing, infinite with the sign of the part."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.asarray(np.nan_to_num(part / whole, nan=0.0, posinf=2 * GRID[-1], neginf=2 * GRID[0]))


def _scores_of_tie(observed: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """(parts, M) deviates spread evenly over the ranks that samples share which equal the observation, as many zeros do."""
    equal = quantiles == observed
    levels = np.array(LEVELS)
    first, last = equal.argmax(0), len(LEVELS) - 1 - equal[::-1].argmax(0)
    lowest = np.where(first == 0, 0.0, levels[first])
    highest = np.where(last == len(LEVELS) - 1, 1.0, levels[last])
    share = ((np.arange(PARTS_OF_A_TIE) + 0.5) / PARTS_OF_A_TIE)[:, None]
    return np.asarray(ndtri(lowest + share * (highest - lowest)))
