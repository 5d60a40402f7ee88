"""Environment: what stands around a station, which stations stand in like surroundings, and search by words."""

import numpy as np
import pandas as pd
import pydeck
import streamlit as st

from lecdiff_core.city.folder import City
from lecdiff_core.environment.search.clusters import Clusters
from lecdiff_core.errors import UserError
from pages.parts.charts import forecast_charts, similarity
from pages.parts.data import surroundings
from pages.parts.data.cities import Place
from pages.parts.look import colours
from pages.parts.look.columns import SIDES
from pages.parts.look.formats import literal
from pages.parts.look.markup import blocks, maps
from pages.parts.map import basemap, views
from pages.parts.map import station_map as station_map
from pages.parts.state import session
from pages.parts.station import description, panel
from pages.parts.station.chips import chips, likeness_of
from pages.parts.station.search import station_box
from pages.parts.steps import missing

MAP_HEIGHT = 500
MAP_SHARE = SIDES[1] / sum(SIDES)
ALIKE, NEAR = [255, 176, 0, 255], [255, 255, 255, 230]  # lines on the map
BY_KIND, BY_LOAD = "Kind of surroundings", "Mean load"
NO_PLACES = (
    "Nothing is known of where the stations of this city stand, so no satellite image can be fetched. Images of your own can be "
    "put into its folder as imagery/chips, one a station, named after it."
)
EXAMPLES = "stadium · rail yard beside housing · fields and farmland · river with a bridge"
Links = tuple[pd.DataFrame, pd.DataFrame]  # lookalikes, nearest on the ground


def main() -> None:
    """The page, from top to bottom."""
    place, city = session.begin()
    chosen = session.station()
    links, trouble = links_of(city, chosen)
    station_side, map_side = st.columns(SIDES, gap="medium")
    with station_side:
        station_box(city)
        if chosen is None:
            begin(city)
            examples = st.container()
        else:
            show_station(place, city, chosen)
    with map_side:
        show_map(place, city, links)
    if chosen is not None:
        show_links(place, city, links, trouble)
    likeness_side, words_side = st.columns(SIDES, gap="medium")
    if surroundings.embedded(city):
        with words_side:
            search_by_words(place, city)
        with likeness_side:
            kinds = show_likeness(city)
        if chosen is None and kinds:
            with examples:
                show_kinds(place, city, *kinds)
    session.write_link(place)


def unreadable(error: UserError) -> None:
    """Say why descriptions cannot be shown."""
    st.warning(f"Descriptions cannot be read. {literal(error)}", icon=":material/error:")


def links_of(city: City, station_id: str | None) -> tuple[Links | None, str]:
    """Lookalikes of the station and its nearest, or why there are none."""
    if station_id is None or not surroundings.embedded(city):
        return None, ""
    try:
        alike = surroundings.lookalikes(city, station_id)
        return (alike, surroundings.nearest(city, station_id) if city.has_places else alike[:0]), ""
    except UserError as error:
        return None, str(error)


def begin(city: City) -> None:
    """No station chosen: what this page tells, and what it still lacks."""
    st.html(
        blocks.heading("What stands around a station")
        + blocks.paragraph(
            "Choose a station above or on the map. You see its satellite image, what a language model said of it, which sentences "
            "were removed and why, and the stations that stand in like surroundings. Or search by words for a kind of place."
        )
    )
    if not any(city.chip(station_id) for station_id in city.station_ids):
        if not city.has_places:
            st.info(NO_PLACES, icon=":material/wrong_location:")
            return
        missing.offer("This city has no satellite chips yet. To fetch them:", "imagery", city)
    else:
        try:
            if not surroundings.descriptions(city):
                missing.offer("No chip of this city has been described yet. To have them described:", "describe", city)
        except UserError as error:
            unreadable(error)
    if not surroundings.embedded(city):
        missing.offer("Stations cannot be compared yet. Once chips are there, embed them:", "embed", city)


def show_station(place: Place, city: City, station_id: str) -> None:
    """Chip, description, scores and who wrote it."""
    panel.heading(city, station_id)
    image, words = st.columns([5, 7], gap="medium")
    with image:
        st.html(panel.chip(place, city, station_id, "lec-chip lec-large"))
        if city.chip(station_id) is None and city.has_places:
            missing.link("imagery")
        st.page_link("pages/network_map.py", label="Its forecast on the network map", icon=":material/show_chart:")
    with words:
        show_description(city, station_id)


def show_description(city: City, station_id: str) -> None:
    """What was said of the station's chip, or where to have it described."""
    try:
        described = surroundings.descriptions(city).get(station_id)
    except UserError as error:
        unreadable(error)
        return
    if not described:
        if city.has_places or city.chip(station_id):
            missing.offer("This station has no description yet. To have it described:", "describe", city)
        else:
            st.info(NO_PLACES, icon=":material/wrong_location:")
        return
    chosen = described[0]
    if len(described) > 1:
        numbers = [one.n for one in described]
        number = st.segmented_control(
            "Description", numbers, default=numbers[0], required=True, key=f"description-{station_id}"
        )
        chosen = described[numbers.index(number)]
    st.html(description.whole(chosen))
    if not surroundings.is_of_this_chip(city, chosen):
        st.caption(":material/info: This was said of another image than the one shown. To renew it:")
        missing.link("describe")


def show_map(place: Place, city: City, links: Links | None) -> None:
    """The stations, with lines from the chosen one to those that look alike and to the nearest."""
    chosen = session.station()
    linked = links if city.has_places else None
    lines = _lines(city, chosen, linked) if chosen and linked else []
    around = [chosen, *(name for link in linked for name in link["station_id"])] if chosen and linked else []
    station_map.draw(
        place, city, key="lookalikes-map", below=lines, whole=True, height=MAP_HEIGHT, around=around, share=MAP_SHARE
    )
    named = ((colours.ALIKE, "looks alike"), ("", "nearest on the ground")) if linked else ()
    lines_legend = maps.kinds([(colour, words, None) for colour, words in named])
    load = views.LOAD.legend(city, session.origin())
    st.html(blocks.within("under", [lines_legend, load, basemap.attribution(city)]))
    basemap.watch(city)


def _lines(city: City, station_id: str, links: Links) -> list[pydeck.Layer]:
    points = dict(zip(city.station_ids, city.stations.geometry, strict=True))
    here = points[station_id]
    layers = []
    for name, link, colour, width in (("near", links[1], NEAR, 5), ("alike", links[0], ALIKE, 2.5)):
        ends = [points[other] for other in link["station_id"]]
        shapes = [{"type": "LineString", "coordinates": [[here.x, here.y], [end.x, end.y]]} for end in ends]
        features = [{"type": "Feature", "geometry": shape, "properties": {}} for shape in shapes]
        layers.append(
            pydeck.Layer(
                "GeoJsonLayer",
                id=f"lines-{name}",
                data={"type": "FeatureCollection", "features": features},
                stroked=True,
                get_line_color=colour,
                get_line_width=width,
                line_width_units="'pixels'",
            )
        )
    return layers


def show_links(place: Place, city: City, links: Links | None, trouble: str) -> None:
    """The stations that look alike beside those that are near, as chips to click."""
    if links is None:
        if surroundings.embedded(city):
            st.info(f"No lookalikes. {literal(trouble)}", icon=":material/image_search:")
        elif city.has_places or any(city.chip(station_id) for station_id in city.station_ids):
            missing.offer("Which stations look alike is not known yet. To find out:", "embed", city)
        return
    for title, name, link in (
        ("Looks most alike (likeness 1 = the same, 0 = nothing in common)", "alike", links[0]),
        ("Nearest on the ground, for comparison", "near", links[1]),
    ):
        if link.empty:
            continue
        st.html(blocks.paragraph(title, "sub"))
        notes = [likeness_of(*row) for row in zip(link["similarity"], link["distance_m"], strict=True)]
        chips(place, city, name, link["station_id"].tolist(), notes, surroundings.LOOKALIKES)


def show_kinds(place: Place, city: City, kinds: Clusters, places: np.ndarray) -> None:
    """A typical station of each kind of surroundings: the one in the middle of its dots."""
    st.html(blocks.paragraph("Kinds of surroundings in this city, with a typical station of each", "sub"))
    typical = []
    for kind in range(len(kinds.names)):
        rows = np.flatnonzero(kinds.labels == kind)
        apart = np.linalg.norm(places[rows] - np.median(places[rows], axis=0), axis=1)
        typical.append(city.station_ids[rows[int(np.argmin(apart))]])
    chips(place, city, "kind", typical, list(kinds.names), 5)


def show_likeness(city: City) -> tuple[Clusters, np.ndarray] | None:
    """The flat view of the embeddings; a click on a dot chooses its station. Returns what it shows, None where it cannot."""
    title, choice = st.columns([3, 4], vertical_alignment="center")
    title.html(blocks.part("All stations by likeness"))
    with choice.container(horizontal_alignment="right"):
        by = st.segmented_control(
            "Colour by",
            [BY_KIND, BY_LOAD],
            default=BY_KIND,
            required=True,
            key="colour_by",
            label_visibility="collapsed",
        )
    slot = st.container(height=similarity.HEIGHT, border=False)
    try:
        with slot, st.spinner("Comparing surroundings"):
            kinds, places = surroundings.kinds(city)
    except UserError as error:
        slot.warning(literal(error), icon=":material/error:")
        return None
    with slot:
        _dots(city, kinds, places, by == BY_LOAD)
    st.html(similarity.legend(city, kinds, by == BY_LOAD))
    st.html(
        blocks.paragraph("Dots that lie close together show surroundings that look alike. Axes have no unit.", "sub")
    )
    return kinds, places


def _dots(city: City, kinds: Clusters, places: np.ndarray, by_load: bool) -> None:
    key = f"likeness-{session.map_turn()}"

    def clicked() -> None:
        points = st.session_state[key]["selection"]["points"]
        if points:
            wanted = points[0].get("customdata")
            session.select(wanted[0] if isinstance(wanted, list) else wanted, city)

    st.plotly_chart(
        similarity.chart(city, kinds, places, session.station(), by_load),
        key=key,
        on_select=clicked,
        selection_mode="points",
        config=forecast_charts.CONFIG,
        alt="Stations placed by the likeness of their surroundings",
    )


def search_by_words(place: Place, city: City) -> None:
    """The box for words, and the stations whose surroundings fit them best."""
    st.html(blocks.part("Search by words"))
    words = st.text_input(
        "What should stand there",
        key="words",
        placeholder="stadium, or: rail yard beside housing",
        max_chars=surroundings.LONGEST_SEARCH,
        label_visibility="collapsed",
    ).strip()
    if not words:
        st.html(blocks.paragraph(f"For example: {EXAMPLES}", "sub"))
        return
    try:
        with st.spinner("Searching"):
            matches = surroundings.find(city, words)
    except UserError as error:
        st.warning(f"No search by words. {literal(error)}", icon=":material/error:")
        return
    st.html(blocks.paragraph(f"Images and descriptions that fit “{words}” best, the best first", "sub"))
    notes = [f"fit {fit:.2f}" for _, fit in matches]
    chips(place, city, "found", [station_id for station_id, _ in matches], notes, 4)


main()
