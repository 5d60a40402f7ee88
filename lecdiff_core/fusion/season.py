"""The seasonal mean: what past days say of a step, as attention over days by their age and kind, with a level correction.

A generalisation of the fixed formula `adaptive-climatology`: a step's mean is a weighted mean of the same slot on
past days; a day's weight depends on its age and on whether it is the same kind of day; the whole is then scaled by how the
last hours compare with what the same formula gave for them, an influence that fades along the horizon. Beside the mean it gives
how far past days were from theirs: what spread is usual at this station and slot.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from lecdiff_core.city.windows import DAY_TYPES, Batch

FLOOR = 0.02  # of a station's mean: added under every square root of traffic
SMOOTHING_REACH_HOURS = 1.5
USUAL_ERROR = 0.13  # mean absolute error over the root of the mean, before anything is known of a station
ERROR_MEMORY_DAYS = 7.0
LARGEST_ERROR = 2.0
LEAST_WEIGHT = 0.02  # of past days, for their mean to be something to compare with
STATION_COUNTS, SLOT_COUNTS = 5.0, 3.0  # observations' worth of trust in what is usual everywhere, at the station


class LevelWindow(NamedTuple):
    """A stretch of recent hours whose level corrects the mean: initial exponent, and hours over which that fades.

    doubt: log levels much smaller than this are taken for noise.
    """

    hours: float
    exponent: float
    fading_hours: float
    doubt: float = 0.0


class Season(NamedTuple):
    """Seasonal means of one batch under K kernels, all on the scale of the input.

    future: (B, N, K, H), level-corrected.  past: (B, N, K, J P), each from days before it only, not level-corrected.
    level: (B, N, W) log of recent traffic over its seasonal mean, for W windows of recent hours.
    error: (B, N, H, 2) log of the usual absolute error over the root of the mean: at this slot, and at the station.
    """

    future: Tensor
    past: Tensor
    level: Tensor
    error: Tensor


class SeasonalMean(nn.Module):
    """K learned seasonal kernels; the first is the reference that levels and errors are measured by.

    A day of age d (in days) and kind s weighs exp(-d / τ_k + T_k[kind of the target, s] + w_k [d is a multiple of 7]); the result
    is multiplied by Π_w (recent / expected)_w^(γ_kw exp(-h / θ_kw)), h in hours.

    days: D, how many past days are looked at.  recalled_days: J, days of context whose own means are also given.
    memory_days: initial τ of each kernel.  smoothing_hours: width of the Gaussian that smooths past days along the day, None =
    as they are.  error_days: past days whose errors tell the usual spread, 0 = none.
    """

    smoothing: Tensor | None

    def __init__(
        self,
        steps_per_day: int,
        days: int,
        recalled_days: int,
        memory_days: tuple[float, ...],
        other_kind_weight: float = 0.05,
        level_windows: tuple[LevelWindow, ...] = (LevelWindow(6.0, 0.8, 24.0),),
        smoothing_hours: float | None = None,
        error_days: int = 0,
    ) -> None:
        super().__init__()
        kernels = len(memory_days)
        self.steps_per_day, self.days, self.recalled_days = steps_per_day, days, recalled_days
        self.error_days = error_days
        self.window_steps = [max(1, round(steps_per_day * window.hours / 24)) for window in level_windows]
        self.doubts = [window.doubt for window in level_windows]
        self.log_memory = nn.Parameter(torch.tensor(memory_days).log())
        other_kind = torch.log(torch.tensor(other_kind_weight)) * (1 - torch.eye(DAY_TYPES))
        self.kind = nn.Parameter(other_kind.repeat(kernels, 1, 1))
        self.weekly = nn.Parameter(torch.zeros(kernels))
        exponents = torch.tensor([window.exponent for window in level_windows])
        self.level_exponent = nn.Parameter(exponents.repeat(kernels, 1))
        fading = torch.tensor([window.fading_hours for window in level_windows])
        self.log_level_hours = nn.Parameter(fading.log().repeat(kernels, 1))
        kernel = None if smoothing_hours is None else _gaussian(smoothing_hours, 24 / steps_per_day)
        self.register_buffer("smoothing", kernel, persistent=False)

    @property
    def context(self) -> int:
        """L, context steps that are looked at."""
        return (self.days + self.recalled_days) * self.steps_per_day

    def forward(self, past: Tensor, batch: Batch) -> Season:
        """Seasonal means for `past` (B, N, L), a positive scaled version of the batch's past, NaN = missing."""
        observed = past.isfinite()
        known, seen = torch.where(observed, past, 0.0), observed.to(past.dtype)
        if self.smoothing is not None:
            known, seen = self._smoothed(known), self._smoothed(seen)
        by_day = (self.days + self.recalled_days, self.steps_per_day)
        known, seen = known.unflatten(2, by_day), seen.unflatten(2, by_day)
        kinds = batch.past_calendar.day_type.unflatten(1, by_day)
        ages = torch.arange(self.days, 0, -1, device=past.device)
        means, weights_of = [], []
        for block in range(self.recalled_days + 1):
            sources = slice(self.recalled_days - block, self.recalled_days - block + self.days)
            target_kind = kinds[:, -block] if block else batch.future_calendar.day_type[:, : self.steps_per_day]
            weights = self._weights(ages, target_kind, kinds[:, sources])
            mean, weight = _mean(weights, known[:, :, sources], seen[:, :, sources])
            means.append(mean)
            weights_of.append(weight[:, :, 0])
        recalled = torch.cat(means[:0:-1], dim=3)
        founded = torch.cat(weights_of[:0:-1], dim=2) > LEAST_WEIGHT
        level = self._level(past, recalled[:, :, 0], founded)
        error = self._error(past, known, seen, kinds)
        return Season(self._corrected(means[0], level), recalled, level, error)

    def _smoothed(self, series: Tensor) -> Tensor:
        """A series (B, N, L) averaged along time; beyond its ends there is nothing."""
        assert self.smoothing is not None
        steps, reach = series.shape[2], len(self.smoothing) // 2
        padded = pad(series, (reach, reach))
        smooth = torch.zeros_like(series)
        for offset, weight in enumerate(self.smoothing.tolist()):
            smooth.add_(padded[..., offset : offset + steps], alpha=weight)
        return smooth

    def _weights(self, ages: Tensor, target_kind: Tensor, source_kind: Tensor) -> Tensor:
        """(B, K, D, P) from ages (D,), kinds of the target steps (B, P) and of the sources (B, D, P)."""
        recency = -ages / self.log_memory.exp()[:, None] + self.weekly[:, None] * (ages % 7 == 0)
        kind = self.kind[:, target_kind[:, None, :].expand_as(source_kind), source_kind].transpose(0, 1)
        return torch.exp(recency[None, :, :, None] + kind)

    def _level(self, past: Tensor, recalled: Tensor, founded: Tensor) -> Tensor:
        """log(recent / expected) of each window beyond that of the longer one before it (B, N, W).

        Shrunk towards 0 where little was observed or expected with reason (`founded`), and by l³ / (l² + doubt²).
        """
        levels: list[Tensor] = []
        explained = torch.zeros_like(past[..., 0])
        for steps, doubt in zip(self.window_steps, self.doubts, strict=True):
            recent, expected = past[..., -steps:], recalled[..., -steps:]
            observed = recent.isfinite() & founded[..., -steps:]
            actual = torch.where(observed, recent, 0.0).sum(2)
            anticipated = torch.where(observed, expected, 0.0).sum(2)
            shrinkage = 0.02 * steps * expected.mean(2).clamp_min(1e-3)
            level = torch.log((actual + shrinkage) / (anticipated + shrinkage)).clamp(-2.0, 2.0)
            level = level * observed.to(past.dtype).mean(2)
            level = level * level**2 / (level**2 + doubt**2).clamp_min(1e-12)
            levels.append(level - explained)
            explained = level
        return torch.stack(levels, dim=2)

    def _corrected(self, mean: Tensor, level: Tensor) -> Tensor:
        """Means (B, N, K, H) under the levels (B, N, W)."""
        hours = torch.arange(1, mean.shape[3] + 1, device=mean.device) * (24 / self.steps_per_day)
        fading = self.level_exponent[..., None] * torch.exp(-hours / self.log_level_hours.exp()[..., None])
        return mean * torch.exp(torch.einsum("bnw,kwh->bnkh", level, fading))

    @torch.no_grad()
    def _error(self, past: Tensor, known: Tensor, seen: Tensor, kinds: Tensor) -> Tensor:
        """Usual errors (B, N, P, 2) of the reference kernel, each past day forecast from the days before it."""
        if self.error_days == 0:
            return past.new_full((*past.shape[:2], self.steps_per_day, 2), math.log(USUAL_ERROR))
        count, days = self.days + self.recalled_days, self.error_days
        ages = torch.arange(count, 0, -1, device=past.device)
        since = ages[None, :] - ages[-days:, None]
        recency = -since / self.log_memory[0].exp() + self.weekly[0] * (since % 7 == 0)
        kind = self.kind[0][kinds[:, -days:, None], kinds[:, None]]
        weights = torch.exp(recency[None, :, :, None] + kind) * (since > 0)[None, :, :, None]
        total = torch.einsum("brdp,bndp->bnrp", weights, known)
        weight = torch.einsum("brdp,bndp->bnrp", weights, seen)
        mean = total / weight.clamp_min(1e-6)
        observed = past.unflatten(2, (count, -1))[:, :, -days:]
        error = ((observed - mean).abs() / (mean + FLOOR).sqrt()).clamp_max(LARGEST_ERROR)
        valid = (error.isfinite() & (weight > LEAST_WEIGHT)).to(past.dtype)
        valid = valid * torch.exp(-ages[-days:] / ERROR_MEMORY_DAYS)[:, None]
        error = (error.nan_to_num(0.0) * valid).sum(2)
        counted = valid.sum(2)
        station = (error.sum(2) + STATION_COUNTS * USUAL_ERROR) / (counted.sum(2) + STATION_COUNTS)
        slot = _around(error, self.steps_per_day) + SLOT_COUNTS * station[..., None]
        slot = slot / (_around(counted, self.steps_per_day) + SLOT_COUNTS)
        return torch.stack([slot, station[..., None].expand_as(slot)], dim=3).log()


def _gaussian(width: float, step: float) -> Tensor:
    """Weights of neighbouring steps of `step` hours under a Gaussian of `width` hours."""
    reach = max(1, round(SMOOTHING_REACH_HOURS / step))
    offsets = torch.arange(-reach, reach + 1) * step
    return torch.exp(-((offsets / width) ** 2) / 2)


def _mean(weights: Tensor, known: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted means (B, N, K, P) of what was seen, and their weights; where nothing of weight was seen, the overall mean."""
    total = torch.einsum("bkdp,bndp->bnkp", weights, known)
    weight = torch.einsum("bkdp,bndp->bnkp", weights, seen)
    overall = known.sum((2, 3)) / seen.sum((2, 3)).clamp_min(1.0)
    return (total + 1e-4 * overall[:, :, None, None]) / (weight + 1e-4), weight


def _around(values: Tensor, steps_per_day: int) -> Tensor:
    """Sums (..., P) over the slots within an hour, around the clock."""
    reach = max(1, steps_per_day // 24)
    wrapped = pad(values, (reach, reach), mode="circular")
    return wrapped.unfold(-1, 2 * reach + 1, 1).sum(-1)
