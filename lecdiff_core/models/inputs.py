"""What every baseline sees of a window: the same history and the same covariates, laid out once.

Traffic is divided by the station's own mean over the last day, so that a network meets the same numbers after a station, or a
whole city, has become busier or quieter. For each step: its clock and kind of day, and the traffic at its slot on past days up to
four weeks back. Nothing given to a network is NaN; whether a value was observed is an input of its own.

Letters as in city/windows.py; J = number of SAME_SLOT_DAYS.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from lecdiff_core.city.panel import Calendar
from lecdiff_core.city.windows import Batch
from lecdiff_core.fusion.moments import CALENDAR_WIDTH, calendar_features

HISTORY_DAYS = 28
SAME_SLOT_DAYS = (1, 2, 3, 4, 5, 6, 7, 14, 21, 28)  # how many days before a step its own slot is looked up
COVARIATE_WIDTH = 3 * len(SAME_SLOT_DAYS) + 1 + CALENDAR_WIDTH
LARGEST = 10.0  # inputs are clamped there, in units of the scale; the scale is at least the mean over the context divided by it


class History(NamedTuple):
    """The past of B windows by days, the latest last.

    scale: (B, N, 1), mean of the last day, or of the whole context where half of that day is missing.
    scaled: (B, N, L), traffic / scale, NaN = missing.
    days: the same as (B, N, days, P).  usual: (B, N, P) mean of each slot.  filled: days, `usual` where missing.
    """

    scale: Tensor
    scaled: Tensor
    days: Tensor
    usual: Tensor
    filled: Tensor


def history(batch: Batch, steps_per_day: int) -> History:
    """Scale the past and cut it into days; the context must be whole days."""
    scale = _scale(batch.past, steps_per_day)
    scaled = batch.past / scale
    days = scaled.unflatten(2, (-1, steps_per_day))
    usual = days.nanmean(dim=2).nan_to_num(1.0).clamp_max(LARGEST)
    filled = torch.where(days.isfinite(), days, usual[:, :, None]).clamp_max(LARGEST)
    return History(scale, scaled, days, usual, filled)


def _scale(past: Tensor, steps_per_day: int) -> Tensor:
    whole = past.nanmean(dim=2, keepdim=True).nan_to_num(0.0)
    day = past[:, :, -steps_per_day:]
    enough = day.isfinite().sum(2, keepdim=True) >= steps_per_day / 2
    recent = torch.where(enough, day.nanmean(dim=2, keepdim=True), whole)
    return recent.maximum(whole / LARGEST).clamp_min(1e-6)


def same_slots(past: History, back: int = 0) -> Tensor:
    """Traffic at the slots of a day on the days before it: (B, N, P, J). back: 0 = the day ahead, 1 = the last day, …"""
    return past.filled[:, :, [-day - back for day in SAME_SLOT_DAYS]].transpose(2, 3)


def covariates(batch: Batch, past: History, back: int = 0) -> Tensor:
    """What is known of each step of a day before it comes: (B, N, P, COVARIATE_WIDTH).

    Traffic at its slot on past days, whether it was observed, whether those days were of the same kind; the usual traffic of the
    slot; the clock.
    """
    chosen = [-day - back for day in SAME_SLOT_DAYS]
    steps_per_day = past.usual.shape[2]
    days_back = batch.past_calendar.day_type.unflatten(1, (-1, steps_per_day))
    calendar = day_calendar(batch, steps_per_day, back)
    same_kind = (days_back[:, chosen].transpose(1, 2) == calendar.day_type[..., None]).float()
    shared = torch.cat([same_kind, calendar_features(calendar, steps_per_day)], dim=2)
    observed = past.days[:, :, chosen].isfinite().transpose(2, 3).float()
    shared = shared[:, None].expand(-1, past.usual.shape[1], -1, -1)
    return torch.cat([same_slots(past, back), observed, past.usual[..., None], shared], dim=3)


def day_calendar(batch: Batch, steps_per_day: int, back: int) -> Calendar:
    """Calendar (B, P) of the day ahead (0), the last day (1), …"""
    if back == 0:
        return batch.future_calendar
    parts = (part.unflatten(1, (-1, steps_per_day))[:, -back] for part in vars(batch.past_calendar).values())
    return Calendar(*parts)
