"""Stations as others keep them, read into points in WGS 84: CSV or Parquet with lon and lat, GeoParquet, GeoJSON, ….

Areas (the cells of a grid) become their centre of gravity, found in metres.
"""

from collections.abc import Sequence
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
from pyproj.exceptions import CRSError

from lecdiff_core.city.folder import WGS84, Coordinates, check_coordinates, validate_stations
from lecdiff_core.city.importers.coordinates import FORWARD, in_china, to_wgs84
from lecdiff_core.city.importers.tables import (
    TABLE_SUFFIXES,
    Batch,
    Roles,
    as_texts,
    delimiter,
    find_columns,
    numbers,
)
from lecdiff_core.errors import UserError

DEGREES = {WGS84, *FORWARD}


def read_stations(
    file: Path, roles: Roles, crs: str, coordinates: Coordinates = "true"
) -> tuple[geopandas.GeoDataFrame, list[str]]:
    """Stations of a file, validated (see `validate_stations`), and notices.

    roles: names of the columns `station_id`, `lon` and `lat`.  crs: gcj02, bd09 or any coordinate system pyproj knows,
    of lon and lat.  coordinates: with *none*, places need not be there, and are not read where they are. Raises UserError
    that names file, row and column.
    """
    if not file.is_file():
        raise UserError(f"{file} cannot be read: there is no such file")
    try:
        located = file.suffix.lower() not in TABLE_SUFFIXES or _is_geoparquet(file)
        if coordinates == "none":
            stations = without_places(_read_located(file, roles) if located else _read_list(file, roles))
        elif located:
            stations = _as_points(_in_crs(_read_located(file, roles), crs))
        else:
            stations = _read_table(file, roles, crs)
    except (OSError, pa.ArrowException, pl.exceptions.PolarsError, ValueError, RuntimeError) as error:
        raise UserError(f"{file} cannot be read: {' '.join(str(error).split())[:200]}") from error
    stations, notices = (stations, []) if coordinates == "none" else in_wgs84(stations, crs, str(file))
    return validate_stations(stations, str(file), coordinates), notices


def without_places(stations: pd.DataFrame) -> geopandas.GeoDataFrame:
    """Stations of which no place is known: a geometry of nulls, whatever geometry they had."""
    if isinstance(stations, geopandas.GeoDataFrame):
        stations = pd.DataFrame(stations.drop(columns=stations.geometry.name))
    return geopandas.GeoDataFrame(stations, geometry=[None] * len(stations), crs=WGS84)


def in_wgs84(stations: geopandas.GeoDataFrame, crs: str, source: str) -> tuple[geopandas.GeoDataFrame, list[str]]:
    """Points turned from `crs` into EPSG:4326, and notices. `source` names the table in messages."""
    if crs not in FORWARD:
        return stations.to_crs(WGS84), []
    lon, lat = stations.geometry.x.to_numpy(), stations.geometry.y.to_numpy()
    check_coordinates(lon, lat, source)
    points = geopandas.points_from_xy(*to_wgs84(lon, lat, crs), crs=WGS84)
    outside = int((~in_china(lon, lat)).sum())
    notice = (
        f"{source}: {outside} of {len(lon)} stations lie outside China, where {crs} equals WGS 84; left as they are"
    )
    return stations.set_geometry(points, crs=WGS84), [notice] if outside else []


def points(table: pd.DataFrame, lon: np.ndarray, lat: np.ndarray, crs: str) -> geopandas.GeoDataFrame:
    """Stations at lon and lat, which are in `crs`; gcj02 and bd09 are kept as degrees of EPSG:4326 for now."""
    known = WGS84 if crs in FORWARD else crs
    try:
        return geopandas.GeoDataFrame(table, geometry=geopandas.points_from_xy(lon, lat), crs=known)
    except CRSError as error:
        raise UserError(
            f"--crs {crs} is not a coordinate system; use EPSG:4326, gcj02, bd09 or another EPSG code"
        ) from error


def _is_geoparquet(file: Path) -> bool:
    return file.suffix.lower() == ".parquet" and b"geo" in (pa.parquet.read_metadata(file).metadata or {})


def _read_list(file: Path, roles: Roles) -> pd.DataFrame:
    """The stations of a table with what else is told of them, but not where they are."""
    batch, table = _read_rows(file, roles, ("lon", "lat"))
    batch.refuse_empty("station_id")
    return table


def _read_table(file: Path, roles: Roles, crs: str) -> geopandas.GeoDataFrame:
    batch, table = _read_rows(file, roles, ())
    for role in batch.names:
        batch.refuse_empty(role)
    lon, lat = numbers(batch, "lon", least=None), numbers(batch, "lat", least=None)
    if crs in DEGREES:
        check_coordinates(lon, lat, str(file))
    return points(table, lon, lat, crs)


def _read_rows(file: Path, roles: Roles, optional: Sequence[str]) -> tuple[Batch, pd.DataFrame]:
    """The columns of the roles, and a table of `station_id` and all columns that play none."""
    frame = _read_frame(file, roles)
    names = find_columns(frame.columns, roles, optional, file)
    chosen = frame.select([pl.col(name).alias(role) for role, name in names.items()])
    columns = pa.RecordBatch.from_arrays([chosen[role].to_arrow() for role in names], names=list(names))
    others = [name for name in frame.columns if name not in names.values() and name not in ("station_id", "geometry")]
    table = frame.select(others).to_pandas()
    table.insert(0, "station_id", as_texts(columns.column("station_id")))
    return Batch(file, 0, names, columns, 1.0), table


def _read_frame(file: Path, roles: Roles) -> pl.DataFrame:
    if file.suffix.lower() == ".parquet":
        return pl.read_parquet(file)
    as_text = {name: pl.String for names in roles.values() for name in names}
    frame = pl.read_csv(
        file, separator=delimiter(file), schema_overrides=as_text, infer_schema_length=None, null_values=[""]
    )
    return frame.rename({name: name.strip() for name in frame.columns if name != name.strip()})


def _read_located(file: Path, roles: Roles) -> geopandas.GeoDataFrame:
    is_parquet = file.suffix.lower() == ".parquet"
    stations = geopandas.read_parquet(file) if is_parquet else geopandas.read_file(file)
    wanted = {"station_id": roles["station_id"]}
    name = find_columns(list(stations.columns), wanted, (), file)["station_id"]
    if stations[name].isna().any():
        row = int(np.argmax(stations[name].isna()))
        raise UserError(f"{file}, row {row + 1}, column {name}: the cell is empty; fill it or remove the row")
    stations = stations.assign(**{name: as_texts(pa.Array.from_pandas(stations[name]))})
    stations = stations.drop(columns="station_id" if name != "station_id" and "station_id" in stations else [])
    return stations.rename(columns={name: "station_id"})


def _in_crs(stations: geopandas.GeoDataFrame, crs: str) -> geopandas.GeoDataFrame:
    if stations.crs is not None:
        return stations
    return points(stations.drop(columns=stations.geometry.name), stations.geometry.x, stations.geometry.y, crs)


def _as_points(stations: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
    """Areas and lines replaced by their centre of gravity, in the metric projection of their UTM zone."""
    shapes = stations.geometry
    if shapes.isna().any() or shapes.is_empty.any() or (shapes.geom_type == "Point").all():
        return stations
    metric = stations.estimate_utm_crs()
    return stations.set_geometry(shapes.to_crs(metric).centroid.to_crs(stations.crs))
