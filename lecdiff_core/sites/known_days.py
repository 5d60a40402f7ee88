"""What is known of the stations of a network before an origin: level, usual week, and the shape of the day that lies ahead.

Level: mean traffic of the last four weeks, each slot of the day counted alike. The shape of a coming day is the adaptive
climatology (models/yardsticks.py) over the level, so the network's own last days are in it; the shape of a usual week tells
weekdays, Saturdays and Sundays or holidays apart where all were seen.

Letters: N stations, H steps of a day, P = H slots.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch

from lecdiff_core.city.graph import distance_graph
from lecdiff_core.city.panel import DAY_TYPES, SATURDAY, SUNDAY_OR_HOLIDAY, WEEKDAY, Panel
from lecdiff_core.city.windows import Windows
from lecdiff_core.models.yardsticks import AdaptiveClimatology

LEVEL_DAYS = 28
WEEK = (WEEKDAY,) * 5 + (SATURDAY, SUNDAY_OR_HOLIDAY)  # kinds of days from Monday on
LEAST_SEEN = 0.25  # share of a day's worth of readings that a station must have, for its level to be known


@dataclass(frozen=True)
class KnownDay:
    """The stations before one origin.

    level: (N,) mean traffic a step; NaN where too little is known.  shape: (N, H) the coming day over the level.
    """

    level: np.ndarray
    shape: np.ndarray


@dataclass(frozen=True)
class KnownDays:
    """The days of a panel, looked at from any origin; what was computed once is remembered."""

    panel: Panel
    _days: dict[int, KnownDay] = field(default_factory=dict)

    def at(self, origin: int) -> KnownDay:
        """What is known before a step."""
        if origin not in self._days:
            level = self._level(origin)
            batch = self._windows.batch(np.array([origin]), with_future=False)
            with torch.no_grad():
                point = self._climatology.point(batch)[0].double().numpy()
            with np.errstate(invalid="ignore", divide="ignore"):
                self._days[origin] = KnownDay(level, point / level[:, None])
        return self._days[origin]

    def observed(self, origin: int) -> np.ndarray:
        """(N, H) the day from a step on, NaN = missing or not yet."""
        day = self.panel.values[:, origin : origin + self.panel.steps_per_day].astype(float)
        return np.pad(day, ((0, 0), (0, self.panel.steps_per_day - day.shape[1])), constant_values=np.nan)

    def usual_week(self, origin: int) -> np.ndarray:
        """(N, 7, P) a usual week from Monday on, over the level; a kind of day that was not seen is as the others."""
        values, kinds = self._recent(origin)
        everything = _mean_by_slot(values)
        by_kind = [_mean_by_slot(values[:, kinds == kind]) for kind in range(DAY_TYPES)]
        week = np.stack([by_kind[kind] for kind in WEEK], axis=1)
        week = np.where(np.isfinite(week), week, everything[:, None])
        level = self.at(origin).level[:, None, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(np.isfinite(week), week / level, 1.0)

    def _level(self, origin: int) -> np.ndarray:
        values, _ = self._recent(origin)
        seen = np.isfinite(values).sum((1, 2)) >= LEAST_SEEN * self.panel.steps_per_day
        by_slot = _mean_by_slot(values)
        level = np.where(np.isfinite(by_slot), by_slot, 0.0).sum(1) / np.maximum(np.isfinite(by_slot).sum(1), 1)
        return np.where(seen, level, np.nan)

    def _recent(self, origin: int) -> tuple[np.ndarray, np.ndarray]:
        """(N, D, P) readings of the last days before a step, each day from its first slot on, and the kind of each day (D,)."""
        steps = self.panel.steps_per_day
        first = max(0, origin - LEVEL_DAYS * steps)
        slot = int(self.panel.calendar.slot[first])
        values = self.panel.values[:, first:origin].astype(float)
        padded = np.pad(values, ((0, 0), (slot, -(slot + values.shape[1]) % steps)), constant_values=np.nan)
        days = padded.reshape(len(values), -1, steps)
        at = np.minimum(first - slot + np.arange(days.shape[1]) * steps + steps - 1, self.panel.steps - 1)
        return days, self.panel.calendar.day_type.numpy()[np.maximum(at, 0)]

    @cached_property
    def _climatology(self) -> AdaptiveClimatology:
        return AdaptiveClimatology(self.panel.steps_per_day)

    @cached_property
    def _windows(self) -> Windows:
        graph = distance_graph(self.panel.positions)
        return Windows(self.panel, graph, self._climatology.context, self._climatology.horizon)


def _mean_by_slot(values: np.ndarray) -> np.ndarray:
    """(N, P) means over days of (N, D, P), NaN where nothing was seen."""
    known = np.isfinite(values)
    total, count = np.where(known, values, 0.0).sum(1), known.sum(1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
