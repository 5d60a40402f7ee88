"""Observations beside the forecasts that were made before them.

Letters: N stations, T steps looked at, S samples, H horizon steps.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lecdiff_core.city.folder import City
from lecdiff_core.city.layout import UNFINISHED_SURGES_FILE
from lecdiff_core.city.splits import steps_apart
from lecdiff_core.evaluation.metrics import half_widths, sample_quantiles
from lecdiff_core.forecaster import Forecaster
from lecdiff_core.progress import Report, silent
from lecdiff_core.provenance import Source
from lecdiff_core.storage import replacing
from lecdiff_core.surges.districts import areas_of, together
from lecdiff_core.surges.runs import BOUND

KEPT_EVERY = 16  # origins between two states that a stopped search can go on from
ORIGINS_A_DAY = 8
LEADS = (1, 12)  # hours: the forecasts that an observation is held against
LONGEST_INTERVAL = pd.Timedelta("8h")  # of which one at least lies among those hours
DAY_AHEAD = (18, 24)  # hours: the forecasts that "was it in yesterday's forecast" means
SAMPLES = 100
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


def gather(forecaster: Forecaster, begin: int, source: Source | None = None, report: Report = silent) -> Evidence:
    """Hold every observation from step `begin` on against the forecasts made before it.

    With `source` the state is kept now and then in the city folder, and a search of the same source goes on from there.
    """
    panel = forecaster.panel
    every = steps_apart(panel.steps_per_day, ORIGINS_A_DAY)
    origins = np.arange(max(begin, panel.steps_per_day), panel.steps, every)
    members = areas_of(panel.positions)
    sums, done = _stored_sums(forecaster.city, source)
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
        report(number + 1, len(origins), "comparing forecasts with what was observed")
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


def discard_unfinished(city: City) -> None:
    """Forget the state of a search that was stopped."""
    _unfinished(city).unlink(missing_ok=True)


def _digest(source: Source) -> str:
    return hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()


def _keep_sums(city: City, source: Source, sums: dict[str, np.ndarray], done: int) -> None:
    with replacing(_unfinished(city)) as unfinished:
        unfinished.write_bytes(save(sums, {"source": _digest(source), "done": str(done)}))


def _stored_sums(city: City, source: Source | None) -> tuple[dict[str, np.ndarray] | None, int]:
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
