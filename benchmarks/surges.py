"""How well planted events are found, and how often what surged lay inside the intervals: results/surges.json.

    python benchmarks/surges.py [CITY]        default: the shipped demo city with its shipped model

Detectors, all through the same search (`lecdiff_core.surges.find`: runs, events of neighbours, false alarms counted on the
validation part) and told apart by the deviations they search:

    lec-diff            observation against LEC-Diff's distribution, forecasts made 1 to 12 h before
    seasonal-residual   the same against the adaptive climatology, its residuals scaled by the root of the forecast
    z-score             against mean and standard deviation of the same slot of day over training

each with and without the comparison with the neighbourhood. The truth is read here and nowhere else. An event is found if a
reported one shares a station and a step with it, matched one to one; a reported event that touches no planted one is a false alarm.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from record import record
from scipy import sparse
from scipy.sparse.csgraph import maximum_bipartite_matching

from lecdiff_core.assets import assets_folder
from lecdiff_core.city.folder import City
from lecdiff_core.city.layout import TRUE_EVENTS_FILE
from lecdiff_core.city.windows import Panel, Split, origins_within, protocol_split, steps_apart
from lecdiff_core.forecaster import Forecaster
from lecdiff_core.fusion.graph import distance_graph
from lecdiff_core.metrics import sample_quantiles
from lecdiff_core.models.catalogue import build
from lecdiff_core.models.checkpoint import CheckpointConfig, read_metrics
from lecdiff_core.names import OURS
from lecdiff_core.surges import LEADS, Found, find, gather
from lecdiff_core.training import ORIGINS_A_DAY, RECIPES, Parts, parts_of, train

RATES = (0.25, 0.5, 1.0, 2.0, 4.0)  # false alarms a day asked for
PLAIN, BESIDE = "alone", "beside neighbours"
SAMPLES = 100
TOP_SHARE = 0.01  # of each station's observations: what the paper marks as fluctuations


@dataclass(frozen=True)
class Planted:
    """A planted event: its kind, its stations (indices) and its steps, stop exclusive."""

    kind: str
    stations: frozenset[int]
    start: int
    stop: int


def main(folder: Path) -> None:
    """Measure everything on one city."""
    city = City.open(folder)
    lec_diff = Forecaster.load(city)
    panel, split = lec_diff.panel, protocol_split(lec_diff.panel.steps)
    _must_be_of(split, parts_of(read_metrics(city.model_folder(OURS)), panel))
    planted = [event for event in planted_events(city, panel) if event.stop > split.test.start]
    yardstick = adaptive_climatology(city, panel, split)
    begin = split.validation.start
    deviations = {
        OURS: gather(lec_diff, begin, report=told).deviation,
        "seasonal-residual": gather(yardstick, begin, report=told).deviation,
        "z-score": z_scores(panel, split),
    }
    results = [
        measure(name, deviation, beside, panel, split, planted)
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
        "inside_intervals": inside,
    }
    record("surges", document)


def _must_be_of(split: Split, parts: Parts) -> None:
    """Stop where the model has learned from days that are searched here."""
    if (parts.calibration, parts.since) != (split.validation, split.test.start):
        raise SystemExit("events are found after training only by a model of `lecdiff train --protocol`")


def told(done: float, total: float, message: str) -> None:
    """Progress on one line."""
    print(f"\r{message}: {done / total:.0%}", end="", file=sys.stderr, flush=True)


def planted_events(city: City, panel: Panel) -> list[Planted]:
    """The truth of a demo city."""
    row = {name: index for index, name in enumerate(panel.station_ids)}
    events = json.loads((city.path / TRUE_EVENTS_FILE).read_text("utf-8"))
    found = []
    for event in events:
        start, stop = (
            int(panel.clock.searchsorted(pd.Timestamp(event[end]).tz_convert(panel.timezone).tz_localize(None)))
            for end in ("start", "end")
        )
        found.append(Planted(event["kind"], frozenset(row[name] for name in event["stations"]), start, stop))
    return found


def adaptive_climatology(city: City, panel: Panel, split: Split) -> Forecaster:
    """The yardstick with its residuals from validation, as a forecaster."""
    model = build("adaptive-climatology", panel, seed=0)
    train(model, panel, split, RECIPES["default"], 0, torch.device("cpu"))
    config = CheckpointConfig.model_construct(station_ids=list(city.station_ids))
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
    name: str, deviation: np.ndarray, beside: bool, panel: Panel, split: Split, planted: list[Planted]
) -> list[dict[str, Any]]:
    """Precision and recall of one detector at each rate of false alarms."""
    begin = split.validation.start
    quiet, searched = slice(0, split.test.start - begin), slice(split.test.start - begin, None)
    found = find(deviation, quiet, searched, distance_graph(panel.positions), panel.steps_per_day, beside)
    days = len(split.test) / panel.steps_per_day
    return [
        {"detector": name, "compared": BESIDE if beside else PLAIN, "false_alarms_asked": rate}
        | score(found, np.flatnonzero(found.a_day <= rate), begin, planted, days)
        for rate in RATES
    ]


def score(found: Found, reported: np.ndarray, begin: int, planted: list[Planted], days: float) -> dict[str, Any]:
    """What the reported events are worth; `begin` is the step of the search's first column."""
    touching = np.array([[touches(found, event, begin, one) for one in planted] for event in reported], dtype=bool)
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


def touches(found: Found, event: int, begin: int, planted: Planted) -> bool:
    """Whether a reported event shares a station and a step with a planted one."""
    runs = found.runs.take(np.flatnonzero(found.event == event))
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
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else assets_folder() / "demo")
