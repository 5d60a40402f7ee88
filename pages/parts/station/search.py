"""The box that finds a station by its id or name, the same on every page, and the one for several stations.

A small city's stations are all in the box; a large city's would make every page heavy, so that its box asks the server for the few
that match what was typed.
"""

from collections.abc import Callable
from functools import partial

import streamlit as st

from lecdiff_core.city.folder import City
from pages.parts.data import cities
from pages.parts.look.markup import blocks
from pages.parts.state import session
from pages.parts.state.widget_keys import keyed

SEVERAL_BOX, ADDING_BOX = "several_box", "adding_box"
MOST_LISTED = 1500  # stations of a city whose box lists them all
MOST_FOUND = 12
SEARCHED = "searched"  # what was typed and not decided yet, and the stations that were chosen then
ONE, SEVERAL = (
    "Search a station by id or name, or click one on the map",
    "Choose up to four stations, here or on the map",
)
FULL = "Four stations are chosen; take one out to add another"


def station_box(city: City) -> None:
    """Show the box; what is found there becomes the chosen station."""
    chosen, written = session.station(), _written(city)
    select = partial(session.select, city=city)
    if len(city.station_ids) > MOST_LISTED:
        _finder(city, session.SEARCH_BOX, written(chosen) if chosen else "", ONE, select)
        return
    st.selectbox(
        "Station",
        city.station_ids,
        index=None,
        **keyed(session.SEARCH_BOX, chosen, select),
        placeholder=ONE,
        format_func=written,
        label_visibility="collapsed",
    )


def stations_box(city: City) -> None:
    """The same for several stations, which are then compared."""
    chosen, large = session.compared(), len(city.station_ids) > MOST_LISTED
    if large:
        _finder(city, ADDING_BOX, "", FULL if len(chosen) == session.MOST_COMPARED else SEVERAL, _add)
    if chosen or not large:
        st.multiselect(
            "Stations to compare",
            chosen if large else city.station_ids,
            **keyed(SEVERAL_BOX, chosen, session.compare),
            max_selections=session.MOST_COMPARED,
            placeholder=SEVERAL,
            format_func=_written(city),
            label_visibility="collapsed",
        )


def _add(station_id: str | None) -> None:
    if station_id and station_id not in session.compared():
        session.compare([*session.compared(), station_id])


def _finder(city: City, box: str, value: str, placeholder: str, choose: Callable[[str | None], None]) -> None:
    """A box to type into. One match, or the very id, is chosen at once; several are offered below the box."""
    words, then = st.session_state.get(SEARCHED, ("", None))
    if then != _chosen():
        words = ""

    def typed(text: str) -> None:
        hits = matches(city, text)
        decided = hits[:1] if len(hits) == 1 or _is(city, hits[:1], text) else []
        st.session_state[SEARCHED] = ("" if decided else text.strip(), _chosen())
        if decided or not text.strip():
            choose(decided[0] if decided else None)

    st.text_input(
        "Station",
        **keyed(box, words or value, typed),
        placeholder=placeholder,
        disabled=placeholder == FULL,
        max_chars=200,
        label_visibility="collapsed",
    )
    if words:
        _offer(city, words, choose)


def _chosen() -> tuple[str | None, list[str]]:
    return session.station(), session.compared()


def _is(city: City, hits: list[str], text: str) -> bool:
    """Whether the first station found is the one whose id was typed, and not one that only contains it."""
    wanted = text.strip().casefold()
    return any(wanted in (one.casefold(), _written(city)(one).casefold()) for one in hits)


def _offer(city: City, words: str, choose: Callable[[str | None], None]) -> None:
    """The best matches, to be clicked."""
    hits, key = matches(city, words), f"found-{words}"
    if not hits:
        st.html(blocks.paragraph(f"No station is called “{words}”.", "sub"))
        return

    def clicked() -> None:
        del st.session_state[SEARCHED]
        choose(st.session_state[key])

    st.pills(
        "Stations found",
        hits[:MOST_FOUND],
        format_func=_written(city),
        key=key,
        on_change=clicked,
        label_visibility="collapsed",
    )
    if len(hits) > MOST_FOUND:
        more = len(hits) - MOST_FOUND
        st.html(blocks.paragraph(f"and {more:,} more; type more of the id or name", "sub"))


def matches(city: City, words: str) -> list[str]:
    """Ids of the stations whose id or name holds `words`, whatever their case: the very id first, then beginnings."""
    wanted, written, names = words.strip().casefold(), _written(city), cities.station_names(city)
    ranked = []
    for station_id in city.station_ids if wanted else ():
        label = written(station_id).casefold()
        if wanted in label:
            begins = label.startswith(wanted) or names.get(station_id, "").casefold().startswith(wanted)
            ranked.append((0 if wanted == station_id.casefold() else 1 if begins else 2, station_id))
    return [station_id for _, station_id in sorted(ranked, key=lambda pair: pair[0])]


def _written(city: City) -> Callable[[str], str]:
    names = cities.station_names(city)
    return lambda station_id: f"{station_id} · {names[station_id]}" if station_id in names else station_id
