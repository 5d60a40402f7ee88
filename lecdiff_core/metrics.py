"""Scores of sampled forecasts, on the original scale; a missing observation counts nowhere.

Shapes: observed (..., ) with NaN = missing, samples (S, ...).
"""

from dataclasses import dataclass, field

import numpy as np

PIT_BINS = 20


def sample_quantiles(samples: np.ndarray, levels: list[float]) -> np.ndarray:
    """Quantiles over the first axis, (levels, …), unbiased in rank: a new draw lies below the q-quantile with probability q.

    (Weibull's plotting position. The usual interpolation gives intervals from 100 samples that cover 88 % instead of 90 %.)
    """
    return np.quantile(samples, levels, axis=0, method="weibull")


def crps(observed: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Continuous ranked probability score from samples, fair estimator (Ferro 2014); NaN where nothing was observed.

    Computed by probability-weighted moments, which is the same number in S log S instead of S².
    """
    import scoringrules

    return np.asarray(scoringrules.crps_ensemble(observed, samples, m_axis=0, estimator="pwm", backend="numpy"))


def energy_score(observed: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Energy score of paths, fair estimator: observed (M, H), samples (S, M, H) → (M,). Missing steps are left out."""
    known = np.isfinite(observed)
    to_observed = np.where(known, samples - observed, 0.0)
    spread = np.where(known, samples, 0.0)
    count = len(samples)
    accuracy = np.sqrt((to_observed**2).sum(-1)).mean(0)
    squares = (spread**2).sum(-1)
    scores = np.empty(len(observed))
    for row in range(len(observed)):
        product = spread[:, row] @ spread[:, row].T
        distance = np.sqrt(np.maximum(squares[:, row, None] + squares[None, :, row] - 2 * product, 0.0))
        scores[row] = accuracy[row] - distance.sum() / (2 * count * (count - 1))
    return scores


def interval_score(observed: np.ndarray, lower: np.ndarray, upper: np.ndarray, coverage: float) -> np.ndarray:
    """Width plus penalty for observations outside (Gneiting & Raftery 2007, eq. 43)."""
    miss = np.maximum(lower - observed, 0) + np.maximum(observed - upper, 0)
    return upper - lower + 2 / (1 - coverage) * miss


@dataclass
class Scores:
    """Sums of scores over windows, added up one window after another."""

    absolute: float = 0.0
    squared: float = 0.0
    crps: float = 0.0
    interval: float = 0.0
    energy: float = 0.0
    path_norm: float = 0.0
    inside_50: float = 0.0
    inside_90: float = 0.0
    total: float = 0.0
    count: int = 0
    pit: np.ndarray = field(default_factory=lambda: np.zeros(PIT_BINS))
    by_hour: np.ndarray = field(default_factory=lambda: np.zeros((24, 3)))
    by_day: dict[str, np.ndarray] = field(default_factory=dict)
    stations: tuple[str, ...] = ()  # ids of the N stations of every window, where their scores are to be told apart
    by_station: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.by_station = np.zeros((len(self.stations), 2))

    def add(self, observed: np.ndarray, samples: np.ndarray, hours: np.ndarray, day: str) -> None:
        """Add one window: observed (N, H), samples (S, N, H), hour of day of each step (H,), the day it is counted to."""
        known = np.isfinite(observed)
        if not known.any():
            return
        low90, low50, median, high50, high90 = sample_quantiles(samples, [0.05, 0.25, 0.5, 0.75, 0.95])
        errors = np.where(known, np.abs(observed - median), 0.0)
        scores = np.where(known, crps(np.where(known, observed, 0.0), samples), 0.0)
        volume = np.where(known, np.abs(observed), 0.0)
        self.absolute += errors.sum()
        self.squared += ((observed - samples.mean(0))[known] ** 2).sum()
        self.crps += scores.sum()
        self.interval += interval_score(observed, low90, high90, 0.9)[known].sum()
        self.energy += energy_score(observed, samples).sum()
        self.path_norm += np.sqrt((volume**2).sum(1)).sum()
        self.inside_50 += ((low50 <= observed) & (observed <= high50))[known].sum()
        self.inside_90 += ((low90 <= observed) & (observed <= high90))[known].sum()
        self.total += volume.sum()
        self.count += int(known.sum())
        rank = (samples < observed).mean(0)[known]
        self.pit += np.histogram(rank, bins=PIT_BINS, range=(0, 1))[0]
        for column, part in enumerate((scores, errors, volume)):
            np.add.at(self.by_hour[:, column], hours, part.sum(0))
        self.by_day.setdefault(day, np.zeros(2))
        self.by_day[day] += scores.sum(), volume.sum()
        if self.stations:
            self.by_station += np.stack([scores.sum(1), volume.sum(1)], axis=1)

    def summary(self) -> dict[str, object]:
        """All scores as plain numbers, named as in a benchmark file."""
        total, count = max(self.total, 1e-12), max(self.count, 1)
        hours = np.flatnonzero(self.by_hour[:, 2] > 0)
        return {
            "mae": self.absolute / count,
            "rmse": float(np.sqrt(self.squared / count)),
            "crps": self.crps / count,
            "ncrps": self.crps / total,
            "nmae": self.absolute / total,
            "ncrps_by_day": {day: float(part[0] / max(part[1], 1e-12)) for day, part in sorted(self.by_day.items())},
            "coverage_50": float(self.inside_50 / count),
            "coverage_90": float(self.inside_90 / count),
            "interval_score_90": self.interval / total,
            "energy_score": self.energy / max(self.path_norm, 1e-12),
            "pit": [float(share) for share in self.pit / max(self.pit.sum(), 1)],
            "by_hour": {
                str(hour): {
                    "ncrps": float(self.by_hour[hour, 0] / self.by_hour[hour, 2]),
                    "nmae": float(self.by_hour[hour, 1] / self.by_hour[hour, 2]),
                }
                for hour in hours
            },
        } | self._of_stations()

    def _of_stations(self) -> dict[str, object]:
        """`ncrps_by_station`, to four digits, of the stations with any traffic; nothing where they are not told apart."""
        if not self.stations:
            return {}
        pairs = zip(self.stations, self.by_station.tolist(), strict=True)
        return {"ncrps_by_station": {name: round(score / volume, 4) for name, (score, volume) in pairs if volume > 0}}
