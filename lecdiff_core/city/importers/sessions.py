"""Layout `sessions`: one data connection a row, as in the paper's Shanghai and Nanjing records.

Roles `start, lon, lat, bytes`, optionally `device`, `end` and `station_id`. Stations are the distinct places, unless a
`station_id` column names them. Device ids serve to find repeated records while reading; they are never kept.
"""

from collections import defaultdict
from pathlib import Path

import numpy as np
import polars as pl

from lecdiff_core.city.folder import check_coordinates
from lecdiff_core.city.importers.readings import Finder, Readings, Source, finder, repeats
from lecdiff_core.city.importers.stamps import NONE
from lecdiff_core.city.importers.tables import (
    Batch,
    Codes,
    find_columns,
    numbers,
    read_batches,
    read_header,
    with_names,
)
from lecdiff_core.city.importers.times import Times
from lecdiff_core.errors import UserError

OPTIONAL = ("device", "end", "station_id")
COLUMNS = {role: role for role in ("device", "start", "end", "station_id", "lon", "lat", "bytes")}
MICRODEGREES = 1_000_000  # places are told apart to a millionth of a degree (0.1 m)

Columns = dict[str, np.ndarray]


def read(source: Source) -> Readings:
    """Read the sessions of all files. Raises UserError that names file, row and column."""
    roles = _roles(source)
    codes, files, notices = Codes(), [], []
    for number, file in enumerate(source.files):
        columns, remarks = _read_file(source, number, file, roles, codes)
        files.append(columns)
        notices += remarks
    columns = {name: np.concatenate([part[name] for part in files]) for name in files[0]}
    where = finder([(file, len(part["start"]), 1) for file, part in zip(source.files, files, strict=True)])
    _refuse_backwards(columns, where)
    station_ids, station, places = _stations(columns, codes)
    duplicates, chosen = 0, np.ones(len(station), bool)
    if "device" in columns:
        keys = {"device": columns["device"], "station": station, "start": columns["start"]}
        chosen, duplicates = repeats(keys, source.on_duplicate, where, "a session of this device, place and start")
    readings = Readings(
        station_ids=station_ids,
        station=station,
        time=columns["start"],
        value=columns["bytes"],
        end=columns.get("end"),
        where=where,
        rows=len(station),
        events=True,
        places=places,
        by_place="station" not in columns,
        duplicates=duplicates,
        notices=notices,
    )
    return readings.keep(chosen)


def _roles(source: Source) -> dict[str, list[str]]:
    """The columns to read, which every file must have: those the first file has, and all that are not optional."""
    roles = with_names(COLUMNS, source.columns)
    header = read_header(source.files[0])
    identified = any(name in header for name in roles["station_id"])
    optional = {role for role in OPTIONAL if role not in source.columns} | ({"lon", "lat"} if identified else set())
    return {role: [name] for role, name in find_columns(header, roles, sorted(optional), source.files[0]).items()}


def _read_file(
    source: Source, number: int, file: Path, roles: dict[str, list[str]], codes: Codes
) -> tuple[Columns, list[str]]:
    """The columns of one file by role, each (rows,), with times on UTC; and notices."""
    start, end = Times(file, source.date_format), Times(file, source.date_format)
    parts = defaultdict(list)
    for batch in read_batches(file, roles):
        start.add(batch, "start")
        parts["bytes"].append(numbers(batch, "bytes"))
        if "end" in roles:
            end.add(batch, "end", may_be_empty=True)
        if "lon" in roles:
            parts["place"].append(_places(batch))
        if "station_id" in roles:
            parts["station"].append(codes.add(batch, "station_id"))
        if "device" in roles:
            parts["device"].append(_device_hashes(batch))
        source.progress(number, batch)
    columns = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    everyone = np.arange(len(columns.get("bytes", ())))
    columns["start"], notices = start.on_utc(everyone, source.timezone)
    if "end" in roles:
        until, _ = end.on_utc(everyone, source.timezone, not_before=columns["start"])
        columns["end"] = np.where(until == NONE, columns["start"], until)
    return columns, notices


def _places(batch: Batch) -> np.ndarray:
    """(R,) int64, one number a place: longitude and latitude in millionths of a degree."""
    for role in ("lon", "lat"):
        batch.refuse_empty(role)
    lon, lat = numbers(batch, "lon", least=None), numbers(batch, "lat", least=None)
    check_coordinates(lon, lat, str(batch.file), batch.first)
    east, north = np.round(lon * MICRODEGREES).astype(np.int64), np.round(lat * MICRODEGREES).astype(np.int64)
    return (east + 180 * MICRODEGREES << 32) + north + 90 * MICRODEGREES


def _device_hashes(batch: Batch) -> np.ndarray:
    """(R,) uint64; a row without a device gets a number of its own."""
    device = pl.Series(pl.from_arrow(batch.data.column("device"))).cast(pl.String)
    own = np.arange(batch.first, batch.first + len(batch), dtype=np.uint64)
    return np.where(device.is_null().to_numpy(), own, device.hash(seed=0).to_numpy())


def _refuse_backwards(columns: Columns, where: Finder) -> None:
    if "end" not in columns:
        return
    backwards = columns["end"] < columns["start"]
    if backwards.any():
        raise UserError(f"{where(int(np.argmax(backwards)))}: the session ends before it starts; correct the times")


def _stations(columns: Columns, codes: Codes) -> tuple[list[str], np.ndarray, np.ndarray | None]:
    """Ids of N stations, (R,) int32 station of each session, and (N, 2) lon and lat where they are known."""
    if "station" in columns:
        station, ids = columns["station"], codes.texts
        if "place" not in columns:
            return ids, station, None
        _, first = np.unique(station, return_index=True)
        return ids, station, _degrees(columns["place"][first])
    distinct, station = np.unique(columns["place"], return_inverse=True)
    places = _degrees(distinct)
    return [f"{lat:.6f}_{lon:.6f}" for lon, lat in places], station.astype(np.int32), places


def _degrees(places: np.ndarray) -> np.ndarray:
    lon = (places >> 32) / MICRODEGREES - 180
    lat = (places & 0xFFFFFFFF) / MICRODEGREES - 90
    return np.round(np.stack([lon, lat], axis=1), 6)
