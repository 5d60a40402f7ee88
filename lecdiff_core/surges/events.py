"""From deviations to events: runs of stations tied to those of their neighbours, and districts beside them.

Letters: N stations, T steps looked at.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from lecdiff_core.city.graph import Graph
from lecdiff_core.surges.districts import District, areas_of, districts
from lecdiff_core.surges.false_alarms import FalseAlarms
from lecdiff_core.surges.runs import Runs, runs_of
from lecdiff_core.surges.scores import standardised, surge_scores

PAUSE_HOURS = 1.0  # a run goes on over so much of normal or missing traffic
ONCE_DAYS = 7.0  # runs that a station shows by chance no more than once in this time can tie neighbours together
DISTRICTS_SHARE = 0.1  # of the false alarms put up with, those that may come of districts


@dataclass(frozen=True)
class Detections:
    """What a search gives: runs, the event (0, 1, …) of each, and of each event strength and false alarms a day.

    tying: the strength from which on a run tells when its event begins and ends.
    area: of each event, how many stations were judged together; 1 = each by itself.
    """

    scores: np.ndarray  # (N, T), as `deviation`
    tying: float
    runs: Runs
    event: np.ndarray
    strength: np.ndarray
    a_day: np.ndarray
    area: np.ndarray


def detect(
    deviation: np.ndarray,
    quiet: slice,
    searched: slice,
    graph: Graph,
    steps_per_day: int,
    areas: Mapping[int, np.ndarray] | None = None,
    positions: np.ndarray | None = None,
    beside_neighbours: bool = True,
) -> Detections:
    """Search deviations (N, T), from whatever forecast; `quiet` (columns) says what is normal, `searched` is looked through.

    areas: deviations (N, T) of the areas around stations at these positions (N, 2), by their size.
    beside_neighbours: set each deviation against those of the neighbourhood first.
    """
    scores = surge_scores(deviation, quiet, graph, beside_neighbours)
    pause = round(PAUSE_HOURS * steps_per_day / 24)
    calm, shown = (runs_of(scores, part, pause) for part in (quiet, searched))
    days = float((quiet.stop - (quiet.start or 0)) / steps_per_day)
    expected = int(len(scores) * days / ONCE_DAYS)
    strongest = np.sort(calm.strength)[::-1]
    tying = float(strongest[min(expected, len(strongest) - 1)]) if len(strongest) else np.inf
    alarms = FalseAlarms.of(_strengths(calm, tie(calm, graph, tying)), days)
    calm_event, event = tie(calm, graph, tying), tie(shown, graph, tying)
    alone = Detections(scores, tying, *_of_events(shown, event, alarms))
    if not areas or positions is None:
        return alone
    ordinary = Detections(scores, tying, *_of_events(calm, calm_event, alarms))
    return _with_districts(alone, ordinary, quiet, searched, pause, areas, positions, days)


def _of_events(
    runs: Runs, event: np.ndarray, alarms: FalseAlarms
) -> tuple[Runs, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The runs that belong to events, and what `Detections` says of these."""
    runs, event = runs.take(event >= 0), event[event >= 0]
    strength = _strengths(runs, event)
    return runs, event, strength, alarms.a_day(strength), np.ones(len(strength), int)


def _with_districts(
    alone: Detections,
    ordinary: Detections,
    quiet: slice,
    searched: slice,
    pause: int,
    areas: Mapping[int, np.ndarray],
    positions: np.ndarray,
    days: float,
) -> Detections:
    """Events of stations by themselves, and of districts beside them; `ordinary`: those of quiet days.

    An event that is detected by both counts by the rarer of the two. What is reported more, as two things are looked at, is counted
    on quiet days once more.
    """
    members = areas_of(positions)
    scores = {size: standardised(_beside_network(standardised(areas[size], quiet), quiet), quiet) for size in members}
    runs = {size: (runs_of(score, quiet, pause), runs_of(score, searched, pause)) for size, score in scores.items()}
    calm, shown = ({size: pair[part] for size, pair in runs.items()} for part in (0, 1))
    least = int(len(positions) * days / ONCE_DAYS)
    calm_found = districts(calm, members, least)
    alarms = FalseAlarms.of(np.array([district.strength for district in calm_found]), days)
    before = _joined(ordinary, calm_found, alarms)
    joined = _joined(alone, districts(shown, members, least, calm), alarms)
    both = FalseAlarms.of(-np.log(before.a_day), days)
    return replace(joined, a_day=both.a_day(-np.log(joined.a_day)))


def _beside_network(scores: np.ndarray, quiet: slice) -> np.ndarray:
    """Scores (N, T) less what the whole network shares, times one number fitted on quiet times."""
    known = np.isfinite(scores)
    mean = np.where(known, scores, 0.0).sum(0) / np.maximum(known.sum(0), 1)
    here = np.where(known, mean, 0.0)[:, quiet]
    share = float((np.nan_to_num(scores[:, quiet]) * here).sum() / max(float((here**2).sum()), 1e-9))
    return scores - share * mean


def _joined(alone: Detections, districts: list[District], alarms: FalseAlarms) -> Detections:
    """Events of stations and of districts as one list; `a_day` is then the smaller of what each alone would say."""
    runs, event = alone.runs, alone.event
    strength, a_day, area = list(alone.strength), list(alone.a_day), list(alone.area)
    more = []
    rates = alarms.a_day(np.array([district.strength for district in districts])) / DISTRICTS_SHARE
    for district, rate in zip(districts, rates, strict=True):
        same = np.isin(runs.station, district.stations)
        same &= (runs.start < district.stop) & (runs.stop > district.start) & (runs.direction == district.direction)
        touched = np.unique(event[same])
        if len(touched):
            strongest = min(touched, key=lambda number: a_day[number])
            a_day[strongest] = min(a_day[strongest], float(rate))
            continue
        more.append(_runs_of_district(district, alone.scores))
        strength.append(district.strength)
        a_day.append(float(rate))
        area.append(len(district.stations))
    numbers = [np.full(len(part), len(alone.strength) + index) for index, part in enumerate(more)]
    every = [runs, *more]
    return replace(
        alone,
        runs=Runs(*(np.concatenate([getattr(part, name) for part in every]) for name in vars(runs))),
        event=np.concatenate([event, *numbers]),
        strength=np.array(strength),
        a_day=np.array(a_day),
        area=np.array(area, int),
    )


def _runs_of_district(district: District, scores: np.ndarray) -> Runs:
    """A run of each station of a district over its time; the station that is farthest out first in strength."""
    part = np.nan_to_num(scores[district.stations, district.start : district.stop]) * district.direction
    mean = part.mean(1)
    shares = np.clip((mean - mean.min()) / max(float(np.ptp(mean)), 1e-9), 0.5, 1.0)
    count = len(district.stations)
    return Runs(
        station=district.stations,
        start=np.full(count, district.start),
        stop=np.full(count, district.stop),
        direction=np.full(count, district.direction),
        strength=district.strength * shares,
        peak=district.start + part.argmax(1),
    )


def tie(runs: Runs, graph: Graph, tying: float) -> np.ndarray:
    """The event of each run, −1 = none.

    Runs at least as strong as `tying` are one event where stations are neighbours and times overlap, above and below alike: a
    dead station and the neighbours that took over are one. A weaker run of two steps or more joins the strongest such
    neighbour, and ties nothing.
    """
    event = np.full(len(runs), -1)
    strong = np.flatnonzero(runs.strength >= tying)
    if not len(strong):
        return event
    one, other = _meeting(runs, strong, graph)
    position = np.full(len(runs), -1)
    position[strong] = np.arange(len(strong))
    both = position[other] >= 0
    pairs = (np.ones(int(both.sum()), bool), (position[one[both]], position[other[both]]))
    _, label = connected_components(sparse.coo_matrix(pairs, shape=(len(strong), len(strong))), directed=False)
    event[strong] = label
    joins = ~both & (runs.stop[other] - runs.start[other] > 1)
    order = np.argsort(runs.strength[one[joins]], kind="stable")
    event[other[joins][order]] = event[one[joins][order]]
    return event


def _meeting(runs: Runs, strong: np.ndarray, graph: Graph) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of a strong run and another run at a neighbouring station at the same time."""
    source, target = graph.edge_index.numpy()
    edges = pd.DataFrame({"here": source, "there": target})
    edges = edges[edges["here"] != edges["there"]]
    ours = pd.DataFrame({"one": strong, "here": runs.station[strong]})
    theirs = pd.DataFrame({"other": np.arange(len(runs)), "there": runs.station})
    pairs = ours.merge(edges, on="here").merge(theirs, on="there")
    one, other = pairs["one"].to_numpy(), pairs["other"].to_numpy()
    overlap = (runs.start[one] < runs.stop[other]) & (runs.start[other] < runs.stop[one])
    return one[overlap], other[overlap]


def _strengths(runs: Runs, event: np.ndarray) -> np.ndarray:
    """Strength of each event: of its strongest run."""
    strength = np.zeros(int(event.max()) + 1 if len(event) else 0)
    np.maximum.at(strength, event[event >= 0], runs.strength[event >= 0])
    return strength
