"""From a city folder to what a model sees: a panel of traffic on local clock time, and windows cut from it.

A window is an origin: everything before it is context, the `horizon` steps from it on are what is forecast. A batch holds
only what lies before its origins (and the target, for training), so nothing later can leak into a forecast.

Letters: B windows, N stations, T steps of the panel, L context steps, H horizon steps, P steps a day, D embedding width.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lecdiff_core.city.timeline import in_zone, localised
from lecdiff_core.errors import UserError

if TYPE_CHECKING:
    from lecdiff_core.city.folder import City

WEEKDAY, SATURDAY, SUNDAY_OR_HOLIDAY = range(3)
DAY_TYPES = 3
LONGEST_FORECAST_DAYS = 14
CALIBRATION_DAYS = 2  # at least, of a model that is trained for use
EQUATOR = 40_075_016.7  # metres around it
CELL_WIDTHS = (18, 6, 2)  # of the cells that stations share noise in, in usual distances of nearest stations
FINEST_ZOOM = 26


@dataclass(frozen=True)
class Calendar:
    """What the clock says of each step: integers, all of one shape.

    slot: slot of the day, 0 … P-1.  weekday: 0 = Monday … 6.  day_type: weekday, Saturday, Sunday or holiday.
    """

    slot: Tensor
    weekday: Tensor
    day_type: Tensor

    @classmethod
    def of(cls, clock: pd.DatetimeIndex, steps_per_day: int, holidays: list[date]) -> "Calendar":
        """Read the calendar of naive local times."""
        minutes = (clock - clock.normalize()) // pd.Timedelta(minutes=1)
        weekday = np.asarray(clock.day_of_week)
        day_type = np.select([weekday == 5, weekday == 6], [SATURDAY, SUNDAY_OR_HOLIDAY], WEEKDAY)
        day_type[np.asarray(clock.normalize().isin(pd.to_datetime(holidays)))] = SUNDAY_OR_HOLIDAY
        slot = np.asarray(minutes) * steps_per_day // (24 * 60)
        return cls(*(torch.as_tensor(np.asarray(part, dtype=np.int64)) for part in (slot, weekday, day_type)))

    def take(self, index: Tensor) -> "Calendar":
        """The calendar at these steps, of any shape."""
        return Calendar(self.slot[index], self.weekday[index], self.day_type[index])

    def to(self, device: torch.device | str) -> "Calendar":
        """The same on another device."""
        return Calendar(self.slot.to(device), self.weekday.to(device), self.day_type.to(device))


@dataclass(frozen=True)
class Panel:
    """A city's traffic on a regular grid of local clock time, with all a model may know of its stations.

    values: (N, T) float32, NaN = missing.  clock: (T,) naive local time.  positions: (N, 2) metres,
    NaN where no place is known.  environment: (N, D) float32 embeddings or None.  cells: (N, 3) int64, the cells of a global
    grid that each station lies in, coarse to fine (`grid_cells`); None where no place is known.

    Local clock time keeps "the same hour yesterday" true across clock changes: the hour that does not exist in spring is
    missing, the hour that comes twice in autumn is averaged, and an interval that holds less or more real time over a change
    counts as if it had its usual length.
    """

    values: np.ndarray
    clock: pd.DatetimeIndex
    timezone: str
    steps_per_day: int
    station_ids: tuple[str, ...]
    positions: np.ndarray
    holidays: tuple[date, ...] = ()
    environment: np.ndarray | None = None
    cells: np.ndarray | None = None

    @classmethod
    def of(cls, city: "City", environment: np.ndarray | None = None) -> "Panel":
        """Read a city's panel; `environment` rows are in the order of the city's stations."""
        timeline, traffic = city.timeline, city.traffic
        slots, shares = timeline.steps(traffic.index), timeline.shares(traffic.index)
        if (shares != 1).any():
            traffic = traffic.div(shares, axis=0)
        if not np.array_equal(slots, np.arange(len(slots))):
            traffic = traffic.groupby(slots).mean().reindex(np.arange(slots.max() + 1))
        positions = _positions(city)
        return cls(
            values=np.ascontiguousarray(traffic.to_numpy(dtype=np.float32).T),
            clock=timeline.clock(len(traffic)),
            timezone=city.meta.timezone,
            steps_per_day=city.steps_per_day,
            station_ids=city.station_ids,
            positions=positions,
            cells=_cells(city, positions),
            holidays=tuple(city.meta.holidays),
            environment=environment,
        )

    @property
    def steps(self) -> int:
        """T, the number of steps."""
        return self.values.shape[1]

    def select(self, stations: np.ndarray) -> "Panel":
        """The panel of some stations, by index and in that order."""
        return replace(
            self,
            values=self.values[stations],
            station_ids=tuple(self.station_ids[index] for index in stations),
            positions=self.positions[stations],
            cells=None if self.cells is None else self.cells[stations],
            environment=None if self.environment is None else self.environment[stations],
        )

    def future_clock(self, origin: int, horizon: int) -> pd.DatetimeIndex:
        """Naive local times of the `horizon` steps from step `origin` on, which may lie beyond the data."""
        interval = pd.Timedelta(days=1) / self.steps_per_day
        return pd.date_range(self.clock[0] + origin * interval, periods=horizon, freq=interval)

    def time(self, step: int) -> pd.Timestamp:
        """The start of a step, which may lie beyond the data, in the city's zone."""
        return self.times(step, 1)[0]

    def times(self, first: int, count: int) -> pd.DatetimeIndex:
        """Starts of `count` steps: what comes twice at its first pass, what is skipped where the gap ends."""
        walls = self.future_clock(first, count).as_unit("us").asi8
        return in_zone(localised(walls, self.timezone)[0], self.timezone)

    def step_at(self, time: pd.Timestamp) -> int:
        """The first step that does not start before a time with a zone, from 0 to T."""
        return int(self.clock.searchsorted(time.tz_convert(self.timezone).tz_localize(None)))

    @cached_property
    def calendar(self) -> Calendar:
        """The calendar of all steps, and of the days beyond the data that a forecast may reach."""
        clock = self.future_clock(0, self.steps + (LONGEST_FORECAST_DAYS + 1) * self.steps_per_day)
        return Calendar.of(clock, self.steps_per_day, list(self.holidays))


def _positions(city: "City") -> np.ndarray:
    if not city.has_places:
        return np.full((len(city.station_ids), 2), np.nan)
    return metric_positions(city.stations.geometry.x.to_numpy(), city.stations.geometry.y.to_numpy())


def _cells(city: "City", positions: np.ndarray) -> np.ndarray | None:
    if not city.has_places:
        return None
    lon, lat = city.stations.geometry.x.to_numpy(), city.stations.geometry.y.to_numpy()
    return grid_cells(lon, lat, usual_distance(positions))


def metric_positions(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Positions in metres around the stations' centre, (N, 2): azimuthal equidistant projection on WGS 84."""
    from pyproj import Transformer

    radians = np.radians(lon)
    centre_lon = np.degrees(np.arctan2(np.sin(radians).mean(), np.cos(radians).mean()))
    projection = f"+proj=aeqd +lat_0={lat.mean():.6f} +lon_0={centre_lon:.6f} +datum=WGS84 +units=m"
    x, y = Transformer.from_crs("EPSG:4326", projection, always_xy=True).transform(lon, lat)
    return np.stack([x, y], axis=1)


def usual_distance(positions: np.ndarray) -> float:
    """Median distance in metres of a station to its nearest, of those that do not stand on one spot; 1 km where all do."""
    from scipy.spatial import cKDTree

    distinct = np.unique(positions.round(1), axis=0)
    if len(distinct) < 2:
        return 1000.0
    return float(np.median(cKDTree(distinct).query(distinct, k=2)[0][:, 1]))


def grid_cells(lon: np.ndarray, lat: np.ndarray, distance: float) -> np.ndarray:
    """Cells (N, 3) of the Web-Mercator grid about 18, 6 and 2 times `distance` (metres) wide, each a number: zoom, column, row."""
    sine = np.sin(np.radians(np.clip(lat, -85.05, 85.05)))
    column, row = lon / 360 + 0.5, 0.5 - np.arctanh(sine) / (2 * np.pi)
    width = EQUATOR * np.cos(np.radians(np.median(lat)))
    cells = []
    for multiple in CELL_WIDTHS:
        zoom = int(np.clip(np.round(np.log2(width / (multiple * distance))), 0, FINEST_ZOOM))
        x, y = (np.floor(part * 2**zoom).astype(np.int64) for part in (column, row))
        cells.append((np.int64(zoom) << 54) + (x << 27) + y)
    return np.stack(cells, axis=1)


@dataclass(frozen=True)
class Split:
    """Parts of the time axis as half-open ranges of steps: fit on `train`, stop and calibrate on `validation`, report `test`."""

    train: range
    validation: range
    test: range


def protocol_split(steps: int) -> Split:
    """70 / 10 / 20, cut at floor(0.7 T) and floor(0.8 T) (measurement protocol, version 2)."""
    first, second = 7 * steps // 10, 8 * steps // 10
    return Split(range(first), range(first, second), range(second, steps))


def split_for_use(steps: int, steps_per_day: int) -> Split:
    """All that there is: fit on everything but the last tenth, at least the last 2 days, which stop and calibrate."""
    cut = steps - max(-(-steps // 10), CALIBRATION_DAYS * steps_per_day)
    return Split(range(cut), range(cut, steps), range(steps, steps))


def validation_folds(steps: int) -> list[Split]:
    """Four expanding windows inside the first 80 %: each fits on 30–60 %, calibrates on the next tenth, reports the next."""
    cuts = [tenths * steps // 10 for tenths in (3, 4, 5, 6, 7, 8)]
    return [Split(range(cuts[i]), range(cuts[i], cuts[i + 1]), range(cuts[i + 1], cuts[i + 2])) for i in range(4)]


def zero_shot_split(steps: int, steps_per_day: int) -> Split:
    """Nothing to fit on: everything from the end of the second day on is reported."""
    return Split(range(0), range(0), range(min(2 * steps_per_day, steps), steps))


def steps_apart(steps_per_day: int, times_a_day: int) -> int:
    """Steps from one of so many origins a day to the next; one, where a day has fewer steps."""
    return max(1, steps_per_day // times_a_day)


def origins_within(part: range, horizon: int, every: int) -> np.ndarray:
    """Origins of whole windows inside `part`, one `every` steps."""
    return np.arange(part.start, part.stop - horizon + 1, every)


@dataclass(frozen=True)
class Batch:
    """What a model sees of B windows.

    past: (B, N, L), NaN = missing or before the data.  future: (B, N, H) or None at forecast time.
    past_calendar: (B, L); future_calendar: (B, H).
    edge_index (2, E), edge_weight (E,): the normalised distance graph over the N stations.
    environment: (N, D) or None.  station: (N,) row of each station in the model's table, 0 = unknown to it.
    level: mean forecast of all stations of the city (models/protocol.py), where these are a part of them; None = they are all.
    cells: (N, 3) or None, see `Panel`.
    """

    past: Tensor
    future: Tensor | None
    past_calendar: Calendar
    future_calendar: Calendar
    edge_index: Tensor
    edge_weight: Tensor
    environment: Tensor | None
    station: Tensor
    level: Tensor | None = None
    cells: Tensor | None = None

    def to(self, device: torch.device | str) -> "Batch":
        """The same on another device."""
        moved: dict[str, Any] = {name: part if part is None else part.to(device) for name, part in vars(self).items()}
        return Batch(**moved)


class Windows:
    """Cuts batches from a panel: `context` steps before an origin, `horizon` steps from it on.

    `graph` is over the panel's stations; `station` gives their rows in a model's station table (default: all unknown).
    `history`: how many steps of the context are known of each station (a number, or one a station); those before are missing, as
    for stations that are so young.
    """

    def __init__(
        self,
        panel: Panel,
        edge_index: Tensor,
        edge_weight: Tensor,
        context: int,
        horizon: int,
        station: np.ndarray | None = None,
        history: int | np.ndarray | None = None,
    ) -> None:
        self.panel = panel
        self.context, self.horizon = context, horizon
        age = torch.arange(context, 0, -1)
        self.unknown = None if history is None else age > torch.as_tensor(history).reshape(-1, 1)
        self.edge_index, self.edge_weight = edge_index, edge_weight
        self.values = torch.tensor(panel.values)
        self.cells = None if panel.cells is None else torch.as_tensor(panel.cells)
        self.environment = None if panel.environment is None else torch.as_tensor(panel.environment)
        self.station = torch.zeros(len(panel.station_ids), dtype=torch.long)
        if station is not None:
            self.station = torch.as_tensor(station, dtype=torch.long)

    def batch(self, origins: np.ndarray, with_future: bool = True) -> Batch:
        """The windows at these origins."""
        origins = np.asarray(origins)
        if len(origins) == 0:
            raise UserError("no window fits: the data are too short for a context and a horizon")
        if origins.min() < 1 or origins.max() > self.panel.steps:
            raise UserError(f"an origin must lie between step 1 and step {self.panel.steps}")
        past = torch.stack([self._past(int(origin)) for origin in origins])
        future = torch.stack([self._future(int(origin)) for origin in origins]) if with_future else None
        return self._assembled(origins, past, future)

    def continued(self, origin: int, past: Tensor) -> Batch:
        """Windows at one origin, which may lie beyond the data, with pasts (B, N, L) of one's own."""
        return self._assembled(np.full(len(past), origin), past, None)

    def _assembled(self, origins: np.ndarray, past: Tensor, future: Tensor | None) -> Batch:
        start = torch.as_tensor(origins)[:, None]
        before = (start + torch.arange(-self.context, 0)).clamp_min(0)
        return Batch(
            past=past,
            future=future,
            past_calendar=self.panel.calendar.take(before),
            future_calendar=self.panel.calendar.take(start + torch.arange(self.horizon)),
            edge_index=self.edge_index,
            edge_weight=self.edge_weight,
            environment=self.environment,
            station=self.station,
            cells=self.cells,
        )

    def _past(self, origin: int) -> Tensor:
        past = self.values[:, max(0, origin - self.context) : origin]
        past = torch.nn.functional.pad(past, (self.context - past.shape[1], 0), value=torch.nan)
        return past if self.unknown is None else past.masked_fill(self.unknown, torch.nan)

    def _future(self, origin: int) -> Tensor:
        future = self.values[:, origin : origin + self.horizon]
        return torch.nn.functional.pad(future, (0, self.horizon - future.shape[1]), value=torch.nan)

    def batches(self, origins: np.ndarray, size: int) -> Iterator[Batch]:
        """Batches of at most `size` windows, in order."""
        for start in range(0, len(origins), size):
            yield self.batch(origins[start : start + size])
