"""What an import found in its files, or did with them: figures, lengths of readings, columns by role, places on a map, notices."""

from datetime import datetime

import pandas as pd
import pydeck
import streamlit as st
from markupsafe import Markup
from pydantic import ValidationError

from lecdiff_core.city.extent import Extent
from lecdiff_core.city.importers.importing import ImportReport
from lecdiff_core.jobs.background import Job
from pages.parts.data import places
from pages.parts.look import colours, formats, tables, wording
from pages.parts.look.markup import blocks
from pages.parts.map import basemap, station_map

MAP = (540, 300)  # pixels across that it has at least, and in height
LEFT_OUT = {
    "stations_without_traffic": "Stations without traffic",
    "traffic_without_station": "Traffic without a station",
    "sharing_a_place": "Stations that share their place",
}


def report_of(job: Job) -> ImportReport | None:
    """What an import, or a look before it, reported; None where it said nothing that this version understands."""
    try:
        return ImportReport.model_validate(job.result())
    except ValidationError:
        return None


def brief(report: ImportReport) -> str:
    """Figures and notices as HTML."""
    notices, where = _notices(report), {"Places": _where(report.extent)} if report.extent else {}
    return tables.facts(_figures(report) | where) + (tables.items(notices) if notices else "")


def show(report: ImportReport, key: str) -> None:
    """All of it, as wide as there is room."""
    st.html(tables.facts(_figures(report)))
    if notices := _notices(report):
        st.html(blocks.paragraph("To be known", "sub") + tables.items(notices))
    if len(report.cadences) > 1:
        st.html(blocks.paragraph("Readings are of several lengths", "sub") + _lengths(report))
    if report.columns:
        st.html(_columns(report))
    if report.points:
        _map(report, key)
    elif report.coordinates == "none":
        st.html(blocks.paragraph("Nothing is known of places: there is no map.", "sub"))


def _figures(report: ImportReport) -> dict[str, str]:
    totals = report.station_totals
    figures = {
        "Stations": f"{report.stations:,}",
        "Intervals": f"{report.steps:,} of {report.interval}",
        "From": _moment(report.start),
        "Until": _moment(report.end),
        "Time zone": report.timezone,
        "Readings of": report.source_interval or "single sessions",
        "Rows read": f"{report.rows:,}",
        "Rows left out": f"{report.rows_dropped:,}",
        "Intervals missing": formats.share(report.missing_share),
        "Unit": report.unit or "none given",
        "Traffic in all": formats.amount(report.total, report.unit),
        "Of a station, median": formats.amount(totals.median, report.unit),
        "Least": formats.amount(totals.least, report.unit),
        "Most": formats.amount(totals.most, report.unit),
    }
    rare = {
        "Incomplete, so missing": report.incomplete,
        "Duplicates resolved": report.duplicates,
        "Stations left out": report.stations_without_traffic.count,
    }
    return figures | {name: f"{count:,}" for name, count in rare.items() if count}


def _where(extent: Extent) -> str:
    width, height = (formats.distance(1000 * km) for km in (extent.width_km, extent.height_km))
    return f"{width} × {height} around {formats.position(extent.lon, extent.lat)}"


def _moment(time: datetime) -> str:
    return f"{formats.day(pd.Timestamp(time))}, {time:%H:%M}"


def _lengths(report: ImportReport) -> str:
    """The groups of stations by the length of their readings."""
    rows = [(one.interval, str(one.stations), _moment(one.start), _moment(one.end)) for one in report.cadences]
    return tables.table(("A reading every", "Stations", "From", "Until"), rows)


def _columns(report: ImportReport) -> str:
    """Which column was taken for which role, in both files."""
    traffic, stations = (report.columns.get(which, {}) for which in ("traffic", "stations"))
    roles = dict.fromkeys([*traffic, *stations])
    rows = [(wording.ROLES.get(role, role), traffic.get(role, "–"), stations.get(role, "–")) for role in roles]
    return tables.table(("Taken as", "Column of the traffic", "Column of the places"), rows)


def _notices(report: ImportReport) -> list[str]:
    named = {what: getattr(report, field) for field, what in LEFT_OUT.items()}
    left_out = [f"{what}: {some}" for what, some in named.items() if some.count]
    return [*left_out, *(wording.on_the_page(notice) for notice in report.notices)]


def _map(report: ImportReport, key: str) -> None:
    """Where stations stand, over satellite imagery where their places are real and it can be reached."""
    template = basemap.arcgis() if report.coordinates == "true" else None
    lon, lat = zip(*((x, y) for _, x, y in report.points), strict=True)
    bounds = (min(lon), min(lat), max(lon), max(lat))
    points = pydeck.Layer(
        "ScatterplotLayer",
        data=[{"position": [x, y], "label": name} for name, x, y in report.points],
        get_position="position",
        get_fill_color=[*colours.rgb(colours.ALIKE), 235],
        get_radius=5,
        radius_units="'pixels'",
        stroked=True,
        get_line_color=[255, 255, 255, 220],
        line_width_units="'pixels'",
        get_line_width=1,
        pickable=True,
    )
    st.pydeck_chart(
        pydeck.Deck(
            layers=[points],
            initial_view_state=pydeck.ViewState(**station_map.view_over(bounds, MAP)),
            map_provider="maplibre",
            map_style=basemap.style_over(template),
            tooltip={"text": "{label}", "style": station_map.TOOLTIP},
        ),
        height=MAP[1],
        key=f"places-{key}",
        alt=f"Map of {len(lon)} stations",
    )
    sentences = [f"{_where(report.extent)}."] if report.extent else []
    sentences += [f"{len(lon):,} of {report.stations:,} stations are drawn."] if len(lon) < report.stations else []
    sentences += [places.SENTENCES[report.coordinates]] if report.coordinates in places.SENTENCES else []
    words = blocks.paragraph(" ".join(sentences), "sub") if sentences else Markup()
    credit = basemap.esri_attribution() if template else Markup()
    if words or credit:
        st.html(words + credit)
