"""Surges: when and where traffic left the forecast made before, why, how well that is detected, and where it will be tight."""

import numpy as np
import pandas as pd
import streamlit as st
from markupsafe import Markup

from lecdiff_core.city.folder import City
from lecdiff_core.errors import UserError
from lecdiff_core.surges import LEADS, Surges, are_current, circumstances
from lecdiff_core.tables import csv_text
from pages.parts.charts import forecast_charts, surge_charts
from pages.parts.data import forecasts, surge_results
from pages.parts.data import surroundings as kinds_of_place
from pages.parts.data.cities import Place
from pages.parts.events import congestion, detection
from pages.parts.look import columns, formats, tables
from pages.parts.look.formats import THIN, literal, sentence
from pages.parts.look.markup import blocks, maps
from pages.parts.map import basemap
from pages.parts.state import address, session
from pages.parts.station import description
from pages.parts.steps import missing

EVENT, ALARMS, SIDE, PART, STATION = "surge_event", "surge_alarms", "surge_side", "surge_part", "surge_station"
READ, WRITTEN, SHOWN = "surge_link_read", "surge_link_written", "surge_shown"
OWN = {parameter.name for parameter in (address.EVENT, address.ALARMS, address.SIDE, address.SHOW)}
RATES = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0)
USUAL_RATE = float(address.ALARMS.usual)
SIDES = dict(zip(address.SIDE.choices, ("All", "▲ Above the forecast", "▼ Below the forecast"), strict=True))
PARTS = dict(zip(address.SHOW.choices, ("Surges found", "Congestion ahead", "How good is the detection?"), strict=True))
LIST_HEIGHT = 380
NEAR_ROWS = 16


def main() -> None:
    """The page, from top to bottom."""
    place, city = session.begin()
    read_link(place)
    part = choose_part()
    if part == "events":
        show_events(place, city)
    elif part == "congestion":
        congestion.show(city)
    else:
        detection.show(city)
    write_link(place)


# ---- what was chosen, and the link to it


def read_link(place: Place) -> None:
    """Take what a link asks for, whenever one was followed, or start afresh in another city."""
    state, link = st.session_state, st.query_params.to_dict()
    followed = link != state.get(WRITTEN) and bool(link.keys() & OWN)
    if state.get(READ) == place.key and not followed:
        return
    if not followed or link.get(address.CITY.name, place.key) != place.key:
        link = {}
    state[EVENT], state[STATION] = address.EVENT.read(link) or None, None
    state[ALARMS] = _rate_of(address.ALARMS.read(link))
    state[SIDE], state[PART] = address.SIDE.read(link), address.SHOW.read(link)
    state[READ] = place.key  # last: a run that is cut off before this begins again


def _rate_of(wanted: str) -> float:
    try:
        return min(RATES, key=lambda rate: abs(np.log(rate / float(wanted))))
    except (ValueError, ZeroDivisionError):
        return USUAL_RATE


def write_link(place: Place) -> None:
    """Make the address bar a link to what is shown."""
    state = st.session_state
    event = state[EVENT] if state[PART] == "events" else None
    link = {address.CITY: place.key, address.SHOW: state[PART], address.SIDE: state[SIDE]}
    state[WRITTEN] = address.write({**link, address.ALARMS: f"{state[ALARMS]:g}", address.EVENT: event or ""})


def keep(name: str, key: str):
    """A callback that takes what a widget says into the page's own state, which outlives the widget."""

    def taken() -> None:
        if st.session_state[key] is not None:
            st.session_state[name] = st.session_state[key]

    return taken


def choose_part() -> str:
    """Which of the page's parts is shown."""
    st.session_state["part_box"] = st.session_state[PART]
    st.segmented_control(
        "Show", list(PARTS), format_func=PARTS.__getitem__, key="part_box", required=True,
        on_change=keep(PART, "part_box"), label_visibility="collapsed",
    )  # fmt: skip
    return st.session_state[PART]


# ---- surges


def show_events(place: Place, city: City) -> None:
    """The list, the map and all that is known of the chosen event."""
    try:
        surges = surge_results.stored_surges(city)
    except UserError as error:
        st.warning(f"Surges cannot be read. {literal(error)}", icon=":material/error:")
        surges = None
    if surges is None:
        offer(city, "Surges have not been looked for in this city yet.")
        return
    if set(surges.scores.columns) != set(city.station_ids):
        offer(city, "The surges that were found are of other stations than the city has now. To look again:")
        return
    if are_current(city, surges.source) is False:
        offer(city, "These surges are of older data or of an older model. To look again:")
    introduce(surges)
    for notice in surges.notices:
        st.caption(f":material/info: {sentence(notice)}")
    events = choose_events(surges)
    if events.empty:
        st.info(
            "No event is this unusual. Accept more false alarms a day, or show both sides, to see weaker ones.",
            icon=":material/sentiment_satisfied:",
        )
        return
    event = chosen_event(events)
    list_side, map_side = st.columns(columns.SIDES, gap="medium")
    with list_side:
        show_list(city, events, event)
    with map_side:
        show_map(place, city, event)
    show_event(city, surges, events, event)


def offer(city: City, sentence: str) -> None:
    """The step that finds events: a model first, then the search."""
    if not city.models():
        missing.offer(f"{sentence} They need a trained model first.", "train", city)
    else:
        missing.offer(sentence, "surges", city)


def introduce(surges: Surges) -> None:
    """What an event is, in two sentences."""
    first, last = surges.scores.index[0], surges.scores.index[-1]
    st.html(
        blocks.paragraph(
            Markup("An event is traffic that left the forecast made ")
            + blocks.explained("hours before", f"Forecasts made {LEADS[0]} to {LEADS[1]} hours before each value")
            + ", for longer and further than ordinary traffic does: a surge above it or a drop below it. Looked for from "
            + f"{formats.day(first)} to {formats.day(last)}, which the model was not fitted on."
        )
    )


def choose_events(surges: Surges) -> pd.DataFrame:
    """The events at the chosen rate of false alarms, on the chosen side."""
    state = st.session_state
    wanted = surges.events[surges.events["event_id"] == state[EVENT]]
    if state[EVENT] and wanted.empty:
        st.warning(f"There is no event “{literal(state[EVENT])}” here any more.", icon=":material/link_off:")
        state[EVENT] = None
    elif len(wanted) and state.get(SHOWN) != state[EVENT]:
        needed = float(wanted["false_alarms_per_day"].iloc[0])
        state[ALARMS] = max(state[ALARMS], next(rate for rate in RATES if rate >= needed))
    state[SHOWN] = state[EVENT]
    state["alarms_box"], state["side_box"] = state[ALARMS], state[SIDE]
    rate_side, side_side, export_side = st.columns([5, 5, 2], gap="medium", vertical_alignment="bottom")
    rate_side.select_slider(
        "False alarms accepted in the whole city",
        RATES,
        key="alarms_box",
        on_change=keep(ALARMS, "alarms_box"),
        format_func=lambda rate: f"{rate:g} a day" if rate >= 1 else f"1 in {1 / rate:g} days",
        help="How often ordinary traffic may be reported by mistake. It was set on days without any planned event, before the days "
        "shown here. Fewer false alarms leave only the strongest events.",
    )
    side_side.segmented_control(
        "Side", list(SIDES), format_func=SIDES.__getitem__, key="side_box", required=True,
        on_change=keep(SIDE, "side_box"), label_visibility="collapsed",
    )  # fmt: skip
    events = surges.at_most(state[ALARMS])
    if state[SIDE] != "all":
        events = events[events[state[SIDE]] > 0].reset_index(drop=True)
    export_side.download_button(
        "CSV", lambda: csv_text(events), "surges.csv", "text/csv",
        icon=":material/download:", on_click="ignore", width="stretch", key="surges_csv", help="All events shown, every column",
    )  # fmt: skip
    return events


def chosen_event(events: pd.DataFrame) -> pd.Series:
    """The event that is looked at: the one chosen, else the rarest."""
    state = st.session_state
    rows = np.flatnonzero(events["event_id"] == state[EVENT])
    if not len(rows):
        state[EVENT], state[STATION] = events["event_id"].iloc[0], None
        rows = np.array([0])
        state[SHOWN] = state[EVENT]
    return events.iloc[int(rows[0])]


def show_list(city: City, events: pd.DataFrame, event: pd.Series) -> None:
    """The events, the rarest first; a click chooses one."""
    state = st.session_state
    row = int(np.flatnonzero(events["event_id"] == event["event_id"])[0])
    key = f"surges-{state[ALARMS]:g}-{state[SIDE]}-{session.place().key}"

    def clicked() -> None:
        rows = st.session_state[key]["selection"]["rows"]
        if rows:
            state[EVENT], state[STATION] = events["event_id"].iloc[rows[0]], None
            state[SHOWN] = state[EVENT]

    unit = city.meta.unit
    shown = pd.DataFrame(
        {
            "Start": events["start"].dt.tz_localize(None),
            "Station": events["station_id"],
            "Beyond the interval": [
                f"{'▲' if side == 'above' else '▼'} {formats.amount(abs(value), unit) if value or area == 1 else 'only together'}"
                for side, value, area in zip(events["direction"], events["excess"], events["area"], strict=True)
            ],
            "× width": events["widths"],
            "Hours": (events["end"] - events["start"]) / pd.Timedelta("1h"),
            "Stations": [len(set(names)) for names in events["stations"]],
            "By chance": [surge_results.rarity(rate) for rate in events["false_alarms_per_day"]],
        }
    )
    count = f"{len(events)} event{'' if len(events) == 1 else 's'}"
    st.html(blocks.part(f"{count}, the rarest first"))
    st.dataframe(
        shown,
        height=min(LIST_HEIGHT, 38 + 35 * len(shown)),
        hide_index=True,
        on_select=clicked,
        selection_mode="single-row",
        selection_default={"selection": {"rows": [row]}},
        key=key,
        column_config={
            "Start": st.column_config.DatetimeColumn(
                format="ddd D MMM, HH:mm", help=f"On the city's clocks ({city.meta.timezone})"
            ),
            "Beyond the interval": st.column_config.TextColumn(
                help="How far the peak lay outside the 90 % interval of the forecast; only together: the stations lay within "
                "their intervals at that time, but it is unlikely that all of them come so far out"
            ),
            "× width": st.column_config.NumberColumn(format="%.1f", help="The same, in widths of that interval"),
            "Hours": st.column_config.NumberColumn(format="%.1f", help="How long it lasted"),
            "Stations": st.column_config.NumberColumn(
                help="Neighbours that left their forecasts at the same time, this one included"
            ),
            "By chance": st.column_config.TextColumn(
                help="How often ordinary traffic of the whole city gives an event as strong"
            ),
        },
    )


def show_map(place: Place, city: City, event: pd.Series) -> None:
    """The event on the map; a click on one of its stations shows that station's forecast."""
    with_it = " and who left the forecast with it" if city.has_places else " among all stations"
    st.html(blocks.part(f"{event['station_id']}{with_it}"))
    clicked = surge_charts.event_map(place, city, event, f"surge-map-{place.key}-{event['event_id']}")
    if clicked:
        st.session_state[STATION] = clicked
    named = ((surge_charts.ABOVE, "above the forecast"), (surge_charts.BELOW, "below it"), ("", "as expected"))
    legend = maps.kinds([(colour, words, None) for colour, words in named])
    st.html(blocks.within("under", [legend, basemap.attribution(city)]))
    basemap.watch(city)


def show_event(city: City, surges: Surges, events: pd.DataFrame, event: pd.Series) -> None:
    """Facts, the forecast beside what was observed, and the scores around it."""
    side = "Above" if event["direction"] == "above" else "Below"
    where = f"at {event['station_id']}"
    if event["area"] > 1:
        where = f"together: {event['area']} stations around {event['station_id']}"
    st.html(
        blocks.part(f"{side} the forecast {where}, {formats.moment(event['start'])}", 2)
        + blocks.paragraph(event_sentence(city, event))
    )
    facts_side, chart_side = st.columns([5, 6], gap="medium")
    with facts_side:
        show_facts(city, event)
    with chart_side:
        show_forecast(city, event)
    show_scores(city, surges, events, event)


def event_sentence(city: City, event: pd.Series) -> str:
    """One sentence of what happened."""
    unit, number = city.meta.unit, len(set(event["stations"])) - 1
    observed = f"At {event['peak_time']:%H:%M} {formats.amount(event['observed'], unit)} were observed"
    expected = f"where {formats.amount(event['low'], unit)} to {formats.amount(event['high'], unit)} were expected"
    both = event["above"] > 0 and event["below"] > 0
    others = {0: "No neighbour left its forecast with it.", 1: "One neighbour left its forecast with it."}.get(
        number, f"{number} neighbours left their forecasts with it."
    )
    if not city.has_places:
        others = "It was judged by itself, as its neighbours are not known."
    if both:
        others = f"Of its stations {event['above']} rose above their forecasts and {event['below']} fell below."
    if event["area"] > 1:
        inside = sum(excess == 0 for excess in event["excesses"])
        others = (
            f"{event['area']} neighbouring stations left their forecasts together, {inside} of them within their own 90 % "
            "interval when they were farthest out; that all come so far out is what is unlikely."
        )
    return f"{observed}, {expected}. It lasted {hours(event)}. {others}"


def hours(event: pd.Series) -> str:
    """How long an event lasted."""
    length = (event["end"] - event["start"]) / pd.Timedelta("1h")
    return f"{length:g}{THIN}h" if length >= 1 else f"{60 * length:.0f}{THIN}min"


def show_facts(city: City, event: pd.Series) -> None:
    """Plain facts for the question why."""
    known = circumstances(city, event)
    day_ahead = event["probability_day_ahead"]
    facts = {
        "Day": f"{known.weekday}{', a holiday' if known.holiday else ', no holiday'}",
        "Time": f"{event['start']:%H:%M} – {event['end']:%H:%M}",
        "This hour is usually": "–" if np.isnan(known.usual_hour) else f"{known.usual_hour:.1f}{THIN}× its mean",
        "Chance in the forecast": chance(event["probability"]),
        "Chance a day ahead": chance(day_ahead),
        "As strong by chance": surge_results.rarity(event["false_alarms_per_day"]),
        "Neighbours with it": str(known.neighbours) if city.has_places else "not known",
    }
    kind = kind_of(city, event["station_id"])
    if kind:
        facts["Surroundings"] = kind
    st.html(blocks.part("Circumstances") + tables.facts(facts))
    foreseen = (
        "The forecast of the day before held traffic this far out possible."
        if day_ahead >= 0.01
        else "The forecast of the day before held traffic this far out for all but impossible."
    )
    if np.isfinite(day_ahead):
        st.html(blocks.paragraph(foreseen))
    sentence = said_of(city, event["station_id"])
    if sentence:
        st.html(blocks.paragraph(sentence, "said"))
    st.page_link(
        "pages/environment.py", label="Its surroundings", icon=":material/satellite_alt:",
        query_params={address.CITY.name: session.place().key, address.STATION.name: event["station_id"]},
    )  # fmt: skip


def chance(probability: float) -> str:
    """A small probability, in words where it is tiny."""
    if not np.isfinite(probability):
        return "–"
    return (
        f"1 in {round(1 / probability, -1 if probability > 1e-3 else -2):,.0f}"
        if probability < 0.01
        else formats.share(probability)
    )


def kind_of(city: City, station_id: str) -> str:
    """The kind of its surroundings, empty where it is not known."""
    if not kinds_of_place.embedded(city):
        return ""
    try:
        kinds, _ = kinds_of_place.kinds(city)
    except UserError:
        return ""
    label = int(kinds.labels[city.station_ids.index(station_id)])
    return kinds.names[label] if label >= 0 else ""


def said_of(city: City, station_id: str) -> str:
    """The first sentence of the description of its chip, empty where there is none."""
    try:
        texts = kinds_of_place.descriptions(city).get(station_id)
    except UserError:
        return ""  # the Environment page tells it
    return description.first_sentence(texts[0]) if texts else ""


def show_forecast(city: City, event: pd.Series) -> None:
    """The forecast made an hour before the event, beside what was observed."""
    names = list(dict.fromkeys(event["stations"]))
    state = st.session_state
    if state.get(STATION) not in names:
        state[STATION] = event["station_id"]
    state["station_of_event"] = state[STATION]
    title, choice = st.columns([5, 3], vertical_alignment="center")
    number = names.index(state[STATION])
    begun = pd.Timestamp(event["starts"][event["stations"].index(state[STATION])])
    origin = max(begun - pd.Timedelta(hours=LEADS[0]), city.traffic.index[0])
    title.html(blocks.part(f"The forecast made at {origin:%H:%M}, and what was observed"))
    if len(names) > 1:
        choice.selectbox(
            "Station of the event", names, index=number, key="station_of_event",
            on_change=keep(STATION, "station_of_event"), label_visibility="collapsed",
        )  # fmt: skip
    model = forecasts.model_of(city)
    fan = None
    try:
        with st.spinner("Forecasting", show_time=False):
            fan = forecasts.fan(city, model, state[STATION], origin)
    except UserError as error:
        st.warning(f"No forecast: {literal(error)}", icon=":material/error:")
    figure = forecast_charts.fan_chart(city, [state[STATION]], origin, fan)
    span = [
        pd.Timestamp(event[end][event["stations"].index(state[STATION])]).tz_localize(None)
        for end in ("starts", "ends")
    ]
    figure.add_vrect(*span, fillcolor=surge_charts.ABOVE, opacity=0.1, line_width=0)
    st.plotly_chart(
        figure,
        key="surge-fan",
        config=forecast_charts.CONFIG,
        alt=f"Forecast and observed load of {state[STATION]} around the event",
    )


def show_scores(city: City, surges: Surges, events: pd.DataFrame, event: pd.Series) -> None:
    """Stations by time: how far each was from its forecast."""
    title, choice = st.columns([5, 3], vertical_alignment="center")
    title.html(blocks.part("Surge score of every station over time"))
    scope = choice.segmented_control(
        "Shown", ["Around this event", "All stations with events"], default="Around this event", required=True,
        key="surge_scope", label_visibility="collapsed",
    )  # fmt: skip
    if scope == "Around this event":
        names = surge_charts.rows_around(city, event, NEAR_ROWS)
        start, end = event["start"] - surge_charts.AROUND, event["end"] + surge_charts.AROUND
    else:
        names = list(dict.fromkeys(events["station_id"]))[: surge_charts.MOST_ROWS]
        start, end = surges.scores.index[0], surges.scores.index[-1]
    names = [name for name in names if name in surges.scores]
    st.plotly_chart(
        surge_charts.heat_map(surges, names, start, end, event),
        key="surge-scores",
        config=forecast_charts.CONFIG,
        alt="Surge score of stations over time; frames mark the chosen event",
    )
    expected = "the forecast and the neighbourhood" if city.has_places else "the forecast"
    st.html(
        blocks.paragraph(
            f"0 is what is expected from {expected}; on ordinary days nine of ten values lie between −1.6 and +1.6. Frames mark "
            "the chosen event.",
            "sub",
        )
    )


main()
