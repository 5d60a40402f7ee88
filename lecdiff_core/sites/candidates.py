"""Candidate sites as a person gives them: one by its coordinates, or a table of them."""

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lecdiff_core.city.folder import City, named
from lecdiff_core.city.importers.amounts import Amounts
from lecdiff_core.city.importers.columns import ColumnRole, find_columns
from lecdiff_core.city.importers.forms import Table, open_tables
from lecdiff_core.city.importers.tables import Batch, Columns, read_batches
from lecdiff_core.errors import UserError

COLUMNS = ("station_id", "lon", "lat", "text", "chip")  # the first may also be called name or site
ROLES = (
    ColumnRole("station_id", ["name", "site"]),
    ColumnRole("lon"),
    ColumnRole("lat"),
    ColumnRole("text", ["text", "description"], optional=True),
    ColumnRole("chip", ["chip", "image"], optional=True),
)
DEFAULT_NAME = "site"
MOST = 10_000


@dataclass(frozen=True)
class Candidate:
    """One place that is asked about; lon and lat in degrees (WGS 84), None where the city knows no places."""

    name: str = DEFAULT_NAME
    lon: float | None = None
    lat: float | None = None
    chip: Path | None = None
    text: str | None = None

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
        raise UserError("the city knows no places, so the site needs --chip or --text")
    return Candidate(DEFAULT_NAME, lon, lat, chip, text)


def read_candidates(file: Path) -> list[Candidate]:
    """Candidates of a table, CSV, Excel or Parquet: name, lon, lat, and optionally text and chip (files beside the table).

    Raises UserError that names file, row and column.
    """
    if not file.is_file():
        raise UserError(f"--sites {file} cannot be read: there is no such file")
    with tempfile.TemporaryDirectory() as room:
        tables = open_tables(file, Path(room), ROLES)
        if len(tables) != 1:
            raise UserError(f"--sites {file} holds {len(tables)} tables; give the one of the sites")
        return _read(tables[0], file)


def _read(table: Table, file: Path) -> list[Candidate]:
    match = find_columns(table.columns, ROLES, table.cells)
    if match.problems:
        raise UserError(f"--sites {table}: {match.problems[0]}")
    candidates = [
        site for batch in read_batches(table, match.columns) for site in _of_batch(table, batch, match.columns, file)
    ]
    if not candidates:
        raise UserError(f"--sites {table}: it has no rows; give one a site")
    if len(candidates) > MOST:
        raise UserError(f"--sites {table}: {len(candidates):,} rows; at most {MOST:,} sites are answered at once")
    names = [site.name for site in candidates]
    if repeated := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise UserError(f"--sites {table}: {named(repeated)} is there twice; give each site a name of its own")
    return candidates


def _of_batch(table: Table, batch: Batch, columns: Columns, file: Path) -> list[Candidate]:
    batch.refuse_empty("station_id")
    place = {}
    for role in ("lon", "lat"):
        batch.refuse_empty(role)
        place[role] = Amounts([(table, {role: columns[role]})]).read(batch, role, least=None).tolist()
    texts = {role: _texts(batch, role) for role in ("station_id", "text", "chip")}
    return [
        Candidate(
            name or DEFAULT_NAME,
            float(lon),
            float(lat),
            None if chip is None else file.parent / chip,
            text,
        )
        for name, lon, lat, text, chip in zip(
            texts["station_id"], place["lon"], place["lat"], texts["text"], texts["chip"], strict=True
        )
    ]


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
