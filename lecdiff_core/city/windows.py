"""Windows cut from a panel, and the batches that models see.

A window is an origin: everything before it is context, the `horizon` steps from it on are what is forecast. A batch holds only
what lies before its origins (and the target, for training), so nothing later can leak into a forecast.

Letters: B windows, N stations, L context steps, H horizon steps, D embedding width.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lecdiff_core.city.graph import Graph
from lecdiff_core.city.panel import Calendar, Panel
from lecdiff_core.errors import UserError


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
        graph: Graph,
        context: int,
        horizon: int,
        station: np.ndarray | None = None,
        history: int | np.ndarray | None = None,
    ) -> None:
        self.panel = panel
        self.context, self.horizon = context, horizon
        age = torch.arange(context, 0, -1)
        self.unknown = None if history is None else age > torch.as_tensor(history).reshape(-1, 1)
        self.graph = graph
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
            edge_index=self.graph.edge_index,
            edge_weight=self.graph.edge_weight,
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
