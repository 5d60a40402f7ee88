"""Network map: the stations on satellite imagery; one of them, its surroundings and the forecast of its next day."""

import numpy as np
import pandas as pd
import streamlit as st

from lecdiff_core.city.folder import City
from lecdiff_core.errors import UserError
from pages.parts import cities, forecasts, loads, panel, session
from pages.parts import map as station_map
from pages.parts.formats import moment
from pages.parts.search import station_box


def main() -> None:
    """The page, from top to bottom."""
    place = session.place()
    city = cities.open_city(place.path)
    for notice in session.notices():
        st.warning(panel.shown_literally(notice), icon=":material/link_off:")
    map_side, panel_side = st.columns(panel.SIDES, gap="medium")
    with map_side:
        station_map.draw(place, city)
        station_map.caption(city, session.origin())
        choose_time(city)
    with panel_side:
        station_box(city)
        chosen = session.station()
        if chosen is None:
            panel.overview(city, session.origin())
        else:
            panel.station(place, city, chosen, session.origin())
    session.write_link(place)
    warm_up(city)


def choose_time(city: City) -> None:
    """The time of forecast: a day, and a slider over the times of that day, both on the city's clocks."""
    times, origin = loads.origins(city), session.origin()
    clock, now = times.tz_localize(None), origin.tz_localize(None)
    today = clock.normalize() == now.normalize()
    twice = set(clock[today & clock.duplicated(keep=False)])
    st.session_state[session.DAY_BOX] = origin.date()
    st.session_state[session.CLOCK_BOX] = origin

    def day_chosen() -> None:
        wanted = pd.Timestamp(st.session_state[session.DAY_BOX]) + (now - now.normalize())
        session.go_to(times[int(np.argmin(np.abs(clock - wanted)))])

    def clock_chosen() -> None:
        session.go_to(st.session_state[session.CLOCK_BOX])

    def written(time: pd.Timestamp) -> str:
        return f"{time:%H:%M %Z}" if time.tz_localize(None) in twice else f"{time:%H:%M}"

    day_side, clock_side, latest_side = st.columns([3, 8, 2], gap="medium", vertical_alignment="bottom")
    first, last = times[0].date(), times[-1].date()
    with day_side:
        st.date_input(
            "Forecast made on",
            min_value=first,
            max_value=last,
            key=session.DAY_BOX,
            on_change=day_chosen,
            format="YYYY-MM-DD",
        )
    with clock_side:
        if today.sum() > 1:
            st.select_slider(
                f"at ({city.meta.timezone})",
                times[today].tolist(),
                key=session.CLOCK_BOX,
                on_change=clock_chosen,
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
    if model is None:
        return
    try:
        forecasts.fan(city, model, city.station_ids[0], session.origin())
    except UserError:
        return  # the panel tells it once a station is chosen


main()
