"""The seasonal mean: what past days say of a step, as attention over days by their age and kind, with a level correction.

A generalisation of the fixed formula `adaptive-climatology`: a step's mean is a weighted mean of the same slot on
past days; a day's weight depends on its age and on whether it is the same kind of day; the whole is then scaled by how the
last hours compare with what the same formula gave for them, an influence that fades along the horizon.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from lecdiff_core.city.windows import DAY_TYPES, Batch

RECENT_HOURS = 6.0


class Season(NamedTuple):
    """Seasonal means of one batch under K kernels, all on the scale of the input.

    future: (B, N, K, H), level-corrected.  past: (B, N, K, J P), each from days before it only, not level-corrected.
    level: (B, N, K) log of recent traffic over its seasonal mean.
    """

    future: Tensor
    past: Tensor
    level: Tensor


class SeasonalMean(nn.Module):
    """K learned seasonal kernels.

    A day of age d (in days) and kind s weighs exp(-d / τ_k + T_k[kind of the target, s] + w_k [d is a multiple of 7]); the result
    is multiplied by (recent / expected)^(γ_k exp(-h / θ_k)), h in hours.

    days: D, how many past days are looked at.  recalled_days: J, days of context whose own means are also given.
    memory_days: initial τ of each kernel.
    """

    def __init__(
        self,
        steps_per_day: int,
        days: int,
        recalled_days: int,
        memory_days: tuple[float, ...],
        other_kind_weight: float = 0.05,
        level_exponent: float = 0.8,
        level_hours: float = 24.0,
    ) -> None:
        super().__init__()
        kernels = len(memory_days)
        self.steps_per_day, self.days, self.recalled_days = steps_per_day, days, recalled_days
        self.log_memory = nn.Parameter(torch.tensor(memory_days).log())
        other_kind = torch.log(torch.tensor(other_kind_weight)) * (1 - torch.eye(DAY_TYPES))
        self.kind = nn.Parameter(other_kind.repeat(kernels, 1, 1))
        self.weekly = nn.Parameter(torch.zeros(kernels))
        self.level_exponent = nn.Parameter(torch.full((kernels,), level_exponent))
        self.log_level_hours = nn.Parameter(torch.full((kernels,), level_hours).log())

    @property
    def context(self) -> int:
        """L, context steps that are looked at."""
        return (self.days + self.recalled_days) * self.steps_per_day

    def forward(self, past: Tensor, batch: Batch) -> Season:
        """Seasonal means for `past` (B, N, L), a positive scaled version of the batch's past, NaN = missing."""
        day_rows = (-1, self.days + self.recalled_days, self.steps_per_day)
        observed = past.isfinite()
        rows = torch.where(observed, past, 0.0).unflatten(2, day_rows[1:])
        seen = observed.to(past.dtype).unflatten(2, day_rows[1:])
        kinds = batch.past_calendar.day_type.view(day_rows)
        ages = torch.arange(self.days, 0, -1, device=past.device)
        means = []
        for block in range(self.recalled_days + 1):
            sources = slice(self.recalled_days - block, self.recalled_days - block + self.days)
            target_kind = kinds[:, -block] if block else batch.future_calendar.day_type[:, : self.steps_per_day]
            weights = self._weights(ages, target_kind, kinds[:, sources])
            total = torch.einsum("bkdp,bndp->bnkp", weights, rows[:, :, sources])
            weight = torch.einsum("bkdp,bndp->bnkp", weights, seen[:, :, sources])
            overall = rows[:, :, sources].sum((2, 3)) / seen[:, :, sources].sum((2, 3)).clamp_min(1.0)
            fallback = 1e-4 * overall[:, :, None, None]
            means.append((total + fallback) / (weight + 1e-4))
        recalled = torch.cat(means[:0:-1], dim=3) if self.recalled_days else means[0][..., :0]
        level = self._level(past, recalled)
        return Season(self._corrected(means[0], level), recalled, level)

    def _weights(self, ages: Tensor, target_kind: Tensor, source_kind: Tensor) -> Tensor:
        """(B, K, D, P) from ages (D,), kinds of the target steps (B, P) and of the sources (B, D, P)."""
        recency = -ages / self.log_memory.exp()[:, None] + self.weekly[:, None] * (ages % 7 == 0)
        kind = self.kind[:, target_kind[:, None, :].expand_as(source_kind), source_kind].transpose(0, 1)
        return torch.exp(recency[None, :, :, None] + kind)

    def _level(self, past: Tensor, recalled: Tensor) -> Tensor:
        """log(recent / expected) over the last hours, shrunk towards 0 where little was observed."""
        recent_steps = round(self.steps_per_day * RECENT_HOURS / 24)
        recent = past[:, :, None, -recent_steps:]
        expected = recalled[..., -recent_steps:]
        observed = recent.isfinite()
        actual = torch.where(observed, recent, 0.0).sum(3)
        anticipated = torch.where(observed, expected, 0.0).sum(3)
        shrinkage = 0.02 * recent_steps * expected.mean(3).clamp_min(1e-3)
        return torch.log((actual + shrinkage) / (anticipated + shrinkage)).clamp(-2.0, 2.0)

    def _corrected(self, mean: Tensor, level: Tensor) -> Tensor:
        hours = torch.arange(1, mean.shape[3] + 1, device=mean.device) * (24 / self.steps_per_day)
        fading = self.level_exponent[:, None] * torch.exp(-hours / self.log_level_hours.exp()[:, None])
        return mean * torch.exp(level[..., None] * fading)
