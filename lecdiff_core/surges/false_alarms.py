"""How often normal traffic gives an event at least so strong."""

from dataclasses import dataclass

import numpy as np

TAIL = 4.0  # events a day above which the tail is fitted
LEAST_TAIL = 10  # events
RAREST = 1e-3  # a day: no tail fitted on a few days tells more


@dataclass(frozen=True)
class FalseAlarms:
    """How often normal traffic gives an event at least so strong, from the events of quiet days.

    Counted as far as there are enough; beyond `level` an exponential tail of mean excess `scale`, down to once in 1,000 days.
    """

    strengths: np.ndarray  # descending
    days: float
    level: float
    scale: float

    @classmethod
    def of(cls, strengths: np.ndarray, days: float) -> "FalseAlarms":
        """From the strengths of all events of `days` quiet days."""
        falling = np.sort(strengths)[::-1]
        if len(falling) < 2:
            return cls(falling, days, float(falling[0]) if len(falling) else 0.0, 1.0)
        counted = min(len(falling) - 1, max(LEAST_TAIL, int(TAIL * days)))
        level = float(falling[counted])
        return cls(falling, days, level, max(float((falling[:counted] - level).mean()), 1e-9))

    def a_day(self, strength: np.ndarray) -> np.ndarray:
        """Expected events a day that are at least so strong."""
        strength = np.asarray(strength, dtype=float)
        counted = np.searchsorted(-self.strengths, -strength, side="right") / self.days
        at_level = max(int(np.searchsorted(-self.strengths, -self.level, side="left")), 1) / self.days
        beyond = at_level * np.exp(-np.maximum(strength - self.level, 0.0) / self.scale)
        return np.maximum(np.where(strength > self.level, beyond, np.maximum(counted, at_level)), RAREST)
