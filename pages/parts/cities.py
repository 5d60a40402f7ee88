"""Which cities there are and how they are opened: folders anywhere below LECDIFF_CITIES, and the demo city.

A city's key is its path below its root, such as `demo` or `china/shanghai`; it stands in links and in URLs of tiles.
Where two roots hold the same key, the earlier root wins.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from lecdiff_core.assets import assets_folder
from lecdiff_core.city.folder import META_FILE, STATIONS_FILE, TRAFFIC_FILE, City, read_meta
from lecdiff_core.city.storage import below
from lecdiff_core.errors import UserError
from lecdiff_core.serve import FIRST_VARIABLE

ROOT_VARIABLE = "LECDIFF_CITIES"
DEPTHS = ("*", "*/*", "*/*/*")  # of the cities that are listed; a link reaches any depth
Stamp = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Place:
    """A city folder that can be chosen: its key, its name for people, and where it lies."""

    key: str
    name: str
    path: Path


def roots() -> list[Path]:
    """Folders that cities lie in: the one around LECDIFF_CITY, LECDIFF_CITIES (default `cities`), the demo city's."""
    first = os.environ.get(FIRST_VARIABLE)
    around = [Path(first).resolve().parent] if first else []
    return list(dict.fromkeys([*around, _own_root(), assets_folder().resolve()]))


def _own_root() -> Path:
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
    found: dict[str, Place] = {}
    for root in folders:
        depths = DEPTHS if root == deep else DEPTHS[:1]
        for file in sorted(file for depth in depths for file in root.glob(f"{depth}/{META_FILE}")):
            inside = file.parent.relative_to(root)
            if inside.as_posix() not in found and not any(part.startswith(".") for part in inside.parts):
                found[inside.as_posix()] = Place(inside.as_posix(), _name(file.parent), file.parent)
    return list(found.values())


def _name(folder: Path) -> str:
    try:
        return read_meta(folder).name
    except UserError:
        return folder.name


def places() -> list[Place]:
    """Every city that can be chosen: first the one that LECDIFF_CITY names, by default the demo city."""
    shipped = assets_folder().resolve() / "demo"
    first = Path(os.environ.get(FIRST_VARIABLE) or shipped).resolve()
    found = _scan(tuple(roots()), _own_root())
    return sorted(found, key=lambda place: (place.path != first, place.name.lower(), place.key))


def command(step: str, city: City) -> str:
    """What to type to do a `step` of the command line for the city."""
    folder = city.path
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    return f"lecdiff {step} {shown}"


def stamp(*files: Path) -> Stamp:
    """Size and time of change of `files`, by which what was read from them is known to be current."""
    states = [file.stat() for file in files if file.exists()]
    return tuple((state.st_mtime_ns, state.st_size) for state in states)


def open_city(path: Path) -> City:
    """The city in the folder `path`, read once and again only when a file of it changed. Raises UserError."""
    return _open(path, stamp(*(path / name for name in (META_FILE, STATIONS_FILE, TRAFFIC_FILE))))


@st.cache_resource(max_entries=4, show_spinner=False)
def _open(path: Path, changed: Stamp) -> City:  # noqa: ARG001 (part of the key)
    return City.open(path)
