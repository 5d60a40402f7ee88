"""All models by name: how each is built for a city, and built again from its saved settings."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from lecdiff_core.city.windows import Panel
from lecdiff_core.errors import UserError
from lecdiff_core.models.lecdiff import LecDiff, LecDiffConfig, paper_config
from lecdiff_core.models.protocol import ForecastModel
from lecdiff_core.models.yardsticks import AdaptiveClimatology, Climatology, SeasonalNaive


class Entry(NamedTuple):
    """build(panel) makes an untrained model for a city; restore(settings) makes the same one from what was saved."""

    build: Callable[[Panel], ForecastModel]
    restore: Callable[[dict[str, Any]], ForecastModel]


def _environment_width(panel: Panel) -> int:
    return 0 if panel.environment is None else panel.environment.shape[1]


def _lec_diff(panel: Panel) -> LecDiff:
    return LecDiff(LecDiffConfig(panel.steps_per_day, environment_width=_environment_width(panel)))


def _paper(panel: Panel) -> LecDiff:
    return LecDiff(paper_config(panel.steps_per_day, _environment_width(panel), len(panel.station_ids)))


def _restore_lec_diff(settings: dict[str, Any]) -> LecDiff:
    return LecDiff(LecDiffConfig(**settings | {"memory_days": tuple(settings["memory_days"])}))


MODELS: dict[str, Entry] = {
    "lec-diff": Entry(_lec_diff, _restore_lec_diff),
    "lec-diff-paper": Entry(_paper, _restore_lec_diff),
    "seasonal-naive": Entry(lambda panel: SeasonalNaive(panel.steps_per_day), lambda saved: SeasonalNaive(**saved)),
    "climatology": Entry(
        lambda panel: Climatology(panel.steps_per_day, len(panel.station_ids)), lambda saved: Climatology(**saved)
    ),
    "adaptive-climatology": Entry(
        lambda panel: AdaptiveClimatology(panel.steps_per_day), lambda saved: AdaptiveClimatology(**saved)
    ),
}
# Too slow for a whole test table on a small machine: measured on part of it (measurement protocol, version 1).
SLOW = ("lec-diff-paper",)


def entry(name: str) -> Entry:
    """The catalogue's entry. Raises UserError for a name it does not hold."""
    if name not in MODELS:
        raise UserError(f"there is no model {name!r}; the models are {', '.join(MODELS)}")
    return MODELS[name]


def build(name: str, panel: Panel, seed: int) -> ForecastModel:
    """An untrained model for a city, its weights drawn from `seed`."""
    chosen = entry(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return chosen.build(panel)
