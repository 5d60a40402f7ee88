"""A city as a model sees it: traffic of every station on a regular grid of local clock time, with its calendar and places.

Letters: N stations, T steps of the panel, P steps a day, D embedding width.
"""

from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lecdiff_core.city.timeline import in_zone, localised

if TYPE_CHECKING:
    from lecdiff_core.city.folder import City

WEEKDAY, SATURDAY, SUNDAY_OR_HOLIDAY = range(3)
DAY_TYPES = 3
LONGEST_FORECAST_DAYS = 14
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

    def at(self, step: int | slice) -> "Calendar":
        """The calendar (B, …) of one step, or of some."""
        return Calendar(self.slot[:, step], self.weekday[:, step], self.day_type[:, step])

    def last(self, steps: int) -> "Calendar":
        """The calendar of the last steps."""
        return self.at(slice(-steps, None))

    def followed_by(self, later: "Calendar") -> "Calendar":
        """This calendar, and a later one's steps after its own."""
        pairs = zip(vars(self).values(), vars(later).values(), strict=True)
        return Calendar(*(torch.cat(pair, dim=1) for pair in pairs))

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


def metric_positions(
    lon: np.ndarray, lat: np.ndarray, around: tuple[np.ndarray, np.ndarray] | None = None
) -> np.ndarray:
    """Positions in metres around the stations' centre, (N, 2): azimuthal equidistant projection on WGS 84.

    around: lon and lat of the stations, for places that are none of them.
    """
    from pyproj import Transformer

    lons, lats = (lon, lat) if around is None else around
    radians = np.radians(lons)
    centre_lon = np.degrees(np.arctan2(np.sin(radians).mean(), np.cos(radians).mean()))
    projection = f"+proj=aeqd +lat_0={lats.mean():.6f} +lon_0={centre_lon:.6f} +datum=WGS84 +units=m"
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
