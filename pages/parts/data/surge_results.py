"""Surges for the pages: what the city folder holds of them, and what was measured of their detection; read again when changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lecdiff_core.assets import results_folder
from lecdiff_core.bounded import read_json
from lecdiff_core.city.folder import City
from lecdiff_core.city.layout import SURGE_SCORES_FILE, SURGES_FILE
from lecdiff_core.errors import UserError
from pages.parts.data.reading import read_once
from pages.parts.look import formats

if TYPE_CHECKING:
    from lecdiff_core.surges import Surges

QUALITY_FILE = "surges.json"
NEVER = 1000  # days: what is rarer is not given in figures


def files_of(city: City) -> tuple[Path, Path]:
    """The two files that surges are stored in, which count only together."""
    return city.path / SURGES_FILE, city.path / SURGE_SCORES_FILE


def are_stored(city: City) -> bool:
    """Whether surges of the city were looked for."""
    return all(file.is_file() for file in files_of(city))


@read_once(files_of)
def stored_surges(city: City) -> Surges | None:
    """The surges in the city folder, None where there are none. Raises UserError."""
    if not are_stored(city):
        return None
    from lecdiff_core.surges import read_surges  # which leads to torch

    return read_surges(city)


def quality(city: City) -> dict | None:
    """How well the planted events of this city were detected, None where that was not measured. Raises UserError."""
    file = results_folder() / QUALITY_FILE
    measured = _quality(file) if file.is_file() else None
    return measured if measured and measured["data"] == city.data_hash else None


@read_once(lambda file: [file])
def _quality(file: Path) -> dict:
    try:
        measured = read_json(file)
        if not {"data", "days", "planted", "results", "inside_intervals"} <= set(measured):
            raise ValueError("parts of it are missing")
    except (OSError, ValueError) as error:
        raise UserError(f"{file.name}: cannot be read ({error}); measure again") from error
    return measured


def rarity(false_alarms_per_day: float) -> str:
    """How often normal traffic gives an event as strong, in words."""
    if false_alarms_per_day >= 1:
        return f"{formats.number(round(false_alarms_per_day, 1))} a day"
    days = 1 / false_alarms_per_day
    if days > 0.99 * NEVER:
        return f"< once in {NEVER:,} days"
    return f"once in {days:.1f} days" if days < 2 else f"once in {days:.0f} days"
