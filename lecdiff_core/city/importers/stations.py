"""Stations as others keep them, read into points in WGS 84: CSV or Parquet with lon and lat, GeoParquet, GeoJSON, ….

Areas (the cells of a grid) become their centre of gravity, found in metres.
"""

from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
from pyproj.exceptions import CRSError

from lecdiff_core.city.folder import WGS84, check_coordinates, validate_stations
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


def read_stations(file: Path, roles: Roles, crs: str) -> tuple[geopandas.GeoDataFrame, list[str]]:
    """Stations of a file, validated (see `validate_stations`), and notices.

    roles: names of the columns `station_id`, `lon` and `lat`.  crs: gcj02, bd09 or any coordinate system pyproj knows,
    of lon and lat. Raises UserError that names file, row and column.
    """
    if not file.is_file():
        raise UserError(f"{file} cannot be read: there is no such file")
    try:
        located = file.suffix.lower() not in TABLE_SUFFIXES or _is_geoparquet(file)
        stations = _read_located(file, roles, crs) if located else _read_table(file, roles, crs)
    except (OSError, pa.ArrowException, pl.exceptions.PolarsError, ValueError, RuntimeError) as error:
        raise UserError(f"{file} cannot be read: {' '.join(str(error).split())[:200]}") from error
    stations, notices = in_wgs84(stations, crs, str(file))
    return validate_stations(stations, str(file)), notices


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


def _read_table(file: Path, roles: Roles, crs: str) -> geopandas.GeoDataFrame:
    frame = _read_frame(file, roles)
    names = find_columns(frame.columns, roles, (), file)
    chosen = frame.select([pl.col(name).alias(role) for role, name in names.items()])
    columns = pa.RecordBatch.from_arrays([chosen[role].to_arrow() for role in names], names=list(names))
    batch = Batch(file, 0, names, columns, 1.0)
    for role in names:
        batch.refuse_empty(role)
    lon, lat = numbers(batch, "lon", least=None), numbers(batch, "lat", least=None)
    if crs in DEGREES:
        check_coordinates(lon, lat, str(file))
    others = [name for name in frame.columns if name not in names.values() and name not in ("station_id", "geometry")]
    table = frame.select(others).to_pandas()
    table.insert(0, "station_id", as_texts(columns.column("station_id")))
    return points(table, lon, lat, crs)


def _read_frame(file: Path, roles: Roles) -> pl.DataFrame:
    if file.suffix.lower() == ".parquet":
        return pl.read_parquet(file)
    as_text = {name: pl.String for names in roles.values() for name in names}
    frame = pl.read_csv(
        file, separator=delimiter(file), schema_overrides=as_text, infer_schema_length=None, null_values=[""]
    )
    return frame.rename({name: name.strip() for name in frame.columns if name != name.strip()})


def _read_located(file: Path, roles: Roles, crs: str) -> geopandas.GeoDataFrame:
    is_parquet = file.suffix.lower() == ".parquet"
    stations = geopandas.read_parquet(file) if is_parquet else geopandas.read_file(file)
    wanted = {"station_id": roles["station_id"]}
    name = find_columns(list(stations.columns), wanted, (), file)["station_id"]
    if stations[name].isna().any():
        row = int(np.argmax(stations[name].isna()))
        raise UserError(f"{file}, row {row + 1}, column {name}: the cell is empty; fill it or remove the row")
    stations = stations.assign(**{name: as_texts(pa.Array.from_pandas(stations[name]))})
    stations = stations.drop(columns="station_id" if name != "station_id" and "station_id" in stations else [])
    stations = stations.rename(columns={name: "station_id"})
    if stations.crs is None:
        stations = points(stations.drop(columns=stations.geometry.name), stations.geometry.x, stations.geometry.y, crs)
    return _as_points(stations)


def _as_points(stations: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
    """Areas and lines replaced by their centre of gravity, in the metric projection of their UTM zone."""
    shapes = stations.geometry
    if shapes.isna().any() or shapes.is_empty.any() or (shapes.geom_type == "Point").all():
        return stations
    metric = stations.estimate_utm_crs()
    return stations.set_geometry(shapes.to_crs(metric).centroid.to_crs(stations.crs))
