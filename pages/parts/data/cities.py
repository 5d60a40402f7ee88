"""Which cities there are and how they are opened: folders anywhere below LECDIFF_CITIES, and the demo city.

A city's key is its path below its root, such as `demo` or `china/shanghai`; it stands in links and in URLs of tiles.
Where two roots hold the same key, the earlier root wins.
"""

import os
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import streamlit as st

from lecdiff_core.assets import assets_folder
from lecdiff_core.city.folder import City, read_meta
from lecdiff_core.city.layout import JOBS_FOLDER, META_FILE, STATIONS_FILE, TRAFFIC_FILE
from lecdiff_core.errors import UserError
from lecdiff_core.jobs import background
from lecdiff_core.serve import FIRST_VARIABLE
from lecdiff_core.storage import below, recover
from pages.parts.data.reading import read_once

ROOT_VARIABLE = "LECDIFF_CITIES"
DEPTHS = ("*", "*/*", "*/*/*")  # of the cities that are listed; a link reaches any depth
LONGEST_KEY = 60


@dataclass(frozen=True)
class Place:
    """A city folder that can be chosen: its key, its name for people, where it lies, and what is wrong with it, in a line."""

    key: str
    name: str
    path: Path
    trouble: str = ""


def roots() -> list[Path]:
    """Folders that cities lie in: the one around LECDIFF_CITY, LECDIFF_CITIES (default `cities`), the demo city's."""
    first = os.environ.get(FIRST_VARIABLE)
    around = [Path(first).resolve().parent] if first else []
    return list(dict.fromkeys([*around, own_root(), assets_folder().resolve()]))


def own_root() -> Path:
    """Where cities of one's own lie, and new ones come."""
    return Path(os.environ.get(ROOT_VARIABLE) or "cities").resolve()


def find(key: str) -> Path:
    """The folder of the city `key`. Raises UserError where there is none or the key leads out of its root."""
    for root in roots():
        folder = below(root, key)
        if folder != root and (folder / META_FILE).is_file():
            return folder
    raise UserError(f"there is no city {key!r} here")


@st.cache_resource(ttl=10, show_spinner=False)
def _scan(folders: tuple[Path, ...], deep: Path) -> list[Place]:
    by_key: dict[str, Place] = {}
    for root in folders:
        depths = DEPTHS if root == deep else DEPTHS[:1]
        for file in sorted(file for depth in depths for file in root.glob(f"{depth}/{META_FILE}")):
            inside = file.parent.relative_to(root)
            if inside.as_posix() not in by_key and not any(part.startswith(".") for part in inside.parts):
                by_key[inside.as_posix()] = _place(inside.as_posix(), file.parent)
    return list(by_key.values())


def _place(key: str, folder: Path) -> Place:
    """What the list says of a folder; whatever is wrong with it is stated there and stops no other."""
    try:
        name = read_meta(folder).name
        lacking = [file for file in (STATIONS_FILE, TRAFFIC_FILE) if not (folder / file).is_file()]
    except UserError as error:
        return Place(key, folder.name, folder, str(error).removeprefix(f"{folder}/"))
    except OSError as error:
        return Place(key, folder.name, folder, f"it cannot be read: {error.strerror}")
    return Place(key, name, folder, f"{lacking[0]} is missing" if lacking else "")


def places() -> list[Place]:
    """Every city that can be chosen: first the one that LECDIFF_CITY names, by default the demo city."""
    shipped = assets_folder().resolve() / "demo"
    first = Path(os.environ.get(FIRST_VARIABLE) or shipped).resolve()
    listed = _scan(tuple(roots()), own_root())
    return sorted(listed, key=lambda place: (place.path != first, place.name.lower(), place.key))


def refresh() -> None:
    """Look again which cities there are."""
    _scan.clear()


def key_of(folder: Path) -> str | None:
    """The key of the city in a folder; None where it is not listed."""
    return next((place.key for place in places() if place.path.resolve() == folder.resolve()), None)


def editable(folder: Path) -> bool:
    """Whether jobs may write into a city folder: not into the shipped one, nor where the system forbids it."""
    return not folder.resolve().is_relative_to(assets_folder().resolve()) and os.access(folder, os.W_OK)


def worked_on() -> list[Path]:
    """Folders with jobs: those of listed cities, and those that an import has not made a city of yet."""
    beginning = [file.parents[2] for file in own_root().glob(f"*/{JOBS_FOLDER}/*/{background.ORDER_FILE}")]
    listed = [place.path.resolve() for place in places() if (place.path / JOBS_FOLDER).is_dir()]
    return list(dict.fromkeys([*listed, *beginning]))


def new_folder(name: str) -> Path:
    """Where a new city of this name will lie. Raises UserError for a name without letters, or one that is taken."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    key = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:LONGEST_KEY].strip("-")
    if not key:
        raise UserError(f"“{name}” cannot name a folder; give the city a name with letters from a to z or digits")
    folder = below(own_root(), key)
    recover(folder)
    if any(place.key == key for place in places()) or (folder / META_FILE).exists():
        raise UserError(f"there is a city {key} already; open it, or choose another name")
    if folder.exists() and any(entry.name != JOBS_FOLDER and entry.name[0] != "." for entry in folder.iterdir()):
        raise UserError(f"the folder {folder} holds something else; choose another name")
    return folder


def free_folder(name: str) -> Path:
    """Where a new city of this name can lie, numbered where the name is taken."""
    taken = {place.key for place in places()}
    keys = (name if number == 1 else f"{name}-{number}" for number in range(1, 1000))
    return next(own_root() / key for key in keys if key not in taken and not (own_root() / key).exists())


@read_once(lambda path: [path / name for name in (META_FILE, STATIONS_FILE, TRAFFIC_FILE)])
def open_city(path: Path) -> City:
    """The city in the folder `path`. Raises UserError."""
    return City.open(path)


@lru_cache(maxsize=4)
def station_names(city: City) -> dict[str, str]:
    """The names of the stations that have one, by id."""
    if "name" not in city.stations:
        return {}
    pairs = zip(city.station_ids, city.stations["name"].fillna("").astype(str), strict=True)
    return {station_id: name for station_id, name in pairs if name}
