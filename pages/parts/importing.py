"""The form that makes a city from uploaded files: what they hold, which column is what, and the job that reads them."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from zoneinfo import available_timezones

import streamlit as st

from lecdiff_core import background
from lecdiff_core.city.folder import City
from lecdiff_core.city.importers import sessions
from lecdiff_core.city.importers.columns import display
from lecdiff_core.city.importers.importing import LAYOUTS, Layout, likely_columns
from lecdiff_core.city.importers.wishes import OPTIONAL_OF_STATIONS, PLACES
from lecdiff_core.errors import UserError
from pages.parts import cities, formats, jobs, uploads
from pages.parts.formats import literal
from pages.parts.uploads import Sample

LAYOUT_NAMES: dict[Layout, str] = {
    "long": "One value a row: station, time, traffic",
    "wide": "A column a station",
    "sessions": "Session records: one data connection a row",
    "telecom-italia": "Telecom Italia (Milan, Trentino)",
    "c2tm": "City Cellular Traffic Map (C2TM)",
}
ROLE_NAMES = {
    "station_id": "Station",
    "timestamp": "Time",
    "traffic": "Traffic",
    "start": "Start of the session",
    "end": "End of the session",
    "device": "Device",
    "lon": "Longitude",
    "lat": "Latitude",
    "bytes": "Traffic",
    "country": "Country",
    "name": "Name",
    "capacity": "Capacity",
}
INTERVALS = {"10min": "10 minutes", "15min": "15 minutes", "30min": "30 minutes", "1h": "1 hour"}
SYSTEMS = {"EPSG:4326": "WGS 84 (GPS)", "gcj02": "GCJ-02 (Amap, Tencent)", "bd09": "BD-09 (Baidu)"}
COORDINATES = {
    "true": "As they are",
    "nominal": "Not real, only which stations are neighbours",
    "none": "Not known: no list of places is needed",
}
NO_PLACES = "--coordinates=none"
DUPLICATES = {"error": "Stop and tell me", "sum": "Add them up", "last": "Keep the last"}
UNKNOWN = {"error": "Stop and tell me", "drop": "Leave them out"}
ABSENT = "(none)"
OF_FILE = "(the name of the file)"
TRAFFIC, STATIONS = "traffic", "stations"  # folders of a job's input
Columns = dict[str, str | None]  # role: name of the column


def form(city: City) -> None:
    """The form, from the files to the button."""
    given, placed = _files()
    layout: Layout = st.selectbox(
        "Layout of the traffic", list(LAYOUT_NAMES), format_func=LAYOUT_NAMES.__getitem__, key="import_layout"
    )
    traffic, stations = _look(given, uploads.TRAFFIC), _look(placed, uploads.STATIONS)
    columns = {**_columns_of_traffic(layout, traffic, len(given) > 1), **_columns_of_stations(stations)}
    options = [f"--layout={layout}", *_meaning(), *_strictness()]
    placeless = NO_PLACES in options
    if placeless:
        columns = {role: name for role, name in columns.items() if name or role not in ("stations:lon", "stations:lat")}
    options += column_words(columns, traffic.columns if traffic else [])
    lacking = [
        *([] if traffic else ["the traffic"]),
        *([] if stations or layout == "sessions" or placeless else ["the places of the stations"]),
        *(["which column is which"] if None in columns.values() else []),
    ]
    _begin(city, given, placed, lacking, options)


def _files() -> tuple[list, list]:
    left, right = st.columns(2, gap="medium")
    with left:
        given = st.file_uploader(
            "Traffic",
            type=list(uploads.TRAFFIC),
            accept_multiple_files=True,
            key="import_traffic",
            max_upload_size=uploads.LARGEST_MB,
            help="CSV (also gzipped), Parquet, Excel, or a zip of several such files.",
        )
    with right:
        placed = st.file_uploader(
            "Places of the stations",
            type=list(uploads.STATIONS),
            key="import_stations",
            max_upload_size=uploads.LARGEST_MB,
            help="CSV, Excel or Parquet with longitude and latitude, or GeoJSON. Session records may carry their own places.",
        )
    return list(given), [placed] if placed else []


def _look(given: list, allowed: Sequence[str]) -> Sample | None:
    """The first rows of the first file, or why it cannot be used."""
    if not given:
        return None
    try:
        found = _sample(given, tuple(one.file_id for one in given), tuple(allowed))
    except UserError as error:
        st.error(literal(error), icon=":material/error:")
        return None
    st.caption(f"First rows of {literal(found.name)}")
    rows = [dict(zip(map(str, range(len(found.columns))), row, strict=False)) for row in found.rows]
    names = {str(number): formats.shortened(name, 30) for number, name in enumerate(found.columns)}
    st.dataframe(rows, hide_index=True, height="content", column_config=names)
    return found


@st.cache_data(max_entries=16, show_spinner="Looking into the files")
def _sample(_given: list, files: tuple[str, ...], allowed: tuple[str, ...]) -> Sample:  # noqa: ARG001 (the key)
    with tempfile.TemporaryDirectory() as folder:
        return uploads.sample(uploads.lay(_given, Path(folder), allowed)[0])


def _columns_of_traffic(layout: Layout, found: Sample | None, several: bool) -> Columns:
    """Which column plays which role; those of a layout with fixed names are not asked for."""
    if found is None or layout in ("telecom-italia", "c2tm"):
        return {}
    likely = {role: display(column) for role, column in likely_columns(found.columns, found.rows, layout).items()}
    optional = sessions.OPTIONAL if layout == "sessions" else ()
    choices = {role: [*([ABSENT] if role in optional else []), *found.columns] for role in LAYOUTS[layout].COLUMNS}
    if likely.get("timestamp") not in (*found.columns, None):
        choices["timestamp"].append(likely["timestamp"])
    if layout == "long" and several and "station_id" not in likely:
        choices["station_id"].append(OF_FILE)
        likely["station_id"] = OF_FILE
    return _chosen("Columns of the traffic", "traffic:", choices, likely, found.columns)


def _columns_of_stations(found: Sample | None) -> Columns:
    if found is None:
        return {}
    likely = {role: display(column) for role, column in likely_columns(found.columns, found.rows, None).items()}
    located = found.name.endswith(("json",))
    roles = [role for role in PLACES if not located or role not in ("lon", "lat")]
    choices = {role: [*([ABSENT] if role in OPTIONAL_OF_STATIONS else []), *found.columns] for role in roles}
    return _chosen("Columns of the places", "stations:", choices, likely, found.columns)


def _chosen(
    title: str, which: str, choices: dict[str, list[str]], likely: dict[str, str], header: list[str]
) -> Columns:
    """A box for each role, with the likely column chosen."""
    st.caption(title)
    chosen: Columns = {}
    sides = st.columns(max(3, min(len(choices), 5)), gap="small")
    for number, (role, names) in enumerate(choices.items()):
        with sides[number % len(sides)]:
            picked = st.selectbox(
                ROLE_NAMES[role],
                names,
                index=names.index(likely[role]) if likely.get(role) in names else (0 if ABSENT in names else None),
                key=f"{title}-{role}-{'|'.join(header)[:200]}",
                placeholder="Choose a column",
            )
        if picked != ABSENT:
            chosen[f"{which}{role}"] = picked
    return chosen


def _meaning() -> list[str]:
    """What the numbers, times and coordinates mean."""
    first, second, third, fourth = st.columns(4, gap="small")
    interval = first.selectbox(
        "Interval",
        list(INTERVALS),
        index=2,
        format_func=INTERVALS.__getitem__,
        key="import_interval",
        help="Values are summed into intervals of this length.",
    )
    zones = sorted(available_timezones())
    here = st.context.timezone or "UTC"
    zone = second.selectbox(
        "Time zone of the city",
        zones,
        index=zones.index(here if here in zones else "UTC"),
        key="import_timezone",
        help="Times without an offset are taken as local times of this zone.",
    )
    unit = third.text_input("Unit", key="import_unit", placeholder="MB", max_chars=20)
    system = fourth.selectbox(
        "Coordinates",
        list(SYSTEMS),
        format_func=lambda code: SYSTEMS.get(code, code),
        key="import_crs",
        accept_new_options=True,
        help="Maps made in China are offset by some hundred metres. Any other EPSG code can be typed.",
    )
    coordinates = st.selectbox(
        "Places",
        list(COORDINATES),
        format_func=COORDINATES.__getitem__,
        key="import_coordinates",
        help="Of anonymised data, places are often made up, or not known at all.",
    )
    words = {"interval": interval, "timezone": zone, "crs": system} | ({"unit": unit.strip()} if unit.strip() else {})
    return [
        *(f"--{name}={value}" for name, value in words.items()),
        f"--coordinates={coordinates}",
    ]


def _strictness() -> list[str]:
    left, right = st.columns(2, gap="small")
    duplicate = left.selectbox(
        "Two values of one station and time",
        list(DUPLICATES),
        format_func=DUPLICATES.__getitem__,
        key="import_duplicate",
    )
    unknown = right.selectbox(
        "Stations without traffic, traffic without a station",
        list(UNKNOWN),
        format_func=UNKNOWN.__getitem__,
        key="import_unknown",
    )
    return [f"--on-duplicate={duplicate}", f"--on-unknown={unknown}"]


def _begin(city: City, given: list, placed: list, lacking: list[str], options: list[str]) -> None:
    """Where the city goes, and the button."""
    into, button = st.columns([5, 2], gap="medium", vertical_alignment="bottom")
    with into:
        replacing = cities.editable(city.path) and city.meta.generator is None
        target = "new"
        if replacing:
            names = {"new": "A new city", "this": f"Replace the traffic of {literal(city.meta.name)}"}
            target = st.radio("Into", list(names), format_func=names.__getitem__, horizontal=True, key="import_into")
        name = ""
        if target == "new":
            name = st.text_input("Name of the city", key="import_name", max_chars=80, placeholder="Milan").strip()
    lacking = [*lacking, *([] if name or target == "this" else ["a name"])]
    if target == "this" and city.meta.unit and not any(option.startswith("--unit=") for option in options):
        options = [*options, f"--unit={city.meta.unit}"]
    clicked = button.button(
        "Import",
        icon=":material/upload:",
        type="primary",
        disabled=bool(lacking),
        help=f"Still to be given: {', '.join(lacking)}." if lacking else None,
        width="stretch",
        key="import_start",
    )
    if clicked:
        _start(city.path if target == "this" else None, name, given, placed, options)


def _start(folder: Path | None, name: str, given: list, placed: list, options: list[str]) -> None:
    """Lay the files into the folder of a job and start it."""
    laid: Path | None = None
    try:
        words = list(options)
        city = folder or cities.new_folder(name)
        laid = background.new_folder(city)
        uploads.lay(given, laid / background.INPUT / TRAFFIC, uploads.TRAFFIC)
        words.append(f"--traffic={background.INPUT}/{TRAFFIC}")
        for file in uploads.lay(placed, laid / background.INPUT / STATIONS, uploads.STATIONS):
            words.append(f"--stations={file.relative_to(laid)}")
    except UserError as error:
        st.error(literal(error), icon=":material/error:")
        if laid is not None:
            background.discard(laid)
        return
    if jobs.start(city, "import", [*words, *([f"--name={name}"] if name else [])], laid) is None:
        background.discard(laid)
    st.rerun()


def column_words(columns: Columns, header: Sequence[str]) -> list[str]:
    """The options that say which column is which; what is no one column of the `header` is found by the import itself."""
    return [
        f"--column={role}={name}" for role, name in columns.items() if name in header or role.startswith("stations:")
    ]
