"""What the networks that forecast one number a step share: their two forms and their loss.

Each is a body that says something of every step ahead (lstm.py, stgcn.py, stid.py), in one of two forms. Plain, it gives the
traffic itself, on the scale of the station's last day. With `prior`, it stands around LEC-Diff's learned seasonal mean: it mixes
the seasonal kernels and corrects their mean in units of its square root, and starts from that mean alone, as LEC-Diff does.

Letters as in models/inputs.py; K seasonal kernels.
"""

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

from lecdiff_core.city.windows import Batch
from lecdiff_core.fusion.moments import CALENDAR_WIDTH, calendar_features
from lecdiff_core.fusion.season import FLOOR, Season, SeasonalMean, mixed
from lecdiff_core.models.conditional import LecDiffConfig, season_config
from lecdiff_core.models.inputs import (
    COVARIATE_WIDTH,
    HISTORY_DAYS,
    LARGEST,
    History,
    covariates,
    day_calendar,
    history,
    same_slots,
)
from lecdiff_core.models.protocol import PointModel

UNIT = 0.5413  # softplus(UNIT) = 1: an untrained network forecasts the last day's mean


class Inputs(NamedTuple):
    """What a body sees of B windows, on the scale of each station's last day; nothing is NaN.

    scale: (B, N, 1).  season: of that scale, None in the plain form.
    recent: (B, N, P, recent_width) the last day: traffic, the same slot a day and a week before, whether it is missing, clock;
    with a season its mean and the deviation from it.
    lags: (B, N, H, J) traffic at the slot of each step ahead on past days.
    ahead: (B, N, H, ahead_width) the covariates of each step ahead, how far ahead it is, and what a season says of it.
    """

    scale: Tensor
    season: Season | None
    recent: Tensor
    lags: Tensor
    ahead: Tensor


class PointNetwork(PointModel):
    """Base of the networks: a body gives (B, N, H, outputs), this class makes traffic of it and trains it."""

    recipe = 3
    parameter_groups: ClassVar = {"prior": ("season.", "gate")}

    def __init__(self, steps_per_day: int, prior: bool) -> None:
        super().__init__()
        self.steps_per_day = self.horizon = steps_per_day
        self.context = (HISTORY_DAYS + 1 + prior) * steps_per_day
        self.prior = prior
        self.outputs, self.recent_width, self.ahead_width = 1, 4 + CALENDAR_WIDTH, COVARIATE_WIDTH + 1
        if prior:
            form = season_config(LecDiffConfig(steps_per_day, history_days=HISTORY_DAYS))
            self.season = SeasonalMean(form)
            self.hops = self.season.reach
            kernels = len(form.memory_days)
            self.gate = nn.Parameter(torch.tensor([2.0] + [0.0] * (kernels - 1)))
            self.outputs += kernels
            self.recent_width += 2
            self.ahead_width += kernels + 1 + len(form.level_windows)

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
        _, corrected = mixed(inputs.season, self.gate, out[..., 1:], out[..., 0])
        return corrected * inputs.scale

    def inputs(self, batch: Batch) -> Inputs:
        """Lay out what is known of the last day and of each step ahead."""
        past = history(batch, self.steps_per_day)
        season = self.season(past.scaled, batch) if self.prior else None
        recent, ahead = self._recent(batch, past, season), self._ahead(batch, past, season)
        return Inputs(past.scale, season, recent, same_slots(past), ahead)

    def _recent(self, batch: Batch, past: History, season: Season | None) -> Tensor:
        latest = past.filled[:, :, -1]
        series = [latest, past.filled[:, :, -2], past.filled[:, :, -8], (~past.days[:, :, -1].isfinite()).float()]
        if season is not None:
            centre = season.past.mean(2)[..., -self.steps_per_day :].clamp_max(LARGEST)
            series += [centre, (latest - centre) / (centre + FLOOR).sqrt()]
        clock = calendar_features(day_calendar(batch, self.steps_per_day, back=1), self.steps_per_day)[:, None]
        return torch.cat([torch.stack(series, dim=3), clock.expand(-1, latest.shape[1], -1, -1)], dim=3)

    def _ahead(self, batch: Batch, past: History, season: Season | None) -> Tensor:
        known = covariates(batch, past)
        progress = torch.linspace(0, 1, self.horizon, device=known.device)[:, None]
        parts = [known, progress.expand(*known.shape[:3], 1)]
        if season is not None:
            kernels = season.future.transpose(2, 3)
            centre = kernels.mean(3, keepdim=True)
            root = (centre + FLOOR).sqrt()
            level = season.level[:, :, None].expand(-1, -1, self.horizon, -1)
            parts += [(kernels - centre) / root, root, level]
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
