"""Network map: the stations on satellite imagery; one of them, its surroundings and the forecast of its next day."""

from collections.abc import Callable
from datetime import date

import numpy as np
import pandas as pd
import streamlit as st

from lecdiff_core.city.folder import City
from lecdiff_core.errors import UserError
from pages.parts.data import forecasts, traffic_levels
from pages.parts.data.cities import Place
from pages.parts.events import today
from pages.parts.look.columns import SIDES
from pages.parts.look.formats import moment
from pages.parts.state import session
from pages.parts.state.widget_keys import keyed
from pages.parts.station import comparison, live_map, panel
from pages.parts.station.search import station_box, stations_box

COMPARE_SWITCH = "compare_switch"


def main() -> None:
    """The page, from top to bottom."""
    place, city = session.begin()
    map_side, panel_side = st.columns(SIDES, gap="medium")
    with map_side:
        live_map.draw(place, city)
        choose_time(city)
    with panel_side:
        chosen_side, compare_side = st.columns([8, 3], vertical_alignment="center")
        with compare_side:
            compare_switch()
        with chosen_side:
            stations_box(city) if session.comparing() else station_box(city)
        later = show_panel(place, city)
    session.write_link(place)
    if later:
        later()
    else:
        warm_up(city)


def show_panel(place: Place, city: City) -> Callable[[], None] | None:
    """What is chosen: nothing, a station, or several. Returns what takes too long to be waited for, to be done at the end."""
    chosen = session.station()
    if session.comparing():
        comparison.show(city, session.compared(), session.origin())
        return None
    if chosen is None:
        panel.overview(city, session.origin())
        today.show(city, session.origin())
        return None
    return panel.station(place, city, chosen, session.origin())


def compare_switch() -> None:
    """Whether several stations are looked at together."""

    def switched(on: bool) -> None:
        chosen = [one for one in (session.station(),) if one]
        session.compare(chosen if on else None)

    st.toggle(
        "Compare",
        **keyed(COMPARE_SWITCH, session.comparing(), switched),
        help="Look at up to four stations together.",
    )


def choose_time(city: City) -> None:
    """The time of forecast: a day, and a slider over the times of that day, both on the city's clocks."""
    times, origin = traffic_levels.origins(city), session.origin()
    clock, now = times.tz_localize(None), origin.tz_localize(None)
    today = clock.normalize() == now.normalize()
    twice = set(clock[today & clock.duplicated(keep=False)])

    def day_chosen(day: date) -> None:
        wanted = pd.Timestamp(day) + (now - now.normalize())
        session.go_to(times[int(np.argmin(np.abs(clock - wanted)))])

    def written(time: pd.Timestamp) -> str:
        return f"{time:%H:%M %Z}" if time.tz_localize(None) in twice else f"{time:%H:%M}"

    day_side, clock_side, latest_side = st.columns([3, 8, 2], gap="medium", vertical_alignment="bottom")
    first, last = times[0].date(), times[-1].date()
    with day_side:
        st.date_input(
            "Forecast made on",
            min_value=first,
            max_value=last,
            **keyed(session.DAY_BOX, origin.date(), day_chosen),
            format="YYYY-MM-DD",
        )
    with clock_side:
        if today.sum() > 1:
            st.select_slider(
                f"at ({city.meta.timezone})",
                times[today].tolist(),
                **keyed(session.CLOCK_BOX, origin, session.go_to),
                format_func=written,
            )
    with latest_side:
        st.button(
            "Latest",
            on_click=session.go_to,
            args=(times[-1],),
            disabled=origin == times[-1],
            help=f"The end of the data, {moment(times[-1])}",
            width="stretch",
        )


def warm_up(city: City) -> None:
    """With everything drawn, load the model, so that the first click need not wait for it."""
    model = forecasts.model_of(city)
    try:
        forecasts.fan(city, model, city.station_ids[0], session.origin())
    except UserError:
        return  # the panel tells it once a station is chosen


main()
