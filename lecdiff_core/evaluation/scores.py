"""All scores of one model, added up window after window, every one from the same samples (measurement protocol, version 2).

What is added up are sums of statistics, so that the scores of two parts of the windows, or of a network's stations, add up to
those of the whole. Single steps are scored once: a lent dependence (dependence.py) changes only the order of the samples, and
so peaks, totals, areas and vectors, which are scored under each dependence.

Letters: N stations, H horizon steps, S samples.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self

import numpy as np

from lecdiff_core.evaluation.aggregates import Asked
from lecdiff_core.evaluation.metrics import (
    OrderedSamples,
    bootstrap_interval,
    energy_score,
    interval_score,
    samples_last,
    threshold_crps,
)

Dependence = Literal["own", "schaake", "gaussian"]
OWN: Dependence = "own"
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
PIT_BINS = 20
DECILES = 10
HOURS = 24
COVERED = ("inside_50", "inside_90", "count")


class Sums:
    """Base of what adds up field by field: numbers, arrays, and what is kept by name, each name by itself."""

    def __add__(self, other: Self) -> Self:
        parts = {one.name: _sum(getattr(self, one.name), getattr(other, one.name)) for one in fields(self)}  # type: ignore[arg-type]
        return type(self)(**parts)


def _sum(mine: Any, other: Any) -> Any:
    if not isinstance(mine, dict):
        return mine + other
    return mine | {name: _sum(mine[name], value) if name in mine else value for name, value in other.items()}


def _add_to(sums: dict[str, np.ndarray], name: str, values: np.ndarray) -> None:
    sums[name] = sums[name] + values if name in sums else values


def _ratio(part: float, whole: float) -> float:
    """A ratio of sums, to seven digits."""
    return float(f"{part / max(whole, 1e-12):.7g}")


def _covered(counts: np.ndarray) -> dict[str, int]:
    return {name: int(count) for name, count in zip(COVERED, counts, strict=True)}


@dataclass
class ValueScores(Sums):
    """Of one kind of value: CRPS, volume, how many lie inside the central 50 % and 90 %, and how many there are, by day (5,)."""

    by_day: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, observed: np.ndarray, ordered: OrderedSamples, day: str) -> None:
        """Add a window: observed (...), samples (..., S), the day it is counted to."""
        known = np.isfinite(observed)
        if not known.any():
            return
        if not known.all():
            observed, ordered = observed[known], ordered.at(known)
        low_90, low_50, _, high_50, high_90 = ordered.quantiles(LEVELS)
        sums = (
            ordered.crps(observed).sum(dtype=float),
            np.abs(observed).sum(dtype=float),
            ((low_50 <= observed) & (observed <= high_50)).sum(),
            ((low_90 <= observed) & (observed <= high_90)).sum(),
            observed.size,
        )
        _add_to(self.by_day, day, np.array(sums, float))

    @property
    def total(self) -> np.ndarray:
        """The sums over all days, (5,)."""
        return np.sum([np.zeros(5), *self.by_day.values()], axis=0)

    def summary(self) -> dict[str, Any]:
        """As in a benchmark file: over all days, by day, and how sure the coverage is."""
        crps, volume, inside_50, inside_90, count = self.total
        days = dict(sorted(self.by_day.items()))
        said: dict[str, Any] = {
            "ncrps": _ratio(crps, volume),
            "coverage_50": _ratio(inside_50, count),
            "coverage_90": _ratio(inside_90, count),
            "scored": int(count),
            "ncrps_by_day": {day: _ratio(sums[0], sums[1]) for day, sums in days.items()},
        }
        said |= {
            f"{name}_by_day": {day: int(sums[2 + at]) for day, sums in days.items()} for at, name in enumerate(COVERED)
        }
        counts = np.array(list(days.values())).reshape(-1, 5)
        for column, name in ((2, "coverage_50_interval"), (3, "coverage_90_interval")):
            if interval := bootstrap_interval(counts[:, column], counts[:, 4]):
                said[name] = [_ratio(bound, 1.0) for bound in interval]
        return said


@dataclass
class VectorScores(Sums):
    """Energy scores of vectors, over the sum of the observed vectors' lengths."""

    score: float = 0.0
    length: float = 0.0

    def add(self, observed: np.ndarray, paths: np.ndarray) -> None:
        """Add vectors: observed (M, K), samples (M, K, S)."""
        known = np.isfinite(observed)
        some = known.any(1)
        self.score += float(energy_score(observed[some], paths[some]).sum())
        self.length += float(np.sqrt(np.square(np.where(known, observed, 0.0)).sum(1)).sum())

    def summary(self) -> float:
        """The normalised energy score."""
        return _ratio(self.score, self.length)


@dataclass
class StepScores(Sums):
    """Of a station's single steps. The coverages by hour, decile and lead are counts (rows, 3): inside 50 %, 90 %, all."""

    values: ValueScores = field(default_factory=ValueScores)
    absolute: float = 0.0
    squared: float = 0.0
    interval: float = 0.0
    above: np.ndarray = field(default_factory=lambda: np.zeros(2))  # threshold-weighted CRPS, and the volume it is over
    pit: np.ndarray = field(default_factory=lambda: np.zeros(PIT_BINS))
    by_hour: np.ndarray = field(default_factory=lambda: np.zeros((HOURS, 3)))  # CRPS, absolute error, volume
    inside_by_hour: np.ndarray = field(default_factory=lambda: np.zeros((HOURS, 3)))
    inside_by_lead: np.ndarray = field(default_factory=lambda: np.zeros((HOURS, 3)))
    inside_by_decile: np.ndarray = field(default_factory=lambda: np.zeros((DECILES, 3)))
    by_station: dict[str, np.ndarray] = field(default_factory=dict)  # CRPS, volume, inside 50 %, inside 90 %, count

    def add(
        self,
        observed: np.ndarray,
        ordered: OrderedSamples,
        hours: np.ndarray,
        day: str,
        threshold: np.ndarray | None,
        stations: tuple[str, ...],
    ) -> None:
        """Add a window; see `Scores.add`."""
        known = np.isfinite(observed)
        low_90, low_50, median, high_50, high_90 = ordered.quantiles(LEVELS)
        errors = np.where(known, np.abs(observed - median), 0.0)
        crps = np.where(known, ordered.crps(np.where(known, observed, 0.0)), 0.0)
        volume = np.where(known, np.abs(observed), 0.0)
        inside_50 = (low_50 <= observed) & (observed <= high_50)
        inside_90 = (low_90 <= observed) & (observed <= high_90)
        parts = np.stack([crps, volume, inside_50, inside_90, known])
        _add_to(self.values.by_day, day, parts.sum((1, 2)))
        self.absolute += float(errors.sum())
        self.squared += float(np.square(observed - ordered.mean)[known].sum())
        self.interval += float(interval_score(observed, low_90, high_90, 0.9)[known].sum())
        if threshold is not None:
            scores = threshold_crps(observed, ordered, np.broadcast_to(threshold[:, None], observed.shape))
            self.above = self.above + np.array([np.nansum(scores), volume[np.isfinite(scores)].sum()])
        rank = (ordered.values < observed[..., None]).mean(-1)[known]
        self.pit = self.pit + np.histogram(rank, bins=PIT_BINS, range=(0, 1))[0]
        np.add.at(self.by_hour, hours, np.stack([crps, errors, volume]).sum(1).T)
        covered = parts[2:]
        np.add.at(self.inside_by_hour, hours, covered.sum(1).T)
        np.add.at(self.inside_by_lead, np.arange(len(hours)) * HOURS // len(hours), covered.sum(1).T)
        np.add.at(self.inside_by_decile, _deciles(median).ravel(), covered.reshape(3, -1).T)
        for name, sums in zip(stations, parts.sum(2).T, strict=bool(stations)):
            _add_to(self.by_station, name, sums)

    def summary(self) -> dict[str, Any]:
        """As in a benchmark file: the flat names, and `step` beside them."""
        crps, volume, _, _, count = self.values.total
        step = self.values.summary()
        hours = np.flatnonzero(self.by_hour[:, 2] > 0)
        said = {
            "mae": _ratio(self.absolute, max(count, 1)),
            "rmse": float(np.sqrt(self.squared / max(count, 1))),
            "crps": _ratio(crps, max(count, 1)),
            "nmae": _ratio(self.absolute, volume),
            **{name: step[name] for name in ("ncrps", "ncrps_by_day", "coverage_50", "coverage_90")},
            "interval_score_90": _ratio(self.interval, volume),
            "pit": [_ratio(share, self.pit.sum()) for share in self.pit],
            "by_hour": {
                str(hour): {
                    "ncrps": _ratio(self.by_hour[hour, 0], self.by_hour[hour, 2]),
                    "nmae": _ratio(self.by_hour[hour, 1], self.by_hour[hour, 2]),
                }
                for hour in hours
            },
            "step": step,
            "coverage_by_hour": _by_number(self.inside_by_hour),
            "coverage_by_decile": _by_number(self.inside_by_decile, first=1),
            "coverage_by_lead": _by_number(self.inside_by_lead, first=1),
        }
        if self.above[1]:
            said["twcrps_95"] = _ratio(*self.above)
        if self.by_station:
            said["ncrps_by_station"] = {
                name: round(sums[0] / sums[1], 4) for name, sums in self.by_station.items() if sums[1] > 0
            }
            said["coverage_by_station"] = {
                name: _covered(sums[2:]) for name, sums in self.by_station.items() if sums[4] > 0
            }
        return said


def _deciles(values: np.ndarray) -> np.ndarray:
    """The tenth that each value lies in, 0 the lowest."""
    return np.searchsorted(np.quantile(values, np.arange(1, DECILES) / DECILES), values, side="right")


def _by_number(counts: np.ndarray, first: int = 0) -> dict[str, dict[str, int]]:
    return {str(first + at): _covered(row) for at, row in enumerate(counts) if row[2]}


@dataclass
class JointScores(Sums):
    """Of what samples give together: aggregates by name, and vectors."""

    values: dict[str, ValueScores] = field(default_factory=dict)
    path: VectorScores = field(default_factory=VectorScores)
    block: VectorScores = field(default_factory=VectorScores)

    def add(self, observed: np.ndarray, paths: np.ndarray, day: str, asked: Asked) -> None:
        """Add a window: observed (N, H), samples (N, H, S)."""
        for name, (value, sampled) in asked.values(observed, paths).items():
            self.values.setdefault(name, ValueScores()).add(value, OrderedSamples.of(sampled), day)
        self.path.add(observed, paths)
        if len(asked.blocks):
            self.block.add(*asked.vectors(observed, paths))

    def summary(self) -> dict[str, Any]:
        """As in a benchmark file; `energy_score` is the older name of `energy_path`."""
        said: dict[str, Any] = {name: scores.summary() for name, scores in self.values.items() if scores.by_day}
        said |= {"energy_score": self.path.summary(), "energy_path": self.path.summary()}
        return said | ({"energy_block_20": self.block.summary()} if self.block.length else {})


@dataclass
class Scores:
    """What one model's forecasts scored.

    asked: what is scored beside the stations.  stations: ids of the N stations of every window, where their scores are wanted
    apart.
    """

    asked: Asked = field(default_factory=Asked)
    stations: tuple[str, ...] = ()
    steps: StepScores = field(default_factory=StepScores)
    joint: dict[Dependence, JointScores] = field(default_factory=dict)

    def add(
        self,
        observed: np.ndarray,
        samples: np.ndarray,
        hours: np.ndarray,
        day: str,
        threshold: np.ndarray | None = None,
        lent: Mapping[Dependence, np.ndarray] | None = None,
    ) -> OrderedSamples:
        """Add one window; returns its samples in order.

        observed: (N, H), NaN = missing.  samples: (S, N, H).  hours: (H,) hour of day of each step.  day: it counts to.
        threshold: (N,), above which traffic is scored by itself.  lent: ranks (N, H, S) of other dependences.
        """
        paths = samples_last(samples)
        ordered = OrderedSamples.of(paths)
        if np.isfinite(observed).any():
            self.steps.add(observed, ordered, hours, day, threshold, self.stations)
            orders = {OWN: paths} | {name: ordered.in_order(ranks) for name, ranks in (lent or {}).items()}
            for name, ordered_so in orders.items():
                self.joint.setdefault(name, JointScores()).add(observed, ordered_so, day, self.asked)
        return ordered

    def __add__(self, other: "Scores") -> "Scores":
        stations = tuple(dict.fromkeys(self.stations + other.stations))
        return Scores(self.asked, stations, self.steps + other.steps, _sum(self.joint, other.joint))

    def rows(self) -> dict[Dependence, dict[str, Any]]:
        """All scores as plain numbers, named as in a benchmark file, under each dependence."""
        steps = self.steps.summary()
        return {name: {"dependence": name} | steps | joint.summary() for name, joint in self.joint.items()}

    def summary(self) -> dict[str, Any]:
        """The scores of the samples as they were drawn."""
        return {"dependence": OWN} | self.steps.summary() | self.joint.get(OWN, JointScores()).summary()
