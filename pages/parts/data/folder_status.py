"""What a city folder holds and what is made from what, looked up again only when a file of it changed."""

from pathlib import Path

from lecdiff_core import status
from lecdiff_core.city.folder import City
from lecdiff_core.city.summary import CitySummary, summarise
from lecdiff_core.status import SavedModel, Step
from pages.parts.data.reading import read_once

LOOKING = "Looking through the city folder"


def _files(city: City) -> list[Path]:
    return list(status.sources(city.path))


@read_once(_files, entries=8, spinner=LOOKING)
def summary(city: City) -> CitySummary:
    """What `lecdiff info` says of the city."""
    return summarise(city)


@read_once(_files, entries=8, spinner=LOOKING)
def steps_and_models(city: City) -> tuple[dict[str, Step], list[SavedModel]]:
    """Every step with its state, and the saved models."""
    return status.steps(city), status.saved_models(city)
