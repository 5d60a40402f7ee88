"""Surges: where and when traffic left the forecasts that were made before the fact, how far, for how long and with whom.

The way of the data:

    a forecast every 3 hours after what the model was fitted on ─ each observation against those of 1 to 12 h before: `Evidence`
    deviations ─ set against what the neighbourhood does and what is normal for the station: scores, standard normal in quiet times
    scores beyond ±1.645 in a row ─ a station's runs ─ runs of neighbours that overlap in time: events
    the same for areas, by how unlikely it is that these stations together come so far out (lecdiff_core/districts.py)
    events of the part that calibrated the model ─ how many as strong normal traffic gives in a day: what an event's strength means

A single value of a single forecast says little: 100 samples resolve no probability below 1 %, and traffic is correlated in time and
space. So a deviation is measured in half-widths of the 90 % interval, averaged over the forecasts, which is finer than samples are;
its tail probability comes from the samples of all stations and steps together, each in units of its own interval. Whether an event
is rare is not read off these numbers, but counted on the days that calibrated the model. Of a model trained for use these are
searched, too; an event of theirs then counts among the ordinary ones that it is compared with, which gives the rate that is asked
for where nothing surged, and reports fewer where something did.

Letters: N stations, T steps looked at, S samples, H horizon steps.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from lecdiff_core.bounded import check_table
from lecdiff_core.city.folder import City, duration_text, named
from lecdiff_core.city.graph import Graph
from lecdiff_core.city.layout import SURGE_SCORES_FILE, SURGES_FILE, UNFINISHED_SURGES_FILE
from lecdiff_core.city.panel import Panel
from lecdiff_core.city.splits import steps_apart
from lecdiff_core.city.timeline import moment
from lecdiff_core.districts import District, areas_of, districts, together
from lecdiff_core.errors import UserError
from lecdiff_core.evaluation.metrics import half_widths, sample_quantiles
from lecdiff_core.forecaster import Forecaster
from lecdiff_core.locks import working
from lecdiff_core.models.checkpoint import read_metrics, source_now
from lecdiff_core.models.names import PREFERRED
from lecdiff_core.progress import Report, silent
from lecdiff_core.provenance import Source, is_current, source_of, stamped
from lecdiff_core.runs import BOUND, Runs, runs_of
from lecdiff_core.storage import changing, read_whole, replacing
from lecdiff_core.training import Parts, parts_of

METHOD = 2  # raised when the same city and model can give other surges
KEPT_EVERY = 16  # origins between two states that a stopped search can go on from
ORIGINS_A_DAY = 8
LEADS = (1, 12)  # hours: the forecasts that an observation is held against
LONGEST_INTERVAL = pd.Timedelta("8h")  # of which one at least lies among those hours
DAY_AHEAD = (18, 24)  # hours: the forecasts that "was it in yesterday's forecast" means
SAMPLES = 100
PAUSE_HOURS = 1.0  # a run goes on over so much of normal or missing traffic
HOPS = 2  # of the graph: how far the neighbourhood reaches that a deviation is set against
QUIET_DAYS = 3.0  # how many days of its own a station needs until its own spread counts as much as everybody's
ONCE_DAYS = 7.0  # runs that a station shows by chance no more than once in this time can tie neighbours together
TAIL = 4.0  # events a day above which the tail is fitted
LEAST_TAIL = 10  # events
RAREST = 1e-3  # a day: no tail fitted on a few days tells more
DISTRICTS_SHARE = 0.25  # of the false alarms put up with, those that may come of districts
FILED = 10.0  # events are kept up to so many false alarms a day
POOL = 400_000  # standardised samples that tail probabilities are read from


@dataclass(frozen=True)
class Evidence:
    """Observations beside the forecasts made before them, all (N, T), NaN where nothing was observed or forecast.

    first: step of the panel of the first column.
    deviation: from the median, in half-widths of the 90 % interval on that side times 1.645, mean over the forecasts made
    1 to 12 h before.
    probability: that traffic would come at least so far out on that side, under these forecasts with equal weights.
    day_ahead: the same under the forecasts made 18 to 24 h before.
    low, middle, high: 5 %, 50 % and 95 % quantile, mean over the forecasts made 1 to 12 h before.
    areas: by the number of stations in an area, the deviation of the area around each station, as `deviation`.
    """

    first: int
    deviation: np.ndarray
    probability: np.ndarray
    day_ahead: np.ndarray
    low: np.ndarray
    middle: np.ndarray
    high: np.ndarray
    areas: Mapping[int, np.ndarray] = field(default_factory=dict)


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


@dataclass(frozen=True)
class Found:
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


@dataclass(frozen=True)
class Surges:
    """The surges of a city as they are kept: `events` a row an event, `scores` (T, N), and what both came from."""

    events: pd.DataFrame
    scores: pd.DataFrame
    source: Source

    @property
    def unjudged(self) -> list[str]:
        """Stations without any score: nothing was forecast of them, or observed, in the days searched."""
        return [str(name) for name, known in self.scores.notna().any().items() if not known]

    @property
    def notices(self) -> list[str]:
        """What a reader should know, in plain sentences."""
        names, count = self.unjudged, self.scores.shape[1]
        why = "nothing of them was forecast or observed in the days searched"
        return [f"{len(names):,} of {count:,} stations could not be judged, as {why}: {named(names)}"] if names else []

    def at_most(self, false_alarms_per_day: float) -> pd.DataFrame:
        """The events that are reported when so many false alarms a day are put up with, the rarest first.

        Strengths of stations and of areas are on scales of their own, so that they only tell apart what is equally rare.
        """
        shown = self.events[self.events["false_alarms_per_day"] <= false_alarms_per_day]
        return shown.sort_values(
            ["false_alarms_per_day", "strength", "event_id"], ascending=[True, False, True], ignore_index=True
        )


def find_surges(
    city: City,
    model: str = PREFERRED,
    since: pd.Timestamp | str | None = None,
    device: str = "auto",
    report: Report = silent,
) -> Surges:
    """Search what a model was not fitted on (from `since` on) and keep what is found in the city's folder; what is there and
    current is read.

    Stopped half-way, the same call goes on. Raises UserError without a model, with too little traffic, or for a `since` that the
    model learned from.
    """
    parts, first = _searched(city, model, since)
    kept = read_surges(city)
    if kept is not None and kept.source == _source(source_now(city, model), first):
        return kept
    with working(city.path, "surges"):
        return _search(city, model, parts, first, device, report)


def _search(city: City, model: str, parts: Parts, first: int, device: str, report: Report) -> Surges:
    forecaster = Forecaster.load(city, model, device)
    panel, source = forecaster.panel, _source(forecaster.source, first)
    begin = parts.calibration.start
    evidence = gather(forecaster, begin, source, report)
    quiet = slice(0, len(parts.calibration))
    searched = slice(first - begin, None)
    found = find(
        evidence.deviation, quiet, searched, forecaster.graph, panel.steps_per_day, evidence.areas, panel.positions
    )
    events = _frame(_arrow(event_table(found, evidence, panel), panel.timezone))
    surges = Surges(events, _score_table(found.scores, first - begin, evidence, panel), source)
    write_surges(city, surges)
    _unfinished(city).unlink(missing_ok=True)
    return surges


def _searched(city: City, model: str, since: pd.Timestamp | str | None) -> tuple[Parts, int]:
    """What the model learned from, and the first step that is searched."""
    if city.interval > LONGEST_INTERVAL:
        raise UserError(
            f"{city.path}: surges are told by the forecasts of the hours before, which takes intervals of at most "
            f"{duration_text(LONGEST_INTERVAL)}; this city's are of {city.meta.interval}"
        )
    panel = Panel.of(city)
    parts = parts_of(read_metrics(city.model_folder(model)), panel)
    if len(parts.calibration) < panel.steps_per_day:
        raise UserError(
            f"{city.path}: surges need at least a day of traffic that calibrated the model; there are only "
            f"{panel.steps / panel.steps_per_day:.1f} days in all"
        )
    if since is None:
        return parts, parts.since
    clock = moment(since, panel.timezone, "--since").tz_localize(None)
    first, last = panel.clock[parts.since], panel.clock[-1]
    if not first <= clock <= last:
        raise UserError(
            f"--since {clock:%Y-%m-%d %H:%M}: surges are looked for after what the model learned from, from "
            f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"
        )
    return parts, int(panel.clock.searchsorted(clock))


def _source(read: Source, first: int) -> dict[str, Any]:
    """All that surges are derived from, given what the forecasts read."""
    return {"method": METHOD, **read, "first_step": first}


# ---- from forecasts to evidence


def gather(forecaster: Forecaster, begin: int, source: Source | None = None, report: Report = silent) -> Evidence:
    """Hold every observation from step `begin` on against the forecasts made before it.

    With `source` the state is kept now and then in the city folder, and a search of the same source goes on from there.
    """
    panel = forecaster.panel
    every = steps_apart(panel.steps_per_day, ORIGINS_A_DAY)
    origins = np.arange(max(begin, panel.steps_per_day), panel.steps, every)
    members = areas_of(panel.positions)
    sums, done = _kept_sums(forecaster.city, source)
    if sums is None:
        shape = (len(panel.station_ids), panel.steps - begin)
        names = ["deviation", "probability", "low", "middle", "high", "forecasts", "day_ahead", "days_ahead"]
        names += [name for size in members for name in (f"area_{size}", f"areas_{size}")]
        sums = {name: np.zeros(shape, np.float32) for name in names}
    for number, origin in enumerate(origins.tolist()):
        if number < done:
            continue
        _add_origin(forecaster, origin, begin, members, sums)
        if source is not None and (number + 1) % KEPT_EVERY == 0:
            _keep_sums(forecaster.city, source, sums, number + 1)
        report(number + 1, len(origins), "comparing forecasts with what came")
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = {name: sums[name] / sums["forecasts"] for name in ("deviation", "probability", "low", "middle", "high")}
        areas = {size: sums[f"area_{size}"] / sums[f"areas_{size}"] for size in members}
        return Evidence(begin, day_ahead=sums["day_ahead"] / sums["days_ahead"], **mean, areas=areas)


def _add_origin(
    forecaster: Forecaster, origin: int, begin: int, members: Mapping[int, np.ndarray], sums: dict[str, np.ndarray]
) -> None:
    """Add one forecast of the whole city to the sums; `members`: the stations of its areas, by size."""
    panel = forecaster.panel
    timeline, times = forecaster.city.timeline, forecaster.city.traffic.index
    time = times[int(np.argmax(timeline.steps(times) >= origin))]
    forecast = forecaster.forecast(time, samples=SAMPLES)
    steps = timeline.steps(forecast.timestamps)
    hours = (steps - origin) * 24 / panel.steps_per_day
    row = {name: index for index, name in enumerate(panel.station_ids)}
    rows = np.array([row[name] for name in forecast.station_ids])
    ahead = np.flatnonzero((steps >= origin) & (steps < panel.steps) & (hours >= LEADS[0]) & (hours < DAY_AHEAD[1]))
    if not len(ahead):
        return
    observed = panel.values[np.ix_(rows, steps[ahead])]
    samples = forecast.samples[:, :, ahead] / timeline.shares(forecast.timestamps)[ahead]
    compared = compare(observed, samples)
    known = np.isfinite(observed)
    for (first, last), count, names in (
        (LEADS, "forecasts", ("deviation", "probability", "low", "middle", "high")),
        (DAY_AHEAD, "days_ahead", ("probability",)),
    ):
        within = np.flatnonzero((hours[ahead] >= first) & (hours[ahead] < last))
        place = np.ix_(rows, steps[ahead][within] - begin)
        for name in names:
            target = "day_ahead" if count == "days_ahead" else name
            sums[target][place] += np.where(known, compared[name], 0.0)[:, within]
        sums[count][place] += known[:, within]
    soon = np.flatnonzero((hours[ahead] >= LEADS[0]) & (hours[ahead] < LEADS[1]))
    columns = steps[ahead][soon] - begin
    areas = together(members, rows, observed[:, soon], samples[:, :, soon])
    for size, observed_together, sampled_together in areas:
        deviation = compare(observed_together, sampled_together)["deviation"]
        known = np.isfinite(deviation)
        sums[f"area_{size}"][:, columns] += np.where(known, deviation, 0.0)
        sums[f"areas_{size}"][:, columns] += known


def compare(observed: np.ndarray, samples: np.ndarray) -> dict[str, np.ndarray]:
    """Observations (N, H), NaN = missing, against samples (S, N, H): deviation, probability, low, middle, high as in `Evidence`.

    A tail probability finer than 1 / S: the samples of all stations and steps, each in half-widths of its own interval, form one
    distribution for either side, which gives the share beyond the observation.
    """
    low, middle, high = sample_quantiles(samples, [0.05, 0.5, 0.95])
    down, up = half_widths(low, middle, high)
    above = observed >= middle
    units = np.abs(observed - middle) / np.where(above, up, down)
    offsets = samples[:, :: _stride(samples)] - middle[:: _stride(samples)]
    probability = np.full(observed.shape, np.nan)
    for side, width, sign in ((above, up, 1.0), (~above, down, -1.0)):
        pool = np.sort((sign * offsets / width[:: _stride(samples)]).ravel())
        place = side & np.isfinite(observed)
        beyond = len(pool) - np.searchsorted(pool, units[place], side="left")
        probability[place] = (beyond + 0.5) / (len(pool) + 1)
    deviation = BOUND * np.where(above, units, -units)
    return {"deviation": deviation, "probability": probability, "low": low, "middle": middle, "high": high}


def _stride(samples: np.ndarray) -> int:
    """Every how many stations give enough standardised samples."""
    return max(1, min(samples.shape[1], samples.size // POOL))


def _unfinished(city: City) -> Path:
    return city.path / UNFINISHED_SURGES_FILE


def _digest(source: Source) -> str:
    return hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()


def _keep_sums(city: City, source: Source, sums: dict[str, np.ndarray], done: int) -> None:
    with replacing(_unfinished(city)) as unfinished:
        unfinished.write_bytes(save(sums, {"source": _digest(source), "done": str(done)}))


def _kept_sums(city: City, source: Source | None) -> tuple[dict[str, np.ndarray] | None, int]:
    """The state of a search that was stopped, if it is of this source."""
    if source is None or not _unfinished(city).is_file():
        return None, 0
    try:
        with safe_open(_unfinished(city), framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("source") != _digest(source):
                return None, 0
            return {name: file.get_tensor(name) for name in file.keys()}, int(metadata["done"])  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError):
        return None, 0


# ---- from deviations to events


def find(
    deviation: np.ndarray,
    quiet: slice,
    searched: slice,
    graph: Graph,
    steps_per_day: int,
    areas: Mapping[int, np.ndarray] | None = None,
    positions: np.ndarray | None = None,
    beside_neighbours: bool = True,
) -> Found:
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
    alone = Found(scores, tying, *_of_events(shown, event, alarms))
    if not areas or positions is None:
        return alone
    ordinary = Found(scores, tying, *_of_events(calm, calm_event, alarms))
    return _with_districts(alone, ordinary, quiet, searched, pause, areas, positions, days)


def _of_events(
    runs: Runs, event: np.ndarray, alarms: FalseAlarms
) -> tuple[Runs, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The runs that belong to events, and what `Found` says of these."""
    runs, event = runs.take(event >= 0), event[event >= 0]
    strength = _strengths(runs, event)
    return runs, event, strength, alarms.a_day(strength), np.ones(len(strength), int)


def _with_districts(
    alone: Found,
    ordinary: Found,
    quiet: slice,
    searched: slice,
    pause: int,
    areas: Mapping[int, np.ndarray],
    positions: np.ndarray,
    days: float,
) -> Found:
    """Events of stations by themselves, and of districts beside them; `ordinary`: those of quiet days.

    An event that is told by both counts by the rarer of the two. What is reported more, as two things are looked at, is counted on
    quiet days once more.
    """
    members = areas_of(positions)
    scores = {size: _matched(_beside_network(_matched(areas[size], quiet), quiet), quiet) for size in members}
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


def _joined(alone: Found, found: list[District], alarms: FalseAlarms) -> Found:
    """Events of stations and of districts as one list; `a_day` is then the smaller of what each alone would say."""
    runs, event = alone.runs, alone.event
    strength, a_day, area = list(alone.strength), list(alone.a_day), list(alone.area)
    more = []
    rates = alarms.a_day(np.array([district.strength for district in found])) / DISTRICTS_SHARE
    for district, rate in zip(found, rates, strict=True):
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


def surge_scores(deviation: np.ndarray, quiet: slice, graph: Graph, beside_neighbours: bool = True) -> np.ndarray:
    """Scores (N, T): deviations, less what the neighbourhood shares, on the scale of a standard normal in quiet times.

    The share (one number, least squares) and the scales are set on the `quiet` columns; a station's own scale there on the other
    half of them, so that quiet times are judged as other times are.
    """
    scores = _matched(deviation, quiet)
    if beside_neighbours:
        around = _around(scores, graph)
        known, here = np.nan_to_num(scores[:, quiet]), around[:, quiet]
        share = float((known * here).sum() / max(float((here**2).sum()), 1e-9))
        scores = _matched(scores - share * around, quiet)
    return _matched(scores / _own_scale(scores, quiet), quiet)


def _matched(scores: np.ndarray, quiet: slice) -> np.ndarray:
    """Moved and stretched, on either side, so that quiet times have the median and the 5 % bounds of a standard normal."""
    known = scores[:, quiet][np.isfinite(scores[:, quiet])]
    if len(known) < 20:
        raise UserError("there is too little traffic in the days that calibrated the model to tell what is normal")
    low, middle, high = np.quantile(known, [0.05, 0.5, 0.95])
    off = scores - middle
    return BOUND * off / np.where(off > 0, max(high - middle, 1e-9), max(middle - low, 1e-9))


def _around(scores: np.ndarray, graph: Graph) -> np.ndarray:
    """Mean score (N, T) of the stations at most two edges away, without the station itself."""
    source, target = graph.edge_index.numpy()
    steps = sparse.csr_matrix((np.ones(len(source), np.float32), (target, source)), shape=(graph.nodes, graph.nodes))
    reached = steps
    for _ in range(HOPS - 1):
        reached = reached @ steps
    reached = (reached > 0).astype(np.float32).tolil()
    reached.setdiag(0)
    reached = reached.tocsr()
    known = np.isfinite(scores).astype(np.float32)
    return (reached @ np.nan_to_num(scores)) / np.maximum(reached @ known, 1.0)


def _own_scale(scores: np.ndarray, quiet: slice) -> np.ndarray:
    """(N, T) spread of each station in quiet times, drawn towards everybody's where there are few days."""
    start, middle = quiet.start or 0, ((quiet.start or 0) + quiet.stop) // 2
    halves = (slice(start, middle), slice(middle, quiet.stop))
    scale = np.repeat(_spread(scores, quiet)[:, None], scores.shape[1], axis=1)
    scale[:, halves[0]] = _spread(scores, halves[1])[:, None]
    scale[:, halves[1]] = _spread(scores, halves[0])[:, None]
    return scale


def _spread(scores: np.ndarray, part: slice) -> np.ndarray:
    """(N,) root mean square within ±3, relative to everybody's."""
    squares = np.clip(scores[:, part], -3, 3) ** 2
    known = np.isfinite(squares)
    pooled = max(float(squares[known].mean()), 1e-9) if known.any() else 1.0
    weight = known.mean(1) * (part.stop - part.start)
    prior = QUIET_DAYS / 6 * squares.shape[1]
    own = np.where(known, squares, 0).sum(1)
    return np.sqrt((own + prior * pooled) / (weight + prior) / pooled)


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


# ---- events as a table, and their file


def event_table(found: Found, evidence: Evidence, panel: Panel) -> pd.DataFrame:
    """One row an event, in order of time; the columns are those of `surges.parquet` (docs/surges.md)."""
    rows = [
        _event_row(found.runs.take(np.flatnonzero(found.event == number)), found.tying, a_day, evidence, panel)
        | {"area": int(found.area[number])}
        for number, a_day in enumerate(found.a_day)
        if a_day <= FILED
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.sort_values(["start", "event_id"], ignore_index=True)


COLUMNS = (
    "event_id", "direction", "start", "end", "station_id", "peak_time", "observed", "expected", "low", "high", "excess", "widths",
    "probability", "probability_day_ahead", "strength", "false_alarms_per_day", "above", "below",
    "area", "stations", "directions", "starts", "ends", "excesses",
)  # fmt: skip
LISTS = COLUMNS[-5:]
LATER = {"area": 1}  # columns that came with a later method, and what they say of an older one's events


def _event_row(runs: Runs, tying: float, a_day: float, evidence: Evidence, panel: Panel) -> dict[str, Any]:
    runs = runs.take(np.argsort(-runs.strength, kind="stable"))
    observed = panel.values[:, evidence.first :]
    beyond = [
        _excess(evidence, observed, *place) for place in zip(runs.station, runs.peak, runs.direction, strict=True)
    ]
    lead, at, direction = int(runs.station[0]), int(runs.peak[0]), int(runs.direction[0])
    low, high = float(evidence.low[lead, at]), float(evidence.high[lead, at])
    strong = runs.strength >= min(tying, runs.strength[0])
    start, stop = int(runs.start[strong].min()), int(runs.stop[strong].max())
    names = [panel.station_ids[station] for station in runs.station]
    sides = np.where(runs.direction > 0, "above", "below")
    return {
        "event_id": f"{panel.clock[evidence.first + start]:%Y%m%d-%H%M}-{names[0]}",
        "direction": str(sides[0]),
        "start": panel.time(evidence.first + start),
        "end": panel.time(evidence.first + stop),
        "station_id": names[0],
        "peak_time": panel.time(evidence.first + at),
        "observed": float(observed[lead, at]),
        "expected": float(evidence.middle[lead, at]),
        "low": low,
        "high": high,
        "excess": beyond[0],
        "widths": direction * beyond[0] / max(high - low, 1e-9),
        "probability": float(evidence.probability[lead, at]),
        "probability_day_ahead": float(evidence.day_ahead[lead, at]),
        "strength": float(runs.strength[0]),
        "false_alarms_per_day": float(a_day),
        "above": len({name for name, side in zip(names, sides, strict=True) if side == "above"}),
        "below": len({name for name, side in zip(names, sides, strict=True) if side == "below"}),
        "stations": names,
        "directions": sides.tolist(),
        "starts": [panel.time(evidence.first + int(step)) for step in runs.start],
        "ends": [panel.time(evidence.first + int(step)) for step in runs.stop],
        "excesses": beyond,
    }


def _excess(evidence: Evidence, observed: np.ndarray, station: int, step: int, direction: int) -> float:
    """Traffic beyond the 90 % interval, below it negative; 0 inside."""
    value = observed[station, step]
    if direction > 0:
        return float(max(value - evidence.high[station, step], 0.0))
    return float(min(value - evidence.low[station, step], 0.0))


def _score_table(scores: np.ndarray, first: int, evidence: Evidence, panel: Panel) -> pd.DataFrame:
    """Scores (T, N) of the part that was searched, to two decimals."""
    begin = evidence.first + first
    index = panel.times(begin, panel.steps - begin).rename("timestamp")
    table = pd.DataFrame(np.round(scores[:, first:].T, 2).astype(np.float32), index, list(panel.station_ids))
    return table[~table.index.duplicated(keep="last")]


def write_surges(city: City, surges: Surges) -> None:
    """Keep surges, events and scores, in the city folder as one change."""
    tables = {
        SURGE_SCORES_FILE: pa.Table.from_pandas(surges.scores),
        SURGES_FILE: _arrow(surges.events, city.meta.timezone),
    }
    with changing(city.path) as change:
        for name, table in tables.items():
            pq.write_table(stamped(table, surges.source), change.file(name), compression="zstd")


def _arrow(events: pd.DataFrame, timezone: str) -> pa.Table:
    """Events with their column types, which an empty table would not tell."""
    time, text = pa.timestamp("us", timezone), pa.string()
    types = dict.fromkeys(COLUMNS, pa.float64()) | {
        **dict.fromkeys(("event_id", "direction", "station_id"), text),
        **dict.fromkeys(("start", "end", "peak_time"), time),
        **dict.fromkeys(("above", "below", "area"), pa.int64()),
        **dict.fromkeys(("stations", "directions"), pa.list_(text)),
        **dict.fromkeys(("starts", "ends"), pa.list_(time)),
        "excesses": pa.list_(pa.float64()),
    }
    return pa.Table.from_pandas(events, pa.schema(list(types.items())), preserve_index=False)


def _frame(events: pa.Table) -> pd.DataFrame:
    """Events as they are read back from their file: lists are lists, and times in them have the zone of the others."""
    frame = events.to_pandas()
    times = {name for name in LISTS if pa.types.is_timestamp(events.schema.field(name).type.value_type)}
    return frame.assign(
        **{name: events[name].to_pylist() if name in times else frame[name].map(list) for name in LISTS}
    )


def read_surges(city: City) -> Surges | None:
    """The surges kept in the city folder, None where there are none. Raises UserError where a file is damaged."""
    return read_whole(city.path, (SURGES_FILE, SURGE_SCORES_FILE), lambda: _read(city.path))


def _read(folder: Path) -> Surges | None:
    files = folder / SURGES_FILE, folder / SURGE_SCORES_FILE
    if not all(file.is_file() for file in files):
        return None
    try:
        for file in files:
            check_table(pq.read_metadata(file))
        events, scores = (pq.read_table(file) for file in files)
        sources = [source_of(table.schema.metadata) for table in (events, scores)]
        if not sources[0] or sources[0] != sources[1] or not set(COLUMNS) - set(LATER) <= set(events.column_names):
            raise KeyError("events and scores do not belong together")
        frame = _frame(events)
        frame = frame.assign(**{name: value for name, value in LATER.items() if name not in frame})[list(COLUMNS)]
        told = {name for names in frame["stations"] for name in names} | set(frame["station_id"])
        if not told <= set(scores.column_names):
            raise KeyError("events are of stations without scores")
        return Surges(frame, scores.to_pandas(), sources[0])
    except Exception as error:  # pyarrow and pandas raise many kinds for a damaged file
        raise UserError(
            f"{files[0]}: damaged or not a table of surges ({error}); make it anew with `lecdiff surges`"
        ) from error


def surges_now(city: City, model: str) -> dict[str, Any]:
    """What surges told by a model would be derived from now; empty without such a model."""
    read = source_now(city, model)
    return {"method": METHOD, **read} if read else {}


def are_current(city: City, surges: Source) -> bool | None:
    """Whether surges, by the source they were kept with, are of this traffic and of their model as it is now; None = not known."""
    now = surges_now(city, str(surges.get("model")))
    return is_current(surges, now) if now else False


# ---- why: the plain facts around an event


@dataclass(frozen=True)
class Circumstances:
    """What stands beside an event, for whoever asks why."""

    day: date
    holiday: bool
    weekday: str
    hour: int
    neighbours: int  # stations that surged with it
    usual_hour: float  # share of the station's mean traffic that this hour of day usually carries


def circumstances(city: City, event: pd.Series) -> Circumstances:
    """Plain facts of one event, from calendar and history before it."""
    start, station = event["start"], event["station_id"]
    history = city.traffic.loc[: city.last_before(start), station].dropna()
    hour = history[history.index.hour == event["peak_time"].hour]
    usual = float(hour.mean() / history.mean()) if len(hour) and history.mean() > 0 else float("nan")
    return Circumstances(
        day=start.date(),
        holiday=start.date() in city.meta.holidays,
        weekday=f"{start:%A}",
        hour=start.hour,
        neighbours=len(set(event["stations"])) - 1,
        usual_hour=usual,
    )
