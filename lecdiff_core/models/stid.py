"""STID: a multilayer perceptron over the history, with embeddings of station, time of day and day of week (Shao et al. 2022,
https://arxiv.org/abs/2208.05233).

The history is laid flat, embedded together with who (station) and when (slot of the day, day of the week), and refined by residual
layers; one linear layer gives all steps ahead. What differs from the paper: the history also holds the slots of the steps ahead
on past days; the kind of the days ahead (weekday, Saturday, Sunday or holiday) is embedded beside the day of the week; and the
identity is optional: row 0 of the station table stands for a station the model has not met, and training shows it row 0 now and
then, so that it can forecast stations it was not trained on.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from lecdiff_core.city.panel import DAY_TYPES
from lecdiff_core.city.windows import Batch
from lecdiff_core.models.inputs import SAME_SLOT_DAYS
from lecdiff_core.models.point_network import Inputs, PointNetwork

HISTORY_WIDTH = 64
IDENTITY_WIDTH = 16
CLOCK_WIDTH = 16
LAYERS = 3
DROPOUT = 0.15
UNKNOWN_SHARE = 0.1  # of stations that training treats as unknown to the station table


class ResidualLayer(nn.Module):
    """x + W₂ dropout(relu(W₁ x)): (..., width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.dropout = nn.Dropout(DROPOUT)
        self.outer = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Refine x."""
        return x + self.outer(self.dropout(relu(self.inner(x))))


class Stid(PointNetwork):
    """Embeddings of history, station, slot, weekday and kind of day → residual layers → all steps ahead."""

    def __init__(self, steps_per_day: int, stations: int, prior: bool = False) -> None:
        super().__init__(steps_per_day, prior)
        history = steps_per_day * (2 + len(SAME_SLOT_DAYS))
        self.from_history = nn.Linear(history, HISTORY_WIDTH)
        self.station = nn.Embedding(stations + 1, IDENTITY_WIDTH)
        self.slot = nn.Embedding(steps_per_day, CLOCK_WIDTH)
        self.weekday = nn.Embedding(7, CLOCK_WIDTH)
        self.first_kind = nn.Embedding(DAY_TYPES, CLOCK_WIDTH)
        self.last_kind = nn.Embedding(DAY_TYPES, CLOCK_WIDTH)
        for table in (self.station, self.slot, self.weekday, self.first_kind, self.last_kind):
            nn.init.xavier_uniform_(table.weight)
        width = HISTORY_WIDTH + IDENTITY_WIDTH + 3 * CLOCK_WIDTH
        self.layers = nn.Sequential(*(ResidualLayer(width) for _ in range(LAYERS)))
        self.out = nn.Linear(width, steps_per_day * self.outputs)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def settings(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return super().settings() | {"stations": len(self.station.weight) - 1}

    def body(self, inputs: Inputs, batch: Batch) -> Tensor:
        """(B, N, H, outputs)."""
        recent = torch.cat([inputs.recent[..., 0], inputs.recent[..., 3]], dim=2)
        if inputs.season is not None:
            recent = torch.cat([inputs.recent[..., 5], inputs.recent[..., 3]], dim=2)
        history = self.from_history(torch.cat([recent, inputs.lags.flatten(2)], dim=2))
        parts = [history, self._identity(batch), self._clock(batch).expand(-1, history.shape[1], -1)]
        return self.out(self.layers(torch.cat(parts, dim=2))).unflatten(2, (self.horizon, self.outputs))

    def _identity(self, batch: Batch) -> Tensor:
        """(B, N, identity width)."""
        rows = batch.station.expand(len(batch.past), -1)
        if self.training:
            rows = rows * (torch.rand(rows.shape, device=rows.device) > UNKNOWN_SHARE)
        return self.station(rows)

    def _clock(self, batch: Batch) -> Tensor:
        """(B, 1, 3 clock widths): slot and weekday of the first step ahead, kind of the first and last."""
        ahead = batch.future_calendar
        kind = self.first_kind(ahead.day_type[:, 0]) + self.last_kind(ahead.day_type[:, -1])
        return torch.cat([self.slot(ahead.slot[:, 0]), self.weekday(ahead.weekday[:, 0]), kind], dim=1)[:, None]
