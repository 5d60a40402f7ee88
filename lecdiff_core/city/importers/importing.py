"""`import_city`: files of others into a city folder, with a report of what was read, matched and left out."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import pandas as pd
from pydantic import BaseModel

from lecdiff_core.city.extent import Extent, extent_of
from lecdiff_core.city.folder import (
    City,
    CityMeta,
    Coordinates,
    check_city,
    make_meta,
    named,
    read_meta,
    validate_stations,
    write_city,
)
from lecdiff_core.city.holidays import check_country, holidays_of
from lecdiff_core.city.importers import c2tm, location_checks, long, sessions, telecom_italia, wide
from lecdiff_core.city.importers.column_roles import (
    PLACES,
    ColumnOptions,
    Names,
    find_in_tables,
    names_stations,
    of_stations,
    of_traffic,
    relaxed,
)
from lecdiff_core.city.importers.columns import (
    Column,
    ColumnMatch,
    ColumnRole,
    display,
    find_columns,
    fold,
    is_rate,
    unit_in,
)
from lecdiff_core.city.importers.forms import Table, open_tables
from lecdiff_core.city.importers.ids import reconciled
from lecdiff_core.city.importers.plausibility import remarks, without_partial_sums
from lecdiff_core.city.importers.problems import Problems
from lecdiff_core.city.importers.readings import OnDuplicate, Readings, Source
from lecdiff_core.city.importers.resample import Resampled, resample
from lecdiff_core.city.importers.stations import (
    PLACE,
    StationsSource,
    in_wgs84,
    is_geographic,
    open_stations,
    points,
    read_stations,
    validated,
    without_places,
)
from lecdiff_core.city.importers.tables import Columns
from lecdiff_core.city.importers.timestamps import check_format
from lecdiff_core.city.layout import META_FILE
from lecdiff_core.city.timeline import in_zone
from lecdiff_core.errors import UserError
from lecdiff_core.extensions import add_installed
from lecdiff_core.progress import Report, silent
from lecdiff_core.storage import refuse_unwritable

if TYPE_CHECKING:
    import geopandas

OnUnknown = Literal["error", "drop"]


class Layout(Protocol):
    """How files of one kind are laid out: a module, or an object from outside (`register`).

    Attributes:
        COLUMNS: the role of each column that is read (`station_id`, `timestamp`, `traffic`), and how it is called in such files.
    """

    COLUMNS: Mapping[str, str]

    def read(self, source: Source) -> Readings:
        """Read all tables. Raises UserError that names file, row and column."""


LAYOUTS: dict[str, Any] = {
    "long": long,
    "wide": wide,
    "sessions": sessions,
    "telecom-italia": telecom_italia,
    "c2tm": c2tm,
}


def register(name: str, layout: Layout) -> None:
    """Add a layout, which `import_city(layout=name)` then reads; one of the same name takes its place."""
    LAYOUTS[name] = layout


SAME_PLACE = 1e-5  # degrees, about a metre
MOST_POINTS = 2000  # that a report lists, so that a map can be drawn of it


class Named(BaseModel):
    """How many there are of something, and the first few by name."""

    count: int = 0
    first: list[str] = []

    @classmethod
    def of(cls, ids: Sequence[str]) -> "Named":
        """Count `ids` and keep the first few."""
        return cls(count=len(ids), first=list(ids[:5]))

    def __str__(self) -> str:
        more = f" and {self.count - len(self.first)} more" if self.count > len(self.first) else ""
        return f"{self.count} ({', '.join(self.first)}{more})" if self.count else "none"


class Spread(BaseModel):
    """The least, the middle and the greatest of many amounts."""

    least: float
    median: float
    most: float


class ReadingLength(BaseModel):
    """Readings of one length: which stations have such, and from when to when."""

    interval: str
    stations: Named
    start: datetime
    end: datetime  # of the last reading

    def __str__(self) -> str:
        return f"{self.interval} of {self.stations} from {self.start.isoformat()} to {self.end.isoformat()}"


class ImportReport(BaseModel):
    """What an import read, matched, left out and wrote, or would write."""

    path: Path
    dry_run: bool  # nothing was written
    name: str
    layout: str
    files: list[str]
    rows: int
    stations: int
    steps: int
    start: datetime
    end: datetime  # of the last interval
    interval: str
    source_interval: str | None  # all lengths of readings; None for sessions
    cadences: list[ReadingLength]  # the shortest first; none for sessions
    timezone: str
    unit: str
    columns: dict[str, dict[str, str]]  # traffic and stations: role → column that was taken for it
    coordinates: Coordinates
    total: float  # traffic over all stations and steps
    station_totals: Spread  # traffic of each station over all steps
    missing_share: float  # of stations × steps, 0 … 1
    incomplete: int  # intervals of a station dropped because part of their readings was missing
    duplicates: int  # rows summed or dropped
    stations_without_traffic: Named
    traffic_without_station: Named
    rows_dropped: int  # of traffic without a station
    sharing_a_place: Named
    extent: Extent | None  # of the stations, None where places are not real or not known
    points: list[tuple[str, float, float]]  # id, longitude and latitude of stations, evenly picked where there are many
    notices: list[str]

    def lines(self) -> list[str]:
        """The report as lines to print."""
        source = f" from readings of {self.source_interval}" if self.source_interval else ""
        text = [
            f"{self.name}: {self.stations} stations × {self.steps} intervals of {self.interval}{source}",
            f"period: {self.start.isoformat()} to {self.end.isoformat()} ({self.timezone})",
            f"read: {self.rows:,} rows of {len(self.files)} files ({named(self.files)}), layout {self.layout}",
            f"traffic in all: {self.total:,.6g} {self.unit}".rstrip(),
            f"a station's traffic: {self._spread()}",
            f"missing: {self.missing_share:.2%} of all intervals",
            *([f"places: {self.extent}"] if self.extent else []),
        ]
        if len(self.cadences) > 1:
            text += [f"readings of {cadence}" for cadence in self.cadences]
        text += [
            f"columns of the {which}: {_taken(columns)}" for which, columns in self.columns.items() if _taken(columns)
        ]
        if self.duplicates:
            text.append(f"duplicates resolved: {self.duplicates}")
        if self.stations_without_traffic.count:
            text.append(f"stations left out, without traffic: {self.stations_without_traffic}")
        if self.traffic_without_station.count:
            text.append(
                f"traffic left out, without a station: {self.traffic_without_station}, {self.rows_dropped:,} rows"
            )
        if self.sharing_a_place.count:
            text.append(f"stations that share their place with another: {self.sharing_a_place}")
        end = ["nothing was written; the same command without --dry-run imports it"] if self.dry_run else []
        return [*text, *self.notices, *end]

    def _spread(self) -> str:
        totals = self.station_totals
        least, median, most = (
            f"{amount:,.6g} {self.unit}".rstrip() for amount in (totals.least, totals.median, totals.most)
        )
        return f"from {least} to {most}, median {median}"


def _taken(columns: Mapping[str, str]) -> str:
    """The roles whose columns are called otherwise."""
    return ", ".join(f"{role} is {name!r}" for role, name in columns.items() if name != role)


@dataclass(frozen=True)
class Opened:
    """The files of an import, opened, and their columns by role."""

    tables: list[Table]
    columns: Sequence[Columns]
    by_file: bool
    stations: StationsSource | None
    of_stations: Columns


def roles_of_any_file() -> list[ColumnRole]:
    """What is looked for in a file of which it is not known yet what it holds."""
    roles = dict.fromkeys([role for layout in LAYOUTS.values() for role in layout.COLUMNS] + list(PLACES))
    return [ColumnRole(role) for role in roles]


def likely_columns(header: Sequence[str], rows: Sequence[Sequence[str]], layout: str | None) -> dict[str, Column]:
    """role → the column that an import would take by itself: of traffic in a layout, or of stations where that is None.

    rows: the first ones, as texts.
    """
    if layout is None:
        roles_sought = of_stations(ColumnOptions())
    else:
        module = LAYOUTS[layout]
        roles_sought = of_traffic(
            module.COLUMNS, ColumnOptions(), getattr(module, "OPTIONAL", ()), getattr(module, "UNNAMED", ())
        )
    at = {name: number for number, name in enumerate(header)}
    return find_columns(
        header, roles_sought, lambda name: [row[at[name]] for row in rows if row[at[name]].strip()]
    ).columns


def import_city(
    path: Path,
    traffic_file: Path | str,
    stations_file: Path | None = None,
    layout: str = "long",
    columns: Mapping[str, Names] | None = None,
    interval: str = "30min",
    timezone: str = "UTC",
    unit: str = "",
    crs: str = "EPSG:4326",
    coordinates: Coordinates = "true",
    on_duplicate: OnDuplicate = "error",
    on_unknown: OnUnknown = "error",
    name: str | None = None,
    holidays: Sequence[date] | None = None,
    report: Report = silent,
    dry_run: bool = False,
    date_format: str | None = None,
    na: Sequence[str] = (),
    decimal: str | None = None,
    country: str | None = None,
) -> ImportReport:
    """Read traffic (and stations) in one of the layouts and write the city folder `path`.

    traffic_file: a file, a folder of files, or a pattern.  columns: role → name of a column, where it is not recognised; a role
    may begin with traffic: or stations: to mean one of the files.
    interval: of the city; readings are summed into it.  timezone: of the city, and of times without an offset.
    crs: of the stations' coordinates; gcj02 and bd09 are Chinese map coordinates.  coordinates: *nominal* = places are made
    up, but who is next to whom is real; *none* = nothing is known of places, so that stations_file is not needed and need
    not hold any.
    on_duplicate: what to do with two readings of one station and time.  on_unknown: with stations that have no traffic
    and traffic that has no station, and stations of which no interval is whole.  name, holidays: kept from the folder where it
    exists already and they are None.
    date_format: how times are written (strptime), where their looks do not say it.
    na: texts that mean a missing value, beside the usual ones.  decimal: the mark of decimals, where the numbers do not tell.
    country: whose public holidays the city has ("IT", "DE-BY"), over its data and two years more; holidays then need not be given.
    dry_run: do everything but write.

    Raises UserError that tells all that is wrong at once; then the folder is as it was.
    """
    path, wrong, meta, on_empty = Path(path), Problems(), None, on_unknown
    if layout not in LAYOUTS:
        raise UserError(f"--layout {layout}: it must be one of {', '.join(LAYOUTS)}")
    with wrong.collect("city"):
        refuse_unwritable(path)
        meta = _meta(path, name, holidays, interval=interval, timezone=timezone, unit=unit, coordinates=coordinates)
    with wrong.collect("date format"):
        if date_format is not None:
            check_format(date_format)
    with wrong.collect("country"):
        if country is not None:
            check_country(country)
    metres = False
    with wrong.collect("crs"):
        metres = not is_geographic(crs)
    with wrong.collect("decimal"):
        if decimal not in (None, ".", ","):
            asked, decimal = decimal, None
            raise UserError(f"--decimal {asked}: it must be . or ,")
    with tempfile.TemporaryDirectory(prefix="lecdiff-import-") as room:
        source = None
        if stations_file is not None:
            source = StationsSource(Path(stations_file), (), crs, coordinates, decimal, na)
        with wrong.collect("stations"):
            if source is None and layout != "sessions" and coordinates != "none":
                raise UserError(
                    f"layout {layout} says nothing of where stations are; give their places with --stations FILE, "
                    "or say with --coordinates none that they are not known"
                )
        opened = _open(traffic_file, source, layout, columns or {}, Path(room), wrong)
        stations, notices = None, [notice for table in opened.tables for notice in table.notices]
        if opened.stations is not None and opened.of_stations:
            stations, remarks_on_stations = read_stations(opened.stations, opened.of_stations, wrong)
            notices += remarks_on_stations
            with wrong.collect("stations"):
                if stations is not None:
                    stations, more = validated(stations, str(stations_file), coordinates)
                    notices += more
        if not opened.columns:
            wrong.raise_all()
        readings = LAYOUTS[layout].read(
            Source(
                opened.tables,
                [_without_places(columns) if coordinates == "none" else columns for columns in opened.columns],
                meta.timezone if meta else "UTC",
                on_duplicate,
                report,
                date_format,
                decimal,
                na,
                wrong,
                opened.by_file,
                metres,
            )
        )
    wrong.raise_all()
    assert meta is not None
    first = opened.tables[0]
    if readings.by_place and coordinates == "none":
        raise UserError(
            f"{first}: its sessions have no column station_id, so that only places tell stations apart; "
            "name such a column with --column station_id=NAME, or leave --coordinates none out"
        )
    if stations is None:
        stations, more = _stations_of(readings, crs, coordinates, first)
        notices += more
        on_unknown = "drop"  # an id that never has a value; the report names it
    elif readings.by_place:
        readings = _renamed(readings, stations, crs, first)
    else:
        ids, notice = reconciled(readings.station_ids, list(stations["station_id"]), str(first), str(stations_file))
        readings = replace(readings, station_ids=ids)
        notices += [notice] if notice else []
    if on_duplicate == "sum":
        readings = without_partial_sums(readings)
    notices += [*_of_headings(opened, unit, layout), *remarks(readings)]
    try:
        stations, readings, unknown = _matched(stations, readings, on_unknown, str(stations_file), first)
    except UserError as error:  # letters that were guessed wrong make strange ids
        raise UserError(
            "; ".join([str(error), *(notice for table in opened.tables for notice in table.notices)])
        ) from error
    resampled = resample(readings, meta.interval, meta.timezone, on_duplicate)
    if resampled.emptied:
        stations, resampled = _without_emptied(stations, resampled, meta, on_empty, first)
    if country is not None:
        times = resampled.traffic.index
        meta = meta.model_copy(update={"holidays": holidays_of(country, times[0].date(), times[-1].date())})
    report(len(opened.tables), len(opened.tables), "looking over the city" if dry_run else "writing the city folder")
    city = (check_city if dry_run else write_city)(path, meta, stations, resampled.traffic)
    return _report(city, dry_run, layout, opened, readings, resampled, unknown, notices)


def _without_places(columns: Columns) -> Columns:
    """The columns of sessions without their places, where something else tells stations apart."""
    return {role: names for role, names in columns.items() if role not in PLACE or "station_id" not in columns}


def _open(
    traffic_file: Path | str,
    source: StationsSource | None,
    layout: str,
    columns: Mapping[str, Names],
    room: Path,
    wrong: Problems,
) -> Opened:
    """Open the files and find their columns; what is wrong goes to `wrong`, and leaves the columns empty."""
    module, asked = LAYOUTS[layout], ColumnOptions()
    optional, last = getattr(module, "OPTIONAL", ()), getattr(module, "UNNAMED", ())
    with wrong.collect("columns"):
        asked = ColumnOptions.of(columns, layout, module.COLUMNS)
    tables = list[Table]()
    with wrong.collect("traffic"):
        looked_for = relaxed(of_traffic(module.COLUMNS, asked, optional, last))
        tables = open_tables(traffic_file, room, looked_for, getattr(module, "HEADER", None))
    opened = None
    if source is not None:
        with wrong.collect("stations"):
            opened = open_stations(replace(source, roles_sought=relaxed(of_stations(asked))), room)
    return _matched_columns(tables, opened, layout, asked, wrong)


def _meta(path: Path, name: str | None, holidays: Sequence[date] | None, **values: str) -> CityMeta:
    """The city's new description; what the options leave open is kept from a folder that is a city already."""
    old = read_meta(path) if (path / META_FILE).is_file() else None
    if old is not None and old.generator is not None:
        raise UserError(f"{path} is a demo city; import into another folder")
    before = (
        old.model_dump(include={"name", "holidays", "imagery", "attribution"}) if old else {"name": path.resolve().name}
    )
    given = {"name": name, "holidays": None if holidays is None else list(holidays)}
    return make_meta(**before | {key: value for key, value in given.items() if value is not None} | values)


def _matched_columns(
    tables: list[Table], source: StationsSource | None, layout: str, asked: ColumnOptions, wrong: Problems
) -> Opened:
    """The columns of opened files by role; none where something is wrong with them."""
    module = LAYOUTS[layout]
    of_stations_header = source.header if source else None
    said = asked.split(tables[0].columns if tables else [], of_stations_header, module.COLUMNS)
    of_them = of_stations(said)
    if source is not None:
        source = replace(source, roles_sought=of_them)
    roles_sought = of_traffic(module.COLUMNS, said, getattr(module, "OPTIONAL", ()), getattr(module, "UNNAMED", ()))
    id_role = next((sought for sought in roles_sought if sought.role == "station_id"), None)
    by_file = False
    if layout == "long" and len(tables) > 1 and id_role is not None and not id_role.given:
        by_file = not names_stations(tables, id_role)
    if by_file:
        roles_sought = [sought for sought in roles_sought if sought.role != "station_id"]
    if layout == "sessions" and tables and id_role is not None and names_stations(tables[:1], id_role):
        roles_sought = [
            replace(sought, optional=sought.optional or sought.role in ("lon", "lat")) for sought in roles_sought
        ]
    matches = find_in_tables(tables, roles_sought, source.ids() if source else set())
    _collect_problems(matches, tables, wrong)
    columns = [one.columns for one in matches] if not any(one.problems for one in matches) else []
    return Opened(tables, columns, by_file, source, _stations_columns(source, matches, wrong))


def _stations_columns(source: StationsSource | None, matches: list[ColumnMatch], wrong: Problems) -> Columns:
    """The columns of the stations, whose id is called as in the traffic where it can be; none where something is wrong."""
    if source is None:
        return {}
    of_traffic_id = matches[0].columns.get("station_id", ()) if matches else ()
    own = find_columns(
        source.header, source.required_roles(), source.cells, {fold(name) for name in of_traffic_id}, "stations:"
    )
    for problem in own.problems:
        with wrong.collect("stations", problem):
            raise UserError(f"{source.file}: {problem}")
    return {} if own.problems else own.columns


def _collect_problems(matches: list[ColumnMatch], tables: list[Table], wrong: Problems) -> None:
    for table, one in zip(tables, matches, strict=True):
        for problem in one.problems:
            with wrong.collect("traffic", problem):
                raise UserError(f"{table}: {problem}")


def _of_headings(opened: Opened, unit: str, layout: str) -> list[str]:
    """What the heading of the traffic says of its unit, and where stations come from file names."""
    notices = []
    if opened.by_file:
        notices.append(
            f"the files have no column of stations; each is taken for the station that it is named after, such as "
            f"{opened.tables[0].stem} of {opened.tables[0].name}"
        )
    column = opened.columns[0].get("bytes" if layout == "sessions" else "traffic", ())
    heading = display(column)
    stated = unit_in(heading) if heading else None
    if stated and is_rate(stated):
        notices.append(
            f"{opened.tables[0]}: column {heading!r} is a rate, {stated}, and its values are summed into intervals like amounts; "
            "give amounts instead, such as MB"
        )
    elif stated and stated.casefold() != unit.casefold():
        said = f"--unit says {unit}" if unit else "no --unit was given"
        notices.append(f"{opened.tables[0]}: the heading {heading!r} says {stated}, {said}")
    return notices


def _stations_of(
    readings: Readings, crs: str, coordinates: Coordinates, file: Table
) -> tuple["geopandas.GeoDataFrame", list[str]]:
    """Stations at the places that the readings carry, or those they name where no place is known."""
    ids = pd.DataFrame({"station_id": readings.station_ids})
    if coordinates == "none":
        return validate_stations(without_places(ids), str(file), coordinates), []
    if readings.places is None:
        raise UserError(f"{file}: there are no columns lon and lat; add them, or give the places with --stations FILE")
    lon, lat = readings.places.T
    stations, notices = in_wgs84(points(ids, lon, lat, crs), crs, str(file))
    return validate_stations(stations, str(file)), notices


def _renamed(readings: Readings, stations: "geopandas.GeoDataFrame", crs: str, file: Table) -> Readings:
    """Readings of places under the ids of the stations that stand there."""
    from scipy.spatial import cKDTree

    places, _ = _stations_of(readings, crs, "true", file)
    tree = cKDTree(stations.get_coordinates().to_numpy())
    near = tree.query_ball_point(places.get_coordinates().to_numpy(), SAME_PLACE)
    ids = stations["station_id"].to_numpy()
    shared = next((which for which in near if len(which) > 1), None)
    if shared is not None:
        raise UserError(
            f"{file}: stations {named(list(ids[shared]))} stand at one place, so their sessions cannot be told apart; "
            "add a station_id column to the sessions, or merge the stations"
        )
    names = [str(ids[which[0]]) if which else own for which, own in zip(near, readings.station_ids, strict=True)]
    codes, distinct = pd.factorize(pd.Index(names))
    return replace(readings, station_ids=list(distinct), station=codes.astype(np.int32)[readings.station])


def _matched(
    stations: "geopandas.GeoDataFrame", readings: Readings, on_unknown: OnUnknown, stations_file: str, file: Table
) -> tuple["geopandas.GeoDataFrame", Readings, tuple[list[str], list[str], int]]:
    """Stations that have traffic, and the readings of those in the same order.

    Also which stations had no traffic, which traffic no station, and the number of its rows. Raises UserError where
    there are such and `on_unknown` is error, or nothing fits.
    """
    ids = pd.Index(stations["station_id"])
    target = ids.get_indexer(pd.Index(readings.station_ids, dtype=object))
    observed = np.bincount(readings.station[~np.isnan(readings.value)], minlength=len(target)) > 0
    used = np.zeros(len(ids), bool)
    used[target[(target >= 0) & observed]] = True
    silent_stations = list(ids[~used])
    strangers = [station for station, place in zip(readings.station_ids, target, strict=True) if place < 0]
    if not observed.any():
        why = "every value is missing" if readings.rows else "it is empty"
        raise UserError(f"{file} holds no traffic: {why}")
    if not used.any():
        raise UserError(
            f"{file} holds no traffic of the stations in {stations_file}: "
            f"it names stations like {named(readings.station_ids, 1)}, they are called like {ids[0]}; "
            "check the ids"
        )
    if on_unknown == "error" and (silent_stations or strangers):
        problems = [
            *(
                [f"{len(silent_stations)} stations have no traffic: {named(silent_stations)}"]
                if silent_stations
                else []
            ),
            *([f"traffic of {len(strangers)} ids has no station: {named(strangers)}"] if strangers else []),
        ]
        raise UserError(f"{file}: {'; '.join(problems)}; complete the files, or leave these out with --on-unknown drop")
    rank = np.where(used, np.cumsum(used) - 1, -1)
    code = np.where(target >= 0, rank[target], -1).astype(np.int32)[readings.station]
    known = replace(readings, station=code, station_ids=list(ids[used])).keep(code >= 0)
    return stations[used].reset_index(drop=True), known, (silent_stations, strangers, len(code) - len(known.station))


def _without_emptied(
    stations: "geopandas.GeoDataFrame", resampled: Resampled, meta: CityMeta, on_empty: OnUnknown, file: Table
) -> tuple["geopandas.GeoDataFrame", Resampled]:
    """Leave out stations that have readings, but no interval with all of them. Raises UserError unless they may be dropped."""
    emptied = resampled.emptied
    lengths = " or ".join(one.interval for one in resampled.cadences if set(one.stations) & set(emptied))
    which = f"{len(emptied)} stations ({named(emptied)}) have no interval of {meta.interval} with all its readings of {lengths}"
    if on_empty == "error":
        raise UserError(
            f"{file}: {which}; complete the file, choose another --interval, or leave them out with --on-unknown drop"
        )
    return (
        stations[~stations["station_id"].isin(emptied)].reset_index(drop=True),
        replace(
            resampled,
            traffic=resampled.traffic.drop(columns=emptied),
            notices=[*resampled.notices, f"{which}; they are left out"],
        ),
    )


def _report(
    city: City,
    dry_run: bool,
    layout: str,
    opened: Opened,
    readings: Readings,
    resampled: Resampled,
    unknown: tuple[list[str], list[str], int],
    notices: list[str],
) -> ImportReport:
    meta, traffic = city.meta, city.traffic
    values = traffic.to_numpy()
    totals = np.nansum(values, axis=0, dtype=np.float64)
    cadences = [
        ReadingLength(
            interval=one.interval,
            stations=Named.of(one.stations),
            start=in_zone([one.start], meta.timezone)[0],
            end=in_zone([one.end], meta.timezone)[0],
        )
        for one in resampled.cadences
    ]
    return ImportReport(
        path=city.path,
        dry_run=dry_run,
        name=meta.name,
        layout=layout,
        files=[table.name for table in opened.tables],
        rows=readings.rows,
        stations=len(city.station_ids),
        steps=len(traffic),
        start=traffic.index[0].to_pydatetime(),
        end=city.end.to_pydatetime(),
        interval=meta.interval,
        source_interval=" and ".join(cadence.interval for cadence in cadences) or None,
        cadences=cadences,
        timezone=meta.timezone,
        unit=meta.unit,
        columns={
            which: {role: display(column) for role, column in columns.items()}
            for which, columns in (("traffic", opened.columns[0]), ("stations", opened.of_stations))
            if columns
        },
        coordinates=meta.coordinates,
        total=float(totals.sum()),
        station_totals=Spread(least=totals.min(), median=float(np.median(totals)), most=totals.max()),
        missing_share=float(np.isnan(values).mean()),
        incomplete=resampled.incomplete,
        duplicates=readings.duplicates + resampled.duplicates,
        stations_without_traffic=Named.of(unknown[0]),
        traffic_without_station=Named.of(unknown[1]),
        rows_dropped=unknown[2],
        sharing_a_place=Named.of(_sharing_a_place(city)),
        extent=extent_of(city),
        points=_points(city),
        notices=[*notices, *readings.notices, *resampled.notices, *location_checks.remarks(city)],
    )


def _sharing_a_place(city: City) -> list[str]:
    if not city.has_places:
        return []
    return list(city.stations["station_id"][city.stations.get_coordinates().duplicated(keep=False).to_numpy()])


def _points(city: City) -> list[tuple[str, float, float]]:
    if not city.has_places:
        return []
    chosen = city.stations.iloc[:: -(-len(city.stations) // MOST_POINTS)]
    return [(row.station_id, round(row.geometry.x, 6), round(row.geometry.y, 6)) for row in chosen.itertuples()]


add_installed("layouts")
