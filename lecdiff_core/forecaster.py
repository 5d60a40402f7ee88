"""From a city folder and a saved model to forecasts: what the command line and the pages ask."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from types import MappingProxyType

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lecdiff_core.city.folder import City
from lecdiff_core.city.timeline import moment
from lecdiff_core.city.windows import LONGEST_FORECAST_DAYS, Batch, Panel, Windows
from lecdiff_core.devices import choose_device, device_label
from lecdiff_core.environment.table import read_panel
from lecdiff_core.errors import UserError
from lecdiff_core.forecast import Forecast
from lecdiff_core.fusion.graph import distance_graph
from lecdiff_core.models.catalogue import entry, seen
from lecdiff_core.models.checkpoint import CheckpointConfig, check_fits, forecast_source, load_model
from lecdiff_core.models.protocol import ForecastModel, PointModel, RowNoise
from lecdiff_core.progress import Report, silent
from lecdiff_core.provenance import Source

SHOWN = 3  # names given in a notice before "…"
BATCH_VALUES = 40_000_000  # context values held at once when a forecast is continued beyond the model's horizon


class Forecaster:
    """One model on one city, loaded once and asked many times; safe to share between threads."""

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

    @classmethod
    def load(cls, city: City, model: str = "lec-diff", device: str = "auto") -> "Forecaster":
        """Load a saved model. Raises UserError where it is missing, damaged, or made for another interval, unit or encoder."""
        folder = city.model_folder(model)
        loaded, config = load_model(folder)
        panel, encoder = read_panel(city, entry(config.model).embedding)
        check_fits(loaded, config, city, encoder, folder)
        source = forecast_source(model, config, city, panel.environment)
        return cls(city, seen(config.model, panel), loaded, config, choose_device(device), source)

    @property
    def horizon(self) -> int:
        """H, steps of a forecast unless another number is asked for: 24 hours."""
        return self.model.horizon

    @property
    def device_name(self) -> str:
        """What a person calls the device."""
        return device_label(self.device)

    @property
    def notices(self) -> list[str]:
        """What a reader of the forecasts should know, in plain sentences."""
        unseen = [name for name, row in zip(self.city.station_ids, self.station, strict=True) if row == 0]
        if not unseen:
            return []
        names = ", ".join(unseen[:SHOWN]) + (", …" if len(unseen) > SHOWN else "")
        verb = "station was" if len(unseen) == 1 else "stations were"
        return [
            f"{len(unseen)} {verb} not seen in training ({names}): their forecasts rest on their own history and neighbours"
        ]

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
        """Distribution of the `steps` intervals from `origin` on (default: 24 hours from the end of the data).

        They follow each other in real time: an hour that the clocks skip has none, an hour that comes twice has two with the
        same samples, as models think in local clock time. An interval that holds less or more real time is scaled by it.
        Only what lies before `origin` is used. A station's samples are the same, to 1e-5 of their spread, whoever it is asked
        together with.
        """
        steps = self.horizon if steps is None else steps
        longest = LONGEST_FORECAST_DAYS * self.panel.steps_per_day
        if not 1 <= steps <= longest:
            raise UserError(f"a forecast has from 1 to {longest} steps ({LONGEST_FORECAST_DAYS} days), not {steps}")
        if samples < 2:
            raise UserError(f"a distribution needs at least 2 samples, not {samples}")
        first = self._first(origin)
        step = self._origin_step(first)
        wanted = self._wanted(stations, step)
        timestamps = self.city.timeline.starting(first, steps)
        slots = self.city.timeline.steps(timestamps) - step
        with self._lock, torch.random.fork_rng(devices=[]):
            drawn = self._paths(wanted, step, int(slots.max()) + 1, samples, seed, report)
        if not np.array_equal(slots, np.arange(drawn.shape[2])):
            drawn = drawn[:, :, slots]
        shares = self.city.timeline.shares(timestamps)
        if (shares != 1).any():
            drawn = drawn * shares.astype(np.float32)
        names = tuple(self.panel.station_ids[index] for index in wanted)
        source = {**self.source, "start": timestamps[0].isoformat()}
        return Forecast(names, timestamps, drawn, source)

    def forecastable(self, origin: pd.Timestamp | str | None = None) -> list[str]:
        """Stations with enough traffic before an origin to be forecast from there, in the city's order."""
        everyone = np.arange(len(self.panel.station_ids))
        enough = self._history_suffices(everyone, self._origin_step(self._first(origin)))
        return [self.panel.station_ids[index] for index in np.flatnonzero(enough)]

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

    def _wanted(self, stations: Sequence[str] | None, step: int) -> np.ndarray:
        """Sorted indices of the stations asked for; those without any traffic before the origin cannot be forecast."""
        position = {name: index for index, name in enumerate(self.panel.station_ids)}
        unknown = [name for name in stations or () if name not in position]
        if unknown:
            raise UserError(f"the city has no station {unknown[0]!r}")
        asked = np.arange(len(position)) if stations is None else np.unique([position[name] for name in stations])
        enough = self._history_suffices(asked, step)
        short = asked[~enough]
        if len(short) and (stations is not None or len(short) == len(asked)):
            raise UserError(
                f"station {self.panel.station_ids[short[0]]!r} has too little history before this time: "
                "half a day of traffic is the least"
            )
        return asked[enough]

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
        batch = replace(self._windows(circles[0]).batch(np.array([step]), with_future=False), level=level)
        paths = self._drawn(batch, samples, circles[0], circles[1], [f"{step}"], seed)[0]
        for done in range(1, rounds):
            report(done, rounds, "forecasting")
            paths = self._continued(paths, circles[done], circles[done + 1], step, level, seed)
        report(rounds, rounds, "forecasting")
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
        names = [self.panel.station_ids[index] for index in (nodes if some is None else asked)]
        noise = RowNoise.of((f"{prefix}|{name}" for prefix in prefixes for name in names), seed, self.device)
        return self.model.sample(batch.to(self.device), samples, noise, some).cpu().numpy()

    def _level(self, step: int) -> Tensor | None:
        """What a model takes from the whole city at a step (`Batch.level`), computed once."""
        if not isinstance(self.model, PointModel):
            return None
        if step not in self._levels:
            batch = self._windows(np.arange(len(self.panel.station_ids))).batch(np.array([step]), with_future=False)
            self._levels[step] = self.model.level(batch.to(self.device))
        return self._levels[step]

    def _windows(self, nodes: np.ndarray) -> Windows:
        graph = self.graph.subgraph(nodes)
        context, horizon = self.model.context, self.model.horizon
        return Windows(
            self.panel.select(nodes), graph.edge_index, graph.edge_weight, context, horizon, self.station[nodes]
        )
