"""Mean and spread of each step ahead: the frame in which the diffusion model works."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, silu

from lecdiff_core.city.panel import DAY_TYPES, Calendar
from lecdiff_core.fusion.season import FLOOR, Season, mixed

CALENDAR_WIDTH = 4 + DAY_TYPES
LOG_SPREADS = (-8.0, 4.0)  # of the spread over the root of the mean; beyond these no learning is possible
ERROR_TO_SPREAD = 0.22  # log of a normal's standard deviation over its mean absolute error


class Frame(NamedTuple):
    """Where and how wide the traffic ahead is expected, each (B, N, H), on the scale of the station's mean."""

    mean: Tensor
    spread: Tensor


def calendar_features(calendar: Calendar, steps_per_day: int) -> Tensor:
    """Clock and kind of day: (..., CALENDAR_WIDTH)."""
    day = calendar.slot * (2 * torch.pi / steps_per_day)
    week = (calendar.weekday + calendar.slot / steps_per_day) * (2 * torch.pi / 7)
    clock = torch.stack([day.sin(), day.cos(), week.sin(), week.cos()], dim=-1)
    return torch.cat([clock, one_hot(calendar.day_type, DAY_TYPES).float()], dim=-1)


class MomentHead(nn.Module):
    """A gate mixes the seasonal kernels, a small network corrects their mean and sets the spread.

    Both are relative to the square root of the mean, as the noise of counted traffic is. The network starts at zero, so that
    training starts from the seasonal mean alone, most of it from the reference kernel, and from the usual errors.
    """

    def __init__(self, kernels: int, condition: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.from_condition = nn.Linear(condition, hidden)
        self.from_step = nn.Linear(kernels + 5 + CALENDAR_WIDTH, hidden, bias=False)
        self.middle = nn.Linear(hidden, hidden)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, kernels + 2)
        self.gate = nn.Parameter(torch.tensor([2.0] + [0.0] * (kernels - 1)))
        self.log_spread = nn.Parameter(torch.tensor(-1.8))
        self.from_error = nn.Parameter(torch.tensor([0.42, 0.44]))
        self.from_size = nn.Parameter(torch.tensor(0.2))
        self.from_surprise = nn.Parameter(torch.tensor(0.3))
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, season: Season, condition: Tensor, clock: Tensor, trust: Tensor) -> Frame:
        """Frame from the season's kernels (B, N, K, H), a condition (B, N, C) and calendar features (B, H, ·).

        trust: (B, N, 1), how much of the network's correction of the mean is taken, 0 to 1.
        """
        kernels = season.future.transpose(2, 3)
        centre = kernels.mean(3, keepdim=True)
        root = (centre + FLOOR).sqrt()
        ahead = torch.linspace(0, 1, kernels.shape[2], device=kernels.device)[:, None].expand_as(centre)
        clock = clock[:, None].expand(-1, kernels.shape[1], -1, -1)
        error = season.error + ERROR_TO_SPREAD - self.log_spread
        surprise = season.surprise[:, :, None, None].expand_as(centre)
        features = torch.cat([(kernels - centre) / root, root, ahead, error.detach(), surprise, clock], dim=3)
        hidden = silu(self.from_condition(condition)[:, :, None] + self.from_step(features))
        hidden = silu(self.middle(self.dropout(hidden)))
        out = self.out(self.dropout(hidden))
        mean, corrected = mixed(season, self.gate, trust[..., None] * out[..., 2:], out[..., 0], trust)
        root = (mean + FLOOR).sqrt()
        log_spread = self.log_spread + error @ self.from_error + self.from_size * root.log()
        log_spread = log_spread + (self.from_surprise * surprise + out[..., 1:2])[..., 0]
        return Frame(corrected, root * log_spread.clamp(*LOG_SPREADS).exp())


def normal_crps(observed: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
    """CRPS of a normal distribution in closed form (Gneiting & Raftery 2007, eq. 21)."""
    z = (observed - mean) / spread
    density = torch.exp(-(z**2) / 2) / (2 * torch.pi) ** 0.5
    return spread * (z * torch.erf(z / 2**0.5) + 2 * density - torch.pi**-0.5)
