"""The seasonal mean: what past days say of a step, as attention over days by their age and kind, with a level correction.

A generalisation of the fixed formula `adaptive-climatology`: a step's mean is a weighted mean of the same slot on
past days; a day's weight depends on its age and on whether it is the same kind of day; the whole is then scaled by how the
last hours compare with what the same formula gave for them, an influence that fades along the horizon. Beside the mean it gives
how far past days were from theirs: what spread is usual at this station and slot.

What a station was not seen long enough to say, the stations around it say: their means of the slot count for a few days of its
own, those with like surroundings for more.

With a track record, each kernel's forecast of yesterday, made with what was known before yesterday, is compared with the
observations, at the station and at those around it: kernels that were right count for more (weights by past loss, as in Vovk
1990), and
a day that surprised all of them widens the spread.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, pad, softplus

from lecdiff_core.city.graph import neighbourhood_mean
from lecdiff_core.city.panel import DAY_TYPES
from lecdiff_core.city.windows import Batch

FLOOR = 0.02  # of a station's mean: added under every square root of traffic
SMOOTHING_REACH_HOURS = 1.5
USUAL_ERROR = 0.13  # mean absolute error over the root of the mean, before anything is known of a station
ERROR_MEMORY_DAYS = 7.0
LARGEST_ERROR = 2.0
LEAST_WEIGHT = 0.02  # of past days, for their mean to be something to compare with
STATION_COUNTS, SLOT_COUNTS = 5.0, 3.0  # observations' worth of trust in what is usual everywhere, at the station
NEIGHBOURS_COUNT = 3.0  # how much the record of the stations around a station weighs beside its own
BORROWED_WEIGHT = 0.15  # of the means of the stations around, beside 1 for a day of one's own just gone
LIKENESS = 0.2  # cosine distance of two surroundings over which a neighbour's say falls to a third
RECORD_FLOOR = 0.005  # of a station's mean: errors as small as this tell kernels apart no more
LARGEST_SURPRISE = 1.0
ANOMALOUS = 6.0  # usual errors from the mean, from which on a step is an anomaly


class LevelWindow(NamedTuple):
    """A stretch of recent hours whose level corrects the mean: initial exponent, and hours over which that fades."""

    hours: float
    exponent: float
    fading_hours: float


class Season(NamedTuple):
    """Seasonal means of one batch under K kernels, all on the scale of the input.

    future: (B, N, K, H), level-corrected.  past: (B, N, K, J P), each from days before it only, not level-corrected.
    level: (B, N, W) log of recent traffic over its seasonal mean, for W windows of recent hours.
    error: (B, N, H, 2) log of the usual absolute error over the root of the mean: at this slot, and at the station.
    record: (B, N, K) what yesterday's forecasts say for each kernel, as logits.
    surprise: (B, N) log of yesterday's error, of the best kernel, over the usual one.
    """

    future: Tensor
    past: Tensor
    level: Tensor
    error: Tensor
    record: Tensor
    surprise: Tensor


@dataclass(frozen=True)
class SeasonConfig:
    """What makes one seasonal mean.

    days: D, how many past days are looked at.  recalled_days: J, days of context whose own means are also given.
    memory_days: initial τ of each kernel.  other_kind_weight: initial weight of a day of another kind.
    smoothing_hours: width of the Gaussian that smooths past days along the day, None =
    as they are.  error_days: past days whose errors tell the usual spread, 0 = none.
    track_record: look at yesterday's forecasts, which takes one day more of context.  hops: edges over which a station's neighbours
    have a say in its record, 0 = none.  environment: whether neighbours with like surroundings count for more.
    forget_anomalies: leave anomalous stretches of the past out.
    """

    steps_per_day: int
    days: int
    recalled_days: int
    memory_days: tuple[float, ...]
    other_kind_weight: float = 0.05
    level_windows: tuple[LevelWindow, ...] = (LevelWindow(6.0, 0.8, 24.0),)
    smoothing_hours: float | None = None
    error_days: int = 0
    track_record: bool = False
    hops: int = 0
    environment: bool = False
    forget_anomalies: bool = False

    @property
    def context_days(self) -> int:
        """Days of context that are looked at."""
        return self.days + self.recalled_days + self.track_record


class SeasonalMean(nn.Module):
    """K learned seasonal kernels; the first is the reference that levels and errors are measured by.

    A day of age d (in days) and kind s weighs exp(-d / τ_k + T_k[kind of the target, s] + w_k [d is a multiple of 7]); the result
    is multiplied by Π_w (recent / expected)_w^(γ_kw exp(-h / θ_kw)), h in hours.
    """

    smoothing: Tensor | None

    def __init__(self, config: SeasonConfig) -> None:
        super().__init__()
        self.config = config
        self.steps_per_day, self._context_days = config.steps_per_day, config.context_days
        kernels, windows = len(config.memory_days), config.level_windows
        self.window_steps = [max(1, round(config.steps_per_day * window.hours / 24)) for window in windows]
        self.log_memory = nn.Parameter(torch.tensor(config.memory_days).log())
        other_kind = torch.log(torch.tensor(config.other_kind_weight)) * (1 - torch.eye(DAY_TYPES))
        self.kind = nn.Parameter(other_kind.repeat(kernels, 1, 1))
        self.weekly = nn.Parameter(torch.zeros(kernels))
        self.level_exponent = nn.Parameter(torch.tensor([window.exponent for window in windows]).repeat(kernels, 1))
        fading = torch.tensor([window.fading_hours for window in windows])
        self.log_level_hours = nn.Parameter(fading.log().repeat(kernels, 1))
        borrows = config.hops > 0
        self.log_borrowed = nn.Parameter(torch.tensor(BORROWED_WEIGHT).log()) if borrows else None
        self.log_likeness = nn.Parameter(torch.tensor(LIKENESS).log()) if borrows and config.environment else None
        self.log_reliance = nn.Parameter(torch.tensor(20.0).log()) if config.track_record else None
        hours = config.smoothing_hours
        kernel = None if hours is None else _gaussian(hours, 24 / config.steps_per_day)
        self.register_buffer("smoothing", kernel, persistent=False)

    @property
    def reach(self) -> int:
        """How far, in edges, a station's means, levels and record depend on others.

        Means borrow over one edge, and the record averages errors of forecasts that such means made.
        """
        hops = self.config.hops
        return 1 + hops * self.config.track_record if hops else 0

    @property
    def context(self) -> int:
        """L, context steps that are looked at."""
        return self._context_days * self.steps_per_day

    def forward(self, past: Tensor, batch: Batch) -> Season:
        """Seasonal means for `past` (B, N, L), a positive scaled version of the batch's past, NaN = missing."""
        by_day = (self._context_days, self.steps_per_day)
        known, seen = self._by_day(past)
        kinds = batch.past_calendar.day_type.unflatten(1, by_day)
        ages = torch.arange(self.config.days, 0, -1, device=past.device)
        errors = self._past_errors(past, known, seen, kinds)
        error = self._usual(errors)
        if self.config.forget_anomalies:
            known, seen = self._by_day(past.masked_fill(self._anomalous(errors, error), torch.nan))
        means, supported = [], []
        around = self._around(batch)
        for block in range(
            self._context_days - self.config.days + 1
        ):  # the day ahead, the last day, the day before it, …
            first = self._context_days - self.config.days - block
            sources = slice(first, first + self.config.days)
            target_kind = kinds[:, -block] if block else batch.future_calendar.day_type[:, : self.steps_per_day]
            weights = self._weights(ages, target_kind, kinds[:, sources])
            mean, weight = self._borrowed(*_mean(weights, known[:, :, sources], seen[:, :, sources]), around)
            means.append(mean)
            supported.append(weight[:, :, 0] > LEAST_WEIGHT)
        level = self._level(past, means[1][:, :, 0], supported[1])
        future = self._corrected(means[0], level)
        record, surprise = past.new_zeros(*past.shape[:2], len(self.log_memory)), past.new_zeros(past.shape[:2])
        if self.config.track_record:
            earlier = self._level(past[..., : -self.steps_per_day], means[2][:, :, 0], supported[2])
            yesterday = self._corrected(means[1], earlier)
            record, surprise = self._record(past, yesterday, supported[1], error, batch)
        recalled = torch.cat(means[self.config.recalled_days : 0 : -1], dim=3)
        return Season(future, recalled, level, error, record, surprise)

    def _by_day(self, past: Tensor) -> tuple[Tensor, Tensor]:
        """What was seen and how much of it, smoothed along the day: each (B, N, D, P)."""
        observed = past.isfinite()
        known, seen = torch.where(observed, past, 0.0), observed.to(past.dtype)
        if self.smoothing is not None:
            known, seen = self._smoothed(known), self._smoothed(seen)
        by_day = (self._context_days, self.steps_per_day)
        return known.unflatten(2, by_day), seen.unflatten(2, by_day)

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

    def _around(self, batch: Batch) -> Tensor | None:
        """Weights (N, N, sparse, rows sum to 1) of the stations next to each, itself left out; None = nothing is borrowed."""
        if self.log_borrowed is None:
            return None
        others = batch.edge_index[0] != batch.edge_index[1]
        (source, target), weight = batch.edge_index[:, others], batch.edge_weight[others]
        if self.log_likeness is not None and batch.environment is not None:
            place = normalize(batch.environment, dim=1)
            distance = 1 - (place[source] * place[target]).sum(1)
            weight = weight * torch.exp(-distance / self.log_likeness.exp())
        count = batch.past.shape[1]
        total = weight.new_zeros(count).index_add(0, target, weight)
        share = weight / total[target].clamp_min(1e-12)
        indices = torch.stack([target, source])
        return torch.sparse_coo_tensor(indices, share, (count, count), check_invariants=False).coalesce()

    def _borrowed(self, mean: Tensor, weight: Tensor, around: Tensor | None) -> tuple[Tensor, Tensor]:
        """Means (B, N, K, P) and their weights, with what the stations around have seen."""
        if around is None or self.log_borrowed is None:
            return mean, weight
        both = torch.stack([mean * weight, weight], dim=-1).transpose(0, 1)
        total, supported = torch.sparse.mm(around, both.flatten(1)).view(both.shape).transpose(0, 1).unbind(-1)
        few = self.log_borrowed.exp()
        borrowed = few * few / (weight + few) * (supported > LEAST_WEIGHT)
        own = weight + 1e-4
        return (mean * own + borrowed * total / supported.clamp_min(LEAST_WEIGHT)) / (own + borrowed), weight + borrowed

    def _level(self, past: Tensor, recalled: Tensor, supported: Tensor) -> Tensor:
        """log(recent / expected) of each window beyond that of the longer one before it (B, N, W).

        Shrunk towards 0 where little was observed or expected with reason (`supported`).
        """
        levels: list[Tensor] = []
        explained = torch.zeros_like(past[..., 0])
        for steps in self.window_steps:
            recent, expected = past[..., -steps:], recalled[..., -steps:]
            observed = recent.isfinite() & supported[..., -steps:]
            actual = torch.where(observed, recent, 0.0).sum(2)
            anticipated = torch.where(observed, expected, 0.0).sum(2)
            shrinkage = 0.02 * steps * expected.mean(2).clamp_min(1e-3)
            level = torch.log((actual + shrinkage) / (anticipated + shrinkage)).clamp(-2.0, 2.0)
            level = level * observed.to(past.dtype).mean(2)
            levels.append(level - explained)
            explained = level
        return torch.stack(levels, dim=2)

    def _record(
        self, past: Tensor, yesterday: Tensor, supported: Tensor, usual: Tensor, batch: Batch
    ) -> tuple[Tensor, Tensor]:
        """Logits (B, N, K) and surprise (B, N) from yesterday's forecasts (B, N, K, P) and the log usual errors (B, N, P, 2)."""
        assert self.log_reliance is not None
        with torch.no_grad():
            recent = past[..., -self.steps_per_day :]
            observed = recent.isfinite() & supported
            error = torch.where(observed[:, :, None], (yesterday - recent[:, :, None]).abs(), 0.0).mean(3)
            expected = (yesterday[:, :, 0] + FLOOR).sqrt() * usual[..., 0].exp()
            expected = torch.where(observed, expected, 0.0).mean(2, keepdim=True)
            sums = torch.cat([error, expected], dim=2)
            if self.config.hops:
                around = neighbourhood_mean(sums, batch.edge_index, batch.edge_weight, self.config.hops)
                sums = (sums + NEIGHBOURS_COUNT * around) / (1 + NEIGHBOURS_COUNT)
            sums = sums + RECORD_FLOOR
            error, expected = sums[..., :-1], sums[..., -1]
            best = error.amin(2)
            surprise = (best / expected).log().clamp(-LARGEST_SURPRISE, LARGEST_SURPRISE)
            excess = error / best[..., None] - 1
        return -self.log_reliance.exp() * excess, surprise

    def _corrected(self, mean: Tensor, level: Tensor) -> Tensor:
        """Means (B, N, K, H) under the levels (B, N, W)."""
        hours = torch.arange(1, mean.shape[3] + 1, device=mean.device) * (24 / self.steps_per_day)
        fading = self.level_exponent[..., None] * torch.exp(-hours / self.log_level_hours.exp()[..., None])
        return mean * torch.exp(torch.einsum("bnw,kwh->bnkh", level, fading))

    @torch.no_grad()
    def _past_errors(self, past: Tensor, known: Tensor, seen: Tensor, kinds: Tensor) -> Tensor:
        """Errors (B, N, R, P) over the root of the mean, of the last R days from the days before each; NaN = unknown."""
        count, days = self._context_days, self.config.error_days
        ages = torch.arange(count, 0, -1, device=past.device)
        since = ages[None, :] - ages[count - days :, None]
        recency = -since / self.log_memory[0].exp() + self.weekly[0] * (since % 7 == 0)
        kind = self.kind[0][kinds[:, count - days :, None], kinds[:, None]]
        weights = torch.exp(recency[None, :, :, None] + kind) * (since > 0)[None, :, :, None]
        total = torch.einsum("brdp,bndp->bnrp", weights, known)
        weight = torch.einsum("brdp,bndp->bnrp", weights, seen)
        mean = total / weight.clamp_min(1e-6)
        observed = past.unflatten(2, (count, -1))[:, :, count - days :]
        error = ((observed - mean).abs() / (mean + FLOOR).sqrt()).clamp_max(LARGEST_ERROR)
        return error.masked_fill(weight <= LEAST_WEIGHT, torch.nan)

    @torch.no_grad()
    def _usual(self, errors: Tensor) -> Tensor:
        """Log of the usual error (B, N, P, 2) at this slot and at the station, from those of the last R days."""
        ages = torch.arange(errors.shape[2], 0, -1, device=errors.device)
        valid = errors.isfinite() * torch.exp(-ages / ERROR_MEMORY_DAYS)[:, None]
        error = (errors.nan_to_num(0.0) * valid).sum(2)
        counted = valid.sum(2)
        station = (error.sum(2) + STATION_COUNTS * USUAL_ERROR) / (counted.sum(2) + STATION_COUNTS)
        slot = _around(error, self.steps_per_day) + SLOT_COUNTS * station[..., None]
        slot = slot / (_around(counted, self.steps_per_day) + SLOT_COUNTS)
        return torch.stack([slot, station[..., None].expand_as(slot)], dim=3).log()

    def _anomalous(self, errors: Tensor, usual: Tensor) -> Tensor:
        """Which steps of the past (B, N, L) were far off what is usual for their station."""
        far = errors > ANOMALOUS * usual[:, :, None, :, 1].exp()
        return pad(far.flatten(2), (self.context - errors.shape[2] * errors.shape[3], 0))


def mixed(
    season: Season, gate: Tensor, choice: Tensor, correction: Tensor, trust: Tensor | float = 1.0
) -> tuple[Tensor, Tensor]:
    """The kernels mixed by a gate (B, N, H), and that mean corrected in units of its square root (B, N, H).

    gate: (K,), for all.  choice: (B, N, H, K), added to the gate; correction: (B, N, H).  trust: (B, N, 1), how much of the
    correction is taken.
    """
    kernels = season.future.transpose(2, 3)
    mean = (torch.softmax(gate + season.record[:, :, None] + choice, dim=3) * kernels).sum(3)
    return mean, softplus(mean + trust * (mean + FLOOR).sqrt() * correction, beta=50)


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
