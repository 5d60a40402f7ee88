"""Stations as others keep them, read into points in WGS 84: CSV or Parquet with lon and lat, GeoParquet, GeoJSON, ….

Areas (the cells of a grid) become their centre of gravity, found in metres.
"""

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
from pyproj import CRS
from pyproj.exceptions import CRSError

from lecdiff_core.city.folder import WGS84, Coordinates, check_coordinates, validate_stations
from lecdiff_core.city.importers.amounts import Amounts
from lecdiff_core.city.importers.archives import ON_DISK, Budget, names
from lecdiff_core.city.importers.columns import Column, ColumnRole, candidates, display, fold
from lecdiff_core.city.importers.coordinates import FORWARD, in_china, to_wgs84
from lecdiff_core.city.importers.degrees import plain
from lecdiff_core.city.importers.forms import TABLE_SUFFIXES, Table, open_tables, read_troubles
from lecdiff_core.city.importers.ids import as_texts
from lecdiff_core.city.importers.problems import Problems
from lecdiff_core.city.importers.tables import Batch, Columns, read_batches
from lecdiff_core.errors import UserError

GEOJSON_SUFFIXES = {".geojson", ".json"}
PLACE = ("lon", "lat")
SHAPE_SUFFIXES = {".shp", ".geojson", ".gpkg", ".kml"}


@dataclass(frozen=True)
class StationsSource:
    """A file of stations, opened: a table, or what geopandas reads.

    roles_sought: what is looked for in it.  crs: gcj02, bd09 or any coordinate system pyproj knows, of lon and lat.
    coordinates: with *none*, places need not be there, and are not read where they are.
    """

    file: Path
    roles_sought: Sequence[ColumnRole]
    crs: str
    coordinates: Coordinates = "true"
    decimal: str | None = None
    missing: Sequence[str] = ()
    table: Table | None = None
    frame: geopandas.GeoDataFrame | None = None

    @property
    def header(self) -> list[str]:
        """Names of its columns."""
        if self.table is not None:
            return self.table.columns
        assert self.frame is not None
        return [str(name) for name in self.frame.columns if name != self.frame.geometry.name]

    def cells(self, name: str) -> list[str]:
        """The first cells of a column as texts."""
        return [] if self.table is None else self.table.cells(name)

    def required_roles(self) -> list[ColumnRole]:
        """What must be found in it."""
        if self.table is None:
            return [sought for sought in self.roles_sought if sought.role not in PLACE]
        none = self.coordinates == "none"
        return [
            replace(sought, optional=sought.optional or (none and sought.role in PLACE)) for sought in self.roles_sought
        ]

    def ids(self) -> set[str]:
        """Folded names of the columns that may be its ids."""
        sought = next(sought for sought in self.roles_sought if sought.role == "station_id")
        tiers = [[name for name in sought.names if name in self.header], *candidates(self.header, "station_id")]
        return {fold(name) for tier in tiers for name in tier}


def open_stations(source: StationsSource, room: Path) -> StationsSource:
    """The file opened as what it is. Raises UserError.

    room: a folder for what must be unpacked.
    """
    file = source.file
    if not file.is_file():
        raise UserError(f"{file} cannot be read: there is no such file")
    with read_troubles(file):
        if file.suffix.lower() in TABLE_SUFFIXES and not _is_geoparquet(file) and not _is_shapefile(file):
            tables = open_tables(file, room, source.roles_sought)
            if len(tables) > 1:
                raise UserError(f"{file} holds {len(tables)} tables; give the one of the stations")
            return replace(source, table=tables[0])
        return replace(source, frame=_read_located(file))


def read_stations(
    source: StationsSource, columns: Columns, problems: Problems
) -> tuple[geopandas.GeoDataFrame | None, list[str]]:
    """Stations of a file with `station_id` and geometry, not validated yet, and notices; None after a problem.

    columns: of the roles that were found. `name` and `capacity` get these names; all other columns stay as they are.
    """
    notices, stations = list[str](), None
    with problems.collect(source.file), read_troubles(source.file):
        if source.frame is not None:
            stations = _of_frame(source, columns)
        else:
            stations, notices = _of_table(source, columns, problems)
        if stations is None:
            return None, notices
        if source.coordinates != "none":
            stations, more = in_wgs84(stations, source.crs, str(source.file))
            notices += more
    return stations, notices


def validated(
    stations: geopandas.GeoDataFrame, source: str, coordinates: Coordinates
) -> tuple[geopandas.GeoDataFrame, list[str]]:
    """One row a station (see `validate_stations`): rows of one id at one place are one station, which a notice tells."""
    same = stations["station_id"].duplicated()
    again = same & _at_the_first_place(stations, coordinates)
    notices = []
    if same.any() and (again == same).all():
        ids = stations["station_id"][again].nunique()
        notices = [
            f"{source}: {ids} stations have several rows at one place; the first of each is taken, {int(again.sum())} left out"
        ]
        stations = stations[~again].reset_index(drop=True)
    return validate_stations(stations, source, coordinates), notices


def _at_the_first_place(stations: geopandas.GeoDataFrame, coordinates: Coordinates) -> pd.Series:
    """Whether each row is where the first of its id is."""
    if coordinates == "none":
        return pd.Series(True, index=stations.index)
    if stations.geometry.isna().any() or (stations.geom_type != "Point").any():
        return pd.Series(False, index=stations.index)
    places = pd.DataFrame({"x": stations.geometry.x, "y": stations.geometry.y})
    return (places == places.groupby(stations["station_id"]).transform("first")).all(axis=1)


def without_places(stations: pd.DataFrame) -> geopandas.GeoDataFrame:
    """Stations of which no place is known: a geometry of nulls, whatever geometry they had."""
    if isinstance(stations, geopandas.GeoDataFrame):
        stations = pd.DataFrame(stations.drop(columns=stations.geometry.name))
    return geopandas.GeoDataFrame(stations, geometry=[None] * len(stations), crs=WGS84)


def in_wgs84(stations: geopandas.GeoDataFrame, crs: str, source: str) -> tuple[geopandas.GeoDataFrame, list[str]]:
    """Points turned from `crs` into EPSG:4326, and notices. `source` names the table in messages."""
    if crs not in FORWARD:
        return _turned(stations, source), []
    lon, lat = stations.geometry.x.to_numpy(), stations.geometry.y.to_numpy()
    check_coordinates(lon, lat, source)
    points = geopandas.points_from_xy(*to_wgs84(lon, lat, crs), crs=WGS84)
    outside = int((~in_china(lon, lat)).sum())
    notice = (
        f"{source}: {outside} of {len(lon)} stations lie outside China, where {crs} equals WGS 84; left as they are"
    )
    return stations.set_geometry(points, crs=WGS84), [notice] if outside else []


def _turned(stations: geopandas.GeoDataFrame, source: str) -> geopandas.GeoDataFrame:
    shapes, system = stations.geometry, stations.crs
    turned = stations.to_crs(WGS84)
    if (shapes.dropna().geom_type != "Point").any():
        return turned  # reported when stations are validated
    if system.is_geographic:
        located = shapes[shapes.notna()]
        check_coordinates(located.x.to_numpy(), located.y.to_numpy(), source)
    lost = shapes.notna() & ~shapes.is_empty & ~np.isfinite(turned.geometry.x + turned.geometry.y)
    if lost.any():
        row = int(np.argmax(lost))
        place = f"({shapes.iloc[row].x:g}, {shapes.iloc[row].y:g})"
        raise UserError(
            f"{source}, row {row + 1}: {place} is no place in {system.name}; check the coordinates and --crs"
        )
    return turned


def points(table: pd.DataFrame, lon: np.ndarray, lat: np.ndarray, crs: str) -> geopandas.GeoDataFrame:
    """Stations at lon and lat, which are in `crs`; gcj02 and bd09 are kept as degrees of EPSG:4326 for now."""
    return _with_crs(geopandas.GeoDataFrame(table, geometry=geopandas.points_from_xy(lon, lat)), crs)


def _with_crs(stations: geopandas.GeoDataFrame, crs: str) -> geopandas.GeoDataFrame:
    """Stations whose coordinates are in `crs`. Raises UserError for degrees in a system of metres."""
    system = _system(crs)
    if not is_geographic(crs) and bool(np.all(np.abs(stations.total_bounds) <= [180, 90, 180, 90])):
        raise UserError(
            f"--crs {crs} is in metres, but all coordinates lie within ±180 and ±90 and look like degrees; leave --crs out, "
            "or name the system that they are in"
        )
    return stations.set_crs(system, allow_override=True)


def is_geographic(crs: str) -> bool:
    """Whether coordinates in `crs` are degrees. Raises UserError for a system that is not known."""
    return _system(crs).is_geographic


def _system(crs: str) -> CRS:
    try:
        return CRS.from_user_input(WGS84 if crs in FORWARD else crs)
    except CRSError as error:
        raise UserError(
            f"--crs {crs} is not a coordinate system; use EPSG:4326, gcj02, bd09 or another EPSG code"
        ) from error


def _is_geoparquet(file: Path) -> bool:
    with file.open("rb") as content:
        if content.read(4) != b"PAR1":
            return False
    return b"geo" in (pa.parquet.read_metadata(file).metadata or {})


def _is_shapefile(file: Path) -> bool:
    return file.suffix.lower() == ".zip" and any(
        Path(name).suffix.lower() in SHAPE_SUFFIXES for name in names(file, str(file))
    )


def _of_table(
    source: StationsSource, columns: Columns, problems: Problems
) -> tuple[geopandas.GeoDataFrame | None, list[str]]:
    table, wrong = source.table, len(problems.messages)
    assert table is not None
    batch, others = _rows(table, columns)
    where, notices = str(table), list(table.notices)
    with problems.collect(table, "station_id"):
        batch.refuse_empty("station_id")
        others.insert(0, "station_id", as_texts(batch.data.column("station_id")))
    if "name" in columns:
        others.insert(len(others.columns), "name", _texts(batch.data.column("name")))
    if "capacity" in columns:
        with problems.collect(table, "capacity"):
            others["capacity"] = _amounts(source, table, columns, ["capacity"]).read(batch, "capacity")
    if source.coordinates == "none":
        return (None if len(problems.messages) > wrong else without_places(others)), notices
    degrees = _amounts(source, table, columns, PLACE)
    lon = lat = np.empty(0)
    with problems.collect(table, "lon"):
        batch.refuse_empty("lon")
        lon = degrees.read(plain(batch, "lon") if is_geographic(source.crs) else batch, "lon", least=None)
    with problems.collect(table, "lat"):
        batch.refuse_empty("lat")
        lat = degrees.read(plain(batch, "lat") if is_geographic(source.crs) else batch, "lat", least=None)
    if is_geographic(source.crs) and len(lon) == len(lat):
        with problems.collect(table, "place"):
            check_coordinates(lon, lat, where)
    if len(problems.messages) > wrong:
        return None, notices
    return points(others, lon, lat, source.crs), [*notices, *degrees.notices]


def _amounts(source: StationsSource, table: Table, columns: Columns, roles: Sequence[str]) -> Amounts:
    chosen = {role: columns[role] for role in roles}
    return Amounts([(table, chosen)], source.decimal, source.missing, "lon" in roles and is_geographic(source.crs))


def _rows(table: Table, columns: Columns) -> tuple[Batch, pd.DataFrame]:
    """All rows: the columns of the roles, and a frame of those that play none, under their own names."""
    used = {name for column in columns.values() for name in column}
    extra = [name for name in table.columns if name and name not in {*used, *columns, "geometry", "station_id"}]
    others: dict[str, Column] = {f"other {name}": (name,) for name in extra if table.columns.count(name) == 1}
    batches = list(read_batches(table, {**columns, **others}))
    if not batches:
        raise UserError(f"{table}: there are no stations; a city needs at least one")
    whole = pa.Table.from_batches([batch.data for batch in batches]).combine_chunks()
    data = whole.to_batches()[0] if len(whole) else batches[0].data
    frame = pd.DataFrame({column[0]: _typed(data.column(name)) for name, column in others.items()})
    return Batch(table, 0, batches[0].names, data.select(list(columns)), 1.0), frame


def _typed(column: pa.Array) -> pd.Series:
    """A column of texts as numbers where all are numbers as programs write them."""
    series = pl.Series(pl.from_arrow(column))
    if series.dtype != pl.String:
        return series.to_pandas()
    text = series.str.strip_chars()
    if text.str.contains(r"^-?(0|[1-9]\d{0,17})$").all():
        return text.cast(pl.Int64).to_pandas()
    if text.str.contains(r"^-?(0|[1-9]\d*)(\.\d+)?$").all() and text.is_not_null().any():
        return text.cast(pl.Float64).to_pandas()
    return text.to_pandas()


def _texts(column: pa.Array) -> list[str | None]:
    return [None if cell is None else str(cell).strip() for cell in column.to_pylist()]


def _read_located(file: Path) -> geopandas.GeoDataFrame:
    """What geopandas reads. Raises UserError."""
    try:
        return geopandas.read_parquet(file) if _is_geoparquet(file) else geopandas.read_file(file)
    except (pa.ArrowException, ValueError, RuntimeError, AttributeError) as error:
        raise UserError(
            f"{file} cannot be read: it is damaged, or of no known form; give stations as CSV, Excel, Parquet or GeoJSON"
        ) from error


def _of_frame(source: StationsSource, columns: Columns) -> geopandas.GeoDataFrame:
    assert source.frame is not None
    stations, file = source.frame, source.file
    name = display(columns["station_id"])
    if stations[name].isna().any():
        row = int(np.argmax(stations[name].isna()))
        raise UserError(f"{file}, row {row + 1}, column {name}: the cell is empty; fill it or remove the row")
    stations = stations.assign(**{name: as_texts(pa.Array.from_pandas(stations[name]))})
    renamed = {column[0]: role for role, column in columns.items() if column[0] != role}
    stations = stations.drop(columns=[role for role in renamed.values() if role in stations]).rename(columns=renamed)
    if "capacity" in columns:
        stations["capacity"] = _capacities(stations["capacity"], file, display(columns["capacity"]))
    if source.coordinates == "none":
        return without_places(stations)
    return _as_points(_in_crs(stations, source.crs, file), str(file))


def _capacities(values: pd.Series, file: Path, name: str) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce")
    wrong = (values.notna() & numbers.isna()) | (numbers < 0)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise UserError(
            f"{file}, row {row + 1}, column {name}: {str(values.iloc[row])[:40]!r} is not a number of at least 0; correct it, "
            "or leave the cell empty"
        )
    return numbers


def _in_crs(stations: geopandas.GeoDataFrame, crs: str, file: Path) -> geopandas.GeoDataFrame:
    """Stations in the system that their file names, or else in `crs`. Raises UserError where the two contradict each other."""
    own = stations.crs if _names_its_system(file) else None
    if own is None:
        return _with_crs(stations, crs)
    if crs != WGS84 and not own.equals(_system(crs), ignore_axis_order=True):
        raise UserError(
            f"{file}: the file says that its coordinates are in {own.name}, --crs says {crs}; leave --crs out, or take the system "
            "out of the file where that is wrong"
        )
    return stations


def _names_its_system(file: Path) -> bool:
    """Whether a file says itself which system its coordinates are in; GeoJSON that does not is read as WGS 84 nevertheless."""
    try:
        document = json.loads(_geojson(file) or "null")
    except (ValueError, RecursionError):  # not JSON after all: its reader says so
        return True
    return document is None or (isinstance(document, dict) and document.get("crs") is not None)


def _geojson(file: Path) -> str:
    """The text of a GeoJSON file, which may lie in a zip; empty for other files."""
    if file.suffix.lower() in GEOJSON_SUFFIXES:
        return file.read_text(encoding="utf-8-sig")
    if not zipfile.is_zipfile(file):
        return ""
    inside = [name for name in names(file, str(file)) if Path(name).suffix.lower() in GEOJSON_SUFFIXES]
    if len(inside) != 1:
        return ""
    with zipfile.ZipFile(file) as archive, archive.open(inside[0]) as packed:
        return b"".join(Budget(str(file), file.stat().st_size, ON_DISK).pieces(packed)).decode("utf-8-sig")


def _as_points(stations: geopandas.GeoDataFrame, source: str) -> geopandas.GeoDataFrame:
    """Areas and lines replaced by their centre of gravity, in the metric projection of their UTM zone."""
    shapes = stations.geometry
    if shapes.isna().any() or shapes.is_empty.any() or (shapes.geom_type == "Point").all():
        return stations
    if stations.crs.is_geographic:
        for lon, lat in (("minx", "miny"), ("maxx", "maxy")):
            check_coordinates(shapes.bounds[lon].to_numpy(), shapes.bounds[lat].to_numpy(), source)
    metric = stations.estimate_utm_crs()
    return stations.set_geometry(shapes.to_crs(metric).centroid.to_crs(stations.crs))
