"""Planted events: matches, concerts, outages and road closures, written into the traffic and listed as truth.

Every event has a place, a window and an effect that fades with distance. In the last fifth of the time there are at least
twelve, in the first seven tenths some, and between them (the validation tenth) none.
"""

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from lecdiff_core.demo.plan import CODE, Array, Plan
from lecdiff_core.demo.traffic import STEPS_PER_DAY

# Events of each kind in the last fifth and in the training part, for a town of up to 150 stations.
COUNTS = {"match": (4, 5), "concert": (4, 3), "outage": (4, 4), "road_closure": (3, 3)}
VISIBLE = 1.1  # stations whose traffic changes by less than this factor are not listed
HANDED_OVER = 0.85  # share of a dead station's traffic that its neighbours carry
MOST_TAKEN_OVER = 3.0  # a neighbour cannot carry more than so many times its own

Effect = dict[int, NDArray[np.float64]]  # station → factor at every step of the window


def plant_events(
    values: NDArray[np.float32],
    index: pd.DatetimeIndex,
    ids: list[str],
    plan: Plan,
    sites: Array,
    use: NDArray[np.int64],
) -> list[dict]:
    """Change the traffic `values` (T, n) in place and return the events in order of time, as `truth/events.json` holds them.

    A record: id, kind, stations (the place first), start and end (end exclusive), magnitude (largest factor at the place;
    the smallest for outages and closures), factors (by station: the largest change), description.
    """
    rng = np.random.default_rng([plan.seed, 8])
    steps = len(index)
    scale = max(1, round(len(sites) / 150))
    parts = ((math.floor(0.8 * steps), steps), (min(STEPS_PER_DAY * 2, steps // 10), math.floor(0.7 * steps)))
    tree = cKDTree(sites)
    occupied: dict[int, list[tuple[int, int]]] = {}
    events = []
    for part, bounds in enumerate(parts):
        for kind, counts in COUNTS.items():
            for number in range(counts[part] * scale):
                for _ in range(60):
                    place, start, window, about = _draw(rng, kind, number, index, bounds, use, values)
                    effect = _effect(rng, kind, place, window, tree, sites, use, values, start)
                    if _free(effect, start, len(window), occupied):
                        events.append(_apply(values, index, ids, kind, place, start, effect, about))
                        break
    events.sort(key=lambda e: (e["start"], e["stations"][0]))
    return [{"id": f"E{number + 1:03d}", **event} for number, event in enumerate(events)]


def _draw(
    rng: np.random.Generator,
    kind: str,
    number: int,
    index: pd.DatetimeIndex,
    bounds: tuple[int, int],
    use: NDArray[np.int64],
    values: NDArray[np.float32],
) -> tuple[int, int, Array, str]:
    """Place, first step, rise and fall of the window (values 0 to 1), and what happens, in words."""

    def one_of(*names: str) -> int:
        candidates = np.flatnonzero(np.isin(use, [CODE[name] for name in names]))
        return int(rng.choice(candidates if len(candidates) else np.arange(len(use))))

    days: tuple[int, ...]
    if kind == "match":
        place = one_of("stadium")
        hour, ramp, length = rng.choice([14.5, 17.0, 19.5]), 2, int(rng.integers(7, 9))
        days, about = (2, 5, 6), "football match at the stadium"
    elif kind == "concert":
        venue = ("stadium", "park", "centre", "campus")[number % 4]
        place = one_of(venue)
        hour, ramp, length = rng.choice([15.0, 18.0, 19.5]), 2, int(rng.integers(7, 12))
        days = (3, 4, 5, 6)
        about = {"stadium": "concert in the stadium", "park": "open-air concert in the park"}.get(
            venue, "street festival in the centre" if venue == "centre" else "student festival on the campus"
        )
    elif kind == "outage":
        level = values[: 7 * STEPS_PER_DAY].mean(axis=0)
        busy = np.flatnonzero(level >= np.median(level))
        place = int(rng.choice(busy))
        hour, ramp, length = rng.uniform(6, 17), 0, int(rng.integers(4, 18))
        days, about = tuple(range(7)), "site down, neighbours take over"
    else:
        place = one_of("motorway")
        hour, ramp, length = rng.choice([6.0, 10.0, 14.5]), 1, int(rng.integers(7, 19))
        days, about = (0, 1, 2, 3, 4), "motorway closed, traffic diverted through the town"
    first_day, last_day = bounds[0] // STEPS_PER_DAY, (bounds[1] - 1) // STEPS_PER_DAY
    open_days = [
        d for d in range(first_day, last_day + 1) if index[min(d * STEPS_PER_DAY, len(index) - 1)].day_of_week in days
    ]
    day = int(rng.choice(open_days or list(range(first_day, last_day + 1))))
    start = int(np.clip(day * STEPS_PER_DAY + round(hour * 2), bounds[0], bounds[1] - length))
    rise = np.minimum((np.arange(length) + 1) / (ramp + 1), 1.0)
    return place, start, np.minimum(rise, rise[::-1]), about


def _effect(
    rng: np.random.Generator,
    kind: str,
    place: int,
    window: Array,
    tree: cKDTree,
    sites: Array,
    use: NDArray[np.int64],
    values: NDArray[np.float32],
    start: int,
) -> Effect:
    """Factors of the stations that an event touches."""
    reach = 2200.0
    near = np.array(sorted(tree.query_ball_point(sites[place], reach)), dtype=int)
    distance = np.hypot(*(sites[near] - sites[place]).T)
    if kind in ("match", "concert"):
        peak = np.exp(rng.uniform(math.log(1.3 if kind == "concert" else 1.7), math.log(4.0)))
        half_time = np.where(np.arange(len(window)) == len(window) // 2, 1.15, 1.0) if kind == "match" else 1.0
        shape = window * half_time / np.max(window * half_time)
        factors = {
            int(i): 1 + (peak - 1) * math.exp(-((d / 420.0) ** 2)) * shape for i, d in zip(near, distance, strict=True)
        }
        travel = np.clip(1.2 - window, 0, 1)
        for i in near[np.isin(use[near], [CODE["rail"], CODE["motorway"]])]:
            factors[int(i)] = np.maximum(factors[int(i)], 1 + 0.25 * (peak - 1) * travel)
        return factors
    if kind == "outage":
        left = rng.choice([0.0, 0.01, 0.03])
        factors = {place: np.full(len(window), left)}
        others = near[(near != place)][np.argsort(distance[near != place], kind="stable")[:6]]
        gap = np.hypot(*(sites[others] - sites[place]).T)
        pull = np.exp(-gap / 350.0) / np.exp(-gap / 350.0).sum() if len(others) else gap
        span = slice(start, start + len(window))
        lost = HANDED_OVER * (1 - left) * values[span, place]
        for i, share in zip(others, pull, strict=True):
            factors[int(i)] = np.minimum(1 + share * lost / np.maximum(values[span, i], 1.0), MOST_TAKEN_OVER)
        return factors
    road = use[near] == CODE["motorway"]
    peak = rng.uniform(1.35, 2.2)
    remaining = rng.uniform(0.3, 0.55)
    factors = {}
    for i, d, on_road in zip(near, distance, road, strict=True):
        fade = math.exp(-((d / 1000.0) ** 2))
        factors[int(i)] = 1 + ((remaining - 1) if on_road else (peak - 1) * (use[i] != CODE["forest"])) * fade * window
    return factors


def _free(effect: Effect, start: int, length: int, occupied: dict[int, list[tuple[int, int]]]) -> bool:
    """Whether no other event touches these stations within two hours; if so, take the time."""
    touched = [i for i, factor in effect.items() if _strongest(factor) >= VISIBLE]
    window = (start - 4, start + length + 4)
    if any(window[0] < stop and first < window[1] for i in touched for first, stop in occupied.get(i, ())):
        return False
    for i in touched:
        occupied.setdefault(i, []).append((start, start + length))
    return True


def _strongest(factor: Array) -> float:
    return float(np.exp(np.abs(np.log(np.maximum(factor, 1e-3))).max()))


def _apply(
    values: NDArray[np.float32],
    index: pd.DatetimeIndex,
    ids: list[str],
    kind: str,
    place: int,
    start: int,
    effect: Effect,
    about: str,
) -> dict:
    """Multiply the traffic and describe the event."""
    listed: dict[int, float] = {}
    length = len(effect[place])
    for i, factor in effect.items():
        values[start : start + length, i] *= factor
        if i == place or _strongest(factor) >= VISIBLE:
            listed[i] = float(factor[np.argmax(np.abs(np.log(np.maximum(factor, 1e-3))))])
    order = [place, *sorted((i for i in listed if i != place), key=lambda i: -abs(math.log(max(listed[i], 1e-3))))]
    stop = index[start] + pd.Timedelta(minutes=30 * length)
    return {
        "kind": kind,
        "stations": [ids[i] for i in order],
        "start": index[start].isoformat(),
        "end": stop.isoformat(),
        "magnitude": round(listed[place], 3),
        "factors": {ids[i]: round(listed[i], 3) for i in order},
        "description": about,
    }
