"""The panel beside the map: the city as a whole, or one station with its chip, its facts and its forecast."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import streamlit as st
from markupsafe import Markup
from streamlit.delta_generator import DeltaGenerator

from lecdiff_core.city.folder import City
from lecdiff_core.environment.imagery.terms import IMAGERY_NAME
from lecdiff_core.errors import UserError
from lecdiff_core.models.names import BASE
from pages.parts.charts import exports, forecast_charts, report
from pages.parts.data import areas, cities, forecasts, surroundings, traffic_levels
from pages.parts.data.areas import Area
from pages.parts.data.cities import Place
from pages.parts.data.forecasts import Fan, PastCoverage
from pages.parts.data.network_forecast import EVERYTHING
from pages.parts.look import colours, formats, tables
from pages.parts.look.markup import blocks, stations
from pages.parts.map import basemap, views
from pages.parts.state import session
from pages.parts.state.widget_keys import keyed
from pages.parts.station import description, live_map
from pages.parts.steps import missing

BUSIEST = 6
HISTORIES = {
    "24 h": pd.Timedelta("1D"),
    "2 days": pd.Timedelta("2D"),
    "7 days": pd.Timedelta("7D"),
    "All": pd.Timedelta("36500D"),
}
USUAL_HISTORY, PATHS_SHOWN = "2 days", 12
HISTORY_BOX, PATHS_BOX = "chart_history", "chart_paths"
MOST_UNASKED = 2000  # stations that are forecast without being asked for
NETWORK_ASKED, AREA_BOX = "network_asked", "area_box"
COORDINATES = {
    "true": "true",
    "nominal": "nominal: neighbourhood is real, position is not",
    "none": "none: nothing is known of places",
}
ARROW_BACK = ":material/arrow_back:"


def city_title(city: City) -> None:
    """The head of every page: which city this is."""
    size, step = f"{len(city.station_ids):,} stations", formats.duration(city.interval)
    span = f"{formats.day(city.traffic.index[0])} to {formats.day(city.traffic.index[-1])}"
    st.html(blocks.heading(city.meta.name, 1) + blocks.paragraph(f"{size} · a value every {step} · {span}", "sub"))


def about(city: City) -> None:
    """What is known of the city folder."""
    if city.meta.generator:
        st.html("<p>A fictional town. Map, traffic and events are synthetic and show no real place.</p>")
    facts = {
        "Time zone": city.meta.timezone,
        "Unit": formats.rate(city.meta.unit or "traffic", city.interval),
        "Coordinates": COORDINATES[city.meta.coordinates],
        "Imagery": {"arcgis": IMAGERY_NAME, "local": "in the city folder"}.get(city.meta.imagery, "tile server"),
        "Models": ", ".join(city.models()) or "none yet",
        "Folder": str(city.path),
    }
    st.html(blocks.within("about", [tables.facts(facts)]))


def overview(city: City, origin: pd.Timestamp) -> None:
    """No station chosen: what the city as a whole carries, and where to begin."""
    values = traffic_levels.at(city, origin)
    total, reporting = float(np.nansum(values)), int(np.isfinite(values).sum())
    facts = {
        f"Load {city.last_before(origin):%H:%M}–{origin:%H:%M}": formats.amount(total, city.meta.unit),
        "Stations reporting": f"{reporting:,} of {len(values):,}",
        "Values missing": formats.share(float(np.isnan(city.traffic.to_numpy()).mean())),
    }
    st.html(blocks.heading("All stations") + tables.facts(facts))
    _network(city, origin)
    st.html(blocks.paragraph(f"Busiest before {origin:%H:%M}", "label"))
    with st.container(horizontal=True, gap="small"):
        for station_id, load in traffic_levels.busiest(city, origin, BUSIEST):
            label = f"{formats.literal(station_id)} · {formats.amount(load, city.meta.unit)}"
            st.button(
                label, key=f"busy-{station_id}", on_click=session.select, args=(station_id, city), type="tertiary"
            )


def network_is_forecast(city: City) -> bool:
    """Whether all stations are forecast together on this page: where it takes a moment, or was asked for."""
    return len(city.station_ids) <= MOST_UNASKED or bool(st.session_state.get(NETWORK_ASKED, False))


def _network(city: City, origin: pd.Timestamp) -> None:
    """What all stations carry together, before and, where it is not too much to compute unasked, ahead."""
    asked, fan = network_is_forecast(city), None
    if asked and (result := views.forecast_of(city, origin).result):
        fan = result.together
    figure = forecast_charts.fan_chart(city, fan.stations if fan else city.station_ids, origin, fan)
    st.plotly_chart(
        figure, key="total", config=forecast_charts.CONFIG, alt="Observed and forecast load of all stations"
    )
    if fan:
        st.html(blocks.paragraph(" ".join([_expected(city, fan), _came_true(city, fan)])))
        exports.buttons(city, {EVERYTHING: fan}, origin)
    elif asked:
        live_map.wait(city, origin)
    elif st.button("Forecast all stations", icon=":material/play_arrow:"):
        st.session_state[NETWORK_ASKED] = True
        st.rerun()


def station(place: Place, city: City, station_id: str, origin: pd.Timestamp) -> Callable[[], None] | None:
    """One station: heading, chip and facts, the forecast made at `origin`, and the way on.

    Returns what is worth knowing but takes too long to be waited for, to be done once the page stands; None without a forecast.
    """
    heading(city, station_id)
    known = traffic_levels.facts(city, station_id)
    facts = _station_facts(city, known)
    st.html(blocks.within("card", [chip(place, city, station_id), tables.facts(facts)]))
    said = _said(city, station_id)
    later = forecast(city, _choose_area(city, station_id), origin, facts, said)
    _alike(city, station_id)
    _nearest(city, known)
    return later


def _choose_area(city: City, station_id: str) -> Area:
    """What is forecast as one: the station alone, or with those around it."""
    offered = areas.around(city, station_id)
    chosen = offered.get(session.area(), offered[""])
    if len(offered) > 1:
        st.selectbox(
            "Forecast of",
            list(offered),
            **keyed(AREA_BOX, chosen.key, session.widen),
            format_func=lambda key: offered[key].label if key in offered else key,
            label_visibility="collapsed",
            help="Samples of stations belong together, so that the sum of an area has an interval, a peak and a total of its own.",
        )
    return chosen


def heading(city: City, station_id: str) -> None:
    """Id and name of the chosen station, and the way back to all stations."""
    title, back = st.columns([5, 2], vertical_alignment="center")
    name = cities.station_names(city).get(station_id, "")
    title.html(blocks.heading(station_id) + (blocks.paragraph(name, "sub") if name else ""))
    with back.container(horizontal_alignment="right"):
        st.button("All stations", icon=ARROW_BACK, on_click=session.select, args=(None, city), type="tertiary")


def _said(city: City, station_id: str) -> str:
    """The first sentence of what was said of the station's chip, and the way to all of it. Returns all that was kept."""
    try:
        described = surroundings.descriptions(city).get(station_id)
    except UserError:
        return ""  # the Environment page tells it
    first = description.first_sentence(described[0]) if described else ""
    words, more = st.columns([7, 2], gap="small", vertical_alignment="center")
    words.html(blocks.paragraph(first or "No description of its surroundings yet.", "said"))
    more.page_link("pages/environment.py", label="Surroundings", icon=":material/image_search:")
    return described[0].kept_text if described else ""


def chip(place: Place, city: City, station_id: str, look: str = "lec-chip") -> Markup:
    """The satellite image of a station as HTML, or a word where there is none."""
    lacking = "No satellite chip of this station yet" if city.has_places else "Its place is not known"
    source = basemap.chip_address(place, station_id) if city.chip(station_id) else ""
    return stations.chip(look, source, station_id, lacking)


def _station_facts(city: City, known: traffic_levels.Facts) -> dict[str, str]:
    unit, per = city.meta.unit, f" / {formats.duration(city.interval)}"
    hour = known.busiest_hour
    facts = {
        f"Mean load{per}": formats.amount(known.mean, unit),
        f"Peak load{per}": formats.amount(known.peak, unit),
        "Busiest hour": "–" if hour is None else f"{hour:02d}:00 – {(hour + 1) % 24:02d}:00",
        "Missing": formats.share(known.missing),
    }
    if known.capacity is not None:
        facts[f"Capacity{per}"] = formats.amount(known.capacity, unit)
    if known.place is None:
        return facts | {"Position": "not known"}
    nominal = "" if city.has_true_places else " (nominal)"
    return facts | {"Position": formats.position(*known.place) + nominal}


def forecast(
    city: City, area: Area, origin: pd.Timestamp, facts: dict[str, str] | None = None, said: str = ""
) -> Callable[[], None] | None:
    """The forecast of an area as a chart and in words, how earlier ones held, and what can be saved of it.

    `facts` and `said` go into the report of a station alone. Returns the check of earlier forecasts, to be done last.
    """
    model, capacity = forecasts.model_of(city), traffic_levels.total_capacity(city, area.stations)
    fan, trouble = None, ""
    try:
        with st.spinner("Forecasting", show_time=False):
            fan = forecasts.fan_of(city, model, area.stations, origin, area.name)
    except UserError as error:
        trouble = str(error)
    history, paths = (
        HISTORIES[st.session_state.get(HISTORY_BOX) or USUAL_HISTORY],
        st.session_state.get(PATHS_BOX, False),
    )
    figure = forecast_charts.fan_chart(city, area.stations, origin, fan, capacity, history, PATHS_SHOWN if paths else 0)
    st.plotly_chart(figure, key="fan", config=forecast_charts.CONFIG, alt=f"Observed and forecast load of {area.name}")
    if fan is None:
        st.warning(f"No forecast: {formats.literal(trouble)}", icon=":material/error:")
        return None
    _choose_chart()
    words, trust = st.columns([7, 5], gap="medium")
    candidates = [
        _expected(city, fan),
        _risk(city, fan, capacity),
        _came_true(city, fan),
        forecasts.seen_before(city, model, origin),
    ]
    sentences = [sentence for sentence in candidates if sentence]
    with words:
        st.html(
            blocks.paragraph(" ".join(sentences))
            + blocks.paragraph(
                f"Model {model}, computed on {fan.device} in {1000 * fan.seconds:.0f}{formats.THIN}ms, "
                f"{forecasts.SAMPLES} samples",
                "made",
            )
        )
    with trust:
        slot = st.empty()
    for notice in fan.notices:
        st.caption(f":material/info: {formats.sentence(notice)}")
    if model == BASE:
        missing.offer("This city has no model of its own yet. To train one:", "train", city)

    def made_report() -> str:
        held = forecasts.past_coverage(city, list(forecasts.past_fans(city, model, area.stations, origin)), origin)
        return report.page(city, area.name, origin, fan, facts or {}, sentences, said, held)

    exports.buttons(city, {area.name: fan}, origin, made_report if facts and len(area.stations) == 1 else None)
    return lambda: _trust(slot, city, model, area.stations, origin)


def _choose_chart() -> None:
    """How much of the past the chart shows, and whether single futures are drawn."""
    with st.container(horizontal=True, gap="medium", vertical_alignment="center"):
        st.segmented_control(
            "Past shown",
            list(HISTORIES),
            default=None if HISTORY_BOX in st.session_state else USUAL_HISTORY,
            required=True,
            key=HISTORY_BOX,
            label_visibility="collapsed",
        )
        st.toggle(
            "Sampled futures",
            key=PATHS_BOX,
            help=f"The first {PATHS_SHOWN} of {forecasts.SAMPLES} futures, each a whole day that could come.",
        )


def _trust(slot: DeltaGenerator, city: City, model: str, stations: tuple[str, ...], origin: pd.Timestamp) -> None:
    """How often earlier forecasts of these stations held what was observed, drawn into `slot` as far as it is known."""
    fans: list[Fan] = []
    slot.html(_gauges(None))
    for fan in forecasts.past_fans(city, model, stations, origin):
        fans.append(fan)
        slot.html(_gauges(forecasts.past_coverage(city, fans, origin)))
    if not fans:
        slot.empty()


def _gauges(held: PastCoverage | None) -> str:
    """Share of past values inside each interval as a bar, with a mark where it should end."""
    if held is None or not held.count:
        return blocks.paragraph("Checking its forecasts of the days before …", "sub")
    rows = [
        (f"{mark}{formats.THIN}% interval", formats.share(share), f"{100 * share:.0f}", mark)
        for mark, share in ((50, held.inside_50), (90, held.inside_90))
    ]
    days = f"{held.days} days" if held.days > 1 else "day"
    return stations.gauges(report.coverage_sentence(held), days, rows)


def _expected(city: City, fan: Fan) -> str:
    """The day's highest interval and its total, each with the interval that holds it in nine of ten."""
    (low, peak, high), (least, total, most) = (
        [formats.amount(value, city.meta.unit) for value in values] for values in (fan.peak, fan.total)
    )
    length = formats.duration(len(fan.timestamps) * city.interval)
    return (
        f"Expected peak {peak}, most likely on {fan.peak_time:%a %H:%M}, in its 90{formats.THIN}% interval from {low} to {high}; "
        f"in all {total} over {length}, from {least} to {most}."
    )


def _risk(city: City, fan: Fan, capacity: float | None) -> str:
    """How likely the capacity is exceeded; empty where it is not known."""
    if capacity is None:
        return ""
    together = "capacity" if len(fan.stations) == 1 else "capacities together"
    limit, probability = formats.amount(capacity, city.meta.unit), fan.exceeding(capacity)
    if not probability:
        return f"None of {len(fan.samples)} sampled days exceeds its {together}, {limit}."
    return f"It exceeds its {together}, {limit}, with probability {formats.share(probability)}."


def _came_true(city: City, fan: Fan) -> str:
    """How much of what was observed since lay inside the intervals."""
    since = forecasts.observed(city, fan)
    seen = np.isfinite(since)
    if not seen.any():
        return "Nothing has been observed since; move the time back to compare a forecast with what was observed."
    inside = [
        int(((low <= since) & (since <= high))[seen].sum())
        for low, high in ((fan.low_50, fan.high_50), (fan.low_90, fan.high_90))
    ]
    count = int(seen.sum())
    return (
        f"Of the {count} values observed since, {formats.share(inside[0] / count)} lay inside the 50{formats.THIN}% "
        f"interval and {formats.share(inside[1] / count)} inside the 90{formats.THIN}% interval."
    )


def _alike(city: City, station_id: str) -> None:
    """The stations that stand in like surroundings, which the arcs on the map lead to."""
    alike = surroundings.alike_or_none(city, station_id)
    if alike is None or alike.empty:
        return
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="alike"):
        st.html(blocks.label("Looks alike", colours.ALIKE), width="content")
        for other, similarity in zip(alike["station_id"], alike["similarity"], strict=True):
            label = f"{formats.literal(other)} · {similarity:.2f}"
            st.button(
                label,
                key=f"alike-{other}",
                on_click=session.select,
                args=(other, city),
                type="tertiary",
                help="Likeness of the surroundings: 1 = the same, 0 = nothing in common.",
            )


def _nearest(city: City, known: traffic_levels.Facts) -> None:
    if not known.nearest:
        return
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.html(blocks.label("Nearest"), width="content")
        for other, metres in known.nearest:
            far = "" if np.isnan(metres) else f" · {formats.distance(metres)}"
            label = f"{formats.literal(other)}{far}"
            st.button(label, key=f"near-{other}", on_click=session.select, args=(other, city), type="tertiary")
