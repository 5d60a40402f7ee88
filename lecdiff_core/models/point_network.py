"""What the networks that forecast one number a step share: their inputs, their two forms and their loss.

Each is a body that says something of every step ahead (lstm.py, stgcn.py, stid.py), in one of two forms. Plain, it gives the
traffic itself, on the scale of the station's mean. With `prior`, it stands around LEC-Diff's learned seasonal mean: it mixes
the seasonal kernels and corrects their mean in units of its square root, and starts from that mean alone.

Letters as in city/windows.py; K seasonal kernels, J days the body reads step by step.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

from lecdiff_core.city.windows import Batch
from lecdiff_core.fusion.moments import CALENDAR_WIDTH, FLOOR, calendar_features
from lecdiff_core.fusion.season import Season, SeasonalMean
from lecdiff_core.models.protocol import PointModel

HISTORY_DAYS = 28
MEMORY_DAYS = (1.5, 7.0, 21.0)  # initial memory of each seasonal kernel, as in LEC-Diff
SAME_SLOT_DAYS = (1, 2, 3, 4, 5, 6, 7, 14, 21, 28)  # how many days before a step ahead its own slot is looked up
LARGEST = 10.0  # inputs are clamped there, in units of a station's mean
UNIT = 0.5413  # softplus(UNIT) = 1: an untrained network forecasts the station's mean


class Inputs(NamedTuple):
    """What a body sees of B windows, on the scale of each station's mean; nothing is NaN.

    scale: (B, N, 1).  season: of that scale, None in the plain form.
    recent: (B, N, P, recent_width) the last day: traffic, the same slot a day and a week before, whether it is missing, clock.
    lags: (B, N, H, days) traffic at the slot of each step ahead on past days (SAME_SLOT_DAYS).
    ahead: (B, N, H, ahead_width) each step ahead: lags, whether they were observed and of the same kind of day, their mean, clock.
    """

    scale: Tensor
    season: Season | None
    recent: Tensor
    lags: Tensor
    ahead: Tensor


class PointNetwork(PointModel):
    """Base of the networks: a body gives (B, N, H, outputs), this class makes traffic of it and trains it.

    stations: rows of a station table, for the body that has one.
    """

    def __init__(self, steps_per_day: int, prior: bool) -> None:
        super().__init__()
        self.steps_per_day = self.horizon = steps_per_day
        self.context = (HISTORY_DAYS + 1) * steps_per_day
        self.prior = prior
        kernels = len(MEMORY_DAYS)
        self.outputs = 1 + kernels if prior else 1
        self.recent_width = 4 + CALENDAR_WIDTH + (2 if prior else 0)
        self.ahead_width = 3 * len(SAME_SLOT_DAYS) + 2 + CALENDAR_WIDTH + (1 + kernels if prior else 0)
        if prior:
            self.season = SeasonalMean(steps_per_day, HISTORY_DAYS, 1, MEMORY_DAYS)
            self.gate = nn.Parameter(torch.zeros(kernels))

    def settings(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"steps_per_day": self.steps_per_day, "prior": self.prior}

    def body(self, inputs: Inputs, batch: Batch) -> Tensor:
        """What the network says of each step ahead: (B, N, H, outputs)."""
        raise NotImplementedError

    def loss(self, batch: Batch) -> Tensor:
        """Absolute error on the original scale, over total traffic; what is missing does not count."""
        assert batch.future is not None
        observed = batch.future.isfinite()
        future = torch.where(observed, batch.future, 0.0)
        error = torch.where(observed, (self.point(batch) - future).abs(), 0.0)
        return error.sum() / future.sum().clamp_min(1e-6)

    def point(self, batch: Batch) -> Tensor:
        """The forecast (B, N, H)."""
        inputs = self.inputs(batch)
        out = self.body(inputs, batch)
        if inputs.season is None:
            return softplus(out[..., 0] + UNIT) * inputs.scale
        kernels = inputs.season.future.transpose(2, 3)
        mean = (torch.softmax(self.gate + out[..., 1:], dim=3) * kernels).sum(3)
        corrected = softplus(mean + (mean + FLOOR).sqrt() * out[..., 0], beta=50)
        return corrected * inputs.scale

    def inputs(self, batch: Batch) -> Inputs:
        """Scale the past and lay out what is known of the last day and of each step ahead."""
        scale = batch.past.nanmean(dim=2, keepdim=True).nan_to_num(0.0).clamp_min(1e-6)
        scaled = batch.past / scale
        season = self.season(scaled, batch) if self.prior else None
        days = scaled.unflatten(2, (-1, self.steps_per_day))
        usual = days.nanmean(dim=2).nan_to_num(1.0)
        filled = torch.where(days.isfinite(), days, usual[:, :, None]).clamp_max(LARGEST)
        back = [-day for day in SAME_SLOT_DAYS]
        lags = filled[:, :, back].transpose(2, 3)
        recent = self._recent(batch, filled, days, season)
        ahead = self._ahead(batch, lags, days[:, :, back].transpose(2, 3), usual.clamp_max(LARGEST), season)
        return Inputs(scale, season, recent, lags, ahead)

    def _recent(self, batch: Batch, filled: Tensor, days: Tensor, season: Season | None) -> Tensor:
        latest = filled[:, :, -1]
        series = [latest, filled[:, :, -2], filled[:, :, -8], (~days[:, :, -1].isfinite()).float()]
        if season is not None:
            centre = season.past.mean(2)[..., -self.steps_per_day :].clamp_max(LARGEST)
            series += [centre, (latest - centre) / (centre + FLOOR).sqrt()]
        clock = calendar_features(batch.past_calendar, self.steps_per_day)[:, None, -self.steps_per_day :]
        return torch.cat([torch.stack(series, dim=3), clock.expand(-1, latest.shape[1], -1, -1)], dim=3)

    def _ahead(self, batch: Batch, lags: Tensor, raw: Tensor, usual: Tensor, season: Season | None) -> Tensor:
        kinds = batch.past_calendar.day_type.unflatten(1, (-1, self.steps_per_day))
        kinds = kinds[:, [-day for day in SAME_SLOT_DAYS]].transpose(1, 2)
        same_kind = (kinds == batch.future_calendar.day_type[..., None]).float()
        clock = calendar_features(batch.future_calendar, self.steps_per_day)
        progress = torch.linspace(0, 1, self.horizon, device=lags.device)[:, None].expand(*clock.shape[:2], 1)
        shared = torch.cat([same_kind, progress, clock], dim=2)[:, None].expand(-1, lags.shape[1], -1, -1)
        parts = [lags, raw.isfinite().float(), usual[..., None], shared]
        if season is not None:
            kernels = season.future.transpose(2, 3)
            centre = kernels.mean(3, keepdim=True)
            root = (centre + FLOOR).sqrt()
            parts += [(kernels - centre) / root, root]
        return torch.cat(parts, dim=3)


class StepDecoder(nn.Module):
    """One small network for every step ahead.

    state: (B, N, C), what is known of the station; ahead: (B, N, H, A), what is known of the step → (B, N, H, outputs).
    Starts at zero.
    """

    def __init__(self, state: int, ahead: int, width: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.from_state = nn.Linear(state, width)
        self.from_step = nn.Linear(ahead, width, bias=False)
        self.middle = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width, outputs)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, state: Tensor, ahead: Tensor) -> Tensor:
        """What is said of each step."""
        hidden = silu(self.from_state(state)[:, :, None] + self.from_step(ahead))
        hidden = hidden + silu(self.middle(self.dropout(hidden)))
        return self.out(self.dropout(hidden))
