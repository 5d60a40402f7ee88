"""What a visitor has chosen: city, station and time. Address bar, map, search and slider all meet here."""

from collections.abc import Mapping
from typing import ClassVar, Protocol

import pandas as pd
import streamlit as st

from lecdiff_core.city.folder import City
from pages.parts.data import traffic_levels
from pages.parts.data.cities import Place
from pages.parts.look import formats
from pages.parts.state import address
from pages.parts.state.address import Parameter

CITY_WANTED, PLACE, OPENED, CHOSEN, ORIGIN, NOTICES, MAP_TURN, FOCUS = (
    "city_wanted",
    "place",
    "opened",
    "station",
    "origin",
    "notices",
    "map_turn",
    "focus",
)
ENTERED = "entered"
COMPARED, VIEW, AHEAD, PLAYING, AREA = "compared", "view", "ahead", "playing", "area"
CITY_BOX, SEARCH_BOX, DAY_BOX, CLOCK_BOX = "city_box", "search_box", "day_box", "clock_box"  # keys of widgets
MOST_COMPARED = 4
ALL_AHEAD = 0  # in place of a step of the forecast: the whole of it
OPENING_VIEW = "opening_view"


class View(Protocol):
    """What stations are coloured by, as far as a session knows it (pages/parts/map/views)."""

    key: ClassVar[str]
    is_forecast: ClassVar[bool]


def choose_place(places: list[Place]) -> Place:
    """The city that is chosen: by the box or a button, at first by the link, else the first there is."""
    keys = [place.key for place in places]
    if st.session_state.get(CITY_WANTED) not in keys:
        wanted = st.query_params.get(address.CITY.name)
        if wanted is not None and wanted not in keys:
            _notice(f"There is no city “{wanted}” here; this is {places[0].name}.")
        choose_city(wanted if wanted in keys else keys[0])
    return places[keys.index(st.session_state[CITY_WANTED])]


def choose_city(key: str) -> None:
    """Have the city of this key be the one that `choose_place` finds."""
    st.session_state[CITY_WANTED] = key


def enter(place: Place, city: City, views: Mapping[str, View]) -> None:
    """Set station, time and view: for the first city of the session by the link, for a city chosen later afresh.

    views: what the map's stations can be coloured by, the one that pages open with first.
    """
    state = st.session_state
    state[PLACE], state[ENTERED] = place, city
    if state.get(OPENED) == place.key:
        _leave_what_is_gone(city)
        return
    link = (
        st.query_params
        if OPENED not in state and st.query_params.get(address.CITY.name, place.key) == place.key
        else {}
    )
    if OPENED in state:
        state[NOTICES] = []
    state[FOCUS] = None
    state[CHOSEN] = _station_of(link.get(address.STATION.name), city)
    state[AREA] = link.get(address.AREA.name, "") if state[CHOSEN] else ""
    state[ORIGIN] = _time_of(link.get(address.TIME.name), city)
    state[VIEW], state[AHEAD], state[PLAYING] = _view_of(link.get(address.BY.name), views), ALL_AHEAD, False
    others = st.query_params.get_all(address.WITH.name) if link and state[CHOSEN] else []
    wanted = [state[CHOSEN], *(_station_of(other, city) for other in others)]
    state[COMPARED] = list(dict.fromkeys(one for one in wanted if one))[:MOST_COMPARED] if others else None
    if state[CHOSEN]:
        focus_on(city, state[CHOSEN])
    state[OPENED] = place.key  # last: a run that is cut off before this begins again


def _leave_what_is_gone(city: City) -> None:
    if st.session_state[CHOSEN] not in (None, *city.station_ids):
        st.session_state[CHOSEN] = None
    if comparing():
        st.session_state[COMPARED] = [one for one in compared() if one in city.station_ids]
    if st.session_state[ORIGIN] not in traffic_levels.origins(city):
        st.session_state[ORIGIN] = _time_of(None, city)


def _station_of(wanted: str | None, city: City) -> str | None:
    if wanted is None or wanted in city.station_ids:
        return wanted
    _notice(f"{city.meta.name} has no station “{wanted}”.")
    return None


def _view_of(wanted: str | None, views: Mapping[str, View]) -> View:
    if wanted is not None and wanted not in views:
        _notice(f"Stations cannot be coloured by “{wanted}”.")
    opening = next(iter(views.values()))
    st.session_state[OPENING_VIEW] = opening.key
    return views.get(wanted or "", opening)


def _time_of(wanted: str | None, city: City) -> pd.Timestamp:
    times = traffic_levels.origins(city)
    opening = traffic_levels.opening_time(city, pd.Timestamp.now(tz=city.meta.timezone))
    if wanted is None:
        return opening
    try:
        time = pd.Timestamp(wanted)
        time = (
            time.tz_convert(times.tz)
            if time.tz
            else time.tz_localize(times.tz, ambiguous=True, nonexistent="shift_forward")
        )
    except (ValueError, TypeError, OverflowError):
        _notice(f"“{wanted}” is not a time; this is {formats.moment(opening)}.")
        return opening
    if pd.isna(time) or not times[0] <= time <= times[-1]:
        _notice(
            f"There are no data at “{wanted}”, only from {formats.moment(times[0])} to {formats.moment(times[-1])}; "
            f"this is {formats.moment(opening)}."
        )
        return opening
    return times[times.get_indexer([time], method="ffill")[0]]


def _notice(text: str) -> None:
    notices = st.session_state.setdefault(NOTICES, [])
    if text not in notices:
        notices.append(text)


def place() -> Place:
    """The city that is shown, as it is listed."""
    return st.session_state[PLACE]


def city() -> City:
    """The same opened: one for the whole run, whatever is imported meanwhile, so that station and time are its own."""
    return st.session_state[ENTERED]


def station() -> str | None:
    """Id of the chosen station."""
    return st.session_state[CHOSEN]


def origin() -> pd.Timestamp:
    """The time of forecast: history ends and the forecast starts here. In the city's time zone."""
    return st.session_state[ORIGIN]


def notices() -> list[str]:
    """What in the link could not be followed, until something else is chosen."""
    return st.session_state.get(NOTICES, [])


def select(station_id: str | None, city: City, from_map: bool = False) -> None:
    """Choose a station, or none. Unless it was clicked on the map, the map forgets its selection and flies there."""
    if station_id is not None and station_id not in city.station_ids:
        return
    st.session_state[CHOSEN] = station_id
    st.session_state[COMPARED] = None
    st.session_state[NOTICES] = []
    if from_map:
        return
    st.session_state[MAP_TURN] = map_turn() + 1
    if station_id:
        focus_on(city, station_id)


def comparing() -> bool:
    """Whether several stations are looked at together; a click on the map then adds one."""
    return st.session_state.get(COMPARED) is not None


def compared() -> list[str]:
    """The stations looked at together, in the order they were chosen."""
    return st.session_state.get(COMPARED) or []


def compare(stations: list[str] | None, from_map: bool = False) -> None:
    """Look at `stations` together, at most four; None ends it. The last one is the chosen one."""
    st.session_state[COMPARED] = None if stations is None else stations[:MOST_COMPARED]
    st.session_state[NOTICES] = []
    if stations is not None:
        st.session_state[CHOSEN] = stations[-1] if stations else None
    if from_map:
        return
    st.session_state[MAP_TURN] = map_turn() + 1
    if stations and len(stations) > 1:
        st.session_state[FOCUS] = None


def pick(station_id: str, city: City) -> None:
    """What a click on the map means: choose the station, or add it where stations are compared, in place of the last of four."""
    if not comparing():
        select(station_id, city, from_map=True)
    elif station_id in city.station_ids and station_id not in compared():
        compare([*compared()[: MOST_COMPARED - 1], station_id], from_map=True)


def area() -> str:
    """Key of the area around the chosen station that is forecast as one; empty: the station alone."""
    return st.session_state.get(AREA, "")


def widen(key: str) -> None:
    """Choose the area around the chosen station, by key."""
    st.session_state[AREA] = key


def view() -> View:
    """What the stations on the map are coloured by."""
    return st.session_state[VIEW]


def ahead() -> int:
    """The step of the forecast that the map shows, 1 to H, or 0 for the whole of it."""
    return st.session_state[AHEAD]


def playing() -> bool:
    """Whether the map goes through the steps of the forecast by itself."""
    return st.session_state[PLAYING]


def show(view: View, step: int | None = None) -> None:
    """Colour the map's stations by `view`, at a `step` of the forecast where one is given."""
    st.session_state[VIEW] = view
    if step is not None:
        st.session_state[AHEAD] = step
    if not view.is_forecast:
        st.session_state[AHEAD], st.session_state[PLAYING] = ALL_AHEAD, False


def play(going: bool, forecast: View) -> None:
    """Start or stop going through the steps of the forecast, in the view `forecast` where another is shown."""
    if going and not view().is_forecast:
        show(forecast)
    st.session_state[PLAYING] = going


def focus_on(city: City, station_id: str) -> None:
    """Make the map fly to a station; where no place is known, all of the grid is shown."""
    if not city.has_places:
        st.session_state[FOCUS] = None
        return
    place = city.stations.geometry.iloc[city.station_ids.index(station_id)]
    st.session_state[FOCUS] = (place.x, place.y)


def focus() -> tuple[float, float] | None:
    """Where the map shall fly, longitude and latitude; None shows the whole city."""
    return st.session_state[FOCUS]


def map_turn() -> int:
    """Counts the times that the map had to forget its selection; part of the map's key."""
    return st.session_state.get(MAP_TURN, 0)


def go_to(time: pd.Timestamp) -> None:
    """Choose the time of forecast."""
    st.session_state[ORIGIN] = time
    st.session_state[NOTICES] = []


def write_link(place: Place, more: Mapping[Parameter, str | list[str]] | None = None) -> None:
    """Make the address bar a link to what is shown. `more`: what only this page's links carry."""
    first, *others = compared() or [station() or ""]
    around = area() if first and not others else ""
    shown = view().key if view().key != st.session_state[OPENING_VIEW] else ""
    link = {address.CITY: place.key, address.TIME: origin().isoformat(), **(more or {})}
    address.write({**link, address.STATION: first, address.WITH: others, address.BY: shown, address.AREA: around})


def begin() -> tuple[Place, City]:
    """What a page begins with: the city that is shown, after what of the link could not be followed was said."""
    for notice in notices():
        st.warning(formats.literal(notice), icon=":material/link_off:")
    return place(), city()
