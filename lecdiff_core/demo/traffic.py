"""Half-hourly traffic of the stations of a plan, in MB per interval.

Each land use has an activity curve for weekdays, Saturdays, and Sundays or holidays. A station carries the mixture of the
curves around it, weighted by how much each share of ground is used; its level rises towards a town's middle. On that lie
multiplicative shocks that stations share: of the whole region, of districts (correlated in space, fast and slow), of each
land use, of the weather, and a slow trend. What is the station's own is a level and a mixture of limited variance, a slow
wobble and heavy-tailed noise (Student t on the log scale) whose relative size falls with the square root of the level.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import lfilter

from lecdiff_core.demo.plan import CLASSES, Array, Plan, Waves
from lecdiff_core.progress import Report, silent

STEPS_PER_DAY = 48
FIRST_DAY = "2025-09-01"  # a Monday
TIMEZONE = "UTC"
CHUNK = 1000  # stations in memory at once

Bumps = tuple[tuple[float, float, float], ...]  # hour of day, width in hours, height

# Level at full share (MB per interval), floor, and bumps of weekday, Saturday, Sunday or holiday.
ACTIVITY: dict[str, tuple[float, float, Bumps, Bumps, Bumps]] = {
    "centre": (
        900, 0.08,
        ((12.5, 2.6, 0.9), (18, 2.2, 1.0), (21.5, 1.8, 0.45)),
        ((14, 3.5, 1.15), (21, 2.6, 0.9), (0.5, 1.5, 0.35)),
        ((14, 3.2, 0.7), (19.5, 2.3, 0.4), (0.5, 1.5, 0.35)),
    ),
    "dense housing": (
        600, 0.12,
        ((8, 1.3, 0.45), (13, 3, 0.4), (20.3, 2.6, 1.0)),
        ((11.5, 3, 0.65), (20, 3, 0.9)),
        ((11.5, 3, 0.7), (20, 3, 0.95)),
    ),
    "suburban housing": (
        300, 0.1,
        ((7.6, 1.1, 0.5), (16, 1.8, 0.4), (20.5, 2.2, 1.0)),
        ((11, 2.8, 0.75), (20, 2.8, 0.85)),
        ((11.5, 2.8, 0.8), (20, 2.6, 0.95)),
    ),
    "offices": (
        820, 0.03,
        ((10.2, 1.7, 1.0), (14.6, 2.0, 1.0), (12.5, 0.9, 0.25)),
        ((12, 3, 0.15),),
        ((13, 3, 0.09),),
    ),
    "industry": (
        260, 0.15,
        ((6.2, 0.8, 0.55), (10, 2.4, 0.8), (14.1, 0.8, 0.6), (18, 2.5, 0.45), (22.1, 0.8, 0.4)),
        ((6.2, 0.8, 0.3), (10, 3, 0.35), (14.1, 0.8, 0.3)),
        ((12, 4, 0.08),),
    ),
    "campus": (
        560, 0.06,
        ((10.2, 1.2, 0.9), (12.7, 0.9, 1.0), (15, 1.6, 0.9), (20, 2.5, 0.35)),
        ((14, 3.5, 0.3), (20.5, 2.5, 0.35)),
        ((15, 3.5, 0.28), (20, 2.5, 0.3)),
    ),
    "stadium": (
        110, 0.15,
        ((12, 4, 0.5), (18.5, 2, 0.7)),
        ((12, 4, 0.7), (18, 2.5, 0.5)),
        ((12, 4, 0.7), (17, 2.5, 0.4)),
    ),
    "shopping": (
        500, 0.03,
        ((12.5, 2, 0.5), (17.8, 2, 0.9)),
        ((14.5, 3, 1.6),),
        ((14, 2, 0.13),),
    ),
    "hospital": (
        430, 0.25,
        ((10.5, 2.2, 1.0), (15, 2.2, 0.8), (19, 2, 0.5)),
        ((11, 2.5, 0.6), (15.5, 2.5, 0.7), (19, 2, 0.35)),
        ((11, 2.5, 0.5), (15.5, 2.5, 0.75), (19, 2, 0.35)),
    ),
    "park": (
        120, 0.05,
        ((12.8, 1.2, 0.5), (18, 1.8, 0.8)),
        ((15, 3, 1.5),),
        ((15, 3, 1.9),),
    ),
    "water": (
        120, 0.05,
        ((12.8, 1.5, 0.5), (19, 2, 0.9)),
        ((16, 3.5, 1.4),),
        ((15.5, 3.3, 1.5),),
    ),
    "farmland": (
        42, 0.2,
        ((8, 1.5, 0.4), (13, 3, 0.6), (18, 2.5, 0.6)),
        ((9, 2, 0.4), (16, 3.5, 0.7)),
        ((14, 4, 0.6),),
    ),
    "forest": (
        30, 0.12,
        ((10, 2.5, 0.3), (17, 2, 0.5)),
        ((13.5, 2.8, 1.0),),
        ((13.5, 2.8, 1.5),),
    ),
    "motorway": (
        1700, 0.08,
        ((7.7, 1.0, 1.0), (12.5, 3.5, 0.55), (17.4, 1.3, 1.1)),
        ((11.5, 3, 0.7), (17, 2.5, 0.5)),
        ((13, 3, 0.5), (18, 2.2, 1.1)),
    ),
    "rail": (
        1300, 0.05,
        ((7.8, 0.8, 1.3), (12.5, 3.5, 0.45), (17.6, 1.0, 1.3), (22.5, 1.5, 0.2)),
        ((13, 4, 0.6), (22.5, 1.8, 0.3)),
        ((17.5, 2.5, 0.75),),
    ),
}  # fmt: skip

# How rain (0 to 1) moves the logarithm of each land use's activity.
RAIN = {
    "park": -0.9, "forest": -0.8, "water": -0.7, "stadium": -0.2, "farmland": -0.2, "centre": -0.12, "campus": -0.05,
    "dense housing": 0.1, "suburban housing": 0.1, "motorway": 0.08, "shopping": 0.12, "rail": 0.05,
}  # fmt: skip


@dataclass(frozen=True)
class Rhythm:
    """What the stations' expected traffic is made of: `level` (n,) in MB and `weights` (n, classes) that sum to one."""

    level: Array
    weights: Array
    delay_hours: Array
    planned_mean: Array


def calendar(days: int, holidays: list[pd.Timestamp]) -> tuple[pd.DatetimeIndex, NDArray[np.int64]]:
    """The index of `days` days and the day type of every step: 0 weekday, 1 Saturday, 2 Sunday or holiday."""
    index = pd.date_range(FIRST_DAY, periods=days * STEPS_PER_DAY, freq="30min", tz=TIMEZONE, name="timestamp")
    weekday = index.day_of_week.to_numpy()
    kind = np.select([weekday == 5, weekday == 6], [1, 2], 0)
    kind[index.normalize().tz_localize(None).isin(holidays)] = 2
    return index, kind


def curves(hour: Array, kind: NDArray[np.int64]) -> Array:
    """Activity of every land use, `(T, classes)`, at hours of day `(T,)` on day types `(T,)`."""
    table = np.empty((len(hour), len(CLASSES)))
    for code, name in enumerate(CLASSES):
        _, floor, *by_kind = ACTIVITY[name]
        table[:, code] = floor
        for day, bumps in enumerate(by_kind):
            at = kind == day
            for middle, width, height in bumps:
                gap = np.abs((hour[at] - middle + 12) % 24 - 12)
                table[at, code] += height * np.exp(-0.5 * (gap / width) ** 2)
    return table


def rhythms(plan: Plan, sites: Array, shares: Array) -> Rhythm:
    """Level and mixture of every station, from the shares of land use around it and its place in the town."""
    rng = np.random.default_rng([plan.seed, 5])
    n = len(sites)
    intensity = np.array([ACTIVITY[name][0] for name in CLASSES])
    use = shares * intensity
    centrality = plan.centrality(sites)
    expected = use.sum(axis=1) * (0.65 + 0.8 * centrality)
    weights = use * np.exp(rng.normal(0, 0.22, use.shape))
    weights /= weights.sum(axis=1, keepdims=True)
    week = curves(np.arange(7 * STEPS_PER_DAY) / 2 % 24, np.repeat([0, 0, 0, 0, 0, 1, 2], STEPS_PER_DAY))
    planned = expected * ((use / use.sum(axis=1, keepdims=True)) @ week.mean(axis=0))
    quarter = Waves(rng, 10, 900, 4000)
    level = expected * np.exp(0.12 * quarter(sites) + rng.normal(0, 0.26, n))
    delay = (centrality - 0.4) * 0.7 + rng.normal(0, 0.13, n)
    return Rhythm(level, weights, delay, planned)


def shocks(rng: np.random.Generator, steps: int, count: int, hours: float) -> Array:
    """`count` independent AR(1) paths `(steps, count)` of unit variance that forget over `hours`."""
    keep = float(np.exp(-0.5 / hours))
    push = rng.standard_normal((steps, count)) * np.sqrt(1 - keep**2)
    push[0] /= np.sqrt(1 - keep**2)
    return lfilter([1.0], [1.0, -keep], push, axis=0)


def make_traffic(
    plan: Plan, sites: Array, rhythm: Rhythm, days: int, holidays: list[pd.Timestamp], report: Report = silent
) -> tuple[pd.DatetimeIndex, NDArray[np.float32]]:
    """Time index and traffic `(T, n)` in MB per interval, without events and gaps."""
    rng = np.random.default_rng([plan.seed, 6])
    index, kind = calendar(days, holidays)
    steps, n = len(index), len(sites)
    hour = index.hour.to_numpy() + index.minute.to_numpy() / 60
    rain = 1 / (1 + np.exp(-3 * (shocks(rng, steps, 1, 16.0) - 0.9)))
    weather = (rain - rain.mean()) * np.array([RAIN.get(name, 0.0) for name in CLASSES])
    by_use = np.exp(weather + 0.06 * shocks(rng, steps, len(CLASSES), 10.0))
    city = 0.05 * shocks(rng, steps, 1, 24.0)
    terms = 96
    # Random Fourier features: fields correlated in space over about 1.4 km.
    frequency = rng.normal(0, 1 / 1400.0, (2, 2 * terms))
    loading = np.cos(sites @ frequency + rng.uniform(0, 2 * np.pi, 2 * terms)) * np.sqrt(2 / terms)
    district = np.concatenate([0.09 * shocks(rng, steps, terms, 4.0), 0.07 * shocks(rng, steps, terms, 40.0)], axis=1)
    growth = 0.04 + 0.05 * Waves(rng, 8, 1500, 6000)(sites)
    day = np.linspace(-0.5, 0.5, steps)

    bins = np.round(rhythm.delay_hours * 12).astype(int)  # delays to five minutes
    active = {int(b): curves((hour - b / 12) % 24, kind) * by_use for b in np.unique(bins)}
    traffic = np.empty((steps, n), dtype=np.float32)
    for start in range(0, n, CHUNK):
        at = slice(start, min(start + CHUNK, n))
        chunk_rng = np.random.default_rng([plan.seed, 7, start])
        mean = np.empty((steps, at.stop - start))
        for b in np.unique(bins[at]):
            own = np.flatnonzero(bins[at] == b)
            mean[:, own] = active[int(b)] @ (rhythm.weights[at][own] * rhythm.level[at][own, None]).T
        log_shift = district @ loading[at].T + city + day[:, None] * growth[at]
        log_shift += 0.06 * shocks(chunk_rng, steps, at.stop - start, 2.0)
        mean *= np.exp(log_shift)
        # Relative noise: a floor, and a part that falls with the square root of the traffic.
        spread = np.sqrt(0.04**2 + 1.2 / (mean + 4.0))
        noise = np.clip(chunk_rng.standard_t(4, mean.shape), -9, 9) / np.sqrt(2)
        traffic[:, at] = mean * np.exp(spread * noise)
        report(at.stop, n, "traffic")
    return index, traffic


def add_gaps(
    values: NDArray[np.float32], index: pd.DatetimeIndex, ids: list[str], events: list[dict], seed: int
) -> None:
    """Blank stretches of hours to days at some stations, in place; never at a station while an event touches it."""
    rng = np.random.default_rng([seed, 9])
    steps, n = values.shape
    column = {name: i for i, name in enumerate(ids)}
    busy: dict[int, list[tuple[int, int]]] = {}
    for event in events:
        span = index.searchsorted(pd.DatetimeIndex([event["start"], event["end"]]))
        for station in event["stations"]:
            busy.setdefault(column[station], []).append((int(span[0]), int(span[1])))
    count = rng.poisson(n * steps / STEPS_PER_DAY / 60 * 2.4)
    length = np.clip(np.exp(rng.normal(np.log(12), 1.1, count)), 1, 3.5 * STEPS_PER_DAY).astype(int)
    for station, start, size in zip(
        rng.integers(n, size=count).tolist(), rng.integers(steps, size=count).tolist(), length.tolist(), strict=True
    ):
        stop = start + size
        if all(stop <= first or start >= last for first, last in busy.get(station, ())):
            values[start:stop, station] = np.nan
