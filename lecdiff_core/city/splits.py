"""The time axis in parts: what a model is fitted on, what stops and calibrates it, what is reported, and from which origins."""

from dataclasses import dataclass

import numpy as np

CALIBRATION_DAYS = 2  # at least, of a model that is trained for use


@dataclass(frozen=True)
class Split:
    """Parts of the time axis as half-open ranges of steps: fit on `train`, stop and calibrate on `validation`, report `test`."""

    train: range
    validation: range
    test: range


def protocol_split(steps: int) -> Split:
    """70 / 10 / 20, cut at floor(0.7 T) and floor(0.8 T) (measurement protocol, version 2)."""
    first, second = 7 * steps // 10, 8 * steps // 10
    return Split(range(first), range(first, second), range(second, steps))


def split_for_use(steps: int, steps_per_day: int) -> Split:
    """All that there is: fit on everything but the last tenth, at least the last 2 days, which stop and calibrate."""
    cut = steps - max(-(-steps // 10), CALIBRATION_DAYS * steps_per_day)
    return Split(range(cut), range(cut, steps), range(steps, steps))


def validation_folds(steps: int) -> list[Split]:
    """Four expanding windows inside the first 80 %: each fits on 30–60 %, calibrates on the next tenth, reports the next."""
    cuts = [tenths * steps // 10 for tenths in (3, 4, 5, 6, 7, 8)]
    return [Split(range(cuts[i]), range(cuts[i], cuts[i + 1]), range(cuts[i + 1], cuts[i + 2])) for i in range(4)]


def zero_shot_split(steps: int, steps_per_day: int) -> Split:
    """Nothing to fit on: everything from the end of the second day on is reported."""
    return Split(range(0), range(0), range(min(2 * steps_per_day, steps), steps))


def steps_apart(steps_per_day: int, times_a_day: int) -> int:
    """Steps from one of so many origins a day to the next; one, where a day has fewer steps."""
    return max(1, steps_per_day // times_a_day)


def origins_within(part: range, horizon: int, every: int) -> np.ndarray:
    """Origins of whole windows inside `part`, one `every` steps."""
    return np.arange(part.start, part.stop - horizon + 1, every)
