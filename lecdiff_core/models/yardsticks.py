"""The yardsticks every claim is measured by: forecasts without learning."""

from typing import Any

import torch
from torch import Tensor

from lecdiff_core.city.windows import Batch
from lecdiff_core.fusion.season import SeasonalMean, SeasonConfig
from lecdiff_core.models.protocol import PointModel


class SeasonalNaive(PointModel):
    """The same slot yesterday; where that is missing, the latest earlier day that has it."""

    DAYS = 14

    def __init__(self, steps_per_day: int) -> None:
        super().__init__()
        self.steps_per_day = self.horizon = steps_per_day
        self.context = self.DAYS * steps_per_day

    def settings(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"steps_per_day": self.horizon}

    def point(self, batch: Batch) -> Tensor:
        """Last observed value of each slot (B, N, H)."""
        days = batch.past.unflatten(2, (self.DAYS, self.steps_per_day))
        latest = days[:, :, 0]
        for day in range(1, self.DAYS):
            latest = torch.where(days[:, :, day].isfinite(), days[:, :, day], latest)
        average = batch.past.nanmean(dim=2, keepdim=True).nan_to_num(0.0)
        return torch.where(latest.isfinite(), latest, average)


class Climatology(PointModel):
    """Mean of each slot of the day over the training part.

    A station that was not in training has no such mean: its own context serves instead.
    """

    DAYS = 56
    may_be_unknown = ("means",)
    means: Tensor

    def __init__(self, steps_per_day: int, stations: int) -> None:
        super().__init__()
        self.steps_per_day = self.horizon = steps_per_day
        self.context = self.DAYS * steps_per_day
        self.register_buffer("means", torch.full((stations + 1, steps_per_day), torch.nan))

    def settings(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"steps_per_day": self.steps_per_day, "stations": len(self.means) - 1}

    def fit_statistics(self, values: Tensor, slot: Tensor) -> None:
        """Set the means from training values (N, T) and the slot of each step (T,)."""
        for index in range(self.steps_per_day):
            self.means[1:, index] = values[:, slot == index].nanmean(dim=1)

    def point(self, batch: Batch) -> Tensor:
        """Means of the slots that lie ahead (B, N, H)."""
        own = batch.past.unflatten(2, (self.DAYS, self.steps_per_day)).nanmean(dim=2)
        known = self.means[batch.station][:, batch.future_calendar.slot].transpose(0, 1)
        average = batch.past.nanmean(dim=2, keepdim=True).nan_to_num(0.0)
        mean = torch.where(known.isfinite(), known, own)
        return torch.where(mean.isfinite(), mean, average)


class AdaptiveClimatology(PointModel):
    """A fixed formula over past days.

    Mean of the same slot over past days, weight exp(-days/7), days of another type (weekday, Saturday, Sunday or holiday)
    weighted 0.05, times (last 6 h / the same formula's last 6 h)^(0.8 exp(-h/24)).
    """

    DAYS = 56

    def __init__(self, steps_per_day: int) -> None:
        super().__init__()
        season = SeasonConfig(steps_per_day, self.DAYS, recalled_days=1, memory_days=(7.0,))
        self.season = SeasonalMean(season).requires_grad_(False)
        self.horizon = steps_per_day
        self.context = self.season.context

    def settings(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"steps_per_day": self.horizon}

    def point(self, batch: Batch) -> Tensor:
        """The formula's mean (B, N, H)."""
        scale = batch.past.nanmean(dim=2, keepdim=True).nan_to_num(0.0).clamp_min(1e-12)
        season = self.season(batch.past / scale, batch)
        return season.future[:, :, 0] * scale
