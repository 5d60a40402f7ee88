"""A city from DataFrames: written as the files that the importer reads, so that both are checked alike.

Letters: N stations, T intervals.
"""

import tempfile
import weakref
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from lecdiff_core.city.folder import City, Coordinates, closest, duration_text, named
from lecdiff_core.errors import UserError

LONG = ("station_id", "timestamp", "traffic")
PLACE = ("lon", "lat")


def city_from_frames(
    traffic: pd.DataFrame,
    stations: pd.DataFrame | None,
    timezone: str | None,
    interval: str | None,
    unit: str,
    name: str,
    holidays: Sequence[date],
    coordinates: Coordinates | None,
    folder: str | Path | None,
) -> City:
    """See `City.from_frames`."""
    from lecdiff_core.city.importers.importing import import_city

    layout, table = _flat(traffic)
    zone = timezone or _zone(table)
    temporary = None
    if folder is None:
        temporary = tempfile.TemporaryDirectory(prefix="lecdiff-city-")
        folder = Path(temporary.name) / "city"
    with tempfile.TemporaryDirectory(prefix="lecdiff-frames-") as room:
        traffic_file, stations_file = Path(room) / "traffic.parquet", None
        table.to_parquet(traffic_file)
        if stations is not None:
            stations_file = Path(room) / "stations.csv"
            _places(stations).to_csv(stations_file, index=False)
        import_city(
            Path(folder),
            traffic_file,
            stations_file,
            layout=layout,
            interval=interval or _interval(table),
            timezone=zone,
            unit=unit,
            coordinates=coordinates or ("none" if stations is None else "true"),
            name=name,
            holidays=list(holidays),
        )
    city = City.open(Path(folder))
    if temporary is not None:
        weakref.finalize(city, temporary.cleanup)
    return city


def _flat(traffic: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """The layout of a frame, and the frame with its time as a column. Raises UserError where it is neither long nor wide."""
    if isinstance(traffic.index, pd.DatetimeIndex):
        if "timestamp" in traffic.columns:
            raise UserError("traffic has times as its index and as a column timestamp; drop one of them")
        return "wide", traffic.rename_axis(index="timestamp", columns=None).rename(columns=str).reset_index()
    columns = [str(column) for column in traffic.columns]
    if "timestamp" not in columns:
        near = closest("timestamp", columns)
        raise UserError(
            f"traffic has neither times as its index nor a column timestamp; it has {named(columns)}"
            + (f"; rename {near[0]}" if near else "")
        )
    if not pd.api.types.is_datetime64_any_dtype(traffic["timestamp"]):
        raise UserError("traffic, column timestamp: these are no times; convert them with pandas.to_datetime")
    if "station_id" not in columns:
        return "wide", traffic.rename(columns=str)
    missing = [column for column in LONG if column not in columns]
    if missing:
        raise UserError(
            f"traffic with a row a reading needs the columns {', '.join(LONG)}; there is no {', '.join(missing)}"
        )
    return "long", traffic[list(LONG)].assign(station_id=traffic["station_id"].astype(str))


def _zone(table: pd.DataFrame) -> str:
    zone = getattr(table["timestamp"].dt, "tz", None)
    if zone is None:
        raise UserError("traffic's times have no time zone; say timezone='Europe/Rome', or 'UTC'")
    return str(zone)


def _interval(table: pd.DataFrame) -> str:
    """The usual distance of one time to the next."""
    times = np.unique(table["timestamp"].dropna().to_numpy("datetime64[ns]", na_value=np.datetime64("NaT")))
    apart = np.diff(times)
    if not len(apart):
        raise UserError("traffic has fewer than two times, which tell no interval; say interval='1h'")
    lengths, counts = np.unique(apart, return_counts=True)
    return duration_text(pd.Timedelta(lengths[int(counts.argmax())]))


def _places(stations: pd.DataFrame) -> pd.DataFrame:
    """Stations as `station_id, lon, lat` and whatever else there is."""
    import geopandas

    if "station_id" not in stations.columns:
        raise UserError(f"stations: there is no column station_id; it has {named(stations.columns)}")
    if isinstance(stations, geopandas.GeoDataFrame):
        points = stations.geometry if stations.crs is None else stations.to_crs("EPSG:4326").geometry
        return pd.DataFrame(stations.drop(columns=stations.geometry.name)).assign(lon=points.x, lat=points.y)
    missing = [column for column in PLACE if column not in stations.columns]
    if missing:
        raise UserError(
            f"stations: there is no column {' and no '.join(missing)}; give lon and lat in degrees, or a GeoDataFrame"
        )
    return stations
