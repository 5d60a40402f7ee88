"""The form that makes a city from files: what they hold, which column is what, a look before anything is written, the import.

The files are uploaded once. A look, and an import that failed, keep them (`drafts`), so that one choice is corrected and the
same files are tried again.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import available_timezones

import streamlit as st

from lecdiff_core.city.folder import City
from lecdiff_core.city.holidays import countries
from lecdiff_core.city.importers import sessions
from lecdiff_core.city.importers.column_roles import OPTIONAL_OF_STATIONS, PLACES
from lecdiff_core.city.importers.columns import display
from lecdiff_core.city.importers.importing import LAYOUTS, likely_columns
from lecdiff_core.errors import UserError
from lecdiff_core.jobs import background
from lecdiff_core.jobs.background import Job
from pages.parts.data import cities
from pages.parts.data.reading import read_once
from pages.parts.look import formats, wording
from pages.parts.look.formats import literal
from pages.parts.look.markup import blocks
from pages.parts.steps import drafts, import_report, jobs, uploads
from pages.parts.steps.drafts import STATIONS, TRAFFIC, Side
from pages.parts.steps.uploads import Sample

LAYOUT_NAMES: dict[str, str] = {
    "long": "One value a row: station, time, traffic",
    "wide": "A column a station",
    "sessions": "Session records: one data connection a row",
    "telecom-italia": "Telecom Italia (Milan, Trentino)",
    "c2tm": "City Cellular Traffic Map (C2TM)",
}
INTERVALS = {
    "5min": "5 minutes",
    "10min": "10 minutes",
    "15min": "15 minutes",
    "30min": "30 minutes",
    "1h": "1 hour",
    "2h": "2 hours",
    "3h": "3 hours",
    "4h": "4 hours",
    "6h": "6 hours",
    "8h": "8 hours",
    "12h": "12 hours",
    "24h": "1 day",
}
USUAL_INTERVAL = "30min"
DATES = {
    "": "As they look",
    "%d/%m/%Y %H:%M": "31/12/2024 23:45 (day first)",
    "%m/%d/%Y %H:%M": "12/31/2024 23:45 (month first)",
    "%d.%m.%Y %H:%M": "31.12.2024 23:45",
    "%Y%m%d%H%M": "202412312345",
}
SYSTEMS = {"EPSG:4326": "WGS 84 (GPS)", "gcj02": "GCJ-02 (Amap, Tencent)", "bd09": "BD-09 (Baidu)"}
COORDINATES = {
    "true": "As they are",
    "nominal": "Not real, only which stations are neighbours",
    "none": "Not known: no list of places is needed",
}
NO_PLACES = "--coordinates=none"
DUPLICATES = {"error": "Stop and tell me", "sum": "Add them up", "last": "Keep the last"}
UNKNOWN = {"error": "Stop and tell me", "drop": "Leave them out"}
DECIMALS = {"": "As they look", ".": "Point: 1,234.5", ",": "Comma: 1.234,5"}
MISSING = ("-1", "-999", "-9999")  # the most usual texts, besides those that every import takes so
ABSENT = "(none)"
OF_FILE = "(the name of the file)"
EMPTIED = "import_emptied"  # how often the boxes for uploads were emptied
WORDS_OF_FILES = (f"--{TRAFFIC}=", f"--{STATIONS}=")
Columns = dict[str, str | None]  # role: name of the column


@dataclass(frozen=True)
class Target:
    """Where the city goes: into a folder that is a city, or into a new one of this name."""

    folder: Path | None
    name: str


def form(city: City) -> None:
    """The form, from the files to what a look found in them."""
    draft = drafts.chosen()
    if draft is not None and drafts.key("layout") not in st.session_state:
        drafts.recall(draft, city.path)
    traffic, of_traffic, places, of_places = _files(draft)
    layout: str = st.selectbox(
        "Layout of the traffic", list(LAYOUT_NAMES), format_func=LAYOUT_NAMES.__getitem__, key=drafts.key("layout")
    )
    several = len(traffic.uploaded or traffic.stored) > 1
    columns = {**_columns_of_traffic(layout, of_traffic, several), **_columns_of_stations(of_places)}
    options = [f"--layout={layout}", *_meaning(), *_more()]
    placeless = NO_PLACES in options
    if placeless:
        columns = {role: name for role, name in columns.items() if name or role not in ("stations:lon", "stations:lat")}
    options += column_words(columns, of_traffic.columns if of_traffic else [])
    target = _target(city)
    if target.folder and city.meta.unit and not any(word.startswith("--unit=") for word in options):
        options.append(f"--unit={city.meta.unit}")
    options += [f"--name={target.name}"] if target.name else []
    lacking = [
        *([] if of_traffic else ["the traffic"]),
        *([] if of_places or layout == "sessions" or placeless else ["the places of the stations"]),
        *(["which column is which"] if None in columns.values() else []),
        *([] if target.folder or target.name else ["a name"]),
    ]
    _begin(target, draft, [traffic, places], options, lacking)


# ---- the files


def _files(draft: Job | None) -> tuple[Side, Sample | None, Side, Sample | None]:
    """The boxes for both kinds of files, with the first rows of each."""
    left, right = st.columns(2, gap="medium")
    emptied = st.session_state.setdefault(EMPTIED, 0)
    with left:
        uploaded_before = _show_stored("Traffic", TRAFFIC, draft)
        given = st.file_uploader(
            "Take other files instead" if uploaded_before else "Traffic",
            type=list(uploads.TRAFFIC),
            accept_multiple_files=True,
            key=f"import_traffic-{emptied}",
            max_upload_size=uploads.LARGEST_MB,
            help="CSV (also gzipped), Parquet, Excel, or a zip of several such files.",
        )
        traffic = drafts.side(TRAFFIC, list(given), draft)
        of_traffic = _look(traffic)
    with right:
        uploaded_before = _show_stored("Places", STATIONS, draft)
        placed = st.file_uploader(
            "Take another file instead" if uploaded_before else "Places of the stations",
            type=list(uploads.STATIONS),
            key=f"import_stations-{emptied}",
            max_upload_size=uploads.LARGEST_MB,
            help="CSV, Excel or Parquet with longitude and latitude, or GeoJSON. Session records may carry their own places.",
        )
        places = drafts.side(STATIONS, [placed] if placed else [], draft)
        return traffic, of_traffic, places, _look(places)


def _show_stored(title: str, kind: str, draft: Job | None) -> bool:
    """Name the files that need not be uploaded again, beside a button that lets them go; whether there are such."""
    files = drafts.side(kind, [], draft).stored
    if draft is None or not files:
        return False
    summary, button = st.columns([7, 3], gap="small", vertical_alignment="center")
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    size = formats.amount(sum(file.stat().st_size for file in files), "B")
    summary.markdown(f"{title}: **{literal(formats.shortened(files[0].name, 24))}**{more}, {literal(size)}")
    button.button(
        "Remove",
        key=f"import_remove-{kind}",
        disabled=draft.state == "running",
        on_click=drafts.remove,
        args=(draft, kind),
        width="stretch",
    )
    return True


def _look(side: Side) -> Sample | None:
    """The first rows of the first file, or why it cannot be used."""
    if not side:
        return None
    try:
        if side.uploaded:
            sample = _sample(side.uploaded, tuple(one.file_id for one in side.uploaded), drafts.ALLOWED[side.kind])
        else:
            sample = _stored_sample(side.stored[0])
    except UserError as error:
        st.error(literal(error), icon=":material/error:")
        return None
    st.caption(f"First rows of {literal(sample.name)}")
    rows = [dict(zip(map(str, range(len(sample.columns))), row, strict=False)) for row in sample.rows]
    names = {str(number): formats.shortened(name, 30) for number, name in enumerate(sample.columns)}
    st.dataframe(rows, hide_index=True, height="content", column_config=names)
    return sample


@st.cache_data(max_entries=16, show_spinner="Looking into the files")
def _sample(_given: list, files: tuple[str, ...], allowed: tuple[str, ...]) -> Sample:  # noqa: ARG001 (the key)
    with tempfile.TemporaryDirectory() as folder:
        return uploads.sample(uploads.lay(_given, Path(folder), allowed)[0])


@read_once(lambda file: [file], entries=16, spinner="Looking into the files")
def _stored_sample(file: Path) -> Sample:
    return uploads.sample(file)


# ---- which column is what


def _columns_of_traffic(layout: str, sample: Sample | None, several: bool) -> Columns:
    """Which column plays which role; those of a layout with fixed names are not asked for."""
    if sample is None or layout in ("telecom-italia", "c2tm"):
        return {}
    likely = {role: display(column) for role, column in likely_columns(sample.columns, sample.rows, layout).items()}
    optional = sessions.OPTIONAL if layout == "sessions" else ()
    choices = {role: [*([ABSENT] if role in optional else []), *sample.columns] for role in LAYOUTS[layout].COLUMNS}
    if likely.get("timestamp") not in (*sample.columns, None):
        choices["timestamp"].append(likely["timestamp"])
    if layout == "long" and several and "station_id" not in likely:
        choices["station_id"].append(OF_FILE)
        likely["station_id"] = OF_FILE
    return _chosen("Columns of the traffic", "traffic:", choices, likely, sample.columns)


def _columns_of_stations(sample: Sample | None) -> Columns:
    if sample is None:
        return {}
    likely = {role: display(column) for role, column in likely_columns(sample.columns, sample.rows, None).items()}
    located = sample.name.endswith(("json",))
    roles = [role for role in PLACES if not located or role not in ("lon", "lat")]
    choices = {role: [*([ABSENT] if role in OPTIONAL_OF_STATIONS else []), *sample.columns] for role in roles}
    return _chosen("Columns of the places", "stations:", choices, likely, sample.columns)


def _chosen(
    title: str, which: str, choices: dict[str, list[str]], likely: dict[str, str], header: list[str]
) -> Columns:
    """A box for each role, with the likely column chosen."""
    st.caption(title)
    chosen: Columns = {}
    recalled = st.session_state.get(drafts.COLUMNS, {})
    sides = st.columns(max(3, min(len(choices), 5)), gap="small")
    for number, (role, names) in enumerate(choices.items()):
        best = next((one for one in (recalled.get(f"{which}{role}"), likely.get(role)) if one in names), None)
        with sides[number % len(sides)]:
            picked = st.selectbox(
                wording.ROLES[role],
                names,
                index=names.index(best) if best else (0 if ABSENT in names else None),
                key=f"{title}-{role}-{'|'.join(header)[:200]}",
                placeholder="Choose a column",
            )
        if picked != ABSENT:
            chosen[f"{which}{role}"] = picked
    return chosen


# ---- what it means


def _meaning() -> list[str]:
    """What the numbers, times and coordinates mean."""
    first, second, third, fourth = st.columns(4, gap="small")
    interval = first.selectbox(
        "Interval",
        list(INTERVALS),
        index=list(INTERVALS).index(USUAL_INTERVAL),
        format_func=INTERVALS.__getitem__,
        key=drafts.key("interval"),
        help="Values are summed into intervals of this length.",
    )
    zones = sorted(available_timezones())
    here = st.context.timezone or "UTC"
    zone = second.selectbox(
        "Time zone of the city",
        zones,
        index=zones.index(here if here in zones else "UTC"),
        key=drafts.key("timezone"),
        help="Times without an offset are taken as local times of this zone.",
    )
    unit = third.text_input("Unit", key=drafts.key("unit"), placeholder="MB", max_chars=20).strip()
    coordinates = fourth.selectbox(
        "Places",
        list(COORDINATES),
        format_func=COORDINATES.__getitem__,
        key=drafts.key("coordinates"),
        help="Of anonymised data, places are often made up, or not known at all.",
    )
    words = {"interval": interval, "timezone": zone, "coordinates": coordinates} | ({"unit": unit} if unit else {})
    return [f"--{name}={value}" for name, value in words.items()]


def _more() -> list[str]:
    """What is seldom needed."""
    with st.expander("More options", key="import_more"):
        first, second, third = st.columns(3, gap="small")
        system = first.selectbox(
            "Coordinates",
            list(SYSTEMS),
            format_func=lambda code: SYSTEMS.get(code, code),
            key=drafts.key("crs"),
            accept_new_options=True,
            help="Maps made in China are offset by some hundred metres. Any other EPSG code can be typed.",
        )
        duplicate = second.selectbox(
            "Two values of one station and time",
            list(DUPLICATES),
            format_func=DUPLICATES.__getitem__,
            key=drafts.key("on-duplicate"),
        )
        unknown = third.selectbox(
            "Traffic or station without the other",
            list(UNKNOWN),
            format_func=UNKNOWN.__getitem__,
            key=drafts.key("on-unknown"),
            help="Stations without traffic, and traffic without a station.",
        )
        fourth, fifth, sixth, seventh = st.columns(4, gap="small")
        dates = fourth.selectbox(
            "How times are written",
            list(DATES),
            format_func=lambda code: DATES.get(code, code),
            key=drafts.key("date-format"),
            accept_new_options=True,
            help="Where their looks do not say it. Any other form can be typed: %Y year, %m month, %d day, %H hour, "
            "%M minute, %S second.",
        )
        decimal = fifth.selectbox(
            "Decimals",
            list(DECIMALS),
            format_func=DECIMALS.__getitem__,
            key=drafts.key("decimal"),
            help="Where the numbers do not tell: 1.234 is a thousand in one country, and one and a bit in another.",
        )
        missing: list[str] = sixth.multiselect(
            "Texts for a missing value",
            MISSING,
            key=drafts.key(drafts.MISSING),
            accept_new_options=True,
            placeholder="such as -999",
            help="Beside empty cells, NA, NaN, null and their like.",
        )
        country = seventh.selectbox(
            "Public holidays of",
            ["", *countries()],
            format_func=lambda code: code or "No country",
            key=drafts.key("country"),
            accept_new_options=True,
            help="Models treat these days like Sundays. A part of a country can be typed, such as DE-BY.",
        )
    words = {"crs": system, "on-duplicate": duplicate, "on-unknown": unknown, "date-format": dates, "decimal": decimal}
    words |= {"country": country}
    return [*(f"--{name}={value}" for name, value in words.items() if value), *(f"--na={text}" for text in missing)]


# ---- the buttons, and their results


def _target(city: City) -> Target:
    """Where the city goes."""
    if cities.editable(city.path) and city.meta.generator is None:
        names = {"new": "A new city", "this": f"Replace the traffic of {literal(city.meta.name)}"}
        into = st.radio("Into", list(names), format_func=names.__getitem__, horizontal=True, key=drafts.key("into"))
        if into == "this":
            return Target(city.path.resolve(), "")
    name = st.text_input("Name of the city", key=drafts.key("name"), max_chars=80, placeholder="Milan")
    return Target(None, name.strip())


def _begin(target: Target, draft: Job | None, sides: list[Side], words: list[str], lacking: list[str]) -> None:
    busy = draft is not None and draft.state == "running"
    why = "It is at work on these files." if busy else f"Still to be given: {', '.join(lacking)}." if lacking else None
    with st.container(horizontal=True, gap="small"):
        look = st.button(
            "Look before importing",
            icon=":material/visibility:",
            disabled=bool(why),
            help=why or "Reads all of it and says what would be imported. Nothing is written.",
            key="import_look",
        )
        act = st.button(
            "Import", icon=":material/upload:", type="primary", disabled=bool(why), help=why, key="import_start"
        )
    if look or act:
        _start(target, draft, sides, [*words, *([background.LOOK] if look else [])])
    if draft is not None:
        _outcome(draft, sides, words)


def _start(target: Target, draft: Job | None, sides: list[Side], words: list[str]) -> None:
    """Give the files to a new job and start it; where that is refused, they stay where they were."""
    try:
        folder = target.folder or cities.new_folder(target.name)
        laid = drafts.carry(folder, draft, sides)
    except UserError as error:
        st.error(literal(error), icon=":material/error:")
        return
    given = laid / background.INPUT
    files = [f"--{TRAFFIC}={background.INPUT}/{TRAFFIC}"]
    files += [f"--{STATIONS}={file.relative_to(laid)}" for file in given.glob(f"{STATIONS}/*")]
    if jobs.start(folder, "import", [*words, *files], laid) is None:
        drafts.give_back(laid, draft, sides)
    else:
        drafts.follow(laid, draft)
        st.session_state[EMPTIED] += 1
    st.rerun()


def _outcome(draft: Job, sides: list[Side], words: list[str]) -> None:
    """What was observed of the last try with these files."""
    if draft.state == "running":
        st.info("The files are being read; how far that is stands under Jobs.", icon=":material/autorenew:")
    elif draft.state == "failed":
        st.error(literal(jobs.problem(draft)), icon=":material/error:")
        st.caption("Nothing was written. The files are kept: change what is wrong above, and try again.")
    elif draft.is_look and draft.state == "done" and (report := import_report.report_of(draft)):
        st.html(blocks.part("What would be imported"))
        last = {word for word in draft.order.options if not word.startswith(WORDS_OF_FILES)}
        if last - {background.LOOK} != set(words) or any(side.uploaded for side in sides):
            st.warning(
                "Choices have changed since this look. Look again to see what they change.", icon=":material/history:"
            )
        import_report.show(report, draft.id)
    elif draft.state in ("stopped", "died"):
        st.caption("Nothing was written. The files are kept: try again when you like.")


def column_words(columns: Columns, header: Sequence[str]) -> list[str]:
    """The options that say which column is which; what is no one column of the `header` is found by the import itself."""
    return [
        f"--column={role}={name}" for role, name in columns.items() if name in header or role.startswith("stations:")
    ]
