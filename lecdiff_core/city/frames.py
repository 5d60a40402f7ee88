"""A city from DataFrames: written as the files that the importer reads, so that both are checked alike.

Letters: N stations, T intervals.
"""

import re
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from lecdiff_core.city.folder import City, Coordinates, closest, duration_text, named
from lecdiff_core.errors import UserError

if TYPE_CHECKING:
    import geopandas

    from lecdiff_core.city.importers.importing import ImportReport, OnUnknown
    from lecdiff_core.city.importers.readings import OnDuplicate

LONG = ("station_id", "timestamp", "traffic")
PLACE = ("lon", "lat")
CALLER = 5  # frames up from where the importer's notices are given: the caller of `City.from_frames`
# The importer speaks of options of the command line: those that `City.from_frames` has, and advice to use any other.
OWN_OPTION = re.compile(r"--(on-duplicate|on-unknown|coordinates|timezone|interval)\b(?: (sum|drop|none|\d\w*))?")
OTHER_ADVICE = re.compile(r",? or (?:use|say)(?: with)? --(?:na|layout|decimal)\b[^;]*")


def city_from_frames(
    traffic: pd.DataFrame,
    stations: pd.DataFrame | None,
    timezone: str | None,
    interval: str | None,
    unit: str,
    name: str,
    holidays: Sequence[date],
    coordinates: Coordinates | None,
    on_duplicate: "OnDuplicate",
    on_unknown: "OnUnknown",
    folder: str | Path | None,
) -> City:
    """See `City.from_frames`."""
    layout, table = _flat(traffic)
    wanted = {
        "layout": layout,
        "interval": interval or _interval(table),
        "timezone": timezone or _zone(table),
        "unit": unit,
        "coordinates": coordinates or ("none" if stations is None else "true"),
        "on_duplicate": on_duplicate,
        "on_unknown": on_unknown,
        "name": name,
        "holidays": list(holidays),
    }
    places = None if stations is None else _places(stations)
    if folder is not None:
        return _imported(Path(folder), table, places, wanted)
    temporary = tempfile.mkdtemp(prefix="lecdiff-city-")
    try:
        city = _imported(Path(temporary), table, places, wanted)
    except BaseException:
        shutil.rmtree(temporary)
        raise
    weakref.finalize(city, shutil.rmtree, temporary, ignore_errors=True)
    return city


def _imported(folder: Path, table: pd.DataFrame, places: pd.DataFrame | None, wanted: dict[str, Any]) -> City:
    """The city that the importer makes of two tables."""
    from lecdiff_core.city.importers.importing import import_city

    with tempfile.TemporaryDirectory(prefix="lecdiff-frames-") as room:
        traffic_file = _written(table, Path(room), "traffic")
        stations_file = None if places is None else _written(places, Path(room), "stations")
        try:
            report = import_city(folder, traffic_file, stations_file, **wanted)
        except UserError as error:
            raise UserError(_of_frames(str(error), room)) from None
    _tell(report, room)
    return City.open(folder)


def _written(table: pd.DataFrame, room: Path, name: str) -> Path:
    """The file that a frame was written to. Raises UserError where a column holds what no table can."""
    file = room / f"{name}.parquet"
    try:
        table.to_parquet(file, index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise UserError(f"{name}: {'; '.join(map(str, error.args))}") from error
    return file


def _of_frames(message: str, room: str) -> str:
    """What the importer says of files and options, said of frames and arguments."""
    message = re.sub(rf"{re.escape(room)}/(traffic|stations)\.parquet", r"\1", message)
    message = OTHER_ADVICE.sub("", message).replace("--stations FILE", "stations")
    return OWN_OPTION.sub(
        lambda option: option[1].replace("-", "_") + (f"={option[2]!r}" if option[2] else ""), message
    )


def _tell(report: "ImportReport", room: str) -> None:
    """Warn of what the importer noticed, and of stations that it left out."""
    empty = report.stations_without_traffic
    left_out = [f"stations without any traffic are left out: {empty}"] if empty.count else []
    for notice in [*left_out, *report.notices]:
        warnings.warn(_of_frames(notice, room), stacklevel=CALLER)


def _flat(traffic: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """The layout of a frame, and the frame with its time as a column. Raises UserError where it is neither long nor wide."""
    if not isinstance(traffic, pd.DataFrame):
        raise UserError(f"traffic is no DataFrame but a {type(traffic).__name__}; give one with a column a station")
    if isinstance(traffic.index, pd.DatetimeIndex):
        if "timestamp" in traffic.columns:
            raise UserError("traffic has times as its index and as a column timestamp; drop one of them")
        return "wide", _wide(traffic.rename_axis(index="timestamp", columns=None).reset_index())
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
        return "wide", _wide(traffic)
    missing = [column for column in LONG if column not in columns]
    if missing:
        raise UserError(
            f"traffic with a row a reading needs the columns {', '.join(LONG)}; there is no {', '.join(missing)}"
        )
    ids = traffic["station_id"]
    return "long", traffic[list(LONG)].assign(station_id=ids.astype(str).where(ids.notna()))


def _wide(table: pd.DataFrame) -> pd.DataFrame:
    """A frame with a column `timestamp` and one a station, named by texts."""
    table = table.rename(columns=str)
    if len(table.columns) < 2:
        raise UserError("traffic has no column beside its times; give a column a station")
    twice = table.columns[table.columns.duplicated()]
    if len(twice):
        raise UserError(f"traffic has more than one column {named(list(twice.unique()))}; give a column a station")
    return table


def _zone(table: pd.DataFrame) -> str:
    """The time zone of the times, by its name. Raises UserError where they have none, or only an offset."""
    zone = getattr(table["timestamp"].dt, "tz", None)
    if zone is None:
        raise UserError("traffic's times have no time zone; say timezone='Europe/Rome', or 'UTC'")
    if str(zone).startswith("UTC") and str(zone) != "UTC":
        raise UserError(f"traffic's times have an offset, {zone}, and no time zone; say timezone='Europe/Rome'")
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
        raise UserError(f"stations: there is no column station_id; it has {named(list(stations.columns))}")
    if isinstance(stations, geopandas.GeoDataFrame):
        return _of_points(stations)
    missing = [column for column in PLACE if column not in stations.columns]
    if missing:
        raise UserError(
            f"stations: there is no column {' and no '.join(missing)}; give lon and lat in degrees, or a GeoDataFrame"
        )
    return stations


def _of_points(stations: "geopandas.GeoDataFrame") -> pd.DataFrame:
    points = stations.geometry if stations.crs is None else stations.geometry.to_crs("EPSG:4326")
    kinds = points.geom_type
    other = np.flatnonzero(kinds.notna() & (kinds != "Point"))
    if len(other):
        station = stations["station_id"].iloc[other[0]]
        raise UserError(f"stations: {station} is a {kinds.iloc[other[0]]} and no point; take its centroid")
    return pd.DataFrame(stations.select_dtypes(exclude="geometry")).assign(lon=points.x, lat=points.y)
