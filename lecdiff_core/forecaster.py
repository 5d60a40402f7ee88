"""From a city folder and a saved model to forecasts: what the command line and the pages ask."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lecdiff_core.city import history
from lecdiff_core.city.folder import City, closest, named
from lecdiff_core.city.graph import distance_graph
from lecdiff_core.city.observed import silent_sentence, silent_since, young, young_sentence
from lecdiff_core.city.panel import LONGEST_FORECAST_DAYS, Panel
from lecdiff_core.city.timeline import moment
from lecdiff_core.city.windows import Batch, Windows
from lecdiff_core.devices import choose_device, device_label
from lecdiff_core.environment.embedding.table import read_panel
from lecdiff_core.errors import NothingMadeError, UserError
from lecdiff_core.evaluation.conformal import Calibration, CalibrationMap
from lecdiff_core.evaluation.metrics import OrderedSamples, samples_last
from lecdiff_core.forecast import Forecast
from lecdiff_core.models.catalogue import entry, seen
from lecdiff_core.models.checkpoint import CheckpointConfig, check_fits, forecast_source, load_base, load_model
from lecdiff_core.models.names import BASE, PREFERRED
from lecdiff_core.models.protocol import ForecastModel, PointModel, RowNoise
from lecdiff_core.progress import Report, silent
from lecdiff_core.provenance import Source

# Up to so many stations are forecast by one thread: threads would wait for one another longer than they save, and how many
# there are would change the last digits.
FEW = 32
BASE_NOTICE = "made with the base model, which has not learned from this city; `lecdiff train` fits one to it"
# The base model is calibrated on what it would have forecast for some stations of the city, whichever stations are asked for.
CALIBRATED_STATIONS, CALIBRATED_DAYS, CALIBRATED_EVERY = 64, 14, 0.75  # at most, the last, days between two forecasts
CALIBRATION_SAMPLES = 100
FIRST_CALIBRATED_DAY = 2  # before it forecasts are of another kind: of stations hardly known
BATCH_VALUES = 40_000_000  # context values held at once when a forecast is continued beyond the model's horizon


class Forecaster:
    """One model on one city, loaded once and asked many times; safe to share between threads.

    Load one with `Forecaster.load`; where only a DataFrame is at hand, `Forecaster.for_frames`. LEC-Diff is the method of Xiao et
    al., *An LLM-Enhanced Conditional Diffusion Model for Mobile Traffic Prediction*; docs/architecture.md says how it is done here.

    Examples:
        >>> import numpy as np, pandas as pd
        >>> from lecdiff_core import Forecaster
        >>> times = pd.date_range("2024-03-01", periods=120, freq="1h", tz="UTC")
        >>> rhythm = 50 + 40 * np.sin(np.arange(120) * 2 * np.pi / 24)
        >>> forecaster = Forecaster.for_frames(pd.DataFrame({"A": rhythm, "B": 2 * rhythm}, index=times))
        >>> forecast = forecaster.forecast(samples=50)
        >>> forecast.samples.shape, forecast.timestamps[0]
        ((50, 2, 24), Timestamp('2024-03-06 00:00:00+0000', tz='UTC'))
    """

    def __init__(
        self,
        city: City,
        panel: Panel,
        model: ForecastModel,
        config: CheckpointConfig,
        device: torch.device,
        source: Source = MappingProxyType({}),
    ) -> None:
        self.source = source  # of its forecasts: what was read for them
        self.city, self.panel, self.config, self.device = city, panel, config, device
        self.model = model.to(device).eval()
        self.graph = distance_graph(self.panel.positions)
        trained = {name: index for index, name in enumerate(config.station_ids, start=1)}
        self.station = np.array([trained.get(name, 0) for name in city.station_ids])
        self._lock = threading.Lock()
        self._levels: dict[int, Tensor] = {}
        self._calibrations: dict[int, CalibrationMap | None] = {}

    @classmethod
    def load(cls, city: City | Path | str, model: str = PREFERRED, device: str = "auto") -> "Forecaster":
        """Load a saved model; the shipped base model where the city has none of LEC-Diff.

        Args:
            city: opened, or its folder.
            model: its name in the folder (docs/models.md).
            device: "auto", "cpu" or "cuda".

        Raises:
            UserError: where another model is missing, where it is damaged, or made for another interval, unit or encoder, and
                where the city is too young for the base model (2 days).
        """
        city = City.of(city)
        if model in (PREFERRED, BASE) and model not in city.models():
            return cls._of_base(city, choose_device(device))
        folder = city.model_folder(model)
        loaded, config = load_model(folder)
        panel, encoder = read_panel(city, entry(config.model).embedding)
        check_fits(loaded, config, city, encoder, folder)
        source = forecast_source(model, config, city, panel.environment)
        return cls(city, seen(config.model, panel), loaded, config, choose_device(device), source)

    @classmethod
    def for_frames(
        cls, traffic: pd.DataFrame, stations: pd.DataFrame | None = None, *, device: str = "auto", **about: Any
    ) -> "Forecaster":
        """The base model on traffic in a DataFrame.

        Args:
            traffic: wide or long, as in `City.from_frames`.
            stations: as there; None = nothing is known of places.
            device: "auto", "cpu" or "cuda".
            about: what else `City.from_frames` takes: timezone, interval, unit, holidays, …

        Raises:
            UserError: as `City.from_frames`, and where there are less than 2 days of traffic.
        """
        return cls.load(City.from_frames(traffic, stations, **about), device=device)

    @classmethod
    def _of_base(cls, city: City, device: torch.device) -> "Forecaster":
        history.require("forecast", city)
        loaded, config = load_base(city)
        return cls(city, Panel.of(city), loaded, config, device, forecast_source(BASE, config, city, None))

    @property
    def horizon(self) -> int:
        """H, steps of a forecast unless another number is asked for: 24 hours."""
        return self.model.horizon

    def device_name(self, stations: int) -> str:
        """What a person calls the device, and the threads, that so many stations are forecast with."""
        with _threads(stations):
            return device_label(self.device)

    @cached_property
    def origins(self) -> pd.DatetimeIndex:
        """Every origin that can be asked for: from one day into the data to their end, which is the last."""
        ends = self.city.traffic.index.append(pd.DatetimeIndex([self.city.end]))
        return ends[self.panel.steps_per_day :]

    def forecast(
        self,
        origin: pd.Timestamp | str | None = None,
        steps: int | None = None,
        samples: int = 100,
        stations: Sequence[str] | None = None,
        seed: int = 0,
        report: Report = silent,
    ) -> Forecast:
        """Distribution of the `steps` intervals from `origin` on.

        They follow each other in real time: an hour that the clocks skip has none, an hour that comes twice has two with the
        same samples, as models think in local clock time. An interval that holds less or more real time is scaled by it.
        Only what lies before `origin` is used. Stations with too little of it are left out, and named in the forecast. A station's
        samples are the same, to 1e-5 of their spread, whichever stations it is asked together with.

        Args:
            origin: start of the first interval; None = the end of the data.
            steps: H, how many intervals; None = 24 hours. At most 14 days.
            samples: S, at least 2.
            stations: which ones; None = all.
            seed: of the random numbers; the same seed gives the same samples.
            report: called with what is done, how much there is to do, and words.

        Returns:
            Samples (S, N, H) in the city's unit.

        Raises:
            UserError: for an origin outside the data or between two intervals, an unknown station, too many steps, and where no
                station has enough history.
        """
        steps = self.horizon if steps is None else steps
        longest = LONGEST_FORECAST_DAYS * self.panel.steps_per_day
        if not 1 <= steps <= longest:
            raise UserError(f"a forecast has from 1 to {longest} steps ({LONGEST_FORECAST_DAYS} days), not {steps}")
        if samples < 2:
            raise UserError(f"a distribution needs at least 2 samples, not {samples}")
        first = self._first(origin)
        step = self._origin_step(first)
        asked = self._asked(stations)
        wanted = asked[self._history_suffices(asked, step)]
        left_out = tuple(self._names(np.setdiff1d(asked, wanted)))
        if not len(wanted):
            raise NothingMadeError(self._too_little(left_out, first))
        timestamps = self.city.timeline.starting(first, steps)
        slots = self.city.timeline.steps(timestamps) - step
        with self._lock, torch.random.fork_rng(devices=[]):
            move = self._calibration(step) if self.config.model == BASE else None
            with _threads(len(wanted)):
                drawn = self._paths(wanted, step, int(slots.max()) + 1, samples, seed, report)
        if move:
            drawn = np.moveaxis(move.apply(samples_last(drawn)), -1, 0)
        if not np.array_equal(slots, np.arange(drawn.shape[2])):
            drawn = drawn[:, :, slots]
        shares = self.city.timeline.shares(timestamps)
        if (shares != 1).any():
            drawn = drawn * shares.astype(np.float32)
        source = {**self.source, "start": timestamps[0].isoformat()}
        notices = tuple(self._notices(wanted, left_out, step))
        return Forecast(tuple(self._names(wanted)), timestamps, drawn, left_out, notices, source)

    def forecastable(self, origin: pd.Timestamp | str | None = None) -> list[str]:
        """Stations with enough traffic before an origin to be forecast from there, in the city's order."""
        everyone = np.arange(len(self.panel.station_ids))
        return self._names(np.flatnonzero(self._history_suffices(everyone, self._origin_step(self._first(origin)))))

    def notices(self, origin: pd.Timestamp | str | None = None) -> list[str]:
        """What a reader of a forecast of the whole city should know of it: who is left out, silent, young or new to the model."""
        step, everyone = self._origin_step(self._first(origin)), np.arange(len(self.panel.station_ids))
        enough = self._history_suffices(everyone, step)
        return list(self._notices(everyone[enough], self._names(everyone[~enough]), step))

    def _first(self, origin: pd.Timestamp | str | None) -> pd.Timestamp:
        """The start of the first interval that is forecast. Raises UserError outside the data or between two intervals."""
        if origin is None:
            return self.city.end
        origin = moment(origin, self.city.meta.timezone, "--start")
        if len(self.origins) == 0:
            raise UserError(f"no forecast can start at {origin:%Y-%m-%d %H:%M}: it needs a day of traffic before it")
        first, last = self.origins[0], self.origins[-1]
        if not first <= origin <= last:
            raise UserError(
                f"no forecast can start at {origin:%Y-%m-%d %H:%M}: it needs a day of traffic before it and none is known after "
                f"{last:%Y-%m-%d %H:%M}; choose a time from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"
            )
        if origin not in self.origins:
            raise UserError(f"{origin:%Y-%m-%d %H:%M} is not the start of an interval of {self.city.meta.interval}")
        return origin

    def _origin_step(self, first: pd.Timestamp) -> int:
        """The step up to which the panel holds only what lies before `first`.

        An hour that comes twice is one step, so that its second pass must not be seen from within its first.
        """
        ahead = self.city.timeline.starting(first, self.panel.steps_per_day)
        return min(self.panel.steps, int(self.city.timeline.steps(ahead).min()))

    def _asked(self, stations: Sequence[str] | None) -> np.ndarray:
        """Sorted indices of the stations asked for. Raises UserError for one that the city does not have."""
        position = {name: index for index, name in enumerate(self.panel.station_ids)}
        if stations is None:
            return np.arange(len(position))
        unknown = list(dict.fromkeys(name for name in stations if name not in position))
        if unknown:
            trouble = (
                f"the city has no station{'s' if len(unknown) > 1 else ''} {named([repr(name) for name in unknown])}"
            )
            close = [repr(name) for name in closest(unknown[0], position)]
            raise UserError(f"{trouble}; most like {unknown[0]!r}: {named(close)}" if close else trouble)
        if not len(stations):
            raise UserError("no station is asked for")
        return np.unique([position[name] for name in stations])

    def _too_little(self, names: Sequence[str], origin: pd.Timestamp) -> str:
        """That these stations cannot be forecast from a time on, and why."""
        who = (
            f"station {names[0]!r} has" if len(names) == 1 else f"none of {len(names):,} stations ({named(names)}) has"
        )
        amount = "too little history" if len(names) == 1 else "enough history"
        return f"{who} {amount} before {origin:%Y-%m-%d %H:%M}: {self._least}"

    @property
    def _least(self) -> str:
        days = self.model.context // self.panel.steps_per_day
        return f"half a day of traffic in the {days} days before is the least"

    def _notices(self, wanted: np.ndarray, left_out: Sequence[str], step: int) -> Iterator[str]:
        """What a reader of a forecast of these stations should know, in plain sentences."""
        panel, day = self.panel, self.panel.steps_per_day
        if self.config.model == BASE:
            yield BASE_NOTICE
        if left_out:
            verb = "station is" if len(left_out) == 1 else "stations are"
            yield f"{len(left_out):,} {verb} left out ({named(left_out)}): {self._least}"
        values = panel.values[wanted, :step]
        since = silent_since(values, day) if np.isfinite(panel.values[:, max(0, step - day) : step]).any() else {}
        if since:
            yield silent_sentence(self._names(wanted[list(since)]), [panel.clock[last] for last in since.values()])
        few = young(values, day)
        if len(few):
            yield young_sentence(self._names(wanted[few]))
        unseen = self._names(wanted[self.station[wanted] == 0])
        if unseen:
            verb = "station was" if len(unseen) == 1 else "stations were"
            yield (
                f"{len(unseen):,} {verb} not seen in training ({named(unseen)}): forecasts rest on their own history and neighbours"
            )

    def _names(self, rows: np.ndarray) -> list[str]:
        return [self.panel.station_ids[index] for index in rows]

    def _history_suffices(self, stations: np.ndarray, step: int) -> np.ndarray:
        """Whether each station, given by its index, has enough traffic in the context before a step."""
        before = self.panel.values[stations, max(0, step - self.model.context) : step]
        return np.isfinite(before).sum(1) >= max(1, self.panel.steps_per_day // 2)

    def _needed(self, wanted: np.ndarray, days: int) -> np.ndarray:
        """Sorted indices of all stations that the wanted ones depend on in a forecast so many horizons long."""
        if self.model.hops is None:
            return np.arange(len(self.panel.station_ids))
        return self.graph.neighbourhood(wanted, self.model.hops * days)

    def _paths(self, wanted: np.ndarray, step: int, steps: int, samples: int, seed: int, report: Report) -> np.ndarray:
        """Samples (S, W, steps) of the wanted stations; beyond the horizon each becomes the history of a further path of its own.

        Each horizon needs the one before it of the stations around, so that the first is forecast for the widest circle.
        """
        rounds = -(-steps // self.model.horizon)
        circles = [self._needed(wanted, left) for left in range(rounds, -1, -1)]
        level = None if rounds == 1 and len(circles[0]) == len(self.panel.station_ids) else self._level(step)
        activity = f"forecasting {len(wanted):,} stations"
        report(0, rounds, activity)
        batch = replace(self._windows(circles[0]).batch(np.array([step]), with_future=False), level=level)
        paths = self._drawn(batch, samples, circles[0], circles[1], [f"{step}"], seed)[0]
        for done in range(1, rounds):
            report(done, rounds, activity)
            paths = self._continued(paths, circles[done], circles[done + 1], step, level, seed)
        report(rounds, rounds, activity)
        return paths[:, np.searchsorted(circles[-1], wanted), :steps]

    def _continued(
        self, paths: np.ndarray, nodes: np.ndarray, asked: np.ndarray, step: int, level: Tensor | None, seed: int
    ) -> np.ndarray:
        """Paths (S, nodes, steps) from `step` on, continued by a horizon at the stations asked for."""
        windows, context = self._windows(nodes), self.model.context
        history = windows.batch(np.array([step]), with_future=False).past[0].numpy()
        ahead = step + paths.shape[2]
        at_once = max(1, BATCH_VALUES // (len(nodes) * context))
        drawn = []
        for start in range(0, len(paths), at_once):
            part = paths[start : start + at_once]
            known = np.concatenate([np.broadcast_to(history, (len(part), *history.shape)), part], axis=2)
            past = torch.as_tensor(np.ascontiguousarray(known[..., -context:]))
            onward = replace(windows.continued(ahead, past), level=level)
            prefixes = [f"{ahead}|{index}" for index in range(start, start + len(part))]
            drawn.append(self._drawn(onward, 1, nodes, asked, prefixes, seed)[:, 0])
        return np.concatenate([paths[:, np.searchsorted(nodes, asked)], np.concatenate(drawn)], axis=2)

    def _drawn(
        self, batch: Batch, samples: int, nodes: np.ndarray, asked: np.ndarray, prefixes: list[str], seed: int
    ) -> np.ndarray:
        """Samples (B, S, asked, H) from a batch over the nodes; the prefixes name the noise of each window."""
        some = None if self.model.hops is None else torch.as_tensor(np.searchsorted(nodes, asked), device=self.device)
        noise = self._noise(prefixes, nodes if some is None else asked, seed)
        return self.model.sample(batch.to(self.device), samples, noise, some).cpu().numpy()

    def _level(self, step: int) -> Tensor | None:
        """What a model takes from the whole city at a step (`Batch.level`), computed once."""
        if not isinstance(self.model, PointModel):
            return None
        if step not in self._levels:
            batch = self._windows(np.arange(len(self.panel.station_ids))).batch(np.array([step]), with_future=False)
            self._levels[step] = self.model.level(batch.to(self.device))
        return self._levels[step]

    def _calibration(self, step: int) -> CalibrationMap | None:
        """How samples of a forecast from a step on are moved, from forecasts of the days before; computed once."""
        if step not in self._calibrations:
            with _threads(1):
                self._calibrations[step] = self._calibrated(step)
        return self._calibrations[step]

    def _calibrated(self, step: int) -> CalibrationMap | None:
        panel, day = self.panel, self.panel.steps_per_day
        every = max(1, round(CALIBRATED_EVERY * day))
        first = max(FIRST_CALIBRATED_DAY * day, step - CALIBRATED_DAYS * day)
        origins = np.arange(step - every, first - 1, -every)[::-1]
        chosen = np.sort(np.random.default_rng(0).permutation(len(panel.station_ids))[:CALIBRATED_STATIONS])
        chosen = chosen[self._history_suffices(chosen, int(origins[0]))] if len(origins) else chosen[:0]
        if not len(chosen):
            return None
        values, windows = panel.values[chosen, :step], self._windows(chosen)
        calibration = Calibration.after(values, day, day / every)
        for origin in origins.tolist():
            batch = windows.batch(np.array([origin]), with_future=False)
            drawn = self._drawn(batch, CALIBRATION_SAMPLES, chosen, chosen, [f"{origin}"], 0)[0]
            calibration.add(origin, OrderedSamples.of(samples_last(drawn)))
        calibration.observe(values)
        return calibration.map()

    def _windows(self, nodes: np.ndarray) -> Windows:
        graph = self.graph.subgraph(nodes)
        context, horizon = self.model.context, self.model.horizon
        return Windows(self.panel.select(nodes), graph, context, horizon, self.station[nodes])

    def _noise(self, origins: Sequence[str], stations: np.ndarray, seed: int) -> RowNoise:
        """Streams of all these stations at each of the origins, origin by origin."""
        names = self._names(stations) * len(origins)
        cells = None if self.panel.cells is None else np.tile(self.panel.cells[stations], (len(origins), 1))
        return RowNoise.at(np.repeat(origins, len(stations)).tolist(), names, cells, seed, self.device)


@contextmanager
def _threads(stations: int) -> Iterator[None]:
    """One thread where few stations are forecast."""
    usual = torch.get_num_threads()
    torch.set_num_threads(1 if stations <= FEW else usual)
    try:
        yield
    finally:
        torch.set_num_threads(usual)
