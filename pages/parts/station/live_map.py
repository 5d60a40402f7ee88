"""The map that can be coloured by what is known and forecast, and that can go through the hours ahead by itself.

While it does, or waits for a forecast of all stations, it is a fragment of the page that runs again every moment. What the rest of
the page shows, too, such as a click on a station, then runs the whole page.
"""

import time

import pandas as pd
import streamlit as st

from lecdiff_core.city.folder import City
from lecdiff_core.errors import UserError
from pages.parts.data import areas, surroundings
from pages.parts.data.cities import Place
from pages.parts.data.network_forecast import Work
from pages.parts.look.columns import SIDES
from pages.parts.look.formats import duration, literal, sentence
from pages.parts.map import station_map, views
from pages.parts.map.views import View
from pages.parts.state import session
from pages.parts.state.widget_keys import keyed
from pages.parts.steps import missing

BY_BOX, AHEAD_BOX = "by_box", "ahead_box"
MOMENT_SECONDS = 1.0  # between two steps, and between two looks at a forecast under way
DRAWN, STEPPED = "map_drawn", "map_stepped"


def draw(place: Place, city: City) -> None:
    """The map, what its colours mean, and the hours ahead."""
    st.session_state[DRAWN] = _state(city)
    if session.playing() or _waiting(city):
        st.fragment(_parts, run_every=MOMENT_SECONDS)(place, city)
    else:
        _parts(place, city)


def _waiting(city: City) -> bool:
    """Whether the forecast of all stations that the map shall show is still under way."""
    return session.view().is_forecast and views.forecast_of(city, session.origin()).waiting


def _state(city: City) -> tuple:
    """What the rest of the page, and whether this is a fragment, depends on."""
    return session.station(), session.comparing(), session.compared(), session.playing(), session.view(), _waiting(city)


def _parts(place: Place, city: City) -> None:
    if st.session_state[DRAWN] != _state(city):
        st.rerun()
    waiting = _waiting(city)
    if session.playing() and not waiting:
        _step(city)
    shown, words, trouble = _what_to_show(city, waiting)
    share = SIDES[0] / sum(SIDES)
    station_map.draw(place, city, below=_arcs(city), view=shown, step=session.ahead(), share=share)
    station_map.caption(city)
    by, legend = st.columns([5, 8], vertical_alignment="center")
    with by:
        _choose_view()
    if waiting:
        with legend:
            progress(city, views.forecast_of(city, session.origin()))
    else:
        legend.html(words)
    if shown.is_forecast:
        forecast_notices(city, session.origin())
    _ahead(city)
    if trouble:
        _tell(trouble, city)


def progress(city: City, work: Work) -> None:
    """How far a forecast of all stations is."""
    st.progress(work.share, f"Forecasting all {len(city.station_ids):,} stations")


def wait(city: City, origin: pd.Timestamp) -> None:
    """How far the forecast of all stations is, looked at again every moment until it is there; or what stands in its way."""
    work = views.forecast_of(city, origin)
    if work.waiting:
        st.fragment(_progress, run_every=MOMENT_SECONDS)(city, origin)
    else:
        st.warning(f"No forecast: {literal(work.trouble)}", icon=":material/error:")


def _progress(city: City, origin: pd.Timestamp) -> None:
    work = views.forecast_of(city, origin)
    if not work.waiting:
        st.rerun()
    progress(city, work)


def forecast_notices(city: City, origin: pd.Timestamp) -> None:
    """Who is left out of the forecast of all stations, and whose rests on little."""
    forecast = views.forecast_of(city, origin).result
    if forecast and forecast.notices:
        st.caption("  \n".join(f":material/info: {sentence(notice)}" for notice in forecast.notices))


def _what_to_show(city: City, waiting: bool) -> tuple[View, str, str]:
    """The view that can be drawn, its legend, and what stands in the way of the one that is wanted."""
    trouble = ""
    try:
        if not waiting:
            trouble = views.chosen().trouble(city, session.origin())
        shown = views.LOAD if waiting or trouble else views.chosen()
        return shown, shown.legend(city, session.origin(), session.ahead()), trouble
    except UserError as error:
        return views.LOAD, views.LOAD.legend(city, session.origin()), str(error)


def _tell(trouble: str, city: City) -> None:
    view = views.chosen()
    if view.offer is not None and view.is_missing(city):
        step, sentence = view.offer
        missing.offer(sentence, step, city)
    else:
        st.warning(f"{view.label} cannot be shown. {literal(trouble)}", icon=":material/error:")


def _arcs(city: City) -> list:
    chosen = session.station()
    if chosen is None or session.comparing():
        return []
    area = areas.around(city, chosen).get(session.area())
    if area and len(area.stations) > 1:
        return [station_map.outline(city, area.stations)]
    alike = surroundings.alike_or_none(city, chosen)
    return [] if alike is None else station_map.arcs(city, chosen, alike["station_id"].tolist())


def _choose_view() -> None:
    st.selectbox(
        "Colour by",
        list(views.VIEWS),
        **keyed(BY_BOX, session.view().key, lambda key: session.show(views.VIEWS[key])),
        format_func=lambda key: views.VIEWS[key].label,
        label_visibility="collapsed",
    )


def _step(city: City) -> None:
    """The next step, unless the last one was only just made."""
    now = time.monotonic()
    if now - st.session_state.get(STEPPED, 0) > 0.7 * MOMENT_SECONDS:
        st.session_state[STEPPED] = now
        session.show(session.view(), session.ahead() % len(_times(city)) + 1)


def _times(city: City) -> pd.DatetimeIndex:
    """Starts of the intervals ahead."""
    forecast = views.forecast_of(city, session.origin()).result if session.view().is_forecast else None
    if forecast is not None:
        return forecast.timestamps
    return city.timeline.starting(session.origin(), city.steps_per_day)


def _ahead(city: City) -> None:
    """The button that starts and stops, and the slider over the hours ahead, or while they go by, how far they are.

    A slider that moves by itself would slip out of the hand that reaches for it.
    """
    times = _times(city)
    button, slider = st.columns([3, 10], gap="medium", vertical_alignment="center")
    with button:
        st.button(
            "Pause" if session.playing() else "Play",
            icon=":material/pause:" if session.playing() else ":material/play_arrow:",
            key="play",
            on_click=session.play,
            args=(not session.playing(), views.FORECAST),
            help="Go through the forecast, interval by interval. The slider's left end is the whole of it.",
            width="stretch",
        )
    with slider:
        if session.playing():
            st.progress(session.ahead() / len(times), _written(times, city, session.ahead()))
        else:
            _slider(times, city)


def _slider(times: pd.DatetimeIndex, city: City) -> None:
    def moved(step: int) -> None:
        session.show(session.view() if session.view().is_forecast or not step else views.FORECAST, step)

    st.select_slider(
        "Look ahead in the forecast",
        range(len(times) + 1),
        **keyed(AHEAD_BOX, min(session.ahead(), len(times)), moved),
        format_func=lambda step: _written(times, city, step),
        label_visibility="collapsed",
    )


def _written(times: pd.DatetimeIndex, city: City, step: int) -> str:
    if step == session.ALL_AHEAD:
        return f"all {duration(len(times) * city.interval)}"
    time = times[step - 1]
    twice = int((times.tz_localize(None) == time.tz_localize(None)).sum()) > 1
    return f"{time:%a %d %b, %H:%M %Z}" if twice else f"{time:%a %d %b, %H:%M}"
