"""Runs: stretches of time in which a score stays beyond the bounds of its 90 % interval, and how far it goes."""

from dataclasses import dataclass

import numpy as np

BOUND = 1.645  # of a standard normal: 5 % on each side, the bounds of the 90 % interval
FARTHEST = 10.0  # a score counts up to here, so that one wild value is no long surge


@dataclass(frozen=True)
class Runs:
    """Stretches of a station beyond a bound, arrays of one length.

    station; start, stop (steps, stop exclusive); direction (1 above, −1 below); strength: sum of what the scores lie beyond
    the bound; peak: step of the highest score.
    """

    station: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    direction: np.ndarray
    strength: np.ndarray
    peak: np.ndarray

    def __len__(self) -> int:
        return len(self.station)

    def take(self, index: np.ndarray) -> "Runs":
        """Some of them."""
        return Runs(*(values[index] for values in vars(self).values()))


def runs_of(scores: np.ndarray, part: slice, pause: int) -> Runs:
    """The runs of all stations within some columns; steps are columns of `scores`, `pause` of them within the bound end no run."""
    offset = part.start or 0
    parts = []
    for direction in (1, -1):
        beyond = direction * np.nan_to_num(scores[:, part])
        station, step = np.nonzero(beyond > BOUND)
        if not len(station):
            continue
        height = np.minimum(beyond[station, step], FARTHEST)
        first = np.flatnonzero(np.r_[True, (np.diff(station) != 0) | (np.diff(step) > pause + 1)])
        last = np.r_[first[1:], len(station)] - 1
        run = np.repeat(np.arange(len(first)), last - first + 1)
        order = np.lexsort((step, -height, run))
        parts.append(
            Runs(
                station=station[first],
                start=step[first] + offset,
                stop=step[last] + 1 + offset,
                direction=np.full(len(first), direction),
                strength=np.add.reduceat(height - BOUND, first),
                peak=step[order[first]] + offset,
            )
        )
    if not parts:
        nothing = np.zeros(0, int)
        return Runs(nothing, nothing, nothing, nothing, np.zeros(0), nothing)
    return Runs(*(np.concatenate([getattr(runs, name) for runs in parts]) for name in vars(parts[0])))
