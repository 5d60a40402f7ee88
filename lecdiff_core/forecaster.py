"""From a city folder and a saved model to forecasts: what the command line and the pages ask."""

import threading
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
import pandas as pd
import torch

from lecdiff_core.city.folder import City
from lecdiff_core.city.windows import LONGEST_FORECAST_DAYS, Panel, Windows
from lecdiff_core.devices import choose_device, device_label
from lecdiff_core.environment.table import read_panel
from lecdiff_core.errors import UserError
from lecdiff_core.forecast import Forecast
from lecdiff_core.fusion.graph import distance_graph
from lecdiff_core.models.catalogue import entry, seen
from lecdiff_core.models.checkpoint import CheckpointConfig, check_fits, load_model
from lecdiff_core.models.protocol import ForecastModel, RowNoise

SHOWN = 3  # names given in a notice before "…"
BATCH_VALUES = 40_000_000  # context values held at once when a forecast is continued beyond the model's horizon


class Forecaster:
    """One model on one city, loaded once and asked many times; safe to share between threads."""

    def __init__(
        self, city: City, panel: Panel, model: ForecastModel, config: CheckpointConfig, device: torch.device
    ) -> None:
        self.city, self.panel, self.config, self.device = city, panel, config, device
        self.model = model.to(device).eval()
        self.graph = distance_graph(self.panel.positions)
        trained = {name: index for index, name in enumerate(config.station_ids, start=1)}
        self.station = np.array([trained.get(name, 0) for name in city.station_ids])
        self._lock = threading.Lock()

    @classmethod
    def load(cls, city: City, model: str = "lec-diff", device: str = "auto") -> "Forecaster":
        """Load a saved model. Raises UserError where it is missing, damaged, or made for another interval, unit or encoder."""
        folder = city.model_folder(model)
        loaded, config = load_model(folder)
        panel, encoder = read_panel(city, entry(config.model).embedding)
        check_fits(loaded, config, city, encoder, folder)
        return cls(city, seen(config.model, panel), loaded, config, choose_device(device))

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
        index = self.city.traffic.index
        ends = index.append(index[-1:] + self.city.interval)
        return ends[self.panel.steps_per_day :]

    def forecast(
        self,
        origin: pd.Timestamp | None = None,
        steps: int | None = None,
        samples: int = 100,
        stations: Sequence[str] | None = None,
        seed: int = 0,
    ) -> Forecast:
        """Distribution of the `steps` from `origin` on (default: 24 hours from the end of the data).

        Only what lies before `origin` is used. A station's samples are the same whoever it is asked together with.
        """
        steps = self.horizon if steps is None else steps
        longest = LONGEST_FORECAST_DAYS * self.panel.steps_per_day
        if not 1 <= steps <= longest:
            raise UserError(f"a forecast has from 1 to {longest} steps ({LONGEST_FORECAST_DAYS} days), not {steps}")
        if samples < 2:
            raise UserError(f"a distribution needs at least 2 samples, not {samples}")
        step = self._origin_step(origin)
        wanted = self._wanted(stations, step)
        nodes = self._needed(wanted)
        with self._lock, torch.random.fork_rng(devices=[]):
            drawn = self._paths(nodes, wanted, step, steps, samples, seed)
        clock = self.panel.future_clock(step, steps)
        timestamps = clock.tz_localize(self.panel.timezone, ambiguous=np.ones(steps, dtype=bool), nonexistent="NaT")
        exists = ~timestamps.isna()
        names = tuple(self.panel.station_ids[index] for index in wanted)
        return Forecast(names, timestamps[exists], drawn[:, :, exists])

    def forecastable(self, origin: pd.Timestamp | None = None) -> list[str]:
        """Stations with enough traffic before an origin to be forecast from there, in the city's order."""
        everyone = np.arange(len(self.panel.station_ids))
        enough = self._history_suffices(everyone, self._origin_step(origin))
        return [self.panel.station_ids[index] for index in np.flatnonzero(enough)]

    def _origin_step(self, origin: pd.Timestamp | None) -> int:
        """The step of an origin. Raises UserError outside the data or between two steps."""
        if origin is None:
            return self.panel.steps
        origin = pd.Timestamp(origin)
        zone = self.city.meta.timezone
        origin = origin.tz_localize(zone) if origin.tzinfo is None else origin.tz_convert(zone)
        first, last = self.origins[0], self.origins[-1]
        if not first <= origin <= last:
            raise UserError(
                f"no forecast can start at {origin:%Y-%m-%d %H:%M}: it needs a day of traffic before it and none is known after "
                f"{last:%Y-%m-%d %H:%M}; choose a time from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"
            )
        since = (origin.tz_localize(None) - self.panel.clock[0]) / self.city.interval
        if since != int(since):
            raise UserError(f"{origin:%Y-%m-%d %H:%M} is not the start of an interval of {self.city.meta.interval}")
        return int(since)

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
        return np.isfinite(before).sum(1) >= self.panel.steps_per_day // 2

    def _needed(self, wanted: np.ndarray) -> np.ndarray:
        """Sorted indices of all stations that a forecast of the wanted ones depends on."""
        if self.model.hops is None:
            return np.arange(len(self.panel.station_ids))
        return self.graph.neighbourhood(wanted, self.model.hops)

    def _paths(
        self, nodes: np.ndarray, wanted: np.ndarray, step: int, steps: int, samples: int, seed: int
    ) -> np.ndarray:
        """Samples (S, W, steps) of the wanted stations, from the nodes they depend on."""
        if self.model.hops is None or steps > self.model.horizon:
            drawn = self._continued(nodes, step, steps, samples, seed)
            return drawn[:, np.searchsorted(nodes, wanted)]
        windows = self._windows(nodes)
        batch = windows.batch(np.array([step]), with_future=False).to(self.device)
        asked = torch.as_tensor(np.searchsorted(nodes, wanted), device=self.device)
        noise = self._noise((self.panel.station_ids[index] for index in wanted), f"{step}", seed)
        return self.model.sample(batch, samples, noise, asked)[0, :, :, :steps].cpu().numpy()

    def _windows(self, nodes: np.ndarray) -> Windows:
        graph = self.graph.subgraph(nodes)
        context, horizon = self.model.context, self.model.horizon
        return Windows(
            self.panel.select(nodes), graph.edge_index, graph.edge_weight, context, horizon, self.station[nodes]
        )

    def _noise(self, names: Iterable[str], prefix: str, seed: int) -> RowNoise:
        return RowNoise.of((f"{prefix}|{name}" for name in names), seed, self.device)

    def _continued(self, nodes: np.ndarray, step: int, steps: int, samples: int, seed: int) -> np.ndarray:
        """Samples (S, nodes, steps), beyond the horizon too: each sample becomes the history of one further path of its own."""
        windows = self._windows(nodes)
        names, context = windows.panel.station_ids, self.model.context
        batch = windows.batch(np.array([step]), with_future=False)
        history = batch.past[0].numpy()
        noise = self._noise(names, f"{step}", seed)
        paths = self.model.sample(batch.to(self.device), samples, noise)[0].cpu().numpy()
        at_once = max(1, BATCH_VALUES // (len(nodes) * context))
        while paths.shape[2] < steps:
            ahead = step + paths.shape[2]
            past = np.broadcast_to(history, (samples, *history.shape))
            known = np.concatenate([past, paths], axis=2)[..., -context:]
            drawn = []
            for start in range(0, samples, at_once):
                part = torch.as_tensor(np.ascontiguousarray(known[start : start + at_once]))
                numbered = (f"{index}|{name}" for index in range(start, start + len(part)) for name in names)
                onward = windows.continued(ahead, part).to(self.device)
                drawn.append(self.model.sample(onward, 1, self._noise(numbered, f"{ahead}", seed))[:, 0].cpu().numpy())
            paths = np.concatenate([paths, np.concatenate(drawn)], axis=2)
        return paths[:, :, :steps]
