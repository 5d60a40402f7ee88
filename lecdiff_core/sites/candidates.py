"""Candidate sites as a person gives them: one by its coordinates, or a table of them."""

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lecdiff_core.city.folder import City, named
from lecdiff_core.city.importers.amounts import Amounts
from lecdiff_core.city.importers.columns import Column, ColumnRole, find_columns
from lecdiff_core.city.importers.forms import Table, open_tables
from lecdiff_core.city.importers.tables import Batch, Columns, read_batches
from lecdiff_core.environment.station_table import stored_table
from lecdiff_core.errors import UserError

ROLES = (
    ColumnRole("station_id", ["name", "site"]),
    ColumnRole("lon", optional=True),
    ColumnRole("lat", optional=True),
    ColumnRole("text", ["text", "description"], optional=True),
    ColumnRole("chip", ["chip", "image"], optional=True),
)
DEFAULT_NAME = "site"
PLACE = ("lon", "lat")
NUMBER = "number "  # before the name of a column of numbers, where roles are told apart
MOST = 2_000


@dataclass(frozen=True)
class Candidate:
    """One place that is asked about.

    lon, lat: degrees (WGS 84), None where the city knows no places.  numbers: (D,) of the columns of the city's table of
    surroundings.
    """

    name: str = DEFAULT_NAME
    lon: float | None = None
    lat: float | None = None
    chip: Path | None = None
    text: str | None = None
    numbers: tuple[float, ...] | None = None

    @property
    def place(self) -> tuple[float, float] | None:
        """(lon, lat), None where they are not known."""
        return None if self.lon is None or self.lat is None else (self.lon, self.lat)


def one_candidate(city: City, lon: float | None, lat: float | None, chip: Path | None, text: str | None) -> Candidate:
    """The site of the command line's options. Raises UserError where they do not fit together."""
    if (lon is None) != (lat is None):
        raise UserError("a place needs both --lon and --lat")
    if lon is None and city.has_places:
        raise UserError("where is the site? give --lon and --lat, or --sites FILE")
    if lon is None and chip is None and text is None:
        raise UserError(
            "the city knows no places, so the site needs --chip, --text, or --sites with the columns of its table"
        )
    return Candidate(DEFAULT_NAME, lon, lat, chip, text)


def read_candidates(file: Path, city: City) -> list[Candidate]:
    """Candidates of a table, CSV, Excel or Parquet: a row a site.

    Columns: name; lon and lat where the city knows places; optionally text, chip (files beside the table), and those of the city's
    own table of surroundings. Raises UserError that names file, row and column.
    """
    if not file.is_file():
        raise UserError(f"--sites {file} cannot be read: there is no such file")
    with tempfile.TemporaryDirectory() as room:
        tables = open_tables(file, Path(room), ROLES)
        if len(tables) != 1:
            raise UserError(f"--sites {file} holds {len(tables)} tables; give the one of the sites")
        candidates = _read(tables[0], _columns(tables[0], city), file)
    if not candidates:
        raise UserError(f"--sites {file}: it has no rows; give one a site")
    if len(candidates) > MOST:
        raise UserError(f"--sites {file}: {len(candidates):,} rows; at most {MOST:,} sites are answered at once")
    names = [site.name for site in candidates]
    if repeated := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise UserError(f"--sites {file}: {named(repeated)} is there twice; give each site a name of its own")
    return candidates


def _columns(table: Table, city: City) -> dict[str, Column]:
    """The columns of the roles, and those of the city's table under their own names."""
    match = find_columns(table.columns, ROLES, table.cells)
    if match.problems:
        raise UserError(f"--sites {table}: {match.problems[0]}")
    lacking = [role for role in PLACE if role not in match.columns and city.has_places]
    if lacking:
        raise UserError(f"--sites {table}: it has no column {named(lacking)}; say where each site is, in degrees")
    surroundings = stored_table(city)
    wanted = () if surroundings is None else surroundings.columns
    there = [name for name in wanted if name in table.columns]
    if there and len(there) < len(wanted):
        absent = [name for name in wanted if name not in there]
        raise UserError(
            f"--sites {table}: of the city's table of surroundings it lacks {named(absent)}; give all of them or none"
        )
    return {**match.columns, **{f"{NUMBER}{name}": (name,) for name in there}}


def _read(table: Table, columns: Columns, file: Path) -> list[Candidate]:
    return [site for batch in read_batches(table, columns) for site in _of_batch(table, batch, columns, file)]


def _of_batch(table: Table, batch: Batch, columns: Columns, file: Path) -> list[Candidate]:
    batch.refuse_empty("station_id")
    unplaced: list[float | None] = [None] * len(batch)
    lon, lat = (_numbers(table, batch, columns, role) if role in columns else unplaced for role in PLACE)
    numbers = [_numbers(table, batch, columns, role) for role in columns if role.startswith(NUMBER)]
    names, texts, chips = (_texts(batch, role) for role in ("station_id", "text", "chip"))
    return [
        Candidate(
            names[row] or DEFAULT_NAME,
            lon[row],
            lat[row],
            chip=None if (chip := chips[row]) is None else file.parent / chip,
            text=texts[row],
            numbers=tuple(part[row] for part in numbers) or None,
        )
        for row in range(len(batch))
    ]


def _numbers(table: Table, batch: Batch, columns: Columns, role: str) -> list[float]:
    batch.refuse_empty(role)
    values = Amounts([(table, {role: columns[role]})]).read(batch, role, least=None)
    return [float(value) for value in values]


def _texts(batch: Batch, role: str) -> list[str | None]:
    if role not in batch.names:
        return [None] * len(batch)
    cells = ("" if cell is None else str(cell).strip() for cell in batch.data.column(role).to_pylist())
    return [cell or None for cell in cells]


def check_place(candidate: Candidate) -> None:
    """Raise UserError for degrees that are no place on Earth."""
    if candidate.place is None:
        return
    lon, lat = candidate.place
    if not (math.isfinite(lon) and math.isfinite(lat) and abs(lon) <= 180 and abs(lat) <= 90):
        swapped = "; longitude comes first" if abs(lon) <= 90 and abs(lat) <= 180 else ""
        raise UserError(
            f"{candidate.name}: ({lon:g}, {lat:g}) is no place on Earth: lon lies within ±180 and lat within ±90{swapped}"
        )
