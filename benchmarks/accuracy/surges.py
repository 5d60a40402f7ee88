"""How well planted events are found, and how often what surged lay inside the intervals: results/surges.json.

    python -m benchmarks.accuracy.surges [CITY [NAME]]     default: the shipped demo city with its shipped model

With NAME the result is `results/surges-NAME.json`: other generated towns, trained by `lecdiff train --protocol`, on which
`DISTRICTS_SHARE` was chosen.

Detectors, all through the same search (`lecdiff_core.surges.events.detect`: runs, events of neighbours, false alarms counted on the
validation part) and told apart by the deviations they search:

    lec-diff            observation against LEC-Diff's distribution, forecasts made 1 to 12 h before; areas by joint samples, too
    lec-diff-stations   the same, each station by itself
    seasonal-residual   the same against the adaptive climatology, its residuals scaled by the root of the forecast
    z-score             against mean and standard deviation of the same slot of day over training

each with and without the comparison with the neighbourhood. The truth is read here and nowhere else. An event is found if a
reported one shares a station and a step with it, matched one to one; a reported event that touches no planted one is a false alarm.

`districts`: ten more events are planted here, of five neighbouring stations for six hours, in each of which every reading lies
inside its station's own 90 % interval; how many are found with and without reading areas.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from scipy.sparse.csgraph import maximum_bipartite_matching

from benchmarks.record import record
from lecdiff_core.assets import assets_folder
from lecdiff_core.city.folder import City
from lecdiff_core.city.graph import distance_graph
from lecdiff_core.city.layout import TRUE_EVENTS_FILE
from lecdiff_core.city.panel import Panel
from lecdiff_core.city.splits import Split, origins_within, protocol_split, steps_apart
from lecdiff_core.evaluation.metrics import sample_quantiles
from lecdiff_core.forecaster import Forecaster
from lecdiff_core.models.catalogue import build
from lecdiff_core.models.checkpoint import CheckpointConfig, read_metrics
from lecdiff_core.models.names import OURS
from lecdiff_core.surges.districts import areas_of
from lecdiff_core.surges.events import Detections, detect
from lecdiff_core.surges.evidence import LEADS, Evidence, gather
from lecdiff_core.training import ORIGINS_A_DAY, RECIPES, Parts, parts_of, train

RATES = (0.25, 0.5, 1.0, 2.0, 4.0)  # false alarms a day asked for
STATIONS = "lec-diff-stations"
PLAIN, BESIDE = "alone", "beside neighbours"
SAMPLES = 100
DISTRICTS, DISTRICT_HOURS = 10, 6  # planted here
INSIDE = 0.9  # of the way from the median to the bound of a station's own 90 % interval: where they lie
TOP_SHARE = 0.01  # of each station's observations: what the paper marks as fluctuations


@dataclass(frozen=True)
class Planted:
    """A planted event: its kind, its stations (indices) and its steps, stop exclusive."""

    kind: str
    stations: frozenset[int]
    start: int
    stop: int


def main(folder: Path, name: str = "") -> None:
    """Measure everything on one city."""
    city = City.open(folder)
    lec_diff = Forecaster.load(city)
    panel, split = lec_diff.panel, protocol_split(lec_diff.panel.steps)
    _must_be_of(split, parts_of(read_metrics(city.model_folder(OURS)), panel))
    planted = [event for event in planted_events(city, panel) if event.stop > split.test.start]
    yardstick = adaptive_climatology(city, panel, split)
    begin = split.validation.start
    evidence = gather(lec_diff, begin, report=told)
    deviations = {
        OURS: evidence.deviation,
        STATIONS: evidence.deviation,
        "seasonal-residual": gather(yardstick, begin, report=told).deviation,
        "z-score": z_scores(panel, split),
    }
    results = [
        measure(name, deviation, beside, panel, split, planted, evidence.areas if name == OURS else None)
        for name, deviation in deviations.items()
        for beside in (True, False)
    ]
    inside = {
        name: coverage(forecaster, split, planted)
        for name, forecaster in ((OURS, lec_diff), ("adaptive-climatology", yardstick))
    }
    document = {
        "city": city.meta.name,
        "model_weights": lec_diff.config.weights_sha256,
        "data": city.data_hash,
        "days": len(split.test) / panel.steps_per_day,
        "planted": {kind: sum(event.kind == kind for event in planted) for kind in sorted({e.kind for e in planted})},
        "hours_ahead": list(LEADS),
        "results": [row for rows in results for row in rows],
        "districts": found_districts(lec_diff, evidence, split, planted),
        "inside_intervals": inside,
    }
    record(f"surges-{name}" if name else "surges", document)


def _must_be_of(split: Split, parts: Parts) -> None:
    """Stop where the model has learned from days that are searched here."""
    if (parts.calibration.stop, parts.since) != (split.test.start, split.test.start):
        raise SystemExit("events are found after training only by a model of `lecdiff train --protocol`")


def told(done: float, total: float, message: str) -> None:
    """Progress on one line."""
    print(f"\r{message}: {done / total:.0%}", end="", file=sys.stderr, flush=True)


def planted_events(city: City, panel: Panel) -> list[Planted]:
    """The truth of a demo city."""
    row = {name: index for index, name in enumerate(panel.station_ids)}
    events = json.loads((city.path / TRUE_EVENTS_FILE).read_text("utf-8"))
    planted = []
    for event in events:
        start, stop = (
            int(panel.clock.searchsorted(pd.Timestamp(event[end]).tz_convert(panel.timezone).tz_localize(None)))
            for end in ("start", "end")
        )
        planted.append(Planted(event["kind"], frozenset(row[name] for name in event["stations"]), start, stop))
    return planted


def adaptive_climatology(city: City, panel: Panel, split: Split) -> Forecaster:
    """The yardstick with its residuals from validation, as a forecaster."""
    model = build("adaptive-climatology", panel, seed=0)
    train(model, panel, split, RECIPES["default"], 0, torch.device("cpu"))
    config = CheckpointConfig.model_construct(model="adaptive-climatology", station_ids=list(city.station_ids))
    return Forecaster(city, panel, model, config, torch.device("cpu"))


def z_scores(panel: Panel, split: Split) -> np.ndarray:
    """(N, T) from validation on: distance to the mean of the slot of day over training, in its standard deviations."""
    slot = panel.calendar.slot.numpy()[: panel.steps]
    scores = np.full(panel.values.shape, np.nan, np.float32)
    for each in range(panel.steps_per_day):
        past = panel.values[:, split.train][:, slot[split.train] == each]
        mean, spread = np.nanmean(past, axis=1), np.nanstd(past, axis=1)
        floor = 1e-3 * max(float(np.nanmean(mean)), 1e-9)
        scores[:, slot == each] = (panel.values[:, slot == each] - mean[:, None]) / np.maximum(spread, floor)[:, None]
    return scores[:, split.validation.start :]


def measure(
    name: str,
    deviation: np.ndarray,
    beside: bool,
    panel: Panel,
    split: Split,
    planted: list[Planted],
    areas: Mapping[int, np.ndarray] | None,
) -> list[dict[str, Any]]:
    """Precision and recall of one detector at each rate of false alarms."""
    begin, detections = split.validation.start, searched(deviation, panel, split, areas, beside)
    days = len(split.test) / panel.steps_per_day
    return [
        {"detector": name, "compared": BESIDE if beside else PLAIN, "false_alarms_asked": rate}
        | score(detections, np.flatnonzero(detections.a_day <= rate), begin, planted, days)
        for rate in RATES
    ]


def searched(
    deviation: np.ndarray, panel: Panel, split: Split, areas: Mapping[int, np.ndarray] | None, beside: bool = True
) -> Detections:
    """Search the test part; the validation part is quiet."""
    quiet = len(split.validation)
    graph, parts = distance_graph(panel.positions), (slice(0, quiet), slice(quiet, None))
    return detect(deviation, *parts, graph, panel.steps_per_day, areas, panel.positions, beside_neighbours=beside)


def found_districts(forecaster: Forecaster, evidence: Evidence, split: Split, planted: list[Planted]) -> dict[str, Any]:
    """How many of some more planted events, in which each station stays inside its own interval, are found."""
    changed, more = with_districts(forecaster.panel, evidence, split, planted)
    again = Forecaster(forecaster.city, changed, forecaster.model, forecaster.config, forecaster.device)
    begin = split.validation.start
    seen = gather(again, begin, report=told)
    searches = {
        name: searched(seen.deviation, changed, split, areas)
        for name, areas in (("together", seen.areas), ("by themselves", None))
    }
    inside = [
        (seen.low[place] <= observed) & (observed <= seen.high[place])
        for place, observed in (_place(event, begin, changed) for event in more)
    ]
    told_of = {
        name: {
            str(rate): sum(
                any(touches(search, event, begin, one) for event in np.flatnonzero(search.a_day <= rate))
                for one in more
            )
            for rate in RATES
        }
        for name, search in searches.items()
    }
    return {
        "planted": len(more),
        "stations": 5,
        "hours": DISTRICT_HOURS,
        "inside_own_90": float(np.mean([part.mean() for part in inside])),
        "found_at_false_alarms_asked": told_of,
    }


def with_districts(
    panel: Panel, evidence: Evidence, split: Split, planted: list[Planted]
) -> tuple[Panel, list[Planted]]:
    """The panel with events of five neighbours, above and below in turn, away from what is planted already."""
    rng, members = np.random.default_rng(0), areas_of(panel.positions)[5]
    length, values = DISTRICT_HOURS * panel.steps_per_day // 24, panel.values.copy()
    more: list[Planted] = []
    while len(more) < DISTRICTS:
        start = int(rng.integers(split.test.start + panel.steps_per_day, panel.steps - length))
        one = Planted("district", frozenset(members[rng.integers(len(members))].tolist()), start, start + length)
        if panel.clock[start].hour < 7 or any(_close(one, other, panel) for other in [*planted, *more]):
            continue
        place, _ = _place(one, split.validation.start, panel)
        bound = evidence.high if len(more) % 2 == 0 else evidence.low
        values[np.ix_(sorted(one.stations), range(one.start, one.stop))] = evidence.middle[place] + INSIDE * (
            bound[place] - evidence.middle[place]
        )
        more.append(one)
    return replace(panel, values=values), more


def _place(event: Planted, begin: int, panel: Panel) -> tuple[Any, np.ndarray]:
    """Where an event lies in arrays that begin at step `begin`, and what was observed there."""
    stations, steps = sorted(event.stations), np.arange(event.start, event.stop)
    return np.ix_(stations, steps - begin), panel.values[np.ix_(stations, steps)]


def _close(one: Planted, other: Planted, panel: Panel) -> bool:
    """Within half a day of each other."""
    half = panel.steps_per_day // 2
    return one.start - half < other.stop and other.start - half < one.stop and bool(one.stations & other.stations)


def score(
    detections: Detections, reported: np.ndarray, begin: int, planted: list[Planted], days: float
) -> dict[str, Any]:
    """What the reported events are worth; `begin` is the step of the search's first column."""
    touching = np.array([[touches(detections, event, begin, one) for one in planted] for event in reported], dtype=bool)
    touching = touching.reshape(len(reported), len(planted))
    matched = match(touching)
    hit = {planted[index].kind: 0 for index in range(len(planted))}
    for index in matched[matched >= 0]:
        hit[planted[index].kind] += 1
    count = int((matched >= 0).sum())
    recall, precision = count / max(len(planted), 1), count / max(len(reported), 1)
    return {
        "planted": len(planted),
        "reported": len(reported),
        "matched": count,
        "recall": recall,
        "precision": precision,
        "f1": 2 * count / max(len(planted) + len(reported), 1),
        "false_alarms_a_day": float((~touching.any(1)).sum() / days),
        "matched_by_kind": hit,
    }


def touches(detections: Detections, event: int, begin: int, planted: Planted) -> bool:
    """Whether a reported event shares a station and a step with a planted one."""
    runs = detections.runs.take(np.flatnonzero(detections.event == event))
    together = (runs.start + begin < planted.stop) & (runs.stop + begin > planted.start)
    return bool(np.isin(runs.station[together], list(planted.stations)).any())


def match(touching: np.ndarray) -> np.ndarray:
    """For each reported event (rows) the planted one it is matched with, −1 = none; as many pairs as possible."""
    if not touching.size:
        return np.full(len(touching), -1)
    return maximum_bipartite_matching(sparse.csr_matrix(touching.astype(int)), perm_type="column")


# ---- the paper's Fig. 4c: how often what surged lay inside the intervals


def coverage(forecaster: Forecaster, split: Split, planted: list[Planted]) -> dict[str, dict[str, float]]:
    """Share of observations inside the central 50 % and 90 %, by the protocol's windows: 24 h ahead, an origin every 6 h."""
    panel = forecaster.panel
    during = np.zeros(panel.values.shape, bool)
    kinds = {event.kind: np.zeros(panel.values.shape, bool) for event in planted}
    for event in planted:
        place = np.ix_(sorted(event.stations), range(event.start, min(event.stop, panel.steps)))
        during[place] = kinds[event.kind][place] = True
    tested = panel.values[:, split.test]
    highest = panel.values >= np.nanquantile(tested, 1 - TOP_SHARE, axis=1)[:, None]
    masks = {"all observations": np.ones_like(during), "during planted events": during}
    masks |= {f"during a planted {kind.replace('_', ' ')}": mask for kind, mask in sorted(kinds.items())}
    masks |= {"highest 1 % of each station": highest, "none of these": ~during & ~highest}
    counts = {name: np.zeros(3) for name in masks}
    for steps, observed, inside in windows(forecaster, split):
        for name, mask in masks.items():
            chosen = mask[:, steps] & np.isfinite(observed)
            counts[name] += [chosen.sum(), *(part[chosen].sum() for part in inside)]
    return {
        name: {"count": int(count), "inside_50": half / max(count, 1), "inside_90": most / max(count, 1)}
        for name, (count, half, most) in counts.items()
    }


def windows(forecaster: Forecaster, split: Split) -> Iterator[tuple[slice, np.ndarray, list[np.ndarray]]]:
    """Of each window its steps, the observations (N, H), and whether each lies inside the 50 % and the 90 % interval."""
    panel, horizon = forecaster.panel, forecaster.horizon
    for origin in origins_within(split.test, horizon, steps_apart(panel.steps_per_day, ORIGINS_A_DAY)).tolist():
        time = panel.clock[origin].tz_localize(panel.timezone, ambiguous=True)
        samples = forecaster.forecast(time, samples=SAMPLES).samples
        low_90, low_50, high_50, high_90 = sample_quantiles(samples, [0.05, 0.25, 0.75, 0.95])
        steps = slice(origin, origin + horizon)
        observed = panel.values[:, steps]
        pairs = ((low_50, high_50), (low_90, high_90))
        yield steps, observed, [(low <= observed) & (observed <= high) for low, high in pairs]


if __name__ == "__main__":
    chosen = sys.argv[1:]
    main(Path(chosen[0]) if chosen else assets_folder() / "demo", *chosen[1:])
