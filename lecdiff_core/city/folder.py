"""The city folder: `city.toml`, `stations.parquet` and `traffic.parquet`, read, validated and written.

Standard formats only (TOML, GeoParquet, Parquet). Whatever is read or written here has been validated, so the rest of
the core may rely on it: unique station ids, points in WGS 84 (or none at all, where no place is known), a regular time
index, traffic that is a number of at least zero or missing (NaN).
"""

import difflib
import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import date
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from lecdiff_core.addresses import check_template
from lecdiff_core.bounded import MIB, check_table, parse_toml, read_bytes
from lecdiff_core.city.layout import (
    CHIP_SUFFIXES,
    CHIPS_FOLDER,
    CONFIG_FILE,
    META_FILE,
    MODELS_FOLDER,
    STATIONS_FILE,
    TILES_FOLDER,
    TRAFFIC_FILE,
)
from lecdiff_core.city.timeline import Timeline
from lecdiff_core.errors import UserError
from lecdiff_core.storage import CHANGE, below, changing, read_whole, recover, replacing

if TYPE_CHECKING:
    import geopandas

WGS84 = "EPSG:4326"
DAY = pd.Timedelta("24h")
SHOWN = 3
LONGEST_ID = 120
LARGEST_META = MIB
SCALES = (100_000, 1_000_000, 10_000_000)  # by which degrees are multiplied to be kept as whole numbers
LEAST_METRES, LARGEST_METRES = 1_000, 20_100_000  # of coordinates in metres; the greatest are those of Web Mercator
# Whether places are real, made up so that only who is next to whom is real, or not known at all.
Coordinates = Literal["true", "nominal", "none"]


class CityMeta(BaseModel):
    """What `city.toml` says of a city."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1)
    timezone: str
    interval: str  # a pandas duration that divides 24 h, kept in its shortest form, such as "30min" or "1h"
    unit: str = ""
    holidays: list[date] = []
    coordinates: Coordinates = "true"
    imagery: str = "arcgis"  # "arcgis", "local", or a tile template with {z}, {x} and {y}
    attribution: str = ""
    generator: str | None = None  # version of the generator that made a demo city

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"{value!r} is not a time zone name such as Europe/Rome or UTC") from error
        return value

    @field_validator("interval")
    @classmethod
    def _divides_the_day(cls, value: str) -> str:
        try:
            interval = pd.Timedelta(value)
        except ValueError as error:
            raise ValueError(f"{value!r} is not a duration such as 30min or 1h") from error
        if pd.isna(interval) or interval < pd.Timedelta("1s") or DAY % interval != pd.Timedelta(0):
            raise ValueError(f"{value!r} must be at least one second and divide 24 hours, such as 30min or 1h")
        return duration_text(interval)

    @field_validator("imagery")
    @classmethod
    def _known_imagery(cls, value: str) -> str:
        if value in ("arcgis", "local"):
            return value
        try:
            check_template(value, "a tile template")
        except UserError as error:
            raise ValueError(f"{value[:80]!r} must be arcgis, local, or a tile template; {error}") from error
        return value


class City:
    """A city: its stations and their traffic, in a folder of standard files, validated.

    Open one with `City.open`, make one of DataFrames with `City.from_frames`.

    Attributes:
        path: the folder.
        meta: what `city.toml` says: name, time zone, interval, unit, holidays.
        stations: GeoDataFrame of N rows, `station_id` (str) and points in EPSG:4326; further columns unchanged.
        traffic: DataFrame (T, N) float32 in the city's unit, tz-aware starts of intervals, a column a station, NaN = missing.

    Examples:
        >>> from lecdiff_core import City
        >>> from lecdiff_core.demo import DEMO_CITY
        >>> city = City.open(DEMO_CITY)
        >>> city.meta.interval, len(city.station_ids), city.has_true_places
        ('30min', 150, True)
        >>> city.traffic.shape
        (2880, 150)
    """

    def __init__(
        self,
        path: Path,
        meta: CityMeta,
        stations: "geopandas.GeoDataFrame",
        traffic: pd.DataFrame,
        digests: tuple[bytes, bytes],
    ) -> None:
        self.path = path
        self.meta = meta
        # station_id (str), geometry (points in EPSG:4326; null where no place is known), optional name, capacity, and any
        # further column.
        self.stations = stations
        # (T, N) float32: tz-aware starts of intervals (see `Timeline`), columns in the order of `stations`, NaN = missing.
        self.traffic = traffic
        # SHA-256 of the files that stations and traffic were read from, or written to.
        self.digests = digests

    @classmethod
    def open(cls, path: Path | str) -> "City":
        """Read and validate a city folder.

        Args:
            path: the folder (docs/city-folder.md).

        Raises:
            UserError: where something is missing or wrong; it names file, row and column.
        """
        return read_whole(Path(path), (META_FILE, STATIONS_FILE, TRAFFIC_FILE), lambda: cls._read(Path(path)))

    @classmethod
    def of(cls, place: "City | Path | str") -> "City":
        """A city as it is, or the one in a folder."""
        return place if isinstance(place, City) else cls.open(place)

    @classmethod
    def from_frames(
        cls,
        traffic: pd.DataFrame,
        stations: pd.DataFrame | None = None,
        *,
        timezone: str | None = None,
        interval: str | None = None,
        unit: str = "",
        name: str = "City",
        holidays: Sequence[date] = (),
        coordinates: Coordinates | None = None,
        on_duplicate: Literal["error", "sum", "last"] = "error",
        on_unknown: Literal["error", "drop"] = "error",
        folder: Path | str | None = None,
    ) -> "City":
        """A city from DataFrames, checked as `lecdiff import` checks files.

        What deserves a look, such as stations without any traffic, is said by `warnings.warn`.

        Args:
            traffic: *wide*, times as index (or a column `timestamp`) and a column a station; or *long*, a reading a row with the
                columns `station_id, timestamp, traffic`. At least 0; missing readings are NaN or absent.
            stations: `station_id, lon, lat` in degrees (WGS 84), or a GeoDataFrame of points with `station_id`; further columns
                (`name`, `capacity`) are kept. None = nothing is known of places.
            timezone: of the city, and of times without one, such as "Europe/Rome"; None = that of the times.
            interval: of the city, such as "30min"; readings are summed into it. None = the usual distance of one time to the next.
            unit: of the traffic, such as "MB".
            name: what pages call the city.
            holidays: dates that are like Sundays.
            coordinates: "nominal" where places are made up but neighbours are real.
            on_duplicate: what becomes of two readings of one station and time.
            on_unknown: what becomes of stations without traffic, and of traffic without a station.
            folder: where the city is kept; None = a temporary folder, gone with this object.

        Raises:
            UserError: before anything is computed; it names the table, the row (from 1 on) and the column: times without a zone
                or at irregular distances, readings twice or below 0, unknown stations, places that are not on Earth.

        Examples:
            >>> import numpy as np, pandas as pd
            >>> from lecdiff_core import City
            >>> times = pd.date_range("2024-03-01", periods=72, freq="1h", tz="Europe/Rome")
            >>> traffic = pd.DataFrame({"A": 5.0 + np.arange(72) % 24, "B": 9.0}, index=times)
            >>> city = City.from_frames(traffic, unit="MB")
            >>> city.station_ids, city.meta.interval, city.meta.timezone, city.has_places
            (('A', 'B'), '1h', 'Europe/Rome', False)
            >>> City.from_frames(traffic, pd.DataFrame({"station_id": ["A"], "lon": [9.19], "lat": [45.46]}))
            Traceback (most recent call last):
            lecdiff_core.errors.UserError: traffic: traffic of 1 ids has no station: B; complete the files, or leave these out
            with on_unknown='drop'
        """
        from lecdiff_core.city.frames import city_from_frames

        return city_from_frames(
            traffic, stations, timezone, interval, unit, name, holidays, coordinates, on_duplicate, on_unknown, folder
        )

    @classmethod
    def _read(cls, path: Path) -> "City":
        meta = read_meta(path)
        stations_file, traffic_file = path / STATIONS_FILE, path / TRAFFIC_FILE
        stations_bytes, traffic_bytes = _content(stations_file), _content(traffic_file)
        stations = validate_stations(
            _read_stations(stations_bytes, stations_file), str(stations_file), meta.coordinates
        )
        table = _read_traffic(traffic_bytes, traffic_file)
        traffic = validate_traffic(table, stations["station_id"], meta, str(traffic_file))
        return cls(path, meta, stations, traffic, (_sha256(stations_bytes), _sha256(traffic_bytes)))

    @cached_property
    def station_ids(self) -> tuple[str, ...]:
        """The N station ids in the order of `stations` and of the columns of `traffic`."""
        return tuple(self.stations["station_id"])

    @property
    def has_places(self) -> bool:
        """Whether anything is known of where stations stand, be it only who is next to whom."""
        return self.meta.coordinates != "none"

    @property
    def has_true_places(self) -> bool:
        """Whether stations stand where they are said to, so that distances and imagery mean something."""
        return self.meta.coordinates == "true"

    @cached_property
    def interval(self) -> pd.Timedelta:
        """Length of one traffic interval."""
        return pd.Timedelta(self.meta.interval)

    @cached_property
    def steps_per_day(self) -> int:
        """Traffic intervals in 24 hours."""
        return DAY // self.interval

    @cached_property
    def timeline(self) -> Timeline:
        """Where intervals start, in the data and after them."""
        timeline = Timeline.of(self.traffic.index, self.interval, self.meta.timezone)
        assert timeline is not None, "traffic is validated"
        return timeline

    @cached_property
    def end(self) -> pd.Timestamp:
        """The end of the data: of the last interval."""
        return self.timeline.after(self.traffic.index[-1])

    def last_before(self, time: pd.Timestamp) -> pd.Timestamp:
        """The start of the last interval that starts before `time`, which must lie after that of the first."""
        return self.traffic.index[self.traffic.index.searchsorted(time) - 1]

    @cached_property
    def data_hash(self) -> str:
        """SHA-256 (hex) of what a forecast is made from: the meaning of `city.toml`, the stations and the traffic.

        Of what was read, whatever lies in the folder by now. The city's name, imagery and attribution are left out: they
        change nothing that is computed from the traffic.
        """
        meaning = self.meta.model_dump(mode="json", exclude={"name", "imagery", "attribution"}, exclude_defaults=True)
        digest = hashlib.sha256(json.dumps(meaning, sort_keys=True).encode())
        for part in self.digests:
            digest.update(part)
        return digest.hexdigest()

    def chip(self, station_id: str) -> Path | None:
        """The satellite chip of a station, or None where the folder has none; a link that leads out of it is none."""
        return next((file for file in self._chips_named(station_id) if self._lies_inside(file)), None)

    def chips_outside(self) -> list[str]:
        """Stations whose chip is a link that leads out of the folder, and therefore none."""
        return [
            station
            for station in self.station_ids
            if self.chip(station) is None and any(file.is_symlink() for file in self._chips_named(station))
        ]

    def _chips_named(self, station_id: str) -> list[Path]:
        return [self._chips_root / f"{station_id}{suffix}" for suffix in CHIP_SUFFIXES]

    def _lies_inside(self, chip: Path) -> bool:
        return chip.is_file() and chip.resolve().is_relative_to(self._chips_root)

    @cached_property
    def _chips_root(self) -> Path:
        return (self.path / CHIPS_FOLDER).resolve()

    @property
    def has_tiles(self) -> bool:
        """Whether the folder carries its own basemap, `imagery/tiles`."""
        return (self.path / TILES_FOLDER).is_dir()

    def model_folder(self, name: str) -> Path:
        """Where the model `name` is or will be saved."""
        root = self.path / MODELS_FOLDER
        folder = below(root, name)
        if folder.parent != root.resolve():
            raise UserError(f"{name!r} is not a usable model name; use letters, digits and dashes")
        return folder

    def models(self) -> list[str]:
        """Names of the models saved in the folder, sorted."""
        for change in (self.path / MODELS_FOLDER).glob(f"[!.]*/{CHANGE}"):
            with suppress(UserError):  # reported where that model is read
                recover(change.parent)
        return sorted(config.parent.name for config in (self.path / MODELS_FOLDER).glob(f"[!.]*/{CONFIG_FILE}"))


def read_meta(path: Path) -> CityMeta:
    """Read and validate `city.toml` of the folder `path` alone. Raises UserError."""
    path, file = Path(path), Path(path) / META_FILE
    recover(path)
    if not path.is_dir():
        raise UserError(f"{path} is not a folder; make a city with `lecdiff demo` or `lecdiff import`")
    if not file.is_file():
        raise UserError(f"{path} is not a city folder: it has no {META_FILE}; make one with `lecdiff import`")
    try:
        return CityMeta.model_validate(parse_toml(read_bytes(file, LARGEST_META)))
    except ValidationError as error:
        raise UserError(f"{file}: {_first_problem(error)}") from error
    except (ValueError, OSError) as error:
        raise UserError(f"{file} cannot be read as TOML: {_one_line(error)}") from error


def make_meta(**values: object) -> CityMeta:
    """A `CityMeta` from options that a user gave. Raises UserError instead of pydantic's error."""
    try:
        return CityMeta.model_validate(values)
    except ValidationError as error:
        raise UserError(_first_problem(error)) from error


def check_city(path: Path, meta: CityMeta, stations: "geopandas.GeoDataFrame", traffic: pd.DataFrame) -> City:
    """The city that `write_city` would write, validated alike. Nothing is written, so it has no digests.

    Raises UserError.
    """
    stations = validate_stations(stations, "stations", meta.coordinates)
    traffic = validate_traffic(traffic, stations["station_id"], meta, "traffic")
    return City(Path(path), meta, stations, traffic, (b"", b""))


def write_city(path: Path, meta: CityMeta, stations: "geopandas.GeoDataFrame", traffic: pd.DataFrame) -> City:
    """Validate, then write the three files of a city folder as one change.

    stations: columns `station_id` and geometry (points, EPSG:4326), any further columns are kept. Where `meta` says that no
    place is known, geometry is written as null.
    traffic: (T, N), tz-aware regular index, a column a station (in any order), NaN = missing.
    """
    city = check_city(path, meta, stations, traffic)
    with changing(city.path) as change:
        city.traffic.to_parquet(change.file(TRAFFIC_FILE), compression="zstd")
        city.stations.to_parquet(change.file(STATIONS_FILE), index=False)
        change.file(META_FILE).write_text(_meta_text(meta), encoding="utf-8")
        stations_digest = _sha256(change.file(STATIONS_FILE).read_bytes())
        traffic_digest = _sha256(change.file(TRAFFIC_FILE).read_bytes())
    city.digests = (stations_digest, traffic_digest)
    return city


def write_meta(path: Path, meta: CityMeta) -> None:
    """Write `city.toml` of the folder `path` alone. Raises UserError where the disk refuses."""
    recover(Path(path))
    with replacing(Path(path) / META_FILE) as file:
        file.write_text(_meta_text(meta), encoding="utf-8")


def _meta_text(meta: CityMeta) -> str:
    return tomli_w.dumps(meta.model_dump(exclude_none=True))


def validate_stations(
    stations: "geopandas.GeoDataFrame", source: str, coordinates: Coordinates = "true"
) -> "geopandas.GeoDataFrame":
    """Stations in the folder's form: `station_id` as text first, geometry points in EPSG:4326, rows numbered from 0.

    With coordinates *none* every geometry is null, whatever the table has. `source` names the table in messages. Raises
    UserError: no rows, no or unusable or duplicate ids, no points, another coordinate system, coordinates out of range.
    Several stations on one spot are allowed.
    """
    if "station_id" not in stations.columns:
        raise UserError(f"{source}: there is no column station_id; it has {named(stations.columns)}")
    if len(stations) == 0:
        raise UserError(f"{source}: there are no stations; a city needs at least one")
    if stations.crs is None or not (stations.crs.to_epsg() == 4326 or stations.crs.to_authority() == ("OGC", "CRS84")):
        raise UserError(f"{source}: coordinates must be WGS 84 (EPSG:4326), not {stations.crs and stations.crs.name}")
    ids = stations["station_id"]
    if ids.isna().any():
        raise UserError(f"{source}, row {int(np.argmax(ids.isna())) + 1}, column station_id: the id is empty")
    stations = stations.assign(station_id=ids.astype(str)).reset_index(drop=True).set_crs(WGS84, allow_override=True)
    _check_ids(stations["station_id"], source)
    if coordinates == "none":
        stations = stations.set_geometry([None] * len(stations), crs=WGS84)
    else:
        _check_points(stations, source)
    others = [column for column in stations.columns if column not in ("station_id", stations.geometry.name)]
    shapes = stations.geometry.rename("geometry")
    return stations[["station_id", *others]].set_geometry(shapes)[["station_id", "geometry", *others]]


def _check_ids(ids: pd.Series, source: str) -> None:
    for row, station in enumerate(ids, start=1):
        bad = station != station.strip() or not station.isprintable() or any(mark in station for mark in "/\\")
        if bad or station in ("", ".", "..", "timestamp") or len(station.encode()) > LONGEST_ID:
            raise UserError(
                f"{source}, row {row}, column station_id: {station[:40]!r} cannot be a station id; "
                f"use up to {LONGEST_ID} printable characters without slashes or outer spaces, but not 'timestamp'"
            )
    repeated = ids[ids.duplicated(keep=False)]
    if len(repeated):
        rows = named(repeated.index[repeated == repeated.iloc[0]] + 1)
        raise UserError(
            f"{source}, rows {rows}, column station_id: {repeated.iloc[0]!r} is there more than once "
            f"({repeated.nunique()} ids are); give every station its own id"
        )


def _check_points(stations: "geopandas.GeoDataFrame", source: str) -> None:
    shapes = stations.geometry
    unusable = shapes.isna() | shapes.is_empty | (shapes.geom_type != "Point")
    if unusable.any():
        row = int(np.argmax(unusable))
        station = stations["station_id"][row]
        raise UserError(
            f"{source}, row {row + 1}, column geometry: station {station!r} has no point; give its place, "
            "or say with coordinates = none that no place is known"
        )
    check_coordinates(shapes.x.to_numpy(), shapes.y.to_numpy(), source)


def check_coordinates(lon: np.ndarray, lat: np.ndarray, source: str, first: int = 0) -> None:
    """Raise UserError unless longitudes are within ±180 and latitudes within ±90 degrees; (0, 0) is a place.

    `source` and the row, counted on from `first`, are named in the message.
    """
    outside = ~((np.abs(lon) <= 180) & (np.abs(lat) <= 90))
    if not outside.any():
        return
    row = int(np.argmax(outside))
    advice = "give degrees, lon within ±180 and lat within ±90"
    if outside.mean() > 0.5:
        advice = _whole_file_advice(lon, lat) or advice
    place = f"({lon[row]:g}, {lat[row]:g})"
    raise UserError(f"{source}, row {first + row + 1}, columns lon and lat: {place} is not on Earth; {advice}")


def _whole_file_advice(lon: np.ndarray, lat: np.ndarray) -> str:
    """What coordinates may be that are mostly no degrees; empty where nothing fits."""
    if np.all(np.abs(lat) <= 180) and np.all(np.abs(lon) <= 90):
        return "lon and lat look swapped"
    largest = np.nan_to_num(np.abs([lon, lat])).max()
    whole = bool(np.all(np.mod(lon, 1) == 0) and np.all(np.mod(lat, 1) == 0))
    factors = [f for f in SCALES if np.all(np.abs(lon) <= 180 * f) and np.all(np.abs(lat) <= 90 * f)]
    scaled = (
        f"degrees times {' or '.join(f'{factor:,}' for factor in factors)}: divide them" if factors and whole else ""
    )
    if largest > LARGEST_METRES:
        return f"they look like {scaled}" if scaled else ""
    if largest < LEAST_METRES:
        return ""
    metres = "they look like metres: say with --crs in which system, such as EPSG:32632 (UTM zone 32 north)"
    return f"{metres}; or like {scaled}" if scaled else metres


def validate_traffic(traffic: pd.DataFrame, station_ids: Sequence[str], meta: CityMeta, source: str) -> pd.DataFrame:
    """Traffic in the folder's form: index `timestamp` in the city's zone, float32, columns ordered as `station_ids`.

    `source` names the table in messages. Raises UserError: no rows, a column missing or too many, text, an index that
    has no zone or is unsorted, repeated or irregular, a negative or infinite value, no observation at all.
    """
    stations = pd.Index(list(station_ids))
    _check_columns(traffic.columns, stations, source)
    if len(traffic) == 0:
        raise UserError(f"{source}: there are no rows; a city needs traffic")
    index = _regular_index(traffic.index, meta, source)
    text = [column for column, kind in traffic.dtypes.items() if not pd.api.types.is_numeric_dtype(kind)]
    if text:
        raise UserError(f"{source}, column {text[0]}: traffic must be numbers, not {traffic[text[0]].dtype}")
    same = len(stations) == len(traffic.columns) and bool((traffic.columns == stations).all())
    values = (traffic if same else traffic[list(stations)]).to_numpy(dtype=np.float32, na_value=np.nan)
    _check_values(values, index, stations, source)
    return pd.DataFrame(values, index=index, columns=stations.astype(str), copy=False)


def _check_columns(columns: pd.Index, stations: pd.Index, source: str) -> None:
    if not columns.is_unique:
        raise UserError(f"{source}: column {columns[columns.duplicated()][0]} is there more than once")
    absent, unknown = stations.difference(columns, sort=False), columns.difference(stations, sort=False)
    if len(absent):
        raise UserError(
            f"{source}: {len(absent)} stations have no column: {named(absent)}; add them, with missing values"
        )
    if len(unknown):
        raise UserError(f"{source}: {len(unknown)} columns are no station: {named(unknown)}; add them to the stations")


def _regular_index(index: pd.Index, meta: CityMeta, source: str) -> pd.DatetimeIndex:
    if not isinstance(index, pd.DatetimeIndex) or index.tz is None:
        raise UserError(f"{source}, column timestamp: it must be a time with a time zone, not {index.dtype}")
    if index.hasnans:
        raise UserError(f"{source}, row {int(np.argmax(index.isna())) + 1}, column timestamp: the time is missing")
    index = index.as_unit("us").tz_convert(meta.timezone).rename("timestamp")
    if Timeline.of(index, pd.Timedelta(meta.interval), meta.timezone) is None:
        row = _first_irregular(index, meta)
        step = index[row] - index[row - 1]
        problem = "is there twice" if not step else "is out of order" if step < pd.Timedelta(0) else None
        problem = problem or f"is not {meta.interval} after {index[row - 1].isoformat()}"
        raise UserError(
            f"{source}, row {row + 1}, column timestamp: {index[row].isoformat()} {problem}; "
            "every interval must be there once, in order, with missing values in gaps"
        )
    return index


def _first_irregular(index: pd.DatetimeIndex, meta: CityMeta) -> int:
    """The first row that does not follow the one before it by an interval, on the local clock or in real time."""
    step = pd.Timedelta(meta.interval)
    local = (index[:-1].tz_localize(None) + step) == index[1:].tz_localize(None)
    return int(np.argmin(local | (index[:-1] + step == index[1:]))) + 1


def _check_values(values: np.ndarray, index: pd.DatetimeIndex, stations: pd.Index, source: str) -> None:
    wrong = (values < 0) | np.isinf(values)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        kind = "infinite" if np.isinf(values[row, column]) else "negative"
        raise UserError(
            f"{source}, row {row + 1} ({index[row].isoformat()}), column {stations[column]}: traffic is {kind} "
            f"({values[row, column]:g}); give a number of at least 0, or leave it empty where it is missing"
        )
    if np.isnan(values).all():
        raise UserError(f"{source}: every value is missing; a city needs some traffic")


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"{file} is missing; import the city again") from error
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from error


def _sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _read_stations(content: bytes, file: Path) -> "geopandas.GeoDataFrame":
    import geopandas

    try:
        check_table(pq.read_metadata(BytesIO(content)))
        return geopandas.read_parquet(BytesIO(content))
    except Exception as error:  # pyarrow, geopandas and shapely raise many kinds for a damaged file
        raise UserError(f"{file} cannot be read as GeoParquet: {_one_line(error)}; import the city again") from error


def _read_traffic(content: bytes, file: Path) -> pd.DataFrame:
    try:
        check_table(pq.read_metadata(BytesIO(content)))
        traffic = pd.read_parquet(BytesIO(content))
    except Exception as error:  # pyarrow raises many kinds for a damaged file
        raise UserError(f"{file} cannot be read as Parquet: {_one_line(error)}; import the city again") from error
    return traffic.set_index("timestamp") if "timestamp" in traffic.columns else traffic


def duration_text(duration: pd.Timedelta) -> str:
    """A duration in hours, minutes or seconds, whichever is whole: 1h, 30min, 90s."""
    seconds = duration.total_seconds()
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    return f"{seconds:g}s"


def named(items: Sequence[object] | pd.Index, shown: int = SHOWN) -> str:
    """The first few of `items` as text, and how many more there are."""
    head = ", ".join(str(item) for item in list(items[:shown]))
    return head + (f" and {len(items) - shown} more" if len(items) > shown else "")


def closest(name: str, known: Iterable[str], shown: int = SHOWN) -> list[str]:
    """The names most like one that is not known: those that begin with it first."""
    names = list(known)
    begun = [other for other in names if name and other.casefold().startswith(name.casefold())]
    return list(dict.fromkeys([*begun, *difflib.get_close_matches(name, names, shown)]))[:shown]


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key {key!r}; known are {', '.join(CityMeta.model_fields)}"
    return f"{key}: {first['msg'].removeprefix('Value error, ')}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
