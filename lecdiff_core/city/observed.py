"""What was observed of each station and what was not: who is silent, who is young, and when nothing was recorded at all.

Letters: N stations, T steps; `values` (N, T), NaN = missing; `day` = steps a day.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lecdiff_core.city.folder import SHOWN, named

SILENT_DAYS = 1.0  # without an observation at the end, while others have some
YOUNG_DAYS = 7.0  # since the first observation
GAP_DAYS = 1.0  # without an observation of any station


def first_steps(values: np.ndarray) -> np.ndarray:
    """(N,) step of each station's first observation, T = it has none."""
    seen = np.isfinite(values)
    return np.where(seen.any(1), seen.argmax(1), values.shape[1])


def last_steps(values: np.ndarray) -> np.ndarray:
    """(N,) step after each station's last observation, 0 = it has none."""
    seen = np.isfinite(values[:, ::-1])
    return np.where(seen.any(1), values.shape[1] - seen.argmax(1), 0)


def silent_since(values: np.ndarray, day: int) -> dict[int, int]:
    """Stations observed once but not on the last day, and the step from which on; longest first."""
    last = last_steps(values)
    rows = np.flatnonzero((last > 0) & (last <= values.shape[1] - SILENT_DAYS * day))
    return {int(row): int(last[row]) for row in rows[np.argsort(last[rows], kind="stable")]}


def young(values: np.ndarray, day: int) -> np.ndarray:
    """Stations first observed within the last days."""
    first = first_steps(values)
    return np.flatnonzero((first < values.shape[1]) & (first > values.shape[1] - YOUNG_DAYS * day))


def gaps(values: np.ndarray, day: int) -> list[tuple[int, int]]:
    """Stretches (first step, step after the last) of a day or more in which no station was observed."""
    nothing = np.concatenate([[False], ~np.isfinite(values).any(0), [False]])
    starts, stops = (
        np.flatnonzero(np.diff(nothing.astype(int)) == 1),
        np.flatnonzero(np.diff(nothing.astype(int)) == -1),
    )
    return [
        (int(start), int(stop)) for start, stop in zip(starts, stops, strict=True) if stop - start >= GAP_DAYS * day
    ]


def silent_sentence(names: Sequence[str], since: Sequence[pd.Timestamp]) -> str:
    """That these stations report no more, and since when."""
    listed = [f"{name} since {time:%Y-%m-%d %H:%M}" for name, time in zip(names[:SHOWN], since[:SHOWN], strict=True)]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{_counted(names, 'is', 'are')} silent, though others report: {', '.join(listed)}{more}"


def young_sentence(names: Sequence[str]) -> str:
    """That little is known of these stations."""
    return f"{_counted(names, 'is', 'are')} young, first observed less than {YOUNG_DAYS:g} days before: {named(names)}"


def _counted(names: Sequence[str], one: str, many: str) -> str:
    return f"1 station {one}" if len(names) == 1 else f"{len(names):,} stations {many}"
