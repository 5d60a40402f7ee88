"""How much history each step needs: the one table that `lecdiff info`, errors, pages and docs go by."""

import math

from lecdiff_core.city.folder import City
from lecdiff_core.errors import UserError

# Days of traffic; docs/city-folder.md shows the same table.
LEAST_DAYS = {"forecast": 2, "zero-shot": 3, "train": 5, "benchmark": 20}
MEANINGS = {
    "forecast": "to forecast with the base model (lecdiff forecast)",
    "zero-shot": "to measure models that need no training (lecdiff benchmark --part zero-shot)",
    "train": "to train a model (lecdiff train)",
    "benchmark": "to measure models (lecdiff benchmark)",
}


def days_of(city: City) -> float:
    """Days from the first to the last interval of a city's traffic, by its local clock."""
    return float(city.timeline.steps(city.traffic.index).max() + 1) / city.steps_per_day


def lacking(step: str, days: float) -> str:
    """What a step needs that so many days are not, in words; empty where they suffice."""
    least = LEAST_DAYS[step]
    return "" if days >= least else f"{least} days of traffic; there are {_rounded_down(days)}"


def require(step: str, city: City) -> None:
    """Raise UserError where a city has too short a history for a step."""
    if wanting := lacking(step, days_of(city)):
        raise UserError(f"{city.path}: too little history {MEANINGS[step]}: it needs {wanting}")


def missing_history(city: City) -> list[str]:
    """A sentence for each step that the city has too short a history for."""
    days = days_of(city)
    wants = {step: lacking(step, days) for step in LEAST_DAYS}
    return [f"history {MEANINGS[step]}: it needs {wanting}" for step, wanting in wants.items() if wanting]


def _rounded_down(days: float) -> str:
    """Days with one decimal, never rounded up to what they are not."""
    return f"{math.floor(10 * days) / 10:g}"
