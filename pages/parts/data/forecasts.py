"""Forecasts for the pages: one copy of a model in memory, and for each station and time its fan, computed once."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lecdiff_core.city.folder import City
from lecdiff_core.city.layout import CONFIG_FILE, WEIGHTS_FILE
from lecdiff_core.errors import UserError
from lecdiff_core.evaluation.metrics import sample_quantiles
from lecdiff_core.models.names import BASE, PREFERRED
from pages.parts.data.reading import Stamp, read_once, stamp
from pages.parts.data.traffic_levels import carried

SAMPLES = 100
PAST_DAYS = 7


@dataclass(frozen=True)
class Fan:
    """The forecast of a station, or of several as one.

    table: what `Forecast.to_frame` gives, H rows: start of each interval, mean and quantiles.  samples: (S, H).
    stations: whose it is; several are summed.
    """

    stations: tuple[str, ...]
    table: pd.DataFrame
    samples: np.ndarray
    notices: tuple[str, ...]
    device: str
    seconds: float

    @property
    def peak(self) -> tuple[float, float, float]:
        """Median and 90 % interval of the highest step of the day: low, median, high."""
        return self._read(self.samples.max(1))

    @property
    def peak_time(self) -> pd.Timestamp:
        """Start of the interval in which the day's highest step falls most often."""
        return self.timestamps[int(np.bincount(self.samples.argmax(1)).argmax())]

    @property
    def total(self) -> tuple[float, float, float]:
        """Median and 90 % interval of what is carried over all steps: low, median, high."""
        return self._read(self.samples.sum(1))

    def exceeding(self, limit: float) -> float:
        """Probability that any step is above `limit`."""
        return float((self.samples > limit).any(1).mean())

    @staticmethod
    def _read(values: np.ndarray) -> tuple[float, float, float]:
        low, middle, high = sample_quantiles(values, [0.05, 0.5, 0.95]).tolist()
        return low, middle, high

    @property
    def timestamps(self) -> pd.DatetimeIndex:
        """(H,) start of each interval."""
        return pd.DatetimeIndex(self.table["timestamp"])

    @property
    def median(self) -> np.ndarray:
        """(H,)."""
        return self.table["q50"].to_numpy()

    @property
    def low_50(self) -> np.ndarray:
        """(H,) lower bound of the central 50 % interval."""
        return self.table["q25"].to_numpy()

    @property
    def high_50(self) -> np.ndarray:
        """(H,) upper bound of the central 50 % interval."""
        return self.table["q75"].to_numpy()

    @property
    def low_90(self) -> np.ndarray:
        """(H,) lower bound of the central 90 % interval."""
        return self.table["q05"].to_numpy()

    @property
    def high_90(self) -> np.ndarray:
        """(H,) upper bound of the central 90 % interval."""
        return self.table["q95"].to_numpy()


def model_of(city: City) -> str:
    """The model that the pages show: LEC-Diff if the city has it, else any it has, else the shipped base model."""
    models = city.models()
    return PREFERRED if PREFERRED in models else next(iter(models), BASE)


def files_of(city: City, model: str) -> list[Path]:
    """The files of a saved model; the shipped base model has none in the city folder."""
    folder = city.model_folder(model)
    return [folder / CONFIG_FILE, folder / WEIGHTS_FILE]


@read_once(files_of)
def forecaster(city: City, model: str):
    """The loaded model, shared by all visitors. Raises UserError where it cannot be used."""
    from lecdiff_core.forecaster import Forecaster

    return Forecaster.load(city, model)


def version(city: City, model: str) -> tuple[str, str, str, Stamp]:
    """What a forecast depends on besides station and time; a new model or new data make it another one."""
    return str(city.path), city.data_hash, model, stamp(*files_of(city, model))


def fan(city: City, model: str, station_id: str, origin: pd.Timestamp) -> Fan:
    """The forecast of a station from `origin` on. Raises UserError where the model cannot forecast from there."""
    return fan_of(city, model, (station_id,), origin)


def fan_of(city: City, model: str, stations: tuple[str, ...], origin: pd.Timestamp, name: str = "") -> Fan:
    """The forecast of stations as one, called `name`. Raises UserError where not all of them can be forecast."""
    return _fan(city, model, stations, name or stations[0], origin.isoformat())


@read_once(lambda city, model, *_: files_of(city, model), entries=2048)
def _fan(city: City, model: str, stations: tuple[str, ...], name: str, origin: str) -> Fan:
    loaded = forecaster(city, model)
    start = pd.Timestamp(origin).tz_convert(city.meta.timezone)
    if start not in loaded.origins:
        raise UserError("the model needs more history before this time")
    begun = time.perf_counter()
    forecast = loaded.forecast(origin=start, samples=SAMPLES, stations=list(stations))
    if forecast.left_out:
        raise UserError(f"{len(forecast.left_out)} of the {len(stations)} stations cannot be forecast from there")
    together = forecast.together(name)
    seconds = time.perf_counter() - begun
    return Fan(stations, together.to_frame(), together.samples[:, 0], forecast.notices, loaded.device_name(1), seconds)


def seen_before(city: City, model: str, origin: pd.Timestamp) -> str:
    """What to know of forecasts of the `PAST_DAYS` days before `origin`, in a sentence; empty where the model never saw them."""
    from lecdiff_core.models.checkpoint import read_metrics
    from lecdiff_core.training import parts_of

    panel = forecaster(city, model).panel
    try:
        parts = parts_of(read_metrics(city.model_folder(model)), panel)
    except UserError:
        return ""
    first, last = (panel.step_at(time) for time in (origin - pd.Timedelta(days=PAST_DAYS), origin))
    if max(first, parts.fit.start) < min(last, parts.fit.stop):
        return "The model learned from days on which its intervals are checked here, so the check flatters it."
    if max(first, parts.calibration.start) < min(last, parts.calibration.stop):
        return "The model was tuned on days on which its intervals are checked here."
    return ""


@dataclass(frozen=True)
class PastCoverage:
    """How often past intervals of a station held the observations: shares of `count` values, from `days` forecasts of one day."""

    days: int
    count: int
    inside_50: float
    inside_90: float


def observed(city: City, fan: Fan) -> np.ndarray:
    """(H,) what was observed of a fan's stations at its steps, NaN where nothing was, or not yet."""
    times = fan.timestamps
    return carried(city, fan.stations, times[0], times[-1]).reindex(times).to_numpy()


def past_fans(city: City, model: str, stations: tuple[str, ...], origin: pd.Timestamp) -> Iterator[Fan]:
    """Forecasts of the `PAST_DAYS` days before `origin`, each made at the same time of the day before it, the latest first."""
    for days in range(1, PAST_DAYS + 1):
        start = (origin.tz_localize(None) - pd.Timedelta(days=days)).tz_localize(
            origin.tz, ambiguous=True, nonexistent="shift_forward"
        )
        try:
            yield fan_of(city, model, stations, start)
        except UserError:
            return


def past_coverage(city: City, fans: list[Fan], origin: pd.Timestamp) -> PastCoverage:
    """How often the intervals of `fans` held what was observed before `origin`."""
    inside: list[np.ndarray] = []
    for one in fans:
        steps = int((one.timestamps < origin).sum())
        seen_then = observed(city, one)[:steps]
        seen = np.isfinite(seen_then)
        held = [
            (low[:steps] <= seen_then) & (seen_then <= high[:steps])
            for low, high in ((one.low_50, one.high_50), (one.low_90, one.high_90))
        ]
        inside.append(np.stack(held)[:, seen])
    all_of_them = np.concatenate(inside, axis=1) if inside else np.zeros((2, 0))
    count = all_of_them.shape[1]
    half, most = all_of_them.mean(1) if count else (np.nan, np.nan)
    return PastCoverage(len(fans), count, float(half), float(most))
