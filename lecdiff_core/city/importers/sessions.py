"""Layout `sessions`: one data connection a row, as in the paper's Shanghai and Nanjing records.

Roles `start, lon, lat, bytes`, optionally `device`, `end` and `station_id`. Stations are the distinct places, unless a
`station_id` column names them. Device ids serve to find repeated records while reading; they are never kept.
"""

import numpy as np
import polars as pl

from lecdiff_core.city.folder import check_coordinates
from lecdiff_core.city.importers.amounts import Amounts
from lecdiff_core.city.importers.degrees import plain
from lecdiff_core.city.importers.readings import Finder, Readings, Source, finder, repeats
from lecdiff_core.city.importers.tables import Batch, Codes, read_batches
from lecdiff_core.city.importers.times import Times
from lecdiff_core.city.importers.timestamps import NONE
from lecdiff_core.errors import UserError

OPTIONAL = ("device", "end", "station_id")
COLUMNS = {role: role for role in ("device", "start", "end", "station_id", "lon", "lat", "bytes")}
# Places are distinguished to 0.1 m: parts of a degree or of a metre, the greatest coordinate, and its digits; by whether in metres.
PARTS_OF = {False: (1_000_000, 180), True: (10, 20_100_000)}
DIGITS = {False: 6, True: 1}
# What is kept of a file: the role that says it, and its kind.
PARTS = {
    "bytes": ("bytes", np.float64),
    "place": ("lon", np.int64),
    "station": ("station_id", np.int32),
    "device": ("device", np.uint64),
}

Columns = dict[str, np.ndarray]


def read(source: Source) -> Readings:
    """Read the sessions of all files. Raises UserError that names file, row and column."""
    codes, notices = Codes(), []
    amounts, degrees = source.amounts(["bytes"]), source.amounts(["lon", "lat"], not source.metres)
    read = [_read_file(source, number, codes, amounts, degrees) for number in range(len(source.files))]
    files = [parts for parts, _, _ in read]
    for parts, start, end in read:
        notices += _put_on_utc(parts, start, end, source)
    source.problems.raise_all()
    columns = {name: np.concatenate([part[name] for part in files]) for name in files[0]}
    where = finder([(file, len(part["start"]), 1) for file, part in zip(source.files, files, strict=True)])
    _refuse_backwards(columns, where)
    station_ids, station, places = _stations(columns, codes, source.metres)
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
        notices=[*amounts.notices, *notices],
    )
    return readings.keep(chosen)


def _read_file(
    source: Source, number: int, codes: Codes, amounts: Amounts, degrees: Amounts
) -> tuple[Columns, Times, Times | None]:
    """The columns of one file by role, each (rows,), and the times of starts and ends as they are written."""
    file, roles, wrong = source.files[number], source.columns[number], source.problems
    start, end = Times(file, source.date_format), Times(file, source.date_format) if "end" in roles else None
    parts = {name: [np.empty(0, kind)] for name, (role, kind) in PARTS.items() if role in roles}
    with wrong.collect(file):
        for batch in read_batches(file, roles):
            with wrong.collect(file, "start"):
                start.add(batch, "start")
            with wrong.collect(file, "bytes"):
                parts["bytes"].append(amounts.read(batch, "bytes"))
            if end is not None:
                with wrong.collect(file, "end"):
                    end.add(batch, "end", may_be_empty=True)
            if "lon" in roles:
                with wrong.collect(file, "place"):
                    parts["place"].append(_places(batch, degrees, source.metres))
            if "station_id" in roles:
                with wrong.collect(file, "station_id"):
                    parts["station"].append(codes.add(batch, "station_id"))
            if "device" in roles:
                parts["device"].append(_device_hashes(batch))
            source.progress(number, batch)
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}, start, end


def _put_on_utc(columns: Columns, start: Times, end: Times | None, source: Source) -> list[str]:
    """Add `start`, and `end` where there are ends, on UTC; notices."""
    wrong, everyone = source.problems, None if source.problems.messages else np.arange(len(columns["bytes"]))
    notices: list[str] = []
    columns["start"] = np.empty(0, np.int64)
    with wrong.collect(start.file, "start"):
        columns["start"], notices = start.on_utc(everyone, source.timezone)
    if end is not None:
        with wrong.collect(start.file, "end"):
            not_before = None if wrong.messages else columns["start"]
            until, _ = end.on_utc(everyone, source.timezone, not_before=not_before)
            columns["end"] = until if wrong.messages else np.where(until == NONE, columns["start"], until)
    return notices


def _places(batch: Batch, numbers: Amounts, metres: bool) -> np.ndarray:
    """(R,) int64, one number a place: both coordinates in whole parts, counted from the least there can be."""
    for role in ("lon", "lat"):
        batch.refuse_empty(role)
    lon, lat = (numbers.read(batch if metres else plain(batch, role), role, least=None) for role in ("lon", "lat"))
    if not metres:
        check_coordinates(lon, lat, str(batch.file), batch.first)
    parts, farthest = PARTS_OF[metres]
    beyond = ~(np.maximum(np.abs(lon), np.abs(lat)) <= farthest)
    if beyond.any():
        row = int(np.argmax(beyond))
        raise UserError(
            f"{batch.where(row, 'lon')}: ({lon[row]:g}, {lat[row]:g}) is not on Earth, in metres; check --crs"
        )
    east, north = (np.round(axis * parts).astype(np.int64) + farthest * parts for axis in (lon, lat))
    return (east << 32) + north


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


def _stations(columns: Columns, codes: Codes, metres: bool) -> tuple[list[str], np.ndarray, np.ndarray | None]:
    """Ids of N stations, (R,) int32 station of each session, and (N, 2) coordinates where they are known."""
    if "station" in columns:
        station, ids = columns["station"], codes.texts
        if "place" not in columns:
            return ids, station, None
        _, first = np.unique(station, return_index=True)
        return ids, station, _coordinates(columns["place"][first], metres)
    distinct, station = np.unique(columns["place"], return_inverse=True)
    places, digits = _coordinates(distinct, metres), DIGITS[metres]
    return [f"{lat:.{digits}f}_{lon:.{digits}f}" for lon, lat in places], station.astype(np.int32), places


def _coordinates(places: np.ndarray, metres: bool) -> np.ndarray:
    parts, farthest = PARTS_OF[metres]
    lon, lat = (places >> 32) / parts - farthest, (places & 0xFFFFFFFF) / parts - farthest
    return np.round(np.stack([lon, lat], axis=1), DIGITS[metres])
