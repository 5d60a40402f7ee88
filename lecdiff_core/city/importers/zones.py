"""Where a time zone is used: the places that the time zone database names for its countries."""

import re
from functools import lru_cache
from importlib.resources import files

PLACE = re.compile(r"([+-])(\d\d)(\d\d)(\d\d)?([+-])(\d{3})(\d\d)(\d\d)?")


@lru_cache(maxsize=32)
def places_of(timezone: str) -> dict[str, tuple[float, float]]:
    """Longitude and latitude of the places that the database names for all countries that use a zone, by their names.

    Empty for a zone that is no place's, such as UTC or Etc/GMT+3. A large country has a place for each of its zones.
    """
    if "/" not in timezone or timezone.startswith("Etc/"):
        return {}
    rows = [line.split("\t") for table in ("zone.tab", "zone1970.tab") for line in _lines(table)]
    zone = timezone if any(name == timezone for _, _, name, *_ in rows) else _links().get(timezone, timezone)
    countries = {code for codes, _, name, *_ in rows if name == zone for code in codes.split(",")}
    return {
        name.rpartition("/")[2].replace("_", " "): _degrees(place)
        for codes, place, name, *_ in rows
        if codes in countries
    }


def _lines(table: str) -> list[str]:
    text = files("tzdata.zoneinfo").joinpath(table).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def _links() -> dict[str, str]:
    """Other names of zones → their names."""
    return {words[2]: words[1] for words in map(str.split, _lines("tzdata.zi")) if words[0] == "L"}


def _degrees(place: str) -> tuple[float, float]:
    """Longitude and latitude of ±DDMM±DDDMM or ±DDMMSS±DDDMMSS."""
    match = PLACE.fullmatch(place)
    assert match is not None, place
    south, *lat, west, lon_degrees, lon_minutes, lon_seconds = match.groups()
    return _signed(west, lon_degrees, lon_minutes, lon_seconds), _signed(south, *lat)


def _signed(sign: str, degrees: str, minutes: str, seconds: str | None) -> float:
    size = int(degrees) + int(minutes) / 60 + int(seconds or 0) / 3600
    return -size if sign == "-" else size
