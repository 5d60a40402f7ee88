"""What a visitor has chosen: city, station and time. Address bar, map, search and slider all meet here."""

import pandas as pd
import streamlit as st

from lecdiff_core.city.folder import City
from pages.parts import formats, loads
from pages.parts.cities import Place

CITY, STATION, TIME = "city", "station", "t"  # parameters of a link
PLACE, OPENED, CHOSEN, ORIGIN, NOTICES, MAP_TURN, FOCUS = (
    "place",
    "opened",
    "station",
    "origin",
    "notices",
    "map_turn",
    "focus",
)
CITY_BOX, SEARCH_BOX, DAY_BOX, CLOCK_BOX = "city_box", "search_box", "day_box", "clock_box"  # keys of widgets


def choose_place(places: list[Place]) -> Place:
    """The city that is chosen: by the box, at first by the link, else the first there is."""
    keys = [place.key for place in places]
    if st.session_state.get(CITY_BOX) not in keys:
        wanted = st.query_params.get(CITY)
        if wanted is not None and wanted not in keys:
            _notice(f"There is no city “{wanted}” here; this is {places[0].name}.")
        st.session_state[CITY_BOX] = wanted if wanted in keys else keys[0]
    return places[keys.index(st.session_state[CITY_BOX])]


def enter(place: Place, city: City) -> None:
    """Set station and time: for the first city of the session by the link, for a city chosen later afresh."""
    state = st.session_state
    state[PLACE] = place
    if state.get(OPENED) == place.key:
        _leave_what_is_gone(city)
        return
    link = st.query_params if OPENED not in state and st.query_params.get(CITY, place.key) == place.key else {}
    if OPENED in state:
        state[NOTICES] = []
    state[OPENED], state[FOCUS] = place.key, None
    state[CHOSEN] = _station_of(link.get(STATION), city)
    state[ORIGIN] = _time_of(link.get(TIME), city)
    if state[CHOSEN]:
        focus_on(city, state[CHOSEN])


def _leave_what_is_gone(city: City) -> None:
    if st.session_state[CHOSEN] not in (None, *city.station_ids):
        st.session_state[CHOSEN] = None
    if st.session_state[ORIGIN] not in loads.origins(city):
        st.session_state[ORIGIN] = _time_of(None, city)


def _station_of(wanted: str | None, city: City) -> str | None:
    if wanted is None or wanted in city.station_ids:
        return wanted
    _notice(f"{city.meta.name} has no station “{wanted}”.")
    return None


def _time_of(wanted: str | None, city: City) -> pd.Timestamp:
    times = loads.origins(city)
    opening = loads.opening_time(city, pd.Timestamp.now(tz=city.meta.timezone))
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
    st.session_state.setdefault(NOTICES, []).append(text)


def place() -> Place:
    """The city that is shown, as it is listed."""
    return st.session_state[PLACE]


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
    st.session_state[NOTICES] = []
    if from_map:
        return
    st.session_state[MAP_TURN] = map_turn() + 1
    if station_id:
        focus_on(city, station_id)


def focus_on(city: City, station_id: str) -> None:
    """Make the map fly to a station."""
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


def write_link(place: Place) -> None:
    """Make the address bar a link to what is shown."""
    link = {CITY: place.key, STATION: station(), TIME: origin().isoformat()}
    link = {name: value for name, value in link.items() if value is not None}
    if st.query_params.to_dict() != link:
        st.query_params.from_dict(link)
