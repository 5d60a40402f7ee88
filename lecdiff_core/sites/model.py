"""Samples of places without history: a level, the shape of the day, and the errors made where the truth is known.

What a rule (rules.py) says of a place is a level and a shape of the day ahead. How wrong that is, the known stations tell: each is
predicted by the others, as if it had no history, which leaves an error of its level and, for each of the last days, the path of
what was observed over what was predicted. A sample takes the level error of one known station and the path of one of its days,

    traffic(h) = exp(log level + spread · z_i) · shape(h) · ratio_iw(h),

so that what was wrong all day stays wrong all day, and steps, peaks and totals of the samples are forecasts alike. Day `w` is drawn
once for all places, station `i` for each, so samples of several places belong together through the network's days. That the errors
of known stations are those of an unknown place is what conformal prediction assumes, too (Vovk et al. 2005).

Letters: N known stations, M places asked for, W past days, H steps of a day, S samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from lecdiff_core.models.protocol import RowNoise
from lecdiff_core.sites.known_days import KnownDays
from lecdiff_core.sites.regression import Places
from lecdiff_core.sites.rules import Rule, Weights

RECIPE = 1  # raised by hand when the same stations can give other samples
PAST_DAYS = 14
LEAST_OBSERVED = 0.5  # of a past day, for its path of errors to be drawn
LEAST_SHAPE = 0.02  # of the level, at any step
LARGEST_RATIO = 20.0
FEWEST_STATIONS = 5


@dataclass(frozen=True)
class Paths:
    """Observed over predicted of each known station's past days.

    ratio: (N, W, H).  usable: (N, W) the day that is drawn where one is asked for.
    """

    ratio: np.ndarray
    usable: np.ndarray


@dataclass(frozen=True)
class SiteModel:
    """What the known stations say of places at one origin.

    stations: (N,) rows of the known stations in the panel; each must have a level. `dataclasses.replace` gives the same at another
    origin, which shares the errors of past days.
    """

    days: KnownDays
    stations: np.ndarray
    rule: Rule
    origin: int
    _paths: dict[int, Paths] = field(default_factory=dict)
    _ratios: dict[int, np.ndarray] = field(default_factory=dict)

    @cached_property
    def log_level(self) -> np.ndarray:
        """(N,) of the known stations."""
        return np.log(self.days.at(self.origin).level[self.stations])

    @cached_property
    def level_errors(self) -> np.ndarray:
        """(N,) errors of the log levels as the others predict them, in units of their spread."""
        said = self._of_known
        return (self.log_level - self._log_level(said)) / said.spread

    def level(self, said: Weights) -> tuple[np.ndarray, np.ndarray]:
        """(M,) log of the level and its spread."""
        return self._log_level(said), said.spread

    def shape(self, said: Weights) -> np.ndarray:
        """(M, H) of the day from the origin on, over the level."""
        return _smoothed(said.shape, self.days.at(self.origin).shape[self.stations])

    def sample_day(self, asked: Places, names: Sequence[str], samples: int, seed: int = 0) -> np.ndarray:
        """Samples (S, M, H) of the day from the origin on; `names` (M,) name the places' random numbers."""
        said = self.rule(asked)
        station, day = self._draws(names, samples, seed, 1)
        return (
            self._level_samples(said, station)[..., None]
            * self.shape(said)
            * self._drawn(self.origin, station, day[:, :, 0])
        )

    def sample_week(self, asked: Places, names: Sequence[str], samples: int, seed: int = 0) -> np.ndarray:
        """Samples (S, M, 7 H) of a usual week from Monday on."""
        said = self.rule(asked)
        week = self.days.usual_week(self.origin)[self.stations]
        shape = _smoothed(said.shape, week.reshape(len(week), -1)).reshape(asked.count, 7, -1)
        station, day = self._draws(names, samples, seed, 7)
        midnight = self.origin - int(self.days.panel.calendar.slot[self.origin])
        paths = np.stack([self._drawn(midnight, station, day[:, :, weekday]) for weekday in range(7)], axis=2)
        drawn = self._level_samples(said, station)[..., None, None] * shape * paths
        return drawn.reshape(samples, asked.count, -1)

    @cached_property
    def _of_known(self) -> Weights:
        return self.rule(None)

    def _log_level(self, said: Weights) -> np.ndarray:
        mean = self.log_level.mean()
        return np.asarray(mean + said.level @ (self.log_level - mean))

    def _level_samples(self, said: Weights, station: np.ndarray) -> np.ndarray:
        """(S, M) from the stations (S, M) whose errors are drawn."""
        return np.asarray(np.exp(self._log_level(said) + said.spread * self.level_errors[station]))

    def _draws(self, names: Sequence[str], samples: int, seed: int, days: int) -> tuple[np.ndarray, np.ndarray]:
        """Stations (S, M), of each place by itself, and days (S, 1, days), of the network."""
        noise = RowNoise.at([f"{self.origin}"] * len(names), names, None, seed)
        station = noise.uniform(samples, 1).numpy()[:, :, 0] * len(self.stations)
        day = noise.shared[0].streams.uniform(samples, days).numpy() * PAST_DAYS
        return station.astype(int), day.astype(int)

    def _drawn(self, origin: int, station: np.ndarray, day: np.ndarray) -> np.ndarray:
        """Paths (S, M, H) of the stations (S, M) on days (S, 1)."""
        paths = self._past(origin)
        if not paths.ratio.shape[1]:
            return np.ones((*station.shape, paths.ratio.shape[2]))
        day = np.broadcast_to(day % paths.ratio.shape[1], station.shape)
        return paths.ratio[station, paths.usable[station, day]]

    def _past(self, origin: int) -> Paths:
        """Of the days before, at the clock time of an origin not after the model's own."""
        if origin not in self._paths:
            steps = self.days.panel.steps_per_day
            starts = np.arange(origin - steps, steps - 1, -steps)[:PAST_DAYS]
            self._paths[origin] = _paths([self._ratio(int(start)) for start in starts], len(self.stations), steps)
        return self._paths[origin]

    def _ratio(self, start: int) -> np.ndarray:
        """(N, H) observed over predicted of a past day: as the others have its shape, with the level that was known then."""
        if start not in self._ratios:
            self._ratios[start] = self._observed_over_predicted(start)
        return self._ratios[start]

    def _observed_over_predicted(self, start: int) -> np.ndarray:
        before, observed = self.days.at(start), self.days.observed(start)[self.stations]
        shape = _filled(before.shape[self.stations])
        predicted = before.level[self.stations, None] * _smoothed(self._of_known.shape, shape)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = observed / predicted
        return np.where(np.isfinite(ratio), np.minimum(ratio, LARGEST_RATIO), np.nan)


def _smoothed(weights: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Shapes (M, H) by weights (M, N) of the known shapes' (N, H) departures from their mean."""
    mean = shape.mean(0)
    return np.maximum(mean + weights @ (shape - mean), LEAST_SHAPE)


def _filled(shape: np.ndarray) -> np.ndarray:
    """Shapes (N, H), with the mean of the others' for stations of which nothing was known then."""
    known = np.isfinite(shape).all(1)
    return np.where(known[:, None], shape, shape[known].mean(0) if known.any() else 1.0)


def _paths(ratios: list[np.ndarray], stations: int, steps: int) -> Paths:
    """Missing steps count as the day's mean; for a day hardly observed stands the next one, and none at all is as predicted."""
    ratio = np.stack(ratios, axis=1) if ratios else np.empty((stations, 0, steps))
    seen = np.isfinite(ratio)
    enough = seen.mean(2) >= LEAST_OBSERVED
    mean = np.where(seen, ratio, 0.0).sum(2) / np.maximum(seen.sum(2), 1)
    ratio = np.where(enough[..., None], np.where(seen, ratio, mean[..., None]), 1.0)
    return Paths(ratio, _next_usable(enough))


def _next_usable(enough: np.ndarray) -> np.ndarray:
    """(N, W) the day itself or the next usable one, around the end; the day itself where none is usable."""
    days = enough.shape[1]
    ahead = (np.arange(days)[:, None] + np.arange(days)) % max(days, 1)  # (W, W) from each day on
    first = enough[:, ahead].argmax(2) if days else np.empty(enough.shape, int)
    return np.take_along_axis(np.broadcast_to(ahead, (len(enough), days, days)), first[..., None], 2)[..., 0]
